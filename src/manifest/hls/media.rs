// SPDX-License-Identifier: MPL-2.0

//! Media playlists: RFC 8216bis 4.4.3 and 4.4.4. What one tag says of many segments is carried on
//! to each of them here, so that a segment can be used without its neighbours.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::addresses::Addresses;
use super::attributes::Attributes;
use super::date_range::DateRanges;
use super::keys::KeyRing;
use super::lexer::Tag;
use super::{low_latency, values};
use crate::manifest::{
    ByteRange, Init, MAX_SEGMENTS, ManifestError, MediaPlaylist, OpenSegment, Part, PlaylistType, Segment,
    StartOffset,
};

/// EXT-X-START; also in multivariant playlists.
pub(super) fn start_offset(attributes: &Attributes) -> Option<StartOffset> {
    let seconds = attributes.get("TIME-OFFSET").and_then(values::decimal)?;
    Some(StartOffset { seconds, precise: attributes.yes("PRECISE") })
}

/// The numbers that all segments count from. They are collected before the rest is read, since
/// some playlists have them late, or twice: then the last counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    pub media_sequence: i64,
    pub discontinuity_sequence: u64,
}

impl Numbers {
    pub fn take(&mut self, name: &str, value: &str) {
        match name {
            "EXT-X-MEDIA-SEQUENCE" => self.media_sequence = values::integer(value).unwrap_or(0),
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuity_sequence = values::unsigned(value).unwrap_or(0);
            }
            _ => {}
        }
    }
}

/// What is said of the next segment only.
#[derive(Default)]
struct Next {
    duration: Option<Duration>,
    byte_range: Option<ByteRange>,
    gap: bool,
    parts: Vec<Part>,
}

/// What is said of all segments up to another tag of its kind.
#[derive(Clone)]
struct Carried {
    /// Discontinuity sequence number.
    discontinuity: u64,
    keys: KeyRing,
    init: Option<Arc<Init>>,
    bitrate: Option<u64>,
    /// Wall clock at the start of the next segment.
    clock: Option<Duration>,
}

impl Carried {
    /// What goes on after `segment`.
    fn after(segment: &Segment) -> Self {
        Self {
            discontinuity: segment.discontinuity_sequence,
            keys: KeyRing { keys: segment.keys.clone(), key: segment.key.clone() },
            init: segment.init.clone(),
            bitrate: segment.bitrate,
            clock: segment.program_date_time.and_then(|clock| clock.checked_add(segment.duration)),
        }
    }
}

pub(super) struct Reader<'a> {
    addresses: Addresses<'a>,
    /// The load before this one, for delta updates.
    previous: Option<&'a MediaPlaylist>,
    playlist: MediaPlaylist,
    target_duration: Option<Duration>,
    /// End of the last EXT-X-BYTERANGE. One without an offset begins there, whatever the resource:
    /// the RFC wants it to be the same one, and players do not look.
    range_end: u64,
    next: Next,
    carried: Carried,
    date_ranges: DateRanges,
}

impl<'a> Reader<'a> {
    pub fn new(base: &'a Url, numbers: Numbers, previous: Option<&'a MediaPlaylist>) -> Self {
        Self {
            addresses: Addresses::new(base),
            previous,
            playlist: MediaPlaylist {
                media_sequence: numbers.media_sequence,
                discontinuity_sequence: numbers.discontinuity_sequence,
                ..MediaPlaylist::new(base.clone())
            },
            target_duration: None,
            range_end: 0,
            next: Next::default(),
            carried: Carried {
                discontinuity: numbers.discontinuity_sequence,
                keys: KeyRing::default(),
                init: None,
                bitrate: None,
                clock: None,
            },
            date_ranges: DateRanges::default(),
        }
    }

