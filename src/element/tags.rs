// SPDX-License-Identifier: MPL-2.0

//! What the presentation says of a track, as tags.

use crate::engine::{Alternative, Captions};

/// Language and name; None where nothing is said.
pub fn of_alternative(alternative: &Alternative) -> Option<gst::TagList> {
    let mut tags = gst::TagList::new();
    let list = tags.make_mut();
    if let Some(language) = &alternative.language {
        // The tag is for ISO 639 codes: what a BCP 47 tag begins with.
        let code = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
        if (2..=3).contains(&code.len()) && code != "und" {
            list.add::<gst::tags::LanguageCode>(&code.as_str(), gst::TagMergeMode::Replace);
        }
    }
    if !alternative.name.is_empty() {
        list.add::<gst::tags::Title>(&alternative.name.as_str(), gst::TagMergeMode::Replace);
    }
    (list.n_tags() > 0).then_some(tags)
}

/// With the closed captions in a video: one comment each, as `closed-captions[CC1]=English (en)`.
pub fn with_captions(tags: Option<gst::TagList>, captions: &[Captions]) -> gst::TagList {
    let mut tags = tags.unwrap_or_default();
    for caption in captions {
        let language = caption.language.as_ref().map(|language| format!(" ({language})")).unwrap_or_default();
        let text = format!("closed-captions[{}]={}{language}", caption.service, caption.name);
        tags.make_mut().add::<gst::tags::ExtendedComment>(&text.as_str(), gst::TagMergeMode::Append);
    }
    tags
}
