//! One call from end to end: who asks, what it may cost, a place in line, and the way there and back.
use crate::{
    answer::{Refused, Reply},
    cascade::Verdict,
    config::{Fail, Shape},
    daemon::Failed,
    door::Gate,
    estimate::Asked,
    limits::{ATTEMPTS_MAX, BODIES_BYTES_MAX, BODY_BYTES_MAX, BODY_TIME, PATIENCE},
    quota_headers::{limits, refused},
    route::{Cost, Route},
    settle::Ticket,
    sse::Events,
    tap::{Charge, Reader, Tap},
    terms::Model,
    usage::{Told, Usage},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::{Body, Bytes, Incoming},
    header::{self, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue},
    http::request::Parts,
};
use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until, timeout},
};

/// Headers between two neighbours, and those that are the gate's own business.
const NOT_PASSED: [HeaderName; 10] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::CONTENT_LENGTH,
    // A usage that is packed cannot be read.
    header::ACCEPT_ENCODING,
];

/// Whoever asks, and for what.
struct Asker {
    method: Method,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
    scope: String,
    charge: Charge,
    /// Keeps room for the body.
    _room: OwnedSemaphorePermit,
}

/// Answers one call.
pub(crate) async fn call(gate: Arc<Gate>, request: Request<Incoming>) -> Reply {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let route = match Route::find(&gate.terms, request.method(), &path) {
        Ok(route) => route,
        Err(why) => return Refused::new(StatusCode::NOT_FOUND, why).reply(None),
    };
    let shape = route.provider.shape;
    match pass(&gate, &route, request).await {
        Ok(reply) => reply,
        Err(refused) => {
            tracing::debug!(provider = route.provider.name, status = refused.status.as_u16(), "refused");
            refused.reply(Some(shape))
        }
    }
}

async fn pass(gate: &Arc<Gate>, route: &Route<'_>, request: Request<Incoming>) -> Result<Reply, Refused> {
    let scope = gate.scope(route.scope, request.headers())?;
    if route.cost == Cost::Unmeasured {
        let what = "the gate cannot measure what this costs, so it does not pass; call the provider itself";
        return Err(Refused::new(StatusCode::FORBIDDEN, what));
    }
    let (Parts { method, headers, .. }, body) = request.into_parts();
    let (body, room) = read(&gate.bodies, body).await?;
    let uri = aim(&route.provider.url, route.path)?;
    let bad = |why: String| Refused::new(StatusCode::BAD_REQUEST, why);
    let asked = match route.cost {
        Cost::Metered => Some(Asked::read(route.provider.shape, &body, gate.terms.by).map_err(bad)?),
        _ => None,
    };
    let charge = Charge {
        terms: gate.terms.clone(),
        provider: route.provider.name.clone(),
        model: asked.as_ref().map(|asked| asked.model.clone()).unwrap_or_default(),
        shape: route.provider.shape,
    };
    let asker = Asker { method, headers: passed(headers), uri, body, scope, charge, _room: room };
    match asked {
        None => {
            forward(gate, &asker).await.map(|answer| back(answer, Instant::now() + gate.terms.call, None))
        }
        Some(asked) => metered(gate, &asker, &asked).await,
    }
}

/// A call that costs something: a lease, the call, and once more from the start where the provider would not
/// have it now.
async fn metered(gate: &Arc<Gate>, asker: &Asker, asked: &Asked) -> Result<Reply, Refused> {
    let Some(model) = asker.charge.model() else {
        let why = format!("model {:?} has no price here; name it as [[gate.model]]", short(&asked.model));
        return Err(Refused::new(StatusCode::FORBIDDEN, why));
    };
    if !model.bounds(asked) {
        let why = format!(
            "the call reads what it does not hold (files, documents, earlier turns, the provider's own tools): say how \
             much {:?} can read as max-input of its [[gate.model]]",
            short(&asked.model)
        );
        return Err(Refused::new(StatusCode::FORBIDDEN, why));
    }
    let patience = Instant::now() + gate.terms.wait;
    for attempt in 1.. {
        let Some(mut ticket) = reserve(gate, asker, model, asked, patience).await? else {
            let answer = forward(gate, asker).await?;
            return Ok(back(answer, Instant::now() + gate.terms.call, None));
        };
        hold(model, patience).await;
        let sent = Instant::now();
        // From here on the provider may have begun.
        ticket.unknown();
        let nothing = model.used(asker.charge.shape, &Usage::default());
        let answer = match forward(gate, asker).await {
            Ok(answer) => answer,
            Err(refused) => {
                if refused.status == UNREACHED {
                    ticket.known(nothing);
                }
                return Err(refused);
            }
        };
        let (status, now) = (answer.status(), Instant::now());
        let Some(pause) = refused(status, answer.headers()) else {
            calibrate(gate, model, asker.charge.shape, answer.headers());
            let reader = reader(asker.charge.shape, &answer);
            let until = sent + gate.terms.call;
            if status.is_client_error() {
                ticket.known(nothing);
                return Ok(back(answer, until, None));
            }
            return Ok(back(answer, until, Some((reader, asker.charge.clone(), ticket))));
        };
        ticket.known(nothing);
        drop(ticket);
        let verdict = model.cascade.refused(sent, now, pause);
        if verdict == Verdict::Cut && gate.terms.calibrate {
            gate.keeper.cut(&model.cascade, pause).await;
        }
        if attempt >= ATTEMPTS_MAX || now + pause >= patience {
            return Ok(back(answer, now + gate.terms.call, None));
        }
    }
    unreachable!("the attempts are counted")
}

