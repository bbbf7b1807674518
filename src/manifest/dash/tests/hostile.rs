// SPDX-License-Identifier: MPL-2.0

//! Numbers and structures that nobody means, and properties that hold whatever the MPD says.

use proptest::prelude::*;

use super::*;
use crate::manifest::Timeline;

const HUGE: &str = "18446744073709551615";

#[test]
fn huge_numbers_do_not_overflow() {
    for inner in [
        format!(
            "<SegmentTemplate media=\"$Time$\" timescale=\"1\" presentationTimeOffset=\"-{HUGE}\"><SegmentTimeline><S t=\"{HUGE}\" d=\"{HUGE}\" r=\"{HUGE}\"/><S d=\"{HUGE}\"/></SegmentTimeline></SegmentTemplate>"
        ),
        format!(
            "<SegmentTemplate media=\"$Number$\" timescale=\"{HUGE}\" duration=\"{HUGE}\" startNumber=\"{HUGE}\"/>"
        ),
        format!(
            "<SegmentTemplate media=\"$Number$\" duration=\"{HUGE}\" startNumber=\"-{HUGE}\" endNumber=\"{HUGE}\"/>"
        ),
        format!("<SegmentTemplate media=\"$Number$.$SubNumber$\" k=\"{HUGE}\" duration=\"{HUGE}\"/>"),
        format!(
            "<SegmentTemplate media=\"$Number$\" availabilityTimeOffset=\"1e300\" duration=\"1\" timescale=\"{HUGE}\"/>"
        ),
        "<SegmentTemplate media=\"$Number$\" duration=\"1\" timescale=\"90000\"/>".to_owned(),
        format!(
            "<SegmentTemplate media=\"$Time$\"><SegmentTimeline><S t=\"-{HUGE}\" d=\"1\" r=\"-1\"/><S t=\"{HUGE}\" d=\"1\" r=\"-1\"/></SegmentTimeline></SegmentTemplate>"
        ),
    ] {
        for attributes in [
            format!("mediaPresentationDuration=\"PT{HUGE}H\""),
            "mediaPresentationDuration=\"PT10S\"".to_owned(),
            format!(
                "type=\"dynamic\" availabilityStartTime=\"9999-12-31T23:59:59Z\" timeShiftBufferDepth=\"P{HUGE}Y\" minimumUpdatePeriod=\"P{HUGE}Y\""
            ),
            "type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:00:00Z\"".to_owned(),
        ] {
            for start in ["PT0S".to_owned(), format!("PT{HUGE}S")] {
                let text = format!(
                    "<MPD {attributes}><Period start=\"{start}\"><AdaptationSet mimeType=\"video/mp4\">{inner}<Representation id=\"v\" \
                     bandwidth=\"{HUGE}\"/></AdaptationSet></Period></MPD>"
                );
                let mut stream = stream(&text);
                let url = stream.presentation().variants[0].url.clone();
                for now in [Duration::ZERO, 1_700_000_000 * SECOND, Duration::MAX] {
                    let _ = stream.next_change(&url, now);
                    if let Ok(playlist) = stream.playlist(&url, now) {
                        let _ = Timeline::new(playlist);
                    }
                }
            }
        }
    }
}

#[test]
fn structures_without_end_are_refused() {
    let deep = format!("<MPD>{}", "<a>".repeat(100));
    assert!(matches!(error(&deep), DashError::TooMany { what: "levels", .. }));
    let wide = format!("<MPD><Period>{}</Period></MPD>", "<a/>".repeat(400_001));
    assert!(matches!(error(&wide), DashError::TooMany { what: "elements", .. }));
    let long = " ".repeat(crate::manifest::MAX_BYTES + 1);
    assert!(matches!(error(&long), DashError::TooLarge { .. }));
    let many = format!(
        "<MPD><Period><AdaptationSet>{}</AdaptationSet></Period></MPD>",
        "<Representation/>".repeat(20_001)
    );
    assert!(matches!(error(&many), DashError::TooMany { what: "representations", .. }));
    let base = format!("<BaseURL>{}</BaseURL>", "x".repeat(100_000));
    let bases = format!(
        "<MPD>{base}<Period><AdaptationSet>{}</AdaptationSet></Period></MPD>",
        "<Representation><BaseURL>y</BaseURL></Representation>".repeat(100)
    );
    Document::parse(&super::base(), bases.as_bytes()).expect("a name without a slash is replaced");
    let base = base.replace("</", "/</");
    let bases = format!(
        "<MPD>{base}<Period><AdaptationSet>{}</AdaptationSet></Period></MPD>",
        "<Representation><BaseURL>y</BaseURL></Representation>".repeat(1_000)
    );
    assert!(matches!(error(&bases), DashError::TooMany { what: "bytes of addresses", .. }));

    let segments = video(
        "<SegmentTemplate media=\"$Number$\" duration=\"1\" timescale=\"90000\"/><Representation id=\"v\"/>",
    );
    let mut stream = stream(&segments);
    let url = stream.presentation().variants[0].url.clone();
    let message = stream.playlist(&url, SECOND).expect_err("too many").to_string();
    assert_eq!(message, "period #0: 900000 segments, at most 200000 are taken");
}

