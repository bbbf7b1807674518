// SPDX-License-Identifier: MPL-2.0

//! A DASH stream as the rest of the program sees it: a choice of variants and renditions, and for
//! each of them a media playlist, made instead of loaded.
//!
//! The addresses of these playlists are that of the MPD with a fragment that names track and service
//! location; nothing is to be fetched there, [`Stream::playlist`] is to be asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;
use url::form_urlencoded;

use super::addresses::Address;
use super::mpd::{AdaptationSet, Base, Kind, Mpd, Representation};
use super::playlist::{Builder, Numbers};
use super::sidx::{IndexError, SegmentIndex};
use super::tracks::Track;
use super::values::{Nanos, duration_of};
use super::{DashError, Source};
use crate::manifest::{MediaPlaylist, TimedEvent};

/// Most indexes that are kept; those of representations that are not played any more are not missed.
const MAX_INDEXES: usize = 256;

/// A stream across reloads of its MPD.
#[derive(Clone, Debug)]
pub struct Stream {
    mpd: Mpd,
    /// Of the first MPD: what stands for a track stays when later ones come from elsewhere.
    url: Url,
    /// All that there have been, so that each keeps its name.
    tracks: Vec<Track>,
    /// By track: the numbers that segments have been given.
    numbers: HashMap<String, Numbers>,
    indexes: HashMap<Url, Indexing>,
    events: Arc<[TimedEvent]>,
    /// Where the stream ends by an event in its media, and for which start of availability that was said.
    ended_at: Option<(Nanos, Duration)>,
}

/// How far the index of a single file is.
#[derive(Clone, Debug)]
enum Indexing {
    Read(SegmentIndex),
    /// It cannot be had or read: the file is one segment.
    Failed,
}

/// Why there is no playlist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaylistError {
    /// First this has to be fetched and handed to [`Stream::add_index`].
    #[error("an index has to be loaded first: {}", .0.url)]
    NeedsIndex(Address),
    #[error(transparent)]
    Dash(#[from] DashError),
}

impl Stream {
    pub fn new(mpd: Mpd) -> Self {
        let (tracks, events) = (Track::all(&mpd, &[]), TimedEvent::all(&mpd));
        Self {
            url: mpd.url.clone(),
            mpd,
            tracks,
            numbers: HashMap::new(),
            indexes: HashMap::new(),
            events,
            ended_at: None,
        }
    }

    /// Takes a newer MPD of the same stream. An older one, as a CDN's caches give, changes nothing:
    /// false.
    pub fn update(&mut self, mpd: Mpd) -> bool {
        if let (Some(ours), Some(theirs)) = (self.mpd.publish_time, mpd.publish_time)
            && theirs < ours
            && mpd.availability_start == self.mpd.availability_start
        {
            return false;
        }
        (self.tracks, self.events) = (Track::all(&mpd, &self.tracks), TimedEvent::all(&mpd));
        self.mpd = mpd;
        // An MPD that knows an end counts for more.
        self.ended_at = self.ended_at.filter(|(_, start)| {
            self.mpd.dynamic && self.mpd.end().is_none() && *start == self.mpd.availability_start
        });
        if let Some((at, _)) = self.ended_at {
            self.end_at(at);
        }
        true
    }

    /// An event in the media says that a live stream whose end is not known ends here, in nanoseconds from
    /// its start: ISO/IEC 23009-1 5.10.4.2. False: it is known, or that is no place to end.
    pub fn end_at(&mut self, at: Nanos) -> bool {
        let mpd = &mut self.mpd;
        let known = mpd.end().is_some() || !mpd.dynamic;
        let Some(last) = mpd.periods.last_mut().filter(|last| last.start.is_some_and(|start| start < at))
        else {
            return false;
        };
        if known {
            return false;
        }
        last.end = Some(at);
        // From then on there is nothing new, but what is there stays.
        let end = mpd.availability_start.saturating_add(duration_of(at));
        mpd.availability_end = Some(mpd.availability_end.map_or(end, |earlier| earlier.min(end)));
        self.ended_at = Some((at, mpd.availability_start));
        true
    }

    pub fn mpd(&self) -> &Mpd {
        &self.mpd
    }

    /// In the order of the MPD.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The set and the representation that the address of a variant or rendition stands for, in the
    /// first period that has it.
    pub fn representation(&self, url: &Url) -> Option<(&AdaptationSet, &Representation)> {
        let (track, _) = self.track(url)?;
        track.first(&self.mpd).map(|(_, set, representation)| (set, representation))
    }

    /// Bandwidth of the first audio representation, which browsers with Shaka Player add to that of
    /// each video when they name its swarm; 0 where there is none.
    pub fn first_audio_bandwidth(&self) -> u64 {
        let mut audio = self.tracks.iter().filter(|track| track.kind == Kind::Audio && !track.trick_mode);
        audio.find_map(|track| track.first(&self.mpd)).map_or(0, |(.., audio)| audio.bandwidth)
    }

