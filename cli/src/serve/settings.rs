//! What an operator may set, in one TOML file; flags win over it, and it wins over the defaults.
use super::{liveness::Liveness, memory::Memory};
use anyhow::{Result, anyhow, bail};
use bursar_interface::{
    FanOut,
    bound::{AGENT_ASKS_PER_SECOND, AGENT_CHILDREN, AGENT_CLAIMS, AGENT_DEPTH},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

const HOUR_MS: u64 = 3_600_000;
/// Comparing what is there with what leases have more often than this costs more than it finds, in milliseconds.
const RECONCILE_MS_MIN: u64 = 50;
/// The shortest time between two looks for what holds work up.
const LOOK_MIN: Duration = Duration::from_millis(50);

/// The config file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// This machine.
    pub node: Node,
    /// Who decides.
    pub strategy: Strategy,
    /// Where plugins come from and what they may.
    pub plugins: Plugins,
    /// Supplies that no driver finds: rates, budgets, licences.
    pub pool: Vec<Pool>,
    /// How far agents, who live in a lease, may fan out where no scope says otherwise.
    pub limits: Limits,
    /// Weights of scopes, and how far demands may fan out in them.
    pub scope: Vec<Scope>,
    /// Bounds of scopes.
    pub quota: Vec<Quota>,
    /// When leases end for the sake of others.
    pub preemption: Preemption,
    /// When it is looked for what holds work up.
    pub analysis: Analysis,
    /// When memory runs short.
    pub memory: Memory,
    /// When a lease counts as hung.
    pub liveness: Liveness,
    /// How leases are enforced.
    pub enforce: Enforce,
    /// The journal.
    pub journal: Journal,
    /// Whether and how TCP is served.
    pub http: Http,
    /// Who may come in over TCP besides the bearer of the daemon's own token.
    pub token: Vec<super::bearers::Token>,
    /// The proxy for model providers, which `bursar gate` runs.
    pub gate: Option<bursar_gate::Config>,
}

/// How long connections are kept, and whether and how TCP is served.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Http {
    /// How long a connection is kept, over the socket as well, as `1h`: the first answer after that says that it is
    /// the last one.
    pub lifetime: String,
    /// Where, as `127.0.0.1:8400`; nowhere if empty.
    pub listen: String,
    /// A certificate with those that vouch for it, its own first (PEM). With it and its key TLS is spoken.
    pub cert: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// Names by which this daemon may be called, as `bursar.example.org:8400`, besides its address and `localhost`.
    pub hosts: Vec<String>,
    /// Without TLS: others than this machine may come all the same, though tokens pass in the clear.
    pub far: bool,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            lifetime: "1h".into(),
            listen: String::new(),
            cert: None,
            key: None,
            hosts: Vec::new(),
            far: false,
        }
    }
}

impl Http {
    /// How long a connection is kept.
    ///
    /// # Errors
    /// When it is no duration, or none at all.
    pub fn lifetime(&self) -> Result<Duration> {
        let lifetime =
            bursar_wire::duration(&self.lifetime).map_err(|why| anyhow!("config: http.lifetime: {why}"))?;
        match lifetime.is_zero() {
            true => bail!("config: http.lifetime: {} is no time; write it as 1h", self.lifetime),
            false => Ok(lifetime),
        }
    }
}

/// This machine as a node.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Node {
    /// Its name; the host's own if empty.
    pub name: String,
    /// Label terms.
    pub labels: Vec<String>,
    /// Who decides how its pools of a kind are shared, by kind: `cpu = "share-overcommit"`.
    pub sharing: BTreeMap<String, String>,
    /// Capacities that win over what was discovered, by kind: `cpu = "4"`, `memory = "8G"`.
    pub capacity: BTreeMap<String, String>,
}

/// Who decides.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Strategy {
    /// Where.
    pub allocator: String,
    /// Who is first.
    pub qos: String,
}

impl Default for Strategy {
    fn default() -> Self {
        Strategy { allocator: "best-fit".into(), qos: "class".into() }
    }
}

/// Where plugins come from and what they may.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Plugins {
    /// Folders that are looked through, after those of the command line.
    pub dirs: Vec<PathBuf>,
    /// sha256 (hex) of libraries that may run in the daemon's own process.
    pub inline: Vec<String>,
    /// How long a strategy in a child may take, in milliseconds.
    pub deadline_ms: u64,
    /// Faults after which a plugin is quarantined.
    pub strikes: u32,
    /// How long a plugin that failed too often is not asked for the first time, in milliseconds; each time it
    /// fails again, for twice as long.
    pub quarantine_ms: u64,
    /// How long an allocator may place nothing while somebody waits for what seems to be there, in milliseconds, until
    /// its stand-in is asked for a second opinion; 0 for ever.
    pub idle_ms: u64,
    /// The version or sha256 that a name is bound to, by `name` or by `role name`.
    pub pin: BTreeMap<String, String>,
    /// What a plugin in a child may reach beyond what its role needs, by its id.
    pub grant: BTreeMap<String, bursar_loader::Grant>,
    /// What each plugin is given, by its id.
    pub config: BTreeMap<String, serde_json::Value>,
}

