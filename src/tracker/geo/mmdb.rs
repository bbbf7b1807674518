// SPDX-License-Identifier: MPL-2.0

//! Databases in MaxMind's format, whatever their fields are called.
//!
//! MaxMind nests (`country.iso_code`, `location.latitude`); ip-location-db's files are flat
//! (`country_code`, `latitude`); ipinfo's hold numbers as strings (`asn` = "AS15169").

use std::net::IpAddr;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Facts, Reason};
use crate::tracker::place::{Country, Point};

/// A radius up to which a location says more than its country does, in kilometres.
const PRECISE: u16 = 100;

pub(super) struct Database(maxminddb::Reader<Vec<u8>>);

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.metadata().database_type)
    }
}

impl Database {
    pub fn read(path: &Path) -> Result<Self, Reason> {
        // Not mapped: a file that is written over in place would end the process.
        Ok(Self(maxminddb::Reader::open_readfile(path)?))
    }

    /// What it knows; nothing, too, for an address of the other version.
    pub fn find(&self, address: IpAddr) -> Facts {
        let record = self.0.lookup(address).and_then(|found| found.decode::<Record>());
        record.ok().flatten().map_or_else(Facts::default, Facts::from)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    autonomous_system_number: Option<Number>,
    asn: Option<Number>,
    as_number: Option<Number>,
    country: Option<CountryField>,
    country_code: Option<String>,
    city: Option<City>,
    latitude: Option<Number>,
    longitude: Option<Number>,
    location: Option<Location>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CountryField {
    Code(String),
    Nested { iso_code: Option<String> },
    Other(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum City {
    Name(String),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Location {
    Nested { latitude: Option<f32>, longitude: Option<f32>, accuracy_radius: Option<u16> },
    Other(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Float(f64),
    Text(String),
    Other(IgnoredAny),
}

impl Number {
    fn float(&self) -> Option<f32> {
        match self {
            Self::Float(number) => Some(*number as f32),
            Self::Text(text) => text.parse().ok(),
            Self::Other(_) => None,
        }
    }

    fn asn(&self) -> Option<u32> {
        let number = match self {
            Self::Float(number) => *number as u32,
            Self::Text(text) => text.trim_start_matches("AS").parse().ok()?,
            Self::Other(_) => return None,
        };
        (number != 0).then_some(number)
    }
}

impl From<Record> for Facts {
    fn from(record: Record) -> Self {
        let asn = [&record.autonomous_system_number, &record.asn, &record.as_number]
            .into_iter()
            .flatten()
            .find_map(Number::asn);
        let country = match &record.country {
            Some(CountryField::Code(code)) => Some(code.as_str()),
            Some(CountryField::Nested { iso_code }) => iso_code.as_deref(),
            Some(CountryField::Other(_)) | None => None,
        };
        let country =
            country.and_then(Country::new).or_else(|| Country::new(record.country_code.as_deref()?));

        // Without a city, the point is the middle of the country, where nobody is.
        let has_city = record.city.is_some_and(|city| !matches!(city, City::Name(name) if name.is_empty()));
        let float = |number: &Option<Number>| number.as_ref().and_then(Number::float);
        let (latitude, longitude, precise) = match record.location {
            Some(Location::Nested { latitude, longitude, accuracy_radius }) => {
                let precise = accuracy_radius.map_or(has_city, |radius| has_city || radius <= PRECISE);
                (latitude, longitude, precise)
            }
            Some(Location::Other(_)) | None => (float(&record.latitude), float(&record.longitude), has_city),
        };
        let point = latitude.zip(longitude).filter(|_| precise);
        Self { asn, country, point: point.and_then(|(latitude, longitude)| Point::new(latitude, longitude)) }
    }
}
