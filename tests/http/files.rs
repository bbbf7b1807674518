// SPDX-License-Identifier: MPL-2.0

//! Playlists that are files of this machine; and that nobody but the user makes the element read one.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use url::Url;

use crate::raw::{self, Raw};
use crate::session::{Played, play};

fn url_of(path: &Path) -> Url {
    Url::from_file_path(path).expect("an absolute path")
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

fn segment(number: u8) -> Vec<u8> {
    (0..200_000u32).map(|n| (n / 7) as u8 ^ number.wrapping_mul(31)).collect()
}

/// Plays this playlist as a file in `at`.
fn play_local(at: &Path, text: &str) -> Played {
    std::fs::write(at.join("list"), text).expect("a playlist");
    play(url_of(&at.join("list")))
}

fn hls(lines: &str) -> String {
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n{lines}#EXT-X-ENDLIST\n")
}

#[test]
fn a_local_playlist_plays_files_and_what_it_names_elsewhere() {
    let server = Raw::serve(|_| raw::whole(&segment(2)));
    let at = directory();
    for number in 0..2 {
        std::fs::write(at.path().join(format!("{number} ä.ts")), segment(number)).expect("a segment");
    }
    let list = hls(&format!(
        "#EXTINF:4,\n0%20ä.ts\n#EXTINF:4,\n{}\n#EXTINF:4,\n{}\n",
        url_of(&at.path().join("1 ä.ts")),
        server.url("2")
    ));
    let played = play_local(at.path(), &list);
    assert_eq!(played.error, None);
    assert!(played.bytes == (0..3).flat_map(segment).collect::<Vec<u8>>(), "{} bytes", played.bytes.len());
    assert_eq!(server.asked("/2").len(), 1);
}

#[test]
fn parts_of_files_are_read() {
    let at = directory();
    std::fs::write(at.path().join("all"), segment(0)).expect("a segment");
    let list =
        hls("#EXT-X-MAP:URI=\"all\",BYTERANGE=\"500@0\"\n#EXTINF:4,\n#EXT-X-BYTERANGE:99500@500\nall\n\
         #EXTINF:4,\n#EXT-X-BYTERANGE:100000\nall\n");
    let played = play_local(at.path(), &list);
    assert_eq!((played.error, played.inits), (None, vec![segment(0)[..500].to_vec().into()]));
    assert!(played.bytes == segment(0)[500..], "{} bytes", played.bytes.len());
}

#[test]
fn a_live_playlist_is_loaded_again() {
    let at = directory();
    let list = at.path().join("list");
    let text = |server: &str, rest: &str| {
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://{server}/0\n{rest}")
    };
    let place = list.clone();
    let server = Raw::serve(move |asked| {
        if asked.path == "/0" {
            // The publisher goes on.
            let host = asked.header("host").expect("a host");
            let rest = format!("#EXTINF:1,\nhttp://{host}/1\n#EXT-X-ENDLIST\n");
            std::fs::write(place.with_extension("new"), text(host, &rest)).expect("a playlist");
            std::fs::rename(place.with_extension("new"), &place).expect("it takes the old one's place");
        }
        raw::whole(&segment(u8::from(asked.path == "/1")))
    });
    let address = server.url("");
    let host = format!("127.0.0.1:{}", address.port().expect("a port"));
    std::fs::write(&list, text(&host, "")).expect("a playlist");
    let played = play(url_of(&list));
    assert_eq!(played.error, None);
    assert!(played.bytes == [segment(0), segment(1)].concat(), "{} bytes", played.bytes.len());
}

#[test]
fn what_is_no_file_with_an_end_is_refused() {
    let at = directory();
    assert!(Command::new("mkfifo").arg(at.path().join("pipe")).status().expect("mkfifo runs").success());
    std::fs::create_dir(at.path().join("folder")).expect("a directory");
    for (name, why) in [
        ("pipe", "no regular file"),
        ("folder", "no regular file"),
        ("/dev/zero", "no regular file"),
        ("missing", "No such file"),
        ("//elsewhere/file", "on another host"),
        ("%00", "file"),
    ] {
        let error = play_local(at.path(), &hls(&format!("#EXTINF:4,\n{name}\n"))).error.expect(name);
        assert!(error.contains(why), "{name}: {error}");
    }
    let error = play(url_of(&at.path().join("pipe"))).error.expect("an error");
    assert!(error.contains("no regular file"), "{error}");
    // Of what is too large for a playlist, no more is read than for one.
    let sparse = std::fs::File::create(at.path().join("huge")).expect("a file");
    sparse.set_len(1 << 40).expect("room for nothing");
    let error = play(url_of(&at.path().join("huge"))).error.expect("an error");
    assert!(error.contains("larger than"), "{error}");
}

/// What a manifest may name with an address.
const MANIFESTS: [(&str, &str); 9] = [
    ("segment", "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{files}secret\n#EXT-X-ENDLIST\n"),
    (
        "key",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-KEY:METHOD=AES-128,URI=\"{files}key\"\n#EXTINF:4,\n{server}some\n\
         #EXT-X-ENDLIST\n",
    ),
    (
        "init",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"{files}secret\"\n#EXTINF:4,\n{server}some\n#EXT-X-ENDLIST\n",
    ),
    ("media playlist", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{files}leak.m3u8\n"),
    (
        "steering",
        "#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI=\"{files}steering\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n\
         {files}leak.m3u8\n",
    ),
    (
        "BaseURL",
        "<MPD mediaPresentationDuration=\"PT4S\"><BaseURL>{files}</BaseURL><Period><AdaptationSet \
         mimeType=\"video/mp4\"><SegmentTemplate media=\"secret\" duration=\"4\"/><Representation id=\"v\" \
         bandwidth=\"1\"/></AdaptationSet></Period></MPD>",
    ),
    (
        "media",
        "<MPD mediaPresentationDuration=\"PT4S\"><Period><AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate \
         media=\"{files}secret\" duration=\"4\"/><Representation id=\"v\" bandwidth=\"1\"/></AdaptationSet></Period></MPD>",
    ),
    (
        "index",
        "<MPD mediaPresentationDuration=\"PT4S\"><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"v\" \
         bandwidth=\"1\"><BaseURL>{files}secret</BaseURL><SegmentBase indexRange=\"0-99\"/></Representation>\
         </AdaptationSet></Period></MPD>",
    ),
    (
        "xlink",
        "<MPD mediaPresentationDuration=\"PT4S\" xmlns:xlink=\"http://www.w3.org/1999/xlink\"><Period \
         xlink:href=\"{files}leak.xml\" xlink:actuate=\"onLoad\"/></MPD>",
    ),
];

/// Files that are nobody's business: they give themselves away in what is played, or lead to `/leaked`.
fn secrets(at: &Path, server: &Url) {
    let write = |name: &str, text: String| std::fs::write(at.join(name), text).expect("a file");
    write("secret", "SECRET".repeat(1000));
    write("key", "SECRETSECRETSECR".to_owned());
    write("leak.m3u8", hls(&format!("#EXTINF:4,\n{server}leaked\n")));
    let period = format!(
        "<Period duration=\"PT4S\"><AdaptationSet mimeType=\"video/mp4\"><SegmentTemplate media=\"{server}leaked\" \
         duration=\"4\"/><Representation id=\"v\" bandwidth=\"1\"/></AdaptationSet></Period>"
    );
    write("leak.xml", period);
}

/// Whether anything that stands in the files has come out.
fn gives_away(played: &Played, server: &Raw) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"SECRET");
    holds(&played.bytes)
        || played.inits.iter().any(|init| holds(init))
        || !server.asked("/leaked").is_empty()
        // The key was read: it is another one.
        || played.error.as_ref().is_some_and(|error| error.contains("cannot be decrypted"))
        // The index was read: it is none.
        || played.error.as_ref().is_some_and(|error| error.contains("sidx"))
}

