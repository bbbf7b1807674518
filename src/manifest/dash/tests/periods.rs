// SPDX-License-Identifier: MPL-2.0

use super::*;

/// Milliseconds.
fn spans(text: &str) -> Vec<(Option<i64>, Option<i64>)> {
    let milliseconds = |nanos: Option<i64>| nanos.map(|nanos| nanos / 1_000_000);
    mpd(text).periods.iter().map(|p| (milliseconds(p.start), milliseconds(p.end))).collect()
}

#[test]
fn periods_are_placed() {
    for (text, wanted) in [
        ("<MPD><Period/></MPD>", vec![(Some(0), None)]),
        ("<MPD mediaPresentationDuration=\"PT9S\"><Period/></MPD>", vec![(Some(0), Some(9_000))]),
        (
            "<MPD mediaPresentationDuration=\"PT9S\"><Period duration=\"PT2S\"/><Period duration=\"PT3S\"/><Period/></MPD>",
            vec![(Some(0), Some(2_000)), (Some(2_000), Some(5_000)), (Some(5_000), Some(9_000))],
        ),
        // The next one's start counts, and a duration that ends before it.
        (
            "<MPD><Period start=\"PT1S\" duration=\"PT9S\"/><Period start=\"PT5S\"/><Period start=\"PT9S\" duration=\"PT1S\"/></MPD>",
            vec![(Some(1_000), Some(5_000)), (Some(5_000), Some(9_000)), (Some(9_000), Some(10_000))],
        ),
        (
            "<MPD><Period start=\"PT0S\" duration=\"PT2S\"/><Period start=\"PT5S\"/></MPD>",
            vec![(Some(0), Some(2_000)), (Some(5_000), None)],
        ),
        // Announced, but not placed.
        (
            "<MPD type=\"dynamic\"><Period start=\"PT1S\"/><Period id=\"early\"/></MPD>",
            vec![(Some(1_000), None), (None, None)],
        ),
        // Going backwards.
        (
            "<MPD><Period start=\"PT9S\"/><Period start=\"PT5S\" duration=\"PT1S\"/></MPD>",
            vec![(Some(9_000), Some(9_000)), (Some(5_000), Some(6_000))],
        ),
    ] {
        assert_eq!(spans(text), wanted, "{text}");
    }
}

fn set(language: &str, representations: &[(&str, u64)]) -> String {
    let all: String = representations
        .iter()
        .map(|(id, bandwidth)| format!("<Representation id=\"{id}\" bandwidth=\"{bandwidth}\"/>"))
        .collect();
    format!(
        "<AdaptationSet mimeType=\"video/mp4\" lang=\"{language}\"><SegmentTemplate media=\"$RepresentationID$-$Number$\" duration=\"5\"/>{all}</AdaptationSet>"
    )
}

#[test]
fn representations_of_several_periods_are_one_track() {
    let period = |inner: &str| format!("<Period duration=\"PT5S\">{inner}</Period>");
    let text = format!(
        "<MPD mediaPresentationDuration=\"PT20S\">{}{}{}{}</MPD>",
        period(&set("en", &[("lo", 1), ("hi", 9)])),
        // An advertisement with other ids.
        period(&set("en", &[("ad-lo", 2), ("ad-hi", 8)])),
        // One with a single quality, in another language.
        period(&set("de", &[("only", 3)])),
        period(&set("en", &[("hi", 9), ("lo", 1)])),
    );
    let mut stream = stream(&text);
    let names: Vec<_> = stream.tracks().iter().map(|track| track.name.clone()).collect();
    assert_eq!(names, ["video/lo", "video/hi", "video/only"]);
    let urls: Vec<Url> = stream.presentation().variants.iter().map(|v| v.url.clone()).collect();
    let mut of = |at: usize| list(&stream.playlist(&urls[at], Duration::ZERO).expect("a playlist"));
    assert_eq!(of(0), ["lo-1 5", "ad-lo-1 5", "only-1 5", "lo-1 5"]);
    assert_eq!(of(1), ["hi-1 5", "ad-hi-1 5", "only-1 5", "hi-1 5"]);
}

