//! The plugin libraries of this repository, for tests that load real ones.
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The folder of the shipped libraries with their list of trust; built if they are not there.
///
/// # Panics
/// When they cannot be built.
pub fn first_party() -> PathBuf {
    target().join("plugins-dev")
}

/// The folder of the badly behaved ones.
///
/// # Panics
/// When they cannot be built.
pub fn badly_behaved() -> PathBuf {
    target().join("plugins-chaos")
}

/// The target folder, with the libraries in it as they are now. `cargo xtask test` builds them once and
/// says so; a test that is run by hand has them built first.
fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        if std::env::var_os("BURSAR_PLUGINS_BUILT").is_none() {
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            let built = Command::new(cargo).args(["xtask", "plugins", "--dev"]).current_dir(&root).status();
            assert!(built.is_ok_and(|status| status.success()), "cargo xtask plugins --dev failed");
        }
        target.canonicalize().unwrap_or(target)
    })
}
