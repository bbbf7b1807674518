// SPDX-License-Identifier: MPL-2.0

//! Keeps stream collections alive.
//!
//! A `GstStreamCollection` passes on what its streams notify. Up to GStreamer 1.26 it does so without holding itself: one
//! that is let go meanwhile is used after it is gone. The playback elements make one for each stream and let it go as soon
//! as they have put them together, while another thread may be telling of its stream's caps or tags. That is as rare as it
//! is fatal, and has nothing to do with what is tested.

use std::sync::{Mutex, OnceLock};

use gst::glib;
use gst::subclass::prelude::*;

/// Begins to keep all that are posted, to the end of the process.
pub fn keep() {
    static KEEPER: OnceLock<Keeper> = OnceLock::new();
    KEEPER.get_or_init(|| glib::Object::builder().property("name", "keeper").build());
}

glib::wrapper! {
    pub struct Keeper(ObjectSubclass<imp::Keeper>) @extends gst::Tracer, gst::Object;
}

mod imp {
    use super::*;

    #[derive(Default)]
    pub struct Keeper {
        kept: Mutex<Vec<gst::StreamCollection>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Keeper {
        const NAME: &'static str = "P2phlsTestKeeper";
        type Type = super::Keeper;
        type ParentType = gst::Tracer;
    }

    impl ObjectImpl for Keeper {
        fn constructed(&self) {
            self.parent_constructed();
            self.register_hook(TracerHook::ElementPostMessagePre);
        }
    }

    impl GstObjectImpl for Keeper {}

    impl TracerImpl for Keeper {
        fn element_post_message_pre(&self, _: u64, _: &gst::Element, message: &gst::Message) {
            if let gst::MessageView::StreamCollection(collection) = message.view() {
                self.kept.lock().unwrap().push(collection.stream_collection());
            }
        }
    }
}
