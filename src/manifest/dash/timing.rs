// SPDX-License-Identifier: MPL-2.0

//! Clocks: where the publisher's is, when segments are there, and when the MPD is to be loaded
//! again. Nothing here reads a clock; `now` is the time since 1970-01-01 UTC by the publisher's.

use std::time::Duration;

use url::Url;

use super::mpd::{Mpd, Offset, Period, Representation};
use super::segments::Index;
use super::values::{self, Nanos, nanos};
use super::xml::Element;

/// Shortest wait between two loads of an MPD, whatever it says.
const MIN_UPDATE_PERIOD: Duration = Duration::from_millis(500);

/// The wait where the MPD may change at any time and does not say how long segments are.
const DEFAULT_UPDATE_PERIOD: Duration = Duration::from_secs(2);

/// UTCTiming: ISO/IEC 23009-1 5.8.5.7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UtcTiming {
    /// The date itself.
    Direct(Duration),
    /// The Date header of the answer to a HEAD request.
    HttpHead(Vec<Url>),
    /// The body is a date of ISO 8601.
    HttpIso(Vec<Url>),
    /// The body is an xs:dateTime.
    HttpXsDate(Vec<Url>),
    /// The body is an NTP time stamp of 64 bits.
    HttpNtp(Vec<Url>),
    /// Servers to be asked by NTP.
    Ntp(Vec<String>),
    /// Servers to be asked by SNTP.
    Sntp(Vec<String>),
    /// A scheme that is not known, and its value.
    Other { scheme: String, value: String },
}

impl UtcTiming {
    pub(super) fn read(base: &Url, element: &Element) -> Option<Self> {
        let scheme = element.text_of("schemeIdUri")?;
        let value = element.text_of("value").unwrap_or_default();
        let words = || value.split_ascii_whitespace().take(16);
        let urls = || words().filter_map(|url| base.join(url).ok()).collect();
        let names = || words().map(str::to_owned).collect();
        // Version 2012 is a draft that is still in use.
        let name = scheme.strip_prefix("urn:mpeg:dash:utc:").and_then(|rest| rest.split_once(':'));
        Some(match name.map_or("", |(name, _)| name) {
            "direct" => Self::Direct(values::date_time(value)?),
            "http-head" => Self::HttpHead(urls()),
            "http-iso" => Self::HttpIso(urls()),
            "http-xsdate" => Self::HttpXsDate(urls()),
            "http-ntp" => Self::HttpNtp(urls()),
            "ntp" => Self::Ntp(names()),
            "sntp" => Self::Sntp(names()),
            _ => Self::Other { scheme: scheme.to_owned(), value: value.to_owned() },
        })
    }

    /// The time in the answer of an HTTP server: `date` is its Date header, `body` what it sent.
    pub fn answer(&self, date: Option<&str>, body: &[u8]) -> Option<Duration> {
        match self {
            Self::Direct(time) => Some(*time),
            Self::HttpHead(_) => values::http_date(date?),
            Self::HttpIso(_) | Self::HttpXsDate(_) => {
                values::date_time(std::str::from_utf8(body.get(..64).unwrap_or(body)).ok()?)
            }
            Self::HttpNtp(_) => ntp_time(body),
            Self::Ntp(_) | Self::Sntp(_) | Self::Other { .. } => None,
        }
    }
}

/// 32 bits of seconds since 1900, 32 of their fractions.
fn ntp_time(body: &[u8]) -> Option<Duration> {
    const SECONDS_TO_1970: u64 = 2_208_988_800;
    let mut bytes = super::bytes::Bytes(body);
    let (seconds, fraction) = (u64::from(bytes.u32()?), u64::from(bytes.u32()?));
    // The count began anew in 2036.
    let seconds = if seconds < 1 << 31 { seconds + (1 << 32) } else { seconds };
    let nanos = (fraction * 1_000_000_000) >> 32;
    Some(Duration::from_secs(seconds.checked_sub(SECONDS_TO_1970)?) + Duration::from_nanos(nanos))
}

/// What can be fetched of a representation at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    /// Index of the first segment.
    pub first: u64,
    /// Index behind the last segment.
    pub end: u64,
    /// When there will be one more, by the publisher's clock. None: not by the passing of time.
    pub next: Option<Duration>,
}

