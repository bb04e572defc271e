//! The settings of many bots from a file, or of one bot from the environment.
//!
//! Settings that are not about a bot are options of the command line. The value in the file becomes the option's
//! default, so options and variables win over the file, and each value is checked in one place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

use botpress_channels::{Channel, InvalidSecret, SecretToken, SigningSecret};
use botpress_messages::{Client, Retry};
use clap::Command;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use toml::{Spanned, Value};

use crate::{Failure, bot_id, is_printable};

/// The prefix of the bridge's variables.
const PREFIX: &str = "BRIDGE_";
/// A Slack app can have two secrets: the new one and the old one.
const MOST_SLACK_SECRETS: usize = 2;
/// Options that are about one bot, or about the file itself.
const NOT_IN_FILE: [&str; 9] = [
    "bots",
    "bot_id",
    "key",
    "slack_signing_secret",
    "telegram_secret_token",
    "whatsapp_app_secret",
    "whatsapp_verify_token",
    "config",
    "check_config",
];

/// A settings file that has been read and is well-formed.
pub struct ConfigFile {
    path: PathBuf,
    text: String,
    document: Document,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Options that all commands have.
    #[serde(default)]
    common: Options,
    #[serde(default)]
    receive: Options,
    #[serde(default)]
    deliver: Options,
    #[serde(default)]
    bots: Vec<Spanned<BotTable>>,
}

type Options = BTreeMap<Spanned<String>, Spanned<Value>>;

/// The subcommands that options are for, the command that defines these options, and the options.
type Section<'a> = (&'static [&'static str], &'a Command, &'a Options);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BotTable {
    id: String,
    token: Option<SecretSource>,
    integration_id: Option<String>,
    integration_alias: Option<String>,
    api_url: Option<String>,
    #[serde(default)]
    slack_signing_secrets: Vec<SecretSource>,
    telegram_secret_token: Option<SecretSource>,
    whatsapp_app_secret: Option<SecretSource>,
    whatsapp_verify_token: Option<SecretSource>,
    #[serde(default)]
    keys: Vec<SecretSource>,
    max_messages: Option<u64>,
    #[serde(default)]
    paused: bool,
}

/// A secret, or where it is.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string, { file = \"PATH\" } or { env = \"VARIABLE\" }")]
enum SecretSource {
    Text(String),
    Elsewhere(Place),
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    File(PathBuf),
    Env(String),
}

/// The secrets that webhooks for a bot need, and how many messages can wait.
#[derive(Debug)]
pub struct Access {
    pub bot: String,
    pub slack_secrets: Vec<SigningSecret>,
    /// The other channels that the bot has secrets for.
    pub channels: Vec<Channel>,
    pub keys: Vec<Key>,
    pub max_messages: Option<u64>,
}

/// A bearer token for webhooks.
pub struct Key([u8; 32]);

/// A bot whose messages are delivered.
#[derive(Debug)]
pub struct Target {
    pub bot: String,
    pub client: Client,
    pub is_paused: bool,
}

/// The settings for receiving webhooks without a file: one bot, or several with the same secrets.
#[derive(Default, clap::Args)]
pub struct OneBot {
    /// The ids of the bots to serve, with commas between them; for run, one at most
    #[arg(long, env = "BRIDGE_BOTS", value_delimiter = ',', value_parser = bot_id)]
    pub bots: Vec<String>,
    /// The bot to serve if there is no list of bots; for run with bots in a settings file, the only one to deliver for
    #[arg(long, env = "BP_BOT_ID", value_parser = bot_id)]
    pub bot_id: Option<String>,
    /// The bearer token for /BOT/messages, which is closed without it; other users can see a command line, so set
    /// the variable
    #[arg(long, env = "BRIDGE_KEY")]
    pub key: Option<String>,
    /// The signing secret of the Slack app, for /BOT/slack, which is closed without it; other users can see a command
    /// line, so set the variable
    #[arg(long, env = "SLACK_SIGNING_SECRET")]
    pub slack_signing_secret: Option<String>,
    /// The secret token of the Telegram bot's webhook, for /BOT/telegram, which is closed without it; other users can
    /// see a command line, so set the variable
    #[arg(long, env = "TELEGRAM_SECRET_TOKEN")]
    pub telegram_secret_token: Option<String>,
    /// The secret of the Meta app, for /BOT/whatsapp, which is closed without it; other users can see a command line,
    /// so set the variable
    #[arg(long, env = "WHATSAPP_APP_SECRET", requires = "whatsapp_verify_token")]
    pub whatsapp_app_secret: Option<String>,
    /// The verify token of the Meta app, with which WhatsApp checks the URL of /BOT/whatsapp; other users can see a
    /// command line, so set the variable
    #[arg(long, env = "WHATSAPP_VERIFY_TOKEN", requires = "whatsapp_app_secret")]
    pub whatsapp_verify_token: Option<String>,
}

