// SPDX-License-Identifier: MPL-2.0

//! What a tracker tells a viewer.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use super::lenient::{Id, Number, Object, Text};
use super::{
    Action, AnyDescription, Description, MAX_REASON, MAX_SCRAPE, Malformed, MessageError, Offer, read_object,
    write,
};
use crate::swarm::ids::{InfoHash, OfferId, PeerId};

/// A message from a tracker to a viewer.
#[derive(Clone, Debug, PartialEq)]
pub enum TrackerMessage {
    /// The reply to an announce.
    Response(AnnounceResponse),
    /// Another viewer's offer.
    Offer { info_hash: InfoHash, peer_id: PeerId, offer: Offer },
    /// Another viewer's answer to an offer of ours.
    Answer { info_hash: InfoHash, peer_id: PeerId, answer: Offer },
    /// The sizes of swarms.
    Scrape(Vec<(InfoHash, ScrapeCounts)>),
    /// The tracker refused something.
    Failure(Failure),
}

/// The reply to an announce.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnnounceResponse {
    /// None only if the tracker did not name it, as some do in errors.
    pub info_hash: Option<InfoHash>,
    /// Time until the next announce.
    pub interval: Option<Duration>,
    /// Seeders in the swarm.
    pub complete: Option<u32>,
    /// All others in the swarm, this viewer included.
    pub incomplete: Option<u32>,
    /// A number that this tracker has given to nobody else in the swarm; those in use are about those from 0 to its
    /// size. Not part of the protocol: this project's trackers say it.
    pub number: Option<u32>,
    /// For the viewer's operator to read.
    pub warning: Option<String>,
}

/// The size of a swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScrapeCounts {
    pub complete: u32,
    pub incomplete: u32,
    /// How often a viewer has completed; streams never do.
    pub downloaded: u32,
}

/// The tracker refused something. A client that misses the action or its own info hash gives the
/// whole socket up, so both are always written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub action: Action,
    /// As the client had sent it, right or wrong; empty if unknown.
    pub info_hash: String,
    pub reason: String,
}

impl TrackerMessage {
    /// Reads a message.
    pub fn parse(message: &[u8]) -> Result<Self, MessageError> {
        let raw: Raw = read_object(message)?;
        let (action, echo) = (raw.action(), raw.info_hash.echo());
        raw.understand().map_err(|reason| MessageError { action, info_hash: echo, reason })
    }

    /// Writes the message as JSON.
    pub fn to_json(&self) -> String {
        match self {
            Self::Response(response) => write(&Out {
                complete: response.complete,
                incomplete: response.incomplete,
                number: response.number,
                interval: response.interval.map(|interval| interval.as_secs()),
                warning: response.warning.as_deref(),
                ..Out::new(response.info_hash)
            }),
            Self::Offer { info_hash, peer_id, offer } => write(&Out {
                offer: Some(Description::offer(&offer.sdp)),
                offer_id: Some(offer.offer_id),
                peer_id: Some(*peer_id),
                ..Out::new(Some(*info_hash))
            }),
            Self::Answer { info_hash, peer_id, answer } => write(&Out {
                answer: Some(Description::answer(&answer.sdp)),
                offer_id: Some(answer.offer_id),
                peer_id: Some(*peer_id),
                ..Out::new(Some(*info_hash))
            }),
            Self::Scrape(files) => write(&ScrapeOut { action: Action::Scrape, files: Files(files) }),
            Self::Failure(failure) => write(&FailureOut {
                action: failure.action,
                info_hash: &failure.info_hash,
                reason: &failure.reason,
            }),
        }
    }
}

/// Every field that any of the messages has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    action: Text,
    info_hash: Id,
    peer_id: Id,
    offer_id: Id,
    offer: Object<AnyDescription>,
    answer: Object<AnyDescription>,
    interval: Number,
    #[serde(rename = "min interval")]
    min_interval: Number,
    complete: Number,
    incomplete: Number,
    number: Number,
    #[serde(rename = "failure reason")]
    failure: Text,
    #[serde(rename = "warning message")]
    warning: Text,
    files: Object<RawFiles>,
}

/// The swarms of a scrape whose hash and counts can be read; the others are left out.
#[derive(Default)]
struct RawFiles(Vec<(InfoHash, ScrapeCounts)>);

