// SPDX-License-Identifier: MPL-2.0

//! The score by which viewers agree, without a word on the wire, on who fetches a fresh segment.
//!
//! p2p-media-loader 5 computes the same number, so browsers and this element fall in with each
//! other: among a viewer and its peers the lowest score for a segment is the fetcher.

use super::segment_id::SegmentId;

const FNV_OFFSET_BASIS: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// The score of a peer for a segment, uniform over all of `u32`.
///
/// FNV-1a over the text `peerId|externalId`, then MurmurHash3's finaliser: FNV alone leaves ids that
/// differ only in their last digits next to each other, and one viewer would be elected again and again.
pub fn election_score(peer_id: &[u8], segment: SegmentId) -> u32 {
    let hash = fnv1a(FNV_OFFSET_BASIS, peer_id);
    let hash = fnv1a(hash, b"|");
    finalise(fnv1a(hash, segment.to_string().as_bytes()))
}

fn fnv1a(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME))
}

fn finalise(mut hash: u32) -> u32 {
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_gives_the_published_values() {
        assert_eq!(fnv1a(FNV_OFFSET_BASIS, b""), 0x811c_9dc5);
        assert_eq!(fnv1a(FNV_OFFSET_BASIS, b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(FNV_OFFSET_BASIS, b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn the_finaliser_gives_the_published_values() {
        assert_eq!(finalise(0), 0);
        assert_eq!(finalise(1), 0x514e_28b7);
    }

    #[test]
    fn the_score_is_of_the_joined_text() {
        let joined = finalise(fnv1a(FNV_OFFSET_BASIS, b"-PM0500-abcdefghijkl|-42"));
        assert_eq!(election_score(b"-PM0500-abcdefghijkl", SegmentId(-42)), joined);
    }

    #[test]
    fn every_peer_gets_its_share_of_consecutive_segments() {
        let peers: Vec<String> = (0..10).map(|n| format!("-GP0001-aaaaaaaaaaa{n}")).collect();
        let mut wins = [0u32; 10];
        for segment in 0..10_000 {
            let winner = (0..10).min_by_key(|n| election_score(peers[*n].as_bytes(), SegmentId(segment)));
            wins[winner.unwrap_or_default()] += 1;
        }
        assert!(wins.iter().all(|n| (850..1150).contains(n)), "{wins:?}");
    }
}
