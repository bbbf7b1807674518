// SPDX-License-Identifier: MPL-2.0

//! Random seeks in two players of one stream, one with the element and one with GStreamer's own hlsdemux2, in films and in
//! live streams with a window: where they land, and how long they take. Needs ffmpeg, and GStreamer's elements as the
//! tests do. The arguments are how many seeks to make in each stream, a seed, and what the streams' names have in them.
//!
//!     cargo bench --profile dev --features tracker,sim --bench seeks -- 200 5 TS
//!
//! Each player has a process of its own, since hlsdemux2 now and then takes its own down, in libsoup. Ends with code 1 when
//! a seek of the element did not land, or not where hlsdemux2's did.

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use common::live::Live;
use common::media::STREAMS;
use common::origin::Origin;
use common::player::{Consumer, Player};
use common::seeking::{snapped, window};
use gst::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

/// As long as a frame, rounded up; in nanoseconds, as all times here.
const FRAME: u64 = 41_000_000;
const S: u64 = 1_000_000_000;

/// Longer than a seek takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [play, which, kind, url] = &arguments[..]
        && play == "play"
    {
        serve(which, kind, url);
        return ExitCode::SUCCESS;
    }
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse().ok());
    let (count, seed) = (numbers.next().unwrap_or(200), numbers.next().unwrap_or(5));
    let words: Vec<&String> = arguments.iter().filter(|word| word.parse::<u64>().is_err()).collect();
    let mut wrong = 0;
    for stream in films().into_iter().chain(windows()) {
        if !words.iter().all(|word| stream.name.contains(word.as_str())) {
            continue;
        }
        let outcome = compare(&stream, count as usize, seed);
        outcome.wrong.iter().for_each(|what| println!("{what}"));
        outcome.report(stream.name);
        wrong += outcome.wrong.len();
    }
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ways to seek, all with a flush.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Accurate,
    KeyUnit,
    SnapBefore,
    SnapAfter,
    SnapNearest,
    FromEnd,
}

impl Manner {
    const ALL: [Self; 6] =
        [Self::Accurate, Self::KeyUnit, Self::SnapBefore, Self::SnapAfter, Self::SnapNearest, Self::FromEnd];

    /// The target itself is shown.
    fn is_exact(self) -> bool {
        matches!(self, Self::Accurate | Self::FromEnd)
    }

    fn flags(self) -> gst::SeekFlags {
        use gst::SeekFlags as F;
        F::FLUSH
            | match self {
                Self::Accurate | Self::FromEnd => F::ACCURATE,
                Self::KeyUnit => F::KEY_UNIT,
                Self::SnapBefore => F::KEY_UNIT | F::SNAP_BEFORE,
                Self::SnapAfter => F::KEY_UNIT | F::SNAP_AFTER,
                Self::SnapNearest => F::KEY_UNIT | F::SNAP_NEAREST,
            }
    }
}

/// A stream that seeks are made in. Of a live one the window goes on when the test says so.
struct Stream {
    name: &'static str,
    /// Sound is in a playlist of its own.
    apart: bool,
    origin: Origin,
    playlist: &'static str,
    /// Seconds: how long a segment is.
    segment: u64,
    /// How many segments have been published after the first window, and how many there can be.
    published: Option<(Arc<AtomicUsize>, usize)>,
}

impl Stream {
    fn film(name: &'static str, root: &Path, playlist: &'static str, segment: u64) -> Self {
        Self {
            name,
            apart: name.contains("apart"),
            origin: Origin::serve(root),
            playlist,
            segment,
            published: None,
        }
    }

