// SPDX-License-Identifier: MPL-2.0

//! Content steering: two CDNs with the same film, and a server that says which to take.

#![cfg(feature = "plugin")]

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::dash::SOUND;
use common::media::DURATION;
use common::origin::{Fault, Origin};
use common::player::{Consumer, Player, assert_continuous};
use common::renditions::RENDITIONS;
use common::variants::VARIANTS;
use gst::prelude::*;

/// Two CDNs and the server that steers.
struct Cdns {
    a: Origin,
    b: Origin,
    server: Origin,
    /// What the server says at present.
    list: Arc<Mutex<String>>,
}

impl Cdns {
    fn serve(root: &Path, priority: &str) -> Self {
        let [a, b, server] = [root, root, root].map(Origin::serve);
        let list = Arc::new(Mutex::new(steering_manifest(priority)));
        let said = list.clone();
        server.set_made("steer", move || said.lock().unwrap().clone());
        Self { a, b, server, list }
    }

    /// Times that the server was asked.
    fn asked(&self) -> usize {
        self.server.requests().iter().filter(|(path, _)| path.contains("steer")).count()
    }

    fn say(&self, priority: &str) {
        *self.list.lock().unwrap() = steering_manifest(priority);
    }

    /// Has the server give a multivariant playlist of what is on the CDNs. Gives its address.
    fn playlist(&self, server: &str, pathways: &[&str]) -> String {
        let mut text = format!("#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"{server}\",PATHWAY-ID=\"A\"\n");
        for name in pathways {
            let cdn = if *name == "A" { &self.a } else { &self.b };
            text += &format!(
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{name}\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,\
                 STABLE-RENDITION-ID=\"r\",URI=\"{}\"\n\
                 #EXT-X-STREAM-INF:BANDWIDTH=1000000,STABLE-VARIANT-ID=\"v\",CODECS=\"avc1.64000c,mp4a.40.2\",RESOLUTION=320x180,\
                 AUDIO=\"{name}\",PATHWAY-ID=\"{name}\"\n{}\n",
                cdn.url("mp4/en/list.m3u8"),
                cdn.url("mp4/video/list.m3u8"),
            );
        }
        self.server.set_made("all.m3u8", move || text.clone());
        self.server.url("all.m3u8")
    }
}

fn steering_manifest(priority: &str) -> String {
    format!("{{\"VERSION\":1,\"TTL\":5,\"PATHWAY-PRIORITY\":[{priority}]}}")
}

/// A player in real time that fetches a little ahead.
fn player(url: &str) -> Player {
    let player = Player::with(Consumer::Playbin3, url, true, |source| {
        source.set_property("buffer-duration", 4_000_000_000u64);
        source.set_property("retries", 1u32);
    });
    player.set_state(gst::State::Playing);
    player
}

/// Requests for segments of picture and of sound.
fn segments(origin: &Origin, names: [&str; 2]) -> [usize; 2] {
    let requests = origin.requests();
    names.map(|name| requests.iter().filter(|(path, _)| path.contains(name)).count())
}

fn wait_for_segments(player: &Player, origin: &Origin, names: [&str; 2]) {
    player.wait_until("segments of picture and sound", 30, || {
        segments(origin, names).iter().all(|count| *count > 1)
    });
}

/// Waits for the end: all frames have come, and playback never ran dry.
fn assert_whole(player: &Player) {
    let bus = player.pipeline.bus().expect("a pipeline has a bus");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).expect("the end");
    assert!(matches!(message.view(), gst::MessageView::Eos(_)), "{message:?}");
    let frames = player.video.times();
    assert_continuous(&frames, "over pathways");
    assert_eq!(frames.len() as u64, DURATION * 25);
    let sound = player.audio.times();
    assert!(sound.last().is_some_and(|last| last.seconds() >= DURATION - 1), "{:?}", sound.last());
    assert_eq!((player.stat("stalls"), player.stat("variant-switches")), (0, 0));
}

fn pathway(player: &Player) -> Option<String> {
    player.source().property::<gst::Structure>("stats").get("pathway").ok()
}

fn is_asked_with(server: &Origin, query: &str) -> bool {
    server.requests().iter().any(|(path, _)| path.contains("steer") && path.contains(query))
}

const HLS: [&str; 2] = ["video/seg", "en/seg"];
const DASH: [&str; 2] = ["chunk-stream0", "chunk-stream1"];

#[test]
fn playback_goes_where_the_server_says() {
    let cdns = Cdns::serve(&RENDITIONS, "\"A\",\"B\"");
    let player = player(&cdns.playlist("steer", &["A", "B"]));
    wait_for_segments(&player, &cdns.a, HLS);
    assert!(cdns.b.requests().is_empty());
    player.wait_until("the pathway", 5, || pathway(&player).as_deref() == Some("A"));

    cdns.say("\"B\",\"A\"");
    wait_for_segments(&player, &cdns.b, HLS);
    cdns.a.clear_requests();
    assert_whole(&player);
    assert_eq!(segments(&cdns.a, HLS), [0, 0]);
    assert_eq!(pathway(&player).as_deref(), Some("B"));
    for query in ["_HLS_pathway=A", "_HLS_pathway=B", "_HLS_throughput="] {
        assert!(is_asked_with(&cdns.server, query), "{query}: {:?}", cdns.server.requests());
    }
}

