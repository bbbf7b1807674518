// SPDX-License-Identifier: MPL-2.0

use std::time::Duration;

/// How many links a viewer should have, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLimits {
    /// Enough: a viewer with as many looks for no more, and is introduced only to the poor.
    pub target: usize,
    /// The same for a viewer who does not upload, and so takes up a place that others could use.
    pub target_without_upload: usize,
    /// Too many: a viewer with as many, counting offers under way, is introduced to nobody.
    pub most: usize,
    /// A viewer with fewer links than this is poor: those who have enough take it in nevertheless.
    /// Without that, a swarm would fall apart into groups that are content with themselves.
    pub poor: usize,
    /// Of `target`, how many should be to viewers of the same site or provider,
    pub near: usize,
    /// and how many to others of the same country or continent. The rest ignore nearness.
    pub regional: usize,
    /// Links that a viewer takes at once although they are far, where fewer than `near` are near.
    pub far_at_once: usize,
    /// In a swarm of fewer viewers it takes all it needs at once: others who are near may never come.
    pub small_swarm: usize,
    /// Time for which a viewer with as many waits for near ones before it takes others.
    pub patience: Duration,
    /// Time after which two who are linked may be introduced again, in case their connection has
    /// ended: the tracker seldom hears of that.
    pub meet_again: Duration,
}

impl Default for LinkLimits {
    /// Fifteen links of which two ignore nearness, and two places more for the poor.
    fn default() -> Self {
        Self {
            target: 15,
            target_without_upload: 6,
            most: 17,
            poor: 3,
            near: 13,
            regional: 0,
            far_at_once: 6,
            small_swarm: 500,
            patience: Duration::from_secs(90),
            meet_again: Duration::from_secs(600),
        }
    }
}
