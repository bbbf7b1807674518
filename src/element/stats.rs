// SPDX-License-Identifier: MPL-2.0

//! A session's counters as a `GstStructure`, for the `stats` property and the element message.

use gst::prelude::*;

use super::clock::clock_time;
use crate::engine::{PeerStats, Stats};

/// Name of the structure.
pub const NAME: &str = "p2phls-stats";

/// What the `stats` property's blurb says; one line for each field of [`to_structure`].
pub const BLURB: &str = "Counters since playback began and gauges: \
    http-bytes, peer-bytes, upload-bytes, wasted-bytes, rejected-bytes (guint64, bytes of segments over HTTP, \
    from peers, to peers, fetched twice, and thrown away because they were wrong); peer-efficiency (gdouble, peer-bytes / (peer-bytes + http-bytes)); \
    hedges (guint64, HTTP requests made because peers came near a deadline); \
    stalls (guint64) and stalled-time (guint64, ns); skipped-segments (guint64); \
    swarm-size (guint64, viewers of this stream as the tracker counts them); peers (guint, connected); \
    buffer-level (guint64, ns ahead of playback); startup-time (guint64, ns to the first byte, absent before it); \
    live-latency (guint64, ns that playback is behind the live edge of the playlist, absent where that is not live); \
    http-rate (guint64, bits/s, 0 while unknown); memory (guint64, bytes of segments held); variant-uri (string), variant-bandwidth (guint64, bits/s), \
    pathway (string, the pathway or service location in use, absent where the presentation names none), \
    variant-switches (guint64, times that playback went on with another variant); \
    peer-stats (GstValueArray of p2phls-peer structures with id (string), downloaded and uploaded (guint64, bytes), \
    rate (guint64, bits/s) and, once measured, round-trip (guint64, ns))";

/// How many peers are connected.
pub fn peers(stats: &Stats) -> u32 {
    u32::try_from(stats.peers.len()).unwrap_or(u32::MAX)
}

pub fn to_structure(stats: &Stats) -> gst::Structure {
    let mut structure = gst::Structure::builder(NAME)
        .field("http-bytes", stats.counters.http_bytes)
        .field("peer-bytes", stats.counters.peer_bytes)
        .field("upload-bytes", stats.counters.upload_bytes)
        .field("wasted-bytes", stats.counters.wasted_bytes)
        .field("peer-efficiency", stats.counters.peer_efficiency())
        .field("rejected-bytes", stats.counters.rejected_bytes)
        .field("hedges", stats.counters.hedges)
        .field("stalls", stats.stalls)
        .field("stalled-time", clock_time(stats.stalled_time).nseconds())
        .field("skipped-segments", stats.skipped_segments)
        .field("swarm-size", stats.swarm_size)
        .field("peers", peers(stats))
        .field("buffer-level", clock_time(stats.buffer_level).nseconds())
        .field("http-rate", stats.http_rate)
        .field("memory", stats.memory)
        .field("variant-uri", &stats.variant_uri)
        .field("variant-bandwidth", stats.variant_bandwidth)
        .field("variant-switches", stats.variant_switches)
        .field(
            "peer-stats",
            gst::Array::new(stats.peers.iter().map(|peer| peer_structure(peer).to_send_value())),
        )
        .build();
    structure.set_if_some("pathway", stats.pathway.as_deref());
    structure.set_if_some("startup-time", stats.startup_time.map(|time| clock_time(time).nseconds()));
    structure.set_if_some("live-latency", stats.live_latency.map(|time| clock_time(time).nseconds()));
    structure
}

fn peer_structure(peer: &PeerStats) -> gst::Structure {
    let mut structure = gst::Structure::builder("p2phls-peer")
        .field("id", &peer.id)
        .field("downloaded", peer.downloaded)
        .field("uploaded", peer.uploaded)
        .field("rate", peer.rate)
        .build();
    structure.set_if_some("round-trip", peer.round_trip.map(|time| clock_time(time).nseconds()));
    structure
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::viewer::Counters;

    #[test]
    fn every_field_is_there_and_documented() {
        gst::init().expect("GStreamer starts");
        let peer = PeerStats {
            id: "-PH1-".into(),
            round_trip: Some(Duration::from_millis(5)),
            ..Default::default()
        };
        let stats = Stats {
            counters: Counters { http_bytes: 1, peer_bytes: 3, ..Counters::default() },
            startup_time: Some(Duration::from_millis(80)),
            live_latency: Some(Duration::from_secs(2)),
            pathway: Some("cdn-a".to_owned()),
            peers: vec![peer],
            ..Default::default()
        };
        let structure = to_structure(&stats);
        assert_eq!(structure.get::<f64>("peer-efficiency"), Ok(0.75));
        assert_eq!(structure.get::<u32>("peers"), Ok(1));
        assert_eq!(structure.get::<u64>("startup-time"), Ok(80_000_000));
        let peers = structure.get::<gst::Array>("peer-stats").expect("an array");
        let peer = peers[0].get::<gst::Structure>().expect("a structure");
        assert_eq!(peer.get::<u64>("round-trip"), Ok(5_000_000));
        for field in structure.fields().chain(peer.fields()) {
            assert!(BLURB.contains(field.as_str()), "{field} is not documented");
        }
    }
}
