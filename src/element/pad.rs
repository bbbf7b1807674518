// SPDX-License-Identifier: MPL-2.0

//! A track's pad and the thread that pushes its bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::clock::{Segment, clock_time};
use super::errors::{self, Severity};
use super::log::CAT;
use super::placement::{Output, Placement};
use super::probe::Probed;
use super::progress::Progress;
use super::protection;
use super::sync::SharedClock;
use crate::container::Kind;
use crate::engine::{Item, SegmentStart, SessionError, TrackKind, TrackReader};
use crate::manifest::Protection;

/// One track as GStreamer sees it.
pub struct Track {
    pub kind: TrackKind,
    pub pad: gst::Pad,
    pub reader: Arc<TrackReader>,
    pub progress: Progress,
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
    stop: Option<gst::ClockTime>,
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
}

impl Track {
    /// `pad` is active and has its sticky events; `timeline` is the segment to play.
    pub fn new(
        kind: TrackKind,
        pad: gst::Pad,
        reader: Arc<TrackReader>,
        probed: Probed,
        timeline: Segment,
        seqnum: gst::Seqnum,
        shared: Arc<SharedClock>,
    ) -> Self {
        let leads = kind == TrackKind::Main;
        let work = Work {
            stop: timeline.stop(),
            placement: Placement::new(probed.kind, timeline, shared.clone(), leads),
            probed: probed.items,
            seqnum,
            tags: None,
            due: None,
            protections: Vec::new(),
        };
        Self {
            kind,
            pad,
            reader,
            progress: Progress::default(),
            shared,
            renew: AtomicBool::new(false),
            encrypted: AtomicBool::new(false),
            work: Mutex::new(work),
        }
    }

    /// Begins anew after a seek; the streaming thread stands still.
    pub fn restart(&self, timeline: Segment, seqnum: gst::Seqnum) {
        let mut work = self.work.lock().unwrap();
        self.progress.restart();
        work.stop = timeline.stop();
        work.placement.restart(timeline);
        work.probed.clear();
        work.protections.clear();
        work.seqnum = seqnum;
    }

    /// Starts the streaming thread. `on_flow` gives what all pads together make of a push's result.
    pub fn start<F>(self: &Arc<Self>, on_flow: F)
    where
        F: Fn(&Track, Result<gst::FlowSuccess, gst::FlowError>) -> Result<gst::FlowSuccess, gst::FlowError>
            + Send
            + 'static,
    {
        let track = self.clone();
        let started = self.pad.start_task(move || {
            if track.step(&on_flow) == Next::Pause {
                gst::debug!(CAT, obj = track.pad, "Streaming pauses");
                // Fails only when the task is being stopped, which is as good.
                let _ = track.pad.pause_task();
            }
        });
        if started.is_err() {
            gst::error!(CAT, obj = self.pad, "The streaming thread does not start");
        }
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
            self.pad.push_event(gst::event::FlushStart::new());
        }
        let stopped = self.pad.stop_task();
        if stuck {
            self.pad.push_event(gst::event::FlushStop::new(true));
        }
        if stopped.is_err() || self.pad.set_active(false).is_err() {
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
            let event = match output {
                Output::Segment(segment) => gst::event::Segment::builder(&segment).seqnum(seqnum).build(),
                Output::Protection(protection) => protection::event(&protection, seqnum),
                Output::Tags(tags) => gst::event::Tag::builder(tags).seqnum(seqnum).build(),
                Output::Gap(start, duration) => {
                    gst::event::Gap::builder(start).duration(duration).seqnum(seqnum).build()
                }
                Output::Buffer(buffer) => {
                    let Some(result) = self.progress.pushing(|| self.pad.push(buffer)) else {
                        return Next::Pause;
                    };
                    match on_flow(self, result) {
                        Ok(_) => continue,
                        Err(gst::FlowError::Flushing) => return Next::Pause,
                        // Whatever else it is, nothing more can be pushed here.
                        Err(error) => {
                            gst::debug!(CAT, obj = self.pad, "Streaming ends: {error:?}");
                            return self.end();
                        }
                    }
                }
            };
            gst::debug!(CAT, obj = self.pad, "Pushing {event:?}");
            self.pad.push_event(event);
        }
        self.progress.passed(&item);
        if eos { self.end() } else { Next::Again }
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
        let seqnum = self.work.lock().unwrap().seqnum;
        gst::debug!(CAT, obj = self.pad, "Pushing end-of-stream");
        self.progress.ended();
        self.pad.push_event(gst::event::Eos::builder().seqnum(seqnum).build());
        Next::Pause
    }
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

/// The caps by which demuxers are found; None where the container alone does not tell.
pub fn caps(kind: Kind) -> Option<gst::Caps> {
    match kind {
        Kind::MpegTs => {
            let caps = gst::Caps::builder("video/mpegts");
            Some(caps.field("systemstream", true).field("packetsize", 188).build())
        }
        Kind::FragmentedMp4 => {
            Some(gst::Caps::builder("video/quicktime").field("variant", "iso-fragmented").build())
        }
        Kind::WebVtt => Some(gst::Caps::new_empty_simple("application/x-subtitle-vtt")),
        // Its frames tell.
        Kind::PackedAudio | Kind::Unknown => None,
    }
}
