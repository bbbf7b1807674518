// SPDX-License-Identifier: MPL-2.0

//! What the element tells servers of itself (CTA-5004), as the origin sees it.

mod common;

use std::collections::BTreeMap;

use common::dash::DASH;
use common::encrypted::ENCRYPTED;
use common::media::{DURATION, STREAMS};
use common::origin::Origin;
use common::player::{Consumer, Player};
use common::tracker::Tracker;
use common::viewer::{Viewer, assert_same_bytes, origin_bytes, wait_for};
use gst::prelude::*;

/// What was told with a request, by key; texts in their quotes, and nothing for what is just there.
type Told = BTreeMap<String, String>;

fn read(text: &str) -> Told {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key.to_owned(), value.to_owned())
    };
    text.split(',').filter(|text| !text.is_empty()).map(pair).collect()
}

/// Paths without what was told in them, and that.
fn in_queries(origin: &Origin) -> Vec<(String, Told)> {
    let told = |(path, _)| {
        let url = url::Url::parse(&format!("http://h{path}")).expect("a path");
        let value = url.query_pairs().find(|(key, _)| key == "CMCD").map(|(_, value)| read(&value));
        let rest: Vec<_> = url.query_pairs().filter(|(key, _)| key != "CMCD").collect();
        let rest: String = rest.iter().map(|(key, value)| format!("?{key}={value}")).collect();
        (format!("{}{rest}", url.path()), value.unwrap_or_else(|| panic!("nothing told: {path}")))
    };
    origin.requests().into_iter().map(told).collect()
}

fn in_headers(origin: &Origin) -> Vec<(String, [Told; 4])> {
    let told = |(path, headers): (String, axum::http::HeaderMap)| {
        let value = |name| read(headers.get(name).map_or("", |value| value.to_str().expect("text")));
        (path, ["cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status"].map(value))
    };
    origin.requests().into_iter().map(told).collect()
}

fn play(url: &str, cmcd: &'static str) -> Player {
    let player = Player::with(Consumer::Playbin3, url, false, move |source| {
        source.set_property_from_str("cmcd", cmcd);
    });
    player.set_state(gst::State::Playing);
    player.wait(gst::MessageType::Eos);
    assert_eq!(player.video.times().len() as u64, DURATION * 25);
    player
}

#[test]
fn a_playlist_and_its_keys_are_asked_for_with_a_query() {
    let origin = Origin::serve(&ENCRYPTED);
    let player = play(&origin.url("ffmpeg/index.m3u8?token=1"), "query");
    let told = in_queries(&origin);
    let (path, list) = &told[0];
    assert_eq!(path, "/ffmpeg/index.m3u8?token=1");
    assert_eq!((list["ot"].as_str(), list.contains_key("sf"), list.contains_key("su")), ("m", false, true));
    let (_, key) = told.iter().find(|(path, _)| path.ends_with("/key")).expect("a key");
    assert_eq!((key["ot"].as_str(), key["sf"].as_str(), key["st"].as_str()), ("k", "h", "v"));
    let segments: Vec<_> = told.iter().filter(|(path, _)| path.ends_with(".ts")).collect();
    assert!(segments.len() > 6);
    for (path, told) in &segments {
        assert_eq!((told["ot"].as_str(), told["org.p2phls-pe"].as_str()), ("av", "0"), "{path}");
        assert!(told["d"].parse::<u64>().is_ok_and(|duration| (1..=5_000).contains(&duration)), "{path}");
        assert_eq!((&told["sid"], &told["cid"]), (&list["sid"], &list["cid"]), "{path}");
    }
    assert!(segments[0].1.contains_key("su") && !segments[segments.len() - 1].1.contains_key("su"));
    // It says where the playlist is without what was told on the way.
    let stats: gst::Structure = player.source().property("stats");
    let uri = stats.get::<String>("variant-uri").expect("an address");
    assert_eq!(uri, origin.url("ffmpeg/index.m3u8?token=1"));
}

#[test]
fn dash_is_asked_for_with_headers() {
    let origin = Origin::serve(&DASH);
    play(&origin.url("number/m.mpd"), "headers");
    let told = in_headers(&origin);
    assert!(told.iter().all(|(path, _)| !path.contains("CMCD")), "{told:?}");
    let of =
        |part: &str| told.iter().filter(|(path, _)| path.contains(part)).map(|(_, t)| t).collect::<Vec<_>>();
    assert_eq!(of(".mpd")[0][0]["ot"], "m");
    assert_eq!(of("init")[0][0]["ot"], "i");
    let segments = of("chunk");
    assert_eq!(segments.len() as u64, DURATION / 2);
    for [object, request, session, status] in &segments {
        assert_eq!((object["ot"].as_str(), object["d"].as_str()), ("v", "2000"));
        assert!(object["br"].parse::<u64>().is_ok_and(|rate| rate > 0) && object["br"] == object["tb"]);
        assert!(request.contains_key("su") || request.contains_key("bl"), "{request:?}");
        assert_eq!((session["sf"].as_str(), session["st"].as_str()), ("d", "v"));
        assert_eq!(status["org.p2phls-pe"], "0");
    }
    // How much there is in hand goes with the segments after the first.
    let ahead: Vec<u64> = segments.iter().filter_map(|told| told[1].get("bl")?.parse().ok()).collect();
    assert!(ahead.iter().any(|ahead| *ahead >= 2_000), "{ahead:?}");
}

#[test]
fn nothing_is_told_unless_it_is_asked_for() {
    let origin = Origin::serve(&STREAMS);
    play(&origin.url("ts/index.m3u8"), "off");
    for (path, headers) in origin.requests() {
        assert!(
            !path.contains("CMCD") && headers.keys().all(|name| !name.as_str().starts_with("cmcd")),
            "{path}"
        );
    }
}

/// Who tells servers of itself stands in the same swarm as who does not, and servers hear what comes from peers.
#[test]
fn peers_know_nothing_of_it() {
    let origin = Origin::serve(&STREAMS);
    let tracker = Tracker::start();
    let url = origin.url("long/index.m3u8");
    let mut viewers = vec![Viewer::start(&url, &tracker.url)];
    wait_for("a lead", 30, &viewers, || viewers[0].stat("buffer-level") > 20_000_000_000);
    origin.clear_requests();
    viewers.push(Viewer::with(&url, &tracker.url, |source| source.set_property_from_str("cmcd", "query")));
    let whole = origin_bytes("long");
    let enough = whole.len() / 3;
    wait_for("a third of the film", 90, &viewers, || viewers[1].received() > enough);
    assert_same_bytes(&viewers[1], &whole, 1);
    let efficiency: f64 = viewers[1].player.source().property("peer-efficiency");
    assert!(efficiency > 0.5, "{efficiency:.2}");
    let asked = origin.requests();
    assert!(asked.iter().any(|(path, _)| path.contains("index.m3u8?CMCD=")), "{asked:?}");
}
