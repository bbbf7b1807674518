// SPDX-License-Identifier: MPL-2.0

//! Playback by key frames alone: a task that fetches them one by one over HTTP and hands them over, in whichever
//! direction, until a seek ends it.
//!
//! They come from the playlist that lists them (RFC 8216bis 4.4.3.6), or else each segment of the variant in play gives its
//! first: of that hardly more is read than the frame takes. Other viewers are not asked, who hold whole segments. Sound and
//! subtitles are told that there is nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesOrdered;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::output::{Item, SegmentStart, TrackWriter};
use super::playlists::Loader;
use super::{PlaybackClock, SessionError, resource};
use crate::container::key_frame::{self, Found};
use crate::container::{Kind, mp4};
use crate::manifest::{Directives, Init, MediaPlaylist, PlacedSegment, Source, Timeline};
use crate::net::cmcd;
use crate::net::http::{Body, HttpClient};
use crate::rate::Direction;
use crate::switcher::Sweep;

/// Frames that are fetched at the same time, so that a long way to the server does not slow them down.
const AHEAD: usize = 2;

/// Most bytes that are read for a frame.
const MAX_FRAME: usize = 8 << 20;

/// What has come is looked at again when it has grown by so much at least.
const LOOK: usize = 16 << 10;

/// Frames in a row that could not be had before it is given up.
const MAX_FAILURES: u32 = 8;

/// What becomes of it.
pub enum News {
    /// The playlist at this address has been loaded.
    Loaded(Url, Arc<MediaPlaylist>),
    /// So many bytes have come.
    Fetched(usize),
    /// Nothing more comes of it. What was shown last began at `reached`.
    Failed { reached: Option<Duration>, error: SessionError },
}

/// Playback by key frames, as it is begun.
pub struct Player {
    pub loader: Loader,
    pub source: Source,
    /// Where playlists of key frames are, the best first.
    pub lists: Vec<Url>,
    /// One that is known.
    pub known: Option<(Url, Arc<MediaPlaylist>)>,
    /// What is played otherwise, which all else is placed beside.
    pub main: Timeline,
    /// What downstream demultiplexes.
    pub kind: Kind,
    /// The initialisation segment that it has, if one is here.
    pub main_init: Option<Bytes>,
    /// The first frames of its segments will do.
    pub heads: bool,
    pub sweep: Sweep,
    pub clock: Arc<dyn PlaybackClock>,
    pub main_writer: TrackWriter,
    pub other_writers: Vec<TrackWriter>,
    pub news: mpsc::Sender<(u64, News)>,
    pub generation: u64,
}

/// Where the last frame that was handed over begins.
type Reached = watch::Sender<Option<Duration>>;

/// A frame that has come.
struct Frame {
    placed: PlacedSegment,
    bytes: Bytes,
    /// All that has come for it.
    cost: usize,
}

impl Player {
    /// Plays to the end.
    pub async fn run(self) {
        let reached = Reached::new(None);
        let played = self.play_what_there_is(&reached);
        if let Err(error) = in_silence(&self.other_writers, self.silence(), reached.subscribe(), played).await
        {
            let reached = *reached.borrow();
            self.tell(News::Failed { reached, error }).await;
        }
    }

