// SPDX-License-Identifier: MPL-2.0

//! Seeks in a playback: with a flush or behind what there was, kept while there is nothing to flush, and the end of a
//! segment seek.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gst::prelude::*;

use super::Run;
use crate::element::clock::{clock_time, goes_on, rate_of};
use crate::element::director::Message;
use crate::element::log::CAT;
use crate::element::pad::Track;
use crate::element::seek::Seek;
use crate::engine::TrackKind;

/// Seeks are done one at a time.
#[derive(Default)]
pub(super) struct Seeks {
    /// The streaming threads are there to be flushed.
    pub(super) streaming: bool,
    /// To be done as soon as they are.
    pub(super) pending: Option<Seek>,
    /// Every sink sends a copy of the application's seek.
    pub(super) last: Option<gst::Seqnum>,
    /// How many have been done.
    pub(super) count: u64,
}

impl Run {
    /// Does the seek that came before the tracks were there, so that they begin where they should.
    /// Gives the seqnum to play under.
    pub fn begin(&self) -> gst::Seqnum {
        let mut seeks = self.seeks.lock().unwrap();
        // By key frames not all tracks have bytes to show what they are.
        if let Some(seek) = seeks.pending.take_if(|seek| seek.key_frames(None).is_none()) {
            let there = seek.absolute().zip(self.session()).and_then(|(to, session)| {
                let (start, end) = session.seekable()?;
                let target = session.target(to, seek.snap());
                ((start..=end).contains(&to) && target <= to).then_some(target)
            });
            match there {
                // The session is there already; to send it there again would stop its fetches.
                Some(position) => self.place(&seek, position, &[]),
                None => self.go_to(&seek, &[]),
            }
        }
        seeks.last.unwrap_or_else(gst::Seqnum::next)
    }

    /// How many seeks have been done so far.
    pub fn seek_count(&self) -> u64 {
        self.seeks.lock().unwrap().count
    }

    /// Does a seek, or keeps it until there is something to flush. One without a flush is done only when all has been
    /// pushed, as downstream may hold what comes before it for as long as it likes.
    pub fn seek(self: &Arc<Self>, seek: Seek) -> bool {
        let mut seeks = self.seeks.lock().unwrap();
        if self.stopping() {
            return false;
        }
        if seeks.last == Some(seek.seqnum) {
            return true;
        }
        if seek.is_backward() && !self.session().is_some_and(|session| session.goes_backward()) {
            gst::info!(CAT, "Seek refused: there are no key frames to be had by themselves");
            return false;
        }
        let tracks = self.tracks();
        if seeks.streaming && !seek.flushes() {
            if !all_ended(&tracks) {
                gst::info!(CAT, "Seek refused: there is more to be pushed, which only a flush would end");
                return false;
            }
            if !tracks.iter().all(|track| track.can_be_followed()) {
                gst::info!(CAT, "Seek refused: the demuxer needs a flush");
                return false;
            }
        }
        seeks.last = Some(seek.seqnum);
        if !seeks.streaming {
            self.announce(&seek);
            seeks.pending = Some(seek);
            return true;
        }
        for track in &tracks {
            if seek.flushes() {
                track.exit.send(&gst::event::FlushStart::builder().seqnum(seek.seqnum).build());
            }
            track.interrupt();
        }
        for track in &tracks {
            // Waits for the streaming thread to stand still.
            if track.pad.pause_task().is_err() {
                gst::warning!(CAT, obj = track.pad, "Streaming does not pause");
            }
        }
        self.flow.lock().unwrap().reset();
        seeks.count += 1;
        self.go_to(&seek, &tracks);
        for track in tracks.iter().filter(|_| seek.flushes()) {
            track.exit.send(&gst::event::FlushStop::builder(true).seqnum(seek.seqnum).build());
        }
        self.start_tasks(&tracks);
        true
    }

    /// Leaves out what there is before `position`. Nothing is to be done before the tracks stream.
    pub fn catch_up(self: &Arc<Self>, position: Duration) {
        if self.seeks.lock().unwrap().streaming
            && let Some(segment) = self.segment()
        {
            self.seek(Seek::forward(position, rate_of(&segment)));
        }
    }

    /// Lets the session fetch from where a seek goes before there is anything to flush.
    pub(super) fn announce(&self, seek: &Seek) {
        let position = seek.absolute().filter(|_| seek.key_frames(None).is_none());
        if let (Some(session), Some(position)) = (self.session(), position) {
            session.seek(position, seek.snap(), seek.rate, None);
        }
    }

    /// Moves session and tracks to a seek's target; no track streams.
    pub(super) fn go_to(&self, seek: &Seek, tracks: &[Arc<Track>]) {
        let (Some(session), Some(element)) = (self.session(), self.element.upgrade()) else { return };
        let now = self.timeline.playback(&element).map_or(Duration::ZERO, |playback| playback.position);
        let end = self.end();
        let position = session.seek(seek.target(end, now), seek.snap(), seek.rate, seek.key_frames(end));
        self.place(seek, position, tracks);
    }

    /// Has a seek's segment begin at `position`, where the session is.
    fn place(&self, seek: &Seek, position: Duration, tracks: &[Arc<Track>]) {
        let Some(element) = self.element.upgrade() else { return };
        let old = self.segment().unwrap_or_default();
        let segment = seek.segment(&old, position, self.end(), self.duration());
        gst::info!(CAT, obj = element, "Going to {}, playing {segment:?}", clock_time(position));
        self.timeline.replace(segment.clone(), &element, seek.flushes());
        self.segment_done.store(false, Ordering::SeqCst);
        if goes_on(&segment) {
            let start = gst::message::SegmentStart::builder(clock_time(position)).src(&element);
            self.tell(Message::Post(start.seqnum(seek.seqnum).build()));
        }
        self.shared_clock.restart();
        for track in tracks {
            track.restart(segment.clone(), seek.seqnum);
        }
    }

    /// Tells the application, once, when all tracks have come to the end of a segment seek.
    pub(super) fn end_segment(&self) {
        let segment = self.segment().filter(goes_on);
        let (Some(segment), Some(element)) = (segment, self.element.upgrade()) else { return };
        if all_ended(&self.tracks()) && !self.segment_done.swap(true, Ordering::SeqCst) {
            let stop = segment.stop().or(segment.duration());
            self.tell(Message::Post(gst::message::SegmentDone::builder(stop).src(&element).build()));
        }
    }
}

/// All that playback needs has been pushed; it does not wait for subtitles.
fn all_ended(tracks: &[Arc<Track>]) -> bool {
    let mut needed = tracks.iter().filter(|track| track.kind != TrackKind::Subtitles);
    needed.all(|track| track.progress.snapshot().ended)
}
