//! The border: carries each plugin trait across a shared library.
//!
//! Only `repr(C)` types and vtables, no logic, no features, no `cfg`. The version of this crate is
//! the version of the border. Columns cross, not rows: a new column is no change of layout. This and
//! the shims in `sdk` and `loader` are the only places that name `abi_stable`.
#![allow(non_local_definitions, non_camel_case_types, unused_braces, unsafe_code, missing_docs, clippy::all)]

use abi_stable::{
    StableAbi, declare_root_module_statics,
    library::RootModule,
    package_version_strings, sabi_trait,
    sabi_types::VersionStrings,
    std_types::{RArc, RBox, RResult, RSlice, RSliceMut, RStr, RString, RVec},
};

/// The version of the border.
pub const ABI_VERSION: &str = env!("CARGO_PKG_VERSION");

/// One column: one of the two slices is empty.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RColumn<'a> {
    pub words: RSlice<'a, u64>,
    pub halves: RSlice<'a, u32>,
    /// 0 = words, 1 = halves.
    pub width: u32,
}

/// One table: its columns, change stamps first.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RTable<'a> {
    pub columns: RSlice<'a, RColumn<'a>>,
}

/// The books at one moment.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RView<'a> {
    pub at: u64,
    pub epoch: u64,
    pub tables: RSlice<'a, RTable<'a>>,
}

/// One line of a claim taken from one pool.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct RTake {
    pub claim: u32,
    pub line: u32,
    pub pool: u32,
    pub node: u32,
    pub amount: u64,
}

/// Who is first.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Default)]
pub struct RRank {
    pub tier: u64,
    pub share: u64,
}

/// How a pool may be shared.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct ROffer {
    pub offered: u64,
    pub firm: u64,
    pub quantum_ns: u64,
    pub holders: u64,
}

/// How a line of waiting claims moves while its head waits.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct RDiscipline {
    pub reserve_after_ns: u64,
    /// 0 = as the host does by itself, whatever stands beside; else the number of a `Backfill`.
    pub backfill: u64,
}

/// What went wrong: the number of a `FaultKind`, and words.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct RFault {
    pub kind: u32,
    pub message: RString,
}

/// Places claims.
#[sabi_trait]
pub trait AllocatorAbi: Send {
    #[sabi(last_prefix_field)]
    fn place(
        &mut self,
        view: RView<'_>,
        queue: RSlice<'_, u32>,
        takes: RSliceMut<'_, RTake>,
    ) -> RResult<u32, RFault>;
}

/// Ranks claims.
#[sabi_trait]
pub trait QosAbi: Send {
    #[sabi(last_prefix_field)]
    fn rank(
        &mut self,
        view: RView<'_>,
        pending: RSlice<'_, u32>,
        ranks: RSliceMut<'_, RRank>,
    ) -> RResult<(), RFault>;
    /// Asked once, when it is made. Younger than the prefix: for a library without it the host does as it does.
    fn discipline(&self) -> RResult<RDiscipline, RFault> {
        RResult::ROk(RDiscipline::default())
    }
}

/// Says how pools may be shared.
#[sabi_trait]
pub trait SharingAbi: Send {
    #[sabi(last_prefix_field)]
    fn offer(
        &mut self,
        view: RView<'_>,
        pools: RSlice<'_, u32>,
        offers: RSliceMut<'_, ROffer>,
    ) -> RResult<(), RFault>;
}

/// Finds what holds work up: beside the tables it is told samples, flows and ties (JSON), and answers findings (JSON).
#[sabi_trait]
pub trait AnalyzerAbi: Send {
    #[sabi(last_prefix_field)]
    fn report(&mut self, view: RView<'_>, told: RSlice<'_, u8>) -> RResult<RVec<u8>, RFault>;
}

/// Resources, drivers and metrics: owned values as JSON, an operation by name.
#[sabi_trait]
pub trait CallAbi: Send {
    #[sabi(last_prefix_field)]
    fn call(&mut self, operation: RStr<'_>, argument: RSlice<'_, u8>) -> RResult<RVec<u8>, RFault>;
}

/// What the host gives to plugins.
#[sabi_trait]
pub trait HostAbi: Send + Sync + Clone {
    fn enabled(&self, level: u8, target: RStr<'_>) -> bool;
    #[sabi(last_prefix_field)]
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>);
}

/// An allocator behind the border.
pub type AllocatorBox = AllocatorAbi_TO<'static, RBox<()>>;
/// A qos behind the border.
pub type QosBox = QosAbi_TO<'static, RBox<()>>;
/// A sharing behind the border.
pub type SharingBox = SharingAbi_TO<'static, RBox<()>>;
/// An analyzer behind the border.
pub type AnalyzerBox = AnalyzerAbi_TO<'static, RBox<()>>;
/// A resource, driver or metric behind the border.
pub type CallBox = CallAbi_TO<'static, RBox<()>>;
/// The host behind the border.
pub type HostArc = HostAbi_TO<'static, RArc<()>>;

/// What every plugin library exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRoot_Ref, prefix_fields = PluginRoot_Prefix)))]
#[sabi(missing_field(option))]
pub struct PluginRoot {
    pub abi_version: extern "C" fn() -> RStr<'static>,
    pub init: extern "C" fn(HostArc) -> RResult<(), RFault>,
    /// Id and config (JSON) to a plugin.
    pub allocator: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<AllocatorBox, RFault>,
    pub qos: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<QosBox, RFault>,
    /// Role, id and config (JSON) to a plugin.
    #[sabi(last_prefix_field)]
    pub call: extern "C" fn(RStr<'_>, RStr<'_>, RStr<'_>) -> RResult<CallBox, RFault>,
    /// Role and id to the JSON schema of the config; nothing for a plugin that does not say. Younger than the
    /// prefix: a library without it is as good as any.
    pub schema: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<RString, RFault>,
    /// Id and config (JSON) to a plugin; younger than the schema.
    pub sharing: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<SharingBox, RFault>,
    pub analyzer: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<AnalyzerBox, RFault>,
    /// What the library's plugins count of themselves: plugin, name and value of each (JSON); younger than analyzers.
    pub counted: extern "C" fn() -> RResult<RVec<u8>, RFault>,
}

impl RootModule for PluginRoot_Ref {
    declare_root_module_statics! {PluginRoot_Ref}
    const BASE_NAME: &'static str = "bursar_plugin";
    const NAME: &'static str = "bursar_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}
