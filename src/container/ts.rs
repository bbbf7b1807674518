// SPDX-License-Identifier: MPL-2.0

//! Timestamps at the start of an MPEG-TS segment: ISO/IEC 13818-1.
//!
//! A demuxer that is fed timed bytes takes the time of a buffer to be that of the first clock
//! reference (PCR) in it, so frames come out late by what lies between that and their own
//! timestamp (PTS), 0.7 s with some packagers. [`Timing::lead`] is that span.

pub mod key_frame;
mod section;

use std::collections::BTreeMap;
use std::time::Duration;

use mpeg2ts_reader::packet::Packet;
use mpeg2ts_reader::pes::{PesContents, PesHeader, PtsDts};

use self::section::Tables;
use super::SCAN_LIMIT;

/// Bytes of a packet.
pub(super) const PACKET: usize = Packet::SIZE;
/// First byte of a packet.
pub(super) const SYNC: u8 = Packet::SYNC_BYTE;

const PAT_PID: u16 = 0;
/// PCR ticks (27 MHz) in a PTS tick (90 kHz).
const PCR_PER_PTS: u64 = 300;
/// Both clocks wrap when 33 bits of PTS are used up.
const PTS_WRAP: u64 = 1 << 33;

/// Nanoseconds after which MPEG-2 timestamps begin anew.
pub const WRAP: i64 = nanoseconds(PTS_WRAP as i64);

/// Ticks of the clock of MPEG-2 timestamps (90 kHz) in nanoseconds.
pub const fn nanoseconds(ticks: i64) -> i64 {
    // 9 ticks are 100 us. Timestamps have 33 bits, so that only nonsense does not fit.
    ticks.saturating_mul(100_000) / 9
}

/// What an elementary stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    Video,
    Audio,
    /// Subtitles, metadata, or unknown here.
    Other,
}

/// A stream of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elementary {
    /// Number of the program.
    pub program: u16,
    pub pid: u16,
    /// As the program table has it.
    pub stream_type: u8,
    pub kind: StreamKind,
}

/// Where a segment's media begins on its own clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// The first clock reference, in ticks of 27 MHz.
    pub first_pcr: Option<u64>,
    /// First timestamp of the video, or of the audio where there is none, in ticks of 90 kHz: of
    /// several streams the earliest.
    pub first_pts: Option<u64>,
}

impl Timing {
    /// Nanoseconds from the first clock reference to the first frame, across a wrap of the clocks.
    /// None where one of them is missing.
    pub fn lead(&self) -> Option<i64> {
        let (pcr, pts) = (self.first_pcr?, self.first_pts?);
        let ticks = wrapped_difference(pts * PCR_PER_PTS, pcr, PTS_WRAP * PCR_PER_PTS);
        // 27 MHz: 1000 ns are 27 ticks. The span is 13 hours at most and fits.
        Some(ticks * 1_000 / 27)
    }

    /// The first timestamp in nanoseconds; it wraps every [`WRAP`].
    pub fn start(&self) -> Option<i64> {
        self.first_pts.map(|pts| nanoseconds(pts as i64))
    }

    /// The time to put on the segment's first buffer so that its first frame comes out at
    /// `position`; not before zero. Give `position` room for a lead.
    pub fn buffer_time(&self, position: Duration) -> Duration {
        let lead = self.lead().unwrap_or(0);
        let span = Duration::from_nanos(lead.unsigned_abs());
        if lead < 0 { position.saturating_add(span) } else { position.saturating_sub(span) }
    }
}

/// `a - b` on a clock that wraps, taking the shorter way round.
fn wrapped_difference(a: u64, b: u64, wrap: u64) -> i64 {
    let ahead = (a % wrap + wrap - b % wrap) % wrap;
    // Below 2^42, so both fit.
    if ahead < wrap / 2 { ahead as i64 } else { -((wrap - ahead) as i64) }
}

/// Finds the timing while a segment arrives. The answer does not depend on how it is cut.
#[derive(Debug, Default)]
pub struct Scanner {
    /// A packet of which not all has come.
    packet: Vec<u8>,
    scanned: usize,
    settled: bool,
    tables: Tables,
    /// First of each PID, in the order of coming.
    clocks: Vec<(u16, u64)>,
    /// First of each PID.
    timestamps: BTreeMap<u16, u64>,
}

