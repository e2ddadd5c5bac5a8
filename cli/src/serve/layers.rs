//! Where settings come from: a flag wins over the environment, that over the config file, and that over the default.
use super::Settings;
use crate::{args::Serve, near::meant};
use anyhow::{Context, Result, anyhow, bail};
use etcetera::BaseStrategy;
use serde::{Deserializer, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

/// How variables begin that set a key: `BURSAR__JOURNAL__RETAIN_HOURS` is `journal.retain-hours`.
const PREFIX: &str = "BURSAR__";
/// The config file of the whole machine, where a user has none.
const SYSTEM_FILE: &str = "/etc/bursar/bursar.toml";

/// What would be right, by how what serde says of a wrong one ends.
const RIGHT: [(&str, &str); 8] = [
    ("expected a boolean", "; write true or false, without quotes"),
    ("expected a string", "; write it between quotes"),
    ("expected path string", "; write it between quotes"),
    ("expected u32", "; write a whole number from 0 to 4294967295, without quotes"),
    ("expected u64", "; write a whole number, without quotes"),
    ("expected f64", "; write a number, without quotes"),
    ("value was too large", "; write a whole number up to 9223372036854775807"),
    ("integer number overflowed", "; write a whole number up to 9223372036854775807"),
];

/// Keys of pools and quotas that are amounts.
const AMOUNTS: [&str; 6] = ["capacity", "burst", "limit", "borrow-limit", "lend-limit", "guaranteed"];

/// Where a key's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A config file.
    File(PathBuf),
    /// A variable.
    Environment(String),
    /// An option of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// Settings, and what said so.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// What holds.
    pub settings: Settings,
    file: Option<PathBuf>,
    /// Keys that stand in it.
    in_file: BTreeSet<String>,
    /// Keys that a variable sets, and which one.
    variables: BTreeMap<String, String>,
    /// Keys that an option sets, and which one.
    flags: BTreeMap<&'static str, &'static str>,
}

impl Layers {
    /// The layers of a daemon that is started with these options.
    ///
    /// # Errors
    /// Names the file or the variable, and the key or line that is wrong.
    pub fn of_daemon(serve: &Serve) -> Result<Layers> {
        let mut layers = Layers::read(serve.config.as_deref())?;
        let (settings, flags) = (&mut layers.settings, &mut layers.flags);
        if let Some(listen) = &serve.http {
            settings.http.listen.clone_from(listen);
            flags.insert("http.listen", "http");
        }
        if serve.far {
            settings.http.far = true;
            flags.insert("http.far", "far");
        }
        if let Some(cert) = &serve.tls_cert {
            settings.http.cert = Some(cert.clone());
            flags.insert("http.cert", "tls-cert");
        }
        if let Some(key) = &serve.tls_key {
            settings.http.key = Some(key.clone());
            flags.insert("http.key", "tls-key");
        }
        if flags.contains_key("http.cert") && settings.http.listen.is_empty() {
            bail!(
                "--tls-cert and --tls-key: nothing is served over TCP; say where with --http, or set http.listen"
            );
        }
        if !serve.plugins.is_empty() {
            settings.plugins.dirs.splice(0..0, serve.plugins.iter().cloned());
            flags.insert("plugins.dirs", "plugins");
        }
        Ok(layers)
    }

    /// What a config file and the environment say; the user's own file, or else the machine's, if none is named.
    ///
    /// # Errors
    /// Names the file or the variable, and the key or line that is wrong.
    pub fn read(named: Option<&Path>) -> Result<Layers> {
        if let Some(path) = named.filter(|path| !path.is_file()) {
            bail!("there is no config file {}", path.display());
        }
        let file = named.map(Path::to_owned).or_else(usual);
        let vars = std::env::vars().filter(|(name, _)| name.starts_with(PREFIX));
        Layers::of(file, vars.collect())
    }

