//! Rejections: the errors of the API.

use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde_json::json;

use super::log::{Outcome, RecordedResponse};
use botpress_messages::ErrorType;

/// An error in the form that the API sends.
pub(super) struct Rejection {
    status: u16,
    type_: ErrorType,
    message: String,
}

pub(super) fn rejection(status: u16, type_: ErrorType, message: impl Into<String>) -> Rejection {
    Rejection { status, type_, message: message.into() }
}

impl Rejection {
    pub(super) fn response(&self) -> RecordedResponse {
        let Self { status, type_, message } = self;
        let random = fastrand::u32(..);
        let id = format!("err_{}x{random:08X}", Utc::now().format("%Y%m%d%H%M%S"));
        let body = json!({ "id": id, "code": status, "type": type_, "message": message });
        RecordedResponse::json(*status, body)
    }
}

impl From<Rejection> for Outcome {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected { status: rejection.status, reason: rejection.message }
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.response().into_response()
    }
}
