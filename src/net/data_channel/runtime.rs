// SPDX-License-Identifier: MPL-2.0

//! Sockets with the buffers and the pace that this traffic needs.
//!
//! The transport does its I/O through a [`Runtime`] that the application may supply. This one is
//! tokio's, with three differences: socket buffers that hold a sender's burst, a pace that keeps
//! browsers sending ([`PacedSocket`]), and a way to stop the transport's task for good.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio_util::sync::CancellationToken;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

/// What is asked of the kernel for each socket, in bytes. The transport sends a whole congestion
/// window at once; what does not fit the receiver's buffer is lost and costs a retransmission
/// timeout of at least a second. Linux' default holds about 90 packets.
const SOCKET_BUFFER: usize = 4 << 20;

/// A socket that really has this much holds the transport's default window of 1 MiB.
const AMPLE_SOCKET_BUFFER: usize = 1 << 20;

/// The receive window in bytes where the kernel caps socket buffers (212 992 bytes on most Linux
/// systems): the sender then never has more under way than the socket holds. It limits one peer
/// to 5 MB/s at 50 ms, which is little loss next to one burst in three being cut short.
const SMALL_WINDOW: u32 = 256 << 10;

const MDNS_PORT: u16 = 5353;

/// How often the transport's loop goes round again before it sleeps, when relayed.
///
/// Each pass sends what the TURN client holds and only then gives it the connection's packets, so
/// these would wait for whatever wakes the loop next, half a second at worst. One more pass takes
/// an answer to what was received to the TURN client, another takes it to the socket. The loop
/// asks for one sleep per pass, so a sleep that is over at once makes the next one.
const EXTRA_PASSES: u8 = 2;

/// Datagrams handled before they are acknowledged, for [`PacedSocket`].
const PACE: usize = 2;

/// The receive window to advertise on this machine, or `None` for the transport's default.
pub(super) fn receive_window() -> Option<u32> {
    let granted = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| {
        enlarge(&socket)?;
        SockRef::from(&socket).recv_buffer_size()
    });
    // Linux reports twice what it grants, to account for its own bookkeeping.
    let granted = granted.unwrap_or(0) / if cfg!(target_os = "linux") { 2 } else { 1 };
    (granted < AMPLE_SOCKET_BUFFER).then_some(SMALL_WINDOW)
}

/// Asks for large buffers. Linux grants up to its limit; others refuse what is over it, hence the
/// smaller second try.
fn enlarge(socket: &std::net::UdpSocket) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket
        .set_recv_buffer_size(SOCKET_BUFFER)
        .or_else(|_| socket.set_recv_buffer_size(AMPLE_SOCKET_BUFFER))?;
    socket.set_send_buffer_size(SOCKET_BUFFER).or_else(|_| socket.set_send_buffer_size(AMPLE_SOCKET_BUFFER))
}

/// The runtime of one connection.
#[derive(Debug, Default)]
pub(super) struct LinkRuntime {
    /// Cancelling it ends the connection's task and closes its sockets at once.
    pub stop: CancellationToken,
    /// Cancelled when the connection's task has ended, whether it returned, failed or panicked.
    pub stopped: CancellationToken,
    /// Whether to acknowledge every second datagram; see [`PacedSocket`].
    pub paced: Arc<AtomicBool>,
    /// Whether packets may go through a TURN relay of ours; see [`EXTRA_PASSES`].
    pub relayed: AtomicBool,
    passes: AtomicU8,
}

impl LinkRuntime {
    pub fn new(paced: bool, relayed: bool) -> Self {
        Self { paced: Arc::new(paced.into()), relayed: relayed.into(), ..Self::default() }
    }
}

impl Runtime for LinkRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        let stop = self.stop.clone();
        let stopped = self.stopped.clone().drop_guard();
        TokioRuntime.spawn(Box::pin(async move {
            let _stopped = stopped;
            tokio::select! {
                () = stop.cancelled() => {}
                () = future => {}
            }
        }))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        if socket.local_addr()?.port() == MDNS_PORT {
            return TokioRuntime.wrap_udp_socket(socket);
        }
        // A small buffer makes transfers slow, not impossible.
        let _ = enlarge(&socket);
        Ok(Arc::new(PacedSocket {
            inner: TokioRuntime.wrap_udp_socket(socket)?,
            paced: Arc::clone(&self.paced),
            pass: Mutex::default(),
        }))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        TokioRuntime.connect_tcp(address)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        TokioRuntime.resolve_host(host)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        if self.relayed.load(Ordering::Relaxed) {
            if self.passes.fetch_add(1, Ordering::Relaxed) < EXTRA_PASSES {
                return Box::pin(std::future::ready(()));
            }
            self.passes.store(0, Ordering::Relaxed);
        }
        TokioRuntime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        TokioRuntime.yield_now()
    }
}

/// A socket that hands over at most two datagrams per pass of the transport's loop, when `paced`.
///
/// The transport acknowledges once per pass, after up to 64 datagrams. Chromium's SCTP sends no
/// more than four packets per acknowledgement and so stays at four per round trip for ever: 0.1
/// instead of 13 MB/s at 50 ms. RFC 9260 asks for an acknowledgement of every second packet. The
/// cost is processor time (2.6 times as much per received byte), so it is left off between two
/// viewers that both run this implementation.
///
/// A pass goes on receiving until the socket says that there is nothing, so that is what it says
/// after the second datagram. Those that the kernel had joined into one are kept here for the
/// following passes.
struct PacedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    paced: Arc<AtomicBool>,
    pass: Mutex<Pass>,
}

