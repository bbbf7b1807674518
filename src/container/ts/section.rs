// SPDX-License-Identifier: MPL-2.0

//! Program tables: which streams a segment has.

use mpeg2ts_reader::descriptor::{Descriptor, DescriptorError};
use mpeg2ts_reader::mpegts_crc;
use mpeg2ts_reader::psi::pat::{PatSection, ProgramDescriptor};
use mpeg2ts_reader::psi::pmt::{PmtSection, StreamInfo};

use super::{Elementary, PAT_PID, StreamKind};

/// Longest section that the length field can state, with its header.
const MAX_SECTION: usize = 3 + 0xfff;
/// Table id, length, and what all tables have in common.
const HEADER: usize = 8;
const CRC: usize = 4;

const PAT_TABLE: u8 = 0;
const PMT_TABLE: u8 = 2;

/// Puts a table section together from packets.
#[derive(Debug, Default)]
struct Section(Vec<u8>);

impl Section {
    /// Takes a packet's payload; gives the section once it is whole and its checksum right.
    pub fn push(&mut self, payload: &[u8], start: bool) -> Option<&[u8]> {
        if start {
            // A new section begins behind the end of the old one.
            let (pointer, rest) = payload.split_first()?;
            self.0.clear();
            self.0.extend_from_slice(rest.get(usize::from(*pointer)..)?);
        } else if !self.0.is_empty() && self.0.len() < MAX_SECTION {
            self.0.extend_from_slice(payload);
        }
        let length = usize::from(u16::from_be_bytes([self.0.get(1)? & 0x0f, *self.0.get(2)?]));
        let section = self.0.get(..3 + length)?;
        (mpegts_crc::sum32(section) == 0).then_some(section)
    }
}

/// Finds the first program while packets come.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pat: Section,
    pmt: Section,
    pmt_pid: Option<u16>,
    pub program: Option<Program>,
}

impl Tables {
    /// Takes a packet's payload, if it is of a table; false: it is not.
    pub fn take(&mut self, pid: u16, payload: &[u8], start: bool) -> bool {
        if pid == PAT_PID {
            let section = self.pat.push(payload, start);
            self.pmt_pid = self.pmt_pid.or_else(|| first_program(section?));
        } else if Some(pid) == self.pmt_pid {
            let section = self.pmt.push(payload, start);
            self.program = self.program.take().or_else(|| Program::read(section?));
        } else {
            return false;
        }
        true
    }
}

/// What stands between header and checksum of a section of `table` that is in force.
fn body(section: &[u8], table: u8) -> Option<&[u8]> {
    let in_force = section.first() == Some(&table) && section.get(5)? & 1 == 1;
    let end = section.len().checked_sub(CRC)?;
    section.get(HEADER..end).filter(|_| in_force)
}

/// PID of the table of the first program in a program association section.
fn first_program(section: &[u8]) -> Option<u16> {
    PatSection::new(body(section, PAT_TABLE)?).programs().find_map(|program| match program {
        ProgramDescriptor::Program { pid, .. } => Some(pid.into()),
        ProgramDescriptor::Network { .. } => None,
    })
}

/// A program map.
#[derive(Debug)]
pub(super) struct Program {
    pub pcr_pid: u16,
    /// The streams whose times place the segment: video, or audio where there is none. Segments are
    /// cut at video frames, and audio frames begin anywhere around them. Subtitles and metadata
    /// are left out: they may not begin for minutes.
    pub media: Vec<u16>,
    pub streams: Vec<Elementary>,
}

impl Program {
    pub fn read(section: &[u8]) -> Option<Self> {
        let map = PmtSection::from_bytes(body(section, PMT_TABLE)?).ok()?;
        let pids = |is_wanted: fn(&StreamInfo) -> bool| -> Vec<u16> {
            map.streams().filter(is_wanted).map(|stream| stream.elementary_pid().into()).collect()
        };
        let video = pids(is_video);
        let media = if video.is_empty() { pids(is_audio) } else { video };
        // Where a table's number stands in other sections, this one has that of the program.
        let program = u16::from_be_bytes([*section.get(3)?, *section.get(4)?]);
        let streams = map.streams().map(|stream| Elementary {
            program,
            pid: stream.elementary_pid().into(),
            stream_type: stream.stream_type().0,
            kind: match &stream {
                stream if is_video(stream) => StreamKind::Video,
                stream if is_audio(stream) => StreamKind::Audio,
                _ => StreamKind::Other,
            },
        });
        let streams = streams.collect();
        Some(Self { pcr_pid: map.pcr_pid().into(), media, streams })
    }

    /// PIDs of the pictures.
    pub fn pictures(&self) -> impl Iterator<Item = u16> {
        self.streams.iter().filter(|stream| stream.kind == StreamKind::Video).map(|stream| stream.pid)
    }
}

/// By stream type; those of Sample-AES count as what they hide.
fn is_video(stream: &StreamInfo) -> bool {
    match stream.stream_type().0 {
        // MPEG-1, MPEG-2, MPEG-4 Visual, AVC and its extensions, HEVC, VVC, AVS, VC-1.
        0x01 | 0x02 | 0x10 | 0x1b | 0x1f | 0x20 | 0x24 | 0x33 | 0x42 | 0xdb | 0xea => true,
        // Private data is what its descriptors say.
        0x06 => registered(stream).any(|format| matches!(format, b"HEVC" | b"AV01")),
        _ => false,
    }
}

fn is_audio(stream: &StreamInfo) -> bool {
    match stream.stream_type().0 {
        // MPEG audio, AAC (ADTS, LATM, raw), AC-3, DTS, E-AC-3.
        0x03 | 0x04 | 0x0f | 0x11 | 0x1c | 0x81 | 0x82 | 0x84 | 0x87 | 0xc1 | 0xc2 | 0xcf => true,
        // AC-3, E-AC-3, DTS or AAC in DVB.
        0x06 => {
            descriptors(stream).any(|Raw(descriptor)| matches!(descriptor, [0x6a | 0x7a | 0x7b | 0x7c, ..]))
                || registered(stream)
                    .any(|format| matches!(format, b"AC-3" | b"EAC3" | b"DTS1" | b"DTS2" | b"DTS3" | b"Opus"))
        }
        _ => false,
    }
}

fn descriptors<'a>(stream: &StreamInfo<'a>) -> impl Iterator<Item = Raw<'a>> {
    stream.descriptors::<Raw>().flatten()
}

/// What is named by registration descriptors.
fn registered<'a>(stream: &StreamInfo<'a>) -> impl Iterator<Item = &'a [u8; 4]> {
    descriptors(stream).filter_map(|Raw(descriptor)| match descriptor {
        [0x05, _, format @ ..] => format.first_chunk(),
        _ => None,
    })
}

/// A descriptor as it is: tag, length, content.
struct Raw<'a>(&'a [u8]);

impl<'a> Descriptor<'a> for Raw<'a> {
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, DescriptorError> {
        Ok(Self(bytes))
    }
}
