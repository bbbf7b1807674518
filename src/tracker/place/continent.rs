// SPDX-License-Identifier: MPL-2.0

//! Which continent is a country on? As MaxMind's data has it: Turkey and Cyprus in Asia and Europe
//! respectively, Russia in Europe, Egypt in Africa.

use super::Country;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Continent {
    Africa,
    Antarctica,
    Asia,
    Europe,
    NorthAmerica,
    Oceania,
    SouthAmerica,
}

/// Codes of ISO 3166-1, and XK for Kosovo.
const COUNTRIES: [(Continent, &str); 7] = [
    (
        Continent::Africa,
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW \
         MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    (Continent::Antarctica, "AQ BV GS HM TF"),
    (
        Continent::Asia,
        "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV \
         MY NP OM PH PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE",
    ),
    (
        Continent::Europe,
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC \
         MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        Continent::NorthAmerica,
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV \
         SX TC TT US VC VG VI",
    ),
    (Continent::Oceania, "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS"),
    (Continent::SouthAmerica, "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];

impl Continent {
    /// None for a code that is not a country's.
    pub fn of(country: Country) -> Option<Self> {
        let listed = |codes: &&str| codes.split_ascii_whitespace().any(|code| code == country.as_str());
        COUNTRIES.iter().find(|(_, codes)| listed(codes)).map(|(continent, _)| *continent)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_country_is_on_one_continent() {
        let codes: Vec<_> = COUNTRIES.iter().flat_map(|(_, codes)| codes.split_ascii_whitespace()).collect();
        assert_eq!(codes.iter().collect::<HashSet<_>>().len(), codes.len());
        // 249 of ISO 3166-1 and Kosovo.
        assert_eq!(codes.len(), 250);
        let of = |code| Continent::of(Country::new(code).unwrap());
        assert_eq!(of("br"), Some(Continent::SouthAmerica));
        assert_eq!(of("ZZ"), None);
    }
}
