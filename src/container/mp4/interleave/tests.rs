// SPDX-License-Identifier: MPL-2.0

use mp4_atom::{Atom, Encode, Moof};
use proptest::prelude::*;

use super::*;
use crate::container::boxes;
use crate::container::mp4::tests::{atom, init as moov, trak, words};

const VIDEO: u32 = 1;
const AUDIO: u32 = 2;

fn init() -> Vec<u8> {
    // Sound has its sizes in each fragment, and all else here.
    let trex = |id, duration, flags| atom(b"trex", &words(&[0, id, 1, duration, 0, flags]));
    let mvex = atom(b"mvex", &[trex(VIDEO, 0, 0), trex(AUDIO, 1_024, 0x200_0000)].concat());
    moov(&[trak(VIDEO, b"vide", 1_000, &[]), trak(AUDIO, b"soun", 48_000, &[]), mvex])
}

/// A fragment of 40 ms pictures from `time` on, then of sound for as long.
fn fragment(pictures: u32, time: u32) -> Vec<u8> {
    let sounds = (pictures * 40 * 48).div_ceil(1_024);
    let size = |index: u32| 5 + index % 7;
    let picture = |index: u32| [size(index), (index % 3) * 40];
    let video_size: u32 = (0..pictures).map(size).sum();
    let with = |video_at: u32| {
        let entries: Vec<u32> = (0..pictures).flat_map(picture).collect();
        let video = [
            atom(b"tfhd", &words(&[0x2_0028, VIDEO, 40, 0x101_0000])),
            atom(b"tfdt", &words(&[0, time])),
            // First sample's flags, sizes, composition offsets.
            atom(b"trun", &[words(&[0xa05, pictures, video_at, 0x200_0000]), words(&entries)].concat()),
        ];
        // In two runs, the second where the first ends and without anything of its own.
        let audio = [
            atom(b"tfhd", &words(&[0x2_0010, AUDIO, 3])),
            atom(b"tfdt", &[words(&[0x100_0000]), u64::from(time * 48).to_be_bytes().to_vec()].concat()),
            atom(b"trun", &words(&[1, sounds - 1, video_at + video_size])),
            atom(b"trun", &words(&[0, 1])),
        ];
        let trafs = [atom(b"traf", &video.concat()), atom(b"traf", &audio.concat())].concat();
        atom(b"moof", &[atom(b"mfhd", &words(&[0, 7])), trafs].concat())
    };
    let moof = with(with(0).len() as u32 + 8);
    let payload: Vec<u8> = (0..video_size + sounds * 3).map(|index| (index * 31 / 8) as u8).collect();
    [moof, atom(b"mdat", &payload)].concat()
}

fn pass(interleaver: &mut Interleaver, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    bytes.chunks(size).for_each(|chunk| interleaver.push(Bytes::copy_from_slice(chunk), &mut out));
    interleaver.finish(&mut out);
    assert_eq!(interleaver.held.len(), 0);
    out.concat()
}

fn interleave(bytes: &[u8], size: usize) -> Vec<u8> {
    let mut interleaver = Interleaver::default();
    interleaver.init(init().into());
    pass(&mut interleaver, bytes, size)
}

/// Time, duration, composition offset, flags and bytes of a sample.
type Seen = (u64, u32, i64, u32, Vec<u8>);

/// The samples of a track as a reader sees them, and how many fragments have some.
fn samples(bytes: &[u8], id: u32) -> (Vec<Seen>, usize) {
    let (mut seen, mut fragments, mut at) = (Vec::new(), 0, 0);
    for (name, mut content) in boxes::iter(bytes) {
        let next = at + content.len() + 8;
        let moof = (&name == b"moof").then(|| Moof::decode_body(&mut content).expect("a good moof"));
        for traf in moof.iter().flat_map(|moof| &moof.traf).filter(|traf| traf.tfhd.track_id == id) {
            fragments += 1;
            let (head, mut time) = (&traf.tfhd, traf.tfdt.as_ref().expect("a time").base_media_decode_time);
            let mut from = at;
            for trun in &traf.trun {
                from = trun.data_offset.map_or(from, |offset| at + offset as usize);
                for entry in &trun.samples {
                    let to = from + entry.size.or(head.default_sample_size).expect("a size") as usize;
                    let duration = entry.duration.or(head.default_sample_duration).unwrap_or(1_024);
                    let flags = entry.flags.or(head.default_sample_flags).unwrap_or(0x200_0000);
                    seen.push((time, duration, entry.cts.unwrap_or(0), flags, bytes[from..to].to_vec()));
                    time += u64::from(duration);
                    from = to;
                }
            }
        }
        at = next;
    }
    (seen, fragments)
}

