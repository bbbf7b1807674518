// SPDX-License-Identifier: MPL-2.0

//! A viewer's line to one tracker, for one swarm.
//!
//! [`TrackerClient::spawn`] starts a task that keeps a WebSocket to the tracker, says when an
//! announce is due, and passes offers and answers both ways. It makes no offers itself: the owner
//! does, when it hears [`TrackerEvent::AnnounceDue`]. The owner also drops its offers that nobody
//! has answered within [`OFFER_LIFETIME`].
//!
//! A tracker is not trusted: whatever it sends ends up as an event, a [`TrackerEvent::Warning`] or
//! a [`TrackerEvent::Disconnected`], and everything that it could make grow has a bound. When the
//! owner is slow to take events, the socket is not read.

mod connection;
mod schedule;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::proxy::{Proxies, ProxyError};
use crate::swarm::ids::{InfoHash, OfferId, PeerId};
use crate::swarm::tracker_messages::Extras;

/// After this time nobody will answer an offer any more; browsers give up at the same age.
pub const OFFER_LIFETIME: Duration = Duration::from_secs(50);

/// Offers asked for at each announce; as many as p2p-media-loader makes. Five session
/// descriptions stay far below the message size that trackers accept.
const OFFERS_PER_ANNOUNCE: usize = 5;
/// Events that wait for the owner before the socket is no longer read.
const EVENT_QUEUE: usize = 32;
/// Commands that wait for the task: more than one announce and the answers to a burst of offers.
const COMMAND_QUEUE: usize = 64;
/// Time that the farewell may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Which tracker, which swarm, and as whom.
#[derive(Clone, Debug)]
pub struct TrackerConfig {
    /// The tracker, with scheme ws or wss.
    pub url: Url,
    pub info_hash: InfoHash,
    pub peer_id: PeerId,
    /// Sent with the WebSocket handshake; left out if it is not a valid HTTP header value.
    pub user_agent: String,
    /// How wss trackers are checked; by the system's certificate authorities when None.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    pub proxies: Proxies,
}

/// What the tracker, or the line to it, has to say.
#[derive(Debug)]
pub enum TrackerEvent {
    /// The socket is up. An [`AnnounceDue`](Self::AnnounceDue) follows.
    Connected,
    /// Time to call [`TrackerHandle::announce`], with at most this many new offers; without any
    /// if no further peers are wanted. Until the first announce the tracker does not know us.
    AnnounceDue { max_offers: usize },
    /// The tracker has taken an announce in.
    Response {
        /// Time until the next [`AnnounceDue`](Self::AnnounceDue).
        interval: Duration,
        /// Seeders in the swarm; 0 if the tracker did not say.
        complete: u32,
        /// All others in the swarm, this viewer included; 0 if the tracker did not say.
        incomplete: u32,
        /// A number that nobody else in the swarm has, from trackers that give such.
        number: Option<u32>,
    },
    /// Another viewer would like to connect. Answer within [`OFFER_LIFETIME`].
    Offer { from: PeerId, offer_id: OfferId, sdp: String },
    /// Another viewer has taken up an offer. Ids are as the tracker sent them, so the owner has
    /// to check that the offer is its own and still open.
    Answer { from: PeerId, offer_id: OfferId, sdp: String },
    /// The tracker complained, or sent something that makes no sense.
    Warning(String),
    /// The line is down, and comes back by itself unless `retry_in` is None: then the
    /// configuration is wrong, and this is the last event.
    Disconnected { reason: TrackerError, retry_in: Option<Duration> },
}

/// Why the line to a tracker went down.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    #[error("a tracker's URL has to start with ws:// or wss:// and name a host")]
    Url,
    #[error("tracker did not accept the connection in time")]
    ConnectTimeout,
    #[error("no tracker by way of a proxy: {0}")]
    Proxy(#[from] ProxyError),
    #[error("tracker refused the WebSocket with HTTP status {0}")]
    Refused(u16),
    #[error("TLS with the tracker failed: {0}")]
    Tls(String),
    #[error("connection to the tracker failed")]
    Io(#[source] io::Error),
    #[error("tracker broke the WebSocket protocol: {0}")]
    Protocol(String),
    #[error("tracker closed the connection")]
    Closed,
    #[error("tracker has gone silent")]
    Silent,
    #[error("tracker sent too many messages that make no sense")]
    Senseless,
}

/// A command did not reach the tracker's task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("too many messages wait to be sent to the tracker")]
    Busy,
    #[error("the tracker's task has ended")]
    Ended,
}

enum Command {
    Announce(Vec<(OfferId, String)>, Extras),
    AnnounceNow,
    Answer { to: PeerId, offer_id: OfferId, sdp: String },
}

/// Starts lines to trackers.
pub struct TrackerClient;

impl TrackerClient {
    /// Starts the task; has to be called within a tokio runtime.
    ///
    /// The task ends on [`TrackerHandle::stop`], when the handle or the receiver is dropped (it
    /// then says goodbye on its own), or after a [`TrackerEvent::Disconnected`] without a retry.
    pub fn spawn(config: TrackerConfig) -> (TrackerHandle, mpsc::Receiver<TrackerEvent>) {
        let (commands, command_receiver) = mpsc::channel(COMMAND_QUEUE);
        let (events, event_receiver) = mpsc::channel(EVENT_QUEUE);
        let stopping = CancellationToken::new();
        let task = tokio::spawn(connection::run(config, command_receiver, events, stopping.clone()));
        (TrackerHandle { commands, stopping, task }, event_receiver)
    }
}

/// Talks to the task behind a tracker's line. Nothing here waits, except for [`Self::stop`].
pub struct TrackerHandle {
    commands: mpsc::Sender<Command>,
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl TrackerHandle {
    /// Tells the tracker that we are here, with offers for the viewers it chooses and what some trackers
    /// like to know besides. Lost while disconnected: the next connection asks for an announce again.
    pub fn announce(&self, offers: Vec<(OfferId, String)>, extras: Extras) -> Result<(), CommandError> {
        self.send(Command::Announce(offers, extras))
    }

    /// Asks for an announce before the interval is over, because peers were lost. An
    /// [`TrackerEvent::AnnounceDue`] follows at once, or as soon as the last announce is ten
    /// seconds old.
    pub fn announce_now(&self) -> Result<(), CommandError> {
        self.send(Command::AnnounceNow)
    }

    /// Answers another viewer's offer. Lost while disconnected.
    pub fn answer(&self, to: PeerId, offer_id: OfferId, sdp: String) -> Result<(), CommandError> {
        self.send(Command::Answer { to, offer_id, sdp })
    }

    /// Leaves the swarm and closes the socket; returns when that is done, or after two seconds.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }

    fn send(&self, command: Command) -> Result<(), CommandError> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommandError::Busy,
            mpsc::error::TrySendError::Closed(_) => CommandError::Ended,
        })
    }
}

impl Drop for TrackerHandle {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}
