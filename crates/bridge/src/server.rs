//! The connection to NATS, and which servers are supported.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions};

use crate::Failure;

/// The oldest version that does not lose track of messages when it is killed.
const OLDEST: [u64; 2] = [2, 12];
/// Timeout of each request to the server, such as a publication and its acknowledgement.
pub const REQUEST: Duration = Duration::from_secs(2);
/// A server that no longer responds is given up after two of these.
const PING: Duration = Duration::from_secs(5);

/// The address of the server, and how to log in.
#[derive(clap::Args)]
#[command(next_help_heading = "NATS")]
pub struct Server {
    /// URLs of NATS servers, with commas between them; `tls://` for TLS. Without them, the queue is a file
    #[arg(long = "nats-url", global = true, env = "NATS_URL")]
    pub url: Option<String>,
    /// The user to log in as
    #[arg(long = "nats-user", global = true, env = "NATS_USER")]
    nats_user: Option<String>,
    /// The password; other users can see a command line, so set the variable
    #[arg(long = "nats-password", global = true, env = "NATS_PASSWORD")]
    nats_password: Option<String>,
    /// The token to log in with; other users can see a command line, so set the variable
    #[arg(long = "nats-token", global = true, env = "NATS_TOKEN")]
    nats_token: Option<String>,
    /// The file with the credentials to log in with: a JWT and its seed
    #[arg(long = "nats-creds", global = true, env = "NATS_CREDS")]
    nats_creds: Option<PathBuf>,
    /// The file with the seed of the nkey to log in with
    #[arg(long = "nats-nkey", global = true, env = "NATS_NKEY")]
    nats_nkey: Option<PathBuf>,
    /// The file with the client certificate, in PEM
    #[arg(long = "nats-cert", global = true, env = "NATS_CERT")]
    nats_cert: Option<PathBuf>,
    /// The file with the key of the client certificate, in PEM
    #[arg(long = "nats-key", global = true, env = "NATS_KEY")]
    nats_key: Option<PathBuf>,
    /// The file with the certificates to trust instead of the system's, in PEM
    #[arg(long = "nats-ca", global = true, env = "NATS_CA")]
    nats_ca: Option<PathBuf>,
    /// Accept a server older than 2.12, which loses track of messages when it is killed
    #[arg(long = "nats-allow-old-server", global = true, env = "NATS_ALLOW_OLD_SERVER",
        value_parser = clap::builder::BoolishValueParser::new())]
    allow_old_server: bool,
}

impl Server {
    pub fn url(&self) -> &str {
        self.url.as_deref().unwrap_or_default()
    }

    /// Checks everything that does not need a connection.
    pub fn check_settings(&self) -> Result<(), Failure> {
        if self.url().contains('@') {
            let text =
                "NATS_URL must not have a password: use NATS_USER and NATS_PASSWORD, or NATS_TOKEN";
            return Err(Failure::settings(text));
        }
        if self.nats_user.is_some() != self.nats_password.is_some() {
            return Err(Failure::settings(
                "--nats-user <NATS_USER> and --nats-password <NATS_PASSWORD> need each other",
            ));
        }
        if self.nats_cert.is_some() != self.nats_key.is_some() {
            return Err(Failure::settings("NATS_CERT and NATS_KEY need each other"));
        }
        let ways = [
            self.nats_user.is_some(),
            self.nats_token.is_some(),
            self.nats_creds.is_some(),
            self.nats_nkey.is_some(),
        ];
        if ways.into_iter().filter(|is_given| *is_given).count() > 1 {
            let text = "set only one of NATS_USER, NATS_TOKEN, NATS_CREDS and NATS_NKEY";
            return Err(Failure::settings(text));
        }
        let files = [
            ("NATS_CERT", &self.nats_cert),
            ("NATS_KEY", &self.nats_key),
            ("NATS_CA", &self.nats_ca),
        ];
        for (name, path) in files {
            read(name, path.as_deref())?;
        }
        self.log_in(ConnectOptions::new()).map(drop)
    }

