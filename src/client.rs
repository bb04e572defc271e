//! The client: its settings, the headers that every call carries, and the one call.

use std::env::VarError;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[cfg(feature = "tracing")]
use http::StatusCode;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use progenitor_client::{ClientHooks, ClientInfo, OperationInfo};
use reqwest::Url;
use tokio::time::{Instant, sleep};

use crate::error::{Answer, BoxError, ConfigError, Error, ErrorKind, TransportError};
use crate::generated::types::{GetOrCreateMessageBody, GetOrCreateMessageResponse, Message};
use crate::generated::{self, BASE_URL};
use crate::message::NewMessage;
use crate::retry::{Gate, Retry, is_safe};

/// A client for the endpoint. Clones are cheap and share their connections.
///
/// ```no_run
/// # async fn example() -> Result<(), botpress_messages::Error> {
/// use botpress_messages::{Client, NewMessage, content::Text};
///
/// let client = Client::from_env()?;
/// let message = NewMessage::new(
///     "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K",
///     "user_010NFASW4XK2YJ5RVY7B6JMC28",
///     Text::new("Hello"),
/// )
/// .tag("id", "wamid.HBgLMTUx");
/// let stored = client.get_or_create(&message).await?;
/// println!("{} created: {:?}", stored.message.id, stored.created);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    settings: Arc<Settings>,
}

struct Settings {
    http: reqwest::Client,
    base_url: String,
    bot_id: String,
    integration_id: Option<String>,
    integration_alias: Option<String>,
    /// What every request carries beside the headers that the generated method sets.
    headers: HeaderMap,
    /// For an attempt.
    timeout: Duration,
    retry: Retry,
    gate: Gate,
}

/// What the endpoint made of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Stored {
    /// The message as it is stored.
    pub message: Message,
    /// Whether this call created it: `None` if the API does not say, as before version 1.80.
    pub created: Option<bool>,
    /// How much of the rate limit is left.
    pub rate_limit: RateLimit,
}

/// The rate limit as an answer tells it; a figure that it lacks is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RateLimit {
    /// How many requests a window allows (`RateLimit-Limit`).
    pub limit: Option<u64>,
    /// How many are left in this one (`RateLimit-Remaining`).
    pub remaining: Option<u64>,
    /// How long until the window starts anew (`RateLimit-Reset`, sent in whole seconds).
    pub reset: Option<Duration>,
}

impl Client {
    /// A client to be set up value by value; a token and a bot id it needs.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A client with the settings of the environment, as [`Builder::env`] reads them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], which names the variable that is missing or unusable.
    pub fn from_env() -> Result<Self, Error> {
        Self::builder().env().build()
    }

    /// Finds the message by its tags or creates it. An attempt that fails is repeated where that is
    /// safe, as [`Retry`] tells.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] before anything is sent; any other [`ErrorKind`] after the last attempt.
    /// [`Error::maybe_stored`] tells whether the message may be stored all the same.
    ///
    /// # Cancellation
    ///
    /// The future can be dropped at any time: nothing goes on without it, and the client stays as it
    /// is. What was sent by then may be stored.
    pub async fn get_or_create(&self, message: &NewMessage) -> Result<Stored, Error> {
        let body = message.to_body()?;
        let call = self.call(&body, message.is_identified());
        #[cfg(feature = "tracing")]
        let call = tracing::Instrument::instrument(call, tracing::info_span!(OPERATION));
        call.await
    }

    /// The attempts of a call, and the waits between them.
    async fn call(&self, body: &GetOrCreateMessageBody, identified: bool) -> Result<Stored, Error> {
        let Settings { retry, timeout, gate, .. } = &*self.settings;
        let start = Instant::now();
        let left = || retry.deadline.saturating_sub(start.elapsed());
        let mut waits = retry.waits();
        let mut maybe_stored = false;
        let mut attempt = 0;
        loop {
            while let Some(wait) = gate.closed_for() {
                if wait >= left() {
                    return Err(Error::after(attempt, ErrorKind::Closed(wait), maybe_stored));
                }
                sleep(wait).await;
            }
            attempt += 1;
            let error = match self.attempt(body, left().min(*timeout)).await {
                Ok(mut stored) => {
                    trace(attempt, None, None);
                    // What is found now may be what an earlier attempt created.
                    stored.created = stored.created.filter(|created| *created || !maybe_stored);
                    return Ok(stored);
                }
                Err(error) => error,
            };
            maybe_stored |= error.maybe_stored();
            let wait = waits.next().filter(|_| is_safe(&error, identified));
            let wait = wait.map(|wait| wait.max(error.retry_after().unwrap_or_default()));
            let wait = wait.filter(|wait| *wait < left());
            trace(attempt, Some(&error), wait);
            match wait {
                Some(wait) => sleep(wait).await,
                None => return Err(Error::after(attempt, error, maybe_stored)),
            }
        }
    }