/// A server with manifests that name files of `at`, by their places in [`MANIFESTS`].
fn hostile(at: &Path) -> (Raw, Arc<OnceLock<(String, String)>>) {
    let addresses: Arc<OnceLock<(String, String)>> = Arc::default();
    let known = addresses.clone();
    let server = Raw::serve(move |asked| {
        let (files, server) = known.get().expect("addresses are known by now");
        let fill = |text: &str| text.replace("{files}", files).replace("{server}", server);
        let number = asked.path.trim_start_matches('/').parse::<usize>().ok();
        match (asked.path.as_str(), number.and_then(|n| MANIFESTS.get(n))) {
            (_, Some((_, text))) => raw::whole(fill(text).as_bytes()),
            ("/moved", _) => raw::response("302 Found", &format!("Location: {files}leak.m3u8\r\n"), b""),
            ("/some.m3u8", _) => raw::whole(
                fill("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{server}moved\n#EXT-X-ENDLIST\n")
                    .as_bytes(),
            ),
            _ => raw::whole(&[0; 1008]),
        }
    });
    let files = format!("{}/", url_of(at));
    addresses.set((files, server.url("").to_string())).expect("set once");
    (server, addresses)
}

#[test]
fn what_comes_over_http_reads_no_file() {
    let at = directory();
    for (number, (what, text)) in MANIFESTS.iter().enumerate() {
        let (server, addresses) = hostile(at.path());
        secrets(at.path(), &server.url(""));
        let played = play(server.url(&number.to_string()));
        assert!(!gives_away(&played, &server), "{what}: {:?}", played.error);
        let error = played.error.unwrap_or_default();
        assert!(error.contains("no file is read") || *what == "xlink", "{what}: {error}");
        // The same as a file of the user's, which shows that it would be found out.
        let (files, at_server) = addresses.get().expect("set above");
        let played = play_local(at.path(), &text.replace("{files}", files).replace("{server}", at_server));
        assert!(gives_away(&played, &server), "{what}: {:?}", played.error);
    }
}

#[test]
fn a_redirect_leads_to_no_file() {
    let at = directory();
    let (server, _) = hostile(at.path());
    secrets(at.path(), &server.url(""));
    for path in ["moved", "some.m3u8"] {
        let played = play(server.url(path));
        assert!(!gives_away(&played, &server), "{path}");
        assert!(played.error.is_some(), "{path}");
    }
}

/// A local presentation may name playlists elsewhere, but these name no files.
#[test]
fn files_are_read_no_more_once_a_playlist_came_over_http() {
    let at = directory();
    let (server, _) = hostile(at.path());
    secrets(at.path(), &server.url(""));
    let list = format!("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{}\n", server.url("0"));
    let played = play_local(at.path(), &list);
    assert!(!gives_away(&played, &server));
    assert!(
        played.error.as_ref().is_some_and(|error| error.contains("no file is read")),
        "{:?}",
        played.error
    );
}
