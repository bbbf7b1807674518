// SPDX-License-Identifier: MPL-2.0

//! The tags of low latency: RFC 8216bis 4.4.3.8, 4.4.4.9, 4.4.5.3 and 4.4.5.4. One whose address
//! makes no URL is left out: the whole segments still play.

use super::addresses::Addresses;
use super::attributes::Attributes;
use super::values;
use crate::manifest::{HintKind, Part, PreloadHint, RenditionReport, ServerControl};

pub(super) fn server_control(attributes: &Attributes) -> ServerControl {
    ServerControl {
        can_block_reload: attributes.yes("CAN-BLOCK-RELOAD"),
        can_skip_until: attributes.seconds("CAN-SKIP-UNTIL"),
        can_skip_date_ranges: attributes.yes("CAN-SKIP-DATERANGES"),
        hold_back: attributes.seconds("HOLD-BACK"),
        part_hold_back: attributes.seconds("PART-HOLD-BACK"),
    }
}

/// A part, where `last` is the one before it: a range without an offset begins where that of the
/// same resource ends.
pub(super) fn part(addresses: &Addresses, attributes: &Attributes, last: Option<&Part>) -> Option<Part> {
    let url = attributes.url("URI", addresses)?;
    let implicit = match last {
        Some(Part { url: last, byte_range: Some(range), .. }) if *last == url => range.end(),
        _ => 0,
    };
    Some(Part {
        byte_range: attributes.get("BYTERANGE").and_then(|range| values::byte_range(range, implicit)),
        url,
        duration: attributes.seconds("DURATION").unwrap_or_default(),
        independent: attributes.yes("INDEPENDENT"),
        gap: attributes.yes("GAP"),
    })
}

pub(super) fn preload_hint(addresses: &Addresses, attributes: &Attributes) -> Option<PreloadHint> {
    Some(PreloadHint {
        kind: match attributes.get("TYPE")? {
            "PART" => HintKind::Part,
            "MAP" => HintKind::Map,
            _ => return None,
        },
        url: attributes.url("URI", addresses)?,
        start: attributes.unsigned("BYTERANGE-START").unwrap_or(0),
        length: attributes.unsigned("BYTERANGE-LENGTH"),
    })
}

pub(super) fn rendition_report(addresses: &Addresses, attributes: &Attributes) -> Option<RenditionReport> {
    Some(RenditionReport {
        url: attributes.url("URI", addresses)?,
        last_sequence: attributes.get("LAST-MSN").and_then(values::integer),
        last_part: attributes.unsigned("LAST-PART"),
    })
}
