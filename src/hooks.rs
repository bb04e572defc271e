//! What the generated client does not do: the headers of a request, and an answer that can be told.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use progenitor_client::{ClientHooks, ClientInfo, OperationInfo};

use crate::client::Settings;
use crate::error::BoxError;
use crate::generated;

/// What the hooks of the generated client need to know of a call, and what they learn of it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) settings: Arc<Settings>,
    pub(crate) timeout: Duration,
    pub(crate) answer: Arc<OnceLock<Answer>>,
    /// Set once the body is asked for, which takes a connection.
    pub(crate) sent: Arc<AtomicBool>,
}

/// What came back from the server, as far as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Why the body ends early, or is not to be trusted.
    pub(crate) broken: Option<BoxError>,
}

impl ClientHooks<Call> for generated::Client {
    /// Puts the headers right, and has the body watched.
    async fn pre<E>(
        &self,
        request: &mut reqwest::Request,
        _: &OperationInfo,
    ) -> Result<(), generated::Error<E>> {
        // The generator's own, which the contract does not know.
        request.headers_mut().remove("api-version");
        request.headers_mut().extend(self.inner().settings.headers.clone());
        *request.timeout_mut() = Some(self.inner().timeout);
        if let Some(body) = request.body_mut().take() {
            let watched = Watched { body, sent: Arc::clone(&self.inner().sent) };
            *request.body_mut() = Some(reqwest::Body::wrap(watched));
        }
        Ok(())
    }

    /// Reads the answer to its end or as far as it comes, and keeps it: what is decoded from it
    /// later, or fails to be, has neither status nor headers any more.
    async fn exec(
        &self,
        request: reqwest::Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        let url = request.url().clone();
        let mut response = self.client().execute(request).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let broken = match *response.url() == url {
            true => read(&mut response, &mut body).await.err(),
            false => Some("the HTTP client followed a redirect: another server answers".into()),
        };
        let mut replayed = http::Response::new(body.clone());
        *replayed.status_mut() = status;
        *replayed.headers_mut() = headers.clone();
        let answer = Answer { status, headers, body, broken };
        // Each call executes one request, so the place is free.
        let _ = self.inner().answer.set(answer);
        Ok(replayed.into())
    }
}

/// Adds to `body` what comes of the answer, to its end if it has one.
async fn read(response: &mut reqwest::Response, body: &mut Vec<u8>) -> Result<(), BoxError> {
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST_ANSWER {
            return Err(format!("the answer is longer than {LONGEST_ANSWER} bytes").into());
        }
    }
    Ok(())
}

/// No answer of the API comes near this: a message's payload may have 128 KB.
const LONGEST_ANSWER: usize = 8 << 20;

/// A body that tells when it is asked for. It cannot be sent twice, so an attempt is one request.
struct Watched {
    body: reqwest::Body,
    sent: Arc<AtomicBool>,
}

impl http_body::Body for Watched {
    type Data = <reqwest::Body as http_body::Body>::Data;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        self.sent.store(true, Ordering::Relaxed);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
