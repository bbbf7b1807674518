// SPDX-License-Identifier: MPL-2.0

//! Which bytes go out next: walks along the timeline and hands over what may be shown.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::SessionError;
use super::keys::Keys;
use super::output::{Item, SegmentStart, TrackWriter};
use super::store::Store;
use super::tap::Tap;
use crate::container::Kind;
use crate::container::decrypt::{DecryptError, Decryptor};
use crate::container::emsg;
use crate::manifest::{EventMessage, Init, Key, Piece, PlacedSegment, Timeline};
use crate::swarm::SegmentId;

/// What the pump needs or has done.
#[derive(Debug)]
pub enum Step {
    /// It has come to this segment.
    Cursor(SegmentId),
    /// It cannot go on without this initialisation segment.
    NeedInit(Arc<Init>),
    /// It cannot go on without this key.
    NeedKey(Arc<Key>),
    /// It cannot be decrypted.
    Failed(SessionError),
    /// It left out so many segments: live playback had fallen behind the playlist, or they were gaps or empty.
    Skipped(u64),
    /// The first byte has gone out.
    FirstByte,
    /// Everything has gone out.
    Ended,
}

/// What of a segment the next one may have in common with it.
struct Last {
    discontinuity_sequence: u64,
    init: Option<Arc<Init>>,
    keys: Arc<[Arc<Key>]>,
}

/// Initialisation segments kept: a stream has one, or a few that alternate.
const MAX_INITS: usize = 8;

pub struct Pump {
    writer: TrackWriter,
    /// Number of the segment that goes out; None before the start.
    cursor: Option<i64>,
    /// Bytes of it that have gone out.
    offset: u64,
    started: bool,
    /// Opens the segment that goes out, where it is encrypted.
    decryptor: Option<Decryptor>,
    /// Looks for event messages in it, where it is said to have some.
    scanner: Option<emsg::Scanner>,
    /// Those that were found, each with the number of its segment.
    messages: Vec<(i64, EventMessage)>,
    /// Playback has enough in hand: a segment goes out when it is whole, so that until then another variant can
    /// take its place.
    pub relaxed: bool,
    /// What begins here or later does not go out yet: downstream has enough, and something better may come.
    pub limit: Option<Duration>,
    /// The next segment does not continue the last.
    discontinuity: bool,
    /// The last segment that went out.
    last: Option<Last>,
    inits: Vec<(Arc<Init>, Bytes)>,
    ended: bool,
    any_byte: bool,
    /// End of what has gone out, on the presentation's timeline.
    pub pushed: Duration,
    /// What was shown before another rendition took its place ends here.
    shown_until: Duration,
    /// What has gone out, where another track needs it too.
    pub tap: Option<Tap>,
}

impl Pump {
    pub fn new(writer: TrackWriter) -> Self {
        Self {
            writer,
            cursor: None,
            offset: 0,
            started: false,
            decryptor: None,
            scanner: None,
            messages: Vec::new(),
            relaxed: false,
            limit: None,
            discontinuity: true,
            last: None,
            inits: Vec::new(),
            ended: false,
            any_byte: false,
            pushed: Duration::ZERO,
            shown_until: Duration::ZERO,
            tap: None,
        }
    }

    pub fn cursor(&self) -> Option<SegmentId> {
        self.cursor.map(SegmentId)
    }

    /// Bytes of the segment at the cursor have gone out.
    pub fn has_begun(&self) -> bool {
        self.started
    }

    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Goes to the segment of this number, at `position`: at the start or for the seek that `generation`
    /// counts.
    pub fn go_to(&mut self, number: i64, position: Duration, generation: u64) {
        self.writer.set_generation(generation);
        self.move_to(number);
        self.discontinuity = true;
        (self.relaxed, self.limit) = (false, None);
        self.ended = false;
        self.pushed = position;
        self.shown_until = Duration::ZERO;
    }

    /// There is nothing to play, and will be nothing before `position`; of a seek as in [`Pump::go_to`].
    pub fn stand_by(&mut self, position: Duration, generation: u64) {
        self.writer.set_generation(generation);
        self.leave();
        self.ended = false;
        self.pushed = position;
        if let Some(tap) = &mut self.tap {
            tap.clear();
        }
    }

