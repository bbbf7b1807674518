// SPDX-License-Identifier: MPL-2.0

//! A session without GStreamer, and what comes out of it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gstp2phls::engine::{Config, Event, Item, Playback, PlaybackClock, Session, TrackReader};
use url::Url;

/// Nothing is ever shown, so everything is wanted at once.
struct NoClock;

impl PlaybackClock for NoClock {
    fn playback(&self) -> Option<Playback> {
        None
    }
}

/// What came out before the end or the error.
#[derive(Default)]
pub struct Played {
    pub bytes: Vec<u8>,
    pub inits: Vec<Bytes>,
    pub error: Option<String>,
}

pub fn play(location: Url) -> Played {
    play_with(config(location))
}

pub fn config(location: Url) -> Config {
    Config {
        max_memory: 64 << 20,
        user_agent: "Test/1".into(),
        timeout: Duration::from_secs(20),
        retries: 2,
        ..Config::new(location, Arc::new(NoClock))
    }
}

/// Plays to the end or to an error.
pub fn play_with(config: Config) -> Played {
    let reader: Arc<Mutex<Option<Arc<TrackReader>>>> = Arc::default();
    let (sender, events) = std::sync::mpsc::channel();
    let known = reader.clone();
    let _session = Session::start(config, move |event| match event {
        Event::Ready { tracks, .. } => {
            *known.lock().unwrap() = Some(tracks[0].reader.clone());
            let _ = sender.send(None);
        }
        Event::Error(error) => {
            let _ = sender.send(Some(error.to_string()));
            if let Some(reader) = &*known.lock().unwrap() {
                reader.interrupt();
            }
        }
        _ => {}
    });
    let next_event = || events.recv_timeout(Duration::from_secs(60)).expect("the session says something");
    let mut played = Played { error: next_event(), ..Played::default() };
    let Some(reader) = reader.lock().unwrap().clone() else { return played };
    loop {
        match reader.next() {
            Some(Item::Start(start)) => played.inits.extend(start.init),
            Some(Item::Data(bytes)) => played.bytes.extend_from_slice(&bytes),
            Some(Item::End | Item::Gap { .. }) => {}
            Some(Item::Eos) => return played,
            None => {
                played.error = next_event();
                return played;
            }
        }
    }
}