    async fn play_what_there_is(&self, reached: &Reached) -> Result<(), SessionError> {
        let mut error =
            SessionError::Unsupported("there are no key frames to be had by themselves".to_owned());
        for list in self.lists.iter().map(Some).chain(self.heads.then_some(None)) {
            match self.play(list, reached).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    log::warn!(target: "p2phls-engine", "no key frames from {:?}: {failure}", list.map(Url::as_str));
                    error = failure;
                }
            }
        }
        Err(error)
    }

    async fn play(&self, list: Option<&Url>, reached: &Reached) -> Result<(), SessionError> {
        let timeline = match list {
            Some(url) => self.main.beside(MediaPlaylist::clone(&*self.playlist(url).await?)),
            None => self.main.clone(),
        };
        let placed: Vec<&PlacedSegment> =
            timeline.segments().iter().filter(|placed| is_usable(placed)).collect();
        if placed.is_empty() {
            let from = list.unwrap_or(&timeline.latest().url);
            return Err(SessionError::Unsupported(format!(
                "{from}: there are no key frames to be had by themselves, or they are encrypted"
            )));
        }
        let starts: Vec<Duration> = placed.iter().map(|placed| placed.start).collect();
        self.show(&timeline, &placed, &starts, reached).await?;
        self.main_writer.send(Item::Eos).await;
        Ok(())
    }

    /// What the other tracks show meanwhile.
    fn silence(&self) -> Item {
        let Sweep { direction, from, until, .. } = self.sweep;
        let (_, end) = self.main.window();
        let (position, to) = match direction {
            Direction::Forward => (from, until.unwrap_or(end)),
            Direction::Backward => (until.unwrap_or_default(), from),
        };
        Item::Gap { position, duration: to.saturating_sub(position) }
    }

    async fn show(
        &self,
        timeline: &Timeline,
        placed: &[&PlacedSegment],
        starts: &[Duration],
        reached: &Reached,
    ) -> Result<(), SessionError> {
        let mut last = *reached.borrow();
        let mut failures = 0;
        let mut init: Option<(Arc<Init>, Bytes)> = None;
        let mut is_first = true;
        let mut fetches = FuturesOrdered::new();
        loop {
            while fetches.len() < AHEAD
                && let Some(index) = self.sweep.next(starts, last, self.position())
            {
                last = Some(starts[index]);
                let placed = placed[index].clone();
                let wanted = placed.segment.init.clone();
                if let Some(wanted) = wanted
                    && init.as_ref().is_none_or(|(known, _)| *known != wanted)
                {
                    let bytes = self.init(&wanted).await?;
                    init = Some((wanted, bytes));
                }
                let init =
                    init.as_ref().filter(|_| placed.segment.init.is_some()).map(|(_, bytes)| bytes.clone());
                fetches.push_back(async {
                    let fetched = self.fetch(&placed, init.as_ref()).await;
                    fetched.map(|(bytes, cost)| (Frame { placed, bytes, cost }, init))
                });
            }
            match fetches.next().await {
                None => return Ok(()),
                Some(Ok((frame, init))) => {
                    failures = 0;
                    reached.send_replace(Some(frame.placed.start));
                    self.tell(News::Fetched(frame.cost)).await;
                    self.hand_over(timeline, frame, init, is_first).await;
                    is_first = false;
                }
                Some(Err(error)) => {
                    log::warn!(target: "p2phls-engine", "a key frame is passed over: {error}");
                    failures += 1;
                    if failures >= MAX_FAILURES {
                        // What is live is listed for a while only: backward that is where it begins.
                        let is_over = timeline.is_live() && reached.borrow().is_some();
                        return if is_over { Ok(()) } else { Err(error) };
                    }
                }
            }
        }
    }

    async fn hand_over(&self, timeline: &Timeline, frame: Frame, init: Option<Bytes>, is_first: bool) {
        let Frame { placed, bytes, .. } = frame;
        let segment = &placed.segment;
        let start = SegmentStart {
            position: placed.start,
            duration: match self.sweep.direction {
                Direction::Forward => segment.duration.max(self.sweep.step()),
                // It is shown until there is another, which is before it.
                Direction::Backward => Duration::ZERO,
            },
            discontinuity: true,
            init: init.filter(|_| is_first || is_transport_stream(&bytes)),
            media_zero: timeline.media_zero(segment),
            discontinuity_sequence: segment.discontinuity_sequence,
            shown_until: Duration::ZERO,
            protections: Vec::new(),
            encrypted: false,
            key_frame: true,
        };
        for item in [Item::Start(start), Item::Data(bytes), Item::End] {
            self.main_writer.send(item).await;
        }
    }

    async fn playlist(&self, url: &Url) -> Result<Arc<MediaPlaylist>, SessionError> {
        if let Some((known, playlist)) = &self.known
            && known == url
        {
            return Ok(playlist.clone());
        }
        let media = self.loader.media(&self.source, url, Directives::default()).await?;
        let playlist = Arc::new(media.playlist);
        self.tell(News::Loaded(url.clone(), playlist.clone())).await;
        Ok(playlist)
    }

    /// Loads an initialisation segment, which has to fit what downstream has.
    async fn init(&self, init: &Init) -> Result<Bytes, SessionError> {
        let bytes = resource::load_init(&self.loader.http, init, self.loader.retries).await?;
        match &self.main_init {
            Some(main) if !have_same_tracks(main, &bytes) => Err(SessionError::Unsupported(format!(
                "{}: it has other tracks than what is played, and cannot take its place",
                init.url
            ))),
            _ => Ok(bytes),
        }
    }

    /// Fetches a frame; gives it and how many bytes have come for it.
    async fn fetch(
        &self,
        placed: &PlacedSegment,
        init: Option<&Bytes>,
    ) -> Result<(Bytes, usize), SessionError> {
        let segment = &placed.segment;
        let http: HttpClient = self.loader.http.asking_for(cmcd::Object {
            kind: cmcd::Kind::Video,
            start: Some(placed.start),
            ..cmcd::Object::default()
        });
        let part = resource::part(segment.byte_range);
        let mut body = http.open(&segment.url, part, false).await?;
        // A server that does not know ranges sends all of it.
        let mut ahead = part.offset.saturating_sub(body.offset);
        let mut left = part.length.unwrap_or(u64::MAX);
        let mut bytes = BytesMut::new();
        let (mut cost, mut looked) = (0, 0);
        let nothing = || SessionError::Format(format!("{}: there is no key frame in it", segment.url));
        loop {
            let chunk = if left > 0 { body.chunk().await? } else { None };
            let is_all = chunk.is_none();
            if let Some(mut chunk) = chunk {
                cost += chunk.len();
                let skip = ahead.min(chunk.len() as u64);
                ahead -= skip;
                let mut chunk = chunk.split_off(skip as usize);
                chunk.truncate(left.try_into().unwrap_or(usize::MAX));
                left -= chunk.len() as u64;
                bytes.extend_from_slice(&chunk);
                if bytes.len() < looked + LOOK.max(looked / 4) {
                    continue;
                }
                looked = bytes.len();
            }
            let start = init.map_or(&bytes[..], |init| &init[..]);
            let kind = Kind::sniff(&start[..start.len().min(Kind::SNIFF_BYTES)]);
            if let Some(kind) = kind
                && kind != self.kind
            {
                return Err(SessionError::Unsupported(format!(
                    "{}: it is {kind}, which cannot take the place of {}",
                    segment.url, self.kind
                )));
            }
            let kind = kind.unwrap_or(self.kind);
            match key_frame::first(kind, init.map(|init| &init[..]), &bytes, is_all) {
                Found::Whole(frame) => {
                    if part.length.is_some() {
                        finish(&mut body, left).await;
                    }
                    return Ok((frame, cost));
                }
                Found::Nothing => return Err(nothing()),
                Found::Part if is_all || bytes.len() > MAX_FRAME => return Err(nothing()),
                Found::Part => {}
            }
        }
    }

    /// Where playback is.
    fn position(&self) -> Duration {
        match self.clock.playback() {
            Some(playback) if playback.playing => playback.position,
            _ => self.sweep.from,
        }
    }

    async fn tell(&self, news: News) {
        // The session has ended when nobody listens.
        let _ = self.news.send((self.generation, news)).await;
    }
}

