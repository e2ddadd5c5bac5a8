//! What stands in a request's path: read, or denied in the same words and form as all else.
use crate::denial::Denial;
use axum::extract::{FromRequestParts, Path as Matched};
use hyper::http::request::Parts;
use serde::de::DeserializeOwned;

/// The parts of a path that a route left open.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Denial;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Path<T>, Denial> {
        match Matched::from_request_parts(parts, state).await {
            Ok(Matched(read)) => Ok(Path(read)),
            Err(error) => {
                let message =
                    format!("the path {:?} cannot be read: {}", parts.uri.path(), error.body_text());
                Err(Denial::bad(message)
                    .hint("write UTF-8 there, each byte of it as %XX where it is no letter"))
            }
        }
    }
}
