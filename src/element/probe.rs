// SPDX-License-Identifier: MPL-2.0

//! Looks at the first bytes of a track before its pad is made, because the pad's caps say which
//! container it is and playlists do not; and, where players have to be told, what is in it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::contents::{self, Content};
use crate::container::Kind;
use crate::container::mp4::only::Only;
use crate::engine::{Item, TrackReader};

/// What a container holds is looked for in so many bytes.
const MAX_HEAD: usize = 1 << 20;

/// A track's container, and the items that were read to find it.
pub struct Probed {
    pub kind: Kind,
    pub caps: gst::Caps,
    /// None: it does not say in its first segment.
    pub contents: Option<Vec<Content>>,
    /// What of it is played; None: everything.
    pub only: Option<Only>,
    /// There is sound in it, whether that is played or not.
    pub had_sound: bool,
    pub items: VecDeque<Item>,
}

/// Why a track's container is not known.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The reader was interrupted or the session is gone; whoever did that knows.
    #[error("Interrupted")]
    Interrupted,
    /// The time that there was has passed.
    #[error("There is nothing yet")]
    Late,
    #[error("The stream has no media")]
    Empty,
    #[error("The stream is {0}, which this element cannot play")]
    Unplayable(Kind),
    #[error("The stream is neither MPEG-TS, fragmented MP4, WebM, packed audio, WebVTT nor TTML: {0}")]
    Unknown(String),
}

impl Probed {
    /// Where the track begins.
    pub fn position(&self) -> Option<Duration> {
        self.items.iter().find_map(|item| match item {
            Item::Start(start) => Some(start.position.max(start.shown_until)),
            _ => None,
        })
    }

    /// Whether the container holds a stream of this type.
    pub fn has(&self, stream_type: gst::StreamType) -> bool {
        self.contents.iter().flatten().any(|content| content.stream_type == stream_type)
    }
}

/// Waits for the first bytes, no longer than until `deadline`; with `thorough` for all that say what is in the
/// container.
pub fn probe(reader: &TrackReader, thorough: bool, deadline: Option<Instant>) -> Result<Probed, ProbeError> {
    let mut items = VecDeque::new();
    let next = || match deadline {
        None => Ok(reader.next()),
        Some(deadline) => reader
            .next_within(deadline.saturating_duration_since(Instant::now()))
            .map_err(|_| ProbeError::Late),
    };
    let Found { kind, caps, contents } = look(&mut items, thorough, next)?;
    let mut probed = Probed { kind, caps, contents, only: None, had_sound: false, items };
    probed.had_sound = probed.has(gst::StreamType::AUDIO);
    Ok(probed)
}

/// What a segment is.
pub struct Found {
    pub kind: Kind,
    pub caps: gst::Caps,
    /// None: it does not say.
    pub contents: Option<Vec<Content>>,
}

/// Looks at what `next` gives, which goes into `items`, as [`probe`] does.
pub fn look(
    items: &mut VecDeque<Item>,
    thorough: bool,
    mut next: impl FnMut() -> Result<Option<Item>, ProbeError>,
) -> Result<Found, ProbeError> {
    let mut init = None;
    let mut head = Vec::new();
    let mut begun = false;
    loop {
        let item = next()?.ok_or(ProbeError::Interrupted)?;
        let mut whole = false;
        begun |= matches!(item, Item::Start(_));
        let mut empty = false;
        match &item {
            // The rest of what was looked at before.
            Item::Data(_) | Item::End if !begun => continue,
            Item::Start(start) => init = start.init.clone(),
            Item::Data(bytes) if head.len() < MAX_HEAD => head.extend_from_slice(bytes),
            Item::Data(_) => {}
            Item::Gap { .. } => continue,
            Item::End | Item::Eos => (whole, empty) = (true, head.is_empty()),
        }
        items.push_back(item);
        if empty {
            return Err(ProbeError::Empty);
        }
        let start = init.as_deref().filter(|init| !init.is_empty()).unwrap_or(&head);
        let kind = match Kind::sniff(&start[..start.len().min(4096)]) {
            Some(Kind::Unknown) => return Err(ProbeError::Unknown(describe(start))),
            None if whole => return Err(ProbeError::Unknown(describe(start))),
            None => continue,
            Some(kind) => kind,
        };
        let contents = contents::read(kind, init.as_deref(), &head);
        // Packed audio cannot even be given caps without, and WebM is always taken apart.
        let enough = contents.is_some() || !thorough && !matches!(kind, Kind::PackedAudio | Kind::WebM);
        if !enough && !whole && head.len() < MAX_HEAD {
            continue;
        }
        let caps = contents::caps_of_kind(kind).or_else(|| contents.as_ref()?.first()?.caps.clone());
        return match caps {
            Some(caps) => Ok(Found { kind, caps, contents }),
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
