//! The page of the sandbox, in a real browser.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use botpress_messages::{Delivery, NewMessage, Retry, content::Text};
use botpress_sandbox::{Fault, Sandbox};
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::*;
use tokio::process::Command;
use tokio::sync::oneshot;

/// A private window with one page, in a browser that the tests share.
struct Browser {
    chromium: Arc<Chromium>,
    context: String,
    session: String,
}

/// A headless Chromium, driven over its debugging protocol: messages in JSON, each ended by a zero byte, through a
/// pair of pipes.
struct Chromium {
    child: Mutex<Child>,
    _profile: TempDir,
    stdin: Mutex<ChildStdin>,
    sent: AtomicU64,
    waiting: Arc<Mutex<Waiting>>,
}

/// Where the answer to each message goes, by the number of the message.
type Waiting = HashMap<u64, oneshot::Sender<Value>>;

/// The one that runs. It ends with the last test that uses it.
static CHROMIUM: Mutex<Weak<Chromium>> = Mutex::new(Weak::new());

const NO_BROWSER: &str = "no Chromium: apt-get install chromium, or set CHROMIUM to a program";

const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

impl Chromium {
    /// The browser that other tests use now, or a new one; `None` if no browser is installed.
    fn shared() -> Option<Arc<Self>> {
        let mut shared = CHROMIUM.lock().unwrap();
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// Starts the program that `CHROMIUM` names, or an installed one.
    fn start() -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"].map(str::to_owned);
        let mut browsers = std::env::var("CHROMIUM").into_iter().chain(names);
        let is_there = |name: &String| {
            let mut version = std::process::Command::new(name);
            version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            version.status().is_ok_and(|status| status.success())
        };
        let browser = browsers.find(is_there)?;
        let profile = tempfile::tempdir().unwrap();
        // The browser reads commands from file descriptor 3, and writes to 4.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 >/dev/null 2>&1", "sh", &browser])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let waiting = Arc::new(Mutex::new(Waiting::new()));
        let to = Arc::clone(&waiting);
        // Each test has its own runtime, so a thread reads for all.
        thread::spawn(move || {
            for message in stdout.split(0).map_while(Result::ok) {
                let message: Value = serde_json::from_slice(&message).unwrap();
                let waiting = message["id"].as_u64().and_then(|id| to.lock().unwrap().remove(&id));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(message); // the test can have ended
                }
            }
            to.lock().unwrap().clear();
        });
        Some(Self {
            stdin: Mutex::new(child.stdin.take().unwrap()),
            child: Mutex::new(child),
            _profile: profile,
            sent: AtomicU64::new(0),
            waiting,
        })
    }

    /// Sends a message, to the browser itself or to a page.
    fn send(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> oneshot::Receiver<Value> {
        let id = self.sent.fetch_add(1, Ordering::Relaxed);
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let (waiting, answer) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id, waiting);
        // After its end, no answer comes.
        let _ = self.stdin.lock().unwrap().write_all(format!("{message}\0").as_bytes());
        answer
    }

    async fn try_call(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, Value> {
        let answer = self.send(session, method, parameters);
        let mut answer = answer.await.expect("the browser ended");
        match answer["error"].take() {
            Value::Null => Ok(answer["result"].take()),
            error => Err(error),
        }
    }

    async fn call(&self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        let answer = self.try_call(session, method, parameters).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let context = json!({ "browserContextId": self.context });
        drop(self.chromium.send(None, "Target.disposeBrowserContext", context));
    }
}

impl Browser {
    /// Opens a window; `None` if no browser is installed.
    async fn start() -> Option<Self> {
        let chromium = Chromium::shared()?;
        let context = chromium.call(None, "Target.createBrowserContext", json!({})).await;
        let context = context["browserContextId"].as_str().unwrap().to_owned();
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let target = chromium.call(None, "Target.createTarget", target).await;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = chromium.call(None, "Target.attachToTarget", target).await;
        let session = session["sessionId"].as_str().unwrap().to_owned();
        let mut browser = Self { chromium, context, session };
        browser.resize(1280, 800).await;
        // Each of several windows draws and takes keys as if it were in front.
        browser.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        Some(browser)
    }

