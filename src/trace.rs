//! The span and the events of a call. Without the feature `tracing`, they compile to nothing.
//!
//! Names follow OpenTelemetry's conventions for HTTP clients where these have one. Never shown: the token, and what a
//! message says.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

use std::pin::Pin;
use std::time::Duration;

use crate::attempt::Stored;
use crate::error::{Error, ErrorKind};

/// Makes a call in its own span, and reports how it ended.
pub(crate) async fn call<T>(
    operation: &'static str,
    bot: &str,
    conversation: Option<&str>,
    id: fn(&T) -> &str,
    call: Pin<&mut impl Future<Output = Result<Stored<T>, Error>>>,
) -> Result<Stored<T>, Error> {
    #[cfg(feature = "tracing")]
    let span = tracing::info_span!(
        "botpress",
        otel.kind = "client",
        http.request.method = "POST",
        operation,
        bot,
        conversation,
        id = tracing::field::Empty,
        created = tracing::field::Empty,
    );
    #[cfg(feature = "tracing")]
    let call = tracing::Instrument::instrument(call, span.clone());
    let result = call.await;
    #[cfg(feature = "tracing")]
    match &result {
        Ok(Stored { record, created, .. }) => {
            span.record("id", id(record));
            span.record("created", created);
        }
        Err(error) => span.in_scope(|| {
            let kind = error.kind();
            tracing::warn!(
                step = error.step(),
                attempts = error.attempts(),
                maybe_stored = error.maybe_stored(),
                error.type = kind.name(),
                error = words(kind),
                "failed",
            );
        }),
    }
    result
}

/// Records the conversation of a delivery, once its id is known.
pub(crate) fn conversation(id: &str) {
    #[cfg(feature = "tracing")]
    {
        let span = tracing::Span::current();
        // If our span is disabled, the current one is somebody else's.
        if span.metadata().is_some_and(|span| span.target() == module_path!()) {
            span.record("conversation", id);
        }
    }
}

/// Reports how an attempt ended, and how long the call waits for the next one.
pub(crate) fn attempt(
    operation: &'static str,
    attempt: u32,
    error: Option<&ErrorKind>,
    wait: Option<Duration>,
) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        operation,
        http.request.resend_count = attempt.saturating_sub(1),
        http.response.status_code =
            error.map_or(Some(200), |error| error.status().map(|status| status.as_u16())),
        error.type = error.map(ErrorKind::name),
        error = error.map(words),
        wait_ms = wait.map(|wait| wait.as_millis() as u64),
        "{}",
        match error {
            None => "stored",
            Some(error) if error.maybe_stored() => "may be stored by this attempt",
            Some(_) => "not stored by this attempt",
        },
    );
}

/// Waits, and reports what for and how long, unless it took less than a millisecond.
pub(crate) async fn wait<T>(what: &'static str, wait: Pin<&mut impl Future<Output = T>>) -> T {
    #[cfg(feature = "tracing")]
    let since = tokio::time::Instant::now();
    let result = wait.await;
    #[cfg(feature = "tracing")]
    match since.elapsed().as_millis() as u64 {
        0 => {}
        wait_ms => tracing::debug!(wait_ms, "waited for {what}"),
    }
    result
}

/// An error without the values of the request, which a violation shows.
#[cfg(feature = "tracing")]
fn words(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Invalid(violations) => {
            let words = violations.iter().map(|v| format!("{} {}", v.path, v.rule));
            words.collect::<Vec<_>>().join("; ")
        }
        kind => kind.to_string(),
    }
}