/// Plays, and once there is a frame tells the other tracks that there is nothing, and in the end that it is over. Each takes
/// that as late as it likes: what was played before may still be in its way.
async fn in_silence<E>(
    others: &[TrackWriter],
    silence: Item,
    reached: watch::Receiver<Option<Duration>>,
    played: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    let over = CancellationToken::new();
    let keep_silent = async |writer: &TrackWriter| {
        let mut reached = reached.clone();
        // Before the first frame it may still come to playback as usual: a sink that has been told of silence shows
        // nothing of that while it is paused.
        tokio::select! {
            _ = reached.wait_for(Option::is_some) => {}
            () = over.cancelled() => {}
        }
        writer.send(silence.clone()).await;
        over.cancelled().await;
        writer.send(Item::Eos).await;
    };
    let played = async { played.await.inspect(|()| over.cancel()) };
    let others = join_all(others.iter().map(keep_silent));
    tokio::try_join!(played, async { Ok(others.await) }).map(|_| ())
}

/// Takes the rest of an answer, of which so much is left, so that its connection can be used again; where that is little.
async fn finish(body: &mut Body, mut left: u64) {
    while left <= LOOK as u64
        && let Ok(Some(chunk)) = body.chunk().await
    {
        match left.checked_sub(chunk.len() as u64) {
            Some(rest) => left = rest,
            // The server goes on after what was asked for.
            None => return,
        }
    }
}

