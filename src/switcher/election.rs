// SPDX-License-Identifier: MPL-2.0

//! Who fetches a segment that nobody has yet.
//!
//! Every viewer ranks itself by a hash of (peer id, segment id), the same everywhere, so that all agree
//! without a word on the wire.
//!
//! - Where a viewer sees the whole swarm, or nearly, it ranks itself among its peers: the first fetches over
//!   HTTP at once, the others step in by rank as the deadline nears. p2p-media-loader v5 ranks by the same
//!   hash, so both kinds of viewer interleave.
//! - In a larger swarm every neighbourhood would have its own first, and the origin would feel the swarm
//!   grow. There a viewer has a place in the whole swarm, whose size the tracker tells: as many fetch as are
//!   needed, however large the swarm is. The place comes from the number that the tracker has given the viewer, or
//!   from its hash, where the tracker gives none: then how many there are is a matter of chance, too. The next
//!   places step in, wave by wave, when nobody has been heard of.

use std::time::Duration;

use crate::swarm::{PeerId, SegmentId, election_score};

/// A viewer's place in the election for one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// Fetches at once.
    Elected,
    /// Among neighbours: the n-th to step in, from 1, as the deadline nears.
    Backup(u32),
    /// In a large swarm: steps in when nothing has been heard for so many times as long as word takes to get
    /// around, from 1.
    Wave(u32),
    /// Fetches for itself when it must.
    Bystander,
}

/// Fetchers in a swarm that sees a segment spread when there is time for its viewers to pass it on. With one, all
/// are late when it leaves without a word, or when its uplink serves only one at a time.
const FEWEST: f64 = 2.0;

/// The same where their number is a matter of chance: two would be none for one term in seven.
const FEWEST_BY_CHANCE: f64 = 3.0;

/// Viewers up to which [`FEWEST`] are enough. For each time that a swarm is twice as large there is one more: it
/// makes a smaller share of the bytes, and more viewers wait if there is none.
const FEW: f64 = 500.0;

/// What the tracker says of a swarm, and how much of it one sees.
#[derive(Clone, Copy, Debug)]
pub struct Swarm {
    /// Viewers, oneself among them.
    pub viewers: u64,
    /// Those that one has as peers.
    pub peers: usize,
    /// What the tracker calls us: nobody else has this number, and those in use are about those from 0 to
    /// `viewers`.
    pub number: Option<u32>,
}

/// How much the number of viewers that have a segment grows with each hop. Many have little to give, and
/// part of what the others give goes to viewers that hear from somebody else first.
const GROWTH: f64 = 2.0;

/// How much larger each wave of a large swarm is than all before it.
const WAVE: f64 = 3.0;

/// Viewers up to which no more are needed where there is no time for waves to step in, and how many there are is a
/// matter of chance: a segment that nobody is elected for is lost to such a swarm then, so the share of those must be
/// as small as the share of viewers that fetch.
const FEW_IN_TIME: f64 = 10.0;

/// How many viewers of a swarm should fetch a segment, if it is to reach all within `time` when a hop takes `hop`, and
/// word of it gets around in `word`.
pub fn fetchers(swarm: Option<&Swarm>, time: Duration, hop: Duration, word: Duration) -> f64 {
    let viewers = swarm.map_or(0.0, |swarm| swarm.viewers as f64);
    let hops = (time.as_secs_f64() / hop.as_secs_f64().max(1e-3)).min(64.0);
    let by_chance = swarm.is_some_and(|swarm| swarm.number.is_none());
    let fewest = if by_chance { FEWEST_BY_CHANCE } else { FEWEST };
    let enough = fewest + (viewers / FEW).max(1.0).log2();
    let many = if by_chance && time < 2 * word { 2.0 * (viewers / FEW_IN_TIME).max(1.0).ln() } else { 0.0 };
    enough.max(many).max(viewers / GROWTH.powf(hops))
}

