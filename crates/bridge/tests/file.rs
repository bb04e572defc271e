//! The queue in a file: guarantees that only it gives, and failures of its process or its disk.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use botpress_sandbox::{Fault, Sandbox};
use rusqlite::Connection;
use serde_json::{Value, json};
use support::{Nats, Process, Receiver, Setup, drained, eventually, figure};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(40);

fn message(number: usize, conversations: usize) -> Value {
    json!({
        "conversation": { "channel": "channel", "tags": { "id": format!("C{}", number % conversations) } },
        "user": { "tags": { "id": format!("U{}", number % conversations) } },
        "type": "text",
        "payload": { "text": number.to_string() },
        "tags": { "id": number.to_string() },
    })
}

fn numbers(sandbox: &Sandbox) -> Vec<usize> {
    let text = |payload: &Value| payload["text"].as_str().unwrap().parse().unwrap();
    sandbox.messages().iter().map(|message| text(&json!(message.payload))).collect()
}

/// Queues this number of messages with a process that only receives.
async fn queue(setup: &Setup, count: usize) {
    let (mut process, receiver) = setup.receiver().await;
    for number in 0..count {
        assert_eq!(receiver.message(&message(number, 3), None).await.0, 200);
    }
    process.terminate();
    assert_eq!(process.ended().await.0, Some(0));
}

