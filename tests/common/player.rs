// SPDX-License-Identifier: MPL-2.0

//! The players that an application may use the element with, and a note of what they show.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::media::DURATION;

const MS: gst::ClockTime = gst::ClockTime::MSECOND;

/// How the element comes into a pipeline.
#[derive(Clone, Copy, Debug)]
pub enum Consumer {
    Decodebin3,
    Playbin3,
    Uridecodebin3,
    Playbin,
    Uridecodebin,
    /// Not with the element: playbin3 with GStreamer's own hlsdemux2.
    Hlsdemux2,
}

impl Consumer {
    pub const ALL: [Self; 5] =
        [Self::Decodebin3, Self::Playbin3, Self::Uridecodebin3, Self::Playbin, Self::Uridecodebin];
}

/// A sink that shows nothing and notes when everything that it gets would be shown.
#[derive(Clone)]
pub struct Sink {
    pub element: gst::Element,
    noted: Arc<Mutex<Noted>>,
}

/// What has come since the last flush.
#[derive(Default)]
struct Noted {
    stream_times: Vec<gst::ClockTime>,
    running_times: Vec<gst::ClockTime>,
    /// Of the bytes that are shown first.
    hash: Option<u64>,
}

impl Sink {
    fn new(sync: bool) -> Self {
        let element = gst::ElementFactory::make("fakesink").property("sync", sync).build().expect("fakesink");
        let noted = Arc::new(Mutex::new(Noted::default()));
        let pad = element.static_pad("sink").expect("a sink has a pad");
        let notes = noted.clone();
        pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH, move |pad, info| {
            let mut noted = notes.lock().unwrap();
            match (&info.data, pad.sticky_event::<gst::event::Segment>(0)) {
                (Some(gst::PadProbeData::Buffer(buffer)), Some(segment)) => {
                    let segment = segment.segment().clone();
                    let segment = segment.downcast::<gst::ClockTime>().expect("a TIME segment");
                    noted.running_times.extend(segment.to_running_time(buffer.pts()));
                    if let Some(time) = segment.to_stream_time(buffer.pts()) {
                        noted.stream_times.push(time);
                        noted.hash.get_or_insert_with(|| {
                            let mut hasher = DefaultHasher::new();
                            buffer.map_readable().expect("readable bytes").hash(&mut hasher);
                            hasher.finish()
                        });
                    }
                }
                (Some(gst::PadProbeData::Event(_)), _) => *noted = Noted::default(),
                _ => (),
            }
            gst::PadProbeReturn::Ok
        });
        Self { element, noted }
    }

    /// Stream time of what came first since the last flush.
    pub fn first(&self) -> Option<gst::ClockTime> {
        self.noted.lock().unwrap().stream_times.first().copied()
    }

    /// What tells the content of that from others.
    pub fn first_hash(&self) -> Option<u64> {
        self.noted.lock().unwrap().hash
    }

    /// Stream times of everything since the last flush.
    pub fn times(&self) -> Vec<gst::ClockTime> {
        self.noted.lock().unwrap().stream_times.clone()
    }

    /// The same as running times, which go on where playback does.
    pub fn running_times(&self) -> Vec<gst::ClockTime> {
        self.noted.lock().unwrap().running_times.clone()
    }
}

/// A pipeline with the element in it; stops when dropped.
pub struct Player {
    consumer: Consumer,
    pub pipeline: gst::Pipeline,
    pub video: Sink,
    pub audio: Sink,
    /// Subtitles; in the pipeline only when there are some.
    pub text: Sink,
    decoder: gst::Element,
    source: Arc<Mutex<Option<gst::Element>>>,
}

impl Player {
    /// Plays the playlist at `url`, as fast as it goes or, with `sync`, in real time.
    pub fn new(consumer: Consumer, url: &str, sync: bool) -> Self {
        Self::with(consumer, url, sync, |_| ())
    }