impl BotTable {
    /// The secrets of its webhooks, by their names in the file.
    fn webhook_secrets(&self) -> [(&'static str, &[SecretSource]); 5] {
        [
            ("keys", &self.keys),
            ("slack_signing_secrets", &self.slack_signing_secrets),
            ("telegram_secret_token", self.telegram_secret_token.as_slice()),
            ("whatsapp_app_secret", self.whatsapp_app_secret.as_slice()),
            ("whatsapp_verify_token", self.whatsapp_verify_token.as_slice()),
        ]
    }
}

impl Key {
    pub fn new(key: &str) -> Result<Self, &'static str> {
        if key.is_empty() || key.trim() != key || !key.bytes().all(is_printable) {
            return Err(
                "must have only printable ASCII characters, and no space at its start or end",
            );
        }
        Ok(Self(Sha256::digest(key).into()))
    }

    /// Compares digests, so the time that it takes reveals nothing about the key.
    pub fn is(&self, given: &str) -> bool {
        self.0 == *Sha256::digest(given)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(_)")
    }
}

impl ConfigFile {
    /// Reads a file, and checks its options against those of this command.
    pub fn load(path: &Path, command: &Command) -> Result<Self, Failure> {
        let text = fs::read_to_string(path)
            .map_err(|e| Failure::settings(format!("{} cannot be read: {e}", path.display())))?;
        Self::parse(path, text, command)
    }

    fn parse(path: &Path, text: String, command: &Command) -> Result<Self, Failure> {
        let document =
            document(&text).map_err(|(span, problem)| at(path, &text, span, &problem))?;
        let file = Self { path: path.to_owned(), text, document };
        file.check(command)?;
        Ok(file)
    }

    /// Checks everything that does not need a secret to be read.
    fn check(&self, command: &Command) -> Result<(), Failure> {
        for (_, command, options) in self.sections(command)? {
            for (name, value) in options {
                self.check_option(command, name, value)?;
            }
        }
        let mut ids = BTreeSet::new();
        for bot in &self.document.bots {
            let BotTable {
                id,
                slack_signing_secrets,
                whatsapp_app_secret,
                whatsapp_verify_token,
                ..
            } = bot.get_ref();
            bot_id(id).map_err(|problem| self.bot_failure(bot, "id", problem))?;
            if !ids.insert(id) {
                return Err(self.bot_failure(bot, "id", "another bot has the same id"));
            }
            if slack_signing_secrets.len() > MOST_SLACK_SECRETS {
                let problem =
                    format!("at most {MOST_SLACK_SECRETS} secrets: the new one and the old one");
                return Err(self.bot_failure(bot, "slack_signing_secrets", problem));
            }
            let is_twice =
                bot.get_ref().integration_id.is_some() && bot.get_ref().integration_alias.is_some();
            if is_twice {
                let problem = "integration_alias is set too: set only one of them";
                return Err(self.bot_failure(bot, "integration_id", problem));
            }
            let whatsapp = match (whatsapp_app_secret, whatsapp_verify_token) {
                (Some(_), None) => Some(("whatsapp_app_secret", "whatsapp_verify_token")),
                (None, Some(_)) => Some(("whatsapp_verify_token", "whatsapp_app_secret")),
                _ => None,
            };
            if let Some((given, missing)) = whatsapp {
                return Err(self.bot_failure(bot, given, format!("it needs {missing}")));
            }
            for (name, secrets) in bot.get_ref().webhook_secrets() {
                let is_empty =
                    |s: &SecretSource| matches!(s, SecretSource::Text(t) if t.is_empty());
                if secrets.iter().any(is_empty) {
                    return Err(self.bot_failure(bot, name, "a secret is empty"));
                }
            }
        }
        Ok(())
    }

