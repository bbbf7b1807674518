// SPDX-License-Identifier: MPL-2.0

//! Loads the presentation, chooses a variant, and keeps a live playlist fresh.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use url::Url;

use super::{SessionError, resource};
use crate::manifest::{self, Manifest, MediaPlaylist, Presentation, Timeline, TimelineError, Variant};
use crate::net::http::{HttpClient, Part};

/// What the loader reports, in order.
pub enum PlaylistEvent {
    /// The presentation is known.
    Loaded(Box<Loaded>),
    /// The live playlist was reloaded.
    Updated { timeline: Box<Timeline>, restarted: bool },
    /// It could not be reloaded this time.
    Trouble(SessionError),
    /// There is nothing to play, or not any more.
    Failed(SessionError),
}

/// What is known of a presentation once it is loaded.
pub struct Loaded {
    /// Where the first playlist came from in the end.
    pub url: Url,
    /// The variant chosen; None for a bare media playlist.
    pub variant: Option<Variant>,
    /// The media playlist's own URL.
    pub playlist_url: Url,
    pub timeline: Timeline,
}

/// How playlists are loaded.
pub struct Loader {
    pub http: HttpClient,
    pub location: Url,
    /// Bits a second; 0 is unknown.
    pub connection_speed: u64,
    pub retries: u32,
    /// Somebody knows of newer segments.
    pub nudge: Arc<Notify>,
    pub events: mpsc::Sender<PlaylistEvent>,
}

/// A live playlist that cannot be reloaded for this long has ended without saying so.
const PATIENCE: Duration = Duration::from_secs(60);

impl Loader {
    /// Runs until the presentation has ended or can be loaded no more, or the receiver is gone.
    pub async fn run(self) {
        let (from, variant, playlist) = match self.load().await {
            Ok(loaded) => loaded,
            Err(error) => return self.send(PlaylistEvent::Failed(error)).await,
        };
        let playlist_url = playlist.url.clone();
        let timeline = Timeline::new(playlist);
        let loaded =
            Loaded { url: from, variant, playlist_url: playlist_url.clone(), timeline: timeline.clone() };
        self.send(PlaylistEvent::Loaded(Box::new(loaded))).await;
        self.refresh(playlist_url, timeline).await;
    }

    /// Loads the presentation and the media playlist of the variant to play. With retries: at the start there
    /// is nothing else to fall back on.
    async fn load(&self) -> Result<(Url, Option<Variant>, MediaPlaylist), SessionError> {
        match self.get(&self.location, self.retries).await? {
            Manifest::Media(playlist) => Ok((playlist.url.clone(), None, playlist)),
            Manifest::Multivariant(presentation) => {
                let url = presentation.url.clone();
                let variant = choose_variant(&presentation, self.connection_speed).ok_or_else(|| {
                    SessionError::Format(format!("{url}: the multivariant playlist names no variant"))
                })?;
                match self.get(&variant.url, self.retries).await? {
                    Manifest::Media(playlist) => Ok((url, Some(variant.clone()), playlist)),
                    Manifest::Multivariant(_) => Err(SessionError::Format(format!(
                        "{}: a variant must be a media playlist, this is another multivariant one",
                        variant.url
                    ))),
                }
            }
        }
    }

    async fn refresh(&self, url: Url, mut timeline: Timeline) {
        let mut wait = timeline.reload_delay(true);
        let mut loaded_at = Instant::now();
        let mut last_success = loaded_at;
        while timeline.is_live() {
            tokio::select! {
                () = tokio::time::sleep_until(loaded_at + wait) => {}
                () = self.nudge.notified() => {}
                () = self.events.closed() => return,
            }
            loaded_at = Instant::now();
            let result = match self.get(&url, 0).await {
                Ok(Manifest::Media(playlist)) => timeline.update(playlist).map_err(from_timeline),
                Ok(Manifest::Multivariant(_)) => {
                    Err(SessionError::Format(format!("{url}: the playlist has become a multivariant one")))
                }
                Err(error) => Err(error),
            };
            match result {
                Ok(change) => {
                    last_success = loaded_at;
                    let changed = change != manifest::Change::Unchanged;
                    wait = timeline.reload_delay(changed);
                    if changed || !timeline.is_live() {
                        let restarted = change == manifest::Change::Restarted;
                        let timeline = Box::new(timeline.clone());
                        self.send(PlaylistEvent::Updated { timeline, restarted }).await;
                    }
                }
                Err(error) if last_success.elapsed() > PATIENCE => {
                    return self.send(PlaylistEvent::Failed(error)).await;
                }
                Err(error) => {
                    wait = timeline.reload_delay(false);
                    self.send(PlaylistEvent::Trouble(error)).await;
                }
            }
        }
    }

    async fn get(&self, url: &Url, retries: u32) -> Result<Manifest, SessionError> {
        let (from, body) =
            resource::load(&self.http, url, Part::default(), manifest::MAX_BYTES, retries).await?;
        manifest::parse(&from, &body).map_err(|error| SessionError::Format(format!("{from}: {error}")))
    }

    async fn send(&self, event: PlaylistEvent) {
        // Nobody listens any more when the session has ended; then there is nothing to tell.
        let _ = self.events.send(event).await;
    }
}

fn from_timeline(error: TimelineError) -> SessionError {
    SessionError::Format(error.to_string())
}

/// The best variant that fits `speed` (bits/s), or the leanest if none does. Without a known speed the
/// first: the publisher's own choice to start with (RFC 8216bis, section 4.4.6.2).
fn choose_variant(presentation: &Presentation, speed: u64) -> Option<&Variant> {
    let variants = &presentation.variants;
    if speed == 0 {
        return variants.first();
    }
    let fitting = variants.iter().filter(|v| v.bandwidth <= speed);
    fitting.max_by_key(|v| v.bandwidth).or_else(|| variants.iter().min_by_key(|v| v.bandwidth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variant_fits_the_connection() {
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2000000\nb\n#EXT-X-STREAM-INF:BANDWIDTH=500000\na\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=8000000\nc\n";
        let base = Url::parse("http://h/m.m3u8").unwrap();
        let Ok(Manifest::Multivariant(presentation)) = manifest::parse(&base, text.as_bytes()) else {
            panic!("not multivariant");
        };
        let chosen = |speed| choose_variant(&presentation, speed).unwrap().bandwidth;
        assert_eq!(chosen(0), 2_000_000);
        assert_eq!(chosen(3_000_000), 2_000_000);
        assert_eq!(chosen(100_000_000), 8_000_000);
        assert_eq!(chosen(1), 500_000);
    }
}
