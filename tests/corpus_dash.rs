// SPDX-License-Identifier: MPL-2.0

//! Reads a corpus of MPDs from the wild and compares with what videojs/mpd-parser makes of them.
//!
//! The corpus is not part of the package. It is looked for in `../shared/corpus/dash`, or in `dash`
//! below `P2PHLS_CORPUS`. `oracle.jsonl` has one row an MPD. Where mpd-parser answers another question
//! (it knows no availability offset, and plays some types only), it is asked the same of ours; where it is
//! wrong, the difference is told with its reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gstp2phls::manifest::dash::{
    AdaptationSet, Base, Document, Index, Kind, Mpd, Offset, Period, PlaylistError, Representation, Source,
    Stream,
};
use gstp2phls::manifest::{Segment, Timeline};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

#[derive(Deserialize)]
struct Row {
    file: String,
    mpdparser: Expected,
}

#[derive(Deserialize)]
struct Expected {
    err: Option<String>,
    /// Milliseconds.
    now: Option<f64>,
    /// Seconds.
    duration: Option<f64>,
    /// Milliseconds.
    mup: Option<f64>,
    #[serde(default)]
    video: Vec<Track>,
    #[serde(default)]
    audio: Vec<Track>,
    #[serde(default)]
    text: Vec<Track>,
    #[serde(default)]
    loc: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Track {
    id: Option<String>,
    bw: Option<f64>,
    n: usize,
    /// Address, duration, number of its discontinuity, and first and last byte.
    first: Option<(Option<String>, Option<f64>, Value, Value)>,
    last: Option<String>,
    sidx: bool,
}

/// A representation over all periods, as mpd-parser puts them together.
#[derive(Debug, Default)]
struct Ours {
    id: String,
    bandwidth: u64,
    count: u64,
    first: Option<(String, f64)>,
    last: Option<String>,
    indexed: bool,
    /// The file at the base is all there is.
    whole: bool,
}

fn corpus() -> Option<PathBuf> {
    let root = std::env::var_os("P2PHLS_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"), PathBuf::from);
    let dash = root.join("dash");
    dash.join("oracle.jsonl").is_file().then_some(dash)
}

/// The address that mpd-parser was given.
fn base() -> Url {
    Url::parse("http://h/p/manifest.mpd").expect("a URL")
}

/// The segments that mpd-parser lists: all that stand in the MPD, and of those that do not those that
/// are there at `now`.
fn listed(
    mpd: &Mpd,
    period: &Period,
    representation: &Representation,
    index: &Index,
    now: Duration,
) -> (u64, u64) {
    let computed = !index.is_listed() && representation.addressing.timing.duration.is_some();
    if mpd.dynamic && computed && matches!(representation.addressing.source, Source::Template(_)) {
        // It knows no availability time offset.
        let mut plain = representation.clone();
        plain.addressing.timing.availability_offset = Offset::None;
        let without = |base: &Base| Base { availability_offset: Offset::None, ..base.clone() };
        plain.bases = representation.bases.iter().map(without).collect();
        let available = mpd.available(period, &plain, index, now);
        (available.first, available.end)
    } else {
        (0, index.count().unwrap_or(0))
    }
}

/// What mpd-parser plays: it goes by these types, or by what the set says that it contains.
fn is_taken(kind: Kind, set: &AdaptationSet, representation: &Representation) -> bool {
    let (known, content): (&[&str], _) = match kind {
        Kind::Video => (&["video/mp4", "video/webm"], "video"),
        Kind::Audio => (&["audio/mp4", "audio/webm"], "audio"),
        _ => (&["text/vtt"], "text"),
    };
    let by_type = representation.mime_type.as_deref().is_some_and(|mime_type| known.contains(&mime_type));
    by_type || set.content_type.as_deref() == Some(content)
}

