//! `bursar plugin verify X.so`: the conformance kit on every plugin of a library, each in a child, so that
//! whatever it does is told and harms nobody.
use super::{
    Context,
    outcome::{Failed, Outcome},
    show,
};
use crate::{
    args::Output,
    serve::{self, Settings},
};
use bursar_conformance::{self as kit, Outcome as How, Outside, Report, Seen};
use bursar_interface::{Home, Manifest, Resource, ResourceSpec, Role};
use bursar_loader::{Footprint, Loader, Reject, Seated, inspect};
use serde::Serialize;
use std::{cell::RefCell, path::Path, time::Duration};

/// How long one answer may take here: a verdict should not depend on how busy the machine is.
const DEADLINE_MS: u64 = 300;
/// A key that no config has.
const NO_KEY: &str = "no-such-key";

/// What was found of one plugin.
#[derive(Debug, Serialize)]
struct Verdict {
    role: &'static str,
    id: String,
    /// What is wrong first; null for one that passes.
    wrong: Option<String>,
    /// Every check.
    checks: Vec<Line>,
}

/// One check as it is shown.
#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    /// `passed`, `failed` or `skipped`.
    state: &'static str,
    detail: String,
    /// How to mend it.
    mend: Option<&'static str>,
}

/// What plugins are tried with.
struct Bench {
    loader: RefCell<Loader>,
    /// The traces of the instance that was made last.
    footprint: RefCell<Footprint>,
    calls: u64,
    deadline: Duration,
}

