// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::manifest::dash::{Index, MpdUpdate};
use crate::manifest::{Change, Timeline};

/// A live MPD that began at 1,000 s, with the attributes `more`, those of its template, and what
/// stands in that.
fn live(more: &str, template: &str, timeline: &str) -> String {
    format!(
        "<MPD type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:16:40Z\" {more}><Period id=\"1\" start=\"PT0S\">\
         <AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate media=\"$Number$\" {template}>{timeline}</SegmentTemplate>\
         <Representation id=\"v\" bandwidth=\"1\"/></AdaptationSet></Period></MPD>"
    )
}

fn at(seconds: f64) -> Duration {
    1_000 * SECOND + Duration::from_secs_f64(seconds)
}

#[test]
fn segments_come_and_go_with_the_clock() {
    let depth = "timeShiftBufferDepth=\"PT6S\" minimumUpdatePeriod=\"PT9S\"";
    let two = "duration=\"2\"";
    let timeline = "<SegmentTimeline><S t=\"0\" d=\"2\" r=\"9\"/></SegmentTimeline>";
    let ended = "mediaPresentationDuration=\"PT7S\"";
    // First number, how many, and when there is another.
    for (more, template, inner, seconds, wanted) in [
        ("", two, "", -5.0, (1, 0, Some(2.0))),
        ("", two, "", 1.9, (1, 0, Some(2.0))),
        ("", two, "", 2.0, (1, 1, Some(4.0))),
        ("", two, "", 11.0, (1, 5, Some(12.0))),
        // What still overlaps the window is there.
        (depth, two, "", 11.0, (3, 3, Some(12.0))),
        (depth, two, "", 12.0, (4, 3, Some(14.0))),
        // Early, and unlimited.
        ("", "duration=\"2\" availabilityTimeOffset=\"1.5\"", "", 2.5, (1, 2, Some(4.5))),
        ("", "duration=\"2\" availabilityTimeOffset=\"INF\"", "", 3.0, (1, 2, None)),
        // A list is believed as far as the clock allows.
        (depth, "", timeline, 11.0, (3, 3, Some(12.0))),
        // A list that is too old by the clock is believed all the same.
        (depth, "", timeline, 100.0, (8, 3, None)),
        ("", "availabilityTimeOffset=\"INF\"", timeline, 3.0, (1, 10, None)),
        // Its end.
        (ended, two, "", 100.0, (1, 4, None)),
        ("availabilityEndTime=\"1970-01-01T00:16:45Z\"", two, "", 100.0, (1, 2, Some(6.0))),
    ] {
        let mpd = mpd(&live(more, template, inner));
        let period = &mpd.periods[0];
        let representation = &period.adaptation_sets[0].representations[0];
        let index: Index = representation.index(period);
        let now = if seconds < 0.0 { 995 * SECOND } else { at(seconds) };
        let available = mpd.available(period, representation, &index, now);
        let next = available.next.map(|next| (next - 1_000 * SECOND).as_secs_f64());
        let got = (available.first + 1, available.end - available.first, next);
        assert_eq!(got, wanted, "{more} {template} {inner} at {seconds}");
    }
}

