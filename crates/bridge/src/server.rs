//! The connection to NATS, and which servers are supported.

use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions};

use crate::Failure;

/// The oldest version that keeps track of every message when it is killed.
const OLDEST: [u64; 2] = [2, 12];
/// For a publication, its acknowledgement and any other request to the server.
pub const REQUEST: Duration = Duration::from_secs(2);
/// A server that is gone without a word is given up after two of these.
const PING: Duration = Duration::from_secs(5);

/// Where the server is, and how to log in.
#[derive(clap::Args)]
#[command(next_help_heading = "NATS")]
pub struct Server {
    /// The NATS servers, with commas between them; `tls://` for TLS
    #[arg(
        long = "nats-url",
        global = true,
        env = "NATS_URL",
        default_value = "nats://127.0.0.1:4222"
    )]
    pub url: String,
    /// The user to log in as
    #[arg(long = "nats-user", global = true, env = "NATS_USER")]
    nats_user: Option<String>,
    /// The password; a command line is public, so set the variable
    #[arg(long = "nats-password", global = true, env = "NATS_PASSWORD")]
    nats_password: Option<String>,
    /// The token to log in with; a command line is public, so set the variable
    #[arg(long = "nats-token", global = true, env = "NATS_TOKEN")]
    nats_token: Option<String>,
    /// Accept a server older than 2.12, which loses track of messages when it is killed
    #[arg(long = "nats-allow-old-server", global = true, env = "NATS_ALLOW_OLD_SERVER",
        value_parser = clap::builder::BoolishValueParser::new())]
    allow_old_server: bool,
}

impl Server {
    /// What can be checked without a connection.
    pub fn check_settings(&self) -> Result<(), Failure> {
        if self.url.contains('@') {
            let text =
                "NATS_URL must not hold a password: use NATS_USER and NATS_PASSWORD, or NATS_TOKEN";
            return Err(Failure::settings(text));
        }
        if self.nats_user.is_some() != self.nats_password.is_some() {
            return Err(Failure::settings(
                "--nats-user <NATS_USER> and --nats-password <NATS_PASSWORD> need each other",
            ));
        }
        Ok(())
    }

    /// Connects, if the server is there and is supported.
    pub async fn connect(&self) -> Result<Context, Failure> {
        self.check_settings()?;
        let mut options = ConnectOptions::new()
            .name("botpress-bridge")
            .connection_timeout(REQUEST)
            .ping_interval(PING)
            .reconnect_delay_callback(|attempts| {
                Duration::from_millis(100 * attempts.min(20) as u64)
            })
            .event_callback(|event| async move { tracing::info!(%event, "NATS") });
        if let (Some(user), Some(password)) = (&self.nats_user, &self.nats_password) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        if let Some(token) = &self.nats_token {
            options = options.token(token.clone());
        }
        let servers: Vec<_> = self.url.split(',').map(str::trim).collect();
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
                Failure::settings(format!("NATS at {} rejects the credentials: {error}", self.url))
            }
            _ => Failure::new(format!("NATS at {} cannot be reached: {error}", self.url)),
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

/// Whether a server of this version keeps track of its messages. A version that cannot be read is not.
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
