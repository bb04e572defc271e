//! The page of the sandbox, in a real browser.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use botpress_messages::{NewMessage, Retry, content::Text};
use botpress_sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_support::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A headless Chromium with one page, driven over its debugging protocol: messages in JSON, each ended by
/// a zero byte, through a pair of pipes.
struct Browser {
    _child: Child,
    _profile: TempDir,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    session: Option<String>,
    sent: u64,
}

const NO_BROWSER: &str = "no Chromium: apt-get install chromium, or name one by CHROMIUM";

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

impl Browser {
    /// Starts what `CHROMIUM` names, or what is installed; nothing if there is none.
    async fn start() -> Option<Self> {
        let names = ["chromium", "chromium-browser", "google-chrome"].map(str::to_owned);
        let mut browsers = std::env::var("CHROMIUM").into_iter().chain(names);
        let is_there = |name: &String| {
            let mut version = std::process::Command::new(name);
            version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            version.status().is_ok_and(|status| status.success())
        };
        let browser = browsers.find(is_there)?;
        let profile = tempfile::tempdir().unwrap();
        // The pipes are the third and the fourth of its files.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 >/dev/null 2>&1", "sh", &browser])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut browser = Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()),
            _child: child,
            _profile: profile,
            session: None,
            sent: 0,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", target).await;
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        Some(browser)
    }

    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        let answer = self.try_call(method, parameters).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_call(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.stdin.write_all(format!("{message}\0").as_bytes()).await.unwrap();
        loop {
            let mut answer = Vec::new();
            self.stdout.read_until(0, &mut answer).await.unwrap();
            assert_eq!(answer.pop(), Some(0), "the browser ended");
            let mut answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.sent {
                return match answer["error"].take() {
                    Value::Null => Ok(answer["result"].take()),
                    error => Err(error),
                };
            }
        }
    }

    /// What this script says in the page.
    async fn says(&mut self, script: &str) -> Value {
        let said = self.try_says(script).await;
        said.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    async fn try_says(&mut self, script: &str) -> Result<Value, Value> {
        let parameters =
            json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let mut result = self.try_call("Runtime.evaluate", parameters).await?;
        assert!(result["exceptionDetails"].is_null(), "{script}: {result}");
        Ok(result["result"]["value"].take())
    }

    /// Opens a page, and waits until it is there.
    async fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url })).await;
        self.sees("document.readyState === 'complete'").await;
    }

    /// Waits until this is true of the page, looking again with each of its frames.
    async fn sees(&mut self, condition: &str) {
        let script = format!(
            "new Promise((seen) => {{
                const look = () => ({condition}) ? seen(true) : requestAnimationFrame(look)
                look()
            }})"
        );
        // A page that is left for another one says nothing.
        let seen = async { while self.try_says(&script).await.is_err() {} };
        // Only so that a test that fails has an end.
        let patience = Duration::from_secs(30);
        if tokio::time::timeout(patience, seen).await.is_err() {
            panic!("not seen: {condition}");
        }
    }

    async fn presses(&mut self, key: &str) {
        let text = if key == "Enter" { "\r" } else { "" };
        let code = if key == "Enter" { 13 } else { 9 };
        for kind in ["keyDown", "keyUp"] {
            let mut press = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" {
                press["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", press).await;
        }
    }

    /// Looks like this to people, as a PNG.
    async fn picture(&mut self, width: u32, height: u32, scheme: &str) -> Vec<u8> {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": scheme })).await;
        let frame =
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))";
        self.says(frame).await;
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        BASE64_STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }
}

/// A picture of one point.
const DOT: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn message(type_: &str, payload: Value, tag: impl ToString) -> NewMessage {
    NewMessage::from(json!({
        "conversation": { "channel": "dm", "tags": { "id": "C05" } },
        "user": { "tags": { "id": "U05" }, "name": "Ann Petit", "pictureUrl": DOT },
        "type": type_,
        "payload": payload,
        "tags": { "id": tag.to_string() },
    }))
}

