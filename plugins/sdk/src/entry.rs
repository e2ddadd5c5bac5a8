//! What is linked in: every `#[plugin]` of this binary or library registers itself here.
use crate::Config;
use bursar_interface::{Allocator, Analyzer, Driver, Fault, Metric, Qos, Resource, Role, Sharing};

/// A constructor, by role.
#[derive(Clone, Copy)]
pub enum Make {
    /// A kind of thing.
    Resource(fn(&Config) -> Result<Box<dyn Resource>, Fault>),
    /// What makes it true.
    Driver(fn(&Config) -> Result<Box<dyn Driver>, Fault>),
    /// Who is first.
    Qos(fn(&Config) -> Result<Box<dyn Qos>, Fault>),
    /// Where.
    Allocator(fn(&Config) -> Result<Box<dyn Allocator>, Fault>),
    /// Samples.
    Metric(fn(&Config) -> Result<Box<dyn Metric>, Fault>),
    /// Under which rules a pool is shared.
    Sharing(fn(&Config) -> Result<Box<dyn Sharing>, Fault>),
    /// What holds work up.
    Analyzer(fn(&Config) -> Result<Box<dyn Analyzer>, Fault>),
}

impl Make {
    /// The role it makes a plugin for.
    pub fn role(&self) -> Role {
        match self {
            Make::Resource(_) => Role::Resource,
            Make::Driver(_) => Role::Driver,
            Make::Qos(_) => Role::Qos,
            Make::Allocator(_) => Role::Allocator,
            Make::Metric(_) => Role::Metric,
            Make::Sharing(_) => Role::Sharing,
            Make::Analyzer(_) => Role::Analyzer,
        }
    }
}

/// One plugin that is linked in.
pub struct Entry {
    /// Name within its role.
    pub id: &'static str,
    /// The crate it is from.
    pub library: &'static str,
    /// Version of that crate.
    pub version: &'static str,
    /// Its line of the manifest section; naming it here keeps the linker from dropping it.
    pub manifest: &'static [u8],
    /// Its constructor.
    pub make: Make,
    /// The JSON schema of its config; `None` for one that does not say.
    pub schema: Option<fn() -> String>,
    /// Whether it looks at its config.
    pub configured: bool,
}

impl Entry {
    /// An entry; `#[plugin]` writes this.
    pub const fn new(
        id: &'static str,
        library: &'static str,
        version: &'static str,
        manifest: &'static [u8],
        make: Make,
    ) -> Entry {
        Entry { id, library, version, manifest, make, schema: None, configured: false }
    }

    /// The same with a config of a type of its own.
    pub const fn with_schema(self, schema: fn() -> String) -> Entry {
        Entry { schema: Some(schema), configured: true, ..self }
    }

    /// The same with a config that it reads by itself.
    pub const fn with_config(self) -> Entry {
        Entry { configured: true, ..self }
    }

    /// Whether anybody looks at a config. It is by name: it may be for another role's plugin of this name.
    ///
    /// # Errors
    /// A [`Fault`] with a key that nobody looks at.
    pub fn takes(&self, config: &Config) -> Result<(), Fault> {
        let configured = linked().any(|other| other.id == self.id && other.configured);
        match config.first_key() {
            Some(key) if !configured => {
                Err(Fault::new(format!("config: unknown key {key:?}; {} takes no config", self.id)))
            }
            _ => Ok(()),
        }
    }
}

inventory::collect!(Entry);

/// Every plugin that is linked into this binary (or, inside a library, into that library).
pub fn linked() -> impl Iterator<Item = &'static Entry> {
    inventory::iter::<Entry>.into_iter()
}
