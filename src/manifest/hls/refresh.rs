// SPDX-License-Identifier: MPL-2.0

//! When to load a live playlist again, and what to ask of the server: RFC 8216bis 6.3.4 and 6.2.5.

use std::time::{Duration, Instant};

use url::Url;

use super::delivery::{Directives, Skip};
use crate::manifest::{Edge, Timeline};

/// Shortest wait after a load that brought nothing, whatever the playlist says.
const MIN_DELAY: Duration = Duration::from_millis(250);

/// A server may hold back its answer for three target durations (RFC 8216bis 6.2.5.2).
const PATIENCE_TARGETS: u32 = 3;

/// What may be asked of a server that offers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Answers that wait for the next segment.
    pub blocking: bool,
    /// Answers that wait for the next part; needs `blocking`.
    pub parts: bool,
    /// Delta updates. Whoever asks for them reads the answer with
    /// [`parse_reload`](crate::manifest::parse_reload).
    pub deltas: bool,
}

/// The next load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Not before this.
    pub at: Instant,
    pub url: Url,
    /// The server is asked to hold back its answer.
    pub blocking: bool,
    /// How long an answer may take to begin, for a blocking reload. None: as any other request.
    pub patience: Option<Duration>,
}

/// Keeps one media playlist fresh.
#[derive(Clone, Debug)]
pub struct Refresh {
    url: Url,
    wishes: Wishes,
    /// When the last load was begun.
    begun: Instant,
    /// When the last one that could be used was begun.
    loaded: Instant,
    edge: Edge,
    /// The last load brought something new.
    changed: bool,
    /// The last load failed.
    failed: bool,
    /// The last delta update did not fit.
    whole: bool,
}

impl Refresh {
    /// `url` is that of the playlist without directives; `timeline` has its first load, which was
    /// begun at `begun`.
    pub fn new(url: Url, wishes: Wishes, begun: Instant, timeline: &Timeline) -> Self {
        let edge = timeline.edge();
        Self { url, wishes, begun, loaded: begun, edge, changed: true, failed: false, whole: false }
    }

    /// A load that was begun at `begun` has been taken into `timeline`.
    pub fn handle_loaded(&mut self, begun: Instant, timeline: &Timeline) {
        let edge = timeline.edge();
        self.changed = edge != self.edge;
        self.edge = edge;
        (self.begun, self.loaded) = (begun, begun);
        (self.failed, self.whole) = (false, false);
    }

    /// A load that was begun at `begun` has failed.
    pub fn handle_failed(&mut self, begun: Instant) {
        (self.begun, self.changed, self.failed) = (begun, false, true);
    }

    /// A delta update builds on what is not there
    /// ([`DeltaWithoutBase`](crate::manifest::ManifestError::DeltaWithoutBase)): the next load is
    /// of the whole playlist, and at once.
    pub fn handle_misfit(&mut self, begun: Instant) {
        // Not even the whole playlist is one: then the server is in trouble.
        (self.begun, self.failed, self.whole) = (begun, self.whole, true);
    }

