// SPDX-License-Identifier: MPL-2.0

//! What can be sought, and where seeks may go instead.

use gst::prelude::*;

use super::player::Player;

/// What can be sought, in nanoseconds.
pub fn window(player: &Player) -> (u64, u64) {
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    assert!(player.pipeline.query(&mut query), "what can be sought is known");
    match query.result() {
        (
            true,
            gst::GenericFormattedValue::Time(Some(start)),
            gst::GenericFormattedValue::Time(Some(end)),
        ) => (start.nseconds(), end.nseconds()),
        other => panic!("{other:?}"),
    }
}

/// Where a seek with `flags` to `target` goes in segments of `segment`, in any unit.
pub fn snapped(flags: gst::SeekFlags, target: u64, segment: u64) -> u64 {
    use gst::SeekFlags as F;
    match () {
        () if flags.contains(F::SNAP_NEAREST) => (target + segment / 2) / segment * segment,
        () if flags.contains(F::SNAP_AFTER) => target.div_ceil(segment) * segment,
        () if flags.contains(F::KEY_UNIT) => target / segment * segment,
        () => target,
    }
}
