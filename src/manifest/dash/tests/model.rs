// SPDX-License-Identifier: MPL-2.0

use super::*;
use crate::manifest::dash::{EventMessage, EventTime, Kind, Purpose};
use crate::manifest::{KeyMethod, RenditionKind};

#[test]
fn sets_become_variants_and_renditions() {
    let template = "<SegmentTemplate media=\"$RepresentationID$-$Number$\" duration=\"5\"/>";
    let text = format!(
        "<MPD mediaPresentationDuration=\"PT5S\"><Period>\
         <AdaptationSet contentType=\"audio\" lang=\"en\" codecs=\"mp4a.40.2\" audioSamplingRate=\"48000\">\
         <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/><Label>English</Label>\
         <AudioChannelConfiguration schemeIdUri=\"urn:mpeg:dash:23003:3:audio_channel_configuration:2011\" value=\"2\"/>{template}\
         <Representation id=\"en-lo\" bandwidth=\"10\"/><Representation id=\"en-hi\" bandwidth=\"40\"/></AdaptationSet>\
         <AdaptationSet mimeType=\"audio/mp4\" lang=\"fr\"><Accessibility schemeIdUri=\"urn:tva:metadata:cs:AudioPurposeCS:2007\" value=\"1\"/>\
         <AudioChannelConfiguration schemeIdUri=\"tag:dolby.com,2014:dash:audio_channel_configuration:2011\" value=\"F801\"/>\
         {template}<Representation id=\"fr\" bandwidth=\"20\" codecs=\"ec-3\"/></AdaptationSet>\
         <AdaptationSet mimeType=\"video/mp4\" frameRate=\"30000/1001\">\
         <SupplementalProperty schemeIdUri=\"urn:mpeg:mpegB:cicp:TransferCharacteristics\" value=\"16\"/>{template}\
         <Representation id=\"v1\" bandwidth=\"100\" codecs=\"avc1.4d401f\" width=\"640\" height=\"360\"/>\
         <Representation id=\"v2\" bandwidth=\"900\" codecs=\"avc1.640028\" width=\"1920\" height=\"1080\" frameRate=\"60\"/></AdaptationSet>\
         <AdaptationSet mimeType=\"video/mp4\" id=\"9\"><EssentialProperty schemeIdUri=\"http://dashif.org/guidelines/trickmode\" value=\"3\"/>\
         {template}<Representation id=\"trick\" bandwidth=\"5\"/></AdaptationSet>\
         <AdaptationSet mimeType=\"image/jpeg\"><EssentialProperty schemeIdUri=\"http://dashif.org/guidelines/thumbnail_tile\" value=\"10x20\"/>\
         {template}<Representation id=\"thumbs\"/></AdaptationSet>\
         <AdaptationSet mimeType=\"video/mp4\"><EssentialProperty schemeIdUri=\"urn:example:holograms\"/>{template}\
         <Representation id=\"x\"/></AdaptationSet>\
         <AdaptationSet mimeType=\"application/mp4\" codecs=\"stpp\" lang=\"de\"><Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"forced-subtitle\"/>\
         <Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"caption\"/>{template}<Representation id=\"de\"/></AdaptationSet>\
         </Period></MPD>"
    );
    let stream = stream(&text);
    let sets = &stream.mpd().periods[0].adaptation_sets;
    assert_eq!(sets[4].purpose, Purpose::Thumbnails { columns: 10, rows: 20 });
    assert_eq!(sets[3].purpose, Purpose::TrickMode(vec![3]));
    assert!(matches!(sets[5].purpose, Purpose::Unknown(_)));
    assert_eq!((sets[4].kind, sets[6].kind), (Kind::Image, Kind::Text));

    let presentation = stream.presentation();
    let variants: Vec<_> = presentation
        .variants
        .iter()
        .map(|v| {
            format!(
                "{} {:?} {:?} {:?}",
                v.bandwidth,
                v.codecs.as_deref(),
                v.audio.as_deref(),
                v.frame_rate.as_deref()
            )
        })
        .collect();
    assert_eq!(
        variants,
        [
            r#"110 Some("avc1.4d401f,mp4a.40.2") Some("audio-1") Some("29.97002997002997")"#,
            r#"940 Some("avc1.640028,mp4a.40.2") Some("audio-2") Some("60")"#,
        ]
    );
    assert_eq!(presentation.variants[0].video_range.as_deref(), Some("PQ"));
    assert_eq!(presentation.variants[1].subtitles.as_deref(), Some("text"));
    assert_eq!(presentation.i_frame_variants.len(), 1);
    let best: Vec<_> = presentation
        .renditions_of(&presentation.variants[1], RenditionKind::Audio)
        .map(|r| {
            let id = r.url.as_ref().and_then(|url| Some(stream.representation(url)?.1.id.to_string()));
            (id.unwrap_or_default(), r.name.clone(), r.channels.clone().unwrap_or_default(), r.default)
        })
        .collect();
    let owned =
        |id: &str, name: &str, channels: &str, default| (id.into(), name.into(), channels.into(), default);
    assert_eq!(best, [owned("en-hi", "English", "2", true), owned("fr", "fr", "6", false)]);
    let french =
        presentation.renditions.iter().find(|r| r.language.as_deref() == Some("fr")).expect("French");
    assert!(french.has_characteristic("public.accessibility.describes-video"));
    let german = presentation.renditions.iter().find(|r| r.kind == RenditionKind::Subtitles).expect("German");
    assert!(german.forced && german.has_characteristic("public.accessibility.transcribes-spoken-dialog"));
    assert_eq!(stream.first_audio_bandwidth(), 10);
}