#[test]
fn a_pathway_that_dies_is_left_without_a_server_too() {
    let cdns = Cdns::serve(&RENDITIONS, "\"A\",\"B\"");
    let player = player(&cdns.playlist("steer", &["A", "B"]));
    wait_for_segments(&player, &cdns.a, HLS);
    player.wait_until("a second request", 20, || cdns.asked() > 1);
    cdns.server.set_fault("steer", Fault::Status(500));
    cdns.a.hide(|_| true);
    assert_whole(&player);
    assert_eq!(pathway(&player).as_deref(), Some("B"));
    assert!(is_asked_with(&cdns.server, "_HLS_pathway=B"), "{:?}", cdns.server.requests());
}

/// The other pathway has a leaner variant only: that is gone to, as the line would have it.
#[test]
fn a_pathway_without_the_variant_is_gone_to_all_the_same() {
    let cdns = Cdns::serve(&VARIANTS, "\"A\"");
    let variants =
        [("A", &cdns.a, 1, 700_000), ("B", &cdns.b, 0, 300_000)].map(|(pathway, cdn, n, bandwidth)| {
            let url = cdn.url(&format!("ts/v{n}/list.m3u8"));
            format!("#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},PATHWAY-ID=\"{pathway}\"\n{url}\n")
        });
    let text = format!("#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"steer\"\n{}", variants.concat());
    cdns.server.set_made("all.m3u8", move || text.clone());
    let player = player(&cdns.server.url("all.m3u8"));
    let name = ["/seg", "/seg"];
    wait_for_segments(&player, &cdns.a, name);
    cdns.say("\"B\"");
    wait_for_segments(&player, &cdns.b, name);
    player.wait_until("the change", 20, || pathway(&player).as_deref() == Some("B"));
    let shown = player.video.times().len();
    player.wait_until("four seconds more", 20, || player.video.times().len() > shown + 100);
    assert_continuous(&player.video.times(), "from one variant to another");
    assert_eq!((player.stat("stalls"), player.stat("variant-switches")), (0, 1));
}

/// A pathway that the playlist does not have: picture and sound go to it.
#[test]
fn a_clone_is_played() {
    let cdns = Cdns::serve(&RENDITIONS, "\"A\"");
    let player = player(&cdns.playlist("steer", &["A"]));
    wait_for_segments(&player, &cdns.a, HLS);
    let host = cdns.b.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    *cdns.list.lock().unwrap() = format!(
        "{{\"VERSION\":1,\"TTL\":5,\"PATHWAY-PRIORITY\":[\"C\",\"A\"],\"PATHWAY-CLONES\":[{{\"BASE-ID\":\"A\",\"ID\":\"C\",\
         \"URI-REPLACEMENT\":{{\"HOST\":\"{host}\",\"PARAMS\":{{\"token\":\"t\"}}}}}}]}}"
    );
    wait_for_segments(&player, &cdns.b, HLS);
    assert!(cdns.b.requests().iter().any(|(path, _)| path == "/mp4/video/list.m3u8?token=t"));
    assert_whole(&player);
    assert_eq!(pathway(&player).as_deref(), Some("C"));
}

/// A clone may name addresses of its own for what has a stable name, beside a host for all the rest.
#[test]
fn a_clone_with_addresses_of_its_own_is_played() {
    let cdns = Cdns::serve(&RENDITIONS, "\"A\"");
    let player = player(&cdns.playlist("steer", &["A"]));
    wait_for_segments(&player, &cdns.a, HLS);
    let [variant, rendition] =
        ["video", "en"].map(|name| cdns.b.url(&format!("mp4/{name}/list.m3u8?own={name}")));
    *cdns.list.lock().unwrap() = format!(
        "{{\"VERSION\":1,\"TTL\":5,\"PATHWAY-PRIORITY\":[\"C\",\"A\"],\"PATHWAY-CLONES\":[{{\"BASE-ID\":\"A\",\"ID\":\"C\",\
         \"URI-REPLACEMENT\":{{\"HOST\":\"nowhere.invalid\",\"PER-VARIANT-URIS\":{{\"v\":\"{variant}\"}},\
         \"PER-RENDITION-URIS\":{{\"r\":\"{rendition}\"}}}}}}]}}"
    );
    wait_for_segments(&player, &cdns.b, HLS);
    for name in ["video", "en"] {
        let path = format!("/mp4/{name}/list.m3u8?own={name}");
        assert!(cdns.b.requests().iter().any(|(asked, _)| *asked == path), "{path}");
    }
    assert_whole(&player);
    assert_eq!(pathway(&player).as_deref(), Some("C"));
}