    /// Calls `setup` with the element before it starts.
    pub fn with(
        consumer: Consumer,
        url: &str,
        sync: bool,
        setup: impl Fn(&gst::Element) + Send + Sync + 'static,
    ) -> Self {
        super::init();
        let (video, audio, text) = (Sink::new(sync), Sink::new(sync), Sink::new(sync));
        text.element.set_property("async", false);
        let source = Arc::new(Mutex::new(None));
        let uri = match consumer {
            Consumer::Hlsdemux2 => url.to_owned(),
            _ => format!("p2p+{url}"),
        };
        let make = |name| gst::ElementFactory::make(name).build().expect(name);
        let noted = source.clone();
        let found = move |element: &gst::Element| {
            setup(element);
            *noted.lock().unwrap() = Some(element.clone());
        };
        let (pipeline, decoder) = match consumer {
            Consumer::Playbin3 | Consumer::Playbin | Consumer::Hlsdemux2 => {
                let name = if matches!(consumer, Consumer::Playbin) { "playbin" } else { "playbin3" };
                let playbin = make(name);
                playbin.set_property("uri", uri);
                playbin.set_property("video-sink", &video.element);
                playbin.set_property("audio-sink", &audio.element);
                playbin.set_property("text-sink", &text.element);
                on_source(&playbin, found);
                (playbin.clone().downcast::<gst::Pipeline>().expect("playbin is a pipeline"), playbin)
            }
            Consumer::Uridecodebin3 | Consumer::Uridecodebin => {
                let name =
                    if matches!(consumer, Consumer::Uridecodebin) { "uridecodebin" } else { "uridecodebin3" };
                let bin = make(name);
                bin.set_property("uri", uri);
                if matches!(consumer, Consumer::Uridecodebin3) {
                    // Fragments with all their video before their sound need it since 1.24, over
                    // any source.
                    bin.set_property("use-buffering", true);
                }
                on_source(&bin, found);
                (around(&bin, &video, &audio, &text), bin)
            }
            Consumer::Decodebin3 => {
                let (source, bin) = (make("p2phlssrc"), make("decodebin3"));
                source.set_property("location", url);
                found(&source);
                let pipeline = around(&bin, &video, &audio, &text);
                pipeline.add(&source).expect("the source goes into the pipeline");
                let decoder = bin.clone();
                source.connect_pad_added(move |_, pad| {
                    let sink = bin.static_pad("sink").filter(|sink| !sink.is_linked());
                    let sink = sink.or_else(|| bin.request_pad_simple("sink_%u")).expect("a sink pad");
                    pad.link(&sink).expect("pads link");
                });
                (pipeline, decoder)
            }
        };
        Self { consumer, pipeline, video, audio, text, decoder, source }
    }

    /// Has the first picture and the first sound of what is at `url`, and waits there.
    pub fn paused(consumer: Consumer, url: &str) -> Self {
        let player = Self::new(consumer, url, false);
        player.set_state(gst::State::Paused);
        player.wait_for_both();
        player
    }

    /// The element, once the player has made it.
    pub fn source(&self) -> gst::Element {
        self.source.lock().unwrap().clone().expect("the player has made the element")
    }

    /// What streams are selected in.
    pub fn decoder(&self) -> &gst::Element {
        &self.decoder
    }

    pub fn set_state(&self, state: gst::State) {
        self.pipeline.set_state(state).unwrap_or_else(|_| panic!("{state:?}: {:?}", self.error()));
    }

    pub fn seek(&self, seconds: f64) {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        let position = gst::ClockTime::from_seconds_f64(seconds);
        self.pipeline.seek_simple(flags, position).expect("the seek is accepted");
    }

    /// Plays from a position to the end.
    pub fn play_from(&self, seconds: f64) {
        self.set_state(gst::State::Paused);
        self.wait(gst::MessageType::AsyncDone);
        self.seek(seconds);
        self.wait(gst::MessageType::AsyncDone);
        self.set_state(gst::State::Playing);
        self.wait(gst::MessageType::Eos);
    }

    /// Waits for a message of this kind; an error message is the end.
    pub fn wait(&self, kind: gst::MessageType) -> gst::Message {
        let bus = self.pipeline.bus().expect("a pipeline has a bus");
        let kinds = [kind, gst::MessageType::Error];
        let message = bus
            .timed_pop_filtered(gst::ClockTime::from_seconds(30), &kinds)
            .unwrap_or_else(|| panic!("{:?}: no {kind:?} in 30 s", self.consumer));
        if let gst::MessageView::Error(error) = message.view()
            && kind != gst::MessageType::Error
        {
            panic!("{:?}: waiting for {kind:?}: {} ({:?})", self.consumer, error.error(), error.debug());
        }
        message
    }

