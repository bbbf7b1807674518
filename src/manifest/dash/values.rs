// SPDX-License-Identifier: MPL-2.0

//! The values that attributes carry, read as leniently as players do. What makes no sense is None;
//! nothing overflows.

use std::time::Duration;

use crate::manifest::ByteRange;

/// Nanoseconds, on a timeline that may begin before zero.
pub(super) type Nanos = i64;

/// Longest duration, and latest date, that is taken at its word: 146 years. The sum of a few still
/// fits into 64 bits of nanoseconds, which media frameworks count in.
const MAX: Duration = Duration::from_nanos(1 << 62);

pub(super) const SECOND: Nanos = 1_000_000_000;

/// A duration in [`Nanos`].
pub(super) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

/// [`Nanos`] as a duration; zero where negative.
pub(super) fn duration_of(nanos: Nanos) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

/// Ticks of a timescale in nanoseconds, rounded down; what does not fit is cut.
pub(super) fn ticks_to_nanos(ticks: i128, timescale: u64) -> Nanos {
    let nanos = ticks.saturating_mul(SECOND.into()).div_euclid(timescale.max(1).into());
    nanos.clamp(Nanos::MIN.into(), Nanos::MAX.into()) as Nanos
}

/// Nanoseconds in ticks of a timescale, rounded down.
pub(super) fn nanos_to_ticks(nanos: Nanos, timescale: u64) -> i128 {
    (i128::from(nanos) * i128::from(timescale)).div_euclid(SECOND.into())
}

/// The whole number at the start of `text`, whatever follows it; one that does not fit is cut.
pub(super) fn integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = &digits[..digits.bytes().take_while(u8::is_ascii_digit).count()];
    if digits.is_empty() {
        return None;
    }
    let number = digits.parse().unwrap_or(i64::MAX);
    Some(if negative { -number } else { number })
}

/// A whole number; None where it is negative.
pub(super) fn unsigned(text: &str) -> Option<u64> {
    integer(text)?.try_into().ok()
}

/// A finite number.
pub(super) fn decimal(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// `true`, `1`, and for ConditionalUintType any other number but 0; in upper case too.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let text = text.trim();
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => integer(text).map(|number| number != 0),
    }
}

/// `first-last`, both included.
pub(super) fn byte_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.trim().split_once('-')?;
    let (first, last) = (unsigned(first)?, unsigned(last)?);
    Some(ByteRange { offset: first, length: last.checked_add(1)?.checked_sub(first)? })
}

/// A ratio such as `30000/1001`, or a number.
pub(super) fn ratio(text: &str) -> Option<f64> {
    let number = match text.split_once(['/', ':']) {
        Some((above, below)) => decimal(above)? / decimal(below)?,
        None => decimal(text)?,
    };
    Some(number).filter(|number| number.is_finite() && *number > 0.0)
}

/// xs:duration, `P1DT2H3M4.5S`. Years have 365 days and months 30. A bare number is in seconds, and
/// the letters P and T may be missing, as some packagers leave them out. None where negative.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    let (mut rest, mut in_time) = match text.strip_prefix(['P', 'p']) {
        Some(rest) => (rest, false),
        None => (text, true),
    };
    let (mut total, mut fields) = (Duration::ZERO, 0);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix(['T', 't']) {
            (rest, in_time) = (time, true);
            continue;
        }
        let length = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, after) = rest.split_at(length);
        let unit = after.chars().next();
        let seconds = match (unit.map(|unit| unit.to_ascii_uppercase()), in_time) {
            (Some('Y'), false) => 365 * 86_400,
            (Some('M'), false) => 30 * 86_400,
            (Some('W'), false) => 7 * 86_400,
            (Some('D'), false) => 86_400,
            (Some('H'), true) => 3_600,
            (Some('M'), true) => 60,
            (Some('S') | None, true) => 1,
            _ => return None,
        };
        total = total.checked_add(scaled(number, seconds)?).unwrap_or(MAX);
        rest = unit.map_or("", |unit| &after[unit.len_utf8()..]);
        fields += 1;
    }
    (fields > 0).then(|| total.min(MAX))
}

/// A decimal number of units of so many seconds.
fn scaled(number: &str, seconds: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u64::MAX) };
    let mut nanos: u128 = u128::from(whole) * 1_000_000_000 * u128::from(seconds);
    let mut unit = 1_000_000_000 * u128::from(seconds);
    for digit in fraction.bytes().take(18) {
        unit /= 10;
        nanos += u128::from(digit - b'0') * unit;
    }
    let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
    Some(Duration::from_nanos(nanos).min(MAX))
}

/// xs:dateTime as the time since 1970-01-01 UTC. Fields may have one digit, the time may be
/// missing or 24:00; without a zone it is taken as UTC (ISO/IEC 23009-1 A.1). Dates before 1970
/// are 1970.
pub(super) fn date_time(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (date, rest) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00:00"));
    let date = date.trim_end_matches(['Z', 'z']);
    let mut date = date.splitn(3, '-');
    let mut field = || field(date.next()?);
    let (year, month, day) = (field()?, field()?, field()?);

    let rest = rest.trim();
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone_at);
    let mut time = time.splitn(3, ':');
    let hour = self::field(time.next()?)?;
    let minute = time.next().map_or(Some(0), self::field)?;
    let second = time.next().map_or(Some(Duration::ZERO), |second| scaled(second.trim(), 1))?;
    let sound = (1..=9_999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour <= 24
        && minute < 60
        && second < Duration::from_secs(61);
    if !sound {
        return None;
    }
    let seconds =
        days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 - zone_offset(zone)?;
    Some((Duration::from_secs(seconds.try_into().unwrap_or(0)) + second).min(MAX))
}

