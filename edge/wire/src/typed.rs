//! The contract as methods: one for each thing that can be asked of a daemon.
use crate::{
    ApplyBody, AskBody, AttachBody, AuditLog, ChangesAnswer, Claim, ClaimAnswer, Client, Doctor, Events,
    Explain, Failure, FenceBody, List, Node, NodeAnswer, NodeBody, PluginOrder, Plugins, PoolBody, QuotaBody,
    RenewBody, ResizeBody, ScopeBody, SettleBody, Strategies, StrategyBody,
};
use serde::{Serialize, de::DeserializeOwned};

/// A text as it stands in a path or a query.
pub fn plain(text: &str) -> String {
    let letter = |byte| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(letter).collect()
}

/// A duration as it stands in a query; the daemon says what is wrong with it.
fn waiting(wait: Option<&str>) -> String {
    wait.map(|wait| format!("?wait={}", plain(wait))).unwrap_or_default()
}

/// A path of names as it stands in a longer one.
fn levels(path: &str) -> String {
    path.split('/').map(plain).collect::<Vec<_>>().join("/")
}

fn pool(resource: &str, name: &str) -> String {
    format!("/v1/pools/{}/{}", plain(resource), levels(name))
}

fn quota(resource: &str, scope: &str) -> String {
    let resource = plain(resource);
    match scope {
        "" => format!("/v1/quotas/{resource}"),
        scope => format!("/v1/quotas/{resource}/{}", levels(scope)),
    }
}

/// Nothing is to be said.
#[derive(Serialize)]
struct Nothing {}

impl Client {
    /// A list, whole.
    ///
    /// # Errors
    /// [`Failure`], a refusal included; so for all of these.
    pub fn list<L: List + DeserializeOwned>(&mut self) -> Result<L, Failure> {
        self.get(&format!("/v1/{}", L::WORD))
    }

    /// A page of a list: what comes behind `after`, the `next` of the page before.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn page<L: List + DeserializeOwned>(
        &mut self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<L, Failure> {
        let after = after.map(|after| format!("&after={}", plain(after))).unwrap_or_default();
        self.get(&format!("/v1/{}?limit={limit}{after}", L::WORD))
    }