    /// Plays nothing from here on.
    pub fn leave(&mut self) {
        self.move_to(0);
        self.cursor = None;
        self.discontinuity = true;
    }

    /// Says that there is nothing to show up to `position`.
    pub fn fill_up_to(&mut self, position: Duration) {
        let duration = position.saturating_sub(self.pushed);
        if !duration.is_zero()
            && !self.ended
            && self.writer.try_send(Item::Gap { position: self.pushed, duration }).is_ok()
        {
            self.pushed = position;
        }
    }

    /// Passes on what has gone out of another track, if there is room. `pushed` is for the caller to keep.
    pub fn pass_on(&mut self, item: Item) {
        self.any_byte |= matches!(item, Item::Data(_));
        self.ended |= matches!(item, Item::Eos);
        // Room has been looked for, and nobody else writes.
        let _ = self.writer.try_send(item);
    }

    /// Says that nothing follows.
    pub fn end(&mut self) {
        self.ended = self.ended || self.writer.try_send(Item::Eos).is_ok();
    }

    /// The initialisation segment asked for is here.
    pub fn add_init(&mut self, init: Arc<Init>, bytes: Bytes) {
        if self.inits.len() >= MAX_INITS {
            self.inits.remove(0);
        }
        self.inits.push((init, bytes));
    }

    /// Goes on with the segment of this number, of another variant or rendition, without a gap in time.
    pub fn switch_to(&mut self, number: i64) {
        self.move_to(number);
        self.discontinuity = true;
        self.shown_until = self.pushed;
    }

    /// Leaves the present segment out; what of it has gone out stays.
    pub fn skip(&mut self) {
        if let Some(cursor) = self.cursor {
            self.move_to(cursor + 1);
            self.discontinuity = true;
        }
    }

    /// The origin began anew: what was going out has no continuation.
    pub fn restart(&mut self, timeline: &Timeline) {
        self.inits.clear();
        self.last = None;
        let first = timeline.entry_at(timeline.start_position()).or(timeline.segments().front());
        if let Some(first) = first.filter(|_| self.cursor.is_some()) {
            self.move_to(first.number);
            self.discontinuity = true;
        }
    }

    /// Whether this initialisation segment is here.
    pub fn has_init(&self, init: &Arc<Init>) -> bool {
        self.init_of(init).is_some()
    }

    /// An initialisation segment that is here.
    pub fn init_of(&self, init: &Arc<Init>) -> Option<Bytes> {
        self.inits.iter().find(|(known, _)| known == init).map(|(_, bytes)| bytes.clone())
    }

    /// End of what has gone out, within a segment as far as can be told: `bandwidth` is the most that the
    /// stream takes, in bits a second.
    pub fn out_until(&self, timeline: &Timeline, bandwidth: u64) -> Duration {
        let segment = self.cursor.and_then(|cursor| timeline.get(cursor)).filter(|_| self.started);
        let part = segment.map_or(Duration::ZERO, |placed| {
            let seconds = self.offset as f64 * 8.0 / bandwidth as f64;
            Duration::try_from_secs_f64(seconds).unwrap_or_default().min(placed.segment.duration)
        });
        self.pushed.saturating_add(part)
    }

    /// All that could go out has been taken by the reader.
    pub fn is_drained(&self) -> bool {
        self.writer.is_empty()
    }

    /// A way out for what somebody else has to give, for this seek.
    pub fn writer(&self, generation: u64) -> TrackWriter {
        self.writer.beside(generation)
    }

    /// Ready when the reader can take more.
    pub async fn writable(&self) {
        self.writer.writable().await;
    }

    /// Whether the reader can take more.
    pub fn has_room(&self) -> bool {
        self.writer.has_room()
    }

    /// None: there is no room.
    fn send(&mut self, item: Item) -> Option<()> {
        let copy = self.tap.is_some().then(|| item.clone());
        self.writer.try_send(item).ok()?;
        if let (Some(tap), Some(item)) = (&mut self.tap, copy) {
            tap.record(&item);
        }
        Some(())
    }

