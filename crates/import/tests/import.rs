//! The import as a program: its input, its output and its exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use botpress_messages::{NewConversation, NewMessage, NewUser, content::Text};
use botpress_sandbox::{Fault, Sandbox};
use serde_json::{Value, json};
use test_support::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::timeout;

fn import(url: &str, token: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_botpress-import"));
    command.args(arguments).env_clear();
    command.envs([("BP_API_URL", url), ("BP_TOKEN", token), ("BP_BOT_ID", Sandbox::BOT_ID)]);
    command.env("BP_INTEGRATION_ID", Sandbox::INTEGRATION_ID);
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
    let cases = cases("messages").into_iter().filter(|(_, accept, _)| *accept || !wanted);
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
        report.contains("20 stored (4 created, 16 found), 0 not stored, 0 unknown"),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_an_error_for_that_line_only() {
    let sandbox = Sandbox::start().await.unwrap();
    let long = format!("\"{}\"\n", "x".repeat(20 << 20));
    let mut unknown: Value = serde_json::from_str(&foreign_line(1, 1)).unwrap();
    unknown["user"]["tags"] = json!({});
    unknown["conversation"] = json!({ "tags": { "id": 1 } });
    let mut twice: Value = serde_json::from_str(&foreign_line(1, 1)).unwrap();
    twice["userId"] = json!(USER);
    twice["conversation"]["channel"] = json!(1);
    let foreign = format!("{unknown}\n{twice}\n");
    let good = serde_json::to_string(&hello()).unwrap();
    let start = b"\xef\xbb\xbf{}\n\n  \r\nnot json\n\xff\n";
    let input = [start, long.as_bytes(), foreign.as_bytes(), good.as_bytes()].concat();
    let mut import = spawn(import(&sandbox.url(), Sandbox::TOKEN, &["-"]));
    import.stdin.take().unwrap().write_all(&input).await.unwrap();
    let output = import.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));

    let results = results(&output);
    let found: Vec<_> = results
        .iter()
        .map(|result| (result["line"].as_u64().unwrap(), &result["error"]["message"]))
        .collect();
    let expected: [(u64, &[&str]); 6] = [
        (1, &["/userId is required", "/conversationId is required", "/type is required"]),
        (4, &["must be JSON"]),
        (5, &["must be JSON"]),
        (6, &["longer than"]),
        (7, &["/user must be identified", "/conversation/channel is", "/conversation/tags/id "]),
        (8, &["must have exactly one of", "/conversation/channel "]),
    ];
    assert_eq!(results.len(), 7, "{found:?}");
    for ((line, message), (expected_line, parts)) in found.iter().zip(expected) {
        let message = message.as_str().unwrap();
        assert!(
            *line == expected_line && parts.iter().all(|part| message.contains(part)),
            "{line}: {message}"
        );
    }
    assert_eq!(sandbox.requests().len(), 1, "only what is valid is sent");
    for result in &results[..6] {
        assert_eq!(
            (&result["error"]["kind"], &result["error"]["maybe_stored"]),
            (&json!("invalid"), &json!(false))
        );
    }
    assert_eq!((&results[6]["line"], &results[6]["created"]), (&json!(9), &json!(true)));
}

