// SPDX-License-Identifier: MPL-2.0

//! Floor 0: the elements of EBML (RFC 8794), of which WebM and Matroska (RFC 9559) are made, walked without knowing
//! what is in most of them.
//!
//! Readers of whole files there are many. Here it is pieces of them, in whatever order they come, and two numbers
//! before each element are all that there is to read.

/// What elements are called; the length marker is part of it, as RFC 9559 writes them.
pub mod id {
    pub const EBML: u32 = 0x1a45_dfa3;
    pub const SEGMENT: u32 = 0x1853_8067;
    pub const SEEK_HEAD: u32 = 0x114d_9b74;
    pub const VOID: u32 = 0xec;
    pub const CRC_32: u32 = 0xbf;
    pub const INFO: u32 = 0x1549_a966;
    pub const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
    pub const DURATION: u32 = 0x4489;
    pub const TRACKS: u32 = 0x1654_ae6b;
    pub const TRACK_ENTRY: u32 = 0xae;
    pub const TRACK_NUMBER: u32 = 0xd7;
    pub const TRACK_TYPE: u32 = 0x83;
    pub const CODEC_ID: u32 = 0x86;
    pub const CHAPTERS: u32 = 0x1043_a770;
    pub const TAGS: u32 = 0x1254_c367;
    pub const ATTACHMENTS: u32 = 0x1941_a469;
    pub const CUES: u32 = 0x1c53_bb6b;
    pub const CUE_POINT: u32 = 0xbb;
    pub const CUE_TIME: u32 = 0xb3;
    pub const CUE_TRACK_POSITIONS: u32 = 0xb7;
    pub const CUE_CLUSTER_POSITION: u32 = 0xf1;
    pub const CLUSTER: u32 = 0x1f43_b675;
    pub const TIMESTAMP: u32 = 0xe7;
    pub const POSITION: u32 = 0xa7;
    pub const PREV_SIZE: u32 = 0xab;
    pub const SILENT_TRACKS: u32 = 0x5854;
    pub const SIMPLE_BLOCK: u32 = 0xa3;
    pub const BLOCK_GROUP: u32 = 0xa0;
    pub const BLOCK: u32 = 0xa1;
    pub const ENCRYPTED_BLOCK: u32 = 0xaf;
}

/// Nanoseconds that a tick takes where a file does not say it: RFC 9559 5.1.2.9.
pub const USUAL_TIMESTAMP_SCALE: u64 = 1_000_000;

/// Header of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub id: u32,
    /// Bytes of the header itself.
    pub length: usize,
    /// Bytes of the content; None: up to an element that cannot be in it.
    pub size: Option<u64>,
}

/// Bytes with which no element begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoElement;

impl Header {
    /// Most bytes that [`Header::read`] looks at.
    pub const MAX: usize = 12;

    /// Reads the header at the start of `bytes`. None: more bytes are needed.
    ///
    /// # Errors
    ///
    /// When a number has no length marker, or more bytes than those of Matroska have.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, NoElement> {
        let Some((id, after)) = number(bytes, 4)? else { return Ok(None) };
        let Some((size, length)) = number(&bytes[after..], 8)? else { return Ok(None) };
        let mask = (1u64 << (7 * length)) - 1;
        Ok(Some(Self {
            // Four bytes at most.
            id: id as u32,
            length: after + length,
            size: Some(size & mask).filter(|size| *size != mask),
        }))
    }
}

/// A number with its length marker, and its length in bytes. RFC 8794 4.
fn number(bytes: &[u8], most: usize) -> Result<Option<(u64, usize)>, NoElement> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let length = first.leading_zeros() as usize + 1;
    if length > most {
        return Err(NoElement);
    }
    Ok(bytes.get(..length).map(|bytes| (unsigned(bytes), length)))
}

/// The number of a track at the start of a block, and its length in bytes.
pub fn track_number(block: &[u8]) -> Option<(u64, usize)> {
    let (number, length) = number(block, 8).ok()??;
    Some((number & ((1u64 << (7 * length)) - 1), length))
}

