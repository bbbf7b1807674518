// SPDX-License-Identifier: MPL-2.0

//! Where is a viewer, as far as the choice of peers is concerned?
//!
//! Nearness is a ladder of groups from the same site up to everybody ([`Level`]). What is not
//! known is replaced by the network prefix where that says something (provider, neighbourhood) and
//! left out where it does not (country, continent), so that the tracker works with no data at all.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub mod continent;

pub use continent::Continent;

/// How near two viewers are to each other, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The same site by the operator's rules, or the same public address (/64 for IPv6).
    Site,
    /// The same provider and the same square of 100 km. Those on both sides of its edge are taken
    /// for farther from each other than they are; the next level has them.
    Neighbourhood,
    /// The same provider (autonomous system) and country.
    Provider,
    Country,
    Continent,
    Anywhere,
}

/// How many levels there are.
pub const LEVELS: usize = 6;

impl Level {
    pub const ALL: [Self; LEVELS] =
        [Self::Site, Self::Neighbourhood, Self::Provider, Self::Country, Self::Continent, Self::Anywhere];

    /// As it is called in metrics and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Neighbourhood => "neighbourhood",
            Self::Provider => "provider",
            Self::Country => "country",
            Self::Continent => "continent",
            Self::Anywhere => "anywhere",
        }
    }
}

/// A network whose inner traffic is cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Network {
    /// An autonomous system, by its number.
    As(u32),
    /// Where the number is unknown: the /16 of an IPv4 address, the /32 of an IPv6 address.
    Prefix(u64),
}

/// An area of about 100 km across.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cell {
    /// Row and column of a grid.
    Grid(i16, i16),
    /// An operator's own name for a region, by number.
    Region(u32),
    /// Where the location is unknown: the /24 of an IPv4 address, the /48 of an IPv6 address.
    Prefix(u64),
}

/// Two letters of ISO 3166-1, upper case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Country(pub [u8; 2]);

impl Country {
    /// None unless it is two ASCII letters.
    pub fn new(code: &str) -> Option<Self> {
        let code: [u8; 2] = code.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_alphabetic).then(|| Self(code.map(|letter| letter.to_ascii_uppercase())))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

/// A point on the earth, in degrees.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    latitude: f32,
    longitude: f32,
}

/// Side of a cell in degrees of latitude: 100 km.
const CELL_DEGREES: f32 = 0.9;

impl Point {
    /// None unless both are on the globe.
    pub fn new(latitude: f32, longitude: f32) -> Option<Self> {
        let on_the_globe = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        on_the_globe.then_some(Self { latitude, longitude })
    }

    fn cell(self) -> Cell {
        let row = (self.latitude / CELL_DEGREES).floor();
        // Degrees of longitude are shorter away from the equator; one factor for a whole row.
        let shrink = ((row + 0.5) * CELL_DEGREES).to_radians().cos().max(0.0);
        Cell::Grid(row as i16, (self.longitude * shrink / CELL_DEGREES).floor() as i16)
    }

    /// Length of the great circle between two points, in kilometres.
    pub fn distance_km(self, other: Self) -> f32 {
        let radians = |point: Self| (point.latitude.to_radians(), point.longitude.to_radians());
        let ((lat_a, lon_a), (lat_b, lon_b)) = (radians(self), radians(other));
        let half_chord = ((lat_b - lat_a) / 2.0).sin().powi(2)
            + lat_a.cos() * lat_b.cos() * ((lon_b - lon_a) / 2.0).sin().powi(2);
        2.0 * 6371.0 * half_chord.clamp(0.0, 1.0).sqrt().asin()
    }
}

/// How far a viewer's links may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    #[default]
    Anywhere,
    /// Only within its provider's network.
    Provider,
    /// Only within its site: nothing may use the site's uplink.
    Site,
}

/// Where a viewer is and what it may do there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The public address; of IPv6 the upper half, because the rest is one household's own.
    household: u64,
    /// The operator's number of a site such as an office, whatever its addresses.
    pub site: Option<u32>,
    pub network: Network,
    pub cell: Cell,
    pub country: Option<Country>,
    pub continent: Option<Continent>,
    pub point: Option<Point>,
    pub reach: Reach,
    /// False for a viewer who only downloads: nobody depends on it.
    pub uploads: bool,
}

impl Place {
    /// What an address says by itself.
    pub fn of(address: IpAddr) -> Self {
        // A socket that listens on IPv6 sees IPv4 addresses in IPv6 form.
        let (household, network, cell) = match address.to_canonical() {
            IpAddr::V4(v4) => {
                let bits = u64::from(v4.to_bits());
                (bits, bits >> 16, bits >> 8)
            }
            IpAddr::V6(v6) => {
                // Global addresses start with a bit that keeps these apart from those of IPv4.
                let bits = (v6.to_bits() >> 64) as u64;
                (bits, bits >> 32 << 32, bits >> 16 << 16)
            }
        };
        Self {
            household,
            site: None,
            network: Network::Prefix(network),
            cell: Cell::Prefix(cell),
            country: None,
            continent: None,
            point: None,
            reach: Reach::Anywhere,
            uploads: true,
        }
    }

    /// Adds a location. Without a point, as when only the country is known, nearness within it
    /// stays a matter of prefixes.
    pub fn locate(&mut self, country: Option<Country>, point: Option<Point>) {
        self.country = country;
        self.continent = country.and_then(Continent::of);
        self.point = point;
        if let Some(point) = point {
            self.cell = point.cell();
        }
    }