#[test]
fn audio_alone_is_what_adapts() {
    let template = "<SegmentTemplate media=\"$RepresentationID$-$Number$\" duration=\"5\"/>";
    let one = format!(
        "<MPD mediaPresentationDuration=\"PT5S\"><Period><AdaptationSet mimeType=\"audio/mp4\" lang=\"en\">{template}\
         <Representation id=\"a\" bandwidth=\"10\"/><Representation id=\"b\" bandwidth=\"40\"/></AdaptationSet></Period></MPD>"
    );
    let presentation = stream(&one).presentation();
    assert_eq!(presentation.variants.iter().map(|v| v.bandwidth).collect::<Vec<_>>(), [10, 40]);
    assert!(presentation.renditions.is_empty() && presentation.variants[0].audio.is_none());
    let two = one.replace("</Period>", &format!("<AdaptationSet mimeType=\"audio/mp4\" lang=\"fr\">{template}<Representation id=\"f\"/></AdaptationSet></Period>"));
    let presentation = stream(&two).presentation();
    let renditions: Vec<_> =
        presentation.renditions.iter().map(|r| (r.language.as_deref(), r.url.is_some())).collect();
    assert_eq!(renditions, [(Some("en"), false), (Some("fr"), true)]);
    assert_eq!(presentation.variants[0].audio.as_deref(), Some("audio"));
}

