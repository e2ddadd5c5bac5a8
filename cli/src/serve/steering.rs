//! How operators steer plugins while everything goes on: who decides, who is let in, who is trusted.
use super::{
    host::Host,
    mail::Chosen,
    roster::{Choice, name_of},
    seats::{self, config_of},
};
use bursar_interface::{Command, Decider, Principal, Reason, Refusal, Role};
use bursar_loader::{Reject, Seated};
use bursar_wire::PluginOrder;
use tokio::task::block_in_place;

/// The roles whose plugins decide.
pub const STRATEGIES: [Role; 2] = [Role::Allocator, Role::Qos];

/// A strategy that is loaded: who, the plugin, and exactly which.
type Loaded = (Decider, Chosen, String);

/// Exactly which plugin sits there.
pub fn exact<T: ?Sized>(seated: &Seated<T>) -> String {
    format!("{}@{}", seated.decider.plugin, seated.sha256.as_deref().unwrap_or("linked"))
}

pub(super) fn refuse(reject: &Reject) -> Refusal {
    Refusal::new(Reason::BadRequest, reject.to_string()).hint("see `bursar plugin list`")
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

impl Host {
    /// Loads a strategy; may take a while.
    fn load(&self, role: Role, asked: &str) -> Result<Loaded, Reject> {
        let config = config_of(&self.settings, asked);
        let mut loader = self.loader();
        // What was put into the folders meanwhile can be chosen too.
        loader.scan();
        match role {
            Role::Qos => loader.qos(asked, &config).map(|seated| {
                let exact = exact(&seated);
                (seated.decider, Chosen::Qos(seated.plugin), exact)
            }),
            _ => loader.allocator(asked, &config).map(|seated| {
                let exact = exact(&seated);
                (seated.decider, Chosen::Allocator(seated.plugin), exact)
            }),
        }
    }

    /// Lets a strategy decide, and writes down who does.
    async fn seat(&self, role: Role, asked: String, (to, chosen, exact): Loaded) -> Result<(), Refusal> {
        let swap = vec![Command::Swap { role, to }];
        let by = Principal { admin: true, ..Principal::default() };
        let answers = self.mailbox.ask(by, swap, Some(chosen)).await?;
        answers.into_iter().try_for_each(|answer| answer.map(drop))?;
        let mut roster = self.roster.lock().await;
        block_in_place(|| roster.take(role, Choice { asked, exact }));
        Ok(())
    }

    /// Lets another plugin decide from here on.
    ///
    /// # Errors
    /// When there is no such plugin, it cannot serve, or the principal may not.
    pub async fn choose(&self, by: &Principal, role: Role, asked: String) -> Result<(), Refusal> {
        administers(by, "choose strategies")?;
        let _one = self.steering.lock().await;
        let loaded = block_in_place(|| self.load(role, &asked)).map_err(|reject| refuse(&reject))?;
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
        let loaded = block_in_place(|| self.load(role, &before.exact)).map_err(|reject| refuse(&reject))?;
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
        let done = block_in_place(|| match &order {
            PluginOrder::Enable { role, id } => self.switch(role, id, true),
            PluginOrder::Disable { role, id } => self.switch(role, id, false),
            PluginOrder::Reload {} => {
                self.loader().scan();
                Ok(())
            }
            PluginOrder::Trust { key } => {
                let trusted = self.loader().trust(key);
                trusted.map(drop).map_err(|reject| refuse(&reject))
            }
            PluginOrder::Revoke { key } => {
                let revoked = self.loader().revoke(key);
                revoked.map_err(|reject| refuse(&reject))
            }
        });
        done?;
        for role in STRATEGIES {
            self.reseat(role).await?;
        }
        self.renew().await
    }

    fn switch(&self, role: &str, id: &str, on: bool) -> Result<(), Refusal> {
        let role = role_of(role)?;
        self.loader().enable(role, id, on).map_err(|reject| refuse(&reject))
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
        let loaded = block_in_place(|| match found {
            Some(_) => self.load(role, &now.asked).or_else(|_| self.load(role, &fallback())),
            None => self.load(role, &fallback()),
        });
        let loaded = loaded.map_err(|reject| refuse(&reject))?;
        if loaded.2 == now.exact {
            return Ok(());
        }
        self.seat(role, now.asked, loaded).await
    }
}