    fn of(file: Option<PathBuf>, vars: Vec<(String, String)>) -> Result<Layers> {
        let mut builder = config::Config::builder();
        let (mut in_file, mut variables) = (BTreeSet::new(), BTreeMap::new());
        if let Some(path) = &file {
            let named = || format!("config file {}", path.display());
            let source = config::File::from(path.as_path()).format(config::FileFormat::Toml);
            builder = builder.add_source(source);
            let text = std::fs::read_to_string(path).with_context(named)?;
            let table = toml::Deserializer::parse(&text).ok();
            let table = table.map(strict::<toml::Table>).transpose().with_context(named)?.unwrap_or_default();
            let value = serde_json::to_value(&table).unwrap_or_default();
            in_file.extend(leaves(&value).into_iter().map(|(key, _)| key));
            // Alone first, so that what is wrong with it is not laid to the environment.
            settled(builder.clone()).with_context(named)?;
            strict::<Settings>(worded(table)).with_context(named)?;
        }
        for (name, text) in vars {
            let key = key_of(&name);
            builder = builder.set_override(&key, value_of(&text)).with_context(|| name.clone())?;
            settled(builder.clone()).with_context(|| format!("the variable {name}"))?;
            variables.insert(key, name);
        }
        let settings = settled(builder).context("the config")?;
        Ok(Layers { settings, file, in_file, variables, flags: BTreeMap::new() })
    }

    /// The config file, if there is one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Every key with its value, and where that came from.
    pub fn keys(&self) -> Vec<(String, Value, Origin)> {
        let value = serde_json::to_value(&self.settings).unwrap_or_default();
        let all = leaves(&value).into_iter();
        all.map(|(key, value)| (key.clone(), value, self.origin(&key))).collect()
    }

    fn origin(&self, key: &str) -> Origin {
        let list = key.split('[').next().unwrap_or(key);
        if let Some(flag) = self.flags.get(list) {
            return Origin::Flag(flag);
        }
        if let Some(name) = self.variables.get(list) {
            return Origin::Environment(name.clone());
        }
        match &self.file {
            Some(file) if self.in_file.contains(key) => Origin::File(file.clone()),
            _ => Origin::Default,
        }
    }
}

/// The user's own file, or else the machine's.
fn usual() -> Option<PathBuf> {
    let own = etcetera::choose_base_strategy().ok().map(|home| home.config_dir().join("bursar/bursar.toml"));
    own.into_iter().chain([PathBuf::from(SYSTEM_FILE)]).find(|path| path.is_file())
}

/// The key that a variable names.
fn key_of(name: &str) -> String {
    name.trim_start_matches(PREFIX).to_lowercase().replace("__", ".").replace('_', "-")
}

/// What a variable says: a number, a truth value or a list as TOML has them, else the text itself.
fn value_of(text: &str) -> config::Value {
    let read = format!("it = {text}").parse::<toml::Table>().ok().and_then(|mut table| table.remove("it"));
    match read {
        Some(toml::Value::Integer(number)) => number.into(),
        Some(toml::Value::Boolean(truth)) => truth.into(),
        Some(toml::Value::Array(items)) if items.iter().all(toml::Value::is_str) => {
            let items = items.into_iter().filter_map(|item| item.as_str().map(str::to_owned));
            items.collect::<Vec<String>>().into()
        }
        Some(toml::Value::String(text)) => text.into(),
        _ => text.into(),
    }
}

/// Every value below, by its key.
fn leaves(value: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    collect("", value, &mut found);
    found
}

fn collect(at: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                let key = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                collect(&key, member, found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in items.iter().enumerate() {
                collect(&format!("{at}[{number}]"), item, found);
            }
        }
        leaf => found.push((at.to_owned(), leaf.clone())),
    }
}

/// The settings, or what is wrong with them and what was meant.
fn settled(builder: config::ConfigBuilder<config::builder::DefaultState>) -> Result<Settings> {
    builder.build().and_then(Settings::of).map_err(|error| {
        let told = error.to_string();
        anyhow!(one_of(&told).unwrap_or_else(|| meant(&told)))
    })
}

