// SPDX-License-Identifier: MPL-2.0

//! Tells media from garbage in segments that peers had a hand in.

use bytes::Bytes;

use super::store::SegmentBytes;
use crate::container::decrypt::Decryptor;
use crate::container::{Kind, framing};

/// Looks at the framing of whole segments, knowing what container the origin sends.
#[derive(Debug, Default)]
pub struct Soundness {
    kind: Option<Kind>,
}

impl Soundness {
    /// These bytes of a segment's start came from the origin: so it looks.
    pub fn learn(&mut self, first_bytes: &[u8]) {
        if self.kind.is_none() {
            self.kind = Kind::sniff(first_bytes);
        }
    }

    /// Whether a segment is framed as the origin's are. What has no framing that we know passes.
    pub fn check(&self, segment: &SegmentBytes) -> bool {
        let first = segment.chunks().next().unwrap_or_default();
        let Some(kind) = self.kind.or_else(|| Kind::sniff(first)) else { return true };
        framing::check(kind, segment.chunks()).is_ok()
    }

    /// The same for an encrypted segment, of which nobody has seen how the origin's look.
    pub fn check_encrypted(&self, segment: &SegmentBytes, mut decryptor: Decryptor) -> bool {
        let mut plain: Vec<Bytes> = segment.chunks().map(|chunk| decryptor.push(chunk)).collect();
        let Ok(last) = decryptor.finish() else { return false };
        plain.push(last);
        plain.retain(|chunk| !chunk.is_empty());
        // It begins in one piece, or else the container could not be told.
        let head: Vec<u8> = plain.iter().flatten().take(Kind::SNIFF_BYTES).copied().collect();
        match Kind::sniff(&head) {
            None | Some(Kind::Unknown) => false,
            Some(kind) => framing::check(kind, plain.iter().map(Bytes::as_ref)).is_ok(),
        }
    }
}
