// SPDX-License-Identifier: MPL-2.0

//! The streams of a presentation with several tracks: what players are told that there is, and what
//! a choice among it means.
//!
//! Players see each language as a stream of its own, but one pad plays them all: the stream that it began with
//! has the id that comes out of the demuxer behind it, and the others have ids that never come out of anything.

use super::contents::{Content, caps_of_codec};
use super::tags;
use crate::engine::{Alternative, Captions, Selection, TrackKind};

/// What is known of a track when its presentation is announced.
pub struct Announced<'a> {
    pub kind: TrackKind,
    /// Id of the pad's own stream.
    pub id: String,
    /// What its container holds; None for a track that has no pad yet.
    pub contents: Option<&'a [Content]>,
    pub alternatives: &'a [Alternative],
    pub chosen: Option<usize>,
}

/// All streams, and which of them are played.
pub struct Streams {
    pub collection: gst::StreamCollection,
    entries: Vec<Entry>,
    /// What is played beside the main track.
    selection: Selection,
}

struct Entry {
    stream: gst::Stream,
    kind: TrackKind,
    alternative: usize,
}

impl Streams {
    pub fn new(tracks: &[Announced], captions: &[Captions]) -> Self {
        let mut entries = Vec::new();
        let mut selection = Selection::default();
        for track in tracks {
            match track.kind {
                TrackKind::Main => {}
                TrackKind::Audio => selection.audio = track.chosen,
                TrackKind::Subtitles => selection.subtitles = track.chosen,
            }
            let owner = track.chosen.unwrap_or(0);
            for content in track.contents.unwrap_or_default() {
                let id = format!("{}{}", track.id, content.suffix);
                let stream =
                    stream(&id, content.caps.as_ref(), content.stream_type, &track.alternatives[owner]);
                if content.stream_type == gst::StreamType::VIDEO && !captions.is_empty() {
                    stream.set_tags(Some(&tags::with_captions(stream.tags(), captions)));
                }
                entries.push(Entry { stream, kind: track.kind, alternative: owner });
            }
            let stream_type = match track.kind {
                TrackKind::Main => continue,
                TrackKind::Audio => gst::StreamType::AUDIO,
                TrackKind::Subtitles => gst::StreamType::TEXT,
            };
            for (index, alternative) in track.alternatives.iter().enumerate() {
                if track.contents.is_some() && index == owner || alternative.withdrawn {
                    continue;
                }
                let id = match (index == owner, &track.contents) {
                    (true, None) => track.id.clone(),
                    _ => format!("{}:{index}", track.id),
                };
                let caps = caps_of_alternative(track, alternative);
                let stream = stream(&id, caps.as_ref(), stream_type, alternative);
                entries.push(Entry { stream, kind: track.kind, alternative: index });
            }
        }
        let collection = gst::StreamCollection::builder(None);
        let collection = collection.streams(entries.iter().map(|entry| entry.stream.clone())).build();
        Self { collection, entries, selection }
    }

    /// Whether there is something to choose.
    pub fn are_selectable(&self) -> bool {
        let of = |kind| self.entries.iter().filter(|entry| entry.kind == kind).count();
        of(TrackKind::Audio) > 1 || of(TrackKind::Subtitles) > 0
    }

    /// Takes an application's choice, given by ids; of each kind the first counts. None: it names nothing that
    /// is here.
    pub fn select<'a>(&mut self, ids: impl IntoIterator<Item = &'a str>) -> Option<Selection> {
        let entry =
            |id: &str| self.entries.iter().find(|entry| entry.stream.stream_id().as_deref() == Some(id));
        let chosen: Vec<&Entry> = ids.into_iter().filter_map(entry).collect();
        let first = |kind| chosen.iter().find(|entry| entry.kind == kind).map(|entry| entry.alternative);
        if chosen.is_empty() {
            return None;
        }
        // The sound that is played goes on where none was chosen.
        let audio = first(TrackKind::Audio).or(self.selection.audio);
        self.selection = Selection { audio, subtitles: first(TrackKind::Subtitles) };
        Some(self.selection)
    }

    pub fn selection(&self) -> Selection {
        self.selection
    }

    /// What is played of a track beside the main one.
    pub fn chosen(&self, kind: TrackKind) -> Option<usize> {
        match kind {
            TrackKind::Main => Some(0),
            TrackKind::Audio => self.selection.audio,
            TrackKind::Subtitles => self.selection.subtitles,
        }
    }

    /// The tags of what is played in a track.
    pub fn tags(&self, kind: TrackKind) -> Option<gst::TagList> {
        self.selected().find(|entry| entry.kind == kind).and_then(|entry| entry.stream.tags())
    }

    /// The message that says what is played.
    pub fn selected_message(&self, element: &gst::Element, seqnum: Option<gst::Seqnum>) -> gst::Message {
        gst::message::StreamsSelected::builder(&self.collection)
            .streams(self.selected().map(|entry| entry.stream.clone()))
            .src(element)
            .seqnum_if_some(seqnum)
            .build()
    }

    fn selected(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| {
            entry.kind == TrackKind::Main || self.chosen(entry.kind) == Some(entry.alternative)
        })
    }
}

