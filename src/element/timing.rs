// SPDX-License-Identifier: MPL-2.0

//! Reads the time at the beginning of a segment, whatever its container.

use crate::container::{Kind, mp4, ts};

/// Reads a segment's beginning until its time is settled.
#[derive(Debug)]
pub enum Scanner {
    Ts(ts::Scanner),
    Mp4(mp4::Scanner),
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
        }
    }

    /// For MPEG-TS how far the first presentation time lies after the first clock reference, for
    /// fragmented MP4 the presentation time of the first sample, in nanoseconds.
    pub fn time(&self) -> Option<i64> {
        match self {
            Self::Ts(scanner) => scanner.timing().lead(),
            Self::Mp4(scanner) => i64::try_from(scanner.media_start()?.as_nanos()).ok(),
        }
    }
}
