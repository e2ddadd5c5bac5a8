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
use bursar_conformance as kit;
use bursar_interface::{Home, Manifest, Resource, ResourceSpec, Role};
use bursar_loader::{Loader, Reject, Seated, inspect};
use serde::Serialize;
use std::{cell::RefCell, path::Path};

/// How long one answer may take here: a verdict should not depend on how busy the machine is.
const DEADLINE_MS: u64 = 300;

/// What was found of one plugin.
#[derive(Debug, Serialize)]
struct Verdict {
    role: &'static str,
    id: String,
    /// What is wrong; null for one that passes.
    wrong: Option<String>,
}

/// `bursar plugin verify`.
pub fn verify(context: &Context, path: &Path) -> Outcome {
    let candidate = inspect(path).map_err(|reject| anyhow::anyhow!(reject))?;
    let scratch = tempfile::tempdir()?;
    let folder = scratch.path().join("plugins");
    super::make_private(&folder)?;
    std::fs::copy(path, folder.join("libplugin.so"))?;
    let mut settings = Settings::default();
    settings.plugins.deadline_ms = DEADLINE_MS;
    let mut loading = serve::loader_settings(&settings, &[], scratch.path())?;
    // Nothing but this one, wherever else plugins may be.
    loading.dirs = vec![folder];
    let loader = RefCell::new(Loader::new(loading).map_err(anyhow::Error::from)?);
    let verdicts: Vec<Verdict> =
        candidate.manifests.iter().map(|manifest| judge(&loader, manifest)).collect();
    match context.output {
        Output::Table => {
            let word = |verdict: &Verdict| verdict.wrong.clone().unwrap_or_else(|| "passes".into());
            let rows =
                verdicts.iter().map(|verdict| vec![verdict.role.into(), verdict.id.clone(), word(verdict)]);
            show::line(&show::table(&["role", "id", "verdict"], rows));
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

fn judge(loader: &RefCell<Loader>, manifest: &Manifest) -> Verdict {
    let id = manifest.id.as_str();
    let found = match manifest.role {
        Role::Allocator => {
            let make = || own(loader.borrow_mut().allocator(id, ""));
            make().and_then(|_| kit::allocator(&|| make().expect("it was made before")))
        }
        Role::Qos => {
            let make = || own(loader.borrow_mut().qos(id, ""));
            make().and_then(|_| kit::qos(&|| make().expect("it was made before")))
        }
        Role::Resource => {
            own(loader.borrow_mut().resource(id, "")).and_then(|spec| kit::resource(&Said(*spec)))
        }
        Role::Metric => {
            own(loader.borrow_mut().metric(id, "")).and_then(|mut metric| kit::metric(&mut *metric))
        }
        // What a driver does to the world is its own: it must at least find out what there is.
        Role::Driver => own(loader.borrow_mut().driver(id, ""))
            .and_then(|mut driver| driver.discover().map(drop).map_err(|fault| fault.to_string())),
    };
    Verdict { role: manifest.role.name(), id: id.into(), wrong: found.err() }
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
