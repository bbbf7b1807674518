// SPDX-License-Identifier: MPL-2.0

//! One playback, from READY→PAUSED to PAUSED→READY: a session, its tracks' pads, and the [`seeking`]
//! in it.

mod seeking;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::Duration;

use glib::translate::IntoGlib;
use gst::prelude::*;
use gst_base::UniqueFlowCombiner;

use super::clock::{PipelineClock, Segment, Timeline};
use super::director;
use super::log::CAT;
use super::pad::Track;
use super::seek::Seek;
use super::settings::{Settings, SettingsError};
use super::streams::Streams;
use super::sync::SharedClock;
use crate::engine::{Session, Stats, TrackKind, TrackReader};
use seeking::Seeks;

/// One playback.
pub struct Run {
    pub element: glib::WeakRef<gst::Element>,
    pub timeline: Arc<Timeline>,
    pub tracks: Mutex<Vec<Arc<Track>>>,
    session: Mutex<Option<Arc<Session>>>,
    /// Known before the tracks are: whoever waits in one must be woken when playback stops.
    readers: Mutex<Vec<Arc<TrackReader>>>,
    flow: Mutex<UniqueFlowCombiner>,
    seeks: Mutex<Seeks>,
    pub shared_clock: Arc<SharedClock>,
    /// None: there is one track, or it is not known yet what there is.
    streams: Mutex<Option<Streams>>,
    /// Every pad gets a copy of the application's choice.
    last_choice: Mutex<Option<gst::Seqnum>>,
    stopping: AtomicBool,
    failed: AtomicBool,
    /// The application has been told that a segment seek has come to its end.
    segment_done: AtomicBool,
    director: Mutex<Option<(mpsc::Sender<director::Message>, thread::JoinHandle<()>)>>,
}

impl Run {
    /// Starts a session and the thread that follows it. `early` is a seek from before.
    pub fn start(
        element: &gst::Element,
        settings: &Settings,
        early: Option<Seek>,
    ) -> Result<Arc<Self>, SettingsError> {
        let timeline = Arc::new(Timeline::default());
        let clock = PipelineClock { element: element.downgrade(), timeline: timeline.clone() };
        let config = settings.to_config(Arc::new(clock))?;
        gst::info!(CAT, obj = element, "Playing {config:?}");
        let (sender, messages) = mpsc::channel();
        let events = sender.clone();
        // A closed channel means that playback has stopped: nobody cares any more.
        let session = Session::start(config, move |event| {
            let _ = events.send(director::Message::Event(event));
        });
        let run = Arc::new(Self {
            element: element.downgrade(),
            timeline,
            tracks: Mutex::default(),
            session: Mutex::new(Some(Arc::new(session))),
            readers: Mutex::default(),
            flow: Mutex::new(UniqueFlowCombiner::new()),
            seeks: Mutex::new(Seeks {
                streaming: false,
                pending: early,
                last: early.map(|seek| seek.seqnum),
                count: 0,
            }),
            shared_clock: Arc::default(),
            streams: Mutex::default(),
            last_choice: Mutex::default(),
            stopping: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            segment_done: AtomicBool::new(false),
            director: Mutex::default(),
        });
        if let Some(seek) = &early {
            run.announce(seek);
        }
        let interval = Duration::from_millis(settings.stats_interval.into());
        let thread = director::spawn(run.clone(), messages, interval);
        *run.director.lock().unwrap() = Some((sender, thread));
        Ok(run)
    }

