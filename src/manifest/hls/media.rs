// SPDX-License-Identifier: MPL-2.0

//! Media playlists: RFC 8216bis 4.4.3 and 4.4.4. What one tag says of many segments is carried on
//! to each of them here, so that a segment can be used without its neighbours.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::attributes::Attributes;
use super::lexer::{Entry, Tag};
use super::{resolve, values};
use crate::manifest::{Init, Key, ManifestError, MediaPlaylist, PlaylistType, Segment, StartOffset};

const IDENTITY: &str = "identity";

pub(super) fn read(base: &Url, entries: &[Entry]) -> Result<MediaPlaylist, ManifestError> {
    let mut reader = Reader::new(base);
    for entry in entries {
        let mut next = Next::default();
        for tag in &entry.tags {
            reader.tag(tag, &mut next)?;
        }
        if let Some(uri) = &entry.uri {
            reader.segment(uri, entry.line, next)?;
        }
    }
    Ok(reader.finish())
}

/// EXT-X-START; also in multivariant playlists.
pub(super) fn start_offset(attributes: &Attributes) -> Option<StartOffset> {
    let seconds = attributes.get("TIME-OFFSET").and_then(values::decimal)?;
    Some(StartOffset { seconds, precise: attributes.yes("PRECISE") })
}

/// What is said of the next segment only.
#[derive(Default)]
struct Next<'a> {
    duration: Option<Duration>,
    byte_range: Option<&'a str>,
    gap: bool,
}

struct Reader<'a> {
    base: &'a Url,
    playlist: MediaPlaylist,
    target_duration: Option<Duration>,
    /// Segments that a delta update leaves out: RFC 8216bis 4.4.5.2.
    skipped: i64,
    /// EXT-X-DISCONTINUITY tags so far.
    discontinuities: u64,
    /// The key of format `identity`, and the last of any other.
    keys: [Option<Arc<Key>>; 2],
    init: Option<Arc<Init>>,
    bitrate: Option<u64>,
    /// Wall clock at the start of the next segment.
    clock: Option<Duration>,
}

impl<'a> Reader<'a> {
    fn new(base: &'a Url) -> Self {
        let playlist = MediaPlaylist {
            url: base.clone(),
            target_duration: Duration::ZERO,
            media_sequence: 0,
            discontinuity_sequence: 0,
            playlist_type: None,
            ended: false,
            start_offset: None,
            hold_back: None,
            segments: Vec::new(),
        };
        Self {
            base,
            playlist,
            target_duration: None,
            skipped: 0,
            discontinuities: 0,
            keys: [None, None],
            init: None,
            bitrate: None,
            clock: None,
        }
    }

    fn tag<'t>(&mut self, tag: &'t Tag, next: &mut Next<'t>) -> Result<(), ManifestError> {
        let value = tag.value();
        let attributes = || Attributes::parse(value);
        match tag.name() {
            "EXTINF" => next.duration = values::seconds(value),
            "EXT-X-BYTERANGE" => next.byte_range = Some(value),
            "EXT-X-GAP" => next.gap = true,
            "EXT-X-DISCONTINUITY" => {
                self.discontinuities += 1;
                self.clock = None;
            }
            "EXT-X-KEY" => self.key(&attributes(), tag.line)?,
            "EXT-X-MAP" => self.map(&attributes(), tag.line)?,
            "EXT-X-PROGRAM-DATE-TIME" => self.clock = values::date_time(value),
            "EXT-X-BITRATE" => self.bitrate = values::unsigned(value),
            "EXT-X-TARGETDURATION" => self.target_duration = values::seconds(value),
            "EXT-X-MEDIA-SEQUENCE" => self.playlist.media_sequence = values::integer(value).unwrap_or(0),
            "EXT-X-DISCONTINUITY-SEQUENCE" => {
                self.playlist.discontinuity_sequence = values::unsigned(value).unwrap_or(0);
            }
            "EXT-X-SKIP" => {
                self.skipped =
                    attributes().get("SKIPPED-SEGMENTS").and_then(values::integer).unwrap_or(0).max(0);
            }
            "EXT-X-ENDLIST" => self.playlist.ended = true,
            "EXT-X-PLAYLIST-TYPE" => {
                self.playlist.playlist_type = match value {
                    "VOD" => Some(PlaylistType::Vod),
                    "EVENT" => Some(PlaylistType::Event),
                    _ => None,
                }
            }
            "EXT-X-START" => self.playlist.start_offset = start_offset(&attributes()),
            "EXT-X-SERVER-CONTROL" => {
                self.playlist.hold_back = attributes().get("HOLD-BACK").and_then(values::seconds);
            }
            _ => {}
        }
        Ok(())
    }

    fn key(&mut self, attributes: &Attributes, line: usize) -> Result<(), ManifestError> {
        let Some(method) = attributes.get("METHOD") else { return Ok(()) };
        if method == "NONE" {
            self.keys = [None, None];
            return Ok(());
        }
        let keyformat = attributes.get("KEYFORMAT").unwrap_or(IDENTITY).to_owned();
        let slot = usize::from(keyformat != IDENTITY);
        let uri = attributes.get("URI").map(|uri| resolve(self.base, uri, line)).transpose()?;
        let iv = attributes.get("IV").and_then(values::initialisation_vector);
        self.keys[slot] = Some(Arc::new(Key { method: values::key_method(method), uri, iv, keyformat }));
        Ok(())
    }

    fn current_key(&self) -> Option<Arc<Key>> {
        self.keys.iter().flatten().next().cloned()
    }

    fn map(&mut self, attributes: &Attributes, line: usize) -> Result<(), ManifestError> {
        let Some(uri) = attributes.get("URI") else { return Ok(()) };
        let url = resolve(self.base, uri, line)?;
        let byte_range = attributes.get("BYTERANGE").and_then(|range| values::byte_range(range, 0));
        let key = self.current_key();
        self.init = Some(Arc::new(Init { url, byte_range, key }));
        Ok(())
    }

    fn segment(&mut self, uri: &str, line: usize, next: Next) -> Result<(), ManifestError> {
        let url = resolve(self.base, uri, line)?;
        // A range without an offset begins where the one before it in the same resource ends.
        let implicit = || match self.playlist.segments.last() {
            Some(Segment { url: last, byte_range: Some(range), .. }) if *last == url => range.end(),
            _ => 0,
        };
        let byte_range = next.byte_range.and_then(|text| values::byte_range(text, implicit()));
        let duration = next.duration.unwrap_or_default();
        self.playlist.segments.push(Segment {
            url,
            byte_range,
            duration,
            // Both are settled at the end: the tags that they count from may come late.
            sequence: 0,
            discontinuity_sequence: self.discontinuities,
            init: self.init.clone(),
            key: self.current_key(),
            program_date_time: self.clock,
            gap: next.gap,
            bitrate: self.bitrate,
        });
        self.clock = self.clock.map(|clock| clock + duration);
        Ok(())
    }

    fn finish(mut self) -> MediaPlaylist {
        let playlist = &mut self.playlist;
        let sequences = playlist.media_sequence + self.skipped..;
        for (segment, sequence) in playlist.segments.iter_mut().zip(sequences) {
            segment.sequence = sequence;
            segment.discontinuity_sequence += playlist.discontinuity_sequence;
        }
        let longest = || playlist.segments.iter().map(|s| s.duration).max().unwrap_or_default();
        playlist.target_duration = match self.target_duration {
            Some(target) if !target.is_zero() => target,
            _ => longest(),
        };
        self.playlist
    }
}