    fn move_to(&mut self, number: i64) {
        self.cursor = Some(number);
        self.offset = 0;
        self.started = false;
        self.decryptor = None;
        self.scanner = None;
    }

    /// The event messages in what has gone out since the last call, each with the number of its segment.
    pub fn take_messages(&mut self) -> Vec<(i64, EventMessage)> {
        std::mem::take(&mut self.messages)
    }

    /// Looks for event messages of the schemes that the segment is said to have.
    fn scan(&mut self, placed: &PlacedSegment, bytes: &[u8]) {
        let (Some(scanner), Some(wanted)) = (&mut self.scanner, &placed.segment.inband_events) else {
            return;
        };
        let mut found = Vec::new();
        scanner.push(bytes, &mut found);
        let messages = found.iter().filter_map(|content| EventMessage::parse(content));
        let wanted = messages.filter(|message| wanted.name(&message.scheme, &message.value));
        self.messages.extend(wanted.map(|message| (placed.number, message)));
    }

    /// Hands over what can be, and says what it came to. None: it waits for bytes, for the playlist or for
    /// the reader. `readable` gives the bytes of a segment that may be shown and whether these are all.
    pub fn step(
        &mut self,
        timeline: &Timeline,
        store: &Store,
        keys: &Keys,
        readable: impl Fn(SegmentId) -> (u64, bool),
    ) -> Option<Step> {
        let cursor = self.cursor?;
        let Some(segment) = timeline.get(cursor) else { return self.beyond(timeline, cursor) };
        if segment.piece == Piece::Absorbed {
            // The whole segment has gone out.
            self.move_to(cursor + 1);
            return Some(Step::Cursor(SegmentId(cursor + 1)));
        }
        if segment.segment.gap && !self.started {
            self.skip();
            return Some(Step::Skipped(1));
        }
        let id = SegmentId(cursor);
        let (available, whole) = readable(id);
        if whole && available == 0 {
            self.skip();
            return Some(Step::Skipped(1));
        }
        if !self.started {
            let is_early = self.limit.is_some_and(|limit| segment.start >= limit);
            if available == 0 || self.relaxed && !whole || is_early {
                return None;
            }
            let decryptor = match segment.segment.whole_key() {
                Some(key) => match keys.decryptor(key, segment.segment.sequence) {
                    Some(Ok(decryptor)) => Some(decryptor),
                    Some(Err(error)) => return Some(Step::Failed(cannot_open(segment, error))),
                    None => return Some(Step::NeedKey(key.clone())),
                },
                None => None,
            };
            let start = match self.start_of(timeline, segment, keys) {
                Ok(start) => start,
                Err(step) => return Some(step),
            };
            self.send(Item::Start(start))?;
            self.decryptor = decryptor;
            self.scanner = segment.segment.inband_events.is_some().then(emsg::Scanner::default);
            self.started = true;
            self.discontinuity = false;
            self.last = Some(Last {
                discontinuity_sequence: segment.segment.discontinuity_sequence,
                init: segment.segment.init.clone(),
                keys: segment.segment.keys.clone(),
            });
        }
        let first = !self.any_byte;
        for bytes in store.get(id)?.slices(self.offset..available) {
            if !self.writer.has_room() || self.tap.as_ref().is_some_and(Tap::is_full) {
                return None;
            }
            let len = bytes.len() as u64;
            let plain = match &mut self.decryptor {
                Some(decryptor) => decryptor.push(&bytes),
                None => bytes,
            };
            if self.offset == 0 && self.decryptor.is_some() && is_garbage(&plain) {
                return Some(Step::Failed(cannot_open(segment, DecryptError::Padding)));
            }
            self.offset += len;
            self.scan(segment, &plain);
            if !plain.is_empty() {
                self.send(Item::Data(plain))?;
                self.any_byte = true;
            }
        }
        if first && self.any_byte {
            return Some(Step::FirstByte);
        }
        if !whole || self.offset < available {
            return None;
        }
        if !self.writer.has_room() {
            return None;
        }
        match self.decryptor.take().map(Decryptor::finish) {
            Some(Err(error)) => return Some(Step::Failed(cannot_open(segment, error))),
            Some(Ok(last)) if !last.is_empty() => self.send(Item::Data(last))?,
            _ => {}
        }
        self.send(Item::End)?;
        self.pushed = segment.end();
        self.move_to(cursor + 1);
        Some(Step::Cursor(SegmentId(cursor + 1)))
    }

