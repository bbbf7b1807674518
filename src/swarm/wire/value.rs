// SPDX-License-Identifier: MPL-2.0

//! The three kinds of values that fields carry: integers, id lists and strings.
//!
//! A value's first byte has the kind in its high half. Integers are big-endian sign and magnitude with
//! the byte count in the low half of that first byte. An id list is a run of groups, each a header
//! integer `(id & !0xff) | count` and `count` low bytes.

use super::{MAX_IDS, WireError};
use crate::swarm::segment_id::SegmentId;

const KIND_INTEGER: u8 = 0;
const KIND_IDS: u8 = 1;
const KIND_STRING: u8 = 2;
const LOW_BYTE: i64 = 0xff;

/// The most groups that an id list's count byte can say.
const MAX_GROUPS: usize = 255;
/// A group of 256 ids would have the count 0, which p2p-media-loader cannot read.
const MAX_GROUP: usize = 255;
/// The longest string that the 12-bit length can say.
pub(super) const MAX_STRING: usize = 0xfff;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Integer(i64),
    Ids(Vec<SegmentId>),
    /// Bytes that should be UTF-8.
    String(&'a [u8]),
}

pub(super) fn put_integer(out: &mut Vec<u8>, number: i64) {
    let magnitude = number.unsigned_abs();
    // One bit for the sign; zero counts as one bit.
    let bits = (u64::BITS - magnitude.leading_zeros()).max(1) + 1;
    let length = bits.div_ceil(8) as usize;
    let sign = u128::from(number < 0) << (length * 8 - 1);
    out.push(KIND_INTEGER << 4 | length as u8);
    out.extend_from_slice(&(u128::from(magnitude) | sign).to_be_bytes()[size_of::<u128>() - length..]);
}

/// Writes as many ids as fit in 255 groups: all of them unless they are scattered over more than
/// 65,280 numbers. The first come first.
pub(super) fn put_ids(out: &mut Vec<u8>, ids: &[SegmentId]) {
    let mut groups: Vec<(i64, Vec<u8>)> = Vec::new();
    for SegmentId(id) in ids {
        let high = id & !LOW_BYTE;
        // Ids mostly come sorted, so the group is found at the end.
        let group = groups.iter().rposition(|(h, low)| *h == high && low.len() < MAX_GROUP);
        match group {
            Some(index) => groups[index].1.push(*id as u8),
            None if groups.len() < MAX_GROUPS => groups.push((high, vec![*id as u8])),
            None => {}
        }
    }
    out.push(KIND_IDS << 4);
    out.push(groups.len() as u8);
    for (high, low) in groups {
        put_integer(out, high | low.len() as i64);
        out.extend_from_slice(&low);
    }
}

/// Writes ASCII text of at most [`MAX_STRING`] bytes; what is longer is cut.
pub(super) fn put_ascii(out: &mut Vec<u8>, text: &str) {
    debug_assert!(text.is_ascii() && text.len() <= MAX_STRING);
    let text = &text.as_bytes()[..text.len().min(MAX_STRING)];
    out.extend([KIND_STRING << 4 | (text.len() >> 8) as u8, text.len() as u8]);
    out.extend_from_slice(text);
}

/// Takes a value from the front of `input`.
///
/// As tolerant as the decoder in browsers: padded and empty integers are read, and what is cut off at
/// the command's end is read as far as it goes.
pub(super) fn take_value<'a>(input: &mut &'a [u8]) -> Result<Value<'a>, WireError> {
    let first = *input.first().ok_or(WireError::MissingValue)?;
    match first >> 4 {
        KIND_INTEGER => take_integer(input).map(Value::Integer),
        KIND_IDS => {
            take(input, 1);
            take_ids(input).map(Value::Ids)
        }
        KIND_STRING => {
            let header = take(input, 2);
            let low = header.get(1).copied().unwrap_or(0);
            let length = usize::from(first & 0x0f) << 8 | usize::from(low);
            Ok(Value::String(take(input, length)))
        }
        kind => Err(WireError::UnknownKind(kind)),
    }
}

fn take_integer(input: &mut &[u8]) -> Result<i64, WireError> {
    let first = *take(input, 1).first().ok_or(WireError::MissingValue)?;
    if first >> 4 != KIND_INTEGER {
        return Err(WireError::UnknownKind(first >> 4));
    }
    let [sign, rest @ ..] = take(input, usize::from(first & 0x0f)) else { return Ok(0) };
    // At most 15 bytes, so nothing is shifted out.
    let magnitude = rest.iter().fold(i128::from(sign & 0x7f), |n, byte| n << 8 | i128::from(*byte));
    let number = if sign & 0x80 == 0 { magnitude } else { -magnitude };
    i64::try_from(number).map_err(|_| WireError::IntegerTooLarge)
}

fn take_ids(input: &mut &[u8]) -> Result<Vec<SegmentId>, WireError> {
    let count = *take(input, 1).first().ok_or(WireError::MissingValue)?;
    let mut ids = Vec::new();
    let mut groups = 0usize;
    // p2p-media-loader writes the number of groups modulo 256. Where more groups follow, the next byte
    // is an integer's first, below 0x10, while the name of a field is a letter.
    while groups < usize::from(count) || input.first().is_some_and(|byte| *byte >> 4 == KIND_INTEGER) {
        if input.is_empty() {
            break;
        }
        take_group(input, &mut ids)?;
        groups += 1;
    }
    Ok(ids)
}

fn take_group(input: &mut &[u8], ids: &mut Vec<SegmentId>) -> Result<(), WireError> {
    let header = take_integer(input)?;
    let count = match (header & LOW_BYTE) as usize {
        // p2p-media-loader writes a full group's 256 as 0. An empty group, which it never writes, is
        // still told apart where fewer bytes follow.
        0 if input.len() >= 256 => 256,
        count => count,
    };
    let low = take(input, count);
    if ids.len() + low.len() > MAX_IDS {
        return Err(WireError::TooManyIds);
    }
    ids.extend(low.iter().map(|low| SegmentId(header & !LOW_BYTE | i64::from(*low))));
    Ok(())
}

/// Takes up to `length` bytes: fewer only at the end of the input.
fn take<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(length.min(input.len()));
    *input = rest;
    taken
}
