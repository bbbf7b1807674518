// SPDX-License-Identifier: MPL-2.0

//! Floor 0: which kind of manifest a presentation has.
//!
//! The reader of manifests knows it, and those who name swarms have to, because browsers name them in
//! another way for each. Nobody else looks inside.

/// A kind of manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    #[default]
    Hls,
    Dash,
}

impl Format {
    /// Its name in Common Media Client Data (CTA-5004, `sf`).
    pub fn in_cmcd(self) -> &'static str {
        match self {
            Self::Hls => "h",
            Self::Dash => "d",
        }
    }

    /// A segment without an initialisation segment of its own is MP4 all the same, as in files of one piece.
    pub fn is_mp4_throughout(self) -> bool {
        self == Self::Dash
    }
}
