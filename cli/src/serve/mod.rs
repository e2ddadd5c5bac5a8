//! The daemon: puts the rooms together, opens the door, and ends in good order.
//!
//! Threads: the runtime of the front door; one desk (engine and journal) and one follower (state that is
//! read) for what is not done where it came in; one enforcer, one per driver, one for metrics, one that
//! compares what is there with what leases have.
mod adopted;
mod agents;
mod analysis;
mod audit;
mod bearers;
mod beside;
mod blamed;
mod census;
mod checkup;
mod chronicle;
mod circle;
mod clock;
mod desk;
mod door;
mod driven;
mod edges;
mod enforcer;
mod errands;
mod eta;
mod explained;
mod figures;
mod flow;
mod followed;
mod follower;
mod gauges;
mod hangup;
mod held;
mod holdings;
mod host;
mod instance;
mod join;
mod layers;
mod learned;
mod libraries;
mod listed;
mod liveness;
mod mail;
mod measure;
mod memory;
mod misnamed;
mod named;
mod onlooker;
mod outlook;
mod passed;
mod places;
mod preemption;
mod present;
mod pressure;
mod promise;
mod reconciler;
mod reload;
mod remedies;
mod resize;
mod retired;
mod returned;
mod roster;
mod rungs;
mod seats;
mod settings;
mod sharing;
mod signals;
mod squeeze;
mod steering;
mod still;
mod strained;
mod supply;
mod told;
mod turn;
mod turns;
mod unattended;
mod used;
mod workers;

pub use bearers::rights;
pub use checkup::{advise, host_findings};
pub use instance::Instance;
pub use layers::{Layers, Origin};
pub use libraries::loader_settings;
pub use roster::Roster;
pub use seats::{linked_allocator, linked_qos, strategies};
pub use settings::Settings;
pub use signals::outlive_limits;
pub use told::home;

use anyhow::{Context, Result, anyhow};
use bursar_enforce::Hierarchy;
use bursar_engine::{Blame, Engine, Plugins};
use bursar_interface::{ClaimId, Command, Input, Principal, Role};
use bursar_journal::Journal;
use bursar_loader::Loader;
use bursar_monitor::Rings;
use clock::{Clock, boottime_ns};
use desk::Desk;
use door::{Tcp, door};
use edges::Edges;
use enforcer::{Enforcer, Note};
use followed::Followed;
use follower::Follower;
use gauges::Gauges;
use holdings::Holdings;
use host::Host;
use liveness::Watchman;
use mail::{Inbox, Mailbox};
use reconciler::Reconciler;
use retired::Retired;
use std::{
    convert::Infallible,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::sync_channel,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use workers::Workers;

/// Committed batches that may wait for the follower.
const COMMITTED_MAX: usize = 64;

/// What was said on the command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the operator set.
    pub settings: Settings,
    /// The state directory.
    pub state: PathBuf,
    /// Where a daemon has it that is started for whoever asks on the socket.
    pub usual: Option<PathBuf>,
    /// The unix socket.
    pub socket: PathBuf,
    /// Go on though answers that were given are missing from the journal.
    pub accept_loss: bool,
    /// Leave after this long without claims and requests.
    pub idle: Option<Duration>,
}

/// The HTTP API as an OpenAPI document.
pub fn contract() -> serde_json::Value {
    bursar_api::openapi::<Host>()
}

