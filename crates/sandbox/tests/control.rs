//! The sandbox as programs in other languages use it: its own process, its console, and its control API.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use botpress_messages::{Delivery, NewConversation, NewUser, Retry, content::Text};
use botpress_sandbox::{Fault, Sandbox};
use conformance::nullable_as_type;
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use test_support::*;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

async fn json(answer: Response) -> Value {
    assert_eq!(answer.headers()["content-type"], "application/json");
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// Changes the settings. Returns the status and the body of the response.
async fn change(http: &Client, sandbox: &Sandbox, settings: &str) -> (u16, Value) {
    let request = http.patch(sandbox.url() + "/_sandbox/settings");
    let request = request.header("content-type", "application/json").body(settings.to_owned());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), json(answer).await)
}

async fn show(sandbox: &Sandbox, what: &str) -> Value {
    json(reqwest::get(format!("{}/_sandbox/{what}", sandbox.url())).await.unwrap()).await
}

/// A schema of the control API's contract.
fn schema(name: &str) -> jsonschema::Validator {
    let spec = std::fs::read_to_string("openapi.yaml").unwrap();
    let mut spec: Value = serde_yaml::from_str(&spec).unwrap();
    nullable_as_type(&mut spec);
    spec["$ref"] = json!(format!("#/components/schemas/{name}"));
    jsonschema::options().should_validate_formats(true).build(&spec).unwrap()
}

#[tokio::test(start_paused = true)]
async fn stored_records_can_be_listed() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    let message = Delivery::new(
        NewConversation::new("dm").tag("id", "C"),
        NewUser::new().tag("id", "U"),
        Text::new("Hello"),
    );
    let delivered = client.deliver(&message.clone().tag("id", "1")).await.unwrap().record;
    let faults = [
        Fault::Reset { stored: true },
        Fault::Late(std::time::Duration::ZERO),
        Fault::Page { status: 502, stored: false },
        Fault::Error { status: 500, stored: true },
        Fault::Truncated,
        Fault::Limited(0),
    ];
    for fault in faults {
        sandbox.fail_next([Some(fault)]);
        client.deliver(&message.clone().tag("id", "1")).await.unwrap_err();
    }
    let wrong = Client::new().delete(sandbox.url() + "/wrong").body("{");
    assert_eq!(wrong.send().await.unwrap().status(), 404);

    assert_eq!(show(&sandbox, "users").await["users"], json!(sandbox.users()));
    let conversations = show(&sandbox, "conversations").await;
    assert_eq!(conversations["conversations"][0]["id"], delivered.conversation_id);
    assert_eq!(show(&sandbox, "messages").await["messages"][0]["id"], delivered.id);
    let requests = show(&sandbox, "requests").await["requests"].take();
    assert_eq!(requests, json!(sandbox.requests()));
    let (schema, requests) = (schema("Request"), requests.as_array().unwrap());
    assert_eq!(requests.len(), 3 + faults.len() + 1);
    for request in requests {
        let errors: Vec<_> = schema.iter_errors(request).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{request}: {errors:?}");
    }
}