    /// One request.
    async fn attempt(
        &self,
        body: &GetOrCreateMessageBody,
        timeout: Duration,
    ) -> Result<Stored, ErrorKind> {
        let Settings { http, base_url, bot_id, integration_id, integration_alias, .. } =
            &*self.settings;
        let answer = Arc::default();
        let call = Call { settings: self.settings.clone(), timeout, answer: Arc::clone(&answer) };
        let generated = generated::Client::new_with_client(base_url, http.clone(), call);
        let (alias, id) = (integration_alias.as_deref(), integration_id.as_deref());
        let result = generated.get_or_create_message(bot_id, alias, id, body).await;
        drop(generated);

        let answer = Arc::into_inner(answer).and_then(OnceLock::into_inner);
        if let Some(Answer { status, headers, .. }) = &answer {
            self.settings.gate.learn(*status, headers);
        }
        let error = match result {
            Ok(response) => return Ok(Stored::from(response)),
            Err(error) => error,
        };
        Err(match (answer, error) {
            (Some(answer), error) => {
                let undecodable = match error {
                    generated::Error::InvalidResponsePayload(_, cause) => Some(cause),
                    _ => None,
                };
                ErrorKind::from_answer(answer, undecodable, &self.settings.secrets())
            }
            (None, generated::Error::CommunicationError(source)) => {
                ErrorKind::Transport(TransportError { source })
            }
            // No header or URL can be at fault, the builder has checked them; but if so, it is told.
            (None, other) => {
                ErrorKind::Config(ConfigError::new(format!("no request can be made: {other}")))
            }
        })
    }
}

/// Tells subscribers about an attempt; never the token or what the message says.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
fn trace(attempt: u32, error: Option<&ErrorKind>, wait: Option<Duration>) {
    #[cfg(feature = "tracing")]
    {
        let status = error.map_or(Some(StatusCode::OK), ErrorKind::status);
        let status = status.map(|status| status.as_u16());
        let wait_ms = wait.map(|wait| wait.as_millis() as u64);
        tracing::debug!(operation = OPERATION, status, attempt, wait_ms, "attempt");
    }
}

impl RateLimit {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let figure =
            |name| -> Option<u64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
        Self {
            limit: figure("ratelimit-limit"),
            remaining: figure("ratelimit-remaining"),
            reset: figure("ratelimit-reset").map(Duration::from_secs),
        }
    }
}

impl From<generated::ResponseValue<GetOrCreateMessageResponse>> for Stored {
    fn from(response: generated::ResponseValue<GetOrCreateMessageResponse>) -> Self {
        let rate_limit = RateLimit::read(response.headers());
        let GetOrCreateMessageResponse { message, meta } = response.into_inner();
        Self { message, created: meta.map(|meta| meta.created), rate_limit }
    }
}

impl Settings {
    /// What no error may show. A shorter value is no secret, and would be found in any text.
    fn secrets(&self) -> Vec<&str> {
        let values = self.headers.values().filter(|value| value.is_sensitive());
        let texts = values.filter_map(|value| value.to_str().ok());
        let texts = texts.map(|text| text.strip_prefix(BEARER).unwrap_or(text));
        texts.filter(|text| text.len() >= 8).collect()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the HTTP client: one of the caller's own shows its default headers.
        f.debug_struct("Settings")
            .field("base_url", &self.base_url)
            .field("bot_id", &self.bot_id)
            .field("integration_id", &self.integration_id)
            .field("integration_alias", &self.integration_alias)
            .field("headers", &self.headers)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// What the hooks of the generated client need to know of a call, and what they learn of it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    settings: Arc<Settings>,
    timeout: Duration,
    answer: Arc<OnceLock<Answer>>,
}

impl ClientHooks<Call> for generated::Client {
    /// Puts the headers right.
    async fn pre<E>(
        &self,
        request: &mut reqwest::Request,
        _: &OperationInfo,
    ) -> Result<(), generated::Error<E>> {
        // The generator's own, which the contract does not know.
        request.headers_mut().remove("api-version");
        request.headers_mut().extend(self.inner().settings.headers.clone());
        *request.timeout_mut() = Some(self.inner().timeout);
        Ok(())
    }

