// SPDX-License-Identifier: MPL-2.0

//! Packed audio: the ID3 tag before an elementary stream, which tells the segment's place on the
//! presentation's MPEG-2 clock. RFC 8216bis 3.4; ID3v2.3 and ID3v2.4.

use super::SCAN_LIMIT;

/// Who says the time, in a PRIV frame.
const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp";

/// The upper bits of the eight bytes mean nothing.
const PTS_MASK: u64 = (1 << 33) - 1;

/// Header of a tag, and of a frame in it.
const HEADER: usize = 10;

/// What stands before the audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Bytes of all ID3 tags.
    pub length: usize,
    /// The time of the first sample, in ticks of 90 kHz; None where no tag tells.
    pub timestamp: Option<u64>,
}

/// Reads the tags at the start of a segment. None: `start` ends within them.
///
/// What is longer than [`SCAN_LIMIT`] is no head, and given back with length zero.
pub fn head(start: &[u8]) -> Option<Head> {
    let mut head = Head { length: 0, timestamp: None };
    loop {
        let rest = &start[head.length..];
        if !rest.starts_with(b"ID3") {
            let cut_off = rest.len() < 3 && b"ID3".starts_with(rest);
            return (!cut_off).then_some(head);
        }
        let Some(tag) = Tag::read(rest.get(..HEADER)?) else { return Some(head) };
        if head.length + tag.length > SCAN_LIMIT {
            return Some(Head { length: 0, timestamp: None });
        }
        let body = rest.get(..tag.length)?.get(HEADER..HEADER + tag.size).unwrap_or_default();
        head.timestamp = head.timestamp.or_else(|| tag.timestamp(body));
        head.length += tag.length;
    }
}

/// What a frame of an elementary audio stream is coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// AAC in ADTS.
    Aac,
    /// MPEG audio, of this layer.
    Mpeg(u8),
    Ac3,
    Eac3,
}

