//! What an answer's headers say of the rate limit, and how long they ask to wait.

use std::time::{Duration, SystemTime};

use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const OLD_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The rate limit as an answer tells it; a figure that it lacks is `None`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct RateLimit {
    /// How many requests a window allows (`RateLimit-Limit`).
    pub limit: Option<u64>,
    /// How many are left in this one (`RateLimit-Remaining`).
    pub remaining: Option<u64>,
    /// How long until the window starts anew (`RateLimit-Reset`, sent in whole seconds).
    pub reset: Option<Duration>,
}

impl RateLimit {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let figure =
            |name| -> Option<u64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
        Self {
            limit: figure(LIMIT),
            remaining: figure(REMAINING),
            reset: figure(RESET).map(Duration::from_secs),
        }
    }
}

/// How long an answer asks to wait. Every answer says when the window starts anew; only a call that
/// was refused has to wait for it.
pub(crate) fn hint(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let refused = status == StatusCode::TOO_MANY_REQUESTS;
    retry_after(headers).or_else(|| refused.then(|| window_reset(headers)).flatten())
}

/// `Retry-After`, in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = number(headers, &RETRY_AFTER).map(duration);
    seconds.or_else(|| {
        let date = date(headers, &RETRY_AFTER)?;
        Some(date.duration_since(server_time(headers)).unwrap_or_default())
    })
}

/// How long until the window of the rate limit starts anew. Some servers count from now, others from
/// 1970, in seconds or milliseconds: what is too large for the one is the other.
pub(crate) fn window_reset(headers: &HeaderMap) -> Option<Duration> {
    /// Near the window that the API documents, a second: no wrong figure may close a client for long.
    const LONGEST: Duration = Duration::from_secs(2);
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
    Some(duration(seconds).min(LONGEST))
}

/// What the server's clock shows, or else ours.
fn server_time(headers: &HeaderMap) -> SystemTime {
    date(headers, &DATE).unwrap_or_else(SystemTime::now)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// A figure of zero or more.
fn number(headers: &HeaderMap, name: &HeaderName) -> Option<f64> {
    let number: f64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
    (number >= 0.0).then_some(number)
}

/// What is too long for a `Duration` is for ever, and what lies in the past is over.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}
