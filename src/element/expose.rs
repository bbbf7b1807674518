// SPDX-License-Identifier: MPL-2.0

//! Makes the pads of a presentation, once its tracks have shown what they are.
//!
//! Sound and picture are waited for; subtitles are only if they come at once, and get their pad later otherwise, as
//! they do when they are chosen later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::clock::{Segment, clock_time};
use super::log::CAT;
use super::pad::Track;
use super::probe::{ProbeError, Probed, probe};
use super::run::Run;
use super::source::pad_builder;
use super::streams::{Announced, Streams};
use super::tags;
use crate::container::Kind;
use crate::engine::{Captions, Selection, TrackInfo, TrackKind};

/// Subtitles are waited for so long after sound and picture are there.
const PATIENCE_FOR_SUBTITLES: Duration = Duration::from_secs(1);

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
            Self::Stopped | Self::Probe(ProbeError::Interrupted | ProbeError::Late) => {
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

/// A track with what its first bytes have shown; None: there are none yet.
struct Shown {
    info: TrackInfo,
    probed: Option<Probed>,
    pad: gst::Pad,
}

/// Waits for the first bytes of each track, adds the pads and starts their streaming threads. Then stays to do the same
/// for subtitles that come later.
pub fn expose(run: &Arc<Run>, infos: Vec<TrackInfo>, captions: &[Captions]) -> Result<(), ExposeError> {
    let element = run.element.upgrade().ok_or(ExposeError::Stopped)?;
    if !run.watch(infos.iter().map(|info| info.reader.clone())) {
        return Err(ExposeError::Stopped);
    }
    let seqnum = run.begin();
    let shown = show(run, &element, infos)?;
    let main = shown.first().and_then(|main| main.probed.as_ref()).ok_or(ExposeError::NoTracks)?;
    let start = main.position().ok_or(ExposeError::NoTracks)?;
    let start = run.session().and_then(|session| session.begin()).map_or(start, |begin| begin.max(start));
    let timeline = run
        .segment()
        .unwrap_or_else(|| run.timeline.begin(clock_time(start), run.duration().map(clock_time)));

    let group = gst::GroupId::next();
    announce(run, &element, &shown, captions);
    let family = Family { run, element: &element, group };
    let (now, later): (Vec<Shown>, Vec<Shown>) = shown.into_iter().partition(|shown| shown.probed.is_some());
    for Shown { info, probed, pad } in now {
        let Some(probed) = probed else { continue };
        let kind = info.kind;
        let track = family.track(info, pad, probed, timeline.clone(), seqnum)?;
        if kind == TrackKind::Main && !captions.is_empty() {
            track.set_tags(Some(tags::with_captions(None, captions)));
        }
        run.tracks.lock().unwrap().push(track.clone());
        element.add_pad(&track.pad)?;
    }
    element.no_more_pads();
    run.stream();
    drop(element);
    for Shown { info, pad, .. } in later {
        expose_later(run, group, info, pad)?;
    }
    Ok(())
}

/// Waits for what has to be there, and gives each track a pad that is not shown yet.
fn show(run: &Run, element: &gst::Element, infos: Vec<TrackInfo>) -> Result<Vec<Shown>, ExposeError> {
    let thorough = infos.len() > 1;
    let subtitles = infos.iter().find(|info| info.kind == TrackKind::Subtitles).and_then(|info| info.chosen);
    let mut shown: Vec<Shown> = Vec::new();
    for info in infos {
        let main = shown.first().and_then(|main| main.probed.as_ref());
        if info.kind == TrackKind::Audio && main.is_some_and(|main| main.has(gst::StreamType::AUDIO)) {
            // Nothing here could take the sound out of what comes with the picture.
            gst::warning!(CAT, obj = element, "The variant has sound of its own; no other is played");
            if let Some(session) = run.session() {
                session.select(Selection { audio: None, subtitles });
            }
            continue;
        }
        let probed = match (info.kind, info.chosen) {
            (TrackKind::Subtitles, None) => None,
            (TrackKind::Subtitles, Some(_)) => {
                match probe(&info.reader, thorough, Some(Instant::now() + PATIENCE_FOR_SUBTITLES)) {
                    Ok(probed) => Some(probed),
                    Err(ProbeError::Interrupted) => return Err(ProbeError::Interrupted.into()),
                    Err(error) => {
                        gst::info!(CAT, obj = element, "Subtitles are left for later: {error}");
                        None
                    }
                }
            }
            _ => Some(probe(&info.reader, thorough, None)?),
        };
        let packed = |probed: &Probed| probed.kind == Kind::PackedAudio;
        // The main track carries the picture; what is apart from it is sound.
        let prefix = match info.kind {
            TrackKind::Main if !probed.as_ref().is_some_and(packed) => "video",
            TrackKind::Main | TrackKind::Audio => "audio",
            TrackKind::Subtitles => "subtitle",
        };
        let number = shown.iter().filter(|shown| shown.pad.name().starts_with(prefix)).count();
        let template = element.pad_template(&format!("{prefix}_%02u")).expect("the class has this template");
        let pad = pad_builder(&template).name(format!("{prefix}_{number:02}")).build();
        shown.push(Shown { info, probed, pad });
    }
    Ok(shown)
}

/// Tells players what there is, where there is more than one track.
fn announce(run: &Run, element: &gst::Element, shown: &[Shown], captions: &[Captions]) {
    // What the demuxers will find has to be known, or else players would wait for what does not come.
    let known = |shown: &Shown| shown.probed.as_ref().is_none_or(|probed| probed.contents.is_some());
    if shown.len() < 2 || !shown.iter().all(known) {
        return;
    }
    let announced: Vec<Announced> = shown
        .iter()
        .map(|shown| Announced {
            kind: shown.info.kind,
            id: shown.pad.create_stream_id(element, Some(shown.pad.name().as_str())).into(),
            contents: shown.probed.as_ref().and_then(|probed| probed.contents.as_deref()),
            alternatives: &shown.info.alternatives,
            chosen: shown.info.chosen,
        })
        .collect();
    let streams = Streams::new(&announced, captions);
    gst::info!(CAT, obj = element, "{:?}", streams.collection.debug());
    let message = gst::message::StreamCollection::builder(&streams.collection).src(element).build();
    // Fails only without a bus, when nobody listens.
    let _ = element.post_message(message);
    let _ = element.post_message(streams.selected_message(element, None));
    run.set_streams(streams);
}

/// What all pads of a presentation have in common.
struct Family<'a> {
    run: &'a Run,
    element: &'a gst::Element,
    group: gst::GroupId,
}