    pub fn tag(&mut self, tag: Tag, line: usize) -> Result<(), ManifestError> {
        let value = tag.value;
        let attributes = || Attributes::parse(value);
        let playlist = &mut self.playlist;
        match tag.name {
            "EXTINF" => self.next.duration = values::seconds(value),
            "EXT-X-BYTERANGE" => {
                self.next.byte_range = values::byte_range(value, self.range_end);
                self.range_end = self.next.byte_range.map_or(self.range_end, |range| range.end());
            }
            "EXT-X-GAP" => self.next.gap = true,
            "EXT-X-PART" => {
                let last = self.next.parts.last().or_else(|| playlist.segments.last()?.parts.last());
                self.next.parts.extend(low_latency::part(&self.addresses, &attributes(), last));
            }
            "EXT-X-DISCONTINUITY" => {
                self.carried.discontinuity = self.carried.discontinuity.saturating_add(1);
                self.carried.clock = None;
            }
            "EXT-X-KEY" => self.carried.keys.take(&self.addresses, &attributes(), line)?,
            "EXT-X-MAP" => self.map(&attributes(), line)?,
            "EXT-X-PROGRAM-DATE-TIME" => self.carried.clock = values::date_time(value),
            "EXT-X-BITRATE" => self.carried.bitrate = values::unsigned(value),
            "EXT-X-DATERANGE" => self.date_ranges.take(&attributes()),
            "EXT-X-SKIP" => self.skip(&attributes(), line)?,
            "EXT-X-PRELOAD-HINT" => {
                playlist.preload_hints.extend(low_latency::preload_hint(&self.addresses, &attributes()));
            }
            "EXT-X-RENDITION-REPORT" => {
                playlist
                    .rendition_reports
                    .extend(low_latency::rendition_report(&self.addresses, &attributes()));
            }
            _ => self.header(tag),
        }
        Ok(())
    }

    /// Tags that say something of the playlist as a whole. Others are ignored.
    fn header(&mut self, tag: Tag) {
        let value = tag.value;
        let attributes = || Attributes::parse(value);
        let playlist = &mut self.playlist;
        match tag.name {
            "EXT-X-VERSION" => playlist.version = values::version(value),
            "EXT-X-TARGETDURATION" => self.target_duration = values::seconds(value),
            "EXT-X-ENDLIST" => playlist.ended = true,
            "EXT-X-PLAYLIST-TYPE" => {
                playlist.playlist_type = match value {
                    "VOD" => Some(PlaylistType::Vod),
                    "EVENT" => Some(PlaylistType::Event),
                    _ => None,
                }
            }
            "EXT-X-INDEPENDENT-SEGMENTS" => playlist.independent_segments = true,
            "EXT-X-I-FRAMES-ONLY" => playlist.i_frames_only = true,
            "EXT-X-START" => playlist.start_offset = start_offset(&attributes()),
            "EXT-X-SERVER-CONTROL" => playlist.server_control = low_latency::server_control(&attributes()),
            "EXT-X-PART-INF" => playlist.part_target = attributes().seconds("PART-TARGET"),
            _ => {}
        }
    }

    fn map(&mut self, attributes: &Attributes, line: usize) -> Result<(), ManifestError> {
        let Some(uri) = attributes.get("URI") else { return Ok(()) };
        let url = self.addresses.resolve(uri, line)?;
        let byte_range = attributes.get("BYTERANGE").and_then(|range| values::byte_range(range, 0));
        let init = Init { url, byte_range, key: self.carried.keys.key.clone() };
        // Written again before each segment, it is still one.
        if self.carried.init.as_deref() != Some(&init) {
            self.carried.init = Some(Arc::new(init));
        }
        Ok(())
    }