/// A type, its payload, and what is true of the bubble `b` that shows it.
#[tokio::test]
async fn it_shows_each_content_while_a_client_delivers() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("it_shows_each_content_while_a_client_delivers", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    browser.open(&sandbox.url()).await;
    browser.sees("document.body.innerText.includes('Nothing has been said yet')").await;
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
        // Known by name, but not what it should be.
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

/// Refused and why, found and what that changed, failed and how: on the page as it happens.
#[tokio::test]
async fn it_shows_what_came_of_each_request() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("it_shows_what_came_of_each_request", NO_BROWSER);
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

    // The newest stands on top.
    let top = "document.querySelector('#requests > li')";
    let http = reqwest::Client::new();
    let path = "/v1/chat/messages/get-or-create";
    http.post(sandbox.url() + path).body("{}").send().await.unwrap();
    browser.sees(&format!("{top}.innerText.includes('401 the token is missing')")).await;
    let red = "(() => { const probe = document.createElement('i'); document.body.append(probe); \
         probe.style.color = 'var(--bad)'; const { color } = getComputedStyle(probe); probe.remove(); \
         return color })()";
    let color = format!("getComputedStyle({top}.querySelector('.brief')).color");
    assert_eq!(browser.says(&format!("{color} === {red}")).await, true, "a refusal is red");
    browser.says(&format!("{top}.querySelector('summary').click()")).await;
    for text in ["POST /v1/chat/messages/get-or-create", "Unauthorized", "ratelimit-limit: 100"] {
        browser.sees(&format!("{top}.innerText.includes('{text}')")).await;
    }

    // A fault that the page orders, by the keyboard.
    browser.says("document.querySelector('#faults > summary').focus()").await;
    browser.presses("Enter").await;
    browser.sees("document.querySelector('#faults').open").await;
    let chosen =
        "[...document.querySelector('#fault').options].findIndex((o) => o.text.startsWith('502'))";
    browser.says(&format!("document.querySelector('#fault').selectedIndex = {chosen}")).await;
    browser.says("document.querySelector('#add').focus()").await;
    browser.presses("Enter").await;
    browser.sees("document.querySelector('#script').textContent === 'To come: page 502'").await;
    client.deliver(&message("text", json!({ "text": "No" }), 2)).await.unwrap_err();
    let fault = sandbox.requests().pop().unwrap().fault;
    assert_eq!(fault, Some(Fault::Page { status: 502, stored: false }));
    browser.sees(&format!("{top}.innerText.includes('page 502')")).await;
    browser.sees("document.querySelector('#script').textContent === ''").await;
    browser.says("document.querySelector('#latency').value = 60001").await;
    browser.says("document.querySelector('#latency').onchange()").await;
    browser.says("document.querySelector('#latency').value = 7").await;
    browser.says("document.querySelector('#latency').onchange()").await;
    browser.sees("document.querySelector('#weather').textContent === '7 ms late'").await;

    // Only what went wrong.
    browser.says("document.querySelector('#troubles').click()").await;
    let outcomes =
        "[...document.querySelectorAll('#requests .chip:last-child')].map((c) => c.innerText)";
    browser.sees(&format!("{outcomes}.join() === 'failed,refused'")).await;

    browser.says("document.querySelector('#reset').click()").await;
    browser.sees("document.querySelectorAll('li.message, #requests > li').length === 0").await;
    browser.sees("document.querySelector('#weather').textContent === 'none'").await;
    assert!(sandbox.messages().is_empty());
    drop(sandbox);
    browser.sees("document.querySelector('#connection').textContent.startsWith('waiting')").await;
}

