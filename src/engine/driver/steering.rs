// SPDX-License-Identifier: MPL-2.0

//! Which of several pathways (CDNs) is taken.
//!
//! A change of pathway is none of the stream: its playlist comes from another place, as it does when a server fails, and with
//! it the addresses of its segments. The viewer, what it holds and its swarm stay as they are.

use std::time::Instant;

use url::Url;

use super::{Driver, World};
use crate::engine::places::{self, Place};
use crate::engine::playlists::PlaylistEvent;
use crate::engine::steering;
use crate::engine::stream::{Stream, StreamId};
use crate::manifest::Moved;
use crate::switcher::Steered;

impl Driver {
    /// Playback begins with this variant.
    pub(super) fn begin_on(&mut self, index: usize) {
        let (Some(presentation), Some(pathways)) = (&self.presentation, &mut self.pathways) else { return };
        let now = Instant::now();
        if presentation.variants[index].pathway() != pathways.current() {
            // It was tried first.
            let failed = pathways.current().to_owned();
            pathways.penalise(now, &failed);
            pathways.choose(now);
        }
    }

    /// Asks which pathway to take when it is time to, a few times a second; and goes back to one that failed long ago.
    pub(super) fn steer(&mut self, world: &World) {
        let now = Instant::now();
        let Some(pathways) = &mut self.pathways else { return };
        if let Some(url) = pathways.poll_request(now, self.switching.rate(now)) {
            let (http, events) = (world.http.clone(), self.senders.playlists.clone());
            tokio::spawn(async move {
                let answer = steering::ask(&http, &url).await;
                // The session has ended when nobody listens.
                let _ = events.send(PlaylistEvent::Steered(answer)).await;
            });
        }
        if pathways.choose(now) {
            self.take_pathway();
        }
    }

    pub(super) fn handle_steered(&mut self, answer: Steered) {
        let (Some(presentation), Some(pathways)) = (&mut self.presentation, &mut self.pathways) else {
            return;
        };
        let known = presentation.variants.len();
        let before = pathways.current().to_owned();
        steering::take(pathways, presentation, answer);
        if pathways.current() != before || presentation.variants.len() != known {
            self.take_pathway();
        }
    }

    /// The playlist of a stream comes from another place now.
    pub(super) fn handle_moved(&mut self, id: StreamId, moved: &Moved) {
        let Some(stream) = self.streams().find(|stream| stream.id == id) else { return };
        let places = self.places(stream);
        let address = |url: &Url| if *url == stream.playlist_url { &stream.address } else { url }.clone();
        let to = address(&moved.to);
        let failed: Vec<Url> = moved.failed.iter().map(address).collect();
        let place = places.iter().find(|place| place.url == to).cloned();
        let now = Instant::now();
        if let Some(pathways) = &mut self.pathways {
            for place in places.iter().filter(|place| failed.contains(&place.url)) {
                log::warn!(target: "p2phls-engine", "the pathway {:?} has failed", place.pathway);
                pathways.penalise(now, &place.pathway);
            }
        }
        let variant =
            place.as_ref().and_then(|place| self.presentation.as_ref()?.variants.get(place.variant)).cloned();
        let Some(stream) = self.stream(id) else { return };
        (stream.address, stream.playlist_url) = (to, moved.to.clone());
        if let (Some(before), Some(place)) = (stream.index, place) {
            (stream.index, stream.variant) = (Some(place.variant), variant);
            self.switching.handle_moved(before, place.variant);
        }
        if self.pathways.as_mut().is_some_and(|pathways| pathways.choose(now)) {
            self.take_pathway();
        }
    }

    /// Has everything come from the pathway that is best now.
    fn take_pathway(&mut self) {
        if let Some(pathways) = &self.pathways {
            log::info!(target: "p2phls-engine", "the pathway to take is {:?}", pathways.current());
        }
        self.streams().for_each(|stream| self.tell_places(stream));
        self.switching.forget_levels();
    }

    /// Tells whoever follows the playlist of a stream where it is to be had.
    pub(super) fn tell_places(&self, stream: &Stream) {
        let now = Instant::now();
        let rank = |pathway: &str| self.pathways.as_ref().map(|pathways| pathways.rank(now, pathway));
        let urls = places::in_order(self.places(stream), rank, &stream.address);
        let came_from = |url| if url == stream.address { stream.playlist_url.clone() } else { url };
        let urls: Vec<Url> = urls.into_iter().map(came_from).collect();
        if !urls.is_empty() {
            stream.prefer(urls);
        }
    }

    /// Where what a stream shows is to be had.
    fn places(&self, stream: &Stream) -> Vec<Place> {
        let Some(presentation) = &self.presentation else { return Vec::new() };
        match (stream.index, &stream.rendition) {
            (Some(index), _) => places::of_variant(&presentation.variants, index),
            (None, Some(played)) => places::of_rendition(presentation, &played.rendition),
            (None, None) => Vec::new(),
        }
    }
}
