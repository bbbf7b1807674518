// SPDX-License-Identifier: MPL-2.0

//! The task of one link: it owns the connection and moves messages both ways.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{RTCIceCandidateType, RTCStatsReportEntry, StatsSelector};

use super::connector::{Connection, Signals};
use super::link::{Account, CloseReason, LinkEvent};
use super::window::SendWindow;

/// A link that is not open this long after its answer is given up.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Messages handed over to the transport before the account is brought up to date.
const SEND_BATCH: usize = 16;

/// The account is refreshed this often while bytes are under way, in case the transport's own
/// notice waits behind unread messages.
const ACCOUNT_INTERVAL: Duration = Duration::from_millis(50);

/// How often the path is looked at; it is probed twice as often.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest of so many round trips says how long the path is. Single ones, and those made while
/// connecting most of all, tell as much of how busy the two machines are.
const PROBES: usize = 4;

/// What the two directions of a link share.
pub(super) struct Pipe {
    pub events: mpsc::Sender<LinkEvent>,
    pub account: Arc<Account>,
    /// The peer is a browser, or may be one.
    pub browser: bool,
    /// The transport has said that less is under way.
    pub progress: Notify,
}

/// The task of one link: from opening to closing.
pub(super) async fn run(
    connection: Connection,
    mut signals: Signals,
    channel: Option<Arc<dyn DataChannel>>,
    pipe: Pipe,
    messages: mpsc::UnboundedReceiver<Bytes>,
    over: CancellationToken,
) {
    let Signals { lost, channels, .. } = &mut signals;
    let reason = tokio::select! {
        biased;
        () = over.cancelled() => CloseReason::Local,
        () = pipe.events.closed() => CloseReason::Local,
        // The transport's task never ends before its connection is closed, unless it fails.
        () = connection.runtime.stopped.cancelled() => CloseReason::Failed,
        lost = lost.wait_for(Option::is_some) => match lost {
            Ok(reason) => reason.unwrap_or(CloseReason::Failed),
            Err(_) => CloseReason::Failed,
        },
        reason = converse(&connection, channels, channel, &pipe, messages) => reason,
    };
    over.cancel();
    drop(connection);
    // The reader may take its time; nothing but this event is held for it.
    let _ = pipe.events.send(LinkEvent::Closed(reason)).await;
}

async fn converse(
    connection: &Connection,
    channels: &mut mpsc::Receiver<Arc<dyn DataChannel>>,
    channel: Option<Arc<dyn DataChannel>>,
    pipe: &Pipe,
    messages: mpsc::UnboundedReceiver<Bytes>,
) -> CloseReason {
    let channel = match tokio::time::timeout(OPEN_TIMEOUT, open(channels, channel)).await {
        Ok(Some(channel)) => channel,
        Ok(None) => return CloseReason::Remote,
        Err(_) => return CloseReason::Timeout,
    };
    if pipe.events.send(LinkEvent::Open).await.is_err() {
        return CloseReason::Local;
    }
    tokio::select! {
        reason = pipe.read(&*channel) => reason,
        reason = pipe.write(&*channel, messages) => reason,
        reason = pipe.probe(connection) => reason,
    }
}

/// Waits until there is a channel and it is open. `None` when it closed instead.
async fn open(
    channels: &mut mpsc::Receiver<Arc<dyn DataChannel>>,
    channel: Option<Arc<dyn DataChannel>>,
) -> Option<Arc<dyn DataChannel>> {
    let channel = match channel {
        Some(ours) => ours,
        None => channels.recv().await?,
    };
    // One is enough; the peer that opens another is cut off.
    channels.close();
    loop {
        match channel.poll().await? {
            DataChannelEvent::OnOpen => return Some(channel),
            DataChannelEvent::OnClose => return None,
            _ => {}
        }
    }
}

