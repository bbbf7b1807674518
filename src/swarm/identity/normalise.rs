// SPDX-License-Identifier: MPL-2.0

//! The forms in which p2p-media-loader 2.3 compares properties, so that two manifests which say the
//! same in different words give one swarm.

/// `avc1.66.30,MP4A.40.2` becomes `avc1.42001e,mp4a.40.2`: lower case, sorted, and the decimal AVC
/// names of old manifests in today's hexadecimal.
pub(super) fn codecs(codecs: &str) -> String {
    if codecs.is_empty() {
        return String::new();
    }
    let mut codecs: Vec<String> =
        codecs.split(',').map(|codec| modern_avc(codec.trim().to_lowercase())).collect();
    codecs.sort_unstable();
    codecs.join(",")
}

fn modern_avc(codec: String) -> String {
    let mut parts = codec.split('.');
    let (Some("avc1" | "avc"), Some(profile), Some(level), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return codec;
    };
    match (canonical_decimal(profile), canonical_decimal(level)) {
        (Some(profile), Some(level)) => format!("avc1.{profile:02x}00{level:02x}"),
        _ => codec,
    }
}

fn canonical_decimal(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

/// The first two characters; nothing for `und`.
pub(super) fn language(language: &str) -> String {
    if language == "und" {
        return String::new();
    }
    language.chars().take(2).collect::<String>().to_lowercase()
}

/// The count without qualities such as `/JOC`.
pub(super) fn channels(channels: &str) -> String {
    channels.split_once('/').map_or(channels, |(count, _)| count).to_owned()
}

pub(super) fn name(name: &str) -> String {
    name.to_lowercase().trim().to_owned()
}

/// The number in its shortest form, `30.000` as `30`; nothing when it is not one.
pub(super) fn frame_rate(text: &str) -> String {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number != 0.0);
    number.map(|number| number.to_string()).unwrap_or_default()
}

pub(super) fn video_range(range: &str) -> String {
    range.to_uppercase().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_modern_and_sorted() {
        for (given, wanted) in [
            ("", ""),
            (" MP4A.40.2 , avc1.66.30", "avc1.42001e,mp4a.40.2"),
            ("avc.100.41", "avc1.640029"),
            ("avc1.066.30", "avc1.066.30"),
            ("avc1.66", "avc1.66"),
            ("avc1.66.30.1", "avc1.66.30.1"),
            ("avc1.64001F", "avc1.64001f"),
        ] {
            assert_eq!(codecs(given), wanted);
        }
    }

    #[test]
    fn texts_are_normalised() {
        assert_eq!(language("und"), "");
        assert_eq!(language("UND"), "un");
        assert_eq!(language("en-US"), "en");
        assert_eq!(language("é"), "é");
        assert_eq!(channels("16/JOC"), "16");
        assert_eq!(name(" Main "), "main");
        assert_eq!(video_range(" pq"), "PQ");
    }

    #[test]
    fn frame_rates_are_short() {
        for (given, wanted) in [
            ("30.000", "30"),
            ("59.940", "59.94"),
            ("0", ""),
            ("", ""),
            ("fast", ""),
            ("NaN", ""),
            ("inf", ""),
        ] {
            assert_eq!(frame_rate(given), wanted);
        }
    }
}
