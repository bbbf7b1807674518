// SPDX-License-Identifier: MPL-2.0

//! What a viewer tells a tracker.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq};

use super::lenient::{Event, Id, Ids, List, Number, Object, Text};
use super::{Action, AnyDescription, Description, Malformed, MessageError, Offer, read_object, write};
use crate::swarm::ids::{InfoHash, OfferId, PeerId};

/// A message from a viewer to a tracker.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// "I am here, and these offers are for whoever you choose."
    Announce(Announce),
    /// "This is my answer to that viewer's offer."
    Answer(Answer),
    /// "How large are these swarms?"
    Scrape(Vec<InfoHash>),
}

/// Fields that other trackers do not know and read past.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// What lets the viewer into a private swarm.
    pub token: Option<String>,
    /// Open connections to viewers of this swarm, as the viewer counts them itself.
    pub links: Option<u32>,
    pub traffic: Option<Traffic>,
}

/// Segment bytes of a viewer in one swarm, since it came there: `"traffic":{"peers":1,"http":2,"uploaded":3}`.
///
/// Not the protocol's own `uploaded` and `downloaded`: those count for an account, and
/// p2p-media-loader says 0 there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// From peers.
    pub peers: u64,
    /// Over HTTP.
    pub http: u64,
    /// To peers.
    pub uploaded: u64,
}

/// A viewer's sign of life in one swarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Announce {
    pub info_hash: InfoHash,
    pub peer_id: PeerId,
    pub event: AnnounceEvent,
    /// How many peers the viewer would like to meet; None if it did not say.
    pub numwant: Option<u32>,
    /// Bytes left to download; 0 makes the viewer a seeder, None means that it does not know.
    pub left: Option<u64>,
    /// At most [`MAX_OFFERS`](super::MAX_OFFERS), each for another viewer.
    pub offers: Vec<Offer>,
}

/// Why a viewer announces itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnnounceEvent {
    Started,
    /// The interval has passed, or the viewer did not say: also the first words of a client that
    /// has reconnected.
    #[default]
    Update,
    Completed,
    /// The viewer leaves the swarm.
    Stopped,
}

/// A viewer's answer to an offer that the tracker gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub info_hash: InfoHash,
    /// The viewer who answers.
    pub peer_id: PeerId,
    /// The viewer who made the offer.
    pub to_peer_id: PeerId,
    pub offer_id: OfferId,
    pub sdp: String,
}

impl ClientMessage {
    /// Reads a message, text or binary frame alike.
    pub fn parse(message: &[u8]) -> Result<Self, MessageError> {
        Self::parse_with_extras(message).map(|(message, _)| message)
    }

    /// The same, with what our tracker understands besides.
    pub fn parse_with_extras(message: &[u8]) -> Result<(Self, Extras), MessageError> {
        let mut raw: Raw = read_object(message)?;
        let extras = Extras {
            token: raw.token.0.take(),
            links: raw.links.saturating_u32(),
            traffic: raw.traffic.0.take().map(RawTraffic::understand),
        };
        let echo = match &raw.info_hash {
            Ids::One(id) => id.echo(),
            _ => String::new(),
        };
        let action = match raw.action.0.as_deref() {
            Some("scrape") => Action::Scrape,
            _ => Action::Announce,
        };
        let message = raw.understand().map_err(|reason| MessageError { action, info_hash: echo, reason })?;
        Ok((message, extras))
    }

    /// Writes the message as JSON.
    pub fn to_json(&self) -> String {
        self.to_json_with(&Extras::default())
    }

    /// The same, with what our tracker understands besides; only announces carry it.
    pub fn to_json_with(&self, extras: &Extras) -> String {
        match self {
            Self::Announce(announce) => write(&AnnounceOut {
                token: extras.token.as_deref(),
                links: extras.links,
                traffic: extras.traffic,
                ..AnnounceOut::from(announce)
            }),
            Self::Answer(answer) => write(&AnswerOut {
                action: Action::Announce,
                info_hash: answer.info_hash,
                peer_id: answer.peer_id,
                to_peer_id: answer.to_peer_id,
                answer: Description::answer(&answer.sdp),
                offer_id: answer.offer_id,
            }),
            Self::Scrape(info_hash) => write(&ScrapeOut { action: Action::Scrape, info_hash }),
        }
    }
}

/// Every field that any of the messages has.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    action: Text,
    info_hash: Ids,
    peer_id: Id,
    to_peer_id: Id,
    offer_id: Id,
    event: Event,
    numwant: Number,
    left: Number,
    offers: List<Object<RawOffer>>,
    answer: Object<AnyDescription>,
    token: Text,
    links: Number,
    traffic: Object<RawTraffic>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTraffic {
    peers: Number,
    http: Number,
    uploaded: Number,
}

