// SPDX-License-Identifier: MPL-2.0

//! Reads a corpus of playlists from the wild and compares with what other players' parsers make of
//! them.
//!
//! The corpus is not part of the package. It is looked for in `../shared/corpus/hls`, or in `hls`
//! below `P2PHLS_CORPUS`. `oracle.jsonl` has one row a playlist: what at least two of three
//! independent parsers agree on. Beside many of video.js's playlists stands what its own tests
//! expect of them, which has more: keys, initialisation segments, parts, hints.

use std::path::{Path, PathBuf};

use gstp2phls::manifest::{Manifest, ManifestError, MediaPlaylist, Part, parse};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

#[derive(Deserialize)]
struct Row {
    file: String,
    #[serde(default)]
    agree: Vec<String>,
    expected: Option<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    kind: String,
    /// Target duration in seconds.
    td: Option<f64>,
    /// Media sequence.
    ms: Option<i64>,
    #[serde(default)]
    end: bool,
    /// Discontinuity sequence.
    ds: Option<u64>,
    /// URI, duration, title, and length and offset of the byte range; an offset of -1 is unknown.
    #[serde(default)]
    segs: Vec<Vec<Value>>,
    /// Number of parts, if that was counted.
    #[serde(default)]
    parts: usize,
    /// Number of I-frame variants, if that was counted.
    #[serde(default)]
    iframes: usize,
    /// Each begins with URI and bandwidth; a third element that is true marks an I-frame variant.
    #[serde(default)]
    variants: Vec<Vec<Value>>,
}

fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("P2PHLS_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let hls = root.join("hls");
    hls.join("oracle.jsonl").is_file().then_some(hls)
}

/// The address that the oracle's parsers were given.
fn base() -> Url {
    Url::parse("http://h/p/list.m3u8").expect("a URL")
}

/// The first difference, in words.
fn difference(expected: &Expected, actual: &Manifest) -> Option<String> {
    let base = base();
    let resolve = |uri: &str| base.join(uri).map_or_else(|_| uri.to_owned(), String::from);
    match actual {
        Manifest::Multivariant(actual) => {
            if expected.kind != "master" {
                return Some(format!("a multivariant playlist, expected {}", expected.kind));
            }
            let variants = || expected.variants.iter().filter(|v| v.get(2) != Some(&Value::Bool(true)));
            let (ours, theirs) = (actual.variants.len(), variants().count());
            if ours != theirs {
                return Some(format!("{ours} variants, expected {theirs}"));
            }
            actual.variants.iter().zip(variants()).find_map(|(ours, theirs)| {
                let theirs = resolve(theirs[0].as_str().unwrap_or_default());
                (ours.url.as_str() != theirs).then(|| format!("variant {}, expected {theirs}", ours.url))
            })
        }
        Manifest::Media(actual) => {
            if expected.kind != "media" {
                return Some(format!("a media playlist, expected {}", expected.kind));
            }
            let target = actual.target_duration.as_secs_f64();
            if let Some(td) = expected.td.filter(|td| (td - target).abs() > 0.002) {
                return Some(format!("target duration {target}, expected {td}"));
            }
            if let Some(ms) = expected.ms.filter(|ms| *ms != actual.media_sequence) {
                return Some(format!("media sequence {}, expected {ms}", actual.media_sequence));
            }
            if expected.end != actual.ended {
                return Some(format!("ended {}, expected {}", actual.ended, expected.end));
            }
            let (ours, theirs) = (actual.segments.len(), expected.segs.len());
            if ours != theirs {
                return Some(format!("{ours} segments, expected {theirs}"));
            }
            actual.segments.iter().zip(&expected.segs).find_map(|(ours, theirs)| {
                let (uri, duration) = (theirs[0].as_str().unwrap_or_default(), theirs[1].as_f64());
                let theirs = resolve(uri);
                if ours.url.as_str() != theirs {
                    return Some(format!("segment {}, expected {theirs}", ours.url));
                }
                let seconds = ours.duration.as_secs_f64();
                duration
                    .filter(|duration| (duration - seconds).abs() > 0.002)
                    .map(|duration| format!("{uri} takes {seconds} s, expected {duration}"))
            })
        }
    }
}