    /// Asks for a lease. With the same `key` it is the same claim, so that it is safe to ask again.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn ask(&mut self, body: &AskBody, key: Option<&str>) -> Result<Claim, Failure> {
        self.send::<ClaimAnswer>("POST", "/v1/claims", body, key).map(|answer| answer.claim)
    }

    /// A claim as it is; with `wait`, as `30s`, not before it is decided or the time is over.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn claim(&mut self, id: u64, wait: Option<&str>) -> Result<Claim, Failure> {
        self.get::<ClaimAnswer>(&format!("/v1/claims/{id}{}", waiting(wait))).map(|answer| answer.claim)
    }

    /// Why a claim waits.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn explain(&mut self, id: u64) -> Result<Explain, Failure> {
        self.get(&format!("/v1/claims/{id}/explain"))
    }

    /// More time for a lease.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn renew(&mut self, id: u64, body: &RenewBody) -> Result<Claim, Failure> {
        self.act(id, "renew", body)
    }

    /// What a lease used.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn settle(&mut self, id: u64, body: &SettleBody) -> Result<Claim, Failure> {
        self.act(id, "settle", body)
    }

    /// More in the same lease.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn extend(&mut self, id: u64, body: &ResizeBody) -> Result<Claim, Failure> {
        self.act(id, "extend", body)
    }

    /// Some of a lease goes back.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn shrink(&mut self, id: u64, body: &ResizeBody) -> Result<Claim, Failure> {
        self.act(id, "shrink", body)
    }

    /// A lease goes back; with `wait`, as `30s`, answered when all of it is free.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn release(&mut self, id: u64, body: &FenceBody, wait: Option<&str>) -> Result<Claim, Failure> {
        self.act(id, &format!("release{}", waiting(wait)), body)
    }

    /// Ends a claim, whoever holds it; `wait` as for [`Client::release`].
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn cancel(&mut self, id: u64, wait: Option<&str>) -> Result<Claim, Failure> {
        self.act(id, &format!("cancel{}", waiting(wait)), &Nothing {})
    }

    /// A process of one's own is to live inside a lease.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn attach(&mut self, id: u64, body: &AttachBody) -> Result<Claim, Failure> {
        self.act(id, "attach", body)
    }

    fn act(&mut self, id: u64, verb: &str, body: &impl Serialize) -> Result<Claim, Failure> {
        let answer: ClaimAnswer = self.send("POST", &format!("/v1/claims/{id}/{verb}"), body, None)?;
        Ok(answer.claim)
    }

    /// Sets all of it at one moment, or none of it.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn apply(&mut self, body: &ApplyBody) -> Result<ChangesAnswer, Failure> {
        self.send("POST", "/v1/apply", body, None)
    }

    /// Sets a supply; what is not said stays as it is.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn set_pool(
        &mut self,
        resource: &str,
        name: &str,
        body: &PoolBody,
    ) -> Result<ChangesAnswer, Failure> {
        self.send("PUT", &pool(resource, name), body, None)
    }

    /// Takes a floating supply away, once nobody has any of it.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn remove_pool(&mut self, resource: &str, name: &str) -> Result<ChangesAnswer, Failure> {
        self.send("DELETE", &pool(resource, name), &Nothing {}, None)
    }

    /// Sets a scope's weight.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn set_scope(&mut self, path: &str, body: &ScopeBody) -> Result<ChangesAnswer, Failure> {
        self.send("PUT", &format!("/v1/scopes/{}", levels(path)), body, None)
    }

    /// Sets a bound of a scope, of the root where that is empty; what is not said stays as it is.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn set_quota(
        &mut self,
        resource: &str,
        scope: &str,
        body: &QuotaBody,
    ) -> Result<ChangesAnswer, Failure> {
        self.send("PUT", &quota(resource, scope), body, None)
    }

    /// Takes a bound of a scope away, of the root where that is empty.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn remove_quota(&mut self, resource: &str, scope: &str) -> Result<ChangesAnswer, Failure> {
        self.send("DELETE", &quota(resource, scope), &Nothing {}, None)
    }

    /// Opens a node or closes it; with `wait`, as `30s`, answered when nobody is on it any more.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn set_node(&mut self, name: &str, body: &NodeBody, wait: Option<&str>) -> Result<Node, Failure> {
        let path = format!("/v1/nodes/{}{}", plain(name), waiting(wait));
        self.send::<NodeAnswer>("PUT", &path, body, None).map(|answer| answer.node)
    }

    /// Carries out an order about plugins; all of them as they are then.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn order(&mut self, order: &PluginOrder) -> Result<Plugins, Failure> {
        self.send("POST", "/v1/plugins", order, None)
    }

    /// Lets another plugin decide.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn use_strategy(&mut self, role: &str, plugin: &str) -> Result<Strategies, Failure> {
        self.send(
            "PUT",
            &format!("/v1/strategies/{}", plain(role)),
            &StrategyBody { plugin: plugin.into() },
            None,
        )
    }

    /// Lets whoever decided before decide again.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn roll_back(&mut self, role: &str) -> Result<Strategies, Failure> {
        self.send("POST", &format!("/v1/strategies/{}/rollback", plain(role)), &Nothing {}, None)
    }

    /// What works on the daemon's host.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn doctor(&mut self) -> Result<Doctor, Failure> {
        self.get("/v1/doctor")
    }

    /// What the whole contract is, as OpenAPI.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn openapi(&mut self) -> Result<serde_json::Value, Failure> {
        self.get("/v1/openapi.json")
    }

    /// Whether claims are taken; a daemon that lives and takes none says why.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn ready(&mut self) -> Result<(), Failure> {
        self.get::<serde_json::Value>("/readyz").map(drop)
    }

    /// At most `limit` events above a sequence.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn events_page(&mut self, since: u64, limit: usize) -> Result<Events, Failure> {
        self.get(&format!("/v1/events?since={since}&limit={limit}"))
    }

    /// At most `limit` rows of the audit log above a sequence.
    ///
    /// # Errors
    /// See [`Client::list`].
    pub fn audit_page(&mut self, since: u64, limit: usize) -> Result<AuditLog, Failure> {
        self.get(&format!("/v1/audit?since={since}&limit={limit}"))
    }
}