    /// The sections of the file that have options.
    fn sections<'a>(&'a self, command: &'a Command) -> Result<[Section<'a>; 3], Failure> {
        let Document { common, receive, deliver, .. } = &self.document;
        let subcommand = |name| {
            let missing = || Failure::new(format!("there is no command {name}"));
            command.find_subcommand(name).ok_or_else(missing)
        };
        Ok([
            (&[], command, common),
            // `receive` comes last: for `run`, it wins if both sections set an option, such as `metrics`.
            (&["deliver", "run"], subcommand("deliver")?, deliver),
            (&["receive", "run"], subcommand("receive")?, receive),
        ])
    }

    fn check_option(
        &self,
        command: &Command,
        name: &Spanned<String>,
        value: &Spanned<Value>,
    ) -> Result<(), Failure> {
        let key = name.get_ref();
        let Some(known) = find(command, key) else {
            let names: Vec<_> = options(command).map(key_of).collect();
            let problem = format!("{key}: unknown setting, expected one of {}", names.join(", "));
            return Err(self.failure(name.span(), &problem));
        };
        let failed = |problem: &str| self.failure(name.span(), &format!("{key}: {problem}"));
        let Some(text) = as_text(value.get_ref()) else {
            let _: Place = value.get_ref().clone().try_into().map_err(|_| {
                failed("expected a string, a number, true or false, or { file = \"PATH\" } or { env = \"VARIABLE\" }")
            })?;
            return Ok(());
        };
        // Only this option is parsed: other options that it needs may come from elsewhere.
        let alone = clap::Arg::new("value")
            .long(key.to_owned())
            .allow_hyphen_values(true)
            .value_parser(known.get_value_parser().clone());
        let parsed = Command::new("settings")
            .arg(alone)
            .try_get_matches_from(["settings", &format!("--{key}={text}")]);
        parsed.map(drop).map_err(|e| {
            let text = e.to_string();
            let line = text.lines().next().unwrap_or_default();
            failed(line.strip_prefix("error: ").unwrap_or(line))
        })
    }

    /// Makes the values in the file the defaults of the command's options.
    pub fn defaults(&self, command: Command) -> Result<Command, Failure> {
        let mut changed = command.clone();
        for (subcommands, of, options) in self.sections(&command)? {
            for (name, value) in options {
                let text = match as_text(value.get_ref()) {
                    Some(text) => text,
                    None => {
                        let place =
                            value.get_ref().clone().try_into().map_err(Failure::settings)?;
                        self.read_place(&place).map_err(|e| {
                            self.failure(name.span(), &format!("{}: {e}", name.get_ref()))
                        })?
                    }
                };
                let Some(id) = find(of, name.get_ref()).map(|arg| arg.get_id().clone()) else {
                    continue;
                };
                if subcommands.is_empty() {
                    changed = changed.mut_arg(&id, |arg| arg.default_value(text.clone()));
                }
                for name in subcommands {
                    changed = changed.mut_subcommand(name, |command| {
                        command.mut_arg(&id, |arg| arg.default_value(text.clone()))
                    });
                }
            }
        }
        Ok(changed)
    }

    pub fn has_bots(&self) -> bool {
        !self.document.bots.is_empty()
    }

    /// The bots that webhooks are received for, with their secrets.
    pub fn access(&self) -> Result<Vec<Access>, Failure> {
        let access = |bot: &Spanned<BotTable>| {
            let BotTable { id, slack_signing_secrets, keys, max_messages, .. } = bot.get_ref();
            let slack_secrets =
                self.secrets(bot, "slack_signing_secrets", slack_signing_secrets, |text| {
                    SigningSecret::new(text).map_err(|e| e.to_string())
                })?;
            let keys =
                self.secrets(bot, "keys", keys, |text| Key::new(text).map_err(str::to_owned))?;
            let channels = self.channels(bot)?;
            Ok(Access {
                bot: id.clone(),
                slack_secrets,
                channels,
                keys,
                max_messages: *max_messages,
            })
        };
        self.document.bots.iter().map(access).collect()
    }

    /// The bots whose messages are delivered: all bots of the file, or `only` this one.
    pub fn targets(&self, only: Option<&str>, retry: Retry) -> Result<Vec<Target>, Failure> {
        let is_meant = |bot: &&Spanned<BotTable>| only.is_none_or(|only| bot.get_ref().id == only);
        let bots = self.document.bots.iter().filter(is_meant);
        let targets: Vec<_> = bots.map(|bot| self.target(bot, retry)).collect::<Result<_, _>>()?;
        match only {
            Some(only) if targets.is_empty() => {
                let text = format!("{}: there is no bot {only}", self.path.display());
                Err(Failure::settings(text))
            }
            _ => Ok(targets),
        }
    }

    fn target(&self, bot: &Spanned<BotTable>, retry: Retry) -> Result<Target, Failure> {
        let BotTable { id, token, integration_id, integration_alias, api_url, paused, .. } =
            bot.get_ref();
        let Some(token) = token else {
            return Err(self.bot_failure(bot, "token", "missing: deliver and run need it"));
        };
        let token = self.read(token).map_err(|e| self.bot_failure(bot, "token", e))?;
        let mut builder = Client::builder().token(token).bot_id(id).retry(retry);
        if let Some(integration) = integration_id {
            builder = builder.integration_id(integration);
        }
        if let Some(alias) = integration_alias {
            builder = builder.integration_alias(alias);
        }
        if let Some(url) = api_url {
            builder = builder.base_url(url);
        }
        let client = builder.build().map_err(|e| self.bot_failure(bot, "settings", e))?;
        Ok(Target { bot: id.clone(), client, is_paused: *paused })
    }

    fn channels(&self, bot: &Spanned<BotTable>) -> Result<Vec<Channel>, Failure> {
        fn parse<S>(
            new: fn(String) -> Result<S, InvalidSecret>,
        ) -> impl Fn(&str) -> Result<S, String> {
            move |text| new(text.to_owned()).map_err(|e| e.to_string())
        }
        let BotTable { telegram_secret_token, whatsapp_app_secret, whatsapp_verify_token, .. } =
            bot.get_ref();
        let token = telegram_secret_token.as_slice();
        let token = self.secrets(bot, "telegram_secret_token", token, parse(SecretToken::new))?;
        let secret = whatsapp_app_secret.as_slice();
        let secret = self.secrets(bot, "whatsapp_app_secret", secret, parse(SigningSecret::new))?;
        let verify = whatsapp_verify_token.as_slice();
        let verify = self.secrets(bot, "whatsapp_verify_token", verify, parse(SecretToken::new))?;
        Ok(channels(token, secret, verify))
    }

    fn secrets<T>(
        &self,
        bot: &Spanned<BotTable>,
        name: &str,
        sources: &[SecretSource],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Failure> {
        let read = |source| self.read(source).and_then(|text| parse(&text));
        let secrets = sources.iter().map(read).collect::<Result<_, _>>();
        secrets.map_err(|problem| self.bot_failure(bot, name, problem))
    }

    fn read(&self, source: &SecretSource) -> Result<String, String> {
        match source {
            SecretSource::Text(text) => Ok(text.clone()),
            SecretSource::Elsewhere(place) => self.read_place(place),
        }
    }

    fn read_place(&self, place: &Place) -> Result<String, String> {
        let text = match place {
            Place::File(path) => {
                let path = self.path.parent().unwrap_or(Path::new("")).join(path);
                let text = fs::read_to_string(&path);
                let text = text.map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
                // Editors add a newline at the end of a file.
                text.trim_end_matches(['\r', '\n']).to_owned()
            }
            Place::Env(name) => env::var(name).map_err(|_| format!("{name} is not set"))?,
        };
        if text.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(text) }
    }

    /// The environment variables that the file names.
    fn variables(&self) -> BTreeSet<String> {
        let Document { common, receive, deliver, bots } = &self.document;
        let options = [common, receive, deliver].into_iter().flat_map(BTreeMap::values);
        let in_options = options.filter_map(|value| value.get_ref().clone().try_into().ok());
        let in_bots = bots.iter().flat_map(|bot| {
            let bot = bot.get_ref();
            let of_webhooks = bot.webhook_secrets().into_iter().flat_map(|(_, secrets)| secrets);
            bot.token.iter().chain(of_webhooks).filter_map(|source| match source {
                SecretSource::Elsewhere(place) => Some(place.clone()),
                SecretSource::Text(_) => None,
            })
        });
        let name = |place| match place {
            Place::Env(name) => Some(name),
            Place::File(_) => None,
        };
        in_options.chain(in_bots).filter_map(name).collect()
    }

    fn bot_failure(
        &self,
        bot: &Spanned<BotTable>,
        name: &str,
        problem: impl fmt::Display,
    ) -> Failure {
        // The span of a table is only its header, so look for the key in the lines below it.
        let head = bot.span().start;
        let table = self.text.get(head..).unwrap_or_default();
        let (mut start, mut found) = (head, head);
        for line in table.split_inclusive('\n') {
            if start > head && line.starts_with("[[") {
                break;
            }
            let rest = line.trim_start().strip_prefix(name);
            if rest.is_some_and(|rest| rest.trim_start().starts_with('=')) {
                found = start;
            }
            start += line.len();
        }
        let id = &bot.get_ref().id;
        self.failure(found..found, &format!("bot {id}: {name}: {problem}"))
    }

    fn failure(&self, span: Range<usize>, problem: &str) -> Failure {
        at(&self.path, &self.text, Some(span), problem)
    }
}