#[test]
fn periods_are_discontinuities_unless_they_say_otherwise() {
    let period = |id: &str, inner: &str| {
        format!(
            "<Period id=\"{id}\" duration=\"PT5S\"><AdaptationSet mimeType=\"video/mp4\">{inner}\
                 <SegmentTemplate media=\"$Number$\" duration=\"5\"/><Representation id=\"v\"/></AdaptationSet></Period>"
        )
    };
    let continues =
        "<SupplementalProperty schemeIdUri=\"urn:mpeg:dash:period-continuity:2015\" value=\"a\"/>";
    let text = format!(
        "<MPD mediaPresentationDuration=\"PT15S\">{}{}{}</MPD>",
        period("a", ""),
        period("b", continues),
        period("c", "")
    );
    let playlist = playlist(&text);
    let numbers: Vec<_> = playlist.segments.iter().map(|s| (s.sequence, s.discontinuity_sequence)).collect();
    assert_eq!(numbers, [(0, 0), (1, 0), (2, 1)]);
}

#[test]
fn a_period_without_the_track_is_a_gap() {
    let video = set("", &[("v", 1)]);
    let audio = "<AdaptationSet mimeType=\"audio/mp4\"><SegmentTemplate media=\"a-$Number$\" duration=\"5\"/><Representation id=\"a\"/></AdaptationSet>";
    let text = format!(
        "<MPD mediaPresentationDuration=\"PT15S\"><Period duration=\"PT5S\">{video}{audio}</Period>\
         <Period duration=\"PT5S\">{video}</Period><Period duration=\"PT5S\">{video}{audio}</Period></MPD>"
    );
    let mut stream = stream(&text);
    let audio = stream.presentation().renditions[0].url.clone().expect("an address");
    let playlist = stream.playlist(&audio, Duration::ZERO).expect("a playlist");
    assert_eq!(list(&playlist), ["a-1 5", "gap 5", "a-1 5"]);
}

#[test]
fn remote_elements_are_put_in() {
    let remote = "<Period xlink:href=\"ad.xml\" xlink:actuate=\"onLoad\" id=\"r\"><AdaptationSet mimeType=\"video/mp4\">\
        <Representation id=\"slate\"/></AdaptationSet></Period>";
    let text = format!(
        "<MPD mediaPresentationDuration=\"PT9S\"><Period id=\"a\" duration=\"PT1S\"/>{remote}\
         <Period xlink:href=\"urn:mpeg:dash:resolve-to-zero:2013\"/></MPD>"
    );
    let ids = |document: &Document| -> Vec<_> {
        document.mpd().periods.iter().map(|p| p.id.clone().unwrap_or_default()).collect()
    };
    let whole = document(&text);
    assert_eq!(ids(&whole), ["a", "r"]);
    assert!(whole.mpd().periods[1].remote);
    let links = whole.links();
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].url.as_str(), links[0].on_load), ("http://h/p/ad.xml", true));

    let mut document = whole.clone();
    let body = "<?xml version=\"1.0\"?>\n<Period id=\"x\" duration=\"PT1S\"/><Period id=\"y\"/><Other/>";
    document.resolve(&links[0], Some(body.as_bytes())).expect("resolved");
    assert_eq!(ids(&document), ["a", "x", "y"]);
    assert_eq!(document.links(), []);

    // What cannot be had is taken as it stands; what is broken leaves everything as it was.
    let mut document = whole.clone();
    document.resolve(&links[0], Some(b"<Period>")).expect_err("cut short");
    assert_eq!(document, whole);
    document.resolve(&links[0], None).expect("as it is");
    assert_eq!((ids(&document), document.links().len()), (vec!["a".to_owned(), "r".to_owned()], 0));

    // Round in circles, but not for ever.
    let mut document = whole;
    let mut turns = 0;
    while let Some(link) = document.links().first().cloned() {
        document.resolve(&link, Some(remote.as_bytes())).expect("resolved");
        turns += 1;
        assert!(turns < 20);
    }
}
