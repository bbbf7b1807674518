// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;

use super::*;

pub(super) fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = content.len() as u32 + 8;
    [&size.to_be_bytes()[..], name, content].concat()
}

pub(super) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

pub(super) fn trak(id: u32, handler: &[u8; 4], timescale: u32, edits: &[(u32, u32)]) -> Vec<u8> {
    let tkhd = [words(&[7, 0, 0, id, 0, 0]), vec![0; 60]].concat();
    let mdhd = words(&[0, 0, 0, timescale, 0, 0x55c4_0000]);
    // The name is no UTF-8, as QuickTime writes it.
    let hdlr = [&[0; 8], &handler[..], &[0; 12], b"\x03\xff\xfea"].concat();
    let stsd = [words(&[0, 1]), atom(b"avc1", &[0; 78])].concat();
    let stbl = atom(b"minf", &atom(b"stbl", &atom(b"stsd", &stsd)));
    let mdia = [atom(b"mdhd", &mdhd), atom(b"hdlr", &hdlr), stbl].concat();
    let list: Vec<u32> = edits.iter().flat_map(|(length, time)| [*length, *time, 0x1_0000]).collect();
    let elst = words(&[&[0, edits.len() as u32], &list[..]].concat());
    let odd = atom(b"\xa9odd", b"?");
    atom(
        b"trak",
        &[odd, atom(b"tkhd", &tkhd), atom(b"edts", &atom(b"elst", &elst)), atom(b"mdia", &mdia)].concat(),
    )
}

pub(super) fn init(traks: &[Vec<u8>]) -> Vec<u8> {
    [atom(b"ftyp", b"iso5\0\0\0\0"), atom(b"moov", &[atom(b"mvhd", b"?"), traks.concat()].concat())].concat()
}

/// Audio, and video behind an empty edit.
fn both() -> Init {
    let bytes = init(&[
        trak(1, b"soun", 48_000, &[(0, 1_024)]),
        trak(2, b"vide", 12_800, &[(5, u32::MAX), (0, 1_024)]),
    ]);
    Init::parse(&bytes).expect("an initialisation segment")
}

fn moof(fragments: &[(u32, u32)]) -> Vec<u8> {
    let traf = |(id, time): &(u32, u32)| {
        atom(b"traf", &[atom(b"tfhd", &words(&[0x2_0000, *id])), atom(b"tfdt", &words(&[0, *time]))].concat())
    };
    let trafs: Vec<u8> = fragments.iter().flat_map(traf).collect();
    atom(b"moof", &[atom(b"mfhd", &words(&[0, 1])), trafs].concat())
}

fn scan(init: Init, bytes: &[u8]) -> Scanner {
    let mut scanner = Scanner::new(init);
    scanner.push(bytes);
    scanner
}

#[test]
fn tracks_of_an_initialisation_segment() {
    let track = |id, kind, timescale| Track { id, kind, timescale, media_time: 1_024, codec: Some(*b"avc1") };
    let expected = [track(1, TrackKind::Audio, 48_000), track(2, TrackKind::Video, 12_800)];
    assert_eq!(both().tracks, expected);
    assert_eq!(both().timing_track(), Some(&expected[1]));
    let text = Init::parse(&init(&[trak(1, b"subt", 1_000, &[])])).expect("a track");
    assert_eq!((text.tracks[0].kind, text.tracks[0].media_time), (TrackKind::Other(*b"subt"), 0));
    assert_eq!(Init::parse(b""), Err(InitError::NoMoov));
    assert_eq!(Init::parse(&atom(b"ftyp", b"")), Err(InitError::NoMoov));
    assert_eq!(Init::parse(&init(&[])), Err(InitError::NoTrack));
    assert_eq!(Init::parse(&init(&[trak(1, b"vide", 0, &[])])), Err(InitError::NoTrack));
}

#[test]
fn a_segment_begins_with_its_video() {
    let bytes =
        [atom(b"styp", b"msdh"), atom(b"odd!", b"?"), moof(&[(1, 48_000), (2, 25_600)]), atom(b"mdat", b"x")];
    let scanner = scan(both(), &bytes.concat());
    assert!(scanner.settled());
    // (25600 + 1024) / 12800
    assert_eq!(scanner.media_start(), Some(Duration::from_millis(2_080)));
    assert_eq!(scanner.edit(), Some(Duration::from_millis(80)));
    assert_eq!((scanner.decode_time(1), scanner.decode_time(3)), (Some(48_000), None));
}