/// Checks that each message is stored once and in order within its conversation.
fn check(sandbox: &Sandbox, count: usize) {
    let mut copies = vec![0; count];
    let mut last = BTreeMap::new();
    for message in sandbox.messages() {
        let number: usize = message.payload["text"].as_str().unwrap().parse().unwrap();
        copies[number] += 1;
        let before = last.insert(message.conversation_id, number);
        assert!(before.is_none_or(|before| before < number), "{number} came after {before:?}");
    }
    let wrong: Vec<_> = copies.iter().enumerate().filter(|(_, copies)| **copies != 1).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_process_at_a_time_can_use_the_file() {
    let (folder, sandbox) = (TempDir::new().unwrap(), Sandbox::start().await.unwrap());
    let file = folder.path().join("queue.db");
    let setup = Setup::on_file(&file, &sandbox);
    let (mut first, receiver) = setup.bridge().await;
    for command in ["run", "receive", "deliver"] {
        let (code, _, errors) = setup.run(&[command]);
        assert_eq!(code, Some(1), "{errors}");
        assert!(errors.contains("another process uses the queue"), "{errors}");
    }
    assert!(setup.dead().is_empty(), "other commands can read the file");
    assert_eq!(receiver.message(&message(1, 3), None).await.0, 200);
    for name in ["queue.db", "queue.db-wal", "queue.db.lock"] {
        let mode = fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} is private");
    }
    first.kill();
    let (_second, _) = setup.bridge().await;
    drained(&setup, SOON).await;
    assert_eq!(numbers(&sandbox), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_files_are_rejected_and_named() {
    struct Case {
        file: String,
        text: &'static str,
    }
    let (folder, sandbox) = (TempDir::new().unwrap(), Sandbox::start().await.unwrap());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let good = path("good.db");
    queue(&Setup::on_file(Path::new(&good), &sandbox), 9).await;
    let wal = fs::metadata(good.clone() + "-wal").map_or(0, |wal| wal.len());
    assert_eq!(wal, 0, "after a normal end, the file alone is complete");
    let changed = |name: &str, sql: &str| {
        let copy = path(name);
        fs::copy(&good, &copy).unwrap();
        Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
        copy
    };
    let damaged = path("damaged.db");
    fs::copy(&good, &damaged).unwrap();
    let bytes = fs::File::options().write(true).open(&damaged).unwrap();
    bytes.write_all_at(&[0xff; 4_096], 4_096).unwrap();
    let text = path("text.db");
    fs::write(&text, "a text ".repeat(1_000)).unwrap();
    let cut_off = path("cut-off.db");
    fs::write(&cut_off, &fs::read(&good).unwrap()[..5_000]).unwrap();
    let cases = [
        // Not even root can create a file there.
        Case { file: "/proc/queue.db".to_owned(), text: "No such file" },
        Case { file: path("missing/queue.db"), text: "No such file" },
        Case { file: folder.path().display().to_string(), text: "Is a directory" },
        Case { file: damaged, text: "it is damaged" },
        Case { file: cut_off, text: "it is damaged" },
        Case { file: text, text: "it is damaged, or not a queue" },
        Case {
            file: changed("older.db", "PRAGMA user_version = 0"),
            text: "it has version 0, but this program needs version 1",
        },
        Case {
            file: changed("newer.db", "PRAGMA user_version = 2"),
            text: "it has version 2, but this program needs version 1",
        },
        Case {
            file: changed("other.db", "PRAGMA application_id = 7"),
            text: "it is not a queue of the bridge",
        },
    ];
    for Case { file, text } in cases {
        let (code, _, errors) = Setup::on_file(Path::new(&file), &sandbox).run(&["run"]);
        assert_eq!(code, Some(2), "{file}: {errors}");
        assert!(
            errors.contains(&format!("the queue {file} (BRIDGE_FILE) cannot be used")),
            "{errors}"
        );
        assert!(errors.contains(text), "{file}: {errors}");
    }
    let (code, _, errors) =
        Setup::on_file(&folder.path().join("none.db"), &sandbox).run(&["dead", "list"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(!folder.path().join("none.db").exists(), "reading creates no file");
}

/// A webhook that cannot be written gets a 503, and no confirmed webhook is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_rejects_webhooks_with_503() {
    let (folder, sandbox) = (TempDir::new().unwrap(), Sandbox::start().await.unwrap());
    let file = folder.path().join("queue.db");
    let setup = Setup::on_file(&file, &sandbox);
    // Limits files to 400 or 800 KB, depending on the shell. A write beyond that fails.
    let limited = |command: Command| {
        let mut limited = Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; ulimit -f 800; exec \"$@\"", "sh"]);
        limited.arg(command.get_program()).args(command.get_args()).env_clear();
        limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        limited
    };
    let long = |number| {
        let mut message = message(number, 3);
        message["payload"]["text"] = json!(number.to_string());
        message["payload"]["more"] = json!("x".repeat(9_000));
        message
    };
    let (mut process, receiver) = setup.listening_with(&["receive"], limited).await;
    let mut taken = 0;
    loop {
        assert!(taken < 500, "the disk has not become full");
        match receiver.message(&long(taken), None).await.0 {
            200 => taken += 1,
            503 => break,
            status => panic!("{status}"),
        }
    }
    assert!(taken > 5, "{taken}");
    assert_eq!(receiver.message(&long(taken), None).await.0, 503);
    let log = process.log();
    assert!(log.contains("a webhook is not stored"), "{log}");
    process.kill();

    let (_bridge, receiver) = setup.bridge().await;
    assert_eq!(receiver.message(&long(taken), None).await, (200, "stored".to_owned()));
    drained(&setup, SOON).await;
    check(&sandbox, taken + 1);
}

/// Waiting messages do not depend on the machine's clock.
#[tokio::test(flavor = "multi_thread")]
async fn clock_changes_do_not_delay_deliveries() {
    let (folder, sandbox) = (TempDir::new().unwrap(), Sandbox::start().await.unwrap());
    let file = folder.path().join("queue.db");
    let setup = Setup::on_file(&file, &sandbox);
    queue(&setup, 9).await;
    let century = 100 * 365 * 86_400_000_i64;
    let sql = "UPDATE messages SET received = received + ? * (sequence % 3 - 1)";
    Connection::open(&file).unwrap().execute(sql, [century]).unwrap();
    let (_bridge, _) = setup.bridge().await;
    drained(&setup, SOON).await;
    check(&sandbox, 9);
    assert_eq!(figure(&setup.metrics, "bridge_queue_age_seconds").await, Some(0.0));
}

/// A backup is complete, even while a process uses the file.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_can_be_made_while_the_file_is_in_use() {
    let (folder, sandbox) = (TempDir::new().unwrap(), Sandbox::start().await.unwrap());
    let setup = Setup::on_file(&folder.path().join("queue.db"), &sandbox);
    let (_process, receiver) = setup.receiver().await;
    for number in 0..9 {
        assert_eq!(receiver.message(&message(number, 3), None).await.0, 200);
    }
    let copy = folder.path().join("copy.db");
    let arguments = ["backup", copy.to_str().unwrap()];
    let (code, _, errors) = setup.run(&arguments);
    assert_eq!(code, Some(0), "{errors}");
    let (code, _, errors) = setup.run(&arguments);
    assert_eq!(code, Some(1), "a file is never overwritten: {errors}");
    assert!(errors.contains("File exists"), "{errors}");
    let mode = fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "it is private");
    let copied = Setup::on_file(&copy, &sandbox);
    let (_bridge, _) = copied.bridge().await;
    drained(&copied, SOON).await;
    check(&sandbox, 9);
}

