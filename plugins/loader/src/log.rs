//! What the host gives to plugins: its log.
use abi_stable::{
    sabi_trait::prelude::TD_Opaque,
    std_types::{RArc, RStr},
};
use bursar_abi::{HostAbi, HostAbi_TO, HostArc};
use std::io::Write;

/// Into the host's own tracing, for inline plugins.
#[derive(Clone)]
struct ToTracing;
impl HostAbi for ToTracing {
    fn enabled(&self, level: u8, _: RStr<'_>) -> bool {
        usize::from(level) <= tracing::level_filters::LevelFilter::current().into_level().map_or(0, number)
    }
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>) {
        emit(level, target.as_str(), message.as_str());
    }
}

/// One line each on stderr, for plugins in a child; the host reads them there.
#[derive(Clone)]
struct ToStderr;
impl HostAbi for ToStderr {
    fn enabled(&self, level: u8, _: RStr<'_>) -> bool {
        level <= 4
    }
    fn log(&self, level: u8, target: RStr<'_>, message: RStr<'_>) {
        let message = message.as_str().replace('\n', " ");
        // Without a reader there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{level}\t{target}\t{message}");
    }
}

fn number(level: tracing::Level) -> usize {
    match level {
        tracing::Level::ERROR => 1,
        tracing::Level::WARN => 2,
        tracing::Level::INFO => 3,
        tracing::Level::DEBUG => 4,
        tracing::Level::TRACE => 5,
    }
}

/// Puts a plugin's line into the host's log under the plugin's name.
pub(crate) fn emit(level: u8, plugin: &str, message: &str) {
    match level {
        1 => tracing::error!(target: "plugin", plugin, "{message}"),
        2 => tracing::warn!(target: "plugin", plugin, "{message}"),
        3 => tracing::info!(target: "plugin", plugin, "{message}"),
        _ => tracing::debug!(target: "plugin", plugin, "{message}"),
    }
}

/// The host as inline plugins see it.
pub(crate) fn to_tracing() -> HostArc {
    HostAbi_TO::from_ptr(RArc::new(ToTracing), TD_Opaque)
}

/// The host as plugins in a child see it.
pub(crate) fn to_stderr() -> HostArc {
    HostAbi_TO::from_ptr(RArc::new(ToStderr), TD_Opaque)
}
