// SPDX-License-Identifier: MPL-2.0

//! Attribute lists: RFC 8216bis 4.2.

use std::time::Duration;

use url::Url;

use super::addresses::Addresses;
use super::values;

/// Most attributes of a tag; the RFC knows some twenty.
const MAX_ATTRIBUTES: usize = 1_000;

/// The attributes of one tag.
///
/// Lenient where playlists are sloppy: spaces round names and values, a quote that is never
/// closed (it ends with the line), attributes without a value (left out) and empty ones (as good
/// as absent). What comes after [`MAX_ATTRIBUTES`] is left out. Of an attribute that comes twice,
/// the last counts, as in browsers.
pub(super) struct Attributes<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Attributes<'a> {
    pub fn parse(text: &'a str) -> Self {
        let mut list = Vec::new();
        let mut rest = text;
        while let Some(end) = rest.find(['=', ',']).filter(|_| list.len() < MAX_ATTRIBUTES) {
            let (name, tail) = (rest[..end].trim(), &rest[end + 1..]);
            if rest.as_bytes()[end] == b',' {
                rest = tail;
                continue;
            }
            let value;
            (value, rest) = match tail.trim_start().strip_prefix('"') {
                Some(quoted) => {
                    let (value, tail) = quoted.split_once('"').unwrap_or((quoted, ""));
                    (value, tail.split_once(',').map_or("", |(_, rest)| rest))
                }
                None => {
                    let (value, rest) = tail.split_once(',').unwrap_or((tail, ""));
                    (value.trim(), rest)
                }
            };
            list.push((name, value));
        }
        Self(list)
    }

    /// Names and values in the order of the tag.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }

    /// Whether it is there, and be it empty.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| *n == name)
    }

    /// The value without its quotes; None where it is absent or empty.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .rev()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| *value)
            .filter(|value| !value.is_empty())
    }

    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    pub fn seconds(&self, name: &str) -> Option<Duration> {
        self.get(name).and_then(values::seconds)
    }

    pub fn unsigned(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(values::unsigned)
    }

    /// The URL; None where it is absent or makes none.
    pub fn url(&self, name: &str, addresses: &Addresses) -> Option<Url> {
        addresses.optional(self.get(name)?)
    }

    /// Whether the value is YES; some packagers write it in lower case.
    pub fn yes(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("YES"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_sloppy_lists() {
        for (text, expected) in [
            ("", vec![]),
            ("A=1", vec![("A", "1")]),
            ("A=1,B=\"x,y=z\",C=3", vec![("A", "1"), ("B", "x,y=z"), ("C", "3")]),
            (" A = 1 , B = \"x\" , C=3", vec![("A", "1"), ("B", "x"), ("C", "3")]),
            ("A=\"never closed,B=2", vec![("A", "never closed,B=2")]),
            ("A,B=2,,C", vec![("B", "2")]),
            ("A=\"x\"junk,B=2", vec![("A", "x"), ("B", "2")]),
            ("A=a=b,B=", vec![("A", "a=b"), ("B", "")]),
            ("A=\"", vec![("A", "")]),
            ("METHOD", vec![]),
        ] {
            assert_eq!(Attributes::parse(text).0, expected, "{text:?}");
        }
    }

    #[test]
    fn an_empty_value_is_none_and_the_last_of_two_counts() {
        let list = Attributes::parse("A=1,A=2,B=\"\",C=yes");
        assert_eq!(list.get("A"), Some("2"));
        assert_eq!(list.get("B"), None);
        assert!(list.yes("C"));
        assert!(!list.yes("A"));
    }
}