    /// Ends everything but the pads, which stay for [`Run::remove_pads`]. Gives the last counters.
    pub fn stop(&self) -> Stats {
        self.stopping.store(true, Ordering::SeqCst);
        for reader in self.readers.lock().unwrap().iter() {
            reader.interrupt();
        }
        self.shared_clock.wake();
        // A seek that is under way ends by itself; none comes after it.
        *self.seeks.lock().unwrap() = Seeks::default();
        let director = self.director.lock().unwrap().take();
        if let Some((sender, thread)) = director {
            let _ = sender.send(director::Message::Stop);
            // An application that stops playback from a message or notify handler does so on that
            // very thread, which then ends after the handler.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                gst::error!(CAT, "The element's own thread has panicked");
            }
        }
        for track in self.tracks.lock().unwrap().iter() {
            track.stop();
        }
        let session = self.session.lock().unwrap().take();
        session.map(|session| session.stats()).unwrap_or_default()
    }

    pub fn remove_pads(&self) {
        let tracks = std::mem::take(&mut *self.tracks.lock().unwrap());
        self.flow.lock().unwrap().clear();
        let Some(element) = self.element.upgrade() else { return };
        for pad in tracks.iter().flat_map(|track| track.exit.pads()) {
            if element.remove_pad(pad).is_err() {
                gst::warning!(CAT, obj = element, "{} cannot be removed", pad.name());
            }
        }
    }

    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Playback has failed; true the first time that this is said.
    pub fn fail(&self) -> bool {
        !self.failed.swap(true, Ordering::SeqCst)
    }

    /// Keeps the tracks' readers, to wake who waits in one; false when playback is over already.
    pub fn watch(&self, readers: impl IntoIterator<Item = Arc<TrackReader>>) -> bool {
        self.readers.lock().unwrap().extend(readers);
        !self.stopping()
    }

    /// Lets the tracks stream, after the seek that came meanwhile.
    pub fn stream(self: &Arc<Self>) {
        let mut seeks = self.seeks.lock().unwrap();
        let tracks = self.tracks();
        if self.stopping() {
            return;
        }
        for track in &tracks {
            self.flow.lock().unwrap().add_pad(&track.pad);
        }
        if let Some(seek) = seeks.pending.take() {
            self.go_to(&seek, &tracks);
        }
        seeks.streaming = true;
        self.start_tasks(&tracks);
    }

    /// Lets a track stream that was made when there had been so many seeks, while others stream.
    pub fn join(self: &Arc<Self>, track: Arc<Track>, seeks: u64) {
        let now = self.seeks.lock().unwrap();
        if self.stopping() {
            return;
        }
        if now.count > seeks
            && let Some(timeline) = self.segment()
        {
            // What was read before a seek is not to be shown after it.
            track.restart(timeline, now.last.unwrap_or_else(gst::Seqnum::next));
        }
        self.tracks.lock().unwrap().push(track.clone());
        self.flow.lock().unwrap().add_pad(&track.pad);
        self.start_tasks(&[track]);
    }

    fn start_tasks(self: &Arc<Self>, tracks: &[Arc<Track>]) {
        for track in tracks {
            track.reader.resume();
            let (run, ending) = (Arc::downgrade(self), Arc::downgrade(self));
            let on_flow = move |track: &Track, result| match run.upgrade() {
                Some(run) => run.combine(track, result),
                None => Err(gst::FlowError::Flushing),
            };
            track.start(on_flow, move || ending.upgrade().into_iter().for_each(|run| run.end_segment()));
        }
    }

    /// Has the element's own thread do something: whoever has brought it about may hold what those who hear of it want.
    fn tell(&self, message: director::Message) {
        if let Some((director, _)) = self.director.lock().unwrap().as_ref() {
            let _ = director.send(message);
        }
    }

    /// What a push means for all of playback: one pad that nobody wants is no failure.
    fn combine(
        &self,
        track: &Track,
        result: Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let combined = self.flow.lock().unwrap().update_pad_flow(&track.pad, result);
        let error = match (result, combined) {
            (Err(error @ (gst::FlowError::Flushing | gst::FlowError::Eos)), _) => return Err(error),
            (Err(gst::FlowError::NotLinked), Ok(_)) => return result,
            (Err(error), _) => error,
            (Ok(_), _) => return result,
        };
        if let Some(element) = self.element.upgrade()
            && !self.stopping()
            && self.fail()
        {
            let flow = gst::FlowReturn::from(error).into_glib();
            gst::element_error!(
                element,
                gst::StreamError::Failed,
                ("Internal data stream error."),
                ["streaming stopped, reason {error} ({flow})"],
                details: gst::Structure::builder("details").field("flow-return", flow).build()
            );
        }
        result
    }

    /// Ends the stream at what was pushed, as `gst-launch-1.0 -e` asks for.
    pub fn finish(&self) -> bool {
        let tracks = self.tracks();
        tracks.iter().for_each(|track| track.finish());
        !tracks.is_empty()
    }

    /// Several tracks are played.
    pub fn set_streams(&self, streams: Streams) {
        *self.streams.lock().unwrap() = Some(streams);
    }

    pub fn collection(&self) -> Option<gst::StreamCollection> {
        self.streams.lock().unwrap().as_ref().map(|streams| streams.collection.clone())
    }

    /// The tags of what is played in a track.
    pub fn tags(&self, kind: TrackKind) -> Option<gst::TagList> {
        self.streams.lock().unwrap().as_ref().and_then(|streams| streams.tags(kind))
    }

    /// Whether there is something to choose.
    pub fn is_selectable(&self) -> bool {
        self.streams.lock().unwrap().as_ref().is_some_and(Streams::are_selectable)
    }

    /// Does what the application has chosen; false if that is not to be had.
    pub fn select(&self, event: &gst::event::SelectStreams) -> bool {
        let seqnum = event.seqnum();
        let mut streams = self.streams.lock().unwrap();
        let Some(streams) = streams.as_mut() else { return false };
        if self.last_choice.lock().unwrap().replace(seqnum) == Some(seqnum) {
            return true;
        }
        let before = streams.selection();
        let ids = event.streams();
        let Some(selection) = streams.select(ids.iter().map(|id| id.as_str())) else { return false };
        gst::info!(CAT, "{selection:?} is chosen after {before:?}");
        if selection != before {
            if let Some(session) = self.session() {
                session.select(selection);
            }
            for track in self.tracks().iter().filter(|track| track.kind != TrackKind::Main) {
                track.set_tags(streams.tags(track.kind));
            }
        }
        self.tell(director::Message::Selected(seqnum));
        true
    }

    /// The message that says what is played.
    pub fn selected_message(&self, seqnum: gst::Seqnum) -> Option<gst::Message> {
        let element = self.element.upgrade()?;
        let streams = self.streams.lock().unwrap();
        streams.as_ref().map(|streams| streams.selected_message(&element, Some(seqnum)))
    }

    pub fn session(&self) -> Option<Arc<Session>> {
        self.session.lock().unwrap().clone()
    }

    pub fn tracks(&self) -> Vec<Arc<Track>> {
        let tracks: MutexGuard<Vec<_>> = self.tracks.lock().unwrap();
        tracks.clone()
    }

    pub fn duration(&self) -> Option<Duration> {
        self.session()?.duration()
    }

    pub fn seekable(&self) -> Option<(Duration, Duration)> {
        self.session()?.seekable()
    }

    /// Where the presentation ends at this moment.
    fn end(&self) -> Option<Duration> {
        self.duration().or_else(|| self.seekable().map(|(_, end)| end))
    }

    pub fn segment(&self) -> Option<Segment> {
        self.timeline.segment()
    }
}
