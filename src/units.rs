//! Sizes, rates and durations: reading them from options, writing them for people.
//!
//! Suffixes follow what downloaders use: `k`, `M`, `G`, `T` and `KiB` … are powers of 1024; `kB`, `MB` … are
//! powers of 1000. What is written has three significant digits and a binary unit, never more than nine cells
//! (`1023 KiB` becomes `1.00 MiB`), so that a right-aligned column of [`SIZE_WIDTH`] always fits it.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

/// Cells that [`size`] needs at most: `3.78 GiB`, `812 MiB`, `1000 KiB` is never written.
pub const SIZE_WIDTH: usize = 8;
/// Cells that [`rate`] needs at most: a size and `/s`.
pub const RATE_WIDTH: usize = SIZE_WIDTH + 2;

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes given as an option, such as `64k` or `1.5MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ByteSize(pub u64);

/// Bytes per second given as an option, such as `20M` or `1.5MiB/s`; never zero.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Rate(pub u64);

/// A duration given as an option: `250ms`, `10s`, `5m`, `2h`, or plain seconds; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = || {
            format!("`{text}` is no size: use bytes or a suffix, such as 512, 64k, 1.5MiB or 2G")
        };
        let (number, unit) = split_number(text).ok_or_else(allowed)?;
        let base: f64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "k" | "kib" => 1024.0,
            "m" | "mib" => 1024f64.powi(2),
            "g" | "gib" => 1024f64.powi(3),
            "t" | "tib" => 1024f64.powi(4),
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            _ => return Err(allowed()),
        };
        let bytes = number * base;
        // 2^63 is exact in f64, and larger than any file.
        if bytes < 9_223_372_036_854_775_808.0 {
            Ok(Self(bytes.round() as u64))
        } else {
            Err(format!("`{text}` is too large: at most 8 EiB"))
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = text.strip_suffix("/s").unwrap_or(text);
        match bytes.parse::<ByteSize>() {
            Ok(ByteSize(0)) => {
                Err("a rate of 0 would never finish: leave the option out for no limit".into())
            }
            Ok(ByteSize(bytes)) => Ok(Self(bytes)),
            Err(_) => Err(format!(
                "`{text}` is no rate: use bytes a second, such as 500k, 20M or 1.5MiB/s"
            )),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed =
            || format!("`{text}` is no duration: use 250ms, 10s, 5m, 2h or plain seconds");
        let (number, unit) = split_number(text).ok_or_else(allowed)?;
        let seconds = match unit {
            "ms" => number / 1000.0,
            "" | "s" => number,
            "m" | "min" => number * 60.0,
            "h" => number * 3600.0,
            _ => return Err(allowed()),
        };
        // A year is more than any timeout means; it keeps additions to an Instant from overflowing.
        match Duration::try_from_secs_f64(seconds) {
            Ok(span) if !span.is_zero() && seconds <= 365.0 * 86400.0 => Ok(Self(span)),
            _ => Err(format!(
                "`{text}` is out of range: more than 0, at most a year"
            )),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&size(self.0))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&rate(self.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_millis() == 0 {
            write!(f, "{}s", self.0.as_secs())
        } else {
            write!(f, "{}ms", self.0.as_millis())
        }
    }
}

/// `1.5MiB` → (1.5, "MiB"). Digits and one point only: no sign, no exponent, no `inf`.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    number.parse().ok().map(|number| (number, unit.trim()))
}

/// A size for people: `512 B`, `18.2 KiB`, `3.78 GiB`; three significant digits, at most [`SIZE_WIDTH`] cells.
pub fn size(bytes: u64) -> String {
    let (unit, decimals) = unit_of(bytes);
    in_unit(bytes, unit, decimals) + " " + UNITS[unit]
}

/// Part and whole in the whole's unit, with three significant digits each: `2.31/13.1 GiB`; at most 13 cells.
pub fn part_of(done: u64, total: u64) -> String {
    let (unit, decimals) = unit_of(total.max(done));
    let done = in_unit(done, unit, decimals_of(in_units(done, unit), unit));
    format!("{done}/{} {}", in_unit(total, unit, decimals), UNITS[unit])
}

/// A rate for people: `112 MiB/s`; at most [`RATE_WIDTH`] cells.
pub fn rate(bytes_per_second: u64) -> String {
    size(bytes_per_second) + "/s"
}

/// Time left for people: `0:13`, `2:10`, `1:02:03`, `3d 04h`; `--:--` when it is not known. At most 8 cells.
pub fn eta(left: Option<Duration>) -> String {
    let Some(left) = left else {
        return "--:--".into();
    };
    let seconds = left.as_secs_f64().ceil() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match days {
        0 if hours == 0 => format!("{minutes}:{:02}", seconds % 60),
        0 => format!("{hours}:{:02}:{:02}", minutes % 60, seconds % 60),
        1..=99 => format!("{days}d {:02}h", hours % 24),
        _ => ">99d".into(),
    }
}

/// How long something took, for a log line: `<1 ms`, `2 ms`, `1.4 s`, `3:05`.
pub fn took(time: Duration) -> String {
    match time.as_millis() {
        0 => "<1 ms".into(),
        1..1000 => format!("{} ms", time.as_millis()),
        1000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => eta(Some(time)),
    }
}

/// Whole seconds until a moment, rounded up: 0 once it has come.
pub fn seconds_left(until: Instant, now: Instant) -> u64 {
    let left = until.saturating_duration_since(now);
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

/// The age of something in one unit: `9 s`, `3 m`, `2 h`, `8 d`, `3 w`, `4 mo`, `2 y`. At most 5 cells.
pub fn age(age: Duration) -> String {
    const UNITS: [(u64, &str); 7] = [
        (365 * 86400, "y"),
        (30 * 86400, "mo"),
        (7 * 86400, "w"),
        (86400, "d"),
        (3600, "h"),
        (60, "m"),
        (1, "s"),
    ];
    let seconds = age.as_secs();
    UNITS
        .iter()
        .find(|(length, _)| seconds >= *length)
        .map_or_else(
            || "0 s".into(),
            |(length, unit)| format!("{} {unit}", seconds / length),
        )
}

/// A count with thousands separated: `12,482`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things with their word: `1 file`, `12,482 files`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// The unit that writes `bytes` with at most three digits before the point, and the decimals that make three.
fn unit_of(bytes: u64) -> (usize, usize) {
    let mut unit = 0;
    // 999.5 would be rounded to a fourth digit.
    while in_units(bytes, unit) >= 999.5 && unit + 1 < UNITS.len() {
        unit += 1;
    }
    (unit, decimals_of(in_units(bytes, unit), unit))
}

fn in_units(bytes: u64, unit: usize) -> f64 {
    bytes as f64 / (1u64 << (10 * unit)) as f64
}

/// Decimals that make three digits of a value below a thousand; bytes have none.
fn decimals_of(value: f64, unit: usize) -> usize {
    match value {
        _ if unit == 0 => 0,
        v if v < 9.995 => 2,
        v if v < 99.95 => 1,
        _ => 0,
    }
}

/// `bytes` in `UNITS[unit]`, without the unit's name; the digits are humansize's.
fn in_unit(bytes: u64, unit: usize, decimals: usize) -> String {
    use humansize::{BINARY, FixedAt, FormatSizeOptions, format_size};
    let fixed = [
        FixedAt::Base,
        FixedAt::Kilo,
        FixedAt::Mega,
        FixedAt::Giga,
        FixedAt::Tera,
        FixedAt::Peta,
        FixedAt::Exa,
    ][unit];
    let options = FormatSizeOptions::from(BINARY)
        .fixed_at(Some(fixed))
        .decimal_places(decimals)
        .decimal_zeroes(decimals)
        .space_after_value(true);
    let text = format_size(bytes, options);
    text.split(' ').next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_any_usual_suffix() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("64k", 65536),
            ("64K", 65536),
            ("1.5MiB", 1_572_864),
            ("2G", 2 << 30),
            ("1MB", 1_000_000),
            ("3 GiB", 3 << 30),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "k", "-1", "1e9", "inf", "1.2.3", "12x", "9999999T"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn rates_and_durations_are_read() {
        assert_eq!("20M/s".parse(), Ok(Rate(20 << 20)));
        assert_eq!("20M".parse(), Ok(Rate(20 << 20)));
        assert!("0".parse::<Rate>().is_err());
        assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
        assert_eq!("1.5".parse(), Ok(Span(Duration::from_millis(1500))));
        assert_eq!("5m".parse(), Ok(Span(Duration::from_secs(300))));
        for text in ["", "0", "-1s", "5 days", "1e3", "99999h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_three_digits_and_a_fixed_width() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "0.98 KiB"),
            (18_637, "18.2 KiB"),
            (1_023_999, "0.98 MiB"),
            (1024 * 1023, "1.00 MiB"),
            (790_626_304, "754 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        let mut bytes = 1u64;
        while bytes < u64::MAX / 8 {
            for near in [bytes - 1, bytes, bytes + 1, bytes * 2] {
                assert!(size(near).len() <= SIZE_WIDTH, "{}", size(near));
                assert!(
                    part_of(near / 2, near).len() <= 13,
                    "{}",
                    part_of(near / 2, near)
                );
            }
            bytes += bytes / 4 + 1;
        }
    }

    #[test]
    fn a_part_has_three_digits_in_the_unit_of_the_whole() {
        const MIB: u64 = 1 << 20;
        for (done, total, text) in [
            (60 * MIB, 120 * MIB, "60.0/120 MiB"),
            (727 * MIB, 13_414 * MIB, "0.71/13.1 GiB"),
            (212 * MIB, 640 * MIB, "212/640 MiB"),
            (300_000, 90 * MIB, "0.29/90.0 MiB"),
            (5, 12, "5/12 B"),
        ] {
            assert_eq!(part_of(done, total), text);
        }
    }

    #[test]
    fn times_and_counts_are_short() {
        assert_eq!(eta(None), "--:--");
        assert_eq!(eta(Some(Duration::from_millis(12_200))), "0:13");
        assert_eq!(eta(Some(Duration::from_secs(3723))), "1:02:03");
        assert_eq!(eta(Some(Duration::from_secs(90_000))), "1d 01h");
        assert_eq!(age(Duration::from_secs(61)), "1 m");
        assert_eq!(age(Duration::from_secs(86400 * 130)), "4 mo");
        assert_eq!(took(Duration::from_millis(2)), "2 ms");
        assert_eq!(count(12_482), "12,482");
        assert_eq!(count(482), "482");
    }
}