#[test]
fn numbers_hold_while_periods_come_and_go() {
    let period = |id: u32, start: u32| {
        format!(
            "<Period id=\"{id}\" start=\"PT{start}S\"><AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate media=\"{id}-$Number$\" \
             duration=\"2\"/><Representation id=\"v\"/></AdaptationSet></Period>"
        )
    };
    let mpd_of = |periods: &[(u32, u32)]| {
        let periods: String = periods.iter().map(|(id, start)| period(*id, *start)).collect();
        mpd(&format!(
            "<MPD type=\"dynamic\" availabilityStartTime=\"1970-01-01T00:16:40Z\" timeShiftBufferDepth=\"PT8S\" \
             minimumUpdatePeriod=\"PT2S\">{periods}</MPD>"
        ))
    };
    let mut stream = Stream::new(mpd_of(&[(1, 0), (2, 10)]));
    let url = stream.presentation().variants[0].url.clone();
    let playlist = |stream: &mut Stream, seconds: f64| {
        let playlist = stream.playlist(&url, at(seconds)).expect("a playlist");
        let of = |s: &Segment| (words(s), s.sequence, s.discontinuity_sequence);
        let list: Vec<_> = playlist.segments.iter().map(of).collect();
        (playlist, list)
    };
    let (first, list) = playlist(&mut stream, 14.0);
    let wanted = [("1-4 2", 3, 0), ("1-5 2", 4, 0), ("2-1 2", 5, 1), ("2-2 2", 6, 1)];
    assert_eq!(list, wanted.map(|(name, n, d)| (name.to_owned(), n, d)));
    assert_eq!(first.segments[2].program_date_time, Some(at(10.0)));
    assert!(!first.ended);
    let mut timeline = Timeline::new(first);

    // The first period is gone, a third is announced.
    assert!(stream.update(mpd_of(&[(2, 10), (3, 18)])));
    let (second, list) = playlist(&mut stream, 20.0);
    let wanted = [("2-2 2", 6, 1), ("2-3 2", 7, 1), ("2-4 2", 8, 1), ("3-1 2", 9, 2)];
    assert_eq!(list, wanted.map(|(name, n, d)| (name.to_owned(), n, d)));
    assert_eq!(timeline.update(second), Ok(Change::Appended(3)));

    // Long after: what was missed is counted.
    let (third, list) = playlist(&mut stream, 40.0);
    assert_eq!(list[0], ("3-8 2".to_owned(), 16, 2));
    assert_eq!(timeline.update(third), Ok(Change::Jumped { missed: 6 }));
    assert_eq!(timeline.window(), (26 * SECOND, 34 * SECOND));
}

#[test]
fn playback_keeps_its_distance() {
    let delay = "suggestedPresentationDelay=\"PT6S\" minimumUpdatePeriod=\"PT2S\"";
    let mut plain = stream(&live(delay, "duration=\"2\"", ""));
    assert_eq!(playlist_at(&mut plain, at(20.0)).server_control.hold_back, Some(6 * SECOND));
    // A service description counts more; segments that are still being made lie ahead of the clock.
    let low = live(delay, "duration=\"2\" availabilityTimeOffset=\"1.5\" availabilityTimeComplete=\"false\"", "")
        .replace("<Period", "<ServiceDescription><Latency target=\"3000\"/><PlaybackRate min=\"0.9\" max=\"1.1\"/></ServiceDescription><Period");
    let mut low = stream(&low);
    let playlist = playlist_at(&mut low, at(20.5));
    assert_eq!(list(&playlist).last().map(String::as_str), Some("11 2"));
    assert_eq!(playlist.server_control.hold_back, Some(4_500 * SECOND / 1_000));
    let url = low.presentation().variants[0].url.clone();
    assert_eq!(low.next_change(&url, at(20.5)), Some(at(22.5)));
    let representation = &low.mpd().periods[0].adaptation_sets[0].representations[0];
    assert!(!representation.availability_complete());
}

#[test]
fn segments_in_the_making_say_how_far_they_are() {
    let template = "duration=\"2\" availabilityTimeOffset=\"1.5\" availabilityTimeComplete=\"false\"";
    let mut low = stream(&live("minimumUpdatePeriod=\"PT2S\"", template, ""));
    let playlist = playlist_at(&mut low, at(20.75));
    let progress = |playlist: &crate::manifest::MediaPlaylist| {
        let last = playlist.segments.iter().rev().map(|segment| segment.progress);
        last.take(2).map(|p| p.map(|p| (p.left.as_millis(), p.chunk.as_millis()))).collect::<Vec<_>>()
    };
    assert_eq!(progress(&playlist), [Some((1_250, 500)), None]);
    // Close to the clock where the MPD does not say how close, and not at a segment's start.
    let timeline = Timeline::new(playlist);
    assert_eq!(timeline.hold_back(), 3 * SECOND + SECOND * 5 / 4);
    assert_eq!((timeline.live_edge(), timeline.latency_target()), (SECOND * 83 / 4, Some(5 * SECOND / 2)));
    assert_eq!(timeline.low_latency_start(), Some(SECOND * 73 / 4));
    let whole = playlist_at(&mut low, at(22.25));
    assert!(progress(&whole)[0].is_none() && Timeline::new(whole).low_latency_start().is_some());
    // What has not begun is not listed, whatever the offset.
    let early = template.replace("1.5", "9");
    let mut early = stream(&live("", &early, ""));
    assert_eq!(list(&playlist_at(&mut early, at(20.75))).last().map(String::as_str), Some("11 2"));
    let url = early.presentation().variants[0].url.clone();
    assert_eq!(early.next_change(&url, at(20.75)), Some(at(22.0)));
    // Whole segments that are there early are whole.
    let complete = "duration=\"2\" availabilityTimeOffset=\"1.5\"";
    let complete = playlist_at(&mut stream(&live("", complete, "")), at(20.75));
    assert_eq!(progress(&complete), [None, None]);
    assert_eq!(Timeline::new(complete).low_latency_start(), None);
}

