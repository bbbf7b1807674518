// SPDX-License-Identifier: MPL-2.0

//! A track and the thread that pushes its bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::clock::{Segment, clock_time, goes_on};
use super::errors::{self, Severity};
use super::exit::Exit;
use super::log::CAT;
use super::placement::{Output, Placement};
use super::probe::{Found, ProbeError, Probed, look};
use super::progress::Progress;
use super::protection;
use super::sync::SharedClock;
use crate::container::Kind;
use crate::engine::{Item, SegmentStart, SessionError, TrackKind, TrackReader};
use crate::manifest::Protection;

/// One track as GStreamer sees it.
pub struct Track {
    pub kind: TrackKind,
    /// The first of its pads, whose thread pushes.
    pub pad: gst::Pad,
    pub exit: Exit,
    pub reader: Arc<TrackReader>,
    pub progress: Progress,
    /// What it plays next may be in another container.
    varies: bool,
    shared: Arc<SharedClock>,
    /// Downstream may have another segment than it was told.
    renew: AtomicBool,
    /// Encrypted samples have gone out.
    encrypted: AtomicBool,
    /// The streaming thread's own; others touch it only while that thread stands still.
    work: Mutex<Work>,
}

struct Work {
    placement: Placement,
    /// Items that were read while looking for the container.
    probed: VecDeque<Item>,
    /// The next segment has been looked at.
    known: bool,
    /// What begins here or later is not shown; None: everything is, or playback goes backward from there.
    stop: Option<gst::ClockTime>,
    /// More may be played after the stop, without a gap: it is not the end of the stream.
    goes_on: bool,
    /// The demuxer had come to the stop before a segment of the playlist was whole: it waits for the rest.
    cut: bool,
    /// Of the seek that the track plays by; events carry it so that applications can tell.
    seqnum: gst::Seqnum,
    /// Of what is played from the next segment on, and of the segment in work until they are pushed.
    tags: Option<gst::TagList>,
    due: Option<gst::TagList>,
    /// To be pushed before the next bytes.
    protections: Vec<Protection>,
}

/// Whether the streaming thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Again,
    Pause,
    /// The track has come to the end of what it plays.
    End,
}

impl Track {
    /// The pads are active and have begun their streams, `pad` is the first; `timeline` is the segment to play. What has
    /// been probed may be followed by other containers if it `varies`.
    pub fn new(
        kind: TrackKind,
        (pad, exit): (gst::Pad, Exit),
        reader: Arc<TrackReader>,
        (probed, varies): (Probed, bool),
        timeline: Segment,
        seqnum: gst::Seqnum,
        shared: Arc<SharedClock>,
    ) -> Self {
        let leads = kind == TrackKind::Main;
        let placement = Placement::new(probed.kind, timeline.clone(), shared.clone(), leads);
        let work = Work {
            stop: stop_of(&timeline),
            goes_on: goes_on(&timeline),
            cut: false,
            placement: placement.only(probed.only),
            probed: probed.items,
            known: true,
            seqnum,
            tags: None,
            due: None,
            protections: Vec::new(),
        };
        Self {
            kind,
            pad,
            exit,
            reader,
            progress: Progress::default(),
            varies,
            shared,
            renew: AtomicBool::new(false),
            encrypted: AtomicBool::new(false),
            work: Mutex::new(work),
        }
    }

    /// Begins anew after a seek; the streaming thread stands still.
    pub fn restart(&self, timeline: Segment, seqnum: gst::Seqnum) {
        let mut work = self.work.lock().unwrap();
        self.exit.restart();
        self.progress.restart();
        work.stop = stop_of(&timeline);
        work.goes_on = goes_on(&timeline);
        work.cut = false;
        work.placement.restart(timeline);
        work.probed.clear();
        work.known = false;
        work.protections.clear();
        work.seqnum = seqnum;
    }

