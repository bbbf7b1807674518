// SPDX-License-Identifier: MPL-2.0

//! The first key frame of a segment, by itself: without sound, and without the pictures that come after it.
//!
//! The byte ranges of an I-frame playlist (RFC 8216bis 4.4.3.6) hold more than the frame: the tables of a whole fragment,
//! whose other samples are not there, or packets of sound between those of the picture. Demuxers would wait for the rest, or
//! pass on what is broken.

use bytes::Bytes;

use super::{Kind, mp4, ts};

/// What of some bytes is the first key frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// All of it, as bytes of the same container.
    Whole(Bytes),
    /// It is not whole yet, or whether it is cannot be told before more has come.
    Part,
    /// There is none that is understood here.
    Nothing,
}

/// Looks for the first key frame in the beginning of a segment; `init` is its initialisation segment, if it has one. With
/// `is_all` nothing follows.
pub fn first(kind: Kind, init: Option<&[u8]>, bytes: &[u8], is_all: bool) -> Found {
    match kind {
        Kind::FragmentedMp4 => mp4::key_frame::first(init.unwrap_or_default(), bytes, is_all),
        Kind::MpegTs => ts::key_frame::first(init.unwrap_or_default(), bytes, is_all),
        _ => Found::Nothing,
    }
}
