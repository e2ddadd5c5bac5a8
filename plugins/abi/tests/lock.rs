//! `docs/abi.lock`: how everything that crosses the border is laid out. A change is compatible where it only
//! adds behind the end of a prefix; anything else is another border, and needs another version of this crate.
use abi_stable::{
    StableAbi,
    abi_stability::abi_checking::check_layout_compatibility,
    std_types::{RResult, RString, RVec, utypeid::UTypeId},
    type_layout::{TLData, TLFields, TypeLayout},
};
use bursar_abi::{
    AllocatorBox, AnalyzerBox, CallBox, HostArc, PluginRoot_Ref, QosBox, RDiscipline, RFault, ROffer, RRank,
    RTake, RView, SharingBox,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::PathBuf,
};

/// Types by what tells them apart, with what they are made of.
#[derive(Default)]
struct Walked {
    seen: Vec<UTypeId>,
    /// By name: generic types of several things have one name and several bodies.
    types: BTreeMap<String, BTreeSet<String>>,
}

/// A type by name, size and alignment: names alone leave out what generic types are of.
fn named(layout: &TypeLayout) -> String {
    format!("{} [{}, {}]", layout.full_type(), layout.size(), layout.alignment())
}

fn walk(layout: &'static TypeLayout, into: &mut Walked) {
    let id = layout.get_utypeid();
    if into.seen.contains(&id) {
        return;
    }
    into.seen.push(id);
    let mut told = String::new();
    match layout.data() {
        TLData::Primitive(kind) => writeln!(told, "  primitive {kind:?}").expect("text"),
        TLData::Opaque => writeln!(told, "  opaque").expect("text"),
        TLData::Struct { fields } | TLData::Union { fields } => made_of(fields, &mut told, into),
        TLData::Enum(variants) => {
            writeln!(told, "  variants {}", variants.variant_names.as_str()).expect("text");
            made_of(variants.fields, &mut told, into);
        }
        TLData::PrefixType(prefix) => {
            writeln!(told, "  prefix of {}", prefix.first_suffix_field).expect("text");
            made_of(prefix.fields, &mut told, into);
        }
    }
    // What a pointer points to.
    made_of(layout.phantom_fields(), &mut told, into);
    into.types.entry(named(layout)).or_default().insert(told);
}

fn made_of(fields: TLFields, told: &mut String, into: &mut Walked) {
    for field in fields.iter() {
        writeln!(told, "  {}: {}", field.name(), named(field.layout())).expect("text");
        for function in field.function_range().iter() {
            let text = function.to_string();
            // What follows are lifetimes, which the compiler has checked.
            writeln!(told, "    {}", text.lines().next().unwrap_or_default()).expect("text");
        }
        walk(field.layout(), into);
    }
}

/// Everything that crosses: the root, what its functions and the methods of its objects take and give.
fn roots() -> [&'static TypeLayout; 19] {
    [
        <PluginRoot_Ref as StableAbi>::LAYOUT,
        <AllocatorBox as StableAbi>::LAYOUT,
        <QosBox as StableAbi>::LAYOUT,
        <CallBox as StableAbi>::LAYOUT,
        <HostArc as StableAbi>::LAYOUT,
        <RView<'static> as StableAbi>::LAYOUT,
        <RTake as StableAbi>::LAYOUT,
        <RRank as StableAbi>::LAYOUT,
        <RFault as StableAbi>::LAYOUT,
        <RResult<AllocatorBox, RFault> as StableAbi>::LAYOUT,
        <RResult<u32, RFault> as StableAbi>::LAYOUT,
        <RResult<(), RFault> as StableAbi>::LAYOUT,
        <RResult<RVec<u8>, RFault> as StableAbi>::LAYOUT,
        <RResult<RString, RFault> as StableAbi>::LAYOUT,
        <SharingBox as StableAbi>::LAYOUT,
        <AnalyzerBox as StableAbi>::LAYOUT,
        <ROffer as StableAbi>::LAYOUT,
        <RDiscipline as StableAbi>::LAYOUT,
        <RResult<RDiscipline, RFault> as StableAbi>::LAYOUT,
    ]
}

fn snapshot() -> String {
    let mut walked = Walked::default();
    roots().into_iter().for_each(|root| walk(root, &mut walked));
    let mut text = format!(
        "# The border {}: written by `UPDATE=1 cargo test -p bursar-abi`, and only ever with a reason.\n",
        bursar_abi::ABI_VERSION
    );
    let types = walked.types.into_iter();
    let all = types.flat_map(|(name, bodies)| bodies.into_iter().map(move |told| (name.clone(), told)));
    all.for_each(|(name, told)| write!(text, "{name}\n{told}").expect("text"));
    text.lines()
        .map(|line| line.split_whitespace().fold(indent(line), |kept, word| kept + word + " "))
        .fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

fn indent(line: &str) -> String {
    " ".repeat(line.len() - line.trim_start().len())
}

#[test]
fn the_border_is_laid_out_as_it_was_agreed() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/abi.lock");
    let now = snapshot();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &now).expect("written");
    }
    let agreed = fs::read_to_string(&path).unwrap_or_default();
    let differs = now.lines().zip(agreed.lines()).find(|(now, agreed)| now != agreed);
    assert!(
        now == agreed,
        "the border is not what docs/abi.lock says: {differs:?}. If all of it stands behind the end of a prefix, \
         write it anew with UPDATE=1; anything else needs another version of bursar-abi (docs/plugins.md)"
    );
}