    /// Reads the answer to its end or as far as it comes, and keeps it: what is decoded from it
    /// later, or fails to be, has neither status nor headers any more.
    async fn exec(
        &self,
        request: reqwest::Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        let url = request.url().clone();
        let mut response = self.client().execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let broken: Option<BoxError> = loop {
            if *response.url() != url {
                break Some(
                    "the HTTP client followed a redirect, so another server answers".into(),
                );
            }
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break None,
                Err(error) => break Some(error.into()),
            }
            if body.len() > LONGEST_ANSWER {
                break Some(format!("the answer is longer than {LONGEST_ANSWER} bytes").into());
            }
        };
        let mut replayed = http::Response::new(body.clone());
        *replayed.status_mut() = status;
        *replayed.headers_mut() = headers.clone();
        let answer = Answer { status, headers, body, broken };
        // Each call executes one request, so the place is free.
        let _ = self.inner().answer.set(answer);
        Ok(replayed.into())
    }
}

/// No answer of the API comes near this: a message's payload may have 128 KB.
const LONGEST_ANSWER: usize = 8 << 20;

/// The settings of a [`Client`].
#[derive(Clone, Default)]
pub struct Builder {
    env: bool,
    token: Option<String>,
    bot_id: Option<String>,
    integration_id: Option<String>,
    integration_alias: Option<String>,
    base_url: Option<String>,
    connect_timeout: Option<Duration>,
    timeout: Option<Duration>,
    retry: Retry,
    headers: Vec<(String, String)>,
    http: Option<reqwest::Client>,
}

impl Builder {
    /// Takes what is not set explicitly from the environment, when the client is built: `BP_TOKEN`,
    /// `BP_BOT_ID`, `BP_INTEGRATION_ID` (unless there is an alias) and `BP_API_URL`. A variable that
    /// is empty counts as missing.
    pub fn env(mut self) -> Self {
        self.env = true;
        self
    }

    /// The access token. It is sent over https or to a loopback address, and shown nowhere.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The bot that receives the messages.
    pub fn bot_id(mut self, id: impl Into<String>) -> Self {
        self.bot_id = Some(id.into());
        self
    }

    /// The integration that delivers the messages. The contract leaves it out; in practice the API
    /// refuses a call that names none, here or by its [alias](Self::integration_alias).
    pub fn integration_id(mut self, id: impl Into<String>) -> Self {
        self.integration_id = Some(id.into());
        self
    }

    /// The integration that delivers the messages, by its alias in the bot.
    pub fn integration_alias(mut self, alias: impl Into<String>) -> Self {
        self.integration_alias = Some(alias.into());
        self
    }

