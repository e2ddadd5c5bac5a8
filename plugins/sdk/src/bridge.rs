//! The way out of a plugin library: its own `tracing` events and panics reach the host's log.
use bursar_abi::HostArc;
use std::{
    cell::{Cell, RefCell},
    fmt::{Debug, Write},
    panic::PanicHookInfo,
    sync::{Once, OnceLock},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

static HOST: OnceLock<HostArc> = OnceLock::new();
thread_local! {
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    static WHO: Cell<&'static str> = const { Cell::new("") };
}

/// While this lives, what the thread logs is logged as a plugin's.
pub(crate) struct Speaking(&'static str);

/// From here on this thread speaks as `who`.
pub(crate) fn speak_as(who: &'static str) -> Speaking {
    Speaking(WHO.with(|cell| cell.replace(who)))
}

impl Drop for Speaking {
    fn drop(&mut self) {
        WHO.with(|cell| cell.set(self.0));
    }
}

/// The plugin whose call this thread carries out; `or` on threads that a plugin started itself.
pub(crate) fn who(or: &str) -> &str {
    match WHO.with(Cell::get) {
        "" => or,
        who => who,
    }
}

/// The plugin whose call this thread carries out, if it does.
pub(crate) fn speaker() -> Option<&'static str> {
    Some(WHO.with(Cell::get)).filter(|who| !who.is_empty())
}

/// Text and location of this thread's last panic.
pub(crate) fn last_panic() -> Option<String> {
    LAST_PANIC.with(|cell| cell.borrow_mut().take())
}

/// Connects this library to the host. Only ever called in a loaded library, never when linked in.
pub(crate) fn install(host: HostArc) {
    if HOST.set(host).is_err() {
        return;
    }
    crate::counts::install();
    // A plugin that set a dispatcher of its own keeps it.
    let _ = tracing::subscriber::set_global_default(ToHost);
    std::panic::set_hook(Box::new(|info| {
        let text = remembered(info);
        if let Some(host) = HOST.get() {
            host.log(1, who("plugin::panic").into(), text.as_str().into());
        }
    }));
}

/// Has panics of plugins that are linked into this program logged under their names, instead of how it is told of its
/// own. Only ever called in the host.
pub(crate) fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match WHO.with(Cell::get) {
            "" => before(info),
            plugin => {
                let text = remembered(info);
                tracing::error!(target: "plugin", plugin, "{text}");
            }
        }));
    });
}

/// Text and location of a panic, remembered for the guard.
fn remembered(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let said = payload.downcast_ref::<&str>().copied().map(str::to_owned);
    let said = said.or_else(|| payload.downcast_ref::<String>().cloned());
    let place = info.location().map_or(String::new(), |at| format!(" at {}:{}", at.file(), at.line()));
    let text = format!("{}{place}", said.as_deref().unwrap_or("a panic that says nothing"));
    LAST_PANIC.with(|cell| *cell.borrow_mut() = Some(text.clone()));
    text
}

fn number(level: &Level) -> u8 {
    match *level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

/// Writes an event as one line: the message, then its fields.
#[derive(Default)]
struct Line(String);
impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}

struct ToHost;
impl Subscriber for ToHost {
    /// The default would cache the first answer for ever, and a later change of the host's level
    /// would not reach the plugin.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        HOST.get().is_some_and(|host| host.enabled(number(metadata.level()), metadata.target().into()))
    }
    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        if let Some(host) = HOST.get() {
            host.log(
                number(event.metadata().level()),
                who(event.metadata().target()).into(),
                line.0.as_str().into(),
            );
        }
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