impl RawTraffic {
    fn understand(self) -> Traffic {
        // Conversion saturates; what is missing or no number is 0.
        let bytes = |number: Number| number.0.unwrap_or(0.0) as u64;
        Traffic { peers: bytes(self.peers), http: bytes(self.http), uploaded: bytes(self.uploaded) }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawOffer {
    offer: Object<AnyDescription>,
    offer_id: Id,
}

impl RawOffer {
    fn understand(self) -> Result<Offer, Malformed> {
        let offer_id = self.offer_id.offer_id()?;
        let sdp = self.offer.0.ok_or(Malformed::NoSdp("offer"))?.sdp("offer")?;
        Ok(Offer { offer_id, sdp })
    }
}

impl Raw {
    fn understand(self) -> Result<ClientMessage, Malformed> {
        match self.action.0.as_deref() {
            Some("announce") if self.answer.0.is_some() => self.answer().map(ClientMessage::Answer),
            Some("announce") => self.announce().map(ClientMessage::Announce),
            Some("scrape") => self.scrape().map(ClientMessage::Scrape),
            _ => Err(Malformed::Action),
        }
    }

    fn info_hash(&self) -> Result<InfoHash, Malformed> {
        match &self.info_hash {
            Ids::One(Id::Bytes(bytes)) => Ok(InfoHash(*bytes)),
            _ => Err(Malformed::Id("info_hash")),
        }
    }

    fn peer_id(&self) -> Result<PeerId, Malformed> {
        self.peer_id.bytes().map(PeerId).ok_or(Malformed::Id("peer_id"))
    }

    fn announce(self) -> Result<Announce, Malformed> {
        Ok(Announce {
            info_hash: self.info_hash()?,
            peer_id: self.peer_id()?,
            event: match self.event {
                Event::Absent => AnnounceEvent::Update,
                Event::Text(event) => match event.as_str() {
                    "started" => AnnounceEvent::Started,
                    "completed" => AnnounceEvent::Completed,
                    "stopped" => AnnounceEvent::Stopped,
                    "" | "update" | "paused" | "empty" => AnnounceEvent::Update,
                    _ => return Err(Malformed::Event),
                },
                Event::Other => return Err(Malformed::Event),
            },
            numwant: self.numwant.saturating_u32(),
            left: self.left.0.map(|left| left as u64),
            offers: self
                .offers
                .0
                .into_iter()
                .map(|offer| offer.0.unwrap_or_default().understand())
                .collect::<Result<_, _>>()?,
        })
    }

    fn answer(self) -> Result<Answer, Malformed> {
        Ok(Answer {
            info_hash: self.info_hash()?,
            peer_id: self.peer_id()?,
            to_peer_id: self.to_peer_id.bytes().map(PeerId).ok_or(Malformed::Id("to_peer_id"))?,
            offer_id: self.offer_id.offer_id()?,
            sdp: self.answer.0.ok_or(Malformed::NoSdp("answer"))?.sdp("answer")?,
        })
    }

    fn scrape(self) -> Result<Vec<InfoHash>, Malformed> {
        let ids = match self.info_hash {
            Ids::One(id) => vec![id],
            Ids::Many(ids) => ids,
            // Without a hash every swarm is meant, which would be an answer without bounds.
            Ids::Absent | Ids::TooMany => return Err(Malformed::Scrape),
        };
        ids.iter().map(|id| id.bytes().map(InfoHash).ok_or(Malformed::Id("info_hash"))).collect()
    }
}

#[derive(Serialize)]
struct AnnounceOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    numwant: Option<u32>,
    uploaded: u64,
    downloaded: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'static str>,
    action: Action,
    info_hash: InfoHash,
    peer_id: PeerId,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u64>,
    #[serde(skip_serializing_if = "Offers::is_empty")]
    offers: Offers<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<Traffic>,
}

impl<'a> From<&'a Announce> for AnnounceOut<'a> {
    fn from(announce: &'a Announce) -> Self {
        Self {
            numwant: announce.numwant,
            // The tracker's accounts; p2p-media-loader says the same.
            uploaded: 0,
            downloaded: 0,
            event: match announce.event {
                AnnounceEvent::Started => Some("started"),
                AnnounceEvent::Update => None,
                AnnounceEvent::Completed => Some("completed"),
                AnnounceEvent::Stopped => Some("stopped"),
            },
            action: Action::Announce,
            info_hash: announce.info_hash,
            peer_id: announce.peer_id,
            left: announce.left,
            offers: Offers(&announce.offers),
            token: None,
            links: None,
            traffic: None,
        }
    }
}

struct Offers<'a>(&'a [Offer]);

impl Offers<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Offers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct OfferOut<'a> {
            offer: Description<'a>,
            offer_id: OfferId,
        }
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for offer in self.0 {
            list.serialize_element(&OfferOut {
                offer: Description::offer(&offer.sdp),
                offer_id: offer.offer_id,
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct AnswerOut<'a> {
    action: Action,
    info_hash: InfoHash,
    peer_id: PeerId,
    to_peer_id: PeerId,
    answer: Description<'a>,
    offer_id: OfferId,
}

#[derive(Serialize)]
struct ScrapeOut<'a> {
    action: Action,
    info_hash: &'a [InfoHash],
}
