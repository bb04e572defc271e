//! What went wrong, whether the record may be stored anyway, and what to do about it.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::api::types::{ErrorResponse, ErrorType};
use crate::decode::without_surrogates;
use crate::headers::requested_wait;
use crate::redaction::{Secrets, one_line, without_values};
use crate::violation::Violation;

/// Statuses that by definition mean "not processed", also from a gateway.
const UNPROCESSED: [StatusCode; 3] =
    [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
/// Errors that are about the settings or the account, not about the record.
const CORRECTABLE: [&str; 6] = [
    UNAUTHORIZED,
    FORBIDDEN,
    "PaymentRequired",
    "QuotaExceeded",
    "ResourceNotFound",
    "MethodNotFound",
];
const UNAUTHORIZED: &str = "Unauthorized";
const FORBIDDEN: &str = "Forbidden";
/// Errors of a request that names an id that does not exist, or no longer does.
const UNKNOWN_ID: [&str; 2] = ["ReferenceNotFound", "ResourceGone"];
const LOCKED: &str = "ResourceLockedConflict";
/// How much of a body is read, in bytes.
pub(crate) const READ_BODY: usize = 64 << 10;
/// How much of a body an error keeps, in characters.
const KEPT_BODY: usize = 1_000;

/// Why a record was not stored, or why that is not known.
///
/// What to do depends on [`maybe_stored`](Self::maybe_stored). If it is `false`, this call did not store the record. If
/// it is `true`, a record that its tags identify can be sent again without harm: the endpoint finds the first one. A
/// webhook needs to know only whether it [`should_repeat`](Self::should_repeat).
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    attempts: u32,
    maybe_stored: bool,
    /// Whether the endpoint can find the record again.
    identified: bool,
    /// Whether another call may succeed, whatever the kind says.
    is_transient: bool,
    /// The kind of record that `maybe_stored` is about.
    record: &'static str,
    step: Option<&'static str>,
    user_id: Option<String>,
    conversation_id: Option<String>,
}

/// What went wrong, in the last attempt of a call.
///
/// ```
/// use botpress_messages::{Error, ErrorKind, ErrorType};
///
/// fn advice(error: &Error) -> String {
///     match error.kind() {
///         ErrorKind::Config(config) => format!("correct the settings: {config}"),
///         ErrorKind::Invalid(violations) => {
///             let paths = violations.iter().map(|violation| violation.path.as_str());
///             format!("correct the request at {}", paths.collect::<Vec<_>>().join(", "))
///         }
///         ErrorKind::Api(api) => match &api.type_ {
///             ErrorType::AlreadyExists => "another conversation has this message".to_owned(),
///             other => format!("the API responded {other}"),
///         },
///         _ if error.should_repeat() => "try again later".to_owned(),
///         _ => "do not try again".to_owned(),
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The settings are missing or wrong; correct the setting that the text names.
    Config(ConfigError),
    /// The request breaks the contract and was not sent; correct what each violation names.
    Invalid(Vec<Violation>),
    /// The rate limit is used up for longer than this call waits. The request was not sent. The value is the time until
    /// more requests are allowed.
    RateLimit(Duration),
    /// The call had too little time left for a first attempt: its deadline is too short, or it waited too long for
    /// other calls or for the rate limit. The request was not sent.
    Deadline,
    /// The client was [closed](crate::Client::close) before the first attempt. The request was not sent.
    Closed,
    /// The API responded with one of its errors.
    Api(Box<ApiError>),
    /// The contract has no such response: a gateway's page, an empty or a truncated body.
    Response(Box<ResponseError>),
    /// No response came: the connection was refused or reset, or timed out.
    Transport(TransportError),
}

/// A response, as far as it was received.
#[derive(Debug)]
pub(crate) struct RawResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Why the body ends early.
    pub(crate) broken: Option<BoxError>,
}

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
type Cause = dyn StdError + 'static;

/// A setting of the client that is missing or unusable.
#[derive(Clone, Debug)]
pub struct ConfigError {
    text: String,
}

/// An error that the API reported.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The kind of error, in the API's own words.
    pub type_: ErrorType,
    /// What went wrong, as a text for people.
    pub message: String,
    /// The id of this error, which Botpress support can look up.
    pub id: Option<String>,
    /// Further facts about the error.
    pub metadata: Map<String, Value>,
    /// How long the response asks to wait.
    pub retry_after: Option<Duration>,
}

