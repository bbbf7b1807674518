// SPDX-License-Identifier: MPL-2.0

//! Where viewers are decides whom they meet.

use std::path::PathBuf;
use std::time::Duration;

use gstp2phls::tracker::geo::Files;
use gstp2phls::tracker::server::Config;
use gstp2phls::tracker::swarms::Settings;
use serde_json::json;
use tempfile::TempDir;

use crate::support::*;

fn config(files: Files) -> Config {
    Config {
        // Offers go to those who are there, not to those who come.
        swarms: Settings { bank_per_viewer: 0, ..Settings::default() },
        geo: files,
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        reload_every: Some(Duration::from_millis(10)),
        ..Config::default()
    }
}

fn sites(directory: &TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("sites.csv");
    std::fs::write(&path, text).unwrap();
    path
}

/// A viewer at an address who is there already.
async fn waiting(tracker: &Tracker, address: &str, who: &str) -> Socket {
    let mut socket = tracker.connect_from(address).await;
    socket.announce(HASH, who, &[]).await;
    socket
}

/// Makes an offer, and returns how many were relayed, by what the statistics say.
async fn relayed(tracker: &Tracker, address: &str, who: &str) -> u64 {
    let before = tracker.stats().await["offers"].as_u64().unwrap();
    let mut socket = tracker.connect_from(address).await;
    socket.announce(HASH, who, &[who]).await;
    tracker.stats().await["offers"].as_u64().unwrap() - before
}

#[tokio::test]
async fn the_nearest_viewer_gets_the_offer() {
    let directory = tempfile::tempdir().unwrap();
    let sites = sites(
        &directory,
        "network,site,asn,country\n192.0.2.0/24,,64500,DE\n198.51.100.0/24,,64500,DE\n203.0.113.0/24,,64501,DE\n",
    );
    let tracker = Tracker::with(config(Files { data: Vec::new(), sites: Some(sites) })).await;
    let _other_provider = waiting(&tracker, "203.0.113.1", CAROL).await;
    let mut same_provider = waiting(&tracker, "198.51.100.1", ALICE).await;
    let mut bob = tracker.connect_from("192.0.2.1").await;
    bob.announce(HASH, BOB, &[BOB]).await;
    assert_eq!(same_provider.receive().await["peer_id"], BOB);
    same_provider.send(answer(ALICE, BOB, BOB)).await;
    bob.receive().await;
    assert_eq!(tracker.stats().await["links"], json!([0, 0, 1, 0, 0, 0]));
}

#[tokio::test]
async fn rules_keep_viewers_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = sites(
        &directory,
        "network,site,rules\n10.1.0.0/16,Office,no-wan\n10.2.0.0/16,Office,no-wan\n10.3.0.0/16,,leech\n",
    );
    let tracker = Tracker::with(config(Files { data: Vec::new(), sites: Some(path) })).await;
    let mut office = waiting(&tracker, "10.1.0.1", ALICE).await;
    assert_eq!(relayed(&tracker, "192.0.2.1", BOB).await, 0, "the office's uplink is not to be used");
    assert_eq!(relayed(&tracker, "10.2.0.1", BOB).await, 1, "another network of the same office");
    assert_eq!(office.receive().await["peer_id"], BOB);

    let mut uploader = waiting(&tracker, "192.0.2.7", ALICE).await;
    let _leech = waiting(&tracker, "10.3.0.1", CAROL).await;
    assert_eq!(relayed(&tracker, "10.3.0.2", BOB).await, 1);
    assert_eq!(uploader.receive().await["peer_id"], BOB, "not the other one who does not upload");

    // The rules may change while viewers are here.
    sites(&directory, "network,site,rules\n");
    let connected = async {
        loop {
            let mut home = tracker.connect_from("10.1.9.9").await;
            home.announce(OTHER_HASH, ALICE, &[]).await;
            let before = tracker.stats().await["offers"].as_u64();
            let mut away = tracker.connect_from("192.0.2.9").await;
            away.announce(OTHER_HASH, BOB, &[BOB]).await;
            if tracker.stats().await["offers"].as_u64() > before {
                break;
            }
        }
    };
    patiently(connected).await;
}

#[tokio::test]
async fn strict_providers_do_not_mix() {
    let config = Config { same_isp: true, ..config(Files::default()) };
    let tracker = Tracker::with(config).await;
    let mut near = waiting(&tracker, "192.0.2.1", ALICE).await;
    assert_eq!(relayed(&tracker, "198.51.100.1", CAROL).await, 0);
    assert_eq!(relayed(&tracker, "192.0.77.1", BOB).await, 1, "the same /16, for want of data");
    assert_eq!(near.receive().await["peer_id"], BOB);
}

#[tokio::test]
async fn offers_wait_for_those_who_come() {
    let tracker = Tracker::start().await;
    let (mut alice, mut bob) = (tracker.connect().await, tracker.connect().await);
    alice.announce(HASH, ALICE, &[ALICE, CAROL]).await;
    bob.announce(HASH, BOB, &[BOB]).await;
    let offer = bob.receive().await;
    assert_eq!((&offer["peer_id"], &offer["offer"]["sdp"]), (&json!(ALICE), &json!("v=0\r\n")));
    bob.send(answer(BOB, ALICE, offer["offer_id"].as_str().unwrap())).await;
    assert_eq!(alice.receive().await["answer"]["sdp"], "v=1\r\n");
    assert_eq!(tracker.stats().await["banked_offers"], 1);
}
