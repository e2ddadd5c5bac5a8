//! `bursar plugin new ROLE NAME`: a crate of one's own that builds as it stands, outside of any workspace.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::Output;
use bursar_interface::bound::NAME_BYTES_MAX;
use std::{
    fs,
    path::{Path, PathBuf},
};

const MANIFEST: &str = include_str!("../../templates/manifest.toml");
const README: &str = include_str!("../../templates/readme.md");

/// What there is for each role: its word, its source, what it does, and how it is put to use.
const ROLES: [(&str, &str, &str, &str); 7] = [
    (
        "resource",
        include_str!("../../templates/resource.rs"),
        "a kind of thing of one's own",
        "A new kind is known from the daemon's next start on; then `bursar claim --need @NAME@=1`.",
    ),
    (
        "driver",
        include_str!("../../templates/driver.rs"),
        "a kind of thing and what makes it true",
        "A new kind is known from the daemon's next start on; then `bursar run --need @NAME@=1 -- true`.",
    ),
    (
        "qos",
        include_str!("../../templates/qos.rs"),
        "who is first",
        "    bursar strategy use qos @NAME@\n\nand back again with `bursar strategy rollback qos`.",
    ),
    (
        "allocator",
        include_str!("../../templates/allocator.rs"),
        "where claims go",
        "    bursar strategy use allocator @NAME@\n\nand back again with `bursar strategy rollback allocator`.",
    ),
    (
        "sharing",
        include_str!("../../templates/sharing.rs"),
        "under which rules a pool is shared",
        "    [node.sharing]\n    cpu = \"@NAME@\"\n\nin the config, from the daemon's next start on.",
    ),
    (
        "analyzer",
        include_str!("../../templates/analyzer.rs"),
        "what holds work up",
        "What it finds is seen in `bursar get findings` from the daemon's next start on.",
    ),
    (
        "metric",
        include_str!("../../templates/metric.rs"),
        "measurements of one's own",
        "What it measures is seen in `bursar doctor` from the daemon's next start on.",
    ),
];

/// `bursar plugin new`.
pub fn scaffold(
    context: &Context,
    role: &str,
    name: &str,
    path: Option<&Path>,
    sdk: Option<&Path>,
) -> Outcome {
    let Some((_, source, what, usage)) = ROLES.iter().find(|(word, ..)| *word == role) else {
        let words: Vec<&str> = ROLES.iter().map(|(word, ..)| *word).collect();
        return Err(Failed::usage(format!("there is no role {role:?} yet"))
            .hint(format!("roles are: {}", words.join(", "))));
    };
    check_name(name)?;
    let folder = path.map_or_else(|| PathBuf::from(name), Path::to_owned);
    if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Failed::usage(format!("{} is not empty", folder.display()))
            .hint("name another folder with --path"));
    }
    let plugins = find_plugins(&folder, sdk)?;
    let text = |template: &str| {
        let known = [("@USE@", *usage), ("@WHAT@", what)].into_iter();
        let filled = known.fold(template.to_owned(), |text, (from, to)| text.replace(from, to));
        filled
            .replace("@SDK@", &plugins.join("sdk").display().to_string())
            .replace("@KIT@", &plugins.join("conformance").display().to_string())
            .replace("@NAME@", name)
            .replace("@LIB@", &name.replace('-', "_"))
            .replace("@TYPE@", &camel(name))
    };
    fs::create_dir_all(folder.join("src"))?;
    for (file, template) in [("Cargo.toml", MANIFEST), ("README.md", README), ("src/lib.rs", source)] {
        fs::write(folder.join(file), text(template))?;
    }
    match context.output {
        Output::Table => show::line(&format!(
            "{0} is a {role}: cargo test, cargo build --release, bursar plugin verify (see {0}/README.md)",
            folder.display()
        )),
        output => show::document(&serde_json::json!({ "path": folder, "role": role, "id": name }), output),
    }
    Ok(())
}

/// A crate's name that is a plugin's id as well.
fn check_name(name: &str) -> Result<(), Failed> {
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let rest = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let taken = ["test", "core", "std", "alloc", "bursar-sdk", "bursar-conformance"].contains(&name);
    if begins && name.chars().all(rest) && name.len() <= NAME_BYTES_MAX && !taken {
        return Ok(());
    }
    Err(Failed::usage(format!("{name:?} cannot be the name of a plugin"))
        .hint("small letters, digits and dashes, a letter first, and no name of a crate that it needs"))
}

/// The folder with the sdk and the kit. They are not in a registry, so they come from a checkout: the
/// one that was named, the one that the new crate lies in, or the one that this program was built from.
fn find_plugins(folder: &Path, sdk: Option<&Path>) -> Result<PathBuf, Failed> {
    let is_sdk = |plugins: &Path| plugins.join("sdk/Cargo.toml").is_file();
    if let Some(sdk) = sdk {
        let named = [sdk.join("plugins"), sdk.join("..")].into_iter().find(|plugins| is_sdk(plugins));
        let named = named.and_then(|plugins| plugins.canonicalize().ok());
        return named.ok_or_else(|| {
            Failed::usage(format!("there is no sdk in {}", sdk.display()))
                .hint("--sdk names a checkout of bursar, or its folder plugins/sdk")
        });
    }
    let here = std::path::absolute(folder)?;
    let around = here.ancestors().map(|above| above.join("plugins")).find(|plugins| is_sdk(plugins));
    let built_from = || {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins").canonicalize().ok();
        plugins.filter(|plugins| is_sdk(plugins))
    };
    around.or_else(built_from).ok_or_else(|| {
        Failed::usage("the sdk is not in any registry, and there is no checkout of bursar at hand")
            .hint("name one with --sdk")
    })
}

/// `my-plugin` to `MyPlugin`.
fn camel(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    // A type of this name would be that of the role.
    let camel: String = name.split('-').map(word).collect();
    format!("{camel}Plugin")
}