    async fn resize(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    async fn color_scheme(&mut self, scheme: &str) {
        let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": scheme })).await;
    }

    /// Waits until the page has drawn all updates.
    async fn draws(&mut self) {
        let frames = "new Promise((drawn) => { let rest = 4; const frame = () => \
                      rest-- ? requestAnimationFrame(frame) : drawn(); frame() })";
        self.evaluates(frames).await;
    }

    /// Enters a value as a person would.
    async fn enters(&mut self, id: &str, value: &str) {
        let enter = format!(
            "((field) => {{ field.value = {value:?}; \
             for (const name of ['input', 'change']) field.dispatchEvent(new Event(name)) }})\
             (document.getElementById({id:?}))"
        );
        self.evaluates(&enter).await;
    }

    async fn clicks(&mut self, selector: &str) {
        self.evaluates(&format!("document.querySelector({selector:?}).click()")).await;
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.chromium.call(Some(&self.session), method, parameters).await
    }

    /// Runs this script in the page, and returns its value.
    async fn evaluates(&mut self, script: &str) -> Value {
        let said = self.try_evaluates(script).await;
        said.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    async fn try_evaluates(&mut self, script: &str) -> Result<Value, Value> {
        let parameters =
            json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let mut result =
            self.chromium.try_call(Some(&self.session), "Runtime.evaluate", parameters).await?;
        assert!(result["exceptionDetails"].is_null(), "{script}: {result}");
        Ok(result["result"]["value"].take())
    }

    /// Opens a page, and waits until it is loaded.
    async fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
        self.sees("document.readyState === 'complete'").await;
    }

    /// Waits until this condition is true in the page. Checks it in each frame.
    async fn sees(&mut self, condition: &str) {
        let script = format!(
            "new Promise((seen) => {{
                const look = () => ({condition}) ? seen(true) : requestAnimationFrame(look)
                look()
            }})"
        );
        // A script fails if the page is replaced meanwhile.
        let seen = async { while self.try_evaluates(&script).await.is_err() {} };
        // The limit is only for a failing test, so that it ends.
        let patience = Duration::from_secs(30);
        if tokio::time::timeout(patience, seen).await.is_err() {
            panic!("never true in the page: {condition}");
        }
    }

    async fn presses(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "End" => (35, ""),
            "Home" => (36, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            other => panic!("no code for the key {other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut press = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" {
                press["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", press).await;
        }
    }

    /// A screenshot, as a PNG.
    async fn picture(&mut self, width: u32, height: u32, scheme: &str) -> Vec<u8> {
        self.resize(width, height).await;
        self.color_scheme(scheme).await;
        self.draws().await;
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }
}

/// A picture of one point.
const DOT: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn message(type_: &str, payload: Value, tag: impl ToString) -> Delivery {
    delivery(json!({
        "conversation": { "channel": "dm", "tags": { "id": "C05" } },
        "user": { "tags": { "id": "U05" }, "name": "Ann Petit", "pictureUrl": DOT },
        "type": type_,
        "payload": payload,
        "tags": { "id": tag.to_string() },
    }))
}

fn delivery(json: Value) -> Delivery {
    Delivery::from_json(json.to_string()).unwrap()
}

/// Each case is a type, its payload, and a condition for the bubble `b` that shows it.
#[tokio::test]
async fn each_content_is_shown_while_a_client_delivers() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("each_content_is_shown_while_a_client_delivers", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    browser.open(&sandbox.url()).await;
    browser.sees("document.body.innerText.includes('No messages yet')").await;
    let card = json!({
        "title": "Staging", "subtitle": "down since 9:31", "imageUrl": DOT,
        "actions": [
            { "action": "url", "label": "Open", "value": "https://example.com/staging" },
            { "action": "postback", "label": "Restart", "value": "restart" },
        ],
    });
    let options = json!([{ "label": "Yes", "value": "y" }, { "label": "No", "value": "n" }]);
    let cases = [
        ("text", json!({ "text": "Hello\n  world" }), "b.innerText === 'Hello\\n  world'"),
        ("text", json!({ "text": "" }), "b.querySelector('.said').textContent === ''"),
        (
            "markdown",
            json!({ "markdown": "a **b** *c* `d` [e](https://example.com/) f" }),
            "b.textContent === 'a b c d e f' && b.querySelector('strong').textContent === 'b' && \
             b.querySelector('em') && b.querySelector('code') && \
             b.querySelector('a').href === 'https://example.com/'",
        ),
        (
            "image",
            json!({ "imageUrl": DOT, "title": "A dot" }),
            "b.querySelector('img').naturalWidth === 1 && b.querySelector('img').alt === 'A dot' && \
             b.innerText === 'A dot'",
        ),
        (
            "image",
            json!({ "imageUrl": "https://example.com/a.png" }),
            "!b.querySelector('img') && b.querySelector('a').href === 'https://example.com/a.png'",
        ),
        (
            "image",
            json!({ "imageUrl": "data:image/png,broken", "title": "Broken" }),
            "!b.querySelector('img') && b.innerText.includes('Broken')",
        ),
        (
            "audio",
            json!({ "audioUrl": "data:audio/wav;base64,UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=" }),
            "b.querySelector('audio').controls",
        ),
        (
            "video",
            json!({ "videoUrl": "https://example.com/a.mp4", "title": "A walk" }),
            "b.querySelector('a').textContent === 'A walk' && b.innerText.includes('a.mp4')",
        ),
        (
            "file",
            json!({ "fileUrl": "https://example.com/a.pdf", "title": "Report.pdf" }),
            "[...b.querySelectorAll('a')].map((a) => a.textContent).join() === \
             'Report.pdf,https://example.com/a.pdf'",
        ),
        (
            "location",
            json!({ "latitude": 45.5, "longitude": -73.25, "title": "Office", "address": "1 Main St" }),
            "b.innerText === 'Office\\n1 Main St\\n45.5, -73.25' && \
             b.querySelector('a').href.endsWith('?mlat=45.5&mlon=-73.25')",
        ),
        (
            "card",
            card.clone(),
            "b.querySelector('img').naturalWidth === 1 && b.innerText.includes('down since 9:31') && \
             [...b.querySelectorAll('.option bdi')].map((o) => o.textContent).join() === 'Open,Restart' && \
             b.querySelector('a.option').href === 'https://example.com/staging'",
        ),
        (
            "carousel",
            json!({ "items": [card, { "title": "Second", "actions": [] }] }),
            "[...b.querySelectorAll('.card > b')].map((t) => t.textContent).join() === 'Staging,Second'",
        ),
        (
            "choice",
            json!({ "text": "Restart?", "options": options }),
            "b.innerText.startsWith('Restart?') && \
             [...b.querySelectorAll('.option')].map((o) => o.textContent).join() === 'Yes,No'",
        ),
        (
            "dropdown",
            json!({ "text": "Restart?", "options": options }),
            "[...b.querySelector('select').options].map((o) => o.text).join() === 'Yes,No' && \
             b.querySelector('.said').textContent === 'Restart?'",
        ),
        (
            "bloc",
            json!({ "items": [
                { "type": "text", "payload": { "text": "Look" } },
                { "type": "image", "payload": { "imageUrl": DOT } },
                { "type": "location", "payload": { "latitude": 1, "longitude": 2 } },
            ] }),
            "b.querySelector('.said').textContent === 'Look' && b.querySelector('img').naturalWidth === 1 \
             && b.innerText.includes('1, 2')",
        ),
        (
            "own",
            json!({ "a": [1, null] }),
            "JSON.stringify(JSON.parse(b.textContent)) === '{\"a\":[1,null]}'",
        ),
        // A known type with a payload of another form.
        ("text", json!({ "text": 5 }), "JSON.parse(b.textContent).text === 5"),
        ("carousel", json!({ "items": {} }), "JSON.parse(b.textContent)"),
        ("constructor", json!({ "x": 1 }), "JSON.parse(b.textContent).x === 1"),
    ];
    let types: BTreeSet<_> = cases.iter().map(|(type_, ..)| *type_).collect();
    assert_eq!(types.len(), 12 + 2, "every content is there");
    for (number, (type_, payload, condition)) in cases.into_iter().enumerate() {
        let stored = client.deliver(&message(type_, payload, number)).await.unwrap().record;
        let bubble = format!("document.querySelector('#m-{} .bubble')", stored.id);
        browser.sees(&format!("((b) => b && ({condition}))({bubble})")).await;
    }
    let last = format!("document.querySelector('#m-{}')", sandbox.messages().pop().unwrap().id);
    for text in ["Ann Petit", "created", "id: 18"] {
        browser.sees(&format!("{last}.innerText.includes('{text}')")).await;
    }
    browser.sees(&format!("{last}.querySelector('img.avatar').naturalWidth === 1")).await;
    let place = "document.querySelector('#conversations a[aria-current]').innerText";
    browser.sees(&format!("{place}.includes('C05') && {place}.includes('19')")).await;
}

/// Rejections with reasons, updates with changes, failures with faults: the page shows them as they happen.
#[tokio::test]
async fn the_outcome_of_each_request_is_shown() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("the_outcome_of_each_request_is_shown", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    browser.open(&sandbox.url()).await;
    let first = client.deliver(&message("text", json!({ "text": "Hi" }), 1)).await.unwrap().record;
    let of_message = format!("document.querySelector('#m-{}')", first.id);
    browser.sees(&format!("{of_message}?.innerText.includes('created')")).await;
    client.deliver(&message("text", json!({ "text": "Hi" }), 1)).await.unwrap();
    browser.sees(&format!("{of_message}.innerText.includes('found, nothing changed')")).await;
    let edited = json!({ "text": "Hi there", "mentions": ["U1"] });
    client.deliver(&message("text", edited, 1)).await.unwrap();
    let changes =
        format!("[...{of_message}.querySelectorAll('.changes li')].map((c) => c.textContent)");
    let changed = r#"/payload/mentions ["U1"]|/payload/text "Hi" → "Hi there""#;
    browser.sees(&format!("{changes}.join('|') === '{changed}'")).await;
    browser.sees(&format!("{of_message}.innerText.includes('found 2 times')")).await;

    // The newest request is on top.
    let top = "document.querySelector('#requests > li')";
    let http = reqwest::Client::new();
    let path = "/v1/chat/messages/get-or-create";
    http.post(sandbox.url() + path).body("{}").send().await.unwrap();
    browser.sees(&format!("{top}.innerText.includes('401 the token is missing')")).await;
    let red = "(() => { const probe = document.createElement('i'); document.body.append(probe); \
         probe.style.color = 'var(--bad)'; const { color } = getComputedStyle(probe); probe.remove(); \
         return color })()";
    let color = format!("getComputedStyle({top}.querySelector('.reason')).color");
    assert_eq!(browser.evaluates(&format!("{color} === {red}")).await, true, "a rejection is red");
    browser.evaluates(&format!("{top}.querySelector('summary').click()")).await;
    for text in ["POST /v1/chat/messages/get-or-create", "Unauthorized", "ratelimit-limit: 100"] {
        browser.sees(&format!("{top}.innerText.includes('{text}')")).await;
    }

    // A fault is added on the page with the keyboard.
    browser.evaluates("document.querySelector('#faults > summary').focus()").await;
    browser.presses("Enter").await;
    browser.sees("document.querySelector('#faults').open").await;
    let chosen =
        "[...document.querySelector('#fault').options].findIndex((o) => o.text.startsWith('502'))";
    browser.evaluates(&format!("document.querySelector('#fault').selectedIndex = {chosen}")).await;
    browser.evaluates("document.querySelector('#add').focus()").await;
    browser.presses("Enter").await;
    browser.sees("document.querySelector('#script').textContent === 'Next: page 502'").await;
    client.deliver(&message("text", json!({ "text": "No" }), 2)).await.unwrap_err();
    let fault = sandbox.requests().pop().unwrap().fault;
    assert_eq!(fault, Some(Fault::Page { status: 502, stored: false }));
    browser.sees(&format!("{top}.innerText.includes('page 502')")).await;
    browser.sees("document.querySelector('#script').textContent === ''").await;
    browser.evaluates("document.querySelector('#latency').value = 60001").await;
    browser.evaluates("document.querySelector('#latency').onchange()").await;
    browser.evaluates("document.querySelector('#latency').value = 7").await;
    browser.evaluates("document.querySelector('#latency').onchange()").await;
    browser.sees("document.querySelector('#active').textContent === '+7 ms'").await;

    // The filter shows only requests with problems.
    browser.enters("outcome", "problem").await;
    let outcomes =
        "[...document.querySelectorAll('#requests .chip:last-child')].map((c) => c.innerText)";
    browser.sees(&format!("{outcomes}.join() === 'failed,rejected'")).await;

    // Nothing is deleted without a confirmation.
    browser.clicks("#reset").await;
    browser.sees("document.querySelector('#loss').textContent.includes('1 message and')").await;
    browser.clicks("#cancel-reset").await;
    browser.sees("!document.querySelector('dialog[open]')").await;
    assert_eq!(sandbox.messages().len(), 1);
    browser.clicks("#reset").await;
    browser.clicks("#confirm-reset").await;
    browser.sees("document.querySelectorAll('li.message, #requests > li').length === 0").await;
    browser.sees("document.querySelector('#active').textContent === 'none'").await;
    assert!(sandbox.messages().is_empty());
    drop(sandbox);
    browser.sees("document.querySelector('#connection').textContent.startsWith('waiting')").await;
}

/// Tab reaches each list once, and arrow keys reach its rows. Each control has a role and a name.
#[tokio::test]
async fn page_works_by_keyboard_and_screen_reader() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("page_works_by_keyboard_and_screen_reader", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    for place in ["first", "second"] {
        let mut message = json!(message("text", json!({ "text": place }), place));
        message["conversation"]["tags"]["id"] = json!(place);
        client.deliver(&delivery(message)).await.unwrap();
    }
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelectorAll('#conversations a').length === 2").await;
    let mut reached = Vec::new();
    for _ in 0..18 {
        browser.presses("Tab").await;
        let focus = "((f) => f.id || f.innerText.trim().split('\\n')[0])(document.activeElement)";
        reached.push(browser.evaluates(focus).await.as_str().unwrap().to_owned());
    }
    let message = format!("m-{}", sandbox.messages()[1].id);
    let expected = [
        "Skip to the conversations",
        "Skip to the messages",
        "Skip to the requests",
        "search",
        "compose",
        "media",
        "reset",
        "dm second",
        &message,
        "JSON",
        "Faults none",
        "in",
        "kind",
        "outcome",
        "second",
    ];
    let mut order = reached.iter();
    for name in expected {
        assert!(order.any(|reached| reached == name), "{name} is not reached: {reached:?}");
    }
    assert!(!reached.contains(&"dm first".to_owned()), "a list is one stop: {reached:?}");

    // Arrow keys go through a list, and Enter opens a row.
    let row = "document.activeElement.closest('li').innerText";
    browser.evaluates("document.querySelector('#conversations a').focus()").await;
    browser.presses("ArrowDown").await;
    browser.sees(&format!("{row}.includes('first')")).await;
    browser.presses("Enter").await;
    browser.sees("document.querySelector('#title').textContent === 'dm first'").await;
    browser.sees("document.activeElement.matches('#conversations [aria-current]')").await;
    browser.evaluates("document.querySelector('#requests summary').focus()").await;
    browser.presses("End").await;
    browser.sees("document.activeElement.closest('li').id === 'r-1'").await;
    browser.presses("ArrowUp").await;
    browser.sees("document.activeElement.closest('li').id === 'r-2'").await;
    browser.presses("Enter").await;
    browser.sees("document.querySelector('#r-2 details').open").await;
    browser.presses("Home").await;
    browser.sees("document.activeElement.closest('li').id === 'r-5'").await;

    // A skip link leads to each column, and leaves the conversation as it is.
    for (place, column) in ["places", "talk", "log"].iter().enumerate() {
        browser.evaluates(&format!("document.querySelectorAll('.skip')[{place}].focus()")).await;
        browser.presses("Enter").await;
        browser.sees(&format!("document.activeElement.id === '{column}'")).await;
    }
    browser.sees("document.querySelector('#title').textContent === 'dm first'").await;

    browser.evaluates("document.querySelector('#faults').open = true").await;
    let tree = browser.call("Accessibility.getFullAXTree", json!({})).await;
    let nodes = tree["nodes"].as_array().unwrap().iter();
    let nodes = nodes.filter(|node| node["ignored"] == false);
    let nodes: Vec<_> = nodes
        .map(|node| {
            let text = |part: &str| node[part]["value"].as_str().unwrap_or_default().to_owned();
            (text("role"), text("name"))
        })
        .collect();
    let landmarks = [
        ("banner", ""),
        ("navigation", "Conversations"),
        ("main", ""),
        ("region", "Requests and faults"),
        ("list", "Requests"),
        ("slider", "Probability"),
        ("status", ""),
        ("searchbox", "Search"),
    ];
    for (role, name) in landmarks {
        let is_it = |(r, n): &(String, String)| r == role && n.starts_with(name);
        assert!(nodes.iter().any(is_it), "{role} {name}: {nodes:#?}");
    }
    let controls =
        ["button", "link", "checkbox", "slider", "spinbutton", "combobox", "image", "searchbox"];
    for (role, name) in &nodes {
        assert!(!controls.contains(&role.as_str()) || !name.is_empty(), "a {role} has no name");
    }
}

/// Untrusted values stay text: they become neither markup nor script, and load nothing from other servers.
#[tokio::test]
async fn hostile_messages_are_shown_as_text() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("hostile_messages_are_shown_as_text", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let markup =
        "<img src=x onerror=\"window.pwned = 1\"><script>window.pwned = 2</script>'\"&{nonce}";
    let urls = [
        "javascript:window.pwned=3",
        " JaVa\tScript:window.pwned=4//https://example.com",
        "data:text/html,<script>opener.pwned = 5</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:http://127.0.0.1/x",
        "//example.com/a",
        "x\" onclick=\"window.pwned = 6",
    ];
    let upside_down = "photo\u{202e}gpj.exe";
    let mut messages = vec![
        message("text", json!({ "text": markup }), markup),
        message("markdown", json!({ "markdown": format!("**{markup}** `{markup}` {markup}") }), 1),
        message("location", json!({ "latitude": markup, "longitude": "1&x=", "title": markup }), 2),
        message(markup, json!({ markup: markup }), 3),
        message("__proto__", json!({ "text": markup, "__proto__": { "className": "x" } }), 4),
        message(
            "image",
            json!({ "imageUrl": format!("data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' onload='window.pwned=7'><script>window.pwned=8</script></svg>"), "title": markup }),
            5,
        ),
        message("file", json!({ "fileUrl": "https://example.com/a", "title": upside_down }), 6),
        message(
            "bloc",
            json!({ "items": [{ "type": "card", "payload": { "title": markup, "actions": [] } }] }),
            7,
        ),
    ];
    for (number, url) in urls.iter().enumerate() {
        let actions = json!([{ "action": "url", "label": markup, "value": url }]);
        let contents = [
            ("markdown", json!({ "markdown": format!("[label]({})", url.replace(' ', "")) })),
            ("image", json!({ "imageUrl": url, "title": markup })),
            ("audio", json!({ "audioUrl": url })),
            ("video", json!({ "videoUrl": url })),
            ("file", json!({ "fileUrl": url, "title": markup })),
            ("card", json!({ "title": markup, "imageUrl": url, "actions": actions })),
            ("dropdown", json!({ "text": markup, "options": [{ "label": markup, "value": url }] })),
        ];
        for (type_, payload) in contents {
            messages.push(message(type_, payload, format!("{number} {type_}")));
        }
    }
    let count = messages.len();
    for message in messages {
        let mut message = json!(message);
        message["user"]["name"] = json!(&markup[..100.min(markup.len())]);
        message["user"]["pictureUrl"] = json!("javascript:window.pwned=9");
        message["conversation"]["channel"] = json!(markup);
        message["conversation"]["tags"] = json!({ markup: markup });
        client.deliver(&delivery(message)).await.unwrap();
    }
    let other = "\"><script>pwned=9</script> %%%";
    let elsewhere = NewMessage::new(other, USER, Text::new(markup)).tag("id", "elsewhere");
    client.get_or_create(&elsewhere).await.unwrap();
    let http = reqwest::Client::new();
    let path = "/<script>window.pwned=10</script>";
    http.post(sandbox.url() + path).body(markup).send().await.unwrap();

    let witness = "window.violations = []; addEventListener('securitypolicyviolation', \
                   (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`))";
    browser.call("Page.enable", json!({})).await;
    browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": witness })).await;
    let conversation = &sandbox.conversations()[0].id;
    browser.open(&format!("{}/#conversation={conversation}", sandbox.url())).await;
    browser.sees("document.querySelector('li.message')").await;
    // Every row comes into view, and everything in it is opened and clicked.
    let rows = "(async () => {
        const seen = new Set()
        const frame = () => new Promise(requestAnimationFrame)
        for (const list of document.querySelectorAll('#messages, #requests')) {
            const scroll = list.parentElement
            scroll.scrollTop = 0
            for (let rest = 2; rest > 0; ) {
                await frame(); await frame(); await frame()
                for (const row of list.children) {
                    seen.add(row.id)
                    for (const node of row.querySelectorAll('details')) node.open = true
                    for (const node of row.querySelectorAll('span, div, .message summary')) node.click()
                }
                const before = scroll.scrollTop
                scroll.scrollTop += scroll.clientHeight
                if (scroll.scrollTop === before) rest -= 1
                window.check()
            }
        }
        return [...seen].filter((id) => id.startsWith('m-')).length
    })()";
    let check = "window.found = new Set()
        window.check = () => {
            const is = (name, count) => count > 0 && found.add(name)
            const all = (selector) => [...document.querySelectorAll(selector)]
            is('scripts', all('script').length - 1)
            is('frames', all('iframe, object, embed, base, form:not(#settings, #message)').length)
            is('handlers', all('[onerror], [onclick], [onload], li [style]').length)
            const isOut = (a) => /^https?:$/.test(a.protocol) && a.rel === 'noopener noreferrer' && a.target === '_blank'
            const isIn = (a) => /^#(conversation|message|request)=[\\w%.~!*()\\x27-]*$/.test(a.getAttribute('href'))
            is('links elsewhere', all('main a').filter((a) => !isOut(a) && !isIn(a)).length)
            is('remote media', all('img, audio, video').filter((m) => !m.src.startsWith('data:')).length)
            is('text that is reversed', document.body.innerText.includes('\\u202e') ? 1 : 0)
        }";
    browser.evaluates(&format!("{check}; undefined")).await;
    assert_eq!(browser.evaluates(rows).await, count);
    assert_eq!(browser.evaluates("[...found]").await, json!([]));

    let nothing =
        [("window.pwned", "a script ran"), ("violations.length", "only the policy prevented it")];
    for (script, what) in nothing {
        let found = browser.evaluates(script).await;
        let violations = browser.evaluates("violations").await;
        assert!(found.is_null() || found == 0, "{what}: {found} {violations}");
    }
    let link = format!("{}/#message={}", sandbox.url(), sandbox.messages()[0].id);
    browser.open(&link).await;
    let said = format!("document.querySelector('#m-{} .said')", sandbox.messages()[0].id);
    browser.sees(&format!("{said}?.textContent === {}", json!(markup))).await;
    let reversed = sandbox
        .messages()
        .into_iter()
        .find(|m| m.payload.get("title") == Some(&json!(upside_down)));
    browser.open(&format!("{}/?x#message={}", sandbox.url(), reversed.unwrap().id)).await;
    let shown = "document.querySelector('#talk').innerText.includes('photo\\\\u202egpj.exe')";
    browser.sees(shown).await;

    // Even if the page tried to write markup, the browser would reject it.
    let write =
        "(() => { try { document.body.innerHTML = '<b>'; return false } catch { return true } })()";
    assert_eq!(browser.evaluates(write).await, true);
    let inline = "(() => { const script = document.createElement('script'); \
                  try { script.textContent = 'window.pwned = 11' } catch {} \
                  document.body.append(script); return window.pwned })()";
    assert_eq!(browser.evaluates(inline).await, Value::Null);
}

