//! A wing of the house: a service of another protocol under a path of its own, behind the same door and
//! limits, and its way back in: what it asks of the house, it asks as whoever asked it.
use crate::{
    House,
    denial::Denial,
    direct::{Answered, Direct},
    hall::{Caller, Hall},
    json,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use bursar_interface::{ClaimId, Fence};
use bursar_wire as wire;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, StatusCode,
    body::Bytes,
    header::{ALLOW, CONTENT_TYPE, HeaderValue, ORIGIN},
    http::request::Parts,
    service::Service as _,
};
use hyper_util::service::TowerToHyperService;
use std::{convert::Infallible, io, sync::Arc};
use tower_service::Service;

/// Bytes of an answer that is read inside the house.
const INSIDE_BYTES_MAX: usize = 256 << 20;

/// Bytes of a refusal in a service's own words.
const REFUSAL_BYTES_MAX: usize = 4096;

/// The way back in.
#[derive(Clone)]
pub struct Inside {
    router: Router,
    direct: Arc<dyn Direct>,
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inside").finish_non_exhaustive()
    }
}

/// Why something was refused, and what would be granted in its stead.
#[derive(Clone, Debug)]
pub struct Refused {
    /// As the contract tells it.
    pub error: wire::ErrorBody,
    /// Changes that would be granted, each as a whole.
    pub offers: Vec<wire::Change>,
}

fn caller(from: &Parts) -> io::Result<Caller> {
    let caller = from.extensions.get::<Caller>().cloned();
    caller.ok_or_else(|| io::Error::other("nobody sent this request"))
}

async fn told(answered: Answered) -> Result<wire::Claim, Refused> {
    answered.await.map_err(|denial| Refused { error: denial.problem().error, offers: denial.into_offers() })
}

impl Inside {
    /// `POST /v1/claims` as whoever sent the request that `from` is the head of. Dropped, it is as if that one had
    /// left.
    ///
    /// # Errors
    /// When nobody sent `from` through this door.
    pub async fn ask(&self, from: &Parts, body: wire::AskBody) -> io::Result<Result<wire::Claim, Refused>> {
        Ok(told(self.direct.ask(caller(from)?, body)).await)
    }

    /// `POST /v1/claims/{id}/release`, in the same way.
    ///
    /// # Errors
    /// When nobody sent `from` through this door.
    pub async fn release(
        &self,
        from: &Parts,
        claim: u64,
        fence: u64,
    ) -> io::Result<Result<wire::Claim, Refused>> {
        Ok(told(self.direct.release(caller(from)?, ClaimId(claim), Fence(fence))).await)
    }

    /// Sends a request of the contract as whoever sent the one that `from` is the head of. Dropped, it is as if
    /// that one had left. Returns status and document.
    ///
    /// # Errors
    /// When nobody sent `from` through this door, or the answer breaks off.
    pub async fn request(
        &self,
        from: &Parts,
        method: &str,
        path: &str,
        body: Vec<u8>,
    ) -> io::Result<(u16, Vec<u8>)> {
        let caller = caller(from)?;
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(io::Error::other)?;
        *request.uri_mut() = path.parse().map_err(io::Error::other)?;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.extensions_mut().insert(caller);
        let router = TowerToHyperService::new(self.router.clone());
        let response = router.call(request).await.unwrap_or_else(|never: Infallible| match never {});
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), INSIDE_BYTES_MAX).collect().await;
        Ok((status, body.map_err(io::Error::other)?.to_bytes().to_vec()))
    }

    /// A number for whoever sent a request: its process where that is known, else its connection.
    pub fn caller(&self, from: &Parts) -> u64 {
        from.extensions.get::<Caller>().map_or(0, |caller| match caller.peer.pid {
            Some(pid) => u64::from(pid),
            None => caller.visit,
        })
    }
}

type Build = Box<dyn FnOnce(Inside) -> Mount + Send>;
type Mount = Box<dyn FnOnce(Router, Patience) -> Router>;

/// What of a hall's limits a wing must keep.
struct Patience {
    body: std::time::Duration,
    /// Nobody has looked at origins: over a unix socket a request has none.
    no_origin: bool,
}

/// What is to be built on.
pub struct Wing(Build);

impl Wing {
    /// A service at `path`, made with its way back in.
    pub fn new<S, B>(path: &'static str, make: impl FnOnce(Inside) -> S + Send + 'static) -> Wing
    where
        S: Service<hyper::Request<Body>, Response = hyper::Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        Wing(Box::new(move |inside| {
            let service = make(inside);
            Box::new(move |router: Router, patience: Patience| {
                let patience = Arc::new(patience);
                let answer = move |request: Request| receive(service.clone(), patience.clone(), request);
                router.route(path, any(answer))
            })
        }))
    }
}

/// The router with the wing built on, if there is one.
pub(crate) fn with_wing<H: House>(router: Router, hall: &Arc<Hall<H>>, wing: Option<Wing>) -> Router {
    let Some(Wing(build)) = wing else { return router };
    let mount = build(Inside { router: router.clone(), direct: Arc::new(hall.clone()) });
    mount(router, Patience { body: hall.limits.body, no_origin: hall.guard.is_none() })
}

/// Reads a request within the house's limits, and hands it on.
async fn receive<S, B>(mut service: S, patience: Arc<Patience>, request: Request) -> Response
where
    S: Service<hyper::Request<Body>, Response = hyper::Response<B>, Error = Infallible>,
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    if patience.no_origin && request.headers().contains_key(ORIGIN) {
        let message = "web pages are not served over this socket".to_owned();
        return Denial::of(StatusCode::FORBIDDEN, message).into_response();
    }
    let (parts, body) = request.into_parts();
    let bytes = match json::bytes(body, patience.body).await {
        Ok(bytes) => bytes,
        Err(denial) => return denial.into_response(),
    };
    let response = service.call(hyper::Request::from_parts(parts, Body::from(bytes))).await;
    refused_alike(response.unwrap_or_else(|never| match never {}).map(Body::new)).await
}

/// A refusal of the service's own that is plain text, as a refusal like any other: with its words and headers.
async fn refused_alike(response: Response) -> Response {
    let (status, kind) = (response.status(), response.headers().get(CONTENT_TYPE));
    let read = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
    if read || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let words = Limited::new(body, REFUSAL_BYTES_MAX).collect().await.map(|body| body.to_bytes());
    let words = String::from_utf8_lossy(&words.unwrap_or_default()).trim().to_owned();
    let message = if words.is_empty() { format!("the request is refused: {status}") } else { words };
    let mut told = Denial::of(status, message).into_response();
    if let Some(allow) = parts.headers.get(ALLOW) {
        told.headers_mut().insert(ALLOW, allow.clone());
    }
    told
}