#[test]
fn protection_is_told_as_keys() {
    let inner = "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cbcs\" \
        cenc:default_KID=\"34e5db32-8625-47cd-ba06-68fca0655a72\"/>\
        <ContentProtection schemeIdUri=\"urn:uuid:EDEF8BA9-79D6-4ACE-A3C8-27DCD51D21ED\" value=\"Widevine\" refId=\"w\">\
        <cenc:pssh>AAAA</cenc:pssh><dashif:Laurl>https://l/</dashif:Laurl></ContentProtection>\
        <SegmentTemplate media=\"$Number$\" duration=\"10\"/><Representation id=\"v\">\
        <ContentProtection schemeIdUri=\"urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95\"><mspr:pro>BBBB</mspr:pro></ContentProtection>\
        <ContentProtection ref=\"w\"/></Representation>";
    let stream = stream(&video(inner));
    let set = &stream.mpd().periods[0].adaptation_sets[0];
    let widevine = &set.protections[1];
    assert_eq!(widevine.pssh.iter().map(|p| p.to_vec()).collect::<Vec<_>>(), [vec![0, 0, 0]]);
    assert_eq!(widevine.license_url.as_deref(), Some("https://l/"));
    let own = &set.representations[0].protections;
    assert_eq!(own[0].playready_object.as_deref(), Some(&[4, 16, 65][..]));
    assert_eq!((own[1].system_id, &own[1].pssh), (widevine.system_id, &widevine.pssh));

    let playlist = playlist(&video(inner));
    let keys = &playlist.segments[0].keys;
    assert_eq!(keys.len(), 4 - 1);
    assert!(
        keys.iter()
            .all(|key| key.method == KeyMethod::SampleAes && key.key_id.is_some_and(|id| id[0] == 0x34))
    );
    assert!(keys.iter().any(|key| key.keyformat == "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"
        && key.uri.as_ref().is_some_and(|uri| uri.as_str().ends_with(",AAAA"))));
    assert!(playlist.segments[0].key.is_some() && playlist.segments[0].whole_key().is_none());
    let told: Vec<_> = playlist.segments[0].protections().collect();
    assert!(told.iter().all(|told| told.origin == "dash/mpd"));
    let data = |system: &str| {
        let told = told.iter().filter(|told| told.system_id.starts_with(system));
        told.map(|told| String::from_utf8(told.data.clone()).expect("text")).collect::<Vec<_>>()
    };
    let widevine = data("edef8ba9");
    assert_eq!((widevine.len(), &widevine[0]), (2, &widevine[1]), "the second refers to the first");
    assert!(
        widevine[0].starts_with("<ContentProtection schemeIdUri=\"urn:uuid:EDEF")
            && widevine[0].contains("<cenc:pssh>AAAA<")
    );
    assert!(data("9a04f079")[0].contains("<mspr:pro>BBBB</mspr:pro>"));
    let playready = playlist_of_playready("value=\"MSPR 2.0\"");
    assert_eq!(playready, b"BBBB");
}

/// All that a decryptor for ClearKey needs beside the ids of keys, which the media has: where keys are to be had.
#[test]
fn clear_key_is_told_where_its_licences_are() {
    let inner = "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cenc\" \
        cenc:default_KID=\"34e5db32-8625-47cd-ba06-68fca0655a72\"/>\
        <ContentProtection schemeIdUri=\"urn:uuid:E2719D58-A985-B3C9-781A-B030AF78D30E\" value=\"ClearKey1.0\">\
        <dashif:Laurl Lic_type=\"EME-1.0\">https://licences/?a=1&amp;b=2</dashif:Laurl></ContentProtection>\
        <SegmentTemplate media=\"$Number$\" duration=\"10\"/><Representation id=\"v\"/>";
    let playlist = playlist(&video(inner));
    let told: Vec<_> = playlist.segments[0].protections().collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].system_id.as_str(), told[0].origin),
        ("e2719d58-a985-b3c9-781a-b030af78d30e", "dash/mpd")
    );
    let text = std::str::from_utf8(&told[0].data).expect("text");
    assert!(text.starts_with("<ContentProtection schemeIdUri=\"urn:uuid:E2719D58"), "{text}");
    assert!(text.contains(">https://licences/?a=1&amp;b=2</dashif:Laurl>"), "{text}");
    assert_eq!(playlist.segments[0].keys[0].key_id.map(|id| id[0]), Some(0x34));
}

/// What PlayReady is told of a ContentProtection with these attributes.
fn playlist_of_playready(attributes: &str) -> Vec<u8> {
    let inner = format!(
        "<ContentProtection schemeIdUri=\"urn:uuid:9a04f079-9840-4286-ab92-e65be0885f95\" {attributes}>\
         <mspr:pro> BBBB </mspr:pro></ContentProtection><SegmentTemplate media=\"$Number$\" duration=\"10\"/>\
         <Representation id=\"v\"/>"
    );
    playlist(&video(&inner)).segments[0].protections().next().expect("a protection").data
}