/// A remote picture is loaded on request, without a referrer.
#[tokio::test]
async fn remote_media_are_loaded_on_request() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("remote_media_are_loaded_on_request", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let dot = BASE64_STANDARD.decode(DOT.split_once(',').unwrap().1).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: {}\r\n\r\n",
        dot.len()
    );
    // The server responds once: if the first page had sent a request, the second would get no response.
    let (remote, requests) = script(vec![[head.into_bytes(), dot].concat()]).await;
    let picture = message("image", json!({ "imageUrl": remote, "title": "A dot" }), 1);
    sandbox.client().build().unwrap().deliver(&picture).await.unwrap();
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelector('.message')?.innerText.includes('A dot')").await;
    assert_eq!(browser.evaluates("document.querySelectorAll('.bubble img').length").await, 0);
    browser.evaluates("document.querySelector('#media').click()").await;
    browser.sees("document.querySelector('.bubble img')?.naturalWidth === 1").await;
    browser.sees("document.querySelector('#media').textContent === 'Hide remote media'").await;
    let requests = requests.await.unwrap();
    assert!(!requests[0].to_lowercase().contains("referer"), "{}", requests[0]);
}

#[tokio::test]
async fn policy_blocks_scripts_and_remote_content() {
    let sandbox = Sandbox::start().await.unwrap();
    let http = reqwest::Client::new();
    let load = async |path: &str| {
        let answer = http.get(sandbox.url() + path).send().await.unwrap();
        let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(
            (header("referrer-policy"), header("x-content-type-options")),
            ("no-referrer".into(), "nosniff".into())
        );
        let policy = header("content-security-policy");
        (policy, answer.text().await.unwrap())
    };
    let (policy, page) = load("/").await;
    let nonce = policy.split_once("script-src 'nonce-").unwrap().1.split_once('\'').unwrap().0;
    assert!(nonce.len() > 30 && nonce.bytes().all(|c| c.is_ascii_hexdigit()), "{nonce}");
    assert_eq!(page.matches(&format!("nonce=\"{nonce}\"")).count(), 2);
    assert!(!load("/").await.0.contains(nonce), "a nonce is used once");
    for part in [
        "default-src 'none'",
        "connect-src 'self'",
        "img-src data:;",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert!(load("/?media").await.0.contains("img-src data: http: https:;"));
    assert!(sandbox.requests().is_empty(), "a request for the page is not listed");
    // The policy does not affect the API.
    assert_eq!(http.post(sandbox.url()).send().await.unwrap().status(), 404);
    assert_eq!(sandbox.requests().len(), 1);
}

async fn send(http: &reqwest::Client, sandbox: &Sandbox, request: &Value) -> (u16, Value) {
    let post = http.post(sandbox.url() + "/_sandbox/send");
    let post = post.header("content-type", "application/json").body(request.to_string());
    let response = post.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

const USERS: &str = "/v1/chat/users/get-or-create";

/// The page does not know the token, but sends new requests, and listed ones again.
#[tokio::test]
async fn requests_can_be_sent_without_the_token() {
    let sandbox = Sandbox::builder().token("private").start().await.unwrap();
    let http = reqwest::Client::new();
    let new = json!({ "path": USERS, "body": { "tags": { "id": "1" } } });
    let (status, sent) = send(&http, &sandbox, &new).await;
    assert_eq!((status, &sent["response"]["status"]), (200, &json!(200)));
    assert_eq!(sent["response"]["body"]["user"]["id"], sandbox.users()[0].id);
    assert!(!json!(sandbox.requests()).to_string().contains("private"));

    // A listed request can be sent as it is: the token is filled in, and missing headers stay missing.
    let mut again = json!(sandbox.requests()[0]);
    again
        .as_object_mut()
        .unwrap()
        .retain(|name, _| ["method", "path", "headers", "body"].contains(&name.as_str()));
    again["headers"]["content-length"] = json!("999");
    let (_, sent) = send(&http, &sandbox, &again).await;
    assert_eq!(sent["response"]["body"]["meta"]["created"], false);
    assert!(!sandbox.requests()[1].headers.contains_key("content-length"));
    again["headers"].as_object_mut().unwrap().remove("authorization");
    let (_, sent) = send(&http, &sandbox, &again).await;
    assert_eq!(sent["response"]["status"], 401);
    let text = json!({ "method": "PUT", "path": "/wrong", "body": "{" });
    let (_, sent) = send(&http, &sandbox, &text).await;
    assert_eq!(sent["response"]["status"], 404);
    let logged = sandbox.requests().pop().unwrap();
    assert_eq!((logged.method.as_str(), &logged.body), ("PUT", &json!("{")));

    // A fault makes it fail like the request of any client.
    sandbox.fail_next([Some(Fault::Reset { stored: true })]);
    assert_eq!(send(&http, &sandbox, &new).await, (200, json!({ "response": null })));

    let count = sandbox.requests().len();
    let invalid = [
        (json!([]), "object"),
        (json!({}), "path"),
        (json!({ "path": "wrong" }), "slash"),
        (json!({ "path": "/a?b" }), "query"),
        (json!({ "path": "/a<b" }), "percent-encoded"),
        (json!({ "path": USERS, "method": "post" }), "method"),
        (json!({ "path": USERS, "method": "" }), "method"),
        (json!({ "path": USERS, "headers": null }), "null"),
        (json!({ "path": USERS, "token": "x" }), "unknown field"),
    ];
    for (request, why) in invalid {
        let (status, error) = send(&http, &sandbox, &request).await;
        let message = error["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(why), "{request}: {error}");
    }
    assert_eq!(sandbox.requests().len(), count);
    let form = http.post(sandbox.url() + "/_sandbox/send").body(new.to_string());
    assert_eq!(form.send().await.unwrap().status(), 415);
}

/// A text in which a line cannot break.
fn long() -> String {
    "Averylongwordwithoutanyspaces".repeat(10)
}

/// Sends a request as a client would, but without a client-side limit. Returns the record, if there is one.
async fn post(http: &reqwest::Client, sandbox: &Sandbox, record: &str, body: Value) -> Value {
    let path = format!("/v1/chat/{record}s/get-or-create");
    let (_, sent) = send(http, sandbox, &json!({ "path": path, "body": body })).await;
    sent["response"]["body"].get(record).cloned().unwrap_or_default()
}

/// Fills the sandbox with 29 conversations, long words everywhere, and each kind of outcome.
async fn fill(sandbox: &Sandbox) {
    let http = reqwest::Client::new();
    let action = json!({ "action": "url", "label": long(), "value": "https://example.com/" });
    let card = json!({ "title": long(), "subtitle": long(), "actions": [action] });
    let options = json!([{ "label": long(), "value": "a" }, { "label": "b", "value": "b" }]);
    let contents = [
        ("text", json!({ "text": long() })),
        ("carousel", json!({ "items": [card, card, card, card] })),
        ("choice", json!({ "text": long(), "options": options })),
        ("dropdown", json!({ "text": long(), "options": options })),
        ("file", json!({ "fileUrl": format!("https://example.com/{}", long()), "title": long() })),
        ("own", json!({ long(): [long()] })),
    ];
    let user = json!({ "name": long()[..200], "tags": { "id": long() } });
    let user = post(&http, sandbox, "user", user).await;
    for place in 0..29 {
        let tags = json!({ "id": place.to_string(), "ts": long() });
        let conversation = json!({ "channel": "dm", "tags": tags });
        let conversation = post(&http, sandbox, "conversation", conversation).await;
        for (number, (type_, payload)) in contents.iter().enumerate() {
            let mut message = json!({
                "type": type_, "payload": payload, "userId": user["id"],
                "conversationId": conversation["id"],
                "tags": { "id": format!("{place} {number} {}", long()) },
            });
            if number == 3 {
                sandbox.fail_next([Some(Fault::Page { status: 502, stored: false })]);
                post(&http, sandbox, "message", message.clone()).await;
            }
            post(&http, sandbox, "message", message.clone()).await;
            if number == 2 {
                message["payload"]["mentions"] = json!([long()]);
                post(&http, sandbox, "message", message).await;
            }
        }
        let wrong = json!({ "path": format!("/{}", long()), "body": long() });
        send(&http, sandbox, &wrong).await;
    }
}

/// Elements that are wider than the window, that overlap, or that have scrolled although they are not lists.
const LAYOUT: &str = "(() => {
    const root = document.documentElement
    const problems = []
    if (root.scrollWidth > innerWidth || root.scrollHeight > innerHeight) problems.push('the document is larger')
    const still = [root, document.body, document.querySelector('main'), ...document.querySelectorAll('main > *, .panel')]
    for (const node of still) if (node.scrollTop || node.scrollLeft) problems.push(`${node.id || node.tagName} has scrolled`)
    for (const list of document.querySelectorAll('.scroll, #faults, dialog[open]')) {
        if (list.scrollWidth > list.clientWidth) problems.push(`${list.firstElementChild.id} is wider than its column`)
    }
    for (const row of document.querySelectorAll('.rows > li + li')) {
        const [above, below] = [row.previousElementSibling, row].map((row) => row.getBoundingClientRect())
        if (below.height && below.top < above.bottom - 1) problems.push(`${row.id} overlaps`)
    }
    // Whether a node is in a part of a row that scrolls by itself or is cut off with an ellipsis.
    const isInside = (node) => {
        const parent = node.parentElement
        if (parent.matches('.rows > li, .scroll, body')) return false
        return getComputedStyle(parent).overflowX !== 'visible' || isInside(parent)
    }
    for (const node of document.querySelectorAll('body *')) {
        const { width, left, right } = node.getBoundingClientRect()
        const inside = isInside(node) || !node.checkVisibility()
        if (!inside && width && (right > innerWidth + 1 || left < -1)) problems.push(`${node.tagName} ${node.className} ${right}`)
    }
    return [...new Set(problems)].slice(0, 5)
})()";

#[tokio::test]
async fn content_fits_into_the_window() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("content_fits_into_the_window", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    fill(&sandbox).await;
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelector('#places-count').textContent === '29'").await;
    for width in [390, 1021, 1400] {
        browser.resize(width, 844).await;
        for tab in ["places", "log", "talk"] {
            browser.clicks(&format!("#tab-{tab}")).await;
            browser.draws().await;
            assert_eq!(browser.evaluates(LAYOUT).await, json!([]), "{width} {tab}");
        }
        // Open rows, an old message that is shown from its request, and dialogs.
        browser.clicks("#tab-log").await;
        browser.enters("outcome", "found").await;
        browser.evaluates("document.querySelector('#faults').open = true").await;
        browser.sees("[...document.querySelectorAll('#requests .chip')].every((c) => c.innerText === 'found')").await;
        browser
            .evaluates(
                "for (const row of document.querySelectorAll('#requests details')) row.open = true",
            )
            .await;
        browser.draws().await;
        assert_eq!(browser.evaluates(LAYOUT).await, json!([]), "{width}: open requests");
        browser
            .evaluates("document.querySelector('#requests > li:last-child .actions a').click()")
            .await;
        browser.sees("document.activeElement.matches('.message.sought')").await;
        let shown = "((row, view) => row.top >= view.top - 1 && row.top < view.bottom)\
             (document.activeElement.getBoundingClientRect(), \
             document.querySelector('#talk .scroll').getBoundingClientRect())";
        assert_eq!(browser.evaluates(shown).await, true, "{width}: the message is in view");
        assert_eq!(browser.evaluates(LAYOUT).await, json!([]), "{width}: a message is shown");
        for button in ["compose", "reset"] {
            browser.clicks(&format!("#{button}")).await;
            assert_eq!(browser.evaluates(LAYOUT).await, json!([]), "{width}: {button}");
            browser.evaluates("document.querySelector('dialog[open]').close()").await;
        }
        browser.evaluates("document.querySelector('#faults').open = false").await;
        browser.enters("outcome", "").await;
    }
}

#[tokio::test]
async fn columns_are_tabs_on_a_phone() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("columns_are_tabs_on_a_phone", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    client.deliver(&message("text", json!({ "text": "Hi" }), 1)).await.unwrap();
    let visible = "[...document.querySelectorAll('#tabs, main > [id]:not(#tabs)')]\
                   .filter((node) => node.checkVisibility()).map((node) => node.id).join()";
    browser.open(&sandbox.url()).await;
    assert_eq!(browser.evaluates(visible).await, "places,talk,log");
    browser.resize(390, 844).await;
    browser.sees(&format!("{visible} === 'tabs,talk'")).await;
    browser.evaluates("document.querySelector('#tab-talk').focus()").await;
    for (key, columns) in [
        ("ArrowRight", "tabs,log"),
        ("ArrowRight", "tabs,places"),
        ("End", "tabs,log"),
        ("Home", "tabs,places"),
    ] {
        browser.presses(key).await;
        browser.sees(&format!("{visible} === '{columns}'")).await;
        let tab = "document.activeElement.matches('[role=tab][aria-selected=true]')";
        assert_eq!(browser.evaluates(tab).await, true);
    }
    // A conversation opens its messages, and a link opens its request.
    browser.clicks("#conversations a").await;
    browser.sees(&format!("{visible} === 'tabs,talk'")).await;
    browser.evaluates("location.hash = 'request=3'").await;
    browser.sees("document.activeElement.closest('li')?.id === 'r-3'").await;
    assert_eq!(browser.evaluates(visible).await, "tabs,log");
}

#[tokio::test]
async fn requests_can_be_searched_and_filtered() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("requests_can_be_searched_and_filtered", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    let say = async |place: &str, text: &str| {
        let mut message = json!(message("text", json!({ "text": text }), text));
        message["conversation"]["tags"]["id"] = json!(place);
        client.deliver(&delivery(message)).await
    };
    say("here", "Good morning").await.unwrap();
    say("here", "Good evening").await.unwrap();
    say("there", "Good morning, Ann").await.unwrap();
    say("there", "Good morning, Ann").await.unwrap();
    sandbox.fail_next([Some(Fault::Truncated)]);
    say("there", "Half").await.unwrap_err();
    let wrong = json!({ "path": "/wrong" });
    send(&reqwest::Client::new(), &sandbox, &wrong).await;
    // 1 user, 2 here, 3 Good morning, 4 Good evening, 5 there, 6 Good morning, Ann, 7 the same, 8 Half, 9 wrong
    browser
        .open(&format!("{}/#conversation={}", sandbox.url(), sandbox.conversations()[0].id))
        .await;
    let numbers =
        "[...document.querySelectorAll('#requests > li')].map((row) => row.id.slice(2)).join(' ')";
    browser.sees(&format!("{numbers} === '9 8 7 6 5 4 3 2 1'")).await;
    struct Case {
        field: &'static str,
        value: &'static str,
        requests: &'static str,
    }
    let cases = [
        Case { field: "kind", value: "user", requests: "1" },
        Case { field: "kind", value: "conversation", requests: "5 2" },
        Case { field: "kind", value: "message", requests: "8 7 6 4 3" },
        Case { field: "kind", value: "other", requests: "9" },
        Case { field: "outcome", value: "created", requests: "8 6 5 4 3 2 1" },
        Case { field: "outcome", value: "found", requests: "7" },
        Case { field: "outcome", value: "rejected", requests: "9" },
        Case { field: "outcome", value: "failed", requests: "" },
        Case { field: "outcome", value: "fault", requests: "8" },
        Case { field: "outcome", value: "problem", requests: "9 8" },
        Case { field: "in", value: "here", requests: "4 3 2" },
        Case { field: "search", value: "ANN morning", requests: "7 6" },
        Case { field: "search", value: "no route", requests: "9" },
        Case { field: "search", value: "nothing has this", requests: "" },
    ];
    for Case { field, value, requests } in cases {
        browser.enters(field, value).await;
        browser.sees(&format!("{numbers} === '{requests}'")).await;
        browser.enters(field, "").await;
        browser.sees(&format!("{numbers} === '9 8 7 6 5 4 3 2 1'")).await;
    }

    // The search also filters conversations and messages.
    browser.enters("search", "morning").await;
    let texts =
        "[...document.querySelectorAll('#messages .said')].map((said) => said.innerText).join('|')";
    browser.sees(&format!("{texts} === 'Good morning'")).await;
    browser.enters("search", "half").await;
    browser.sees("document.querySelector('#title').textContent === 'dm there'").await;
    browser.sees(&format!("{texts} === 'Half'")).await;
    assert_eq!(browser.evaluates("document.querySelector('#places-count').textContent").await, "1");
    // A conversation whose name matches is shown with all of its messages.
    browser.enters("search", "there").await;
    browser.sees(&format!("{texts} === 'Good morning, Ann|Half'")).await;
    // A link shows its request even if the search would hide it.
    browser.evaluates("location.hash = 'request=1'").await;
    browser.sees("document.activeElement.closest('li')?.id === 'r-1'").await;
    browser.sees("document.querySelector('#search').value === ''").await;
}

/// A request is opened by its link, copied as curl and as JSON, and sent again.
#[tokio::test]
async fn requests_can_be_linked_copied_and_sent_again() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("requests_can_be_linked_copied_and_sent_again", NO_BROWSER);
    };
    const TOKEN: &str = "private-token";
    let sandbox = Sandbox::builder().token(TOKEN).start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let text = "It's \"$HOME\" `id` $(id) !! \\ \u{7f}\u{202e} \u{e9} @\n";
    client.deliver(&message("text", json!({ "text": text }), 1)).await.unwrap();
    let http = reqwest::Client::new();
    let broken = http.put(sandbox.url() + "/it's/$HOME").header("x-empty", "");
    broken.body("{ 'not': JSON\u{1b}[31m }").send().await.unwrap();

    browser.open(&format!("{}/#request=3", sandbox.url())).await;
    browser.sees("document.activeElement.closest('li')?.id === 'r-3'").await;
    browser.sees("document.querySelector('#r-3 details').open").await;
    let link = "document.querySelector('#r-3 .actions a:nth-of-type(2)').getAttribute('href')";
    assert_eq!(browser.evaluates(link).await, "#request=3");
    let noted =
        "navigator.clipboard.writeText = async (text) => { window.copied = text }; undefined";
    browser.evaluates(noted).await;
    let button = |request: usize, text: &str| {
        format!(
            "[...document.querySelectorAll('#r-{request} .actions button')]\
             .find((button) => button.innerText === '{text}').click()"
        )
    };
    browser.evaluates(&button(3, "Copy as JSON")).await;
    let copied: Value =
        serde_json::from_str(browser.evaluates("copied").await.as_str().unwrap()).unwrap();
    assert_eq!(copied, json!(sandbox.requests()[2]));

    // The shell sends the same request, with the token from a variable.
    browser.evaluates("document.querySelector('#r-4 summary').click()").await;
    browser.sees("document.querySelector('#r-4 .actions')").await;
    let mut bash = Command::new("bash");
    let has_curl = bash.args(["-c", "curl --version"]).stdout(Stdio::null()).status().await;
    for request in [3, 4] {
        browser.evaluates(&button(request, "Copy as curl")).await;
        let line = browser.evaluates("copied").await.as_str().unwrap().to_owned();
        assert!(!line.contains(TOKEN), "{line}");
        assert!(!line.chars().any(|c| c.is_control() && c != '\n'), "{line:?}");
        if !has_curl.as_ref().is_ok_and(|status| status.success()) {
            skipped("requests_can_be_linked_copied_and_sent_again", "no curl");
            continue;
        }
        let mut curl = Command::new("bash");
        curl.args(["-c", &line])
            .env("BP_TOKEN", TOKEN)
            .env("no_proxy", "*")
            .env("LC_ALL", "C.UTF-8");
        assert!(curl.output().await.unwrap().status.success(), "{line}");
        let (first, again) = (&sandbox.requests()[request - 1], sandbox.requests().pop().unwrap());
        assert_eq!((&again.method, &again.path), (&first.method, &first.path));
        assert_eq!(again.body, first.body);
        for name in ["authorization", "x-bot-id", "x-integration-id", "content-type", "x-empty"] {
            assert_eq!(again.headers.get(name), first.headers.get(name), "{name}");
        }
    }

    let count = sandbox.requests().len();
    browser.evaluates(&button(3, "Send again")).await;
    browser.sees("document.querySelector('#notice').textContent === 'Sent again: 200.'").await;
    assert_eq!(sandbox.requests().len(), count + 1);
    assert_eq!(sandbox.messages().len(), 1, "it is found");
    let (first, again) = (&sandbox.requests()[2], sandbox.requests().pop().unwrap());
    let mut headers = first.headers.clone();
    headers.remove("content-length");
    assert_eq!((again.headers, &again.body), (headers, &first.body));
    assert_eq!(
        browser.evaluates(&format!("document.documentElement.outerHTML.includes('{TOKEN}')")).await,
        false
    );
    browser.evaluates("location.hash = 'request=999'").await;
    browser
        .sees("document.querySelector('#notice').textContent.includes('not among the newest')")
        .await;
}