/// How long word of a segment takes to get around a swarm of `viewers` when it takes `hop` from one to the
/// next.
pub fn spread(viewers: u64, hop: Duration) -> Duration {
    /// Viewers that hear it first from one who has it: those who have few peers that give are slowest.
    const REACH: f64 = 4.0;
    let hops = (viewers.max(2) as f64 / FEWEST).log(REACH).max(1.0);
    hop.mul_f64(hops)
}

/// Segments for which a viewer of a large swarm keeps its place where that is a matter of chance: those who took a
/// segment from it have subscribed to the next.
const TERM: i64 = 64;

/// Segments after which one of those who are elected by number gives way to another. The swarm has to find new ways
/// for its bytes then; so they change no more often than viewers come and go by themselves. But they do change: now
/// and then all whose turn it is have nothing to give, or have just left.
const TURN: i64 = 256;

/// The term that `segment` falls into for `me`. Terms of different viewers end at different segments, so that most
/// of those who fetch go on.
pub fn term(me: &PeerId, segment: SegmentId) -> i64 {
    let shift = i64::from(election_score(&me.0, SegmentId(0))).rem_euclid(TERM);
    segment.0.saturating_add(shift).div_euclid(TERM)
}

/// The place of `me` among all viewers, from 0 to 1, for `segment`: those with the smallest fetch it.
///
/// Numbers are dealt evenly over a circle, which turns a little with each segment. So always as many are elected as
/// should be, and they go one by one. Without a number it is a matter of chance.
fn place(me: &PeerId, segment: SegmentId, swarm: Option<&Swarm>) -> f64 {
    /// An odd number near 2^32 / the golden ratio: its multiples fall into the largest gaps of those before.
    const GOLDEN: u32 = 0x9E37_79B9;
    let whole = 2f64.powi(32);
    let Some((number, viewers)) = swarm.and_then(|swarm| Some((swarm.number?, swarm.viewers))) else {
        return f64::from(election_score(&me.0, SegmentId(term(me, segment)))) / whole;
    };
    // Of the same length for all, though they have heard of swarms of slightly different sizes.
    let turn = viewers.min(1 << 32).next_power_of_two() as i64 * TURN;
    let turned = segment.0.rem_euclid(turn) as f64 / turn as f64;
    (f64::from(number.wrapping_mul(GOLDEN)) / whole - turned).rem_euclid(1.0)
}