#[test]
fn whole_segments_have_their_keys() {
    let inner = "<ContentProtection schemeIdUri=\"urn:mpeg:dash:sea:2012\">\
        <SegmentEncryption schemeIdUri=\"urn:mpeg:dash:sea:aes128-cbc:2013\"/>\
        <CryptoPeriod offset=\"1\" numSegments=\"1\" keyUri=\"k1\" IV=\"0x0f\"/><CryptoPeriod keyUri=\"http://k/2\"/></ContentProtection>\
        <SegmentTemplate media=\"$Number$\" duration=\"3\"/><Representation id=\"v\"/>";
    let keys: Vec<_> = playlist(&video(inner))
        .segments
        .iter()
        .map(|s| {
            s.key
                .as_ref()
                .map(|k| (k.uri.as_ref().map(Url::to_string).unwrap_or_default(), k.iv.map(|iv| iv[15])))
        })
        .collect();
    let second = Some(("http://h/p/k1".to_owned(), Some(15)));
    let later = |index| Some(("http://k/2".to_owned(), Some(index)));
    assert_eq!(keys, [None, second, later(2), later(3)]);
}

#[test]
fn events_are_told() {
    let text = "<MPD><Period><EventStream schemeIdUri=\"urn:scte:scte35:2013:xml\" timescale=\"10\" presentationTimeOffset=\"5\">\
        <Event presentationTime=\"25\" duration=\"30\" id=\"7\"><scte35:SpliceInsert a=\"1&amp;2\"><x/>&lt;</scte35:SpliceInsert></Event>\
        <Event messageData=\"hello\"/><Event contentEncoding=\"base64\">AAAA</Event></EventStream>\
        <AdaptationSet><InbandEventStream schemeIdUri=\"urn:mpeg:dash:event:2012\" value=\"1\"/></AdaptationSet></Period></MPD>";
    let mpd = mpd(text);
    let events = &mpd.periods[0].event_streams[0].events;
    assert_eq!(
        (events[0].start, events[0].duration, events[0].id),
        (2_000_000_000, Some(3 * SECOND), Some(7))
    );
    assert_eq!(events[0].content, "<scte35:SpliceInsert a=\"1&amp;2\"><x/>&lt;</scte35:SpliceInsert>");
    assert_eq!((events[1].content.as_str(), events[1].start), ("hello", -500_000_000));
    assert!(events[2].base64);
    assert_eq!(mpd.periods[0].adaptation_sets[0].inband_events[0].value.as_deref(), Some("1"));
}

/// Events on the timeline of what is played: the second period begins at 10 s, and its media at 100 s of its own clock.
#[test]
fn events_have_their_place() {
    let text = "<MPD mediaPresentationDuration=\"PT20S\"><Period duration=\"PT10S\"><AdaptationSet mimeType=\"video/mp4\">\
        <SegmentTemplate media=\"$Number$\" duration=\"5\"/><Representation id=\"v\"/></AdaptationSet></Period>\
        <Period><EventStream schemeIdUri=\"urn:x\" value=\"1\"><Event presentationTime=\"3\" id=\"1\">text</Event>\
        <Event id=\"2\" contentEncoding=\"base64\">AAE=</Event></EventStream>\
        <AdaptationSet mimeType=\"video/mp4\"><InbandEventStream schemeIdUri=\"urn:y\" value=\"2\"/>\
        <SegmentTemplate media=\"$Number$\" timescale=\"10\" duration=\"50\" presentationTimeOffset=\"1000\"/>\
        <Representation id=\"v\"><InbandEventStream schemeIdUri=\"urn:z\"/></Representation></AdaptationSet></Period></MPD>";
    let playlist = playlist(text);
    let told: Vec<_> =
        playlist.events.iter().map(|e| (e.id, e.start, e.value.as_str(), &e.data[..])).collect();
    assert_eq!(
        told,
        [(Some(1), 13_000_000_000, "1", &b"text"[..]), (Some(2), 10_000_000_000, "1", &b"\0\x01"[..])]
    );
    assert!(playlist.segments[0].inband_events.is_none());
    let wanted = playlist.segments[3].inband_events.clone().expect("events are looked for");
    let media_offset = playlist.segments[3].media_offset.expect("an MPD says it");
    assert!(wanted.name("urn:Y", "2") && wanted.name("urn:z", "any") && !wanted.name("urn:y", "3"));

    let timeline = crate::manifest::Timeline::new(playlist);
    assert_eq!(timeline.position_of_time(13_000_000_000), Some(13 * SECOND));
    assert_eq!(timeline.time_at(15 * SECOND), Some(15_000_000_000));
    let message = |time| EventMessage {
        scheme: "urn:y".to_owned(),
        value: "2".to_owned(),
        timescale: 10,
        time,
        duration: None,
        id: 7,
        data: Vec::new(),
    };
    let start = |time| message(time).placed(15_000_000_000, media_offset).start;
    assert_eq!(start(EventTime::InSegment(5)), 15_500_000_000);
    assert_eq!(start(EventTime::Media(1_060)), 16_000_000_000);
}

