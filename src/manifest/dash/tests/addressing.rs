// SPDX-License-Identifier: MPL-2.0

use super::*;

#[test]
fn parts_say_which_of_them_begin_with_key_frames() {
    let template = "<SegmentTemplate media=\"$Number$-$SubNumber$\"><SegmentTimeline><S t=\"0\" d=\"5\" r=\"1\" k=\"4\"/>\
        </SegmentTimeline></SegmentTemplate>";
    let of = |outer: &str, inner: &str| -> String {
        let playlist =
            playlist(&video(&format!("{outer}{template}<Representation id=\"v\">{inner}</Representation>")));
        playlist.segments.iter().map(|segment| if segment.independent { 'x' } else { '.' }).collect()
    };
    let cadence = |cadence: &str| format!("<SegmentSequenceProperties sapType=\"1\" cadence=\"{cadence}\"/>");
    for (outer, inner, expected) in [
        (String::new(), String::new(), "xxxxxxxx"),
        (cadence("4"), String::new(), "x...x..."),
        (cadence("4"), cadence("2"), "x.x.x.x."),
        (cadence("3"), cadence("0"), "x..xx..x"),
        (cadence("-1"), cadence("99"), "x...x..."),
        (
            "<SegmentSequenceProperties><SAP type=\"1\" cadence=\"4\"/></SegmentSequenceProperties>"
                .to_owned(),
            String::new(),
            "x...x...",
        ),
    ] {
        assert_eq!(of(&outer, &inner), expected, "{outer} {inner}");
    }
}

