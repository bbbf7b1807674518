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

/// The period that has given the tracks their names goes, and then some of the tracks.
#[test]
fn tracks_stay_while_periods_go() {
    /// Its start in seconds, and its representations.
    type Period<'a> = (u64, &'a [(&'a str, u64)]);
    let live = |periods: &[Period]| {
        let period = |(start, all): &Period| {
            format!("<Period id=\"{start}\" start=\"PT{start}S\">{}</Period>", set("en", all))
        };
        let all: String = periods.iter().map(period).collect();
        mpd(&format!("<MPD type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:00Z\">{all}</MPD>"))
    };
    let first: Period = (0, &[("lo", 1), ("hi", 9)]);
    let second: Period = (10, &[("b-hi", 8), ("b-lo", 2)]);
    let mut stream = Stream::new(live(&[first, second]));
    let urls: Vec<Url> = stream.presentation().variants.iter().map(|v| v.url.clone()).collect();
    let now = Duration::from_secs(20);
    let of = |stream: &mut Stream, at: usize| {
        let playlist = stream.playlist(&urls[at], now).expect("a playlist");
        (playlist.media_sequence, list(&playlist))
    };
    assert_eq!(of(&mut stream, 1).1, ["hi-1 5", "hi-2 5", "b-hi-1 5", "b-hi-2 5"]);
    assert!(stream.update(live(&[second])));
    let listed = |sequence, names: [&str; 2]| (sequence, names.map(str::to_owned).to_vec());
    assert_eq!(of(&mut stream, 0), listed(2, ["b-lo-1 5", "b-lo-2 5"]));
    assert_eq!(of(&mut stream, 1), listed(2, ["b-hi-1 5", "b-hi-2 5"]));
    // What comes closest is played instead of one that is gone.
    assert!(stream.update(live(&[(10, &[("b-lo", 2)])])));
    assert_eq!(of(&mut stream, 1), listed(2, ["b-lo-1 5", "b-lo-2 5"]));
    assert_eq!(stream.presentation().variants.len(), 1);
}

/// What a later MPD adds is offered, and what is gone is not, while addresses and places stay.
#[test]
fn what_is_offered_changes() {
    let live = |representations: &[(&str, u64)]| {
        let set = set("en", representations);
        mpd(&format!(
            "<MPD type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:00Z\"><Period start=\"PT0S\">{set}</Period></MPD>"
        ))
    };
    let mut stream = Stream::new(live(&[("lo", 1), ("hi", 9)]));
    let mut presentation = stream.presentation();
    let mut take = |offered: &[(&str, u64)]| {
        assert!(stream.update(live(offered)));
        let gone = presentation.take_up(stream.presentation());
        let bandwidths: Vec<u64> = presentation.variants.iter().map(|variant| variant.bandwidth).collect();
        let mut of =
            |url: &Url| list(&stream.playlist(url, Duration::from_secs(10)).expect("a playlist"))[0].clone();
        let first: Vec<String> = presentation.variants.iter().map(|variant| of(&variant.url)).collect();
        (bandwidths, first, gone.into_iter().collect::<Vec<_>>())
    };
    let names = |names: &[&str]| names.iter().map(|name| format!("{name}-1 5")).collect::<Vec<_>>();
    assert_eq!(take(&[("lo", 1), ("hi", 9)]), (vec![1, 9], names(&["lo", "hi"]), vec![]));
    let with_more = (vec![1, 9, 5, 20], names(&["lo", "hi", "mid", "top"]), vec![]);
    assert_eq!(take(&[("lo", 1), ("mid", 5), ("hi", 9), ("top", 20)]), with_more);
    let without_one = (vec![1, 9, 5, 20], names(&["lo", "mid", "mid", "top"]), vec![1]);
    assert_eq!(take(&[("lo", 1), ("mid", 5), ("top", 20)]), without_one);
    assert_eq!(take(&[("mid", 5)]), (vec![1, 9, 5, 20], names(&["mid"; 4]), vec![0, 1, 3]));
    assert_eq!(take(&[("lo", 2), ("hi", 9), ("mid", 5)]).2, [3], "what has gone may come again");
}

/// A track that begins later than the presentation has a gap before it.
#[test]
fn all_tracks_of_a_static_presentation_begin_together() {
    let text = video(
        "<SegmentTemplate media=\"$Time$\" presentationTimeOffset=\"5\"><SegmentTimeline><S t=\"7\" d=\"4\" r=\"1\"/>\
         </SegmentTimeline></SegmentTemplate><Representation id=\"v\"/>",
    );
    let playlist = playlist(&text);
    assert_eq!(list(&playlist), ["gap 2", "7 4", "11 4"]);
    assert_eq!(playlist.first_time, Some(0));
    let offsets: Vec<_> = playlist.segments.iter().map(|segment| segment.media_offset).collect();
    assert_eq!(offsets, [None, Some(5_000_000_000), Some(5_000_000_000)]);
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
