//! What is said of a route: what it is for, what it takes and what it answers. There is no route without it.
use crate::{House, audit, bearer::Verb, hall::Hall};
use axum::{
    Router,
    handler::Handler,
    middleware::from_fn_with_state,
    routing::{MethodFilter, MethodRouter, on},
};
use bursar_wire as wire;
use hyper::Method;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};
use std::sync::Arc;

/// How a document is described.
pub(crate) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// One operation of the contract, and who carries it out.
pub(crate) struct Route<H> {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) says: Says,
    handler: MethodRouter<Arc<Hall<H>>>,
}

/// One thing that stands in the query or in a header.
pub(crate) struct Param {
    pub(crate) place: &'static str,
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) schema: Value,
}

/// What an operation is for, what it takes and what it answers.
pub(crate) struct Says {
    /// Its name, as a program would call it.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) params: Vec<Param>,
    pub(crate) body: Option<Describe>,
    /// By status; without a schema for text.
    pub(crate) answers: Vec<(u16, Describe)>,
    /// The answer may also be a stream of events.
    pub(crate) streams: bool,
}

/// The beginning of what is said of an operation.
pub(crate) fn says(id: &'static str, summary: &'static str) -> Says {
    Says { id, summary, params: Vec::new(), body: None, answers: Vec::new(), streams: false }
}

fn describe<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Says {
    /// It answers with this document.
    pub(crate) fn answers<T: JsonSchema>(self) -> Says {
        self.answers_with::<T>(&[200])
    }

    /// It answers with this document, by one of these statuses.
    pub(crate) fn answers_with<T: JsonSchema>(mut self, statuses: &[u16]) -> Says {
        self.answers.extend(statuses.iter().map(|status| (*status, describe::<T> as Describe)));
        self
    }

    /// It takes this document.
    pub(crate) fn takes<T: JsonSchema>(mut self) -> Says {
        self.body = Some(describe::<T>);
        self
    }

    /// It takes this in its query.
    pub(crate) fn query(mut self, name: &'static str, what: &'static str, schema: Value) -> Says {
        self.params.push(Param { place: "query", name, what, schema });
        self
    }

    /// It can be waited for.
    pub(crate) fn waits(self) -> Says {
        let what = "How long to wait for it, as 30s or 1h 30m; a day at most.";
        self.query("wait", what, json!({ "type": "string", "minLength": 1 }))
    }

    /// It is a list that can be had page by page.
    pub(crate) fn lists<L: wire::List + JsonSchema>(self) -> Says {
        let behind = "Only what comes behind this: the `next` of the page before.";
        let limited = self.limited(
            "Rows on a page, 1000 at most, which is then in the order of its keys; all of them if left out.",
        );
        limited.query("after", behind, json!({ "type": "string" })).answers::<L>()
    }

    /// It goes on from a sequence.
    pub(crate) fn since(self) -> Says {
        let above = "Only what is above this sequence.";
        let schema = json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX });
        self.limited("Rows on a page, 1000 at most; 200 if left out.").query("since", above, schema)
    }

    fn limited(self, what: &'static str) -> Says {
        let schema = json!({ "type": "integer", "minimum": 1 });
        self.query("limit", what, schema)
    }

    /// It may be a stream, which can be taken up again.
    pub(crate) fn streams(mut self) -> Says {
        self.streams = true;
        if let Some(limit) = self.params.iter_mut().find(|param| param.name == "limit") {
            limit.what = "Rows on a page, 1000 at most; 200 if left out. A stream ends after so many, and goes on if left out.";
        }
        let what = "Where a stream is to be taken up again: wins over `since`.";
        let schema = json!({ "type": "string", "pattern": "^[0-9]{1,19}$" });
        self.params.push(Param { place: "header", name: "Last-Event-ID", what, schema });
        self
    }

    /// It can be said again with the same key.
    pub(crate) fn keyed(mut self) -> Says {
        let what = "The same key is the same claim, so that it is safe to ask again. That holds for its end too, a \
                    refusal for want of room among them, for ten minutes: who wants to be judged anew asks with \
                    another key.";
        let most = bursar_interface::bound::KEY_BYTES_MAX;
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": most, "pattern": "^[!-~]+$" });
        self.params.push(Param { place: "header", name: "Idempotency-Key", what, schema });
        self
    }
}

/// A route.
pub(crate) fn at<H, T, F>(method: Method, path: &'static str, handler: F, says: Says) -> Route<H>
where
    H: House,
    T: 'static,
    F: Handler<T, Arc<Hall<H>>>,
{
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
    Route { method, path, says, handler: on(filter, handler) }
}

impl<H: House> Route<H> {
    /// What a token has to be good for.
    pub(crate) fn verb(&self) -> Verb {
        Verb::of(&self.method, self.path)
    }

    /// Lets it be reached; what those who administer do is written down.
    pub(crate) fn onto(self, router: Router<Arc<Hall<H>>>, hall: &Arc<Hall<H>>) -> Router<Arc<Hall<H>>> {
        let handler = match audit::is_act(&self.method, self.path) {
            true => self.handler.route_layer(from_fn_with_state(hall.clone(), audit::written_down::<H>)),
            false => self.handler,
        };
        router.route(self.path, handler)
    }
}
