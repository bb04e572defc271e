//! Client settings, their validation, and state shared between clients.

use std::env::VarError;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING,
    USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;
use tokio_util::sync::CancellationToken;

use crate::attempt::{BEARER, Caller};
use crate::error::ConfigError;
use crate::generated::{BASE_URL, BOT_ID, INTEGRATION_ALIAS, INTEGRATION_ID};
use crate::limit::Limit;
use crate::memory::Memory;
use crate::retry::{Budget, Retry};
use crate::turns::Turns;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Common servers close idle connections after 5 seconds.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// How often an HTTP/2 connection is checked, and how long the server has to respond.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long ids are remembered by default.
const REMEMBER_IDS: Duration = Duration::from_secs(3_600);

/// The variables of the environment.
const TOKEN: &str = "BP_TOKEN";
const BOT: &str = "BP_BOT_ID";
const INTEGRATION: &str = "BP_INTEGRATION_ID";
const BASE: &str = "BP_API_URL";
const CLEAR_TEXT: &str = "BP_DANGER_SEND_TOKEN_IN_CLEAR_TEXT_TO";

const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// The headers that only the client sets.
const RESERVED: [HeaderName; 11] = [
    ACCEPT,
    ACCEPT_ENCODING,
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    HOST,
    TRANSFER_ENCODING,
    USER_AGENT,
    BOT_ID,
    INTEGRATION_ID,
    INTEGRATION_ALIAS,
];

/// The settings of a [`Client`](crate::Client).
#[derive(Clone, Default)]
#[must_use]
pub struct Builder {
    env: bool,
    token: Option<String>,
    bot_id: Option<String>,
    integration: Option<Integration>,
    base_url: Option<String>,
    clear_text_host: Option<String>,
    connect_timeout: Option<Duration>,
    pub(crate) retry: Retry,
    remember_ids: Option<Duration>,
    headers: Vec<(String, String)>,
    http: Option<HttpSettings>,
    /// From the client that these settings were taken from, unless a changed setting needs new ones.
    connections: Option<reqwest::Client>,
    memory: Option<Arc<Memory>>,
    shared: Option<Arc<Shared>>,
}

/// What all clients derived from one another share, whatever their settings.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) turns: Turns,
    /// Hashes bots, targets and records.
    pub(crate) hasher: RandomState,
    /// Cancelled when the clients are closed.
    pub(crate) closed: CancellationToken,
}

type HttpSettings = Arc<dyn Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync>;

/// What the calls of a client and its clones share.
pub(crate) struct CallContext {
    /// They include the values from the environment, which is not read again.
    pub(crate) settings: Builder,
    pub(crate) caller: Arc<Caller>,
    pub(crate) target: Target,
    pub(crate) memory: Arc<Memory>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) limit: Limit,
    pub(crate) budget: Budget,
    /// A hash of the bot: messages are looked up across the bot, so calls take turns within it.
    pub(crate) bot: u64,
    /// A hash of the target: users and conversations are looked up within an integration.
    pub(crate) scope: u64,
}

/// The API and the bot that a client calls, and the integration that it calls as.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Target {
    base_url: String,
    pub(crate) bot_id: String,
    integration: Integration,
}

/// The integration that delivers the messages.
#[derive(Clone, Debug, Hash)]
enum Integration {
    Id(String),
    Alias(String),
    None,
}

impl Builder {
    /// Fills unset settings from the environment when the client is built: `BP_TOKEN`, `BP_BOT_ID`, `BP_INTEGRATION_ID`
    /// (unless the integration is set), `BP_API_URL`, and the host of
    /// [`danger_send_token_in_clear_text_to`](Self::danger_send_token_in_clear_text_to) from
    /// `BP_DANGER_SEND_TOKEN_IN_CLEAR_TEXT_TO`. A variable that is empty counts as missing.
    pub fn env(mut self) -> Self {
        self.env = true;
        self
    }

    /// The access token. It is never shown. It is sent over https, to a loopback address, or to the host of
    /// [`danger_send_token_in_clear_text_to`](Self::danger_send_token_in_clear_text_to).
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The bot that receives the messages.
    pub fn bot_id(mut self, id: impl Into<String>) -> Self {
        self.bot_id = Some(id.into());
        self
    }

    /// The integration that delivers the messages. Call this,
    /// [`integration_alias`](Self::integration_alias) or [`no_integration`](Self::no_integration);
    /// the last call counts.
    pub fn integration_id(self, id: impl Into<String>) -> Self {
        self.integration(Integration::Id(id.into()))
    }

    /// The integration that delivers the messages, by its alias in the bot.
    pub fn integration_alias(self, alias: impl Into<String>) -> Self {
        self.integration(Integration::Alias(alias.into()))
    }

    /// Makes calls without an integration. The contract allows it; in practice the API rejects such calls.
    pub fn no_integration(self) -> Self {
        self.integration(Integration::None)
    }