/// Each case has the faults of the first requests, the report, and whether the line can be sent again. A line
/// without ids first makes requests for its user and its conversation: a fault in these stores no message.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_failure_is_reported() {
    let identified = serde_json::to_string(&hello()).unwrap();
    let unidentified = serde_json::to_string(&hello().tag("id", "")).unwrap();
    let mut foreign: Value = serde_json::from_str(&foreign_line(1, 1)).unwrap();
    foreign["tags"] = json!({});
    let foreign = foreign.to_string();
    let bad = "{\"type\":";
    let page = |status, stored| Some(Fault::Page { status, stored });
    let cases = [
        ("wrong", &identified[..], vec![], "api", false, true),
        ("wrong", &foreign, vec![], "api", false, true),
        (Sandbox::TOKEN, &unidentified, vec![page(502, true)], "response", true, false),
        (Sandbox::TOKEN, &unidentified, vec![Some(Fault::Truncated)], "response", true, false),
        (
            Sandbox::TOKEN,
            &unidentified,
            vec![Some(Fault::Reset { stored: false })],
            "transport",
            true,
            false,
        ),
        (Sandbox::TOKEN, &identified, vec![page(403, false)], "response", true, true),
        (Sandbox::TOKEN, &unidentified, vec![Some(Fault::Limited(1000))], "api", false, true),
        (Sandbox::TOKEN, &foreign, vec![page(403, true); 2], "response", false, true),
        (Sandbox::TOKEN, &foreign, vec![None, None, page(502, true)], "response", true, false),
        (Sandbox::TOKEN, "{}", vec![], "invalid", false, true),
        (Sandbox::TOKEN, bad, vec![], "invalid", false, true),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (index, (token, line, faults, kind, maybe_stored, again)) in cases.into_iter().enumerate() {
        // Each case has its own sandbox: an abandoned call could use up the fault of the next case.
        let sandbox = Sandbox::start().await.unwrap();
        let (input, failed) = (path("input"), path(&format!("failed-{index}")));
        std::fs::write(&input, line).unwrap();
        sandbox.fail_next(faults);
        let output =
            import(&sandbox.url(), token, &["--failed", &failed, &input]).output().unwrap();
        let code = if token == "wrong" { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let error = &results(&output)[0]["error"];
        assert_eq!(
            (&error["kind"], &error["maybe_stored"]),
            (&json!(kind), &json!(maybe_stored)),
            "{error}"
        );
        let written = std::fs::read_to_string(&failed).ok();
        assert_eq!(written, again.then(|| format!("1\t{line}\n")));
    }
}

/// Failed lines are imported again, from the file that the first import wrote, until none are left.
#[tokio::test(flavor = "multi_thread")]
async fn failed_lines_can_be_imported_again() {
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
    let again = run("failed", "left");
    assert_eq!(again.status.code(), Some(0));
    assert!(!std::path::Path::new(&path("left")).exists(), "nothing failed");
    let number = |line: &str| line.split_once('\t').unwrap().0.parse::<u64>().unwrap();
    let kept: BTreeSet<_> = lines("failed").lines().map(number).collect();
    let reported: BTreeSet<_> =
        results(&again).iter().map(|result| result["line"].as_u64().unwrap()).collect();
    assert_eq!(reported, kept, "the numbers of the first file");
    assert_eq!(sandbox.messages().len(), 20);
    let output = run("input", "failed");
    assert_eq!(output.status.code(), Some(2), "a file that exists is not overwritten: {output:?}");
    let report = String::from_utf8(output.stderr).unwrap();
    let advice = format!("import {} first, or name another file", path("failed"));
    assert!(report.contains(&advice), "{report}");
}

#[test]
fn failing_to_start_reports_the_cause() {
    let cases: [(&[&str], &str, &str); 6] = [
        (&["src"], "t", "src is a directory: name a file, or send all of its files with `cat src/"),
        (&["--check", "--failed", "x", "-"], "t", "cannot be used with"),
        (&["/nowhere/messages.ndjson"], "t", "/nowhere/messages.ndjson: No such file"),
        (&["-"], "", "BP_TOKEN is missing from the environment; set it"),
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

/// The first signal lets messages in flight finish, the second does not.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn signals_are_handled_while_the_server_is_silent() {
    for (signal, word, code) in [("-INT", "interrupted", 130), ("-TERM", "terminated", 143)] {
        let (url, mut requests) = server().await;
        let folder = tempfile::tempdir().unwrap();
        let failed = folder.path().join("failed");
        let arguments = ["--concurrency", "2", "--failed", failed.to_str().unwrap(), "-"];
        let mut import = spawn(import(&url, "t", &arguments));
        let lines = line(1, 1) + &line(2, 1) + &line(3, 1);
        import.stdin.as_mut().unwrap().write_all(lines.as_bytes()).await.unwrap();
        // Both slots are taken by requests that get no response.
        let _silent = [requests.recv().await.unwrap(), requests.recv().await.unwrap()];
        assert!(failed.exists());

        kill(&import, signal);
        let mut report = import.stderr.take().unwrap();
        let mut start = vec![0; word.len()];
        report.read_exact(&mut start).await.unwrap();
        assert_eq!(String::from_utf8(start).unwrap(), word);
        kill(&import, signal);
        assert_eq!(import.wait().await.unwrap().code(), Some(code));
        assert!(!failed.exists(), "the next import would reject an empty file");
    }
}

/// Messages in flight are reported, and the rest of the file can be imported.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_leaves_the_rest_of_the_file() {
    for signal in ["-INT", "-TERM"] {
        let (url, mut requests) = server().await;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let rest = line(1, 2) + &line(2, 1) + &line(2, 2);
        std::fs::write(path("input"), line(1, 1) + &rest).unwrap();
        let arguments = ["--concurrency", "1", "--failed", &path("failed"), &path("input")];
        let mut import = spawn(import(&url, "t", &arguments));
        let (_, connection) = requests.recv().await.unwrap();

        kill(&import, signal);
        import.stderr.as_mut().unwrap().read_u8().await.unwrap(); // the import has received the signal
        confirm(connection).await;
        let output = import.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let results = results(&output);
        assert_eq!((results.len(), &results[0]["created"]), (1, &json!(true)));
        assert_eq!(lines_of(&path("failed")), numbered(2, &rest));
    }
}

/// The server asks for a long wait, and an interrupt ends it.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_the_wait_for_another_attempt() {
    let (url, mut requests) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("input"), line(1, 1) + &line(2, 1)).unwrap();
    let arguments = ["--concurrency", "1", "--failed", &path("failed"), &path("input")];
    let mut import = spawn(import(&url, "t", &arguments));
    let (_, mut connection) = requests.recv().await.unwrap();
    let error = json!({ "code": 429, "type": "RateLimited", "message": "later", "id": "err_1" });
    let headers = "content-type: application/json\r\nretry-after: 50\r\nconnection: close\r\n";
    let rejection = http("429 Too Many Requests", headers, &error.to_string());
    connection.write_all(&rejection).await.unwrap();
    drop(connection);

    kill(&import, "-INT");
    let mut stderr = import.stderr.take().unwrap();
    stderr.read_u8().await.unwrap();
    assert!(requests.try_recv().is_err(), "no other attempt");
    let output = import.wait_with_output();
    let output = timeout(Duration::from_secs(30), output).await.expect("50 s").unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let results = results(&output);
    assert_eq!((results.len(), &results[0]["error"]["kind"]), (1, &json!("api")));
    assert_eq!(results[0]["error"]["maybe_stored"], false);
    assert_eq!(
        lines_of(&path("failed")),
        numbered(1, &std::fs::read_to_string(path("input")).unwrap())
    );
}