#[test]
fn steering_is_told_as_of_hls() {
    let text = video("<SegmentTemplate media=\"$Number$\" duration=\"5\"/><Representation id=\"v\"/>").replace(
        "<Period>",
        "<BaseURL serviceLocation=\"a\">http://a/</BaseURL><BaseURL serviceLocation=\"b\">http://b/</BaseURL>\
         <ContentSteering defaultServiceLocation=\"b\" queryBeforeStart=\"true\">https://s/steer</ContentSteering><Period>",
    );
    let stream = stream(&text);
    assert!(stream.mpd().steering.as_ref().is_some_and(|s| s.query_before_start));
    let presentation = stream.presentation();
    let steering = presentation.steering.as_ref().expect("steering");
    assert_eq!(
        (steering.server_url.as_str(), steering.pathway_id.as_deref(), steering.before_start),
        ("https://s/steer", Some("b"), true)
    );
    let body = br#"{"VERSION":1,"TTL":60,"SERVICE-LOCATION-PRIORITY":["b","a"]}"#;
    let manifest = crate::manifest::SteeringManifest::parse(&steering.server_url, body).expect("a manifest");
    assert_eq!(manifest.priority, ["b", "a"]);
}

#[test]
fn each_location_has_its_renditions() {
    let template = "<SegmentTemplate media=\"$Number$\" duration=\"5\"/>";
    let sound = format!(
        "<AdaptationSet mimeType=\"audio/mp4\" lang=\"en\">{template}<Representation id=\"s\"/></AdaptationSet></Period>"
    );
    let text = video(&format!("{template}<Representation id=\"v\"/>"))
        .replace(
            "<Period>",
            "<BaseURL serviceLocation=\"a\">http://a/</BaseURL><BaseURL>http://b/</BaseURL><Period>",
        )
        .replace("</Period>", &sound);
    let mut stream = stream(&text);
    let presentation = stream.presentation();
    let variants =
        presentation.variants.iter().map(|v| (v.pathway().to_owned(), v.audio.clone().unwrap_or_default()));
    let named = |pathway: &str, group: &str| (pathway.to_owned(), group.to_owned());
    assert_eq!(variants.collect::<Vec<_>>(), [named("a", "audio"), named("http://b/", "audio@1")]);
    let first: Vec<String> = presentation
        .renditions
        .iter()
        .map(|rendition| {
            let url = rendition.url.as_ref().expect("an address");
            stream.playlist(url, Duration::ZERO).expect("a playlist").segments[0].url.to_string()
        })
        .collect();
    assert_eq!(first, ["http://a/1", "http://b/1"]);
}