/// The form sends an example of each type, and shows errors.
#[tokio::test]
async fn a_message_of_each_type_can_be_sent_from_the_page() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("a_message_of_each_type_can_be_sent_from_the_page", NO_BROWSER);
    };
    let sandbox = Sandbox::builder().strict().token("private").start().await.unwrap();
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelector('#connection').className.includes('live')").await;
    let types = "[...document.querySelector('#type').options].map((option) => option.value)";
    let types: Vec<String> = serde_json::from_value(browser.evaluates(types).await).unwrap();
    for (number, type_) in types.iter().enumerate() {
        browser.clicks("#compose").await;
        browser.enters("type", type_).await;
        browser.clicks("#send").await;
        browser.sees("!document.querySelector('#sending').open").await;
        let stored = sandbox.messages();
        assert_eq!((stored.len(), &stored[number].type_), (number + 1, type_));
        // The message is shown in the form of its type: only a custom type is shown as JSON.
        let row = format!("document.querySelector('#m-{}')", stored[number].id);
        browser.sees(&format!("{row}?.matches('.sought')")).await;
        let is_json = browser.evaluates(&format!("!!{row}.querySelector('.bubble > pre')")).await;
        assert_eq!(is_json, type_ == "custom", "{type_}");
    }
    let known = [
        "text", "markdown", "image", "audio", "video", "file", "location", "card", "carousel",
        "choice", "dropdown", "bloc",
    ];
    assert_eq!(types, [&known[..], &["custom"]].concat());
    // The first message created a conversation, and the others were sent to it.
    assert_eq!((sandbox.conversations().len(), sandbox.users().len()), (1, 1));

    browser.clicks("#compose").await;
    browser.enters("type", "text").await;
    browser.enters("payload", "It's <b>me</b>").await;
    browser.enters("to", "").await;
    browser.enters("channel", "dm").await;
    browser.enters("place", "D-1").await;
    browser.clicks("#send").await;
    browser.sees("document.querySelector('#title').textContent === 'dm D-1'").await;
    browser
        .sees("document.querySelector('.sought .said').textContent === \"It's <b>me</b>\"")
        .await;

    // The form shows why a message is not sent, and stays open.
    let why = "document.querySelector('#unsent').textContent";
    browser.clicks("#compose").await;
    browser.enters("type", "card").await;
    browser.enters("payload", "{").await;
    browser.clicks("#send").await;
    browser.sees(&format!("{why}.startsWith('The payload is not JSON')")).await;
    browser.enters("payload", "[]").await;
    browser.clicks("#send").await;
    browser
        .sees(&format!("{why}.includes('message failed: 400 request/body/payload must be object')"))
        .await;
    browser.enters("payload", "{}").await;
    sandbox.fail_next([None, Some(Fault::Reset { stored: true })]);
    browser.clicks("#send").await;
    browser.sees(&format!("{why}.includes('message failed: no response')")).await;
    assert_eq!(browser.evaluates("document.querySelector('#sending').open").await, true);
    // A second message with the same tag finds the first.
    browser.clicks("#send").await;
    browser.sees("!document.querySelector('#sending').open").await;
    browser
        .sees("document.querySelector('.sought').innerText.includes('fault: reset, stored')")
        .await;
    browser
        .sees("document.querySelector('.sought').innerText.includes('found, nothing changed')")
        .await;
}

