// SPDX-License-Identifier: MPL-2.0

//! Makes the pads of a presentation, once its tracks have shown what they are.

use std::sync::Arc;

use gst::prelude::*;

use super::clock::clock_time;
use super::log::CAT;
use super::pad::Track;
use super::probe::{ProbeError, Probed, probe};
use super::run::Run;
use super::source::pad_builder;
use crate::engine::TrackInfo;

/// Why there are no pads.
#[derive(Debug, thiserror::Error)]
pub enum ExposeError {
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("The stream has nothing to play")]
    NoTracks,
    #[error("A pad cannot be made: {0}")]
    Pad(#[from] glib::BoolError),
    /// Playback has been stopped meanwhile.
    #[error("Stopped")]
    Stopped,
}

impl ExposeError {
    /// Tells the application.
    pub fn post(&self, run: &Run) {
        let Some(element) = run.element.upgrade() else { return };
        match self {
            Self::Stopped | Self::Probe(ProbeError::Interrupted) => {
                gst::debug!(CAT, obj = element, "No pads are made: {self}");
            }
            _ if !run.fail() => gst::debug!(CAT, obj = element, "Failed again: {self}"),
            Self::Probe(ProbeError::Unknown(_) | ProbeError::Unplayable(_)) => {
                gst::element_error!(element, gst::StreamError::WrongType, ("{self}"));
            }
            Self::Probe(ProbeError::Empty) | Self::NoTracks => {
                gst::element_error!(element, gst::StreamError::Format, ("{self}"));
            }
            Self::Pad(_) => gst::element_error!(element, gst::CoreError::Pad, ("{self}")),
        }
    }
}

/// Waits for the first bytes of each track, adds the pads and starts their streaming threads.
pub fn expose(run: &Arc<Run>, infos: Vec<TrackInfo>) -> Result<(), ExposeError> {
    let element = run.element.upgrade().ok_or(ExposeError::Stopped)?;
    if !run.watch(infos.iter().map(|info| info.reader.clone())) {
        return Err(ExposeError::Stopped);
    }
    let seqnum = run.begin();
    let probed = infos.iter().map(|info| probe(&info.reader)).collect::<Result<Vec<_>, _>>()?;
    let start = probed.iter().filter_map(Probed::position).min().ok_or(ExposeError::NoTracks)?;
    let timeline = run
        .segment()
        .unwrap_or_else(|| run.timeline.begin(clock_time(start), run.duration().map(clock_time)));

    let group = gst::GroupId::next();
    for (index, (info, probed)) in infos.into_iter().zip(probed).enumerate() {
        // The first track carries the picture; what is apart from it is sound.
        let (template, name) = match index {
            0 => ("video_%02u", "video_00".to_owned()),
            _ => ("audio_%02u", format!("audio_{:02}", index - 1)),
        };
        let template = element.pad_template(template).expect("the class has this template");
        let pad = pad_builder(&template).name(&name).build();
        pad.use_fixed_caps();
        pad.set_active(true)?;
        let id = pad.create_stream_id(&element, Some(&name));
        gst::info!(CAT, obj = pad, "{:?} as stream {id}", probed.kind);
        // Sticky events wait in the pad until it is linked.
        pad.push_event(gst::event::StreamStart::builder(&id).group_id(group).build());
        pad.push_event(gst::event::Caps::new(&probed.caps));
        let track = Track::new(pad.clone(), info.reader, probed, timeline.clone(), seqnum);
        run.tracks.lock().unwrap().push(Arc::new(track));
        element.add_pad(&pad)?;
    }
    element.no_more_pads();
    run.stream();
    Ok(())
}
