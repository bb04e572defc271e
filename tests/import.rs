//! The import example as a program: lines in, lines out, exit code.

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use botpress_messages::sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use support::*;

fn import(url: &str, token: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(example("import"));
    command.args(arguments).env_clear();
    command.envs([("BP_API_URL", url), ("BP_TOKEN", token), ("BP_BOT_ID", Sandbox::BOT_ID)]);
    command
}

/// The results by line number.
fn results(output: &Output) -> Vec<Value> {
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let mut results: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    results.sort_by_key(|result| result["line"].as_u64());
    results
}

fn bodies(wanted: bool) -> String {
    let cases = cases().into_iter().filter(|(_, accept, _)| *accept || !wanted);
    cases.map(|(_, _, body)| format!("{body}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_gets_a_result() {
    let sandbox = Sandbox::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let good = bodies(true);
    std::fs::write(path, &good).unwrap();
    for (concurrency, created) in [("16", true), ("1", false)] {
        let output = import(&sandbox.url(), Sandbox::TOKEN, &["--concurrency", concurrency, path])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let results = results(&output);
        for ((index, body), result) in good.lines().enumerate().zip(&results) {
            let body: Value = serde_json::from_str(body).unwrap();
            assert_eq!(result["line"], index + 1);
            assert_eq!(result["message"]["payload"], body["payload"]);
            let identified = body["tags"] != json!({});
            assert_eq!(result["created"], created || !identified, "{body}");
        }
        assert_eq!(results.len(), good.lines().count());
    }
    let report = import(&sandbox.url(), Sandbox::TOKEN, &[path]).output().unwrap().stderr;
    let report = String::from_utf8(report).unwrap();
    assert!(
        report.starts_with("20 stored (4 created, 16 found), 0 not stored, 0 unknown"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_an_error_of_its_own() {
    let sandbox = Sandbox::start().await.unwrap();
    let long = format!("\"{}\"\n", "x".repeat(20 << 20));
    let good = serde_json::to_string(&hello()).unwrap();
    let input =
        [b"\xef\xbb\xbf{}\n\n  \r\nnot json\n\xff\n", long.as_bytes(), good.as_bytes()].concat();
    let mut import = import(&sandbox.url(), Sandbox::TOKEN, &["-"]);
    let mut import =
        import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&input).unwrap();
    let output = import.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));

    let results = results(&output);
    let found: Vec<_> = results
        .iter()
        .map(|result| (result["line"].as_u64().unwrap(), &result["error"]["message"]))
        .collect();
    let expected =
        [(1, "/conversationId is required"), (4, "not JSON"), (5, "not JSON"), (6, "longer than")];
    assert_eq!(results.len(), 5, "{found:?}");
    for ((line, message), (expected_line, part)) in found.iter().zip(expected) {
        assert!(
            *line == expected_line && message.as_str().unwrap().contains(part),
            "{line}: {message}"
        );
    }
    for result in &results[..4] {
        assert_eq!(
            (&result["error"]["kind"], &result["error"]["maybe_stored"]),
            (&json!("invalid"), &json!(false))
        );
    }
    assert_eq!((&results[4]["line"], &results[4]["created"]), (&json!(7), &json!(true)));
}

/// The fault of the only attempt, or of all; what is told, and whether the line can be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_failure_is_told() {
    let sandbox = Sandbox::start().await.unwrap();
    let identified = serde_json::to_string(&hello()).unwrap();
    let unidentified = serde_json::to_string(&hello().tag("id", "")).unwrap();
    let url = sandbox.url();
    let bad = "{\"type\":";
    let cases = [
        (&url, "wrong", &identified[..], None, "api", false, true),
        (
            &url,
            Sandbox::TOKEN,
            &unidentified,
            Some(Fault::Page { status: 502, stored: true }),
            "answer",
            true,
            false,
        ),
        (&url, Sandbox::TOKEN, &unidentified, Some(Fault::Truncated), "answer", true, false),
        (
            &url,
            Sandbox::TOKEN,
            &unidentified,
            Some(Fault::Reset { stored: false }),
            "transport",
            true,
            false,
        ),
        (
            &url,
            Sandbox::TOKEN,
            &identified,
            Some(Fault::Page { status: 403, stored: false }),
            "answer",
            true,
            true,
        ),
        (&url, Sandbox::TOKEN, &unidentified, Some(Fault::Limited(1000)), "api", false, true),
        (&url, Sandbox::TOKEN, "{}", None, "invalid", false, true),
        (&url, Sandbox::TOKEN, bad, None, "invalid", false, true),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (index, (url, token, line, fault, kind, maybe_stored, again)) in
        cases.into_iter().enumerate()
    {
        let (input, failed) = (path("input"), path(&format!("failed-{index}")));
        std::fs::write(&input, line).unwrap();
        sandbox.fail_next(fault.map(Some));
        let output = import(url, token, &["--failed", &failed, &input]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = &results(&output)[0]["error"];
        assert_eq!(
            (&error["kind"], &error["maybe_stored"]),
            (&json!(kind), &json!(maybe_stored)),
            "{error}"
        );
        let written = std::fs::read_to_string(&failed).ok();
        assert_eq!(written, again.then(|| format!("{line}\n")));
    }
}

/// What failed is imported again, from the file that the first import wrote, until nothing is left.
#[tokio::test(flavor = "multi_thread")]
async fn what_failed_can_be_imported_again() {
    let sandbox = Sandbox::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let lines = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    std::fs::write(path("input"), bodies(true)).unwrap();
    sandbox.fail_next([Some(Fault::Error { status: 400, stored: false }); 7]);
    let run = |input: &str, failed: &str| {
        import(&sandbox.url(), Sandbox::TOKEN, &["--failed", &path(failed), &path(input)])
            .output()
            .unwrap()
    };
    assert_eq!(run("input", "failed").status.code(), Some(1));
    assert_eq!((lines("failed").lines().count(), sandbox.messages().len()), (7, 13));
    assert_eq!(run("failed", "left").status.code(), Some(0));
    assert!(!std::path::Path::new(&path("left")).exists(), "nothing failed");
    assert_eq!(sandbox.messages().len(), 20);
    let output = run("input", "failed");
    assert_eq!(output.status.code(), Some(2), "a file that exists is not overwritten: {output:?}");
}

#[test]
fn what_cannot_start_says_why() {
    let cases: [(&[&str], &str, &str); 4] = [
        (&["/nowhere/messages.ndjson"], "t", "/nowhere/messages.ndjson: No such file"),
        (&["-"], "", "BP_TOKEN is missing"),
        (&[], "t", "Usage: "),
        (&["--concurrency", "0", "-"], "t", "0 is not in 1.."),
    ];
    for (arguments, token, message) in cases {
        let output =
            import("http://127.0.0.1:1", token, arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let report = String::from_utf8(output.stderr).unwrap();
        assert!(report.contains(message) && output.stdout.is_empty(), "{report}");
    }
}

/// The first interrupt lets what is under way finish, the second leaves it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn interrupts_are_heard_while_the_server_is_silent() {
    use tokio::io::AsyncReadExt;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut import = tokio::process::Command::from(import(&url, "t", &["--concurrency", "2", "-"]));
    let mut import =
        import.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = import.stdin.take().unwrap();
    let line = serde_json::to_string(&hello()).unwrap() + "\n";
    tokio::io::AsyncWriteExt::write_all(&mut stdin, line.repeat(9).as_bytes()).await.unwrap();
    // Both places are taken, by requests that get no answer.
    let _silent = [listener.accept().await.unwrap(), listener.accept().await.unwrap()];

    let id = import.id().unwrap().to_string();
    let interrupt = || Command::new("kill").args(["-INT", &id]).status();
    assert!(interrupt().unwrap().success());
    let mut report = import.stderr.take().unwrap();
    let mut told = [0; 11];
    report.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"interrupted");
    assert!(interrupt().unwrap().success());
    assert_eq!(import.wait().await.unwrap().code(), Some(130));
}

/// The input is open and may bring more; an interrupt ends the import all the same.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_an_endless_input() {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    let sandbox = Sandbox::start().await.unwrap();
    let mut import = tokio::process::Command::from(import(&sandbox.url(), Sandbox::TOKEN, &["-"]));
    import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut import = import.spawn().unwrap();
    let mut stdin = import.stdin.take().unwrap();
    let line = serde_json::to_string(&hello()).unwrap() + "\n";
    stdin.write_all(line.as_bytes()).await.unwrap();
    let mut results = BufReader::new(import.stdout.take().unwrap()).lines();
    assert!(results.next_line().await.unwrap().is_some());

    let id = import.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let mut report = String::new();
    let mut stderr = import.stderr.take().unwrap();
    let end = async { (stderr.read_to_string(&mut report).await, import.wait().await) };
    let (_, status) = tokio::time::timeout(std::time::Duration::from_secs(30), end).await.unwrap();
    assert_eq!(status.unwrap().code(), Some(1), "not all of the input was tried");
    assert!(report.contains("1 stored") && report.contains("stopped before the end"), "{report}");
    drop(stdin);
}
