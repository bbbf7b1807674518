// SPDX-License-Identifier: MPL-2.0

//! Makes the pads of a presentation, once its tracks have shown what they are.
//!
//! Sound and picture are waited for; subtitles are only if they come at once, and get their pad later otherwise, as
//! they do when they are chosen later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::clock::{Segment, clock_time};
use super::contents::{self, Content};
use super::demux::Demux;
use super::exit::Door;
use super::log::CAT;
use super::pad::Track;
use super::probe::{ProbeError, Probed, probe};
use super::run::Run;
use super::source::pad_builder;
use super::streams::{Announced, Streams};
use super::tags;
use crate::container::Kind;
use crate::container::mp4::only::Only;
use crate::engine::{Captions, Selection, TrackInfo, TrackKind, TrackReader};

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
    door: Door,
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
    for Shown { info, probed, door } in now {
        let Some(probed) = probed else { continue };
        let kind = info.kind;
        let track = family.track(info, door, probed, timeline.clone(), seqnum)?;
        if kind == TrackKind::Main && !captions.is_empty() {
            track.set_tags(Some(tags::with_captions(None, captions)));
        }
        run.tracks.lock().unwrap().push(track.clone());
        track.exit.pads().iter().try_for_each(|pad| element.add_pad(pad))?;
    }
    element.no_more_pads();
    run.stream();
    drop(element);
    for Shown { info, door, .. } in later {
        expose_later(run, group, info, door)?;
    }
    Ok(())
}

/// Waits for what has to be there, and gives each track a pad that is not shown yet.
fn show(run: &Run, element: &gst::Element, infos: Vec<TrackInfo>) -> Result<Vec<Shown>, ExposeError> {
    let thorough = infos.len() > 1;
    let subtitles = infos.iter().find(|info| info.kind == TrackKind::Subtitles).and_then(|info| info.chosen);
    let sound_apart = infos.iter().any(|info| info.kind == TrackKind::Audio);
    let muxed = infos.iter().any(|info| info.alternatives.iter().any(|alternative| alternative.muxed));
    let mut shown: Vec<Shown> = Vec::new();
    for mut info in infos {
        let main = shown.first().and_then(|main| main.probed.as_ref());
        if let Some(main) = main.filter(|_| info.kind == TrackKind::Audio) {
            let selected = |audio| {
                if let Some(session) = run.session() {
                    session.select(Selection { audio, subtitles });
                }
            };
            if main.has(gst::StreamType::AUDIO) {
                // Nothing here could take the sound out of what comes with the picture, or there is no picture.
                gst::warning!(CAT, obj = element, "The variant has sound of its own; no other is played");
                selected(None);
                continue;
            }
            if muxed && main.contents.is_some() && !main.had_sound {
                gst::warning!(
                    CAT,
                    obj = element,
                    "The variant does not have the sound that it is said to have"
                );
                info.withdraw_muxed();
                selected(info.chosen);
            }
        }
        let mut probed = match (info.kind, info.chosen) {
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
            _ => Some(probe_for(info.kind, muxed, &info.reader, thorough)?),
        };
        let streams = match &mut probed {
            Some(probed) if thorough || probed.kind == Kind::WebM => {
                leave_out(probed, info.kind, sound_apart, muxed);
                take_apart(probed, info.kind, sound_apart)
            }
            _ => Vec::new(),
        };
        let is_packed = probed.as_ref().is_some_and(|probed| probed.kind == Kind::PackedAudio);
        // The main track carries the picture; what is apart from it is sound.
        let prefix = match info.kind {
            TrackKind::Main if !is_packed => "video",
            TrackKind::Main | TrackKind::Audio => "audio",
            TrackKind::Subtitles => "subtitle",
        };
        let kind = probed.as_ref().map_or(Kind::Unknown, |probed| probed.kind);
        let door = door(element, &shown, prefix, (kind, streams));
        shown.push(Shown { info, probed, door });
    }
    Ok(shown)
}

/// Waits for what is to be played. Where the variant does not have the sound that it is said to have, its segments come
/// until those of the other sound are there.
fn probe_for(
    kind: TrackKind,
    muxed: bool,
    reader: &TrackReader,
    thorough: bool,
) -> Result<Probed, ProbeError> {
    loop {
        let probed = probe(reader, thorough, None)?;
        if kind != TrackKind::Audio || !muxed || probed.had_sound || probed.contents.is_none() {
            return Ok(probed);
        }
    }
}

/// Leaves out of fragmented MP4 what another pad has.
fn leave_out(probed: &mut Probed, kind: TrackKind, sound_apart: bool, muxed: bool) {
    let with_picture = probed.has(gst::StreamType::VIDEO);
    let only = match kind {
        TrackKind::Main if sound_apart && with_picture && probed.had_sound => Only::Picture,
        TrackKind::Audio if muxed || with_picture => Only::Sound,
        _ => return,
    };
    let Some(contents) = probed.contents.as_mut().filter(|_| probed.kind == Kind::FragmentedMp4) else {
        return;
    };
    *contents = only.keep(contents, Content::in_mp4).cloned().collect();
    if only == Only::Sound {
        contents.iter_mut().for_each(|content| content.suffix = contents::suffix_of_mp4(Only::SOUND));
    }
    probed.only = Some(only);
}