/// The input stays open; an interrupt still ends the import.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_an_endless_input() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut import = spawn(import(&sandbox.url(), Sandbox::TOKEN, &["-"]));
    let mut stdin = import.stdin.take().unwrap();
    stdin.write_all(line(1, 1).as_bytes()).await.unwrap();
    let mut results = BufReader::new(import.stdout.take().unwrap()).lines();
    assert!(results.next_line().await.unwrap().is_some());

    kill(&import, "-INT");
    let end = timeout(Duration::from_secs(30), import.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(end.status.code(), Some(1), "not all of the input was tried");
    let report = String::from_utf8(end.stderr).unwrap();
    assert!(report.contains("1 stored") && report.contains("stopped before the end"), "{report}");
    drop(stdin);
}

/// A backlog of lines with both ids, with one and with none is imported while requests fail at random. The import
/// is interrupted, resumed with the remaining lines, and repeated.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_stored_once_and_in_order() {
    let sandbox = Sandbox::builder().strict().storm(9, 0.1).start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    let (mut users, mut conversations) = (Vec::new(), Vec::new());
    for number in 0..8 {
        sandbox.fail_next([None; 2]);
        let user = NewUser::new().tag("id", number.to_string());
        users.push(client.get_or_create(&user).await.unwrap().record.id);
        let conversation = NewConversation::new("channel").tag("known", number.to_string());
        conversations.push(client.get_or_create(&conversation).await.unwrap().record.id);
    }
    // The ids of the first eight of 16 conversations are known, and those of half their users.
    let line = |number: u32| {
        let conversation = (number % 16) as usize;
        let mut line = foreign_line(number % 16, number);
        if let Some(id) = conversations.get(conversation) {
            line = with_id(&line, "conversation", id);
        }
        if number % 4 < 2 {
            line = with_id(&line, "user", &users[conversation % 8]);
        }
        line
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("input"), (0..64).map(line).collect::<String>()).unwrap();
    let run = |failed: &str, input: &str| {
        import(&sandbox.url(), Sandbox::TOKEN, &["--failed", &path(failed), &path(input)])
    };

    let mut interrupted = spawn(run("left", "input"));
    let mut lines = BufReader::new(interrupted.stdout.take().unwrap()).lines();
    let (mut seen, mut stored) = (0, 0);
    while let Some(line) = lines.next_line().await.unwrap() {
        stored += usize::from(!line.contains("\"error\""));
        seen += 1;
        if seen == 20 {
            kill(&interrupted, "-INT");
        }
    }
    assert_eq!(interrupted.wait().await.unwrap().code(), Some(1));
    assert_eq!(stored + lines_of(&path("left")).len(), 64);
    let resumed = run("nothing", "left").output().unwrap();
    assert_eq!(resumed.status.code(), Some(0), "{resumed:?}");
    sandbox.fail_next([None; 256]);
    let repeated = String::from_utf8(run("nothing", "input").output().unwrap().stderr).unwrap();
    assert!(repeated.contains("64 stored (0 created, 64 found)"), "{repeated}");

    let mut stored = BTreeMap::<_, Vec<u32>>::new();
    for message in sandbox.messages() {
        let number = message.tags["id"].parse().unwrap();
        stored.entry(message.conversation_id).or_default().push(number);
    }
    assert_eq!((stored.len(), sandbox.conversations().len(), sandbox.users().len()), (16, 16, 12));
    for numbers in stored.values() {
        assert_eq!(*numbers, [0, 16, 32, 48].map(|later| numbers[0] + later));
    }
}