fn document(text: &str) -> Result<Document, (Option<Range<usize>>, String)> {
    let problem = |e: &toml::de::Error| (e.span(), without_value(e.message()));
    let deserializer = toml::Deserializer::parse(text).map_err(|e| problem(&e))?;
    serde_path_to_error::deserialize(deserializer).map_err(|e| {
        let (span, text) = problem(e.inner());
        let path = e.path().to_string().replace(".$__serde_spanned_private_value", "");
        (span, if path == "." { text } else { format!("{path}: {text}") })
    })
}

/// Removes the value from an error message: a value in the wrong place may be a secret.
fn without_value(message: &str) -> String {
    let is_about_value = ["invalid type", "invalid value", "invalid length"]
        .iter()
        .any(|start| message.starts_with(start));
    let message = message.replace('\n', " ");
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if is_about_value => format!("expected {expected}"),
        _ => message,
    }
}

fn at(path: &Path, text: &str, span: Option<Range<usize>>, problem: &str) -> Failure {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    Failure::settings(format!("{}:{line}: {problem}", path.display()))
}

/// The options that a file can set.
fn options(command: &Command) -> impl Iterator<Item = &clap::Arg> {
    let is_setting =
        |arg: &&clap::Arg| arg.get_env().is_some() && !NOT_IN_FILE.contains(&arg.get_id().as_str());
    command.get_arguments().filter(is_setting)
}

