// SPDX-License-Identifier: MPL-2.0

//! Floor 1: what do the bytes say about time and framing? Looks into MPEG-TS, fragmented MP4
//! and WebM just far enough to place a segment on the timeline and to tell media from garbage; pure.
//!
//! - [`Kind::sniff`] tells the container from a segment's first bytes.
//! - [`ts::Scanner`], [`mp4::Scanner`] and [`webm::Scanner`] find the timestamps at the start of a segment
//!   while its bytes arrive, in pieces of any size.
//! - [`mp4::interleave::Interleaver`] cuts long fragments of muxed MP4, so that players can follow.
//! - [`key_frame`] takes the first picture out of a segment, for playback by key frames alone.
//! - [`mp4::only::Filter`] takes tracks out of it, where picture and sound go to different places.
//! - [`packed::head`] and [`webvtt::TimestampMap`] do the same for packed audio and for subtitles.
//! - [`emsg::Scanner`] finds the event messages in a segment.
//! - [`framing::check`] is a cheap test of a whole segment that came from strangers.
//!
//! Segments that are encrypted as a whole (METHOD=AES-128 or AES-256) go through [`decrypt`] first.

mod boxes;
pub mod decrypt;
pub mod emsg;
pub mod framing;
pub mod key_frame;
pub mod mp4;
pub mod packed;
mod sniff;
pub mod ts;
pub mod webm;
pub mod webvtt;

pub use sniff::Kind;

/// How far into a segment its timestamps are looked for. They stand at the start; a segment that
/// has none there is played without.
pub const SCAN_LIMIT: usize = 1 << 20;