fn tracks(mpd: &Mpd, kind: Kind, now: Duration) -> Result<Vec<Ours>, String> {
    let mut tracks: Vec<Ours> = Vec::new();
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for period in &mpd.periods {
        for set in period.adaptation_sets.iter().filter(|set| set.kind == kind) {
            for representation in set.representations.iter().filter(|r| is_taken(kind, set, r)) {
                for base in representation.bases.iter() {
                    let index = representation.index(period);
                    let (first, end) = listed(mpd, period, representation, &index, now);
                    let indexed = matches!(representation.addressing.source, Source::Indexed { .. });
                    let address = |index: &Index, at: u64| -> Result<Option<(String, f64)>, String> {
                        let Some(segment) = index.get(at) else { return Ok(None) };
                        let address = representation.segment(base, &segment).map_err(|e| e.to_string())?;
                        Ok(Some((address.url.into(), segment.duration as f64 / 1e9)))
                    };
                    let (mut head, mut last, mut count) = (None, None, 0);
                    if !indexed && end > first {
                        count = end - first;
                        head = address(&index, first)?;
                        last = address(&index, end - 1)?.map(|(url, _)| url);
                    }
                    let language = set.language.clone().unwrap_or_default();
                    let key = (base.url.to_string(), format!("{}{language}", representation.id));
                    let place = *places.entry(key).or_insert_with(|| {
                        tracks.push(Ours {
                            id: representation.id.to_string(),
                            bandwidth: representation.bandwidth,
                            indexed,
                            whole: matches!(representation.addressing.source, Source::Whole),
                            ..Ours::default()
                        });
                        tracks.len() - 1
                    });
                    let track = &mut tracks[place];
                    track.count += count;
                    track.first = track.first.take().or(head);
                    track.last = last.or(track.last.take());
                }
            }
        }
    }
    Ok(tracks)
}

fn compare(theirs: &[Track], ours: &[Ours]) -> Result<(), String> {
    // A JavaScript object puts keys that look like numbers first, so the order says nothing.
    let (mut ours, mut theirs): (Vec<_>, Vec<_>) = (ours.iter().collect(), theirs.iter().collect());
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    ours.sort_by_key(|t| (t.id.clone(), text(t.first.as_ref().map(|(url, _)| url))));
    theirs.sort_by_key(|t| (text(t.id.as_ref()), text(t.first.as_ref().and_then(|first| first.0.as_ref()))));
    let names: Vec<_> = ours.iter().map(|t| t.id.as_str()).collect();
    if ours.len() != theirs.len() {
        let wanted: Vec<_> = theirs.iter().map(|t| t.id.as_deref().unwrap_or("-")).collect();
        return Err(format!("representations {names:?}, expected {wanted:?}"));
    }
    for (ours, theirs) in ours.iter().zip(theirs) {
        let name = &ours.id;
        if theirs.id.as_deref().unwrap_or_default() != ours.id {
            return Err(format!("representation {name}, expected {:?}", theirs.id));
        }
        if theirs.bw.unwrap_or(0.0) as u64 != ours.bandwidth {
            return Err(format!("{name}: bandwidth {}, expected {:?}", ours.bandwidth, theirs.bw));
        }
        if theirs.sidx != ours.indexed {
            return Err(format!("{name}: indexed {}, expected {}", ours.indexed, theirs.sidx));
        }
        if ours.whole && theirs.n == 0 {
            // Where the MPD says nothing of segments it lists none, and has its caller take the base.
            continue;
        }
        if theirs.n as u64 != ours.count {
            return Err(format!("{name}: {} segments, expected {}", ours.count, theirs.n));
        }
        if theirs.n == 0 {
            continue;
        }
        let Some((url, duration, ..)) = &theirs.first else { continue };
        let Some(first) = &ours.first else { return Err(format!("{name}: no first segment")) };
        if url.as_ref().is_some_and(|url| *url != first.0) {
            return Err(format!("{name}: first segment {}, expected {url:?}", first.0));
        }
        if duration.is_some_and(|duration| (duration - first.1).abs() > 0.002) {
            return Err(format!("{name}: the first takes {} s, expected {duration:?}", first.1));
        }
        if theirs.last.is_some() && theirs.last != ours.last {
            return Err(format!("{name}: last segment {:?}, expected {:?}", ours.last, theirs.last));
        }
    }
    Ok(())
}

