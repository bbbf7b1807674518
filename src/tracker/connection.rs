// SPDX-License-Identifier: MPL-2.0

//! One viewer's socket from its handshake to its end.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tracing::debug;

use super::access::Grant;
use super::frames::{FrameError, Frames, Received, write_close, write_ping};
use super::limits::Allowance;
use super::outbox::{Closed, Outbox};
use super::place::Place;
use super::shared::Shared;
use super::swarms::{ConnectionId, Refusal};
use crate::swarm::ids::InfoHash;
use crate::swarm::tracker_messages::{
    Action, Announce, AnnounceResponse, Answer, ClientMessage, Extras, Failure, MessageError, Offer,
    TrackerMessage,
};

/// Errors allowed at once and a second. A client that does not learn is cut off.
const ERRORS: (f32, f32) = (16.0, 0.1);
/// Time that a viewer has to take what waits for it.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes read at a time; every thread has a buffer of this size for all of its connections.
const READ_BUFFER: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BUFFER]);
}

/// Why the server ends a connection.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("viewer closed the connection")]
    Gone,
    #[error("viewer said goodbye")]
    Closed,
    #[error("socket failed: {0}")]
    Socket(#[from] std::io::Error),
    #[error("{0}")]
    Frames(#[from] FrameError),
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

impl End {
    /// What the viewer is told, if it can still hear.
    fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::Gone | Self::Socket(_) | Self::Silent | Self::Slow => None,
            Self::Closed => Some(CloseCode::Normal),
            Self::Frames(error) => Some(error.close_code()),
            Self::Flood | Self::Errors => Some(CloseCode::Policy),
            Self::Shutdown => Some(CloseCode::Away),
        }
    }
}

/// What the handshake told about a viewer.
#[derive(Clone, Debug)]
pub(super) struct Viewer {
    pub address: IpAddr,
    /// From a token in the URL.
    pub grant: Option<Box<Grant>>,
}

/// Serves a viewer until its socket or the server ends. `first` has been read already.
pub(super) async fn run(
    shared: Arc<Shared>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    viewer: Viewer,
    mut first: Vec<u8>,
) {
    let (id, outbox) = shared.register();
    let end = {
        let mut connection = Connection::new(shared, id, outbox, viewer);
        let Err(end) = connection.serve(&mut stream, &mut first).await;
        // The end of this block comes first of all, so that nobody is introduced to a viewer
        // who has gone.
        end
    };
    debug!(connection = id.0, %end, "closed");
    if let Some(code) = end.close_code() {
        let mut frame = Vec::new();
        write_close(code, &end.to_string(), &mut frame);
        let farewell = async {
            stream.write_all(&frame).await?;
            stream.shutdown().await
        };
        let _ = timeout(SEND_TIMEOUT, farewell).await;
    }
}

struct Connection {
    shared: Arc<Shared>,
    id: ConnectionId,
    outbox: Arc<Outbox>,
    viewer: Viewer,
    place: Place,
    frames: Frames,
    messages: Allowance,
    errors: Allowance,
    heard: bool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.unregister(self.id);
    }
}

impl Connection {
    fn new(shared: Arc<Shared>, id: ConnectionId, outbox: Arc<Outbox>, viewer: Viewer) -> Self {
        let now = Instant::now();
        let limits = &shared.config.limits;
        Self {
            id,
            outbox,
            place: shared.place(viewer.address),
            viewer,
            frames: Frames::new(limits.max_message_bytes),
            messages: Allowance::new(now, limits.message_burst, limits.messages_per_second),
            errors: Allowance::new(now, ERRORS.0, ERRORS.1),
            heard: true,
            shared,
        }
    }

    async fn serve(
        &mut self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        first: &mut Vec<u8>,
    ) -> Result<Infallible, End> {
        self.hear(&mut std::mem::take(first))?;
        let outbox = self.outbox.clone();
        let silence = self.shared.config.limits.silence;
        // One timer that runs on its own: setting it anew at each message would cost more than
        // it is worth.
        let timer = sleep(silence);
        tokio::pin!(timer);
        loop {
            tokio::select! {
                waiting = outbox.take() => send(stream, &waiting?).await?,
                read = self.read(stream) => read?,
                () = &mut timer => {
                    // Browsers answer pings by themselves.
                    if !self.heard {
                        return Err(End::Silent);
                    }
                    self.heard = false;
                    timer.set(sleep(silence));
                    let mut ping = Vec::new();
                    write_ping(&mut ping);
                    send(stream, &ping).await?;
                }
            }
        }
    }

