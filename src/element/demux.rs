// SPDX-License-Identifier: MPL-2.0

//! Takes containers apart in the element: MPEG-TS where a stream has several tracks, and WebM always.
//!
//! Behind a pad, `tsdemux` tells players of a collection of its own, which then takes the place of the element's: the
//! other languages are not offered, and with GStreamer 1.22 now and then picture or sound are missing. In here nobody
//! hears it, and sound that comes with the picture can be left out for another language. A stream with one track goes
//! out as it came, which every player takes.
//!
//! `matroskademux` of 1.22 takes no segments in time: behind a pad it would answer seeks by itself, or not at all, and
//! begin at zero again with each initialisation segment. In here it makes frames of bytes, and the element's own
//! segments go out before them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::contents::Content;
use super::log::CAT;
use crate::container::Kind;
use crate::ebml;

/// A demuxer between a track's thread and its pads.
pub struct Demux {
    demuxer: gst::Element,
    events: Events,
    /// Where bytes go in.
    feed: gst::Pad,
    caps: gst::Caps,
    outlets: Arc<[Outlet]>,
    /// What ends is the track, not one of its programs.
    ending: Arc<AtomicBool>,
    /// What is played, for pads to which nothing has come from inside.
    segment: Mutex<Option<gst::Event>>,
}

/// Which way events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Events {
    /// Through the demuxer.
    Through,
    /// Past it, before its next frame.
    Past,
}

/// What goes out before the next frame: players take these behind the caps, and tags behind the segment.
#[derive(Default)]
struct Due {
    segment: Mutex<Option<gst::Event>>,
    tags: Mutex<Option<gst::TagList>>,
}

impl Due {
    fn go(&self, pad: &gst::Pad) {
        let segment = self.segment.lock().unwrap().take();
        let tags = self.tags.lock().unwrap().take().map(gst::event::Tag::new);
        for event in segment.into_iter().chain(tags) {
            pad.push_event(event);
        }
    }
}

/// Where an elementary stream comes out.
struct Outlet {
    content: Content,
    /// The element's.
    pad: gst::Pad,
    /// Takes what the demuxer gives.
    sink: gst::Pad,
    due: Arc<Due>,
}

/// The demuxer for a container that can be taken apart.
fn factory(kind: Kind) -> Option<(&'static str, Events)> {
    match kind {
        Kind::MpegTs => Some(("tsdemux", Events::Through)),
        Kind::WebM => Some(("matroskademux", Events::Past)),
        _ => None,
    }
}

impl Demux {
    /// Whether there is a demuxer for these (`tsdemux` of gst-plugins-bad, `matroskademux` of -good). Where there is
    /// none, players say by themselves what they lack.
    pub fn is_there(kind: Kind) -> bool {
        factory(kind).is_some_and(|(name, _)| gst::ElementFactory::find(name).is_some())
    }

    /// Each pad gets one of the streams that `contents` says are in the bytes; pads are active and have begun their
    /// stream.
    ///
    /// # Errors
    ///
    /// When there is no demuxer.
    pub fn new(
        kind: Kind,
        caps: &gst::Caps,
        contents: Vec<(Content, gst::Pad)>,
    ) -> Result<Self, glib::BoolError> {
        let (name, events) = factory(kind).ok_or_else(|| glib::bool_error!("{kind} is not taken apart"))?;
        let demuxer = gst::ElementFactory::make(name).build()?;
        let feed = gst::Pad::builder(gst::PadDirection::Src).name("feed").build();
        let into = demuxer.static_pad("sink").ok_or_else(|| glib::bool_error!("{name} has no sink pad"))?;
        let ending = Arc::new(AtomicBool::new(false));
        let outlet = |(content, pad): (Content, gst::Pad)| {
            let due = Arc::new(Due::default());
            let ending = ending.clone();
            let sink = match events {
                Events::Through => sink(&pad, due.clone(), move |_, event| is_of_stream(event, &ending)),
                Events::Past => sink(&pad, due.clone(), |pad, event| is_new_caps(event, pad)),
            };
            Outlet { sink, content, pad, due }
        };
        let outlets: Arc<[Outlet]> = contents.into_iter().map(outlet).collect();
        for outlet in outlets.iter() {
            outlet.sink.set_active(true)?;
        }
        let found = outlets.clone();
        demuxer.connect_pad_added(move |_, pad| join(&found, pad));
        feed.set_active(true)?;
        feed.link(&into).map_err(|error| glib::bool_error!("{name} takes no bytes: {error}"))?;
        demuxer.set_state(gst::State::Paused).map_err(|error| glib::bool_error!("{name}: {error}"))?;
        let demux =
            Self { demuxer, events, feed, caps: caps.clone(), outlets, ending, segment: Mutex::default() };
        demux.begin();
        Ok(demux)
    }

