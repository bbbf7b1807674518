// SPDX-License-Identifier: MPL-2.0

//! The streams of [`super::media`], encrypted by ffmpeg and by openssl.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use super::media::STREAMS;

/// Where the streams are, each with `index.m3u8`:
///
/// - `ffmpeg/`: `ts/` as ffmpeg encrypts it, with one key and one explicit vector.
/// - `rotated/`: `long/` with another key (AES-128) from every tenth segment on, vectors that are not written
///   down, and some segments in plain.
/// - `aes256/` and `mp4/`: `ts/` and `fmp4/` under AES-256, the latter with its initialisation segment.
///
/// Keys are `key*` beside the playlists.
pub static ENCRYPTED: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("encrypted");
    if !place.join("mp4").exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        by_ffmpeg(&work.path().join("ffmpeg"));
        rotated(&work.path().join("rotated"));
        under_aes_256(&work.path().join("aes256"), "ts");
        under_aes_256(&work.path().join("mp4"), "fmp4");
        // Fails if another process was faster, which has made the same.
        let _ = fs::rename(work.path(), &place);
    }
    place
});

/// An explicit vector.
const VECTOR: &str = "00112233445566778899aabbccddeeff";

/// What the segments of an encrypted stream are in plain, by openssl, joined.
pub fn plain(stream: &str) -> Vec<u8> {
    let (source, segments) = match stream {
        "rotated" => ("long", None),
        "aes256" => ("ts", None),
        _ => (stream, Some(ENCRYPTED.join(stream))),
    };
    let names = |path: &Path| {
        let text = fs::read_to_string(path.join("index.m3u8")).expect("a playlist");
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
    };
    match segments {
        None => {
            let path = STREAMS.join(source);
            names(&path).iter().flat_map(|name| fs::read(path.join(name)).expect("a segment")).collect()
        }
        Some(path) => {
            let key = fs::read(path.join("key")).expect("a key");
            names(&path).iter().flat_map(|name| openssl(&path.join(name), "-d", &key, VECTOR)).collect()
        }
    }
}

fn by_ffmpeg(place: &Path) {
    fs::create_dir_all(place).expect("a directory");
    fs::write(place.join("key"), [0x5a; 16]).expect("a key");
    fs::write(place.join("key.info"), format!("key\nkey\n{VECTOR}\n")).expect("what ffmpeg wants to know");
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-i"])
        .arg(STREAMS.join("ts/index.m3u8"))
        .args(["-c", "copy", "-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod"])
        .args(["-hls_key_info_file", "key.info", "-hls_segment_filename", "seg%03d.ts", "index.m3u8"])
        .current_dir(place)
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg encrypts");
}

fn rotated(place: &Path) {
    fs::create_dir_all(place).expect("a directory");
    let text = fs::read_to_string(STREAMS.join("long/index.m3u8")).expect("a playlist");
    let (mut out, mut number) = (String::new(), 0u8);
    for line in text.lines() {
        if line.starts_with("#EXTINF") {
            match number {
                25 => out.push_str("#EXT-X-KEY:METHOD=NONE\n"),
                28 => out.push_str("#EXT-X-KEY:METHOD=AES-128,URI=\"key2\"\n"),
                _ if number % 10 == 0 => {
                    let _ = writeln!(out, "#EXT-X-KEY:METHOD=AES-128,URI=\"key{}\"", number / 10);
                }
                _ => {}
            }
        }
        let _ = writeln!(out, "{line}");
        if line.starts_with('#') {
            continue;
        }
        let source = STREAMS.join("long").join(line);
        let bytes = match number {
            25..28 => fs::read(source).expect("a segment"),
            _ => {
                let key = [number / 10 + 1; 16];
                fs::write(place.join(format!("key{}", number / 10)), key).expect("a key");
                openssl(&source, "-e", &key, &format!("{number:032x}"))
            }
        };
        fs::write(place.join(line), bytes).expect("a segment");
        number += 1;
    }
    fs::write(place.join("index.m3u8"), out).expect("a playlist");
}

fn under_aes_256(place: &Path, stream: &str) {
    fs::create_dir_all(place).expect("a directory");
    let key: [u8; 32] = std::array::from_fn(|n| n as u8);
    fs::write(place.join("key"), key).expect("a key");
    let text = fs::read_to_string(STREAMS.join(stream).join("index.m3u8")).expect("a playlist");
    let tag = format!("#EXT-X-KEY:METHOD=AES-256,URI=\"key\",IV=0x{VECTOR}\n");
    let at = text.find("#EXT-X-MAP").or(text.find("#EXTINF")).expect("a playlist has segments");
    fs::write(place.join("index.m3u8"), format!("{}{tag}{}", &text[..at], &text[at..])).expect("a playlist");
    for entry in fs::read_dir(STREAMS.join(stream)).expect("the stream is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|extension| extension != "m3u8") {
            let bytes = openssl(&path, "-e", &key, VECTOR);
            fs::write(place.join(path.file_name().expect("a file has a name")), bytes).expect("a segment");
        }
    }
}