    fn integration(mut self, integration: Integration) -> Self {
        self.integration = Some(integration);
        self
    }

    /// Where the API is, if not at Botpress Cloud: an https URL, or http on a loopback address.
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = Some(url.into());
        self.reconnect()
    }

    /// Allows a base URL with http to this host, although anyone in between can then read the token and
    /// the messages. It is for a sandbox or a proxy in the same network, such as another container:
    ///
    /// ```
    /// # use botpress_messages::Client;
    /// let builder = Client::builder()
    ///     .base_url("http://sandbox:8080")
    ///     .danger_send_token_in_clear_text_to("sandbox");
    /// ```
    pub fn danger_send_token_in_clear_text_to(mut self, host: impl Into<String>) -> Self {
        self.clear_text_host = Some(host.into());
        self
    }

    /// The longest time for connecting; 10 seconds by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self.reconnect()
    }

    /// How failed calls are retried; see [`Retry`] for the default.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How long [`Client::deliver`](crate::Client::deliver) remembers the ids of users and conversations,
    /// so that it does not request them again; an hour by default. Zero switches this off. About 50,000 ids
    /// are kept; the least used are dropped first.
    pub fn remember_ids(mut self, lasts: Duration) -> Self {
        self.remember_ids = Some(lasts);
        self.memory = None;
        self
    }

    /// A header that every request carries in addition. Its value is treated as a secret.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Configures the HTTP client of reqwest: proxies, certificates, a resolver, TLS.
    ///
    /// ```
    /// # use botpress_messages::Client;
    /// let builder = Client::builder().http(|http| http.tcp_nodelay(true).https_only(true));
    /// ```
    ///
    /// Three settings cannot be changed, because messages could be lost or stored twice, or the token
    /// exposed: reqwest follows no redirects, retries nothing, and uses no proxy if the base URL has http.
    /// A connection is closed after 4 seconds without use, because common servers close it after 5. An HTTP/2
    /// connection is closed if a ping gets no response within 5 seconds. The function can set other times.
    ///
    /// After this call, the client assumes that reqwest has TLS, from a feature of this crate or of reqwest itself. If
    /// it has none, calls over https fail.
    pub fn http<F>(mut self, settings: F) -> Self
    where
        F: Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static,
    {
        self.http = Some(Arc::new(settings));
        self.reconnect()
    }

    /// Gives up the inherited connections, so that new ones are made.
    fn reconnect(mut self) -> Self {
        self.connections = None;
        self
    }

    /// Fills unset settings from the environment if it is to be read, and checks everything.
    pub(crate) fn check(mut self) -> Result<CallContext, ConfigError> {
        if self.env {
            self.read_env()?;
        }
        let base_url = self.base_url.as_deref().unwrap_or(BASE_URL);
        let url = parse_base_url(base_url, self.clear_text_host.as_deref(), self.env)?;
        self.all_there()?;
        let target = Target {
            base_url: url.as_str().trim_end_matches('/').to_owned(),
            bot_id: self.bot_id.clone().unwrap_or_default(),
            integration: self.integration.clone().unwrap_or(Integration::None),
        };
        let headers = self.headers(&target)?;
        let http = match &self.connections {
            Some(connections) => connections.clone(),
            None => self.connections.insert(self.http_client(&url)?).clone(),
        };
        let lasts = self.remember_ids.unwrap_or(REMEMBER_IDS);
        let memory = self.memory.get_or_insert_with(|| Arc::new(Memory::new(lasts)));
        let (memory, shared) =
            (Arc::clone(memory), Arc::clone(self.shared.get_or_insert_default()));
        let base_url = target.base_url.clone();
        Ok(CallContext {
            settings: Self { env: false, base_url: Some(base_url.clone()), ..self },
            caller: Arc::new(Caller { http, base_url, headers }),
            memory,
            limit: Limit::default(),
            budget: Budget::default(),
            bot: shared.hasher.hash_one(&target.bot_id),
            scope: shared.hasher.hash_one(&target),
            target,
            shared,
        })
    }

    /// Fills unset settings from the environment.
    fn read_env(&mut self) -> Result<(), ConfigError> {
        for (setting, name) in [
            (&mut self.token, TOKEN),
            (&mut self.bot_id, BOT),
            (&mut self.base_url, BASE),
            (&mut self.clear_text_host, CLEAR_TEXT),
        ] {
            if setting.is_none() {
                *setting = variable(name)?;
            }
        }
        if self.integration.is_none() {
            self.integration = variable(INTEGRATION)?.map(Integration::Id);
        }
        Ok(())
    }

    /// Names every missing setting: by its variable if the environment is read, otherwise by its method.
    fn all_there(&self) -> Result<(), ConfigError> {
        let is_empty = |setting: &Option<String>| setting.as_ref().is_none_or(String::is_empty);
        let settings = [
            (is_empty(&self.token), TOKEN, "Builder::token"),
            (is_empty(&self.bot_id), BOT, "Builder::bot_id"),
            (
                self.integration.is_none(),
                INTEGRATION,
                "Builder::integration_id (or integration_alias, or no_integration)",
            ),
        ];
        let missing = settings.into_iter().filter(|(is_missing, ..)| *is_missing);
        let names = missing.map(|(_, variable, method)| if self.env { variable } else { method });
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            return Ok(());
        }
        let (are, them) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
        let advice = if self.env {
            format!(" from the environment; set {them}")
        } else {
            format!("; call {them}, or Builder::env to read the environment")
        };
        Err(ConfigError::new(format!("{} {are} missing{advice}", names.join(", "))))
    }

    /// The headers of every request.
    fn headers(&self, target: &Target) -> Result<HeaderMap, ConfigError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let what = format!("the header {name:?}");
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|e| ConfigError::because(format!("{what} cannot be sent"), &e))?;
            check_header(&name)?;
            headers.append(name, secret(header_value(&what, value)?));
        }
        let token = self.token.as_deref().unwrap_or_default();
        header_value("the token", token)?;
        let token = header_value("the token", &format!("{BEARER}{token}"))?;
        headers.insert(AUTHORIZATION, secret(token));
        headers.insert(BOT_ID, header_value("the bot id", &target.bot_id)?);
        let integration = match &target.integration {
            Integration::Id(id) => Some((INTEGRATION_ID, "the integration id", id)),
            Integration::Alias(alias) => Some((INTEGRATION_ALIAS, "the integration alias", alias)),
            Integration::None => None,
        };
        if let Some((name, what, value)) = integration {
            headers.insert(name, header_value(what, value)?);
        }
        // The client reads no compressed response.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        Ok(headers)
    }

    fn http_client(&self, base_url: &Url) -> Result<reqwest::Client, ConfigError> {
        let mut builder = reqwest::Client::builder()
            .connect_timeout(self.connect_timeout.unwrap_or(CONNECT_TIMEOUT))
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .http2_keep_alive_timeout(PING_TIMEOUT);
        if let Some(settings) = &self.http {
            builder = settings(builder);
        } else if base_url.scheme() == "https"
            && !cfg!(any(feature = "rustls", feature = "native-tls"))
        {
            return Err(ConfigError::new("https needs the feature `rustls` or `native-tls`"));
        }
        builder =
            builder.redirect(reqwest::redirect::Policy::none()).retry(reqwest::retry::never());
        if base_url.scheme() == "http" {
            // Through a proxy, the token would leave the machine in clear text.
            builder = builder.no_proxy();
        }
        builder.build().map_err(|e| ConfigError::because("the HTTP client cannot be set up", &e))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("bot_id", &self.bot_id).finish_non_exhaustive()
    }
}

