// SPDX-License-Identifier: MPL-2.0

//! Delivery directives: what a request for a playlist asks of the server, RFC 8216bis 6.2.5.

use std::fmt::Write as _;

use url::Url;

use crate::manifest::RenditionReport;

/// What is asked. The default asks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`: answer once this segment is there. Media sequence number.
    pub sequence: Option<i64>,
    /// `_HLS_part`: or only this part of it, counted from zero. Means nothing without `sequence`.
    pub part: Option<u64>,
    /// `_HLS_skip`: send a delta update.
    pub skip: Option<Skip>,
}

/// What may be left out of a delta update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// `YES`: segments.
    Segments,
    /// `v2`: segments and date ranges.
    SegmentsAndDateRanges,
}

impl Directives {
    /// For a playlist that another one tells of: at least as fresh as that says, which a cache's
    /// old copy may not be.
    pub fn joining(report: &RenditionReport) -> Self {
        let sequence = report.last_sequence;
        Self { sequence, part: sequence.and(report.last_part), skip: None }
    }

    /// `url` with the directives in its query, in place of any that it had. The rest of the query
    /// stays as written, as it may be signed.
    pub fn apply(&self, url: &Url) -> Url {
        let ours = |pair: &&str| !pair.starts_with("_HLS_") && !pair.is_empty();
        let mut query = url
            .query()
            .map_or(String::new(), |query| query.split('&').filter(ours).collect::<Vec<_>>().join("&"));
        let mut add = |name: &str, value: &dyn std::fmt::Display| {
            let separator = if query.is_empty() { "" } else { "&" };
            // Writing to a String cannot fail.
            let _ = write!(query, "{separator}_HLS_{name}={value}");
        };
        // In alphabetical order, so that caches see one address for one request.
        if let Some(sequence) = self.sequence {
            add("msn", &sequence);
            if let Some(part) = self.part {
                add("part", &part);
            }
        }
        match self.skip {
            Some(Skip::Segments) => add("skip", &"YES"),
            Some(Skip::SegmentsAndDateRanges) => add("skip", &"v2"),
            None => {}
        }
        let mut url = url.clone();
        url.set_query(if query.is_empty() { None } else { Some(&query) });
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(url: &str, directives: Directives) -> String {
        directives.apply(&Url::parse(url).expect("a URL")).into()
    }

    #[test]
    fn directives_replace_those_that_were_there() {
        let all = Directives { sequence: Some(7), part: Some(0), skip: Some(Skip::Segments) };
        assert_eq!(applied("http://h/l", all), "http://h/l?_HLS_msn=7&_HLS_part=0&_HLS_skip=YES");
        assert_eq!(
            applied("http://h/l?b=%2f&_HLS_msn=6&a=+&_HLS_x=1#f", all),
            "http://h/l?b=%2f&a=+&_HLS_msn=7&_HLS_part=0&_HLS_skip=YES#f"
        );
        assert_eq!(applied("http://h/l?_HLS_msn=6", Directives::default()), "http://h/l");
        assert_eq!(applied("http://h/l?a=1", Directives::default()), "http://h/l?a=1");
        let v2 = Directives { skip: Some(Skip::SegmentsAndDateRanges), ..Directives::default() };
        assert_eq!(applied("http://h/l?a", v2), "http://h/l?a&_HLS_skip=v2");
        // A part without its segment would be refused by the server.
        assert_eq!(
            applied("http://h/l", Directives { part: Some(1), ..Directives::default() }),
            "http://h/l"
        );
    }

    #[test]
    fn a_report_says_where_to_join() {
        let report = |last_sequence, last_part| RenditionReport {
            url: Url::parse("http://h/audio").expect("a URL"),
            last_sequence,
            last_part,
        };
        let join = |report: RenditionReport| applied(report.url.as_str(), Directives::joining(&report));
        assert_eq!(join(report(Some(9), Some(2))), "http://h/audio?_HLS_msn=9&_HLS_part=2");
        assert_eq!(join(report(Some(9), None)), "http://h/audio?_HLS_msn=9");
        assert_eq!(join(report(None, Some(2))), "http://h/audio");
    }
}
