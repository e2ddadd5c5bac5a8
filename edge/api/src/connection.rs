//! One connection from its first byte to its last: HTTP/1.1 under a clock, with a net under each
//! request.
use crate::{
    House, audit,
    denial::Denial,
    guard::Admitted,
    hall::{Caller, Hall},
    limits,
    pulse::{Answering, Metered, Pulse},
    stream::Stream,
};
use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use hyper::{
    Method, Request, StatusCode,
    body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint},
    header::{ACCEPT, CONNECTION, EXPECT, HeaderMap, HeaderValue, TRANSFER_ENCODING},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, sleep_until};

/// How a peer is received.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// It may stay, and ask for anything.
    Seated,
    /// The house is full: one request, to see what fills it or to make room.
    Brief,
}

/// Serves a connection until the peer leaves, a deadline passes, or the hall closes.
pub(crate) async fn converse<H, S>(
    hall: Arc<Hall<H>>,
    router: Router,
    caller: Caller,
    stream: S,
    visit: Visit,
) where
    H: House,
    S: Stream,
{
    let pulse = Pulse::new(hall.limits.clone());
    let stream = TokioIo::new(Metered::new(stream, pulse.clone()));
    let until = Instant::now() + hall.limits.lifetime;
    let service = service_fn(|request| {
        let answering = pulse.busy(waits(&request));
        answer(&hall, &router, &caller, (visit, until), answering, request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .max_headers(limits::HEADERS_MAX)
            .max_buf_size(limits::HEADER_BYTES_MAX)
            // The pulse times headers, together with everything else.
            .header_read_timeout(None)
            .serve_connection(stream, service)
    );
    let mut leave = pin!(hall.closing());
    let mut alarm = pin!(sleep_until(Instant::now()));
    let mut leaving = false;
    poll_fn(|cx| {
        if !leaving && leave.as_mut().poll(cx).is_ready() {
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return {
                let _: () = ended.unwrap_or_else(|error| tracing::debug!(%error, "a connection broke"));
                Poll::Ready(())
            };
        }
        // Asked anew at each turn, because the turn may have moved it.
        let Some(deadline) = pulse.deadline() else { return Poll::Pending };
        alarm.as_mut().reset(deadline);
        ready!(alarm.as_mut().poll(cx));
        tracing::debug!(uid = caller.peer.uid, "a connection was cut: its peer took too long");
        Poll::Ready(())
    })
    .await;
}

async fn answer<H: House>(
    hall: &Hall<H>,
    router: &Router,
    caller: &Caller,
    (visit, until): (Visit, Instant),
    answering: Answering,
    mut request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    // Nobody here looks for the end of chunks but hyper, so nothing after them is read as a request.
    let chunked = request.headers().contains_key(TRANSFER_ENCODING);
    let admitted = hall
        .guard
        .as_ref()
        .map(|guard| guard.admit(request.method(), request.uri().path(), request.headers()))
        .transpose();
    let mut response = match admitted {
        Ok(_) if visit == Visit::Brief && !relieves(&request) => {
            turned_away(hall, &request, Denial::full_house())
        }
        Ok(_) if let Some(unmet) = unmet(request.headers()) => turned_away(hall, &request, unmet),
        Ok(admitted) => {
            let mut caller = caller.clone();
            if let Some(Admitted { other, token }) = admitted {
                caller.token = Some(token);
                if let Some((peer, principal)) = other {
                    (caller.peer, caller.principal) = (peer, principal);
                }
            }
            request.extensions_mut().insert(caller);
            let router = TowerToHyperService::new(router.clone());
            let called = unpanicked(router.call(request)).await;
            called.map_or_else(
                || Denial::bug().into_response(),
                |response| response.unwrap_or_else(|never| match never {}),
            )
        }
        Err(denial) => turned_away(hall, &request, denial),
    };
    // Told with an answer, and not at any moment: who asks just then would find the connection reset.
    if visit == Visit::Brief || chunked || Instant::now() >= until {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Answer { body, _answering: answering }))
}

/// What a request expects beyond being heard to its end, which nobody here can do (RFC 9110, 10.1.1).
fn unmet(headers: &HeaderMap) -> Option<Denial> {
    let mut expected = headers.get_all(EXPECT).iter();
    let other = expected.find(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue"))?;
    let other = String::from_utf8_lossy(other.as_bytes());
    let message = format!("the expectation {other:?} cannot be met");
    // What would have come is not waited for.
    Some(
        Denial::of(StatusCode::EXPECTATION_FAILED, message)
            .hint("send 'Expect: 100-continue', or no Expect header")
            .closing(),
    )
}

/// The answer to one who does not get past the door.
fn turned_away<H: House>(hall: &Hall<H>, request: &Request<Incoming>, denial: Denial) -> Response<Body> {
    let response = denial.into_response();
    audit::turned_away(hall, request.method(), request.uri().path(), &response);
    response
}

/// Whether a request looks at the house or makes room in it.
fn relieves(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    match *request.method() {
        Method::GET => path.starts_with("/v1/"),
        Method::POST => path.ends_with("/cancel") || path.ends_with("/release"),
        _ => false,
    }
}

/// Whether a request may be answered late, so that its answer is given up if nobody is left to hear it. What gives back or
/// only looks is carried out in any case.
fn waits(request: &Request<Incoming>) -> bool {
    const SOON: [&str; 4] = ["/release", "/cancel", "/renew", "/settle"];
    let (method, uri) = (request.method(), request.uri());
    let streams = |accept: &HeaderValue| accept.as_bytes().windows(12).any(|part| part == b"event-stream");
    uri.query().is_some_and(|query| query.contains("wait"))
        || request.headers().get_all(ACCEPT).iter().any(streams)
        || *method == Method::POST && !SOON.iter().any(|last| uri.path().ends_with(last))
}

/// The outcome of a future, or `None` if it panicked: that costs one request, not the daemon.
async fn unpanicked<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// A body that keeps the connection's clock from running while it is on its way.
struct Answer {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
