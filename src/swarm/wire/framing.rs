// SPDX-License-Identifier: MPL-2.0

//! Which messages are commands, and how a long command is spread over several messages.
//!
//! ```text
//! single:  "cstr" body "cend"
//! split:   "cstr" part "dend"   "dstr" part "dend" ...   "dstr" part "cend"
//! ```

use bytes::{BufMut, Bytes, BytesMut};

const COMMAND_START: &[u8; 4] = b"cstr";
const COMMAND_END: &[u8; 4] = b"cend";
const PART_START: &[u8; 4] = b"dstr";
const PART_END: &[u8; 4] = b"dend";
const MARKS: usize = COMMAND_START.len() + COMMAND_END.len();

/// A command message taken out of its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub first: bool,
    pub last: bool,
    pub body: &'a [u8],
}

/// The command part in a message; None when the message is payload.
pub(super) fn part(message: &[u8]) -> Option<Part<'_>> {
    let (start, rest) = message.split_first_chunk::<4>()?;
    let (body, end) = rest.split_last_chunk::<4>()?;
    let first = match start {
        COMMAND_START => true,
        PART_START => false,
        _ => return None,
    };
    let last = match end {
        COMMAND_END => true,
        PART_END => false,
        _ => return None,
    };
    Some(Part { first, last, body })
}

/// Puts a command's body between marks, in as many messages as p2p-media-loader would use.
pub(super) fn split(body: &[u8], max_message: usize) -> Vec<Bytes> {
    let max_message = max_message.max(MARKS + 1);
    if body.len() + MARKS <= max_message {
        return vec![mark(COMMAND_START, body, COMMAND_END)];
    }
    let mut count = body.len().div_ceil(max_message);
    if body.len().div_ceil(count) + MARKS > max_message {
        count += 1;
    }
    let parts: Vec<&[u8]> = body.chunks(body.len().div_ceil(count)).collect();
    let last = parts.len() - 1;
    let messages = parts.iter().enumerate().map(|(n, part)| {
        let start = if n == 0 { COMMAND_START } else { PART_START };
        let end = if n == last { COMMAND_END } else { PART_END };
        mark(start, part, end)
    });
    messages.collect()
}

fn mark(start: &[u8; 4], body: &[u8], end: &[u8; 4]) -> Bytes {
    let mut message = BytesMut::with_capacity(MARKS + body.len());
    message.put_slice(start);
    message.put_slice(body);
    message.put_slice(end);
    message.freeze()
}

/// Cuts segment bytes into messages of at most `max_message` bytes, without copying.
///
/// A message that happened to begin and end like a command would be taken for one, so such a cut is
/// made a byte earlier.
pub fn cut_payload(payload: Bytes, max_message: usize) -> impl Iterator<Item = Bytes> {
    // One byte off a lookalike must leave something, and below nine bytes no command exists.
    let max_message = max_message.max(MARKS + 1);
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut length = rest.len().min(max_message);
        if part(&rest[..length]).is_some() {
            // The mark's last letter is gone, so what is left cannot end with a mark again.
            length -= 1;
        }
        Some(rest.split_to(length))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_may_not_overlap() {
        for message in [&b""[..], b"cstr", b"cend", b"cstcend", b"cstrend"] {
            assert_eq!(part(message), None, "{message:?}");
        }
        assert_eq!(part(b"cstrcend"), Some(Part { first: true, last: true, body: b"" }));
        assert_eq!(part(b"dstrxdend"), Some(Part { first: false, last: false, body: b"x" }));
    }

    #[test]
    fn payload_is_never_cut_into_a_lookalike() {
        let payload = Bytes::from_static(b"cstr..12cendcstr..cend");
        let cuts: Vec<Bytes> = cut_payload(payload.clone(), 12).collect();
        assert_eq!(cuts, [&b"cstr..12cen"[..], b"dcstr..cend"]);
        assert_eq!(cut_payload(Bytes::from_static(b"cstrcend"), 12).count(), 2);
        assert_eq!(cut_payload(Bytes::new(), 12).count(), 0);
    }
}
