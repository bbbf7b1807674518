// SPDX-License-Identifier: MPL-2.0

//! The task behind a tracker's line: connects, talks, reconnects.

use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header::USER_AGENT};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config, connect_async_tls_with_config,
};
use tokio_util::sync::CancellationToken;

use super::schedule::{AnnounceSchedule, Backoff};
use super::{Command, OFFERS_PER_ANNOUNCE, TrackerConfig, TrackerError, TrackerEvent};
use crate::swarm::tracker_messages::{
    Announce, AnnounceEvent, Answer, ClientMessage, MAX_MESSAGE, Offer, TrackerMessage,
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Name lookup, TCP, TLS and the WebSocket handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A message that the system does not take within this time has nobody to go to.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which the tracker is pinged; it also keeps NAT bindings open.
const PING_AFTER: Duration = Duration::from_secs(25);
/// Silence after which the tracker is taken for dead.
const DEAD_AFTER: Duration = Duration::from_secs(60);
/// Senseless messages borne on one connection.
const MAX_SENSELESS: u32 = 16;

/// Why a connection is over.
enum End {
    /// The owner wants no more.
    Stopped,
    Failed(TrackerError),
}

impl From<SocketError> for End {
    fn from(error: SocketError) -> Self {
        Self::Failed(match error {
            SocketError::ConnectionClosed | SocketError::AlreadyClosed => TrackerError::Closed,
            SocketError::Io(error) => TrackerError::Io(error),
            SocketError::Tls(error) => TrackerError::Tls(error.to_string()),
            SocketError::Http(response) => TrackerError::Refused(response.status().as_u16()),
            SocketError::Url(_) => TrackerError::Url,
            error => TrackerError::Protocol(error.to_string()),
        })
    }
}

/// Keeps the line up until the owner stops it.
pub(super) async fn run(
    config: TrackerConfig,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<TrackerEvent>,
    stopping: CancellationToken,
) {
    let mut line = Line { config, commands, events, stopping };
    let mut backoff = Backoff::default();
    loop {
        let End::Failed(reason) = line.connection(&mut backoff).await else { return };
        let retry_in = (!matches!(reason, TrackerError::Url)).then(|| backoff.next(rand::random::<f64>()));
        if line.emit(TrackerEvent::Disconnected { reason, retry_in }).await.is_err() {
            return;
        }
        let Some(retry_in) = retry_in else { return };
        if line.wait(retry_in).await.is_break() {
            return;
        }
    }
}

struct Line {
    config: TrackerConfig,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<TrackerEvent>,
    stopping: CancellationToken,
}

impl Line {
    /// One connection from its handshake to its end.
    async fn connection(&mut self, backoff: &mut Backoff) -> End {
        let socket = tokio::select! {
            () = self.stopping.cancelled() => return End::Stopped,
            socket = connect(&self.config) => socket,
        };
        let mut connection = match socket {
            Ok(socket) => Connection::new(self, socket, backoff),
            Err(end) => return end,
        };
        let Err(end) = connection.talk().await;
        if matches!(end, End::Stopped) {
            connection.farewell().await;
        }
        end
    }

    /// Hands an event to the owner, however long it takes, unless the owner has gone.
    async fn emit(&self, event: TrackerEvent) -> Result<(), End> {
        tokio::select! {
            () = self.stopping.cancelled() => Err(End::Stopped),
            sent = self.events.send(event) => sent.map_err(|_| End::Stopped),
        }
    }

    /// Waits before the next try. Commands are dropped: offers and answers do not keep.
    async fn wait(&mut self, time: Duration) -> ControlFlow<()> {
        let over = sleep(time);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return ControlFlow::Break(()),
                () = self.events.closed() => return ControlFlow::Break(()),
                () = &mut over => return ControlFlow::Continue(()),
                command = self.commands.recv() => if command.is_none() {
                    return ControlFlow::Break(());
                },
            }
        }
    }
}

