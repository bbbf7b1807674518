// SPDX-License-Identifier: MPL-2.0

//! The decision for one segment at one moment.

use std::time::Duration;

use super::{DeliveryEstimate, Seat};

/// What the switcher holds constant.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Added to what HTTP is expected to need, at most: see [`Policy::margin_of`].
    pub margin: Duration,
    /// Slack below which a segment that nobody has is not left to others. Generous where there is
    /// slack to be had (VOD), nothing on live, where all of it is needed for peers.
    pub reserve: Duration,
    /// How long word of a segment takes to get around the swarm.
    pub spread: Duration,
}

impl Policy {
    /// What is added to what HTTP is expected to need for a segment with so much slack in all: for the demuxer and
    /// decoder, which want bytes a little before they are shown, and for estimates that were wrong. Where
    /// playback is close to the live edge a whole second would leave nothing to the peers.
    pub fn margin_of(&self, first_slack: Duration) -> Duration {
        /// What else comes through the access link meanwhile holds up a request for so long.
        const LEAST: Duration = Duration::from_millis(350);
        self.margin.min(LEAST.max(first_slack / 6))
    }
}

/// An HTTP request for a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpWork {
    None,
    Running,
    /// It is running, but nothing comes.
    Silent,
}

/// A transfer from a peer that is under way.
#[derive(Clone, Copy, Debug)]
pub struct PeerWork {
    /// Time until it is done at its present rate; None while it has not shown a rate.
    pub remaining: Option<Duration>,
}

impl PeerWork {
    /// It will take longer than there is time, as far as is known.
    pub fn is_late(&self, slack: Duration) -> bool {
        self.remaining.is_some_and(|remaining| remaining > slack)
    }
}

/// All that the decision for a segment rests on.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Time until playback needs the segment; zero when it is late.
    pub slack: Duration,
    /// The slack when the segment was first wanted.
    pub first_slack: Duration,
    /// Playing time of the segment: the guess at HTTP's need before anything was measured.
    pub duration: Duration,
    /// Bytes still missing, as far as known.
    pub missing: u64,
    pub http: HttpWork,
    /// A peer is sending it.
    pub peer_work: Option<PeerWork>,
    /// A peer that holds more of it than we do is free to send it. Need not be told where somebody brings it in time.
    pub peer_free: bool,
    /// The slack from which on it is our turn to ask peers; others go first.
    pub peers_from: Duration,
    /// Word has come that somebody brings it into the swarm, who is no peer of ours.
    pub is_coming: bool,
    /// Somebody holds it or is fetching it: it will come from a peer if there is time. Need not be told where somebody
    /// brings it in time.
    pub peer_expected: bool,
}

impl Situation {
    /// What HTTP is expected to need at worst. Unmeasured HTTP is assumed to keep up with playback, just.
    fn http_need(&self, http: &DeliveryEstimate) -> Duration {
        http.pessimistic(self.missing).unwrap_or(self.duration)
    }

    /// Somebody is bringing it.
    pub fn is_at_work(&self) -> bool {
        self.peer_work.is_some() || self.http != HttpWork::None
    }
}

/// The slack at which only HTTP can still be sure to bring a segment in time.
pub fn last_call(policy: &Policy, http: &DeliveryEstimate, s: &Situation) -> Duration {
    s.http_need(http) + policy.margin_of(s.first_slack)
}

/// What to do about a segment now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing before something changes.
    Wait,
    /// Nothing before the slack is down to this much (or something else changes).
    WaitUntilSlack(Duration),
    /// Ask a peer.
    Peer,
    /// Leave the peer that is sending it for another.
    AnotherPeer,
    /// Fetch what is missing over HTTP. A running transfer from a peer goes on beside it.
    Http(Reason),
    /// Ask a peer and HTTP at once, and keep what comes first.
    Race,
}

/// Why HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// We are who fetches it for the swarm.
    Elected,
    /// Whoever was to fetch it before us has not.
    Backup,
    /// There is no time left for anything else.
    LastCall,
    /// The peer that is sending it would be late.
    Hedge,
    /// The access link carries hardly more than the stream.
    NarrowLine,
}

