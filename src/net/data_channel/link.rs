// SPDX-License-Identifier: MPL-2.0

//! The pipe to one other viewer: events come in, messages go out.
//!
//! A task ([`pipe`]) owns the connection. It reads the channel into a bounded queue of events,
//! hands over what was given to [`Link::send`], and keeps the account of what is under way. The
//! two directions do not wait for each other, so a viewer that is slow to read still sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use webrtc::data_channel::DataChannel;

use super::MAX_MESSAGE_SIZE;
use super::connector::{Connection, Signals};
use super::pipe::{self, Pipe};
use super::window::{self, SendWindow};

/// Events that wait for the reader. When they are this many, the channel is left unread; the
/// transport below holds up to 256 messages more before it stops the sender.
const EVENT_QUEUE: usize = 32;

/// What [`Link::send`] accepts in bytes, whatever the window says. Commands are small and must get
/// through when segment bytes have used up the window; this bounds a caller that forgets it.
const SEND_LIMIT: usize = 2 * window::LARGEST;

/// What happens on a link, in order. `Open` comes first and `Closed` last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// Messages can flow.
    Open,
    /// A message arrived, at most [`MAX_MESSAGE_SIZE`] bytes long: a peer that sends more than it
    /// was told to loses that message. Text comes as its bytes.
    Message(Bytes),
    /// What is buffered has fallen through half of the window: [`Link::room`] is worth a look.
    Writable,
    /// The link is gone. Nothing follows.
    Closed(CloseReason),
}

/// Why a link closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed here")]
    Local,
    /// The peer closed it.
    #[error("closed by the peer")]
    Remote,
    /// The path went silent, or none was found.
    #[error("the path to the peer was lost")]
    Lost,
    /// It did not open within 15 seconds.
    #[error("it did not open in time")]
    Timeout,
    /// The peer opened a second channel.
    #[error("the peer broke the rules")]
    Violation,
    /// The transport failed.
    #[error("the transport failed")]
    Failed,
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The link is closed.
    #[error("the link is closed")]
    Closed,
    /// Too much is buffered. [`Link::room`] would have told.
    #[error("too much is buffered")]
    Full,
    /// The message is longer than [`MAX_MESSAGE_SIZE`].
    #[error("the message is too long")]
    TooLong,
}

/// A connection to one other viewer, opening or open. Dropping it closes it.
#[derive(Debug)]
pub struct Link {
    sender: LinkSender,
    events: LinkEvents,
}

/// The sending half of a [`Link`]. When the last clone is dropped, the link closes.
#[derive(Debug, Clone)]
pub struct LinkSender(Arc<Outbox>);

#[derive(Debug)]
struct Outbox {
    queue: mpsc::UnboundedSender<Bytes>,
    account: Arc<Account>,
    /// Cancelled from either side when the link is over.
    over: CancellationToken,
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

/// The receiving half of a [`Link`]. When it is dropped, the link closes.
#[derive(Debug)]
pub struct LinkEvents(mpsc::Receiver<LinkEvent>);

impl Link {
    /// Starts the task that owns the connection. `channel` is ours if we made the offer.
    pub(super) fn start(
        connection: Connection,
        signals: Signals,
        channel: Option<Arc<dyn DataChannel>>,
    ) -> Self {
        let (events, receiver) = mpsc::channel(EVENT_QUEUE);
        let (queue, messages) = mpsc::unbounded_channel();
        let over = CancellationToken::new();
        let browser = connection.runtime.paced.load(Ordering::Relaxed);
        let account = Arc::new(Account::new(SendWindow::new(browser).bytes()));
        let pipe = Pipe { events, account: Arc::clone(&account), browser, progress: Notify::new() };
        let handle = connection.handle.clone();
        handle.spawn(pipe::run(connection, signals, channel, pipe, messages, over.clone()));
        let sender = LinkSender(Arc::new(Outbox { queue, account, over }));
        Self { sender, events: LinkEvents(receiver) }
    }

    /// The next event; `None` after [`LinkEvent::Closed`]. Cancel safe.
    pub async fn recv(&mut self) -> Option<LinkEvent> {
        self.events.recv().await
    }

