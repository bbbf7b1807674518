// SPDX-License-Identifier: MPL-2.0

//! Common Media Client Data (CTA-5004): what a player tells the CDN of itself with each request, in the query or in
//! headers. Bytes from peers are no requests; how much of the stream they bring is told with a key of our own.
//!
//! A query is added when a request goes out and taken off where it comes back (redirects, errors): addresses in the rest of
//! the program, and with them the names of segments and swarms, know nothing of it.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use url::Url;

use crate::rate::Rate;

/// Share of the bytes of segments that came from peers, in percent: a key of our own, so with a prefix.
pub const PEER_EFFICIENCY: &str = "org.p2phls-pe";

/// The name of the query argument.
const ARGUMENT: &str = "CMCD=";

/// The headers, in the order of [`Place`].
pub const HEADERS: [&str; 4] = ["cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status"];

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Query,
    Headers,
}

/// What is asked for (`ot`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    Manifest,
    Audio,
    Video,
    /// Sound and picture in one.
    Muxed,
    Init,
    Caption,
    Key,
    #[default]
    Other,
}

impl Kind {
    fn token(self) -> &'static str {
        match self {
            Self::Manifest => "m",
            Self::Audio => "a",
            Self::Video => "v",
            Self::Muxed => "av",
            Self::Init => "i",
            Self::Caption => "c",
            Self::Key => "k",
            Self::Other => "o",
        }
    }
}

/// An object that is asked for, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Object {
    pub kind: Kind,
    /// Bits a second (`br`).
    pub bitrate: Option<u64>,
    /// Of segments (`d`).
    pub duration: Option<Duration>,
    /// Of segments: position at which it begins.
    pub start: Option<Duration>,
    /// Of segments: up to which position the track has what comes before.
    pub buffered_until: Option<Duration>,
}

/// How playback stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Status {
    /// `d` or `h` (`sf`); None: not known yet.
    pub format: Option<&'static str>,
    /// None: not known yet (`st`).
    pub live: Option<bool>,
    pub position: Duration,
    /// How fast playback goes when it does.
    pub rate: Rate,
    /// None: nothing has been shown yet.
    pub playing: Option<bool>,
    /// Measured over HTTP, in bits a second; 0 is unknown (`mtp`).
    pub throughput: u64,
    /// Bits a second of the best that could be played; 0 is unknown (`tb`).
    pub top_bitrate: u64,
    /// 0 to 1.
    pub peer_efficiency: f64,
    /// Times that playback has run dry.
    pub stalls: u64,
}

/// One session of one player.
#[derive(Debug)]
pub struct Session {
    pub mode: Mode,
    /// A UUID (`sid`).
    session_id: String,
    /// What is played (`cid`), at most 64 characters.
    content_id: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    status: Status,
    /// Those stalls that have been told (`bs`).
    told_stalls: u64,
}

/// Which header a key belongs into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Object,
    Request,
    Session,
    Status,
}

/// Keys with their values, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<(Place, String)>);

