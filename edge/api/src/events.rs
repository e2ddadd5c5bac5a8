//! What happened: page by page, or as a stream that can be taken up again where it broke off.
use crate::{
    House, Place,
    denial::Denial,
    hall::{Caller, Hall},
    query,
    reads::{at_length, fresh},
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bursar_wire as wire;
use http_body_util::channel::{Channel, Sender};
use hyper::{
    StatusCode, Uri,
    body::Bytes,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap},
};
use std::{convert::Infallible, fmt::Write, sync::Arc};
use tokio::time::timeout;

/// Events in a page of a stream: as many as are waiting for a reader who does not read.
const PAGE_STREAMED: usize = 50;
/// Pages of a stream that may wait for their reader; the next one is not made before there is room.
const PAGES_AHEAD: usize = 1;
/// A sign of life.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// Events above a sequence: JSON, or `text/event-stream` where the caller accepts that.
pub(crate) async fn events<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Denial> {
    let (since, limit) = query::since(&uri)?;
    let since = last_seen(&headers)?.or(since).unwrap_or(0);
    if headers
        .get(ACCEPT)
        .is_some_and(|accept| accept.to_str().is_ok_and(|kinds| kinds.contains("text/event-stream")))
    {
        return Ok(stream(hall, caller, since, limit));
    }
    let limit = limit.unwrap_or(query::ROWS_DEFAULT);
    at_length(move || {
        let events = hall.house.events(&caller.principal, since, limit)?;
        Ok(fresh(StatusCode::OK, wire::Events { events }))
    })
    .await?
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Denial> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let seq = id.to_str().ok().and_then(|id| id.parse().ok());
    seq.map(Some).ok_or_else(|| Denial::bad("the Last-Event-ID header is no sequence".into()))
}

fn stream<H: House>(hall: Arc<Hall<H>>, caller: Caller, since: u64, limit: Option<usize>) -> Response {
    let (reader, body) = Channel::<Bytes, Infallible>::new(PAGES_AHEAD);
    tokio::spawn(feed(hall, caller, since, limit, reader));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (headers, Body::new(body)).into_response()
}

/// Feeds a reader until it leaves or has as many as it asked for, the hall closes, or events are gone that it has not
/// seen.
async fn feed<H: House>(
    hall: Arc<Hall<H>>,
    caller: Caller,
    since: u64,
    limit: Option<usize>,
    mut reader: Sender<Bytes>,
) {
    let (mut place, mut left) = (Place { since, events: 0 }, limit.unwrap_or(usize::MAX));
    loop {
        let (chunk, last) = match next(&hall, &caller, place, PAGE_STREAMED.min(left)).await {
            Ok((then, None)) => {
                place = then;
                tokio::select! {
                    moved = timeout(hall.limits.heartbeat, hall.house.moved(place.since)) => match moved {
                        Ok(()) => continue,
                        Err(_) => (HEARTBEAT, false),
                    },
                    () = hall.closing() => return,
                }
            }
            Ok((then, Some((page, rows)))) => {
                place = then;
                if limit.is_some() {
                    left = left.saturating_sub(rows);
                }
                (page, left == 0)
            }
            Err(denial) => (Bytes::from(format!("event: error\ndata: {}\n\n", denial.json())), true),
        };
        // A reader who left, or whom the connection's clock cut off.
        if reader.send_data(chunk).await.is_err() || last {
            return;
        }
    }
}

/// The next page of a stream with its rows, if there is one, and how far it goes.
async fn next<H: House>(
    hall: &Arc<Hall<H>>,
    caller: &Caller,
    place: Place,
    most: usize,
) -> Result<(Place, Option<(Bytes, usize)>), Denial> {
    let (hall, by) = (hall.clone(), caller.principal.clone());
    at_length(move || {
        let (rows, then) = hall.house.events_after(&by, place, most)?;
        Ok((then, (!rows.is_empty()).then(|| (page(&rows, then.since), rows.len()))))
    })
    .await?
}

/// Rows as a stream has them; `past` is the last sequence that surely ends with them. Only the last row of a
/// sequence carries its id: a reader who was cut off in the middle of one sees it again as a whole.
fn page(rows: &[wire::EventRow], past: u64) -> Bytes {
    let mut text = String::new();
    for (row, next) in rows.iter().zip(rows.iter().skip(1).map(Some).chain([None])) {
        if next.map_or(row.seq <= past, |next| next.seq != row.seq) {
            let _ = writeln!(text, "id: {}", row.seq);
        }
        let json = serde_json::to_string(row).expect("a row is plain data");
        let _ = write!(text, "data: {json}\n\n");
    }
    text.into()
}