    /// The groups that a viewer here belongs to, nearest first. None where nothing is known, or
    /// where its links may not reach.
    pub(super) fn groups(&self) -> [Option<Group>; LEVELS] {
        let site = self.site.map_or(Group::Household(self.household), Group::Site);
        let mut groups = [
            Some(site),
            Some(Group::Neighbourhood(self.network, self.cell)),
            Some(Group::Provider(self.network, self.country)),
            self.country.map(Group::Country),
            self.continent.map(Group::Continent),
            Some(Group::Everybody),
        ];
        let reached = match self.reach {
            Reach::Anywhere => LEVELS,
            Reach::Provider => Level::Provider as usize + 1,
            Reach::Site => Level::Site as usize + 1,
        };
        groups[reached..].fill(None);
        groups
    }
}

impl From<IpAddr> for Place {
    fn from(address: IpAddr) -> Self {
        Self::of(address)
    }
}

/// Viewers who are equally near to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(super) enum Group {
    Household(u64),
    Site(u32),
    Neighbourhood(Network, Cell),
    Provider(Network, Option<Country>),
    Country(Country),
    Continent(Continent),
    Everybody,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: &str) -> Place {
        Place::of(address.parse().unwrap())
    }

    /// The nearest group that two places share.
    fn nearest(a: &Place, b: &Place) -> Option<Level> {
        let (a, b) = (a.groups(), b.groups());
        Level::ALL.into_iter().find(|level| {
            let level = *level as usize;
            a[level].is_some() && a[level] == b[level]
        })
    }

    #[test]
    fn addresses_alone_tell_neighbours_from_strangers() {
        let table = [
            ("192.0.2.1", "192.0.2.1", Level::Site),
            ("192.0.2.1", "::ffff:192.0.2.1", Level::Site),
            ("192.0.2.1", "192.0.2.2", Level::Neighbourhood),
            ("192.0.2.1", "192.0.3.1", Level::Provider),
            ("192.0.2.1", "192.1.2.1", Level::Anywhere),
            ("2001:db8:1:2::1", "2001:db8:1:2:3::1", Level::Site),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", Level::Neighbourhood),
            ("2001:db8:1:2::1", "2001:db8:2::1", Level::Provider),
            ("2001:db8:1:2::1", "2001:db9::1", Level::Anywhere),
            ("2001:db8:1:2::1", "192.0.2.1", Level::Anywhere),
        ];
        for (a, b, level) in table {
            assert_eq!(nearest(&place(a), &place(b)), Some(level), "{a} {b}");
        }
    }

    #[test]
    fn data_makes_the_ladder_longer() {
        let at = |address: &str, asn, country, point: Option<(f32, f32)>| {
            let mut place = place(address);
            place.network = Network::As(asn);
            place.locate(Country::new(country), point.and_then(|(lat, lon)| Point::new(lat, lon)));
            place
        };
        let berlin = at("192.0.2.1", 3320, "DE", Some((52.52, 13.45)));
        let strausberg = at("198.51.100.1", 3320, "de", Some((52.58, 13.88)));
        let munich = at("192.0.2.77", 3320, "DE", Some((48.14, 11.58)));
        let somewhere = at("192.0.2.78", 3320, "DE", None);
        let other_provider = at("192.0.2.79", 6805, "DE", Some((52.52, 13.45)));
        let paris = at("192.0.2.80", 3215, "FR", Some((48.86, 2.35)));
        let lima = at("192.0.2.81", 3320, "PE", Some((-12.05, -77.04)));
        assert_eq!(nearest(&berlin, &strausberg), Some(Level::Neighbourhood));
        assert_eq!(nearest(&berlin, &munich), Some(Level::Provider));
        assert_eq!(nearest(&berlin, &somewhere), Some(Level::Provider));
        assert_eq!(nearest(&berlin, &other_provider), Some(Level::Country));
        assert_eq!(nearest(&berlin, &paris), Some(Level::Continent));
        assert_eq!(nearest(&berlin, &lima), Some(Level::Anywhere), "the same provider, but overseas");
        let kilometres = berlin.point.unwrap().distance_km(munich.point.unwrap());
        assert!((500.0..510.0).contains(&kilometres), "{kilometres}");
        assert!(berlin.point.unwrap().distance_km(berlin.point.unwrap()) < 0.1);
    }

    #[test]
    fn reach_cuts_the_ladder() {
        let (mut office, mut home) = (place("192.0.2.1"), place("192.0.2.2"));
        office.reach = Reach::Site;
        assert_eq!(nearest(&office, &home), None);
        home.reach = Reach::Provider;
        assert_eq!(nearest(&home, &place("192.0.3.1")), Some(Level::Provider));
        assert_eq!(nearest(&home, &place("198.51.100.1")), None);
        (office.site, home.site) = (Some(7), Some(7));
        assert_eq!(nearest(&office, &home), Some(Level::Site), "a site may have several addresses");
    }

    #[test]
    fn nonsense_is_no_location() {
        assert_eq!(Point::new(90.1, 0.0), None);
        assert_eq!(Point::new(f32::NAN, 0.0), None);
        for code in ["", "D", "DEU", "D1", "é"] {
            assert_eq!(Country::new(code), None, "{code}");
        }
        // Poles and the date line have cells too.
        for (latitude, longitude) in [(90.0, 180.0), (-90.0, -180.0), (0.0, 180.0)] {
            Point::new(latitude, longitude).unwrap().cell();
        }
    }
}
