// SPDX-License-Identifier: MPL-2.0

//! The publisher's clock, by which segments come and go. Where the MPD names no way to it, the Date
//! header of the MPD's own answer tells whether this machine's clock can be trusted.

use std::time::{Duration, Instant};

use url::Url;

use super::timing::UtcTiming;
use super::values;
use crate::manifest::load::What;
use crate::manifest::{Answer, Load, Now};

/// Between two looks at the publisher's clock.
const RESYNC: Duration = Duration::from_secs(600);

/// Most servers that are asked for the time in a row.
const MAX_SERVERS: usize = 8;

/// An answer with the time is a line of text.
const MAX_ANSWER: usize = 4 << 10;

/// Dates of HTTP are cut to seconds.
const DATE_STEP: Duration = Duration::from_secs(1);

/// A difference that an answer's way or a slow machine explains.
const TOLERANCE: Duration = Duration::from_millis(100);

/// What is known of the publisher's clock.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// A moment by both clocks. None: this machine's is right, as far as known.
    known: Option<(Instant, Duration)>,
    /// Servers still to be asked for it.
    servers: Vec<(UtcTiming, Url)>,
    /// When they are asked again; None: never.
    again: Option<Instant>,
}

impl Clock {
    /// The publisher's time, since 1970-01-01 UTC.
    pub fn now(&self, now: Now) -> Duration {
        match self.known {
            Some((instant, time)) => time.saturating_add(now.instant.saturating_duration_since(instant)),
            None => now.system,
        }
    }

    /// The moment at which the publisher's clock will show `time`; at once where that is past.
    pub fn instant_of(&self, time: Duration, now: Now) -> Instant {
        const DAY: Duration = Duration::from_secs(86_400);
        now.instant + time.saturating_sub(self.now(now)).min(DAY)
    }

    /// An MPD with these ways to the clock has come with `answer`.
    pub fn handle_mpd(&mut self, timings: &[UtcTiming], answer: &Answer, now: Now) {
        if let Some(UtcTiming::Direct(time)) = timings.iter().find(|t| matches!(t, UtcTiming::Direct(_))) {
            self.known = Some((answer.begun, *time));
            return;
        }
        if self.again.is_some() {
            return;
        }
        self.handle_date(answer, now);
        self.begin(timings, now);
    }

    /// Asks the servers of `timings` again, if it is time to.
    pub fn resync(&mut self, timings: &[UtcTiming], now: Now) {
        if self.again.is_some_and(|at| at <= now.instant) {
            self.begin(timings, now);
        }
    }

    fn begin(&mut self, timings: &[UtcTiming], now: Now) {
        let of = |timing: &UtcTiming| -> Vec<(UtcTiming, Url)> {
            let urls = match timing {
                UtcTiming::HttpHead(urls)
                | UtcTiming::HttpIso(urls)
                | UtcTiming::HttpXsDate(urls)
                | UtcTiming::HttpNtp(urls) => urls.as_slice(),
                _ => &[],
            };
            urls.iter().map(|url| (timing.clone(), url.clone())).collect()
        };
        self.servers = timings.iter().flat_map(of).take(MAX_SERVERS).collect();
        self.again = (!self.servers.is_empty()).then(|| now.instant + RESYNC);
    }

    /// What has to be asked now.
    pub fn missing(&self, now: Now) -> Option<Load> {
        let (timing, url) = self.servers.first()?;
        let head_only = matches!(timing, UtcTiming::HttpHead(_));
        let load = Load::new(now.instant, url.clone(), What::Clock(timing.clone()));
        Some(Load { head_only, limit: MAX_ANSWER, is_needed: false, ..load })
    }

    /// Takes the answer of a server, or that there was none: then the next is asked.
    pub fn handle_answer(&mut self, timing: &UtcTiming, answer: Option<&Answer>, now: Now) {
        let time =
            answer.and_then(|answer| Some((answer, timing.answer(answer.date.as_deref(), &answer.body)?)));
        match time {
            Some((answer, _)) if matches!(timing, UtcTiming::HttpHead(_)) => {
                self.handle_date(answer, now);
                self.servers.clear();
            }
            Some((answer, time)) => {
                // It was that time on the way there or back.
                let way = now.instant.saturating_duration_since(answer.begun) / 2;
                self.known = Some((answer.begun + way, time));
                self.servers.clear();
            }
            None if self.servers.is_empty() => {}
            None => drop(self.servers.remove(0)),
        }
    }

