// SPDX-License-Identifier: MPL-2.0

//! The element's face: what applications see of it without a stream to play.

#![cfg(feature = "plugin")]

use std::sync::Once;

use gst::prelude::*;

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().expect("GStreamer starts");
        gstp2phls::plugin_register_static().expect("the plugin registers");
    });
}

fn source() -> gst::Element {
    init();
    gst::ElementFactory::make("p2phlssrc").build().expect("the element is made")
}

/// A pipeline around `source`, so that there is a bus to hear errors on.
fn pipeline(source: &gst::Element) -> gst::Pipeline {
    let pipeline = gst::Pipeline::new();
    pipeline.add(source).expect("the source goes into a pipeline");
    pipeline
}

fn error(pipeline: &gst::Pipeline) -> glib::Error {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &[gst::MessageType::Error]);
    match message.expect("an error is posted").view() {
        gst::MessageView::Error(error) => error.error(),
        _ => unreachable!("only errors were asked for"),
    }
}

#[test]
fn every_property_has_the_default_that_it_announces() {
    let source = source();
    let own: Vec<_> =
        source.list_properties().iter().filter(|spec| spec.owner_type() == source.type_()).cloned().collect();
    assert_eq!(own.len(), 31);
    for spec in own {
        let name = spec.name();
        assert!(spec.blurb().is_some_and(|blurb| blurb.len() > 10), "{name} has no blurb");
        if !spec.value_type().is_a(gst::Structure::static_type()) {
            let value = source.property_value(name);
            assert_eq!(format!("{value:?}"), format!("{:?}", *spec.default_value()), "{name}");
        }
        if spec.flags().contains(glib::ParamFlags::WRITABLE) {
            let bits = spec.flags().bits() & gst::PARAM_FLAG_MUTABLE_READY.bits();
            assert_ne!(bits, 0, "{name} does not say when it can be set");
        }
    }
}

#[test]
fn properties_read_back_as_they_were_set() {
    let source = source();
    source.set_property_from_str("p2p", "leech");
    source.set_property("max-peers", 7u32);
    source.set_property("trackers", "wss://a.example, wss://b.example");
    source.set_property("turn-servers", gst::Array::new(["turn://u:p@t.example:3478"]));
    source.set_property("extra-headers", gst::Structure::builder("h").field("Referer", "x").build());
    assert_eq!(source.property::<u32>("max-peers"), 7);
    assert_eq!(source.property::<String>("trackers"), "wss://a.example, wss://b.example");
    assert_eq!(source.property::<gst::Array>("turn-servers").len(), 1);
    source.set_property("cookies", ["a=1", "b=2; Domain=h.example"].map(str::to_owned).to_vec());
    assert_eq!(source.property::<Vec<String>>("cookies"), ["a=1", "b=2; Domain=h.example"]);
    // As NULL, which applications in C set.
    source.set_property_from_value("cookies", &glib::Value::from_type(Vec::<String>::static_type()));
    assert_eq!(source.property::<Vec<String>>("cookies"), [""; 0]);
    let headers = source.property::<gst::Structure>("extra-headers");
    assert_eq!(headers.get::<&str>("Referer"), Ok("x"));
    let mode = source.property_value("p2p");
    let (_, mode) = glib::EnumValue::from_value(&mode).expect("an enum");
    assert_eq!(mode.nick(), "leech");
}

#[test]
fn statistics_can_be_read_before_anything_plays() {
    let source = source();
    let stats = source.property::<gst::Structure>("stats");
    assert_eq!(stats.name(), "p2phls-stats");
    assert_eq!(stats.get::<u64>("http-bytes"), Ok(0));
    assert_eq!(source.property::<f64>("peer-efficiency"), 0.0);
    assert_eq!(source.property::<u32>("peers"), 0);
}

#[test]
fn players_find_the_element_by_its_uris() {
    init();
    for (uri, location) in [
        ("p2p+https://cdn.example/live.m3u8?t=1", "https://cdn.example/live.m3u8?t=1"),
        ("p2p+http://127.0.0.1:8080/a.m3u8", "http://127.0.0.1:8080/a.m3u8"),
        ("p2p+file:///tmp/a.m3u8", "file:///tmp/a.m3u8"),
    ] {
        let source = gst::Element::make_from_uri(gst::URIType::Src, uri, None).expect("the element is found");
        assert_eq!(source.factory().expect("made by a factory").name(), "p2phlssrc");
        assert_eq!(source.property::<String>("location"), location);
        let handler = source.dynamic_cast_ref::<gst::URIHandler>().expect("a URI handler");
        assert_eq!(handler.uri().as_deref(), Some(uri));
        let mut query = gst::query::Uri::new();
        assert!(source.query(&mut query));
        assert_eq!(query.uri().as_deref(), Some(uri));
    }
}

#[test]
fn the_uri_is_fixed_while_playing() {
    let source = source();
    let handler = source.dynamic_cast_ref::<gst::URIHandler>().expect("a URI handler");
    handler.set_uri("p2p+http://127.0.0.1:9/a.m3u8").expect("settable in NULL");
    source.set_state(gst::State::Ready).expect("READY");
    handler.set_uri("p2p+http://127.0.0.1:9/b.m3u8").expect("settable in READY");
    source.set_state(gst::State::Paused).expect("PAUSED");
    let error = handler.set_uri("p2p+http://127.0.0.1:9/c.m3u8").expect_err("fixed in PAUSED");
    assert_eq!(error.kind::<gst::URIError>(), Some(gst::URIError::BadState));
    source.set_state(gst::State::Null).expect("NULL");
    assert_eq!(source.property::<String>("location"), "http://127.0.0.1:9/b.m3u8");
}