    /// Starts the streaming thread. `on_flow` gives what all pads together make of a push's result; `on_end` is called
    /// when all has been pushed.
    pub fn start<F>(self: &Arc<Self>, on_flow: F, on_end: impl Fn() + Send + 'static)
    where
        F: Fn(&Track, Result<gst::FlowSuccess, gst::FlowError>) -> Result<gst::FlowSuccess, gst::FlowError>
            + Send
            + 'static,
    {
        let track = self.clone();
        let started = self.pad.start_task(move || {
            let next = track.step(&on_flow);
            if next == Next::End {
                on_end();
            }
            if next != Next::Again {
                gst::debug!(CAT, obj = track.pad, "Streaming pauses");
                // Fails only when the task is being stopped, which is as good.
                let _ = track.pad.pause_task();
            }
        });
        if started.is_err() {
            gst::error!(CAT, obj = self.pad, "The streaming thread does not start");
        }
    }

    /// Whether more can be played after the end without a flush.
    pub fn can_be_followed(&self) -> bool {
        let work = self.work.lock().unwrap();
        work.placement.can_be_followed() && !work.cut
    }

    /// What is played from the next segment on is described by these.
    pub fn set_tags(&self, tags: Option<gst::TagList>) {
        self.work.lock().unwrap().tags = tags;
    }

    /// Tells downstream again which time is which, with the next segment of the playlist.
    pub fn renew_segment(&self) {
        self.renew.store(true, Ordering::Relaxed);
    }

    /// Wakes the streaming thread, whatever it waits for; it pauses.
    pub fn interrupt(&self) {
        self.reader.interrupt();
        self.shared.wake();
    }

    /// Makes the streaming thread push end-of-stream instead of what it would read next.
    pub fn finish(&self) {
        self.progress.finish();
        self.interrupt();
    }

    /// Ends the streaming thread for good.
    pub fn stop(&self) {
        self.interrupt();
        // Downstream may hold the thread inside a push for as long as it likes. Only then: a flush
        // would also throw away what a finished track has left in queues downstream.
        let stuck = self.progress.stop();
        if stuck {
            self.exit.send(&gst::event::FlushStart::new());
        }
        let stopped = self.pad.stop_task();
        if stuck {
            self.exit.send(&gst::event::FlushStop::new(true));
        }
        if stopped.is_err() || self.exit.stop().is_err() {
            gst::warning!(CAT, obj = self.pad, "The pad does not stop");
        }
    }

    fn step<F>(&self, on_flow: &F) -> Next
    where
        F: Fn(&Track, Result<gst::FlowSuccess, gst::FlowError>) -> Result<gst::FlowSuccess, gst::FlowError>,
    {
        let probed = self.work.lock().unwrap().probed.pop_front();
        let item = probed.or_else(|| self.progress.waiting(|| self.reader.next()));
        let Some(item) = item else {
            return if self.progress.finishing() { self.end() } else { Next::Pause };
        };

        if let Item::Start(start) = &item
            && self.varies
            && start.discontinuity
            && !std::mem::take(&mut self.work.lock().unwrap().known)
        {
            return self.look_at(item);
        }
        self.wait_for_clock(&item);
        if let Item::Start(start) = &item {
            self.look_for_decryptor(start);
        }
        let renew = matches!(item, Item::Start(_)) && self.renew.swap(false, Ordering::Relaxed);
        let (outputs, eos, seqnum) = {
            let mut work = self.work.lock().unwrap();
            if renew {
                work.placement.renew_segment();
            }
            work.place(&item)
        };
        for output in outputs {
            let buffer = match output.into_event(seqnum) {
                Ok(event) => {
                    gst::debug!(CAT, obj = self.pad, "Pushing {event:?}");
                    self.exit.push_event(event);
                    continue;
                }
                Err(buffer) => buffer,
            };
            let Some(result) = self.progress.pushing(|| self.exit.push(buffer)) else {
                return Next::Pause;
            };
            match on_flow(self, result) {
                Ok(_) => {}
                Err(gst::FlowError::Flushing) => return Next::Pause,
                // Whatever else it is, nothing more can be pushed here.
                Err(error) => {
                    gst::debug!(CAT, obj = self.pad, "Streaming ends: {error:?}");
                    self.work.lock().unwrap().cut = true;
                    return self.end();
                }
            }
        }
        self.progress.passed(&item);
        match eos {
            false => Next::Again,
            true if self.kind == TrackKind::Subtitles && !self.wait_for_picture() => Next::Pause,
            true => self.end(),
        }
    }

    /// Looks at the segment that begins with `first`, and goes over to its container.
    fn look_at(&self, first: Item) -> Next {
        let overlaps = matches!(&first, Item::Start(start) if Placement::overlaps(start));
        let mut read = std::mem::take(&mut self.work.lock().unwrap().probed);
        read.push_front(first);
        let mut items = VecDeque::new();
        let next = || Ok(read.pop_front().or_else(|| self.progress.waiting(|| self.reader.next())));
        let found = look(&mut items, true, next);
        items.append(&mut read);
        if matches!(found, Err(ProbeError::Interrupted)) {
            return if self.progress.finishing() { self.end() } else { Next::Pause };
        }
        let drain = {
            let mut work = self.work.lock().unwrap();
            (work.probed, work.known) = (items, true);
            work.placement.drain()
        };
        match found {
            Ok(found) => self.change(found, overlaps, drain),
            Err(error) => gst::warning!(CAT, obj = self.pad, "It is not known what comes next: {error}"),
        }
        Next::Again
    }

    /// What comes next is this. `tsdemux` knows nothing of what has been shown before unless it begins with that.
    fn change(&self, found: Found, overlaps: bool, drain: Option<gst::Buffer>) {
        let before = self.work.lock().unwrap().placement.kind();
        let is_ts = found.kind == Kind::MpegTs;
        if found.kind == before && !(is_ts && overlaps) {
            return;
        }
        let sound = found
            .contents
            .into_iter()
            .flatten()
            .find(|content| content.stream_type == gst::StreamType::AUDIO);
        let changed = match (found.kind, sound) {
            (Kind::MpegTs, Some(sound)) => self.exit.change(&found.caps, Some(sound), drain),
            (Kind::PackedAudio, _) => self.exit.change(&found.caps, None, drain),
            (kind, _) => Err(glib::bool_error!("There is no sound in it, or {kind} cannot follow {before}")),
        };
        match changed {
            Ok(()) => {
                gst::info!(CAT, obj = self.pad, "Going on with {} after {before}", found.kind);
                self.work.lock().unwrap().placement.change(found.kind);
            }
            Err(error) => gst::warning!(CAT, obj = self.pad, "{error}"),
        }
    }

    /// Subtitles end with the picture, which they often come before: decodebin3 of GStreamer 1.22 takes the end of the
    /// only stream that it knows of so far for the end of all. False: something else is to be done first.
    fn wait_for_picture(&self) -> bool {
        let gap = {
            let mut work = self.work.lock().unwrap();
            let from = self.progress.snapshot().pushed.map(clock_time);
            let mut outputs = Vec::new();
            if let Some(from) = from.or(work.placement.begin()) {
                work.placement.gap(from, gst::ClockTime::ZERO, &mut outputs);
            }
            outputs.into_iter().filter_map(|output| output.into_event(work.seqnum).ok()).collect::<Vec<_>>()
        };
        // Whoever waits for a first subtitle need not wait for the end.
        for event in gap {
            self.exit.push_event(event);
        }
        let stop = || self.reader.is_interrupted() || self.progress.finishing();
        self.shared.wait_for_end(stop) || self.progress.finishing()
    }

    /// Tells the user what is missing where nothing can decrypt what is passed on, once.
    fn look_for_decryptor(&self, start: &SegmentStart) {
        if start.encrypted
            && !self.encrypted.swap(true, Ordering::Relaxed)
            && let Some(missing) = protection::missing_decryptor(&start.protections)
            && let Some(element) = self.pad.parent_element()
        {
            errors::post(&element, Severity::Warning, &SessionError::Decrypt(missing), true);
        }
    }

    /// The main track says first where its clock is.
    fn wait_for_clock(&self, item: &Item) {
        let Item::Start(start) = item else { return };
        let waits = self.work.lock().unwrap().placement.needs_clock(start);
        if waits {
            let position = i64::try_from(start.position.as_nanos()).unwrap_or(i64::MAX);
            let sequence = start.discontinuity_sequence;
            self.progress.waiting(|| self.shared.wait(sequence, position, || self.reader.is_interrupted()));
        }
    }

    fn end(&self) -> Next {
        if self.kind == TrackKind::Main {
            self.shared.finish();
        }
        let (seqnum, goes_on, stop, drain, follows) = {
            let work = self.work.lock().unwrap();
            let goes_on = work.goes_on && !self.progress.finishing();
            let placement = &work.placement;
            let drain = placement.drain().filter(|_| goes_on);
            (work.seqnum, goes_on, placement.stop(), drain, placement.can_be_followed())
        };
        if let Some(drain) = drain {
            // What comes of it is seen by whatever is pushed next.
            let _ = self.progress.pushing(|| self.exit.push(drain));
        }
        let event = match (goes_on, stop) {
            (false, _) => Some(gst::event::Eos::builder().seqnum(seqnum).build()),
            // This has decoders let go of what they hold, as the end of a segment does. After that `multiqueue` would take no
            // caps, which come before the segment that may follow.
            (true, Some(stop)) if follows => {
                Some(gst::event::Gap::builder(stop).duration(gst::ClockTime::ZERO).seqnum(seqnum).build())
            }
            (true, None) if follows => None,
            (true, stop) => Some(gst::event::SegmentDone::builder(stop).seqnum(seqnum).build()),
        };
        self.progress.ended();
        if let Some(event) = event {
            gst::debug!(CAT, obj = self.pad, "Pushing {event:?}");
            self.exit.push_event(event);
        }
        Next::End
    }
}

/// Where playback forward ends.
fn stop_of(timeline: &Segment) -> Option<gst::ClockTime> {
    timeline.stop().filter(|_| timeline.rate() > 0.0)
}

impl Work {
    /// What to push for an item, whether the track ends with it, and the seqnum to push it under.
    fn place(&mut self, item: &Item) -> (Vec<Output>, bool, gst::Seqnum) {
        let mut outputs = Vec::new();
        let mut eos = false;
        match item {
            Item::Start(start) if self.stop.is_some_and(|stop| clock_time(start.position) >= stop) => {
                self.placement.end(&mut outputs);
                eos = true;
            }
            Item::Start(start) => {
                self.placement.start(start.clone(), &mut outputs);
                self.due = self.tags.take().or_else(|| self.due.take());
                self.protections.extend(start.protections.iter().cloned());
            }
            Item::Gap { position, duration } => {
                self.placement.gap(clock_time(*position), clock_time(*duration), &mut outputs);
            }
            Item::Data(bytes) => self.placement.data(bytes.clone(), &mut outputs),
            Item::End => self.placement.end(&mut outputs),
            Item::Eos => {
                self.placement.end(&mut outputs);
                eos = true;
            }
        }
        // These come after the segment event that says where they belong.
        if let Some(first) = outputs.iter().position(|output| matches!(output, Output::Buffer(_))) {
            let tags = self.due.take().map(Output::Tags);
            let protections = self.protections.drain(..).map(Output::Protection);
            let before: Vec<Output> = tags.into_iter().chain(protections).collect();
            outputs.splice(first..first, before);
        }
        (outputs, eos, self.seqnum)
    }
}
