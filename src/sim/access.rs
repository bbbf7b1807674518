// SPDX-License-Identifier: MPL-2.0

//! Access links: first in, first out, never faster than their rate.

use super::population::Household;
use super::time::{Micros, transmission};

/// A household's link to the rest of the world.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Bytes a second.
    up: f64,
    down: f64,
    /// When the last byte handed over so far is through.
    up_free: Micros,
    down_free: Micros,
}

impl Access {
    pub fn new(household: &Household) -> Self {
        Self { up: household.up, down: household.down, up_free: 0, down_free: 0 }
    }

    /// Sends `len` bytes after all before: when the last of them has left.
    pub fn send(&mut self, now: Micros, len: u64) -> Micros {
        self.up_free = self.up_free.max(now) + transmission(len, self.up);
        self.up_free
    }

    /// `len` bytes of which the last is here now: when it is through. Bytes that come slower than the link is
    /// pass through it as they come.
    pub fn receive(&mut self, now: Micros, len: u64) -> Micros {
        self.down_free = now.max(self.down_free + transmission(len, self.down));
        self.down_free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_link_is_faster_than_its_rate(
            rate in 10_000.0f64..1e8, sends in proptest::collection::vec((0u64..100_000, 1u64..300_000), 1..100),
        ) {
            let household = Household { up: rate, down: rate, isp: 0, number: 0 };
            for direction in [Access::send, Access::receive] {
                let mut access = Access::new(&household);
                let (mut now, mut began, mut bytes, mut last) = (0, None, 0, 0);
                for (pause, len) in &sends {
                    now += pause;
                    if last < now {
                        // It was idle, at the latest until this piece began to pass.
                        (began, bytes) = (None, 0);
                    }
                    let through = direction(&mut access, now, *len);
                    prop_assert!(through >= now && through >= last);
                    bytes += len;
                    let start = *began.get_or_insert(through - transmission(*len, rate));
                    let most = (through - start) as f64 / 1e6 * rate;
                    prop_assert!(bytes as f64 <= most + 1.0, "{bytes} of {most}");
                    last = through;
                }
            }
        }
    }
}
