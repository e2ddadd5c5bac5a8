//! Opening a staged copy: dlopen, then a negotiation of layouts in both directions.
#![allow(unsafe_code)]
use crate::Reject;
use abi_stable::{
    StableAbi,
    abi_stability::abi_checking::{AbiInstabilityErrors, check_layout_compatibility},
    library::{AbiHeaderRef, LibHeader, ROOT_MODULE_LOADER_NAME},
    type_layout::TLFieldOrFunction,
};
use bursar_abi::{HostArc, PluginRoot_Ref};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::path::Path;

/// Opens a library and connects it to the host. It is never closed: its statics, threads and
/// thread-local destructors may outlive any call.
pub(crate) fn open(path: &Path, host: HostArc) -> Result<PluginRoot_Ref, Reject> {
    let root = negotiate(path, header(path)?)?;
    let outcome = root.init()(host).into_result();
    outcome.map_err(|fault| Reject::Open { path: path.display().to_string(), why: fault.message.into() })?;
    Ok(root)
}

fn header(path: &Path) -> Result<&'static LibHeader, Reject> {
    let refuse = |why: String| Reject::Open { path: path.display().to_string(), why };
    let said = |error: &libloading::Error| match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    // SAFETY: an inspected, private copy; its initialisers run now, as trusted as the library is.
    let library =
        unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| refuse(said(&error)))?;
    // SAFETY: every library built with the sdk exports this symbol with this type; the header begins
    // with a magic number and the version of abi_stable, which `upgrade` checks.
    let header =
        unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME.as_bytes()).map(|symbol| *symbol) };
    let header = header.map_err(|error| refuse(said(&error)))?;
    std::mem::forget(library);
    header.upgrade().map_err(|error| refuse(error.to_string()))
}

/// Accepts a library that is newer or older than this host, as long as one is a prefix of the other.
/// abi_stable itself only accepts newer ones; every vtable carries its own length, so both are safe.
fn negotiate(path: &Path, header: &'static LibHeader) -> Result<PluginRoot_Ref, Reject> {
    let refuse = |why: String| Reject::Layout { path: path.display().to_string(), why };
    let host = <PluginRoot_Ref as StableAbi>::LAYOUT;
    let Some(plugin) = header.layout() else {
        return Err(refuse("it does not say how it is laid out".into()));
    };
    if let Err(errors) = check_layout_compatibility(host, plugin) {
        check_layout_compatibility(plugin, host).map_err(|_| refuse(first(&errors)))?;
    }
    // SAFETY: the layouts were compared just above.
    let root = unsafe { header.init_root_module_with_unchecked_layout::<PluginRoot_Ref>() };
    root.map_err(|error| refuse(error.to_string()))
}

/// The first difference, as a path of fields; the whole report has a thousand lines.
fn first(errors: &AbiInstabilityErrors) -> String {
    let Some(error) = errors.errors.iter().find(|error| !error.errs.is_empty()) else {
        return "unknown".into();
    };
    let path: Vec<String> = error
        .stack_trace
        .iter()
        .map(|step| match &step.expected {
            TLFieldOrFunction::Field(field) => field.name().to_owned(),
            TLFieldOrFunction::Function(function) => format!("fn {}", function.name.as_str()),
        })
        .collect();
    let what = error.errs.iter().next().map_or(String::new(), |what| format!("{what:?}"));
    let what: String = what.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect();
    format!("{} => {what}", path.join(" > "))
}