fn find<'a>(command: &'a Command, key: &str) -> Option<&'a clap::Arg> {
    options(command).find(|arg| key_of(arg) == key)
}

/// The name of an option in a file.
fn key_of(arg: &clap::Arg) -> String {
    arg.get_long().unwrap_or_default().replace('-', "_")
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(is) => Some(is.to_string()),
        _ => None,
    }
}

/// Rejects variables that have the bridge's prefix but are not settings: they would have no effect.
pub fn check_variables(command: &Command, file: Option<&ConfigFile>) -> Result<(), Failure> {
    let mut known = file.map(ConfigFile::variables).unwrap_or_default();
    add_variables(command, &mut known);
    let given = env::vars_os().filter(|(_, value)| !value.is_empty());
    let mut names = given.map(|(name, _)| name.to_string_lossy().into_owned());
    match names.find(|name| name.starts_with(PREFIX) && !known.contains(name)) {
        Some(name) => Err(Failure::settings(format!("environment: {name} is not a setting"))),
        None => Ok(()),
    }
}

fn add_variables(command: &Command, known: &mut BTreeSet<String>) {
    let variables = command.get_arguments().filter_map(clap::Arg::get_env);
    known.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    command.get_subcommands().for_each(|command| add_variables(command, known));
}

/// The bots that webhooks are received for: from the file, or from the environment if the file has no bots.
pub fn access(file: Option<&ConfigFile>, one: OneBot) -> Result<Vec<Access>, Failure> {
    let OneBot {
        mut bots,
        bot_id,
        key,
        slack_signing_secret,
        telegram_secret_token,
        whatsapp_app_secret,
        whatsapp_verify_token,
    } = one;
    let access = if let Some(file) = file.filter(|file| file.has_bots()) {
        let given = [
            ("BRIDGE_BOTS", !bots.is_empty()),
            ("BRIDGE_KEY", key.is_some()),
            ("SLACK_SIGNING_SECRET", slack_signing_secret.is_some()),
            ("TELEGRAM_SECRET_TOKEN", telegram_secret_token.is_some()),
            ("WHATSAPP_APP_SECRET", whatsapp_app_secret.is_some()),
            ("WHATSAPP_VERIFY_TOKEN", whatsapp_verify_token.is_some()),
        ];
        if let Some((name, _)) = given.iter().find(|(_, is_given)| *is_given) {
            return Err(one_bot_beside(file, name));
        }
        file.access()?
    } else {
        if bots.is_empty() {
            bots.extend(bot_id);
        }
        if bots.is_empty() {
            let text =
                "no bot: set --bots <BRIDGE_BOTS> or BP_BOT_ID, or name a file with --config";
            return Err(Failure::settings(text));
        }
        let access = |bot| {
            let slack_secret =
                secret("SLACK_SIGNING_SECRET", &slack_signing_secret, SigningSecret::new)?;
            let channels = channels(
                secret("TELEGRAM_SECRET_TOKEN", &telegram_secret_token, SecretToken::new)?,
                secret("WHATSAPP_APP_SECRET", &whatsapp_app_secret, SigningSecret::new)?,
                secret("WHATSAPP_VERIFY_TOKEN", &whatsapp_verify_token, SecretToken::new)?,
            );
            let key = key.as_deref().map(Key::new).transpose();
            let key = key.map_err(|e| Failure::settings(format!("BRIDGE_KEY {e}")))?;
            let (slack_secrets, keys) =
                (slack_secret.into_iter().collect(), key.into_iter().collect());
            Ok(Access { bot, slack_secrets, channels, keys, max_messages: None })
        };
        bots.into_iter().map(access).collect::<Result<_, _>>()?
    };
    let is_closed = |bot: &Access| {
        bot.slack_secrets.is_empty() && bot.channels.is_empty() && bot.keys.is_empty()
    };
    if access.iter().all(is_closed) {
        let text = "no authentication configured: set BRIDGE_KEY or the secrets of a channel";
        return Err(Failure::settings(text));
    }
    Ok(access)
}