    /// The next load; None: the playlist will not change any more.
    pub fn next(&self, timeline: &Timeline) -> Option<Reload> {
        if !timeline.is_live() {
            return None;
        }
        let playlist = timeline.latest();
        let server = &playlist.server_control;
        // A server in trouble is asked as any other would be.
        let blocking = self.wishes.blocking && server.can_block_reload && !self.failed && !self.whole;
        let part_target = playlist.part_target.filter(|_| blocking && self.wishes.parts);
        let wait = match (self.whole, blocking, self.changed) {
            (true, ..) if !self.failed => Duration::ZERO,
            (_, true, true) => Duration::ZERO,
            // It did not wait, or waited in vain.
            (_, true, false) => part_target.unwrap_or(timeline.reload_delay(false)).max(MIN_DELAY),
            (_, false, changed) => timeline.reload_delay(changed),
        };
        let at = self.begun + wait;
        let directives = Directives {
            sequence: blocking.then_some(self.edge.sequence),
            part: part_target.map(|_| self.edge.parts),
            skip: server.can_skip_until.filter(|_| self.wishes.deltas && !self.whole).and_then(|until| {
                // What is known must not be older than half of what the server still counts on.
                let fresh = at.saturating_duration_since(self.loaded) <= until / 2;
                let skip =
                    if server.can_skip_date_ranges { Skip::SegmentsAndDateRanges } else { Skip::Segments };
                fresh.then_some(skip)
            }),
        };
        let patience = playlist.target_duration.saturating_mul(PATIENCE_TARGETS);
        Some(Reload {
            at,
            url: directives.apply(&self.url),
            blocking,
            patience: blocking.then_some(patience.max(MIN_DELAY)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Manifest, MediaPlaylist, parse};

    const SECOND: Duration = Duration::from_secs(1);

    fn url() -> Url {
        Url::parse("http://h/l.m3u8?t=1").expect("a URL")
    }

    fn playlist(text: &str) -> MediaPlaylist {
        match parse(&url(), format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{text}").as_bytes()) {
            Ok(Manifest::Media(playlist)) => playlist,
            other => panic!("{other:?}"),
        }
    }

    /// Segments 5 to `to` of four seconds, and so many parts beyond.
    fn live(control: &str, to: i64, parts: usize) -> MediaPlaylist {
        let segments: String = (5..=to).map(|n| format!("#EXTINF:4,\n{n}.mp4\n")).collect();
        let part = "#EXT-X-PART:DURATION=0.5,URI=\"p\"\n".repeat(parts);
        playlist(&format!(
            "#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-SERVER-CONTROL:{control}\n#EXT-X-PART-INF:PART-TARGET=0.5\n{segments}{part}"
        ))
    }

    const ALL: Wishes = Wishes { blocking: true, parts: true, deltas: true };

    /// Milliseconds after `start`, and the query that is added.
    fn next(refresh: &Refresh, timeline: &Timeline, start: Instant) -> (u128, String) {
        let reload = refresh.next(timeline).expect("a live playlist");
        assert_eq!(reload.blocking, reload.url.as_str().contains("_HLS_msn"));
        assert_eq!(reload.patience, reload.blocking.then_some(12 * SECOND));
        let query = reload.url.query().unwrap_or_default().trim_start_matches("t=1").to_owned();
        ((reload.at - start).as_millis(), query)
    }

    #[test]
    fn without_blocking_it_polls() {
        let start = Instant::now();
        let mut timeline = Timeline::new(live("HOLD-BACK=12", 8, 0));
        let mut refresh = Refresh::new(url(), ALL, start, &timeline);
        assert_eq!(next(&refresh, &timeline, start), (4_000, String::new()));
        assert!(timeline.update(live("HOLD-BACK=12", 8, 0)).is_ok());
        refresh.handle_loaded(start + 4 * SECOND, &timeline);
        assert_eq!(next(&refresh, &timeline, start), (6_000, String::new()));
        refresh.handle_failed(start + 6 * SECOND);
        assert_eq!(next(&refresh, &timeline, start), (8_000, String::new()));
        assert!(timeline.update(live("HOLD-BACK=12", 9, 0)).is_ok());
        refresh.handle_loaded(start + 8 * SECOND, &timeline);
        assert_eq!(next(&refresh, &timeline, start), (12_000, String::new()));
        let ended = MediaPlaylist { ended: true, ..live("HOLD-BACK=12", 9, 0) };
        assert!(timeline.update(ended).is_ok());
        assert_eq!(refresh.next(&timeline), None);
    }

    #[test]
    fn with_blocking_it_asks_for_the_next_part_at_once() {
        let start = Instant::now();
        let mut timeline = Timeline::new(live("CAN-BLOCK-RELOAD=YES", 8, 2));
        let mut refresh = Refresh::new(url(), ALL, start, &timeline);
        assert_eq!(next(&refresh, &timeline, start), (0, "&_HLS_msn=9&_HLS_part=2".to_owned()));
        for (to, parts, asked) in [(8, 3, "&_HLS_msn=9&_HLS_part=3"), (9, 0, "&_HLS_msn=10&_HLS_part=0")] {
            assert!(timeline.update(live("CAN-BLOCK-RELOAD=YES", to, parts)).is_ok());
            refresh.handle_loaded(start + SECOND, &timeline);
            assert_eq!(next(&refresh, &timeline, start), (1_000, asked.to_owned()));
        }
        // A server that answers with what it had is not asked without end.
        refresh.handle_loaded(start + 2 * SECOND, &timeline);
        assert_eq!(next(&refresh, &timeline, start), (2_500, "&_HLS_msn=10&_HLS_part=0".to_owned()));
        // One in trouble is not asked to wait.
        refresh.handle_failed(start + 3 * SECOND);
        assert_eq!(next(&refresh, &timeline, start), (5_000, String::new()));
        // Whole segments only.
        let wishes = Wishes { parts: false, ..ALL };
        let refresh = Refresh::new(url(), wishes, start, &timeline);
        assert_eq!(next(&refresh, &timeline, start), (0, "&_HLS_msn=10".to_owned()));
    }

    #[test]
    fn deltas_are_asked_for_while_what_is_known_is_fresh() {
        let start = Instant::now();
        let control = "CAN-SKIP-UNTIL=24";
        let timeline = Timeline::new(live(control, 8, 0));
        let mut refresh = Refresh::new(url(), ALL, start, &timeline);
        assert_eq!(next(&refresh, &timeline, start), (4_000, "&_HLS_skip=YES".to_owned()));
        // Loads that fail do not make it fresher.
        refresh.handle_failed(start + 10 * SECOND);
        assert_eq!(next(&refresh, &timeline, start), (12_000, "&_HLS_skip=YES".to_owned()));
        refresh.handle_failed(start + 11 * SECOND);
        assert_eq!(next(&refresh, &timeline, start), (13_000, String::new()));
        refresh.handle_loaded(start + 13 * SECOND, &timeline);
        assert_eq!(next(&refresh, &timeline, start), (15_000, "&_HLS_skip=YES".to_owned()));
        // One that did not fit is followed by the whole, and that, if it fails, not at once by another.
        refresh.handle_misfit(start + 15 * SECOND);
        assert_eq!(next(&refresh, &timeline, start), (15_000, String::new()));
        for again in [Refresh::handle_misfit, Refresh::handle_failed] {
            let mut refresh = refresh.clone();
            again(&mut refresh, start + 16 * SECOND);
            assert_eq!(next(&refresh, &timeline, start), (18_000, String::new()));
        }

        let timeline = Timeline::new(live("CAN-SKIP-UNTIL=24,CAN-SKIP-DATERANGES=YES", 8, 0));
        let refresh = Refresh::new(url(), ALL, start, &timeline);
        assert_eq!(next(&refresh, &timeline, start).1, "&_HLS_skip=v2");
        let wishes = Wishes { deltas: false, ..ALL };
        assert_eq!(next(&Refresh::new(url(), wishes, start, &timeline), &timeline, start).1, "");
    }
}