/// Messages that were moved to NATS are delivered once and in order, even if they are moved twice.
#[tokio::test(flavor = "multi_thread")]
async fn queued_messages_can_be_moved_to_nats() {
    let Some(nats) = Nats::start().await else { return };
    let (folder, sandbox) = (TempDir::new().unwrap(), Sandbox::start().await.unwrap());
    let file = folder.path().join("queue.db");
    let setup = Setup::on_file(&file, &sandbox);
    let rejected = Fault::Error { status: 400, stored: false };
    sandbox.fail_next([None, None, Some(rejected)]);
    let (mut bridge, receiver) = setup.bridge().await;
    let mut dead = message(1_000, 1);
    dead["tags"]["id"] = json!("dead");
    assert_eq!(receiver.message(&dead, None).await.0, 200);
    drained(&setup, SOON).await;
    bridge.terminate();
    assert_eq!(bridge.ended().await.0, Some(0));
    queue(&setup, 250).await;
    // A copy from before the move: moving it simulates a move that was interrupted before the file recorded it.
    let copy = folder.path().join("copy.db");
    assert_eq!(setup.run(&["backup", copy.to_str().unwrap()]).0, Some(0));

    let (code, _, errors) = setup.run(&["move"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("set NATS_URL"), "{errors}");
    let to_nats = setup.with("NATS_URL", nats.url());
    let said = [
        "messages moved: 250, of which NATS had 0 before; dead letters moved: 1\n",
        "messages moved: 0, of which NATS had 0 before; dead letters moved: 0\n",
    ];
    for said in said {
        let (code, output, errors) = to_nats.run(&["move"]);
        assert_eq!((code, &*output), (Some(0), said), "{errors}");
    }
    let again = to_nats.clone().with("BRIDGE_FILE", copy.display());
    let said = "messages moved: 250, of which NATS had 250 before; dead letters moved: 1\n";
    let (code, output, errors) = again.run(&["move"]);
    assert_eq!((code, &*output), (Some(0), said), "{errors}");
    assert_eq!(to_nats.dead().len(), 1);
    assert_eq!(to_nats.dead()[0]["message"], dead);
    let (_bridge, receiver) = to_nats.bridge().await;
    // NATS recognises the event that came from the file.
    let known = receiver.message(&message(7, 3), None).await;
    assert_eq!(known, (200, "stored before".to_owned()));
    drained(&to_nats, SOON).await;
    check(&sandbox, 250);
}

/// Whenever the process is killed, no confirmed message is lost, stored twice or stored out of order.
#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing() {
    kill_under_load(3, 600).await;
}

///     cargo test -p botpress-bridge --release --test file -- --ignored --nocapture many_kills
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute"]
async fn many_kills_lose_nothing() {
    kill_under_load(20, 20_000).await;
}