/// Which streams come out of a track one by one; none: it goes out as it comes.
fn take_apart(probed: &mut Probed, kind: TrackKind, sound_apart: bool) -> Vec<Content> {
    let contents = probed.contents.as_mut().filter(|_| Demux::is_there(probed.kind));
    let Some(contents) = contents else { return Vec::new() };
    let wanted = wanted(kind, sound_apart, contents);
    if !wanted.is_empty() {
        contents.clone_from(&wanted);
    }
    wanted
}

/// Makes the pads of a track, beside those of the tracks before it: one for each of `streams`, or one named by `prefix`.
fn door(
    element: &gst::Element,
    shown: &[Shown],
    prefix: &str,
    (kind, streams): (Kind, Vec<Content>),
) -> Door {
    let pad = |prefix: &str| {
        let pads = shown.iter().flat_map(|shown| shown.door.pads());
        let number = pads.filter(|pad| pad.name().starts_with(prefix)).count();
        let template = element.pad_template(&format!("{prefix}_%02u")).expect("the class has this template");
        pad_builder(&template).name(format!("{prefix}_{number:02}")).build()
    };
    if streams.is_empty() {
        return Door::Whole(pad(prefix));
    }
    let with_pad = |content: Content| {
        let is_picture = content.stream_type == gst::StreamType::VIDEO;
        let pad = pad(if is_picture { "video" } else { "audio" });
        (content, pad)
    };
    Door::Apart(kind, streams.into_iter().map(with_pad).collect())
}

/// What is played of the streams that a track carries: a picture and a sound, but no sound beside a picture where there
/// is sound apart.
fn wanted(kind: TrackKind, sound_apart: bool, contents: &[Content]) -> Vec<Content> {
    let first = |stream_type| contents.iter().find(|content| content.stream_type == stream_type).cloned();
    let picture = first(gst::StreamType::VIDEO).filter(|_| kind == TrackKind::Main);
    let replaced = kind == TrackKind::Main && sound_apart && picture.is_some();
    let sound = first(gst::StreamType::AUDIO).filter(|_| !replaced);
    picture.into_iter().chain(sound).collect()
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
            id: stream_id(shown.door.first(), element),
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

/// The id of a track's own stream, to which demuxers append.
fn stream_id(pad: &gst::Pad, element: &gst::Element) -> String {
    pad.create_stream_id(element, Some(pad.name().as_str())).into()
}

/// What all pads of a presentation have in common.
struct Family<'a> {
    run: &'a Run,
    element: &'a gst::Element,
    group: gst::GroupId,
}

impl Family<'_> {
    /// Makes a track that plays `timeline`; its pads are active and have begun their streams.
    fn track(
        &self,
        info: TrackInfo,
        door: Door,
        probed: Probed,
        timeline: Segment,
        seqnum: gst::Seqnum,
    ) -> Result<Arc<Track>, ExposeError> {
        let run = self.run;
        let first = door.first().clone();
        let id = stream_id(&first, self.element);
        let exit = door.open(&probed.caps, |pad, suffix| {
            let id = format!("{id}{suffix}");
            gst::info!(CAT, obj = pad, "{:?} as stream {id}", probed.kind);
            // Sticky events wait in the pad until it is linked.
            let sparse = info.kind == TrackKind::Subtitles;
            let start = gst::event::StreamStart::builder(&id).group_id(self.group);
            pad.push_event(start.flags_if(gst::StreamFlags::SPARSE, sparse).build());
            if let Some(collection) = run.collection() {
                pad.push_event(gst::event::StreamCollection::new(&collection));
            }
        })?;
        let shared = run.shared_clock.clone();
        let varies = info.kind == TrackKind::Audio && info.alternatives.iter().any(|one| one.muxed);
        let probed = (probed, varies);
        let track = Track::new(info.kind, (first, exit), info.reader, probed, timeline, seqnum, shared);
        track.set_tags(run.tags(info.kind));
        Ok(Arc::new(track))
    }
}

/// Waits for subtitles and adds their pad while the others play.
fn expose_later(run: &Arc<Run>, group: gst::GroupId, info: TrackInfo, door: Door) -> Result<(), ExposeError> {
    let (probed, seeks) = loop {
        let seeks = run.seek_count();
        match probe(&info.reader, true, None) {
            Ok(probed) => break (probed, seeks),
            Err(ProbeError::Interrupted) => return Err(ExposeError::Stopped),
            // There was a segment without anything in it, or the end.
            Err(ProbeError::Empty) if !run.stopping() => {}
            Err(error) => {
                gst::warning!(CAT, obj = door.first(), "No subtitles: {error}");
                return Ok(());
            }
        }
    };
    let element = run.element.upgrade().ok_or(ExposeError::Stopped)?;
    let timeline = run.segment().ok_or(ExposeError::Stopped)?;
    let family = Family { run, element: &element, group };
    let track = family.track(info, door, probed, timeline, gst::Seqnum::next())?;
    track.exit.pads().iter().try_for_each(|pad| element.add_pad(pad))?;
    run.join(track, seeks);
    Ok(())
}
