//! One request: its client and headers, whether its body was sent, and the response.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::{LengthLimitError, Limited};
use progenitor_client::{ClientHooks, ClientInfo, OperationInfo};

use serde_json::Value;

use crate::api;
use crate::decode::lenient;
use crate::error::{
    BoxError, ConfigError, ErrorKind, READ_BODY, RawResponse, TransportError, causes, innermost,
};
use crate::generated::Schema;
use crate::headers::RateLimit;
use crate::record::GetOrCreate;
use crate::redaction::Secrets;

/// The prefix of the token in its header.
pub(crate) const BEARER: &str = "Bearer ";

/// No response of the API comes near this: a message's payload may have 128 KB.
const LONGEST_RESPONSE: usize = 8 << 20;

/// The generated client adds this header, which the contract does not have.
const API_VERSION: HeaderName = HeaderName::from_static("api-version");

/// What every request needs: the HTTP client, the base URL and the headers.
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    /// Without a slash at its end.
    pub(crate) base_url: String,
    /// Sent with every request.
    pub(crate) headers: HeaderMap,
}

/// The result of a call that succeeded.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Stored<T> {
    /// The record as it is stored.
    pub record: T,
    /// Whether this call created it; `None` if unknown, as before API version 1.80.
    pub created: Option<bool>,
    /// How much of the rate limit is left.
    pub rate_limit: RateLimit,
}

/// What the hooks of the generated client need to know.
#[derive(Clone, Debug)]
pub struct Hooks {
    caller: Arc<Caller>,
    /// For one request.
    timeout: Duration,
    /// The headers that the caller adds.
    headers: HeaderMap,
    /// `None` for a request through [`Client::api`](crate::Client::api).
    watch: Option<Arc<Watch>>,
}

/// What is known about one request.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// `true` if the transport asked for the body, `false` if the call gave up: whichever came first. The connection
    /// and the call run on different threads.
    body_left: OnceLock<bool>,
    /// Status and headers of the response. The generated client drops them if the body cannot be read.
    head: OnceLock<(StatusCode, HeaderMap)>,
}

/// Marks the request as given up when the call's future is dropped.
struct Guard<'a>(&'a Watch);

/// A body that records when the transport asks for it, which it does once it is connected. It cannot be sent twice,
/// so an attempt is one request.
struct Watched {
    body: reqwest::Body,
    watch: Arc<Watch>,
}

impl<T> Stored<T> {
    /// A result for tests, without rate limit figures. Records can be deserialised from the JSON of the API:
    ///
    /// ```
    /// use botpress_messages::{Stored, User, serde_json::json};
    ///
    /// let user: User = serde_json::from_value(json!({
    ///     "id": "user_010NFASW4XK2YJ5RVY7B6JMC28",
    ///     "createdAt": "2026-08-19T10:00:00Z",
    ///     "updatedAt": "2026-08-19T10:00:00Z",
    ///     "tags": { "id": "U05BPU9V1KQ" },
    /// }))?;
    /// assert_eq!(Stored::new(user, Some(true)).created, Some(true));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(record: T, created: Option<bool>) -> Self {
        Self { record, created, rate_limit: RateLimit::default() }
    }

    /// The same, after attempts that may have stored the record: if it was found, they may have created it.
    pub(crate) fn following(self, maybe_stored: bool) -> Self {
        let created = self.created.filter(|created| *created || !maybe_stored);
        Self { created, ..self }
    }
}

impl Caller {
    /// The generated client, which makes one attempt for each call. A watch serves one call only.
    pub(crate) fn api(
        self: &Arc<Self>,
        timeout: Duration,
        headers: &HeaderMap,
        watch: Option<Arc<Watch>>,
    ) -> api::Client {
        let hooks = Hooks { caller: Arc::clone(self), timeout, headers: headers.clone(), watch };
        api::Client::new_with_client(&self.base_url, self.http.clone(), hooks)
    }

    /// Makes one request. `on_response` receives the status and headers of any response.
    pub(crate) async fn attempt<R: GetOrCreate>(
        self: &Arc<Self>,
        record: &R,
        timeout: Duration,
        headers: &HeaderMap,
        on_response: impl FnOnce(StatusCode, &HeaderMap) -> RateLimit,
    ) -> Result<Stored<R::Record>, ErrorKind> {
        let watch = Arc::new(Watch::default());
        let _guard = Guard(&watch);
        let client = self.api(timeout, headers, Some(Arc::clone(&watch)));
        let (response, undecodable) = match record.request(&client).await {
            Ok(response) => {
                let rate_limit = on_response(response.status(), response.headers());
                let (record, created) = R::read(response.into_inner());
                return Ok(Stored { record, created, rate_limit });
            }
            Err(api::Error::UnexpectedResponse(response)) => {
                on_response(response.status(), response.headers());
                (read(response).await, None)
            }
            Err(api::Error::InvalidResponsePayload(body, error)) => {
                let response = watch.response(body, None);
                let rate_limit = on_response(response.status, &response.headers);
                if let Some(read) = lenient(&response.body) {
                    let (record, created) = R::read(read);
                    return Ok(Stored { record, created, rate_limit });
                }
                (response, Some(error))
            }
            Err(api::Error::ResponseBodyError(error)) => {
                let response = watch.response(Bytes::new(), Some(reason(error)));
                on_response(response.status, &response.headers);
                (response, None)
            }
            Err(api::Error::CommunicationError(error)) => {
                let sent = watch.body_left() && !was_refused(&error);
                // The debug data of an HTTP/2 GOAWAY may repeat the request.
                let text = innermost(&error).to_string();
                let hidden = self.secrets(record, headers).hide(&text, true);
                let cause = if hidden == text { error.into() } else { BoxError::from(hidden) };
                return Err(ErrorKind::Transport(TransportError::new(cause, sent)));
            }
            // The builder has checked headers and URL, so this does not happen. If it does, it is reported.
            Err(other) => {
                let text = format!("no request can be made: {other}");
                return Err(ErrorKind::Config(ConfigError::new(text)));
            }
        };
        Err(ErrorKind::from_response(response, undecodable, &self.secrets(record, headers)))
    }