/// What a file says, read to the letter: config takes "no" for `false` and 1.7 for 2, as is right for a variable, which
/// has no types. What is no TOML is told by config.
fn strict<'de, T: DeserializeOwned>(file: impl Deserializer<'de, Error = toml::de::Error>) -> Result<T> {
    serde_path_to_error::deserialize(file).map_err(|error| {
        let told = error.inner().message().trim_end();
        let right = RIGHT.iter().find(|(expected, _)| told.ends_with(expected));
        anyhow!("{}: {told}{}", error.path(), right.map_or("", |(_, right)| right))
    })
}

/// Amounts may be plain numbers, as `cpu = 4`: there is nothing else that they could mean.
fn worded(mut table: toml::Table) -> toml::Table {
    let word = |amount: &mut toml::Value| {
        if amount.is_integer() || amount.is_float() {
            *amount = toml::Value::String(amount.to_string());
        }
    };
    let capacity = table.get_mut("node").and_then(|node| node.get_mut("capacity")?.as_table_mut());
    capacity.into_iter().flatten().for_each(|(_, amount)| word(amount));
    for list in ["pool", "quota"] {
        let rows = table.get_mut(list).and_then(toml::Value::as_array_mut).into_iter().flatten();
        for row in rows.filter_map(toml::Value::as_table_mut) {
            row.iter_mut()
                .filter(|(key, _)| AMOUNTS.contains(&key.as_str()))
                .for_each(|(_, amount)| word(amount));
        }
    }
    table
}