    /// Tells the demuxer what comes.
    fn begin(&self) {
        self.feed.push_event(gst::event::StreamStart::new("feed"));
        self.feed.push_event(gst::event::Caps::new(&self.caps));
        self.place();
    }

    /// Where nothing says when bytes are, something has to say where.
    fn place(&self) {
        if self.events == Events::Past {
            let segment = gst::FormattedSegment::<gst::format::Bytes>::new();
            self.feed.push_event(gst::event::Segment::new(&segment));
        }
    }

    /// Other tracks may come than those before: `matroskademux` takes no other numbers for them, but from the start.
    fn renew(&self) -> Result<(), gst::StateChangeError> {
        self.demuxer.set_state(gst::State::Ready)?;
        self.demuxer.set_state(gst::State::Paused)?;
        self.begin();
        Ok(())
    }

    /// Takes bytes; gives what the pads together say.
    ///
    /// # Errors
    ///
    /// As [`gst::Pad::push`].
    pub fn push(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.events == Events::Past && is_init(&buffer) {
            self.renew().map_err(|_| gst::FlowError::Error)?;
        }
        self.feed.push(buffer)
    }

    /// Passes an event on, in its place among the bytes.
    pub fn push_event(&self, event: gst::Event) {
        match event.view() {
            gst::EventView::Tag(tag) => {
                if let Some(first) = self.outlets.first() {
                    *first.due.tags.lock().unwrap() = Some(tag.tag_owned());
                }
            }
            gst::EventView::Segment(_) if self.events == Events::Past => {
                for outlet in self.outlets.iter() {
                    *outlet.due.segment.lock().unwrap() = Some(event.clone());
                }
            }
            // All frames before it have gone out: the demuxer keeps none.
            _ if self.events == Events::Past => {
                for Outlet { pad, due, .. } in self.outlets.iter() {
                    let is_end = matches!(event.view(), gst::EventView::Eos(_));
                    if pad.has_current_caps() {
                        due.go(pad);
                    } else if !is_end {
                        continue;
                    }
                    pad.push_event(event.clone());
                }
            }
            // To all: a pad to which nothing has come from inside has had no segment either.
            gst::EventView::Gap(_) => {
                let segment = self.segment.lock().unwrap().clone();
                for Outlet { pad, .. } in self.outlets.iter() {
                    if let (Some(segment), None) = (&segment, pad.sticky_event::<gst::event::Segment>(0)) {
                        pad.push_event(segment.clone());
                    }
                    pad.push_event(event.clone());
                }
            }
            gst::EventView::Eos(_) => {
                self.ending.store(true, Ordering::SeqCst);
                self.feed.push_event(event.clone());
                // A pad to which nothing has come from inside hears of the end all the same.
                for outlet in self.outlets.iter().filter(|outlet| outlet.sink.peer().is_none()) {
                    outlet.pad.push_event(event.clone());
                }
            }
            _ => {
                if let gst::EventView::Segment(_) = event.view() {
                    *self.segment.lock().unwrap() = Some(event.clone());
                }
                self.feed.push_event(event);
            }
        }
    }

    /// Forgets what is in work. The pads are flushed by whoever seeks.
    pub fn restart(&self) {
        self.ending.store(false, Ordering::SeqCst);
        for outlet in self.outlets.iter() {
            outlet.due.segment.lock().unwrap().take();
        }
        self.feed.push_event(gst::event::FlushStart::new());
        self.feed.push_event(gst::event::FlushStop::new(true));
        self.place();
    }