/// Conversations run in parallel; the lines of each run one at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_keeps_its_order() {
    for line in FORMS {
        let input: String =
            [1, 2, 3].iter().flat_map(|c| [1, 2, 3].map(|id| line(*c, id))).collect();
        let (url, mut requests) = server().await;
        let mut import = spawn(import(&url, "t", &["--concurrency", "3", "-"]));
        import.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        for round in [1, 2, 3] {
            let mut seen = Vec::new();
            let mut connections = Vec::new();
            for _ in 0..3 {
                let next = timeout(Duration::from_secs(30), requests.recv()).await;
                let (body, connection) = next.expect("too few in parallel").unwrap();
                seen.push(place(&body));
                connections.push(connection);
            }
            seen.sort();
            assert_eq!(seen, [1, 2, 3].map(|conversation| (conversation, round)));
            for connection in connections {
                confirm(connection).await;
            }
        }
        assert_eq!(import.wait_with_output().await.unwrap().status.code(), Some(0));
    }
}

/// Each message is in two consecutive lines, and the server looks up and stores in two steps.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_line_stores_nothing_twice() {
    for (line, others) in [(FORMS[0], 0), (FORMS[1], 20)] {
        let input: String = (0..200).map(|number| line(number % 20, number).repeat(2)).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), input).unwrap();
        let path = file.path().to_str().unwrap();
        let gap = Duration::from_millis(30);
        let sandbox = Sandbox::builder().lookup_gap(gap).start().await.unwrap();
        let output = import(&sandbox.url(), Sandbox::TOKEN, &[path]).output().unwrap();
        let report = String::from_utf8(output.stderr).unwrap();
        assert!(report.contains("400 stored (200 created, 200 found)"), "{report}");
        assert_eq!(sandbox.messages().len(), 200);
        assert_eq!((sandbox.users().len(), sandbox.conversations().len()), (others, others));
    }
}

