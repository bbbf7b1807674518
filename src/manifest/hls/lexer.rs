// SPDX-License-Identifier: MPL-2.0

//! Text -> tags and URIs, on top of m3u8-rs.
//!
//! m3u8-rs knows the grammar of a line: what is a tag, a comment, a URI. What it makes of the tags
//! themselves is of no use for playlists in the wild: a tag that fails a strict check leaks into
//! its neighbours, tags after the last URI are lost, so is the order of different tags, attribute
//! lists run over line ends and cost quadratic time, durations are `f32`. So it is given only what
//! it keeps whole. Every tag goes in as `#EXT-<line>:<tag>`, which is unknown to it and comes back
//! raw and in order; every URI goes in behind a plain `#EXTINF:0,<line>`; and a made-up last URI
//! collects the tags at the end. The other modules read the tags.

use std::fmt::Write as _;

use m3u8_rs::parse_media_playlist;

use crate::manifest::error::shorten;
use crate::manifest::{MAX_BYTES, MAX_SEGMENTS, ManifestError};

/// Bounds the memory for a body of nothing but short lines. Room for [`MAX_SEGMENTS`] segments of
/// five lines each.
const MAX_LINES: usize = 1_000_000;

/// Lines given to m3u8-rs at a time: its own form of a line takes some 400 bytes.
const BATCH: usize = 1_000;

/// A URI with the tags before it. The last entry has the tags at the end, and no URI.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub tags: Vec<Tag>,
    pub uri: Option<String>,
    /// Line of the URI.
    pub line: usize,
}

/// A tag as written.
#[derive(Debug)]
pub(super) struct Tag {
    pub line: usize,
    /// Without the `#`.
    pub text: String,
}

impl Tag {
    /// The name, as in `EXT-X-KEY`.
    pub fn name(&self) -> &str {
        self.text.split(':').next().unwrap_or_default().trim_end()
    }

    /// What stands behind the colon; empty where there is none.
    pub fn value(&self) -> &str {
        self.text.split_once(':').map_or("", |(_, value)| value.trim())
    }
}

/// Cuts a playlist into entries; there is always at least one.
pub(super) fn entries(body: &[u8]) -> Result<Vec<Entry>, ManifestError> {
    if body.len() > MAX_BYTES {
        return Err(ManifestError::TooLarge { size: body.len(), limit: MAX_BYTES });
    }
    let text = String::from_utf8_lossy(body);
    let mut lines = lines(&text);
    skip_header(&mut lines)?;
    let mut splitter = Splitter::default();
    for (number, line) in lines {
        splitter.push(number, line)?;
    }
    Ok(splitter.finish())
}

/// The lines that are not blank, trimmed, with their numbers. They end in LF, CRLF or a lone CR.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.trim_start_matches('\u{feff}');
    let ending = if text.contains('\n') { '\n' } else { '\r' };
    text.split(ending)
        .enumerate()
        // m3u8-rs stops at a CR inside a line.
        .flat_map(|(index, line)| line.split('\r').map(move |part| (index + 1, part.trim())))
        .filter(|(_, line)| !line.is_empty())
}

/// Goes past `#EXTM3U`. Comments may stand before it, but nothing that is content.
fn skip_header<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Result<(), ManifestError> {
    let mut start = None;
    for (_, line) in lines {
        if line.starts_with("#EXTM3U") {
            return Ok(());
        }
        start.get_or_insert(line);
        if !line.starts_with('#') || line.starts_with("#EXT") {
            break;
        }
    }
    Err(match start {
        Some(start) => ManifestError::NoHeader { start: shorten(start) },
        None => ManifestError::Empty,
    })
}

/// Hands lines to m3u8-rs, a batch at a time.
#[derive(Default)]
struct Splitter {
    entries: Vec<Entry>,
    /// Tags whose URI has not come yet.
    tags: Vec<Tag>,
    batch: String,
    batched: usize,
    lines: usize,
    uris: usize,
}