    /// Texts that a response may repeat and an error must not show: secret headers, and what people wrote.
    fn secrets<R: GetOrCreate>(&self, record: &R, headers: &HeaderMap) -> Secrets {
        let mut texts = Vec::new();
        let values = self.headers.values().chain(headers.values());
        for value in values.filter(|value| value.is_sensitive()) {
            let text = value.to_str().unwrap_or_default();
            texts.push(text.strip_prefix(BEARER).unwrap_or(text).to_owned());
        }
        if let Ok(Value::Object(record)) = serde_json::to_value(record)
            && let Schema::Object { properties, .. } = R::OPERATION.body
        {
            let is_private = |name: &str| {
                let known = properties.iter().find(|(known, _)| *known == name);
                known.is_some_and(|(_, schema)| matches!(schema, Schema::Private(_)))
            };
            let private = record.iter().filter(|(name, _)| is_private(name));
            private.for_each(|(_, value)| add_texts(value, &mut texts));
        }
        Secrets::new(texts.iter().map(String::as_str))
    }
}

/// Adds the strings of a value that are long enough to be recognised.
fn add_texts(value: &Value, texts: &mut Vec<String>) {
    const MIN_LENGTH: usize = 4;
    match value {
        Value::String(text) if text.len() >= MIN_LENGTH => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| add_texts(item, texts)),
        Value::Object(object) => object.values().for_each(|value| add_texts(value, texts)),
        _ => {}
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the HTTP client: its default headers may be secrets.
        f.debug_struct("Caller").field("headers", &self.headers).finish_non_exhaustive()
    }
}

impl Watch {
    /// Whether the transport asked for the body; if not, it never gets it.
    fn body_left(&self) -> bool {
        *self.body_left.get_or_init(|| false)
    }

    /// A response whose body is incomplete or cannot be decoded.
    fn response(&self, body: Bytes, broken: Option<BoxError>) -> RawResponse {
        let (status, headers) = self.head.get().cloned().unwrap_or_default();
        RawResponse { status, headers, body, broken }
    }
}

impl ClientHooks<Hooks> for api::Client {
    /// Sets the headers and the timeout, and watches the body.
    async fn pre<E>(
        &self,
        request: &mut reqwest::Request,
        _: &OperationInfo,
    ) -> Result<(), api::Error<E>> {
        let Hooks { caller, timeout, headers: added, watch } = self.inner();
        let headers = request.headers_mut();
        headers.remove(API_VERSION);
        headers.extend(caller.headers.clone());
        headers.extend(added.clone());
        *request.timeout_mut() = Some(*timeout);
        if let (Some(watch), Some(body)) = (watch, request.body_mut().take()) {
            let watched = Watched { body, watch: Arc::clone(watch) };
            *request.body_mut() = Some(reqwest::Body::wrap(watched));
        }
        Ok(())
    }

    /// Limits the length of the response.
    async fn exec(
        &self,
        request: reqwest::Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        let response = self.client().execute(request).await?;
        if response.content_length().is_some_and(|length| length <= LONGEST_RESPONSE as u64) {
            return Ok(response);
        }
        let response = http::Response::from(response);
        Ok(response.map(|body| reqwest::Body::wrap(Limited::new(body, LONGEST_RESPONSE))).into())
    }

    async fn post<E>(
        &self,
        result: &reqwest::Result<reqwest::Response>,
        _: &OperationInfo,
    ) -> Result<(), api::Error<E>> {
        if let (Some(watch), Ok(response)) = (&self.inner().watch, result) {
            watch.head.get_or_init(|| (response.status(), response.headers().clone()));
        }
        Ok(())
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.body_left();
    }
}

impl http_body::Body for Watched {
    type Data = <reqwest::Body as http_body::Body>::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        if !*self.watch.body_left.get_or_init(|| true) {
            return Poll::Ready(Some(Err("the call gave up before its body was sent".into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Reads a response to its end, or until it breaks or gets too long.
async fn read(mut response: reqwest::Response) -> RawResponse {
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let (mut body, mut broken) = (BytesMut::new(), None);
    while broken.is_none() {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) if body.len() + chunk.len() > READ_BODY => {
                body.extend_from_slice(&chunk[..READ_BODY - body.len()]);
                broken = Some(format!("only {READ_BODY} bytes of it were read").into());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) => broken = Some(reason(error)),
        }
    }
    RawResponse { status, headers, body: body.freeze(), broken }
}

/// Why a body ends early.
fn reason(error: reqwest::Error) -> BoxError {
    if innermost(&error).is::<LengthLimitError>() {
        return format!("the response is longer than {LONGEST_RESPONSE} bytes").into();
    }
    error.into()
}

/// Whether the server says by HTTP/2 that it did not process the request: it refused the stream, or it is shutting
/// down and does not process streams as new as this one.
fn was_refused(error: &reqwest::Error) -> bool {
    causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>()).is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        let leaving = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        error.is_remote() && (refused || leaving)
    })
}