impl Default for Plugins {
    fn default() -> Self {
        Plugins {
            dirs: Vec::new(),
            inline: Vec::new(),
            deadline_ms: 5,
            strikes: 3,
            quarantine_ms: 30_000,
            idle_ms: 5_000,
            pin: BTreeMap::new(),
            grant: BTreeMap::new(),
            config: BTreeMap::new(),
        }
    }
}

impl Plugins {
    /// Gives scratch folders a place where the operator gave none, beside the journal; in one that he gave, they
    /// are told apart from another daemon's by the name of this one.
    pub fn settle_in(&mut self, state: &std::path::Path, instance: &str) {
        let disk = self.config.entry("disk".into()).or_insert_with(|| serde_json::json!({}));
        // What is no table is the plugin's to refuse.
        let Some(disk) = disk.as_object_mut() else { return };
        match disk.contains_key("root") {
            true => disk.insert("owner".into(), instance.into()),
            false => disk.insert("root".into(), state.join("scratch").display().to_string().into()),
        };
    }
}

/// A supply that is not on any node.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Pool {
    /// Kind.
    pub resource: String,
    /// Its name, as in `tokens:NAME`.
    pub name: String,
    /// How much there is, as `8`, or how much comes back in which time, as `50k/m`.
    pub capacity: String,
    /// Of a rate: how much may be spent at once; what comes back in a whole period if left out.
    pub burst: Option<String>,
    /// Who decides how it is shared, as `share-exclusive`.
    pub sharing: Option<String>,
}

/// A scope's share.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scope {
    /// Its path.
    pub path: String,
    /// Share of its parent relative to its siblings, from 1 to 1000000.
    #[serde(default = "one")]
    pub weight: u32,
    /// How far demands may fan out, whoever asks. These keys are spelt out because serde cannot flatten what
    /// refuses unknown ones.
    pub max_claims: Option<u32>,
    /// Levels of claims below an outermost lease.
    pub max_depth: Option<u32>,
    /// Claims right below one lease at once.
    pub max_children: Option<u32>,
    /// Asks in a second that are taken in.
    pub asks_per_second: Option<u32>,
}

fn one() -> u32 {
    1
}

impl Scope {
    /// How far demands may fan out in it.
    pub fn fan_out(&self) -> FanOut {
        let Scope { max_claims, max_depth, max_children, asks_per_second, .. } = *self;
        FanOut { claims: max_claims, depth: max_depth, children: max_children, asks_per_second }
    }
}

/// How far agents may fan out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Claims in flight below one outermost lease.
    pub max_claims: u32,
    /// Levels of claims below an outermost lease.
    pub max_depth: u32,
    /// Claims right below one lease at once.
    pub max_children: u32,
    /// Asks in a second that are taken in, from one lease.
    pub asks_per_second: u32,
    /// Asks by MCP in a minute that may come to nothing, from one caller.
    pub refusals_per_minute: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_claims: AGENT_CLAIMS,
            max_depth: AGENT_DEPTH,
            max_children: AGENT_CHILDREN,
            asks_per_second: AGENT_ASKS_PER_SECOND,
            refusals_per_minute: bursar_mcp::limits::REFUSALS_PER_MINUTE,
        }
    }
}

impl Limits {
    /// The same as the engine is told.
    pub fn fan_out(&self) -> FanOut {
        FanOut {
            claims: Some(self.max_claims),
            depth: Some(self.max_depth),
            children: Some(self.max_children),
            asks_per_second: Some(self.asks_per_second),
        }
    }
}

/// A bound of a scope.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quota {
    /// Scope path; empty for the root.
    pub scope: String,
    /// Kind.
    pub resource: String,
    /// What the scope and its children may hold together, as `4` or `8G`, or spend in a time, as `5usd/d`.
    pub limit: Option<String>,
    /// Of a rate: how much may be spent at once.
    pub burst: Option<String>,
    /// What may be borrowed above the guarantee.
    pub borrow_limit: Option<String>,
    /// What of the guarantee may be lent to others while it is free: all of it if left out, and nothing of what is spent.
    pub lend_limit: Option<String>,
    /// What the scope can always have.
    pub guaranteed: Option<String>,
}

/// When leases end for the sake of others.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preemption {
    /// Whether they do: for a guarantee that was lent out, and for a better class.
    pub enabled: bool,
    /// Between telling a holder and ending its lease, as `10s`.
    pub grace: String,
    /// The same for the holders of one class, where it is another one.
    pub grace_of: BTreeMap<String, String>,
    /// A lease that is younger is left alone, as `10s`.
    pub min_runtime: String,
    /// Priorities at which a band within a class begins: a better band takes from a worse one as well.
    pub bands: Vec<u32>,
    /// Sent to a lease's attached processes when their holder is told, as `SIGUSR1`; none if empty.
    pub signal: String,
    /// After the grace, where giving up part of a lease is enough: how long it may go on with less, if that
    /// was not enough after all, as `30s`; empty where no lease is shrunk.
    pub shrink: String,
    /// What a shrink leaves of each kind at least, in percent of what was held.
    pub shrink_to: u32,
    /// After that, where it is enough: how long a lease stays frozen, as `10m`, until it ends if there is no
    /// room for it to go on; empty where no lease is suspended.
    pub suspend: String,
    /// The kinds of which a frozen process uses nothing: what a suspended lease gives back.
    pub idle: Vec<String>,
}