/// One conversation has more lines than the queue holds, so reading pauses. Lines already read are kept, in order.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn reading_ahead_is_bounded() {
    let (url, mut requests) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("failed").to_str().unwrap().to_owned();
    let mut import = spawn(import(&url, "t", &["--failed", &path, "-"]));
    let mut stdin = import.stdin.take().unwrap();
    let input: String = (1..=1000).map(|id| long_line(1, id, 50_000)).collect();
    let write = timeout(Duration::from_secs(2), stdin.write_all(input.as_bytes()));
    assert!(write.await.is_err(), "50 MB were read while one message is in flight");

    let (_, connection) = requests.recv().await.unwrap();
    kill(&import, "-INT");
    import.stderr.as_mut().unwrap().read_u8().await.unwrap();
    confirm(connection).await;
    let output = import.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), results(&output).len()), (Some(1), 1), "{output:?}");
    let (kept, lines) = (lines_of(&path), numbered(1, &input));
    assert!(kept.len() > 300 && lines[1..].starts_with(&kept), "{} lines", kept.len());
}

/// The results are not read until many more messages are sent than a pipe holds. Some messages need a second
/// attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_delays_nothing() {
    let sandbox = Sandbox::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let input: String = (1..=400).map(|id| long_line(id, 1, 20_000)).collect();
    std::fs::write(file.path(), input).unwrap();
    let script = [None; 100].into_iter().chain([Some(Fault::Reset { stored: true }); 50]);
    sandbox.fail_next(script);
    let path = file.path().to_str().unwrap();
    let import = spawn(import(&sandbox.url(), Sandbox::TOKEN, &[path]));
    let sent = async {
        while sandbox.messages().len() < 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), sent).await.expect("unread results delay the messages");
    let output = import.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{:?}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((results(&output).len(), sandbox.messages().len()), (400, 400));
}

/// The token or the bot is wrong: the import ends after a few requests, and the rest can be imported later.
#[tokio::test(flavor = "multi_thread")]
async fn rejected_credentials_end_the_import() {
    let sandbox = Sandbox::start().await.unwrap();
    let input: String = (1..=500).map(|n| line(n % 20, n)).collect();
    for (name, wrong, cause) in [
        ("BP_TOKEN", "wrong", "the API responded 401 Unauthorized"),
        ("BP_BOT_ID", "another", "the API responded 403 Forbidden"),
    ] {
        for from_file in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
            std::fs::write(path("input"), &input).unwrap();
            let source = if from_file { path("input") } else { "-".to_owned() };
            let arguments = ["--failed", &path("failed"), &source];
            let mut import = import(&sandbox.url(), Sandbox::TOKEN, &arguments);
            import.env(name, wrong).stdin(std::fs::File::open(path("input")).unwrap());
            let output = import.output().unwrap();
            let report = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{report}");
            assert!(report.contains(&format!("error: {cause}")), "{report}");
            assert!(report.contains("credentials: correct BP_TOKEN, BP_BOT_ID"), "{report}");
            assert!(results(&output).len() < 40, "{report}");

            let (mut kept, mut lines) = (lines_of(&path("failed")), numbered(1, &input));
            let conversation = |line: &String| {
                let (_, text) = line.split_once('\t').unwrap();
                place(&serde_json::from_str(text).unwrap()).0
            };
            kept.sort_by_key(conversation);
            lines.sort_by_key(conversation);
            assert_eq!(kept, lines, "each conversation in its order");
        }
    }
    assert!(sandbox.messages().is_empty());
}

/// A token without the permission for all three calls is rejected at one of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_at_any_step_ends_the_import() {
    let rejected = Some(Fault::Error { status: 403, stored: false });
    for (step, faults) in [
        ("user: ", vec![rejected]),
        ("conversation: ", vec![rejected]),
        ("", vec![None, None, rejected]),
    ] {
        let line = |number| match step {
            "user: " => with_id(&foreign_line(number, number), "conversation", CONVERSATION),
            "conversation: " => with_id(&foreign_line(number, number), "user", USER),
            _ => foreign_line(number, number),
        };
        let sandbox = Sandbox::start().await.unwrap();
        sandbox.fail_next(faults.repeat(3));
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("input"), (1..=9).map(line).collect::<String>()).unwrap();
        let arguments = ["--concurrency", "1", "--failed", &path("failed"), &path("input")];
        let output = import(&sandbox.url(), Sandbox::TOKEN, &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let report = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(report.contains(&format!("error: {step}the API responded 403")), "{report}");
        assert_eq!((results(&output).len(), sandbox.messages().len()), (3, 0));
        assert_eq!(
            lines_of(&path("failed")),
            numbered(1, &std::fs::read_to_string(path("input")).unwrap())
        );
    }
}