/// The value of a variable of the environment, if there is any.
fn variable(name: &str) -> Result<Option<String>, ConfigError> {
    match std::env::var(name) {
        Err(VarError::NotUnicode(_)) => Err(ConfigError::new(format!("{name} is not Unicode"))),
        value => Ok(value.ok().filter(|value| !value.is_empty())),
    }
}

/// Rejects a header that the client sets itself.
pub(crate) fn check_header(name: &HeaderName) -> Result<(), ConfigError> {
    if RESERVED.contains(name) {
        return Err(ConfigError::new(format!("the client itself sets the header {name:?}")));
    }
    Ok(())
}

fn header_value(what: &str, value: &str) -> Result<HeaderValue, ConfigError> {
    let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let legal = printable && !value.is_empty() && value.trim() == value;
    let value = HeaderValue::from_str(value).ok().filter(|_| legal);
    value.ok_or_else(|| {
        let rule = "it has to be printable ASCII, not empty, and without spaces around it";
        ConfigError::new(format!("{what} cannot be sent in a header: {rule}"))
    })
}

/// Marks a value as a secret, which errors and `Debug` hide.
pub(crate) fn secret(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

fn parse_base_url(
    text: &str,
    clear_text_host: Option<&str>,
    env: bool,
) -> Result<Url, ConfigError> {
    let url =
        Url::parse(text).map_err(|e| ConfigError::because("the base URL is not a URL", &e))?;
    let has_secrets = !url.username().is_empty() || url.password().is_some();
    if has_secrets || url.query().is_some() || url.fragment().is_some() {
        let parts = "user, password, query or fragment";
        return Err(ConfigError::new(format!("the base URL must not have a {parts}")));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback =
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback || Some(host) == clear_text_host => Ok(url),
        scheme => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let allow = match (scheme, env) {
                ("http", true) => format!("; {CLEAR_TEXT}={host} allows it"),
                ("http", false) => {
                    ", or Builder::danger_send_token_in_clear_text_to for a host that you trust"
                        .into()
                }
                _ => String::new(),
            };
            Err(ConfigError::new(format!(
                "the base URL {scheme}://{host}{port} would expose the token: use https, or http to a \
                 loopback address{allow}"
            )))
        }
    }
}
