//! Headers of responses: the numbers of the rate limit, and how long to wait.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const OLD_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// A longer reset is a wrong value, not a window of the rate limit.
const LONGEST_RESET: Duration = Duration::from_secs(120);

/// The rate limit as a response reports it; a number that it lacks is `None`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct RateLimit {
    /// How many requests a window allows (`RateLimit-Limit`).
    pub limit: Option<u64>,
    /// How many are left in this one (`RateLimit-Remaining`).
    pub remaining: Option<u64>,
    /// How long until the next window (`RateLimit-Reset`, sent in whole seconds).
    pub reset: Option<Duration>,
}

impl RateLimit {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let whole = |name| -> Option<u64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
        Self {
            limit: whole(LIMIT),
            remaining: whole(REMAINING),
            reset: whole(RESET).map(Duration::from_secs),
        }
    }
}

/// How long a response asks to wait. Every response says when the next window begins, but only a request
/// that got a 429 has to wait for it.
pub(crate) fn requested_wait(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let limited = status == StatusCode::TOO_MANY_REQUESTS;
    retry_after(headers).or_else(|| limited.then(|| window_reset(headers)).flatten())
}

/// `Retry-After`, in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number(headers, &RETRY_AFTER).map(duration);
    seconds.or_else(|| {
        let date = date(headers, &RETRY_AFTER)?;
        Some(date.duration_since(server_time(headers)).unwrap_or_default())
    })
}

/// How long until the next window of the rate limit. Some servers count from now, others from 1970, in
/// seconds or milliseconds: the size of the number shows which.
pub(crate) fn window_reset(headers: &HeaderMap) -> Option<Duration> {
    let reset = number(headers, &RESET).or_else(|| number(headers, &OLD_RESET))?;
    let date = match reset {
        1e12.. => Some(reset / 1e3),
        1e9.. => Some(reset),
        _ => None,
    };
    let seconds = date.map_or(reset, |date| {
        let now = server_time(headers).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        date - now.as_secs_f64()
    });
    Some(duration(seconds)).filter(|reset| *reset <= LONGEST_RESET)
}