/// By Tab one reaches everything, and Enter opens it; each thing has a role and a name.
#[tokio::test]
async fn it_takes_no_mouse_and_no_eyes() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("it_takes_no_mouse_and_no_eyes", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    for place in ["first", "second"] {
        let mut message = json!(message("text", json!({ "text": place }), place));
        message["conversation"]["tags"]["id"] = json!(place);
        client.deliver(&NewMessage::from(message)).await.unwrap();
    }
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelectorAll('#conversations a').length === 2").await;
    let mut reached = Vec::new();
    for _ in 0..14 {
        browser.presses("Tab").await;
        let focus = "((f) => f.id || f.innerText.trim().split('\\n')[0])(document.activeElement)";
        reached.push(browser.says(focus).await.as_str().unwrap().to_owned());
    }
    let expected = ["skip", "media", "reset", "second", "first", "JSON", "Faults none", "troubles"];
    let mut order = reached.iter();
    for name in expected {
        assert!(order.any(|reached| reached == name), "{name} is not reached: {reached:?}");
    }
    // From the skip link into the messages, and from the list into another conversation.
    browser.says("document.querySelector('#conversations li:last-child a').focus()").await;
    browser.presses("Enter").await;
    browser.sees("document.querySelector('#title').textContent === 'first'").await;
    browser.sees("document.activeElement.matches('#conversations [aria-current]')").await;
    browser.says("document.querySelector('.skip').focus()").await;
    browser.presses("Enter").await;
    browser.sees("document.activeElement.id === 'talk'").await;
    browser.sees("document.querySelector('#title').textContent === 'first'").await;

    browser.says("document.querySelector('#faults').open = true").await;
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
        ("complementary", "Requests and faults"),
        ("list", "Requests"),
        ("slider", "Probability"),
        ("status", ""),
    ];
    for (role, name) in landmarks {
        let is_it = |(r, n): &(String, String)| r == role && n.starts_with(name);
        assert!(nodes.iter().any(is_it), "{role} {name}: {nodes:#?}");
    }
    let controls = ["button", "link", "checkbox", "slider", "spinbutton", "combobox", "image"];
    for (role, name) in &nodes {
        assert!(!controls.contains(&role.as_str()) || !name.is_empty(), "a {role} has no name");
    }
}

/// What comes from outside stays text: neither markup nor script nor a way out of the page.
#[tokio::test]
async fn it_shows_hostile_messages_as_text() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("it_shows_hostile_messages_as_text", NO_BROWSER);
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
        client.deliver(&NewMessage::from(message)).await.unwrap();
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
    browser.open(&format!("{}/#{}", sandbox.url(), sandbox.conversations()[0].id)).await;
    browser.sees(&format!("document.querySelectorAll('li.message').length === {count}")).await;
    browser.says("for (const node of document.querySelectorAll('details')) node.open = true").await;
    browser.sees("document.querySelector('.message details pre, #requests dl')").await;
    let clicks = "document.querySelectorAll('main span, main div, main summary')";
    browser.says(&format!("for (const node of {clicks}) node.click()")).await;

    let nothing = [
        ("window.pwned", "a script ran"),
        ("document.querySelectorAll('script').length - 1", "there are scripts"),
        ("violations.length", "only the policy stood in the way"),
        (
            "document.querySelectorAll('iframe, object, embed, base, form:not(#settings)').length",
            "frames",
        ),
        (
            "document.querySelectorAll('[onerror], [onclick], [onload], main [style]').length",
            "handlers",
        ),
        (
            "[...document.querySelectorAll('main a')].filter((a) => !/^https?:$/.test(a.protocol) || \
             a.rel !== 'noopener noreferrer' || a.target !== '_blank').length",
            "links elsewhere",
        ),
        (
            "[...document.querySelectorAll('img, audio, video')].filter((m) => !m.src.startsWith('data:')).length",
            "remote media",
        ),
        ("document.body.innerText.includes('\\u202e') ? 1 : 0", "text that turns around"),
    ];
    for (script, what) in nothing {
        let found = browser.says(script).await;
        let violations = browser.says("violations").await;
        assert!(found.is_null() || found == 0, "{what}: {found} {violations}");
    }
    let said = "document.querySelector('li.message .said').textContent";
    assert_eq!(browser.says(said).await, markup);
    browser
        .sees("document.querySelector('main').innerText.includes('photo\\\\u202egpj.exe')")
        .await;

    // And if there were a way to write markup, the browser would refuse it.
    let write =
        "(() => { try { document.body.innerHTML = '<b>'; return false } catch { return true } })()";
    assert_eq!(browser.says(write).await, true);
    let inline = "(() => { const script = document.createElement('script'); \
                  try { script.textContent = 'window.pwned = 11' } catch {} \
                  document.body.append(script); return window.pwned })()";
    assert_eq!(browser.says(inline).await, Value::Null);
}