    /// A live stream with a window of `window` of the segments of each of these playlists, which stand beside them as
    /// `live.m3u8`.
    fn live(
        name: &'static str,
        root: &Path,
        (playlist, media): (&'static str, &[&str]),
        segment: u64,
        (window, all): (usize, usize),
    ) -> Self {
        let origin = Origin::serve(root);
        let published = Arc::new(AtomicUsize::new(0));
        for path in media {
            let live = Live::new(&root.join(path), segment as f64, window);
            let published = published.clone();
            let (place, _) = path.rsplit_once('/').expect("a directory");
            origin.set_made(&format!("{place}/live.m3u8"), move || {
                live.playlist_after(published.load(Ordering::SeqCst))
            });
        }
        Self {
            name,
            apart: name.contains("apart"),
            origin,
            playlist,
            segment,
            published: Some((published, all - window)),
        }
    }

    /// Makes something that is served.
    fn with_made(self, path: &str, text: String) -> Self {
        self.origin.set_made(path, move || text.clone());
        self
    }

    /// A random place in the window.
    fn target(&self, manner: Manner, (begin, end): (u64, u64), rng: &mut SmallRng) -> u64 {
        let segment = self.segment * S;
        // There is nothing after the last segment to snap to, and at the very end nothing to show.
        let most = end - if self.published.is_some() { S } else { segment + S };
        if manner.is_exact() || !self.apart {
            return rng.random_range(begin..most);
        }
        // Either playlist may be what hlsdemux2 snaps by: far from where their segments begin, and from the middle.
        let within = rng.random_range(segment * 3 / 10..segment * 4 / 10);
        let within = if rng.random_bool(0.5) { within } else { segment - within };
        rng.random_range(begin.div_ceil(segment)..most / segment) * segment + within
    }

    /// Publishes another segment of a live stream, if there is one; true if so.
    fn publish(&self) -> bool {
        let Some((published, most)) = &self.published else { return false };
        let more = published.load(Ordering::SeqCst) < *most;
        if more {
            published.fetch_add(1, Ordering::SeqCst);
        }
        more
    }
}

/// What is shown first after a seek, and how long it took.
struct Shown {
    video: u64,
    audio: u64,
    /// What tells the frame from others.
    frame: u64,
    took: Duration,
}

/// What came of many seeks.
#[derive(Default)]
struct Outcome {
    seeks: usize,
    /// Those that did not land, or not where hlsdemux2 did, in words.
    wrong: Vec<String>,
    /// How many hlsdemux2 refused, hung at or did not survive.
    alone: usize,
    /// Those where hlsdemux2 showed another segment than the one that the flags ask for, and the element did not.
    astray: usize,
    /// How long each took, here and there.
    times: Vec<[Duration; 2]>,
}

impl Outcome {
    fn report(&self, name: &str) {
        let at = |which: usize, part: usize| {
            let mut times: Vec<_> = self.times.iter().map(|times| times[which]).collect();
            times.sort();
            times.get(times.len() * part / 100).map_or(0, Duration::as_millis)
        };
        println!(
            "{name}: {} seeks, {} elsewhere or not at all; hlsdemux2 did not land {} times, and went to another segment {} \
             times; until frame and sound, median and 95 %: {} and {} ms, hlsdemux2 {} and {} ms",
            self.seeks,
            self.wrong.len(),
            self.alone,
            self.astray,
            at(0, 50),
            at(0, 95),
            at(1, 50),
            at(1, 95)
        );
    }
}

/// A player in a process of its own.
struct Remote {
    child: Child,
    commands: ChildStdin,
    answers: mpsc::Receiver<String>,
    /// What could be sought when it was asked last.
    window: Option<(u64, u64)>,
}

impl Remote {
    fn start(which: &str, stream: &Stream) -> Result<Self, String> {
        let kind = if stream.published.is_some() { "live" } else { "film" };
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .args(["play", which, kind, &stream.origin.url(stream.playlist)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this program starts once more");
        let commands = child.stdin.take().expect("as asked for");
        let output = BufReader::new(child.stdout.take().expect("as asked for"));
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut remote = Self { child, commands, answers, window: None };
        remote.answer().map(|_| remote)
    }

    fn answer(&mut self) -> Result<Vec<u64>, String> {
        match self.answers.recv_timeout(2 * PATIENCE) {
            Ok(line) => line.split(' ').map(|number| number.parse().map_err(|_| line.clone())).collect(),
            Err(mpsc::RecvTimeoutError::Timeout) => Err("hangs".to_owned()),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err("has died".to_owned()),
        }
    }

    fn ask(&mut self, question: &str) -> Result<Vec<u64>, String> {
        writeln!(self.commands, "{question}").map_err(|_| "has died".to_owned())?;
        self.answer()
    }

    /// What can be sought; `moved`: once that is more than it was.
    fn window(&mut self, moved: bool) -> Result<(u64, u64), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask("window")?;
            let window = (answer[0], answer[1]);
            if !moved || self.window.is_none_or(|(_, end)| window.1 > end + S / 2) {
                self.window = Some(window);
                return Ok(window);
            }
            if Instant::now() > deadline {
                return Err("does not see the newest segment".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn seek(&mut self, manner: Manner, target: u64, end: u64) -> Result<Shown, String> {
        let question = match manner {
            Manner::FromEnd => format!("end {} {}", manner.flags().bits(), target as i64 - end as i64),
            _ => format!("set {} {target}", manner.flags().bits()),
        };
        let answer = self.ask(&question)?;
        let [video, audio, frame, took] = answer[..] else { return Err(format!("{answer:?}")) };
        Ok(Shown { video, audio, frame, took: Duration::from_micros(took) })
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes `count` random seeks of all manners in both players.
fn compare(stream: &Stream, count: usize, seed: u64) -> Outcome {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut outcome = Outcome::default();
    let mut ours = Remote::start("here", stream).unwrap_or_else(|error| panic!("{}: {error}", stream.name));
    let mut theirs = None;
    for n in 0..count {
        let what = format!("{}, seed {seed}, seek {n}", stream.name);
        if theirs.is_none() {
            theirs = Remote::start("hlsdemux2", stream).ok();
        }
        let more = n % 5 == 4 && stream.publish();
        let (begin, end) = ours.window(more).unwrap_or_else(|error| panic!("{what}: {error}"));
        // hlsdemux2 counts from the end of what is live only.
        let manners = if stream.published.is_some() { &Manner::ALL[..] } else { &Manner::ALL[..5] };
        let manner = manners[rng.random_range(0..manners.len())];
        let target = stream.target(manner, (begin, end), &mut rng);
        let what = format!("{what}: {manner:?} to {target} of {begin} to {end}");
        outcome.seeks += 1;
        let here = match ours.seek(manner, target, end) {
            Ok(here) => here,
            Err(error) => {
                outcome.wrong.push(format!("{what}: {error}"));
                ours = Remote::start("here", stream).unwrap_or_else(|error| panic!("{what}: {error}"));
                continue;
            }
        };
        let there = theirs.take().map_or(Err("does not start".to_owned()), |mut other| {
            let (their_begin, their_end) = other.window(more)?;
            if (their_end - their_begin).abs_diff(end - begin) > FRAME {
                return Err(format!(
                    "has a window of {} instead of {}",
                    their_end - their_begin,
                    end - begin
                ));
            }
            // A live timeline begins where each player came.
            let ahead = their_begin as i64 - begin as i64;
            let there = other.seek(manner, (target as i64 + ahead) as u64, their_end)?;
            theirs = Some(other);
            Ok((there, ahead))
        });
        match there {
            Ok((there, ahead)) => {
                outcome.times.push([here.took, there.took]);
                let asked = snapped(manner.flags(), target, stream.segment * S);
                let astray = |shown: i64| shown.abs_diff(asked as i64) > stream.segment * S / 4;
                if !manner.is_exact() && astray(there.video as i64 - ahead) && !astray(here.video as i64) {
                    eprintln!("{what}: hlsdemux2 goes to {} instead of {asked}", there.video as i64 - ahead);
                    outcome.astray += 1;
                    continue;
                }
                let found = differences(manner, &here, &there, ahead).map(|found| format!("{what}: {found}"));
                outcome.wrong.extend(found);
            }
            Err(error) => {
                eprintln!("{what}: hlsdemux2 {error}");
                outcome.alone += 1;
            }
        }
    }
    outcome
}

/// In what the two differ; the timeline of the other is `ahead` so many nanoseconds.
///
/// A seek that may snap shows the first frame of a segment, which has to be the same. hlsdemux2 shows it a little late: it
/// takes the time of decoding for that of showing, so that with two B-frames it is two frames late.
fn differences(manner: Manner, here: &Shown, there: &Shown, ahead: i64) -> impl Iterator<Item = String> {
    let exact = manner.is_exact();
    let times = [("frame", here.video, there.video), ("sound", here.audio, there.audio)];
    let apart = times
        .into_iter()
        .filter(move |(_, here, there)| exact && (*there as i64 - ahead).abs_diff(*here as i64) > FRAME);
    let apart = apart.map(|(kind, here, there)| format!("{kind} at {here}, with hlsdemux2 at {there}"));
    let (frame, theirs) = (here.video, there.video);
    let other =
        (!exact && here.frame != there.frame).then(|| format!("another frame, {frame} instead of {theirs}"));
    apart.chain(other)
}

/// Plays `url` and does what the lines of the standard input say.
fn serve(which: &str, kind: &str, url: &str) {
    let consumer = if which == "here" { Consumer::Playbin3 } else { Consumer::Hlsdemux2 };
    let live = kind == "live";
    let player = Player::new(consumer, url, live);
    player.set_state(if live { gst::State::Playing } else { gst::State::Paused });
    player.wait_for_both();
    println!("0");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match &line.split(' ').collect::<Vec<_>>()[..] {
            ["window"] => {
                let (start, end) = window(&player);
                println!("{start} {end}");
            }
            [kind, flags, position] => {
                let flags = gst::SeekFlags::from_bits_truncate(flags.parse().expect("flags"));
                let kind = if *kind == "end" { gst::SeekType::End } else { gst::SeekType::Set };
                match seek(&player, flags, kind, position.parse().expect("a position")) {
                    Ok(Shown { video, audio, frame, took }) => {
                        println!("{video} {audio} {frame} {}", took.as_micros());
                    }
                    Err(error) => println!("{error}"),
                }
            }
            _ => panic!("{line}"),
        }
    }
}

/// Seeks and waits until both picture and sound are there.
fn seek(player: &Player, flags: gst::SeekFlags, kind: gst::SeekType, position: i64) -> Result<Shown, String> {
    let bus = player.pipeline.bus().expect("a pipeline has a bus");
    bus.set_flushing(true);
    bus.set_flushing(false);
    let asked = Instant::now();
    let start = gst::GenericFormattedValue::new(gst::Format::Time, position);
    let none = gst::GenericFormattedValue::new(gst::Format::Time, -1);
    let event = gst::event::Seek::new(1.0, flags, kind, start, gst::SeekType::None, none);
    if !player.pipeline.send_event(event) {
        return Err("refuses".to_owned());
    }
    let kinds = [gst::MessageType::AsyncDone, gst::MessageType::Error];
    match bus.timed_pop_filtered(gst::ClockTime::try_from(PATIENCE).ok(), &kinds) {
        Some(message) if message.type_() == gst::MessageType::AsyncDone => {}
        Some(_) => return Err("fails".to_owned()),
        None => return Err("hangs".to_owned()),
    }
    // A player that takes one stream before the other prerolls twice.
    loop {
        if let (Some(video), Some(audio), Some(frame)) =
            (player.video.first(), player.audio.first(), player.video.first_hash())
        {
            let (video, audio) = (video.nseconds(), audio.nseconds());
            return Ok(Shown { video, audio, frame, took: asked.elapsed() });
        }
        if asked.elapsed() > PATIENCE {
            return Err("shows nothing".to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The streams, as films and as live ones with a window: MPEG-TS and fragmented MP4, and each with sound in a playlist
/// of its own.
fn films() -> Vec<Stream> {
    let renditions = common::renditions::RENDITIONS.as_path();
    vec![
        Stream::film("film in TS", &STREAMS, "ts/index.m3u8", 4),
        Stream::film("film in MP4", &STREAMS, "fmp4/index.m3u8", 4),
        Stream::film("film in TS, sound apart", renditions, "ts.m3u8", 2),
        Stream::film("film in MP4, sound apart", renditions, "mp4.m3u8", 2),
    ]
}

fn windows() -> Vec<Stream> {
    let apart = |name, kind| {
        let master = common::renditions::presentation(kind, kind, None).replace("list.m3u8", "live.m3u8");
        let media = ["video", "en", "de"].map(|track| format!("{kind}/{track}/list.m3u8"));
        let media: Vec<&str> = media.iter().map(String::as_str).collect();
        Stream::live(name, &common::renditions::RENDITIONS, ("apart.m3u8", &media), 2, (10, 15))
            .with_made("apart.m3u8", master)
    };
    vec![
        Stream::live("window in TS", &STREAMS, ("long/live.m3u8", &["long/index.m3u8"]), 1, (50, 90)),
        Stream::live(
            "window in MP4",
            &STREAMS,
            ("long-fmp4/live.m3u8", &["long-fmp4/index.m3u8"]),
            1,
            (50, 90),
        ),
        apart("window in TS, sound apart", "ts"),
        apart("window in MP4, sound apart", "mp4"),
    ]
}
