//! Quantities and durations as people write them.
use bursar_interface::{Amount, bound::AMOUNT_MAX};
use std::time::Duration;

/// Kinds whose base unit is a thousandth of what people say: `--cpu 1.5` is 1500 millicores.
const MILLI: [&str; 2] = ["cpu", "gpu"];
/// Kinds whose base unit is a millionth of what people say: `usd=1.50` is 1,500,000 micro-dollars.
const MICRO: [&str; 1] = ["usd"];
/// Kinds counted in bytes, whose suffixes go by 1024.
const BYTES: [&str; 4] = ["memory", "disk", "io", "network"];
/// Decimals that are read; more than that is finer than any base unit.
const DECIMALS_MAX: usize = 9;

/// An amount of `resource` as people write it, in base units: `1.5` cores, `512M` (by 1024 for bytes, by
/// 1000 for all else), `250m`.
///
/// # Errors
/// Says what is wrong with the text and what would be right.
pub fn quantity(resource: &str, text: &str) -> Result<Amount, String> {
    let unreadable = || format!("{text:?} is no amount of {resource}; write it as {}", example(resource));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = factor(resource, &text[digits.len()..]).ok_or_else(unreadable)?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !plain(whole) || !plain(part) || part.len() > DECIMALS_MAX {
        return Err(unreadable());
    }
    let (numerator, denominator) = factor;
    let scale = 10_u128.pow(part.len() as u32);
    let value = format!("{whole}{part}").parse::<u128>().ok().and_then(|value| value.checked_mul(numerator));
    let value = value.ok_or_else(|| too_much(resource, text))?;
    match value % (scale * denominator) {
        0 => bounded(resource, text, value / (scale * denominator)),
        _ => Err(format!("{text:?} is finer than what {resource} is counted in ({})", unit(resource))),
    }
}

/// An amount per time as people write it, in base units and nanoseconds: `50k/m`, `5usd/d`, `8G` (which
/// never comes back by itself: 0).
///
/// # Errors
/// Says what is wrong with the text and what would be right.
pub fn per_time(resource: &str, text: &str) -> Result<(Amount, u64), String> {
    const SECOND_NS: u64 = 1_000_000_000;
    let Some((amount, time)) = text.split_once('/') else { return Ok((quantity(resource, text)?, 0)) };
    let seconds = match time {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => {
            return Err(format!(
                "{text:?} has no time to come back in; write it as 50k/m, with s, m, h, d or w"
            ));
        }
    };
    Ok((quantity(resource, amount)?, seconds * SECOND_NS))
}

/// A limit and a guarantee as people write them, and in which time both come back (ns).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounded {
    /// What may be held, or spent in that time; `None` where nothing is said.
    pub limit: Option<Amount>,
    /// What can always be had of it.
    pub guaranteed: Option<Amount>,
    /// `None` where neither says a time.
    pub period_ns: Option<u64>,
}

/// Reads a limit and a guarantee: `50k/m`, and `20k/m` or `20k`, which means the same then.
///
/// # Errors
/// Which of the two is wrong, and what would be right.
pub fn bounds_per_time(
    resource: &str,
    limit: Option<&str>,
    guaranteed: Option<&str>,
) -> Result<Bounded, (&'static str, String)> {
    let read = |key, text: Option<&str>| {
        text.map(|text| per_time(resource, text)).transpose().map_err(|why| (key, why))
    };
    let (limit, guaranteed) = (read("limit", limit)?, read("guaranteed", guaranteed)?);
    let time = |bound: Option<(Amount, u64)>| bound.map(|(_, period_ns)| period_ns).filter(|&ns| ns > 0);
    match (time(limit), time(guaranteed)) {
        (Some(a), Some(b)) if a != b => Err((
            "guaranteed",
            "the limit and the guarantee are counted in different times; use one, as 20k/m and 50k/m".into(),
        )),
        (a, b) => {
            let amount = |bound: Option<(Amount, u64)>| bound.map(|(amount, _)| amount);
            let (limit, guaranteed) = (amount(limit), amount(guaranteed));
            Ok(Bounded { limit, guaranteed, period_ns: a.or(b) })
        }
    }
}

/// An amount in base units as it stands in JSON: digits only.
///
/// # Errors
/// Says what is wrong with the text and what would be right.
pub fn amount(resource: &str, text: &str) -> Result<Amount, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "{text:?} is no amount of {resource}: JSON takes whole base units ({}) as digits, as in \"1000\"",
            unit(resource)
        ));
    }
    text.parse::<u128>()
        .map_or_else(|_| Err(too_much(resource, text)), |value| bounded(resource, text, value))
}

fn bounded(resource: &str, text: &str, value: u128) -> Result<Amount, String> {
    match Amount::try_from(value) {
        Ok(value) if value <= AMOUNT_MAX => Ok(value),
        _ => Err(too_much(resource, text)),
    }
}

fn too_much(resource: &str, text: &str) -> String {
    format!("{text:?} of {resource} is more than can be counted: at most {AMOUNT_MAX} {}", unit(resource))
}

/// Numerator and denominator that turn the written number into base units.
fn factor(resource: &str, suffix: &str) -> Option<(u128, u128)> {
    let base = match resource {
        _ if MILLI.contains(&resource) => 1000,
        _ if MICRO.contains(&resource) => 1_000_000,
        _ => 1,
    };
    let suffix = if suffix == resource { "" } else { suffix };
    let bytes = BYTES.contains(&resource);
    let suffix = if bytes { of_bytes(suffix) } else { suffix };
    let step: u128 = if bytes { 1024 } else { 1000 };
    let power = match suffix {
        "" => return Some((base, 1)),
        "m" if !bytes => return Some((base, 1000)),
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return None,
    };
    Some((base * step.pow(power), 1))
}

