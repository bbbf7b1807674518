// SPDX-License-Identifier: MPL-2.0

//! Query parameters that are to be added to the addresses of media: ISO/IEC 23009-1 Annex I.

use std::sync::Arc;

use url::Url;

use super::values;
use super::xml::Element;

/// Longest query that is added; a longer one is left out.
const MAX_QUERY: usize = 8 << 10;

/// The schemes of UrlQueryInfo and ExtUrlQueryInfo.
const SCHEMES: [&str; 2] = ["urn:mpeg:dash:urlparam:2014", "urn:mpeg:dash:urlparam:2016"];

/// Whether a property is one of those that say what is to be added.
pub(super) fn is_query_scheme(scheme: &str) -> bool {
    SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// What is to be added within `element`, or else `inherited`.
pub(super) fn within(element: &Element, mpd: &Url, inherited: Option<&Arc<str>>) -> Option<Arc<str>> {
    let properties = element
        .elements()
        .filter(|child| child.is("EssentialProperty") || child.is("SupplementalProperty"))
        .filter(|property| property.text_of("schemeIdUri").is_some_and(is_query_scheme));
    let own = properties
        .flat_map(Element::elements)
        .find(|info| info.is("UrlQueryInfo") || info.is("ExtUrlQueryInfo"));
    match own {
        Some(info) if concerns_segments(info) => query(info, mpd),
        _ => inherited.cloned(),
    }
}

/// ExtUrlQueryInfo@includeInRequests; segments where it is missing.
fn concerns_segments(info: &Element) -> bool {
    let requests = info.text_of("includeInRequests").unwrap_or("segment");
    requests.split_ascii_whitespace().any(|request| request == "segment")
}

fn query(info: &Element, mpd: &Url) -> Option<Arc<str>> {
    let from_mpd = info.text_of("useMPDUrlQuery").and_then(values::boolean).unwrap_or(false);
    let mut sources = vec![];
    sources.extend(mpd.query().filter(|_| from_mpd));
    sources.extend(info.text_of("queryString"));
    let source = sources.join("&");
    let template = info.text_of("queryTemplate").unwrap_or_default();
    let mut text = String::new();
    // Even pieces are text, odd ones identifiers.
    for (place, piece) in template.split('$').enumerate() {
        let value = match piece {
            _ if place % 2 == 0 => piece,
            "" => "$",
            "querypart" => &source,
            _ => match piece.strip_prefix("query:") {
                Some(name) => parameter(&source, name).unwrap_or_default(),
                None => "",
            },
        };
        if text.len() + value.len() > MAX_QUERY {
            return None;
        }
        text.push_str(value);
    }
    (!text.is_empty()).then(|| text.into())
}

/// The value of a parameter as it stands in the query, with its escapes.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

/// Adds `query` to that of `url`.
pub(super) fn add(url: &mut Url, query: &str) {
    match url.query() {
        Some(own) if !own.is_empty() => {
            let both = format!("{own}&{query}");
            url.set_query(Some(&both));
        }
        _ => url.set_query(Some(query)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(info: &str) -> Option<String> {
        let text = format!(
            "<AdaptationSet><EssentialProperty schemeIdUri=\"urn:mpeg:dash:urlparam:2014\">\
             <up:{info}/></EssentialProperty></AdaptationSet>"
        );
        let element = super::super::xml::read(text.as_bytes(), "AdaptationSet").expect("XML");
        let mpd = Url::parse("http://h/m.mpd?token=1%20a&x=2").expect("a URL");
        within(&element, &mpd, Some(&"above=1".into())).map(|query| query.to_string())
    }

    #[test]
    fn queries_are_put_together() {
        for (info, wanted) in [
            (r#"UrlQueryInfo queryTemplate="$querypart$" useMPDUrlQuery="true""#, Some("token=1%20a&x=2")),
            (
                r#"UrlQueryInfo queryTemplate="t=$query:token$&amp;y=$$" useMPDUrlQuery="true""#,
                Some("t=1%20a&y=$"),
            ),
            (r#"UrlQueryInfo queryTemplate="$querypart$" queryString="a=1""#, Some("a=1")),
            (
                r#"UrlQueryInfo queryTemplate="$querypart$" queryString="a=1" useMPDUrlQuery="1""#,
                Some("token=1%20a&x=2&a=1"),
            ),
            (r#"UrlQueryInfo queryTemplate="$querypart$""#, None),
            (r#"ExtUrlQueryInfo queryTemplate="b=2" includeInRequests="mpd""#, Some("above=1")),
            (r#"ExtUrlQueryInfo queryTemplate="b=2" includeInRequests="mpd segment""#, Some("b=2")),
            ("Unknown", Some("above=1")),
        ] {
            assert_eq!(read(info).as_deref(), wanted, "{info}");
        }
        let mut url = Url::parse("http://h/s?z=1").expect("a URL");
        add(&mut url, "a=1");
        assert_eq!(url.as_str(), "http://h/s?z=1&a=1");
    }
}
