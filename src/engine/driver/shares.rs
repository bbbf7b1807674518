// SPDX-License-Identifier: MPL-2.0

//! What each track may have of the session's limits, which hold for all tracks together.

use crate::engine::{Config, P2pMode, TrackKind};

/// What there is to play beside the main track.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    pub sound: bool,
    pub text: bool,
}

/// The session's settings as they are for one of its tracks.
///
/// Sound in a playlist of its own takes about a tenth of the bytes, so it gets an eighth of memory and uplink. It has
/// a swarm of its own, mostly of the same viewers, and gets a third of the peers: enough to pass it on. Subtitles
/// are small and get a little memory. They come over HTTP alone, as with p2p-media-loader: connections
/// to peers would cost more than they bring. The rest is the main track's.
pub fn share_of(kind: TrackKind, session: &Config, beside: Beside) -> Config {
    let of = |there_is: bool, all: u64, part: u64| if there_is { all / part } else { 0 };
    let memory = of(beside.sound, session.max_memory, 8);
    let text_memory = of(beside.text, session.max_memory, 64);
    let upload = of(beside.sound, session.max_upload_rate, 8);
    let peers = if beside.sound { session.max_peers / 3 } else { 0 };
    let all = session.clone();
    match kind {
        TrackKind::Main => Config {
            max_memory: all.max_memory - memory - text_memory,
            max_upload_rate: all.max_upload_rate - upload,
            max_peers: all.max_peers - peers,
            ..all
        },
        TrackKind::Audio => {
            // No rate would be no limit: what is left of a small one is nothing to give.
            let nothing_to_give = all.max_upload_rate > 0 && upload < 8 && all.p2p == P2pMode::On;
            let p2p = if nothing_to_give { P2pMode::Leech } else { all.p2p };
            Config { max_memory: memory, max_upload_rate: upload, max_peers: peers, p2p, ..all }
        }
        TrackKind::Subtitles => Config { max_memory: text_memory, p2p: P2pMode::Off, ..all },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use url::Url;

    use super::*;
    use crate::engine::{Playback, PlaybackClock};

    struct NoClock;

    impl PlaybackClock for NoClock {
        fn playback(&self) -> Option<Playback> {
            None
        }
    }

    fn session(max_upload_rate: u64) -> Config {
        let location = Url::parse("http://h/list.m3u8").expect("a URL");
        Config { p2p: P2pMode::On, max_upload_rate, ..Config::new(location, Arc::new(NoClock)) }
    }

    #[test]
    fn the_shares_are_no_more_than_the_whole() {
        let whole = session(1_000_000);
        for (sound, text) in [(false, false), (true, false), (false, true), (true, true)] {
            let shares = TrackKind::ALL.map(|kind| share_of(kind, &whole, Beside { sound, text }));
            let shared: Vec<&Config> = shares.iter().filter(|share| share.p2p != P2pMode::Off).collect();
            assert_eq!(shares.iter().map(|share| share.max_memory).sum::<u64>(), whole.max_memory);
            assert_eq!(shared.iter().map(|share| share.max_upload_rate).sum::<u64>(), whole.max_upload_rate);
            assert_eq!(shared.iter().map(|share| share.max_peers).sum::<usize>(), whole.max_peers);
        }
    }

    #[test]
    fn a_limit_does_not_become_none() {
        let beside = Beside { sound: true, text: false };
        let audio = |rate| share_of(TrackKind::Audio, &session(rate), beside);
        assert_eq!((audio(0).max_upload_rate, audio(0).p2p), (0, P2pMode::On), "there is none");
        assert_eq!((audio(1_000).max_upload_rate, audio(1_000).p2p), (125, P2pMode::On));
        assert_eq!(audio(10).p2p, P2pMode::Leech);
    }
}
