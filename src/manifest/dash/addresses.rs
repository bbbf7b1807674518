// SPDX-License-Identifier: MPL-2.0

//! The addresses of a representation's segments.

use url::Url;

use super::DashError;
use super::mpd::{Base, Period, Representation};
use super::query;
use super::segments::{Index, InitSource, SegmentTime, Source};
use super::template::Values;
use crate::manifest::ByteRange;
use crate::manifest::error::shorten;

/// Where something is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub url: Url,
    /// None: all of it.
    pub byte_range: Option<ByteRange>,
}

impl Representation {
    /// The segments within `period`, which it belongs to. Of one with an index of its own
    /// ([`Source::Indexed`]) there is one segment here, the whole file.
    pub fn index(&self, period: &Period) -> Index {
        Index::new(&self.addressing, period.length())
    }

    /// The address of a segment at one of the [bases](Self::bases).
    pub fn segment(&self, base: &Base, segment: &SegmentTime) -> Result<Address, DashError> {
        let (url, byte_range) = match &self.addressing.source {
            Source::Template(template) => (self.join(base, &template.expand(&self.values(segment)))?, None),
            Source::List(urls) => {
                let place = usize::try_from(segment.index).ok().and_then(|index| urls.get(index));
                let url = place.and_then(|place| place.media.as_deref()).unwrap_or_default();
                (self.join(base, url)?, place.and_then(|place| place.media_range))
            }
            Source::Indexed { .. } | Source::Whole => (base.url.clone(), None),
        };
        Ok(self.with_query(url, byte_range))
    }

    /// The address of the initialisation segment.
    pub fn init(&self, base: &Base) -> Result<Option<Address>, DashError> {
        Ok(match &self.addressing.init {
            None => None,
            Some(InitSource::Template(template)) => {
                let values =
                    Values { representation_id: &self.id, bandwidth: self.bandwidth, ..Values::default() };
                Some(self.with_query(self.join(base, &template.expand(&values))?, None))
            }
            Some(InitSource::Address { url, range }) => {
                let url = self.join(base, url.as_deref().unwrap_or_default())?;
                Some(self.with_query(url, *range))
            }
        })
    }

    /// The address of the index of a single file.
    pub fn index_address(&self, base: &Base) -> Result<Option<Address>, DashError> {
        Ok(match &self.addressing.source {
            Source::Indexed { index_url, index_range } => {
                let url = self.join(base, index_url.as_deref().unwrap_or_default())?;
                Some(self.with_query(url, Some(*index_range)))
            }
            _ => None,
        })
    }

    fn values(&self, segment: &SegmentTime) -> Values<'_> {
        Values {
            representation_id: &self.id,
            bandwidth: self.bandwidth,
            number: segment.number,
            time: segment.time,
            sub_number: segment.sub_number,
        }
    }

    fn join(&self, base: &Base, uri: &str) -> Result<Url, DashError> {
        if uri.is_empty() {
            return Ok(base.url.clone());
        }
        base.url.join(uri).map_err(|source| DashError::BadUri {
            representation: shorten(&self.id),
            uri: shorten(uri),
            source,
        })
    }

    fn with_query(&self, mut url: Url, byte_range: Option<ByteRange>) -> Address {
        if let Some(query) = &self.query {
            query::add(&mut url, query);
        }
        Address { url, byte_range }
    }
}
