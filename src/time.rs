//! Wall-clock stamps and durations for people.
//!
//! A stamp is nanoseconds since 1970 UTC in an i64 (good until 2262), because that is what both
//! `stat` and the wire speak. Deadlines use `std::time::Instant`; the two never mix.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01 UTC; negative before.
pub type Stamp = i64;

pub fn now() -> Stamp {
    stamp(SystemTime::now())
}

pub fn stamp(t: SystemTime) -> Stamp {
    match t.duration_since(UNIX_EPOCH) {
        Ok(d) => i64::try_from(d.as_nanos()).unwrap_or(i64::MAX),
        Err(e) => i64::try_from(e.duration().as_nanos()).map_or(i64::MIN, |n| -n),
    }
}

pub fn system(s: Stamp) -> SystemTime {
    let span = Duration::from_nanos(s.unsigned_abs());
    if s >= 0 {
        UNIX_EPOCH + span
    } else {
        UNIX_EPOCH - span
    }
}

/// Whole milliseconds, as they are measured and shown.
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// `0.4s`, `12.3s`, `4m05s`, `2h03m`: two units at most, as wide as people need.
pub fn human(d: Duration) -> String {
    let secs = d.as_secs();
    match secs {
        0..60 => format!("{:.1}s", d.as_secs_f64()),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs % 3600 / 60),
    }
}

/// `2026-11-23T20:46:30.123Z` (RFC 3339, UTC).
pub fn rfc3339(s: Stamp) -> String {
    let secs = s.div_euclid(1_000_000_000);
    let millis = s.rem_euclid(1_000_000_000) / 1_000_000;
    let (days, second) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{millis:03}Z")
}

/// Days since 1970-01-01 to a Gregorian date, by counting 400-year eras of 146,097 days that begin
/// on 1 March, so that the leap day is an era's last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, doe) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + i64::from(month <= 2),
        month,
        doy - (153 * mp + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_around_leap_days() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(951_782_400_000_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(
            rfc3339(1_795_466_790_123_000_000),
            "2026-11-23T20:46:30.123Z"
        );
        assert_eq!(rfc3339(-1_000_000), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(human(Duration::from_millis(420)), "0.4s");
        assert_eq!(human(Duration::from_secs(245)), "4m05s");
        assert_eq!(human(Duration::from_secs(7380)), "2h03m");
    }

    #[test]
    fn stamps_survive_the_way_there_and_back() {
        for s in [0, 1, -1, 1_795_466_790_123_456_789] {
            assert_eq!(stamp(system(s)), s);
        }
    }
}
