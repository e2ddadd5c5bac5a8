//! What is asked from inside the house most often, without a document on the way there and back: the same as the
//! routes do, for whoever sent the request.
use crate::{
    House,
    claims::asked,
    denial::Denial,
    hall::{Caller, Hall},
    verbs::released,
};
use bursar_interface::{ClaimId, Fence};
use bursar_wire as wire;
use std::{future::Future, pin::Pin, sync::Arc};

/// What a claim came to, or why not.
pub(crate) type Answered = Pin<Box<dyn Future<Output = Result<wire::Claim, Denial>> + Send>>;

/// A hall of whatever house.
pub(crate) trait Direct: Send + Sync {
    /// `POST /v1/claims`.
    fn ask(&self, caller: Caller, body: wire::AskBody) -> Answered;
    /// `POST /v1/claims/{id}/release`.
    fn release(&self, caller: Caller, claim: ClaimId, fence: Fence) -> Answered;
}

impl<H: House> Direct for Arc<Hall<H>> {
    fn ask(&self, caller: Caller, body: wire::AskBody) -> Answered {
        let hall = self.clone();
        Box::pin(async move { asked(&hall, &caller, body).await })
    }

    fn release(&self, caller: Caller, claim: ClaimId, fence: Fence) -> Answered {
        let hall = self.clone();
        Box::pin(async move { released(&hall, &caller, claim, fence).await })
    }
}
