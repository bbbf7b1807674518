// SPDX-License-Identifier: MPL-2.0

//! Media whose samples are encrypted (Common Encryption, ISO/IEC 23001-7) goes downstream as it is. What the
//! manifest has for decryptors goes before it, as protection events. `qtdemux` passes them on, with those that it
//! makes of `pssh` boxes, and gives its pads the caps `application/x-cenc`, which a decryptor takes.

use crate::manifest::Protection;

/// DRM systems by their UUIDs, for people.
const NAMES: [(&str, &str); 5] = [
    // The common system of the W3C, whose boxes say no more than the ids of keys.
    ("1077efec-c0b2-4d02-ace3-3c1e52e2fb4b", "ClearKey"),
    ("94ce86fb-07ff-4f43-adb8-93d2fa968ca2", "FairPlay"),
    ("9a04f079-9840-4286-ab92-e65be0885f95", "PlayReady"),
    ("e2719d58-a985-b3c9-781a-b030af78d30e", "ClearKey"),
    ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "Widevine"),
];

pub fn event(protection: &Protection, seqnum: gst::Seqnum) -> gst::Event {
    let data = gst::Buffer::from_slice(protection.data.clone());
    let event = gst::event::Protection::builder(&protection.system_id, &data);
    event.origin(protection.origin).seqnum(seqnum).build()
}

/// What to tell a user who has no element that could decrypt for one of these DRM systems; None: there is one.
/// Where the manifest names no system, any will do.
pub fn missing_decryptor(protections: &[Protection]) -> Option<String> {
    let decryptors =
        gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECRYPTOR, gst::Rank::MARGINAL);
    let decrypts = |factory: gst::ElementFactory| {
        let sinks = factory.static_pad_templates();
        let sinks = sinks.iter().filter(|template| template.direction() == gst::PadDirection::Sink);
        sinks.flat_map(|template| systems(&template.caps())).collect::<Vec<String>>()
    };
    let mut known = decryptors.into_iter().map(decrypts).peekable();
    if protections.is_empty() && known.peek().is_some() {
        return None;
    }
    let wanted = |system: &String| protections.iter().any(|p| p.system_id.eq_ignore_ascii_case(system));
    if known.flatten().any(|system| wanted(&system)) {
        return None;
    }
    let mut names: Vec<String> = protections.iter().map(name).collect();
    names.dedup();
    let of = if names.is_empty() { String::new() } else { format!(" for {}", names.join(" or ")) };
    Some(format!(
        "The stream is encrypted{of}, and there is no GStreamer element that decrypts that (application/x-cenc): it \
         goes downstream as it is"
    ))
}

/// The systems that caps name.
fn systems(caps: &gst::Caps) -> Vec<String> {
    caps.iter().filter_map(|caps| caps.get::<String>("protection-system").ok()).collect()
}

fn name(protection: &Protection) -> String {
    let known = NAMES.iter().find(|(system, _)| *system == protection.system_id);
    known.map_or_else(|| protection.system_id.clone(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protection(system: &str) -> Protection {
        Protection { system_id: system.to_owned(), data: b"data".to_vec(), origin: "dash/mpd" }
    }

    #[test]
    fn a_protection_becomes_an_event() {
        gst::init().expect("GStreamer starts");
        let event = event(&protection("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"), gst::Seqnum::next());
        let gst::EventView::Protection(event) = event.view() else { panic!("{event:?}") };
        let (system, data, origin) = event.get();
        assert_eq!((system, origin), ("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", Some("dash/mpd")));
        assert_eq!(data.map_readable().expect("bytes").as_slice(), b"data");
    }

    #[test]
    fn users_hear_which_decryptor_is_missing() {
        gst::init().expect("GStreamer starts");
        let systems =
            ["edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "00000000-0000-0000-0000-000000000000"].map(protection);
        let missing = missing_decryptor(&systems[1..]).expect("nobody has that");
        assert!(missing.contains("for 00000000-0000-0000-0000-000000000000"), "{missing}");
        if let Some(missing) = missing_decryptor(&systems) {
            assert!(missing.contains("for Widevine or 0000"), "{missing}");
        }
    }
}
