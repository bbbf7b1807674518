// SPDX-License-Identifier: MPL-2.0

//! The first key frame of fragmented MP4, as a fragment of one sample.

use super::interleave::recut::{Fragment, Tracks};
use super::{Init, TrackKind};
use crate::container::boxes::Header;
use crate::container::key_frame::Found;

/// See [`crate::container::key_frame::first`].
pub fn first(init: &[u8], bytes: &[u8], is_all: bool) -> Found {
    let missing = if is_all { Found::Nothing } else { Found::Part };
    let parsed = Init::parse(init).unwrap_or_default();
    let Some(track) = parsed.tracks.iter().find(|track| track.kind == TrackKind::Video) else {
        return Found::Nothing;
    };
    let mut at = 0;
    // Boxes that are not tables of samples are passed over; the bytes are few.
    loop {
        let Some(header) = bytes.get(at..).and_then(Header::read) else { return missing };
        let (Some(size), Ok(_)) = (header.size.and_then(|size| usize::try_from(size).ok()), header.content())
        else {
            return Found::Nothing;
        };
        let Some(end) = at.checked_add(size) else { return Found::Nothing };
        if &header.name == b"moof" {
            let Some(moof) = bytes.get(at + header.length..end) else { return missing };
            if let Some(cut) = Fragment::key_frame(moof, &Tracks::read(init), track.id) {
                let mut frame = cut.head.to_vec();
                for range in cut.samples {
                    let sample = at.checked_add(range.start).zip(at.checked_add(range.end));
                    let Some(sample) = sample.and_then(|(from, to)| bytes.get(from..to)) else {
                        return missing;
                    };
                    frame.extend_from_slice(sample);
                }
                return Found::Whole(frame.into());
            }
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use mp4_atom::{Atom, Moof};
    use proptest::prelude::*;

    use super::*;
    use crate::container::boxes;
    use crate::container::mp4::tests::{atom, init as moov, trak, words};

    /// Sound, and a picture whose first sample is a key frame.
    fn init() -> Vec<u8> {
        let trex = |id| atom(b"trex", &words(&[0, id, 1, 0, 0, 0]));
        let mvex = atom(b"mvex", &[trex(1), trex(2)].concat());
        moov(&[trak(1, b"soun", 48_000, &[]), trak(2, b"vide", 1_000, &[]), mvex])
    }

    /// A fragment whose picture has samples with these flags, of so many bytes each, behind four of sound.
    fn fragment(flags: &[u32], size: u32) -> Vec<u8> {
        let with = |at: u32| {
            let entries: Vec<u32> = flags.iter().flat_map(|flags| [40, size, *flags]).collect();
            let track = |id, time, at, entries: &[u32], count| {
                let run = [words(&[0x701, count, at]), words(entries)].concat();
                let boxes = [
                    atom(b"tfhd", &words(&[0x2_0000, id])),
                    atom(b"tfdt", &words(&[0, time])),
                    atom(b"trun", &run),
                ];
                atom(b"traf", &boxes.concat())
            };
            let sound = track(1, 0, at, &[1_024, 4, 0], 1);
            let picture = track(2, 5_000, at + 4, &entries, flags.len() as u32);
            atom(b"moof", &[atom(b"mfhd", &words(&[0, 7])), sound, picture].concat())
        };
        let moof = with(with(0).len() as u32 + 8);
        let pictures = (0..flags.len() as u8).flat_map(|index| vec![index + 1; size as usize]);
        [moof, atom(b"mdat", &[vec![0xaa; 4], pictures.collect()].concat())].concat()
    }

    fn key() -> u32 {
        0x200_0000
    }

    #[test]
    fn it_is_there_before_the_rest_of_its_fragment() {
        let all = [atom(b"styp", b"msdh\0\0\0\0"), fragment(&[key(), 0x101_0000, 0x101_0000], 100)].concat();
        let rest = 200;
        let find = |length: usize, is_all| first(&init(), &all[..length], is_all);
        for length in [0, 5, 20, 60, all.len() - rest - 1] {
            assert_eq!(find(length, false), Found::Part, "{length}");
            assert_eq!(find(length, true), Found::Nothing, "{length}");
        }
        let Found::Whole(frame) = find(all.len() - rest, false) else { panic!("it is there") };
        assert_eq!(find(all.len(), false), Found::Whole(frame.clone()));
        let moof = Moof::decode_body(&mut boxes::find(&frame, b"moof").expect("a moof")).expect("a good one");
        let [traf] = &moof.traf[..] else { panic!("one track: {moof:?}") };
        assert_eq!(traf.tfhd.track_id, 2);
        assert_eq!(traf.tfdt.as_ref().expect("a time").base_media_decode_time, 5_000);
        assert_eq!((traf.trun.len(), traf.trun[0].samples.len()), (1, 1));
        assert_eq!(boxes::find(&frame, b"mdat").expect("samples"), [1; 100]);
    }

    #[test]
    fn what_comes_before_it_is_left_out() {
        let bytes = fragment(&[0x101_0000, key()], 10);
        let Found::Whole(frame) = first(&init(), &bytes, false) else { panic!("it is there") };
        let moof = Moof::decode_body(&mut boxes::find(&frame, b"moof").expect("a moof")).expect("a good one");
        assert_eq!(moof.traf[0].tfdt.as_ref().expect("a time").base_media_decode_time, 5_040);
        assert_eq!(boxes::find(&frame, b"mdat").expect("samples"), [2; 10]);
    }

    #[test]
    fn there_is_none_in_what_is_not_understood() {
        let good = fragment(&[key()], 10);
        let sound_alone = moov(&[trak(1, b"soun", 48_000, &[])]);
        for (init, bytes) in [
            (sound_alone, good.clone()),
            (Vec::new(), good.clone()),
            (init(), b"no boxes, but a page of text that goes on".to_vec()),
            (init(), [&4u32.to_be_bytes()[..], b"moof", &good].concat()),
            // A sample far beyond the end.
            (init(), fragment(&[key()], 10)[..60].to_vec()),
        ] {
            assert_eq!(first(&init, &bytes, true), Found::Nothing);
        }
    }

    proptest! {
        #[test]
        fn no_damage_is_too_much(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            of_init in any::<bool>(),
            is_all in any::<bool>(),
        ) {
            let (mut init, mut bytes) = (init(), fragment(&[key(), 0x101_0000], 10));
            for (at, byte) in damage {
                let damaged = if of_init { &mut init } else { &mut bytes };
                let at = at.index(damaged.len());
                damaged[at] = byte;
            }
            if let Found::Whole(frame) = first(&init, &bytes, is_all) {
                prop_assert!(frame.len() < bytes.len() + 200, "no more comes of it than there is");
            }
        }
    }
}
