//! The house behind the front door: hands commands to the desk, shows the follower's state.
use super::{
    analysis::Board,
    audit::Audit,
    beside::Beside,
    checkup::{advise, host_findings},
    circle,
    clock::Clock,
    desk::storage_full,
    follower::Follower,
    gauges::{Gauges, gauge_finding},
    listed::{plugin_findings, plugin_row},
    mail::{self, Mailbox, ending},
    misnamed::misnamed,
    named, outlook,
    present::{self, Present},
    remedies::remedy_findings,
    roster::Roster,
    settings::Settings,
    told,
    unattended::{self, Unattended},
};
use bursar_api::{Done, House, Known, Peer, Place};
use bursar_enforce::Hierarchy;
use bursar_engine::Engine;
use bursar_interface::{
    Ask, Change, ClaimId, Command, Decider, Ending, Phase, Principal, Process, Reason, Refusal, Role,
    Setting, Time,
};
use bursar_loader::Loader;
use bursar_monitor::Rings;
use bursar_wire as wire;
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::block_in_place;

/// Refusals with a counter-offer come apart by this much at least; those between them go without.
const OFFER_EVERY: Duration = Duration::from_millis(10);
/// How often it is looked whether a node is empty.
const EMPTIED_LOOK: Duration = Duration::from_millis(20);

/// Everything that answers need.
pub struct Host {
    /// The state that is shown.
    pub follower: Arc<Follower>,
    /// The way to the desk.
    pub mailbox: Mailbox,
    /// Who makes leases true.
    pub enforcer: super::edges::Edges,
    /// Finds plugins.
    pub loader: Arc<Mutex<Loader>>,
    /// Who decides by choice, and who did before.
    pub roster: Arc<tokio::sync::Mutex<Roster>>,
    /// Held by whoever steers plugins: one at a time.
    pub steering: tokio::sync::Mutex<()>,
    /// What can be enforced here.
    pub hierarchy: Arc<Hierarchy>,
    /// Newest samples.
    pub rings: Arc<Mutex<Rings>>,
    /// Analyzers and metrics on their way to their threads, and which of these measured what.
    pub beside: Arc<Beside>,
    /// What leases use.
    pub gauges: Arc<Gauges>,
    /// What drivers say of leases.
    pub holdings: Arc<super::holdings::Holdings>,
    /// What holds work up.
    pub board: Arc<Board>,
    /// Engine time.
    pub clock: Clock,
    /// What the operator set.
    pub settings: Settings,
    /// The state directory.
    pub state: PathBuf,
    /// The daemon's own user.
    pub uid: u32,
    /// The daemon is ending.
    pub ending: Arc<AtomicBool>,
    /// The journal's disk is full.
    pub full: Arc<AtomicBool>,
    /// Engine time of the last request.
    pub used_at: AtomicU64,
    /// When a counter-offer was last made.
    pub offered: Mutex<Instant>,
    /// What those who administer did.
    pub audit: Audit,
    /// It was started by whoever first needed it, and leaves when it is idle.
    pub autostarted: bool,
    /// Who waits with nobody on the line.
    pub unattended: Unattended,
}