    /// The cursor is at no segment of the timeline.
    fn beyond(&mut self, timeline: &Timeline, cursor: i64) -> Option<Step> {
        let (first, last) = (timeline.segments().front()?.number, timeline.segments().back()?.number);
        if cursor < first || cursor > last + 1 {
            // Live has gone on without us, or the origin has begun anew.
            let number = timeline.entry_at(timeline.start_position()).map_or(first, |s| s.number);
            self.move_to(number);
            self.discontinuity = true;
            return Some(Step::Skipped(number.saturating_sub(cursor).max(0) as u64));
        }
        if timeline.is_live() || self.ended {
            return None;
        }
        self.send(Item::Eos)?;
        self.ended = true;
        Some(Step::Ended)
    }

    fn start_of(
        &self,
        timeline: &Timeline,
        placed: &PlacedSegment,
        keys: &Keys,
    ) -> Result<SegmentStart, Step> {
        let segment = &placed.segment;
        let last = self.last.as_ref();
        let last_sequence = last.map(|last| last.discontinuity_sequence);
        let discontinuity = self.discontinuity || last_sequence != Some(segment.discontinuity_sequence);
        let rekeyed = discontinuity || last.is_none_or(|last| last.keys != segment.keys);
        let init = match &segment.init {
            Some(init) if discontinuity || last.and_then(|last| last.init.as_ref()) != Some(init) => {
                Some(self.init(placed, init, keys)?)
            }
            _ => None,
        };
        Ok(SegmentStart {
            position: placed.start,
            duration: segment.duration,
            discontinuity,
            init,
            media_zero: timeline.media_zero(segment),
            discontinuity_sequence: segment.discontinuity_sequence,
            shown_until: self.shown_until,
            protections: if rekeyed { segment.protections().collect() } else { Vec::new() },
            encrypted: segment.key.is_some() && segment.whole_key().is_none(),
            key_frame: false,
        })
    }

    /// The initialisation segment, in plain.
    fn init(&self, placed: &PlacedSegment, init: &Arc<Init>, keys: &Keys) -> Result<Bytes, Step> {
        let bytes = self.init_of(init).ok_or_else(|| Step::NeedInit(init.clone()))?;
        let Some(key) = init.whole_key() else { return Ok(bytes) };
        // It should have a vector of its own: RFC 8216bis 4.4.4.5.
        let decryptor = keys.decryptor(key, placed.segment.sequence);
        let open = |mut decryptor: Decryptor| {
            let mut plain = decryptor.push(&bytes).to_vec();
            plain.extend(decryptor.finish()?);
            Ok(plain.into())
        };
        let opened = decryptor.ok_or_else(|| Step::NeedKey(key.clone()))?.and_then(open);
        opened.map_err(|error| Step::Failed(cannot_open(placed, error)))
    }
}

/// Whether a segment that has been decrypted begins as no media does.
fn is_garbage(start: &[u8]) -> bool {
    Kind::sniff(&start[..start.len().min(Kind::SNIFF_BYTES)]) == Some(Kind::Unknown)
}

fn cannot_open(placed: &PlacedSegment, error: DecryptError) -> SessionError {
    let segment = &placed.segment;
    let key = match segment.key.as_ref().and_then(|key| key.uri.as_ref()) {
        // A data: address would be the key itself.
        Some(uri) if uri.scheme() != "data" => uri.as_str(),
        _ => "the playlist",
    };
    let advice = match error {
        DecryptError::KeyLength(_) => "the playlist names another method than the key is for",
        DecryptError::Length => "it was cut short, or is not encrypted at all",
        DecryptError::Padding => "either the key is that of another stream, or the segment is damaged",
    };
    SessionError::Decrypt(format!(
        "{}: cannot be decrypted with the key from {key}: {error}; {advice}",
        segment.url
    ))
}