#[test]
fn a_live_stream_ends() {
    // By the clock, once nothing more is promised.
    let text = live("mediaPresentationDuration=\"PT7S\"", "duration=\"2\"", "");
    let mut stream = stream(&text);
    assert!(!playlist_at(&mut stream, at(6.0)).ended);
    assert!(playlist_at(&mut stream, at(8.0)).ended);
    assert_eq!(stream.mpd().reload_delay(), None);
    // With another MPD: it became static.
    let mut stream = super::stream(&live("minimumUpdatePeriod=\"PT2S\"", "duration=\"2\"", ""));
    let before = playlist_at(&mut stream, at(5.0));
    assert!(!before.ended);
    let mut timeline = Timeline::new(before);
    let ended = live("mediaPresentationDuration=\"PT5S\"", "duration=\"2\"", "").replace("dynamic", "static");
    assert!(stream.update(mpd(&ended)));
    let after = playlist_at(&mut stream, at(9.0));
    assert!(after.ended);
    assert_eq!(list(&after), ["1 2", "2 2", "3 1"]);
    assert_eq!(timeline.update(after), Ok(Change::Appended(1)));
    assert!(!timeline.is_live());
}

#[test]
fn an_mpd_says_when_and_where_to_load_it_again() {
    let delay = |more: &str| mpd(&live(more, "duration=\"2\"", "")).reload_delay();
    assert_eq!(delay("minimumUpdatePeriod=\"PT5S\""), Some(5 * SECOND));
    assert_eq!(delay("minimumUpdatePeriod=\"PT0.01S\""), Some(SECOND / 2));
    assert_eq!(delay("minimumUpdatePeriod=\"PT0S\" maxSegmentDuration=\"PT4S\""), Some(4 * SECOND));
    assert_eq!(delay(""), None);

    let text = live("id=\"m\" publishTime=\"1970-01-01T00:16:40Z\"", "duration=\"2\"", "").replace(
        "<Period",
        "<Location>/l.mpd</Location><PatchLocation ttl=\"60\">p.mpp</PatchLocation><Period",
    );
    let there = mpd(&text);
    assert_eq!(there.reload_url().as_str(), "http://h/l.mpd");
    assert_eq!(there.patch_url(at(60.0)).map(Url::as_str), Some("http://h/p/p.mpp"));
    assert_eq!(there.patch_url(at(61.0)), None);
    assert_eq!(mpd(&text.replace("id=\"m\"", "")).patch_url(at(0.0)), None);

    // An older copy changes nothing, unless the stream began anew.
    let published = |minute: u32, start: u32| {
        mpd(&live(&format!("publishTime=\"1970-01-01T00:{minute}:00Z\""), "duration=\"2\"", "")
            .replace("00:16:40", &format!("00:16:{start}")))
    };
    let mut stream = Stream::new(published(30, 40));
    assert!(stream.update(published(31, 40)));
    assert!(!stream.update(published(30, 40)));
    assert!(stream.update(published(30, 41)));
    let _ = MpdUpdate::Ended;
}

