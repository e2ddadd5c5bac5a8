//! The verbs on a claim that is there: renew, settle, release, cancel, attach.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::{Attach, Cancel, Lease, Release, Renew, Resize, Settle};
use bursar_interface::{Fence, Reason};
use bursar_tenant::ask::amount_of;
use bursar_wire::{
    self as wire, AttachBody, FenceBody, RenewBody, ResizeBody, SettleBody, SizeBody, UsedBody,
};

/// `bursar renew`.
pub fn renew(context: &Context, renew: &Renew) -> Outcome {
    let (id, fence) = named(&renew.lease)?;
    shown(context, context.client().renew(id, &RenewBody { fence, ttl: renew.ttl.clone() })?)
}

/// `bursar settle`.
pub fn settle(context: &Context, settle: &Settle) -> Outcome {
    let (id, fence) = named(&settle.lease)?;
    let used = settle.used.iter().map(|text| {
        let (resource, pool, amount) = amount_of(text)?;
        Ok(UsedBody { resource, pool, amount })
    });
    let used = used.collect::<Result<Vec<_>, Failed>>()?;
    shown(context, context.client().settle(id, &SettleBody { fence, used })?)
}

/// `bursar extend`.
pub fn extend(context: &Context, resize: &Resize) -> Outcome {
    let (id, body) = resized(resize)?;
    shown(context, context.client().extend(id, &body)?)
}

/// `bursar shrink`.
pub fn shrink(context: &Context, resize: &Resize) -> Outcome {
    let (id, body) = resized(resize)?;
    shown(context, context.client().shrink(id, &body)?)
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
    shown(context, context.client().release(id, &FenceBody { fence }, release.wait.as_deref())?)
}

/// `bursar cancel`.
pub fn cancel(context: &Context, cancel: &Cancel) -> Outcome {
    let id = number("claim", &cancel.id)?;
    shown(context, context.client().cancel(id, cancel.wait.as_deref())?)
}

/// `bursar attach`.
pub fn attach(context: &Context, attach: &Attach) -> Outcome {
    let (id, fence) = named(&attach.lease)?;
    shown(context, context.client().attach(id, &AttachBody { fence, pid: attach.pid })?)
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

fn shown(context: &Context, claim: wire::Claim) -> Outcome {
    show::claim(context, claim);
    Ok(())
}