/// A lease for the call; `None` where the daemon is away and calls pass for that long.
async fn reserve(
    gate: &Arc<Gate>,
    asker: &Asker,
    model: &Model,
    asked: &Asked,
    patience: Instant,
) -> Result<Option<Ticket>, Refused> {
    let wait = patience.saturating_duration_since(Instant::now());
    // It may stand in line, be held back for a pause, and then take as long as a call may.
    let ttl = wait + gate.terms.call + PATIENCE;
    match gate.daemon.ask(&asker.scope, model.lines(asked), wait, ttl).await {
        Ok(lease) => {
            let unused = model.unused();
            Ok(Some(Ticket::new(lease, unused, gate.till.clone())))
        }
        Err(Failed::Refused(error)) => Err(Refused::of(&error)),
        Err(Failed::Away) if gate.terms.fail == Fail::Open => {
            tracing::warn!(model = model.name, "no daemon answers: a call passes unmetered");
            Ok(None)
        }
        Err(Failed::Away) => {
            let why = "bursar: no daemon answers, and [gate] fail is \"closed\"";
            Err(Refused { retry_after: Some(1), ..Refused::new(StatusCode::SERVICE_UNAVAILABLE, why) })
        }
    }
}

/// Waits as long as the provider wants everybody to, but not beyond the caller's patience.
async fn hold(model: &Model, patience: Instant) {
    while let Some(until) = model.cascade.until(Instant::now()) {
        sleep_until(until.min(patience)).await;
        if until >= patience {
            return;
        }
    }
}

fn calibrate(gate: &Arc<Gate>, model: &Model, shape: Shape, headers: &HeaderMap) {
    let (told, now) = (limits(shape, headers), Instant::now());
    if gate.terms.calibrate && model.cascade.is_news(told, now) {
        let (keeper, cascade) = (gate.keeper.clone(), model.cascade.clone());
        tokio::spawn(async move { keeper.answered(&cascade, told, now).await });
    }
}

/// Where an answer's usage stands.
fn reader(shape: Shape, answer: &Response<Incoming>) -> Reader {
    let headers = answer.headers();
    let packed = headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim() {
        _ if packed => Reader::Nowhere,
        "text/event-stream" => Reader::Stream(Events::default(), Told::new(shape)),
        "application/json" => Reader::Document(Vec::new()),
        _ => Reader::Nowhere,
    }
}

fn back(answer: Response<Incoming>, until: Instant, metered: Option<(Reader, Charge, Ticket)>) -> Reply {
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::CONNECTION);
    parts.headers.remove(header::TRANSFER_ENCODING);
    Response::from_parts(parts, Tap::new(body, until, metered).boxed())
}

/// A connection that did not come about: nothing was sent.
const UNREACHED: StatusCode = StatusCode::BAD_GATEWAY;

async fn forward(gate: &Gate, asker: &Asker) -> Result<Response<Incoming>, Refused> {
    let mut request = Request::new(Full::from(asker.body.clone()));
    *request.method_mut() = asker.method.clone();
    *request.uri_mut() = asker.uri.clone();
    *request.headers_mut() = asker.headers.clone();
    match timeout(gate.terms.call, gate.upstream.request(request)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let status = if error.is_connect() { UNREACHED } else { StatusCode::GATEWAY_TIMEOUT };
            let what = if error.is_connect() { "cannot be reached" } else { "broke off" };
            // The error's own words have addresses, never headers.
            tracing::debug!(provider = asker.charge.provider, what, "no answer");
            Err(Refused::new(status, format!("bursar: provider {} {what}", asker.charge.provider)))
        }
        Err(_) => Err(Refused::new(
            StatusCode::GATEWAY_TIMEOUT,
            format!("bursar: provider {} did not answer in time", asker.charge.provider),
        )),
    }
}

/// The whole body, and its room among all bodies.
async fn read(bodies: &Arc<Semaphore>, body: Incoming) -> Result<(Bytes, OwnedSemaphorePermit), Refused> {
    let too_long = || {
        let why = format!("the body is longer than {BODY_BYTES_MAX} bytes");
        Refused::new(StatusCode::PAYLOAD_TOO_LARGE, why)
    };
    let most = body.size_hint().upper().unwrap_or(BODY_BYTES_MAX as u64);
    let room =
        u32::try_from(most).ok().filter(|&most| most as usize <= BODY_BYTES_MAX).ok_or_else(too_long)?;
    let room = bodies.clone().try_acquire_many_owned(room).map_err(|_| {
        let why = format!("bursar: calls in flight have {BODIES_BYTES_MAX} bytes already");
        Refused { retry_after: Some(1), ..Refused::new(StatusCode::TOO_MANY_REQUESTS, why) }
    })?;
    match timeout(BODY_TIME, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok((body.to_bytes(), room)),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(_)) => Err(Refused::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// The provider's address of a path.
fn aim(url: &Uri, path: &str) -> Result<Uri, Refused> {
    let base = url.path().trim_end_matches('/');
    let mut parts = url.clone().into_parts();
    parts.path_and_query = format!("{base}{path}").parse().ok();
    match parts.path_and_query {
        Some(_) => Uri::from_parts(parts).map_err(|_| ()),
        None => Err(()),
    }
    .map_err(|()| Refused::new(StatusCode::BAD_REQUEST, "the path is no path"))
}

/// The caller's headers as the provider sees them.
fn passed(mut headers: HeaderMap) -> HeaderMap {
    // What the connection's own header names is between neighbours too.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let ours: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-bursar-")).cloned().collect();
    for name in named.iter().chain(&NOT_PASSED).chain(&ours) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers
}

/// Enough of a name to know it by.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}
