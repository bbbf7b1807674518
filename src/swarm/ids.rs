// SPDX-License-Identifier: MPL-2.0

//! The 20-byte identifiers that viewers and trackers know each other by.
//!
//! In JSON they travel as *binary strings*: 20 characters, each of which is one byte as the code
//! point U+0000 to U+00FF. Anything else, such as 19 characters or a code point above U+00FF, is
//! refused, because cutting or padding it would name another swarm or viewer.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Bytes in each of the identifiers.
pub const ID_LENGTH: usize = 20;

/// A string that is not 20 characters of one byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a binary string of {ID_LENGTH} characters U+0000 to U+00FF")]
pub struct NotAnId;

/// Reads a binary string; the length and each character have to be right.
fn decode(text: &str) -> Result<[u8; ID_LENGTH], NotAnId> {
    let mut bytes = [0; ID_LENGTH];
    let mut characters = text.chars();
    for byte in &mut bytes {
        *byte = characters.next().and_then(|c| u8::try_from(c).ok()).ok_or(NotAnId)?;
    }
    characters.next().is_none().then_some(bytes).ok_or(NotAnId)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; ID_LENGTH]);

        impl $name {
            /// Reads the form used in JSON: 20 characters, each of which is one byte.
            pub fn from_binary_string(text: &str) -> Result<Self, NotAnId> {
                decode(text).map(Self)
            }

            /// The form used in JSON.
            pub fn to_binary_string(&self) -> String {
                self.0.iter().map(|byte| char::from(*byte)).collect()
            }

            pub fn as_bytes(&self) -> &[u8; ID_LENGTH] {
                &self.0
            }
        }

        impl From<[u8; ID_LENGTH]> for $name {
            fn from(bytes: [u8; ID_LENGTH]) -> Self {
                Self(bytes)
            }
        }

        /// Printable ASCII as it is, everything else as an escape: safe in a log line.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.escape_ascii().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_binary_string())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl de::Visitor<'_> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(f, "a binary string of {ID_LENGTH} characters")
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::from_binary_string(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Visitor)
            }
        }
    };
}

id! {
    /// Names a swarm.
    InfoHash
}

id! {
    /// Names a viewer within a swarm.
    PeerId
}

id! {
    /// Names one WebRTC offer; chosen at random by the viewer who makes it.
    OfferId
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_survives_json(bytes: [u8; ID_LENGTH]) {
            let id = OfferId(bytes);
            let json = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<OfferId>(&json).unwrap(), id);
        }
    }

    #[test]
    fn refuses_other_lengths_and_wide_characters() {
        for text in ["", "aaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaĀ"] {
            assert_eq!(PeerId::from_binary_string(text), Err(NotAnId), "{text:?}");
        }
        assert!(serde_json::from_str::<InfoHash>("12").is_err());
        assert!(serde_json::from_str::<InfoHash>("null").is_err());
    }

    #[test]
    fn shows_itself_in_one_line() {
        let mut bytes = *b"-PM0203-abcdefghijkl";
        bytes[8] = 0xff;
        bytes[9] = b'\n';
        assert_eq!(PeerId(bytes).to_string(), r"-PM0203-\xff\ncdefghijkl");
    }
}