#[test]
fn segments_are_addressed_in_every_way() {
    let representation = "<Representation id=\"v\" bandwidth=\"9\"/>";
    for (inner, wanted) in [
        // Numbers and one duration; the last is cut to the period.
        (
            format!("<SegmentTemplate media=\"$RepresentationID$-$Number%03d$\" duration=\"4\"/>{representation}"),
            vec!["v-001 4", "v-002 4", "v-003 2"],
        ),
        (
            format!("<SegmentTemplate media=\"$Number$\" duration=\"5\" startNumber=\"0\"/>{representation}"),
            vec!["0 5", "1 5"],
        ),
        (
            format!("<SegmentTemplate media=\"$Number$\" duration=\"2\" startNumber=\"7\" endNumber=\"8\"/>{representation}"),
            vec!["7 2", "8 2"],
        ),
        (
            format!("<SegmentTemplate media=\"$Time$-$Bandwidth$\" timescale=\"10\" duration=\"60\"/>{representation}"),
            vec!["0-9 6", "60-9 4"],
        ),
        // A timeline: repeats, a gap, up to the next, up to the end.
        (
            format!(
                "<SegmentTemplate media=\"$Time$\"><SegmentTimeline><S t=\"0\" d=\"1\" r=\"1\"/><S t=\"4\" d=\"1\" r=\"-1\"/>\
                 <S t=\"6\" d=\"2\" r=\"-1\"/></SegmentTimeline></SegmentTemplate>{representation}"
            ),
            vec!["0 1", "1 1", "gap 2", "4 1", "5 1", "6 2", "8 2"],
        ),
        // A hole that is but rounding.
        (
            format!(
                "<SegmentTemplate media=\"$Time$\" timescale=\"10\"><SegmentTimeline><S t=\"0\" d=\"49\"/><S t=\"50\" d=\"50\"/>\
                 </SegmentTimeline></SegmentTemplate>{representation}"
            ),
            vec!["0 4.9", "50 5.1"],
        ),
        // Numbers and a timeline; S@n begins anew; no duration is no segment.
        (
            format!(
                "<SegmentTemplate media=\"$Number$\" startNumber=\"3\"><SegmentTimeline><S d=\"2\"/><S/><S d=\"3\" n=\"9\" r=\"1\"/>\
                 </SegmentTimeline></SegmentTemplate>{representation}"
            ),
            vec!["3 2", "9 3", "10 3"],
        ),
        // Overlapping: the second counts. Going back is not believed.
        (
            format!(
                "<SegmentTemplate media=\"$Time$\"><SegmentTimeline><S t=\"0\" d=\"4\"/><S t=\"3\" d=\"4\"/><S t=\"1\" d=\"2\"/>\
                 </SegmentTimeline></SegmentTemplate>{representation}"
            ),
            vec!["0 3", "3 4", "7 2"],
        ),
        // A presentation time offset, with segments that begin before it and end behind the period.
        (
            format!(
                "<SegmentTemplate media=\"$Time$\" presentationTimeOffset=\"100\"><SegmentTimeline>\
                 <S t=\"90\" d=\"6\" r=\"3\"/></SegmentTimeline></SegmentTemplate>{representation}"
            ),
            vec!["96 2", "102 6", "108 2"],
        ),
        // One before zero, as packagers write it.
        (
            format!(
                "<SegmentTemplate media=\"$Time$\" presentationTimeOffset=\"-1\"><SegmentTimeline>\
                 <S t=\"-1\" d=\"5\" r=\"1\"/></SegmentTimeline></SegmentTemplate>{representation}"
            ),
            vec!["-1 5", "4 5"],
        ),
        // No time at all: one segment.
        (
            format!("<SegmentTemplate media=\"$Number$\"/>{representation}"),
            vec!["1 10"],
        ),
        // Lists: by duration, by timeline, without either.
        (
            format!(
                "<SegmentList duration=\"4\"><SegmentURL media=\"a\"/><SegmentURL media=\"b\" mediaRange=\"5-9\"/>\
                 <SegmentURL mediaRange=\"10-19\"/></SegmentList>{representation}"
            ),
            vec!["a 4", "b 5+5 4", "m.mpd?token=1 10+10 2"],
        ),
        (
            format!(
                "<SegmentList><SegmentTimeline><S d=\"3\" r=\"7\"/></SegmentTimeline><SegmentURL media=\"a\"/>\
                 <SegmentURL media=\"b\"/></SegmentList>{representation}"
            ),
            vec!["a 3", "b 3"],
        ),
        (
            format!("<SegmentList><SegmentURL media=\"a\"/><SegmentURL media=\"b\"/></SegmentList>{representation}"),
            vec!["a 5", "b 5"],
        ),
        // A single file.
        ("<Representation id=\"v\"><BaseURL>v.mp4</BaseURL></Representation>".into(), vec!["v.mp4 10"]),
        (
            "<Representation id=\"v\"><BaseURL>v.mp4</BaseURL><SegmentBase><Initialization range=\"0-9\"/></SegmentBase>\
             </Representation>".into(),
            vec!["v.mp4 10"],
        ),
        // Parts of segments, where they have addresses.
        (
            format!(
                "<SegmentTemplate media=\"$Number$.$SubNumber$\"><SegmentTimeline><S d=\"5\" r=\"1\" k=\"2\"/></SegmentTimeline>\
                 </SegmentTemplate>{representation}"
            ),
            vec!["1.1 2", "1.2 3", "2.1 2", "2.2 3"],
        ),
        (
            format!(
                "<SegmentTemplate media=\"$Number$\"><SegmentTimeline><S d=\"5\" r=\"1\" k=\"2\"/></SegmentTimeline>\
                 </SegmentTemplate>{representation}"
            ),
            vec!["1 5", "2 5"],
        ),
        // What is inherited, and what replaces it.
        (
            "<SegmentTemplate media=\"$Number$\" timescale=\"2\" duration=\"10\" startNumber=\"4\"/>\
             <Representation id=\"v\"><SegmentTemplate media=\"x$Number$\" startNumber=\"6\"/></Representation>".into(),
            vec!["x6 5", "x7 5"],
        ),
        (
            "<SegmentTemplate media=\"$Number$\" duration=\"5\"/>\
             <Representation id=\"v\"><SegmentList duration=\"10\"><SegmentURL media=\"a\"/></SegmentList></Representation>".into(),
            vec!["a 10"],
        ),
        // A last segment that is but rounding.
        (
            format!("<SegmentTemplate media=\"$Number$\" timescale=\"10000\" duration=\"49999\"/>{representation}"),
            vec!["1 4.9999", "2 4.9999"],
        ),
    ] {
        let text = video(&inner);
        assert_eq!(list(&playlist(&text)), wanted, "{inner}");
    }
}

