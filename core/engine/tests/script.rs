//! Data-driven cases: inputs as text, `----`, then the events they cause. `UPDATE=1 cargo test -p
//! bursar-engine` rewrites what follows the line; read the difference before committing it.
//!
//! Every case is also folded into a second engine, which must come to the same digest, and the books
//! must be balanced after each step.
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use std::{fs, path::Path};

/// The smallest allocator: a second implementation of the interface, not a mock.
#[derive(Default)]
struct FirstFit;
impl Allocator for FirstFit {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        for &claim in queue {
            (0..view.nodes.len() as Row).find(|&node| plan.place(claim, node));
        }
        Ok(())
    }
}

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
        allocator: Seat::linked("first-fit", || Box::new(FirstFit) as Box<dyn Allocator>),
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

/// Plays a script: each line is a step of its own, `+` before a line puts it into the same step.
fn play(script: &str) -> String {
    let (mut engine, mut copy, mut plugins) = (Engine::new(), Engine::new(), plugins());
    let (mut told, mut at, mut by) = (String::new(), 0, Principal { admin: true, ..Principal::default() });
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
                "at" => at = words.next().unwrap().parse::<u64>().unwrap() * 1_000_000_000,
                "as" => by = principal(words.next().unwrap()),
                "swap" => swap(&mut plugins, words.next().unwrap()),
                "resume" => engine = clone_through_bytes(&engine),
                "wakes" => {
                    told += &format!("   wakes at {:?}\n", engine.wake_at().map(|at| at.0 / 1_000_000))
                }
                "show" => told += &show(&engine),
                verb => inputs.push(Input { by: by.clone(), body: command(verb, words, &engine) }),
            }
            if !lines.get(next).is_some_and(|line| line.starts_with("+ ")) {
                break;
            }
        }
        if inputs.is_empty() {
            continue;
        }
        let batch = engine.step(Time(at), inputs, &mut plugins);
        for event in &batch.events {
            told += &format!("{}\n", tell(event));
        }
        told += "\n";
        copy.fold(&batch);
        assert!(engine.books().balanced(), "books after {script}");
        assert_eq!(engine.digest(), copy.digest(), "fold of the events differs from the state");
    }
    told
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
        "broken-qos" => drop(plugins.qos.swap(decider, Box::new(Broken))),
        _ => panic!("no allocator {name}"),
    }
}

/// `UID:ROOT`, and behind an `@` the lease that it lives in.
fn principal(word: &str) -> Principal {
    let (who, lease) = word.split_once('@').map_or((word, None), |(who, lease)| (who, Some(lease)));
    let (uid, root) = who.split_once(':').unwrap();
    let within = lease.map(|lease| ClaimId(lease.parse().unwrap()));
    Principal { uid: uid.parse().unwrap(), admin: uid == "0", root: root.into(), within }
}

type Words<'a> = std::str::SplitWhitespace<'a>;

fn command(verb: &str, mut words: Words<'_>, engine: &Engine) -> Command {
    let mut word = || words.next().unwrap_or("");
    match verb {
        "tick" => Command::Tick,
        "start" => Command::Start { epoch: 0, boot: word().into(), boottime_ns: 0 },
        "resource" => resource(word(), word(), words),
        "node" => Command::SetNode(NodeSpec {
            name: word().into(),
            labels: list(word()),
            state: state(words.next()),
        }),
        "pool" => {
            let (resource, node, name) = (word().to_owned(), word().to_owned(), word().to_owned());
            let node = Some(node).filter(|node| node != "-");
            Command::SetPool(PoolSpec {
                resource,
                node,
                name,
                capacity: word().parse().unwrap(),
                labels: list(words.clone().next().filter(|word| !word.contains('=')).unwrap_or("")),
                refill: refill(words),
            })
        }
        "fan" => Command::SetFanOut(FanOutSpec {
            scope: Some(word().to_owned()).filter(|path| path != "agents").map(|path| path.replace('"', "")),
            limits: FanOut {
                claims: option(words.clone(), "claims=").map(|n| n as u32),
                depth: option(words.clone(), "depth=").map(|n| n as u32),
                children: option(words.clone(), "children=").map(|n| n as u32),
                asks_per_second: option(words.clone(), "asks=").map(|n| n as u32),
            },
        }),
        "scope" => Command::SetScope(ScopeSpec { path: word().into(), weight: word().parse().unwrap() }),
        "quota" => Command::SetQuota(QuotaSpec {
            scope: word().trim_matches('"').into(),
            resource: word().into(),
            limit: word().parse().ok(),
            guaranteed: word().parse().unwrap_or(0),
            borrow_limit: option(words.clone(), "borrow="),
            lend_limit: option(words.clone(), "lend="),
            refill: refill(words),
        }),
        "set" => {
            Command::Apply(words.collect::<Vec<_>>().split(|word| *word == "and").map(setting).collect())
        }
        "ask" => Command::Ask(ask(words)),
        "swapped" => {
            Command::Swap { role: Role::Allocator, to: Decider { plugin: word().into(), home: Home::Child } }
        }
        other => lease_verb(other, words, engine),
    }
}

