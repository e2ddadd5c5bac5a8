//! Data-driven cases: inputs as text, `----`, then the events they cause. `UPDATE=1 cargo test -p
//! bursar-engine` rewrites what follows the line; read the difference before committing it.
//!
//! Every case is also folded into a second engine, which must come to the same digest, and the books
//! must be balanced after each step.
#[path = "../plain/mod.rs"]
mod plain;
mod rest;
mod words;

use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use plain::First;
use rest::{Asks, remember};
use std::{fs, path::Path};
use words::{command, principal};

/// Takes the whole offered capacity of every pool in row 0 for every claim: never lawful.
struct Liar;
impl Allocator for Liar {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        for &claim in queue {
            plan.take(claim, view.claims.first_line[claim as usize], 0, 0, 1);
        }
        Ok(())
    }
}

/// Says that it cannot.
struct Broken;
impl Allocator for Broken {
    fn place(&mut self, _: &View<'_>, _: &[Row], _: &mut Plan<'_>) -> Result<(), Fault> {
        Err(Fault::of(FaultKind::Panicked, "index out of bounds"))
    }
}
impl Qos for Broken {
    fn rank(&mut self, _: &View<'_>, _: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
        Err(Fault::of(FaultKind::Overrun, "5 ms"))
    }
}

/// Places nothing, whatever fits.
struct Idle;
impl Allocator for Idle {
    fn place(&mut self, _: &View<'_>, _: &[Row], _: &mut Plan<'_>) -> Result<(), Fault> {
        Ok(())
    }
}

/// Places each claim on the first node that takes it, but nothing of more than two.
struct Shuns;
impl Allocator for Shuns {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        let amount = |claim: Row| view.lines.amount[view.claims.first_line[claim as usize] as usize];
        let small: Vec<Row> = queue.iter().copied().filter(|&claim| amount(claim) <= 2).collect();
        First.place(view, &small, plan)
    }
}

#[derive(Default)]
struct ByClass;
impl Qos for ByClass {
    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        for (rank, &row) in ranks.iter_mut().zip(pending) {
            let (class, priority) = (view.claims.class[row as usize], view.claims.priority[row as usize]);
            *rank = Rank { tier: u64::from(class), share: u64::from(u32::MAX - priority) };
        }
        Ok(())
    }
}

fn plugins() -> Plugins {
    Plugins {
        qos: Seat::linked("class", || Box::new(ByClass) as Box<dyn Qos>),
        allocator: Seat::linked("first-fit", || Box::new(First) as Box<dyn Allocator>),
    }
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let (script, expected) = text.split_once("----\n").expect("a case has a line of four dashes");
        let told = play(script);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, format!("{script}----\n{told}")).unwrap();
        } else {
            assert_eq!(told, expected, "{}: events differ; UPDATE=1 rewrites them", path.display());
        }
    }
}

/// Who plays a script: an engine, and a copy that folds what the engine did.
struct Player {
    engine: Engine,
    copy: Engine,
    plugins: Plugins,
    told: String,
    at: u64,
    asks: Asks,
}

/// Plays a script: each line is a step of its own, `+` before a line puts it into the same step.
fn play(script: &str) -> String {
    let mut by = Principal { admin: true, ..Principal::default() };
    let mut player = Player {
        engine: Engine::new(),
        copy: Engine::new(),
        plugins: plugins(),
        told: String::new(),
        at: 0,
        asks: Asks::new(),
    };
    let lines: Vec<&str> =
        script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut next = 0;
    while next < lines.len() {
        let mut inputs = Vec::new();
        loop {
            let line = lines[next].trim_start_matches("+ ");
            next += 1;
            let mut words = line.split_whitespace();
            match words.next().unwrap() {
                "at" => player.at = words.next().unwrap().parse::<u64>().unwrap() * 1_000_000_000,
                "as" => by = principal(words.next().unwrap()),
                "swap" => swap(&mut player.plugins, words.next().unwrap()),
                "resume" => player.engine = clone_through_bytes(&player.engine),
                "rest" => player.come_to_rest(),
                "wakes" => {
                    let at = player.engine.wake_at().map(|at| at.0 / 1_000_000);
                    player.told += &format!("   wakes at {at:?}\n");
                }
                "show" => player.told += &show(&player.engine),
                verb => inputs.push(Input { by: by.clone(), body: command(verb, words, &player.engine) }),
            }
            if !lines.get(next).is_some_and(|line| line.starts_with("+ ")) {
                break;
            }
        }
        if !inputs.is_empty() {
            player.step(inputs);
        }
    }
    player.told
}