    /// Adds the settings of the login and of TLS.
    fn log_in(&self, mut options: ConnectOptions) -> Result<ConnectOptions, Failure> {
        if let (Some(user), Some(password)) = (&self.nats_user, &self.nats_password) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(token) = &self.nats_token {
            options = options.token(token.clone());
        }
        if let Some(credentials) = read("NATS_CREDS", self.nats_creds.as_deref())? {
            // The error itself may quote the credentials.
            let invalid = |_| Failure::settings("NATS_CREDS is not a credentials file");
            options = options.credentials(&credentials).map_err(invalid)?;
        }
        if let Some(seed) = read("NATS_NKEY", self.nats_nkey.as_deref())? {
            options = options.nkey(seed.trim().to_owned());
        }
        if let Some(ca) = &self.nats_ca {
            options = options.add_root_certificates(ca.clone()).require_tls(true);
        }
        if let (Some(cert), Some(key)) = (&self.nats_cert, &self.nats_key) {
            options = options.add_client_certificate(cert.clone(), key.clone()).require_tls(true);
        }
        Ok(options)
    }

    /// Connects, if the server can be reached and is supported.
    pub async fn connect(&self) -> Result<Context, Failure> {
        self.check_settings()?;
        let options = self
            .log_in(ConnectOptions::new())?
            .name("botpress-bridge")
            .connection_timeout(REQUEST)
            .ping_interval(PING)
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(100 * attempts.min(20) as u64)
            })
            .event_callback(|event| async move { tracing::info!(%event, "NATS") });
        let servers: Vec<_> = self.url().split(',').map(str::trim).collect();
        let client = options.connect(servers).await.map_err(|e| self.failure(&e))?;
        self.check(&client.server_info().version)?;
        let mut context = jetstream::new(client);
        context.set_timeout(REQUEST);
        Ok(context)
    }

    fn failure(&self, error: &ConnectError) -> Failure {
        match error.kind() {
            ConnectErrorKind::ServerParse => {
                Failure::settings(format!("invalid NATS_URL: {error}"))
            }
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                Failure::settings(format!(
                    "NATS at {} rejects the credentials: {error}",
                    self.url()
                ))
            }
            _ if is_about_certificates(error) => Failure::settings(format!(
                "NATS at {}: the certificates are not accepted: {error}",
                self.url()
            )),
            _ => Failure::new(format!("NATS at {} cannot be reached: {error}", self.url())),
        }
    }

    fn check(&self, version: &str) -> Result<(), Failure> {
        if is_supported(version) {
            return Ok(());
        }
        let [major, minor] = OLDEST;
        let text = format!(
            "nats-server {version} is too old: before {major}.{minor} it loses track of messages when it is \
             killed, and they are never delivered"
        );
        if self.allow_old_server {
            tracing::warn!("{text}; NATS_ALLOW_OLD_SERVER accepts it");
            return Ok(());
        }
        Err(Failure::settings(format!(
            "{text}. Install {major}.{minor} or later, or set NATS_ALLOW_OLD_SERVER=1"
        )))
    }
}

/// Reads the file that a setting names.
fn read(name: &str, path: Option<&Path>) -> Result<Option<String>, Failure> {
    let failed = |path: &Path, e| {
        Failure::settings(format!("{name}: {} cannot be read: {e}", path.display()))
    };
    path.map(|path| fs::read_to_string(path).map_err(|e| failed(path, e))).transpose()
}

/// Whether TLS failed because of the certificates, which retries do not solve: a broken connection gives other errors.
fn is_about_certificates(error: &(dyn Error + 'static)) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|e| e.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether a server of this version is supported. A version that cannot be read is not.
fn is_supported(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => [major, minor] >= OLDEST,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        struct Case {
            version: &'static str,
            is_supported: bool,
        }
        let case = |version, is_supported| Case { version, is_supported };
        for Case { version, is_supported: expected } in [
            case("2.9.10", false),
            case("2.11.11", false),
            case("2.12.0", true),
            case("2.12.0-RC.1", true),
            case("2.15.1", true),
            case("3.0.0", true),
            case("10.0.0", true),
            case("1.99.0", false),
            case("", false),
            case("2", false),
        ] {
            assert_eq!(is_supported(version), expected, "{version:?}");
        }
    }
}