/// The seat of `me` for `segment`. `others` are the peers that take part in the election, and `fetchers` is how
/// many should fetch. Those of our peers that take part stand for the share of the swarm that does.
pub fn seat<'a>(
    me: &PeerId,
    segment: SegmentId,
    others: impl Iterator<Item = &'a PeerId>,
    swarm: Option<&Swarm>,
    fetchers: f64,
) -> Seat {
    let score = election_score(&me.0, segment);
    let mut electors = 1u32;
    let mut rank = 0;
    for other in others {
        electors += 1;
        rank += u32::from((election_score(&other.0, segment), other) < (score, me));
    }
    let (viewers, sees) = swarm
        .map_or((f64::from(electors), electors as usize), |swarm| (swarm.viewers as f64, swarm.peers + 1));
    // About so many viewers are first among their own neighbours.
    let firsts = viewers / f64::from(electors);
    if firsts <= fetchers {
        return if rank == 0 { Seat::Elected } else { Seat::Backup(rank) };
    }
    // Who gives nothing is no candidate. A few neighbours say little, so they are not believed altogether.
    let candidates = viewers * (f64::from(electors) / sees as f64).clamp(0.2, 1.0);
    let place = place(me, segment, swarm) * candidates;
    if place < fetchers { Seat::Elected } else { Seat::Wave((place / fetchers).log(WAVE) as u32 + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(n: u32) -> Vec<PeerId> {
        (0..n).map(|i| PeerId(format!("-GP0001-{i:012}").into_bytes().try_into().unwrap())).collect()
    }

    fn unnumbered(viewers: u64, peers: usize) -> Swarm {
        Swarm { viewers, peers, number: None }
    }

    fn seats(ids: &[PeerId], segment: SegmentId, viewers: Option<u64>, fetchers: f64) -> Vec<Seat> {
        let swarm = viewers.map(|viewers| unnumbered(viewers, ids.len() - 1));
        let others = |me: &PeerId| {
            let me = *me;
            ids.iter().filter(move |other| **other != me)
        };
        ids.iter().map(|me| seat(me, segment, others(me), swarm.as_ref(), fetchers)).collect()
    }

    #[test]
    fn a_full_mesh_elects_one_and_ranks_the_others() {
        let ids = peers(16);
        for segment in 0..200 {
            let mut ranks: Vec<u32> = seats(&ids, SegmentId(segment), Some(16), FEWEST)
                .into_iter()
                .map(|seat| match seat {
                    Seat::Elected => 0,
                    Seat::Backup(rank) => rank,
                    Seat::Wave(_) | Seat::Bystander => panic!("the mesh is full"),
                })
                .collect();
            ranks.sort_unstable();
            assert_eq!(ranks, (0..16).collect::<Vec<_>>(), "segment {segment}");
        }
    }

    #[test]
    fn a_swarm_of_unknown_size_is_what_one_sees() {
        let ids = peers(8);
        let seats = seats(&ids, SegmentId(5), None, FEWEST);
        assert_eq!(seats.iter().filter(|seat| **seat == Seat::Elected).count(), 1);
    }

    #[test]
    fn the_work_is_shared_out() {
        let ids = peers(8);
        let mut wins = [0u32; 8];
        for segment in 0..1000 {
            for (win, seat) in wins.iter_mut().zip(seats(&ids, SegmentId(segment), Some(8), FEWEST)) {
                *win += u32::from(seat == Seat::Elected);
            }
        }
        assert_eq!(wins.iter().sum::<u32>(), 1000);
        assert!(wins.iter().all(|w| (60..=200).contains(w)), "{wins:?}");
    }

    #[test]
    fn a_large_swarm_elects_as_many_as_a_small_one_and_backs_them_up_in_growing_waves() {
        for viewers in [1_000u64, 20_000] {
            let ids = peers(viewers as u32);
            // One of each term, or they would be the same.
            let segments = 50;
            let (mut elected, mut first_wave) = (0.0, 0.0);
            for segment in 0..segments {
                for me in &ids {
                    match seat(
                        me,
                        SegmentId(segment * TERM),
                        ids.iter().take(15),
                        Some(&unnumbered(viewers, 15)),
                        FEWEST_BY_CHANCE,
                    ) {
                        Seat::Elected => elected += 1.0,
                        Seat::Wave(1) => first_wave += 1.0,
                        Seat::Wave(wave) => assert!(wave < 12),
                        Seat::Backup(_) | Seat::Bystander => panic!("nobody sees so many"),
                    }
                }
            }
            let (elected, first_wave) = (elected / segments as f64, first_wave / segments as f64);
            assert!((2.0..4.0).contains(&elected), "{elected} of {viewers}");
            assert!((4.0..9.0).contains(&first_wave), "{first_wave} of {viewers}");
        }
    }

    #[test]
    fn those_who_give_nothing_leave_no_gap_among_the_fetchers() {
        let ids = peers(4000);
        // Half of the swarm gives nothing, and of the fifteen peers that each has, eight take part.
        let viewers = 2 * ids.len() as u64;
        let segments = 50;
        let mut elected = 0;
        for segment in 0..segments {
            for me in &ids {
                let seat = seat(
                    me,
                    SegmentId(segment * TERM),
                    ids.iter().take(8),
                    Some(&unnumbered(viewers, 15)),
                    FEWEST_BY_CHANCE,
                );
                elected += usize::from(seat == Seat::Elected);
            }
        }
        let elected = elected as f64 / segments as f64;
        assert!((2.0..4.0).contains(&elected), "{elected}");
    }

    #[test]
    fn word_takes_longer_in_a_larger_swarm_but_not_much() {
        let hop = Duration::from_millis(250);
        let [few, many, most] = [10, 1000, 1_000_000].map(|viewers| spread(viewers, hop));
        assert!(hop <= few && few < many && many < most && most < hop * 12, "{few:?} {many:?} {most:?}");
    }

    #[test]
    fn where_there_is_no_time_to_pass_it_on_more_fetch() {
        let hop = Duration::from_millis(200);
        let word = Duration::from_millis(1000);
        let at = |ms| fetchers(Some(&unnumbered(100_000, 15)), Duration::from_millis(ms), hop, word);
        assert!((FEWEST_BY_CHANCE..4.0 * FEWEST_BY_CHANCE).contains(&at(10_000)));
        assert_eq!(at(0), 100_000.0);
        assert!(at(400) > at(600) && at(600) > at(2000));
        let in_time = |viewers| fetchers(Some(&unnumbered(viewers, 15)), Duration::MAX, Duration::ZERO, word);
        assert_eq!(in_time(FEW as u64), FEWEST_BY_CHANCE);
        assert!(in_time(1_000_000) < 5.0 * FEWEST_BY_CHANCE);
    }

    #[test]
    fn where_nobody_could_step_in_there_is_seldom_nobody_elected() {
        let (hop, word) = (Duration::from_millis(100), Duration::from_secs(1));
        for viewers in [100, 1_000, 100_000] {
            let swarm = unnumbered(viewers, 15);
            let fetchers = fetchers(Some(&swarm), Duration::from_millis(1900), hop, word);
            // The chance that there is none, as their number is Poisson's.
            assert!((-fetchers).exp() <= fetchers / viewers as f64, "{fetchers} of {viewers}");
            assert!(fetchers < 0.06 * viewers as f64, "{fetchers} of {viewers}");
            let numbered = Swarm { number: Some(7), ..swarm };
            let fetchers = super::fetchers(Some(&numbered), Duration::from_millis(1900), hop, word);
            assert!(fetchers < 5.0 * FEWEST, "there are never none: {fetchers} of {viewers}");
        }
    }

    #[test]
    fn a_place_in_a_large_swarm_is_kept_for_a_term_and_few_change_at_a_time() {
        let ids = peers(1000);
        let changes = |segment: i64| {
            let changed = |me: &&PeerId| term(me, SegmentId(segment)) != term(me, SegmentId(segment + 1));
            ids.iter().filter(changed).count()
        };
        for segment in -100..100 {
            assert!(changes(segment) < 50, "{} at {segment}", changes(segment));
        }
        assert_eq!((0..TERM).map(changes).sum::<usize>(), ids.len(), "each once in a term");
        assert!(ids.iter().all(|me| term(me, SegmentId(i64::MAX)) >= term(me, SegmentId(0))));
    }

    /// Who of a swarm whose viewers have the numbers from 0 on is elected for `segment`.
    fn elected(ids: &[PeerId], segment: i64, fetchers: f64) -> Vec<usize> {
        let is_elected = |n: &usize| {
            let swarm = Swarm { viewers: ids.len() as u64, peers: 15, number: Some(*n as u32) };
            let others = ids.iter().cycle().skip(n + 1).take(15);
            seat(&ids[*n], SegmentId(segment), others, Some(&swarm), fetchers) == Seat::Elected
        };
        (0..ids.len()).filter(is_elected).collect()
    }

    #[test]
    fn with_numbers_as_many_are_elected_as_should_be_and_they_go_one_by_one() {
        for viewers in [200, 1000, 1023, 3000] {
            let ids = peers(viewers);
            for fetchers in [3.0, 9.0] {
                let mut last = elected(&ids, -1, fetchers);
                let mut changes = 0;
                let segments = 40 * TURN;
                for segment in (0..segments).step_by(TURN as usize / 16) {
                    let now = elected(&ids, segment, fetchers);
                    assert!((now.len() as f64 - fetchers).abs() <= 2.0, "{now:?} of {viewers}");
                    let fresh = now.iter().filter(|n| !last.contains(n)).count();
                    assert!(fresh <= 2, "{last:?} {now:?}");
                    changes += fresh;
                    last = now;
                }
                // One gives way to another about once a turn, or up to twice as seldom, as the swarm is smaller than
                // a power of two.
                let turn = segments as f64 / changes as f64 / TURN as f64;
                assert!((0.7..2.2).contains(&turn), "{turn} turns of {viewers}");
            }
        }
    }
}
