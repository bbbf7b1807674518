// SPDX-License-Identifier: MPL-2.0

//! Looks at the first bytes of a track before its pad is made, because the pad's caps say which
//! container it is and playlists do not.

use std::collections::VecDeque;
use std::time::Duration;

use super::pad;
use crate::container::Kind;
use crate::engine::{Item, TrackReader};

/// A track's container, and the items that were read to find it.
pub struct Probed {
    pub kind: Kind,
    pub caps: gst::Caps,
    pub items: VecDeque<Item>,
}

/// Why a track's container is not known.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The reader was interrupted or the session is gone; whoever did that knows.
    #[error("Interrupted")]
    Interrupted,
    #[error("The stream has no media")]
    Empty,
    #[error("The stream is {0}, which this element cannot play")]
    Unplayable(Kind),
    #[error("The stream is neither MPEG-TS nor fragmented MP4: {0}")]
    Unknown(String),
}

impl Probed {
    /// Where the track begins.
    pub fn position(&self) -> Option<Duration> {
        self.items.iter().find_map(|item| match item {
            Item::Start(start) => Some(start.position),
            _ => None,
        })
    }
}

/// Waits for the first bytes.
pub fn probe(reader: &TrackReader) -> Result<Probed, ProbeError> {
    let mut items = VecDeque::new();
    let mut head = Vec::new();
    loop {
        let item = reader.next().ok_or(ProbeError::Interrupted)?;
        match &item {
            Item::Start(start) => head.extend_from_slice(start.init.as_deref().unwrap_or_default()),
            // More than enough for any container, and for a look at what is none.
            Item::Data(bytes) => head.extend_from_slice(&bytes[..bytes.len().min(4096)]),
            Item::End | Item::Eos if head.is_empty() => return Err(ProbeError::Empty),
            Item::End | Item::Eos => return Err(ProbeError::Unknown(describe(&head))),
        }
        items.push_back(item);
        let Some(kind) = Kind::sniff(&head) else { continue };
        return match pad::caps(kind) {
            Some(caps) => Ok(Probed { kind, caps, items }),
            None if kind == Kind::Unknown => Err(ProbeError::Unknown(describe(&head))),
            None => Err(ProbeError::Unplayable(kind)),
        };
    }
}

/// What somebody who has to find the mistake would want to know about the bytes.
fn describe(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(&head[..head.len().min(256)]);
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let begins = |word: &str| start.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
    if begins("<!doctype html") || begins("<html") {
        "its segments are HTML pages".to_owned()
    } else if begins("#EXTM3U") {
        "its segments are playlists".to_owned()
    } else if start.chars().take(32).all(|char| !char.is_control() && char != '\u{fffd}') {
        format!("it begins with the text {:?}", start.chars().take(32).collect::<String>())
    } else {
        let hex: Vec<_> = head.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("it begins with the bytes {}", hex.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_described_by_what_the_bytes_look_like() {
        for (head, described) in [
            (&b"\n<!DOCTYPE html><html>"[..], "its segments are HTML pages"),
            (b"<HTML>", "its segments are HTML pages"),
            (b"#EXTM3U\n#EXTINF:1,\n", "its segments are playlists"),
            (b"Not found", "it begins with the text \"Not found\""),
            (b"\xff\xf1\x50\x80", "it begins with the bytes ff f1 50 80"),
        ] {
            assert_eq!(describe(head), described);
        }
    }
}
