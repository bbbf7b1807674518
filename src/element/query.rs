// SPDX-License-Identifier: MPL-2.0

//! What the element and its pads answer.

use super::clock::clock_time;
use super::run::Run;
use super::uri;

/// Answers a query about what plays; `location` is where the playlist is. None leaves the answer
/// to whoever asks by default.
pub fn answer(run: Option<&Run>, location: Option<&str>, query: &mut gst::QueryRef) -> Option<bool> {
    let answered = match query.view_mut() {
        gst::QueryViewMut::Uri(query) => {
            let Some(location) = location else { return Some(false) };
            query.set_uri(Some(&uri::from_location(location)));
            true
        }
        gst::QueryViewMut::Scheduling(query) => {
            // Not said to be of limited bandwidth: players would then fill a buffer of their own before they
            // begin, and report on it beside the element, which knows better when playback runs dry.
            query.set(gst::SchedulingFlags::SEQUENTIAL, 1, -1, 0);
            query.add_scheduling_modes([gst::PadMode::Push]);
            true
        }
        gst::QueryViewMut::Latency(query) => {
            // Nothing is lost by waiting here, also when the stream is live.
            query.set(false, gst::ClockTime::ZERO, gst::ClockTime::NONE);
            true
        }
        gst::QueryViewMut::Duration(query) => match run.and_then(Run::duration) {
            Some(duration) if query.format() == gst::Format::Time => {
                query.set(clock_time(duration));
                true
            }
            _ => false,
        },
        gst::QueryViewMut::Seeking(query) => match run.and_then(Run::seekable) {
            Some((start, stop)) if query.format() == gst::Format::Time => {
                query.set(true, clock_time(start), clock_time(stop));
                true
            }
            // Bytes are not for demuxers to seek in.
            _ => false,
        },
        gst::QueryViewMut::Segment(query) => match run.and_then(Run::segment) {
            Some(segment) => {
                let stop = segment.stop().or(segment.duration());
                query.set(segment.rate(), segment.start(), stop);
                true
            }
            None => false,
        },
        // Not answered where there is no choice: a FALSE would say as much, but players ask for nothing then.
        gst::QueryViewMut::Selectable(query) if run.is_some_and(Run::is_selectable) => {
            query.set_selectable(true);
            true
        }
        // Only sinks know the position.
        gst::QueryViewMut::Position(_) => false,
        _ => return None,
    };
    Some(answered)
}
