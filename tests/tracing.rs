//! The spans and events of a call, with the feature `tracing`.

use std::io;
use std::sync::{Arc, Mutex};

use botpress_messages::content::Text;
use botpress_messages::{Delivery, NewConversation, NewUser};
use botpress_sandbox::{Fault, Sandbox};
use serde_json::Value;
use test_support::*;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Level};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The events of this crate as JSON, in order.
async fn events(what: impl Future<Output = ()>) -> (Vec<Value>, String) {
    events_at(Level::TRACE, what).await
}

async fn events_at(level: Level, what: impl Future<Output = ()>) -> (Vec<Value>, String) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(level);
    let subscriber = subscriber.with_span_events(FmtSpan::CLOSE).with_writer(log.clone()).finish();
    what.with_subscriber(subscriber).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours = events.filter(|event| event["target"].as_str().unwrap().starts_with("botpress"));
    (ours.collect(), text)
}

#[tokio::test(start_paused = true)]
async fn a_call_is_a_span_and_each_attempt_an_event() {
    let (ours, log) = events(async {
        let sandbox = Sandbox::start().await.unwrap();
        let client = quick(sandbox.client()).build().unwrap();
        sandbox.fail_next([Some(Fault::Limited(3)), Some(Fault::Reset { stored: true })]);
        client.get_or_create(&hello().tag("private", "5ecret")).await.unwrap();
    })
    .await;
    struct Attempt {
        resend_count: u64,
        status: Option<u64>,
        waits: bool,
        text: &'static str,
    }
    let expected = [
        Attempt {
            resend_count: 0,
            status: Some(429),
            waits: true,
            text: "not stored by this attempt",
        },
        Attempt {
            resend_count: 1,
            status: None,
            waits: true,
            text: "may be stored by this attempt",
        },
        Attempt { resend_count: 2, status: Some(200), waits: false, text: "stored" },
    ];
    assert_eq!(ours.len(), expected.len() + 1, "{log}");
    for (event, attempt) in ours.iter().zip(expected) {
        let Attempt { resend_count, status, waits, text } = attempt;
        let fields = &event["fields"];
        assert_eq!(fields["message"], text);
        assert_eq!(fields["operation"], "get_or_create_message");
        assert_eq!(fields["http.request.resend_count"], resend_count);
        assert_eq!(fields["http.response.status_code"].as_u64(), status);
        assert_eq!((fields["wait_ms"].is_u64(), fields["error"].is_string()), (waits, waits));
        assert_eq!(event["span"]["bot"], Sandbox::BOT_ID);
        assert_eq!(event["span"]["conversation"], CONVERSATION);
    }
    assert_eq!(ours[0]["fields"]["wait_ms"], 3000, "what the response asks for");
    assert_eq!(ours[0]["fields"]["error.type"], "RateLimited");
    let closed = &ours[3]["span"];
    assert!(closed["id"].as_str().unwrap().starts_with("msg_"), "{closed}");
    nothing_private(&ours);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_names_its_conversation_and_a_failure_is_a_warning() {
    let (ours, log) = events(async {
        let sandbox = Sandbox::start().await.unwrap();
        let client = quick(sandbox.client()).build().unwrap();
        let message = |user: NewUser| {
            let conversation = NewConversation::new("channel").tag("id", "5ecret");
            Delivery::new(conversation, user, Text::new("Hello")).tag("id", "5ecret")
        };
        client.deliver(&message(NewUser::new().tag("id", "5ecret"))).await.unwrap();
        client.deliver(&message(NewUser::new())).await.unwrap_err();
        client.get_or_create(&hello().tag("id", "5ecret".repeat(100))).await.unwrap_err();
    })
    .await;
    let delivered = ours.iter().find(|event| event["fields"]["message"] == "close").unwrap();
    assert!(delivered["span"]["conversation"].as_str().unwrap().starts_with("conv_"), "{log}");
    assert_eq!(delivered["span"]["created"], true);
    let warnings: Vec<_> = ours.iter().filter(|event| event["level"] == "WARN").collect();
    assert_eq!(warnings.len(), 2, "{log}");
    for (warning, path) in warnings.iter().zip(["/user", "/tags/id"]) {
        assert_eq!(
            (&warning["fields"]["attempts"], &warning["fields"]["error.type"]),
            (&0.into(), &"invalid".into())
        );
        assert!(warning["fields"]["error"].as_str().unwrap().starts_with(path), "{warning}");
    }
    nothing_private(&ours);
}

/// A subscriber that filters out the spans of this crate keeps its own unchanged.
#[tokio::test]
async fn no_other_span_is_written_to() {
    let (ours, log) = events_at(Level::WARN, async {
        let sandbox = Sandbox::start().await.unwrap();
        let client = quick(sandbox.client()).build().unwrap();
        let conversation = NewConversation::new("channel").tag("id", "C05");
        let user = NewUser::new().tag("id", "U05");
        let message = Delivery::new(conversation, user, Text::new("Hello")).tag("id", "1");
        let theirs =
            tracing::warn_span!(target: "botpress_user", "theirs", conversation = "theirs");
        async {
            client.deliver(&message).await.unwrap();
            tracing::warn!(target: "botpress_user", "delivered");
        }
        .instrument(theirs)
        .await;
    })
    .await;
    assert_eq!(ours[0]["span"]["conversation"], "theirs", "{log}");
}

fn nothing_private(events: &[Value]) {
    let seen = format!("{events:?}");
    for private in [Sandbox::TOKEN, "5ecret", "Hello"] {
        assert!(!seen.contains(private), "{private}: {seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_wait_is_an_event() {
    let (ours, log) = events(async {
        let second = std::time::Duration::from_secs(1);
        let sandbox = Sandbox::builder().latency(second).requests_per_second(1);
        let sandbox = sandbox.start().await.unwrap();
        let client = quick(sandbox.client()).build().unwrap();
        let message = hello();
        let calls = [client.get_or_create(&message), client.get_or_create(&message)];
        futures_util::future::join_all(calls).await;
        for number in 0..3 {
            let user = NewUser::new().tag("id", number.to_string());
            client.get_or_create(&user).await.unwrap();
        }
    })
    .await;
    for cause in ["another call for the same record or conversation", "the rate limit"] {
        let waited = format!("waited for {cause}");
        let event = ours.iter().find(|event| event["fields"]["message"] == waited);
        let event = event.unwrap_or_else(|| panic!("{cause}: {log}"));
        assert!(event["fields"]["wait_ms"].as_u64().unwrap() > 0, "{event}");
    }
}