#[derive(Default)]
struct Pass {
    delivered: usize,
    /// Datagrams received and not yet delivered, each `meta.stride` long but for the last.
    kept: Vec<u8>,
    kept_from: usize,
    meta: RecvMeta,
}

impl std::fmt::Debug for PacedSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PacedSocket").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for PacedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.inner.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if !self.paced.load(Ordering::Relaxed) {
            return self.inner.poll_recv(cx, bufs, meta);
        }
        let (Some(buf), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        let mut pass = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        let room = PACE.saturating_sub(pass.delivered);
        if room == 0 {
            // The end of the pass. There may be more, so the next pass must come by itself.
            pass.delivered = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if pass.kept.is_empty() {
            let mut received = [RecvMeta::default()];
            let mut into = [IoSliceMut::new(buf)];
            let Poll::Ready(result) = self.inner.poll_recv(cx, &mut into, &mut received) else {
                pass.delivered = 0;
                return Poll::Pending;
            };
            result?;
            pass.take_in(buf, received[0], room);
            *meta = pass.meta;
        } else {
            *meta = pass.give_back(buf, room);
        }
        pass.delivered += meta.len.div_ceil(meta.stride.max(1)).max(1);
        Poll::Ready(Ok(1))
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

impl Pass {
    /// Leaves `room` datagrams of what was just received in `buf` and keeps the others.
    fn take_in(&mut self, buf: &[u8], received: RecvMeta, room: usize) {
        self.meta = received;
        let now = received.len.min(received.stride.max(1) * room);
        self.kept.clear();
        self.kept.extend_from_slice(&buf[now..received.len]);
        self.kept_from = 0;
        self.meta.len = now;
    }

    /// Delivers up to `room` kept datagrams into `buf`.
    fn give_back(&mut self, buf: &mut [u8], room: usize) -> RecvMeta {
        let rest = &self.kept[self.kept_from..];
        let now = rest.len().min(self.meta.stride.max(1) * room).min(buf.len());
        buf[..now].copy_from_slice(&rest[..now]);
        self.kept_from += now;
        if self.kept_from >= self.kept.len() {
            self.kept.clear();
        }
        let mut meta = self.meta;
        meta.len = now;
        meta
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// A socket that always has one receive of ten joined datagrams, numbered.
    #[derive(Debug)]
    struct Joined;

    impl AsyncUdpSocket for Joined {
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Ok((Ipv4Addr::LOCALHOST, 1).into())
        }

        fn poll_send(&self, _: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(transmit.contents.len()))
        }

        fn poll_recv(
            &self,
            _: &mut Context<'_>,
            bufs: &mut [IoSliceMut<'_>],
            meta: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            for number in 0..10 {
                bufs[0][number * 100..][..100].fill(u8::try_from(number).unwrap());
            }
            // Nine whole datagrams and a short one.
            meta[0] = RecvMeta::default();
            meta[0].len = 930;
            meta[0].stride = 100;
            Poll::Ready(Ok(1))
        }
    }

    /// What one pass of the transport's loop gets: first byte of each datagram, and the length.
    fn one_pass(socket: &PacedSocket) -> (Vec<u8>, usize) {
        let (mut datagrams, mut bytes) = (Vec::new(), 0);
        let mut buf = [0; 2000];
        let mut meta = [RecvMeta::default()];
        for _ in 0..4 {
            let mut bufs = [IoSliceMut::new(&mut buf)];
            let mut cx = Context::from_waker(Waker::noop());
            if socket.poll_recv(&mut cx, &mut bufs, &mut meta).is_pending() {
                break;
            }
            datagrams.extend(buf[..meta[0].len].chunks(meta[0].stride).map(|datagram| datagram[0]));
            bytes += meta[0].len;
        }
        (datagrams, bytes)
    }

    #[test]
    fn a_paced_pass_gets_two_datagrams_and_none_is_lost() {
        let socket =
            PacedSocket { inner: Arc::new(Joined), paced: Arc::new(true.into()), pass: Mutex::default() };
        for pair in [[0, 1], [2, 3], [4, 5], [6, 7]] {
            assert_eq!(one_pass(&socket), (pair.to_vec(), 200));
        }
        assert_eq!(one_pass(&socket), (vec![8, 9], 130));
        assert_eq!(one_pass(&socket), (vec![0, 1], 200));
    }

    #[test]
    fn an_unpaced_pass_gets_all_there_is() {
        let socket =
            PacedSocket { inner: Arc::new(Joined), paced: Arc::new(false.into()), pass: Mutex::default() };
        assert_eq!(one_pass(&socket).1, 4 * 930);
    }

    #[tokio::test]
    async fn the_end_of_the_task_is_told_even_after_a_panic() {
        let runtime = LinkRuntime::default();
        runtime.spawn(Box::pin(async { panic!("on purpose") }));
        runtime.stopped.cancelled().await;

        let runtime = LinkRuntime::default();
        runtime.spawn(Box::pin(std::future::pending()));
        runtime.stop.cancel();
        runtime.stopped.cancelled().await;
    }
}
