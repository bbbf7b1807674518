// SPDX-License-Identifier: MPL-2.0

//! Text -> lines that mean something: tags and URIs, with their numbers.
//!
//! The crate m3u8-rs stood here before. For playlists in the wild nothing of what it makes of a tag
//! can be used: a tag that fails a strict check leaks into its neighbours, tags after the last URI
//! are lost, so is the order of different tags, attribute lists run over line ends and cost
//! quadratic time, durations are `f32`. Wrapped so that none of this could happen, all that was
//! left for it to do was to split lines, and that took most of the time: 100,000 segments were read
//! in 149 ms with it and in 53 ms without (`benches/manifest.rs`, the fastest of 100 runs). Now it
//! is in the tests, as a second opinion on well-formed playlists.

use std::borrow::Cow;

use crate::manifest::error::shorten;
use crate::manifest::{MAX_BYTES, MAX_SEGMENTS, ManifestError};

/// Bounds the work for a body of nothing but short lines. Room for [`MAX_SEGMENTS`] segments of
/// five lines each.
const MAX_LINES: usize = 1_000_000;

/// The body as text. What is no UTF-8 is replaced, so that one bad title does no more harm than
/// that.
pub(super) fn text(body: &[u8]) -> Result<Cow<'_, str>, ManifestError> {
    if body.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge { size: body.len(), limit: MAX_BYTES });
    }
    Ok(String::from_utf8_lossy(body))
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Tag(Tag<'a>),
    Uri(&'a str),
}

/// A tag as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// As in `EXT-X-KEY`.
    pub name: &'a str,
    /// What stands behind the colon; empty where there is none.
    pub value: &'a str,
}

impl<'a> Line<'a> {
    /// None: a comment.
    pub fn read(line: &'a str) -> Option<Self> {
        let Some(tag) = line.strip_prefix('#') else { return Some(Self::Uri(line)) };
        if !tag.starts_with("EXT") {
            return None;
        }
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        Some(Self::Tag(Tag { name: name.trim_end(), value: value.trim() }))
    }
}

/// The lines behind the header, trimmed, without blank ones and comments, and with their numbers.
pub(super) fn lines(text: &str) -> Result<impl Iterator<Item = (usize, &str)> + Clone, ManifestError> {
    let mut lines = split(text).filter(|(_, line)| !line.is_empty());
    skip_header(&mut lines)?;
    Ok(lines.filter(|(_, line)| !line.starts_with('#') || line.starts_with("#EXT")))
}

/// Refuses more than is read.
pub(super) fn check_size<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<(), ManifestError> {
    let (mut all, mut uris) = (0, 0);
    for (line, text) in lines {
        all += 1;
        uris += usize::from(!text.starts_with('#'));
        if uris > MAX_SEGMENTS {
            return Err(ManifestError::TooMany { line, what: "segments", limit: MAX_SEGMENTS });
        }
        if all > MAX_LINES {
            return Err(ManifestError::TooMany { line, what: "lines", limit: MAX_LINES });
        }
    }
    Ok(())
}

/// All lines, trimmed, with their numbers. They end in LF, CRLF or a lone CR.
fn split(text: &str) -> impl Iterator<Item = (usize, &str)> + Clone {
    let text = text.trim_start_matches('\u{feff}');
    let ending = if text.contains('\n') { '\n' } else { '\r' };
    text.split(ending)
        .enumerate()
        // A CR inside a line ends it too, as in browsers.
        .flat_map(|(index, line)| line.split('\r').map(move |part| (index + 1, part.trim())))
}

