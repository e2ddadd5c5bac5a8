//! The root module that every plugin library exports. It lives here, in the sdk, so that a library
//! has it by linking the sdk and a host that links many plugins still has exactly one.
#![allow(unsafe_code)]
use crate::{
    Config, Entry, Make, bridge,
    guard::guard,
    linked,
    shim::{AllocatorShim, CallShim, Callee, QosShim, answer},
    shim_beside::{AnalyzerShim, SharingShim},
};
use abi_stable::{
    prefix_type::PrefixTypeTrait,
    sabi_trait::prelude::TD_Opaque,
    std_types::{
        RResult::{self, RErr, ROk},
        RStr, RString, RVec,
    },
};
use bursar_abi::{
    ABI_VERSION, AllocatorAbi_TO, AllocatorBox, AnalyzerAbi_TO, AnalyzerBox, CallAbi_TO, CallBox, HostArc,
    PluginRoot, PluginRoot_Ref, QosAbi_TO, QosBox, RFault, SharingAbi_TO, SharingBox,
};
use bursar_interface::{Fault, FaultKind};

fn find(role: &str, id: RStr<'_>) -> Result<&'static Entry, Fault> {
    let mut entries = linked().filter(|entry| entry.make.role().name() == role && entry.id == id.as_str());
    entries.next().ok_or_else(|| Fault::of(FaultKind::Failed, format!("this library has no {role} {id}")))
}

fn wrong(role: &str) -> Fault {
    Fault::of(FaultKind::Nonsense, format!("not made through this entry: {role}"))
}

extern "C" fn abi_version() -> RStr<'static> {
    ABI_VERSION.into()
}

extern "C" fn init(host: HostArc) -> RResult<(), RFault> {
    guard("", || {
        bridge::install(host);
        Ok(())
    })
}

/// Makes a plugin of one role by name, under its name.
fn made<T>(
    role: &str,
    id: RStr<'_>,
    config: RStr<'_>,
    make: impl FnOnce(&'static Entry, &Config) -> Result<T, Fault>,
) -> RResult<T, RFault> {
    let entry = match guard("", || find(role, id)) {
        ROk(entry) => entry,
        RErr(fault) => return RErr(fault),
    };
    guard(entry.id, || {
        let config = Config::read(config.as_str())?;
        entry.takes(&config)?;
        make(entry, &config)
    })
}

extern "C" fn allocator(id: RStr<'_>, config: RStr<'_>) -> RResult<AllocatorBox, RFault> {
    made("allocator", id, config, |entry, config| match entry.make {
        Make::Allocator(make) => {
            Ok(AllocatorAbi_TO::from_value(AllocatorShim::new(entry.id, make(config)?), TD_Opaque))
        }
        _ => Err(wrong("allocator")),
    })
}

extern "C" fn qos(id: RStr<'_>, config: RStr<'_>) -> RResult<QosBox, RFault> {
    made("qos", id, config, |entry, config| match entry.make {
        Make::Qos(make) => Ok(QosAbi_TO::from_value(QosShim::new(entry.id, make(config)?), TD_Opaque)),
        _ => Err(wrong("qos")),
    })
}

extern "C" fn call(role: RStr<'_>, id: RStr<'_>, config: RStr<'_>) -> RResult<CallBox, RFault> {
    made(role.as_str(), id, config, |entry, config| {
        let callee = match entry.make {
            Make::Resource(make) => Callee::Resource(make(config)?),
            Make::Driver(make) => Callee::Driver(make(config)?),
            Make::Metric(make) => Callee::Metric(make(config)?),
            _ => return Err(wrong(role.as_str())),
        };
        Ok(CallAbi_TO::from_value(CallShim::new(entry.id, callee), TD_Opaque))
    })
}

extern "C" fn sharing(id: RStr<'_>, config: RStr<'_>) -> RResult<SharingBox, RFault> {
    made("sharing", id, config, |entry, config| match entry.make {
        Make::Sharing(make) => {
            Ok(SharingAbi_TO::from_value(SharingShim::new(entry.id, make(config)?), TD_Opaque))
        }
        _ => Err(wrong("sharing")),
    })
}

extern "C" fn analyzer(id: RStr<'_>, config: RStr<'_>) -> RResult<AnalyzerBox, RFault> {
    made("analyzer", id, config, |entry, config| match entry.make {
        Make::Analyzer(make) => {
            Ok(AnalyzerAbi_TO::from_value(AnalyzerShim::new(entry.id, make(config)?), TD_Opaque))
        }
        _ => Err(wrong("analyzer")),
    })
}

extern "C" fn schema(role: RStr<'_>, id: RStr<'_>) -> RResult<RString, RFault> {
    guard("", || Ok(find(role.as_str(), id)?.schema.map_or_else(String::new, |schema| schema()).into()))
}

extern "C" fn counted() -> RResult<RVec<u8>, RFault> {
    guard("", || answer(&crate::counted()).map(RVec::from))
}

/// The root module.
#[allow(unreachable_pub, reason = "exported as a symbol, not as a path")]
#[abi_stable::export_root_module]
pub fn bursar_root() -> PluginRoot_Ref {
    PluginRoot { abi_version, init, allocator, qos, call, schema, sharing, analyzer, counted }
        .leak_into_prefix()
}
