//! What the gate itself answers, in the shape that the provider's own refusals have: clients read those.
use crate::config::Shape;
use bursar_wire::ErrorBody;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    Response, StatusCode,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde_json::json;
use std::io;

/// What goes back to a caller.
pub(crate) type Reply = Response<BoxBody<Bytes, io::Error>>;

/// A refusal of the gate's own.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    /// A word of the contract, or of the provider.
    pub(crate) kind: String,
    pub(crate) message: String,
    /// Seconds.
    pub(crate) retry_after: Option<u64>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Refused {
        let kind = match status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND => "invalid_request_error",
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
            _ => "api_error",
        };
        Refused { status, kind: kind.into(), message: message.into(), retry_after: None }
    }

    /// What the daemon refused. What is spent is a refusal that comes back by itself, or a matter of rights.
    pub(crate) fn of(error: &ErrorBody) -> Refused {
        let status = match error.reason.as_str() {
            "NeverFits" | "BadRequest" | "UnknownResource" => StatusCode::BAD_REQUEST,
            "Forbidden" => StatusCode::FORBIDDEN,
            "StorageFull" => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::TOO_MANY_REQUESTS,
        };
        let retry_after = error.retry_after_ms.map(|after| after.div_ceil(1000).max(1));
        Refused { retry_after, ..Refused::new(status, format!("bursar: {error}")) }
    }

    /// As the provider would say it.
    pub(crate) fn reply(&self, shape: Option<Shape>) -> Reply {
        let error = json!({ "type": self.kind, "message": self.message });
        let body = match shape {
            Some(Shape::Openai) => json!({ "error": { "code": null, "param": null, "type": self.kind,
                "message": self.message } }),
            _ => json!({ "type": "error", "error": error }),
        };
        let body = Full::from(body.to_string()).map_err(|never| match never {}).boxed();
        let mut reply = Response::new(body);
        *reply.status_mut() = self.status;
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(after) = self.retry_after {
            reply.headers_mut().insert(RETRY_AFTER, after.into());
        }
        reply
    }
}
