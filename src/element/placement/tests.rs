// SPDX-License-Identifier: MPL-2.0

use std::time::Duration;

use super::*;

const S: gst::ClockTime = gst::ClockTime::SECOND;

fn timeline(start: u64) -> Segment {
    gst::init().expect("GStreamer starts");
    let mut segment = Segment::new();
    segment.set_start(start * S);
    segment.set_time(start * S);
    segment.set_position(start * S);
    segment
}

/// Of the main track.
fn placement(kind: Kind, start: u64) -> Placement {
    Placement::new(kind, timeline(start), Arc::default(), true)
}

fn start(position: u64, discontinuity: bool) -> SegmentStart {
    let start = SegmentStart::at(Duration::from_secs(position), Duration::from_secs(6));
    SegmentStart { discontinuity, ..start }
}

/// A segment of the playlist whose bytes carry no time.
fn timeless(placement: &mut Placement, position: u64, discontinuity: bool) -> Vec<Output> {
    let mut out = Vec::new();
    placement.start(start(position, discontinuity), &mut out);
    placement.data(Bytes::from_static(b"some"), &mut out);
    placement.data(Bytes::from_static(b"bytes"), &mut out);
    placement.end(&mut out);
    out
}

fn segments(out: &[Output]) -> Vec<&Segment> {
    fn segment(output: &Output) -> Option<&Segment> {
        match output {
            Output::Segment(segment) => Some(segment),
            _ => None,
        }
    }
    out.iter().filter_map(segment).collect()
}

/// Time and DISCONT of each buffer.
fn buffers(out: &[Output]) -> Vec<(Option<gst::ClockTime>, bool)> {
    let buffer = |output: &Output| match output {
        Output::Buffer(buffer) => Some((buffer.pts(), buffer.flags().contains(gst::BufferFlags::DISCONT))),
        _ => None,
    };
    out.iter().filter_map(buffer).collect()
}

fn backward(from: u64) -> Segment {
    let mut segment = timeline(0);
    let set = gst::SeekType::Set;
    segment.do_seek(-2.0, gst::SeekFlags::FLUSH, set, S, set, from * S);
    segment
}

fn key_frame(placement: &mut Placement, position: u64) -> Vec<Output> {
    let mut out = Vec::new();
    placement.start(SegmentStart { key_frame: true, ..start(position, true) }, &mut out);
    placement.data(Bytes::from_static(b"some"), &mut out);
    placement.end(&mut out);
    out
}

#[test]
fn backward_all_of_the_segment_counts_from_its_stop() {
    let mut placement = Placement::new(Kind::MpegTs, backward(20), Arc::default(), true);
    let out = key_frame(&mut placement, 16);
    let [segment] = segments(&out)[..] else { panic!("one segment: {out:?}") };
    assert_eq!((segment.start(), segment.stop(), segment.time()), (Some(11 * S), Some(30 * S), Some(S)));
    assert_eq!((segment.rate(), segment.base()), (-2.0, Some(gst::ClockTime::ZERO)));
    assert_eq!(segment.to_running_time(26 * S), Some(2 * S));
    assert_eq!(segment.to_stream_time(26 * S), Some(16 * S));
    let out = key_frame(&mut placement, 12);
    assert_eq!(segments(&out).len(), 0);
}

#[test]
fn a_key_frame_is_let_go_of_at_once() {
    for (kind, drained) in [(Kind::MpegTs, 1), (Kind::FragmentedMp4, 0)] {
        let mut placement = placement(kind, 0);
        let out = key_frame(&mut placement, 3);
        assert_eq!(buffers(&out).len(), 1 + drained, "{kind}");
        let offset = if kind == Kind::MpegTs { 10 * S } else { gst::ClockTime::ZERO };
        let Some(Output::Gap(at, _)) = out.last() else { panic!("{kind}: {out:?}") };
        assert_eq!(*at, 3 * S + offset, "{kind}");
        assert!(!matches!(timeless(&mut placement, 6, true).last(), Some(Output::Gap(..))), "{kind}");
    }
}

#[test]
fn mpeg_ts_gets_one_segment_and_times_at_discontinuities() {
    let mut placement = placement(Kind::MpegTs, 17);
    let out = timeless(&mut placement, 12, true);
    let [segment] = segments(&out)[..] else { panic!("one segment: {out:?}") };
    assert_eq!((segment.start(), segment.time()), (Some(27 * S), Some(17 * S)));
    assert_eq!(segment.base(), Some(gst::ClockTime::ZERO));
    assert_eq!(buffers(&out), [(Some(22 * S), true), (None, false)]);

    let out = timeless(&mut placement, 18, false);
    assert_eq!(segments(&out).len(), 0);
    assert_eq!(buffers(&out), [(None, false), (None, false)]);

    let out = timeless(&mut placement, 24, true);
    assert_eq!(segments(&out).len(), 0);
    assert_eq!(buffers(&out), [(Some(34 * S), true), (None, false)]);
}

