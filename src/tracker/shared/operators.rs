// SPDX-License-Identifier: MPL-2.0

//! What operators see of it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::Shared;
use crate::swarm::tracker_messages::Traffic;
use crate::tracker::dashboard::Figures;
use crate::tracker::dashboard::figures::{Gauges, Mesh, PICTURED, SURVEYED, TOP, public_name};
use crate::tracker::dashboard::history::{Point, Range};
use crate::tracker::swarm::survey::Survey;
use crate::tracker::swarms::Counters;
use crate::tracker::swarms::survey::SwarmFacts;

/// Time between looks at the swarms.
const SURVEY_EVERY: Duration = Duration::from_secs(2);

/// What a look at the swarms told: the links, and the largest swarms.
pub(super) type Surveyed = (Survey, Vec<SwarmFacts>);

/// What `/stats.json` shows; counts are since the start.
#[derive(Serialize)]
pub struct Stats {
    #[serde(flatten)]
    pub counters: Counters,
    pub connections: usize,
    pub accepted: u64,
    pub refused: u64,
    pub errors: u64,
    /// Messages that wait for other nodes of the cluster, and whether Redis is away.
    pub letters: usize,
    pub degraded: bool,
}

impl Shared {
    pub fn stats(&self) -> Stats {
        let state = self.lock();
        Stats {
            counters: state.swarms.counters(),
            connections: state.outboxes.len(),
            accepted: state.connections,
            refused: self.refused.load(Relaxed),
            errors: self.errors.load(Relaxed),
            letters: self.mailbox.len(),
            degraded: self.is_degraded(),
        }
    }

    /// Remembers how things are, for the dashboard.
    pub fn note(&self, now: Instant) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.note(now, || {
            let stats = self.stats();
            let Traffic { peers, http, uploaded } = stats.counters.traffic;
            Point {
                time: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
                viewers: stats.counters.peers,
                connections: stats.connections,
                peers,
                http,
                uploaded,
                answers: stats.counters.answers,
            }
        });
    }

    /// A look at the swarms, a few seconds old at most: however many operators look, viewers are not
    /// kept waiting.
    fn survey(&self) -> Arc<Surveyed> {
        let mut surveyed = self.surveyed.lock().unwrap_or_else(PoisonError::into_inner);
        match &*surveyed {
            Some((at, survey)) if at.elapsed() < SURVEY_EVERY => survey.clone(),
            _ => {
                let survey = Arc::new(self.lock().swarms.survey(SURVEYED, TOP));
                *surveyed = Some((Instant::now(), survey.clone()));
                survey
            }
        }
    }

    pub fn figures(&self, range: Range) -> Figures {
        let survey = self.survey();
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner).points(range);
        let stats = self.stats();
        let nodes = self.config.cluster.is_some().then(|| self.nodes().len());
        let Counters { peers, swarms, traffic, link_kilometres, located_links, .. } = stats.counters;
        let gauges = Gauges {
            viewers: peers,
            connections: stats.connections,
            swarms,
            nodes,
            degraded: stats.degraded,
            stopping: self.is_stopping(),
            traffic,
            kilometres: (located_links > 0).then(|| link_kilometres / located_links as f64),
        };
        Figures::new(gauges, history, &survey.0, survey.1.clone(), &self.atlas.atlas())
    }

    /// A part of the mesh of one of the swarms that the dashboard names.
    pub fn mesh(&self, name: &str) -> Option<Mesh> {
        let survey = self.survey();
        let facts = survey.1.iter().find(|facts| public_name(&facts.info_hash) == name)?;
        let picture = self.lock().swarms.picture(&facts.info_hash, PICTURED)?;
        Some(Mesh::new(picture, &self.atlas.atlas()))
    }
}