async fn connect(config: &TrackerConfig) -> Result<Socket, End> {
    if !matches!(config.url.scheme(), "ws" | "wss") || config.url.host_str().is_none_or(str::is_empty) {
        return Err(End::Failed(TrackerError::Url));
    }
    let mut request = config.url.as_str().into_client_request()?;
    if let Ok(user_agent) = HeaderValue::from_str(&config.user_agent) {
        request.headers_mut().insert(USER_AGENT, user_agent);
    }
    let limits = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let connector = config.tls.clone().map(Connector::Rustls);
    // Without Nagle's algorithm: an answer must not wait for the acknowledgement of the last one.
    let connecting = async {
        let host = config.url.host_str().zip(config.url.port_or_known_default());
        match config.proxies.to(&config.url).zip(host) {
            Some((proxy, (host, port))) => {
                let tunnel = proxy.tunnel(host, port).await.map_err(|e| End::Failed(e.into()))?;
                Ok(client_async_tls_with_config(request, tunnel, Some(limits), connector).await?)
            }
            None => Ok(connect_async_tls_with_config(request, Some(limits), true, connector).await?),
        }
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected.map(|(socket, _)| socket),
        Err(_) => Err(End::Failed(TrackerError::ConnectTimeout)),
    }
}

/// A socket that is up.
struct Connection<'a> {
    line: &'a mut Line,
    socket: Socket,
    backoff: &'a mut Backoff,
    schedule: AnnounceSchedule,
    /// Whether the tracker knows us on this connection.
    announced: bool,
    senseless: u32,
    heard: Instant,
    pinged: bool,
}

impl<'a> Connection<'a> {
    fn new(line: &'a mut Line, socket: Socket, backoff: &'a mut Backoff) -> Self {
        let now = Instant::now();
        Self {
            line,
            socket,
            backoff,
            schedule: AnnounceSchedule::new(now.into_std()),
            announced: false,
            senseless: 0,
            heard: now,
            pinged: false,
        }
    }

    /// Talks until something ends it.
    async fn talk(&mut self) -> Result<std::convert::Infallible, End> {
        // Commands from before belong to a connection that is gone.
        while self.line.commands.try_recv().is_ok() {}
        self.line.emit(TrackerEvent::Connected).await?;
        loop {
            if self.schedule.take_due(Instant::now().into_std()) {
                self.line.emit(TrackerEvent::AnnounceDue { max_offers: OFFERS_PER_ANNOUNCE }).await?;
            }
            let silence = if self.pinged { DEAD_AFTER } else { PING_AFTER };
            let wake = (self.heard + silence).min(self.schedule.due().into());
            tokio::select! {
                // In this order, so that what has arrived while the owner was slow to take events
                // is read before the tracker is said to be silent.
                biased;
                () = self.line.stopping.cancelled() => return Err(End::Stopped),
                () = self.line.events.closed() => return Err(End::Stopped),
                command = self.line.commands.recv() => match command {
                    Some(command) => self.obey(command).await?,
                    None => return Err(End::Stopped),
                },
                message = self.socket.next() => {
                    let message = message.ok_or(End::Failed(TrackerError::Closed))??;
                    self.heard = Instant::now();
                    self.pinged = false;
                    self.hear(message).await?;
                }
                () = sleep_until(wake) => self.check_silence().await?,
            }
        }
    }