fn stream(
    id: &str,
    caps: Option<&gst::Caps>,
    stream_type: gst::StreamType,
    alternative: &Alternative,
) -> gst::Stream {
    let mut flags = gst::StreamFlags::empty();
    flags.set(gst::StreamFlags::SELECT, alternative.default);
    flags.set(gst::StreamFlags::SPARSE, stream_type == gst::StreamType::TEXT);
    let stream = gst::Stream::new(Some(id), caps, stream_type, flags);
    stream.set_tags(tags::of_alternative(alternative).as_ref());
    stream
}

/// What another alternative will come as, going by what is played and what the playlist says.
fn caps_of_alternative(track: &Announced, alternative: &Alternative) -> Option<gst::Caps> {
    let prefix = if track.kind == TrackKind::Audio { "audio/" } else { "application/" };
    let named = alternative.codecs.iter().flat_map(|codecs| codecs.split(','));
    let named = named
        .filter_map(caps_of_codec)
        .find(|caps| caps.structure(0).is_some_and(|structure| structure.name().starts_with(prefix)));
    named.or_else(|| track.contents?.first()?.caps.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alternative(language: &str, default: bool) -> Alternative {
        Alternative {
            language: Some(language.to_owned()),
            name: language.to_uppercase(),
            default,
            ..Alternative::default()
        }
    }

    fn content(suffix: &str, stream_type: gst::StreamType) -> Vec<Content> {
        vec![Content { suffix: suffix.to_owned(), stream_type, caps: None }]
    }

    fn ids(streams: &Streams) -> Vec<String> {
        streams.collection.iter().filter_map(|stream| stream.stream_id()).map(|id| id.to_string()).collect()
    }

    #[test]
    fn each_language_is_a_stream_and_a_choice_is_told_apart() {
        gst::init().expect("GStreamer starts");
        let (video, sound) =
            (content("/001", gst::StreamType::VIDEO), content("/001", gst::StreamType::AUDIO));
        let (main, text) = ([Alternative::default()], [alternative("en", false)]);
        let languages = [alternative("en", true), alternative("de", false)];
        let tracks = [
            (TrackKind::Main, "v", Some(&video[..]), &main[..], Some(0)),
            (TrackKind::Audio, "a", Some(&sound[..]), &languages[..], Some(0)),
            (TrackKind::Subtitles, "s", None, &text[..], None),
        ]
        .map(|(kind, id, contents, alternatives, chosen)| Announced {
            kind,
            id: id.to_owned(),
            contents,
            alternatives,
            chosen,
        });
        let mut streams = Streams::new(&tracks, &[]);
        assert_eq!(ids(&streams), ["v/001", "a/001", "a:1", "s"]);
        assert!(streams.are_selectable());
        assert_eq!(streams.select(["v/001", "a:1"]), Some(Selection { audio: Some(1), subtitles: None }));
        let tags = streams.tags(TrackKind::Audio).expect("tags");
        assert_eq!(tags.get::<gst::tags::LanguageCode>().expect("a language").get(), "de");
        // Subtitles come and go; sound stays.
        assert_eq!(streams.select(["s", "v/001"]), Some(Selection { audio: Some(1), subtitles: Some(0) }));
        assert_eq!(streams.select(["a/001"]), Some(Selection { audio: Some(0), subtitles: None }));
        assert_eq!(streams.select(["unknown"]), None);
        assert_eq!(streams.chosen(TrackKind::Audio), Some(0));
    }
}
