// SPDX-License-Identifier: MPL-2.0

//! The decision for one segment at one moment.

use std::time::Duration;

use super::{DeliveryEstimate, Seat};

/// What the switcher holds constant.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Added to what HTTP is expected to need: for the demuxer and decoder, which want bytes a
    /// little before they are shown, and for estimates that were wrong.
    pub margin: Duration,
    /// Slack below which a segment that nobody has is not left to others. Generous where there is
    /// slack to be had (VOD), nothing on live, where all of it is needed for peers.
    pub reserve: Duration,
}

/// A transfer from a peer that is under way.
#[derive(Clone, Copy, Debug)]
pub struct PeerWork {
    /// Time until it is done at its present rate; None while it has not shown a rate.
    pub remaining: Option<Duration>,
}

/// All that the decision for a segment rests on.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Time until playback needs the segment; zero when it is late.
    pub slack: Duration,
    /// Playing time of the segment: the guess at HTTP's need before anything was measured.
    pub duration: Duration,
    /// Bytes still missing, as far as known.
    pub missing: u64,
    /// An HTTP request for it is running.
    pub http_running: bool,
    /// A peer is sending it.
    pub peer_work: Option<PeerWork>,
    /// A peer that holds it is free to send it.
    pub peer_free: bool,
    /// Somebody holds it or is fetching it: it will come from a peer if there is time.
    pub peer_expected: bool,
    /// Our place among the viewers who would fetch it for the swarm.
    pub seat: Seat,
}

/// What to do about a segment now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing before the slack is down to this much (or something else changes).
    WaitUntilSlack(Duration),
    /// Ask a peer.
    Peer,
    /// Fetch what is missing over HTTP. A running transfer from a peer goes on beside it.
    Http,
    /// Ask a peer and HTTP at once, and keep what comes first.
    Race,
}

