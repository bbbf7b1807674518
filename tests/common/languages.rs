// SPDX-License-Identifier: MPL-2.0

//! Which languages there are, which is heard, and choosing another.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use super::player::Player;

/// The collection that a player or the element tells of.
pub fn collection(player: &Player) -> gst::StreamCollection {
    collection_with(player, |_| true)
}

/// The first collection with such a stream: since 1.24 players also tell of what they have seen of it so far.
pub fn collection_with(player: &Player, wanted: impl Fn(&gst::Stream) -> bool) -> gst::StreamCollection {
    loop {
        let message = player.wait(gst::MessageType::StreamCollection);
        let gst::MessageView::StreamCollection(message) = message.view() else { unreachable!("asked for") };
        let collection = message.stream_collection();
        if collection.iter().any(|stream| wanted(&stream)) {
            return collection;
        }
    }
}

pub fn language(stream: &gst::Stream) -> Option<String> {
    stream.tags()?.get::<gst::tags::LanguageCode>().map(|language| language.get().to_owned())
}

/// Notes how often a second the sound crosses zero, buffer by buffer, with its stream time.
pub fn note_pitch(sink: &gst::Element) -> Arc<Mutex<Vec<(gst::ClockTime, f64)>>> {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let noted = notes.clone();
    let pad = sink.static_pad("sink").expect("a sink has a pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &info.data else { return gst::PadProbeReturn::Ok };
        let caps = pad.current_caps().expect("sound has caps");
        let caps = caps.structure(0).expect("one structure");
        let (format, rate) =
            (caps.get::<&str>("format").expect("a format"), caps.get::<i32>("rate").expect("a rate"));
        let bytes = buffer.map_readable().expect("readable bytes");
        let positive: Vec<bool> = match format {
            "S16LE" => bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]]) >= 0).collect(),
            "F32LE" => {
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]) >= 0.0).collect()
            }
            other => panic!("{other}"),
        };
        let channels = caps.get::<i32>("channels").expect("channels") as usize;
        let interleaved = caps.get::<&str>("layout") != Ok("non-interleaved");
        let step = if interleaved { channels } else { 1 };
        let positive: Vec<bool> = positive.into_iter().step_by(step).collect();
        let crossings = positive.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let pitch = crossings as f64 / 2.0 * f64::from(rate) / positive.len().max(1) as f64;
        let segment = pad.sticky_event::<gst::event::Segment>(0).expect("a segment");
        let segment = segment.segment().clone().downcast::<gst::ClockTime>().expect("a TIME segment");
        if let Some(time) = segment.to_stream_time(buffer.pts()) {
            noted.lock().unwrap().push((time, pitch));
        }
        gst::PadProbeReturn::Ok
    });
    notes
}

pub const ENGLISH: std::ops::Range<f64> = 390.0..490.0;
pub const GERMAN: std::ops::Range<f64> = 790.0..970.0;

/// Sends a choice of streams: all of the types in `always` and the languages in `languages`.
pub fn select(player: &Player, streams: &gst::StreamCollection, languages: &[&str]) {
    let wanted = streams.iter().filter(|stream| {
        stream.stream_type() == gst::StreamType::VIDEO
            || language(stream).is_some_and(|language| languages.contains(&language.as_str()))
    });
    let ids: Vec<_> = wanted.filter_map(|stream| stream.stream_id()).collect();
    let event = gst::event::SelectStreams::new(ids.iter().map(|id| id.as_str()));
    let target = player.decoder();
    assert!(target.send_event(event), "the choice is taken");
}
