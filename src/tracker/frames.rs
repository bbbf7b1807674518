// SPDX-License-Identifier: MPL-2.0

//! WebSocket frames (RFC 6455, section 5) as a server reads and writes them, without I/O.
//!
//! A WebSocket library keeps buffers of some kilobytes for every connection. Nearly all of a
//! tracker's connections are idle nearly all of the time, so here all share one buffer to read
//! into, and a connection keeps only what is not complete. The frame header is read and written
//! by tungstenite.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// What a viewer sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received<'a> {
    /// Text or binary; both are taken for JSON.
    Message(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close,
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("message is too long")]
    TooLong,
    #[error("frames do not follow RFC 6455")]
    Protocol,
}

impl FrameError {
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::TooLong => CloseCode::Size,
            Self::Protocol => CloseCode::Protocol,
        }
    }
}

/// Puts frames together from what arrives.
#[derive(Debug)]
pub(super) struct Frames {
    /// The longest message, in bytes.
    most: usize,
    /// A frame of which a part is missing.
    partial: Vec<u8>,
    /// A message of which some frames have come.
    fragments: Option<Vec<u8>>,
}

impl Frames {
    pub fn new(most: usize) -> Self {
        Self { most, partial: Vec::new(), fragments: None }
    }

    /// Takes bytes in and hands out what is complete. The bytes are unmasked in place.
    ///
    /// # Errors
    ///
    /// [`FrameError`], and what `each` returns; nothing can be read after that.
    pub fn feed<E: From<FrameError>>(
        &mut self,
        input: &mut [u8],
        mut each: impl FnMut(Received<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.partial.is_empty() {
            let used = self.consume(input, &mut each)?;
            self.partial.extend_from_slice(&input[used..]);
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(input);
        let used = self.consume(&mut partial, &mut each)?;
        if used < partial.len() {
            partial.drain(..used);
            self.partial = partial;
        }
        Ok(())
    }

    /// Hands out the whole frames at the beginning; returns how many bytes they have.
    fn consume<E: From<FrameError>>(
        &mut self,
        mut input: &mut [u8],
        each: &mut impl FnMut(Received<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut used = 0;
        loop {
            let mut cursor = Cursor::new(&*input);
            let Some((header, length)) = FrameHeader::parse(&mut cursor).map_err(|_| FrameError::Protocol)?
            else {
                return Ok(used);
            };
            let start = cursor.position() as usize;
            // Judged by the header alone, so that nobody can make us wait for a huge frame.
            let length = usize::try_from(length).map_err(|_| FrameError::TooLong)?;
            self.check(&header, length)?;
            let Some(payload) = input.get_mut(start..start + length) else { return Ok(used) };
            unmask(payload, header.mask.unwrap_or_default());
            self.receive(&header, payload, each)?;
            used += start + length;
            input = &mut input[start + length..];
        }
    }

    fn check(&self, header: &FrameHeader, length: usize) -> Result<(), FrameError> {
        let reserved = header.rsv1 || header.rsv2 || header.rsv3;
        let right = match header.opcode {
            OpCode::Data(Data::Continue) => self.fragments.is_some(),
            OpCode::Data(Data::Text | Data::Binary) => self.fragments.is_none(),
            OpCode::Control(Control::Close | Control::Ping | Control::Pong) => {
                header.is_final && length <= 125
            }
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => false,
        };
        if reserved || header.mask.is_none() || !right {
            return Err(FrameError::Protocol);
        }
        let before = self.fragments.as_ref().map_or(0, Vec::len);
        if before + length > self.most { Err(FrameError::TooLong) } else { Ok(()) }
    }

    fn receive<E>(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        each: &mut impl FnMut(Received<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match header.opcode {
            OpCode::Control(Control::Ping) => each(Received::Ping(payload)),
            OpCode::Control(Control::Pong) => each(Received::Pong),
            OpCode::Control(_) => each(Received::Close),
            OpCode::Data(_) => match (self.fragments.take(), header.is_final) {
                (None, true) => each(Received::Message(payload)),
                (fragments, complete) => {
                    let mut message = fragments.unwrap_or_default();
                    message.extend_from_slice(payload);
                    if complete {
                        return each(Received::Message(&message));
                    }
                    self.fragments = Some(message);
                    Ok(())
                }
            },
        }
    }
}

/// Undoes the mask of a payload (RFC 6455, section 5.3).
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Ok(word) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
        }
    }
    for (byte, mask) in chunks.into_remainder().iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// Appends a frame to what is to be sent.
fn write(opcode: OpCode, payload: &[&[u8]], to: &mut Vec<u8>) {
    let length = payload.iter().map(|part| part.len()).sum::<usize>();
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    to.reserve(length + 4);
    // Writing to memory does not fail.
    let _ = header.format(length as u64, to);
    payload.iter().for_each(|part| to.extend_from_slice(part));
}

pub(super) fn write_text(text: &str, to: &mut Vec<u8>) {
    write(OpCode::Data(Data::Text), &[text.as_bytes()], to);
}

pub(super) fn write_ping(to: &mut Vec<u8>) {
    write(OpCode::Control(Control::Ping), &[], to);
}

pub(super) fn write_pong(payload: &[u8], to: &mut Vec<u8>) {
    write(OpCode::Control(Control::Pong), &[payload], to);
}

pub(super) fn write_close(code: CloseCode, reason: &str, to: &mut Vec<u8>) {
    write(OpCode::Control(Control::Close), &[&u16::from(code).to_be_bytes(), reason.as_bytes()], to);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;

    use super::*;

    const MOST: usize = 70_000;

    /// A frame as a client sends it.
    fn frame(opcode: OpCode, is_final: bool, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
        let mut bytes = Vec::new();
        header.format(payload.len() as u64, &mut bytes).unwrap();
        let start = bytes.len();
        bytes.extend_from_slice(payload);
        unmask(&mut bytes[start..], mask.unwrap_or_default());
        bytes
    }

    fn text(payload: &[u8]) -> Vec<u8> {
        frame(OpCode::Data(Data::Text), true, payload, Some([1, 2, 3, 4]))
    }

    /// Feeds everything in pieces and collects what comes out.
    fn feed(frames: &mut Frames, bytes: &[u8], piece: usize) -> Result<Vec<String>, FrameError> {
        let mut received = Vec::new();
        for piece in bytes.chunks(piece) {
            frames.feed(&mut piece.to_vec(), |what| {
                received.push(format!("{what:?}"));
                Ok::<_, FrameError>(())
            })?;
        }
        Ok(received)
    }

    proptest! {
        #[test]
        fn messages_arrive_whole_in_whatever_pieces(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8),
            mask: [u8; 4], piece in 1..400usize, cut in 0..300usize,
        ) {
            let mut bytes = Vec::new();
            let mut expected = Vec::new();
            for message in &messages {
                // In two fragments with a ping in between.
                let (head, tail) = message.split_at(cut.min(message.len()));
                bytes.extend(frame(OpCode::Data(Data::Binary), false, head, Some(mask)));
                bytes.extend(frame(OpCode::Control(Control::Ping), true, b"?", Some(mask)));
                bytes.extend(frame(OpCode::Data(Data::Continue), true, tail, Some(mask)));
                bytes.extend(frame(OpCode::Data(Data::Text), true, message, Some(mask)));
                let whole = format!("{:?}", Received::Message(message));
                expected.extend([format!("{:?}", Received::Ping(b"?")), whole.clone(), whole]);
            }
            let mut frames = Frames::new(MOST);
            prop_assert_eq!(feed(&mut frames, &bytes, piece).unwrap(), expected);
            prop_assert_eq!(frames.partial.capacity(), 0, "an idle connection holds nothing");
            prop_assert!(frames.fragments.is_none());
        }

        #[test]
        fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..600), piece in 1..100usize) {
            let mut frames = Frames::new(MOST);
            let _ = feed(&mut frames, &bytes, piece);
            prop_assert!(frames.partial.len() <= 600);
        }
    }

    #[test]
    fn long_messages_are_refused_by_their_header() {
        let long = text(&vec![b'x'; MOST + 1]);
        assert_eq!(feed(&mut Frames::new(MOST), &long[..20], 20), Err(FrameError::TooLong));
        assert_eq!(feed(&mut Frames::new(MOST), &text(&vec![b'x'; MOST]), 1000).unwrap().len(), 1);
        let mut fragments = frame(OpCode::Data(Data::Text), false, &[b'x'; 40_000], Some([0; 4]));
        fragments.extend(frame(OpCode::Data(Data::Continue), false, &[b'x'; 40_000], Some([0; 4])));
        assert_eq!(feed(&mut Frames::new(MOST), &fragments, 5000), Err(FrameError::TooLong));
        let huge = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(feed(&mut Frames::new(MOST), &[&huge[..], &[0; 8]].concat(), 30).is_err());
    }

    #[test]
    fn frames_out_of_place_are_refused() {
        let mask = Some([9; 4]);
        let mut reserved = text(b"");
        reserved[0] |= 0x40;
        let first = frame(OpCode::Data(Data::Text), false, b"a", mask);
        for bytes in [
            frame(OpCode::Data(Data::Text), true, b"not masked", None),
            frame(OpCode::Data(Data::Continue), true, b"of nothing", mask),
            [first.clone(), first].concat(),
            frame(OpCode::Control(Control::Ping), false, b"", mask),
            frame(OpCode::Control(Control::Ping), true, &[0; 126], mask),
            frame(OpCode::Data(Data::Reserved(3)), true, b"", mask),
            frame(OpCode::Control(Control::Reserved(11)), true, b"", mask),
            reserved,
        ] {
            assert_eq!(feed(&mut Frames::new(MOST), &bytes, 1000), Err(FrameError::Protocol), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_written_is_what_the_library_writes() {
        for length in [0, 1, 125, 126, 65535, 65536] {
            let payload = "x".repeat(length);
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            write_text(&payload, &mut ours);
            Frame::message(payload, OpCode::Data(Data::Text), true).format(&mut theirs).unwrap();
            assert_eq!(ours, theirs);
        }
        let mut close = Vec::new();
        write_close(CloseCode::Away, "bye", &mut close);
        assert_eq!(close, [0x88, 5, 0x03, 0xe9, b'b', b'y', b'e']);
    }
}
