// SPDX-License-Identifier: MPL-2.0

//! The reading end of one data channel.

use bytes::{Bytes, BytesMut};

use super::command::Command;
use super::framing::part;
use super::{MAX_COMMAND, WireError};

/// What a message turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    Command(Command),
    /// Bytes of the segment whose header came last.
    Payload(Bytes),
    /// A part of a command whose end is still to come.
    Incomplete,
    /// A command of a type that only later versions know.
    Ignored,
}

/// Tells commands from payload and joins commands that came in parts.
///
/// It holds at most [`MAX_COMMAND`] bytes, whatever the peer sends.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Option<BytesMut>,
}

impl Decoder {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next message.
    ///
    /// # Errors
    ///
    /// Says why a command was dropped. The decoder stays usable, and so does the channel.
    pub fn decode(&mut self, message: &Bytes) -> Result<Decoded, WireError> {
        let Some(part) = part(message) else { return Ok(Decoded::Payload(message.clone())) };
        let mut joined = match (self.pending.take(), part.first) {
            (None, false) => return Err(WireError::NoFirstPart),
            // Browsers drop both, and parts are sent back to back, so the peer is confused anyway.
            (Some(_), true) => return Err(WireError::Unfinished),
            (None, true) => BytesMut::new(),
            (Some(joined), false) => joined,
        };
        if joined.len() + part.body.len() > MAX_COMMAND {
            return Err(WireError::TooLong);
        }
        if part.first && part.last {
            return read(part.body);
        }
        joined.extend_from_slice(part.body);
        if part.last {
            return read(&joined);
        }
        self.pending = Some(joined);
        Ok(Decoded::Incomplete)
    }
}

fn read(body: &[u8]) -> Result<Decoded, WireError> {
    Ok(Command::from_body(body)?.map_or(Decoded::Ignored, Decoded::Command))
}