impl Player {
    /// One step, told, and folded by the copy.
    fn step(&mut self, inputs: Vec<Input>) -> Batch {
        let batch = self.quiet_step(inputs);
        self.told += "\n";
        batch
    }

    /// The same, where a step in which nothing happens is not worth a line.
    fn quiet_step(&mut self, inputs: Vec<Input>) -> Batch {
        let batch = self.engine.step(Time(self.at), inputs, &mut self.plugins);
        for event in &batch.events {
            self.told += &format!("{}\n", tell(event));
        }
        self.copy.fold(&batch);
        assert!(self.engine.books().balanced(), "books after\n{}", self.told);
        assert_eq!(
            self.engine.digest(),
            self.copy.digest(),
            "fold of the events differs from the state after\n{}",
            self.told
        );
        remember(&mut self.asks, &batch);
        batch
    }
}

fn clone_through_bytes(engine: &Engine) -> Engine {
    let bytes = postcard::to_stdvec(engine).unwrap();
    let copy: Engine = postcard::from_bytes(&bytes).unwrap();
    assert_eq!(copy.digest(), engine.digest());
    copy.resume()
}

fn swap(plugins: &mut Plugins, name: &str) {
    let decider = Decider { plugin: name.into(), home: Home::Child };
    match name {
        "liar" => drop(plugins.allocator.swap(decider, Box::new(Liar))),
        "broken" => drop(plugins.allocator.swap(decider, Box::new(Broken))),
        "idle" => drop(plugins.allocator.swap(decider, Box::new(Idle))),
        "first" => drop(plugins.allocator.swap(decider, Box::new(First))),
        "shuns" => drop(plugins.allocator.swap(decider, Box::new(Shuns))),
        "broken-qos" => drop(plugins.qos.swap(decider, Box::new(Broken))),
        _ => panic!("no allocator {name}"),
    }
}

