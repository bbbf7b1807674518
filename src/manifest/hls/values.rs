// SPDX-License-Identifier: MPL-2.0

//! The values that tags carry: RFC 8216bis 4.2, read as leniently as browsers do.

use std::time::Duration;

use crate::manifest::{ByteRange, KeyMethod};

/// Longest duration that is taken at its word. Keeps the sum over a playlist within the 64 bits of
/// nanoseconds that media frameworks count in.
const MAX_SECONDS: f64 = 86_400.0;

/// The number at the start of `text`, whatever follows it; always finite.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut end = usize::from(text.starts_with(['-', '+']));
    end += digits(&text[end..]);
    if text[end..].starts_with('.') {
        end += 1 + digits(&text[end + 1..]);
    }
    if let Some(exponent) = text[end..].strip_prefix(['e', 'E']) {
        let sign = usize::from(exponent.starts_with(['-', '+']));
        match digits(&exponent[sign..]) {
            0 => {}
            count => end += 1 + sign + count,
        }
    }
    text[..end].parse().ok().filter(|number: &f64| number.is_finite())
}

/// The whole number at the start of `text`, whatever follows it; one that does not fit is cut to
/// the nearest that leaves room for counting on.
pub(super) fn integer(text: &str) -> Option<i64> {
    const LIMIT: i64 = 1 << 53;
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = &digits[..digits.bytes().take_while(u8::is_ascii_digit).count()];
    if digits.is_empty() {
        return None;
    }
    let number = digits.parse().unwrap_or(LIMIT).min(LIMIT);
    Some(if negative { -number } else { number })
}

/// A whole number; None where it is negative.
pub(super) fn unsigned(text: &str) -> Option<u64> {
    integer(text)?.try_into().ok()
}

/// EXT-X-VERSION; 1 where it says nothing.
pub(super) fn version(text: &str) -> u32 {
    unsigned(text).and_then(|version| version.try_into().ok()).unwrap_or(1)
}

/// Seconds; a negative number is zero.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    decimal(text).map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, MAX_SECONDS)))
}

/// `length[@offset]`; an offset that is left out is `implicit`.
pub(super) fn byte_range(text: &str, implicit: u64) -> Option<ByteRange> {
    let (length, offset) = match text.split_once('@') {
        Some((length, offset)) if !offset.trim().is_empty() => (unsigned(length)?, unsigned(offset)?),
        Some((length, _)) => (unsigned(length)?, implicit),
        None => (unsigned(text)?, implicit),
    };
    offset.checked_add(length)?;
    Some(ByteRange { offset, length })
}

/// An initialisation vector: `0x` and up to 32 hexadecimal digits.
pub(super) fn initialisation_vector(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// Any number of bytes: `0x` and pairs of hexadecimal digits.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?.as_bytes();
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

pub(super) fn key_method(text: &str) -> KeyMethod {
    match text {
        "AES-128" => KeyMethod::Aes128,
        "AES-256" => KeyMethod::Aes256,
        "SAMPLE-AES" => KeyMethod::SampleAes,
        "SAMPLE-AES-CTR" | "SAMPLE-AES-CENC" => KeyMethod::SampleAesCtr,
        other => KeyMethod::Other(other.to_owned()),
    }
}

/// A date and time of ISO 8601 as the time since 1970-01-01 UTC: `2026-03-01T12:00:00.5+01:00`.
/// Also takes zones without a colon and without minutes; without a zone it is taken as UTC.
pub(super) fn date_time(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let mut field = || digits(date.next()?);
    let (year, month, day) = (field()?, field()?, field()?);

    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone_at);
    let mut time = time.splitn(3, ':');
    let hour = digits(time.next()?)?;
    let minute = digits(time.next()?)?;
    let second = time.next().map_or(Some(0.0), |s| s.parse().ok().filter(|s| (0.0..61.0).contains(s)))?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour <= 24
        && minute < 60;
    if !in_range {
        return None;
    }
    let seconds =
        days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 - zone_offset(zone)?;
    Some(Duration::from_secs(seconds.try_into().ok()?) + Duration::from_secs_f64(second))
}

