//! What those who administer do is written down before it is answered, and so is what was refused.
use crate::{
    House,
    bearer::Verb,
    denial::{Denial, Why},
    hall::{Caller, Hall},
    json, query,
    reads::{at_length, fresh},
};
use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bursar_wire as wire;
use hyper::{Method, StatusCode, Uri};
use std::sync::Arc;

/// Bytes of a document that are written down.
pub const BODY_BYTES_MAX: usize = 1024;
/// The status of an act whose author left before it was answered: it may have been carried out.
const LEFT: u16 = 499;

/// Whether a request is an act of those who administer: what tokens need the last of the verbs for, and ending what
/// is somebody else's.
pub(crate) fn is_act(method: &Method, path: &str) -> bool {
    Verb::of(method, path) == Verb::Operate || path.ends_with("/cancel")
}

/// Writes an act down when it has been answered. Cancelling is one for those who administer: others can end no
/// more than what is theirs.
pub(crate) async fn written_down<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if Verb::of(&method, &path) != Verb::Operate && !caller.principal.admin {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let mut entry = Entry::new(&hall, row(&hall, Some(&caller), &method, &path));
    let response = match json::bytes(body, hall.limits.body).await {
        Ok(bytes) => {
            entry.row().body = told(&bytes);
            next.run(Request::from_parts(parts, Body::from(bytes))).await
        }
        Err(denial) => denial.into_response(),
    };
    entry.answered(&response);
    response
}

/// Writes down what did not get past the door.
pub(crate) fn turned_away<H: House>(hall: &Hall<H>, method: &Method, path: &str, response: &Response) {
    if is_act(method, path) {
        Entry::new(hall, row(hall, None, method, path)).answered(response);
    }
}

/// Writes down claims that are ended in a batch by one who administers.
pub(crate) fn cancelled<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    claims: impl Iterator<Item = u64>,
    response: &Response,
) {
    let mut claims = claims.map(|claim| claim.to_string()).peekable();
    if caller.principal.admin && claims.peek().is_some() {
        let mut entry = Entry::new(hall, row(hall, Some(caller), &Method::POST, "/v1/batch"));
        entry.row().body = told(format!("cancel {}", claims.collect::<Vec<_>>().join(" ")).as_bytes());
        entry.answered(response);
    }
}

fn row<H: House>(hall: &Hall<H>, caller: Option<&Caller>, method: &Method, path: &str) -> wire::AuditRow {
    wire::AuditRow {
        door: if hall.guard.is_some() { "tcp" } else { "unix" }.into(),
        uid: caller.map(|caller| caller.peer.uid),
        pid: caller.and_then(|caller| caller.peer.pid),
        scope: caller.map_or_else(String::new, |caller| caller.principal.root.clone()),
        within: caller.and_then(|caller| caller.principal.within.map(|claim| claim.0)),
        token: caller.and_then(|caller| caller.token.clone()),
        act: told(format!("{method} {path}").as_bytes()).unwrap_or_default(),
        status: LEFT,
        ..wire::AuditRow::default()
    }
}

/// What is written down of a text.
fn told(bytes: &[u8]) -> Option<String> {
    let cut = &bytes[..bytes.len().min(BODY_BYTES_MAX)];
    (!cut.is_empty()).then(|| String::from_utf8_lossy(cut).into_owned())
}

/// An act that is under way. If its author leaves, it is written down all the same.
struct Entry<'a, H: House> {
    hall: &'a Hall<H>,
    row: Option<wire::AuditRow>,
}

impl<'a, H: House> Entry<'a, H> {
    fn new(hall: &'a Hall<H>, row: wire::AuditRow) -> Entry<'a, H> {
        Entry { hall, row: Some(row) }
    }

    fn row(&mut self) -> &mut wire::AuditRow {
        self.row.get_or_insert_default()
    }

    fn answered(mut self, response: &Response) {
        let (status, why) = (response.status().as_u16(), response.extensions().get::<Why>());
        let row = self.row();
        row.status = status;
        row.reason = why.map(|Why(reason)| reason.name().to_owned());
    }
}

impl<H: House> Drop for Entry<'_, H> {
    fn drop(&mut self) {
        if let Some(row) = self.row.take() {
            self.hall.house.note(row);
        }
    }
}

/// The log, from a sequence on: all of it for those who see everybody, else what was tried in one's own scope.
pub(crate) async fn audit<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Denial> {
    let (since, limit) = query::since(&uri)?;
    at_length(move || {
        let audit = hall.house.audit(&caller.principal, since.unwrap_or(0), limit)?;
        Ok(fresh(StatusCode::OK, wire::AuditLog { audit }))
    })
    .await?
}