    /// Ends for good; nobody pushes any more.
    pub fn stop(&self) {
        if self.demuxer.set_state(gst::State::Null).is_err() {
            gst::warning!(CAT, obj = self.demuxer, "The demuxer does not stop");
        }
        for pad in self.outlets.iter().map(|outlet| &outlet.sink).chain([&self.feed]) {
            // Fails only when it is not active.
            let _ = pad.set_active(false);
        }
    }
}

/// Takes what comes out of the demuxer for the element's pad: all frames, and those events that `passes` lets through.
fn sink(
    pad: &gst::Pad,
    due: Arc<Due>,
    passes: impl Fn(&gst::Pad, &gst::Event) -> bool + Send + Sync + 'static,
) -> gst::Pad {
    let (out, events, queries) = (pad.clone(), pad.clone(), pad.clone());
    gst::Pad::builder(gst::PadDirection::Sink)
        .name(format!("take_{}", pad.name()))
        .chain_function(move |_, _, buffer| {
            due.go(&out);
            out.push(buffer)
        })
        .event_function(move |_, _, event| !passes(&events, &event) || events.push_event(event))
        .query_function(move |_, _, query| queries.peer_query(query))
        .build()
}

/// All but what the element has of its own, or does by itself, and the end of a program: the next takes its place.
fn is_of_stream(event: &gst::Event, ending: &AtomicBool) -> bool {
    match event.view() {
        gst::EventView::StreamStart(_)
        | gst::EventView::StreamCollection(_)
        | gst::EventView::FlushStart(_)
        | gst::EventView::FlushStop(_) => false,
        gst::EventView::Eos(_) => ending.load(Ordering::SeqCst),
        _ => true,
    }
}

/// What frames are, where that is new.
fn is_new_caps(event: &gst::Event, pad: &gst::Pad) -> bool {
    matches!(event.view(), gst::EventView::Caps(caps) if pad.current_caps().as_deref() != Some(caps.caps()))
}

/// Whether bytes begin with an initialisation segment of WebM.
fn is_init(buffer: &gst::BufferRef) -> bool {
    let mut start = [0; 4];
    buffer.flags().contains(gst::BufferFlags::DISCONT)
        && buffer.copy_to_slice(0, &mut start).is_ok()
        && start == ebml::id::EBML.to_be_bytes()
}

/// Links what the demuxer has found to the outlet that waits for it.
fn join(outlets: &[Outlet], found: &gst::Pad) {
    let Some(outlet) = outlets.iter().find(|outlet| outlet.takes(found)) else {
        return gst::debug!(CAT, obj = found, "Left out");
    };
    if let Some(old) = outlet.sink.peer() {
        // It has gone, or is about to.
        let _ = old.unlink(&outlet.sink);
    }
    match found.link(&outlet.sink) {
        Ok(_) => gst::debug!(CAT, obj = found, "Goes to {}", outlet.pad.name()),
        Err(error) => gst::warning!(CAT, obj = found, "Does not go to {}: {error}", outlet.pad.name()),
    }
}

impl Outlet {
    /// Whether this pad of the demuxer carries the stream: the very one that was announced, or the first of its type
    /// in a program, as the next may have other PIDs. Pads of `tsdemux` are named `video_0_0100`, by generation of
    /// programs and PID, those of `matroskademux` `video_0`.
    fn takes(&self, found: &gst::Pad) -> bool {
        let name = found.name();
        let Some((generation, pid)) = name.rsplit_once('_') else { return false };
        let type_name = match self.content.stream_type {
            gst::StreamType::VIDEO => "video",
            gst::StreamType::AUDIO => "audio",
            _ => return false,
        };
        let is_type = generation.starts_with(type_name);
        let is_announced = self.content.suffix.ends_with(&format!("{pid:0>8}"));
        let is_new = self.sink.peer().is_none_or(|old| !old.name().starts_with(&format!("{generation}_")));
        is_type && (is_announced || is_new)
    }
}
