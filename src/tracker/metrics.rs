// SPDX-License-Identifier: MPL-2.0

//! What `/metrics` shows, in Prometheus' text format 0.0.4.

use std::fmt::Write;

use super::place::Level;
use super::shared::Stats;
use crate::swarm::tracker_messages::Traffic;

/// Writes a metric with its help and type, and a line for each label.
fn metric(to: &mut String, name: &str, kind: &str, help: &str, values: &[(&str, f64)]) {
    // Writing to memory does not fail.
    let _ = writeln!(to, "# HELP p2phls_tracker_{name} {help}\n# TYPE p2phls_tracker_{name} {kind}");
    for (labels, value) in values {
        let _ = writeln!(to, "p2phls_tracker_{name}{labels} {value}");
    }
}

pub(super) fn text(stats: &Stats) -> String {
    let counters = &stats.counters;
    let mut text = String::new();
    let mut gauge = |name, help, value| metric(&mut text, name, "gauge", help, &[("", value)]);
    gauge("connections", "Open WebSocket connections.", stats.connections as f64);
    gauge("peers", "Viewers, over all swarms.", counters.peers as f64);
    gauge("swarms", "Swarms with somebody in them.", counters.swarms as f64);
    gauge("banked_bytes", "Offers that wait for somebody.", counters.banked_bytes as f64);
    gauge("guests", "Viewers of other nodes who are known here.", counters.guests as f64);
    gauge("letters", "Messages that wait for other nodes.", stats.letters as f64);
    gauge("degraded", "1 while Redis is away.", f64::from(u8::from(stats.degraded)));
    let mut count = |name, help, value| metric(&mut text, name, "counter", help, &[("", value)]);
    count("connections_total", "Connections that became WebSockets.", stats.accepted as f64);
    count("refused_total", "Connections that were refused.", stats.refused as f64);
    count("errors_total", "Messages that were answered with an error.", stats.errors as f64);
    count("announces_total", "Announces.", counters.announces as f64);
    count("offers_total", "Offers relayed.", counters.offers as f64);
    count("banked_offers_total", "Offers relayed that had waited.", counters.banked_offers as f64);
    count("answers_total", "Answers relayed.", counters.answers as f64);
    count("offers_from_nodes_total", "Offers from other nodes.", counters.offers_from_nodes as f64);
    count("answers_from_nodes_total", "Answers from other nodes.", counters.answers_from_nodes as f64);
    count("link_kilometres_total", "Distance of linked viewers, in sum.", counters.link_kilometres);
    count("located_links_total", "Links in link_kilometres_total.", counters.located_links as f64);
    let Traffic { peers, http, uploaded } = counters.traffic;
    let bytes = [("{kind=\"peers\"}", peers), ("{kind=\"http\"}", http), ("{kind=\"uploaded\"}", uploaded)];
    let bytes = bytes.map(|(label, bytes)| (label, bytes as f64));
    metric(&mut text, "reported_bytes_total", "counter", "Segment bytes, as viewers say.", &bytes);
    let labels = Level::ALL.map(|level| format!("{{nearness=\"{}\"}}", level.name()));
    let links: Vec<_> =
        labels.iter().map(String::as_str).zip(counters.links.map(|links| links as f64)).collect();
    metric(&mut text, "links_total", "counter", "Answers relayed, by how near the two are.", &links);
    text
}