/// What is said of a word that is none of those that a key may have, with those: config names only the type.
fn one_of(told: &str) -> Option<String> {
    let (name, rest) = told.strip_prefix("enum ")?.split_once(" does not have variant constructor ")?;
    let (word, rest) = rest.split_once(" for key `")?;
    let (key, _) = rest.split_once('`')?;
    // A dot is missing there.
    let key = key.replace("].", "]").replace(']', "].");
    let schema = serde_json::to_value(schemars::schema_for!(Settings)).ok()?;
    let kind = schema.pointer(&format!("/$defs/{name}"))?;
    let described = kind["oneOf"].as_array().into_iter().flatten().map(|one| &one["const"]);
    let plain = kind["enum"].as_array().into_iter().flatten();
    let words: Vec<&str> = described.chain(plain).filter_map(Value::as_str).collect();
    Some(format!("{key}: there is no {word:?}; write one of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(file: &str, vars: &[(&str, &str)]) -> Result<(tempfile::TempDir, Layers)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("bursar.toml");
        std::fs::write(&path, file)?;
        let vars = vars.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Layers::of(Some(path), vars.collect()).map(|layers| (folder, layers))
    }

    #[test]
    fn each_key_knows_what_said_so() {
        let file = "[journal]\nretain-hours = 5\ncheckpoint-batches = 9\n[[pool]]\nresource = \"usd\"\nname = \"x\"\n\
                    capacity = \"5usd/d\"\n";
        let vars = [("BURSAR__JOURNAL__RETAIN_HOURS", "7"), ("BURSAR__STRATEGY__QOS", "fcfs")];
        let (_folder, layers) = layers(file, &vars).expect("sound");
        assert_eq!(
            (layers.settings.journal.retain_hours, layers.settings.strategy.qos.as_str()),
            (7, "fcfs")
        );
        let keys = layers.keys();
        let origin = |key: &str| {
            let found = keys.iter().find(|(known, ..)| known == key);
            found.map(|(_, _, origin)| origin.to_string()).unwrap_or_else(|| panic!("{key} is no key"))
        };
        assert_eq!(origin("journal.retain-hours"), "environment BURSAR__JOURNAL__RETAIN_HOURS");
        assert!(origin("journal.checkpoint-batches").starts_with("file "));
        assert!(origin("pool[0].capacity").starts_with("file "));
        assert_eq!(origin("pool[0].burst"), "default");
        assert_eq!(origin("strategy.allocator"), "default");
    }

    #[test]
    fn what_is_wrong_is_laid_to_what_said_it() {
        for (file, vars, told) in [
            ("[journal]\nretain-days = 5\n", &[][..], "config file"),
            ("[plugins]\nidel-ms = 5\n", &[][..], "did you mean \"idle-ms\"?"),
            (
                "[memory]\nadmission = \"headrom\"\n",
                &[][..],
                "memory.admission: there is no \"headrom\"; write one of asked, headroom, measured",
            ),
            (
                "[liveness]\nhung = \"end\"\n",
                &[][..],
                "liveness.hung: there is no \"end\"; write one of warn, stop, ignore",
            ),
            ("[enforce]\nover = \"end\"\n", &[][..], "enforce.over: there is no \"end\"; write one of "),
            ("[gate]\nfail = \"opne\"\n", &[][..], "gate.fail: there is no \"opne\"; write one of "),
            (
                "[[gate.provider]]\nname = \"x\"\nshape = \"opnai\"\n",
                &[][..],
                "gate.provider[0].shape: there is no \"opnai\"; write one of ",
            ),
            (
                "[memory]\nladder = \"no\"\n",
                &[][..],
                "memory.ladder: invalid type: string \"no\", expected a boolean; write true or false, without quotes",
            ),
            (
                "[enforce]\ncgroups = 7\n",
                &[][..],
                "enforce.cgroups: invalid type: integer `7`, expected a boolean",
            ),
            (
                "[journal]\nretain-hours = 1.7\n",
                &[][..],
                "journal.retain-hours: invalid type: floating point `1.7`, expected u64; write a whole number",
            ),
            (
                "[journal]\nretain-hours = true\n",
                &[][..],
                "journal.retain-hours: invalid type: boolean `true`",
            ),
            (
                "[memory]\npressure-threshold = \"0.7\"\n",
                &[][..],
                "memory.pressure-threshold: invalid type: string \"0.7\", expected f64; write a number, without",
            ),
            (
                "[[pool]]\nresource = \"usd\"\nname = \"x\"\ncapacity = true\n",
                &[][..],
                "pool[0].capacity: invalid type: boolean `true`, expected a string; write it between quotes",
            ),
            (
                "[[pool]]\nresource = 8\nname = \"x\"\ncapacity = 8\n",
                &[][..],
                "pool[0].resource: invalid type: integer `8`, expected a string; write it between quotes",
            ),
            (
                "[journal]\nballast-bytes = 9223372036854775808\n",
                &[][..],
                "journal.ballast-bytes: u64 value was too large; write a whole number up to 9223372036854775807",
            ),
            (
                "[journal]\nballast-bytes = 99999999999999999999999999999999999999999999\n",
                &[][..],
                "journal.ballast-bytes: integer number overflowed; write a whole number up to 9223372036854775807",
            ),
            (
                "[journal]\n",
                &[("BURSAR__JOURNAL__RETAIN_DAYS", "5")][..],
                "the variable BURSAR__JOURNAL__RETAIN_DAYS",
            ),
            (
                "[journal]\n",
                &[("BURSAR__JOURNAL__RETAIN_HOURS", "many")][..],
                "BURSAR__JOURNAL__RETAIN_HOURS",
            ),
        ] {
            let error = layers(file, vars).map(drop).expect_err(told);
            assert!(format!("{error:#}").contains(told), "{error:#}");
        }
    }

    #[test]
    fn amounts_may_be_plain_numbers() {
        let text = "[node.capacity]\ncpu = 1.5\n[[pool]]\nresource = \"x\"\nname = \"y\"\ncapacity = 8\n\
                    [[quota]]\nscope = \"a\"\nresource = \"x\"\nlimit = 4\n";
        let (_folder, layers) = layers(text, &[]).expect("read");
        let settings = &layers.settings;
        assert_eq!(settings.node.capacity["cpu"], "1.5");
        assert_eq!((&*settings.pool[0].capacity, settings.quota[0].limit.as_deref()), ("8", Some("4")));
    }

    #[test]
    fn variables_say_numbers_truths_and_lists_as_a_file_does() {
        let vars = [("BURSAR__ENFORCE__CGROUPS", "false"), ("BURSAR__HTTP__HOSTS", "[\"a:1\", \"b:2\"]")];
        let (_folder, layers) = layers("", &vars).expect("sound");
        assert!(!layers.settings.enforce.cgroups);
        assert_eq!(layers.settings.http.hosts, ["a:1", "b:2"]);
    }
}
