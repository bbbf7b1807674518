// SPDX-License-Identifier: MPL-2.0

//! Decides when playback has to wait for bytes, and when it may go on.
//!
//! A pipeline that runs dry keeps its clock running, and what comes late is thrown away. So once
//! playback has used up everything that was pushed, the application is asked to pause
//! (`BUFFERING` 0 %) and, with enough in hand again, to go on (100 %). Before the first picture
//! nothing is asked: prerolling waits by itself, and waiting for more would only start later.

use std::time::Duration;

use crate::rate::Rate;

/// With this much ahead playback goes on, if segments are not shorter.
const ENOUGH: Duration = Duration::from_secs(2);

/// What there is to know at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Media that was pushed and is not shown yet.
    pub ahead: Duration,
    /// Duration of the segment in work; zero before the first.
    pub segment: Duration,
    /// How fast playback goes.
    pub rate: Rate,
    /// Time goes on.
    pub playing: bool,
    /// There is nothing to push at this moment.
    pub starving: bool,
    /// Downstream takes no more: it has what it needs, whatever the numbers say.
    pub full: bool,
    /// Everything was pushed.
    pub eos: bool,
}

/// Remembers whether playback waits.
#[derive(Debug, Default)]
pub struct Buffering {
    /// What was told last, while waiting.
    told: Option<u8>,
}

impl Buffering {
    /// The percentage to tell the application, if there is something to tell.
    pub fn update(&mut self, now: Observation) -> Option<u8> {
        let ahead = now.rate.time_of(now.ahead);
        let Some(told) = self.told else {
            let dry = now.playing && now.starving && ahead.is_zero();
            self.told = (dry && !now.eos).then_some(0);
            return self.told;
        };

        let enough = if now.segment.is_zero() { ENOUGH } else { ENOUGH.min(now.rate.time_of(now.segment)) };
        if now.eos || now.full || ahead >= enough {
            self.told = None;
            return Some(100);
        }
        // Tens are fine enough for a progress bar and do not flood the bus.
        let percent = (ahead.as_millis() * 10 / enough.as_millis().max(1)).min(9) as u8 * 10;
        self.told = Some(percent);
        (percent > told).then_some(percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYING: Observation = Observation {
        ahead: Duration::from_secs(6),
        segment: Duration::from_secs(6),
        rate: Rate::NORMAL,
        playing: true,
        starving: false,
        full: false,
        eos: false,
    };
    const DRY: Observation = Observation { ahead: Duration::ZERO, starving: true, ..PLAYING };

    fn ahead(milliseconds: u64) -> Observation {
        Observation { ahead: Duration::from_millis(milliseconds), ..DRY }
    }

    #[test]
    fn runs_dry_fills_and_goes_on() {
        let mut buffering = Buffering::default();
        let told: Vec<_> = [PLAYING, DRY, DRY, ahead(500), ahead(501), ahead(1000), ahead(2000), PLAYING]
            .into_iter()
            .map(|now| buffering.update(now))
            .collect();
        assert_eq!(told, [None, Some(0), None, Some(20), None, Some(50), Some(100), None]);
    }

    #[test]
    fn at_twice_the_rate_it_takes_twice_as_much() {
        let mut buffering = Buffering::default();
        let at = |now| Observation { rate: Rate::new(2.0).expect("a good rate"), ..now };
        let told = [DRY, ahead(2000), ahead(4000)].map(|now| buffering.update(at(now)));
        assert_eq!(told, [Some(0), Some(50), Some(100)]);
    }

    #[test]
    fn nothing_is_asked_while_playback_can_go_on() {
        for now in [
            Observation { playing: false, ..DRY },
            Observation { starving: false, ..DRY },
            Observation { eos: true, ..DRY },
            ahead(1),
        ] {
            assert_eq!(Buffering::default().update(now), None, "{now:?}");
        }
    }

    #[test]
    fn waiting_ends_with_a_short_segment_a_full_pipeline_or_the_end() {
        for now in [
            Observation { segment: Duration::from_millis(500), ..ahead(500) },
            Observation { full: true, ..DRY },
            Observation { eos: true, ..DRY },
            Observation { segment: Duration::ZERO, ..ahead(2000) },
        ] {
            let mut buffering = Buffering::default();
            assert_eq!(buffering.update(DRY), Some(0));
            // The application has paused by then.
            assert_eq!(buffering.update(Observation { playing: false, ..now }), Some(100), "{now:?}");
            assert_eq!(buffering.update(Observation { eos: true, ..now }), None);
        }
    }
}