/// The time by the server's clock, or else by ours.
fn server_time(headers: &HeaderMap) -> SystemTime {
    date(headers, &DATE).unwrap_or_else(SystemTime::now)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// A number of zero or more.
fn number(headers: &HeaderMap, name: &HeaderName) -> Option<f64> {
    let number: f64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
    (number >= 0.0).then_some(number)
}

/// A time in the past is zero, and one that is too long for a `Duration` is the longest.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Wed, 19 Aug 2026 10:00:00 GMT";

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), http::HeaderValue::from_static(value))
        });
        headers.collect()
    }

    #[test]
    fn rate_limits_are_read() {
        struct Case {
            value: &'static str,
            number: Option<u64>,
        }
        let cases = [
            Case { value: "100", number: Some(100) },
            Case { value: " 0 ", number: Some(0) },
            Case { value: "-1", number: None },
            Case { value: "1.5", number: None },
            Case { value: "many", number: None },
            Case { value: "", number: None },
            Case { value: "18446744073709551616", number: None },
        ];
        for Case { value, number } in cases {
            let headers = [LIMIT, REMAINING, RESET];
            let headers = headers.map(|name| (name, http::HeaderValue::from_static(value)));
            let read = RateLimit::read(&headers.into_iter().collect());
            let reset = number.map(Duration::from_secs);
            assert_eq!(read, RateLimit { limit: number, remaining: number, reset }, "{value:?}");
        }
        assert_eq!(RateLimit::read(&HeaderMap::new()), RateLimit::default());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        struct Case {
            value: &'static str,
            wait: Option<Duration>,
        }
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        let cases = [
            Case { value: "7", wait: seconds(7.0) },
            Case { value: "0", wait: seconds(0.0) },
            Case { value: " 1.5 ", wait: seconds(1.5) },
            Case { value: "1e30", wait: Some(Duration::MAX) },
            Case { value: "inf", wait: Some(Duration::MAX) },
            Case { value: "-1", wait: None },
            Case { value: "NaN", wait: None },
            Case { value: "", wait: None },
            Case { value: "soon", wait: None },
            Case { value: "Wed, 19 Aug 2026 10:00:07 GMT", wait: seconds(7.0) },
            Case { value: "Wednesday, 19-Aug-26 10:00:07 GMT", wait: seconds(7.0) },
            Case { value: "Wed Aug 19 10:00:07 2026", wait: seconds(7.0) },
            Case { value: "Wed, 19 Aug 2026 09:59:59 GMT", wait: seconds(0.0) },
            Case { value: "2026-08-19T10:00:07Z", wait: None },
        ];
        for Case { value, wait } in cases {
            let headers = map(&[("date", NOW), ("retry-after", value)]);
            assert_eq!(retry_after(&headers), wait, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_reset_counts_from_now_or_from_1970() {
        struct Case {
            value: &'static str,
            wait: Option<Duration>,
        }
        let ms = |milliseconds| Some(Duration::from_millis(milliseconds));
        let cases = [
            Case { value: "0", wait: ms(0) },
            Case { value: "1", wait: ms(1_000) },
            Case { value: "0.5", wait: ms(500) },
            Case { value: "8", wait: ms(8_000) },
            Case { value: "120", wait: ms(120_000) },
            Case { value: "121", wait: None },
            Case { value: "999999999", wait: None },
            Case { value: "1787133601", wait: ms(1_000) },
            Case { value: "1787133600.5", wait: ms(500) },
            Case { value: "1787133599", wait: ms(0) },
            Case { value: "1787137200", wait: None },
            Case { value: "1787133601500", wait: ms(1_500) },
            Case { value: "1787133599999", wait: ms(0) },
            Case { value: "-1", wait: None },
            Case { value: "NaN", wait: None },
            Case { value: "", wait: None },
            Case { value: NOW, wait: None },
        ];
        for Case { value, wait } in cases {
            for name in ["ratelimit-reset", "x-ratelimit-reset"] {
                assert_eq!(window_reset(&map(&[("date", NOW), (name, value)])), wait, "{value:?}");
            }
        }
        let both = [("x-ratelimit-reset", "1"), ("ratelimit-reset", "2")];
        assert_eq!(window_reset(&map(&both)), ms(2_000));
        let garbage_and_number = [("x-ratelimit-reset", "1"), ("ratelimit-reset", "soon")];
        assert_eq!(window_reset(&map(&garbage_and_number)), ms(1_000));
        assert_eq!(window_reset(&HeaderMap::new()), None);
    }

    /// Without a date in the response, our own clock counts.
    #[test]
    fn dates_are_compared_with_our_clock_if_the_server_shows_none() {
        for date in [&[][..], &[("date", "today")]] {
            let past = [&[("retry-after", "Wed, 19 Aug 2020 10:00:00 GMT")], date].concat();
            assert_eq!(retry_after(&map(&past)), Some(Duration::ZERO));
            let future = [&[("ratelimit-reset", "9999999999")], date].concat();
            assert_eq!(window_reset(&map(&future)), None);
        }
    }

    #[test]
    fn only_a_429_asks_to_wait_for_the_next_window() {
        struct Case {
            status: StatusCode,
            headers: &'static [(&'static str, &'static str)],
            seconds: Option<u64>,
        }
        let (limited, failed) = (StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE);
        let reset = &[("ratelimit-reset", "1")];
        let both = &[("ratelimit-reset", "1"), ("retry-after", "7")];
        let cases = [
            Case { status: limited, headers: reset, seconds: Some(1) },
            Case { status: limited, headers: both, seconds: Some(7) },
            Case { status: limited, headers: &[], seconds: None },
            Case { status: failed, headers: reset, seconds: None },
            Case { status: failed, headers: both, seconds: Some(7) },
        ];
        for Case { status, headers, seconds } in cases {
            let wait = requested_wait(status, &map(headers));
            assert_eq!(wait, seconds.map(Duration::from_secs), "{status} {headers:?}");
        }
    }
}
