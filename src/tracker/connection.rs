// SPDX-License-Identifier: MPL-2.0

//! One viewer's socket from its handshake to its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::limits::Allowance;
use super::outbox::{Closed, Outbox};
use super::server::Shared;
use super::swarms::{ConnectionId, Refusal};
use crate::swarm::ids::InfoHash;
use crate::swarm::tracker_messages::{
    Action, Announce, AnnounceResponse, Answer, ClientMessage, Failure, MessageError, Offer, TrackerMessage,
};

/// Messages allowed at once and a second. An announce comes with an answer to each of some
/// offers, so a viewer sends a few messages a minute; a page with many swarms, some more.
const MESSAGES: (f32, f32) = (500.0, 100.0);
/// Errors allowed at once and a second. A client that does not learn is cut off.
const ERRORS: (f32, f32) = (16.0, 0.1);
/// Silence after which a viewer is pinged, and after as much again taken for dead. Browsers
/// answer pings by themselves.
const SILENCE: Duration = Duration::from_secs(60);
/// Time that a viewer has to take what waits for it.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the server ends a connection.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("viewer closed the connection")]
    Gone,
    #[error("socket failed: {0}")]
    Socket(#[from] axum::Error),
    #[error("viewer has gone silent")]
    Silent,
    #[error("too many messages")]
    Flood,
    #[error("too many errors")]
    Errors,
    #[error("viewer reads too slowly")]
    Slow,
    #[error("server stops")]
    Shutdown,
}

impl From<Closed> for End {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Overflow => Self::Slow,
            Closed::Shutdown => Self::Shutdown,
        }
    }
}

/// Serves a viewer until its socket or the server ends.
pub(super) async fn run(shared: Arc<Shared>, mut socket: WebSocket, address: IpAddr) {
    let (id, outbox) = shared.register();
    let now = Instant::now();
    let mut connection = Connection {
        shared,
        id,
        outbox,
        address,
        messages: Allowance::new(now, MESSAGES.0, MESSAGES.1),
        errors: Allowance::new(now, ERRORS.0, ERRORS.1),
    };
    let Err(end) = connection.serve(&mut socket).await;
    // First of all, so that nobody is introduced to a viewer who has gone.
    drop(connection);
    debug!(connection = id.0, %end, "closed");
    if let Some(code) = end.close_code() {
        let reason = end.to_string().into();
        let close = Message::Close(Some(CloseFrame { code, reason }));
        let _ = timeout(SEND_TIMEOUT, socket.send(close)).await;
    }
}

impl End {
    /// What the viewer is told, if it can still hear.
    fn close_code(&self) -> Option<u16> {
        match self {
            Self::Gone | Self::Socket(_) | Self::Silent | Self::Slow => None,
            Self::Flood | Self::Errors => Some(close_code::POLICY),
            Self::Shutdown => Some(close_code::AWAY),
        }
    }
}

struct Connection {
    shared: Arc<Shared>,
    id: ConnectionId,
    outbox: Arc<Outbox>,
    address: IpAddr,
    messages: Allowance,
    errors: Allowance,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.unregister(self.id);
    }
}

impl Connection {
    async fn serve(&mut self, socket: &mut WebSocket) -> Result<std::convert::Infallible, End> {
        let mut heard_since_ping = true;
        // One timer that runs on its own: setting it anew at each message would cost more than
        // it is worth.
        let silence = sleep(SILENCE);
        tokio::pin!(silence);
        loop {
            tokio::select! {
                waiting = self.outbox.take() => send(socket, waiting?).await?,
                frame = socket.next() => {
                    heard_since_ping = true;
                    self.hear(frame.ok_or(End::Gone)??)?;
                }
                () = &mut silence => {
                    if !heard_since_ping {
                        return Err(End::Silent);
                    }
                    heard_since_ping = false;
                    silence.set(sleep(SILENCE));
                    within(socket.send(Message::Ping(Default::default()))).await?;
                }
            }
        }
    }

    fn hear(&mut self, frame: Message) -> Result<(), End> {
        let now = Instant::now();
        if !self.messages.take(now) {
            return Err(End::Flood);
        }
        let message = match &frame {
            Message::Text(text) => ClientMessage::parse(text.as_bytes()),
            Message::Binary(bytes) => ClientMessage::parse(bytes),
            // Pings are answered by the library, and the stream ends after a close frame.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return Ok(()),
        };
        match message {
            Ok(ClientMessage::Announce(announce)) => self.announce(now, announce),
            Ok(ClientMessage::Answer(answer)) => self.answer(now, answer),
            Ok(ClientMessage::Scrape(info_hashes)) => {
                self.reply(TrackerMessage::Scrape(self.shared.scrape(info_hashes)));
                Ok(())
            }
            Err(MessageError { action, info_hash, reason }) => {
                self.reply(TrackerMessage::Failure(Failure {
                    action,
                    info_hash,
                    reason: reason.to_string(),
                }));
                self.error(now)
            }
        }
    }

    fn announce(&mut self, now: Instant, announce: Announce) -> Result<(), End> {
        let (announced, receivers) = match self.shared.announce(now, self.id, self.address, &announce) {
            Ok(outcome) => outcome,
            Err(refusal) => return self.refuse(now, announce.info_hash, refusal),
        };
        self.reply(TrackerMessage::Response(AnnounceResponse {
            info_hash: Some(announce.info_hash),
            interval: Some(announced.interval),
            complete: Some(announced.complete),
            incomplete: Some(announced.incomplete),
            warning: None,
        }));
        let Announce { info_hash, peer_id, offers, .. } = announce;
        for (receiver, offer) in receivers.into_iter().zip(offers) {
            if let Some(receiver) = receiver {
                receiver.push(TrackerMessage::Offer { info_hash, peer_id, offer }.to_json());
            }
        }
        Ok(())
    }

    /// Relays an answer. There is no reply to it.
    fn answer(&mut self, now: Instant, answer: Answer) -> Result<(), End> {
        let offerer = match self.shared.answer(now, self.id, &answer) {
            Ok(offerer) => offerer,
            Err(refusal) => return self.refuse(now, answer.info_hash, refusal),
        };
        let Answer { info_hash, peer_id, offer_id, sdp, .. } = answer;
        let answer = Offer { offer_id, sdp };
        if let Some(offerer) = offerer {
            offerer.push(TrackerMessage::Answer { info_hash, peer_id, answer }.to_json());
        }
        Ok(())
    }

    fn refuse(&mut self, now: Instant, info_hash: InfoHash, refusal: Refusal) -> Result<(), End> {
        self.reply(TrackerMessage::Failure(Failure {
            action: Action::Announce,
            info_hash: info_hash.to_binary_string(),
            reason: refusal.to_string(),
        }));
        match refusal {
            Refusal::NoSuchOffer => Ok(()),
            Refusal::NotYours | Refusal::TooManyPeers => self.error(now),
        }
    }

    fn reply(&self, message: TrackerMessage) {
        self.outbox.push(message.to_json());
    }

    fn error(&mut self, now: Instant) -> Result<(), End> {
        self.shared.count_error();
        if self.errors.take(now) { Ok(()) } else { Err(End::Errors) }
    }
}

/// Sends what waits, as few writes as possible.
async fn send(socket: &mut WebSocket, waiting: Vec<String>) -> Result<(), End> {
    within(async {
        for message in waiting {
            socket.feed(Message::Text(message.into())).await?;
        }
        socket.flush().await
    })
    .await
}

async fn within(sending: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    match timeout(SEND_TIMEOUT, sending).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(End::Slow),
    }
}