impl Host {
    pub(super) fn present<R>(&self, look: impl FnOnce(&Present<'_>) -> R) -> R {
        self.used_at.store(self.clock.now().0, Ordering::Relaxed);
        let Host { clock, follower, gauges, holdings, .. } = self;
        follower.read(|engine| look(&Present { engine, clock, follower, gauges, holdings }))
    }

    /// What there is of plugins. Whoever steers may hold it for as long as a child takes to start; the front door's
    /// thread goes on meanwhile.
    pub fn loader(&self) -> MutexGuard<'_, Loader> {
        match self.loader.try_lock() {
            Ok(loader) => loader,
            Err(TryLockError::Poisoned(loader)) => loader.into_inner(),
            Err(TryLockError::WouldBlock) => {
                block_in_place(|| self.loader.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// How long nobody has asked for anything, in nanoseconds; 0 while there are claims.
    pub fn idle_ns(&self) -> u64 {
        let last = Time(self.used_at.load(Ordering::Relaxed));
        match self.follower.read(|engine| engine.books().live()) {
            0 => self.clock.now().0.saturating_sub(last.0),
            _ => 0,
        }
    }

    /// Whether there is no room to write more down than what gives back.
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// What came of a command, for who sent it: of its claim was heard.
    fn done(&self, done: &mail::Done) -> Done {
        done.claim.into_iter().for_each(|claim| self.unattended.heard_of(claim));
        Done { claim: done.claim }
    }

    /// Whether the claim waits no more.
    fn outcome(&self, by: &Principal, claim: ClaimId) -> Result<(), Refusal> {
        self.follower.read(|engine| match (engine.books().claim(claim), engine.closed(claim)) {
            (Some(_), _) => Ok(()),
            (None, Some(closed)) if closed.fence.0 != 0 => Ok(()),
            (None, Some(closed)) if closed.ending == Ending::Deadlock => {
                Err(circle::refusal(engine, by, closed))
            }
            (None, Some(closed)) => Err(present::never_granted(engine, closed)),
            (None, None) => Err(Refusal::new(Reason::UnknownClaim, format!("there is no claim {claim}"))),
        })
    }
}

impl House for Host {
    fn principal(&self, peer: &Peer) -> Principal {
        let Ok(within) = peer.pid.map_or(Ok(None), |pid| self.hierarchy.holder(pid)) else {
            // It may live in a lease: it gets a corner of its own, and administers nothing.
            return Principal {
                uid: peer.uid,
                admin: false,
                root: format!("uid-{}/unknown", peer.uid),
                within: None,
            };
        };
        let own = peer.uid == 0 || peer.uid == self.uid;
        let lease_scope = within.and_then(|claim| {
            self.follower.read(|engine| {
                let row = engine.books().claim(claim)?;
                Some(engine.books().scope_path(engine.view().claims.scope[row as usize]).to_string())
            })
        });
        match (lease_scope, within) {
            (Some(root), within) => Principal { uid: peer.uid, admin: false, root, within },
            // Its lease is gone and it is about to be: it gets a corner of its own.
            (None, Some(claim)) => Principal {
                uid: peer.uid,
                admin: false,
                root: format!("uid-{}/lease-{claim}", peer.uid),
                within,
            },
            (None, None) if own => {
                Principal { uid: peer.uid, admin: true, root: String::new(), within: None }
            }
            (None, None) => {
                Principal { uid: peer.uid, admin: false, root: format!("uid-{}", peer.uid), within: None }
            }
        }
    }

    async fn submit(&self, by: Principal, body: Command) -> Result<Done, Refusal> {
        self.used_at.store(self.clock.now().0, Ordering::Relaxed);
        let answers = self.mailbox.ask(by, vec![body], None).await?;
        answers.into_iter().next().unwrap_or_else(|| Err(ending())).map(|done| self.done(&done))
    }

    async fn ask_to_join(&self, by: Principal, ask: Ask, process: Process) -> Result<Done, Refusal> {
        self.used_at.store(self.clock.now().0, Ordering::Relaxed);
        let answers = self.mailbox.ask_to_join(by, ask, process).await?;
        answers.into_iter().next().unwrap_or_else(|| Err(ending())).map(|done| self.done(&done))
    }

    fn bodies(&self, claim: ClaimId) -> Vec<Process> {
        self.follower.read(|engine| engine.bodies(claim).to_vec())
    }

    fn lives(&self, process: &Process) -> bool {
        bursar_enforce::same(process)
    }

    fn stay(&self, claims: &[ClaimId]) {
        block_in_place(|| self.unattended.stay(claims, || self.follower.read(unattended::pending)));
    }

    async fn submit_all(
        &self,
        by: Principal,
        bodies: Vec<Command>,
    ) -> Result<Vec<Result<Done, Refusal>>, Refusal> {
        self.used_at.store(self.clock.now().0, Ordering::Relaxed);
        let answers = self.mailbox.ask(by, bodies, None).await?;
        Ok(answers.into_iter().map(|answer| answer.map(|done| self.done(&done))).collect())
    }

    async fn decided(&self, by: &Principal, claim: ClaimId) -> Result<(), Refusal> {
        let decided = |engine: &Engine| {
            engine.books().claim(claim).is_none_or(|row| engine.books().phase(row) > Phase::Pending)
        };
        self.unattended.heard_of(claim);
        self.follower.wait_for(claim, None, decided).await;
        self.outcome(by, claim)
    }

    async fn enforced(&self, claim: ClaimId) {
        let enforced = |engine: &Engine| {
            let becoming = |row| self.follower.is_becoming(engine, row, claim);
            let row = engine.books().claim(claim);
            row.is_none_or(|row| engine.books().phase(row) > Phase::Held || !becoming(row))
        };
        self.follower.wait_for(claim, None, enforced).await;
    }

    async fn resized(&self, claim: ClaimId) -> Result<(), Refusal> {
        self.follower.wait_for(claim, None, |engine| engine.resizing(claim).is_none()).await;
        match self.follower.resize_failed(claim) {
            None => Ok(()),
            Some(message) => Err(Refusal::new(Reason::InUse, message)
                .hint("the lease holds what it held; give back less, or use less first")),
        }
    }

    async fn taken_otherwise(&self, claim: ClaimId, known: &Known) {
        let otherwise = |engine: &Engine| {
            let goes_on = |row| engine.books().phase(row) < Phase::Draining;
            let taking = || known.taking.as_ref().is_some_and(|word| present::taking(engine, claim) != word);
            let feels = |word| wire::pressed(&self.gauges.strained.of(claim, &self.clock)).0 != word;
            !engine.books().claim(claim).is_some_and(goes_on)
                || taking()
                || known.pressed.as_ref().is_some_and(feels)
        };
        self.follower.wait_for(claim, None, otherwise).await;
    }

    async fn closed(&self, claim: ClaimId) {
        self.follower.wait_for(claim, None, |engine| engine.books().claim(claim).is_none()).await;
    }

    async fn moved(&self, since: u64) {
        let mut moved = self.follower.moved();
        // An error means that the daemon is ending: then nothing moves any more.
        let _ = moved.wait_for(|next| *next > since.saturating_add(1)).await;
    }

    fn identify(&self, peer: &Peer, pid: u32) -> Result<Process, Refusal> {
        named::process(peer, pid, self.autostarted)
    }

    async fn use_strategy(&self, by: Principal, role: Role, plugin: String) -> Result<(), Refusal> {
        self.choose(&by, role, plugin).await
    }

    async fn roll_back(&self, by: Principal, role: Role) -> Result<(), Refusal> {
        self.go_back(&by, role).await
    }

    async fn order(&self, by: Principal, order: wire::PluginOrder) -> Result<(), Refusal> {
        self.steer(&by, order).await
    }

    async fn apply(
        &self,
        by: Principal,
        settings: Vec<Setting>,
        dry_run: bool,
    ) -> Result<Vec<Change>, Refusal> {
        if dry_run {
            return self.follower.read(|engine| engine.rehearse(&by, &settings));
        }
        self.used_at.store(self.clock.now().0, Ordering::Relaxed);
        let answers = self.mailbox.ask(by, vec![Command::Apply(settings)], None).await?;
        answers.into_iter().next().unwrap_or_else(|| Err(ending())).map(|done| done.changes)
    }

    async fn emptied(&self, node: &str) {
        let mut moved = self.follower.moved();
        loop {
            let empty =
                |engine: &Engine| engine.books().node(node).is_none_or(|node| engine.leases_on(node) == 0);
            // An error means that the daemon is ending.
            if self.follower.read(empty) || moved.changed().await.is_err() {
                return;
            }
            // Every lease is looked at: not for each that goes by.
            tokio::time::sleep(EMPTIED_LOOK).await;
        }
    }

    fn ready(&self) -> Result<(), Refusal> {
        match (self.ending.load(Ordering::Acquire), self.is_full()) {
            (true, _) => Err(ending()),
            (_, true) => Err(storage_full()),
            _ => Ok(()),
        }
    }

    fn claim(&self, by: &Principal, id: ClaimId) -> Option<wire::Claim> {
        self.present(|present| present.claim(by, id))
    }

    fn placed(&self, by: &Principal, id: ClaimId) -> Option<wire::Claim> {
        self.present(|present| present.claim(by, id).map(|claim| present.placed(claim)))
    }

    fn claims(&self, by: &Principal) -> Vec<wire::Claim> {
        self.present(|present| present.claims(by))
    }

    fn explain(&self, by: &Principal, id: ClaimId) -> Option<wire::Explain> {
        let (mut told, trial) =
            self.present(|present| Some((present.explain(by, id)?, present.engine.trial(id))))?;
        // The copy is tried without holding up anybody.
        told.would_admit = trial.map_or_else(Vec::new, |trial| outlook::of(&self.follower, trial));
        Some(told)
    }

    fn counter_offer(&self, by: &Principal, ask: &Ask) -> Vec<wire::Change> {
        // A storm of refusals is no reason to copy the state for each of them.
        let Ok(mut offered) = self.offered.try_lock() else { return Vec::new() };
        if offered.elapsed() < OFFER_EVERY {
            return Vec::new();
        }
        let changes = outlook::instead(&self.follower, by, ask);
        *offered = Instant::now();
        changes
    }

    fn pools(&self, by: &Principal) -> Vec<wire::Pool> {
        self.present(|present| present.pools(by))
    }

    fn nodes(&self, by: &Principal) -> Vec<wire::Node> {
        self.present(|present| present.nodes(by))
    }

    fn scopes(&self, by: &Principal) -> Vec<wire::Scope> {
        self.present(|present| present.scopes(by))
    }

    fn quotas(&self, by: &Principal) -> Vec<wire::Quota> {
        self.present(|present| present.quotas(by))
    }

    fn plugins(&self, _: &Principal) -> Vec<wire::Plugin> {
        let strategy =
            |role, decider: &Decider| self.follower.read(|engine| engine.decider(role) == Some(decider));
        // Everything but strategies is asked wherever it was found first; what is linked in stands by.
        let loader = self.loader();
        let seats = |role: Role, decider: &Decider| match role {
            Role::Allocator | Role::Qos => strategy(role, decider),
            _ => loader.seat_of(role, &decider.plugin).is_some_and(|home| home == decider.home),
        };
        loader.listings(seats).into_iter().map(plugin_row).collect()
    }

    fn findings(&self, by: &Principal) -> Vec<wire::Bottleneck> {
        self.board.shown(by, &self.clock)
    }

    fn metrics(&self, by: &Principal) -> Vec<wire::Metric> {
        self.figures(by)
    }

    fn keys(&self, _: &Principal) -> Vec<wire::Key> {
        let loader = self.loader();
        loader.keys().map(|(key, note)| wire::Key { key: key.into(), note: note.into() }).collect()
    }

    fn strategies(&self, _: &Principal) -> Vec<wire::Strategy> {
        let row = |role: Role| {
            let decider = self.follower.read(|engine| engine.decider(role).cloned())?;
            let home = told::home(decider.home).into();
            Some(wire::Strategy {
                role: role.name().into(),
                plugin: decider.plugin,
                home,
                faults: self.follower.faults(role),
            })
        };
        [Role::Allocator, Role::Qos].into_iter().filter_map(row).collect()
    }

    fn doctor(&self, by: &Principal) -> wire::Doctor {
        let mut findings = host_findings(&self.hierarchy);
        let (pools, quarantined, next, digest) = self.follower.read(|engine| {
            let view = engine.view();
            let quarantined = view.pools.quarantined.iter().filter(|amount| **amount > 0).count();
            (view.pools.len(), quarantined, engine.next_seq(), engine.digest())
        });
        let row = |what: &str, state: &str, detail: String| wire::Finding {
            what: what.into(),
            state: state.into(),
            detail,
            advice: None,
        };
        // Of what is everybody's, those hear who see everybody.
        if by.root.is_empty() {
            findings.push(match self.is_full() {
                false => {
                    let journal = format!("{}: sequence {next}, state {digest:016x}", self.state.display());
                    row("journal", "ok", journal)
                }
                true => row("journal", "wrong", "the disk is full: only what gives back is accepted".into()),
            });
            let cells = self.hierarchy.cells().len();
            findings.push(row("cells", "ok", format!("{cells} leases have one")));
            let state = if quarantined == 0 { "ok" } else { "wrong" };
            findings.push(row(
                "reclaim",
                state,
                format!("{quarantined} of {pools} pools hold what came back without proof"),
            ));
            findings.push(gauge_finding(&self.gauges));
        }
        findings.extend(remedy_findings(&self.hierarchy, &self.gauges, &self.settings.memory));
        findings.extend(plugin_findings(&self.loader().listings(|_, _| false)));
        findings.extend(misnamed(&self.settings, &self.loader(), &self.follower));
        findings.extend(self.findings(by).into_iter().map(|found| {
            let detail = format!("{} {}: {}", found.severity, found.subject, found.advice);
            wire::Finding { advice: Some(found.advice), ..row(&found.kind, "weak", detail) }
        }));
        findings.extend(self.sampled(by));
        advise(&mut findings);
        wire::Doctor { sound: findings.iter().all(|finding| finding.state != "wrong"), findings }
    }

    fn note(&self, acts: Vec<wire::AuditRow>) {
        block_in_place(|| self.audit.note(acts));
    }

    fn audit(&self, by: &Principal, since: u64, max: usize) -> Result<Vec<wire::AuditRow>, Refusal> {
        self.audit.since(by, since, max)
    }

    fn events(&self, by: &Principal, since: u64, max: usize) -> Result<Vec<wire::EventRow>, Refusal> {
        self.events_since(by, since, max)
    }

    fn events_after(
        &self,
        by: &Principal,
        place: Place,
        max: usize,
    ) -> Result<(Vec<wire::EventRow>, Place), Refusal> {
        self.walk(by, place, max, false)
    }
}