fn lease_verb(verb: &str, mut words: Words<'_>, engine: &Engine) -> Command {
    let claim = ClaimId(words.next().unwrap().parse().unwrap());
    let held = engine.books().claim(claim).map_or(0, |row| engine.view().claims.fence[row as usize]);
    let rest: Vec<&str> = words.collect();
    let fence =
        Fence(rest.iter().find_map(|word| word.strip_prefix("fence=")).map_or(held, |n| n.parse().unwrap()));
    let message = || rest.join(" ");
    match verb {
        "renew" => Command::Renew {
            claim,
            fence,
            ttl_ns: rest.first().and_then(|s| s.parse().ok()).unwrap_or(0) * 1_000_000_000,
        },
        "release" => Command::Release { claim, fence },
        "cancel" => Command::Cancel { claim },
        "attach" => {
            Command::Attach { claim, fence, process: Process { pid: 7, started: 1, boot: "b".into() } }
        }
        "enforced" => Command::Enforced { claim, processes: rest.first().map_or(0, |n| n.parse().unwrap()) },
        "failed" => Command::EnforceFailed { claim, message: message() },
        "exited" => Command::Exited { claim },
        "reclaimed" => Command::Reclaimed {
            claim,
            proof: Proof { evidence: "empty".into() },
            over_limit: rest.contains(&"over"),
        },
        "extend" => Command::Extend { claim, fence, to: sizes(&rest) },
        "shrink" => Command::Shrink { claim, fence, to: sizes(&rest) },
        "resized" => Command::Resized { claim },
        "unresized" => Command::ResizeFailed { claim, message: message() },
        "stuck" => Command::ReclaimFailed { claim, message: message() },
        "settle" => {
            let used =
                rest.iter().filter_map(|word| word.split_once('=')).filter(|(name, _)| *name != "fence");
            Command::Settle {
                claim,
                fence,
                used: used
                    .map(|(r, n)| Used { resource: r.into(), pool: None, amount: n.parse().unwrap() })
                    .collect(),
            }
        }
        _ => panic!("no verb {verb}"),
    }
}

/// `cpu=500`, `gpu:gpu0=500`.
fn sizes(words: &[&str]) -> Vec<Size> {
    let named = words.iter().filter_map(|word| word.split_once('=')).filter(|(name, _)| *name != "fence");
    let size = |(kind, amount)| {
        let LineAsk { resource, pool, amount, .. } = line(kind, amount);
        Size { resource, pool, amount }
    };
    named.map(size).collect()
}

fn option(mut words: Words<'_>, key: &str) -> Option<u64> {
    words.find_map(|word| word.strip_prefix(key)).map(|number| number.parse().unwrap())
}

/// `every=SECONDS burst=AMOUNT due=SECONDS`, each where it is wanted.
fn refill(words: Words<'_>) -> Refill {
    let seconds = |key: &str| option(words.clone(), key).unwrap_or(0) * 1_000_000_000;
    Refill {
        period_ns: seconds("every="),
        burst: option(words.clone(), "burst=").unwrap_or(0),
        due: Time(seconds("due=")),
    }
}

fn resource(name: &str, shape: &str, words: Words<'_>) -> Command {
    let words: Vec<&str> = words.collect();
    let number =
        |key: &str| words.iter().find_map(|word| word.strip_prefix(key)).map_or(0, |n| n.parse().unwrap());
    Command::SetResource(ResourceSpec {
        name: name.into(),
        shape: match shape {
            "unit" => Shape::Unit,
            "rate" => Shape::Rate,
            "budget" => Shape::Budget,
            _ => Shape::Capacity,
        },
        unit: "pieces".into(),
        min: number("min=").max(if words.contains(&"nomin") { 0 } else { 1 }),
        step: number("step="),
        piece: number("piece="),
        springs: number("springs="),
        driven: words.contains(&"driven"),
    })
}