#[test]
fn bytes_wait_for_their_time_at_a_discontinuity_only() {
    let mut placement = placement(Kind::MpegTs, 0);
    let mut out = Vec::new();
    placement.start(start(0, true), &mut out);
    placement.data(Bytes::from_static(b"held"), &mut out);
    assert_eq!(out.len(), 0);
    // A segment that breaks off still goes out.
    placement.start(start(6, false), &mut out);
    assert_eq!(buffers(&out), [(Some(10 * S), true)]);
    placement.data(Bytes::from_static(b"passed"), &mut out);
    assert_eq!(buffers(&out).len(), 2);
}

#[test]
fn fragmented_mp4_begins_with_its_initialisation_segment() {
    let mut placement = placement(Kind::FragmentedMp4, 0);
    let mut out = Vec::new();
    placement.start(SegmentStart { init: Some(Bytes::from_static(b"init")), ..start(0, true) }, &mut out);
    placement.data(Bytes::from_static(b"data"), &mut out);
    placement.end(&mut out);
    assert_eq!(segments(&out).len(), 1);
    let Some(Output::Buffer(buffer)) = out.last() else { panic!("a buffer: {out:?}") };
    assert_eq!(buffer.map_readable().expect("memory").as_slice(), b"initdata");
}

#[test]
fn a_new_mapping_continues_running_time() {
    let mut placement = placement(Kind::FragmentedMp4, 4);
    // As after segments of which the first gave media time 100 s at 0 s.
    placement.offset = Some(100 * S.nseconds() as i64);
    let segment = placement.segment(12 * S.nseconds() as i64, -2 * S.nseconds() as i64);
    assert_eq!((segment.start(), segment.time(), segment.base()), (Some(10 * S), Some(12 * S), Some(8 * S)));
    // After a restart nothing of the old mapping is left.
    placement.restart(timeline(0));
    assert_eq!(segments(&timeless(&mut placement, 0, true)).len(), 1);
}

/// A segment of packed audio with a time in its tag, in seconds.
fn packed(seconds: u64) -> Bytes {
    let mut frame = b"PRIV\0\0\0\x35\0\0com.apple.streaming.transportStreamTimestamp\0".to_vec();
    frame.extend((seconds * 90_000).to_be_bytes());
    let mut segment = b"ID3\x04\0\0\0\0\0".to_vec();
    segment.push(frame.len() as u8);
    segment.extend(frame);
    segment.extend(b"sound");
    segment.into()
}

#[test]
fn packed_audio_goes_by_the_clock_of_the_main_track_and_loses_its_tags() {
    let shared = Arc::new(SharedClock::default());
    // Media time 100 s is shown at 0 s.
    shared.set(0, 100_000_000_000);
    let mut placement = Placement::new(Kind::PackedAudio, timeline(0), shared, false);
    let mut out = Vec::new();
    assert!(placement.needs_clock(&start(6, true)));
    placement.start(start(6, true), &mut out);
    placement.data(packed(107), &mut out);
    placement.start(start(12, false), &mut out);
    placement.data(packed(113), &mut out);
    placement.end(&mut out);
    assert_eq!(segments(&out).len(), 1);
    assert_eq!(buffers(&out), [(Some(17 * S), true), (None, false)]);
    for output in &out {
        let Output::Buffer(buffer) = output else { continue };
        assert_eq!(buffer.map_readable().expect("memory").as_slice(), b"sound");
    }
}

#[test]
fn what_another_rendition_has_shown_is_cut_off() {
    let mut placement = placement(Kind::PackedAudio, 0);
    timeless(&mut placement, 0, true);
    let mut out = Vec::new();
    placement.start(SegmentStart { shown_until: Duration::from_secs(9), ..start(6, true) }, &mut out);
    placement.data(Bytes::from_static(b"some"), &mut out);
    placement.end(&mut out);
    let [segment] = segments(&out)[..] else { panic!("one segment: {out:?}") };
    assert_eq!((segment.start(), segment.time(), segment.base()), (Some(19 * S), Some(9 * S), Some(9 * S)));
    assert_eq!(buffers(&out), [(Some(16 * S), true)]);
}
