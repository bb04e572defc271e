//! An answer that is no record: the API's own errors.

use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde_json::json;

use super::log::{Answer, Outcome};
use botpress_messages::ErrorType;

/// An error in the form that the API sends.
pub(super) struct Refusal {
    status: u16,
    type_: ErrorType,
    message: String,
}

pub(super) fn refusal(status: u16, type_: ErrorType, message: impl Into<String>) -> Refusal {
    Refusal { status, type_, message: message.into() }
}

impl Refusal {
    pub(super) fn answer(&self) -> Answer {
        let Self { status, type_, message } = self;
        let random = fastrand::u32(..);
        let id = format!("err_{}x{random:08X}", Utc::now().format("%Y%m%d%H%M%S"));
        let body = json!({ "id": id, "code": status, "type": type_, "message": message });
        Answer::json(*status, body)
    }
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { status: refusal.status, reason: refusal.message }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.answer().into_response()
    }
}