/// `bursar plugin verify`.
pub fn verify(context: &Context, path: &Path, only: &[String], calls: u64, deadline: &str) -> Outcome {
    let deadline = bursar_wire::duration(deadline).map_err(Failed::usage)?;
    // Where it is looked for links are not followed; here it was named.
    let path = path.canonicalize().map_err(|error| Failed::usage(format!("{}: {error}", path.display())))?;
    let candidate = inspect(&path).map_err(|reject| anyhow::anyhow!(reject))?;
    let names =
        || candidate.manifests.iter().map(|manifest| manifest.id.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(none) = only.iter().find(|only| !candidate.manifests.iter().any(|there| there.id == **only)) {
        return Err(Failed::usage(format!("there is no plugin {none:?} in it"))
            .hint(format!("there are: {}", names())));
    }
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path().join("plugins");
    super::make_private(&folder)?;
    std::fs::copy(&path, folder.join("libplugin.so"))?;
    let mut settings = Settings::default();
    settings.plugins.deadline_ms = DEADLINE_MS.max(deadline.as_millis() as u64);
    let mut loading = serve::loader_settings(&settings, &[], scratch.path())?;
    // Nothing but this one, wherever else plugins may be.
    loading.dirs = vec![folder];
    let loader = RefCell::new(Loader::new(loading).map_err(anyhow::Error::from)?);
    let bench = Bench { loader, footprint: RefCell::default(), calls, deadline };
    let wanted = candidate.manifests.iter().filter(|manifest| only.is_empty() || only.contains(&manifest.id));
    let verdicts: Vec<Verdict> = wanted.map(|manifest| bench.judge(manifest)).collect();
    match context.output {
        Output::Table => {
            show::line(&show::table(&["role", "id", "check", "state", "detail"], rows(&verdicts)))
        }
        output => show::document(&serde_json::json!({ "plugins": verdicts }), output),
    }
    match verdicts.iter().filter(|verdict| verdict.wrong.is_some()).count() {
        0 => Ok(()),
        wrong => {
            Err(Failed::from(anyhow::anyhow!("{wrong} of {} plugins do not pass", verdicts.len())).shown())
        }
    }
}

fn rows(verdicts: &[Verdict]) -> impl Iterator<Item = Vec<String>> {
    let row = |verdict: &Verdict, line: &Line| {
        let mend = line.mend.map_or(String::new(), |mend| format!(" ({mend})"));
        let detail = format!("{}{mend}", line.detail);
        vec![verdict.role.into(), verdict.id.clone(), line.name.into(), line.state.into(), detail]
    };
    verdicts.iter().flat_map(move |verdict| verdict.checks.iter().map(move |line| row(verdict, line)))
}

impl Bench {
    fn judge(&self, manifest: &Manifest) -> Verdict {
        let mut report = Report::default();
        self.library(manifest, &mut report);
        if report.verdict().is_ok() {
            let of_role = self.plugin(manifest).unwrap_or_else(|why| {
                let mut report = Report::default();
                report.check(
                    "made",
                    "the constructor must succeed on no config, and its drop must not panic",
                    || Err(why),
                );
                report
            });
            report.checks.extend(of_role.checks);
        }
        let wrong = report.failures().next();
        let line = |check: kit::Check| {
            let (state, detail, mend) = match check.outcome {
                How::Passed(seen) => ("passed", seen, None),
                How::Failed { what, mend } => ("failed", what, Some(mend)),
                How::Skipped(why) => ("skipped", why, None),
            };
            Line { name: check.name, state, detail, mend }
        };
        let checks = report.checks.into_iter().map(line).collect();
        Verdict { role: manifest.role.name(), id: manifest.id.clone(), wrong, checks }
    }

    /// What is the library's, or can be said of any role.
    fn library(&self, manifest: &Manifest, report: &mut Report) {
        report.check("manifest", "build it with #[plugin] and the sdk of this host", || {
            Ok(format!("{} {}, border {}", manifest.library, manifest.version, manifest.abi_built))
        });
        let mut schema = None;
        report.check("layout", "build it again with the sdk of this host", || {
            schema = self
                .loader
                .borrow_mut()
                .schema(manifest.role, &manifest.id)
                .map_err(|why| why.to_string())?;
            Ok(String::new())
        });
        match &schema {
            Some(schema) => report.check(
                "schema",
                "write the config's type with #[config], and its keys with docs",
                || self.schema(manifest, schema),
            ),
            None => report.skip("schema", "it says nothing of a config; #[plugin(config = Type)] does"),
        }
    }

    /// Whether a config is what its schema says, and what is unknown is refused by its name.
    fn schema(&self, manifest: &Manifest, schema: &str) -> Result<String, String> {
        let schema: serde_json::Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
        let keys: Vec<String> =
            schema["properties"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
        if schema["additionalProperties"] != false {
            return Err("it takes keys that it does not know".into());
        }
        let config = format!(r#"{{"{NO_KEY}":1}}"#);
        match self.made(manifest, &config) {
            Ok(()) => Err(format!("a config with the key {NO_KEY:?} is taken")),
            Err(why) if why.contains(NO_KEY) => Ok(format!("keys: {}", keys.join(", "))),
            Err(why) => Err(format!("a config with an unknown key is refused without naming it: {why}")),
        }
    }

    fn made(&self, manifest: &Manifest, config: &str) -> Result<(), String> {
        let (id, mut loader) = (manifest.id.as_str(), self.loader.borrow_mut());
        match manifest.role {
            Role::Allocator => own(loader.allocator(id, config)).map(drop),
            Role::Qos => own(loader.qos(id, config)).map(drop),
            Role::Resource => own(loader.resource(id, config)).map(drop),
            Role::Driver => own(loader.driver(id, config)).map(drop),
            Role::Metric => own(loader.metric(id, config)).map(drop),
            Role::Sharing => own(loader.sharing(id, config)).map(drop),
            Role::Analyzer => own(loader.analyzer(id, config)).map(drop),
        }
    }

    /// The checks of its role.
    fn plugin(&self, manifest: &Manifest) -> Result<Report, String> {
        let (id, seen) = (manifest.id.as_str(), || self.seen());
        let outside = Outside { calls: self.calls, deadline: self.deadline, seen: &seen };
        let mut report = Report::default();
        let sound = "say only what is so, within the bounds of the interface";
        match manifest.role {
            Role::Allocator => {
                let make = || self.watch(self.loader.borrow_mut().allocator(id, ""));
                make()?;
                return Ok(kit::allocator_report(&|| make().expect("it was made before"), Some(&outside)));
            }
            Role::Qos => {
                let make = || self.watch(self.loader.borrow_mut().qos(id, ""));
                make()?;
                return Ok(kit::qos_report(&|| make().expect("it was made before"), Some(&outside)));
            }
            Role::Sharing => {
                let make = || self.watch(self.loader.borrow_mut().sharing(id, ""));
                make()?;
                return Ok(kit::sharing_report(&|| make().expect("it was made before"), Some(&outside)));
            }
            Role::Analyzer => {
                let make = || self.watch(self.loader.borrow_mut().analyzer(id, ""));
                make()?;
                return Ok(kit::analyzer_report(&|| make().expect("it was made before"), Some(&outside)));
            }
            Role::Resource => {
                let spec = self.watch(self.loader.borrow_mut().resource(id, ""))?;
                report.check("spec", sound, || kit::resource(&Said(*spec)).map(|()| String::new()));
            }
            Role::Metric => {
                let mut metric = self.watch(self.loader.borrow_mut().metric(id, ""))?;
                report.check("samples", sound, || kit::metric(&mut *metric).map(|()| String::new()));
                if report.verdict().is_ok() {
                    outside.endure(&mut report, &mut || kit::metric(&mut *metric));
                }
            }
            // What a driver does to the world is its own: what it says is looked at, and a lease of nothing.
            Role::Driver => {
                let mut driver = self.watch(self.loader.borrow_mut().driver(id, ""))?;
                report.check("supplies", sound, || kit::driver(&mut *driver).map(|()| String::new()));
            }
        }
        Ok(report)
    }

    /// The plugin, if it is that of the library, with its traces followed from here on.
    fn watch<T: ?Sized>(&self, seated: Result<Seated<T>, Reject>) -> Result<Box<T>, String> {
        if let Ok(seated) = &seated {
            self.footprint.replace(seated.footprint.clone());
        }
        own(seated)
    }

    fn seen(&self) -> Option<Seen> {
        let footprint = self.footprint.borrow();
        let usage = footprint.usage()?;
        let (memory_bytes, threads, files) = (usage.memory_bytes, usage.threads, usage.files);
        Some(Seen { memory_bytes, threads, files, lines: footprint.lines() })
    }
}

/// The plugin, if it is that of the library and not one that is linked in here.
fn own<T: ?Sized>(seated: Result<Seated<T>, Reject>) -> Result<Box<T>, String> {
    match seated {
        Ok(seated) if seated.decider.home == Home::Child => Ok(seated.plugin),
        Ok(_) => Err("it cannot be made; run it with BURSAR_LOG=warn to see why".into()),
        Err(reject) => Err(reject.to_string()),
    }
}

/// What a resource said of itself.
struct Said(ResourceSpec);

impl Resource for Said {
    fn spec(&self) -> ResourceSpec {
        self.0.clone()
    }
}
