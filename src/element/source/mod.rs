// SPDX-License-Identifier: MPL-2.0

//! The class of `p2phlssrc`.

mod imp;

use glib::prelude::*;
use glib::subclass::prelude::*;
use gst::subclass::prelude::*;

glib::wrapper! {
    /// Plays HLS and DASH and takes most bytes from other viewers.
    pub struct P2pHlsSrc(ObjectSubclass<imp::P2pHlsSrc>)
        @extends gst::Element, gst::Object,
        @implements gst::URIHandler;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "p2phlssrc", gst::Rank::PRIMARY, P2pHlsSrc::static_type())
}

/// Begins a pad whose events and queries the element handles.
pub fn pad_builder(template: &gst::PadTemplate) -> gst::PadBuilder<gst::Pad> {
    gst::Pad::builder_from_template(template)
        .event_function(|pad, parent, event| {
            imp::P2pHlsSrc::catch_panic_pad_function(
                parent,
                || false,
                |imp| imp.pad_event(pad, &event).unwrap_or_else(|| imp.upstream_event(&event)),
            )
        })
        .query_function(|pad, parent, query| {
            imp::P2pHlsSrc::catch_panic_pad_function(
                parent,
                || false,
                |imp| match imp.answer(query) {
                    Some(answered) => answered,
                    None => gst::Pad::query_default(pad, Some(&*imp.obj()), query),
                },
            )
        })
}