impl Scanner {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the segment; does nothing once settled.
    pub fn push(&mut self, mut chunk: &[u8]) {
        while !self.settled && !chunk.is_empty() {
            let taken = (PACKET - self.packet.len()).min(chunk.len());
            self.packet.extend_from_slice(&chunk[..taken]);
            self.scanned += taken;
            chunk = &chunk[taken..];
            if self.packet.len() == PACKET {
                self.take_packet();
            }
        }
    }

    /// No more bytes will come.
    pub fn finish(&mut self) {
        self.settled = true;
    }

    /// Whether the timing is final: clock and first timestamps of all audio and video streams are
    /// known, the segment has ended, or [`SCAN_LIMIT`] bytes have shown nothing more.
    pub fn settled(&self) -> bool {
        self.settled
    }

    /// The streams of the program; None before its table has come.
    pub fn streams(&self) -> Option<&[Elementary]> {
        self.tables.program.as_ref().map(|program| program.streams.as_slice())
    }

    /// What is known so far.
    pub fn timing(&self) -> Timing {
        Timing { first_pcr: self.first_pcr(), first_pts: self.first_pts() }
    }

    fn first_pcr(&self) -> Option<u64> {
        // Without a program table any clock will do: a segment has one program.
        let expected = self.tables.program.as_ref().map(|program| program.pcr_pid);
        let of_program = self.clocks.iter().find(|(pid, _)| Some(*pid) == expected);
        of_program.or(self.clocks.first()).map(|(_, pcr)| *pcr)
    }

    fn first_pts(&self) -> Option<u64> {
        // A program of nothing but kinds that are unknown here still has a beginning.
        let program = self.tables.program.as_ref().filter(|program| !program.media.is_empty());
        let media = |pid: &u16| program.is_none_or(|program| program.media.contains(pid));
        let first = || self.timestamps.iter().filter(|(pid, _)| media(pid)).map(|(_, pts)| *pts);
        let origin = first().next()?;
        first().min_by_key(|pts| wrapped_difference(*pts, origin, PTS_WRAP))
    }

    fn take_packet(&mut self) {
        if let Some(packet) = Packet::try_new(&self.packet) {
            let pid = u16::from(packet.pid());
            if let Some(pcr) = packet.adaptation_field().and_then(|field| field.pcr().ok())
                && !self.clocks.iter().any(|(known, _)| *known == pid)
            {
                self.clocks.push((pid, pcr.into()));
            }
            let start = packet.payload_unit_start_indicator();
            if let Some(payload) = packet.payload()
                && !packet.transport_scrambling_control().is_scrambled()
                && !self.tables.take(pid, payload, start)
                && start
                && !self.timestamps.contains_key(&pid)
            {
                self.timestamps.extend(timestamp(payload).map(|pts| (pid, pts)));
            }
            self.packet.clear();
        } else {
            // Out of step, as after junk at the start: go on from the next byte that may begin a
            // packet.
            let next = self.packet[1..].iter().position(|byte| *byte == SYNC);
            self.packet.drain(..next.map_or(PACKET, |next| next + 1));
        }
        let complete = self.tables.program.as_ref().is_some_and(|program| {
            let known = |pid| self.clocks.iter().any(|(known, _)| *known == pid);
            known(program.pcr_pid)
                && !program.media.is_empty()
                && program.media.iter().all(|pid| self.timestamps.contains_key(pid))
        });
        self.settled = complete || self.scanned >= SCAN_LIMIT;
    }
}

/// PTS of an audio or video packet that begins in `payload`.
fn timestamp(payload: &[u8]) -> Option<u64> {
    let header = PesHeader::from_bytes(payload)?;
    // Audio, video, private stream 1 (AC-3 and others in DVB), extended ids. Subtitles can be in a
    // private stream too; the program table tells.
    if !matches!(payload[3], 0xc0..=0xef | 0xbd | 0xfd) {
        return None;
    }
    let PesContents::Parsed(Some(contents)) = header.contents() else { return None };
    match contents.pts_dts().ok()? {
        PtsDts::PtsOnly(Ok(pts)) | PtsDts::Both { pts: Ok(pts), .. } => Some(pts.value()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