/// Serves until it is told to end.
///
/// # Errors
/// What stands in the way of a start, by name; and a journal that cannot be trusted any more.
pub fn run(options: Options) -> Result<()> {
    let Options { mut settings, state, usual, socket, accept_loss, idle } = options;
    bursar_enforce::keep_little();
    let (tcp, lifetime) = (Tcp::wanted(&settings)?, settings.http.lifetime()?);
    raise_files();
    signals::outlive_limits().context("the signal of a limit on the size of files")?;
    let (mut journal, recovered) = Journal::open(&state, settings.journal.options(&state, accept_loss)?)?;
    recovered.notes.iter().for_each(|note| tracing::warn!(note, "recovery"));
    let epoch = recovered.epoch;
    // Without the ballast the little room that there is belongs to what gives back.
    let full_since = (!recovered.ballast).then(std::time::Instant::now);
    if full_since.is_some() {
        tracing::error!(
            "the journal's disk is nearly full: only what gives back is accepted until there is room"
        );
    }
    let (engine, blame) = recover(&mut journal, recovered)?;
    let epoch = epoch.max(engine.epoch() + 1);
    let state = state.canonicalize().unwrap_or(state);
    let instance = Instance::settle(&state)?;
    let unattended = unattended::Unattended::open(&state, &engine);
    settings.plugins.settle_in(&state, &instance.id);
    let audit = audit::Audit::open(&state)?;
    let listener = door::bound(&socket, &state, usual.as_deref())?;
    let hierarchy = match settings.enforce.cgroups {
        true => Hierarchy::detect(&instance.id),
        false => Hierarchy::weak(),
    };
    let hierarchy = hierarchy.of(&socket).hurried(settings.enforce.quick_moves);
    if let Err(error) = hierarchy.leave() {
        tracing::warn!(%error, "this daemon stays in the lease that it was started in, and ends with it");
    }
    bursar_sdk::count();
    let mut loader =
        Loader::new(loader_settings(&settings, &[], &state)?).map_err(|reject| anyhow!(reject))?;
    let mut roster = roster::Roster::open(&state);
    let strategies = seats::strategies(&mut loader, &settings, &engine, &mut roster)?;
    let kinds = seats::kinds(&mut loader, &settings)?;
    let mut drivers = seats::drivers(&mut loader, &settings)?;
    let metrics = seats::metrics(&mut loader, &settings)?;
    let analyzers = seats::analyzers(&mut loader, &settings)?;
    let every = settings.analysis.every()?;
    let mut found = supply::Found::default();
    for (name, driver) in &mut drivers {
        match driver.plugin.discover() {
            Ok(supplies) => {
                found.supplies.extend(supplies);
                found.answered.insert(name.clone());
            }
            Err(fault) => tracing::error!(driver = name, %fault, "what it offers is not known"),
        }
    }
    let told = supply::commands(&settings, &engine, kinds, found)?;
    // Before it is written down: what a config sets that cannot be would outlive it.
    let inputs: Vec<Input> = told.iter().cloned().map(own).collect();
    let judged = engine.rehearse_start(&inputs);
    judged.map_err(|refusal| anyhow::anyhow!("config: {}; {}", refusal.message, refusal.hint))?;

    let (boot, now) = (bursar_enforce::boot_id().context("this host's boot id")?, boottime_ns());
    let clock = Clock::new(engine.now(&boot, now), now, boot.clone());
    let start = Command::Start { epoch, boot, boottime_ns: now };
    let (ending, full) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(full_since.is_some())));
    let (out, committed) = sync_channel(COMMITTED_MAX);
    let edges = Edges::default();
    let checkpoint_batches = settings.journal.checkpoint_batches.max(1);
    let mut desk = Desk {
        follower: Arc::new(Follower::new(engine.clone().resume(), blame, edges.clone())),
        edges: edges.clone(),
        engine,
        journal,
        plugins: strategies,
        retired: Retired::start().context("the thread plugin-end")?,
        clock: clock.clone(),
        inbox: Arc::new(Inbox::default()),
        out,
        full_since,
        failed_at: None,
        full: full.clone(),
        checkpoint_batches,
        checkpoint_next: checkpoint_batches,
    };
    let first = [vec![start], told, deciders(&desk.plugins)].concat();
    let greeting = desk.begin(first)?;
    let follower = desk.follower.clone();
    follower.expect();
    follower.fold_next(greeting);
    let rules = sharing::commands(&mut loader, &settings, &desk.engine)?;
    if !rules.is_empty() {
        follower.expect();
        follower.fold_next(desk.begin(rules)?);
    }
    // Before the enforcer adopts: it may have more to tell than the inbox holds.
    let folding = follower.clone();
    let folder = thread("follower", move || committed.iter().for_each(|next| folding.fold_next(next)))?;
    let mailbox = Mailbox::new(desk, edges.clone(), ending.clone());
    let keeping = mailbox.clone();
    // It is dropped when the desk's thread is over, however that ends.
    let (over, ended) = tokio::sync::oneshot::channel();
    let desk = thread("desk", move || {
        let _over: tokio::sync::oneshot::Sender<Infallible> = over;
        keeping.keep()
    })?;

    for finding in misnamed::misnamed(&settings, &loader, &follower) {
        tracing::warn!(what = finding.what, "{}", finding.detail);
    }
    loader.warm_up_on(Arc::new(Followed { follower: follower.clone(), mailbox: mailbox.clone() }));
    let workers = Workers::start(
        drivers.into_iter().map(|(name, seated)| (name, seated.plugin)).collect(),
        edges.clone(),
    )?;
    let grace = Duration::from_millis(settings.enforce.grace_ms);
    let notice = preemption::signal(&settings.preemption)?;
    turns::let_go(&hierarchy);
    let (mut learned, multiplex) = learned::Learned::open(&state);
    let (gauges, holdings) = (Arc::new(Gauges::knowing(multiplex)), Arc::new(Holdings::default()));
    let parts = enforcer::Parts {
        hierarchy: hierarchy.clone(),
        follower: follower.clone(),
        mailbox: mailbox.clone(),
        workers,
        gauges: gauges.clone(),
        holdings: holdings.clone(),
    };
    let enforcer = Enforcer::new(parts, grace, notice, settings.enforce.over);
    let keeping = edges.clone();
    let enforcer = thread("enforcer", move || keeping.keep(enforcer))?;
    let rings = Arc::new(Mutex::new(Rings::new(measure::KEPT)));
    let beside = Arc::new(beside::Beside::default());
    let measuring = (rings.clone(), beside.clone(), clock.clone(), ending.clone());
    let metrics = metrics.into_iter().map(|(name, seated)| (name, seated.plugin)).collect();
    let measurer = thread("metrics", move || {
        let (rings, beside, clock, ending) = &measuring;
        measure::run(metrics, rings, beside, clock, ending);
    })?;
    beside.metrics.wake(measurer.thread().clone());

    let (follower_there, hierarchy_there, ending_there) =
        (follower.clone(), hierarchy.clone(), ending.clone());
    let by_turns = follower.read(turns::any);
    let turns = by_turns
        .then(|| thread("turns", move || turns::run(&follower_there, &hierarchy_there, &ending_there)))
        .transpose()?;
    let board = Arc::new(analysis::Board::default());
    let looks_every = settings.memory.analytics()?;
    let looking = (gauges.clone(), hierarchy.clone(), follower.clone(), clock.clone(), ending.clone());
    let mut watchman = Watchman::new(&settings.liveness, mailbox.clone(), board.clone(), follower.clone())?;
    let looker = thread("gauges", move || {
        let (gauges, hierarchy, follower, clock, ending) = &looking;
        gauges.run(hierarchy, follower, clock, looks_every, (&mut watchman, &mut learned), ending);
    })?;
    let reconciler = Reconciler {
        holdings: holdings.clone(),
        hierarchy: hierarchy.clone(),
        follower: follower.clone(),
        edges: edges.clone(),
        rings: rings.clone(),
        board: board.clone(),
        mailbox: mailbox.clone(),
        clock: clock.clone(),
        every: settings.enforce.every(),
    };
    let ending_there = ending.clone();
    let reconciler = thread("reconciler", move || reconciler.run(&ending_there))?;
    let parts = pressure::Parts {
        hierarchy: hierarchy.clone(),
        follower: follower.clone(),
        mailbox: mailbox.clone(),
        gauges: gauges.clone(),
        clock: clock.clone(),
        board: board.clone(),
        edges: edges.clone(),
        rings: rings.clone(),
    };
    let presser = pressure::start(parts, &settings, looks_every, &ending)?;
    let analyzers = analyzers.into_iter().map(|(name, seated)| (name, seated.plugin)).collect();
    let (follower_there, rings_there, mailbox_there) = (follower.clone(), rings.clone(), mailbox.clone());
    let (board_there, clock_there, ending_there) = (board.clone(), clock.clone(), ending.clone());
    let (hierarchy_there, beside_there) = (hierarchy.clone(), beside.clone());
    let analyzer = thread("analyzers", move || {
        let analysis = analysis::Analysis {
            follower: &follower_there,
            rings: &rings_there,
            mailbox: &mailbox_there,
            board: &board_there,
            beside: &beside_there,
            clock: &clock_there,
            file_waits: &|| between_leases(&hierarchy_there),
        };
        analysis.run(analyzers, every, &ending_there);
    })?;

    let host = Arc::new(Host {
        follower,
        mailbox: mailbox.clone(),
        enforcer: edges.clone(),
        loader: Arc::new(Mutex::new(loader)),
        roster: Arc::new(tokio::sync::Mutex::new(roster)),
        steering: tokio::sync::Mutex::new(()),
        hierarchy: hierarchy.clone(),
        rings,
        beside,
        gauges,
        holdings,
        board,
        clock: clock.clone(),
        settings,
        state: state.clone(),
        uid: rustix::process::geteuid().as_raw(),
        ending: ending.clone(),
        full,
        used_at: AtomicU64::new(clock.now().0),
        offered: Mutex::new(Instant::now()),
        audit,
        autostarted: idle.is_some(),
        unattended,
    });
    let idle_after = Duration::from_millis(host.settings.plugins.idle_ms);
    let onlooker = onlooker::Onlooker::new(host.clone(), idle_after);
    let onlooker = thread("onlooker", move || onlooker.run())?;
    let limits = bursar_api::Limits { lifetime, ..bursar_api::Limits::default() };
    let served = door(&host, listener, tcp, limits, idle, ended);
    drop(host);
    ending.store(true, Ordering::Release);
    mailbox.wake();
    let closed = desk.join().map_err(|_| anyhow!("the desk panicked; the log says where"))?;
    // The others have nothing to lose: they end with what they hear of the desk.
    let _ = folder.join();
    edges.send(Note::End);
    turns.map(JoinHandle::join);
    let _ = enforcer.join();
    for thread in [measurer, analyzer, looker, reconciler, onlooker, presser] {
        thread.thread().unpark();
        let _ = thread.join();
    }
    hierarchy.remove();
    // One that is left behind is replaced by the next start; one that is another's meanwhile stays.
    let _ = bursar_api::clear(&socket);
    served?;
    Ok(closed?)
}

