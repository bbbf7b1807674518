// SPDX-License-Identifier: MPL-2.0

//! An MPD in play: one for all tracks of a session, which share its reloads, its remote elements and
//! the publisher's clock.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use url::Url;

use super::clock::Clock;
use super::values::Nanos;
use super::{DashError, Document, MAX_INDEX_BYTES, MpdUpdate, PlaylistError, Stream};
use crate::manifest::load::What;
use crate::manifest::{Answer, Asked, Load, ManifestError, Now};

/// Most remote elements that are fetched for one MPD, however they point at each other.
const MAX_LINKS: usize = 256;

/// The first wait before an MPD that could not be had is asked for again; each further one is twice
/// as long, up to sixteen times.
const RETRY: Duration = Duration::from_millis(500);

/// A publisher is taken to be so much later than was seen at least.
const LATENESS_STEP: Duration = Duration::from_millis(100);

/// What is left of it with each MPD.
const BELIEF: f64 = 0.99;

/// So often an MPD is loaded that an event has announced and that does not come.
const MAX_LOADS: u32 = 6;

/// A publisher who is later than this with a segment has lost it.
const MAX_LATENESS: Duration = Duration::from_secs(5);

/// An MPD across its reloads.
#[derive(Debug)]
pub struct Publication {
    document: Document,
    stream: Stream,
    clock: Clock,
    /// A newer one, not all of whose remote elements are there.
    pending: Option<Pending>,
    /// When the last one that could be used was asked for.
    begun: Instant,
    /// Not before this, after a failure.
    retry: Option<Instant>,
    failures: u32,
    /// Which of its locations is asked next.
    location: usize,
    /// The last patch did not fit.
    whole: bool,
    /// How much later than the MPD says segments are there. Publishers count from when a segment ends
    /// and forget the time that it takes to write it.
    late_media: Duration,
    /// How much later than they are due segments stand in the MPD, where they are listed one by one.
    late_list: Duration,
    /// Somebody is loading what all wait for.
    busy: bool,
    /// How often something was loaded, or could not be.
    turn: u64,
    /// How many MPDs there have been.
    version: u64,
    /// An event has said that there is a newer one.
    wanted: Option<Wanted>,
}

/// An MPD that has to be had at once.
#[derive(Debug)]
struct Wanted {
    /// Published then or later; None: whatever there is.
    published: Option<Duration>,
    loads: u32,
}

#[derive(Debug)]
struct Pending {
    document: Document,
    begun: Instant,
    links_left: usize,
}