/// Parses the secret in a variable.
fn secret<S>(
    name: &str,
    value: &Option<String>,
    new: fn(String) -> Result<S, InvalidSecret>,
) -> Result<Option<S>, Failure> {
    let secret = value.clone().map(new).transpose();
    secret.map_err(|e| Failure::settings(format!("{name}: {e}")))
}

/// The channels whose secrets are set.
fn channels(
    telegram: impl IntoIterator<Item = SecretToken>,
    app_secrets: impl IntoIterator<Item = SigningSecret>,
    verify_tokens: impl IntoIterator<Item = SecretToken>,
) -> Vec<Channel> {
    let whatsapp = app_secrets.into_iter().zip(verify_tokens);
    let whatsapp =
        whatsapp.map(|(app_secret, verify_token)| Channel::WhatsApp { app_secret, verify_token });
    telegram.into_iter().map(Channel::Telegram).chain(whatsapp).collect()
}

/// The bots whose messages are delivered: from the file, or from the environment if the file has no bots.
pub fn targets(
    file: Option<&ConfigFile>,
    bot_id: Option<&str>,
    retry: Retry,
) -> Result<Vec<Target>, Failure> {
    if let Some(file) = file.filter(|file| file.has_bots()) {
        let is_given = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let given = ["BP_TOKEN", "BP_INTEGRATION_ID", "BP_API_URL"];
        if let Some(name) = given.iter().find(|name| is_given(name)) {
            return Err(one_bot_beside(file, name));
        }
        return file.targets(bot_id, retry);
    }
    let Some(bot) = bot_id else {
        let text = "no bot: set --bot-id <BP_BOT_ID>, or name a file with --config";
        return Err(Failure::settings(text));
    };
    let client = Client::builder().env().bot_id(bot).retry(retry);
    let client = client.build().map_err(Failure::settings)?;
    Ok(vec![Target { bot: bot.to_owned(), client, is_paused: false }])
}