#[tokio::test]
async fn messages_and_requests_show_their_tags_and_history() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("messages_and_requests_show_their_tags_and_history", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().retry(Retry::off()).build().unwrap();
    let mut thread = json!(message("text", json!({ "text": "In a thread" }), 1));
    thread["conversation"] =
        json!({ "channel": "thread", "tags": { "id": "C05", "ts": "1722.01" } });
    thread["origin"] = json!("synthetic");
    thread["schedule"] = json!({ "delay": 5000 });
    let thread = delivery(thread);
    let mut other = json!(message("text", json!({ "text": "Another" }), 2));
    other["conversation"] = json!({ "channel": "channel", "tags": { "id": "C05" } });
    client.deliver(&delivery(other)).await.unwrap();
    let faults = [
        Fault::Page { status: 502, stored: false },
        Fault::Limited(0),
        Fault::Reset { stored: true },
    ];
    sandbox.fail_next([None].into_iter().chain(faults.map(Some)));
    for _ in faults {
        client.deliver(&thread).await.unwrap_err();
    }
    let stored = client.deliver(&thread).await.unwrap().record;

    browser.open(&format!("{}/#message={}", sandbox.url(), stored.id)).await;
    let row = format!("document.querySelector('#m-{}')", stored.id);
    browser.sees(&row).await;
    let chips =
        format!("[...{row}.querySelectorAll('.chip')].map((chip) => chip.textContent).join(', ')");
    let expected = "id: 1, created, found, nothing changed, fault: page 502, fault: limited 0 s, \
                    fault: reset, stored, scheduled: +5000 ms, synthetic";
    assert_eq!(browser.evaluates(&chips).await, expected);
    // The other message has no history.
    let names = "[...document.querySelectorAll('#conversations b')].map((name) => name.textContent).sort().join('|')";
    assert_eq!(browser.evaluates(names).await, "channel C05|thread C05 · 1722.01");
    assert_eq!(
        browser.evaluates("document.querySelector('#title').textContent").await,
        "thread C05 · 1722.01"
    );
    let first = sandbox.messages()[0].id.clone();
    browser.evaluates(&format!("location.hash = 'message={first}'")).await;
    browser.sees(&format!("document.querySelector('#m-{first}')")).await;
    let faults = format!("document.querySelectorAll('#m-{first} .fault').length");
    assert_eq!(browser.evaluates(&faults).await, 0);

    // A row of a request shows its text and tags first; the time is that of the console, with the date.
    let top = "document.querySelector('#requests > li summary')";
    let lines =
        browser.evaluates(&format!("{top}.innerText.split('\\n').filter(Boolean).join('|')")).await;
    let lines = lines.as_str().unwrap();
    assert!(lines.starts_with("In a thread|found|id: 1|message "), "{lines}");
    let at = sandbox.requests().pop().unwrap().at.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string();
    assert!(lines.ends_with(&at), "{lines} {at}");
    assert!(sandbox.requests().pop().unwrap().to_string().starts_with(&at[11..]));
}