/// Goes past `#EXTM3U`. Comments and unknown tags may stand before it, but nothing that is content.
///
/// The header may be missing where the text begins with another tag of HLS: of three parsers in
/// use (those of video.js, kuu and hls.js) two take that.
fn skip_header<'a>(
    lines: &mut (impl Iterator<Item = (usize, &'a str)> + Clone),
) -> Result<(), ManifestError> {
    let mut start = None;
    loop {
        let before = lines.clone();
        let Some((_, line)) = lines.next() else { break };
        if line.starts_with("#EXTM3U") {
            return Ok(());
        }
        if line.starts_with("#EXT-X-") || line.starts_with("#EXTINF") {
            *lines = before;
            return Ok(());
        }
        start.get_or_insert(line);
        if !line.starts_with('#') {
            break;
        }
    }
    Err(match start {
        Some(start) => ManifestError::NoHeader { start: shorten(start) },
        None => ManifestError::Empty,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(usize, &str)> {
        lines(text).expect("a playlist").collect()
    }

    #[test]
    fn keeps_tags_and_addresses_in_order() {
        assert_eq!(
            cut("#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:6, a, b\n# no tag\n\none.ts\n#EXT-X-ENDLIST"),
            [(2, "#EXT-X-KEY:METHOD=NONE"), (3, "#EXTINF:6, a, b"), (6, "one.ts"), (7, "#EXT-X-ENDLIST")]
        );
        let tag = |name, value| Some(Line::Tag(Tag { name, value }));
        assert_eq!(Line::read("#EXTINF:6, a:b "), tag("EXTINF", "6, a:b"));
        assert_eq!(Line::read("#EXT-X-GAP"), tag("EXT-X-GAP", ""));
        assert_eq!(Line::read("#EXT-X-GAP : "), tag("EXT-X-GAP", ""));
        assert_eq!(Line::read("a:b"), Some(Line::Uri("a:b")));
        assert_eq!(Line::read("#comment"), None);
    }

    #[test]
    fn takes_every_line_ending_indentation_and_byte_order_mark() {
        let plain = cut("#EXTM3U\n#EXTINF:1,\n,a b.ts\n#EXT-X-ENDLIST\n");
        assert_eq!(plain[1], (3, ",a b.ts"));
        for text in [
            "#EXTM3U\r\n#EXTINF:1,\r\n,a b.ts\r\n#EXT-X-ENDLIST\r\n",
            "#EXTM3U\r#EXTINF:1,\r,a b.ts\r#EXT-X-ENDLIST",
            "\u{feff}#EXTM3U\n  #EXTINF:1,  \n\t,a b.ts \n #EXT-X-ENDLIST",
        ] {
            assert_eq!(cut(text), plain, "{text:?}");
        }
        assert_eq!(cut("\n# made by hand\n #EXTM3U \na.ts"), [(4, "a.ts")]);
    }

    #[test]
    fn the_header_may_be_missing_where_a_tag_comes_first() {
        assert_eq!(cut("# a comment\n#EXTINF:1,\na.ts"), [(2, "#EXTINF:1,"), (3, "a.ts")]);
        assert_eq!(cut("#EXT-X-VERSION:3"), [(1, "#EXT-X-VERSION:3")]);
        // One that is misspelt is as good as none.
        assert_eq!(cut("#EXTM3\n#EXT-X-VERSION:3"), [(2, "#EXT-X-VERSION:3")]);
        for text in ["a.ts\n#EXTINF:1,", "#EXTVLCOPT:a\na.ts", "<html>\n#EXTM3U", "{}", "#EXT", "#!/bin/sh"] {
            assert!(matches!(lines(text).map(drop), Err(ManifestError::NoHeader { .. })), "{text:?}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |body: &[u8]| {
            let read = || check_size(lines(&text(body)?)?);
            read().expect_err("no playlist").to_string()
        };
        assert_eq!(message(b" \n"), "not an HLS playlist: it is empty");
        assert_eq!(
            message(b"<!DOCTYPE html>\n<html>#EXTM3U"),
            "not an HLS playlist: no #EXTM3U on the first line (it starts with `<!DOCTYPE html>`)"
        );
        assert!(message(b"# a comment\na.ts").contains("`# a comment`"));
        assert!(message(&[0xff; 100]).ends_with("\u{fffd}…`)"));
        assert!(message(&vec![b'a'; MAX_BYTES + 1]).contains("too large"));
        let many = "#EXTM3U\n".to_owned() + &"a\n".repeat(MAX_SEGMENTS + 1);
        assert_eq!(message(many.as_bytes()), "line 200002: the playlist has more than 200000 segments");
        let many = "#EXTM3U\n".to_owned() + &"#EXT\n".repeat(MAX_LINES + 1);
        assert!(message(many.as_bytes()).contains("more than 1000000 lines"));
    }
}