#[test]
fn fragments_may_come_one_by_one() {
    let audio = [moof(&[(1, 48_000)]), atom(b"mdat", &[0; 1_000])].concat();
    let mut scanner = scan(both(), &audio);
    assert!(!scanner.settled());
    scanner.push(&audio);
    scanner.push(&moof(&[(2, 25_600)]));
    assert!(scanner.settled());
    assert_eq!(scanner.media_start(), Some(Duration::from_millis(2_080)));
    // Where no video comes, audio has to do.
    let mut scanner = scan(both(), &audio);
    scanner.finish();
    assert!(scanner.settled());
    assert_eq!(scanner.media_start(), Some(Duration::from_nanos(49_024 * 1_000_000_000 / 48_000)));
}

#[test]
fn a_segment_may_bring_its_own_initialisation() {
    let bytes = [init(&[trak(9, b"vide", 1_000, &[])]), moof(&[(9, 500)])].concat();
    assert_eq!(scan(Init::default(), &bytes).media_start(), Some(Duration::from_millis(500)));
}

#[test]
fn gives_up_in_the_end() {
    let bytes = [atom(b"mdat", &vec![0; SCAN_LIMIT]), moof(&[(2, 25_600)])].concat();
    let scanner = scan(both(), &bytes);
    assert_eq!((scanner.settled(), scanner.media_start()), (true, None));
    // Garbage: a box smaller than its header, one without end, one too large to keep.
    for bytes in [&b"\0\0\0\x04moof"[..], b"\0\0\0\0moof"] {
        assert!(scan(both(), bytes).settled());
    }
    let huge = b"\0\0\0\x01moof\xff\xff\xff\xff\xff\xff\xff\xff";
    assert_eq!(scan(both(), huge).media_start(), None);
}

#[test]
fn times_do_not_overflow() {
    let track = Track { id: 1, kind: TrackKind::Video, timescale: 1, media_time: u64::MAX, codec: None };
    let mut scanner = scan(Init { tracks: vec![track] }, &moof(&[(1, u32::MAX)]));
    scanner.finish();
    assert_eq!(scanner.media_start(), None);
}

proptest! {
    #[test]
    fn the_answer_does_not_depend_on_the_chunks(
        order in prop::collection::vec(0usize..6, 0..10),
        size in 1usize..300,
    ) {
        let pieces = [
            moof(&[(1, 48_000)]), moof(&[(2, 25_600), (1, 1)]), atom(b"mdat", &[0; 200]), atom(b"emsg", b""),
            init(&[trak(2, b"vide", 1_000, &[])]), b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x20................".to_vec(),
        ];
        let bytes: Vec<u8> = order.into_iter().flat_map(|index| pieces[index].clone()).collect();
        let whole = scan(both(), &bytes);
        let mut parts = Scanner::new(both());
        bytes.chunks(size).for_each(|chunk| parts.push(chunk));
        prop_assert_eq!(parts.media_start(), whole.media_start());
        prop_assert_eq!(parts.settled(), whole.settled());
    }

    #[test]
    fn damage_does_no_harm(damage in prop::collection::vec((any::<usize>(), any::<u8>()), 0..40), bytes: Vec<u8>) {
        let traks = [trak(1, b"soun", 48_000, &[(0, 1_024)]), trak(2, b"vide", 12_800, &[(5, u32::MAX), (0, 1_024)])];
        let mut damaged = [init(&traks), moof(&[(1, 48_000), (2, 25_600)]), atom(b"mdat", b"x")].concat();
        let length = damaged.len();
        damage.into_iter().for_each(|(at, byte)| damaged[at % length] = byte);
        for bytes in [&damaged, &bytes] {
            let init = Init::parse(bytes).unwrap_or_default();
            let mut scanner = scan(init, bytes);
            scanner.finish();
            let _ = scanner.media_start();
        }
    }
}