impl Mpd {
    /// Where in the presentation `now` is, in nanoseconds; may be before its start.
    pub fn position_at(&self, now: Duration) -> Nanos {
        nanos(now).saturating_sub(nanos(self.availability_start))
    }

    /// The segments of a representation that can be fetched at `now`: those that have ended, less
    /// the availability offset, and that are not older than the time shift buffer is deep
    /// (ISO/IEC 23009-1 5.3.9.5.3, DASH-IF IOP 4.3.3). All where the MPD is static.
    pub fn available(
        &self,
        period: &Period,
        representation: &Representation,
        index: &Index,
        now: Duration,
    ) -> Available {
        let all = index.count();
        let Some(start) = period.start.filter(|_| self.dynamic) else {
            // An early available period may be looked at, but not played yet.
            let end = if self.dynamic { 0 } else { all.unwrap_or(0) };
            return Available { first: 0, end, next: None };
        };
        let offset = representation.availability_offset();
        let complete = representation.availability_complete();
        let now = match self.availability_end {
            // What was there when it ended stays there.
            Some(end) => now.min(end),
            None => now,
        };
        let here = self.position_at(now).saturating_sub(start);
        let end = match offset {
            Offset::None => index.ended_at(here),
            // What has not begun cannot be under way.
            Offset::By(early) if !complete => {
                index.ended_at(here.saturating_add(early)).min(index.started_before(here))
            }
            Offset::By(early) => index.ended_at(here.saturating_add(early)),
            // It is all there already; but what is not listed is live, and cannot have begun yet.
            Offset::Always => all.unwrap_or_else(|| index.started_before(here)),
        };
        // The last one ends with its period, however long the others are.
        let over = period.length().filter(|length| here >= *length);
        let end = over.map_or(end, |length| end.max(index.started_before(length)));
        let depth = representation.bases.first().and_then(|base| base.time_shift_buffer_depth);
        let depth = depth.or(self.time_shift_buffer_depth);
        let behind = |edge: Nanos| match depth {
            Some(depth) => index.ended_at(edge.saturating_sub(nanos(depth))).min(end),
            None => 0,
        };
        let mut first = behind(here);
        if first == end && all == Some(end) && index.is_listed() {
            // All that is listed is too old by the clock: one of the clocks is wrong, or the publisher
            // in trouble. The list is believed, as it would be in HLS.
            first = behind(index.get(end.saturating_sub(1)).map_or(here, |last| last.end()));
        }
        let early = match offset {
            Offset::By(early) => early,
            Offset::None | Offset::Always => 0,
        };
        let next = index.get(end).map(|segment| {
            let at = start.saturating_add(segment.end()).saturating_sub(early);
            let at = if complete { at } else { at.max(start.saturating_add(segment.start)) };
            self.availability_start.saturating_add(values::duration_of(at))
        });
        Available { first, end, next: next.filter(|_| offset != Offset::Always) }
    }

    /// When the segment after the last that is listed will be there, if it is as long. None: segments
    /// are not listed one by one, or the period is known to end with them.
    pub(super) fn next_listed(&self, period: &Period, representation: &Representation) -> Option<Duration> {
        let index = representation.index(period);
        let count = index.count().filter(|count| self.dynamic && index.is_listed() && *count > 0)?;
        let last = index.get(count - 1)?;
        if period.length().is_some_and(|length| last.end() >= length) {
            return None;
        }
        let early = match representation.availability_offset() {
            Offset::By(early) => early,
            Offset::None => 0,
            Offset::Always => return None,
        };
        let end = period.start?.saturating_add(last.end()).saturating_add(last.duration);
        Some(self.availability_start.saturating_add(values::duration_of(end.saturating_sub(early))))
    }

    /// Whether more may come: by the clock, or by another MPD.
    pub fn is_live(&self, now: Duration) -> bool {
        if !self.dynamic {
            return false;
        }
        let ended = match (self.availability_end, self.end()) {
            (Some(end), _) if now >= end => true,
            (_, Some(end)) => self.minimum_update_period.is_none() && self.position_at(now) >= end,
            _ => false,
        };
        !ended
    }

    /// Where the presentation ends, in nanoseconds from its start; None: that is not known.
    pub fn end(&self) -> Option<Nanos> {
        match (self.periods.last(), self.duration) {
            (Some(Period { end: Some(end), .. }), _) => Some(*end),
            (Some(Period { start: None, .. }) | None, Some(duration)) => Some(nanos(duration)),
            _ => None,
        }
    }

