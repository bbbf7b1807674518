// SPDX-License-Identifier: MPL-2.0

//! Which variants there are to choose from, from the leanest to the richest.
//!
//! More bits are taken for a better picture, unless the publisher says otherwise: SCORE orders variants by what
//! they are worth to who watches, and of those that can be played the highest is to be preferred
//! (RFC 8216bis, section 4.4.6.2). So where all have one, what costs as much as another and is worth
//! less is never chosen.

/// What a variant costs and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Bits a second.
    pub bitrate: u64,
    /// The publisher's SCORE.
    pub score: Option<f64>,
}

/// Indices of the offers worth choosing, from the cheapest to the dearest, each worth as much as the one
/// before or more. `playing` is always among them.
pub fn ladder(offers: &[Offer], playing: usize) -> Vec<usize> {
    let scored = offers.iter().all(|offer| offer.score.is_some());
    let better = |offer: &Offer, other: &Offer| scored && offer.score > other.score;
    let outdone =
        |offer: &Offer| offers.iter().any(|other| better(other, offer) && other.bitrate <= offer.bitrate);
    let mut rungs: Vec<usize> =
        (0..offers.len()).filter(|index| *index == playing || !outdone(&offers[*index])).collect();
    rungs.sort_by_key(|index| offers[*index].bitrate);
    rungs
}

/// The best of the offers that take no more than `budget` bits a second, or else the cheapest; of equals the first.
pub fn best_within(offers: &[Offer], budget: u64) -> Option<usize> {
    let scored = offers.iter().all(|offer| offer.score.is_some());
    let worth = |index: &usize| {
        let Offer { bitrate, score } = offers[*index];
        (score.filter(|_| scored).unwrap_or(0.0), bitrate)
    };
    let fitting = (0..offers.len()).rev().filter(|index| offers[*index].bitrate <= budget);
    let best = fitting.max_by(|a, b| {
        let (a, b) = (worth(a), worth(b));
        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
    });
    best.or_else(|| (0..offers.len()).min_by_key(|index| offers[*index].bitrate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(of: &[(u64, Option<f64>)]) -> Vec<Offer> {
        of.iter().map(|(bitrate, score)| Offer { bitrate: *bitrate, score: *score }).collect()
    }

    #[test]
    fn what_costs_more_and_is_worth_less_is_left_out() {
        let scored =
            offers(&[(3, Some(2.0)), (1, Some(1.0)), (4, Some(1.5)), (5, Some(2.0)), (3, Some(1.9))]);
        assert_eq!(ladder(&scored, 0), [1, 0, 3]);
        assert_eq!(ladder(&scored, 2), [1, 0, 2, 3], "what is played stays");
        assert_eq!(best_within(&scored, 4), Some(0));
        assert_eq!(best_within(&scored, 9), Some(3));
        assert_eq!(best_within(&scored, 0), Some(1));
    }

    #[test]
    fn scores_count_only_where_all_have_one() {
        let some = offers(&[(3, Some(2.0)), (1, None), (4, Some(1.0))]);
        assert_eq!(ladder(&some, 0), [1, 0, 2]);
        assert_eq!(best_within(&some, 9), Some(2));
        assert_eq!(best_within(&offers(&[(3, None), (3, None)]), 9), Some(0));
        assert_eq!(best_within(&[], 9), None);
    }
}