impl<'de> Deserialize<'de> for RawFiles {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct RawCounts {
            complete: Number,
            incomplete: Number,
            downloaded: Number,
        }
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = RawFiles;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of swarms")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<RawFiles, A::Error> {
                let mut files = Vec::new();
                while let Some((id, counts)) = map.next_entry::<Id, Object<RawCounts>>()? {
                    let (Some(bytes), Some(counts)) = (id.bytes(), counts.0) else { continue };
                    if files.len() < MAX_SCRAPE {
                        let count = |number: Number| number.saturating_u32().unwrap_or(0);
                        files.push((
                            InfoHash(bytes),
                            ScrapeCounts {
                                complete: count(counts.complete),
                                incomplete: count(counts.incomplete),
                                downloaded: count(counts.downloaded),
                            },
                        ));
                    }
                }
                Ok(RawFiles(files))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

impl Raw {
    fn action(&self) -> Action {
        match self.action.0.as_deref() {
            Some("scrape") => Action::Scrape,
            _ => Action::Announce,
        }
    }

    fn understand(self) -> Result<TrackerMessage, Malformed> {
        let action = self.action();
        // Some trackers send errors without an action.
        if let Some(reason) = self.failure.0 {
            let info_hash = self.info_hash.echo();
            return Ok(TrackerMessage::Failure(Failure { action, info_hash, reason: shorten(reason) }));
        }
        match self.action.0.as_deref() {
            Some("announce") => {}
            Some("scrape") => {
                return Ok(TrackerMessage::Scrape(self.files.0.ok_or(Malformed::Meaningless)?.0));
            }
            _ => return Err(Malformed::Action),
        }

        let info_hash = match self.info_hash {
            Id::Absent => None,
            id => Some(InfoHash(id.bytes().ok_or(Malformed::Id("info_hash"))?)),
        };
        let named = info_hash.ok_or(Malformed::Id("info_hash"));
        let peer_id = self.peer_id.bytes().map(PeerId).ok_or(Malformed::Id("peer_id"));
        if let Some(offer) = self.offer.0 {
            let offer = Offer { offer_id: self.offer_id.offer_id()?, sdp: offer.sdp("offer")? };
            return Ok(TrackerMessage::Offer { info_hash: named?, peer_id: peer_id?, offer });
        }
        if let Some(answer) = self.answer.0 {
            let answer = Offer { offer_id: self.offer_id.offer_id()?, sdp: answer.sdp("answer")? };
            return Ok(TrackerMessage::Answer { info_hash: named?, peer_id: peer_id?, answer });
        }

        let response = AnnounceResponse {
            info_hash,
            interval: self.interval.0.or(self.min_interval.0).and_then(seconds),
            complete: self.complete.saturating_u32(),
            incomplete: self.incomplete.saturating_u32(),
            number: self.number.saturating_u32(),
            warning: self.warning.0.map(shorten),
        };
        if response == (AnnounceResponse { info_hash, ..Default::default() }) {
            return Err(Malformed::Meaningless);
        }
        Ok(TrackerMessage::Response(response))
    }
}

/// A positive number of seconds; the cap keeps arithmetic with it from overflowing.
fn seconds(seconds: f64) -> Option<Duration> {
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(1e9)))
}

/// Cuts a text that a person is meant to read.
fn shorten(mut text: String) -> String {
    let end = (0..=MAX_REASON.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or(0));
    text
}

#[derive(Serialize)]
struct Out<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "warning message")]
    warning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offer: Option<Description<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Description<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offer_id: Option<OfferId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer_id: Option<PeerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info_hash: Option<InfoHash>,
}

impl Out<'_> {
    fn new(info_hash: Option<InfoHash>) -> Self {
        Self {
            complete: None,
            incomplete: None,
            number: None,
            action: Action::Announce,
            interval: None,
            warning: None,
            offer: None,
            answer: None,
            offer_id: None,
            peer_id: None,
            info_hash,
        }
    }
}

#[derive(Serialize)]
struct FailureOut<'a> {
    action: Action,
    info_hash: &'a str,
    #[serde(rename = "failure reason")]
    reason: &'a str,
}

#[derive(Serialize)]
struct ScrapeOut<'a> {
    action: Action,
    files: Files<'a>,
}

struct Files<'a>(&'a [(InfoHash, ScrapeCounts)]);

impl Serialize for Files<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (info_hash, counts) in self.0 {
            map.serialize_entry(&info_hash.to_binary_string(), counts)?;
        }
        map.end()
    }
}