/// The credentials are valid: single lines are rejected, or a gateway blocks.
#[tokio::test(flavor = "multi_thread")]
async fn other_rejections_do_not_end_the_import() {
    let sandbox = Sandbox::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let input: String = (1..=20).map(|n| line(n, 1)).collect();
    std::fs::write(file.path(), input).unwrap();
    let line = Some(Fault::Error { status: 403, stored: false });
    let gateway = Some(Fault::Page { status: 403, stored: false });
    sandbox.fail_next([None, line, line, None, line, None]);
    sandbox.fail_next([gateway; 5]);
    let arguments = ["--concurrency", "1", file.path().to_str().unwrap()];
    let output = import(&sandbox.url(), Sandbox::TOKEN, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stored = results(&output).iter().filter(|result| result["created"] == true).count();
    assert_eq!((results(&output).len(), stored), (20, 12));
}

/// An error of the account has its own advice. The same status from a gateway does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_used_up_account_ends_the_import_with_its_own_advice() {
    let sandbox = Sandbox::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), (1..=9).map(|n| line(n, 1)).collect::<String>()).unwrap();
    let arguments = ["--concurrency", "1", file.path().to_str().unwrap()];
    let run = |faults: Vec<Option<Fault>>| {
        sandbox.reset();
        sandbox.fail_next(faults);
        import(&sandbox.url(), Sandbox::TOKEN, &arguments).output().unwrap()
    };
    let gateway = run(vec![Some(Fault::Page { status: 402, stored: false }); 9]);
    assert_eq!((gateway.status.code(), results(&gateway).len()), (Some(1), 9), "{gateway:?}");
    for used_up in [402, 403] {
        let (url, _server) = account_error(used_up).await;
        let output = tokio::task::block_in_place(|| {
            import(&url, Sandbox::TOKEN, &arguments).output().unwrap()
        });
        let report = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!((output.status.code(), results(&output).len()), (Some(2), 3), "{report}");
        assert!(report.contains("raise the quota of the workspace, upgrade its plan"), "{report}");
        assert!(!report.contains("BP_TOKEN"), "{report}");
    }
}

/// A server that always responds that the plan or the quota is used up.
async fn account_error(status: u16) -> (String, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let type_ = if status == 402 { "PaymentRequired" } else { "QuotaExceeded" };
    let error = json!({ "code": status, "type": type_, "message": "used up", "id": "err_1" });
    let headers = "content-type: application/json\r\nconnection: close\r\n";
    let response = http(&format!("{status} X"), headers, &error.to_string());
    let server = tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            request(&mut connection).await;
            connection.write_all(&response).await.unwrap();
        }
    });
    (url, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_groups_reasons() {
    let sandbox = Sandbox::start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let bad = "{}\n{}\n{\n";
    std::fs::write(file.path(), line(1, 1) + bad + &line(2, 1) + &line(3, 1)).unwrap();
    sandbox.fail_next([None, Some(Fault::Error { status: 409, stored: false })]);
    let arguments = ["--concurrency", "1", file.path().to_str().unwrap()];
    let output = import(&sandbox.url(), Sandbox::TOKEN, &arguments).output().unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    for part in [
        "2 stored (2 created, 0 found), 4 not stored",
        "  1 because of: the line must be JSON, but is not at line 1 column 1 (line 4: ",
        "  2 because of: /conversationId is required (line 2: ",
        "  1 because of: message: 409 AlreadyExists (line 5: ",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
}

/// No credentials are needed, and nothing is sent.
#[test]
fn check_sends_nothing() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let check = || {
        let program = env!("CARGO_BIN_EXE_botpress-import");
        Command::new(program).args(["--check", path]).env_clear().output().unwrap()
    };
    std::fs::write(path, line(1, 1) + &foreign_line(1, 2)).unwrap();
    let output = check();
    assert_eq!((output.status.code(), &*output.stdout), (Some(0), &b""[..]));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "2 valid, 0 not valid\n");

    std::fs::write(path, line(1, 1) + "\n{}\n" + &foreign_line(1, 2)).unwrap();
    let output = check();
    let results = results(&output);
    assert_eq!((output.status.code(), results.len()), (Some(1), 1));
    assert_eq!((&results[0]["line"], &results[0]["error"]["kind"]), (&json!(3), &json!("invalid")));
    let report = String::from_utf8(output.stderr).unwrap();
    assert!(report.starts_with("2 valid, 1 not valid\n  1 because of: "), "{report}");
}

