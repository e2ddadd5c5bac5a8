//! Kinds and drivers that came, or came in another version, while the daemon runs. What is held goes on as it is:
//! whoever made a lease true takes it back, and only new leases go to the new version.
use super::{enforcer::Note, host::Host, seats::config_of, steering::refuse, supply, workers::Drivers};
use bursar_interface::{Command, Principal, Reason, Refusal, ResourceSpec, Role, Supply, bound::BATCH_MAX};
use bursar_loader::Loader;
use std::collections::BTreeSet;
use tokio::task::block_in_place;

/// What is to be known of a driver that cannot be taken into use, where one is.
const GOES_ON: &str = "the version before it goes on; see `bursar plugin list`";

/// What was found that is not in use yet.
#[derive(Default)]
struct Anew {
    kinds: Vec<ResourceSpec>,
    drivers: Drivers,
    /// What these drivers offer.
    supplies: Vec<Supply>,
    /// Drivers whose offers are as told here and nowhere else: the new ones, and those that are gone.
    spoken: BTreeSet<String>,
}

impl Host {
    /// Takes into use what lies in the folders now.
    ///
    /// # Errors
    /// The first thing that cannot be taken; all else is.
    pub(super) async fn renew(&self) -> Result<(), Refusal> {
        let (anew, mut wrong) = block_in_place(|| self.found_anew());
        if anew.kinds.is_empty() && anew.spoken.is_empty() {
            return wrong.map_or(Ok(()), Err);
        }
        let Anew { kinds, drivers, supplies, spoken } = anew;
        let offers = self.follower.read(|engine| {
            let new = kinds.iter().map(|kind| kind.name.clone());
            let known: BTreeSet<String> =
                engine.books().specs().iter().map(|kind| kind.name.clone()).chain(new).collect();
            let found = supply::Found { supplies, answered: drivers.keys().cloned().collect() };
            supply::offers(&self.settings, engine, found, &known, |kind| spoken.contains(kind))
        });
        // Before anybody can be granted what they offer. The enforcer ends after the front door.
        self.enforcer.send(Note::Drivers(drivers));
        let offers = offers.map_err(|error| Refusal::new(Reason::BadRequest, error.to_string()))?;
        let told: Vec<Command> = kinds.into_iter().map(Command::SetResource).chain(offers).collect();
        let by = Principal { admin: true, ..Principal::default() };
        for chunk in told.chunks(BATCH_MAX) {
            let answers = self.mailbox.ask(by.clone(), chunk.to_vec(), None).await?;
            wrong = wrong.or(answers.into_iter().find_map(Result::err));
        }
        wrong.map_or(Ok(()), Err)
    }

    /// Kinds and drivers that would be found otherwise than they were, and the first thing that is wrong with any.
    fn found_anew(&self) -> (Anew, Option<Refusal>) {
        let (mut anew, mut wrong) = (Anew::default(), None);
        let mut loader = self.loader();
        let (kinds, drivers) = (changed(&loader, Role::Resource), changed(&loader, Role::Driver));
        for (id, _) in kinds.into_iter().filter(|(_, there)| *there) {
            match loader.resource(&id, &config_of(&self.settings, &id)) {
                Ok(seated) => anew.kinds.push(*seated.plugin),
                Err(reject) => wrong = wrong.or(Some(refuse(&reject))),
            }
        }
        for (id, there) in drivers {
            if !there {
                // It takes back what it holds; nothing new is offered of it.
                tracing::warn!(driver = id, "its library is gone, or is not to be asked any more");
                loader.forget_seat(Role::Driver, &id);
                anew.spoken.insert(id);
                continue;
            }
            let before = loader.sits(Role::Driver, &id).is_some();
            let loaded =
                loader.driver(&id, &config_of(&self.settings, &id)).map_err(|reject| refuse(&reject));
            let looked = loaded.and_then(|mut seated| match seated.plugin.discover() {
                Ok(supplies) => Ok((seated.plugin, supplies)),
                Err(fault) => Err(Refusal::new(Reason::PluginFailed, fault.by(&id).to_string())
                    .hint(if before { GOES_ON } else { Reason::PluginFailed.hint() })),
            });
            match looked {
                Ok((driver, supplies)) => {
                    anew.drivers.insert(id.clone(), driver);
                    anew.spoken.extend(supplies.iter().map(|supply| supply.resource.clone()).chain([id]));
                    anew.supplies.extend(supplies);
                }
                Err(refusal) => {
                    // It is tried again with the next order.
                    loader.forget_seat(Role::Driver, &id);
                    wrong = wrong.or(Some(refusal));
                }
            }
        }
        (anew, wrong)
    }
}

/// Names of a role of which another plugin would be found now than the one that sits there, and whether there is any.
pub(super) fn changed(loader: &Loader, role: Role) -> Vec<(String, bool)> {
    let ids = loader.ids(role).into_iter().chain(loader.seated_ids(role)).collect::<BTreeSet<_>>();
    let found = ids.into_iter().map(|id| (loader.would_seat(role, &id), loader.sits(role, &id), id));
    let changed = found.filter(|(found, sits, _)| found != sits);
    changed.map(|(found, _, id)| (id, found.is_some())).collect()
}
