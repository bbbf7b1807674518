// SPDX-License-Identifier: MPL-2.0

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::tracker::place::{Continent, Reach};
use writer::Value::{self, Float, Integer, Map, Text};

mod writer;

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn database(&self, name: &str, networks: &[(&str, Value)]) -> PathBuf {
        self.write(name, writer::database(networks))
    }
}

fn place(atlas: &Atlas, address: &str) -> Place {
    atlas.place(address.parse().unwrap())
}

/// As MaxMind has it.
fn nested() -> [(&'static str, Value); 3] {
    let country = |code| Map(vec![("iso_code", Text(code)), ("names", Map(vec![("en", Text("Some"))]))]);
    let point = |latitude, longitude| {
        Map(vec![
            ("latitude", Float(latitude)),
            ("longitude", Float(longitude)),
            ("accuracy_radius", Integer(500)),
        ])
    };
    let city = || Map(vec![("names", Map(vec![("en", Text("Berlin"))]))]);
    [
        (
            "192.0.2.0/25",
            Map(vec![("city", city()), ("country", country("DE")), ("location", point(52.5, 13.4))]),
        ),
        ("192.0.2.128/25", Map(vec![("country", country("DE")), ("location", point(51.0, 9.0))])),
        (
            "198.51.100.0/24",
            Map(vec![
                ("autonomous_system_number", Integer(64500)),
                ("autonomous_system_organization", Text("Some")),
            ]),
        ),
    ]
}

/// As ip-location-db and others have it.
fn flat() -> [(&'static str, Value); 2] {
    [
        (
            "2001:db8::/32",
            Map(vec![
                ("city", Text("Rio de Janeiro")),
                ("country_code", Text("BR")),
                ("latitude", Float(-22.9)),
                ("longitude", Float(-43.2)),
            ]),
        ),
        ("2001:db9::/32", Map(vec![("country", Text("FR")), ("asn", Text("AS64501")), ("city", Text(""))])),
    ]
}

#[test]
fn both_kinds_of_databases_are_read() {
    let directory = Directory::new();
    let data = vec![directory.database("v4.mmdb", &nested()), directory.database("v6.mmdb", &flat())];
    let atlas = Atlas::read(&Files { data, sites: None }).unwrap();

    let berlin = place(&atlas, "192.0.2.1");
    assert_eq!((berlin.country, berlin.continent), (Country::new("DE"), Some(Continent::Europe)));
    assert_eq!(berlin.point, Point::new(52.5, 13.4));
    assert!(matches!(berlin.cell, Cell::Grid(..)));
    assert!(matches!(berlin.network, Network::Prefix(_)));
    let somewhere = place(&atlas, "192.0.2.200");
    assert_eq!((somewhere.country, somewhere.point), (Country::new("DE"), None), "the middle of a country");
    assert_eq!(place(&atlas, "198.51.100.7").network, Network::As(64500));

    let rio = place(&atlas, "2001:db8::1");
    assert_eq!((rio.country, rio.point), (Country::new("BR"), Point::new(-22.9, -43.2)));
    let france = place(&atlas, "2001:db9::1");
    assert_eq!((france.country, france.network), (Country::new("FR"), Network::As(64501)));

    for unknown in ["203.0.113.1", "2001:dba::1"] {
        assert_eq!(place(&atlas, unknown), Place::of(unknown.parse().unwrap()));
    }
    assert_eq!(place(&atlas, "::ffff:192.0.2.1"), berlin);
}

#[test]
fn what_one_file_does_not_know_the_next_one_adds() {
    let directory = Directory::new();
    let table = "192.0.2.0,192.0.2.255,64502,A\n198.51.100.0,198.51.100.255,64503,B\n";
    let data = vec![directory.database("v4.mmdb", &nested()), directory.write("asn.csv", table)];
    let sites = "network,site,asn,country,region,rules\n192.0.2.1,Office,,,,no-wan\n\
                 192.0.2.2,,64999,FR,Paris,leech\n";
    let sites = Some(directory.write("sites", sites));
    let atlas = Atlas::read(&Files { data, sites }).unwrap();

    let office = place(&atlas, "192.0.2.1");
    assert_eq!((office.site, office.reach, office.uploads), (Some(0), Reach::Site, true));
    assert_eq!((office.network, office.country), (Network::As(64502), Country::new("DE")));
    assert_eq!(place(&atlas, "198.51.100.7").network, Network::As(64500), "the first file is believed");
    let operator = place(&atlas, "192.0.2.2");
    assert_eq!((operator.network, operator.country), (Network::As(64999), Country::new("FR")));
    assert_eq!((operator.point, operator.cell), (None, Cell::Region(0)), "Berlin is not in France");
    assert!(!operator.uploads);
}

#[test]
fn files_that_make_no_sense_are_named() {
    let directory = Directory::new();
    let bad = [
        directory.write("empty.mmdb", ""),
        directory.write("text.mmdb", "hello"),
        directory.write("bad.csv", "hello\n"),
        directory.write("what.txt", ""),
        directory.0.path().join("missing.csv"),
        directory.0.path().to_owned(),
    ];
    for path in bad {
        let name = path.display().to_string();
        let error = Atlas::read(&Files { data: vec![path], sites: None }).unwrap_err();
        assert!(error.to_string().starts_with(&name), "{error}");
    }
}

#[test]
fn a_broken_database_is_a_database_that_knows_nothing() {
    let mut bytes = writer::database(&nested());
    let directory = Directory::new();
    // Wherever it is broken, it may know less but must not panic.
    for at in 0..bytes.len() {
        let before = std::mem::replace(&mut bytes[at], 0xff);
        let data = vec![directory.write("broken.mmdb", &bytes)];
        if let Ok(atlas) = Atlas::read(&Files { data, sites: None }) {
            for address in ["192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::1"] {
                place(&atlas, address);
            }
        }
        bytes[at] = before;
    }
}

#[test]
fn changed_files_are_read_again_and_bad_ones_are_not_used() {
    let directory = Directory::new();
    let table = |asn: u32| format!("192.0.2.0,192.0.2.255,{asn},A\n");
    let path = directory.write("asn.csv", table(1));
    let watched = Watched::open(Files { data: vec![path], sites: None }).unwrap();
    let network = || place(&watched.atlas(), "192.0.2.1").network;
    assert_eq!(network(), Network::As(1));
    assert!(!watched.refresh().unwrap());

    directory.write("asn.csv", table(22));
    assert!(watched.refresh().unwrap());
    assert_eq!(network(), Network::As(22));

    directory.write("asn.csv", "nonsense");
    assert!(watched.refresh().is_err());
    assert!(!watched.refresh().unwrap(), "one complaint is enough");
    fs::remove_file(directory.0.path().join("asn.csv")).unwrap();
    assert!(watched.refresh().is_err());
    assert_eq!(network(), Network::As(22), "the old one stays");
    directory.write("asn.csv", table(333));
    assert!(watched.refresh().unwrap());
    assert_eq!(network(), Network::As(333));
}