#[test]
fn a_bad_location_is_explained() {
    for (location, what) in [
        (None, "No location is set"),
        (Some(""), "No location is set"),
        (Some("/tmp/a.m3u8"), "Location \"/tmp/a.m3u8\" is not the URL of a playlist"),
        (Some("ftp://a/b.m3u8"), "only http, https and file can be played"),
    ] {
        let source = source();
        source.set_property("location", location);
        let pipeline = pipeline(&source);
        assert_eq!(pipeline.set_state(gst::State::Paused), Err(gst::StateChangeError));
        let error = error(&pipeline);
        assert_eq!(error.kind::<gst::ResourceError>(), Some(gst::ResourceError::NotFound));
        assert!(error.message().contains(what), "{error}");
        pipeline.set_state(gst::State::Null).expect("NULL");
    }
}

#[test]
fn other_bad_properties_are_explained() {
    let cases: [(&str, glib::Value, &str); 6] = [
        ("trackers", "wss://a.example,https://b.example".to_value(), "Tracker \"https://b.example\""),
        ("stun-server", "stun.example:3478".to_value(), "STUN server"),
        ("turn-servers", gst::Array::new(["turn:t.example"]).to_value(), "TURN server"),
        ("proxy", "socks5://me:secret@h:1080".to_value(), "Proxy \"h:1080\""),
        ("ice-addresses", "127.0.0.1, localhost".to_value(), "ICE address \"localhost\""),
        (
            "extra-headers",
            gst::Structure::builder("h").field("a", "b\n").build().to_value(),
            "Extra header \"a\"",
        ),
    ];
    for (name, value, what) in cases {
        let source = source();
        source.set_property("location", "http://127.0.0.1:9/a.m3u8");
        source.set_property_from_value(name, &value);
        let pipeline = pipeline(&source);
        assert_eq!(pipeline.set_state(gst::State::Paused), Err(gst::StateChangeError), "{name}");
        let error = error(&pipeline);
        assert_eq!(error.kind::<gst::ResourceError>(), Some(gst::ResourceError::Settings));
        assert!(error.message().contains(what), "{error}");
        pipeline.set_state(gst::State::Null).expect("NULL");
    }
}

/// Nobody listens on the discard port, so playback never begins.
#[test]
fn starts_and_stops_without_a_server() {
    let source = source();
    source.set_property("location", "http://127.0.0.1:9/a.m3u8");
    for _ in 0..5 {
        assert_eq!(source.set_state(gst::State::Paused), Ok(gst::StateChangeSuccess::Success));
        assert_eq!(source.num_pads(), 0);
        source.set_state(gst::State::Playing).expect("PLAYING");
        source.set_state(gst::State::Ready).expect("READY");
    }
    source.set_state(gst::State::Null).expect("NULL");
    let weak = source.downgrade();
    drop(source);
    assert!(weak.upgrade().is_none(), "the element is leaked");
}

#[test]
fn queries_are_answered_as_far_as_known() {
    let source = source();
    source.set_property("location", "http://127.0.0.1:9/a.m3u8");
    source.set_state(gst::State::Paused).expect("PAUSED");
    let mut scheduling = gst::query::Scheduling::new();
    assert!(source.query(&mut scheduling));
    assert!(scheduling.has_scheduling_mode(gst::PadMode::Push));
    assert!(!scheduling.has_scheduling_mode(gst::PadMode::Pull));
    assert!(!scheduling.result().0.contains(gst::SchedulingFlags::BANDWIDTH_LIMITED));
    let mut latency = gst::query::Latency::new();
    assert!(source.query(&mut latency));
    assert_eq!(latency.result(), (false, gst::ClockTime::ZERO, None));
    for format in [gst::Format::Time, gst::Format::Bytes] {
        assert!(!source.query(&mut gst::query::Seeking::new(format)));
        assert!(!source.query(&mut gst::query::Duration::new(format)));
        assert!(!source.query(&mut gst::query::Position::new(format)));
    }
    source.set_state(gst::State::Null).expect("NULL");
}

#[test]
fn seeks_are_kept_until_there_is_something_to_seek_in() {
    let source = source();
    source.set_property("location", "http://127.0.0.1:9/a.m3u8");
    let seek = |rate| {
        let (set, none) = (gst::SeekType::Set, gst::SeekType::None);
        source.seek(rate, gst::SeekFlags::FLUSH, set, gst::ClockTime::SECOND, none, gst::ClockTime::NONE)
    };
    for state in [gst::State::Null, gst::State::Ready, gst::State::Paused] {
        source.set_state(state).expect("a state without a stream");
        assert!(seek(1.0).is_ok(), "{state:?}");
        assert!(seek(2.0).is_ok(), "{state:?}");
        assert!(seek(-1.0).is_err(), "{state:?}");
    }
    source.set_state(gst::State::Null).expect("NULL");
}