    /// A date is cut to seconds, so this machine's clock is better where it does not contradict it.
    fn handle_date(&mut self, answer: &Answer, now: Now) {
        let Some(date) = answer.date.as_deref().and_then(values::http_date) else { return };
        let date = date.saturating_add(answer.age);
        let asked = now.system.saturating_sub(now.instant.saturating_duration_since(answer.begun));
        let agrees = date <= now.system + TOLERANCE && asked < date + DATE_STEP + TOLERANCE;
        self.known = (!agrees).then_some((now.instant, date));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// 1994-11-06T08:49:37Z.
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const TIME: Duration = Duration::from_secs(784_111_777);
    const SECOND: Duration = Duration::from_secs(1);

    fn url() -> Url {
        Url::parse("http://h/time").expect("a URL")
    }

    fn answer(begun: Instant, body: &'static str, date: Option<&str>) -> Answer {
        let body = Bytes::from_static(body.as_bytes());
        Answer { url: url(), body, date: date.map(str::to_owned), age: Duration::ZERO, begun }
    }

    #[test]
    fn a_date_counts_where_it_contradicts_this_machine() {
        let instant = Instant::now();
        for (system, wanted) in
            [(TIME + SECOND / 2, TIME + SECOND / 2), (TIME + 3 * SECOND, TIME), (TIME - 90 * SECOND, TIME)]
        {
            let now = Now { instant, system };
            let mut clock = Clock::default();
            clock.handle_mpd(&[], &answer(instant, "", Some(DATE)), now);
            assert_eq!(clock.now(now), wanted, "{system:?}");
            let later = Now { instant: instant + SECOND, system: system + SECOND };
            assert_eq!(clock.now(later), wanted + SECOND);
            assert_eq!(clock.instant_of(wanted + SECOND, now), instant + SECOND);
        }
        // What a cache has had for a minute is a minute old.
        let now = Now { instant, system: TIME + 60 * SECOND };
        let mut clock = Clock::default();
        let aged = Answer { age: 60 * SECOND, ..answer(instant, "", Some(DATE)) };
        clock.handle_mpd(&[], &aged, now);
        assert_eq!(clock.now(now), TIME + 60 * SECOND);
    }

    #[test]
    fn servers_are_asked_until_one_knows_and_now_and_then_again() {
        let instant = Instant::now();
        let now = Now { instant, system: TIME - 500 * SECOND };
        let timings = [UtcTiming::HttpXsDate(vec![url(), url()]), UtcTiming::HttpHead(vec![url()])];
        let mut clock = Clock::default();
        clock.handle_mpd(&timings, &answer(instant, "", None), now);
        let UtcTiming::HttpXsDate(_) = &timings[0] else { panic!() };
        clock.handle_answer(&timings[0], None, now);
        clock.handle_answer(&timings[0], Some(&answer(instant, "<html>", None)), now);
        let load = clock.missing(now).expect("the third server");
        assert!(load.head_only && !load.is_needed);
        clock.handle_answer(&timings[1], Some(&answer(instant, "", Some(DATE))), now);
        assert_eq!((clock.now(now), clock.missing(now).is_none()), (TIME, true));

        let later = Now { instant: instant + RESYNC, system: now.system + RESYNC };
        clock.resync(&timings, later);
        assert!(clock.missing(later).is_some());
        let asked = Now { instant: later.instant + 2 * SECOND, system: later.system + 2 * SECOND };
        clock.handle_answer(&timings[0], Some(&answer(later.instant, "1994-11-06T09:00:00Z", None)), asked);
        // The answer took two seconds.
        assert_eq!(clock.now(asked), TIME + Duration::from_secs(623) + SECOND);
        assert!(clock.missing(asked).is_none());
        let direct = [UtcTiming::Direct(TIME)];
        clock.handle_mpd(&direct, &answer(asked.instant, "", None), asked);
        assert_eq!(clock.now(asked), TIME);
    }
}
