// SPDX-License-Identifier: MPL-2.0

//! Where ISPs meet the rest of the world: links that viewers of many shards share.
//!
//! A queue that is looked at once in each window of the world's clock: what the shards sent into it in one
//! window says how long bytes wait there in the next.

use super::time::{Micros, from_seconds, to_seconds};

/// The two directions of an ISP's edge.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Edge<T> {
    pub inwards: T,
    pub outwards: T,
}

#[derive(Debug)]
pub struct Edges {
    /// Bytes a second.
    rate: f64,
    /// Bytes that wait, by ISP.
    waiting: Vec<Edge<f64>>,
}

impl Edges {
    pub fn new(rate: f64, isps: u16) -> Self {
        Self { rate, waiting: vec![Edge::default(); usize::from(isps)] }
    }

    /// A window of this length is over, in which these bytes came to each edge. Gives the time that what comes
    /// next has to wait.
    pub fn pass(&mut self, window: Micros, came: &[Edge<u64>]) -> Vec<Edge<Micros>> {
        let passed = self.rate * to_seconds(window);
        let rate = self.rate;
        let queue = |waiting: &mut f64, came: u64| {
            *waiting = (*waiting + came as f64 - passed).max(0.0);
            from_seconds(*waiting / rate)
        };
        let both = self.waiting.iter_mut().zip(came);
        both.map(|(waiting, came)| Edge {
            inwards: queue(&mut waiting.inwards, came.inwards),
            outwards: queue(&mut waiting.outwards, came.outwards),
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_edge_cannot_carry_waits() {
        let mut edges = Edges::new(1e6, 1);
        let second = from_seconds(1.0);
        let came = [Edge { inwards: 1_500_000, outwards: 900_000 }];
        assert_eq!(edges.pass(second, &came), [Edge { inwards: second / 2, outwards: 0 }]);
        assert_eq!(edges.pass(second, &came), [Edge { inwards: second, outwards: 0 }]);
        assert_eq!(edges.pass(3 * second, &[Edge::default()]), [Edge::default()]);
    }
}