/// A response that the contract does not describe.
#[non_exhaustive]
pub struct ResponseError {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers of the response.
    pub headers: HeaderMap,
    /// The first characters of the body, as far as it was received; empty if reading a 200 failed. `Display` and
    /// `Debug` do not show them for a 2xx, which may contain a message.
    pub body_start: String,
    /// Whether the body is cut off.
    cut: bool,
    /// Why it could not be read to the end, or not be decoded.
    source: Option<BoxError>,
}

/// A request without a response.
#[derive(Debug)]
pub struct TransportError {
    source: BoxError,
    /// Whether any of the request may have been sent; without a connection, nothing was.
    sent: bool,
}

impl Error {
    /// An error for tests, of a call for an identified record. It counts one attempt if the kind is that of a failed
    /// attempt, otherwise none.
    ///
    /// ```
    /// use botpress_messages::{Error, ErrorKind, TransportError};
    ///
    /// let reset = TransportError::new("connection reset", true);
    /// let error = Error::new(ErrorKind::Transport(reset)).with_attempts(3).with_step("message");
    /// assert!(error.maybe_stored() && error.should_repeat());
    /// assert!(!error.with_identified(false).should_repeat());
    /// ```
    pub fn new(kind: ErrorKind) -> Self {
        let (attempts, maybe_stored) = (u32::from(kind.is_of_attempt()), kind.maybe_stored());
        let (step, user_id, conversation_id) = Default::default();
        Self {
            kind,
            attempts,
            maybe_stored,
            identified: true,
            is_transient: false,
            record: "message",
            step,
            user_id,
            conversation_id,
        }
    }

    /// Sets the number of attempts that failed.
    #[must_use]
    pub fn with_attempts(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }

    /// Sets whether the record may be stored.
    #[must_use]
    pub fn with_maybe_stored(self, maybe_stored: bool) -> Self {
        Self { maybe_stored, ..self }
    }

    /// Sets whether tags identify the record.
    #[must_use]
    pub fn with_identified(self, identified: bool) -> Self {
        Self { identified, ..self }
    }

    /// Sets the [step](Self::step).
    #[must_use]
    pub fn with_step(self, step: &'static str) -> Self {
        Self { step: Some(step), ..self }
    }

    /// Sets the ids of the user and the conversation, as far as they are known.
    #[must_use]
    pub fn with_ids(self, user_id: Option<String>, conversation_id: Option<String>) -> Self {
        Self { user_id, conversation_id, ..self }
    }

    pub(crate) fn with_transient(self, is_transient: bool) -> Self {
        Self { is_transient, ..self }
    }

    /// The error of a call for one record.
    pub(crate) fn of(self, record: &'static str) -> Self {
        Self { record, step: Some(record), ..self }
    }

    /// An error before the first attempt.
    fn unsent(kind: ErrorKind) -> Self {
        Self::new(kind).with_identified(false)
    }

    /// The error of a request that was not sent.
    pub(crate) fn invalid(found: Vec<Violation>) -> Self {
        Self::unsent(ErrorKind::Invalid(found))
    }

    /// What went wrong, in the last attempt if there were several.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The number of attempts that failed; zero if none was started. For a delivery, this adds up the attempts for the
    /// user, the conversation and the message.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether any attempt may have stored the record although the call failed. For a
    /// [delivery](crate::Client::deliver), this is about the message.
    pub fn maybe_stored(&self) -> bool {
        self.maybe_stored
    }

    /// Whether the channel should send its webhook again: if so, the message is neither lost nor stored twice,
    /// and another try may succeed.
    ///
    /// It is `false` if the request is wrong and stays wrong: it breaks the contract, the API rejected it for good, or
    /// a response that did not come from the API blames the request (400, 413, 415, 422). It is also `false` if the
    /// message may be stored and no tag identifies it. It is `true` for everything else. That includes a rejected
    /// token, bot, quota or account, an unknown path and wrong settings: correct them before the channel gives up. A
    /// program that takes webhooks responds 503 if it is `true`, otherwise 200.
    pub fn should_repeat(&self) -> bool {
        let may_succeed = self.is_transient || self.kind.may_succeed_later();
        may_succeed && (self.identified || !self.maybe_stored)
    }

