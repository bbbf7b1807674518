// SPDX-License-Identifier: MPL-2.0

//! The messages of the WebTorrent WebSocket tracker protocol, for the viewer and for the tracker.
//!
//! One JSON object a text frame, no handshake and no request ids; nearly everything is called
//! `announce`, and what a message is follows from the fields it has. Reading is lenient where
//! clients and trackers in the field differ (missing and unknown fields, numbers as strings,
//! odd events) and strict where a guess would reach the wrong swarm or viewer (the 20-byte ids).
//! Writing follows what `bittorrent-tracker` and p2p-media-loader emit.

mod from_client;
mod from_tracker;
mod lenient;

pub use from_client::{Announce, AnnounceEvent, Answer, ClientMessage, Extras, Traffic};
pub use from_tracker::{AnnounceResponse, Failure, ScrapeCounts, TrackerMessage};

use serde::{Deserialize, Serialize};

use super::ids::OfferId;
use lenient::Id;

/// Longest message in bytes, in both directions; what wt-tracker and aquatic allow.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Longest session description in bytes. A browser with several interfaces stays below 5 kB.
pub const MAX_SDP: usize = 8 * 1024;
/// Most offers taken from one announce; the rest is ignored, as other trackers do.
pub const MAX_OFFERS: usize = 20;
/// Most swarms in one scrape.
pub const MAX_SCRAPE: usize = 255;
/// Longest text, in bytes, taken over from an error or a warning.
pub const MAX_REASON: usize = 256;

/// One side of a WebRTC session: a session description under the id of its offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub offer_id: OfferId,
    /// The whole session description with its candidates; at most [`MAX_SDP`] bytes.
    pub sdp: String,
}

/// Which exchange a message belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    #[default]
    Announce,
    Scrape,
}

/// Why a message was not understood, and what is known about it nevertheless.
///
/// A client takes an error for its own only if it names the action and the swarm, so both are
/// kept as far as they could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct MessageError {
    pub action: Action,
    /// What stood in `info_hash`, right or wrong, if it was a string of reasonable length.
    pub info_hash: String,
    pub reason: Malformed,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("message is longer than {MAX_MESSAGE} bytes")]
    TooLong,
    #[error("message is not UTF-8")]
    NotText,
    #[error("message is not a JSON object")]
    NotJson,
    #[error("action is neither announce nor scrape")]
    Action,
    #[error("{0} has to be a string of 20 characters U+0000 to U+00FF")]
    Id(&'static str),
    #[error("event is unknown")]
    Event,
    #[error("{0} has no session description")]
    NoSdp(&'static str),
    #[error("session description is longer than {MAX_SDP} bytes")]
    SdpTooLong,
    #[error("scrape has to name the swarms, at most {MAX_SCRAPE}")]
    Scrape,
    #[error("message has no meaning")]
    Meaningless,
}

impl Malformed {
    /// An error about a message of which nothing is known.
    fn alone(self) -> MessageError {
        MessageError { action: Action::default(), info_hash: String::new(), reason: self }
    }
}

/// Reads the JSON object in a message that is not too long.
fn read_object<'a, T: Deserialize<'a>>(message: &'a [u8]) -> Result<T, MessageError> {
    if message.len() > MAX_MESSAGE {
        return Err(Malformed::TooLong.alone());
    }
    let text = std::str::from_utf8(message).map_err(|_| Malformed::NotText.alone())?;
    // A derived struct would also be read from an array.
    if !text.trim_start().starts_with('{') {
        return Err(Malformed::NotJson.alone());
    }
    serde_json::from_str(text).map_err(|_| Malformed::NotJson.alone())
}

/// A session description as it is sent: `{"type":"offer","sdp":"v=0…"}`.
#[derive(Serialize)]
struct Description<'a> {
    r#type: &'static str,
    sdp: &'a str,
}

impl<'a> Description<'a> {
    fn offer(sdp: &'a str) -> Self {
        Self { r#type: "offer", sdp }
    }

    fn answer(sdp: &'a str) -> Self {
        Self { r#type: "answer", sdp }
    }
}

/// An offer or an answer as it is read. Only the text is kept: what else a client puts in there
/// is not relayed.
#[derive(Default, Deserialize)]
#[serde(default)]
struct AnyDescription {
    sdp: lenient::Text,
}

impl AnyDescription {
    fn sdp(self, field: &'static str) -> Result<String, Malformed> {
        let sdp = self.sdp.0.filter(|sdp| !sdp.is_empty()).ok_or(Malformed::NoSdp(field))?;
        if sdp.len() > MAX_SDP { Err(Malformed::SdpTooLong) } else { Ok(sdp) }
    }
}

/// Writes a message. Strings, numbers and ids always have a JSON form.
fn write(message: &impl Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

impl Id {
    fn offer_id(self) -> Result<OfferId, Malformed> {
        self.bytes().map(OfferId).ok_or(Malformed::Id("offer_id"))
    }
}

#[cfg(test)]
mod tests;