#[test]
fn what_players_take_is_taken() {
    for text in [
        // A mark of byte order, a prefix, a prefix that is not declared, a bare ampersand, and rubbish around.
        "\u{feff}<mpd:MPD xmlns:mpd=\"urn:mpeg:dash:schema:mpd:2011\"><mpd:Period mpd:id=\"a\"/></mpd:MPD>",
        "<?xml version=\"1.0\"?><!DOCTYPE MPD [<!ENTITY a \"b\">]><!-- x --><MPD><Period id=\"a\"><cenc:x/></Period></MPD> trailing <",
        "<MPD><Period id=\"a\"><BaseURL>x?a=1&b=2</BaseURL></Period></MPD>",
        "<MPD minBufferTime=\"1.5\" availabilityStartTime=\"2015-03-24T1:10:50\"><Period id=\"a\"><AdaptationSet segmentAlignment=\"True\"/></Period></MPD>",
        "<MPD><Period id=\"a\"><AdaptationSet segmentAlignment=\"2\"><SegmentTemplate presentationTimeOffset=\"-5\"/></AdaptationSet></Period></MPD>",
        "<MPD a=1 b><Period id=\"a\"/></MPD>",
        // Ends that do not fit, and an end that is missing.
        "<MPD><Period id=\"a\"><AdaptationSet></Label></Period></MPD>",
        "<MPD><Period id=\"a\"></Period><Period id=\"b\"><AdaptationSet",
        "<MPD><Period id=\"a\"></Period><Period id=\"b\"><AdaptationSet>",
        "<MPD><Period id=\"a\" start=\"-PT5S\" duration=\"\"/></MPD>",
    ] {
        assert_eq!(mpd(text).periods[0].id.as_deref(), Some("a"), "{text}");
    }
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain("<MPD><Period/></MPD>".encode_utf16())
        .flat_map(u16::to_be_bytes)
        .collect();
    Document::parse(&base(), &utf16).expect("UTF-16");

    let amp = "<MPD mediaPresentationDuration=\"PT1S\"><Period><AdaptationSet mimeType=\"video/mp4\">\
        <SegmentTemplate media=\"a?x=1&y=2&amp;z=&#51;\"/><Representation id=\"v\"/></AdaptationSet></Period></MPD>";
    assert_eq!(playlist(amp).segments[0].url.as_str(), "http://h/p/a?x=1&y=2&z=3");
    let mpd = mpd("<MPD minBufferTime=\"1.5\"><Period/></MPD>");
    assert_eq!(mpd.min_buffer_time, Some(Duration::from_millis(1_500)));
}

#[test]
fn what_is_no_mpd_says_where_and_why() {
    for (text, wanted) in [
        ("", "not a DASH manifest: it is empty"),
        (" \n", "not a DASH manifest: it is empty"),
        ("#EXTM3U", "line 1: not well-formed XML: there is no element"),
        ("<!doctype html>\n<html></html>", "line 2: not a DASH manifest: the root is <html>, not <MPD>"),
        ("<Period/>", "line 1: not a DASH manifest: the root is <Period>, not <MPD>"),
        ("<MPD/>", "line 1: the MPD has no Period"),
        ("<MPD>\n<Period>", "line 2: the text ends before <Period> does"),
        ("<MPD>\n</Period>", "line 1: the text ends before <MPD> does"),
        ("<MPD><Period", "line 1: the text ends before <MPD> does"),
        ("<MPD", "line 1: not well-formed XML"),
    ] {
        let error = error(text).to_string();
        assert!(error.starts_with(wanted), "{text:?}: {error}");
    }
    let bad = video("<SegmentTemplate media=\"http://[\" duration=\"5\"/><Representation id=\"v\"/>");
    let mut bad = stream(&bad);
    let url = bad.presentation().variants[0].url.clone();
    let message = bad.playlist(&url, SECOND).expect_err("an address").to_string();
    assert!(message.starts_with("representation `v`: `http://[` is not a usable address"), "{message}");
    let other = Url::parse("http://h/p/m.mpd#track=x").expect("a URL");
    assert!(bad.playlist(&other, SECOND).is_err());
}

