// SPDX-License-Identifier: MPL-2.0

use mpeg2ts_reader::mpegts_crc;
use proptest::prelude::*;

use super::*;

const PMT: u16 = 0x1000;
pub const VIDEO: u16 = 0x100;
pub const AUDIO: u16 = 0x101;
const METADATA: u16 = 0x102;

/// A packet with `payload`, and a clock reference in ticks of 90 kHz.
pub fn packet(pid: u16, start: bool, pcr: Option<u64>, payload: &[u8]) -> Vec<u8> {
    let mut adaptation = Vec::new();
    if let Some(base) = pcr {
        adaptation.push(0x10);
        adaptation.extend_from_slice(&(base << 15 | 0x7e00).to_be_bytes()[2..]);
    } else {
        adaptation.push(0);
    }
    // Stuffing fills the packet.
    adaptation.resize(PACKET - 5 - payload.len(), 0xff);
    let [high, low] = pid.to_be_bytes();
    let mut packet = vec![SYNC, high | u8::from(start) << 6, low, 0x30, adaptation.len() as u8];
    packet.extend(adaptation);
    packet.extend_from_slice(payload);
    assert_eq!(packet.len(), PACKET);
    packet
}

/// A table section behind a pointer field.
fn section(table: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() + 9) as u8;
    let mut section = vec![table, 0xb0, length, 0, 1, 0xc1, 0, 0];
    section.extend_from_slice(body);
    section.extend(mpegts_crc::sum32(&section).to_be_bytes());
    [&[0], &section[..]].concat()
}

pub fn tables() -> Vec<u8> {
    let pid = |prefix: u16, pid: u16| (prefix | pid).to_be_bytes();
    let pat = section(0, &[&[0, 1][..], &pid(0xe000, PMT)].concat());
    let stream = |kind: u8, id| [&[kind][..], &pid(0xe000, id), &[0xf0, 0]].concat();
    let streams = [stream(0x1b, VIDEO), stream(0x0f, AUDIO), stream(0x15, METADATA)].concat();
    let pmt = section(2, &[&pid(0xe000, VIDEO)[..], &[0xf0, 0], &streams].concat());
    [packet(0, true, None, &pat), packet(PMT, true, None, &pmt)].concat()
}

/// The beginning of an elementary packet that has only a PTS.
pub fn frame(stream: u8, pts: u64) -> Vec<u8> {
    let stamp = [
        0x21 | (pts >> 29) as u8 & 0x0e,
        (pts >> 22) as u8,
        (pts >> 14) as u8 | 1,
        (pts >> 7) as u8,
        (pts << 1) as u8 | 1,
    ];
    [&[0, 0, 1, stream, 0, 0, 0x80, 0x80, 5][..], &stamp, b"data"].concat()
}

fn video(pcr: u64, pts: u64) -> Vec<u8> {
    packet(VIDEO, true, Some(pcr), &frame(0xe0, pts))
}

fn audio(pts: u64) -> Vec<u8> {
    packet(AUDIO, true, None, &frame(0xc0, pts))
}

fn scan(bytes: &[u8]) -> Scanner {
    let mut scanner = Scanner::new();
    scanner.push(bytes);
    scanner
}

#[test]
fn the_first_timestamp_of_the_video_counts() {
    let bytes = [tables(), video(63_000, 126_000), audio(124_000), audio(100_000), video(0, 0)].concat();
    let scanner = scan(&bytes);
    assert!(scanner.settled());
    let timing = scanner.timing();
    assert_eq!(timing, Timing { first_pcr: Some(63_000 * 300), first_pts: Some(126_000) });
    assert_eq!(timing.lead(), Some(700_000_000));
    let second = Duration::from_secs(1);
    assert_eq!(timing.buffer_time(10 * second), 10 * second - Duration::from_millis(700));
    assert_eq!(timing.buffer_time(Duration::ZERO), Duration::ZERO);
}

#[test]
fn both_clocks_wrap() {
    let late = PTS_WRAP - 45_000;
    let timing = scan(&[tables(), video(late, 45_000), audio(PTS_WRAP - 9_000)].concat()).timing();
    assert_eq!(timing.first_pts, Some(45_000));
    assert_eq!(timing.lead(), Some(1_000_000_000));
    let timing = scan(&[tables(), video(45_000, late), audio(late)].concat()).timing();
    assert_eq!(timing.lead(), Some(-1_000_000_000));
    assert_eq!(timing.buffer_time(Duration::ZERO), Duration::from_secs(1));
}

