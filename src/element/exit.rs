// SPDX-License-Identifier: MPL-2.0

//! Where a track's bytes leave the element: by one pad as they came, or taken apart by several.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::contents::Content;
use super::demux::Demux;
use crate::container::Kind;

/// Pads that a track will leave by; they are not the element's yet.
pub enum Door {
    Whole(gst::Pad),
    /// One for each stream of a container, at least one.
    Apart(Kind, Vec<(Content, gst::Pad)>),
}

/// The way out of a track.
pub struct Exit {
    /// At least one.
    pads: Vec<gst::Pad>,
    way: Mutex<Way>,
}

#[derive(Clone)]
enum Way {
    Whole,
    Apart(Arc<Demux>),
}

impl Door {
    /// The pad that the track's thread and name are of.
    pub fn first(&self) -> &gst::Pad {
        match self {
            Self::Whole(pad) => pad,
            Self::Apart(_, streams) => &streams[0].1,
        }
    }

    pub fn pads(&self) -> Vec<&gst::Pad> {
        match self {
            Self::Whole(pad) => vec![pad],
            Self::Apart(_, streams) => streams.iter().map(|(_, pad)| pad).collect(),
        }
    }

    /// Activates the pads. `begin` is given each with what the id of its stream has behind that of the track, and
    /// pushes what comes before the caps.
    ///
    /// # Errors
    ///
    /// When a pad is not to be activated, or there is no demuxer.
    pub fn open(self, caps: &gst::Caps, begin: impl Fn(&gst::Pad, &str)) -> Result<Exit, glib::BoolError> {
        let activate = |pad: &gst::Pad, suffix: &str| {
            pad.use_fixed_caps();
            pad.set_active(true)?;
            begin(pad, suffix);
            Ok(())
        };
        match self {
            Self::Whole(pad) => {
                activate(&pad, "")?;
                pad.push_event(gst::event::Caps::new(caps));
                Ok(Exit { pads: vec![pad], way: Mutex::new(Way::Whole) })
            }
            Self::Apart(kind, streams) => {
                streams.iter().try_for_each(|(content, pad)| activate(pad, &content.suffix))?;
                let pads = streams.iter().map(|(_, pad)| pad.clone()).collect();
                let demux = Demux::new(kind, caps, streams)?;
                Ok(Exit { pads, way: Mutex::new(Way::Apart(Arc::new(demux))) })
            }
        }
    }
}

impl Exit {
    pub fn pads(&self) -> &[gst::Pad] {
        &self.pads
    }

    /// The way may change while something is under way on it.
    fn way(&self) -> Way {
        self.way.lock().unwrap().clone()
    }

    /// What comes next out of the only pad is in another container: elementary as it comes, or a `stream` to be taken out
    /// of it. By the thread that pushes; `drain` has a demuxer let go of what it holds.
    ///
    /// # Errors
    ///
    /// When there is no demuxer.
    pub fn change(
        &self,
        caps: &gst::Caps,
        stream: Option<Content>,
        drain: Option<gst::Buffer>,
    ) -> Result<(), glib::BoolError> {
        let pad = &self.pads[0];
        if let (Way::Apart(before), Some(drain)) = (self.way(), drain) {
            // What comes of it is seen by whatever is pushed next.
            let _ = before.push(drain);
        }
        let next = match stream {
            Some(stream) => {
                Way::Apart(Arc::new(Demux::new(Kind::MpegTs, caps, vec![(stream, pad.clone())])?))
            }
            None => {
                pad.push_event(gst::event::Caps::new(caps));
                Way::Whole
            }
        };
        if let Way::Apart(before) = std::mem::replace(&mut *self.way.lock().unwrap(), next) {
            before.stop();
        }
        Ok(())
    }

    /// Takes bytes of the container.
    ///
    /// # Errors
    ///
    /// As [`gst::Pad::push`]; of several pads, what they say together.
    pub fn push(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        match self.way() {
            Way::Whole => self.pads[0].push(buffer),
            Way::Apart(demux) => demux.push(buffer),
        }
    }

    /// Takes what is told downstream, in its place among the bytes.
    pub fn push_event(&self, event: gst::Event) {
        match self.way() {
            Way::Whole => {
                self.pads[0].push_event(event);
            }
            Way::Apart(demux) => demux.push_event(event),
        }
    }

    /// Tells all pads at once, whatever is under way.
    pub fn send(&self, event: &gst::Event) {
        for pad in &self.pads {
            pad.push_event(event.clone());
        }
    }

    /// Forgets what is in work; nobody pushes. Whoever seeks flushes the pads.
    pub fn restart(&self) {
        if let Way::Apart(demux) = self.way() {
            demux.restart();
        }
    }

    /// Ends for good; nobody pushes any more.
    ///
    /// # Errors
    ///
    /// When a pad cannot be deactivated.
    pub fn stop(&self) -> Result<(), glib::BoolError> {
        let stopped = self.pads.iter().try_for_each(|pad| pad.set_active(false));
        if let Way::Apart(demux) = self.way() {
            demux.stop();
        }
        stopped
    }
}