    /// Which call failed or could not start: the one for the `user`, the `conversation` or the `message`. `None` if the
    /// request or the settings are invalid.
    pub fn step(&self) -> Option<&'static str> {
        self.step
    }

    /// The id of the user of a delivery that failed. `None` if the caller passed it, or if it is not known. If the
    /// client remembered it, the user may have been deleted since.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The id of the conversation of a delivery that failed, in the same cases as [`user_id`](Self::user_id).
    pub fn conversation_id(&self) -> Option<&str> {
        self.conversation_id.as_deref()
    }

    /// How long to wait before another call, if that is known.
    ///
    /// This is what the last response asks for: `Retry-After` in seconds or as a date; on a 429 also
    /// `RateLimit-Reset` or `X-RateLimit-Reset`. For a request held back by the rate
    /// limit, it is how long the limit stays used up.
    pub fn retry_after(&self) -> Option<Duration> {
        self.kind.retry_after()
    }

    /// The HTTP status, if there was a response.
    pub fn status(&self) -> Option<StatusCode> {
        self.kind.status()
    }

    /// Every way in which the request breaks the contract, if that is what went wrong.
    pub fn violations(&self) -> &[Violation] {
        match &self.kind {
            ErrorKind::Invalid(violations) => violations,
            _ => &[],
        }
    }

    /// Whether the API rejects the token, or rejects it for this bot. If so, correct the token, the bot or the
    /// integration; messages that the channel keeps until then are not lost. An earlier attempt may have
    /// [stored](Self::maybe_stored) the record.
    pub fn is_auth(&self) -> bool {
        matches!(&self.kind, ErrorKind::Api(e) if [UNAUTHORIZED, FORBIDDEN].contains(&e.type_.as_str()))
    }

    /// Whether there were too many calls: 429, or the rate limit is known to be used up. If so, wait as
    /// [`retry_after`](Self::retry_after) says. An earlier attempt may have [stored](Self::maybe_stored) the record
    /// anyway.
    pub fn is_rate_limited(&self) -> bool {
        let rejected = self.status() == Some(StatusCode::TOO_MANY_REQUESTS);
        rejected || matches!(self.kind, ErrorKind::RateLimit(_))
    }

    /// Whether the attempt timed out before its response was complete, or the call timed out before its first
    /// attempt. If so, try again later, or give the call more time.
    pub fn is_timeout(&self) -> bool {
        let cause = match &self.kind {
            ErrorKind::Deadline => return true,
            ErrorKind::Transport(e) => e.http(),
            ErrorKind::Response(e) => e.source.as_ref().and_then(|source| source.downcast_ref()),
            _ => None,
        };
        cause.is_some_and(reqwest::Error::is_timeout)
    }
}