#[test]
fn utf_16_is_recognised() {
    let units: Vec<u16> = ("\u{feff}".to_owned() + &line(1, 1)).encode_utf16().collect();
    let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
    for (name, text) in [
        ("le", &little[..]),
        ("be", &big),
        ("le, no mark", &little[2..]),
        ("be, no mark", &big[2..]),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let arguments = [file.path().to_str().unwrap()];
        let output = import("http://127.0.0.1:1", "t", &arguments).output().unwrap();
        let results = results(&output);
        assert_eq!((output.status.code(), results.len()), (Some(1), 1), "{name}");
        let message = results[0]["error"]["message"].as_str().unwrap();
        assert!(message.contains("UTF-16") && message.contains("iconv"), "{name}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_names_can_be_shortened() {
    let sandbox = Sandbox::start().await.unwrap();
    let mut line: Value = serde_json::from_str(&foreign_line(1, 1)).unwrap();
    line["user"]["name"] = json!("ä".repeat(300));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), line.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    let output = import(&sandbox.url(), Sandbox::TOKEN, &[path]).output().unwrap();
    let error = &results(&output)[0]["error"]["message"];
    assert!(error.as_str().unwrap().contains("--shorten-names shortens the name"), "{error}");
    assert!(sandbox.users().is_empty());

    let output =
        import(&sandbox.url(), Sandbox::TOKEN, &["--shorten-names", path]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let name = sandbox.users()[0].name.clone().unwrap();
    let longest = name.chars().count();
    assert!(longest < 300 && NewUser::new().name(name.clone() + "ä").validate().is_err(), "{name}");
}

/// The output at a terminal.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_the_progress() {
    let sandbox = Sandbox::start().await.unwrap();
    sandbox.fail_next([None, Some(Fault::Limited(1))]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), line(1, 1) + &line(1, 2)).unwrap();
    let path = file.path().to_str().unwrap();
    let Some(mut import) = at_a_terminal(&sandbox.url(), path) else { return };
    let seen = seen(&mut import, "2 stored (2 created").await;
    for part in ["1 stored, 0 failed", "50% of", "trying again: "] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert_eq!(import.wait().await.unwrap().code(), Some(0), "{seen}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_the_cause_of_a_wait() {
    // Nobody listens on a port that was free just now.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), line(1, 1)).unwrap();
    let path = file.path().to_str().unwrap();
    let Some(mut import) = at_a_terminal(&url, path) else { return };
    let cause = format!("trying again: no connection to the API at {url}: Connection refused");
    seen(&mut import, &cause).await;
}

/// Imports a file where standard error is a terminal, which `script` makes.
#[cfg(target_os = "linux")]
fn at_a_terminal(url: &str, file: &str) -> Option<Child> {
    let program = format!("{} {file} >/dev/null", env!("CARGO_BIN_EXE_botpress-import"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &program, "/dev/null"]).env_clear();
    script.envs([("BP_API_URL", url), ("BP_TOKEN", Sandbox::TOKEN)]);
    script.envs([
        ("BP_BOT_ID", Sandbox::BOT_ID),
        ("BP_INTEGRATION_ID", Sandbox::INTEGRATION_ID),
        ("TERM", "xterm"),
        ("PATH", "/usr/bin:/bin"),
    ]);
    let mut script = tokio::process::Command::from(script);
    let script = script.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
    script.inspect_err(|error| eprintln!("SKIPPED: `script`: {error}")).ok()
}

/// Reads the terminal until it shows this text.
#[cfg(target_os = "linux")]
async fn seen(import: &mut Child, text: &str) -> String {
    let stdout = import.stdout.as_mut().unwrap();
    let mut seen = Vec::new();
    let shown = async {
        while !String::from_utf8_lossy(&seen).contains(text) {
            assert_ne!(stdout.read_buf(&mut seen).await.unwrap(), 0, "{text}: {seen:?}");
        }
    };
    timeout(Duration::from_secs(30), shown).await.expect("the text appears");
    String::from_utf8_lossy(&seen).into_owned()
}

/// A message of some conversation, with the newline.
fn line(conversation: u32, id: u32) -> String {
    long_line(conversation, id, 1)
}

fn long_line(conversation: u32, id: u32, length: usize) -> String {
    let conversation = format!("conv_{conversation:026}");
    let message = NewMessage::new(conversation.clone(), USER, Text::new("x".repeat(length)));
    serde_json::to_string(&message.tag("id", id.to_string()).tag("in", conversation)).unwrap()
        + "\n"
}

/// The same without ids. The user and the conversation are given with or without discriminating tags.
fn foreign_line(conversation: u32, id: u32) -> String {
    let mut body: Value = serde_json::from_str(&line(conversation, id)).unwrap();
    body.as_object_mut().unwrap().retain(|name, _| !name.ends_with("Id"));
    let number = conversation.to_string();
    for name in ["user", "conversation"] {
        body[name] = match id % 3 {
            0 => json!({ "tags": { "id": number, "seen": "1" }, "discriminateByTags": ["id"] }),
            _ => json!({ "tags": { "id": number } }),
        };
    }
    body["conversation"]["channel"] = json!("channel");
    format!("{body}\n")
}

/// The same with an id instead of the user or the conversation.
fn with_id(line: &str, name: &str, id: &str) -> String {
    let mut body: Value = serde_json::from_str(line).unwrap();
    body.as_object_mut().unwrap().remove(name);
    body[format!("{name}Id")] = json!(id);
    format!("{body}\n")
}

/// A line with ids, and one without.
const FORMS: [fn(u32, u32) -> String; 2] = [line, foreign_line];

/// The conversation and the id of a message, from its line or from its request.
fn place(body: &Value) -> (u32, u32) {
    let number = |value: &Value| value.as_str().unwrap().replace("conv_", "").parse().unwrap();
    let conversation = body.get("conversationId").unwrap_or(&body["conversation"]["tags"]["id"]);
    (number(conversation), number(&body["tags"]["id"]))
}

/// The lines of a text as `--failed` keeps them, numbered from `first`.
fn numbered(first: usize, text: &str) -> Vec<String> {
    (first..).zip(text.lines()).map(|(number, line)| format!("{number}\t{line}")).collect()
}

fn lines_of(path: &str) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// Gives ids to users and conversations. Passes each message to the test, with its waiting connection.
async fn server() -> (String, mpsc::UnboundedReceiver<(Value, TcpStream)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let request = request(&mut connection).await;
                let (head, body) = request.split_once("\r\n\r\n").unwrap();
                let body: Value = serde_json::from_str(body).unwrap();
                let mut kinds = ["user", "conversation"].into_iter();
                match kinds.find(|kind| head.contains(&format!("/{kind}s/"))) {
                    Some(kind) => {
                        let mut record = body.clone();
                        let id = body["tags"]["id"].as_str().unwrap();
                        record["id"] = json!(format!("{}_{id:0>26}", &kind[..4]));
                        record["createdAt"] = json!("2026-08-19T10:00:00.250Z");
                        record["updatedAt"] = record["createdAt"].clone();
                        record["integration"] = json!("i");
                        reply(connection, &json!({ kind: record })).await;
                    }
                    None => drop(sender.send((body, connection))),
                }
            });
        }
    });
    (url, requests)
}

/// Responds that the message is stored.
async fn confirm(connection: TcpStream) {
    reply(connection, &stored()).await;
}

async fn reply(mut connection: TcpStream, body: &Value) {
    let headers = "content-type: application/json\r\nconnection: close\r\n";
    connection.write_all(&http("200 OK", headers, &body.to_string())).await.unwrap();
}

fn spawn(import: Command) -> Child {
    let mut import = tokio::process::Command::from(import);
    import.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    import.kill_on_drop(true).spawn().unwrap()
}

#[cfg(unix)]
fn kill(import: &Child, signal: &str) {
    let id = import.id().unwrap().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
}
