// SPDX-License-Identifier: MPL-2.0

//! What a viewer may send a tracker and a tracker a viewer.

#![no_main]

use gstp2phls::swarm::tracker_messages::{ClientMessage, TrackerMessage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    // What can be read can be written and read again.
    if let Ok((message, extras)) = ClientMessage::parse_with_extras(message) {
        let json = message.to_json_with(&extras);
        let (again, said) = ClientMessage::parse_with_extras(json.as_bytes()).expect("our own message");
        assert_eq!(again, message);
        if matches!(message, ClientMessage::Announce(_)) {
            assert_eq!(said, extras);
        }
    }
    if let Ok(message) = TrackerMessage::parse(message) {
        let _ = TrackerMessage::parse(message.to_json().as_bytes());
    }
});