fn tell(event: &Event) -> String {
    let cause = event.cause.map_or("~".into(), |cause| cause.to_string());
    let what = match &event.what {
        What::Refused(refusal) => {
            let retry = refusal.retry_ns.map_or(String::new(), |ns| format!(" after {}ms", ns / 1_000_000));
            format!("refused {} ({}){retry}", refusal, refusal.hint)
        }
        What::Granted { claim, fence, pools, lease_until, by } => {
            let pools: Vec<String> = pools.iter().map(|pool| pool.to_string()).collect();
            let (epoch, n) = (fence.0 >> 40, fence.0 & 0xff_ffff_ffff);
            format!(
                "granted {claim} fence {epoch}.{n} pools {} until {}s by {}",
                pools.join(","),
                lease_until.0 / 1_000_000_000,
                by.plugin
            )
        }
        What::Queued { claim, scope } => format!("queued {claim} in scope {scope}"),
        What::Waiting { claim, reason, retry_at: Time(0) } => format!("waiting {claim} {reason}"),
        What::Waiting { claim, reason, retry_at } => {
            format!("waiting {claim} {reason} until {}ms", retry_at.0 / 1_000_000)
        }
        What::Renewed { claim, lease_until } => {
            format!("renewed {claim} until {}s", lease_until.0 / 1_000_000_000)
        }
        What::Draining { claim, ending } => format!("draining {claim} {ending:?}"),
        What::Resizing { claim, lines } => format!("resizing {claim} to {}", told_sizes(lines)),
        What::Resized { claim, lines } => format!("resized {claim} to {}", told_sizes(lines)),
        What::ResizeFailed { claim, message } => format!("not resized {claim} {message}"),
        What::Chosen { claim, alternative } => format!("chosen {claim} alternative {alternative}"),
        What::Closed { claim, ending } => format!("closed {claim} {ending:?}"),
        What::Quarantined { claim, message } => format!("quarantined {claim} {message}"),
        What::PluginFault { role, fault } => format!("fault {} {fault}", role.name()),
        What::Deadlocked { claim, circle } => {
            let link = |link: &Link| {
                let pool = link.pool.as_ref().map_or(String::new(), |pool| format!(":{pool}"));
                format!("{} for {}{pool} of {}", link.claim, link.resource, link.lease)
            };
            format!("deadlocked {claim}: {}", circle.iter().map(link).collect::<Vec<_>>().join(", "))
        }
        What::Leaving { claim, until } => format!("leaving {claim} by {}s", until.0 / 1_000_000_000),
        What::Applied(changes) => format!("applied {changes:?}").to_lowercase(),
        What::PoolSprang { pool, resource, name } => format!("sprang {resource}:{name} as {pool}"),
        What::Promised(promise) => {
            let pools: Vec<String> = promise.pools.iter().map(|pool| pool.to_string()).collect();
            let (standing, until) = (promise.standing, promise.until.0 / 1_000_000_000);
            format!("promised {} pools {} standing {standing} until {until}s", promise.claim, pools.join(","))
        }
        What::Preempting { claim, by, until, why } => {
            format!("preempting {claim} for {by} until {}s ({why:?})", until.0 / 1_000_000_000)
        }
        What::Rung { claim, rung, until, lines } => {
            format!("rung {claim} {rung:?} until {}s to {}", until.0 / 1_000_000_000, told_sizes(lines))
        }
        What::RungFailed { claim, rung, message } => format!("no rung {claim} {rung:?} {message}"),
        What::Suspended { claim, until, lines } => {
            format!("suspended {claim} until {}s to {}", until.0 / 1_000_000_000, told_sizes(lines))
        }
        What::Resumed { claim, lines } => format!("resumed {claim} to {}", told_sizes(lines)),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("{cause}: {what}")
}

fn told_sizes(lines: &[LineSize]) -> String {
    let told: Vec<String> = lines.iter().map(|size| format!("{}:{}", size.line, size.amount)).collect();
    told.join(" ")
}

/// The pools as they stand: capacity, reserved, held, quarantined; then live claims and waiting reasons.
fn show(engine: &Engine) -> String {
    let view = engine.view();
    let mut text = String::new();
    for p in (0..view.pools.len()).filter(|&p| view.pools.id[p] != 0) {
        let pools = view.pools;
        text += &format!(
            "   {} {}: {} of {}, reserved {} held {} quarantined {}\n",
            engine.books().spec(pools.resource[p]).name,
            engine.books().pool_name(p as Row),
            pools.free(p as Row),
            pools.capacity[p],
            pools.reserved[p],
            pools.held[p],
            pools.quarantined[p]
        );
        if pools.period[p] > 0 {
            text += &format!("      spent {}\n", pools.spent[p]);
        }
    }
    for c in (0..view.claims.len()).filter(|&c| view.claims.id[c] != 0) {
        let id = ClaimId(view.claims.id[c]);
        let why = engine.explain(id).map_or(String::new(), |why| format!(" {} {:?}", why.reason, why.short));
        text += &format!("   claim {id} {:?}{why}\n", engine.books().phase(c as Row));
        for line in engine.books().inner(c as Row) {
            let (kind, parent) = (&engine.books().spec(line.resource).name, engine.books().parent(id));
            text += &format!("      {} {kind} within {}\n", line.amount, parent.unwrap_or_default());
        }
    }
    for q in (0..view.quotas.len()).filter(|&q| view.quotas.set[q] != 0) {
        let (scope, level) =
            (engine.books().scope_path(view.quotas.scope[q]), engine.books().level(q as Row));
        text += &format!("   quota {scope} charged {level}\n");
    }
    text
}