/// The Date of an HTTP response (RFC 9110 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(text: &str) -> Option<Duration> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = text.trim().split_once(',')?;
    let mut words = date.split_ascii_whitespace();
    let day = words.next()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))? + 1;
    let (year, time) = (words.next()?, words.next()?);
    date_time(&format!("{year}-{month}-{day}T{time}Z"))
}

fn field(text: &str) -> Option<i64> {
    let text = text.trim();
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
        None if zone.len() > 2 => (zone.get(..2)?, zone.get(2..)?),
        None => (zone, "0"),
    };
    Some(sign * (field(hours)? * 3_600 + field(minutes)? * 60))
}

/// Days from 1970-01-01 in the Gregorian calendar; counting years from March puts the leap day
/// last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

/// A UUID or 32 hexadecimal digits.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').take(33).collect();
    let plain = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if plain { u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes) } else { None }
}

/// Base64, white space in it or not.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text: String = text.split_ascii_whitespace().collect();
    LENIENT.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text: &str| duration(text).map(|duration| duration.as_secs_f64());
        for (text, wanted) in [
            ("PT0H9M56.46S", Some(596.46)),
            ("P1Y2M3DT4H5M6S", Some(31_536_000.0 + 2.0 * 2_592_000.0 + 3.0 * 86_400.0 + 14_706.0)),
            ("P1W", Some(604_800.0)),
            ("PT1.5M", Some(90.0)),
            ("PT.5S", Some(0.5)),
            ("PT5.S", Some(5.0)),
            ("1.5", Some(1.5)),
            ("2S", Some(2.0)),
            ("PT3", Some(3.0)),
            (" PT2S ", Some(2.0)),
            ("PT0S", Some(0.0)),
            ("P", None),
            ("PT", None),
            ("", None),
            ("-PT5S", None),
            ("PT5X", None),
            ("PTS", None),
            ("PT1é", None),
            ("P5S", None),
            ("PT1 S", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        for huge in
            ["PT18446744073709551615H", "P99999999999999Y", "PT307445734561825861M", "P1Y99999999999Y"]
        {
            assert_eq!(duration(huge), Some(MAX), "{huge}");
        }
    }

    #[test]
    fn dates() {
        let seconds = |text: &str| date_time(text).map(|date| date.as_secs_f64());
        for (text, wanted) in [
            ("1970-01-01T00:00:00Z", Some(0.0)),
            ("1970-01-01", Some(0.0)),
            ("2015-03-24T1:10:50", Some(1_427_159_450.0)),
            ("2015-03-24T0:0:0", Some(1_427_155_200.0)),
            ("2024-02-29T24:00:00Z", Some(1_709_251_200.0)),
            ("2015-03-24T10:50", Some(1_427_194_200.0)),
            ("2015-03-24T01:10:50.5+01:00", Some(1_427_155_850.5)),
            ("2015-03-24T01:10:50+0100", Some(1_427_155_850.0)),
            ("0001-01-01T00:00:00Z", Some(0.0)),
            ("2015-13-24T01:10:50Z", None),
            ("now", None),
            ("", None),
            ("2015-03-24T01:10:50+é0", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
        assert_eq!(date_time("9999-12-31T00:00:00Z"), Some(MAX));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(784_111_777)));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn numbers() {
        assert_eq!(integer(" -5 "), Some(-5));
        assert_eq!(integer("99999999999999999999"), Some(i64::MAX));
        assert_eq!(integer("-99999999999999999999"), Some(-i64::MAX));
        assert_eq!(integer("+7x"), Some(7));
        assert_eq!(integer("x"), None);
        assert_eq!(unsigned("-1"), None);
        assert_eq!(boolean("True"), Some(true));
        assert_eq!(boolean("2"), Some(true));
        assert_eq!(boolean("0"), Some(false));
        assert_eq!(boolean("maybe"), None);
        assert_eq!(byte_range("500-999"), Some(ByteRange { offset: 500, length: 500 }));
        assert_eq!(byte_range("9-8"), Some(ByteRange { offset: 9, length: 0 }));
        assert_eq!(byte_range("9-7"), None);
        assert_eq!(byte_range("500-"), None);
        assert_eq!(ratio("30000/1001").map(|n| (n * 1_000.0).round()), Some(29_970.0));
        assert_eq!(ratio("1/0"), None);
        assert_eq!(uuid("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed").map(|id| id[0]), Some(0xed));
        assert_eq!(uuid("edef8ba9"), None);
        assert_eq!(base64("AA\n AB"), Some(vec![0, 0, 1]));
        assert_eq!(ticks_to_nanos(-1, 2), -SECOND / 2);
        assert_eq!(ticks_to_nanos(i128::MAX, 1), Nanos::MAX);
        assert_eq!(nanos_to_ticks(SECOND / 2, 90_000), 45_000);
    }
}
