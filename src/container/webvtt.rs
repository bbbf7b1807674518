// SPDX-License-Identifier: MPL-2.0

//! WebVTT segments: where their times are on the presentation's MPEG-2 clock. RFC 8216bis 3.5.

use std::time::Duration;

/// Longest header that is looked at.
const MAX_HEADER: usize = 4096;

/// X-TIMESTAMP-MAP: a cue time of `local` is the time `mpegts` of audio and video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimestampMap {
    /// In ticks of 90 kHz, as written: may have more than 33 bits.
    pub mpegts: u64,
    pub local: Duration,
}

impl TimestampMap {
    /// Reads the header of a segment, up to its first blank line. Without a map, or with one that
    /// cannot be read, zero is zero, as the RFC has it. None: `start` ends within the header.
    pub fn read(start: &[u8]) -> Option<Self> {
        let header = &start[..start.len().min(MAX_HEADER)];
        let mut map = Self::default();
        let mut lines = header.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            // Lines end in LF, CRLF or CR.
            for line in line.strip_suffix(b"\r").unwrap_or(line).split(|byte| *byte == b'\r') {
                let line = str::from_utf8(line).unwrap_or_default().trim();
                if line.is_empty() && lines.peek().is_some() || line.contains("-->") {
                    return Some(map);
                }
                if let Some(value) = line.strip_prefix("X-TIMESTAMP-MAP") {
                    map = value.trim_start().strip_prefix('=').and_then(parse).unwrap_or_default();
                }
            }
        }
        (start.len() > MAX_HEADER).then_some(map)
    }

    /// The time of a cue at zero, in ticks of 90 kHz; may be negative.
    pub fn zero(&self) -> i64 {
        let local = self.local.as_nanos() * 9 / 100_000;
        let clamp = |number: u128| i64::try_from(number).unwrap_or(i64::MAX);
        i64::try_from(self.mpegts).unwrap_or(i64::MAX).saturating_sub(clamp(local))
    }
}

/// When the first cue of a segment begins, on the clock of its cues.
pub fn first_cue(segment: &[u8]) -> Option<Duration> {
    let mut lines = segment.split(|byte| matches!(byte, b'\r' | b'\n'));
    lines.find_map(|line| {
        let (start, _) = str::from_utf8(line).ok()?.split_once("-->")?;
        cue_time(start.trim())
    })
}

/// `LOCAL:00:00:00.000,MPEGTS:900000` in either order.
fn parse(text: &str) -> Option<TimestampMap> {
    let (mut mpegts, mut local) = (None, None);
    for item in text.split(',') {
        match item.trim().split_once(':')? {
            ("MPEGTS", ticks) => mpegts = Some(ticks.trim().parse().ok()?),
            ("LOCAL", time) => local = Some(cue_time(time.trim())?),
            _ => {}
        }
    }
    Some(TimestampMap { mpegts: mpegts?, local: local? })
}

/// `hh:mm:ss.mmm`, where the hours may be missing or have any number of digits.
fn cue_time(text: &str) -> Option<Duration> {
    let (clock, millis) = text.split_once('.').unwrap_or((text, "0"));
    let mut seconds = 0u64;
    for field in clock.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(number(field)?)?;
    }
    // As a fraction: `.5` is half a second.
    let fraction = number(millis)? as f64 / 10f64.powi(i32::try_from(millis.len()).ok()?);
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_secs_f64(fraction)))
}

fn number(digits: &str) -> Option<u64> {
    let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<TimestampMap> {
        TimestampMap::read(text.as_bytes())
    }

    #[test]
    fn reads_the_map_in_its_variations() {
        let map = |mpegts, millis| Some(TimestampMap { mpegts, local: Duration::from_millis(millis) });
        for (header, expected) in [
            ("WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:01.500,MPEGTS:900000\n\n", map(900_000, 1_500)),
            ("WEBVTT\r\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\r\n\r\n", map(900_000, 0)),
            ("\u{feff}WEBVTT - title\rX-TIMESTAMP-MAP=MPEGTS:1,LOCAL:01:02.003\r\r\n", map(1, 62_003)),
            (
                "WEBVTT\nNOTE a\nX-TIMESTAMP-MAP = LOCAL:1:11:16.443 , MPEGTS:384879885\n\n",
                map(384_879_885, 4_276_443),
            ),
            ("WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00,MPEGTS:10000000000\n\n", map(10_000_000_000, 0)),
            ("WEBVTT\n\nX-TIMESTAMP-MAP=LOCAL:00:00:01.500,MPEGTS:900000\n\n", map(0, 0)),
            ("WEBVTT\nX-TIMESTAMP-MAP=LOCAL:x,MPEGTS:900000\n\n", map(0, 0)),
            ("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000\n\n", map(0, 0)),
            ("WEBVTT\n00:00.000 --> 00:01.000\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:1\n\n", map(0, 0)),
        ] {
            assert_eq!(read(header), expected, "{header:?}");
        }
        assert_eq!(read("WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:01.500,MPE"), None);
        assert_eq!(read(""), None);
        assert_eq!(read(&"WEBVTT ".repeat(1_000)), Some(TimestampMap::default()));
    }

    #[test]
    fn finds_the_first_cue() {
        let first = |text: &str| first_cue(text.as_bytes());
        assert_eq!(
            first("WEBVTT\n\n1\n00:00:02.500 --> 00:00:03.000\nx\n"),
            Some(Duration::from_millis(2_500))
        );
        assert_eq!(first("WEBVTT\r\r01:02.003 --> 01:03.000 line:0\rx"), Some(Duration::from_millis(62_003)));
        assert_eq!(first("WEBVTT\n\nNOTE -->\n"), None);
    }

    #[test]
    fn a_cue_at_zero_has_its_time() {
        let zero = |mpegts, seconds| TimestampMap { mpegts, local: Duration::from_secs(seconds) }.zero();
        assert_eq!([zero(900_000, 0), zero(900_000, 4), zero(0, 4)], [900_000, 540_000, -360_000]);
        assert_eq!(zero((1 << 33) + 90_000, 0), (1 << 33) + 90_000, "wraps are for whoever compares it");
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_panic(
            lines in prop::collection::vec("(X-TIMESTAMP-MAP=)?(LOCAL|MPEGTS)?:?[0-9:.,]{0,40}", 0..5),
        ) {
            let _ = read(&format!("WEBVTT\n{}\n\n", lines.join("\n"))).map(|map| map.zero());
            let _ = TimestampMap::read(lines.concat().as_bytes());
        }
    }
}
