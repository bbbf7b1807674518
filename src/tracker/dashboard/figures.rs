// SPDX-License-Identifier: MPL-2.0

//! The dashboard's figures, as JSON.

use serde::Serialize;
use sha1::{Digest, Sha1};

use super::history::Point;
use crate::swarm::ids::InfoHash;
use crate::swarm::tracker_messages::Traffic;
use crate::tracker::geo::Atlas;
use crate::tracker::place::{Country, LEVELS, Level, Network};
use crate::tracker::swarm::survey::{Picture, Survey, Tally};
use crate::tracker::swarms::survey::SwarmFacts;

/// Viewers looked at; the figures of larger audiences are estimates.
pub(in crate::tracker) const SURVEYED: usize = 20_000;
/// Swarms, networks and countries shown.
pub(in crate::tracker) const TOP: usize = 50;
/// Viewers in the picture of a mesh.
pub(in crate::tracker) const PICTURED: usize = 150;

/// Everything but the mesh.
#[derive(Serialize)]
pub struct Figures {
    #[serde(flatten)]
    gauges: Gauges,
    history: Vec<Point>,
    levels: Vec<(&'static str, f64)>,
    networks: Vec<Row>,
    countries: Vec<Row>,
    top: Vec<SwarmRow>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    note: Option<String>,
    viewers: f64,
    links: f64,
    inside: f64,
}

#[derive(Serialize)]
struct SwarmRow {
    /// By which the picture can be had. Not the info hash: that would let anybody in.
    name: String,
    viewers: usize,
    everywhere: u32,
    links: f64,
    traffic: Traffic,
}

/// What is known besides the survey.
#[derive(Serialize)]
pub(in crate::tracker) struct Gauges {
    pub viewers: usize,
    pub connections: usize,
    pub swarms: usize,
    /// Other nodes of the cluster; None without one.
    pub nodes: Option<usize>,
    pub degraded: bool,
    pub stopping: bool,
    pub traffic: Traffic,
    pub kilometres: Option<f64>,
}

impl Figures {
    pub(in crate::tracker) fn new(
        gauges: Gauges,
        history: Vec<Point>,
        survey: &Survey,
        top: Vec<SwarmFacts>,
        atlas: &Atlas,
    ) -> Self {
        let networks = survey.networks.iter().map(|((network, country), tally)| {
            let (name, organisation) = name(*network, atlas);
            let parts = [organisation, country.map(|country| country.as_str().to_owned())];
            let note = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
            row(name, (!note.is_empty()).then_some(note), tally)
        });
        let countries =
            survey.countries.iter().map(|(country, tally)| row(country.as_str().to_owned(), None, tally));
        Self {
            gauges,
            history,
            levels: Level::ALL.iter().map(|level| level.name()).zip(survey.levels).collect(),
            networks: largest(networks.collect()),
            countries: largest(countries.collect()),
            top: top
                .into_iter()
                .map(|facts| SwarmRow {
                    name: public_name(&facts.info_hash),
                    viewers: facts.viewers,
                    everywhere: facts.complete.saturating_add(facts.incomplete),
                    links: facts.links,
                    traffic: facts.traffic,
                })
                .collect(),
        }
    }
}

fn largest(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| b.viewers.total_cmp(&a.viewers).then_with(|| a.name.cmp(&b.name)));
    rows.truncate(TOP);
    rows
}

fn row(name: String, note: Option<String>, tally: &Tally) -> Row {
    Row { name, note, viewers: tally.viewers, links: tally.links, inside: tally.inside }
}

/// A network's name, and whose it is. A prefix is part of addresses, so its network is only counted.
fn name(network: Network, atlas: &Atlas) -> (String, Option<String>) {
    match network {
        Network::As(number) => (format!("AS{number}"), atlas.organisation(number).map(str::to_owned)),
        Network::Prefix(prefix) => {
            let hash = Sha1::digest(prefix.to_be_bytes());
            (format!("network {:02x}{:02x}", hash[0], hash[1]), None)
        }
    }
}

/// How a swarm is called on the page.
pub(in crate::tracker) fn public_name(info_hash: &InfoHash) -> String {
    Sha1::digest(info_hash.as_bytes()).iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// A picture with names in place of networks.
#[derive(Serialize)]
pub(in crate::tracker) struct Mesh {
    viewers: Vec<(usize, usize)>,
    networks: Vec<String>,
    links: Vec<(usize, usize, usize)>,
    levels: [&'static str; LEVELS],
    of: usize,
}

impl Mesh {
    pub fn new(picture: Picture, atlas: &Atlas) -> Self {
        let named = |(network, country): &(Network, Option<Country>)| {
            let (name, organisation) = name(*network, atlas);
            let country = country.map(|country| country.as_str().to_owned());
            [Some(name), organisation, country].into_iter().flatten().collect::<Vec<_>>().join(", ")
        };
        Self {
            networks: picture.networks.iter().map(named).collect(),
            viewers: picture.viewers,
            links: picture.links,
            levels: Level::ALL.map(Level::name),
            of: picture.of,
        }
    }
}