    /// When the MPD is to be loaded again, counted from when this one was asked for. None: it will
    /// not change, or an event in the media says when it does
    /// ([`MpdUpdate`](super::MpdUpdate)).
    pub fn reload_delay(&self) -> Option<Duration> {
        let period = self.minimum_update_period.filter(|_| self.dynamic)?;
        if period.is_zero() {
            // It may change at any time: with each segment, then.
            return Some(self.max_segment_duration.unwrap_or(DEFAULT_UPDATE_PERIOD).max(MIN_UPDATE_PERIOD));
        }
        Some(period.max(MIN_UPDATE_PERIOD))
    }

    /// The address of a patch for this MPD, if one can still be had at `now`.
    pub fn patch_url(&self, now: Duration) -> Option<&Url> {
        let fresh = |ttl: Option<Duration>| match (ttl, self.publish_time) {
            (Some(ttl), Some(published)) => now <= published.saturating_add(ttl),
            _ => true,
        };
        // A patch names the MPD that it changes by these.
        if self.id.is_none() || self.publish_time.is_none() {
            return None;
        }
        self.patch_locations.iter().find(|location| fresh(location.ttl)).map(|location| &location.url)
    }

    /// The address to load the whole MPD from next time.
    pub fn reload_url(&self) -> &Url {
        self.locations.first().map_or(&self.url, |location| &location.url)
    }

    /// How far behind the live edge playback should be: the target latency of a service description,
    /// the suggested delay, or some segments.
    pub fn presentation_delay(&self) -> Option<Duration> {
        let target = self.service_descriptions.iter().find_map(|service| service.latency.as_ref()?.target);
        target.or(self.suggested_presentation_delay)
    }
}

impl Representation {
    /// How much earlier than at its end a segment is there, in all.
    pub fn availability_offset(&self) -> Offset {
        let base = self.bases.first().map_or(Offset::None, |base| base.availability_offset);
        self.addressing.timing.availability_offset.plus(base)
    }

    /// Whether a segment that can be asked for is whole.
    pub fn availability_complete(&self) -> bool {
        let base = self.bases.first().and_then(|base| base.availability_complete);
        base.unwrap_or(true) && self.addressing.timing.complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(scheme: &str, value: &str) -> Option<UtcTiming> {
        let text = format!("<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:{scheme}\" value=\"{value}\"/>");
        let element = super::super::xml::read(text.as_bytes(), "UTCTiming").expect("XML");
        UtcTiming::read(&Url::parse("http://h/p/m.mpd").expect("a URL"), &element)
    }

    #[test]
    fn clocks_are_read() {
        let time = Duration::from_secs(784_111_777);
        let date = "1994-11-06T08:49:37Z";
        assert_eq!(timing("direct:2014", date), Some(UtcTiming::Direct(time)));
        assert_eq!(timing("direct:2014", "soon"), None);
        let iso = timing("http-iso:2014", "/time http://u/t").expect("known");
        let UtcTiming::HttpIso(urls) = &iso else { panic!("{iso:?}") };
        assert_eq!(urls.iter().map(Url::as_str).collect::<Vec<_>>(), ["http://h/time", "http://u/t"]);
        assert_eq!(iso.answer(None, b" 1994-11-06T08:49:37Z\n"), Some(time));
        assert_eq!(iso.answer(None, b"<html>"), None);
        let head = timing("http-head:2012", "t").expect("known");
        assert_eq!(head.answer(Some("Sun, 06 Nov 1994 08:49:37 GMT"), b""), Some(time));
        assert_eq!(head.answer(None, b""), None);
        let ntp = timing("http-ntp:2014", "t").expect("known");
        let stamp = [(784_111_777u32 + 2_208_988_800).to_be_bytes(), (1u32 << 31).to_be_bytes()].concat();
        assert_eq!(ntp.answer(None, &stamp), Some(time + Duration::from_millis(500)));
        assert_eq!(ntp.answer(None, &[0; 7]), None);
        assert_eq!(timing("ntp:2014", "a b"), Some(UtcTiming::Ntp(vec!["a".into(), "b".into()])));
        assert!(matches!(timing("carrier-pigeon:2014", "x"), Some(UtcTiming::Other { .. })));
    }
}