impl Family<'_> {
    /// Makes a track of its pad, active and with its sticky events, that plays `timeline`.
    fn track(
        &self,
        info: TrackInfo,
        pad: gst::Pad,
        probed: Probed,
        timeline: Segment,
        seqnum: gst::Seqnum,
    ) -> Result<Arc<Track>, ExposeError> {
        let run = self.run;
        pad.use_fixed_caps();
        pad.set_active(true)?;
        let id = pad.create_stream_id(self.element, Some(pad.name().as_str()));
        gst::info!(CAT, obj = pad, "{:?} as stream {id}", probed.kind);
        // Sticky events wait in the pad until it is linked.
        let sparse = info.kind == TrackKind::Subtitles;
        let start = gst::event::StreamStart::builder(&id).group_id(self.group);
        pad.push_event(start.flags_if(gst::StreamFlags::SPARSE, sparse).build());
        if let Some(collection) = run.collection() {
            pad.push_event(gst::event::StreamCollection::new(&collection));
        }
        pad.push_event(gst::event::Caps::new(&probed.caps));
        let shared = run.shared_clock.clone();
        let track = Track::new(info.kind, pad, info.reader, probed, timeline, seqnum, shared);
        track.set_tags(run.tags(info.kind));
        Ok(Arc::new(track))
    }
}

/// Waits for subtitles and adds their pad while the others play.
fn expose_later(
    run: &Arc<Run>,
    group: gst::GroupId,
    info: TrackInfo,
    pad: gst::Pad,
) -> Result<(), ExposeError> {
    let (probed, seeks) = loop {
        let seeks = run.seek_count();
        match probe(&info.reader, true, None) {
            Ok(probed) => break (probed, seeks),
            Err(ProbeError::Interrupted) => return Err(ExposeError::Stopped),
            // There was a segment without anything in it, or the end.
            Err(ProbeError::Empty) if !run.stopping() => {}
            Err(error) => {
                gst::warning!(CAT, obj = pad, "No subtitles: {error}");
                return Ok(());
            }
        }
    };
    let element = run.element.upgrade().ok_or(ExposeError::Stopped)?;
    let timeline = run.segment().ok_or(ExposeError::Stopped)?;
    let family = Family { run, element: &element, group };
    let track = family.track(info, pad, probed, timeline, gst::Seqnum::next())?;
    element.add_pad(&track.pad)?;
    run.join(track, seeks);
    Ok(())
}
