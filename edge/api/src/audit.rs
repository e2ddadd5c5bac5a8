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
use bursar_interface::Reason;
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
            entry.says(&bytes);
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

/// Claims that one who administers ends in a batch.
pub(crate) struct Cancels<'a, H: House> {
    entry: Entry<'a, H>,
    /// Where each row of the entry stands among the operations, in order.
    places: Vec<usize>,
}

impl<'a, H: House> Cancels<'a, H> {
    /// Those among operations, each of which is to be written down with what comes of it; none for who ends no more
    /// than what is theirs.
    pub(crate) fn among(
        hall: &'a Hall<H>,
        caller: &Caller,
        operations: &[wire::Operation],
    ) -> Cancels<'a, H> {
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        for (place, operation) in operations.iter().enumerate().filter(|_| caller.principal.admin) {
            if let wire::Operation::Cancel { id } = operation {
                let body = told(format!("cancel {id}").as_bytes());
                let row = row(hall, Some(caller), &Method::POST, "/v1/batch");
                rows.push(wire::AuditRow { body, ..row });
                places.push(place);
            }
        }
        Cancels { entry: Entry { hall, rows }, places }
    }

    /// What an operation came to, if it is one of them.
    pub(crate) fn came_to(&mut self, place: usize, refused: Option<&Denial>) {
        let row = self.places.binary_search(&place).ok().and_then(|at| self.entry.rows.get_mut(at));
        if let Some(row) = row {
            answered(row, refused.map_or((StatusCode::OK, None), Denial::verdict));
        }
    }

    /// All of them were refused.
    pub(crate) fn refused(mut self, denial: &Denial) {
        self.entry.rows.iter_mut().for_each(|row| answered(row, denial.verdict()));
    }
}

/// What an act came to; a refusal has a reason.
fn answered(row: &mut wire::AuditRow, (status, why): (StatusCode, Option<Reason>)) {
    row.status = status.as_u16();
    row.reason = why.map(|reason| reason.name().to_owned());
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

/// Acts that are under way together. If their author leaves, they are written down all the same.
struct Entry<'a, H: House> {
    hall: &'a Hall<H>,
    rows: Vec<wire::AuditRow>,
}

impl<'a, H: House> Entry<'a, H> {
    fn new(hall: &'a Hall<H>, row: wire::AuditRow) -> Entry<'a, H> {
        Entry { hall, rows: vec![row] }
    }

    fn says(&mut self, body: &[u8]) {
        self.rows.iter_mut().for_each(|row| row.body = told(body));
    }

    fn answered(mut self, response: &Response) {
        let why = response.extensions().get::<Why>().map(|Why(reason)| *reason);
        self.rows.iter_mut().for_each(|row| answered(row, (response.status(), why)));
    }
}

impl<H: House> Drop for Entry<'_, H> {
    fn drop(&mut self) {
        if !self.rows.is_empty() {
            self.hall.house.note(std::mem::take(&mut self.rows));
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
    let limit = limit.unwrap_or(query::ROWS_DEFAULT);
    at_length(move || {
        let audit = hall.house.audit(&caller.principal, since.unwrap_or(0), limit)?;
        Ok(fresh(StatusCode::OK, wire::AuditLog { audit }))
    })
    .await?
}