/// A suffix without what says that bytes are meant: `M`, `MB`, `Mi` and `MiB` are the same, `B` is none.
fn of_bytes(suffix: &str) -> &str {
    let short = suffix.strip_suffix('B').unwrap_or(suffix);
    short.strip_suffix('i').filter(|letter| !letter.is_empty()).unwrap_or(short)
}

fn unit(resource: &str) -> &'static str {
    match resource {
        "cpu" => "millicores",
        "gpu" => "thousandths of a device",
        "memory" | "disk" => "bytes",
        "io" | "network" => "bytes a second",
        "usd" => "micro-dollars",
        _ => "pieces",
    }
}

fn example(resource: &str) -> &'static str {
    match resource {
        "cpu" | "gpu" => "2, 1.5 or 250m",
        "memory" | "disk" | "io" | "network" => "512M, 1.5G or plain bytes",
        "usd" => "5, 0.25 or 5usd",
        _ => "1, 20k or 3M",
    }
}

/// An amount of `resource` in base units as people like to read it.
pub fn show(resource: &str, amount: Amount) -> String {
    let decimals = match resource {
        _ if MILLI.contains(&resource) => 3,
        _ if MICRO.contains(&resource) => 6,
        _ => 0,
    };
    if decimals > 0 {
        let unit = 10_u64.pow(decimals);
        let (whole, part, width) = (amount / unit, amount % unit, decimals as usize);
        return match part {
            0 => whole.to_string(),
            _ => format!("{whole}.{part:0width$}").trim_end_matches('0').to_owned(),
        };
    }
    if !BYTES.contains(&resource) || amount < 1024 {
        return amount.to_string();
    }
    let power = (amount.ilog2() / 10).min(4);
    let value = amount as f64 / f64::from(1_u32 << 10).powi(power as i32);
    let letter = ["", "K", "M", "G", "T"][power as usize];
    match amount % (1 << (10 * power)) {
        0 => format!("{value:.0}{letter}"),
        _ => format!("{value:.1}{letter}"),
    }
}

/// A duration as people write it: `30s`, `1h 10m`; a bare number is seconds.
///
/// # Errors
/// Says what is wrong with the text and what would be right.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is no duration; write it as 30s, 10m or 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_people_write_them() {
        for (resource, text, expected) in [
            ("cpu", "1.5", 1500),
            ("cpu", "250m", 250),
            ("cpu", "2", 2000),
            ("memory", "512M", 512 << 20),
            ("memory", "1.5G", 3 << 29),
            ("memory", "64MiB", 64 << 20),
            ("memory", "1000", 1000),
            ("memory", "7B", 7),
            ("memory", "1Gi", 1 << 30),
            ("memory", "1GB", 1 << 30),
            ("pids", "20k", 20_000),
            ("port", "3", 3),
            ("usd", "1.50", 1_500_000),
            ("usd", "5usd", 5_000_000),
            ("tokens", "20k", 20_000),
        ] {
            assert_eq!(quantity(resource, text), Ok(expected), "{resource} {text}");
        }
    }

    #[test]
    fn what_is_no_quantity_says_so() {
        for (resource, text, told) in [
            ("cpu", "-1", "no amount"),
            ("cpu", "1e3", "no amount"),
            ("cpu", "0.0001", "finer"),
            ("memory", "0.5", "finer"),
            ("memory", "", "no amount"),
            ("memory", "M", "no amount"),
            ("memory", "5i", "no amount"),
            ("memory", "5iB", "no amount"),
            ("memory", "512MiBiB", "no amount"),
            ("memory", "512MBB", "no amount"),
            ("memory", "9999999T", "more than"),
            ("memory", "340282366920938463463374607431768211456", "more than"),
            ("pids", "5x", "no amount"),
        ] {
            let error = quantity(resource, text).expect_err(text);
            assert!(error.contains(told), "{error}");
        }
        assert!(amount("memory", "1G").expect_err("a unit").contains("base units"));
        assert!(amount("memory", "99999999999999999999999").expect_err("too much").contains("more than"));
        assert_eq!(amount("memory", "1024"), Ok(1024));
    }

    #[test]
    fn amounts_are_shown_as_they_are_written() {
        assert_eq!(show("cpu", 1500), "1.5");
        assert_eq!(show("cpu", 2000), "2");
        assert_eq!(show("memory", 512 << 20), "512M");
        assert_eq!(show("memory", (512 << 20) + 1), "512.0M");
        assert_eq!(show("memory", 12), "12");
        assert_eq!(show("pids", 20_000), "20000");
        assert_eq!((show("usd", 1_500_000), show("usd", 13)), ("1.5".into(), "0.000013".into()));
    }

    #[test]
    fn amounts_per_time_say_in_which() {
        assert_eq!(per_time("tokens", "50k/m"), Ok((50_000, 60_000_000_000)));
        assert_eq!(per_time("usd", "5usd/d"), Ok((5_000_000, 86_400_000_000_000)));
        assert_eq!(per_time("memory", "8G"), Ok((8 << 30, 0)));
        assert!(per_time("tokens", "50k/y").expect_err("no time").contains("s, m, h, d or w"));
        assert!(per_time("tokens", "/m").expect_err("no amount").contains("no amount"));
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h 10m"), Ok(Duration::from_secs(4200)));
        assert!(duration("soon").expect_err("no duration").contains("30s"));
    }
}
