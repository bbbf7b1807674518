// SPDX-License-Identifier: MPL-2.0

//! How much a channel takes before the other end has it: what leaves at the speed measured in two round trips
//! and a little, or in a quarter of a second, as the element's channels do it (`net/data_channel/window.rs`), in less memory.

use super::time::{Micros, to_seconds};

/// Seconds' worth that may be in the channel at least, and beyond two round trips.
const SHALLOWEST: f64 = 0.25;
const BEYOND: f64 = 0.1;

/// A speed is the mean over at least this long.
const SAMPLE: Micros = 50_000;

const INITIAL: u32 = 256 << 10;
const SMALLEST: u32 = 64 << 10;
const LARGEST: u32 = 2 << 20;

#[derive(Clone, Copy, Debug)]
pub struct Window {
    bytes: u32,
    /// Bytes handed over and not acknowledged.
    in_flight: u32,
    /// Bytes a second, a moving average; 0 before anything was measured.
    rate: f32,
    /// Bytes acknowledged since the running sample began.
    delivered: u32,
    /// When it did; [`Micros::MAX`] while none runs.
    since: Micros,
}

impl Default for Window {
    fn default() -> Self {
        Self { bytes: INITIAL, in_flight: 0, rate: 0.0, delivered: 0, since: Micros::MAX }
    }
}

impl Window {
    pub fn send(&mut self, bytes: u64) {
        self.in_flight += bytes as u32;
    }

    /// The other end has so many more, on a way that takes so long there and back.
    pub fn acknowledge(&mut self, now: Micros, bytes: u32, round_trip: Micros) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if self.in_flight == 0 {
            // An idle channel says nothing about the path.
            self.since = Micros::MAX;
            return;
        }
        if self.since == Micros::MAX {
            (self.since, self.delivered) = (now, 0);
            return;
        }
        self.delivered += bytes;
        let elapsed = now - self.since;
        if elapsed < SAMPLE {
            return;
        }
        let measured = self.delivered as f32 / to_seconds(elapsed) as f32;
        self.rate = if self.rate == 0.0 { measured } else { self.rate + (measured - self.rate) / 4.0 };
        let depth = SHALLOWEST.max(BEYOND + 2.0 * to_seconds(round_trip));
        self.bytes = ((f64::from(self.rate) * depth) as u32).clamp(SMALLEST, LARGEST);
        (self.since, self.delivered) = (now, 0);
    }

    /// What it can take now, in whole chunks: less would only be cut smaller and smaller. One always fits.
    pub fn room(&self, chunk: u64) -> u64 {
        let bytes = u64::from(self.bytes).max(chunk);
        bytes.saturating_sub(u64::from(self.in_flight)) / chunk * chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_path_has_little_under_way_and_a_fast_one_much() {
        for (rate, least, most) in [(50_000u64, SMALLEST, SMALLEST), (2_000_000, 450_000, 550_000)] {
            let mut window = Window::default();
            let chunk = 16_384;
            let mut now = 0;
            window.send(10 * chunk);
            for _ in 0..500 {
                now += chunk * 1_000_000 / rate;
                window.send(chunk);
                window.acknowledge(now, chunk as u32, 75_000);
            }
            assert!((least..=most).contains(&window.bytes), "{} at {rate}", window.bytes);
        }
    }
}
