// SPDX-License-Identifier: MPL-2.0

//! Reads the time at the beginning of a segment, whatever its container.

use crate::container::{Kind, SCAN_LIMIT, mp4, packed, ts, webm};

/// Reads a segment's beginning until its time is settled.
#[derive(Debug)]
pub enum Scanner {
    Ts(ts::Scanner),
    Mp4(mp4::Scanner),
    WebM(webm::Scanner),
    /// What has come until the end of its tags is known.
    Packed(Vec<u8>, Option<packed::Head>),
    /// Subtitles are small, and wanted as a whole.
    Text(usize),
}

impl Scanner {
    /// `init` is the initialisation segment that goes with the segment, if there is one.
    pub fn new(kind: Kind, init: Option<&[u8]>) -> Self {
        match kind {
            Kind::MpegTs => {
                let mut scanner = ts::Scanner::new();
                // A program table of its own; it stands in each segment otherwise.
                scanner.push(init.unwrap_or_default());
                Self::Ts(scanner)
            }
            Kind::WebM => {
                let init = init.and_then(webm::Init::parse);
                Self::WebM(webm::Scanner::new(init.unwrap_or_default()))
            }
            Kind::PackedAudio => Self::Packed(Vec::new(), None),
            Kind::WebVtt | Kind::Ttml => Self::Text(0),
            // Without a usable initialisation segment there is no time to be found, and the
            // demuxer will say what is wrong.
            _ => Self::Mp4(mp4::Scanner::new(
                init.and_then(|init| mp4::Init::parse(init).ok()).unwrap_or_default(),
            )),
        }
    }

    /// Takes the segment's next bytes; true when more would tell nothing new.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        match self {
            Self::Ts(scanner) => {
                scanner.push(bytes);
                scanner.settled()
            }
            Self::Mp4(scanner) => {
                scanner.push(bytes);
                scanner.settled()
            }
            Self::WebM(scanner) => {
                scanner.push(bytes);
                scanner.settled()
            }
            Self::Packed(start, head) => {
                start.extend_from_slice(bytes);
                *head = packed::head(start);
                head.is_some()
            }
            Self::Text(length) => {
                *length += bytes.len();
                *length > SCAN_LIMIT
            }
        }
    }

    /// Where the segment begins on the clock of its own timestamps, in nanoseconds. That of MPEG-TS and of packed
    /// audio wraps every [`ts::WRAP`].
    pub fn start(&self) -> Option<i64> {
        match self {
            Self::Ts(scanner) => scanner.timing().start(),
            Self::Mp4(scanner) => i64::try_from(scanner.media_start()?.as_nanos()).ok(),
            Self::WebM(scanner) => i64::try_from(scanner.media_start()?.as_nanos()).ok(),
            Self::Packed(_, head) => (*head)?.timestamp.map(|ticks| ts::nanoseconds(ticks as i64)),
            Self::Text(_) => None,
        }
    }

    /// What of [`Self::start`] is an edit list's, in nanoseconds.
    pub fn edit(&self) -> i64 {
        match self {
            Self::Mp4(scanner) => {
                scanner.edit().and_then(|edit| i64::try_from(edit.as_nanos()).ok()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// For MPEG-TS how far the first presentation time lies after the first clock reference, in nanoseconds.
    pub fn lead(&self) -> Option<i64> {
        match self {
            Self::Ts(scanner) => scanner.timing().lead(),
            _ => None,
        }
    }

    /// Bytes at the start that are not media.
    pub fn tags(&self) -> usize {
        match self {
            Self::Packed(_, head) => head.map_or(0, |head| head.length),
            _ => 0,
        }
    }
}
