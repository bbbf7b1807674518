// SPDX-License-Identifier: MPL-2.0

//! A command's fields as they were read: each named by a letter, in any order.

use super::WireError;
use super::value::{Value, take_value};
use crate::swarm::segment_id::SegmentId;

/// The fields that any command known here uses; others are read past. Of a field that comes twice the
/// last counts, as in browsers.
#[derive(Default)]
pub(super) struct Fields<'a> {
    values: [Option<Value<'a>>; NAMES.len()],
}

/// Browsers read fields into an object whose `c` is the command's type: no field may have that name.
const NAMES: [u8; 9] = *b"lphnirbsw";

impl<'a> Fields<'a> {
    pub fn read(mut input: &'a [u8]) -> Result<Self, WireError> {
        let mut fields = Self::default();
        while let Some((name, rest)) = input.split_first() {
            input = rest;
            let value = take_value(&mut input)?;
            if let Some(place) = fields.place(*name) {
                *place = Some(value);
            }
        }
        Ok(fields)
    }

    /// A whole number that must be there and not negative.
    pub fn number(&mut self, name: u8) -> Result<u64, WireError> {
        self.optional_number(name)?.ok_or(WireError::MissingField(name))
    }

    pub fn optional_number(&mut self, name: u8) -> Result<Option<u64>, WireError> {
        let number = self.integer(name)?;
        number.map(|n| u64::try_from(n).map_err(|_| WireError::Negative(name))).transpose()
    }

    pub fn segment(&mut self, name: u8) -> Result<SegmentId, WireError> {
        self.integer(name)?.map(SegmentId).ok_or(WireError::MissingField(name))
    }

    /// A list, empty when absent.
    pub fn ids(&mut self, name: u8) -> Result<Vec<SegmentId>, WireError> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Ids(ids)) => Ok(ids),
            Some(_) => Err(WireError::WrongKind(name)),
        }
    }

    /// Text, absent also when it is not UTF-8 or not text at all: what only a private field holds is
    /// no reason to drop a command.
    pub fn text(&mut self, name: u8) -> Option<&'a str> {
        match self.take(name) {
            Some(Value::String(bytes)) => str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn integer(&mut self, name: u8) -> Result<Option<i64>, WireError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(number)),
            Some(_) => Err(WireError::WrongKind(name)),
        }
    }

    fn take(&mut self, name: u8) -> Option<Value<'a>> {
        self.place(name)?.take()
    }

    fn place(&mut self, name: u8) -> Option<&mut Option<Value<'a>>> {
        let index = NAMES.iter().position(|known| *known == name)?;
        self.values.get_mut(index)
    }
}