#[test]
fn a_long_fragment_is_cut() {
    let styp = atom(b"styp", b"msdh");
    let bytes = [styp.clone(), fragment(75, 0), fragment(50, 3_000)].concat();
    let cut = interleave(&bytes, 100);
    let names: Vec<_> = boxes::iter(&cut).map(|(name, _)| name).collect();
    assert_eq!(names[..3], [*b"styp", *b"moof", *b"mdat"]);
    assert_eq!(names.len(), 1 + 2 * (6 + 4), "{names:?}");
    for id in [VIDEO, AUDIO] {
        let (before, after) = (samples(&bytes, id), samples(&cut, id));
        assert_eq!(before.0, after.0);
        assert_eq!((before.1, after.1), (2, 10));
    }
    let flags: Vec<_> = samples(&cut, VIDEO).0.iter().map(|seen| seen.3).collect();
    assert_eq!(flags.iter().filter(|flags| **flags == 0x200_0000).count(), 2);
}

#[test]
fn pictures_go_out_before_all_sound_is_there() {
    let bytes = fragment(250, 0);
    let mut interleaver = Interleaver::default();
    interleaver.init(init().into());
    let mut out = Vec::new();
    interleaver.push(Bytes::from(bytes[..bytes.len() - 100].to_vec()), &mut out);
    let before = out.concat();
    assert!(before.len() > bytes.len() / 2);
    // What was broken off is not there twice.
    interleaver.finish(&mut out);
    assert_eq!(out.concat(), before);
    assert_eq!(pass(&mut interleaver, &bytes, 99), interleave(&bytes, bytes.len()));
}