fn one_bot_beside(file: &ConfigFile, name: &str) -> Failure {
    let path = file.path.display();
    Failure::settings(format!("{name} is a setting of one bot, but {path} has bots: set it there"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, Failure> {
        ConfigFile::parse(Path::new("bridge.toml"), text.to_owned(), &crate::Args::command())
    }

    fn access(text: &str) -> Result<Vec<Access>, Failure> {
        parse(text)?.access()
    }

    #[test]
    fn errors_name_file_line_and_key_but_no_value() {
        struct Case {
            text: &'static str,
            error: &'static str,
        }
        for Case { text, error } in [
            Case { text: "\nbots = 'hunter2'", error: "2: bots: expected a sequence" },
            Case {
                text: "port = 1",
                error: "1: port: unknown field `port`, expected one of `common`, `receive`, `deliver`, `bots`",
            },
            Case {
                text: "[[bots]]\nid = 'a'\n\n[[bots]]\nid = 'b'\ntokn = 'hunter2'",
                error: "6: bots[1].tokn: unknown field `tokn`",
            },
            Case {
                text: "[[bots]]\nid = 'a'\nkeys = 'hunter2'",
                error: "3: bots[0].keys: expected a sequence",
            },
            Case {
                text: "[[bots]]\nid = 'a'\nkeys = [{ path = 'hunter2' }]",
                error: "3: bots[0].keys[0]: expected a string, { file = \"PATH\" } or { env = \"VARIABLE\" }",
            },
            Case {
                text: "[[bots]]\nid = 'a'\nmax_messages = 'hunter2'",
                error: "3: bots[0].max_messages: expected u64",
            },
            Case { text: "[[bots]]\nkeys = ['hunter2']", error: "1: bots[0]: missing field `id`" },
            Case {
                text: "[[bots]]\nid = 'a.b'",
                error: "2: bot a.b: id: a bot's id has only letters, digits, - and _",
            },
            Case {
                text: "[[bots]]\nid = 'a'\n[[bots]]\nid = 'a'",
                error: "4: bot a: id: another bot has the same id",
            },
            Case {
                text: "[[bots]]\nid = 'a'\nslack_signing_secrets = ['hunter2', 'b', 'c']",
                error: "3: bot a: slack_signing_secrets: at most 2 secrets: the new one and the old one",
            },
            Case {
                text: "[[bots]]\nid = 'a'\nkeys = ['']",
                error: "3: bot a: keys: a secret is empty",
            },
            Case {
                text: "[[bots]]\nid = 'a'\nintegration_id = 'b'\nintegration_alias = 'c'",
                error: "3: bot a: integration_id: integration_alias is set too",
            },
            Case { text: "[[bots]]\nid = 'a'\nid = 'a'", error: "3: duplicate key" },
            Case { text: "[[bots]]\nid = 'a'\nkeys = ['hunter2]", error: "3: " },
            Case {
                text: "[receive]\nlisten = 'a:1'\nkey = 'hunter2'",
                error: "3: key: unknown setting, expected one of listen, connections, ",
            },
            Case {
                text: "[common]\n\npartitions = 0",
                error: "3: partitions: invalid value '0' for '--partitions <value>': 0 is not in 1..=1024",
            },
            Case {
                text: "[deliver]\ndeadline = 'soon'",
                error: "2: deadline: invalid value 'soon'",
            },
            Case {
                text: "[deliver]\ndeadline = [1]",
                error: "2: deadline: expected a string, a number, true or false",
            },
        ] {
            let error_text = parse(text).err().map(|failure| failure.text).unwrap_or_default();
            assert!(
                error_text.starts_with(&format!("bridge.toml:{error}")),
                "{text}\n{error_text}"
            );
            assert!(!error_text.contains("hunter2") && !error_text.contains('\n'), "{error_text}");
        }
    }

    #[test]
    fn secrets_come_from_the_file_another_file_or_a_variable() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), "from the file\n").unwrap();
        // Cargo sets this variable for tests.
        let variable = env::var("CARGO_MANIFEST_DIR").unwrap();
        let text = "[[bots]]\nid = 'a'\nmax_messages = 9\nslack_signing_secrets = ['new', 'old']\n\
                    keys = ['plain', { file = 'key' }, { env = 'CARGO_MANIFEST_DIR' }]";
        let path = folder.path().join("bridge.toml");
        let file = ConfigFile::parse(&path, text.to_owned(), &crate::Args::command()).unwrap();
        let access = file.access().unwrap();
        let Access { bot, slack_secrets, keys, max_messages, .. } = &access[0];
        assert_eq!((bot.as_str(), slack_secrets.len(), *max_messages), ("a", 2, Some(9)));
        for (key, text) in keys.iter().zip(["plain", "from the file", &variable]) {
            assert!(key.is(text) && !key.is("another"), "{text}");
        }
        let shown = format!("{access:?}");
        assert!(!shown.contains("plain") && !shown.contains("new"), "{shown}");
    }

    #[test]
    fn errors_name_the_invalid_secret() {
        struct Case {
            secrets: &'static str,
            error: &'static str,
        }
        for Case { secrets, error } in [
            Case {
                secrets: "keys = [{ file = 'none' }]",
                error: "3: bot a: keys: none cannot be read: ",
            },
            Case {
                secrets: "keys = [{ env = 'NONE_OF_IT' }]",
                error: "3: bot a: keys: NONE_OF_IT is not set",
            },
            Case {
                secrets: "keys = ['hunter2\u{e9}']",
                error: "3: bot a: keys: must have only printable ASCII",
            },
            Case {
                secrets: "slack_signing_secrets = [' hunter2']",
                error: "3: bot a: slack_signing_secrets: the signing secret has white space",
            },
        ] {
            let error_text = access(&format!("[[bots]]\nid = 'a'\n{secrets}")).unwrap_err().text;
            assert!(error_text.starts_with(&format!("bridge.toml:{error}")), "{error_text}");
            assert!(!error_text.contains("hunter2"), "{error_text}");
        }
    }
}