/// Checks independently what screen readers and people with low vision need.
const AXE: &str = "axe-core@4.14.1";

#[tokio::test]
async fn axe_finds_no_violations() {
    let skipped = |why| skipped("axe_finds_no_violations", why);
    let Some(mut browser) = Browser::start().await else {
        return skipped(NO_BROWSER);
    };
    let Some(folder) = npm_package(AXE, Path::new(env!("CARGO_TARGET_TMPDIR"))) else {
        return skipped("npm cannot fetch axe");
    };
    let axe = std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js")).unwrap();
    let sandbox = Sandbox::start().await.unwrap();
    fill(&sandbox).await;
    let check = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => \
                 violations.map(({ id, nodes }) => `${id}: ${nodes[0].html} ${nodes[0].failureSummary}`))";
    let findings = async |browser: &mut Browser, view: String| {
        browser.draws().await;
        assert_eq!(browser.evaluates(check).await, json!([]), "{view}");
    };
    for (width, scheme) in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")] {
        browser.resize(width, 844).await;
        browser.color_scheme(scheme).await;
        browser.open(&sandbox.url()).await;
        browser.sees("document.querySelector('#places-count').textContent === '29'").await;
        browser.evaluates(&axe).await;
        for tab in ["places", "talk", "log"] {
            browser.clicks(&format!("#tab-{tab}")).await;
            findings(&mut browser, format!("{width} {scheme} {tab}")).await;
        }
        browser.evaluates("for (const node of document.querySelectorAll('#faults, #requests details')) node.open = true").await;
        findings(&mut browser, format!("{width} {scheme}, everything open")).await;
        for button in ["compose", "reset"] {
            browser.clicks(&format!("#{button}")).await;
            findings(&mut browser, format!("{width} {scheme} {button}")).await;
            browser.evaluates("document.querySelector('dialog[open]').close()").await;
        }
        browser.enters("search", "nothing has this").await;
        findings(&mut browser, format!("{width} {scheme}, nothing found")).await;
    }
}

