// SPDX-License-Identifier: MPL-2.0

//! Event messages in fragmented MP4: boxes called `emsg` at the top level of a segment, ISO/IEC 23009-1
//! 5.10.3.3. Found while the bytes pass; what is in other boxes is not looked at.

use super::boxes::Header;

/// Most bytes of the content of one box; a longer one is passed over.
const MAX_BOX: u64 = 64 << 10;

/// Most boxes of a segment, and most bytes in them; the surplus is passed over.
const MAX_BOXES: usize = 64;
const MAX_BYTES: u64 = 256 << 10;

/// Goes from box to box.
#[derive(Debug, Default)]
pub struct Scanner {
    /// The header of the present box as far as it has come, or the content that is kept.
    current: Vec<u8>,
    /// Bytes of content that are still to come: kept, or passed over.
    left: u64,
    keeps: bool,
    boxes: usize,
    bytes: u64,
    /// Nothing more can be found.
    done: bool,
}

impl Scanner {
    /// Takes the next bytes of the segment, in pieces of any size, and adds the content of each box that is whole
    /// with them to `found`.
    pub fn push(&mut self, mut chunk: &[u8], found: &mut Vec<Vec<u8>>) {
        while !self.done && !chunk.is_empty() {
            if self.left > 0 {
                let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len());
                if self.keeps {
                    self.current.extend_from_slice(&chunk[..taken]);
                }
                self.left -= taken as u64;
                chunk = &chunk[taken..];
            } else {
                // Of a header so many bytes as it needs, and no more.
                self.current.push(chunk[0]);
                chunk = &chunk[1..];
                self.take_header();
            }
            if self.left == 0 && self.keeps {
                found.push(std::mem::take(&mut self.current));
                self.keeps = false;
            }
        }
    }

    fn take_header(&mut self) {
        let Some(header) = Header::read(&self.current) else { return };
        self.current.clear();
        match header.content() {
            Ok(Some(content)) => {
                self.left = content;
                let room = content <= MAX_BOX && self.boxes < MAX_BOXES && self.bytes + content <= MAX_BYTES;
                if &header.name == b"emsg" && room && content > 0 {
                    self.keeps = true;
                    self.boxes += 1;
                    self.bytes += content;
                }
            }
            // A box that goes on to the end, or garbage.
            Ok(None) | Err(_) => self.done = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let size = (content.len() as u32 + 8).to_be_bytes();
        [&size[..], name, content].concat()
    }

    fn found(bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
        let (mut scanner, mut found) = (Scanner::default(), Vec::new());
        bytes.chunks(piece).for_each(|piece| scanner.push(piece, &mut found));
        found
    }

    #[test]
    fn messages_are_found_however_the_segment_is_cut() {
        let inner = atom(b"emsg", b"not at the top");
        let segment = [
            atom(b"styp", b"msdh"),
            atom(b"emsg", b"one"),
            atom(b"emsg", b""),
            atom(b"moof", &inner),
            b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x12xx".to_vec(),
            atom(b"emsg", b"two"),
            b"\0\0\0\0mdat".to_vec(),
            atom(b"emsg", b"in the last box"),
        ]
        .concat();
        for piece in [1, 3, 7, 1_000] {
            assert_eq!(found(&segment, piece), [b"one".to_vec(), b"two".to_vec()], "{piece}");
        }
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let many: Vec<u8> = (0..100).flat_map(|_| atom(b"emsg", b"x")).collect();
        assert_eq!(found(&many, 64).len(), MAX_BOXES);
        let long = [atom(b"emsg", &vec![0; MAX_BOX as usize + 1]), atom(b"emsg", b"x")].concat();
        assert_eq!(found(&long, 4_096), [b"x".to_vec()]);
        let much: Vec<u8> = (0..10).flat_map(|_| atom(b"emsg", &vec![0; MAX_BOX as usize])).collect();
        assert_eq!(found(&much, 4_096).len(), 4);
        // A size that is smaller than its own header, and one that never ends.
        assert_eq!(found(b"\0\0\0\x04emsgxxxx", 5), Vec::<Vec<u8>>::new());
        assert_eq!(found(b"\0\0\0\x01emsg\xff\xff\xff\xff\xff\xff\xff\xffxx", 5), Vec::<Vec<u8>>::new());
    }
}
