//! How operators steer plugins while everything goes on: who decides, who is let in, who is trusted.
use super::{
    host::Host,
    mail::Chosen,
    roster::{Choice, name_of},
    seats::{self, config_of},
};
use bursar_interface::{Command, Decider, Principal, Reason, Refusal, Role};
use bursar_loader::{Loader, Reject, Seated};
use bursar_wire::PluginOrder;
use std::sync::PoisonError;
use tokio::task::{JoinError, spawn_blocking};

/// The roles whose plugins decide.
pub const STRATEGIES: [Role; 2] = [Role::Allocator, Role::Qos];

/// A strategy that is loaded: who, the plugin, and exactly which.
type Loaded = (Decider, Chosen, String);

/// Exactly which plugin sits there.
pub fn exact<T: ?Sized>(seated: &Seated<T>) -> String {
    format!("{}@{}", seated.decider.plugin, seated.sha256.as_deref().unwrap_or("linked"))
}

pub(super) fn refuse(reject: &Reject) -> Refusal {
    let reason = match reject {
        Reject::Unknown { .. } | Reject::NoVersion { .. } => Reason::NotFound,
        Reject::Make { .. } => Reason::PluginFailed,
        _ => Reason::BadRequest,
    };
    Refusal::new(reason, reject.to_string()).hint("see `bursar plugin list`")
}

fn administers(by: &Principal, what: &str) -> Result<(), Refusal> {
    let message = format!("only the daemon's own user and root {what}");
    if by.admin { Ok(()) } else { Err(Refusal::new(Reason::Forbidden, message)) }
}

/// A role by its word.
fn role_of(word: &str) -> Result<Role, Refusal> {
    Role::ALL.into_iter().find(|role| role.name() == word).ok_or_else(|| {
        Refusal::new(Reason::BadRequest, format!("there is no role {word:?}"))
            .hint(format!("roles are: {}", Role::ALL.map(Role::name).join(", ")))
    })
}

/// Does what an order says, as far as that is the loader's.
fn carry_out(loader: &mut Loader, order: &PluginOrder) -> Result<(), Refusal> {
    let done = match order {
        PluginOrder::Enable { role, id } => loader.enable(role_of(role)?, id, true),
        PluginOrder::Disable { role, id } => loader.enable(role_of(role)?, id, false),
        PluginOrder::Reload {} => {
            loader.scan();
            Ok(())
        }
        PluginOrder::Trust { key } => loader.trust(key).map(drop),
        PluginOrder::Revoke { key } => loader.revoke(key),
    };
    done.map_err(|reject| refuse(&reject))
}

impl Host {
    /// Has something done with the loader beside the door's thread, which serves others meanwhile: staging, hashing,
    /// opening and starting a child may take long.
    async fn aside<T: Send + 'static>(&self, act: impl FnOnce(&mut Loader) -> T + Send + 'static) -> T {
        let loader = self.loader.clone();
        let done = spawn_blocking(move || act(&mut loader.lock().unwrap_or_else(PoisonError::into_inner)));
        match done.await.map_err(JoinError::try_into_panic) {
            Ok(done) => done,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // Only a runtime that is ending ends what it has begun.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Loads a strategy: from there on it only has to be sat down.
    async fn load(&self, role: Role, asked: &str) -> Result<Loaded, Reject> {
        let (config, asked) = (config_of(&self.settings, asked), asked.to_owned());
        self.aside(move |loader| {
            // What was put into the folders meanwhile can be chosen too.
            loader.scan();
            match role {
                Role::Qos => loader.qos(&asked, &config).map(|seated| {
                    let exact = exact(&seated);
                    (seated.decider, Chosen::Qos(seated.plugin), exact)
                }),
                _ => loader.allocator(&asked, &config).map(|seated| {
                    let exact = exact(&seated);
                    (seated.decider, Chosen::Allocator(seated.plugin), exact)
                }),
            }
        })
        .await
    }

    /// Lets a strategy decide, and writes down who does.
    async fn seat(&self, role: Role, asked: String, (to, chosen, exact): Loaded) -> Result<(), Refusal> {
        let swap = vec![Command::Swap { role, to }];
        let by = Principal { admin: true, ..Principal::default() };
        let answers = self.mailbox.ask(by, swap, Some(chosen)).await?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))?;
        let mut roster = self.roster.clone().lock_owned().await;
        // It is written down whether anybody waits for that or not.
        let _ = spawn_blocking(move || roster.take(role, Choice { asked, exact })).await;
        Ok(())
    }

    /// Lets another plugin decide from here on.
    ///
    /// # Errors
    /// When there is no such plugin, it cannot serve, or the principal may not.
    pub async fn choose(&self, by: &Principal, role: Role, asked: String) -> Result<(), Refusal> {
        administers(by, "choose strategies")?;
        let _one = self.steering.lock().await;
        let loaded = self.load(role, &asked).await.map_err(|reject| refuse(&reject))?;
        self.seat(role, asked, loaded).await
    }

    /// Lets whoever decided before decide again, exactly that version.
    ///
    /// # Errors
    /// When nobody did, or that library is gone.
    pub async fn go_back(&self, by: &Principal, role: Role) -> Result<(), Refusal> {
        administers(by, "choose strategies")?;
        let _one = self.steering.lock().await;
        let Some(before) = self.roster.lock().await.before(role).cloned() else {
            let message = format!("no other {} has decided here before", role.name());
            return Err(Refusal::new(Reason::BadRequest, message).hint("see `bursar strategy show`"));
        };
        let loaded = self.load(role, &before.exact).await.map_err(|reject| refuse(&reject))?;
        // A version that an operator went back to is not left for a higher one by itself.
        let asked =
            if name_of(&before.asked) == name_of(&before.exact) { before.exact } else { before.asked };
        self.seat(role, asked, loaded).await
    }

    /// Carries out an order about plugins.
    ///
    /// # Errors
    /// What is wrong with it; and when the principal may not.
    pub async fn steer(&self, by: &Principal, order: PluginOrder) -> Result<(), Refusal> {
        administers(by, "order about plugins")?;
        let _one = self.steering.lock().await;
        self.aside(move |loader| carry_out(loader, &order)).await?;
        for role in STRATEGIES {
            self.reseat(role).await?;
        }
        let renewed = self.renew().await;
        // Rules are also for the pools that new drivers offer.
        renewed.and(self.renew_beside().await)
    }

    /// Lets decide what would be found now, if that is something else than what decides: a higher version, one
    /// that was let in again, or the default where it was not. Leases are not touched.
    async fn reseat(&self, role: Role) -> Result<(), Refusal> {
        let Some(now) = self.roster.lock().await.now(role).cloned() else { return Ok(()) };
        let found = self.loader().would_seat(role, &now.asked);
        if found.as_ref() == Some(&now.exact) {
            return Ok(());
        }
        let fallback = || {
            tracing::warn!(role = role.name(), asked = now.asked, "it cannot decide now; the default does");
            format!("{}@linked", seats::default_of(role))
        };
        let found = if found.is_some() { self.load(role, &now.asked).await.ok() } else { None };
        let loaded = match found {
            Some(loaded) => loaded,
            None => self.load(role, &fallback()).await.map_err(|reject| refuse(&reject))?,
        };
        if loaded.2 == now.exact {
            return Ok(());
        }
        self.seat(role, now.asked, loaded).await
    }
}