impl Pipe {
    /// Turns what the channel tells into events, for as long as there is room for them.
    async fn read(&self, channel: &dyn DataChannel) -> CloseReason {
        loop {
            let Ok(permit) = self.events.reserve().await else {
                return CloseReason::Local;
            };
            match channel.poll().await {
                Some(DataChannelEvent::OnMessage(message)) => {
                    permit.send(LinkEvent::Message(message.data.freeze()));
                }
                Some(DataChannelEvent::OnBufferedAmountLow) => self.progress.notify_one(),
                Some(DataChannelEvent::OnClose) | None => return CloseReason::Remote,
                Some(DataChannelEvent::OnError) => return CloseReason::Failed,
                Some(_) => {}
            }
        }
    }

    /// Hands messages over and keeps the account.
    async fn write(
        &self,
        channel: &dyn DataChannel,
        mut messages: mpsc::UnboundedReceiver<Bytes>,
    ) -> CloseReason {
        let mut window = SendWindow::new(self.browser);
        let mut batch = Vec::with_capacity(SEND_BATCH);
        let mut low = window.bytes() / 2;
        if channel.set_buffered_amount_low_threshold(low as u32).await.is_err() {
            return CloseReason::Remote;
        }
        let (mut handed_over, mut writable) = (0, false);
        loop {
            tokio::select! {
                count = messages.recv_many(&mut batch, SEND_BATCH) => if count == 0 {
                    return CloseReason::Local;
                },
                () = self.progress.notified() => {}
                () = tokio::time::sleep(ACCOUNT_INTERVAL), if self.account.buffered() > 0 => {}
                permit = self.events.reserve(), if writable => match permit {
                    Ok(permit) => {
                        permit.send(LinkEvent::Writable);
                        writable = false;
                    }
                    Err(_) => return CloseReason::Local,
                },
            }
            for message in batch.drain(..) {
                handed_over += message.len() as u64;
                if channel.send(BytesMut::from(message)).await.is_err() {
                    return CloseReason::Failed;
                }
            }
            let Ok(waiting) = channel.outstanding_bytes().await else {
                return CloseReason::Remote;
            };
            let delivered = handed_over.saturating_sub(waiting as u64);
            window.path(Duration::from_micros(self.account.path_us.load(Ordering::Relaxed)));
            window.progress(Instant::now(), delivered, waiting);
            let before = self.account.buffered();
            self.account.delivered.store(delivered, Ordering::SeqCst);
            self.account.window.store(window.bytes(), Ordering::SeqCst);
            // Whoever found no room saw more than `low` buffered, so it is told when that is no
            // longer so, even if the window has moved in between.
            let new_low = window.bytes() / 2;
            writable |= before > low && self.account.buffered() <= new_low;
            if low != new_low {
                low = new_low;
                if channel.set_buffered_amount_low_threshold(low as u32).await.is_err() {
                    return CloseReason::Remote;
                }
            }
        }
    }

    /// Reads from the path's own probes what it is like. Never returns.
    async fn probe(&self, connection: &Connection) -> CloseReason {
        let mut interval = tokio::time::interval(PROBE_INTERVAL);
        let (mut probes, mut shortest) = (0, u64::MAX);
        loop {
            interval.tick().await;
            let report = connection.peer.get_stats(Instant::now(), StatsSelector::None).await;
            let pairs = report.candidate_pairs().filter(|pair| pair.nominated);
            let Some(pair) =
                pairs.min_by(|a, b| a.current_round_trip_time.total_cmp(&b.current_round_trip_time))
            else {
                continue;
            };
            if pair.current_round_trip_time > 0.0 {
                let us = (pair.current_round_trip_time * 1e6).max(1.0) as u64;
                self.account.round_trip_us.store(us, Ordering::Relaxed);
                (probes, shortest) = (probes + 1, shortest.min(us));
                if probes >= PROBES {
                    self.account.path_us.store(shortest, Ordering::Relaxed);
                }
            }
            if let Some(RTCStatsReportEntry::LocalCandidate(local)) = report.get(&pair.local_candidate_id) {
                let relayed = local.candidate_type == RTCIceCandidateType::Relay;
                connection.runtime.relayed.store(relayed, Ordering::Relaxed);
            }
        }
    }
}