#[test]
fn other_data_is_told() {
    let text = "<MPD><ServiceDescription id=\"0\"><Scope schemeIdUri=\"urn:x\"/><Latency referenceId=\"7\" target=\"3500\" min=\"2000\" max=\"6000\"/>\
        <PlaybackRate min=\"0.96\" max=\"1.04\"/></ServiceDescription><Period id=\"p\"><AssetIdentifier schemeIdUri=\"urn:a\" value=\"ad\"/>\
        <AdaptationSet id=\"1\" contentType=\"video\"><SupplementalProperty schemeIdUri=\"urn:mpeg:dash:adaptation-set-switching:2016\" value=\"2,3\"/>\
        <ProducerReferenceTime id=\"7\" type=\"captured\" wallClockTime=\"2024-01-01T00:00:00Z\" presentationTime=\"5\" inband=\"true\"/>\
        <Resync type=\"2\" dT=\"1\" dImax=\"0.5\" marker=\"true\"/><SegmentTemplate media=\"$Number$\" timescale=\"2\" duration=\"4\"/>\
        <Representation id=\"a\" qualityRanking=\"1\"><Resync type=\"1\" dT=\"1\"/><SubRepresentation level=\"0\" contentComponent=\"x y\"/></Representation>\
        <Representation id=\"b\" dependencyId=\"a\"/></AdaptationSet><Subset contains=\"1 2\"/>\
        <Preselection id=\"s\" preselectionComponents=\"1 4\" lang=\"en\"/></Period></MPD>";
    let stream = stream(text);
    let mpd = stream.mpd();
    let service = &mpd.service_descriptions[0];
    let latency = service.latency.as_ref().expect("a latency");
    assert_eq!(
        (latency.target, latency.reference.as_deref()),
        (Some(Duration::from_millis(3_500)), Some("7"))
    );
    assert_eq!(service.playback_rate.and_then(|rate| rate.max), Some(1.04));
    let period = &mpd.periods[0];
    assert_eq!(period.asset_identifier.as_ref().and_then(|a| a.value.as_deref()), Some("ad"));
    assert_eq!((&period.subsets[0][..], &period.preselections[0].components[..]), (&[1, 2][..], &[1, 4][..]));
    let set = &period.adaptation_sets[0];
    assert_eq!(set.switchable_with, [2, 3]);
    let clock = &set.producer_reference_times[0];
    assert_eq!((clock.kind.as_str(), clock.presentation_time, clock.inband), ("captured", 5, true));
    let first = &set.representations[0];
    assert_eq!(first.quality_ranking, Some(1));
    assert_eq!((first.resyncs[0].kind, first.resyncs[0].max_interval), (1, Some(500_000_000)));
    assert_eq!(first.sub_representations[0].content_components, ["x", "y"]);
    // What cannot be decoded by itself is not offered.
    assert_eq!(set.representations[1].dependencies, ["a"]);
    assert_eq!(stream.tracks().len(), 1);
}

#[test]
fn an_anchor_says_where_to_begin() {
    let text = video("<SegmentTemplate media=\"$Number$\" duration=\"5\"/><Representation id=\"v\"/>");
    for (anchor, wanted) in [
        ("t=65.5", Some(65.5)),
        ("period=1&t=npt:1:05,20", Some(65.0)),
        ("t=-5", None),
        ("t=soon", None),
        ("x", None),
    ] {
        let url = Url::parse(&format!("http://h/p/m.mpd#{anchor}")).expect("a URL");
        let document = Document::parse(&url, text.as_bytes()).expect("an MPD");
        let mut stream = Stream::new(document.mpd().clone());
        let offset = stream.presentation().start_offset.map(|offset| offset.seconds);
        assert_eq!(offset, wanted, "{anchor}");
        assert_eq!(playlist_at(&mut stream, SECOND).segments[0].url.as_str(), "http://h/p/1");
    }
}