    /// Waits for bytes and does what they say. Nothing is lost when the future is dropped.
    async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Result<(), End> {
        poll_fn(|context| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut bytes = ReadBuf::new(buffer);
                ready!(Pin::new(&mut *stream).poll_read(context, &mut bytes))?;
                if bytes.filled().is_empty() {
                    return Poll::Ready(Err(End::Gone));
                }
                self.heard = true;
                Poll::Ready(self.hear(bytes.filled_mut()))
            })
        })
        .await
    }

    fn hear(&mut self, bytes: &mut [u8]) -> Result<(), End> {
        let now = Instant::now();
        // Apart while it hands out what it borrows.
        let mut frames = std::mem::replace(&mut self.frames, Frames::new(0));
        let heard = frames.feed(bytes, |received| {
            if !self.messages.take(now) {
                return Err(End::Flood);
            }
            match received {
                Received::Message(message) => self.message(now, message),
                Received::Ping(payload) => {
                    self.outbox.pong(payload);
                    Ok(())
                }
                Received::Pong => Ok(()),
                Received::Close => Err(End::Closed),
            }
        });
        self.frames = frames;
        heard
    }

    fn message(&mut self, now: Instant, message: &[u8]) -> Result<(), End> {
        match ClientMessage::parse_with_extras(message) {
            Ok((ClientMessage::Announce(announce), extras)) => self.announce(now, announce, &extras),
            Ok((ClientMessage::Answer(answer), _)) => self.answer(now, answer),
            Ok((ClientMessage::Scrape(info_hashes), _)) => {
                self.reply(TrackerMessage::Scrape(self.shared.scrape(info_hashes)));
                Ok(())
            }
            Err(MessageError { action, info_hash, reason }) => {
                self.fail(action, info_hash, reason.to_string());
                self.error(now)
            }
        }
    }

    fn announce(&mut self, now: Instant, announce: Announce, extras: &Extras) -> Result<(), End> {
        if let Err(denied) = self.shared.access().admit(&mut self.viewer.grant, &announce.info_hash, extras) {
            self.fail(Action::Announce, announce.info_hash.to_binary_string(), denied.to_string());
            return self.error(now);
        }
        let outcome = self.shared.announce(now, self.id, &self.place, &announce, extras);
        let (announced, receivers) = match outcome {
            Ok(outcome) => outcome,
            Err(refusal) => return self.refuse(now, announce.info_hash, refusal),
        };
        self.reply(TrackerMessage::Response(AnnounceResponse {
            info_hash: Some(announce.info_hash),
            interval: Some(announced.interval),
            complete: Some(announced.complete),
            incomplete: Some(announced.incomplete),
            number: announced.number,
            warning: None,
        }));
        let Announce { info_hash, peer_id, offers, .. } = announce;
        for (peer_id, offer) in announced.banked {
            self.reply(TrackerMessage::Offer { info_hash, peer_id, offer });
        }
        for (receiver, offer) in receivers.into_iter().zip(offers) {
            if let Some(receiver) = receiver {
                receiver.push(&TrackerMessage::Offer { info_hash, peer_id, offer }.to_json());
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
            offerer.push(&TrackerMessage::Answer { info_hash, peer_id, answer }.to_json());
        }
        Ok(())
    }

    fn refuse(&mut self, now: Instant, info_hash: InfoHash, refusal: Refusal) -> Result<(), End> {
        self.fail(Action::Announce, info_hash.to_binary_string(), refusal.to_string());
        match refusal {
            Refusal::NoSuchOffer | Refusal::Full => Ok(()),
            Refusal::NotYours | Refusal::TooManyPeers => self.error(now),
        }
    }

    fn fail(&self, action: Action, info_hash: String, reason: String) {
        self.reply(TrackerMessage::Failure(Failure { action, info_hash, reason }));
    }

    fn reply(&self, message: TrackerMessage) {
        self.outbox.push(&message.to_json());
    }

    fn error(&mut self, now: Instant) -> Result<(), End> {
        self.shared.count_error();
        if self.errors.take(now) { Ok(()) } else { Err(End::Errors) }
    }
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), frames: &[u8]) -> Result<(), End> {
    let sending = async {
        stream.write_all(frames).await?;
        // TLS keeps records back otherwise.
        stream.flush().await
    };
    match timeout(SEND_TIMEOUT, sending).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(End::Slow),
    }
}