/// Decides where the missing bytes of one segment should come from.
pub fn decide(policy: &Policy, http: &DeliveryEstimate, s: &Situation) -> Choice {
    // Unmeasured HTTP is assumed to keep up with playback, just.
    let http_need = http.pessimistic(s.missing).unwrap_or(s.duration);
    let last_call = http_need + policy.margin;
    if s.http_running {
        return Choice::WaitUntilSlack(Duration::ZERO);
    }
    if let Some(work) = s.peer_work {
        let in_time = work.remaining.is_some_and(|r| r + policy.margin / 2 <= s.slack);
        return match s.slack <= last_call && !in_time {
            true => Choice::Http,
            false if s.slack > last_call => Choice::WaitUntilSlack(last_call),
            // It looks as if the peer will make it: look again before that hope is all there is.
            false => Choice::WaitUntilSlack(s.slack.saturating_sub(policy.margin / 4)),
        };
    }
    if s.slack <= last_call {
        return if s.peer_free { Choice::Race } else { Choice::Http };
    }
    if s.peer_free {
        return Choice::Peer;
    }
    if s.peer_expected {
        return Choice::WaitUntilSlack(last_call);
    }
    match s.seat.rank {
        0 => Choice::Http,
        rank => {
            // The backups of p2p-media-loader v5: the k-th steps in a little before the next.
            let backup = http_need + http_need / rank as u32 + policy.margin;
            let backup = backup.max(policy.reserve);
            if s.slack <= backup { Choice::Http } else { Choice::WaitUntilSlack(backup) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy = Policy { margin: Duration::from_secs(1), reserve: Duration::ZERO };

    fn http() -> DeliveryEstimate {
        let mut http = DeliveryEstimate::default();
        for _ in 0..50 {
            http.record_latency(Duration::from_millis(50));
            http.record_transfer(1_000_000, Duration::from_millis(500));
        }
        http
    }

    fn situation(slack: f64) -> Situation {
        Situation {
            slack: Duration::from_secs_f64(slack),
            duration: Duration::from_secs(2),
            missing: 1_000_000,
            http_running: false,
            peer_work: None,
            peer_free: false,
            peer_expected: false,
            seat: Seat { rank: 0 },
        }
    }

    #[test]
    fn the_first_segment_is_fetched_at_once() {
        let unmeasured = DeliveryEstimate::default();
        assert_eq!(decide(&POLICY, &unmeasured, &situation(0.0)), Choice::Http);
        let with_peer = Situation { peer_free: true, ..situation(0.0) };
        assert_eq!(decide(&POLICY, &unmeasured, &with_peer), Choice::Race);
    }

    #[test]
    fn peers_deliver_while_there_is_slack() {
        let s = Situation { peer_free: true, peer_expected: true, ..situation(4.0) };
        assert_eq!(decide(&POLICY, &http(), &s), Choice::Peer);
    }

    #[test]
    fn only_the_elected_fetches_early() {
        assert_eq!(decide(&POLICY, &http(), &situation(4.0)), Choice::Http);
        let second = Situation { seat: Seat { rank: 1 }, ..situation(4.0) };
        assert!(matches!(decide(&POLICY, &http(), &second), Choice::WaitUntilSlack(_)));
    }

    #[test]
    fn backups_step_in_by_rank() {
        let threshold =
            |rank| match decide(&POLICY, &http(), &Situation { seat: Seat { rank }, ..situation(100.0) }) {
                Choice::WaitUntilSlack(at) => at,
                other => panic!("rank {rank}: {other:?}"),
            };
        assert!(threshold(1) > threshold(2) && threshold(2) > threshold(3));
    }

    #[test]
    fn a_reserve_is_not_gambled_with() {
        let policy = Policy { reserve: Duration::from_secs(10), ..POLICY };
        let second = Situation { seat: Seat { rank: 1 }, ..situation(9.0) };
        assert_eq!(decide(&policy, &http(), &second), Choice::Http);
    }

    #[test]
    fn a_crawling_peer_is_hedged_and_a_quick_one_is_not() {
        let work = |secs| Some(PeerWork { remaining: Some(Duration::from_secs_f64(secs)) });
        let crawling = Situation { peer_work: work(5.0), ..situation(1.0) };
        assert_eq!(decide(&POLICY, &http(), &crawling), Choice::Http);
        let quick = Situation { peer_work: work(0.2), ..situation(1.0) };
        assert!(matches!(decide(&POLICY, &http(), &quick), Choice::WaitUntilSlack(_)));
        let silent = Situation { peer_work: Some(PeerWork { remaining: None }), ..situation(1.0) };
        assert_eq!(decide(&POLICY, &http(), &silent), Choice::Http);
    }

    proptest! {
        /// Whatever the peers do, a segment without HTTP is never left alone past the last moment
        /// at which HTTP alone would still have made it, unless a peer is about to finish it.
        #[test]
        fn never_worse_than_http(
            slack in 0.0f64..30.0, missing in 0u64..20_000_000, running in any::<bool>(),
            remaining in proptest::option::of(0.0f64..60.0), free in any::<bool>(),
            expected in any::<bool>(), rank in 0usize..20,
        ) {
            let s = Situation {
                missing,
                peer_work: running.then_some(PeerWork { remaining: remaining.map(Duration::from_secs_f64) }),
                peer_free: free,
                peer_expected: expected,
                seat: Seat { rank },
                ..situation(slack)
            };
            let need = http().pessimistic(missing).unwrap();
            match decide(&POLICY, &http(), &s) {
                Choice::WaitUntilSlack(at) => {
                    prop_assert!(at < s.slack, "a wait must end: {at:?} at {slack}");
                    let finishing = s.peer_work.and_then(|w| w.remaining).is_some_and(|r| r < s.slack);
                    prop_assert!(finishing || at >= need);
                }
                Choice::Peer => prop_assert!(s.slack > need),
                Choice::Http | Choice::Race => {}
            }
        }
    }
}
