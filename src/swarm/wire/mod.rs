// SPDX-License-Identifier: MPL-2.0

//! What peers say to each other over a data channel: the p2p-media-loader commands, byte for byte.
//!
//! The channel is ordered and reliable and carries two kinds of binary messages: *commands* and raw
//! *payload*, the bytes of the segment whose header came last. A message is a command when it begins
//! and ends with one of the marks of [`framing`]; everything else is payload.
//!
//! Towards the peer:
//! 1. [`encode`] makes the messages of a [`Command`];
//! 2. [`cut_payload`] makes the messages of a segment.
//!
//! From the peer: one [`Decoder`] a channel, fed with every message.
//!
//! Versions 2.0 to 5 of p2p-media-loader share these bytes; they only differ in which peers meet (see
//! [`identity`](super::identity)). Added here are the announcement's fields `h` and `n`, which
//! other software reads past, and, to our own kind only, the request's field `w` and a header without the size `s`.

pub mod framing;

mod command;
mod decoder;
mod fields;
mod value;

#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use command::{Announcement, Command, Held};
pub use decoder::{Decoded, Decoder};
pub use framing::cut_payload;

/// The longest message that p2p-media-loader sends: 64 KiB - 1.
pub const MAX_MESSAGE: usize = 65_535;

/// The longest command accepted after joining its parts; a peer that sends more is wasting our memory.
pub const MAX_COMMAND: usize = 1 << 20;

/// The most ids accepted in one list: 256 groups of 256, more than any encoder can say in one count.
pub const MAX_IDS: usize = 65_536;

/// Why a command was dropped. The channel goes on: p2p-media-loader, too, ignores what it cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("the command has no type")]
    Empty,
    #[error("value kind {0} is unknown")]
    UnknownKind(u8),
    #[error("the command ends where a value should begin")]
    MissingValue,
    #[error("field '{}' is missing", char::from(*.0))]
    MissingField(u8),
    #[error("field '{}' is of the wrong kind", char::from(*.0))]
    WrongKind(u8),
    #[error("field '{}' is negative", char::from(*.0))]
    Negative(u8),
    #[error("an integer does not fit 64 bits")]
    IntegerTooLarge,
    #[error("a list has more than {MAX_IDS} ids")]
    TooManyIds,
    #[error("the command is longer than {MAX_COMMAND} bytes")]
    TooLong,
    #[error("a part of a command came without its first part")]
    NoFirstPart,
    #[error("a new command began before the last part of the one before")]
    Unfinished,
}

/// The messages that carry `command`, each at most `max_message` bytes, to be sent back to back.
///
/// `max_message` is what the peer accepts, usually [`MAX_MESSAGE`]. Below about a hundred bytes the
/// protocol's way of splitting overshoots it.
pub fn encode(command: &Command, max_message: usize) -> Vec<Bytes> {
    framing::split(&command.to_body(), max_message)
}