async fn kill_under_load(kills: usize, webhooks: usize) {
    const CONVERSATIONS: usize = 60;
    let folder = TempDir::new().unwrap();
    let sandbox = Sandbox::builder().storm(7, 0.02).latency(Duration::from_millis(5));
    let sandbox = sandbox.start().await.unwrap();
    let setup =
        Setup::on_file(&folder.path().join("queue.db"), &sandbox).with("BRIDGE_LOG", "error");
    let port = support::free_port();
    let setup = setup.with("BRIDGE_LISTEN", format!("127.0.0.1:{port}"));
    let start = Instant::now();
    let (mut bridge, receiver) = setup.bridge().await;
    let mut sending = JoinSet::new();
    for task in 0..20 {
        let receiver = receiver.clone();
        sending.spawn(async move {
            for number in (0..webhooks).filter(|number| number % CONVERSATIONS % 20 == task) {
                // Send only half of them twice: a repetition would hide that the first one was lost.
                for _ in 0..=number / CONVERSATIONS % 2 {
                    insist(&receiver, &message(number, CONVERSATIONS)).await;
                }
            }
        });
    }
    for kill in 1..=kills {
        let progress = kill * webhooks / (kills + 1);
        eventually("more are stored", 3 * SOON, async || sandbox.messages().len() >= progress)
            .await;
        bridge.kill();
        (bridge, _) = setup.bridge().await;
    }
    sending.join_all().await;
    drained(&setup, 3 * SOON).await;
    check(&sandbox, webhooks);
    assert!(setup.dead().is_empty());
    println!(
        "{webhooks} webhooks, half of them sent twice, {kills} kills, in {:.0?}",
        start.elapsed()
    );
}

/// Sends a message until it is accepted.
async fn insist(receiver: &Receiver, message: &Value) {
    loop {
        match receiver.message(message, None).await.0 {
            200 => return,
            // The bridge is not running at the moment.
            0 | 503 => sleep(Duration::from_millis(50)).await,
            status => panic!("{status}"),
        }
    }
}

/// Figures for the README: webhooks and deliveries per second, and memory.
///
///     cargo test -p botpress-bridge --release --test file -- --ignored --nocapture figures
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn figures() {
    let folder = TempDir::new().unwrap();
    let sandbox = Sandbox::builder().latency(Duration::from_millis(10)).start().await.unwrap();
    let setup = Setup::on_file(&folder.path().join("queue.db"), &sandbox);
    let setup = setup.with("BRIDGE_LOG", "error").with("BRIDGE_DEADLINE", 20);
    let (mut process, receiver) = setup.receiver().await;
    println!("receiving: {} KiB with nothing queued", memory(&process));
    for (webhooks, tasks) in [(1_000, 1), (9_000, 16), (90_000, 64)] {
        let (start, mut sending) = (Instant::now(), JoinSet::new());
        for task in 0..tasks {
            let receiver = receiver.clone();
            sending.spawn(async move {
                for number in (0..webhooks).filter(|number| number % tasks == task) {
                    insist(&receiver, &message(number * 100 + tasks, 640)).await;
                }
            });
        }
        sending.join_all().await;
        let rate = webhooks as f64 / start.elapsed().as_secs_f64();
        println!("{tasks} senders: {rate:.0} webhooks per second");
    }
    println!("receiving: {} KiB with 100,000 queued", memory(&process));
    process.terminate();
    assert_eq!(process.ended().await.0, Some(0));
    let process = setup.worker();
    // The sandbox copies its messages to count them, so do not count too often.
    let stored = async |at_least| {
        while sandbox.messages().len() < at_least {
            sleep(Duration::from_secs(1)).await;
        }
        sandbox.messages().len()
    };
    let first = stored(2_000).await;
    println!("delivering: {} KiB with 98,000 queued", memory(&process));
    let start = Instant::now();
    let rate = (stored(14_000).await - first) as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} deliveries per second, {} KiB", memory(&process));
}

/// The memory that a process uses, in KiB.
fn memory(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