#[test]
fn waits_for_video_and_for_nothing_else() {
    let mut scanner = scan(&tables());
    scanner.push(&packet(METADATA, true, None, &frame(0xbd, 1)));
    scanner.push(&audio(8_100));
    assert!(!scanner.settled());
    scanner.push(&video(0, 9_000));
    assert!(scanner.settled());
    assert_eq!(scanner.timing().first_pts, Some(9_000));
}

#[test]
fn the_end_settles() {
    let mut scanner = scan(&[tables(), video(0, 9_000)].concat());
    scanner.finish();
    assert!(scanner.settled());
    assert_eq!(scanner.timing().lead(), Some(100_000_000));
    // Without clock or frames there is nothing to correct.
    assert_eq!(Timing::default().buffer_time(Duration::from_secs(3)), Duration::from_secs(3));
}

#[test]
fn gives_up_in_the_end() {
    let scanner = scan(&[tables(), video(0, 9_000)].concat().repeat(SCAN_LIMIT / 500));
    assert!(scanner.settled());
    assert_eq!(scanner.timing().lead(), Some(100_000_000));
}

#[test]
fn does_without_tables_and_with_junk_in_front() {
    let bytes = [&b"junk"[..], &video(0, 9_000), &audio(8_000)].concat();
    let mut scanner = scan(&bytes);
    scanner.finish();
    assert_eq!(scanner.timing(), Timing { first_pcr: Some(0), first_pts: Some(8_000) });
}

#[test]
fn a_table_may_take_several_packets() {
    let pid = |pid: u16| (0xe000 | pid).to_be_bytes();
    let descriptor = [&[0xf0, 102, 5, 100][..], &[b'x'; 100]].concat();
    let stream = |kind: u8, id| [&[kind][..], &pid(id), &descriptor].concat();
    let body = [&pid(VIDEO)[..], &[0xf0, 0], &stream(0x1b, VIDEO), &stream(0x0f, AUDIO)].concat();
    let pmt = section(2, &body);
    let bytes = [
        &tables()[..PACKET],
        &packet(PMT, true, None, &pmt[..100]),
        &video(0, 9_000),
        &packet(PMT, false, None, &pmt[100..]),
        &audio(8_000),
    ];
    assert!(scan(&bytes.concat()).settled());
}

proptest! {
    #[test]
    fn the_answer_does_not_depend_on_the_chunks(
        order in prop::collection::vec(0usize..7, 0..12),
        sizes in prop::collection::vec(1usize..400, 1..50),
    ) {
        let pieces =
            [tables(), video(5, 9_000), audio(8_000), video(1, 1), audio(9), b"junk".to_vec(), vec![SYNC; 300]];
        let bytes: Vec<u8> = order.into_iter().flat_map(|index| pieces[index].clone()).collect();
        let whole = scan(&bytes);
        let mut parts = Scanner::new();
        let mut rest = &bytes[..];
        for size in sizes.into_iter().cycle() {
            let (chunk, tail) = rest.split_at(size.min(rest.len()));
            parts.push(chunk);
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(parts.timing(), whole.timing());
        prop_assert_eq!(parts.settled(), whole.settled());
    }

    #[test]
    fn damage_does_no_harm(
        damage in prop::collection::vec((0usize..2_000, any::<u8>()), 0..60),
        cut in 0usize..2_000,
    ) {
        let pieces = [tables(), video(5, 9_000), audio(8_000), tables(), video(1, 1), audio(9)];
        let mut bytes = pieces.concat();
        let length = bytes.len();
        damage.into_iter().for_each(|(at, byte)| bytes[at % length] = byte);
        let scanner = scan(&bytes[cut % length..]);
        let _ = (scanner.timing().lead(), scanner.timing().buffer_time(Duration::MAX));
    }

    #[test]
    fn any_packets_are_survived(packets in prop::collection::vec((0u16..4, prop::collection::vec(any::<u8>(), 187)), 0..20)) {
        let mut bytes = tables();
        for (pid, body) in packets {
            let mut packet = [&[SYNC], &body[..]].concat();
            let [high, low] = [0, PMT, VIDEO, AUDIO][usize::from(pid)].to_be_bytes();
            packet[1] = packet[1] & 0xe0 | high;
            packet[2] = low;
            bytes.extend(packet);
        }
        let mut scanner = scan(&bytes);
        scanner.finish();
        let _ = scanner.timing().lead();
    }
}