fn attribute() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("0".to_owned()),
        Just("1".to_owned()),
        (0..50u32).prop_map(|n| n.to_string()),
        (-5..5i32).prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        (0..100u32).prop_map(|n| format!("PT{n}S")),
        "[ -~]{0,12}".prop_map(|text| text.replace(['<', '"', '&'], "")),
    ];
    let name = prop::sample::select(vec![
        "t",
        "d",
        "r",
        "n",
        "k",
        "start",
        "duration",
        "timescale",
        "startNumber",
        "endNumber",
        "media",
        "id",
        "presentationTimeOffset",
        "availabilityTimeOffset",
        "type",
        "mediaPresentationDuration",
        "bandwidth",
        "minimumUpdatePeriod",
        "timeShiftBufferDepth",
        "availabilityStartTime",
        "indexRange",
        "mimeType",
        "lang",
    ]);
    (name, value).prop_map(|(name, value)| match name {
        "mimeType" => "mimeType=\"video/mp4\"".to_owned(),
        "type" => format!("type=\"{}\"", if value.len() % 2 == 0 { "dynamic" } else { "static" }),
        "media" => "media=\"$Number$-$Time$\"".to_owned(),
        _ => format!("{name}=\"{value}\""),
    })
}

fn element(name: &'static str, inner: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let attributes = prop::collection::vec(attribute(), 0..6);
    let inner = prop::collection::vec(inner, 0..4);
    (attributes, inner)
        .prop_map(move |(attributes, inner)| {
            format!("<{name} {}>{}</{name}>", attributes.join(" "), inner.concat())
        })
        .boxed()
}

fn any_mpd() -> BoxedStrategy<String> {
    let s = element("S", Just(String::new()).boxed());
    let timeline = element("SegmentTimeline", s);
    let url = element("SegmentURL", Just(String::new()).boxed());
    let template = element("SegmentTemplate", timeline.clone());
    let list = element("SegmentList", prop_oneof![timeline, url].boxed());
    let segments = prop_oneof![template, list, element("SegmentBase", Just(String::new()).boxed())].boxed();
    let representation = element("Representation", segments.clone());
    let set = element("AdaptationSet", prop_oneof![representation, segments.clone()].boxed());
    let set =
        set.prop_map(|set| set.replacen("<AdaptationSet", "<AdaptationSet contentType=\"video\"", 1)).boxed();
    element("MPD", element("Period", prop_oneof![3 => set, 1 => segments].boxed()))
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Document::parse(&base(), &bytes);
    }

    /// Whatever an MPD says: numbers follow each other, durations add up to the times, and a
    /// timeline takes a playlist and the next.
    #[test]
    fn playlists_hold_together(first in any_mpd(), second in any_mpd(), seconds in 0..200u64) {
        let Ok(document) = Document::parse(&base(), first.as_bytes()) else { return Ok(()) };
        let mut stream = Stream::new(document.mpd().clone());
        let Some(variant) = stream.presentation().variants.first().cloned() else { return Ok(()) };
        let mut timeline: Option<Timeline> = None;
        for turn in 0..2u64 {
            let now = stream.mpd().availability_start.saturating_add(Duration::from_secs(seconds + turn * 7));
            if let Ok(playlist) = stream.playlist(&variant.url, now) {
                let starts: Vec<_> = playlist.segments.iter().filter_map(|s| s.program_date_time).collect();
                for (place, pair) in playlist.segments.windows(2).enumerate() {
                    prop_assert_eq!(pair[0].sequence + 1, pair[1].sequence);
                    prop_assert!(pair[0].discontinuity_sequence <= pair[1].discontinuity_sequence);
                    if let (Some(start), Some(next)) = (starts.get(place), starts.get(place + 1)) {
                        prop_assert_eq!(*start + pair[0].duration, *next);
                    }
                }
                match &mut timeline {
                    None => timeline = Some(Timeline::new(playlist)),
                    Some(timeline) => {
                        let end = timeline.window().1;
                        let _ = timeline.update(playlist);
                        prop_assert!(timeline.window().1 >= end);
                    }
                }
            }
            if let Ok(newer) = Document::parse(&base(), second.as_bytes()) {
                stream.update(newer.mpd().clone());
            }
        }
    }

    /// The segment after those that have ended at a time has not ended by then, and the one before
    /// has.
    #[test]
    fn an_index_is_its_own_inverse(
        entries in prop::collection::vec((prop::option::of(0..500i64), 1..50u64, -1..20i64), 1..8),
        timescale in 1..1_000u64,
        position in -5_000_000_000i64..600_000_000_000,
    ) {
        let s: String = entries.iter().map(|(t, d, r)| {
            let t = t.map_or(String::new(), |t| format!("t=\"{t}\""));
            format!("<S {t} d=\"{d}\" r=\"{r}\"/>")
        }).collect();
        let text = video(&format!("<SegmentTemplate media=\"$Number$\" timescale=\"{timescale}\"><SegmentTimeline>{s}</SegmentTimeline></SegmentTemplate><Representation id=\"v\"/>"));
        let mpd = mpd(&text);
        let period = &mpd.periods[0];
        let index = period.adaptation_sets[0].representations[0].index(period);
        let started = index.started_before(position);
        prop_assert!(index.get(started).is_none_or(|segment| segment.start >= position));
        prop_assert!(started == 0 || index.get(started - 1).is_some_and(|segment| segment.start < position));
        let ended = index.ended_at(position);
        prop_assert!(index.count().is_none_or(|count| ended <= count));
        // To the nanosecond that rounding takes.
        prop_assert!(ended == 0 || index.get(ended - 1).is_some_and(|segment| segment.end() <= position + 1));
    }
}
