// SPDX-License-Identifier: MPL-2.0

//! Floor 4: how does a whole audience fare? Worlds of up to a million viewers in virtual time.
//!
//! Every viewer is the very [`Viewer`](crate::viewer::Viewer) that the element runs, and the tracker's choice
//! of peers is the tracker's own. What is modelled is what lies between them: access links, distances, the
//! CDN, NATs, people who come and go. A run is named by its scenario and its seed, and comes out the same on
//! any number of threads. `docs/simulator.md` says what is modelled how, and what is not.
//!
//! | file | holds |
//! | --- | --- |
//! | [`scenario`] | what a world is made of, as its file says |
//! | `population` | everybody who will ever watch |
//! | `geography`, `access`, `edges`, `window` | what lies between two viewers, and the links that they share |
//! | `stream`, `playback` | what there is to watch, and what is seen of it |
//! | `node` | one viewer and what its surroundings know of it |
//! | `shard` | a part of the viewers, simulated by one thread |
//! | `introductions` | the tracker |
//! | `event`, `queue` | what happens when |
//! | [`world`] | the clock that all go by |
//! | [`tally`], [`report`], [`plot`] | what is counted, and how it is told and drawn |
//! | [`trace`] | the decision trace of one viewer |

pub mod plot;
pub mod report;
pub mod scenario;
pub mod tally;
pub mod trace;
pub mod world;

mod access;
mod chance;
mod edges;
mod event;
mod geography;
mod introductions;
mod node;
mod playback;
mod population;
mod queue;
mod setting;
mod shard;
mod stream;
mod time;
mod usage;
mod window;

#[cfg(test)]
mod tests;

pub use scenario::{Scenario, ScenarioError};
pub use setting::Options;
pub use world::{Outcome, WorldError, run};
