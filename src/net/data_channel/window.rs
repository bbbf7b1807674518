// SPDX-License-Identifier: MPL-2.0

//! How much to have under way on a path of this speed.
//!
//! Everything handed to a channel waits its turn there: a reply to a request, or a cancel, comes
//! out behind all the segment bytes handed over before it. The window is therefore no larger than
//! what the path carries at its measured speed in a quarter of a second, or in two round trips and a
//! little where that is more: as long as the window is what holds the path back, it doubles.
//!
//! A browser gets less. Chromium gives its socket 64 KiB, in which Linux lets 56 packets wait. The transport
//! sends all that is under way without a pause, so on a short path whatever exceeds that is lost while the
//! browser is busy. When the loss includes the last packet, only a timeout of a second finds it; a second
//! loss in a row takes two more, and by then the browser has given up the transfer. So no more than the
//! socket holds is under way beyond what is on the path itself.

use std::time::{Duration, Instant};

/// What may be in the channel at least, as time, and beyond two round trips.
const SHALLOWEST: Duration = Duration::from_millis(250);
const BEYOND: Duration = Duration::from_millis(100);

/// A speed is the mean over at least this long, or it would measure single bursts.
const SAMPLE: Duration = Duration::from_millis(50);

const INITIAL: usize = 256 << 10;
const SMALLEST: usize = 64 << 10;

/// What a browser's socket holds, with some left for other packets.
const BROWSER_SOCKET: usize = 48 << 10;

/// The other side's window is 1 MiB; more only waits here.
pub(super) const LARGEST: usize = 2 << 20;

/// The window of one channel.
#[derive(Debug)]
pub(super) struct SendWindow {
    bytes: usize,
    /// The peer is a browser, or may be one.
    browser: bool,
    /// The path's own round trip, without what bytes wait at its ends.
    path: Duration,
    /// Bytes per second, a moving average.
    rate: Option<f64>,
    /// When the running sample began, and how many bytes had been delivered by then.
    sample: Option<(Instant, u64)>,
}

impl SendWindow {
    pub fn new(browser: bool) -> Self {
        let bytes = if browser { BROWSER_SOCKET } else { INITIAL };
        Self { bytes, browser, path: Duration::ZERO, rate: None, sample: None }
    }

    /// Tells the round trip of the path when nobody is busy; zero while it is not known.
    pub fn path(&mut self, round_trip: Duration) {
        self.path = round_trip;
    }

    fn largest(&self, rate: f64) -> usize {
        if !self.browser {
            return LARGEST;
        }
        let on_path = rate * self.path.as_secs_f64();
        (BROWSER_SOCKET + on_path as usize).min(LARGEST)
    }

    /// Bytes worth having under way.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Tells that `delivered` bytes in all have been acknowledged and `waiting` have not.
    pub fn progress(&mut self, now: Instant, delivered: u64, waiting: usize) {
        // An idle channel says nothing about the path.
        if waiting == 0 {
            self.sample = None;
            return;
        }
        let Some((began, before)) = self.sample else {
            self.sample = Some((now, delivered));
            return;
        };
        let elapsed = now.saturating_duration_since(began);
        if elapsed < SAMPLE {
            return;
        }
        self.sample = Some((now, delivered));
        let measured = delivered.saturating_sub(before) as f64 / elapsed.as_secs_f64();
        let rate = self.rate.map_or(measured, |rate| rate + (measured - rate) / 4.0);
        self.rate = Some(rate);
        let depth = SHALLOWEST.max(BEYOND + 2 * self.path);
        self.bytes = ((rate * depth.as_secs_f64()) as usize).max(SMALLEST).min(self.largest(rate));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a path of `rate` bytes/s and `rtt` that is kept as full as the window allows.
    fn settle(rate: f64, rtt: f64) -> usize {
        settle_with(SendWindow::new(false), rate, rtt)
    }

    fn settle_with(mut window: SendWindow, rate: f64, rtt: f64) -> usize {
        let start = Instant::now();
        let (mut delivered, step) = (0.0, 0.01);
        for tick in 1..2000 {
            let path = rate.min(window.bytes() as f64 / rtt);
            delivered += path * step;
            window.progress(start + Duration::from_secs_f64(step * f64::from(tick)), delivered as u64, 1);
        }
        window.bytes()
    }

    #[test]
    fn a_slow_path_has_little_under_way() {
        assert_eq!(settle(100_000.0, 0.05), SMALLEST);
        let window = settle(625_000.0, 0.05);
        assert!((150_000..160_000).contains(&window), "{window}");
    }

    #[test]
    fn a_fast_path_is_filled() {
        assert_eq!(settle(100e6, 0.05), LARGEST);
        let window = settle(5e6, 0.1) as f64;
        assert!(window > 5e6 * 0.1, "{window}");
    }

    #[test]
    fn a_long_path_is_filled() {
        let mut window = SendWindow::new(false);
        window.path(Duration::from_millis(300));
        let window = settle_with(window, 2e6, 0.3) as f64;
        assert!(window > 2e6 * 0.3, "{window}");
    }

    #[test]
    fn a_browser_is_sent_no_more_at_once_than_its_socket_holds() {
        assert_eq!(SendWindow::new(true).bytes(), BROWSER_SOCKET);
        let browser = |path: f64| {
            let mut window = SendWindow::new(true);
            window.path(Duration::from_secs_f64(path));
            window
        };
        let near = settle_with(browser(0.0001), 100e6, 0.0001);
        assert!(near < 60 << 10, "{near} bytes arrive at once");
        // Slow only because it is busy.
        let busy = settle_with(browser(0.0001), 5e6, 0.05);
        assert!(busy < 60 << 10, "{busy} bytes arrive at once");
        // On a longer path more is under way without arriving at once, and it is filled.
        let far = settle_with(browser(0.05), 5e6, 0.05);
        assert!(far as f64 > 5e6 * 0.05, "{far}");
    }

    #[test]
    fn idle_time_is_not_slowness() {
        let mut window = SendWindow::new(false);
        let start = Instant::now();
        window.progress(start, 0, 1);
        window.progress(start + Duration::from_millis(100), 1_000_000, 1);
        let before = window.bytes();
        window.progress(start + Duration::from_millis(110), 1_000_000, 0);
        window.progress(start + Duration::from_secs(60), 1_000_100, 1);
        window.progress(start + Duration::from_millis(60_010), 1_000_200, 1);
        assert_eq!(window.bytes(), before);
    }
}