    /// A figure of the element's statistics.
    pub fn stat(&self, name: &str) -> u64 {
        let stats: gst::Structure = self.source().property("stats");
        stats.get(name).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Waits for the first frame and the first sound. Players may take one stream first and preroll once more with the
    /// other.
    pub fn wait_for_both(&self) {
        self.wait(gst::MessageType::AsyncDone);
        let there = || self.video.first().is_some() && self.audio.first().is_some();
        self.wait_until("picture and sound", 20, there);
    }

    /// Waits until `condition` holds; playback may not fail meanwhile.
    pub fn wait_until(&self, what: &str, seconds: u64, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !condition() {
            assert!(Instant::now() < deadline, "not in {seconds} s: {what}");
            let error = self.error();
            assert!(error.is_none(), "{error:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The error that playback ended with, if one is there.
    pub fn error(&self) -> Option<glib::Error> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(error.error()),
            _ => None,
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Calls `found` with the source that a player makes, by the signal or the property that it has.
fn on_source(player: &gst::Element, found: impl Fn(&gst::Element) + Send + Sync + 'static) {
    player.connect("source-setup", false, move |values| {
        found(&values[1].get::<gst::Element>().expect("an element"));
        None
    });
}

/// Keeps what leaves the element.
pub fn keep_bytes(source: &gst::Element, kept: &Arc<Mutex<Vec<u8>>>) {
    let kept = kept.clone();
    source.connect_pad_added(move |_, pad| {
        let kept = kept.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                kept.lock().unwrap().extend_from_slice(&buffer.map_readable().expect("readable bytes"));
            }
            gst::PadProbeReturn::Ok
        });
    });
}

/// What leaves each pad of the element.
pub type Bytes = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

pub fn keep_bytes_of_pads(source: &gst::Element, kept: &Bytes) {
    let kept = kept.clone();
    source.connect_pad_added(move |_, pad| {
        let (kept, name) = (kept.clone(), pad.name().to_string());
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                let bytes = buffer.map_readable().expect("readable bytes");
                kept.lock().unwrap().entry(name.clone()).or_default().extend_from_slice(&bytes);
            }
            gst::PadProbeReturn::Ok
        });
    });
}

/// A pipeline of a bin that decodes and the two sinks, and a third where there are subtitles.
fn around(bin: &gst::Element, video: &Sink, audio: &Sink, text: &Sink) -> gst::Pipeline {
    let pipeline = gst::Pipeline::new();
    // Audio and video must not wait for each other in sinks that preroll.
    let queues = ["queue", "queue"].map(|name| gst::ElementFactory::make(name).build().expect("queue"));
    let sinks = [&video.element, &audio.element];
    pipeline.add_many(sinks.into_iter().chain(&queues).chain([bin])).expect("elements go into a pipeline");
    for (queue, sink) in queues.iter().zip(sinks) {
        queue.link(sink).expect("a queue takes anything");
    }
    let text = text.element.clone();
    let added = pipeline.downgrade();
    bin.connect_pad_added(move |_, pad| {
        if pad.direction() == gst::PadDirection::Sink {
            return; // One that was asked for.
        }
        // By its name where the player is new, by its caps, which may come later there, where it is old.
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is = |what: &str| {
            pad.name().starts_with(what)
                || caps.structure(0).is_some_and(|caps| caps.name().starts_with(&format!("{what}/")))
        };
        let target = match () {
            () if is("audio") => &queues[1],
            () if is("text") || is("application") => {
                if text.parent().is_none()
                    && let Some(pipeline) = added.upgrade()
                {
                    pipeline.add(&text).expect("the sink goes into the pipeline");
                    text.sync_state_with_parent().expect("the sink follows");
                }
                &text
            }
            () => &queues[0],
        };
        let sink = target.static_pad("sink").expect("a sink pad");
        if !sink.is_linked() {
            pad.link(&sink).expect("pads link");
        }
    });
    pipeline
}

/// Each frame follows the one before.
pub fn assert_continuous(frames: &[gst::ClockTime], of: impl Debug) {
    for pair in frames.windows(2) {
        assert!(pair[1].absdiff(pair[0] + 40 * MS) < MS, "{of:?}: {} after {}", pair[1], pair[0]);
    }
}

/// Plays a stream of [`DURATION`] seconds: the start, a seek and the end, each to be found at the stream time where it
/// belongs.
pub fn plays_and_seeks(consumer: Consumer, url: &str) -> Player {
    let player = Player::new(consumer, url, false);
    player.set_state(gst::State::Paused);
    player.wait_for_both();
    assert_eq!(player.video.first(), Some(gst::ClockTime::ZERO), "{consumer:?}: the first frame");
    assert!(player.audio.first() < Some(50 * MS), "{consumer:?}: the first sound {:?}", player.audio.first());

    player.seek(17.0);
    player.wait_for_both();
    let target = gst::ClockTime::from_seconds(17);
    assert_eq!(player.video.first(), Some(target), "{consumer:?}: the first frame after the seek");
    let sound = player.audio.first().expect("sound after the seek");
    assert!(sound.absdiff(target) < 50 * MS, "{consumer:?}: the first sound after the seek {sound}");

    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    let frames = player.video.times();
    assert_eq!(frames.len() as u64, (DURATION - 17) * 25, "{consumer:?}: frames from the seek to the end");
    assert_continuous(&frames, consumer);
    player
}

/// The same where sound and picture are apart: the sound ends with the picture.
pub fn plays_and_seeks_together(consumer: Consumer, url: &str) {
    let player = plays_and_seeks(consumer, url);
    let last = *player.audio.times().last().expect("sound");
    let end = gst::ClockTime::from_seconds(DURATION);
    assert!(last.absdiff(end) < 100 * MS, "{consumer:?}: the last sound {last}");
}
