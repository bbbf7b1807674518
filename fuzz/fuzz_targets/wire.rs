// SPDX-License-Identifier: MPL-2.0

//! What a peer may send: any messages, among them parts of commands in any order.

#![no_main]

use bytes::Bytes;
use gstp2phls::swarm::wire::{Decoded, Decoder, MAX_MESSAGE, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|messages: Vec<(u8, Vec<u8>)>| {
    let mut decoder = Decoder::new();
    for (marks, body) in messages {
        let start: &[u8] = [&b"cstr"[..], b"dstr", b""][usize::from(marks & 3).min(2)];
        let end: &[u8] = [&b"cend"[..], b"dend", b""][usize::from(marks >> 2 & 3).min(2)];
        let message = Bytes::from([start, &body, end].concat());
        if let Ok(Decoded::Command(command)) = decoder.decode(&message) {
            // What can be said can be repeated.
            let mut other = Decoder::new();
            let repeated = encode(&command, MAX_MESSAGE).iter().map(|part| other.decode(part)).last();
            assert!(matches!(repeated, Some(Ok(Decoded::Command(_)))), "{command:?}: {repeated:?}");
        }
    }
});