/// Differences in what only some of the parsers report.
fn finer_difference(expected: &Expected, actual: &Manifest) -> Option<String> {
    let differ = |what: &str, ours: String, theirs: String| {
        (ours != theirs).then(|| format!("{what} {ours}, expected {theirs}"))
    };
    let actual = match actual {
        Manifest::Multivariant(actual) => {
            let (ours, theirs) = (actual.i_frame_variants.len(), expected.iframes);
            return differ("I-frame variants", ours.to_string(), theirs.to_string()).filter(|_| theirs > 0);
        }
        Manifest::Media(actual) => actual,
    };
    if let Some(ds) = expected.ds.filter(|ds| *ds != actual.discontinuity_sequence) {
        return Some(format!("discontinuity sequence {}, expected {ds}", actual.discontinuity_sequence));
    }
    // Those of the segment in progress were not counted.
    let parts: usize = actual.segments.iter().map(|segment| segment.parts.len()).sum();
    if expected.parts > 0 && parts != expected.parts {
        return Some(format!("{parts} parts, expected {}", expected.parts));
    }
    actual.segments.iter().zip(&expected.segs).find_map(|(ours, theirs)| {
        let range = theirs.get(3)?.as_array()?;
        let (length, offset) = (range.first()?.as_u64()?, range.get(1)?.as_u64());
        let ours = ours.byte_range.map(|range| (range.length, offset.map(|_| range.offset)));
        differ("byte range", format!("{ours:?}"), format!("{:?}", Some((length, offset))))
    })
}

#[test]
fn agrees_with_other_parsers() {
    let Some(corpus) = corpus() else {
        println!("skipped: there is no corpus (P2PHLS_CORPUS)");
        return;
    };
    let rows = std::fs::read_to_string(corpus.join("oracle.jsonl")).expect("the oracle");
    let (mut compared, mut headless) = (0, Vec::new());
    let (mut differences, mut finer) = (Vec::new(), Vec::new());
    for row in rows.lines() {
        let row: Row = serde_json::from_str(row).expect("a row of the oracle");
        let Ok(body) = std::fs::read(corpus.join(&row.file)) else { continue };
        // All are parsed, even those that nobody agrees on: none may panic.
        let actual = parse(&base(), &body);
        let Some(expected) = row.expected.filter(|_| row.agree.len() >= 2) else { continue };
        compared += 1;
        match actual {
            Ok(actual) => match difference(&expected, &actual) {
                Some(what) => differences.push(format!("{}: {what}", row.file)),
                None => {
                    finer.extend(
                        finer_difference(&expected, &actual).map(|what| format!("{}: {what}", row.file)),
                    );
                }
            },
            Err(ManifestError::NoHeader { .. } | ManifestError::Empty) => headless.push(row.file),
            Err(error) => differences.push(format!("{}: {error}", row.file)),
        }
    }
    assert!(compared > 0, "the oracle has no rows to compare");

    let percent = |wrong: usize, of: usize| 100.0 * (of - wrong) as f64 / of as f64;
    let overall = percent(differences.len() + headless.len(), compared);
    let with_header = percent(differences.len(), compared - headless.len());
    println!("{compared} playlists compared: {overall:.2} % agree");
    println!("without the {} refused for want of #EXTM3U: {with_header:.2} %", headless.len());
    headless.iter().for_each(|file| println!("  refused: {file}"));
    differences.iter().for_each(|what| println!("  differs: {what}"));
    println!("byte ranges, parts, discontinuities, I-frame variants: {} differ", finer.len());
    finer.iter().for_each(|what| println!("  differs: {what}"));
    assert!(overall >= 99.5);
    assert!(percent(finer.len(), compared) >= 99.5);
    assert!(with_header >= 99.5);
}