/// Whoever plays works on it for a moment at a time.
pub fn lock(publication: &Arc<Mutex<Publication>>) -> MutexGuard<'_, Publication> {
    // Each change is made of whole values: nothing can be half written.
    publication.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Publication {
    /// Reads the first MPD.
    pub fn open(answer: Answer, now: Now) -> Result<Self, DashError> {
        let document = Document::parse(&answer.url, &answer.body)?;
        let stream = Stream::new(document.mpd().clone());
        let mut clock = Clock::default();
        if stream.mpd().dynamic {
            clock.handle_mpd(&stream.mpd().utc_timings, &answer, now);
        }
        let pending = Pending { document: document.clone(), begun: answer.begun, links_left: MAX_LINKS };
        let mut publication = Self {
            document,
            stream,
            clock,
            pending: Some(pending),
            begun: answer.begun,
            retry: None,
            failures: 0,
            location: 0,
            whole: false,
            late_media: Duration::ZERO,
            late_list: Duration::ZERO,
            busy: false,
            turn: 0,
            version: 0,
            wanted: None,
        };
        publication.adopt()?;
        Ok(publication)
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// How many MPDs there have been.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What has to be loaded before the MPD can be used.
    pub fn missing(&self, now: Now) -> Option<Load> {
        let link = self.pending.as_ref().and_then(|pending| pending.document.links().into_iter().next());
        let load = match link {
            Some(link) => {
                let load = Load::new(now.instant, link.url.clone(), What::Link(link));
                Some(Load { is_needed: false, ..load })
            }
            None => self.clock.missing(now),
        };
        load.map(|load| Load { turn: self.turn, ..load })
    }

    /// What has to be loaded next. None: nothing, or somebody is loading it.
    pub fn next_load(&mut self, now: Now) -> Option<Load> {
        self.clock.resync(&self.stream.mpd().utc_timings, now);
        if let Some(load) = self.missing(now) {
            return Some(load);
        }
        let mpd = self.stream.mpd();
        let wanted = self.wanted.as_ref().map(|wanted| self.begun + RETRY * 2u32.pow(wanted.loads.min(4)));
        let at = match (self.retry, wanted) {
            (Some(retry), _) => retry.max(self.begun),
            (None, Some(wanted)) => self.reload_at(now).map_or(wanted, |at| at.min(wanted)),
            (None, None) => self.reload_at(now)?,
        };
        let patch = mpd.patch_url(self.clock.now(now)).filter(|_| !self.whole);
        let load = match patch {
            Some(url) => Load::new(at, url.clone(), What::Patch),
            None => Load::new(at, self.reload_url(), What::Mpd),
        };
        Some(Load { turn: self.turn, ..load })
    }

    /// When to load the MPD again. Where it lists what is there and no more, players that asked at a
    /// time of their own would all see a segment late; so they ask when the next is due.
    fn reload_at(&self, now: Now) -> Option<Instant> {
        let delay = self.stream.mpd().reload_delay()?;
        let Some(due) = self.stream.next_listed() else { return Some(self.begun + delay) };
        let due = self.clock.instant_of(due.saturating_add(self.late_list), now);
        Some(if due <= self.begun {
            // It was due the last time, and was not there.
            self.begun + (delay / 2).max(RETRY)
        } else {
            // What else is new is not left unknown for much longer than the MPD asks for.
            due.clamp(self.begun + RETRY, self.begun + RETRY + delay * 2)
        })
    }

    /// A segment that was listed at `listed`, when the publisher was taken to be `late`, could not be
    /// had at `now` yet.
    pub fn handle_early(&mut self, listed: Instant, late: Duration, now: Instant) {
        let late = late.saturating_add(now.saturating_duration_since(listed)) + LATENESS_STEP;
        self.late_media = self.late_media.max(late.min(MAX_LATENESS));
    }

    /// How much later than the MPD says segments are taken to be there.
    pub fn late_media(&self) -> Duration {
        self.late_media
    }

    /// The first location, or after a failure the next.
    fn reload_url(&self) -> Url {
        let mpd = self.stream.mpd();
        let count = mpd.locations.len().max(1);
        mpd.locations.get(self.location % count).map_or(&mpd.url, |location| &location.url).clone()
    }

    /// Somebody is loading something for all.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// A load that concerns all is about to be carried out. False: somebody else does so, or has.
    pub fn begin(&mut self, load: &Load) -> bool {
        let mine = !self.busy && self.turn == load.turn;
        self.busy |= mine;
        mine
    }

    /// Whoever had begun a load has gone.
    pub fn leave(&mut self) {
        self.busy = false;
    }

    /// Takes what was loaded; None: it could not be had.
    pub fn handle_loaded(
        &mut self,
        load: Load,
        answer: Option<Answer>,
        now: Now,
    ) -> Result<(), ManifestError> {
        if !matches!(load.what, What::Index(_)) {
            self.busy = false;
            self.turn += 1;
        }
        match (load.what, answer) {
            (What::Link(link), answer) => {
                let Some(pending) = &mut self.pending else { return Ok(()) };
                let body = answer.as_ref().map(|answer| answer.body.as_ref());
                // What cannot be read stands for nothing, as what cannot be had.
                if body.is_none() || pending.document.resolve(&link, body).is_err() {
                    pending.document.resolve(&link, None)?;
                }
                pending.links_left = pending.links_left.saturating_sub(1);
                self.adopt()?;
            }
            (What::Clock(timing), answer) => self.clock.handle_answer(&timing, answer.as_ref(), now),
            (What::Index(address), answer) => {
                // One that cannot be read is noted; the file is one segment then.
                let _ = self.stream.add_index(&address, answer.as_ref().map(|answer| answer.body.as_ref()));
            }
            (What::Mpd, Some(answer)) => {
                let document = Document::parse(&answer.url, &answer.body)?;
                self.clock.handle_mpd(&document.mpd().utc_timings, &answer, now);
                self.take(document, answer.begun, now)?;
            }
            (What::Patch, Some(answer)) => {
                let mut document = self.document.clone();
                match document.patch(&answer.body) {
                    Ok(()) => self.take(document, answer.begun, now)?,
                    // The whole MPD is loaded, and at once.
                    Err(_) => (self.whole, self.retry) = (true, Some(now.instant)),
                }
            }
            (What::Mpd | What::Patch, None) => self.handle_failed(now.instant),
            (What::List { .. }, _) => {}
        }
        Ok(())
    }

    /// The MPD, or a patch, was asked for at `begun` and could not be had.
    pub fn handle_failed(&mut self, begun: Instant) {
        self.retry = Some(begun + RETRY * 2u32.pow(self.failures.min(4)));
        self.failures = self.failures.saturating_add(1);
        self.location = self.location.wrapping_add(1);
        // It may be the patch that is not there.
        self.whole = true;
    }

    /// An event in the media says something about the MPD, which is to hold from `at` on, in nanoseconds from the
    /// start. What it brings is not taken, since segments may come from anybody: the publisher is asked. Only the end is
    /// believed, where the publisher's own server has said it (`vouched`). False: nothing comes of it.
    pub fn handle_update(&mut self, update: &MpdUpdate, at: Nanos, vouched: bool) -> bool {
        if !self.stream.mpd().dynamic {
            return false;
        }
        let published = match update {
            MpdUpdate::Ended if vouched => {
                let moved = self.stream.end_at(at);
                self.version += u64::from(moved);
                return moved;
            }
            MpdUpdate::Ended => None,
            MpdUpdate::Expires { published }
            | MpdUpdate::Patch { published, .. }
            | MpdUpdate::Mpd { published, .. } => *published,
        };
        if published.is_some_and(|published| self.is_as_new_as(published)) {
            return false;
        }
        self.wanted = Some(Wanted { published, loads: 0 });
        true
    }

    fn is_as_new_as(&self, published: Duration) -> bool {
        self.stream.mpd().publish_time.is_none_or(|ours| ours >= published)
    }

    fn take(&mut self, document: Document, begun: Instant, now: Now) -> Result<(), DashError> {
        let asked = self.clock.now(now).saturating_sub(now.instant.saturating_duration_since(begun));
        let due = self.stream.next_listed();
        self.pending = Some(Pending { document, begun, links_left: MAX_LINKS });
        self.adopt()?;
        if let Some(due) = due.filter(|due| self.stream.next_listed() == Some(*due) && asked >= *due) {
            let late = (asked - due).saturating_add(LATENESS_STEP);
            self.late_list = self.late_list.max(late.min(MAX_LATENESS));
        }
        Ok(())
    }

    /// Puts the newer MPD in play, once all of it is there.
    fn adopt(&mut self) -> Result<(), DashError> {
        let Some(mut pending) = self.pending.take() else { return Ok(()) };
        if pending.links_left == 0 {
            for _ in 0..MAX_LINKS {
                let Some(link) = pending.document.links().pop() else { break };
                pending.document.resolve(&link, None)?;
            }
        } else if !pending.document.links().is_empty() {
            self.pending = Some(pending);
            return Ok(());
        }
        self.begun = pending.begun;
        (self.retry, self.failures, self.whole) = (None, 0, false);
        // An old copy from a cache changes nothing.
        if self.stream.update(pending.document.mpd().clone()) {
            self.document = pending.document;
            self.version += 1;
            // A publisher who was in trouble once is believed again by and by.
            self.late_media = self.late_media.mul_f64(BELIEF);
            self.late_list = self.late_list.mul_f64(BELIEF);
        }
        if let Some(mut wanted) = self.wanted.take() {
            wanted.loads += 1;
            let is_there = wanted.published.is_none_or(|published| self.is_as_new_as(published));
            self.wanted = Some(wanted).filter(|wanted| !is_there && wanted.loads < MAX_LOADS);
        }
        Ok(())
    }

    /// The playlist of a variant or rendition as it is now, or what has to be loaded for it.
    pub fn playlist(&mut self, url: &Url, now: Now) -> Result<Asked, ManifestError> {
        match self.stream.playlist(url, self.clock.now(now).saturating_sub(self.late_media)) {
            Ok(playlist) => Ok(Asked::Ready(Box::new(playlist))),
            Err(PlaylistError::NeedsIndex(address)) => {
                let load = Load::new(now.instant, address.url.clone(), What::Index(address.clone()));
                let limit = usize::try_from(MAX_INDEX_BYTES).unwrap_or(usize::MAX);
                Ok(Asked::Load(Box::new(Load { byte_range: address.byte_range, limit, ..load })))
            }
            Err(PlaylistError::Dash(error)) => Err(error.into()),
        }
    }

    /// When a playlist will have another segment without another MPD.
    pub fn next_change(&self, url: &Url, now: Now) -> Option<Instant> {
        let change = self.stream.next_change(url, self.clock.now(now).saturating_sub(self.late_media))?;
        Some(self.clock.instant_of(change.saturating_add(self.late_media), now))
    }
}

/// Whether a document is XML in which an MPD may be.
pub fn is_mpd(body: &[u8]) -> bool {
    /// Prologues and comments are not longer.
    const HEAD: usize = 64 << 10;
    if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
        return true;
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(body.len());
    let head = &body[start..body.len().min(start + HEAD)];
    head.first() == Some(&b'<') && head.windows(4).any(|four| four == b"<MPD" || four == b":MPD")
}
