//! Many operations in one request. They enter the engine together, and are answered in their order.
use crate::{
    House,
    audit::Cancels,
    claims::seen,
    denial::Denial,
    hall::{Caller, Hall},
    json,
    reads::fresh_text,
    waiters::Answered,
};
use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use bursar_interface::{ClaimId, Command};
use bursar_wire as wire;
use std::sync::Arc;

/// About as much as an answer takes. Each is written down as it is known: a claim's row is several times its text.
const ANSWER_BYTES: usize = 768;

/// Carries operations out, and answers with a [`wire::BatchAnswer`]. What cannot be read refuses all of them, before any is carried out; what is
/// refused by itself is answered by itself.
pub(crate) async fn batch<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Denial> {
    let body: wire::BatchBody = json::body_of(request, hall.limits.body, wire::OPERATIONS_MAX).await?;
    if body.operations.is_empty() {
        return Err(Denial::bad("operations: there is nothing to do".into()));
    }
    let mut cancels = Cancels::among(&hall, &caller, &body.operations);
    let (mut bodies, mut read) = (Vec::with_capacity(body.operations.len()), Vec::new());
    for operation in body.operations {
        let detached = matches!(&operation, wire::Operation::Ask(ask) if ask.detach);
        read.push(Command::try_from(operation).map(|body| {
            bodies.push(body);
            detached
        }));
    }
    let done = match bodies.is_empty() {
        true => Vec::new(),
        false => match hall.waiters.submit_all(caller.principal.clone(), bodies).await {
            Ok(done) => done,
            Err(refusal) => {
                let denial = Denial::from(refusal);
                cancels.refused(&denial);
                return Err(denial);
            }
        },
    };
    // There is an answer to each that was handed in.
    let mut done = done.into_iter();
    let (mut answers, mut waiters) = (Vec::with_capacity(ANSWER_BYTES * read.len()), Vec::new());
    let mut staying = Vec::new();
    answers.extend_from_slice(b"{\"answers\":[");
    let count = read.len();
    for (nth, read) in read.into_iter().enumerate() {
        let answer = match read.map(|detached| (detached, done.next())) {
            Ok((detached, Some(Ok(Answered { claim, waiter })))) => {
                let asked = waiter.is_some() && !detached;
                waiters.extend(waiter);
                let outcome = outcome(&hall, &caller, claim, asked).await;
                if detached && outcome.as_ref().is_ok_and(waits) {
                    staying.push(claim);
                }
                outcome
            }
            Ok((_, Some(Err(refusal)))) | Err(refusal) => Err(Denial::from(refusal)),
            Ok((_, None)) => Err(Denial::bug()),
        };
        cancels.came_to(nth, answer.as_ref().err());
        let answer = answer.unwrap_or_else(|denial| wire::Outcome::Refused(denial.problem()));
        serde_json::to_writer(&mut answers, &answer).expect("an answer is plain data");
        answers.extend_from_slice(if nth + 1 < count { b"," } else { b"]}" });
    }
    if !staying.is_empty() {
        hall.house.stay(&staying);
    }
    waiters.into_iter().for_each(|waiter| waiter.answered());
    Ok(fresh_text(answers))
}

/// Whether what came of an operation is a claim that waits.
fn waits(outcome: &wire::Outcome) -> bool {
    matches!(outcome, wire::Outcome::Done(done) if done.claim.phase == wire::PENDING)
}

/// What a claim came to. One that was `asked` for without a wait is decided by now, and may be refused.
async fn outcome<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    claim: ClaimId,
    asked: bool,
) -> Result<wire::Outcome, Denial> {
    if asked {
        hall.house.decided(&caller.principal, claim).await?;
    }
    let claim = seen(hall, &caller.principal, claim)?;
    Ok(wire::Outcome::Done(Box::new(wire::ClaimAnswer { claim })))
}