/// What openssl makes of a file; `direction` is `-e` or `-d`.
pub fn openssl(file: &Path, direction: &str, key: &[u8], vector: &str) -> Vec<u8> {
    let cipher = format!("-aes-{}-cbc", key.len() * 8);
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let output = Command::new("openssl")
        .args(["enc", &cipher, direction, "-K", &key, "-iv", vector, "-in"])
        .arg(file)
        .output()
        .expect("openssl is installed");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The system of a DRM that nobody has.
pub const NO_SYSTEM: &str = "01234567-89ab-cdef-0123-456789abcdef";

/// A film of video whose samples are encrypted by ffmpeg (`cenc`), in one file of fragments with an index: `v.mp4`, with
/// `m.mpd` and `index.m3u8` for it.
pub static SAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = STREAMS.join("samples");
    if !place.join("index.m3u8").exists() {
        let work = tempfile::tempdir_in(&*STREAMS).expect("a directory to work in");
        by_samples(work.path());
        let _ = fs::rename(work.path(), &place);
    }
    place
});

fn by_samples(place: &Path) {
    let status = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-i"])
        .arg(STREAMS.join("ts/index.m3u8"))
        .args(["-an", "-c:v", "copy", "-f", "mp4", "-movflags"])
        .arg("+frag_keyframe+global_sidx+dash+separate_moof+default_base_moof")
        .args(["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"])
        .args(["-encryption_kid", "a7e61c373e219033c21091fa607bf3b8", "v.mp4"])
        .current_dir(place)
        .status()
        .expect("ffmpeg is installed");
    assert!(status.success(), "ffmpeg encrypts samples");
    let file = fs::read(place.join("v.mp4")).expect("a file");
    let (init, index) = (super::dash::boxes(&file, b"moov"), super::dash::boxes(&file, b"sidx"));
    let addressing = format!(
        "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cenc\" \
         cenc:default_KID=\"a7e61c37-3e21-9033-c210-91fa607bf3b8\"/>\
         <ContentProtection schemeIdUri=\"urn:uuid:{NO_SYSTEM}\"><cenc:pssh>AAAA</cenc:pssh></ContentProtection>\
         <BaseURL>v.mp4</BaseURL><SegmentBase indexRange=\"{}-{}\"><Initialization range=\"0-{}\"/></SegmentBase>",
        index.start,
        index.end - 1,
        init.end - 1
    );
    fs::write(place.join("m.mpd"), super::dash::mpd("", super::media::DURATION, &addressing))
        .expect("an MPD");

    // Each fragment is a segment.
    let mut list = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,\
         URI=\"data:text/plain;base64,c2VjcmV0\",KEYFORMAT=\"urn:uuid:{NO_SYSTEM}\"\n\
         #EXT-X-MAP:URI=\"v.mp4\",BYTERANGE=\"{}@0\"\n",
        init.end
    );
    let mut at = index.end;
    while at + 8 < file.len() && &file[at + 4..at + 8] == b"moof" {
        let size = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize;
        let length = size(at) + size(at + size(at));
        let _ = write!(list, "#EXTINF:1,\n#EXT-X-BYTERANGE:{length}@{at}\nv.mp4\n");
        at += length;
    }
    list.push_str("#EXT-X-ENDLIST\n");
    fs::write(place.join("index.m3u8"), list).expect("a playlist");
}

/// The system of [`decryptor`].
pub const OWN_SYSTEM: &str = "89abcdef-0123-4567-89ab-cdef01234567";

/// An element that says that it decrypts for [`OWN_SYSTEM`]: without one that does, `qtdemux` gives nothing.
pub mod decryptor {
    use std::sync::{LazyLock, Once};

    use gst::prelude::*;
    use gst::subclass::prelude::*;

    #[derive(Default)]
    pub struct Decryptor;

    #[glib::object_subclass]
    impl ObjectSubclass for Decryptor {
        const NAME: &'static str = "TestDecryptor";
        type Type = Element;
        type ParentType = gst::Element;
    }

    impl ObjectImpl for Decryptor {}
    impl GstObjectImpl for Decryptor {}

    impl ElementImpl for Decryptor {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new("Decryptor", "Decryptor", "Of tests", "p2phls developers")
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let caps = gst::Caps::builder("application/x-cenc");
                let caps = caps.field("protection-system", super::OWN_SYSTEM).build();
                let template = |name, direction, caps: &gst::Caps| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
                        .expect("a template")
                };
                vec![
                    template("sink", gst::PadDirection::Sink, &caps),
                    template("src", gst::PadDirection::Src, &gst::Caps::new_any()),
                ]
            });
            &TEMPLATES
        }
    }

    glib::wrapper! {
        pub struct Element(ObjectSubclass<Decryptor>) @extends gst::Element, gst::Object;
    }

    pub fn register() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let rank = gst::Rank::PRIMARY;
            gst::Element::register(None, "testdecryptor", rank, Element::static_type())
                .expect("it registers");
        });
    }
}