#[test]
fn initialisation_segments_are_found() {
    let init = |inner: &str| {
        let playlist = playlist(&video(inner));
        let init = playlist.segments[0].init.clone()?;
        let range = init.byte_range.map(|range| (range.offset, range.length));
        Some((init.url.as_str().trim_start_matches("http://h/p/").to_owned(), range))
    };
    let own = |text: &str| Some((text.to_owned(), None));
    for (inner, wanted) in [
        (
            "<SegmentTemplate media=\"$Number$\" initialization=\"$RepresentationID$.$Bandwidth$\" duration=\"9\"/><Representation id=\"v\" bandwidth=\"7\"/>",
            own("v.7"),
        ),
        (
            "<SegmentTemplate media=\"$Number$\" duration=\"9\"><Initialization sourceURL=\"i\"/></SegmentTemplate><Representation id=\"v\"/>",
            own("i"),
        ),
        ("<SegmentTemplate media=\"$Number$\" duration=\"9\"/><Representation id=\"v\"/>", None),
        (
            "<SegmentList duration=\"9\"><Initialization range=\"0-99\"/><SegmentURL mediaRange=\"100-199\"/></SegmentList><Representation id=\"v\"><BaseURL>f.mp4</BaseURL></Representation>",
            Some(("f.mp4".into(), Some((0, 100)))),
        ),
    ] {
        assert_eq!(init(inner), wanted, "{inner}");
    }
}

#[test]
fn bases_are_joined_at_all_levels() {
    let text = "<MPD mediaPresentationDuration=\"PT4S\"><BaseURL serviceLocation=\"a\">http://a/</BaseURL>\
        <BaseURL serviceLocation=\"b\">http://b/x/y</BaseURL><Period><BaseURL>p/</BaseURL>\
        <AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate media=\"$Number$\" duration=\"4\"/>\
        <Representation id=\"1\"><BaseURL>r/</BaseURL></Representation>\
        <Representation id=\"2\"><BaseURL>http://c/</BaseURL><BaseURL> </BaseURL></Representation>\
        <Representation id=\"3\"><BaseURL>http://[</BaseURL></Representation></AdaptationSet></Period></MPD>";
    let mpd = mpd(text);
    let bases: Vec<Vec<String>> = mpd.periods[0].adaptation_sets[0]
        .representations
        .iter()
        .map(|r| {
            r.bases
                .iter()
                .map(|b| format!("{} {}", b.url, b.service_location.as_deref().unwrap_or("-")))
                .collect()
        })
        .collect();
    assert_eq!(bases[0], ["http://a/p/r/ a", "http://b/x/p/r/ b"]);
    assert_eq!(bases[1], ["http://c/ a", "http://a/p/ a", "http://b/x/p/ b"]);
    // One that makes no URL leaves those above.
    assert_eq!(bases[2], ["http://a/p/ a", "http://b/x/p/ b"]);

    // Each location is a variant with a pathway of its own.
    let mut stream = Stream::new(mpd);
    let presentation = stream.presentation();
    let pathways: Vec<_> = presentation.variants.iter().map(|v| v.pathway().to_owned()).collect();
    assert_eq!(pathways, ["a", "b", "a", "b", "a", "b"]);
    let first = |stream: &mut Stream, at: usize| {
        let playlist = stream.playlist(&presentation.variants[at].url, Duration::ZERO).expect("a playlist");
        playlist.segments[0].url.to_string()
    };
    assert_eq!(first(&mut stream, 0), "http://a/p/r/1");
    assert_eq!(first(&mut stream, 1), "http://b/x/p/r/1");
}

#[test]
fn queries_are_added_to_media() {
    let text = video(
        "<EssentialProperty schemeIdUri=\"urn:mpeg:dash:urlparam:2014\"><UrlQueryInfo queryTemplate=\"$querypart$\" \
         useMPDUrlQuery=\"true\"/></EssentialProperty><SegmentTemplate media=\"$Number$?a=2\" initialization=\"i\" duration=\"10\"/>\
         <Representation id=\"v\"/>",
    );
    let playlist = playlist(&text);
    assert_eq!(playlist.segments[0].url.as_str(), "http://h/p/1?a=2&token=1");
    assert_eq!(playlist.segments[0].init.as_ref().map(|i| i.url.as_str()), Some("http://h/p/i?token=1"));
}

#[test]
fn segments_have_the_times_that_browsers_give_them() {
    let inner = "<SegmentTemplate media=\"$Number$\" timescale=\"1000\" duration=\"3003\"/><Representation id=\"v\"/>";
    let times: Vec<_> = playlist(&video(inner)).segments.iter().filter_map(|s| s.time).collect();
    assert_eq!(times, [0.0, 3.003, 2.0 * 3.003, 3.0 * 3.003]);
}
