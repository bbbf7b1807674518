// SPDX-License-Identifier: MPL-2.0

//! Text -> tags and URIs, on top of m3u8-rs.
//!
//! m3u8-rs knows the grammar of a line: what is a tag, its name, its value, a URI. What it makes of
//! the tags that it knows itself is of no use for playlists in the wild: a tag that fails a strict
//! check leaks into its neighbours, the order of different tags is lost, attribute lists run over
//! line ends and cost quadratic time, durations are `f32`. So each tag goes in as `#EXT-<tag>`,
//! which is unknown to it and comes back whole and in order, and what stands behind the last URI,
//! which would be lost, gets one of its own. The other modules read what the tags say.

use std::fmt::Write as _;

use m3u8_rs::{ExtTag, parse_media_playlist};

use crate::manifest::error::shorten;
use crate::manifest::{MAX_BYTES, MAX_SEGMENTS, ManifestError};

/// Bounds the work for a body of nothing but short lines. Room for [`MAX_SEGMENTS`] segments of
/// five lines each.
const MAX_LINES: usize = 1_000_000;

/// Lines given to m3u8-rs at a time: its own form of a segment takes some 400 bytes.
const BATCH: usize = 1_000;

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// `name` as in `EXT-X-KEY`; `value` stands behind the colon and is empty where there is none.
    Tag {
        name: String,
        value: String,
    },
    Uri(String),
}

/// A tag as the readers get it: with variables put in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'a> {
    pub name: &'a str,
    pub value: &'a str,
}

/// Cuts a playlist into the lines behind its header, without blank ones and comments, and with
/// their numbers.
///
/// # Errors
///
/// It is too large, or does not begin as a playlist does.
pub(super) fn lines(body: &[u8]) -> Result<Vec<(usize, Line)>, ManifestError> {
    if body.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge { size: body.len(), limit: MAX_BYTES });
    }
    // What is no UTF-8 is replaced, so that one bad title does no more harm than that.
    let text = String::from_utf8_lossy(body);
    let mut lines = split(&text).filter(|(_, line)| !line.is_empty());
    skip_header(&mut lines)?;
    let mut lexer = Lexer::default();
    let mut uris = 0;
    for (line, text) in lines.filter(|(_, line)| !line.starts_with('#') || line.starts_with("#EXT")) {
        uris += usize::from(!text.starts_with('#'));
        if uris > MAX_SEGMENTS {
            return Err(ManifestError::TooMany { line, what: "segments", limit: MAX_SEGMENTS });
        }
        if lexer.lines.len() + lexer.numbers.len() == MAX_LINES {
            return Err(ManifestError::TooMany { line, what: "lines", limit: MAX_LINES });
        }
        lexer.push(line, text);
    }
    lexer.flush();
    Ok(lexer.lines)
}

/// Hands lines to m3u8-rs, a batch at a time.
#[derive(Default)]
struct Lexer {
    lines: Vec<(usize, Line)>,
    batch: String,
    /// Of the lines in the batch.
    numbers: Vec<usize>,
}

impl Lexer {
    fn push(&mut self, number: usize, line: &str) {
        // Writing to a String cannot fail.
        let _ = match line.strip_prefix('#') {
            Some(tag) => writeln!(self.batch, "#EXT-{tag}"),
            None => writeln!(self.batch, "{line}"),
        };
        self.numbers.push(number);
        if self.numbers.len() == BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let text = format!("#EXTM3U\n{}end\n", std::mem::take(&mut self.batch));
        let mut numbers = std::mem::take(&mut self.numbers).into_iter();
        // Whatever the lines are, this is a playlist to m3u8-rs: a test has it read any.
        let Ok((_, playlist)) = parse_media_playlist(text.as_bytes()) else { return };
        for segment in playlist.segments {
            let tags = segment.unknown_tags.into_iter().map(Line::from);
            let lines = tags.chain([Line::Uri(segment.uri)]);
            // For the last URI, which is made up, there is no number.
            self.lines.extend(lines.zip(numbers.by_ref()).map(|(line, number)| (number, line)));
        }
    }
}

impl From<ExtTag> for Line {
    fn from(tag: ExtTag) -> Self {
        let trim = |text: String| if text.trim().len() == text.len() { text } else { text.trim().to_owned() };
        Self::Tag { name: trim(tag.tag), value: trim(tag.rest.unwrap_or_default()) }
    }
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
    use proptest::prelude::*;

    use super::*;

    fn tag(name: &str, value: &str) -> Line {
        Line::Tag { name: name.to_owned(), value: value.to_owned() }
    }