/// axe cannot check what is partly out of view, so this test checks all pairs of colours.
#[tokio::test]
async fn text_has_enough_contrast() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("text_has_enough_contrast", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    browser.open(&sandbox.url()).await;
    let low = "(() => {
        const style = getComputedStyle(document.documentElement)
        const light = (name) => {
            const [r, g, b] = style.getPropertyValue(`--${name}`).match(/[0-9a-f]{2}/g).map((hex) => {
                const c = parseInt(hex, 16) / 255
                return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
            })
            return 0.2126 * r + 0.7152 * g + 0.0722 * b
        }
        const backs = ['back', 'panel', 'bubble', 'mine']
        const pairs = ['text', 'soft', 'accent'].flatMap((text) => backs.map((back) => [text, back]))
        pairs.push(['on-accent', 'accent'], ['panel', 'text'], ['bad', 'panel'], ['bad', 'back'])
        for (const name of ['good', 'same', 'bad', 'odd']) pairs.push([name, `${name}-back`])
        return pairs.map((pair) => {
            const [dark, bright] = pair.map(light).sort((a, b) => a - b)
            return [pair.join(' on '), (bright + 0.05) / (dark + 0.05)]
        }).filter(([, contrast]) => contrast < 4.5)
    })()";
    for scheme in ["light", "dark"] {
        browser.color_scheme(scheme).await;
        assert_eq!(browser.evaluates(low).await, json!([]), "{scheme}");
    }
}

