//! The words of a case, as commands.
use bursar_engine::Engine;
use bursar_interface::*;

/// `UID:ROOT`, and behind an `@` the lease that it lives in.
pub(crate) fn principal(word: &str) -> Principal {
    let (who, lease) = word.split_once('@').map_or((word, None), |(who, lease)| (who, Some(lease)));
    let (uid, root) = who.split_once(':').unwrap();
    let within = lease.map(|lease| ClaimId(lease.parse().unwrap()));
    Principal { uid: uid.parse().unwrap(), admin: uid == "0", root: root.into(), within }
}

type Words<'a> = std::str::SplitWhitespace<'a>;

pub(crate) fn command(verb: &str, mut words: Words<'_>, engine: &Engine) -> Command {
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
        "share" => share(words),
        "preemption" => Command::SetPreemption(preemption(words)),
        "swapped" => {
            Command::Swap { role: Role::Allocator, to: Decider { plugin: word().into(), home: Home::Child } }
        }
        "suspect" => {
            // Also who came just now.
            let (role, left) = (Role::Allocator, engine.left_waiting(engine.books().at().after(1), 0));
            Command::Suspect { role, left, passed: words.next() == Some("passed") }
        }
        other => lease_verb(other, words, engine),
    }
}

/// `RESOURCE NODE POOL` and `offered=`, `firm=`, `holders=`, `quantum=MS`; without them as if there were no rules.
fn share(mut words: Words<'_>) -> Command {
    let mut word = || words.next().unwrap_or_else(|| panic!("a word is missing")).to_owned();
    let (resource, node, pool) = (word(), Some(word()).filter(|node| node != "-"), word());
    let number = |key: &str| option(words.clone(), key);
    let offer = number("offered=").map(|offered| Offer {
        offered,
        firm: number("firm=").unwrap_or(offered),
        quantum_ns: number("quantum=").unwrap_or(0) * 1_000_000,
        holders: number("holders=").unwrap_or(0) as u32,
    });
    let by = Decider { plugin: "share".into(), home: Home::Child };
    Command::Share { resource, node, pool, offer, by, fault: None }
}

/// `lent`, `band`, `grace=SECONDS`, `min=SECONDS`, `bands=100,200`, `shrink=SECONDS`, `to=PERCENT`,
/// `suspend=SECONDS`, `idle=cpu`, each where it is wanted.
fn preemption(mut words: Words<'_>) -> PreemptionPolicy {
    let seconds = |key: &str| option(words.clone(), key).unwrap_or(0) * 1_000_000_000;
    let text = |key: &str| words.clone().find_map(|word| word.strip_prefix(key)).unwrap_or("");
    let bands = text("bands=");
    PreemptionPolicy {
        grace_ns: [seconds("grace="); 3],
        min_runtime_ns: seconds("min="),
        bands: list(bands).iter().map(|band| band.parse().unwrap()).collect(),
        shrink_ns: seconds("shrink="),
        shrink_to: option(words.clone(), "to=").unwrap_or(50) as u32,
        suspend_ns: seconds("suspend="),
        idle: list(text("idle=")),
        reclaim: words.clone().any(|word| word == "lent"),
        by_band: words.any(|word| word == "band"),
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
        "evict" => Command::Evict {
            claim,
            grace_ns: rest.first().map_or(0, |s| s.parse::<u64>().unwrap()) * 1_000_000_000,
        },
        "spare" => Command::Spare { claim },
        "frozen" => Command::Frozen { claim },
        "unfrozen" => Command::FreezeFailed { claim, message: message() },
        "resized" => Command::Resized { claim },
        "unresized" => Command::ResizeFailed { claim, message: message() },
        "stuck" => Command::ReclaimFailed { claim, message: message() },
        "settle" => {
            let used = |Size { resource, pool, amount }| Used { resource, pool, amount };
            Command::Settle { claim, fence, used: sizes(&rest).into_iter().map(used).collect() }
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
pub(crate) fn refill(words: Words<'_>) -> Refill {
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
            "holding" => {
                ask.holding = list(value).iter().map(|claim| ClaimId(claim.parse().unwrap())).collect()
            }
            "apart" => ask.apart = Some(value.into()),
            "gang" => {
                let (name, size) = value.split_once(':').unwrap();
                ask.gang = Some(Gang { name: name.into(), size: size.parse().unwrap() });
            }
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

/// `cpu=500`, `memory=500~400` with a soft limit, `lock:build=1`, `lock:build=whole`, `gpu=1000@P100|T4`.
pub(crate) fn line(resource: &str, value: &str) -> LineAsk {
    let (resource, pool) =
        resource.split_once(':').map_or((resource, None), |(r, p)| (r, Some(p.to_owned())));
    let (amount, models) = value.split_once('@').unwrap_or((value, ""));
    let (amount, soft) = amount.split_once('~').map_or((amount, None), |(a, soft)| (a, soft.parse().ok()));
    let models = models.split('|').filter(|model| !model.is_empty()).map(str::to_owned).collect();
    LineAsk {
        resource: resource.into(),
        amount: amount.parse().unwrap_or(0),
        pool,
        models,
        whole: amount == "whole",
        soft,
    }
}

pub(crate) fn list(word: &str) -> Vec<String> {
    word.split(',').filter(|term| !term.is_empty() && *term != "-").map(str::to_owned).collect()
}

/// `no quota team cpu`, `no pool tokens - acct`, `pool cpu n1 cpu capacity=4`, `scope team 3`, `quota team cpu limit=none`, `node n1 draining 30`.
pub(crate) fn setting(words: &[&str]) -> Setting {
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
        "no" if text(1) == "quota" => Setting::RemoveQuota { scope: text(2), resource: text(3) },
        "no" => {
            let node = Some(text(3)).filter(|node| node != "-");
            Setting::RemovePool { resource: text(2), node, name: text(4) }
        }
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