/// 410: it is not asked again, whatever it would say, and what it has said last holds.
#[test]
fn a_server_that_is_gone_is_not_asked_again() {
    let cdns = Cdns::serve(&RENDITIONS, "\"B\",\"A\"");
    let player = player(&cdns.playlist("steer", &["A", "B"]));
    wait_for_segments(&player, &cdns.b, HLS);
    let before = cdns.asked();
    cdns.server.set_fault("steer", Fault::Status(410));
    player.wait_until("the next request", 20, || cdns.asked() > before);
    cdns.server.clear_faults();
    cdns.say("\"A\"");
    let gone = cdns.asked();
    assert_whole(&player);
    assert_eq!(cdns.asked(), gone);
    assert_eq!(pathway(&player).as_deref(), Some("B"));
}

/// 429: it is asked again when it has said, and not before.
#[test]
fn a_server_with_too_much_to_do_is_left_alone() {
    let cdns = Cdns::serve(&RENDITIONS, "\"A\",\"B\"");
    cdns.server.set_fault("steer", Fault::TooMany(6));
    let player = player(&cdns.playlist("steer", &["A", "B"]));
    wait_for_segments(&player, &cdns.a, HLS);
    player.wait_until("a request", 20, || cdns.asked() > 0);
    cdns.server.clear_faults();
    cdns.say("\"B\",\"A\"");
    wait_for_segments(&player, &cdns.b, HLS);

    let before = cdns.asked();
    cdns.server.set_fault("steer", Fault::TooMany(3600));
    player.wait_until("the next request", 20, || cdns.asked() > before);
    cdns.server.clear_faults();
    cdns.say("\"A\"");
    let left = cdns.asked();
    assert_whole(&player);
    assert_eq!(cdns.asked(), left);
    assert_eq!(pathway(&player).as_deref(), Some("B"));
}

/// Whatever it says, playback goes on, and it is not asked again and again.
#[test]
fn a_hostile_server_does_no_harm() {
    let cdns = Cdns::serve(&RENDITIONS, "");
    let huge = format!("{{\"VERSION\":1,\"PATHWAY-PRIORITY\":[\"{}\"]}}", "x".repeat(1 << 20));
    let files = "{\"VERSION\":1,\"TTL\":0,\"RELOAD-URI\":\"file:///etc/passwd\",\"PATHWAY-PRIORITY\":[\"F\",\"A\"],\
        \"PATHWAY-CLONES\":[{\"BASE-ID\":\"A\",\"ID\":\"F\",\"URI-REPLACEMENT\":{\"HOST\":\"file:///etc/\"}},7]}";
    let wrong = "{\"VERSION\":1,\"TTL\":\"soon\",\"PATHWAY-PRIORITY\":7}";
    let bodies = [files.to_owned(), huge, wrong.to_owned(), "{\"VERSION\":1,\"TTL\":1e12}".to_owned()];
    let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let times = asked.clone();
    cdns.server.set_made("hostile", move || {
        let mut times = times.lock().unwrap();
        times.push(Instant::now());
        bodies[(times.len() - 1).min(bodies.len() - 1)].clone()
    });
    let player = player(&cdns.playlist("hostile", &["A", "B"]));
    assert_whole(&player);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4, "the last one has said that there is time");
    for pair in asked.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(5), "{:?}", pair[1] - pair[0]);
    }
}

/// The server is asked before the start; then it says something else, and that location dies.
#[test]
fn locations_of_dash_are_steered_too() {
    let cdns = Cdns::serve(&SOUND, "\"B\",\"A\"");
    let text = std::fs::read_to_string(SOUND.join("number/m.mpd")).expect("an MPD");
    let base = |name: &str, cdn: &Origin| {
        format!("<BaseURL serviceLocation=\"{name}\">{}</BaseURL>", cdn.url("number/"))
    };
    let steering =
        "<ContentSteering defaultServiceLocation=\"A\" queryBeforeStart=\"true\">steer</ContentSteering>";
    let before = format!("{}{}{steering}<Period", base("A", &cdns.a), base("B", &cdns.b));
    let text = text.replacen("<Period", &before, 1);
    cdns.server.set_made("m.mpd", move || text.clone());
    let player = player(&cdns.server.url("m.mpd"));
    wait_for_segments(&player, &cdns.b, DASH);
    assert!(cdns.a.requests().is_empty(), "{:?}", cdns.a.requests());

    cdns.say("\"A\",\"B\"");
    wait_for_segments(&player, &cdns.a, DASH);
    player.wait_until("the location", 5, || pathway(&player).as_deref() == Some("A"));
    cdns.b.clear_requests();
    cdns.a.hide(|_| true);
    wait_for_segments(&player, &cdns.b, DASH);
    assert_whole(&player);
    assert_eq!(pathway(&player).as_deref(), Some("B"));
    assert!(is_asked_with(&cdns.server, "_DASH_pathway=%22A%22"), "{:?}", cdns.server.requests());
}
