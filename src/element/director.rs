// SPDX-License-Identifier: MPL-2.0

//! The element's own thread while it plays: hears the session's events, watches whether playback
//! runs dry, and tells the application how things are going.
//!
//! Whatever calls into the application (messages, notifications, new pads) happens here or on
//! threads made here, so that a slow handler never holds up the session's runtime.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::buffering::{Buffering, Observation};
use super::clock::clock_time;
use super::errors::{self, Severity};
use super::expose::expose;
use super::log::CAT;
use super::metadata;
use super::pad::Track;
use super::run::Run;
use super::stats;
use crate::engine::{Event, Stats, TrackKind};
use crate::manifest::TimedEvent;

/// How often playback is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How often read-only properties may notify.
const NOTIFY: Duration = Duration::from_secs(1);

/// What the thread is woken by.
pub enum Message {
    Event(Event),
    /// What is played was chosen by the event with this number.
    Selected(gst::Seqnum),
    /// For the application.
    Post(gst::Message),
    Stop,
}

/// Starts the thread; it ends with [`Message::Stop`]. A `stats` message is posted every
/// `interval`, none if that is zero.
pub fn spawn(run: Arc<Run>, messages: Receiver<Message>, interval: Duration) -> thread::JoinHandle<()> {
    thread::Builder::new()
        .name("p2phlssrc".into())
        .spawn(move || Director::new(run, interval).follow(&messages))
        .expect("the system lets a process have one more thread")
}

struct Director {
    run: Arc<Run>,
    interval: Duration,
    /// Makes the pads, which takes as long as the first bytes do.
    exposing: Option<thread::JoinHandle<()>>,
    ready: bool,
    buffering: Buffering,
    notified: (Instant, u32, f64),
    reported: Instant,
    /// Not told yet.
    events: Vec<(TimedEvent, Option<Duration>)>,
}

impl Director {
    fn new(run: Arc<Run>, interval: Duration) -> Self {
        let now = Instant::now();
        Self {
            run,
            interval,
            exposing: None,
            ready: false,
            buffering: Buffering::default(),
            notified: (now, 0, 0.0),
            reported: now,
            events: Vec::new(),
        }
    }