impl Session {
    /// `random` makes the id of the session.
    pub fn new(mode: Mode, random: u128, content_id: String) -> Arc<Self> {
        // A UUID of version 4: RFC 9562 5.4.
        let random = random & !(0xf << 76 | 0x3 << 62) | 4 << 76 | 2 << 62;
        let hex = format!("{random:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        let content_id = content_id.chars().take(64).collect();
        Arc::new(Self { mode, session_id: parts.join("-"), content_id, state: Mutex::default() })
    }

    /// Takes note of how playback stands.
    pub fn set_status(&self, status: Status) {
        self.state().status = status;
    }

    /// What is told with a request for this object.
    pub fn keys(&self, object: &Object) -> Keys {
        let mut state = self.state();
        let status = state.status;
        let is_media = object.duration.is_some();
        let starved = is_media && status.stalls > state.told_stalls;
        if starved {
            state.told_stalls = status.stalls;
        }
        drop(state);
        let ahead = |until: Option<Duration>| until.map(|until| until.saturating_sub(status.position));
        let buffered = ahead(object.buffered_until);
        let urgent = match (is_media, buffered) {
            (true, buffered) => buffered.unwrap_or_default().is_zero(),
            (false, _) => status.playing.is_none(),
        };
        let kilobits = |bits: u64| bits / 1_000;
        let mut keys = Keys::default();
        keys.number(Place::Request, "bl", buffered.map(hundreds));
        keys.number(Place::Object, "br", object.bitrate.map(kilobits).filter(|rate| *rate > 0));
        keys.flag(Place::Status, "bs", starved);
        keys.text(Place::Session, "cid", &self.content_id);
        keys.number(Place::Object, "d", object.duration.map(milliseconds));
        keys.number(
            Place::Request,
            "dl",
            ahead(object.start).map(|media| hundreds(status.rate.time_of(media))),
        );
        keys.number(
            Place::Request,
            "mtp",
            (status.throughput > 0).then(|| status.throughput.div_ceil(100_000) * 100),
        );
        let percent = (status.peer_efficiency.clamp(0.0, 1.0) * 100.0).round() as u64;
        keys.number(Place::Status, PEER_EFFICIENCY, Some(percent));
        keys.token(Place::Object, "ot", Some(object.kind.token()));
        // Where playback stands still it goes at no speed; the usual one is not told.
        let speed = if status.playing == Some(false) { 0.0 } else { status.rate.get() };
        let speed = Some(format!("{}", (speed * 100.0).round() / 100.0)).filter(|_| speed != 1.0);
        keys.token(Place::Session, "pr", speed.as_deref());
        keys.token(Place::Session, "sf", status.format);
        keys.text(Place::Session, "sid", &self.session_id);
        keys.token(Place::Session, "st", status.live.map(|live| if live { "l" } else { "v" }));
        keys.flag(Place::Request, "su", urgent);
        keys.number(Place::Object, "tb", Some(kilobits(status.top_bitrate)).filter(|rate| *rate > 0));
        keys
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain values: nothing can be half written.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// To the nearest 100 ms.
fn hundreds(time: Duration) -> u64 {
    milliseconds(time).saturating_add(50) / 100 * 100
}

impl Keys {
    fn number(&mut self, place: Place, key: &str, value: Option<u64>) {
        self.0.extend(value.map(|value| (place, format!("{key}={value}"))));
    }

    fn token(&mut self, place: Place, key: &str, value: Option<&str>) {
        self.0.extend(value.map(|value| (place, format!("{key}={value}"))));
    }

    fn text(&mut self, place: Place, key: &str, value: &str) {
        let mut text = format!("{key}=\"");
        // Header fields have neither control characters nor other alphabets.
        for char in value.chars().filter(|char| (' '..='~').contains(char)) {
            if matches!(char, '"' | '\\') {
                text.push('\\');
            }
            text.push(char);
        }
        text.push('"');
        self.0.push((place, text));
    }

    fn flag(&mut self, place: Place, key: &str, value: bool) {
        self.0.extend(value.then(|| (place, key.to_owned())));
    }

    /// The values of [`HEADERS`]; those that are empty are not to be sent.
    pub fn headers(&self) -> [String; 4] {
        [Place::Object, Place::Request, Place::Session, Place::Status].map(|place| {
            let of_place = self.0.iter().filter(|(p, _)| *p == place).map(|(_, text)| text.as_str());
            of_place.collect::<Vec<_>>().join(",")
        })
    }

    /// The address with these keys in its query.
    pub fn in_query(&self, url: &Url) -> Url {
        let all: Vec<&str> = self.0.iter().map(|(_, text)| text.as_str()).collect();
        let url = without_query(url);
        let mut query =
            url.query().filter(|query| !query.is_empty()).map(|q| format!("{q}&")).unwrap_or_default();
        query.push_str(ARGUMENT);
        for byte in all.join(",").bytes() {
            match byte {
                b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => {
                    query.push(char::from(byte))
                }
                _ => {
                    // Writing to a string does not fail.
                    let _ = write!(query, "%{byte:02X}");
                }
            }
        }
        let mut with = url;
        with.set_query(Some(&query));
        with
    }
}

/// The address without what [`Keys::in_query`] has added.
pub fn without_query(url: &Url) -> Url {
    let Some(query) = url.query().filter(|query| query.contains(ARGUMENT)) else { return url.clone() };
    let rest: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(ARGUMENT)).collect();
    let mut stripped = url.clone();
    stripped.set_query(Some(rest.join("&").as_str()).filter(|rest| !rest.is_empty()));
    stripped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Arc<Session> {
        let session =
            Session::new(Mode::Query, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef, "a \"b\"".to_owned());
        session.set_status(Status {
            format: Some("h"),
            live: Some(true),
            position: Duration::from_secs(10),
            rate: Rate::NORMAL,
            playing: Some(true),
            throughput: 5_010_000,
            top_bitrate: 8_000_000,
            peer_efficiency: 0.934,
            stalls: 1,
        });
        session
    }

    fn segment() -> Object {
        Object {
            kind: Kind::Video,
            bitrate: Some(3_200_400),
            duration: Some(Duration::from_millis(4_004)),
            start: Some(Duration::from_secs(18)),
            buffered_until: Some(Duration::from_millis(14_260)),
        }
    }

    #[test]
    fn keys_stand_in_their_headers() {
        let session = session();
        let id = "sid=\"01234567-89ab-4def-8123-456789abcdef\"";
        assert_eq!(
            session.keys(&segment()).headers(),
            [
                "br=3200,d=4004,ot=v,tb=8000".to_owned(),
                "bl=4300,dl=8000,mtp=5100".to_owned(),
                format!("cid=\"a \\\"b\\\"\",sf=h,{id},st=l"),
                "bs,org.p2phls-pe=93".to_owned(),
            ]
        );
        assert_eq!(session.keys(&segment()).headers()[3], "org.p2phls-pe=93", "it is told once");
        let late = Object { buffered_until: None, ..segment() };
        assert_eq!(session.keys(&late).headers()[1], "dl=8000,mtp=5100,su");
        session.set_status(Status { playing: Some(false), ..Status::default() });
        let key = session.keys(&Object { kind: Kind::Key, ..Object::default() }).headers();
        assert_eq!(key[0], "ot=k");
        assert!(key[1].is_empty() && key[2].contains("pr=0"), "{key:?}");
    }

    #[test]
    fn deadlines_go_by_the_rate_of_playback() {
        let session = session();
        for (rate, deadline, told) in
            [(1.0, "dl=8000", None), (1.5, "dl=5300", Some("pr=1.5")), (2.0, "dl=4000", Some("pr=2"))]
        {
            let status = session.state().status;
            session.set_status(Status { rate: Rate::new(rate).expect("a good rate"), ..status });
            let headers = session.keys(&segment()).headers();
            assert!(headers[1].contains(deadline), "{headers:?}");
            let pr = headers[2].split(',').find(|key| key.starts_with("pr="));
            assert_eq!(pr, told, "{headers:?}");
        }
    }

    #[test]
    fn a_query_comes_and_goes() {
        let keys = session().keys(&segment());
        for text in ["https://h/a.ts", "https://h/a.ts?token=a%2Fb&x", "https://h/a.ts?x=1#frag"] {
            let url = Url::parse(text).expect("a URL");
            let with = keys.in_query(&url);
            let query: Vec<_> = with.query_pairs().filter(|(key, _)| key == "CMCD").collect();
            let [(_, value)] = &query[..] else { panic!("{with}") };
            // In the order of the alphabet, as the standard wants it.
            let names: Vec<&str> =
                value.split(',').map(|pair| pair.split('=').next().expect("a key")).collect();
            assert!(names.is_sorted(), "{names:?}");
            assert!(value.starts_with("bl=4300,br=3200,bs,cid=\"a \\\"b\\\"\","), "{value}");
            assert_eq!(without_query(&with), url);
            assert_eq!(without_query(&url), url);
        }
    }
}