    /// Where the API is, if not at Botpress Cloud: an https URL, or http on a loopback address.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self
    }

    /// How long connecting may take; 10 seconds by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// How long an attempt may take, from connecting to the end of the answer; 20 seconds by default,
    /// and never longer than what is left until the [deadline](Retry::deadline) of the call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How calls that fail are repeated; see [`Retry`] for the default.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// A header that every request carries in addition. Its value is treated as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sends through a client of the caller's own, with its proxies, TLS and connection timeout.
    ///
    /// Set it up not to follow redirects and to use no proxy for a plain http URL, as the crate's own
    /// client is: either would show the request to another server. An answer after a redirect is an
    /// error in any case.
    pub fn http_client(mut self, client: reqwest::Client) -> Self {
        self.http = Some(client);
        self
    }

    /// Checks the settings and makes the client. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`], which names the setting that is missing or unusable.
    pub fn build(self) -> Result<Client, Error> {
        let base_url = self.setting(&self.base_url, "BP_API_URL")?;
        let base_url = parse_base_url(base_url.as_deref().unwrap_or(BASE_URL))?;
        let token = self.required(&self.token, "BP_TOKEN", "token")?;
        let bot_id = self.required(&self.bot_id, "BP_BOT_ID", "bot_id")?;
        let integration_id = match self.integration_alias {
            Some(_) => self.integration_id.clone(),
            None => self.setting(&self.integration_id, "BP_INTEGRATION_ID")?,
        };
        header_value("the bot id", &bot_id)?;
        for (what, id) in [
            ("the integration id", &integration_id),
            ("the integration alias", &self.integration_alias),
        ] {
            id.as_ref().map(|id| header_value(what, id)).transpose()?;
        }

        let settings = Settings {
            http: self.http(&base_url)?,
            base_url: base_url.as_str().trim_end_matches('/').to_owned(),
            bot_id,
            integration_id,
            headers: self.headers(&token)?,
            timeout: self.timeout.unwrap_or(Duration::from_secs(20)),
            retry: self.retry,
            gate: Gate::default(),
            integration_alias: self.integration_alias,
        };
        Ok(Client { settings: Arc::new(settings) })
    }

    /// The explicit value, or else the variable's where the environment counts.
    fn setting(
        &self,
        explicit: &Option<String>,
        variable: &str,
    ) -> Result<Option<String>, ConfigError> {
        if explicit.is_some() || !self.env {
            return Ok(explicit.clone());
        }
        match std::env::var(variable) {
            Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => {
                Err(ConfigError::new(format!("{variable} is not Unicode")))
            }
        }
    }

    fn required(
        &self,
        explicit: &Option<String>,
        variable: &str,
        method: &str,
    ) -> Result<String, ConfigError> {
        let value = self.setting(explicit, variable)?.filter(|value| !value.is_empty());
        value.ok_or_else(|| {
            ConfigError::new(match self.env {
                true => format!("{variable} is missing: set it, or call Builder::{method}"),
                false => format!(
                    "Builder::{method} is missing: call it, or Builder::env to read {variable}"
                ),
            })
        })
    }

    /// The headers that the generated method does not set. All but the agent's are secrets.
    fn headers(&self, token: &str) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let what = format!("the header {name:?}");
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|e| ConfigError::because(format!("{what} cannot be sent"), e))?;
            if RESERVED.contains(&name) || name.as_str().starts_with("x-integration-") {
                return Err(ConfigError::new(format!("{what} is set by the client itself")));
            }
            headers.append(name, secret(header_value(&what, value)?));
        }
        header_value("the token", token)?;
        headers
            .insert(AUTHORIZATION, secret(header_value("the token", &format!("{BEARER}{token}"))?));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        Ok(headers)
    }

    fn http(&self, base_url: &Url) -> Result<reqwest::Client, ConfigError> {
        if let Some(http) = &self.http {
            return match self.connect_timeout {
                None => Ok(http.clone()),
                Some(_) => Err(ConfigError::new(
                    "connect_timeout has no effect on a client of your own: set it there",
                )),
            };
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.connect_timeout.unwrap_or(Duration::from_secs(10)));
        if base_url.scheme() == "http" {
            // Through a proxy, the token would leave the machine in clear text.
            builder = builder.no_proxy();
        } else if !cfg!(any(feature = "rustls", feature = "native-tls")) {
            return Err(ConfigError::new(
                "https needs the feature `rustls` or `native-tls`, or a client of your own",
            ));
        }
        builder.build().map_err(|e| ConfigError::because("the HTTP client cannot be set up", e))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("bot_id", &self.bot_id).finish_non_exhaustive()
    }
}

#[cfg(feature = "tracing")]
const OPERATION: &str = "get_or_create_message";
const BEARER: &str = "Bearer ";
const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// What the contract and HTTP leave to the client.
const RESERVED: [HeaderName; 8] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
    USER_AGENT,
    HeaderName::from_static("x-bot-id"),
];

fn header_value(what: &str, value: &str) -> Result<HeaderValue, ConfigError> {
    let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let legal = printable && !value.is_empty() && value.trim() == value;
    let value = HeaderValue::from_str(value).ok().filter(|_| legal);
    value.ok_or_else(|| {
        let rule = "it has to be printable ASCII, not empty, and without spaces around it";
        ConfigError::new(format!("{what} cannot be sent in a header: {rule}"))
    })
}

fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn parse_base_url(text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text)
        .map_err(|e| ConfigError::because(format!("the base URL is not a URL: {e}"), e))?;
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(ConfigError::new("the base URL may have no user, password, query or fragment"));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let loopback =
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        scheme => Err(ConfigError::new(format!(
            "the base URL {scheme}://{host} would expose the token: use https, or http to a loopback address"
        ))),
    }
}