fn ask(words: Words<'_>) -> Ask {
    let mut ask = Ask { ttl_ns: 60_000_000_000, ..Ask::default() };
    for word in words {
        if word == "|" {
            ask.alternatives.push(Vec::new());
            continue;
        }
        let (key, value) = word.split_once('=').unwrap();
        let seconds = || value.parse::<u64>().unwrap() * 1_000_000_000;
        match key {
            "wait" => ask.wait_ns = seconds(),
            "expect" => ask.expect_ns = seconds(),
            "ttl" => ask.ttl_ns = seconds(),
            "scope" => ask.scope = value.into(),
            "key" => ask.key = Some(value.into()),
            "need" => ask.need = list(value),
            "bar" => ask.bar = list(value),
            "within" => ask.within = within(value),
            "apart" => ask.apart = Some(value.into()),
            "priority" => ask.priority = value.parse().unwrap(),
            "class" => {
                ask.class =
                    [Class::Guaranteed, Class::Burstable, Class::BestEffort][value.parse::<usize>().unwrap()]
            }
            resource => ask.alternatives.last_mut().unwrap_or(&mut ask.lines).push(line(resource, value)),
        }
    }
    ask
}

/// `none`, a claim, or a claim and its fence's number in the first epoch, as `1/2`.
fn within(value: &str) -> Within {
    let number = |text: &str| text.parse::<u64>().unwrap();
    match value.split_once('/') {
        None if value == "none" => Within::Pools,
        None => Within::Lease(ClaimId(number(value)), None),
        Some((claim, fence)) => Within::Lease(ClaimId(number(claim)), Some(Fence(1 << 40 | number(fence)))),
    }
}

/// `cpu=500`, `lock:build=1`, `lock:build=whole`, `gpu=1000@P100|T4`.
fn line(resource: &str, value: &str) -> LineAsk {
    let (resource, pool) =
        resource.split_once(':').map_or((resource, None), |(r, p)| (r, Some(p.to_owned())));
    let (amount, models) = value.split_once('@').unwrap_or((value, ""));
    let models = models.split('|').filter(|model| !model.is_empty()).map(str::to_owned).collect();
    LineAsk {
        resource: resource.into(),
        amount: amount.parse().unwrap_or(0),
        pool,
        models,
        whole: amount == "whole",
    }
}

fn list(word: &str) -> Vec<String> {
    word.split(',').filter(|term| !term.is_empty() && *term != "-").map(str::to_owned).collect()
}

/// `pool cpu n1 cpu capacity=4`, `scope team 3`, `quota team cpu limit=none`, `node n1 draining 30`.
fn setting(words: &[&str]) -> Setting {
    let text = |at: usize| words.get(at).copied().unwrap_or("").trim_matches('"').to_owned();
    let field = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
    let number = |key: &str| field(key).map(|number| number.parse().unwrap());
    let bound = |key: &str| field(key).map(|number| number.parse().ok());
    let period_ns = number("every=").map(|seconds: u64| seconds * 1_000_000_000);
    match text(0).as_str() {
        "pool" => Setting::Pool(PoolChange {
            resource: text(1),
            node: Some(text(2)).filter(|node| node != "-"),
            name: text(3),
            capacity: number("capacity="),
            period_ns,
            burst: number("burst="),
        }),
        "scope" => Setting::Scope(ScopeSpec { path: text(1), weight: text(2).parse().unwrap() }),
        "quota" => Setting::Quota(QuotaChange {
            scope: text(1),
            resource: text(2),
            guaranteed: number("guaranteed="),
            limit: bound("limit="),
            borrow_limit: bound("borrow="),
            lend_limit: bound("lend="),
            period_ns,
            burst: number("burst="),
        }),
        "node" => Setting::Node(NodeChange {
            name: text(1),
            state: state(words.get(2).copied()),
            grace_ns: text(3).parse().unwrap_or(0) * 1_000_000_000,
        }),
        other => panic!("nothing is set by {other}"),
    }
}

fn state(word: Option<&str>) -> NodeState {
    match word {
        Some("draining") => NodeState::Draining,
        Some("lost") => NodeState::Lost,
        Some("cordoned") => NodeState::Cordoned,
        _ => NodeState::Open,
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
        What::Leaving { claim, until } => format!("leaving {claim} by {}s", until.0 / 1_000_000_000),
        What::Applied(changes) => format!("applied {changes:?}").to_lowercase(),
        What::PoolSprang { pool, resource, name } => format!("sprang {resource}:{name} as {pool}"),
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