/// What came before, for the check in both directions: a root without what was appended since, and one that has
/// another type in its prefix.
mod other {
    #![allow(
        dead_code,
        non_camel_case_types,
        missing_docs,
        unsafe_code,
        non_local_definitions,
        unused_braces,
        unreachable_pub,
        clippy::all
    )]
    use abi_stable::{
        StableAbi,
        std_types::{RResult, RStr, RString},
    };
    use bursar_abi::{AllocatorBox, CallBox, HostArc, QosBox, RFault};

    pub(crate) mod older {
        use super::*;
        #[repr(C)]
        #[derive(StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = PluginRoot_Ref, prefix_fields = PluginRoot_Prefix)))]
        #[sabi(missing_field(option))]
        pub(crate) struct PluginRoot {
            pub(crate) abi_version: extern "C" fn() -> RStr<'static>,
            pub(crate) init: extern "C" fn(HostArc) -> RResult<(), RFault>,
            pub(crate) allocator: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<AllocatorBox, RFault>,
            pub(crate) qos: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<QosBox, RFault>,
            #[sabi(last_prefix_field)]
            pub(crate) call: extern "C" fn(RStr<'_>, RStr<'_>, RStr<'_>) -> RResult<CallBox, RFault>,
        }
    }

    /// A qos that could not say yet how the line moves.
    pub(crate) mod older_qos {
        use abi_stable::{
            sabi_trait,
            std_types::{RBox, RResult, RSlice, RSliceMut},
        };
        use bursar_abi::{RFault, RRank, RView};
        #[sabi_trait]
        pub trait QosAbi: Send {
            #[sabi(last_prefix_field)]
            fn rank(
                &mut self,
                view: RView<'_>,
                pending: RSlice<'_, u32>,
                ranks: RSliceMut<'_, RRank>,
            ) -> RResult<(), RFault>;
        }
        pub type QosBox = QosAbi_TO<'static, RBox<()>>;
    }

    pub(crate) mod foreign {
        use super::*;
        #[repr(C)]
        #[derive(StableAbi)]
        #[sabi(kind(Prefix(prefix_ref = PluginRoot_Ref, prefix_fields = PluginRoot_Prefix)))]
        #[sabi(missing_field(option))]
        pub(crate) struct PluginRoot {
            pub(crate) abi_version: extern "C" fn() -> RStr<'static>,
            pub(crate) init: extern "C" fn(HostArc) -> RResult<(), RFault>,
            pub(crate) allocator: extern "C" fn(RStr<'_>, RString) -> RResult<AllocatorBox, RFault>,
            pub(crate) qos: extern "C" fn(RStr<'_>, RStr<'_>) -> RResult<QosBox, RFault>,
            #[sabi(last_prefix_field)]
            pub(crate) call: extern "C" fn(RStr<'_>, RStr<'_>, RStr<'_>) -> RResult<CallBox, RFault>,
        }
    }
}

/// As the loader negotiates: one must be a prefix of the other.
fn negotiate(host: &'static TypeLayout, plugin: &'static TypeLayout) -> bool {
    check_layout_compatibility(host, plugin).is_ok() || check_layout_compatibility(plugin, host).is_ok()
}

#[test]
fn what_was_appended_is_missed_by_nobody_in_either_direction() {
    let now = <PluginRoot_Ref as StableAbi>::LAYOUT;
    let older = <other::older::PluginRoot_Ref as StableAbi>::LAYOUT;
    assert!(negotiate(now, older) && negotiate(older, now));
    let (qos, older_qos) = (<QosBox as StableAbi>::LAYOUT, <other::older_qos::QosBox as StableAbi>::LAYOUT);
    assert!(negotiate(qos, older_qos) && negotiate(older_qos, qos));
    assert!(
        check_layout_compatibility(now, older).is_err() != check_layout_compatibility(older, now).is_err(),
        "abi_stable itself takes one direction only"
    );
}

#[test]
fn another_type_in_the_prefix_is_refused_in_both_directions() {
    let now = <PluginRoot_Ref as StableAbi>::LAYOUT;
    let foreign = <other::foreign::PluginRoot_Ref as StableAbi>::LAYOUT;
    assert!(!negotiate(now, foreign) && !negotiate(foreign, now));
}