    async fn check_silence(&mut self) -> Result<(), End> {
        let silence = self.heard.elapsed();
        if silence >= DEAD_AFTER {
            return Err(End::Failed(TrackerError::Silent));
        }
        if silence >= PING_AFTER && !self.pinged {
            self.pinged = true;
            self.send(Message::Ping(Default::default())).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<(), End> {
        let TrackerConfig { info_hash, peer_id, .. } = self.line.config;
        match command {
            Command::AnnounceNow => {
                self.schedule.hurry(Instant::now().into_std());
                Ok(())
            }
            Command::Announce(offers, extras) => {
                let event = if self.announced { AnnounceEvent::Update } else { AnnounceEvent::Started };
                self.announced = true;
                let offers: Vec<_> =
                    offers.into_iter().map(|(offer_id, sdp)| Offer { offer_id, sdp }).collect();
                let numwant = u32::try_from(offers.len()).ok();
                let announce = ClientMessage::Announce(Announce {
                    info_hash,
                    peer_id,
                    event,
                    numwant,
                    // A stream has no end to measure from.
                    left: None,
                    offers,
                });
                self.say(announce.to_json_with(&extras)).await
            }
            Command::Answer { to, offer_id, sdp } => {
                let answer = Answer { info_hash, peer_id, to_peer_id: to, offer_id, sdp };
                self.say(ClientMessage::Answer(answer).to_json()).await
            }
        }
    }

    async fn say(&mut self, json: String) -> Result<(), End> {
        if json.len() > MAX_MESSAGE {
            // Trackers close the socket on such a message.
            return self.warn(format!("a message of {} bytes is too long to be sent", json.len())).await;
        }
        self.send(Message::text(json)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_TIMEOUT, self.socket.send(message)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(End::Failed(TrackerError::Silent)),
        }
    }

    async fn warn(&self, warning: String) -> Result<(), End> {
        self.line.emit(TrackerEvent::Warning(warning)).await
    }

    /// Takes in one frame.
    async fn hear(&mut self, frame: Message) -> Result<(), End> {
        let parsed = match &frame {
            Message::Text(text) => TrackerMessage::parse(text.as_bytes()),
            Message::Binary(bytes) => TrackerMessage::parse(bytes),
            // The library answers a ping when it is next polled. After a close frame it ends the
            // stream.
            _ => return Ok(()),
        };
        let message = match parsed {
            Ok(message) => message,
            Err(error) => {
                self.senseless += 1;
                if self.senseless > MAX_SENSELESS {
                    return Err(End::Failed(TrackerError::Senseless));
                }
                return self.warn(format!("tracker sent nonsense: {error}")).await;
            }
        };
        let TrackerConfig { info_hash: ours, peer_id: me, .. } = self.line.config;
        match message {
            TrackerMessage::Response(response) if response.info_hash.is_none_or(|hash| hash == ours) => {
                if let Some(warning) = response.warning {
                    self.warn(warning).await?;
                }
                if response.interval.is_none() && response.complete.is_none() {
                    return Ok(());
                }
                // Not before: a tracker that accepts connections only to drop them is not back.
                self.backoff.reset();
                let interval = self.schedule.set_interval(Instant::now().into_std(), response.interval);
                let (complete, incomplete) =
                    (response.complete.unwrap_or(0), response.incomplete.unwrap_or(0));
                let number = response.number;
                self.line.emit(TrackerEvent::Response { interval, complete, incomplete, number }).await
            }
            TrackerMessage::Offer { info_hash, peer_id: from, offer: Offer { offer_id, sdp } }
                if info_hash == ours && from != me =>
            {
                self.line.emit(TrackerEvent::Offer { from, offer_id, sdp }).await
            }
            TrackerMessage::Answer { info_hash, peer_id: from, answer: Offer { offer_id, sdp } }
                if info_hash == ours && from != me =>
            {
                self.line.emit(TrackerEvent::Answer { from, offer_id, sdp }).await
            }
            TrackerMessage::Failure(failure) => self.warn(failure.reason).await,
            // Of another swarm, an echo of our own, or a scrape that nobody asked for.
            _ => Ok(()),
        }
    }

    /// Leaves the swarm and closes the socket, if the tracker still listens. The caller bounds
    /// the time.
    async fn farewell(&mut self) {
        let TrackerConfig { info_hash, peer_id, .. } = self.line.config;
        if self.announced {
            let stopped = Announce {
                info_hash,
                peer_id,
                event: AnnounceEvent::Stopped,
                numwant: None,
                left: None,
                offers: Vec::new(),
            };
            let stopped = ClientMessage::Announce(stopped).to_json();
            let _ = timeout(FAREWELL, self.socket.send(Message::text(stopped))).await;
        }
        // The tracker's own close frame shows that it has taken in all that came before.
        let close = async {
            if self.socket.close(None).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = timeout(FAREWELL, close).await;
    }
}

/// For each of the farewell's two messages; whether they arrive makes no difference to us.
const FAREWELL: Duration = Duration::from_millis(900);