#[test]
fn whatever_is_not_understood_passes() {
    let long = fragment(75, 0);
    assert_ne!(interleave(&long, 100), long);
    let edit = |from: &[u8], to: &[u8]| {
        let at = long.windows(from.len()).position(|window| window == from).expect("something to replace");
        let mut bytes = long.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    let tfhd = words(&[0x2_0010, AUDIO]);
    let cases = [
        ("a short fragment", fragment(25, 0)),
        ("garbage", b"\0\0\0\x04moof and so on".to_vec()),
        ("a box without end", [&b"\0\0\0\0mdat"[..], &long].concat()),
        ("cut off", long[..long.len() / 2].to_vec()),
        ("cut off in the tables", long[..100].to_vec()),
        ("cut off in the header", [&fragment(25, 0)[..], b"\0\0\0\x10mo"].concat()),
        ("an unknown box in moof", edit(b"mfhd", b"pssh")),
        ("an unknown box in traf", edit(b"trun", b"senc")),
        ("samples elsewhere", edit(b"mdat", b"free")),
        ("another base", edit(&tfhd, &words(&[0x10]))),
        ("one track twice", edit(&tfhd, &words(&[0x2_0010, VIDEO]))),
        ("a track that was not announced", edit(&tfhd, &words(&[0x2_0010, 3]))),
        ("sizes beyond the samples", edit(&words(&[AUDIO, 3]), &words(&[AUDIO, 4]))),
        ("any number of samples", edit(&words(&[0, 1]), &words(&[0, u32::MAX]))),
    ];
    for (case, bytes) in cases {
        for size in [1, 100, bytes.len()] {
            assert_eq!(interleave(&bytes, size), bytes, "{case}");
        }
    }
    // Nothing is known of the tracks.
    assert_eq!(pass(&mut Interleaver::default(), &long, 100), long);
    // The segment brings its own initialisation.
    let own = [init(), long.clone()].concat();
    assert_eq!(pass(&mut Interleaver::default(), &own, 100), [init(), interleave(&long, 100)].concat());
}

#[test]
fn one_track_passes_at_once() {
    let (_, moof) = boxes::iter(&fragment(75, 0)).next().map(|(n, c)| (n, c.to_vec())).expect("a moof");
    let mut moof = Moof::decode_body(&mut &moof[..]).expect("a good moof");
    moof.traf.truncate(1);
    let mut bytes = Vec::new();
    moof.encode(&mut bytes).expect("a moof again");
    let mut interleaver = Interleaver::default();
    interleaver.init(init().into());
    let mut out = Vec::new();
    interleaver.push(Bytes::from(bytes.clone()), &mut out);
    assert_eq!(out.concat(), bytes);
}

proptest! {
    #[test]
    fn samples_stay_the_same(
        lengths in prop::collection::vec(2u32..120, 1..4),
        start in 0u32..1_000_000,
        size in 1usize..5_000,
    ) {
        let mut time = start;
        let mut bytes = Vec::new();
        for pictures in lengths {
            bytes.extend(fragment(pictures, time));
            time += pictures * 40;
        }
        let cut = interleave(&bytes, size);
        for id in [VIDEO, AUDIO] {
            prop_assert_eq!(samples(&cut, id).0, samples(&bytes, id).0);
        }
        prop_assert_eq!(&cut, &interleave(&bytes, bytes.len()));
        // What is short enough stays so.
        prop_assert_eq!(&interleave(&cut, size), &cut);
    }

    #[test]
    fn damage_does_no_harm(
        damage in prop::collection::vec((0usize..1_500, any::<u8>()), 0..6),
        bytes: Vec<u8>,
        size in 1usize..500,
    ) {
        let mut damaged = [init(), fragment(75, 0), fragment(30, 3_000)].concat();
        damage.into_iter().for_each(|(at, byte)| damaged[at] = byte);
        interleave(&damaged, size);
        interleave(&bytes, size);
        // Before the damage all was well.
        interleave(&[fragment(50, 0), bytes].concat(), size);
    }
}

/// Sound stays as track 1 where there is a picture in the same bytes, and the picture where there is sound.
#[test]
fn picture_and_sound_go_their_own_ways() {
    let bytes: Vec<u8> = [fragment(3, 0), fragment(3, 120)].concat();
    for size in [1, 7, 1 << 20] {
        for (only, of, number) in [(Only::Picture, VIDEO, VIDEO), (Only::Sound, AUDIO, Only::SOUND)] {
            let mut interleaver = Interleaver::only(only);
            let init = interleaver.init(init().into());
            let tracks = crate::container::mp4::Init::parse(&init).expect("tracks").tracks;
            assert_eq!(tracks.iter().map(|track| track.id).collect::<Vec<_>>(), [number]);
            let mvex = boxes::find(boxes::find(&init, b"moov").expect("moov"), b"mvex").expect("mvex");
            assert_eq!(boxes::iter(mvex).filter(|(name, _)| name == b"trex").count(), 1);
            let out = pass(&mut interleaver, &bytes, size);
            assert_eq!(out.len(), bytes.len());
            let (mut before, mut after) = (boxes::iter(&bytes), boxes::iter(&out));
            for (name, content) in before.by_ref() {
                let (same_name, other) = after.next().expect("as many boxes");
                assert_eq!(name, same_name);
                if &name != b"moof" {
                    assert_eq!(content, other);
                    continue;
                }
                let trafs = |moof| {
                    let trafs = boxes::iter(moof).filter(|(name, _)| name == b"traf");
                    trafs.map(|(_, traf)| traf.to_vec()).collect::<Vec<_>>()
                };
                let id = |traf: &[u8]| boxes::find(traf, b"tfhd").expect("tfhd")[4..8].to_vec();
                let wanted = trafs(content).into_iter().find(|traf| id(traf) == of.to_be_bytes());
                let [kept] = &trafs(other)[..] else { panic!("one track") };
                assert_eq!(id(kept), number.to_be_bytes());
                let runs = |traf: &[u8]| boxes::find(traf, b"trun").map(<[u8]>::to_vec);
                assert_eq!(runs(kept), runs(&wanted.expect("the track")));
            }
        }
    }
}

/// Nothing is made of bytes that are no tables, and what is left alone passes as it is.
#[test]
fn what_has_no_such_track_stays() {
    let picture = moov(&[trak(VIDEO, b"vide", 1_000, &[])]);
    let mut interleaver = Interleaver::only(Only::Sound);
    assert_eq!(interleaver.init(picture.clone().into()), picture);
    let bytes = fragment(3, 0);
    assert_eq!(pass(&mut interleaver, &bytes, 11), bytes);
}

proptest! {
    #[test]
    fn any_tables_are_survived(junk in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..400, sound: bool) {
        let mut bytes = [init(), fragment(2, 0)].concat();
        let at = at.min(bytes.len());
        bytes.splice(at..(at + junk.len()).min(bytes.len()), junk);
        let mut interleaver = Interleaver::only(if sound { Only::Sound } else { Only::Picture });
        interleaver.init(bytes.clone().into());
        pass(&mut interleaver, &bytes, 13);
    }
}