/// There is a picture that can be had and taken out.
fn is_usable(placed: &PlacedSegment) -> bool {
    let segment = &placed.segment;
    let is_plain = segment.key.is_none() && segment.init.as_ref().is_none_or(|init| init.key.is_none());
    placed.is_playable() && placed.is_independent() && is_plain
}

fn is_transport_stream(bytes: &Bytes) -> bool {
    Kind::sniff(bytes) == Some(Kind::MpegTs)
}

/// Demuxers make their pads by the tracks: others would mean others.
fn have_same_tracks(one: &[u8], other: &[u8]) -> bool {
    let tracks = |init| {
        let init = mp4::Init::parse(init).unwrap_or_default();
        init.tracks.into_iter().map(|track| (track.id, track.kind, track.codec)).collect::<Vec<_>>()
    };
    tracks(one) == tracks(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::output::{SHALLOW, channel};
    use crate::engine::runtime::RUNTIME;

    const GAP: Item = Item::Gap { position: Duration::ZERO, duration: Duration::ZERO };

    /// What was sent before the seek is still in the way of one track, and nobody reads the other.
    #[test]
    fn a_track_that_is_late_hears_of_the_silence_before_the_end() {
        let ((late, reader), (unread, _kept)) = (channel(SHALLOW), channel(SHALLOW));
        let writers = [late, unread].map(|writer| {
            while writer.try_send(Item::End).is_ok() {}
            writer.beside(1)
        });
        reader.set_generation(1);
        RUNTIME.spawn(async move {
            let (_reached, reached) = watch::channel(None);
            in_silence(&writers, GAP, reached, std::future::ready(Ok::<_, ()>(()))).await
        });
        let heard = [reader.next(), reader.next()];
        assert!(matches!(heard, [Some(Item::Gap { .. }), Some(Item::Eos)]), "{heard:?}");
    }

    #[test]
    fn there_is_no_silence_before_there_is_a_frame() {
        let (writer, _reader) = channel(SHALLOW);
        let others = [writer];
        let (reached, receiver) = watch::channel(None);
        let played = async {
            tokio::task::yield_now().await;
            assert!(others[0].is_empty(), "it may come to playback as usual");
            reached.send_replace(Some(Duration::ZERO));
            // Nothing else lets the others go on.
            while others[0].is_empty() {
                tokio::task::yield_now().await;
            }
            Err("gone")
        };
        assert_eq!(RUNTIME.block_on(in_silence(&others, GAP, receiver, played)), Err("gone"));
    }

    #[test]
    fn a_failure_waits_for_nobody() {
        let (full, _reader) = channel(SHALLOW);
        while full.try_send(Item::End).is_ok() {}
        let others = [full];
        let (_reached, reached) = watch::channel(Some(Duration::ZERO));
        let played = in_silence(&others, Item::End, reached, std::future::ready(Err("gone")));
        assert_eq!(RUNTIME.block_on(played), Err("gone"));
    }
}
