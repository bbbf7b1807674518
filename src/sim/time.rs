// SPDX-License-Identifier: MPL-2.0

//! Time and rates inside a world.

use std::time::Duration;

/// Microseconds since the world began, or between two moments.
pub type Micros = u64;

pub fn from_seconds(seconds: f64) -> Micros {
    (seconds * 1e6).round() as Micros
}

pub fn from_millis(milliseconds: f64) -> Micros {
    from_seconds(milliseconds / 1e3)
}

pub fn to_seconds(time: Micros) -> f64 {
    time as f64 / 1e6
}

/// Rounded up: a viewer that is woken a moment too early would only go to sleep again.
pub fn from_duration(duration: Duration) -> Micros {
    duration.as_nanos().div_ceil(1000) as Micros
}

/// Bytes a second from Mbit/s.
pub fn bytes_per_second(mbits: f64) -> f64 {
    mbits * 1e6 / 8.0
}

/// How long `bytes` take at `rate` bytes a second; at least a microsecond.
pub fn transmission(bytes: u64, rate: f64) -> Micros {
    (bytes as f64 * 1e6 / rate).ceil().max(1.0) as Micros
}