impl Splitter {
    fn push(&mut self, number: usize, line: &str) -> Result<(), ManifestError> {
        // Writing to a String cannot fail.
        if line.starts_with("#EXT") {
            let _ = writeln!(self.batch, "#EXT-{number}:{}", &line[1..]);
        } else if line.starts_with('#') {
            return Ok(());
        } else {
            self.uris += 1;
            // The second comma keeps m3u8-rs from taking one that the URI begins with.
            let _ = writeln!(self.batch, "#EXTINF:0,{number},\n{line}");
        }
        self.lines += 1;
        self.batched += 1;
        let too_many = |what, limit| Err(ManifestError::TooMany { line: number, what, limit });
        if self.lines > MAX_LINES {
            return too_many("lines", MAX_LINES);
        }
        if self.uris > MAX_SEGMENTS {
            return too_many("segments", MAX_SEGMENTS);
        }
        if self.batched == BATCH {
            self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) {
        let text = format!("#EXTM3U\n{}#EXTINF:0,0,\nend\n", self.batch);
        self.batch.clear();
        self.batched = 0;
        let Ok((rest, playlist)) = parse_media_playlist(text.as_bytes()) else { return };
        debug_assert!(rest.is_empty());
        for segment in playlist.segments {
            let tags = segment.unknown_tags.into_iter().map(|tag| Tag {
                line: tag.tag.parse().unwrap_or_default(),
                text: tag.rest.unwrap_or_default(),
            });
            self.tags.extend(tags);
            let line = segment.title.and_then(|title| title.parse().ok()).unwrap_or_default();
            if line > 0 {
                let tags = std::mem::take(&mut self.tags);
                self.entries.push(Entry { tags, uri: Some(segment.uri), line });
            }
        }
    }

    fn finish(mut self) -> Vec<Entry> {
        self.flush();
        self.entries.push(Entry { tags: self.tags, uri: None, line: 0 });
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line with its number.
    type Line = (usize, String);

    /// The tags of each entry, and its URI.
    fn cut(text: &str) -> Vec<(Vec<Line>, Option<Line>)> {
        let tags = |entry: &Entry| entry.tags.iter().map(|t| (t.line, t.text.clone())).collect();
        let entries = entries(text.as_bytes()).expect("a playlist");
        entries.iter().map(|e| (tags(e), e.uri.clone().map(|uri| (e.line, uri)))).collect()
    }

    #[test]
    fn keeps_tags_in_order_before_their_uri_and_at_the_end() {
        assert_eq!(
            cut(
                "#EXTM3U\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:6, a, b\n# no tag\none.ts\n#EXT-X-FOO\n#EXT-X-ENDLIST"
            ),
            [
                (
                    vec![(2, "EXT-X-KEY:METHOD=NONE".to_owned()), (3, "EXTINF:6, a, b".to_owned())],
                    Some((5, "one.ts".to_owned()))
                ),
                (vec![(6, "EXT-X-FOO".to_owned()), (7, "EXT-X-ENDLIST".to_owned())], None),
            ]
        );
    }

    #[test]
    fn takes_every_line_ending_indentation_and_byte_order_mark() {
        let plain = cut("#EXTM3U\n#EXTINF:1,\n,a b.ts\n#EXT-X-ENDLIST\n");
        assert_eq!(plain[0].1, Some((3, ",a b.ts".to_owned())));
        for text in [
            "#EXTM3U\r\n#EXTINF:1,\r\n,a b.ts\r\n#EXT-X-ENDLIST\r\n",
            "#EXTM3U\r#EXTINF:1,\r,a b.ts\r#EXT-X-ENDLIST",
            "\u{feff}#EXTM3U\n  #EXTINF:1,  \n\t,a b.ts \n #EXT-X-ENDLIST",
        ] {
            assert_eq!(cut(text), plain, "{text:?}");
        }
        assert_eq!(cut("\n# made by hand\n #EXTM3U \na.ts")[0].1, Some((4, "a.ts".to_owned())));
    }

    #[test]
    fn survives_batches() {
        let mut text = "#EXTM3U\n".to_owned();
        for index in 0..2_500 {
            let _ = write!(text, "#EXT-X-FOO:{index}\n#EXTINF:1,\n{index}.ts\n");
        }
        let entries = cut(&text);
        assert_eq!(entries.len(), 2_501);
        for (index, (tags, uri)) in entries[..2_500].iter().enumerate() {
            assert_eq!(tags.len(), 2);
            assert_eq!(tags[0].1, format!("EXT-X-FOO:{index}"));
            assert_eq!(*uri, Some((index * 3 + 4, format!("{index}.ts"))));
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let message = |body: &[u8]| entries(body).expect_err("no playlist").to_string();
        assert_eq!(message(b" \n"), "not an HLS playlist: it is empty");
        assert_eq!(
            message(b"<!DOCTYPE html>\n<html>#EXTM3U"),
            "not an HLS playlist: no #EXTM3U on the first line (it starts with `<!DOCTYPE html>`)"
        );
        assert!(message(b"# a comment\n#EXTINF:1,\na.ts").contains("`# a comment`"));
        assert!(message(&[0xff; 100]).ends_with("\u{fffd}…`)"));
        assert!(message(&vec![b'a'; MAX_BYTES + 1]).contains("too large"));
        let many = "#EXTM3U\n".to_owned() + &"a\n".repeat(MAX_SEGMENTS + 1);
        assert_eq!(message(many.as_bytes()), "line 200002: the playlist has more than 200000 segments");
        let many = "#EXTM3U\n".to_owned() + &"#EXT\n".repeat(MAX_LINES + 1);
        assert!(message(many.as_bytes()).contains("more than 1000000 lines"));
    }
}
