//! The verbs on a claim that is there: renew, settle, release, cancel, attach.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::{Attach, Cancel, Lease, Output, Release, Renew, Resize, Settle};
use bursar_interface::{Fence, Reason};
use bursar_tenant::ask::amount_of;
use bursar_wire::{
    AttachBody, ClaimAnswer, FenceBody, RenewBody, ResizeBody, SettleBody, SizeBody, UsedBody,
};
use serde::Serialize;

/// `bursar renew`.
pub fn renew(context: &Context, renew: &Renew) -> Outcome {
    let (id, fence) = named(&renew.lease)?;
    post(context, &format!("/v1/claims/{id}/renew"), &RenewBody { fence, ttl: renew.ttl.clone() })
}

/// `bursar settle`.
pub fn settle(context: &Context, settle: &Settle) -> Outcome {
    let (id, fence) = named(&settle.lease)?;
    let used = settle.used.iter().map(|text| {
        let (resource, pool, amount) = amount_of(text)?;
        Ok(UsedBody { resource, pool, amount })
    });
    let used = used.collect::<Result<Vec<_>, Failed>>()?;
    post(context, &format!("/v1/claims/{id}/settle"), &SettleBody { fence, used })
}

/// `bursar extend`.
pub fn extend(context: &Context, resize: &Resize) -> Outcome {
    let (id, body) = resized(resize)?;
    post(context, &format!("/v1/claims/{id}/extend"), &body)
}

/// `bursar shrink`.
pub fn shrink(context: &Context, resize: &Resize) -> Outcome {
    let (id, body) = resized(resize)?;
    post(context, &format!("/v1/claims/{id}/shrink"), &body)
}

fn resized(resize: &Resize) -> Result<(u64, ResizeBody), Failed> {
    let (id, fence) = named(&resize.lease)?;
    let size = |text: &String| {
        let (resource, pool, amount) = amount_of(text)?;
        Ok(SizeBody { resource, pool, amount })
    };
    let lines = resize.to.iter().map(size).collect::<Result<Vec<_>, Failed>>()?;
    Ok((id, ResizeBody { fence, lines }))
}

/// `bursar release`.
pub fn release(context: &Context, release: &Release) -> Outcome {
    let (id, fence) = named(&release.lease)?;
    post(
        context,
        &format!("/v1/claims/{id}/release{}", waiting(release.wait.as_deref())),
        &FenceBody { fence },
    )
}

/// `bursar cancel`.
pub fn cancel(context: &Context, cancel: &Cancel) -> Outcome {
    let id = number("claim", &cancel.id)?;
    #[derive(Serialize)]
    struct Nothing {}
    post(context, &format!("/v1/claims/{id}/cancel{}", waiting(cancel.wait.as_deref())), &Nothing {})
}

/// `bursar attach`.
pub fn attach(context: &Context, attach: &Attach) -> Outcome {
    let (id, fence) = named(&attach.lease)?;
    post(context, &format!("/v1/claims/{id}/attach"), &AttachBody { fence, pid: attach.pid })
}

/// A duration as it stands in a query; the daemon says what is wrong with it.
pub fn waiting(wait: Option<&str>) -> String {
    wait.map(|wait| format!("?wait={}", plain(wait))).unwrap_or_default()
}

/// A text as it stands in a path or a query.
pub fn plain(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

fn named(lease: &Lease) -> Result<(u64, Fence), Failed> {
    let fence = lease.fence.parse().map(Fence).map_err(|_| {
        Failed::of(Reason::BadRequest, format!("{:?} is no fence", lease.fence))
            .hint("use the fence that the grant gave")
    })?;
    Ok((number("claim", &lease.id)?, fence))
}

/// A number that stands for something.
pub fn number(what: &str, text: &str) -> Result<u64, Failed> {
    text.parse().map_err(|_| Failed::usage(format!("{text:?} is no {what}")).hint("see `bursar get claims`"))
}

fn post(context: &Context, path: &str, body: &impl Serialize) -> Outcome {
    let answer: ClaimAnswer = context.client().send("POST", path, body, None)?;
    match context.output {
        Output::Table => show::line(&show::claims(&[answer.claim])),
        output => show::document(&answer, output),
    }
    Ok(())
}