/// What video.js's tests expect of one of its playlists, as lines that can be compared.
fn expected_lines(expected: &Value) -> Vec<String> {
    let base = base();
    let url = |uri: &Value| base.join(uri.as_str().unwrap_or_default()).map(String::from).unwrap_or_default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let open = &expected["preloadSegment"];
    let mut lines = Vec::new();
    for segment in list(&expected["segments"]).iter().chain([open]) {
        if segment["uri"].is_string() {
            lines.push(format!(
                "{}: map {} key {} at {} timeline {}",
                url(&segment["uri"]),
                if segment["map"].is_object() { url(&segment["map"]["uri"]) } else { "-".to_owned() },
                if segment["key"].is_object() { url(&segment["key"]["uri"]) } else { "-".to_owned() },
                segment["programDateTime"].as_f64().map_or("-".to_owned(), |time| format!("{time:.0}")),
                segment["timeline"],
            ));
        }
        for part in list(&segment["parts"]) {
            let independent = part["independent"].as_bool().unwrap_or(false);
            let range = part["byterange"]["length"]
                .as_u64()
                .map(|length| (part["byterange"]["offset"].as_u64().unwrap_or_default(), length));
            lines.push(format!("part {} {} {independent} {range:?}", url(&part["uri"]), part["duration"]));
        }
        let known = |hint: &&Value| hint["type"] == "PART" || hint["type"] == "MAP";
        for hint in list(&segment["preloadHints"]).iter().filter(known) {
            lines.push(format!("hint {} {}", hint["type"].as_str().unwrap_or_default(), url(&hint["uri"])));
        }
    }
    for report in list(&expected["renditionReports"]) {
        lines.push(format!("report {} {} {}", url(&report["uri"]), report["lastMsn"], report["lastPart"]));
    }
    lines.push(format!("skipped {}", expected["skip"]["skippedSegments"].as_u64().unwrap_or(0)));
    lines
}

fn actual_lines(actual: &MediaPlaylist, clocks: bool) -> Vec<String> {
    let number = |number: Option<i64>| number.map_or("null".to_owned(), |number| number.to_string());
    let part = |part: &Part| {
        let range = part.byte_range.map(|range| (range.offset, range.length));
        let duration = serde_json::json!(part.duration.as_secs_f64());
        format!("part {} {duration} {} {range:?}", part.url, part.independent)
    };
    let mut lines = Vec::new();
    for segment in &actual.segments {
        let clock = segment.program_date_time.filter(|_| clocks);
        lines.push(format!(
            "{}: map {} key {} at {} timeline {}",
            segment.url,
            segment.init.as_ref().map_or("-", |init| init.url.as_str()),
            segment.key.as_ref().and_then(|key| key.uri.as_ref()).map_or("-", |uri| uri.as_str()),
            clock.map_or("-".to_owned(), |clock| format!("{:.0}", clock.as_secs_f64() * 1_000.0)),
            segment.discontinuity_sequence,
        ));
        lines.extend(segment.parts.iter().map(part));
    }
    lines.extend(actual.open.iter().flat_map(|open| &open.parts).map(part));
    for hint in &actual.preload_hints {
        lines.push(format!("hint {} {}", format!("{:?}", hint.kind).to_uppercase(), hint.url));
    }
    for report in &actual.rendition_reports {
        let part = report.last_part.and_then(|part| part.try_into().ok());
        lines.push(format!("report {} {} {}", report.url, number(report.last_sequence), number(part)));
    }
    lines.push(format!("skipped {}", actual.skipped));
    lines
}

#[test]
fn reads_the_finer_points_as_video_js_does() {
    let Some(corpus) = corpus() else {
        println!("skipped: there is no corpus (P2PHLS_CORPUS)");
        return;
    };
    let folder = corpus.join("videojs-m3u8-parser/integration");
    let (mut compared, mut differing) = (0, Vec::new());
    for entry in std::fs::read_dir(&folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".expected.json"))
        else {
            continue;
        };
        let expected = std::fs::read(&path).expect("a file");
        let expected: Value = serde_json::from_slice(&expected).expect("JSON");
        let body = std::fs::read(folder.join(name).with_extension("m3u8")).expect("the playlist");
        let Ok(Manifest::Media(actual)) = parse(&base(), &body) else { continue };
        compared += 1;
        let clocks = expected["segments"]
            .as_array()
            .is_some_and(|all| all.iter().any(|segment| segment["programDateTime"].is_number()));
        let (mut ours, mut theirs) = (actual_lines(&actual, clocks), expected_lines(&expected));
        if name == "llhls-delta-byte-range" {
            // Where the range of a segment's first part begins: after the last part (RFC 8216bis
            // 4.4.4.9), not at zero.
            for lines in [&mut ours, &mut theirs] {
                let part = lines.iter().rposition(|line| line.starts_with("part")).expect("a part");
                lines.remove(part);
            }
        }
        if ours != theirs {
            let first = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
            differing.push(format!("{name}: {} and {} lines, {first:#?}", ours.len(), theirs.len()));
        }
    }
    println!("{compared} playlists compared, {} differ", differing.len());
    differing.iter().for_each(|what| println!("  {what}"));
    assert!(compared > 40 && differing.is_empty());
}
