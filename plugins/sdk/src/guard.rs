//! The guard: a panic inside a plugin becomes a fault here, on the plugin's own side of the border,
//! because no host can catch a panic of another library's std.
use abi_stable::std_types::RResult::{self, RErr, ROk};
use bursar_abi::RFault;
use bursar_interface::{Fault, FaultKind};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Runs plugin code; what it returns or how it failed. What it logs meanwhile is logged as `who`.
pub(crate) fn guard<T>(who: &'static str, run: impl FnOnce() -> Result<T, Fault>) -> RResult<T, RFault> {
    match guarded(who, run) {
        Ok(value) => ROk(value),
        Err(fault) => RErr(RFault { kind: fault.kind as u32, message: fault.message.into() }),
    }
}

/// The same on this side of the border.
pub(crate) fn guarded<T>(who: &'static str, run: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    let _speaking = crate::bridge::speak_as(who);
    catch_unwind(AssertUnwindSafe(run))
        .unwrap_or_else(|payload| Err(Fault::of(FaultKind::Panicked, text(payload))))
}

fn text(payload: Box<dyn Any + Send>) -> String {
    let said = match payload.downcast::<&'static str>() {
        Ok(text) => Some((*text).to_owned()),
        Err(payload) => match payload.downcast::<String>() {
            Ok(text) => Some(*text),
            // Dropping a payload of unknown type may panic again, so it is never dropped.
            Err(unknown) => {
                std::mem::forget(unknown);
                None
            }
        },
    };
    let hooked = crate::bridge::last_panic();
    hooked.or(said).unwrap_or_else(|| "a panic that says nothing".into())
}