    fn uri(uri: &str) -> Line {
        Line::Uri(uri.to_owned())
    }

    fn cut(text: &str) -> Vec<(usize, Line)> {
        lines(text.as_bytes()).expect("a playlist")
    }

    #[test]
    fn keeps_tags_and_addresses_in_order() {
        assert_eq!(
            cut("#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:6, a:b, c \n# no tag\n\none.ts\n#EXT-X-ENDLIST"),
            [
                (2, tag("EXT-X-KEY", "METHOD=NONE")),
                (3, tag("EXTINF", "6, a:b, c")),
                (6, uri("one.ts")),
                (7, tag("EXT-X-ENDLIST", "")),
            ]
        );
        assert_eq!(cut("#EXTM3U\n#EXT-X-GAP : \na:b"), [(2, tag("EXT-X-GAP", "")), (3, uri("a:b"))]);
    }

    #[test]
    fn takes_every_line_ending_indentation_and_byte_order_mark() {
        let plain = cut("#EXTM3U\n#EXTINF:1,\n,a b.ts\n#EXT-X-ENDLIST\n");
        assert_eq!(plain[1], (3, uri(",a b.ts")));
        for text in [
            "#EXTM3U\r\n#EXTINF:1,\r\n,a b.ts\r\n#EXT-X-ENDLIST\r\n",
            "#EXTM3U\r#EXTINF:1,\r,a b.ts\r#EXT-X-ENDLIST",
            "\u{feff}#EXTM3U\n  #EXTINF:1,  \n\t,a b.ts \n #EXT-X-ENDLIST",
        ] {
            assert_eq!(cut(text), plain, "{text:?}");
        }
        assert_eq!(cut("\n# made by hand\n #EXTM3U \na.ts"), [(4, uri("a.ts"))]);
    }

    #[test]
    fn the_header_may_be_missing_where_a_tag_comes_first() {
        assert_eq!(cut("# a comment\n#EXTINF:1,\na.ts"), [(2, tag("EXTINF", "1,")), (3, uri("a.ts"))]);
        assert_eq!(cut("#EXT-X-VERSION:3"), [(1, tag("EXT-X-VERSION", "3"))]);
        // One that is misspelt is as good as none.
        assert_eq!(cut("#EXTM3\n#EXT-X-VERSION:3"), [(2, tag("EXT-X-VERSION", "3"))]);
        for text in ["a.ts\n#EXTINF:1,", "#EXTVLCOPT:a\na.ts", "<html>\n#EXTM3U", "{}", "#EXT", "#!/bin/sh"] {
            let read = lines(text.as_bytes());
            assert!(matches!(read, Err(ManifestError::NoHeader { .. })), "{text:?}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |body: &[u8]| lines(body).expect_err("no playlist").to_string();
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

    #[test]
    fn batches_follow_each_other() {
        let text: String = (0..2_500).map(|n| format!("#EXT-X-FOO:{n}\n#EXTINF:1,\n{n}.ts\n")).collect();
        let lines = cut(&format!("#EXTM3U\n{text}"));
        assert_eq!(lines.len(), 7_500);
        for (n, three) in lines.chunks(3).enumerate() {
            let line = 3 * n + 2;
            let (foo, file) = (tag("EXT-X-FOO", &n.to_string()), uri(&format!("{n}.ts")));
            assert_eq!(three, [(line, foo), (line + 1, tag("EXTINF", "1,")), (line + 2, file)]);
        }
    }

    proptest! {
        /// m3u8-rs gives every line back, whatever stands in it.
        #[test]
        fn nothing_is_lost(text in prop::collection::vec("(#EXT)?(M3U|INF|-X-(KEY|MAP|START|ENDLIST))?:?.{0,9}", 0..40)) {
            let expected: Vec<_> = text
                .iter()
                .enumerate()
                .map(|(index, line)| (index + 2, line.trim()))
                .filter(|(_, line)| !line.is_empty() && (!line.starts_with('#') || line.starts_with("#EXT")))
                .map(|(number, line)| match line.strip_prefix('#') {
                    Some(line) => {
                        let (name, value) = line.split_once(':').unwrap_or((line, ""));
                        (number, tag(name.trim(), value.trim()))
                    }
                    None => (number, uri(line)),
                })
                .collect();
            prop_assume!(text.iter().all(|line| !line.contains(['\r', '\n'])));
            prop_assert_eq!(cut(&format!("#EXTM3U\n{}", text.join("\n"))), expected);
        }
    }
}