impl Default for Preemption {
    fn default() -> Self {
        let (grace, min_runtime) = ("10s".into(), "10s".into());
        let (grace_of, bands, signal) = (BTreeMap::new(), Vec::new(), String::new());
        let (shrink, shrink_to, suspend, idle) = (String::new(), 50, String::new(), vec!["cpu".into()]);
        Preemption {
            enabled: true,
            grace,
            grace_of,
            min_runtime,
            bands,
            signal,
            shrink,
            shrink_to,
            suspend,
            idle,
        }
    }
}

/// When it is looked for what holds work up.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Analysis {
    /// Between two looks, as `5s`.
    pub every: String,
}

impl Default for Analysis {
    fn default() -> Self {
        Analysis { every: "5s".into() }
    }
}

impl Analysis {
    /// Between two looks.
    ///
    /// # Errors
    /// When it is no duration, or too short to be worth it.
    pub fn every(&self) -> Result<Duration> {
        let every =
            bursar_wire::duration(&self.every).map_err(|why| anyhow!("config: analysis.every: {why}"))?;
        match every < LOOK_MIN {
            true => bail!("config: analysis.every: {} is too often; at least {LOOK_MIN:?}", self.every),
            false => Ok(every),
        }
    }
}

/// How leases are enforced.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Enforce {
    /// Use control groups where there are any; without them, processes are sampled.
    pub cgroups: bool,
    /// Have the kernel move processes into groups at once (`favordynmods`), where it can and this daemon may; from Linux
    /// 6.18 on it goes on so until the machine's next start.
    pub quick_moves: bool,
    /// Milliseconds between asking a lease's processes to end and killing them.
    pub grace_ms: u64,
    /// Milliseconds between two looks at what is there and what leases have.
    pub reconcile_ms: u64,
    /// What becomes of a lease that uses more of a driven kind, as `disk`, than it holds: `stop` or `warn`.
    pub over: super::driven::Over,
}

impl Enforce {
    /// How long it is between two looks at what is there.
    pub fn every(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.reconcile_ms.max(RECONCILE_MS_MIN))
    }
}

impl Default for Enforce {
    fn default() -> Self {
        let over = super::driven::Over::default();
        Enforce { cgroups: true, quick_moves: true, grace_ms: 5000, reconcile_ms: 2000, over }
    }
}

/// The journal.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Journal {
    /// Bytes that are kept back for a full disk, so that giving back still works; 0 for none.
    pub ballast_bytes: u64,
    /// Batches after which a checkpoint is written.
    pub checkpoint_batches: u64,
    /// Batches that are kept to be read by `get events`, beyond those that a restart needs.
    pub retain_batches: u64,
    /// Bytes of them.
    pub retain_bytes: u64,
    /// How much older than the newest they may be, in hours.
    pub retain_hours: u64,
}

impl Default for Journal {
    fn default() -> Self {
        let kept = bursar_journal::Options::default();
        Journal {
            ballast_bytes: kept.ballast_bytes,
            checkpoint_batches: 20_000,
            retain_batches: kept.retain_batches,
            retain_bytes: kept.retain_bytes,
            retain_hours: kept.retain_ms / HOUR_MS,
        }
    }
}

impl Journal {
    /// How the journal is to be kept in this folder, which need not be there yet.
    ///
    /// # Errors
    /// When the ballast is larger than the disk.
    pub fn options(&self, state: &std::path::Path, accept_loss: bool) -> Result<bursar_journal::Options> {
        let disk = state.ancestors().find_map(|at| rustix::fs::statvfs(at).ok());
        let most = disk.map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        if most > 0 && self.ballast_bytes >= most {
            bail!(
                "config: journal.ballast-bytes: {} is more than the disk of {} has: {most}",
                self.ballast_bytes,
                state.display()
            );
        }
        Ok(bursar_journal::Options {
            ballast_bytes: self.ballast_bytes,
            retain_batches: self.retain_batches,
            retain_bytes: self.retain_bytes,
            retain_ms: self.retain_hours.saturating_mul(HOUR_MS),
            accept_loss,
            ..bursar_journal::Options::default()
        })
    }
}

impl Settings {
    /// What these layers say together.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn of(layers: config::Config) -> Result<Settings, config::ConfigError> {
        layers.try_deserialize()
    }

    /// How long a strategy in a child may take.
    ///
    /// # Errors
    /// When it has no time at all.
    pub fn deadline(&self) -> Result<Duration> {
        match self.plugins.deadline_ms {
            0 => bail!("config: plugins.deadline-ms: in 0 ms nobody decides; at least 1"),
            ms => Ok(Duration::from_millis(ms)),
        }
    }
}
