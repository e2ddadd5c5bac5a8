//! An answer on its way to the caller: every byte passes as it came, and what it says of its usage is read.
use crate::{
    config::Shape,
    limits::DOCUMENT_BYTES_MAX,
    settle::Ticket,
    sse::Events,
    terms::{Model, Terms},
    usage::{Told, Usage, of_document},
};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// How the usage stands in an answer.
pub(crate) enum Reader {
    /// In its events.
    Stream(Events, Told),
    /// Somewhere in one document.
    Document(Vec<u8>),
    /// Where nobody can read it.
    Nowhere,
}

impl Reader {
    fn take(&mut self, bytes: &[u8]) {
        match self {
            Reader::Stream(events, told) => events.take(bytes, |data| told.event(data)),
            Reader::Document(document) if document.len() + bytes.len() > DOCUMENT_BYTES_MAX => {
                *self = Reader::Nowhere;
            }
            Reader::Document(document) => document.extend_from_slice(bytes),
            Reader::Nowhere => {}
        }
    }

    fn outcome(&self, shape: Shape) -> Option<Usage> {
        match self {
            Reader::Stream(_, told) => told.outcome(),
            Reader::Document(document) => of_document(shape, document),
            Reader::Nowhere => None,
        }
    }
}

/// Which entry of the terms a call is charged by.
#[derive(Clone)]
pub(crate) struct Charge {
    pub(crate) terms: Arc<Terms>,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) shape: Shape,
}

impl Charge {
    pub(crate) fn model(&self) -> Option<&Model> {
        self.terms.model(&self.provider, &self.model)
    }
}

/// The body of an answer; when it ends, or its caller leaves, its lease is settled.
pub(crate) struct Tap {
    inner: Incoming,
    over: Pin<Box<Sleep>>,
    metered: Option<(Reader, Charge, Ticket)>,
}

impl Tap {
    /// Passes `inner` on until `until`.
    pub(crate) fn new(inner: Incoming, until: Instant, metered: Option<(Reader, Charge, Ticket)>) -> Tap {
        Tap { inner, over: Box::pin(sleep_until(until)), metered }
    }
}

impl Body for Tap {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.over.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let (Some(Ok(frame)), Some((reader, ..))) = (&frame, &mut self.metered)
            && let Some(bytes) = frame.data_ref()
        {
            reader.take(bytes);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let Some((reader, charge, mut ticket)) = self.metered.take() else { return };
        match (reader.outcome(charge.shape), charge.model()) {
            (Some(usage), Some(model)) => {
                tracing::debug!(model = model.name, ?usage, "settled");
                ticket.known(model.used(charge.shape, &usage));
            }
            (_, model) => {
                let model = model.map(|model| model.name.as_str());
                tracing::debug!(model, "the outcome is not known: what was reserved counts as spent");
                ticket.unknown();
            }
        }
    }
}