/// The elements in `bytes`, by id. The last may be cut short; stops at what is none.
pub fn elements(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let header = Header::read(rest).ok()??;
        let content = rest.get(header.length..)?;
        let size = header.size.map_or(content.len(), |size| usize::try_from(size).unwrap_or(usize::MAX));
        let (content, after) = content.split_at(size.min(content.len()));
        rest = after;
        Some((header.id, content))
    })
}

/// Content of the first element called `id` in `bytes`.
pub fn find(bytes: &[u8], id: u32) -> Option<&[u8]> {
    elements(bytes).find(|(other, _)| *other == id).map(|(_, content)| content)
}

/// The content of an unsigned integer; of longer ones the last eight bytes.
pub fn unsigned(content: &[u8]) -> u64 {
    content.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The content of a float; None: it has another length.
pub fn float(content: &[u8]) -> Option<f64> {
    match content.len() {
        4 => Some(f32::from_be_bytes(content.try_into().ok()?).into()),
        8 => Some(f64::from_be_bytes(content.try_into().ok()?)),
        _ => None,
    }
}

/// Nanoseconds of a tick, out of the content of Info.
pub fn timestamp_scale(info: &[u8]) -> u64 {
    let scale = find(info, id::TIMESTAMP_SCALE).map(unsigned).filter(|scale| *scale > 0);
    scale.unwrap_or(USUAL_TIMESTAMP_SCALE)
}

#[cfg(test)]
pub mod testing {
    /// An element with a size of four bytes.
    pub fn element(id: u32, content: &[u8]) -> Vec<u8> {
        let id = id.to_be_bytes();
        let id = &id[id.iter().position(|byte| *byte != 0).unwrap_or(3)..];
        [id, &(content.len() as u32 | 0x1000_0000).to_be_bytes(), content].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_are_read() {
        for (bytes, expected) in [
            (&b"\xa3\x82"[..], Some((id::SIMPLE_BLOCK, 2, Some(2)))),
            (b"\x1f\x43\xb6\x75\x20\x58\xe7", Some((id::CLUSTER, 7, Some(0x58e7)))),
            (b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff", Some((id::CLUSTER, 12, None))),
            (b"\x1f\x43\xb6\x75\xff", Some((id::CLUSTER, 5, None))),
            (b"\x42\x86\x40\x7f", Some((0x4286, 4, Some(127)))),
            (b"\x1f\x43\xb6\x75\x20\x58", None),
            (b"\x1f\x43", None),
            (b"", None),
        ] {
            let expected = expected.map(|(id, length, size)| Header { id, length, size });
            assert_eq!(Header::read(bytes), Ok(expected), "{bytes:x?}");
        }
        for bytes in [&b"\x00\x81"[..], b"\x08\0\0\0\0\x81", b"\xa3\x00"] {
            assert_eq!(Header::read(bytes), Err(NoElement), "{bytes:x?}");
        }
    }

    #[test]
    fn contents_are_read() {
        let bytes = b"\xe7\x81\x05\x44\x89\x84\x41\x20\0\0\x2a\xd7\xb1\x83\x0f\x42";
        let ids: Vec<u32> = elements(bytes).map(|(id, _)| id).collect();
        assert_eq!(ids, [id::TIMESTAMP, id::DURATION, id::TIMESTAMP_SCALE]);
        assert_eq!(find(bytes, id::TIMESTAMP).map(unsigned), Some(5));
        assert_eq!(find(bytes, id::DURATION).and_then(float), Some(10.0));
        assert_eq!(find(bytes, id::CUES), None);
        assert_eq!(timestamp_scale(b"\x2a\xd7\xb1\x81\x07"), 7);
        assert_eq!(timestamp_scale(b"\x2a\xd7\xb1\x81\0"), USUAL_TIMESTAMP_SCALE);
        assert_eq!(track_number(b"\x81\0\0"), Some((1, 1)));
        assert_eq!(track_number(b"\x40"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let walked: usize = elements(&bytes).map(|(_, content)| content.len()).sum();
            prop_assert!(walked <= bytes.len());
            let _ = (track_number(&bytes), float(&bytes), unsigned(&bytes), timestamp_scale(&bytes));
        }
    }
}
