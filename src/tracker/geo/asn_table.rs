// SPDX-License-Identifier: MPL-2.0

//! Which autonomous system announces an address: a table as CSV, `first,last,asn,organisation`.
//!
//! That is the form of ip-location-db's `asn-ipv4.csv` and `asn-ipv6.csv` (CC-BY 4.0), which may
//! be given to others, while MaxMind's may not.

use std::collections::HashMap;
use std::io::Read;
use std::net::IpAddr;

use super::Reason;

/// Ranges in order of their starts; the end of a range is a start with no number. IPv6 is told
/// apart by its upper half: nothing smaller than a /64 has a provider of its own.
#[derive(Debug, Default)]
pub(super) struct AsnTable {
    v4: Ranges<u32>,
    v6: Ranges<u64>,
    /// Whose number it is, for the operator to read.
    names: HashMap<u32, Box<str>>,
}

/// Longest name that is kept, in characters.
const MAX_NAME: usize = 40;

#[derive(Debug)]
struct Ranges<T> {
    starts: Vec<T>,
    /// 0 for nobody.
    numbers: Vec<u32>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { starts: Vec::new(), numbers: Vec::new() }
    }
}

impl<T: Copy + Ord> Ranges<T> {
    /// From ranges in any order. One that begins within another ends it.
    fn new(mut ranges: Vec<(T, T, u32)>, next: impl Fn(T) -> Option<T>) -> Self {
        ranges.sort_unstable();
        let mut table = Self::default();
        for (at, &(first, last, number)) in ranges.iter().enumerate() {
            table.push(first, number);
            let following = ranges.get(at + 1).map(|(first, ..)| *first);
            if let Some(end) = next(last).filter(|end| following.is_none_or(|following| *end < following)) {
                table.push(end, 0);
            }
        }
        table.starts.shrink_to_fit();
        table.numbers.shrink_to_fit();
        table
    }

    fn push(&mut self, start: T, number: u32) {
        // Neighbours of the same number are one range.
        if self.numbers.last() != Some(&number) {
            self.starts.push(start);
            self.numbers.push(number);
        }
    }

    fn find(&self, address: T) -> Option<u32> {
        let after = self.starts.partition_point(|start| *start <= address);
        let number = self.numbers[after.checked_sub(1)?];
        (number != 0).then_some(number)
    }
}

impl AsnTable {
    pub fn read(from: impl Read) -> Result<Self, Reason> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        let mut names = HashMap::new();
        let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(from);
        let mut row = csv::StringRecord::new();
        while rows.read_record(&mut row)? {
            let wrong = || Reason::Line {
                line: row.position().map_or(0, csv::Position::line),
                what: "not \"first address, last address, number\"".into(),
            };
            let address = |field: usize| row.get(field).and_then(|text| text.parse::<IpAddr>().ok());
            let number = row.get(2).and_then(|text| text.trim_start_matches("AS").parse::<u32>().ok());
            match (address(0), address(1), number) {
                (Some(IpAddr::V4(first)), Some(IpAddr::V4(last)), Some(number)) if first <= last => {
                    v4.push((first.to_bits(), last.to_bits(), number));
                }
                (Some(IpAddr::V6(first)), Some(IpAddr::V6(last)), Some(number)) if first <= last => {
                    let half = |address: std::net::Ipv6Addr| (address.to_bits() >> 64) as u64;
                    v6.push((half(first), half(last), number));
                }
                _ => return Err(wrong()),
            }
            if let (Some(number), Some(name)) = (number, row.get(3).filter(|name| !name.is_empty())) {
                names.entry(number).or_insert_with(|| name.chars().take(MAX_NAME).collect());
            }
        }
        Ok(Self {
            v4: Ranges::new(v4, |last| last.checked_add(1)),
            v6: Ranges::new(v6, |last| last.checked_add(1)),
            names,
        })
    }

    pub fn name(&self, number: u32) -> Option<&str> {
        self.names.get(&number).map(|name| &**name)
    }

    pub fn find(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.find((v6.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(table: &AsnTable, address: &str) -> Option<u32> {
        table.find(address.parse().unwrap())
    }

    #[test]
    fn ranges_have_starts_ends_and_gaps() {
        let csv = "198.51.100.0,198.51.100.255,64500,\"Some, Inc.\"\n192.0.2.0,192.0.2.127,64501,A\n\
                   192.0.2.128,192.0.2.255,AS64501,A\n255.255.255.0,255.255.255.255,7,Last\n\
                   2001:db8::,2001:db8:0:ffff:ffff:ffff:ffff:ffff,64502,B\n";
        let table = AsnTable::read(csv.as_bytes()).unwrap();
        for (address, number) in [
            ("192.0.1.255", None),
            ("192.0.2.0", Some(64501)),
            ("192.0.2.255", Some(64501)),
            ("192.0.3.0", None),
            ("198.51.100.77", Some(64500)),
            ("198.51.101.0", None),
            ("255.255.255.255", Some(7)),
            ("0.0.0.0", None),
            ("2001:db7:ffff::", None),
            ("2001:db8::1", Some(64502)),
            ("2001:db8:0:ffff::1", Some(64502)),
            ("2001:db8:1::", None),
        ] {
            assert_eq!(find(&table, address), number, "{address}");
        }
        assert_eq!(table.v4.starts.len(), 5, "neighbours are one range");
        assert_eq!(AsnTable::read(&b""[..]).unwrap().find("192.0.2.1".parse().unwrap()), None);
    }

    #[test]
    fn a_range_within_another_ends_it() {
        let table = AsnTable::read(&b"10.0.0.0,10.0.0.255,1,A\n10.0.0.16,10.0.0.31,2,B\n"[..]).unwrap();
        let found = ["10.0.0.0", "10.0.0.16", "10.0.0.31", "10.0.0.32"].map(|address| find(&table, address));
        assert_eq!(found, [Some(1), Some(2), Some(2), None]);
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        for (csv, line) in [
            ("a,b,1\n", "line 1"),
            ("10.0.0.0,10.0.0.9,1,A\n10.0.0.9,10.0.0.0,1,A\n", "line 2"),
            ("10.0.0.0,2001:db8::,1,A\n", "line 1"),
            ("10.0.0.0,10.0.0.9,x,A\n", "line 1"),
            ("10.0.0.0\n", "line 1"),
        ] {
            let error = AsnTable::read(csv.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
