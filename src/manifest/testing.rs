// SPDX-License-Identifier: MPL-2.0

//! What tests of other rooms play.

use url::Url;

use super::{Manifest, Presentation, parse};

/// The presentation of a multivariant playlist at `http://h/m.m3u8`; `text` is what comes after its first line.
pub fn presentation(text: &str) -> Presentation {
    let base = Url::parse("http://h/m.m3u8").expect("a URL");
    match parse(&base, format!("#EXTM3U\n{text}").as_bytes()) {
        Ok(Manifest::Multivariant(presentation)) => presentation,
        other => panic!("{other:?}"),
    }
}