impl ErrorKind {
    /// Its name, the same for all errors of the kind.
    #[cfg(feature = "tracing")]
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Config(_) => "config",
            Self::Invalid(_) => "invalid",
            Self::RateLimit(_) => "rate_limit",
            Self::Deadline => "deadline",
            Self::Closed => "closed",
            Self::Api(e) => e.type_.as_str(),
            Self::Response(_) => "response",
            Self::Transport(_) => "transport",
        }
    }

    /// Whether this is the kind of a failed attempt.
    fn is_of_attempt(&self) -> bool {
        matches!(self, Self::Api(_) | Self::Response(_) | Self::Transport(_))
    }

    /// Whether the attempt that failed like this may have stored the record.
    pub(crate) fn maybe_stored(&self) -> bool {
        match self {
            // The API stores nothing that it rejects with 4xx, and 5xx says nothing about it.
            Self::Api(e) => !e.status.is_client_error(),
            // The responder is unknown, so trust only statuses that by definition mean "not processed".
            Self::Response(e) => !UNPROCESSED.contains(&e.status),
            Self::Transport(e) => e.sent,
            _ => false, // nothing was sent
        }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Api(e) => is_transient(e.status) || e.type_.as_str() == LOCKED,
            Self::Response(e) => is_transient(e.status) || (e.status.is_success() && e.cut),
            _ => false,
        }
    }

    /// Whether a later call may succeed, perhaps after somebody has corrected the settings.
    fn may_succeed_later(&self) -> bool {
        match self {
            Self::Invalid(_) => false,
            Self::Api(e) => {
                let correctable = [401, 402, 403].contains(&e.status.as_u16());
                correctable || CORRECTABLE.contains(&e.type_.as_str()) || self.is_transient()
            }
            Self::Response(e) => ![400, 413, 415, 422].contains(&e.status.as_u16()),
            _ => true,
        }
    }

    /// Whether the API does not know an id that the request names.
    pub(crate) fn is_unknown_id(&self) -> bool {
        matches!(self, Self::Api(e) if UNKNOWN_ID.contains(&e.type_.as_str()))
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimit(wait) => Some(*wait),
            Self::Api(e) => e.retry_after,
            Self::Response(e) => requested_wait(e.status, &e.headers),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Api(e) => Some(e.status),
            Self::Response(e) => Some(e.status),
            _ => None,
        }
    }

    /// The error for a response. It contains no secrets of the request, even if the server repeats them.
    pub(crate) fn from_response(
        response: RawResponse,
        undecodable: Option<serde_json::Error>,
        secrets: &Secrets,
    ) -> Self {
        let RawResponse { status, headers, body, broken } = response;
        let failed = status.is_client_error() || status.is_server_error();
        if failed
            && let Ok(mut error) = serde_json::from_slice(&without_surrogates(&body))
            && let Some(error) = ApiError::read(status, &headers, secrets.hide_in_json(&mut error))
        {
            return Self::Api(Box::new(error));
        }
        // Without a length, only the JSON shows that the body is cut off.
        let has_length =
            [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| headers.contains_key(name));
        let ends_early = undecodable.as_ref().is_some_and(serde_json::Error::is_eof);
        let cut = broken.is_some() || (ends_early && !has_length && !body.is_empty());
        let undecodable = undecodable.map(|error| without_values(&error).into());
        let start = &body[..body.len().min(READ_BODY)];
        let body = secrets.hide(&String::from_utf8_lossy(start), cut || start.len() < body.len());
        Self::Response(Box::new(ResponseError {
            status,
            headers: headers
                .iter()
                .filter(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    !secrets.occur_in(name.as_str()) && !secrets.occur_in(&value)
                })
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            body_start: body.chars().take(KEPT_BODY).collect(),
            cut,
            source: broken.or(undecodable),
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = self.step.filter(|step| *step != "message") {
            write!(f, "{step}: ")?;
        }
        write!(f, "{}", self.kind)?;
        if self.attempts > 1 {
            write!(f, "; after {} attempts", self.attempts)?;
        }
        if self.maybe_stored { write!(f, "; the {} may be stored", self.record) } else { Ok(()) }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(e) => write!(f, "{e}"),
            Self::Invalid(violations) => {
                write!(f, "the request breaks the contract and was not sent")?;
                for (index, violation) in violations.iter().enumerate() {
                    write!(f, "{} {violation}", if index == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Self::RateLimit(wait) => {
                write!(
                    f,
                    "the rate limit is used up, so the request was not sent; try again in {wait:.0?}"
                )
            }
            Self::Deadline => {
                write!(
                    f,
                    "the call had too little time left for an attempt, so the request was not sent"
                )
            }
            Self::Closed => write!(f, "the client was closed, so the request was not sent"),
            Self::Api(e) => write!(f, "{e}"),
            Self::Response(e) => write!(f, "{e}"),
            Self::Transport(e) => write!(f, "{e}"),
        }
    }
}

/// The text is complete: it ends with the cause, so no error here has a `source` to be printed again.
impl StdError for Error {}

impl ConfigError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    pub(crate) fn because(text: impl fmt::Display, cause: &Cause) -> Self {
        Self::new(format!("{text}: {}", innermost(cause)))
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::unsent(ErrorKind::Config(error))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for ConfigError {}

impl ApiError {
    /// An error for tests; the other fields can be set afterwards.
    pub fn new(status: StatusCode, type_: ErrorType, message: impl Into<String>) -> Self {
        let (id, metadata, retry_after) = Default::default();
        Self { status, type_, message: message.into(), id, metadata, retry_after }
    }

    /// Reads either of the two forms of errors in the spec.
    fn read(status: StatusCode, headers: &HeaderMap, error: &Value) -> Option<Self> {
        let (type_, message, id, metadata) = match ErrorResponse::deserialize(error).ok()? {
            ErrorResponse::Error(error) => (error.type_, error.message, error.id, error.metadata),
            ErrorResponse::DocumentedError(error) => {
                (error.type_, error.description, None, Map::new())
            }
        };
        let retry_after = requested_wait(status, headers);
        Some(Self { status, type_, message, id, metadata, retry_after })
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, type_, message, id, .. } = self;
        write!(
            f,
            "the API responded {} {}: {}",
            status.as_u16(),
            one_line(type_.as_str()),
            one_line(message)
        )?;
        if let Some(id) = id {
            write!(f, " ({})", one_line(id))?;
        }
        if let Some(wait) = self.retry_after.filter(|wait| !wait.is_zero()) {
            write!(f, "; try again in {wait:.0?}")?;
        }
        match *status {
            StatusCode::UNAUTHORIZED => write!(f, "; check the token"),
            StatusCode::FORBIDDEN => {
                write!(f, "; check what the token, the bot and the integration are allowed to do")
            }
            _ => Ok(()),
        }
    }
}

impl StdError for ApiError {}

impl ResponseError {
    /// An error for tests: a whole response with this body.
    pub fn new(status: StatusCode, body: impl Into<String>) -> Self {
        let headers = HeaderMap::new();
        Self { status, headers, body_start: body.into(), cut: false, source: None }
    }

    /// Why the response could not be read to its end or decoded, if that is the cause.
    pub fn reason(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl fmt::Debug for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, headers, body_start, cut, source } = self;
        let mut shown = f.debug_struct("ResponseError");
        shown.field("status", status).field("headers", headers);
        if status.is_success() {
            shown.field("body_start", &format_args!("_"));
        } else {
            shown.field("body_start", body_start);
        }
        shown.field("cut", cut).field("source", source).finish()
    }
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        write!(f, "unexpected response: {}", self.status.as_u16())?;
        if let Some(content_type) = content_type {
            write!(f, ", {}", one_line(content_type))?;
        }
        if let Some(location) = self.headers.get(http::header::LOCATION) {
            write!(f, ", to {location:?} (redirects are not followed; check the base URL)")?;
        }
        match &*self.body_start {
            "" if !self.cut => write!(f, ", with an empty body")?,
            _ if self.status.is_success() => {}
            body => write!(f, ", \"{}\"", one_line(body))?,
        }
        match &self.source {
            Some(source) => write!(f, " ({})", innermost(&**source)),
            None => Ok(()),
        }
    }
}

impl StdError for ResponseError {}

impl TransportError {
    /// An error with this cause, usually a [`reqwest::Error`]. `sent` says whether any of the request may
    /// have been sent.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>, sent: bool) -> Self {
        Self { source: cause.into(), sent }
    }

    /// The cause.
    pub fn reason(&self) -> &(dyn StdError + 'static) {
        &*self.source
    }

    fn http(&self) -> Option<&reqwest::Error> {
        self.source.downcast_ref()
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let http = self.http();
        let what = match (self.sent, http.is_some_and(reqwest::Error::is_timeout)) {
            (false, _) if is_of_proxy(&*self.source) => "the proxy made no connection to the API",
            (false, _) => "no connection to the API",
            (true, true) => "no response from the API in time",
            (true, false) => "the connection broke before the response came",
        };
        let url = http.and_then(|error| error.url());
        let url = url.map(|url| format!(" at {}", url.origin().ascii_serialization()));
        write!(f, "{what}{}: {}", url.unwrap_or_default(), innermost(&*self.source))
    }
}

