// SPDX-License-Identifier: MPL-2.0

//! The first key frame of MPEG-TS: the packets of the picture up to the next one.

use mpeg2ts_reader::packet::Packet;

use super::section::{Program, Tables};
use super::{PACKET, PCR_PER_PTS, PTS_WRAP, SYNC, timestamp};
use crate::container::key_frame::Found;

/// A clock that is made up says that the picture is due in so many ticks of 90 kHz.
const LEAD: u64 = 45_000;

/// See [`crate::container::key_frame::first`]. A segment begins with a key frame.
pub fn first(init: &[u8], bytes: &[u8], is_all: bool) -> Found {
    let mut frame = Frame::default();
    // The tables may stand in the initialisation segment alone, which goes out by itself.
    frame.read(init);
    frame.packets.clear();
    frame.read(bytes);
    match (frame.is_whole || is_all, frame.begins) {
        (true, Some(begins)) => Found::Whole(frame.with_clock(begins).into()),
        (true, None) => Found::Nothing,
        (false, _) => Found::Part,
    }
}

#[derive(Default)]
struct Frame {
    tables: Tables,
    /// What goes out.
    packets: Vec<u8>,
    /// Of the picture: its PID, where its first packet is in `packets`, and its time.
    begins: Option<(u16, usize, Option<u64>)>,
    /// A clock reference comes with it.
    has_clock: bool,
    /// The next picture has begun.
    is_whole: bool,
}

impl Frame {
    fn read(&mut self, mut bytes: &[u8]) {
        while !self.is_whole && bytes.len() >= PACKET {
            let (packet, rest) = bytes.split_at(PACKET);
            match Packet::try_new(packet) {
                Some(parsed) => {
                    self.take(&parsed, packet);
                    bytes = rest;
                }
                // Out of step.
                None => {
                    let next = bytes[1..].iter().position(|byte| *byte == SYNC);
                    bytes = &bytes[next.map_or(bytes.len(), |next| next + 1)..];
                }
            }
        }
    }

    fn take(&mut self, packet: &Packet<'_>, bytes: &[u8]) {
        let pid = u16::from(packet.pid());
        let start = packet.payload_unit_start_indicator();
        let payload = packet.payload().unwrap_or_default();
        let pcr_pid = self.tables.program.as_ref().map(|program| program.pcr_pid);
        if !self.tables.take(pid, payload, start) {
            let pictures = self.tables.program.iter().flat_map(Program::pictures);
            let is_picture = { pictures }.any(|picture| picture == pid);
            match self.begins {
                None if is_picture && start => {
                    self.begins = Some((pid, self.packets.len(), timestamp(payload)));
                }
                Some((picture, ..)) if picture == pid && start => {
                    self.is_whole = true;
                    return;
                }
                Some((picture, ..)) if picture == pid => {}
                _ if pcr_pid == Some(pid) && !is_picture && packet.payload().is_none() => {}
                _ => return,
            }
            let has_clock = packet.adaptation_field().is_some_and(|field| field.pcr().is_ok());
            self.has_clock |= has_clock && pcr_pid == Some(pid);
        }
        self.packets.extend_from_slice(bytes);
    }

    /// The packets; without a clock reference demuxers would not know when the picture is due.
    fn with_clock(mut self, (_, at, time): (u16, usize, Option<u64>)) -> Vec<u8> {
        if let (false, Some(time), Some(program)) = (self.has_clock, time, &self.tables.program) {
            let base = (time % PTS_WRAP + PTS_WRAP - LEAD) % PTS_WRAP;
            self.packets.splice(at..at, clock(program.pcr_pid, base));
        }
        self.packets
    }
}

/// A packet with nothing but a clock reference in ticks of 90 kHz: ISO/IEC 13818-1, 2.4.3.5.
fn clock(pid: u16, base: u64) -> [u8; PACKET] {
    debug_assert!(base * PCR_PER_PTS < PTS_WRAP * PCR_PER_PTS);
    let mut packet = [0xff; PACKET];
    let [high, low] = pid.to_be_bytes();
    packet[..6].copy_from_slice(&[SYNC, high & 0x1f, low, 0x20, (PACKET - 5) as u8, 0x10]);
    packet[6..12].copy_from_slice(&(base << 15 | 0x7e00).to_be_bytes()[2..]);
    packet
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::{AUDIO, VIDEO, frame, packet, tables};
    use super::super::{Scanner, Timing};
    use super::*;

    fn sound() -> Vec<u8> {
        packet(AUDIO, true, None, &frame(0xc0, 80_000))
    }

    fn picture(pcr: Option<u64>) -> Vec<u8> {
        packet(VIDEO, true, pcr, &frame(0xe0, 90_000))
    }

    fn rest() -> Vec<u8> {
        packet(VIDEO, false, None, b"the rest of it")
    }

    fn find(init: &[u8], packets: &[Vec<u8>], is_all: bool) -> Found {
        first(init, &packets.concat(), is_all)
    }

    #[test]
    fn it_ends_where_the_next_picture_begins() {
        let begun = [tables(), sound(), picture(Some(70_000)), sound(), rest()];
        let whole = Found::Whole([tables(), picture(Some(70_000)), rest()].concat().into());
        assert_eq!(find(&[], &begun, false), Found::Part);
        assert_eq!(find(&[], &begun, true), whole, "without sound");
        let next = [&begun[..], &[picture(None), rest()]].concat();
        assert_eq!(find(&[], &next, false), whole);
        let begun = [sound(), picture(Some(70_000)), rest()];
        let alone = Found::Whole([picture(Some(70_000)), rest()].concat().into());
        assert_eq!(find(&tables(), &begun, true), alone, "with tables of its own");
        for nothing in [&[][..], &[tables(), sound()], &[picture(None)], &[b"<html>".repeat(100)]] {
            assert_eq!(find(&[], nothing, true), Found::Nothing);
        }
    }

    #[test]
    fn a_clock_is_made_up_where_there_is_none() {
        let Found::Whole(frame) = find(&[], &[tables(), picture(None), rest()], true) else {
            panic!("it is there")
        };
        let mut scanner = Scanner::new();
        scanner.push(&frame);
        let expected = Timing { first_pcr: Some(45_000 * 300), first_pts: Some(90_000) };
        assert_eq!((frame.len(), scanner.timing()), (5 * PACKET, expected));
    }

    proptest! {
        #[test]
        fn no_damage_is_too_much(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
            is_all in any::<bool>(),
        ) {
            let mut bytes = [tables(), sound(), picture(None), rest(), picture(None)].concat();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Found::Whole(frame) = first(&[], &bytes, is_all) {
                prop_assert!(frame.len() <= bytes.len() + PACKET, "no more comes of it than there is");
            }
        }
    }
}
