// SPDX-License-Identifier: MPL-2.0

//! Where is the viewer behind an address?
//!
//! Three sources, each of which is optional: the operator's own list of networks ([`sites`]),
//! which is always right; databases in MaxMind's format ([`mmdb`]); and tables of autonomous
//! systems as CSV ([`asn_table`]). Of several files the first that knows something is believed, so
//! that databases of IPv4 and of IPv6, of cities and of providers can stand side by side. What no
//! file knows, the address itself says ([`Place::of`]).

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::place::{Cell, Country, Network, Place, Point};
use asn_table::AsnTable;
use mmdb::Database;
use sites::Sites;

mod asn_table;
mod mmdb;
mod sites;
mod watch;

pub use watch::Watched;

/// Which files to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Databases (`.mmdb`) and tables of autonomous systems (`.csv`), most trusted first.
    pub data: Vec<PathBuf>,
    /// The operator's networks.
    pub sites: Option<PathBuf>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct GeoError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("not a database: {0}")]
    Database(#[from] maxminddb::MaxMindDbError),
    #[error("{0}")]
    Csv(#[from] csv::Error),
    #[error("line {line}: {what}")]
    Line { line: u64, what: String },
    #[error("neither .mmdb nor .csv")]
    Unknown,
    #[error("larger than {MAX_FILE} bytes")]
    TooLarge,
}

/// Files are held in memory; the largest in use have about 130 MB.
const MAX_FILE: u64 = 1 << 30;

/// What a file says about an address.
#[derive(Clone, Debug, Default, PartialEq)]
struct Facts {
    asn: Option<u32>,
    country: Option<Country>,
    point: Option<Point>,
}

impl Facts {
    /// Keeps what is known and adds what is not.
    fn or(self, other: impl FnOnce() -> Self) -> Self {
        if self.asn.is_some() && self.country.is_some() && self.point.is_some() {
            return self;
        }
        let other = other();
        // A point of one source and a country of another could contradict each other.
        let place =
            if self.country.is_some() { (self.country, self.point) } else { (other.country, other.point) };
        Self { asn: self.asn.or(other.asn), country: place.0, point: place.1 }
    }
}

/// Everything that is known about networks.
#[derive(Debug, Default)]
pub struct Atlas {
    sources: Vec<Source>,
    sites: Sites,
}

#[derive(Debug)]
enum Source {
    Database(Database),
    Table(AsnTable),
}

impl Atlas {
    /// Reads the files; this blocks, for a second or so when they are large.
    ///
    /// # Errors
    ///
    /// If any of the files cannot be read or makes no sense: half an atlas would quietly send
    /// viewers to the wrong places.
    pub fn read(files: &Files) -> Result<Self, GeoError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |reason| GeoError { path, reason }
        };
        let mut atlas = Self::default();
        for path in &files.data {
            atlas.sources.push(Source::read(path).map_err(at(path))?);
        }
        if let Some(path) = &files.sites {
            atlas.sites = open(path).and_then(Sites::read).map_err(at(path))?;
        }
        Ok(atlas)
    }

    /// Whose autonomous system it is, if a table says.
    pub fn organisation(&self, asn: u32) -> Option<&str> {
        self.sources.iter().find_map(|source| source.name(asn))
    }

    /// Where a viewer is. Takes some microseconds, so it is to be asked once a connection.
    pub fn place(&self, address: IpAddr) -> Place {
        let address = address.to_canonical();
        let site = self.sites.find(address);
        let facts = self.sources.iter().fold(site.facts.clone(), |facts, source| {
            facts.or(|| match source {
                Source::Database(database) => database.find(address),
                Source::Table(table) => Facts { asn: table.find(address), ..Facts::default() },
            })
        });
        let mut place = Place::of(address);
        place.locate(facts.country, facts.point);
        if let Some(asn) = facts.asn {
            place.network = Network::As(asn);
        }
        if let Some(region) = site.region {
            place.cell = Cell::Region(region);
        }
        place.site = site.site;
        place.reach = site.reach;
        place.uploads = !site.leech;
        place
    }
}

impl Source {
    fn name(&self, asn: u32) -> Option<&str> {
        match self {
            Self::Table(table) => table.name(asn),
            Self::Database(_) => None,
        }
    }

    fn read(path: &Path) -> Result<Self, Reason> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("mmdb") => {
                open(path)?;
                Database::read(path).map(Self::Database)
            }
            Some("csv") => AsnTable::read(open(path)?).map(Self::Table),
            _ => Err(Reason::Unknown),
        }
    }
}

fn open(path: &Path) -> Result<std::fs::File, Reason> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() > MAX_FILE { Err(Reason::TooLarge) } else { Ok(file) }
}

#[cfg(test)]
mod tests;
