// SPDX-License-Identifier: MPL-2.0

//! Media whose times begin elsewhere, and an MPD that says where.

use super::dash::{SOUND, files};
use super::origin::Origin;

/// [`SOUND`]'s picture and sound, in this order, on clocks of their own: a segment's media times are so many seconds
/// later, and the MPD says how many.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    pub media: [f64; 2],
    pub said: [f64; 2],
}

impl Clocks {
    /// Ticks a second of picture and sound.
    const TIMESCALES: [f64; 2] = [12_800.0, 44_100.0];

    /// Has the origin give the media with these times, for an MPD in `number/`.
    pub fn set_media(&self, origin: &Origin) {
        for (track, (seconds, timescale)) in self.media.iter().zip(Self::TIMESCALES).enumerate() {
            let ticks = (seconds * timescale).round() as u64;
            let part = format!("chunk-stream{track}");
            for (number, segment) in (1..).zip(files(&SOUND.join("number"), &part)) {
                origin.set_bytes(&format!("number/{part}-{number:05}.m4s"), shifted(&segment, ticks));
            }
        }
    }

    /// An MPD of `number/` that says them.
    pub fn mpd(&self, text: &str) -> String {
        let mut parts = text.split("<SegmentTemplate ");
        let head = parts.next().expect("a beginning").to_owned();
        parts.zip(self.said).fold(head, |text, (part, seconds)| {
            let ticks = (seconds * 1e6).round() as u64;
            format!("{text}<SegmentTemplate presentationTimeOffset=\"{ticks}\" {part}")
        })
    }
}

/// A segment of fragmented MP4 with later decode times.
fn shifted(segment: &[u8], ticks: u64) -> Vec<u8> {
    let mut shifted = segment.to_vec();
    for at in (0..segment.len() - 16).filter(|at| &segment[*at..*at + 8] == b"tfdt\x01\0\0\0") {
        let time = &mut shifted[at + 8..at + 16];
        let ticks = ticks + u64::from_be_bytes((&*time).try_into().expect("eight bytes"));
        time.copy_from_slice(&ticks.to_be_bytes());
    }
    assert!(ticks == 0 || shifted != segment, "it has a time");
    shifted
}
