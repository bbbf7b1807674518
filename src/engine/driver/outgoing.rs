// SPDX-License-Identifier: MPL-2.0

//! What goes out next.

use std::sync::Arc;

use super::handover::Turn;
use super::track::Pumped;
use super::{Driver, World};
use crate::engine::{Event, SessionError, TrackKind, resource};
use crate::manifest::Init;
use crate::net::http::HttpClient;

impl Driver {
    /// Hands over what can go out of a track. True if there may be more to do.
    pub(super) fn pump(&mut self, kind: TrackKind, world: &World) -> Result<bool, SessionError> {
        if self.is_by_key_frames() {
            return Ok(false);
        }
        if kind == TrackKind::Audio && self.relay() {
            return Ok(true);
        }
        let position = self.position();
        match self.tracks.get_mut(kind).switch_when_due(&mut self.keys, position, self.rate) {
            Turn::None => {}
            Turn::Waits => return Ok(false),
            Turn::Begun | Turn::Later => return Ok(true),
            Turn::Needs(init) => {
                self.load_init(&world.http, kind, init);
                return Ok(true);
            }
            Turn::Useless(error) => self.refuse_useless(kind, &error),
            Turn::Done if kind == TrackKind::Main => {
                self.switching.arrive();
                self.share_timeline();
                self.follow_variant();
                self.provide_renditions(world);
            }
            Turn::Done => {}
        }
        // Subtitles are small enough to go out all at once. They wait for the picture, so that players hold no more of
        // them than they need, and hear of their end no sooner.
        let main = &self.tracks.main.pump;
        let paced = kind == TrackKind::Subtitles && !main.has_ended();
        let until = paced.then_some(main.pushed);
        let before = main.pushed;
        let pumped = self.tracks.get_mut(kind).pump(&mut self.keys, until)?;
        self.take_messages(kind);
        let main = &self.tracks.main;
        let is_through = main.pump.pushed != before;
        if main.pump.has_begun() || is_through {
            let variant = main.stream.as_ref().and_then(|stream| stream.index);
            self.switching.note_shown(variant);
        }
        // With each segment, so that they are complete before the end goes out.
        if is_through {
            self.write_statistics();
        }
        match pumped {
            Pumped::Nothing => return Ok(false),
            Pumped::Something => {}
            Pumped::FirstByte => self.startup = self.startup.or_else(|| Some(self.started.elapsed())),
            Pumped::LeftOut(error) => self.emit(Event::Warning(error)),
            Pumped::Needs(init) => {
                self.load_init(&world.http, kind, init);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn load_init(&self, http: &HttpClient, kind: TrackKind, init: Arc<Init>) {
        let (http, results, retries) = (http.clone(), self.senders.inits.clone(), self.config.retries);
        tokio::spawn(async move {
            let bytes = resource::load_init(&http, &init, retries).await;
            // The session has ended when nobody listens.
            let _ = results.send((kind, init, bytes)).await;
        });
    }
}