/// Leases of which a process waits for a file lock that a process of another holds.
fn between_leases(hierarchy: &Hierarchy) -> Vec<(ClaimId, ClaimId)> {
    let lease = |pid| hierarchy.holder(pid).ok().flatten();
    let waits = bursar_enforce::file_waits().into_iter();
    let between = waits.filter_map(|(waiter, holder)| Some((lease(waiter)?, lease(holder)?)));
    between.filter(|(waiter, holder)| waiter != holder).collect()
}

/// Takes as many files as the system allows: each connection is one.
fn raise_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// The state that the journal tells. A checkpoint that cannot be read costs only the time of a replay, as long as
/// the rows for that are kept.
fn recover(journal: &mut Journal, recovered: bursar_journal::Recovered) -> Result<(Engine, Blame)> {
    let mut checkpoint = recovered.checkpoint;
    let (mut engine, mut blame, from) = loop {
        let Some(found) = checkpoint else { break (Engine::new(), Blame::default(), 0) };
        match postcard::take_from_bytes::<Engine>(&found.blob) {
            Ok((engine, rest)) => {
                let engine = engine.resume();
                // What waits are charged to is no part of the state, and stands behind it.
                let blame = postcard::from_bytes(rest).unwrap_or_else(|error| {
                    tracing::warn!(%error, "of waits before the checkpoint it is not known what for");
                    Blame::begin(&engine)
                });
                break (engine, blame, found.next_seq);
            }
            Err(error) => {
                tracing::warn!(%error, sequence = found.next_seq, "the checkpoint cannot be read, so it is put aside");
                checkpoint = journal.fall_back()?;
            }
        }
    };
    journal.replay(from, &mut |batch| {
        engine.fold(&batch);
        blame.fold(&engine, &batch);
    })?;
    tracing::info!(sequence = engine.next_seq(), claims = engine.books().live(), "recovered");
    Ok((engine, blame))
}

/// Who decides from the start, for those who read the journal.
fn deciders(plugins: &Plugins) -> Vec<Command> {
    let seats = [(Role::Allocator, &plugins.allocator.decider), (Role::Qos, &plugins.qos.decider)];
    seats.into_iter().map(|(role, to)| Command::Swap { role, to: to.as_ref().clone() }).collect()
}

fn thread<T: Send + 'static>(name: &str, run: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.into()).spawn(run).with_context(|| format!("the thread {name}"))
}

/// An input of the daemon itself.
fn own(body: Command) -> Input {
    Input { by: Principal { admin: true, ..Principal::default() }, body }
}
