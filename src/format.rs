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