#[test]
fn patches_are_applied() {
    let text = "<MPD id=\"m\" type=\"dynamic\" publishTime=\"2024-04-21T06:11:04Z\"><PatchLocation>p</PatchLocation>\
        <Period id=\"1\"><AdaptationSet id=\"1\" lang=\"en\"><SegmentTemplate><SegmentTimeline><S t=\"0\" d=\"2\"/>\
        <S t=\"2\" d=\"2\" r=\"3\"/></SegmentTimeline></SegmentTemplate></AdaptationSet><AdaptationSet id=\"2\"/></Period></MPD>";
    let patch = |operations: &str| {
        let patch = format!(
            "<Patch xmlns=\"urn:mpeg:dash:schema:mpd-patch:2020\" mpdId=\"m\" originalPublishTime=\"2024-04-21T06:11:04Z\">{operations}</Patch>"
        );
        let mut document = document(text);
        let before = document.clone();
        let result = document.patch(patch.as_bytes());
        assert!(result.is_ok() || document == before);
        result.map(|()| document)
    };
    let periods = |document: &Document| -> Vec<_> {
        document.mpd().periods.iter().map(|p| p.id.clone().unwrap_or_default()).collect()
    };
    let timeline = "/MPD/Period[@id='1']/AdaptationSet[@id=&quot;1&quot;]/SegmentTemplate/SegmentTimeline";

    let done = patch(&format!(
        "<replace sel=\"/MPD/@publishTime\">2024-04-21T06:12:04Z</replace><replace sel=\"/MPD/PatchLocation[1]\">\
         <PatchLocation ttl=\"9\">q</PatchLocation></replace><remove sel=\"{timeline}/S[1]\"/>\
         <replace sel=\"{timeline}/S[@t='2']/@r\">4</replace><add sel=\"{timeline}\"><S t=\"12\" d=\"3\"/></add>\
         <add sel=\"/MPD/Period[@id='1']\" pos=\"before\"><Period id=\"0\"/></add><add sel=\"/MPD\"><Period id=\"2\"/></add>\
         <add sel=\"/MPD\" type=\"@minimumUpdatePeriod\">PT7S</add><remove sel=\"/MPD/Period[2]/AdaptationSet[2]\"/>\
         <remove sel=\"/MPD/Period[2]/AdaptationSet[1]/@lang\"/>"
    ))
    .expect("applied");
    assert_eq!(periods(&done), ["0", "1", "2"]);
    let mpd = done.mpd();
    assert_eq!(mpd.publish_time_text.as_deref(), Some("2024-04-21T06:12:04Z"));
    assert_eq!(mpd.patch_locations[0].url.as_str(), "http://h/p/q");
    assert_eq!(mpd.minimum_update_period, Some(7 * SECOND));
    assert_eq!(mpd.periods[1].adaptation_sets.len(), 1);
    assert_eq!(mpd.periods[1].adaptation_sets[0].language, None);

    assert_eq!(
        periods(&patch("<add sel=\"/MPD/Period\" pos=\"after\"><Period id=\"x\"/></add>").expect("applied")),
        ["1", "x"]
    );
    for (operation, reason) in [
        ("<remove sel=\"/MPD/Period[3]\"/>", "no such place"),
        ("<remove sel=\"/MPD/Period[@id='9']\"/>", "no such place"),
        ("<replace sel=\"/MPD/@nothing\">1</replace>", "no such place"),
        ("<remove sel=\"/MPD\"/>", "the root"),
        ("<remove sel=\"MPD\"/>", "slash"),
        ("<remove sel=\"//Period\"/>", "do not use"),
        ("<remove sel=\"/MPD/Period[@id=1]\"/>", "condition"),
        ("<remove sel=\"/MPD/Period[x]\"/>", "condition"),
        ("<move sel=\"/MPD/Period\"/>", "not known"),
        ("<add sel=\"/MPD/Period\" pos=\"within\"><X/></add>", "pos"),
        ("<replace sel=\"/MPD/Period\"/>", "nothing to put"),
    ] {
        let error = patch(operation).expect_err(operation).to_string();
        assert!(error.contains(reason), "{operation}: {error}");
    }
    for (from, to) in [("mpdId=\"m\"", "mpdId=\"n\""), ("06:11:04Z\"", "06:11:05Z\"")] {
        let patch = "<Patch mpdId=\"m\" originalPublishTime=\"2024-04-21T06:11:04Z\"/>".replace(from, to);
        let error = document(text).patch(patch.as_bytes()).expect_err("another MPD");
        assert!(matches!(error, DashError::OtherMpd { .. }), "{error}");
    }
}