    /// Sends a message. See [`LinkSender::send`].
    ///
    /// # Errors
    ///
    /// Those of [`LinkSender::send`].
    pub fn send(&self, message: Bytes) -> Result<(), SendError> {
        self.sender.send(message)
    }

    /// Bytes under way. See [`LinkSender::buffered`].
    pub fn buffered(&self) -> usize {
        self.sender.buffered()
    }

    /// Bytes worth handing over now. See [`LinkSender::room`].
    pub fn room(&self) -> usize {
        self.sender.room()
    }

    /// The round trip to the peer. See [`LinkSender::round_trip`].
    pub fn round_trip(&self) -> Option<Duration> {
        self.sender.round_trip()
    }

    /// Closes the link. See [`LinkSender::close`].
    pub fn close(&self) {
        self.sender.close();
    }

    /// Takes the halves apart, for a caller that reads many links in one place and writes in
    /// another.
    pub fn split(self) -> (LinkSender, LinkEvents) {
        (self.sender, self.events)
    }
}

impl LinkEvents {
    /// The next event; `None` after [`LinkEvent::Closed`]. Cancel safe.
    pub async fn recv(&mut self) -> Option<LinkEvent> {
        self.0.recv().await
    }

    /// Polls for the next event.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<LinkEvent>> {
        self.0.poll_recv(cx)
    }
}

impl LinkSender {
    /// Hands a message over, in order and without waiting. Before the link is open, messages wait
    /// for it.
    ///
    /// Segment bytes should be handed over only while there is [`room`](Self::room); commands may
    /// go at any time.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] when 4 MiB are buffered, [`SendError::TooLong`] for a message that the
    /// peer would not take, [`SendError::Closed`] when it cannot be sent any more.
    pub fn send(&self, message: Bytes) -> Result<(), SendError> {
        if message.len() > MAX_MESSAGE_SIZE {
            return Err(SendError::TooLong);
        }
        if self.0.over.is_cancelled() {
            return Err(SendError::Closed);
        }
        if self.buffered() + message.len() > SEND_LIMIT {
            return Err(SendError::Full);
        }
        self.0.account.accepted.fetch_add(message.len() as u64, Ordering::SeqCst);
        self.0.queue.send(message).map_err(|_| SendError::Closed)
    }

    /// Bytes handed over and not yet acknowledged by the peer's transport.
    pub fn buffered(&self) -> usize {
        self.0.account.buffered()
    }

    /// Bytes worth handing over now: enough to keep the path busy for a quarter of a second, no
    /// more, so that commands do not wait long behind them. When it is zero,
    /// [`LinkEvent::Writable`] will follow.
    pub fn room(&self) -> usize {
        self.0.account.window.load(Ordering::SeqCst).saturating_sub(self.buffered())
    }

    /// The round trip to the peer at the last probe of the path.
    pub fn round_trip(&self) -> Option<Duration> {
        match self.0.account.round_trip_us.load(Ordering::Relaxed) {
            0 => None,
            us => Some(Duration::from_micros(us)),
        }
    }

    /// Closes the link at once; what is buffered may be lost. [`LinkEvent::Closed`] follows.
    pub fn close(&self) {
        self.0.over.cancel();
    }
}

/// What is under way, as the caller and the task both see it.
#[derive(Debug)]
pub(super) struct Account {
    /// Bytes ever given to [`Link::send`].
    accepted: AtomicU64,
    /// Of those, bytes acknowledged.
    pub delivered: AtomicU64,
    /// Bytes worth having under way.
    pub window: AtomicUsize,
    /// The last round trip in microseconds; zero until it is known.
    pub round_trip_us: AtomicU64,
    /// The shortest of several, likewise.
    pub path_us: AtomicU64,
}

impl Account {
    fn new(window: usize) -> Self {
        Self {
            accepted: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            window: AtomicUsize::new(window),
            round_trip_us: AtomicU64::new(0),
            path_us: AtomicU64::new(0),
        }
    }

    pub fn buffered(&self) -> usize {
        // In this order: what is delivered was accepted before.
        let delivered = self.delivered.load(Ordering::SeqCst);
        let accepted = self.accepted.load(Ordering::SeqCst);
        usize::try_from(accepted.saturating_sub(delivered)).unwrap_or(usize::MAX)
    }
}
