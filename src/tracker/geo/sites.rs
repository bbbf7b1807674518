// SPDX-License-Identifier: MPL-2.0

//! The operator's own list of networks: which belong to one site, and what viewers there may do.
//!
//! CSV with a line of names, of which `network` has to be there:
//!
//! ```csv
//! network,site,asn,country,region,rules
//! 10.1.0.0/16,Paris office,,FR,,no-wan
//! 10.2.0.0/16,Lyon office,,FR,,no-wan leech
//! 198.51.100.0/24,,64500,DE,Saxony,same-isp
//! # a longer prefix wins over a shorter one
//! ```

use std::collections::HashMap;
use std::io::Read;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Facts, Reason};
use crate::tracker::place::{Country, Reach};

/// What a line says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Site {
    pub site: Option<u32>,
    pub region: Option<u32>,
    pub facts: Facts,
    pub reach: Reach,
    pub leech: bool,
}

/// The networks by length of their prefix.
#[derive(Debug, Default)]
pub(super) struct Sites {
    networks: HashMap<IpNet, Site>,
    /// The lengths there are, longest first.
    lengths_v4: Vec<u8>,
    lengths_v6: Vec<u8>,
}

/// Numbers names in order of appearance.
#[derive(Default)]
struct Names(HashMap<String, u32>);

impl Names {
    fn number(&mut self, name: Option<&str>) -> Option<u32> {
        let next = self.0.len() as u32;
        name.map(|name| *self.0.entry(name.to_owned()).or_insert(next))
    }
}

impl Sites {
    pub fn read(from: impl Read) -> Result<Self, Reason> {
        let mut rows = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .flexible(true)
            .from_reader(from);
        let headers = rows.headers()?.clone();
        let known = ["network", "site", "asn", "country", "region", "rules"];
        if let Some(unknown) = headers.iter().find(|name| !known.contains(name)) {
            return Err(Reason::Line { line: 1, what: format!("no such column: {unknown:?}") });
        }

        let (mut sites, mut names, mut regions) = (Self::default(), Names::default(), Names::default());
        for row in rows.records() {
            let row = row?;
            let line = row.position().map_or(0, csv::Position::line);
            let field = |name| {
                let column = headers.iter().position(|header| header == name)?;
                row.get(column).filter(|text| !text.is_empty())
            };
            let wrong = |what: String| Reason::Line { line, what };
            let network = field("network").unwrap_or_default();
            let network = network
                .parse::<IpNet>()
                .or_else(|_| network.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| wrong(format!("not a network: {network:?}")))?;
            let asn = field("asn").map(|asn| asn.trim_start_matches("AS").parse());
            let asn = asn.transpose().map_err(|_| wrong("not a number in asn".into()))?;
            let country = field("country")
                .map(|code| Country::new(code).ok_or_else(|| wrong(format!("not a country code: {code:?}"))));
            let mut site = Site {
                site: names.number(field("site")),
                region: regions.number(field("region")),
                facts: Facts { asn, country: country.transpose()?, point: None },
                ..Site::default()
            };
            for rule in field("rules").unwrap_or_default().split_whitespace() {
                match rule {
                    "leech" => site.leech = true,
                    "no-wan" => site.reach = Reach::Site,
                    "same-isp" if site.reach != Reach::Site => site.reach = Reach::Provider,
                    "same-isp" => {}
                    _ => return Err(wrong(format!("no such rule: {rule:?}"))),
                }
            }
            sites.networks.insert(network.trunc(), site);
        }
        let lengths = |v4| {
            let of_version = sites.networks.keys().filter(|network| network.addr().is_ipv4() == v4);
            let mut lengths: Vec<_> = of_version.map(IpNet::prefix_len).collect();
            lengths.sort_unstable_by(|a, b| b.cmp(a));
            lengths.dedup();
            lengths
        };
        (sites.lengths_v4, sites.lengths_v6) = (lengths(true), lengths(false));
        Ok(sites)
    }

    /// What the line with the longest prefix says; nothing, if none fits.
    pub fn find(&self, address: IpAddr) -> Site {
        let lengths = if address.is_ipv4() { &self.lengths_v4 } else { &self.lengths_v6 };
        let mut networks = lengths.iter().filter_map(|length| IpNet::new(address, *length).ok());
        networks.find_map(|network| self.networks.get(&network.trunc())).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(sites: &Sites, address: &str) -> Site {
        sites.find(address.parse().unwrap())
    }

    #[test]
    fn the_longest_prefix_wins() {
        let csv = "network, site, rules\n# offices\n10.0.0.0/8, Head office, no-wan\n10.1.0.0/16, Branch, leech\n\
                   10.2.0.77/16, Head office, no-wan leech\n10.1.2.3,,\n2001:db8::/32, Branch, same-isp\n";
        let sites = Sites::read(csv.as_bytes()).unwrap();
        let head = find(&sites, "10.9.9.9");
        assert_eq!((head.site, head.reach, head.leech), (Some(0), Reach::Site, false));
        let branch = find(&sites, "10.1.2.4");
        assert_eq!((branch.site, branch.reach, branch.leech), (Some(1), Reach::Anywhere, true));
        let second = find(&sites, "10.2.1.1");
        assert_eq!((second.site, second.reach, second.leech), (Some(0), Reach::Site, true));
        assert_eq!(find(&sites, "10.1.2.3"), Site::default());
        assert_eq!(find(&sites, "192.0.2.1"), Site::default());
        assert_eq!(find(&sites, "2001:db8:1::1").reach, Reach::Provider);
        assert_eq!(find(&sites, "2001:db8:1::1").site, Some(1));
    }

    #[test]
    fn columns_may_stand_in_any_order() {
        let csv = "country,region,asn,network\nde,Saxony,AS64500,192.0.2.0/24\n,Saxony,,198.51.100.0/24\n";
        let sites = Sites::read(csv.as_bytes()).unwrap();
        let site = find(&sites, "192.0.2.9");
        assert_eq!((site.facts.asn, site.facts.country), (Some(64500), Country::new("DE")));
        assert_eq!(site.region, find(&sites, "198.51.100.1").region);
        assert_eq!(find(&sites, "198.51.100.1").facts, Facts::default());
    }

    #[test]
    fn nonsense_is_refused_with_its_line() {
        for (csv, expected) in [
            ("network\n10.0.0.0/33\n", "line 2: not a network"),
            ("network,asn\n10.0.0.0/8,x\n", "line 2: not a number"),
            ("network,country\n10.0.0.0/8,DE\n10.0.0.0/9,Germany\n", "line 3: not a country"),
            ("network,rules\n10.0.0.0/8,nowan\n", "line 2: no such rule: \"nowan\""),
            ("network,nets\n10.0.0.0/8,\n", "line 1: no such column: \"nets\""),
            ("site\nOffice\n", "line 2: not a network"),
        ] {
            let error = Sites::read(csv.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