fn digits(text: &str) -> Option<i64> {
    let plain = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// Seconds that a zone is ahead of UTC.
fn zone_offset(zone: &str) -> Option<i64> {
    let (sign, zone) = match zone.as_bytes().first() {
        None | Some(b'Z' | b'z') => return Some(0),
        Some(b'-') => (-1, &zone[1..]),
        Some(_) => (1, &zone[1..]),
    };
    let (hours, minutes) = match zone.split_once(':') {
        Some(parts) => parts,
        None if zone.is_char_boundary(2) && zone.len() > 2 => zone.split_at(2),
        None => (zone, "0"),
    };
    Some(sign * (digits(hours)? * 3_600 + digits(minutes)? * 60))
}

/// Days from 1970-01-01 in the Gregorian calendar; counting years from March puts the leap day
/// last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (text, expected) in [
            ("6", Some(6.0)),
            ("6.006", Some(6.006)),
            (" 6.5 ", Some(6.5)),
            ("6.", Some(6.0)),
            (".5", Some(0.5)),
            ("6e1", Some(60.0)),
            ("6e", Some(6.0)),
            ("-1", Some(-1.0)),
            ("+1", Some(1.0)),
            ("6 tvg-id=\"a\"", Some(6.0)),
            ("1e999", None),
            ("", None),
            (".", None),
            ("-", None),
            ("NaN", None),
            ("é", None),
        ] {
            assert_eq!(decimal(text), expected, "{text:?}");
        }
    }

    #[test]
    fn integers() {
        for (text, expected) in [
            ("7", Some(7)),
            (" 7.9", Some(7)),
            ("-11", Some(-11)),
            ("99999999999999999999999", Some(1 << 53)),
            ("-99999999999999999999999", Some(-(1 << 53))),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_are_exact_and_bounded() {
        assert_eq!(seconds("6.006"), Some(Duration::from_millis(6_006)));
        assert_eq!(seconds("-1"), Some(Duration::ZERO));
        assert_eq!(seconds("1e300"), Some(Duration::from_secs(86_400)));
        assert_eq!(seconds("x"), None);
    }

    #[test]
    fn byte_ranges() {
        assert_eq!(byte_range("10@20", 5), Some(ByteRange { offset: 20, length: 10 }));
        assert_eq!(byte_range("10", 5), Some(ByteRange { offset: 5, length: 10 }));
        assert_eq!(byte_range("10@", 5), Some(ByteRange { offset: 5, length: 10 }));
        for text in ["", "@", "x@1", "1@x", "-1@0", "1@-1"] {
            assert_eq!(byte_range(text, 0), None, "{text:?}");
        }
        assert_eq!(byte_range("1", u64::MAX), None);
    }

    #[test]
    fn vectors() {
        assert_eq!(initialisation_vector("0x1"), Some(1u128.to_be_bytes()));
        assert_eq!(initialisation_vector("0Xff"), Some(255u128.to_be_bytes()));
        assert_eq!(initialisation_vector("0x100000000000000000000000000000000"), None);
        assert_eq!(initialisation_vector("0xzz"), None);
    }

    #[test]
    fn date_times() {
        let at = |millis| Some(Duration::from_millis(millis));
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", at(0)),
            ("2010-02-19T14:54:23.031+08:00", at(1_266_562_463_031)),
            ("2010-02-19T14:54:23.031+0800", at(1_266_562_463_031)),
            ("2010-02-19T14:54:23.031+08", at(1_266_562_463_031)),
            ("2010-02-19T06:54:23.031Z", at(1_266_562_463_031)),
            ("2010-02-19T06:54:23.031", at(1_266_562_463_031)),
            ("2010-02-19 06:54:23.031", at(1_266_562_463_031)),
            ("2000-02-29T23:59:60Z", at(951_868_800_000)),
            ("2024-12-31T23:59:59-00:00", at(1_735_689_599_000)),
            ("1969-12-31T23:59:59Z", None),
            ("1970-01-01T00:00:00+01:00", None),
            ("2010-13-19T06:54:23Z", None),
            ("2010-02-19", None),
            ("yesterday", None),
            ("2010-02-19T06:54:é", None),
            ("2010-02-19T06:54:23+é0", None),
            ("2010-02-19T06:54:NaNZ", None),
        ] {
            assert_eq!(date_time(text), expected, "{text:?}");
        }
    }
}