    /// Takes what a delta update leaves out from the load before: RFC 8216bis 6.2.5.1. The tags
    /// before the skipped segments are left out with them, so what they said goes on too.
    fn skip(&mut self, attributes: &Attributes, line: usize) -> Result<(), ManifestError> {
        let count = attributes.unsigned("SKIPPED-SEGMENTS").unwrap_or(0);
        if !self.playlist.segments.is_empty() {
            // What comes first has been left out already.
            return Ok(());
        }
        let Some(previous) = self.previous else {
            self.playlist.skipped = count;
            return Ok(());
        };
        if attributes.has("RECENTLY-REMOVED-DATERANGES") {
            let removed = attributes.get("RECENTLY-REMOVED-DATERANGES").unwrap_or_default();
            self.date_ranges.carry_over(&previous.date_ranges, removed);
        }
        let first = self.playlist.media_sequence;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        for sequence in first..first.saturating_add(count) {
            let missing = ManifestError::DeltaWithoutBase { line, sequence };
            // `previous` is bounded, and so is this.
            self.playlist.segments.push(previous.segment(sequence).ok_or(missing)?.clone());
        }
        if let Some(last) = self.playlist.segments.last() {
            self.carried = Carried::after(last);
            self.range_end = last.byte_range.map_or(0, |range| range.end());
        }
        Ok(())
    }

    pub fn uri(&mut self, uri: &str, line: usize) -> Result<(), ManifestError> {
        // Also those that a delta update takes over count, or else a playlist could grow for ever.
        if self.playlist.segments.len() >= MAX_SEGMENTS {
            return Err(ManifestError::TooMany { line, what: "segments", limit: MAX_SEGMENTS });
        }
        let next = std::mem::take(&mut self.next);
        let url = self.addresses.resolve(uri, line)?;
        let duration = next.duration.unwrap_or_default();
        let carried = &mut self.carried;
        self.playlist.segments.push(Segment {
            url,
            byte_range: next.byte_range,
            duration,
            // Settled at the end.
            sequence: 0,
            discontinuity_sequence: carried.discontinuity,
            init: carried.init.clone(),
            key: carried.keys.key.clone(),
            keys: carried.keys.keys.clone(),
            program_date_time: carried.clock,
            independent: true,
            gap: next.gap,
            bitrate: carried.bitrate,
            parts: next.parts,
            progress: None,
            time: None,
            media_offset: None,
            inband_events: None,
        });
        carried.clock = carried.clock.and_then(|clock| clock.checked_add(duration));
        Ok(())
    }

    pub fn finish(mut self) -> MediaPlaylist {
        let mut playlist = self.playlist;
        let first = playlist.media_sequence.saturating_add(playlist.skipped.try_into().unwrap_or(0));
        for (segment, sequence) in playlist.segments.iter_mut().zip(first..) {
            segment.sequence = sequence;
        }
        if !self.next.parts.is_empty() {
            playlist.open = Some(OpenSegment {
                sequence: first + playlist.segments.len() as i64,
                discontinuity_sequence: self.carried.discontinuity,
                init: self.carried.init,
                key: self.carried.keys.key,
                keys: self.carried.keys.keys,
                program_date_time: self.carried.clock,
                parts: std::mem::take(&mut self.next.parts),
            });
        }
        playlist.date_ranges = self.date_ranges.finish(&self.addresses);
        count_back(&mut playlist.segments);
        let longest = || playlist.segments.iter().map(|s| s.duration).max().unwrap_or_default();
        playlist.target_duration = match self.target_duration {
            Some(target) if !target.is_zero() => target,
            _ => longest(),
        };
        playlist
    }
}

/// Gives a wall clock to the segments before the first that has one, up to a discontinuity.
fn count_back(segments: &mut [Segment]) {
    let mut later: Option<(Duration, u64)> = None;
    for segment in segments.iter_mut().rev() {
        if segment.program_date_time.is_none()
            && let Some((clock, discontinuity)) = later
            && discontinuity == segment.discontinuity_sequence
        {
            segment.program_date_time = clock.checked_sub(segment.duration);
        }
        later = segment.program_date_time.map(|clock| (clock, segment.discontinuity_sequence));
    }
}