    /// The media playlist of a variant or rendition at `now`, by the publisher's clock.
    ///
    /// Ask again when [`Self::next_change`] says so, and after an update. A segment keeps its
    /// media sequence number.
    pub fn playlist(&mut self, url: &Url, now: Duration) -> Result<MediaPlaylist, PlaylistError> {
        let unknown = || DashError::NoTrack(url.fragment().unwrap_or_default().to_owned());
        let (track, location) = self.track(url).ok_or_else(unknown)?;
        let (name, mut builder) = (track.name.clone(), Builder::new(&self.mpd, url, now));
        for period in &self.mpd.periods {
            let Some(place) = track.place(period) else { continue };
            let Some(set) = period.adaptation_sets.get(place.set) else { continue };
            let Some(representation) = set.representations.get(place.representation) else { continue };
            let Some(base) = choose(&representation.bases, location.as_deref()) else { continue };
            let index = match &representation.addressing.source {
                // One that stands in a file of its own says nothing about places in the media.
                Source::Indexed { index_url: None, .. } if period.start.is_some() => {
                    self.index(representation, base)?
                }
                _ => None,
            };
            builder.add(period, set, representation, base, index)?;
        }
        let numbers = self.numbers.entry(name).or_default();
        let playlist = builder.finish(numbers);
        Ok(MediaPlaylist { events: self.events.clone(), ..playlist })
    }

    /// When a playlist of this MPD will have another segment, by the publisher's clock. None: not
    /// without another MPD.
    pub fn next_change(&self, url: &Url, now: Duration) -> Option<Duration> {
        let (track, _) = self.track(url)?;
        let next = self.mpd.periods.iter().filter_map(|period| {
            let place = track.place(period)?;
            let representation =
                period.adaptation_sets.get(place.set)?.representations.get(place.representation)?;
            self.mpd.available(period, representation, &representation.index(period), now).next
        });
        next.filter(|next| *next > now).min()
    }

    /// When a segment more than are listed is due, by the publisher's clock, if it is as long as the last.
    /// None: segments are not listed one by one, or those to come are already.
    pub fn next_listed(&self) -> Option<Duration> {
        let first = |kind| self.tracks.iter().find(|track| track.kind == kind && !track.trick_mode);
        let period = self.mpd.periods.iter().rfind(|period| period.start.is_some())?;
        let due = [Kind::Video, Kind::Audio].into_iter().filter_map(first).filter_map(|track| {
            let place = track.place(period)?;
            let set = period.adaptation_sets.get(place.set)?;
            self.mpd.next_listed(period, set.representations.get(place.representation)?)
        });
        due.min()
    }

    /// Takes what [`PlaylistError::NeedsIndex`] asked for. None: it cannot be had; then, as after an
    /// error, the whole file is one segment.
    pub fn add_index(&mut self, address: &Address, body: Option<&[u8]>) -> Result<(), IndexError> {
        if self.indexes.len() >= MAX_INDEXES && !self.indexes.contains_key(&address.url) {
            self.indexes.clear();
        }
        let offset = address.byte_range.map_or(0, |range| range.offset);
        let known = match self.indexes.remove(&address.url) {
            Some(Indexing::Read(index)) => Some(index),
            Some(Indexing::Failed) | None => None,
        };
        let result = match (body, known) {
            (None, _) => Ok(Indexing::Failed),
            (Some(body), Some(mut index)) => index.add(body, offset).map(|()| Indexing::Read(index)),
            (Some(body), None) => SegmentIndex::parse(body, offset).map(Indexing::Read),
        };
        let (indexing, result) = match result {
            Ok(indexing) => (indexing, Ok(())),
            Err(error) => (Indexing::Failed, Err(error)),
        };
        self.indexes.insert(address.url.clone(), indexing);
        result
    }

    /// None: there is no index to go by.
    fn index(
        &self,
        representation: &Representation,
        base: &Base,
    ) -> Result<Option<&SegmentIndex>, PlaylistError> {
        let Some(address) = representation.index_address(base)? else { return Ok(None) };
        match self.indexes.get(&address.url) {
            Some(Indexing::Failed) => Ok(None),
            Some(Indexing::Read(index)) => match index.missing() {
                None => Ok(Some(index)),
                Some(range) => {
                    let address = Address { byte_range: Some(range), ..address };
                    Err(PlaylistError::NeedsIndex(address))
                }
            },
            None => Err(PlaylistError::NeedsIndex(address)),
        }
    }

    /// The track and the service location that an address stands for.
    fn track(&self, url: &Url) -> Option<(&Track, Option<String>)> {
        let (mut name, mut location) = (None, None);
        for (key, value) in form_urlencoded::parse(url.fragment()?.as_bytes()) {
            match &*key {
                "track" => name = Some(value),
                "location" => location = Some(value.into_owned()),
                _ => {}
            }
        }
        let name = name?;
        Some((self.tracks.iter().find(|track| track.name == name)?, location))
    }

    /// The address that stands for a track at a service location.
    pub(super) fn url_of(&self, track: &Track, location: Option<&str>) -> Url {
        let mut fragment = form_urlencoded::Serializer::new(String::new());
        fragment.append_pair("track", &track.name);
        if let Some(location) = location {
            fragment.append_pair("location", location);
        }
        let mut url = self.url.clone();
        url.set_fragment(Some(&fragment.finish()));
        url
    }
}

/// What a base is called: its service location, or else its address.
pub(super) fn location_of(base: &Base) -> &str {
    base.service_location.as_deref().unwrap_or(base.url.as_str())
}

/// The base at a service location; where there is none of that name, the best.
fn choose<'a>(bases: &'a [Base], location: Option<&str>) -> Option<&'a Base> {
    let asked = location.and_then(|location| bases.iter().find(|base| location_of(base) == location));
    asked.or_else(|| bases.iter().min_by_key(|base| base.priority))
}