fn difference(expected: &Expected, mpd: &Mpd) -> Result<(), String> {
    let now = Duration::try_from_secs_f64(expected.now.unwrap_or(0.0) / 1_000.0).unwrap_or_default();
    let duration = mpd.duration.map_or(0.0, |duration| duration.as_secs_f64());
    if expected.duration.is_some_and(|theirs| (theirs - duration).abs() > 0.002) {
        return Err(format!("duration {duration}, expected {:?}", expected.duration));
    }
    let period = mpd.minimum_update_period.map(|period| period.as_secs_f64() * 1_000.0);
    if expected.mup.is_some_and(|theirs| period.is_none_or(|ours| (theirs - ours).abs() > 1.0)) {
        return Err(format!("update period {period:?}, expected {:?}", expected.mup));
    }
    let locations: Vec<_> = mpd.locations.iter().map(|l| l.url.to_string()).collect();
    let resolve = |location: &String| base().join(location).map_or_else(|_| location.clone(), String::from);
    if !expected.loc.is_empty() && locations != expected.loc.iter().map(resolve).collect::<Vec<_>>() {
        return Err(format!("locations {locations:?}, expected {:?}", expected.loc));
    }
    compare(&expected.video, &tracks(mpd, Kind::Video, now)?)?;
    compare(&expected.audio, &tracks(mpd, Kind::Audio, now)?)?;
    if !expected.text.is_empty() {
        compare(&expected.text, &tracks(mpd, Kind::Text, now)?)?;
    }
    Ok(())
}

/// Why an MPD may differ, where what mpd-parser makes of it is not what the standard says, or what is
/// asked is not the same. `docs/dash.md` has the list.
fn reason(text: &str, mpd: &Mpd) -> Option<&'static str> {
    let root =
        text.split_once("<MPD").and_then(|(_, rest)| rest.split_once('>')).map_or("", |(root, _)| root);
    let sets = || mpd.periods.iter().flat_map(|period| &period.adaptation_sets);
    let representations = || sets().flat_map(|set| &set.representations);
    let numbered = |r: &Representation| {
        matches!(r.addressing.source, Source::Template(_)) && r.addressing.timing.timeline.is_none()
    };
    // A last segment of next to nothing, as comes of rounding a duration, or of dividing in floats.
    let sliver = |period: &Period, r: &Representation| {
        let (Some(length), Some(ticks)) = (period.length(), r.addressing.timing.duration) else {
            return false;
        };
        let (seconds, scale) = (length as f64 / 1e9, r.addressing.timing.timescale as f64);
        let segments = seconds / (ticks as f64 / scale);
        let theirs = segments.ceil() as u64;
        numbered(r) && r.index(period).count().is_some_and(|ours| ours + 1 == theirs)
    };
    let timelines_at_two_levels = || {
        text.split("<AdaptationSet").skip(1).any(|set| {
            let (own, below) = set.split_once("<Representation").unwrap_or((set, ""));
            own.contains("<SegmentTimeline") && below.contains("<SegmentTimeline")
        })
    };
    let absolute = text.split("<BaseURL").skip(1).filter(|base| {
        let address = base.split_once('>').map_or("", |(_, address)| address.trim_start());
        address.starts_with("http:") || address.starts_with("https:")
    });
    if root.contains(" duration=") {
        Some("MPD@duration, which does not exist, is taken for a segment's duration")
    } else if text.contains("$SubNumber$") {
        Some("$SubNumber$ is not read")
    } else if text.contains("<Pattern") {
        Some("patterns are read by neither")
    } else if text.contains("UrlQueryInfo") {
        Some("queries are not added")
    } else if mpd
        .periods
        .iter()
        .any(|p| p.adaptation_sets.iter().flat_map(|set| &set.representations).any(|r| sliver(p, r)))
    {
        Some("a last segment of no length is counted")
    } else if sets().any(|set| {
        set.kind == Kind::Text
            && set.representations.iter().any(|r| matches!(r.addressing.source, Source::Indexed { .. }))
    }) {
        Some("the index of subtitles is not read")
    } else if mpd.dynamic && mpd.periods.iter().any(|p| p.end.is_some()) && representations().any(numbered) {
        Some("the end of a live period is not heeded")
    } else if representations()
        .any(|r| r.addressing.timing.timeline.is_some() && r.addressing.timing.duration.is_some())
    {
        Some("a duration counts more than a timeline")
    } else if mpd.periods.len() > 1
        && mpd.periods.iter().any(|p| p.duration.is_none())
        && representations().any(numbered)
    {
        Some("a period without a duration is taken to be as long as the presentation")
    } else if representations()
        .any(|r| r.addressing.timing.end_number.is_some() && r.addressing.timing.start_number != 1)
    {
        Some("endNumber is taken for a count")
    } else if mpd.availability_end.is_some() {
        Some("availabilityEndTime is not heeded")
    } else if timelines_at_two_levels() {
        Some("timelines of two levels are put one behind the other")
    } else if absolute.count() > 1 && representations().any(|r| r.bases.len() > 1) {
        Some("an absolute BaseURL is counted for each above it")
    } else {
        None
    }
}

