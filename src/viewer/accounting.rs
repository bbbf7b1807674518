// SPDX-License-Identifier: MPL-2.0

//! What the viewer counts.

/// Counters since the viewer began, in bytes unless the name says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segment bytes received over HTTP, useful or not.
    pub http_bytes: u64,
    /// Segment bytes received from peers and used.
    pub peer_bytes: u64,
    /// Segment bytes handed to peers' channels.
    pub upload_bytes: u64,
    /// Bytes that a second source brought after a first had.
    pub wasted_bytes: u64,
    /// Bytes from peers thrown away because they were wrong.
    pub rejected_bytes: u64,
    /// HTTP requests made for the swarm.
    pub elected: u64,
    /// HTTP requests made because whoever was to make them before us had not.
    pub backups: u64,
    /// HTTP requests made because there was no time for anything else: at the start, after a seek, and when no
    /// peer had what was needed. And those on a line that carries hardly more than the stream.
    pub last_calls: u64,
    /// HTTP requests made because a peer at work was about to be late.
    pub hedges: u64,
    /// Peers dropped because they broke the protocol or sent wrong bytes.
    pub banned_peers: u64,
}

impl Counters {
    /// Share of the bytes that came from peers, 0 to 1.
    pub fn peer_efficiency(&self) -> f64 {
        match self.peer_bytes + self.http_bytes {
            0 => 0.0,
            all => self.peer_bytes as f64 / all as f64,
        }
    }
}