/// A remote picture is loaded when somebody asks for it, without telling from where.
#[tokio::test]
async fn it_loads_remote_media_on_request() {
    let Some(mut browser) = Browser::start().await else {
        return skipped("it_loads_remote_media_on_request", NO_BROWSER);
    };
    let sandbox = Sandbox::start().await.unwrap();
    let dot = BASE64_STANDARD.decode(DOT.split_once(',').unwrap().1).unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: {}\r\n\r\n",
        dot.len()
    );
    // It answers once: had the first page asked, the second would see nothing.
    let (remote, requests) = script(vec![[head.into_bytes(), dot].concat()]).await;
    let picture = message("image", json!({ "imageUrl": remote, "title": "A dot" }), 1);
    sandbox.client().build().unwrap().deliver(&picture).await.unwrap();
    browser.open(&sandbox.url()).await;
    browser.sees("document.querySelector('.message')?.innerText.includes('A dot')").await;
    assert_eq!(browser.says("document.querySelectorAll('.bubble img').length").await, 0);
    browser.says("document.querySelector('#media').click()").await;
    browser.sees("document.querySelector('.bubble img')?.naturalWidth === 1").await;
    browser.sees("document.querySelector('#media').textContent === 'Load no remote media'").await;
    let requests = requests.await.unwrap();
    assert!(!requests[0].to_lowercase().contains("referer"), "{}", requests[0]);
}

#[tokio::test]
async fn its_policy_lets_nothing_in() {
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
    assert!(!load("/").await.0.contains(nonce), "it is used once");
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
    assert!(sandbox.requests().is_empty(), "the page is no request");
    // Nor does it stand in the way of the API.
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

/// The page knows no token, and still sends requests: new ones, and listed ones again.
#[tokio::test]
async fn requests_can_be_sent_without_the_token() {
    let sandbox = Sandbox::builder().token("private").start().await.unwrap();
    let http = reqwest::Client::new();
    let new = json!({ "path": USERS, "body": { "tags": { "id": "1" } } });
    let (status, sent) = send(&http, &sandbox, &new).await;
    assert_eq!((status, &sent["response"]["status"]), (200, &json!(200)));
    assert_eq!(sent["response"]["body"]["user"]["id"], sandbox.users()[0].id);
    assert!(!json!(sandbox.requests()).to_string().contains("private"));

    // A listed request can be sent as it is: its token is marked, and what it lacked it still lacks.
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

    // It fails like the request of any client.
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

/// `cargo test --test page -- --ignored` makes the picture of the README anew.
#[tokio::test]
#[ignore = "it writes page.png"]
async fn picture() {
    let mut browser = Browser::start().await.expect(NO_BROWSER);
    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let chart = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='220' height='84'><rect width='220' height='84' fill='%23eef'/><path d='M0 60 40 52 80 56 110 30 140 62 220 70' fill='none' stroke='%235151cd' stroke-width='3'/></svg>";
    let say = async |place: &str, who: &str, type_: &str, payload: Value, tag: &str| {
        let mut message = json!({
            "conversation": { "channel": "channel", "tags": { "id": place } },
            "user": { "tags": { "id": who.split(' ').next().unwrap().to_lowercase() }, "name": who },
            "type": type_, "payload": payload, "tags": { "ts": tag },
        });
        if who == "Bot" {
            message["userId"] = json!(Sandbox::BOT_ID);
            message.as_object_mut().unwrap().remove("user");
        }
        client.deliver(&NewMessage::from(message)).await.unwrap();
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
    // The first is for the README, the others for whoever changes the page.
    std::fs::write("page.png", browser.picture(1280, 800, "light").await).unwrap();
    std::fs::write("../../target/dark.png", browser.picture(1280, 800, "dark").await).unwrap();
    std::fs::write("../../target/narrow.png", browser.picture(420, 900, "light").await).unwrap();
    browser.says("for (const node of document.querySelectorAll('#faults, #requests details')) node.open = true").await;
    std::fs::write("../../target/open.png", browser.picture(1280, 1100, "light").await).unwrap();
}
