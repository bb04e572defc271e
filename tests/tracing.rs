//! What subscribers see of a call, with the feature `tracing`.

mod support;

use std::io;
use std::sync::{Arc, Mutex};

use botpress_messages::sandbox::{Fault, Sandbox};
use support::*;
use tracing::Instrument;
use tracing_subscriber::fmt::MakeWriter;

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

#[tokio::test(start_paused = true)]
async fn a_call_is_a_span_and_each_attempt_an_event() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE);
    let _guard = tracing::subscriber::set_default(subscriber.with_writer(log.clone()).finish());

    let sandbox = Sandbox::start().await.unwrap();
    let client = sandbox.client().build().unwrap();
    sandbox.fail_next([Some(Fault::Limited(3)), Some(Fault::Reset { stored: true })]);
    let message = hello().tag("private", "5ecret");
    client.get_or_create(&message).instrument(tracing::info_span!("webhook")).await.unwrap();

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let ours: Vec<_> =
        ours.filter(|event| event["target"].as_str().unwrap().starts_with("botpress")).collect();
    let fields: Vec<_> = ours.iter().map(|event| event["fields"].clone()).collect();
    let expected = [(1, Some(429), true), (2, None, true), (3, Some(200), false)];
    assert_eq!(fields.len(), expected.len(), "{log}");
    for (index, (attempt, status, waits)) in expected.into_iter().enumerate() {
        let fields = &fields[index];
        assert_eq!(fields["operation"], "get_or_create_message");
        assert_eq!((&fields["attempt"], fields["status"].as_u64()), (&attempt.into(), status));
        assert_eq!((fields["wait_ms"].is_u64(), fields["error"].is_string()), (waits, waits));
        assert_eq!(ours[index]["span"]["name"], "call");
    }
    assert_eq!(fields[0]["wait_ms"], 3000, "what the answer asks for");
    let seen = format!("{ours:?}");
    assert!(
        !seen.contains(Sandbox::TOKEN) && !seen.contains("5ecret") && !seen.contains("Hello"),
        "{seen}"
    );
}
