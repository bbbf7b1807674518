// SPDX-License-Identifier: MPL-2.0

//! Who fetches a segment that nobody has yet.
//!
//! Every viewer ranks itself and its peers by a hash of (peer id, segment id). The hash is the same
//! everywhere, so in a full mesh all agree without a word on the wire: the first fetches over HTTP at
//! once, the others step in by rank as the deadline nears. p2p-media-loader v5 ranks by the same
//! hash, so both kinds of viewer interleave.

use crate::swarm::{PeerId, SegmentId, election_score};

/// A viewer's place in the election for one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// 0 fetches at once.
    pub rank: usize,
}

/// The rank of `me` for `segment` among itself and `others`.
pub fn seat<'a>(me: &PeerId, segment: SegmentId, others: impl Iterator<Item = &'a PeerId>) -> Seat {
    let mine = (election_score(&me.0, segment), me);
    Seat { rank: others.filter(|other| (election_score(&other.0, segment), *other) < mine).count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(n: u8) -> Vec<PeerId> {
        (0..n).map(|i| PeerId([b'a' + i; 20])).collect()
    }

    #[test]
    fn a_full_mesh_elects_each_rank_once() {
        let ids = peers(16);
        for segment in 0..200 {
            let mut ranks: Vec<_> = ids
                .iter()
                .map(|me| seat(me, SegmentId(segment), ids.iter().filter(|other| *other != me)).rank)
                .collect();
            ranks.sort_unstable();
            assert_eq!(ranks, (0..16).collect::<Vec<_>>(), "segment {segment}");
        }
    }

    #[test]
    fn the_work_is_shared_out() {
        let ids = peers(8);
        let mut wins = [0u32; 8];
        for segment in 0..1000 {
            for (i, me) in ids.iter().enumerate() {
                if seat(me, SegmentId(segment), ids.iter().filter(|other| *other != me)).rank == 0 {
                    wins[i] += 1;
                }
            }
        }
        assert_eq!(wins.iter().sum::<u32>(), 1000);
        assert!(wins.iter().all(|w| (60..=200).contains(w)), "{wins:?}");
    }
}
