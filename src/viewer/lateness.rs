// SPDX-License-Identifier: MPL-2.0

//! How often the swarm is late, and what is done where it often is.
//!
//! A swarm with little to give, or with long ways, brings its viewers much of the live stream too late. Each then takes the rest
//! over HTTP at the last call, when it is of use to nobody else. Fetched at the beginning the same bytes go to all behind. So of
//! those who are often late now and then one *volunteers*: for a while it fetches as if it were elected. There are
//! more and more of them until few are late any more, and a swarm that has enough to give has none.

use crate::swarm::{PeerId, SegmentId, election_score};

/// Weight of the newest segment in the share of those that were late.
const NEWEST: f32 = 0.1;

/// Who is late more often than this may volunteer. It takes five late segments in a row, not one.
const OFTEN: f32 = 0.4;

/// Of those who are often late, this share begins to volunteer with each segment. With three times as many a point is lost: some
/// begin before those who have begun can have helped them.
const SHARE: f64 = 0.03;

/// For so many segments. What they bring has to find its way first, and is worth much only on a way that lasts.
const TERM: i64 = 64;

/// Lateness of the live segments of one viewer.
#[derive(Debug, Default)]
pub struct Lateness {
    /// Of the latest segments.
    share: f32,
    /// The first segment that we do not volunteer for any more.
    until: Option<SegmentId>,
}

impl Lateness {
    /// `segment` is there. `is_late`: HTTP had to bring it, or the rest of it, at the last call.
    pub fn record(&mut self, me: &PeerId, segment: SegmentId, is_late: bool) {
        self.share += NEWEST * (f32::from(u8::from(is_late)) - self.share);
        let draws = || f64::from(election_score(&me.0, segment)) < SHARE * f64::from(u32::MAX);
        if self.share >= OFTEN && !self.volunteers(segment) && draws() {
            self.until = Some(SegmentId(segment.0.saturating_add(TERM)));
        }
    }

    /// Whether we fetch `segment` early for those behind us.
    pub fn volunteers(&self, segment: SegmentId) -> bool {
        self.until.is_some_and(|until| segment < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(n: u32) -> impl Iterator<Item = PeerId> {
        (0..n).map(|i| PeerId(format!("-GP0001-{i:012}").into_bytes().try_into().expect("twenty bytes")))
    }

    /// How many of a thousand volunteer for a segment after so many of which every `nth` was late.
    fn volunteers(segments: i64, nth: i64) -> usize {
        let volunteers = peers(1000).filter(|me| {
            let mut lateness = Lateness::default();
            for segment in 0..segments {
                lateness.record(me, SegmentId(segment), segment % nth == 0);
            }
            lateness.volunteers(SegmentId(segments))
        });
        volunteers.count()
    }

    #[test]
    fn those_who_are_always_late_volunteer_one_by_one() {
        assert_eq!(volunteers(4, 1), 0, "it may have been ill luck");
        let (some, more) = (volunteers(8, 1), volunteers(20, 1));
        assert!((50..150).contains(&some) && (300..500).contains(&more), "{some}, {more}");
    }

    #[test]
    fn who_is_seldom_late_waits_for_the_swarm() {
        assert_eq!(volunteers(200, 4), 0);
    }

    #[test]
    fn a_volunteer_stops_when_the_swarm_is_in_time() {
        let mut lateness = Lateness::default();
        let me = peers(1).next().expect("one");
        let first = (0..).map(SegmentId).find(|segment| {
            lateness.record(&me, *segment, true);
            lateness.volunteers(*segment)
        });
        let first = first.expect("it volunteers some time").0;
        for segment in first + 1..first + 500 {
            assert_eq!(lateness.volunteers(SegmentId(segment)), segment < first + TERM);
            lateness.record(&me, SegmentId(segment), false);
        }
    }
}