/// Each case is a change of settings, and the response: the new settings or the error.
#[tokio::test]
async fn settings_can_be_changed() {
    let sandbox = Sandbox::builder().requests_per_second(5).start().await.unwrap();
    let http = Client::new();
    let start = show(&sandbox, "settings").await;
    let none = json!({
        "faults": [], "targetedFaults": [], "storm": null, "latencyMilliseconds": 0,
        "lookupGapMilliseconds": 0, "requestsPerSecond": 5, "strict": false,
    });
    assert_eq!(start, none);
    let every_fault = r#"{"faults":[null,{"reset":{"stored":true}},{"late":60000},{"silence":{"stored":false}},
        {"page":{"status":502,"stored":true}},{"error":{"status":599,"stored":true}},"truncated",{"limited":1}]}"#;
    let targets = r#"{"targetedFaults":[{"fault":"truncated","always":false},
        {"fault":{"late":1},"record":"user","tags":{"id":"1"},"text":"Hi","always":true}]}"#;
    let good = [
        targets,
        r#"{"targetedFaults":[],"strict":true,"lookupGapMilliseconds":60000}"#,
        r#"{"strict":false,"lookupGapMilliseconds":0}"#,
        r#"{"storm":{"seed":9007199254740991,"probability":1}}"#,
        r#"{"storm":null,"requestsPerSecond":null}"#,
        r#"{"latencyMilliseconds":60000}"#,
        every_fault,
        r#"{"faults":[]}"#,
        "{}",
    ];
    let mut expected = start.clone();
    let schema = schema("Settings");
    for settings in good {
        let given: Value = serde_json::from_str(settings).unwrap();
        expected.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        if !expected["storm"].is_null() {
            expected["storm"]["probability"] = json!(1.0);
        }
        assert_eq!(change(&http, &sandbox, settings).await, (200, expected.clone()), "{settings}");
        assert!(schema.is_valid(&expected), "{expected}");
    }
    let bad = [
        ("{", "EOF"),
        ("[]", "settings must be an object"),
        (r#"{"limit":1}"#, "unknown field `limit`"),
        (r#"{"latencyMilliseconds":null}"#, "latencyMilliseconds: invalid type: null"),
        (r#"{"latencyMilliseconds":60001}"#, "latencyMilliseconds must be at most 60000"),
        (r#"{"lookupGapMilliseconds":60001}"#, "lookupGapMilliseconds must be at most 60000"),
        (r#"{"strict":1}"#, "strict: invalid type"),
        (r#"{"requestsPerSecond":-1}"#, "requestsPerSecond: invalid value: integer `-1`"),
        (r#"{"storm":[1,0.5]}"#, "storm: expected an object, found a list"),
        (r#"{"storm":{"seed":1,"probability":1.1}}"#, "storm.probability must be between 0 and 1"),
        (r#"{"storm":{"seed":9007199254740992,"probability":1}}"#, "storm.seed"),
        (r#"{"faults":[{"reset":[true]}]}"#, "faults: expected an object, found a list"),
        (r#"{"faults":[null,{"page":{"status":199,"stored":true}}]}"#, "faults[1]: the status"),
        (r#"{"faults":[{"late":60001}]}"#, "faults[0].late must be at most 60000"),
        (r#"{"faults":["thunder"]}"#, "faults[0]: unknown variant `thunder`"),
        (
            r#"{"targetedFaults":[{"fault":"truncated","text":null}]}"#,
            "targetedFaults[0].text: invalid type: null",
        ),
        (r#"{"targetedFaults":[{}]}"#, "targetedFaults[0]: missing field `fault`"),
        (
            r#"{"targetedFaults":[{"fault":"truncated","record":"bot"}]}"#,
            "targetedFaults[0].record must be one of message, user, conversation",
        ),
    ];
    for (settings, why) in bad {
        let (status, answer) = change(&http, &sandbox, settings).await;
        assert!(
            status == 400 && answer["message"].as_str().unwrap().contains(why),
            "{answer}, {why}"
        );
    }
    assert_eq!(show(&sandbox, "settings").await, expected, "a rejected change has no effect");

    // The settings take effect, and a reset restores the initial ones.
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    let faults = r#"{"requestsPerSecond":0,"latencyMilliseconds":0,"strict":true}"#;
    assert_eq!(change(&http, &sandbox, faults).await.0, 200);
    assert!(client.get_or_create(&hello()).await.unwrap_err().is_rate_limited());
    assert_eq!(show(&sandbox, "requests").await["rejectedByLimit"], 1);
    change(&http, &sandbox, r#"{"requestsPerSecond":null}"#).await;
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    let error = client.get_or_create(&hello()).await.unwrap_err().to_string();
    assert!(error.contains("ReferenceNotFound"), "{error}");
    let reset = http.post(sandbox.url() + "/_sandbox/reset").send().await.unwrap();
    assert_eq!(reset.status(), 204);
    assert_eq!(show(&sandbox, "settings").await, start);
    assert_eq!(show(&sandbox, "requests").await, json!({ "requests": [], "rejectedByLimit": 0 }));
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    change(&http, &sandbox, r#"{"storm":{"seed":1,"probability":1}}"#).await;
    assert!(client.get_or_create(&hello()).await.is_err());
    let fault = sandbox.requests()[0].fault;
    assert!(fault.is_some());
    change(&http, &sandbox, r#"{"faults":[{"error":{"status":418,"stored":true}}]}"#).await;
    let error = client.get_or_create(&hello()).await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 418);
    assert_eq!(sandbox.requests()[1].fault, Some(Fault::Error { status: 418, stored: true }));
}

#[tokio::test]
async fn pages_of_other_origins_have_no_access() {
    struct Case<'a> {
        host: &'a str,
        origin: Option<&'a str>,
        access: bool,
    }
    let sandbox = Sandbox::builder().allow_host("host.docker.internal").start().await.unwrap();
    let url = sandbox.url();
    let here = url.strip_prefix("http://").unwrap();
    let localhost = format!("localhost:{}", here.rsplit(':').next().unwrap());
    let localhost_url = format!("http://{localhost}");
    let (evil, evil_url) = ("evil.example", "http://evil.example");
    let cases = [
        Case { host: here, origin: None, access: true },
        Case { host: here, origin: Some(&url), access: true },
        Case { host: &localhost, origin: Some(&localhost_url), access: true },
        Case { host: "[::1]:80", origin: None, access: true },
        Case { host: "sandbox:8080", origin: None, access: true },
        Case { host: "a.localhost", origin: None, access: true },
        Case { host: "Host.docker.internal:8080", origin: None, access: true },
        Case { host: "internal.docker.host", origin: None, access: false },
        Case { host: here, origin: Some(evil_url), access: false },
        Case { host: here, origin: Some("null"), access: false },
        Case { host: here, origin: Some(&localhost_url), access: false },
        Case { host: evil, origin: None, access: false },
        Case { host: evil, origin: Some(evil_url), access: false },
        Case { host: "127.0.0.1.evil.example:80", origin: None, access: false },
    ];
    let http = Client::new();
    for Case { host, origin, access } in cases {
        for (method, path) in [(Method::GET, "messages"), (Method::POST, "reset")] {
            let request = http.request(method, format!("http://{here}/_sandbox/{path}"));
            let mut request = request.header("host", host);
            if let Some(origin) = origin {
                request = request.header("origin", origin);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status().is_success(), access, "{path}: {host} {origin:?}");
            if !access {
                let error = json(answer).await;
                assert_eq!(error["type"], "Forbidden");
                let flag = format!("--allow-host {}", host.split(':').next().unwrap());
                let message = error["message"].as_str().unwrap();
                assert!(origin.is_some() || message.contains(&flag), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn a_record_can_be_deleted() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let user = client.get_or_create(&NewUser::new().tag("id", "1")).await.unwrap().record;
    let mut events = Events::of(&sandbox).await;
    assert_eq!(events.next().await.unwrap().1["users"][0]["id"], user.id);
    let url = format!("{}/_sandbox/records/{}", sandbox.url(), user.id);
    let delete = async || Client::new().delete(&url).send().await.unwrap();
    assert_eq!(delete().await.status(), 204);
    assert!(sandbox.users().is_empty());
    let (name, state) = events.next().await.unwrap();
    assert_eq!((&*name, &state["users"]), ("state", &json!([])));
    let again = delete().await;
    assert_eq!(again.status(), 404);
    assert!(json(again).await["message"].as_str().unwrap().contains(&user.id));
    let again = client.get_or_create(&NewUser::new().tag("id", "1")).await.unwrap();
    assert_eq!(again.created, Some(true));
}

#[tokio::test]
async fn requests_can_be_filtered() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    client.get_or_create(&NewUser::new().name("Ann").tag("id", "1")).await.unwrap();
    client.get_or_create(&NewUser::new().name("Bob").tag("id", "2")).await.unwrap();
    client.get_or_create(&hello()).await.unwrap();
    client.get_or_create(&hello()).await.unwrap();
    sandbox.fail_next([Some(Fault::Limited(0))]);
    client.get_or_create(&hello()).await.unwrap_err();
    let cases = [
        ("record=user", &[1, 2][..]),
        ("tag=id%3D1", &[1, 3, 4, 5]),
        ("tag=id%3D1&record=message", &[3, 4, 5]),
        ("outcome=found", &[4]),
        ("outcome=failed&after=4", &[5]),
        ("text=Bo", &[2]),
        ("after=3", &[4, 5]),
        ("text=nobody", &[]),
    ];
    for (query, numbers) in cases {
        let found = show(&sandbox, &format!("requests?{query}")).await;
        let found = found["requests"].as_array().unwrap();
        let found: Vec<_> =
            found.iter().map(|request| request["number"].as_u64().unwrap()).collect();
        assert_eq!(found, numbers, "{query}");
    }
    let bad = [
        ("record=bot", "record must be one of message, user, conversation"),
        ("outcome=lost", "outcome must be one of"),
        ("tag=id", "tag must be"),
        ("after=x", "after: invalid digit"),
        ("after=9007199254740992", "after must be at most 9007199254740991"),
        ("record=user&record=message", "record must be given once"),
        ("kind=user", "kind: no such filter"),
    ];
    for (query, why) in bad {
        let error = show(&sandbox, &format!("requests?{query}")).await;
        assert!(
            error["code"] == 400 && error["message"].as_str().unwrap().contains(why),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_control_api_describes_itself() {
    let sandbox = Sandbox::start().await.unwrap();
    assert_eq!(show(&sandbox, "health").await, json!({ "status": "ok" }));
    let index = show(&sandbox, "").await;
    let without_slash = reqwest::get(sandbox.url() + "/_sandbox").await.unwrap();
    assert_eq!(json(without_slash).await, index);
    let named = |operation: &&Value| operation["path"] == "/_sandbox/users";
    let users = index["operations"].as_array().unwrap().iter().find(named).unwrap();
    assert_eq!((&users["method"], &index["name"]), (&json!("GET"), &json!("botpress-sandbox")));
    assert!(users["summary"].as_str().unwrap().starts_with("The stored users"));

    // The document is one file: every reference leads to a part of it.
    let document = show(&sandbox, "openapi.json").await;
    let text = document.to_string();
    let references: Vec<_> = text.split(r#""$ref":"#).skip(1).collect();
    assert!(references.len() > 20);
    for reference in references {
        let reference = reference.split('"').nth(1).unwrap();
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference}"));
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    for operation in index["operations"].as_array().unwrap() {
        let path = operation["path"].as_str().unwrap().replace("/_sandbox", "");
        let method = operation["method"].as_str().unwrap().to_lowercase();
        assert!(document["paths"][path][method].is_object(), "{operation}");
    }
}

/// The stream of events: the name and the data of each.
struct Events {
    answer: Response,
    text: String,
}

impl Events {
    async fn of(sandbox: &Sandbox) -> Self {
        let answer = reqwest::get(sandbox.url() + "/_sandbox/events").await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, text: String::new() }
    }

    async fn next(&mut self) -> Option<(String, Value)> {
        let mut looked_at = 0;
        let end = loop {
            if let Some(end) = self.text[looked_at..].find("\n\n") {
                break looked_at + end;
            }
            looked_at = self.text.len().saturating_sub(1);
            let chunk = self.answer.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        };
        let event: String = self.text.drain(..end + 2).collect();
        let (name, data) = event.trim_end().split_once("\ndata: ").unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        Some((name.to_owned(), serde_json::from_str(data).unwrap()))
    }
}

#[tokio::test]
async fn events_can_be_followed() {
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    client.get_or_create(&NewUser::new().name("Ann")).await.unwrap();
    let mut events = Events::of(&sandbox).await;
    let (name, state) = events.next().await.unwrap();
    assert_eq!((&*name, &state["users"][0]["name"]), ("state", &json!("Ann")));
    assert_eq!(state["requests"][0]["outcome"], "created");
    assert_eq!(state["settings"]["latencyMilliseconds"], 0);

    sandbox.fail_next([Some(Fault::Limited(0))]);
    client.get_or_create(&hello()).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let (name, data) = events.next().await.unwrap();
        seen.push(format!("{name} {}", data["outcome"].as_str().unwrap_or("-")));
    }
    let expected =
        ["settings -", "request open", "request failed", "request open", "request created"];
    assert_eq!(seen, expected);
    sandbox.reset();
    let (name, state) = events.next().await.unwrap();
    assert_eq!((&*name, &state["messages"]), ("state", &json!([])));
    drop(sandbox);
    assert!(events.next().await.is_none(), "the stream ends with the sandbox");
}

/// The reader has more unread events than the connection can hold.
#[tokio::test]
async fn a_lagging_reader_gets_a_new_snapshot() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut events = Events::of(&sandbox).await;
    assert_eq!(events.next().await.unwrap().0, "state");
    let (http, long) = (Client::new(), "x".repeat(60_000));
    for _ in 0..250 {
        http.post(sandbox.url()).body(long.clone()).send().await.unwrap();
    }
    let state = loop {
        let (name, data) = events.next().await.unwrap();
        if name == "state" {
            break data;
        }
    };
    assert_eq!(state["requests"].as_array().unwrap().len(), 250);
    assert_eq!(state["requests"][249]["outcome"], "rejected");
}

/// The sandbox in its own process.
struct Console {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    variables: Vec<(String, String)>,
}

impl Console {
    async fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_botpress-sandbox"))
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut variables = Vec::new();
        while variables.len() < 4 {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some((name, value)) =
                line.strip_prefix("export ").and_then(|l| l.split_once('='))
            {
                variables.push((name.to_owned(), value.to_owned()));
            } else if let Ok(json) = serde_json::from_str::<BTreeMap<String, String>>(&line) {
                variables.extend(json);
            }
        }
        Self { child, lines, variables }
    }

    fn url(&self) -> &str {
        self.variable("BP_API_URL")
    }

    fn variable(&self, name: &str) -> &str {
        &self.variables.iter().find(|(variable, _)| variable == name).unwrap().1
    }

    /// The next line as it is; `None` at the end.
    async fn whole_line(&mut self) -> Option<String> {
        self.lines.next_line().await.unwrap()
    }

    /// A client with these settings.
    fn client(&self) -> botpress_messages::Client {
        let client = botpress_messages::Client::builder().base_url(self.url());
        let client = client.token(self.variable("BP_TOKEN")).bot_id(self.variable("BP_BOT_ID"));
        client.integration_id(self.variable("BP_INTEGRATION_ID")).build().unwrap()
    }

    #[cfg(unix)]
    async fn signal(&mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
        self.child.wait().await.unwrap().code()
    }

    /// The next line, without its time.
    async fn line(&mut self) -> String {
        self.lines.next_line().await.unwrap().unwrap()[13..].trim_start().to_owned()
    }
}

#[cfg(unix)]
#[tokio::test]
async fn signals_end_the_program() {
    for signal in ["-INT", "-TERM"] {
        let mut console = Console::start(&["--bind", "localhost"]).await;
        console.client().get_or_create(&hello()).await.unwrap();
        assert_eq!(console.signal(signal).await, Some(0));
        assert!(console.line().await.starts_with("message      created"));
        let end = console.whole_line().await.unwrap();
        assert_eq!(end, "Messages stored: 1. They were in memory only.");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn quiet_prints_no_requests() {
    for form in [&[][..], &["--json"]] {
        let arguments = ["--quiet", "--token", "mine", "--bot-id", "my-bot"];
        let mut console = Console::start(&[&arguments, form].concat()).await;
        let named = (console.variable("BP_TOKEN"), console.variable("BP_BOT_ID"));
        assert_eq!(named, ("mine", "my-bot"));
        console.client().get_or_create(&hello()).await.unwrap();
        assert_eq!(console.signal("-TERM").await, Some(0));
        assert_eq!(console.whole_line().await, None);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn json_prints_each_request_as_it_is_listed() {
    let mut console = Console::start(&["--json"]).await;
    console.client().get_or_create(&hello()).await.unwrap();
    let line: Value = serde_json::from_str(&console.whole_line().await.unwrap()).unwrap();
    let listed = reqwest::get(format!("{}/_sandbox/requests", console.url())).await.unwrap();
    assert_eq!(json(listed).await["requests"], json!([line]));
    assert_eq!(console.signal("-TERM").await, Some(0));
    assert_eq!(console.whole_line().await, None);
}

/// Reads the definition file of the README.
#[tokio::test]
async fn a_definition_file_declares_names() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let text = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("integration.yaml");
    std::fs::write(&path, text).unwrap();
    let console = Console::start(&["--definition", path.to_str().unwrap()]).await;
    let client = console.client();
    client.get_or_create(&NewConversation::new("dm").tag("id", "C")).await.unwrap();
    let error = client.get_or_create(&NewConversation::new("mail").tag("id", "C")).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no channel \"mail\" is declared"), "{error}");

    std::fs::write(&path, "tags:\n  messages: [id]\n").unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_botpress-sandbox"));
    let output = program.arg("--definition").arg(&path).kill_on_drop(true).output().await.unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    let why = "integration.yaml: tags.messages: there is no such record, only message, user";
    assert!(!output.status.success() && report.contains(why), "{report}");
}

#[tokio::test]
async fn invalid_arguments_are_rejected() {
    let cases = [
        (&["--requests-per-second", "0"][..], "0 is not in 1.."),
        (&["--bind", "nowhere"], "must be an IP address or localhost"),
        (&["--storm", "7:2"], "between 0 and 1"),
    ];
    for (arguments, message) in cases {
        let mut program = Command::new(env!("CARGO_BIN_EXE_botpress-sandbox"));
        let output = program.args(arguments).kill_on_drop(true).output().await.unwrap();
        let report = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && report.contains(message), "{report}");
    }
}

async fn is_there(program: &str) -> bool {
    let mut program = Command::new(program);
    program.arg("--version").stdout(Stdio::null()).status().await.is_ok_and(|s| s.success())
}

#[tokio::test]
async fn curl_can_control_the_sandbox() {
    if !is_there("curl").await {
        return skipped("curl_can_control_the_sandbox", "no curl");
    }
    let arguments =
        "--strict --latency 1 --lookup-gap 2 --storm 7:0 --requests-per-second 900 --bind 0.0.0.0";
    let mut console = Console::start(&arguments.split(' ').collect::<Vec<_>>()).await;
    let url = console.url().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let curl = async |arguments: &[&str]| {
        let json = ["-sS", "--noproxy", "*", "-H", "content-type: application/json"];
        let output = Command::new("curl").args(json).args(arguments).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let token = format!("authorization: Bearer {}", Sandbox::TOKEN);
    let bot = format!("x-bot-id: {}", Sandbox::BOT_ID);
    let headers = ["-H", &token, "-H", &bot, "-H", "x-integration-alias: slack"];
    let post = async |record: &str, body: Value| {
        let (body, url) = (body.to_string(), format!("{url}/v1/chat/{record}s/get-or-create"));
        curl(&[&headers[..], &["-d", &body, &url]].concat()).await
    };
    let control = format!("{url}/_sandbox/settings");
    let settings: Value = serde_json::from_str(&curl(&[&control]).await).unwrap();
    let storm = json!({ "seed": 7, "probability": 0.0 });
    let expected = json!({
        "faults": [], "targetedFaults": [], "storm": storm, "latencyMilliseconds": 1,
        "lookupGapMilliseconds": 2, "requestsPerSecond": 900, "strict": true,
    });
    assert_eq!(settings, expected);

    post("user", json!({ "tags": { "id": "1" } })).await;
    assert!(console.line().await.starts_with("user         created user_"));
    post("message", json!(hello())).await;
    let line = console.line().await;
    assert!(line.starts_with("message      rejected 400 user \"user_"), "{line}");
    let faults = r#"{"faults":[{"page":{"status":502,"stored":false}}]}"#;
    curl(&["-X", "PATCH", "-d", faults, &control]).await;
    assert!(post("user", json!({ "tags": { "id": "1" } })).await.starts_with("<html>"));
    assert_eq!(console.line().await, "user         failed ; fault: page 502");
    curl(&["-X", "POST", &format!("{url}/_sandbox/reset")]).await;
    assert_eq!(curl(&[&format!("{url}/_sandbox/users")]).await, r#"{"users":[]}"#);
}

/// A version of the vendor's client for TypeScript that is known to work.
const VENDOR: &str = "@botpress/client@1.45.0";

#[tokio::test]
async fn the_vendors_client_works_with_the_sandbox() {
    let skipped = |why| skipped("the_vendors_client_works_with_the_sandbox", why);
    if !is_there("node").await {
        return skipped("no Node");
    }
    let Some(folder) = npm_package(VENDOR, Path::new(env!("CARGO_TARGET_TMPDIR"))) else {
        return skipped("npm cannot fetch the client");
    };
    let console = Console::start(&["--strict"]).await;
    let mut node = Command::new("node");
    node.arg("tests/vendor.mjs").arg(folder).envs(console.variables.iter().cloned());
    let output = node.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The example of the README in this language, in a file.
fn example_of_readme(language: &str, folder: &Path, name: &str) {
    let readme = std::fs::read_to_string("README.md").unwrap();
    let text = readme.split(&format!("```{language}\n")).nth(1).unwrap();
    std::fs::write(folder.join(name), text.split("```").next().unwrap()).unwrap();
}

/// Runs a program with the sandbox in its `PATH`. Returns what it printed.
async fn run_beside_sandbox(folder: &Path, command: &[&str]) -> String {
    let mut folders =
        vec![Path::new(env!("CARGO_BIN_EXE_botpress-sandbox")).parent().unwrap().into()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let path = std::env::join_paths(folders).unwrap();
    let mut program = Command::new(command[0]);
    program.args(&command[1..]).current_dir(folder).env("PATH", path).env("NO_PROXY", "127.0.0.1");
    let output = program.kill_on_drop(true).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test]
async fn the_example_for_node_runs() {
    let has_tests = Command::new("node").args(["--test", "--version"]).output().await;
    if !has_tests.is_ok_and(|output| output.status.success()) {
        return skipped("the_example_for_node_runs", "no Node with node:test");
    }
    let folder = tempfile::tempdir().unwrap();
    example_of_readme("js", folder.path(), "example.test.mjs");
    let command = ["node", "--test", "--test-reporter=tap", "example.test.mjs"];
    let printed = run_beside_sandbox(folder.path(), &command).await;
    assert!(printed.contains("# pass 1"), "{printed}");
}

#[tokio::test]
async fn the_example_for_pytest_runs() {
    let has_pytest = Command::new("python3").args(["-m", "pytest", "--version"]).output().await;
    if !has_pytest.is_ok_and(|output| output.status.success()) {
        return skipped("the_example_for_pytest_runs", "no python3 with pytest");
    }
    let folder = tempfile::tempdir().unwrap();
    example_of_readme("python", folder.path(), "test_example.py");
    let command = ["python3", "-m", "pytest", "-p", "no:cacheprovider", "test_example.py"];
    let printed = run_beside_sandbox(folder.path(), &command).await;
    assert!(printed.contains("1 passed"), "{printed}");
}