    fn follow(mut self, messages: &Receiver<Message>) {
        let mut tick = Instant::now() + TICK;
        loop {
            match messages.recv_timeout(tick.saturating_duration_since(Instant::now())) {
                Ok(Message::Event(event)) => self.handle(event),
                Ok(Message::Selected(seqnum)) => {
                    if let Some(message) = self.run.selected_message(seqnum) {
                        self.post(|_| message);
                    }
                }
                Ok(Message::Post(message)) => self.post(|_| message),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    tick = Instant::now() + TICK;
                    self.look();
                }
            }
        }
        if let Some(thread) = self.exposing
            && thread.join().is_err()
        {
            gst::error!(CAT, "The thread that makes the pads has panicked");
        }
    }

    fn handle(&mut self, event: Event) {
        let Some(element) = self.run.element.upgrade() else { return };
        match event {
            Event::Ready { tracks, captions, duration } => {
                gst::info!(CAT, obj = element, "{} tracks, duration {duration:?}", tracks.len());
                self.ready = true;
                let run = self.run.clone();
                let expose = move || {
                    if let Err(error) = expose(&run, tracks, &captions) {
                        error.post(&run);
                    }
                };
                let thread = thread::Builder::new().name("p2phlssrc-pads".into()).spawn(expose);
                self.exposing = Some(thread.expect("the system lets a process have one more thread"));
            }
            Event::DurationChanged(duration) => {
                gst::debug!(CAT, obj = element, "Duration is now {duration:?}");
                self.post(|element| gst::message::DurationChanged::builder().src(element).build());
            }
            Event::FellBehind(position) => self.run.catch_up(position),
            Event::SessionData(data) => {
                data.iter().for_each(|data| self.tell(metadata::session_data(data)));
            }
            Event::DateRanges(ranges) => {
                ranges.iter().for_each(|(range, start)| self.tell(metadata::date_range(range, *start)));
            }
            Event::TimedEvents(events) => {
                self.events.extend(events);
                self.tell_events();
            }
            Event::Warning(error) => errors::post(&element, Severity::Warning, &error, self.ready),
            Event::Error(error) => {
                if self.run.fail() {
                    errors::post(&element, Severity::Error, &error, self.ready);
                }
            }
        }
    }

    /// Posts what the playlist says about the stream.
    fn tell(&self, structure: gst::Structure) {
        gst::debug!(CAT, "{structure}");
        self.post(|element| gst::message::Element::builder(structure).src(element).build());
    }

    /// Tells of events, once it is known which time is which.
    fn tell_events(&mut self) {
        let Some(segment) = self.run.segment() else { return };
        for (event, position) in std::mem::take(&mut self.events) {
            let running_time = position.and_then(|at| segment.to_running_time(clock_time(at)));
            self.tell(metadata::timed_event(&event, position, running_time));
        }
    }

    fn look(&mut self) {
        self.tell_events();
        if let Some(percent) = self.observe().and_then(|now| self.buffering.update(now)) {
            gst::info!(CAT, "Buffering {percent} %");
            self.post(|element| gst::message::Buffering::builder(percent.into()).src(element).build());
        }

        let notify = self.notified.0.elapsed() >= NOTIFY;
        let report = !self.interval.is_zero() && self.reported.elapsed() >= self.interval;
        if !notify && !report {
            return;
        }
        let Some(stats) = self.run.session().map(|session| session.stats()) else { return };
        if notify {
            self.notify(&stats);
        }
        if report {
            self.reported = Instant::now();
            let structure = stats::to_structure(&stats);
            self.post(|element| gst::message::Element::builder(structure).src(element).build());
        }
    }

    /// What the controller of buffering has to know; None until something was shown.
    fn observe(&self) -> Option<Observation> {
        let element = self.run.element.upgrade()?;
        let playback = self.run.timeline.playback(&element)?;
        // Playback does not wait for subtitles.
        let tracks = self.run.tracks();
        let is_backward = self.run.segment().is_some_and(|segment| segment.rate() < 0.0);
        let is_needed = |track: &&Arc<Track>| match track.kind {
            TrackKind::Main => true,
            // Backward nothing is heard.
            TrackKind::Audio => !is_backward,
            TrackKind::Subtitles => false,
        };
        let needed = tracks.iter().filter(is_needed);
        let snapshots: Vec<_> = needed.map(|track| track.progress.snapshot()).collect();
        let open: Vec<_> = snapshots.iter().filter(|track| !track.ended).collect();
        // A track that has pushed nothing yet is where playback is.
        let pushed = open.iter().map(|track| track.pushed.unwrap_or(playback.position));
        let ahead = pushed.map(|pushed| match is_backward {
            false => pushed.saturating_sub(playback.position),
            true => playback.position.saturating_sub(pushed),
        });
        Some(Observation {
            ahead: ahead.min().unwrap_or_default(),
            rate: playback.rate,
            playing: playback.playing,
            segment: open.iter().map(|track| track.segment).min().unwrap_or_default(),
            starving: open.iter().any(|track| track.waiting),
            full: !open.is_empty() && open.iter().all(|track| track.full),
            eos: open.is_empty(),
        })
    }

    fn notify(&mut self, stats: &Stats) {
        let Some(element) = self.run.element.upgrade() else { return };
        let (_, peers, efficiency) = self.notified;
        self.notified = (Instant::now(), stats::peers(stats), stats.counters.peer_efficiency());
        if self.notified.1 != peers {
            element.notify("peers");
        }
        if self.notified.2 != efficiency {
            element.notify("peer-efficiency");
        }
    }

    fn post(&self, build: impl FnOnce(&gst::Element) -> gst::Message) {
        if let Some(element) = self.run.element.upgrade() {
            // Fails only without a bus, when nobody listens.
            let _ = element.post_message(build(&element));
        }
    }
}
