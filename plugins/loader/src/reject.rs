//! Why a file is not loaded, by name.
use thiserror::Error;

/// Why a file is not loaded, or a plugin not made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reject {
    /// It cannot be read.
    #[error("{path}: {why}")]
    Io {
        /// The file.
        path: String,
        /// What the system says.
        why: String,
    },
    /// Others could change it.
    #[error("{path} could be changed by others (mode {mode:o}); chmod go-w it and its folder")]
    Permissions {
        /// The file or folder.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// It is neither root's nor this user's.
    #[error("{path} belongs to user {owner}, who could change it; chown it to root or to the daemon's user")]
    Owner {
        /// The file or folder.
        path: String,
        /// Whose it is.
        owner: u32,
    },
    /// It is not there itself, or the way to it leads elsewhere.
    #[error("{path} is a symbolic link; put the library itself into a folder that is one itself")]
    Link {
        /// The link.
        path: String,
    },
    /// It has a signature that says nothing good.
    #[error("{path}: {why}; remove the signature to have the library run as a stranger")]
    Signature {
        /// The signature.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It is no key, or not one that can be added or removed.
    #[error("{key:?} is no such key: {why}")]
    Key {
        /// As it was given.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// No library of that name has that version.
    #[error("there is no {role} {id} of {wanted}; there are {known}")]
    NoVersion {
        /// The role.
        role: String,
        /// The name.
        id: String,
        /// The version or checksum that was asked for.
        wanted: String,
        /// The versions that there are.
        known: String,
    },
    /// An operator has disabled it.
    #[error("{role} {id} is disabled; `bursar plugin enable {role} {id}` lets it in again")]
    Disabled {
        /// The role.
        role: String,
        /// The name.
        id: String,
    },
    /// It is no shared library of this machine's kind.
    #[error("{path} is no shared library: {why}; build it as a cdylib")]
    NotALibrary {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It ends before it should.
    #[error("{path} is cut off: {need} bytes are needed, {have} are there; copy it again")]
    Truncated {
        /// The file.
        path: String,
        /// Bytes needed.
        need: u64,
        /// Bytes there.
        have: u64,
    },
    /// It is for another machine.
    #[error("{path} is for another machine (ELF machine {machine}); build it for this one")]
    WrongMachine {
        /// The file.
        path: String,
        /// ELF machine number.
        machine: u16,
    },
    /// It has no manifest: a library, but no plugin.
    #[error("{path} is a library, but no plugin; put #[plugin] of bursar-sdk on an impl in it")]
    NotAPlugin {
        /// The file.
        path: String,
    },
    /// Its manifest cannot be read.
    #[error("{path}: bad manifest: {why}; build it again with this host's sdk, and leave its sections alone")]
    BadManifest {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It was built for another version of the border.
    #[error("{plugin} talks to border {needs}, this host is {host}: build it again with this sdk")]
    Version {
        /// The plugin.
        plugin: String,
        /// What it talks to.
        needs: String,
        /// What this host is.
        host: String,
    },
    /// Its panics would end the process.
    #[error("{plugin} was built with panic=abort; build it with panic=unwind")]
    PanicAbort {
        /// The plugin.
        plugin: String,
    },
    /// Its manifest says what cannot be.
    #[error("{path}: {role} {id:?}: {why}")]
    Named {
        /// The file.
        path: String,
        /// The role.
        role: String,
        /// The name.
        id: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// A child that opened it died or complained.
    #[error(
        "{path} could not be opened in a child: {why}; build it again with this host's sdk, then try `bursar plugin verify`"
    )]
    Probe {
        /// The file.
        path: String,
        /// How the child ended, or what it said.
        why: String,
    },
    /// The dynamic loader refused it.
    #[error("{path} could not be opened: {why}; build it again with this host's sdk")]
    Open {
        /// The file.
        path: String,
        /// What it said.
        why: String,
    },
    /// Its types are not this host's.
    #[error("{path} is not laid out like this host: {why}; build it again with this host's sdk")]
    Layout {
        /// The file.
        path: String,
        /// The first difference.
        why: String,
    },
    /// No plugin has that role and name.
    #[error("there is no {role} {id:?}; known are: {known}")]
    Unknown {
        /// The role.
        role: String,
        /// The name.
        id: String,
        /// The names that there are.
        known: String,
    },
    /// Its constructor refused.
    #[error("{plugin} could not be made: {why}")]
    Make {
        /// The plugin.
        plugin: String,
        /// What it said.
        why: String,
    },
    /// The constructor of one that is linked in refused what is set for it and no other.
    #[error("{plugin} could not be made: {why}")]
    MakeLinked {
        /// The plugin.
        plugin: String,
        /// What it said.
        why: String,
    },
    /// It is linked in, and stays.
    #[error(
        "{role} {id} is linked in and stays, as somebody has to decide; only a plugin of a library can be disabled"
    )]
    Linked {
        /// The role.
        role: String,
        /// The name.
        id: String,
    },
}

impl Reject {
    pub(crate) fn io(path: &std::path::Path, why: &impl ToString) -> Reject {
        Reject::Io { path: path.display().to_string(), why: why.to_string() }
    }
}