impl Codec {
    /// Tells from the first bytes of a frame; six are enough. None: none of these, or too few bytes.
    pub fn of(frame: &[u8]) -> Option<Self> {
        match frame {
            [0xff, second, ..] if second & 0xf6 == 0xf0 => Some(Self::Aac),
            [0xff, second, ..] if second & 0xe0 == 0xe0 => match second >> 1 & 3 {
                0 => None,
                layer => Some(Self::Mpeg(4 - layer)),
            },
            // Bit stream identification: up to 10 for AC-3, up to 16 for what came after it.
            [0x0b, 0x77, _, _, _, sixth, ..] => match sixth >> 3 {
                0..=10 => Some(Self::Ac3),
                11..=16 => Some(Self::Eac3),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The header of a tag.
struct Tag {
    /// Bytes between header and footer.
    size: usize,
    /// Bytes of all of it.
    length: usize,
    /// Since ID3v2.4 the sizes of frames are written like that of the tag.
    synchsafe_frames: bool,
    /// A zero byte stands behind each 0xff.
    unsynchronised: bool,
    extended: bool,
}

impl Tag {
    /// None: not a header of any version there is.
    fn read(header: &[u8]) -> Option<Self> {
        let &[_, _, _, version, _, flags, ref size @ ..] = header else { return None };
        let size = synchsafe(size)?;
        let footer = if version >= 4 && flags & 0x10 != 0 { HEADER } else { 0 };
        Some(Self {
            size,
            length: HEADER + size + footer,
            synchsafe_frames: version >= 4,
            unsynchronised: flags & 0x80 != 0,
            extended: flags & 0x40 != 0,
        })
    }

    fn timestamp(&self, body: &[u8]) -> Option<u64> {
        if !self.unsynchronised {
            return self.frames(body);
        }
        let mut plain = Vec::with_capacity(body.len());
        let mut before = 0;
        for byte in body {
            if (before, *byte) != (0xff, 0) {
                plain.push(*byte);
            }
            before = *byte;
        }
        self.frames(&plain)
    }

    fn frames(&self, mut body: &[u8]) -> Option<u64> {
        if self.extended {
            let size = self.number(body.get(..4)?)?;
            // Version 4 counts these four bytes, version 3 does not.
            body = body.get(if self.synchsafe_frames { size } else { size.checked_add(4)? }..)?;
        }
        while let Some(header) = body.get(..HEADER) {
            let size = self.number(&header[4..8])?;
            let content = body.get(HEADER..HEADER.checked_add(size)?)?;
            if header.starts_with(b"PRIV")
                && let Some(time) = content.strip_prefix(OWNER).and_then(|rest| rest.strip_prefix(b"\0"))
                && let Some(time) = time.first_chunk()
            {
                return Some(u64::from_be_bytes(*time) & PTS_MASK);
            }
            // At least a header further: this ends.
            body = &body[HEADER + size..];
        }
        None
    }

    fn number(&self, bytes: &[u8]) -> Option<usize> {
        if self.synchsafe_frames {
            return synchsafe(bytes);
        }
        Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
    }
}

/// Four bytes of seven bits each.
fn synchsafe(bytes: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    bytes
        .iter()
        .all(|byte| byte & 0x80 == 0)
        .then(|| bytes.iter().fold(0, |number, byte| number << 7 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&name[..], &[0, 0, 0, content.len() as u8, 0, 0], content].concat()
    }

    fn tag(version: u8, flags: u8, body: &[u8]) -> Vec<u8> {
        let size = [0, 0, (body.len() >> 7) as u8, body.len() as u8 & 0x7f];
        [&b"ID3"[..], &[version, 0, flags], &size, body].concat()
    }

    fn time(ticks: u64) -> Vec<u8> {
        frame(b"PRIV", &[OWNER, b"\0", &ticks.to_be_bytes()].concat())
    }

    #[test]
    fn finds_the_time() {
        let title = frame(b"TIT2", b"\0abc");
        let other = frame(b"PRIV", b"com.example\0\0\0\0\0\0\0\0\x01");
        let found = |length, timestamp| Some(Head { length, timestamp });
        for version in [3, 4] {
            let whole = tag(version, 0, &[title.clone(), other.clone(), time(900_000)].concat());
            let segment = [&whole[..], b"\xff\xf1"].concat();
            assert_eq!(head(&segment), found(whole.len(), Some(900_000)));
            for cut in 0..whole.len() {
                assert_eq!(head(&segment[..cut]), None, "{cut}");
            }
        }
        // Two tags, of which the second tells.
        let two = [tag(4, 0, &title), tag(4, 0, &time(1 << 33 | 7)), b"\x0b\x77".to_vec()].concat();
        assert_eq!(head(&two), found(two.len() - 2, Some(7)));
        assert_eq!(head(b"\xff\xf1"), found(0, None));
        // Padding, and a frame that runs over the end.
        let padded = [tag(4, 0, &[title.clone(), vec![0; 20]].concat()), vec![0xff]].concat();
        assert_eq!(head(&padded), found(padded.len() - 1, None));
        let broken = [tag(4, 0, b"PRIV\0\0\x7f\x7f\0\0x"), vec![0xff]].concat();
        assert_eq!(head(&broken), found(broken.len() - 1, None));
    }

    #[test]
    fn tells_codecs_apart() {
        for (frame, codec) in [
            (&b"\xff\xf1\x50\x80\0\0"[..], Some(Codec::Aac)),
            (b"\xff\xf9\x50\x80\0\0", Some(Codec::Aac)),
            (b"\xff\xfb\x90\x64\0\0", Some(Codec::Mpeg(3))),
            (b"\xff\xfd\x90\x64\0\0", Some(Codec::Mpeg(2))),
            (b"\x0b\x77\0\0\0\x40", Some(Codec::Ac3)),
            (b"\x0b\x77\0\0\0\x80", Some(Codec::Eac3)),
            (b"\x0b\x77", None),
            (b"RIFF\0\0", None),
        ] {
            assert_eq!(Codec::of(frame), codec, "{frame:x?}");
        }
    }

    #[test]
    fn takes_what_version_and_flags_change() {
        // A footer, an extended header of either version, and bytes kept from looking like audio.
        let footer = [tag(4, 0x10, &time(5)), vec![0; HEADER], vec![0xff]].concat();
        assert_eq!(head(&footer).map(|h| (h.length, h.timestamp)), Some((footer.len() - 1, Some(5))));
        let extended = |version, size| {
            let body = [&[0, 0, 0, size][..], &[0; 6], &time(5)].concat();
            [tag(version, 0x40, &body), vec![0xff]].concat()
        };
        assert_eq!(head(&extended(3, 6)).and_then(|h| h.timestamp), Some(5));
        assert_eq!(head(&extended(4, 10)).and_then(|h| h.timestamp), Some(5));
        let plain = frame(b"PRIV", &[OWNER, b"\0", &0xff00u64.to_be_bytes()].concat());
        let written: Vec<u8> =
            plain.iter().flat_map(|byte| if *byte == 0xff { vec![0xff, 0] } else { vec![*byte] }).collect();
        let unsynchronised = [tag(3, 0x80, &written), vec![0xff]].concat();
        assert_eq!(head(&unsynchronised).and_then(|h| h.timestamp), Some(0xff00));
        // No length that could be.
        assert_eq!(head(b"ID3\x04\0\0\x80\0\0\0"), Some(Head { length: 0, timestamp: None }));
        assert_eq!(head(b"ID3\x04\0\0\x7f\x7f\x7f\x7f"), Some(Head { length: 0, timestamp: None }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(version in 0u8..6, flags: u8, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let whole = [tag(version, flags, &body), body.clone()].concat();
            if let Some(head) = head(&whole) {
                prop_assert!(head.length <= whole.len());
            }
            let _ = head(&body);
        }
    }
}
