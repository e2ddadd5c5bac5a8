//! Analyzers, metrics and rules of sharing that came, or came in another version, while the daemon runs. Analyzers and
//! metrics live on threads of their own, which take them over at their next look.
use super::{host::Host, measure::Sources, reload::changed, seats::config_of, sharing, steering::refuse};
use bursar_engine::Engine;
use bursar_interface::{Analyzer, Metric, Principal, Reason, Refusal, Role, bound::BATCH_MAX};
use bursar_loader::{Loader, Reject, Seated};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread::Thread,
};
use tokio::task::block_in_place;

/// Plugins on their way to the thread that asks them: each takes the place of the one of its name, or leaves it empty.
pub struct Incoming<T: ?Sized> {
    waiting: Mutex<BTreeMap<String, Option<Box<T>>>>,
    bell: Mutex<Option<Thread>>,
}

impl<T: ?Sized> Default for Incoming<T> {
    fn default() -> Self {
        Incoming { waiting: Mutex::default(), bell: Mutex::default() }
    }
}

impl<T: ?Sized> Incoming<T> {
    fn leave(&self, name: String, plugin: Option<Box<T>>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(name, plugin);
        let bell = self.bell.lock().unwrap_or_else(PoisonError::into_inner);
        bell.iter().for_each(Thread::unpark);
    }

    /// Which thread is woken when something comes.
    pub fn wake(&self, thread: Thread) {
        *self.bell.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    }

    /// Takes over what came; the names of those that are gone.
    pub fn take(&self, into: &mut BTreeMap<String, Box<T>>) -> Vec<String> {
        let came = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut gone = Vec::new();
        for (name, plugin) in came {
            match plugin {
                Some(plugin) => drop(into.insert(name, plugin)),
                None => {
                    into.remove(&name);
                    gone.push(name);
                }
            }
        }
        gone
    }
}

/// What is on its way.
#[derive(Default)]
pub struct Beside {
    /// To the analyzers' thread.
    pub analyzers: Incoming<dyn Analyzer>,
    /// To the metrics' thread.
    pub metrics: Incoming<dyn Metric>,
    /// Which metric measured what.
    pub sources: Sources,
}

impl Host {
    /// Takes analyzers, metrics and rules of sharing into use as they lie in the folders now.
    ///
    /// # Errors
    /// The first thing that cannot be taken; all else is.
    pub(super) async fn renew_beside(&self) -> Result<(), Refusal> {
        let wrong = block_in_place(|| {
            let mut loader = self.loader();
            let analyzers = renewed(&mut loader, Role::Analyzer, &self.beside.analyzers, |loader, id| {
                loader.analyzer(id, &config_of(&self.settings, id))
            });
            let metrics = renewed(&mut loader, Role::Metric, &self.beside.metrics, |loader, id| {
                loader.metric(id, &config_of(&self.settings, id))
            });
            analyzers.or(metrics)
        });
        let ruled = self.renew_rules().await;
        wrong.map_or(ruled, Err)
    }

    /// Asks those again who say how pools are shared: they, or what there is, may be others than at the start.
    async fn renew_rules(&self) -> Result<(), Refusal> {
        if !sharing::is_asked_for(&self.settings) {
            return Ok(());
        }
        // A copy: a slow one holds up no fold.
        let engine = self.follower.read(Engine::clone);
        let told = block_in_place(|| sharing::commands(&mut self.loader(), &self.settings, &engine));
        let told = told.map_err(|error| Refusal::new(Reason::BadRequest, error.to_string()))?;
        let by = Principal { admin: true, ..Principal::default() };
        for chunk in told.chunks(BATCH_MAX) {
            let answers = self.mailbox.ask(by.clone(), chunk.to_vec(), None).await?;
            answers.into_iter().try_for_each(|answer| answer.map(drop))?;
        }
        Ok(())
    }
}

/// Sends those of a role to their thread that would be found otherwise than they were; the first that cannot be made.
fn renewed<T: ?Sized>(
    loader: &mut Loader,
    role: Role,
    to: &Incoming<T>,
    load: impl Fn(&mut Loader, &str) -> Result<Seated<T>, Reject>,
) -> Option<Refusal> {
    let mut wrong = None;
    for (id, there) in changed(loader, role) {
        if !there {
            tracing::warn!(role = role.name(), id, "its library is gone, or is not to be asked any more");
            loader.forget_seat(role, &id);
            to.leave(id, None);
            continue;
        }
        match load(loader, &id) {
            Ok(seated) => to.leave(id, Some(seated.plugin)),
            Err(reject) => wrong = wrong.or(Some(refuse(&reject))),
        }
    }
    wrong
}
