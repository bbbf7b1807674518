// SPDX-License-Identifier: MPL-2.0

//! Fields that never fail to be read.
//!
//! One odd field must not hide the others: an error is of use to a client only if it carries the
//! info hash of the same message. So each of these takes any JSON value, keeps what it can use,
//! and leaves the judgement to the message.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{MAX_OFFERS, MAX_SCRAPE};
use crate::swarm::ids::{ID_LENGTH, OfferId};

/// A string; anything else counts as missing.
#[derive(Default)]
pub(super) struct Text(pub Option<String>);

/// A number, or a string that holds one; anything else counts as missing.
#[derive(Clone, Copy, Default)]
pub(super) struct Number(pub Option<f64>);

impl Number {
    /// Cut to what fits, so that no number is too large to be used.
    pub fn saturating_u32(self) -> Option<u32> {
        self.0.map(|number| number as u32)
    }
}

/// Something that should be a 20-byte id.
#[derive(Default)]
pub(super) enum Id {
    #[default]
    Absent,
    Bytes([u8; ID_LENGTH]),
    /// Not an id. The text is kept, if short, because its sender may wait for an error about it.
    Other(String),
}

/// Longest wrong id that is echoed, in bytes; a hash in hexadecimal has 40.
const MAX_ECHO: usize = 64;

impl Id {
    pub fn bytes(&self) -> Option<[u8; ID_LENGTH]> {
        match self {
            Self::Bytes(bytes) => Some(*bytes),
            _ => None,
        }
    }

    /// The text as it was sent, or nothing.
    pub fn echo(&self) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Bytes(bytes) => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Self::Other(text) => text.clone(),
        }
    }
}

/// One id or a list of them, up to [`MAX_SCRAPE`].
#[derive(Default)]
pub(super) enum Ids {
    #[default]
    Absent,
    One(Id),
    Many(Vec<Id>),
    TooMany,
}

/// An `event`, whose absence and null mean the same.
#[derive(Default)]
pub(super) enum Event {
    #[default]
    Absent,
    Text(String),
    Other,
}

/// Up to [`MAX_OFFERS`] elements of a list; what is not a list counts as missing.
pub(super) struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// An object; anything else counts as missing.
pub(super) struct Object<T>(pub Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// What a field makes of each kind of JSON value. Without a method of its own, a kind counts as
/// not usable.
trait Field<'de>: Sized {
    fn unusable() -> Self;

    fn null() -> Self {
        Self::unusable()
    }

    fn text(_text: &str) -> Self {
        Self::unusable()
    }

    fn owned_text(text: String) -> Self {
        Self::text(&text)
    }

    fn number(_number: f64) -> Self {
        Self::unusable()
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self::unusable())
    }

    fn object<A: MapAccess<'de>>(mut object: A) -> Result<Self, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::unusable())
    }
}

struct FieldVisitor<T>(PhantomData<T>);

impl<'de, T: Field<'de>> Visitor<'de> for FieldVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<T, E> {
        Ok(T::null())
    }

    fn visit_bool<E>(self, _: bool) -> Result<T, E> {
        Ok(T::unusable())
    }

    fn visit_i64<E>(self, number: i64) -> Result<T, E> {
        Ok(T::number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<T, E> {
        Ok(T::number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<T, E> {
        Ok(T::number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok(T::text(text))
    }

    fn visit_string<E>(self, text: String) -> Result<T, E> {
        Ok(T::owned_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<T, A::Error> {
        T::list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<T, A::Error> {
        T::object(object)
    }
}

macro_rules! deserialize_field {
    ($($field:ident $(<$parameter:ident>)?),*) => {$(
        impl<'de $(, $parameter: Deserialize<'de>)?> Deserialize<'de> for $field $(<$parameter>)? {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(FieldVisitor(PhantomData))
            }
        }
    )*};
}

deserialize_field!(Text, Number, Id, Ids, Event, List<T>, Object<T>);

impl Field<'_> for Text {
    fn unusable() -> Self {
        Self(None)
    }

    fn text(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }

    fn owned_text(text: String) -> Self {
        Self(Some(text))
    }
}

impl Field<'_> for Number {
    fn unusable() -> Self {
        Self(None)
    }

    fn text(text: &str) -> Self {
        Self(text.trim().parse().ok().filter(|number: &f64| number.is_finite()))
    }

    fn number(number: f64) -> Self {
        Self(Some(number))
    }
}

impl Field<'_> for Id {
    fn unusable() -> Self {
        Self::Other(String::new())
    }

    fn null() -> Self {
        Self::Absent
    }

    fn text(text: &str) -> Self {
        match OfferId::from_binary_string(text) {
            Ok(id) => Self::Bytes(id.0),
            Err(_) if text.len() <= MAX_ECHO => Self::Other(text.to_owned()),
            Err(_) => Self::unusable(),
        }
    }
}

impl<'de> Field<'de> for Ids {
    fn unusable() -> Self {
        Self::One(Id::unusable())
    }

    fn null() -> Self {
        Self::Absent
    }

    fn text(text: &str) -> Self {
        Self::One(Id::text(text))
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut ids = Vec::new();
        while let Some(id) = list.next_element()? {
            if ids.len() == MAX_SCRAPE {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(Self::TooMany);
            }
            ids.push(id);
        }
        Ok(Self::Many(ids))
    }
}

impl Field<'_> for Event {
    fn unusable() -> Self {
        Self::Other
    }

    fn null() -> Self {
        Self::Absent
    }

    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<'de, T: Deserialize<'de>> Field<'de> for List<T> {
    fn unusable() -> Self {
        Self::default()
    }

    fn list<A: SeqAccess<'de>>(mut list: A) -> Result<Self, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < MAX_OFFERS {
            match list.next_element()? {
                Some(element) => elements.push(element),
                None => return Ok(Self(elements)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Self(elements))
    }
}

impl<'de, T: Deserialize<'de>> Field<'de> for Object<T> {
    fn unusable() -> Self {
        Self::default()
    }

    fn object<A: MapAccess<'de>>(object: A) -> Result<Self, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(object)).map(|value| Self(Some(value)))
    }
}
