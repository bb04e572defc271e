//! An answer that is no record: the API's own errors.

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use http::header::ALLOW;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use ulid::Ulid;

use crate::generated::types::ErrorType;

/// An error in the form that the API sends.
pub(super) struct Refusal {
    status: u16,
    type_: ErrorType,
    message: String,
}

pub(super) fn refusal(status: u16, type_: ErrorType, message: impl Into<String>) -> Refusal {
    Refusal { status, type_, message: message.into() }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, type_, message } = self;
        let random = Ulid::generate().random() as u32;
        let id = format!("err_{}x{random:08X}", Utc::now().format("%Y%m%d%H%M%S"));
        let body = json!({ "id": id, "code": status, "type": type_, "message": message });
        let mut response = (code(status), Json(body)).into_response();
        if status == 405 {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

pub(super) fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