/// Posts this number of messages, several at a time.
async fn flood(sandbox: &Sandbox, count: usize) {
    let http = reqwest::Client::new();
    let posts = (0..count).map(|number| {
        let body = json!({
            "type": "text", "payload": { "text": format!("{number} {}", "word ".repeat(40)) },
            "conversationId": format!("conv_{:026}", number % 29), "userId": USER,
            "tags": { "id": number.to_string() },
        });
        post(&http, sandbox, "message", body)
    });
    let mut posts = futures::stream::iter(posts).buffer_unordered(16);
    while let Some(message) = posts.next().await {
        assert!(message["id"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_are_drawn_once_per_frame_in_few_rows() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("many_requests_are_drawn_once_per_frame_in_few_rows", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let witness =
        "window.most = 0; window.updates = 0; window.frame = 0; window.last = -1; window.twice = 0
        const count = () => { frame += 1; requestAnimationFrame(count) }
        requestAnimationFrame(count)
        addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
            if (last === frame) twice += 1
            last = frame
            updates += 1
            most = Math.max(most, document.querySelectorAll('.rows > li').length)
        }).observe(document.querySelector('#requests'), { childList: true }))";
    browser.call("Page.enable", json!({})).await;
    browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": witness })).await;
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelector('#connection').className.includes('live')").await;
    flood(&sandbox, 1_500).await;
    browser.sees("document.querySelector('#requests > li')?.id === 'r-1500'").await;
    browser.sees("document.querySelector('#log-count').textContent === '1,000'").await;
    assert_eq!(browser.evaluates("twice").await, 0, "two updates in one frame");
    assert!(
        browser.evaluates("updates").await.as_u64().unwrap() > 1,
        "the page shows requests as they arrive"
    );
    let most = browser.evaluates("most").await.as_u64().unwrap();
    assert!((20..100).contains(&most), "{most} rows");

    // Keys and links reach every row, and the rows in view stay in their places when requests arrive.
    browser.evaluates("document.querySelector('#requests summary').focus()").await;
    browser.presses("End").await;
    browser.sees("document.activeElement.closest('li').id === 'r-501'").await;
    browser.presses("ArrowUp").await;
    browser.sees("document.activeElement.closest('li').id === 'r-502'").await;
    browser.evaluates("location.hash = 'request=1000'").await;
    browser.sees("document.activeElement.closest('li').id === 'r-1000'").await;
    browser.draws().await;
    let place = "Math.round(document.querySelector('#r-1000').getBoundingClientRect().top)";
    let before = browser.evaluates(place).await;
    flood(&sandbox, 50).await;
    browser.sees("document.querySelector('#log-count').textContent === '1,000' && document.querySelector('#requests > li')").await;
    browser.draws().await;
    assert_eq!(browser.evaluates(place).await, before, "the row that is read stays in its place");
    let set = "document.activeElement.closest('li').ariaSetSize";
    assert_eq!(browser.evaluates(set).await, "1000");
}

/// `cargo test --test page -- --ignored --nocapture longest` prints the longest tasks of the page while 5,000
/// requests arrive.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures"]
async fn longest_task() {
    let mut browser = Browser::start().await.expect(NO_BROWSER);
    let sandbox = Sandbox::start().await.unwrap();
    let witness = "window.tasks = []; new PerformanceObserver((list) => \
        list.getEntries().forEach(({ duration }) => tasks.push(duration))).observe({ type: 'longtask' })";
    browser.call("Page.enable", json!({})).await;
    browser.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": witness })).await;
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelector('#connection').className.includes('live')").await;
    flood(&sandbox, 5_000).await;
    browser.sees("document.querySelector('#requests > li')?.id === 'r-5000'").await;
    browser.draws().await;
    let longest = browser.evaluates("tasks.sort((one, other) => other - one).slice(0, 10)").await;
    println!("the longest tasks, in milliseconds: {longest}");
}

/// `cargo test --test page -- --ignored picture` renews the picture of the README.
#[tokio::test]
#[ignore = "it writes page.png"]
async fn picture() {
    let mut browser = Browser::start().await.expect(NO_BROWSER);
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let chart = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='220' height='84'><rect width='220' height='84' fill='%23eef'/><path d='M0 60 40 52 80 56 110 30 140 62 220 70' fill='none' stroke='%235151cd' stroke-width='3'/></svg>";
    let say = async |place: &str, who: &str, type_: &str, payload: Value, tag: &str| {
        let channel = if place.starts_with('D') { "dm" } else { "channel" };
        let mut message = json!({
            "conversation": { "channel": channel, "tags": { "id": place } },
            "user": { "tags": { "id": who.split(' ').next().unwrap().to_lowercase() }, "name": who },
            "type": type_, "payload": payload, "tags": { "ts": tag },
        });
        if who == "Bot" {
            message["userId"] = json!(Sandbox::BOT_ID);
            message.as_object_mut().unwrap().remove("user");
        }
        client.deliver(&delivery(message)).await.unwrap();
    };
    let text = |text: &str| json!({ "text": text });
    say("C-general", "Noor Haddad", "text", text("Lunch at noon?"), "1722440000.000100").await;
    say(
        "D-billing",
        "Luis Ortega",
        "file",
        json!({ "fileUrl": "https://example.com/invoice.pdf", "title": "invoice.pdf" }),
        "1722440500.000200",
    )
    .await;
    say(
        "C-staging",
        "Ann Petit",
        "text",
        text("can someone restart staging?"),
        "1722441123.004619",
    )
    .await;
    let card = json!({
        "title": "staging-eu-1", "subtitle": "No answer since 09:31", "imageUrl": chart,
        "actions": [
            { "action": "postback", "label": "Restart", "value": "restart" },
            { "action": "url", "label": "Open the dashboard", "value": "https://example.com/staging" },
        ],
    });
    say("C-staging", "Bot", "card", card, "1722441124.000100").await;
    sandbox.fail_next([None, Some(Fault::Reset { stored: true })]);
    say("C-staging", "Ann Petit", "text", text("yes, restart it"), "1722441130.000300").await;
    say("C-staging", "Ann Petit", "text", text("yes, restart it please"), "1722441130.000300")
        .await;
    let options =
        json!([{ "label": "Now", "value": "now" }, { "label": "At night", "value": "night" }]);
    say(
        "C-staging",
        "Bot",
        "choice",
        json!({ "text": "When?", "options": options }),
        "1722441131.000100",
    )
    .await;
    let http = reqwest::Client::new();
    let wrong = http.post(sandbox.url() + "/v1/chat/messages/get-or-create");
    let wrong = wrong.header("authorization", format!("Bearer {}", Sandbox::TOKEN));
    let wrong = wrong.header("x-bot-id", Sandbox::BOT_ID).header("x-integration-alias", "slack");
    let wrong = wrong.header("content-type", "application/json");
    wrong.body(r#"{"type":"text","payload":{},"tags":{}}"#).send().await.unwrap();
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelectorAll('li.message').length === 4").await;
    // The first is for the README, the others for anyone who changes the page.
    std::fs::write("page.png", browser.picture(1280, 800, "light").await).unwrap();
    std::fs::write("../../target/dark.png", browser.picture(1280, 800, "dark").await).unwrap();
    std::fs::write("../../target/narrow.png", browser.picture(420, 900, "light").await).unwrap();
    browser.evaluates("for (const node of document.querySelectorAll('#faults, #requests details')) node.open = true").await;
    std::fs::write("../../target/open.png", browser.picture(1280, 1100, "light").await).unwrap();
}