#[test]
fn agrees_with_mpd_parser() {
    let Some(corpus) = corpus() else {
        println!("skipped: there is no corpus (P2PHLS_CORPUS)");
        return;
    };
    let rows = std::fs::read_to_string(corpus.join("oracle.jsonl")).expect("the oracle");
    let (mut compared, mut refused, mut differences) = (0, Vec::new(), Vec::new());
    let mut others = Vec::new();
    for row in rows.lines() {
        let row: Row = serde_json::from_str(row).expect("a row of the oracle");
        let Ok(body) = std::fs::read(corpus.join(&row.file)) else { continue };
        // All are read, even those that mpd-parser refuses: none may panic.
        let document = Document::parse(&base(), &body);
        if row.mpdparser.err.is_some() {
            others.push(document.is_ok());
            continue;
        }
        compared += 1;
        match document {
            Ok(document) => {
                if let Err(what) = difference(&row.mpdparser, document.mpd()) {
                    let reason = reason(&String::from_utf8_lossy(&body), document.mpd());
                    differences.push((format!("{}: {what}", row.file), reason));
                }
            }
            Err(error) => refused.push(format!("{}: {error}", row.file)),
        }
    }
    let percent = |wrong: usize| 100.0 * (compared - wrong) as f64 / compared as f64;
    let unexplained = differences.iter().filter(|(_, reason)| reason.is_none()).count() + refused.len();
    println!("{compared} MPDs compared, {} refused, {} differ", refused.len(), differences.len());
    println!("{:.2} % agree as they are", percent(differences.len() + refused.len()));
    println!("{:.2} % without those where mpd-parser departs from the standard", percent(unexplained));
    let read = others.iter().filter(|read| **read).count();
    println!("of the {} that mpd-parser refuses {read} are read", others.len());
    refused.iter().for_each(|what| println!("  refused: {what}"));
    differences.iter().for_each(|(what, reason)| println!("  differs: {what} ({})", reason.unwrap_or("?")));
    assert!(compared > 0, "the oracle has no rows to compare");
    assert!(refused.is_empty());
    assert!(percent(differences.len()) >= 90.0);
    assert!(percent(unexplained) >= 99.0);
}

/// The rest of the road: what there is to choose, and the playlists of it. None may fail or panic, and
/// none that has segments may lose them.
#[test]
fn everything_becomes_playlists() {
    let Some(corpus) = corpus() else {
        println!("skipped: there is no corpus (P2PHLS_CORPUS)");
        return;
    };
    let rows = std::fs::read_to_string(corpus.join("oracle.jsonl")).expect("the oracle");
    let (mut tracks, mut segments, mut indexes, mut failed) = (0, 0, 0, Vec::new());
    for row in rows.lines() {
        let row: Row = serde_json::from_str(row).expect("a row of the oracle");
        let Ok(body) = std::fs::read(corpus.join(&row.file)) else { continue };
        let Ok(document) = Document::parse(&base(), &body) else { continue };
        let now = Duration::try_from_secs_f64(row.mpdparser.now.unwrap_or(0.0) / 1_000.0).unwrap_or_default();
        let mut stream = Stream::new(document.mpd().clone());
        let presentation = stream.presentation();
        let renditions = presentation.renditions.iter().filter_map(|rendition| rendition.url.clone());
        let urls: Vec<_> = presentation.variants.iter().map(|v| v.url.clone()).chain(renditions).collect();
        for url in urls {
            tracks += 1;
            match stream.playlist(&url, now) {
                Ok(playlist) => {
                    segments += playlist.segments.len();
                    let follow = |pair: &[Segment]| pair[0].sequence + 1 == pair[1].sequence;
                    assert!(playlist.segments.windows(2).all(follow), "{}", row.file);
                    let timeline = Timeline::new(playlist);
                    assert!(timeline.window().0 <= timeline.window().1);
                }
                Err(PlaylistError::NeedsIndex(_)) => indexes += 1,
                Err(error) => failed.push(format!("{}: {error}", row.file)),
            }
        }
    }
    println!(
        "{tracks} tracks, {segments} segments, {indexes} indexes to be loaded first, {} failed",
        failed.len()
    );
    failed.iter().for_each(|what| println!("  failed: {what}"));
    assert!(tracks > 0 && segments > tracks && failed.len() * 100 <= tracks);
}