impl StdError for TransportError {}

fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || UNPROCESSED.contains(&status)
}

/// Whether a proxy rejected the connection or failed. The type of that error is not public.
fn is_of_proxy(error: &Cause) -> bool {
    causes(error).any(|cause| cause.to_string().starts_with("tunnel error"))
}

/// The cause that says what happened; the ones around it only say where.
pub(crate) fn innermost(error: &Cause) -> &Cause {
    causes(error).last().unwrap_or(error)
}

/// An error and what caused it, down to the first cause.
pub(crate) fn causes(error: &Cause) -> impl Iterator<Item = &Cause> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, type_: ErrorType) -> ErrorKind {
        let status = StatusCode::from_u16(status).unwrap();
        ErrorKind::Api(Box::new(ApiError::new(status, type_, "no")))
    }

    fn page(status: u16) -> ErrorKind {
        let status = StatusCode::from_u16(status).unwrap();
        ErrorKind::Response(Box::new(ResponseError::new(status, "<html>")))
    }

    #[test]
    fn an_error_says_whether_the_record_may_be_stored_and_what_to_do() {
        struct Case {
            name: &'static str,
            kind: ErrorKind,
            maybe_stored: bool,
            /// For an identified record, and for one that is not.
            should_repeat: [bool; 2],
            unknown_id: bool,
        }
        let cases = [
            Case {
                name: "deadline",
                kind: ErrorKind::Deadline,
                maybe_stored: false,
                should_repeat: [true, true],
                unknown_id: false,
            },
            Case {
                name: "invalid",
                kind: ErrorKind::Invalid(Vec::new()),
                maybe_stored: false,
                should_repeat: [false, false],
                unknown_id: false,
            },
            Case {
                name: "an id that does not exist",
                kind: api(400, ErrorType::ReferenceNotFound),
                maybe_stored: false,
                should_repeat: [false, false],
                unknown_id: true,
            },
            Case {
                name: "an id that existed",
                kind: api(410, ErrorType::ResourceGone),
                maybe_stored: false,
                should_repeat: [false, false],
                unknown_id: true,
            },
            Case {
                name: "a wrong path",
                kind: page(404),
                maybe_stored: true,
                should_repeat: [true, false],
                unknown_id: false,
            },
            Case {
                name: "a wrong base URL",
                kind: api(404, ErrorType::ResourceNotFound),
                maybe_stored: false,
                should_repeat: [true, true],
                unknown_id: false,
            },
            Case {
                name: "a used-up quota",
                kind: api(403, ErrorType::QuotaExceeded),
                maybe_stored: false,
                should_repeat: [true, true],
                unknown_id: false,
            },
            Case {
                name: "an account without credit",
                kind: api(402, ErrorType::PaymentRequired),
                maybe_stored: false,
                should_repeat: [true, true],
                unknown_id: false,
            },
            Case {
                name: "an outage",
                kind: api(500, ErrorType::Internal),
                maybe_stored: true,
                should_repeat: [true, false],
                unknown_id: false,
            },
            Case {
                name: "a gateway that rejects the request",
                kind: page(413),
                maybe_stored: true,
                should_repeat: [false, false],
                unknown_id: false,
            },
        ];
        for Case { name, kind, maybe_stored, should_repeat, unknown_id } in cases {
            assert_eq!(kind.maybe_stored(), maybe_stored, "{name}");
            assert_eq!(kind.is_unknown_id(), unknown_id, "{name}");
            let error = Error::new(kind);
            assert_eq!(error.should_repeat(), should_repeat[0], "{name}, identified");
            let error = error.with_identified(false);
            assert_eq!(error.should_repeat(), should_repeat[1], "{name}, not identified");
        }
    }

    #[test]
    fn only_a_rejected_token_is_an_error_of_authentication() {
        for (type_, is_auth) in [
            (ErrorType::Unauthorized, true),
            (ErrorType::Forbidden, true),
            (ErrorType::QuotaExceeded, false),
            (ErrorType::InvalidPayload, false),
        ] {
            assert_eq!(Error::new(api(403, type_.clone())).is_auth(), is_auth, "{type_}");
        }
        assert!(!Error::new(page(403)).is_auth(), "a gateway says nothing about the token");
    }

    /// No matter which step failed last.
    #[test]
    fn the_text_is_about_the_message() {
        let error = Error::new(page(502)).with_attempts(3).with_step("user");
        let text = error.to_string();
        assert!(text.starts_with("user: unexpected response: 502"), "{text}");
        assert!(text.ends_with("; after 3 attempts; the message may be stored"), "{text}");
        let error = Error::new(page(502)).of("user").to_string();
        assert!(error.ends_with("; the user may be stored"), "{error}");
    }
}