/// Word of a segment is waited for no longer than this part of the time that there is, where all see it at once.
const WORD_SHARE: u32 = 8;

/// In a large swarm it is waited for this part of the time in any case: where there is plenty, nothing is won by
/// stepping in early.
const WAVE_SHARE: u32 = 6;

/// Decides where the missing bytes of one segment should come from. `seat` is asked only where it matters.
pub fn decide(
    policy: &Policy,
    http: &DeliveryEstimate,
    s: &Situation,
    seat: impl FnOnce() -> Seat,
) -> Choice {
    let http_need = s.http_need(http);
    let margin = policy.margin_of(s.first_slack);
    let last_call = http_need + margin;
    match s.http {
        HttpWork::Silent if s.peer_free && s.peer_work.is_none() => return Choice::Peer,
        HttpWork::Silent | HttpWork::Running => return Choice::Wait,
        HttpWork::None => {}
    }
    if let Some(work) = s.peer_work {
        let in_time = work.remaining.is_some_and(|r| r + margin / 2 <= s.slack);
        return match s.slack <= last_call {
            true if !in_time => Choice::Http(Reason::Hedge),
            // It looks as if the peer will make it: look again before that hope is all there is.
            true => Choice::WaitUntilSlack(s.slack.saturating_sub(margin / 4)),
            false if s.peer_free && work.is_late(s.slack) => Choice::AnotherPeer,
            false => Choice::WaitUntilSlack(last_call),
        };
    }
    if s.slack <= last_call {
        return if s.peer_free { Choice::Race } else { Choice::Http(Reason::LastCall) };
    }
    if s.peer_free {
        let others_first = s.slack > s.peers_from && s.peers_from > last_call;
        return if others_first { Choice::WaitUntilSlack(s.peers_from) } else { Choice::Peer };
    }
    if s.peer_expected {
        return Choice::WaitUntilSlack(last_call);
    }
    let step_in = match seat() {
        Seat::Elected => return Choice::Http(Reason::Elected),
        // The backups of p2p-media-loader v5: the n-th steps in a little before the next.
        Seat::Backup(rank) => {
            // Where all see it at the same moment, word that it is being fetched has not come yet.
            let word = policy.spread.min(s.first_slack / WORD_SHARE);
            let turn = http_need + http_need / rank + margin;
            turn.min(s.first_slack.saturating_sub(word)).max(last_call).max(policy.reserve)
        }
        Seat::Bystander => last_call.max(policy.reserve),
        Seat::Wave(wave) => {
            // What is on its way may take as long again to come as word of it did.
            let waves = wave + u32::from(s.is_coming);
            let word = policy.spread.max(s.first_slack / WAVE_SHARE);
            s.first_slack.saturating_sub(word * waves).max(last_call)
        }
    };
    if s.slack <= step_in { Choice::Http(Reason::Backup) } else { Choice::WaitUntilSlack(step_in) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy =
        Policy { margin: Duration::from_secs(1), reserve: Duration::ZERO, spread: Duration::from_secs(1) };

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
            first_slack: Duration::from_secs_f64(slack),
            duration: Duration::from_secs(2),
            missing: 1_000_000,
            http: HttpWork::None,
            peer_work: None,
            peer_free: false,
            peers_from: Duration::MAX,
            is_coming: false,
            peer_expected: false,
        }
    }

    fn decide_from(policy: &Policy, s: &Situation, seat: Seat) -> Choice {
        decide(policy, &http(), s, || seat)
    }

    #[test]
    fn the_first_segment_is_fetched_at_once() {
        let unmeasured = DeliveryEstimate::default();
        let first = |s: &Situation| decide(&POLICY, &unmeasured, s, || Seat::Wave(9));
        assert_eq!(first(&situation(0.0)), Choice::Http(Reason::LastCall));
        assert_eq!(first(&Situation { peer_free: true, ..situation(0.0) }), Choice::Race);
    }

    #[test]
    fn a_backup_waits_for_word_of_the_elected() {
        // So little time that it would be its turn at once.
        let s = Situation { first_slack: Duration::from_secs(4), ..situation(4.0) };
        let tight = |slack: f64| Situation { slack: Duration::from_secs_f64(slack), missing: 3_000_000, ..s };
        let Choice::WaitUntilSlack(at) = decide_from(&POLICY, &tight(4.0), Seat::Backup(1)) else {
            panic!("it does not wait")
        };
        assert_eq!(at, Duration::from_millis(3_500));
        assert_eq!(decide_from(&POLICY, &tight(3.5), Seat::Backup(1)), Choice::Http(Reason::Backup));
    }

    #[test]
    fn peers_deliver_while_there_is_slack() {
        let s = Situation { peer_free: true, peer_expected: true, ..situation(4.0) };
        assert_eq!(decide_from(&POLICY, &s, Seat::Elected), Choice::Peer);
    }

    #[test]
    fn only_the_elected_fetches_early() {
        let at_four = |seat| decide_from(&POLICY, &situation(4.0), seat);
        assert_eq!(at_four(Seat::Elected), Choice::Http(Reason::Elected));
        assert!(matches!(at_four(Seat::Backup(1)), Choice::WaitUntilSlack(_)));
        assert!(matches!(at_four(Seat::Wave(1)), Choice::WaitUntilSlack(_)));
    }

    #[test]
    fn backups_and_waves_step_in_one_after_the_other() {
        let threshold = |seat| match decide_from(&POLICY, &situation(100.0), seat) {
            Choice::WaitUntilSlack(at) => at,
            other => panic!("{seat:?}: {other:?}"),
        };
        for seat in [Seat::Backup, Seat::Wave] {
            assert!(threshold(seat(1)) > threshold(seat(2)) && threshold(seat(2)) > threshold(seat(3)));
        }
        // With much time they wait for longer than word takes to get around.
        assert_eq!(
            threshold(Seat::Wave(1)),
            Duration::from_secs(100) - Duration::from_secs(100) / WAVE_SHARE
        );
        let second_wave = Situation { first_slack: Duration::from_secs(6), ..situation(4.0) };
        assert_eq!(decide_from(&POLICY, &second_wave, Seat::Wave(2)), Choice::Http(Reason::Backup));
    }

    #[test]
    fn word_of_a_segment_that_is_coming_holds_the_waves_back() {
        let s = Situation { first_slack: Duration::from_secs(6), ..situation(4.5) };
        assert_eq!(decide_from(&POLICY, &s, Seat::Wave(1)), Choice::Http(Reason::Backup));
        let coming = Situation { is_coming: true, ..s };
        assert_eq!(
            decide_from(&POLICY, &coming, Seat::Wave(1)),
            Choice::WaitUntilSlack(Duration::from_secs(4))
        );
        let late = Situation { is_coming: true, ..situation(4.0) };
        assert_eq!(decide_from(&POLICY, &late, Seat::Elected), Choice::Http(Reason::Elected));
    }

    #[test]
    fn who_gives_nothing_lets_others_go_first_while_there_is_time() {
        let at = |slack, from| {
            let peers_from = Duration::from_secs_f64(from);
            decide_from(
                &POLICY,
                &Situation { peer_free: true, peers_from, ..situation(slack) },
                Seat::Bystander,
            )
        };
        assert_eq!(at(8.0, 7.0), Choice::WaitUntilSlack(Duration::from_secs(7)));
        assert_eq!(at(7.0, 7.0), Choice::Peer);
        assert_eq!(at(3.0, 0.5), Choice::Peer, "there is no time to wait");
    }

    #[test]
    fn a_reserve_is_not_gambled_with() {
        let policy = Policy { reserve: Duration::from_secs(10), ..POLICY };
        assert_eq!(decide_from(&policy, &situation(9.0), Seat::Backup(1)), Choice::Http(Reason::Backup));
    }

    #[test]
    fn a_crawling_peer_is_hedged_and_a_quick_one_is_not() {
        let work = |secs| Some(PeerWork { remaining: Some(Duration::from_secs_f64(secs)) });
        let at_one = |peer_work| {
            let s = Situation { peer_work, first_slack: Duration::from_secs(6), ..situation(1.0) };
            decide_from(&POLICY, &s, Seat::Elected)
        };
        assert_eq!(at_one(work(5.0)), Choice::Http(Reason::Hedge));
        assert!(matches!(at_one(work(0.2)), Choice::WaitUntilSlack(_)));
        assert_eq!(at_one(Some(PeerWork { remaining: None })), Choice::Http(Reason::Hedge));
    }

    #[test]
    fn close_to_the_live_edge_peers_are_left_most_of_the_time_there_is() {
        let step_in = |first_slack| match decide_from(&POLICY, &situation(first_slack), Seat::Bystander) {
            Choice::WaitUntilSlack(at) => at.as_secs_f64() / first_slack,
            other => panic!("{other:?}"),
        };
        let need = http().pessimistic(1_000_000).unwrap().as_secs_f64();
        assert!(step_in(2.0) < 0.2 + need / 2.0);
        assert!(step_in(10.0) < 0.11 + need / 10.0);
    }

    #[test]
    fn a_crawling_peer_is_left_for_another_while_there_is_time() {
        let work = |secs| Some(PeerWork { remaining: Some(Duration::from_secs_f64(secs)) });
        let at_six = |peer_work, peer_free| {
            let s = Situation { peer_work, peer_free, ..situation(6.0) };
            decide_from(&POLICY, &s, Seat::Elected)
        };
        assert_eq!(at_six(work(20.0), true), Choice::AnotherPeer);
        assert!(matches!(at_six(work(20.0), false), Choice::WaitUntilSlack(_)));
        assert!(matches!(at_six(work(5.0), true), Choice::WaitUntilSlack(_)));
    }

    #[test]
    fn a_silent_origin_is_not_waited_for_where_a_peer_has_it() {
        let silent = Situation { http: HttpWork::Silent, ..situation(4.0) };
        assert_eq!(decide_from(&POLICY, &silent, Seat::Elected), Choice::Wait);
        let with_peer = Situation { peer_free: true, ..silent };
        assert_eq!(decide_from(&POLICY, &with_peer, Seat::Elected), Choice::Peer);
        let running = Situation { http: HttpWork::Running, ..with_peer };
        assert_eq!(decide_from(&POLICY, &running, Seat::Elected), Choice::Wait);
    }

    proptest! {
        /// Whatever the peers do, a segment without HTTP is never left alone past the last moment
        /// at which HTTP alone would still have made it, unless a peer is about to finish it.
        #[test]
        fn never_worse_than_http(
            slack in 0.0f64..30.0, missing in 0u64..20_000_000, running in any::<bool>(),
            remaining in proptest::option::of(0.0f64..60.0), free in any::<bool>(),
            expected in any::<bool>(), seat in 0u32..41, first_slack in 0.0f64..60.0,
            peers_from in 0.0f64..60.0, is_coming in any::<bool>(),
        ) {
            let s = Situation {
                missing,
                peer_work: running.then_some(PeerWork { remaining: remaining.map(Duration::from_secs_f64) }),
                peer_free: free,
                peer_expected: expected,
                first_slack: Duration::from_secs_f64(first_slack),
                peers_from: Duration::from_secs_f64(peers_from),
                is_coming,
                ..situation(slack)
            };
            let seat = match seat {
                0 => Seat::Elected,
                1..20 => Seat::Backup(seat),
                20..40 => Seat::Wave(seat - 19),
                _ => Seat::Bystander,
            };
            let need = http().pessimistic(missing).unwrap();
            match decide_from(&POLICY, &s, seat) {
                Choice::WaitUntilSlack(at) => {
                    prop_assert!(at < s.slack, "a wait must end: {at:?} at {slack}");
                    let finishing = s.peer_work.and_then(|w| w.remaining).is_some_and(|r| r < s.slack);
                    prop_assert!(finishing || at >= need);
                }
                Choice::Peer => prop_assert!(s.slack > need),
                Choice::AnotherPeer => prop_assert!(s.slack > need),
                Choice::Http(_) | Choice::Race => {}
                Choice::Wait => prop_assert!(false, "HTTP is not running"),
            }
        }
    }
}
