//! Fairness against its definition: progressive filling by weighted dominant share, on random fleets; and
//! nobody's answers depend on what others are called.
use bursar_allocator::fit::FirstFit;
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use bursar_qos::class::ByClass;
use bursar_sim::Random;

const KINDS: [&str; 3] = ["cpu", "memory", "disk"];
const LONG: u64 = 1 << 40;

fn plugins() -> Plugins {
    Plugins {
        qos: Seat::linked("class", || Box::new(ByClass) as Box<dyn Qos>),
        allocator: Seat::linked("first-fit", || Box::new(FirstFit::default()) as Box<dyn Allocator>),
    }
}

fn inputs(bodies: impl IntoIterator<Item = Command>) -> Vec<Input> {
    let by = Principal { admin: true, ..Principal::default() };
    bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect()
}

fn supply(capacities: &[Amount]) -> Vec<Command> {
    let kind = |name: &str| ResourceSpec {
        name: name.into(),
        shape: Shape::Capacity,
        unit: "pieces".into(),
        min: 1,
        step: 1,
        piece: 0,
        springs: 0,
        driven: false,
    };
    let pool = |(name, &capacity): (&&str, &Amount)| {
        let (resource, name) = ((*name).to_owned(), (*name).to_owned());
        Command::SetPool(PoolSpec { resource, name, capacity, ..PoolSpec::default() })
    };
    let kinds = KINDS.iter().map(|name| Command::SetResource(kind(name)));
    kinds.chain(KINDS.iter().zip(capacities).map(pool)).collect()
}

fn ask(scope: &str, amounts: &[Amount], wait_ns: u64) -> Command {
    let line = |(name, &amount): (&&str, &Amount)| LineAsk {
        resource: (*name).into(),
        amount,
        ..LineAsk::default()
    };
    let lines = KINDS.iter().zip(amounts).filter(|(_, amount)| **amount > 0).map(line).collect();
    Command::Ask(Ask { scope: scope.into(), wait_ns, ttl_ns: LONG, lines, ..Ask::default() })
}

/// A tenant whose claims are all alike and never run out.
struct Tenant {
    scope: String,
    weight: u32,
    asks: Vec<Amount>,
    granted: u64,
}

impl Tenant {
    /// The dominant share, as the paper defines it.
    fn share(&self, capacities: &[Amount]) -> f64 {
        let of = |(asked, all): (&Amount, &Amount)| *asked as f64 * self.granted as f64 / *all as f64;
        self.asks.iter().zip(capacities).map(of).fold(0.0, f64::max) / f64::from(self.weight)
    }
}

#[test]
fn whoever_has_less_goes_first_so_shares_differ_by_one_claim_at_most() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let capacities: Vec<Amount> = KINDS.iter().map(|_| 50 + random.below(200)).collect();
        let mut tenants: Vec<Tenant> = (0..2 + random.below(5))
            .map(|number| Tenant {
                scope: format!("t{number}"),
                weight: 1 + random.below(4) as u32,
                asks: KINDS.iter().map(|_| random.below(5)).collect(),
                granted: 0,
            })
            .filter(|tenant| tenant.asks.iter().any(|&amount| amount > 0))
            .collect();
        let (mut engine, mut plugins) = (Engine::new(), plugins());
        let weights = tenants
            .iter()
            .map(|tenant| Command::SetScope(ScopeSpec { path: tenant.scope.clone(), weight: tenant.weight }));
        // Somebody holds everything until all of them wait.
        let setup = supply(&capacities).into_iter().chain(weights).chain([ask("", &capacities, 0)]);
        engine.step(Time(1), inputs(setup), &mut plugins);
        for tenant in &tenants {
            let all = (0..260).map(|_| ask(&tenant.scope, &tenant.asks, LONG));
            engine.step(Time(1), inputs(all), &mut plugins);
        }
        let fence = Fence(engine.view().claims.fence[0]);
        let mut batch =
            engine.step(Time(2), inputs([Command::Release { claim: ClaimId(1), fence }]), &mut plugins);
        let mut free = capacities.clone();
        loop {
            let granted = batch.events.iter().filter_map(|event| match event.what {
                What::Granted { claim, .. } => Some(claim),
                _ => None,
            });
            for claim in granted.collect::<Vec<_>>() {
                let row = engine.books().claim(claim).expect("it is there");
                let scope = engine.books().scope_path(engine.view().claims.scope[row as usize]).to_string();
                let at = tenants.iter().position(|tenant| tenant.scope == scope).expect("a tenant");
                let share = tenants[at].share(&capacities);
                // Whoever could have gone instead had no smaller share.
                for other in &tenants {
                    let fits = other.asks.iter().zip(&free).all(|(asked, free)| asked <= free);
                    let ahead = other.share(&capacities) + 1e-6 < share;
                    assert!(!(fits && ahead), "seed {seed}: {scope} went before {}", other.scope);
                }
                tenants[at].granted += 1;
                let asks = tenants[at].asks.clone();
                free.iter_mut().zip(asks).for_each(|(free, asked)| *free -= asked);
            }
            if engine.wake_at().is_none_or(|at| at > Time(2)) {
                break;
            }
            batch = engine.step(Time(2), inputs([Command::Tick]), &mut plugins);
        }
        // All who still fit were served: nobody who fits waits on.
        for tenant in &tenants {
            let fits = tenant.asks.iter().zip(&free).all(|(asked, free)| asked <= free);
            assert!(!fits, "seed {seed}: {} fits and waits", tenant.scope);
        }
    }
}

/// What one tenant hears, in a world where the other is called so and may have so much.
fn heard(other: &str, limit: Amount, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let (mut engine, mut plugins) = (Engine::new(), plugins());
    let quota = |scope: &str, limit| {
        let (scope, resource) = (scope.to_owned(), "cpu".to_owned());
        Command::SetQuota(QuotaSpec { scope, resource, limit: Some(limit), ..QuotaSpec::default() })
    };
    // Neither can touch what the other may have.
    let setup = supply(&[1000, 1000, 1000]).into_iter().chain([quota("mine", 20), quota(other, limit)]);
    engine.step(Time(1), inputs(setup), &mut plugins);
    let mut told = Vec::new();
    let mut ids: Vec<(ClaimId, Fence)> = Vec::new();
    for at in 2..200 {
        let theirs = random.below(3);
        let mut bodies: Vec<Command> = (0..theirs).map(|_| ask(other, &[1 + at % 3, 0, 0], 50)).collect();
        let mine = bodies.len() as u32;
        bodies.push(match (random.chance(1, 3), ids.pop()) {
            (true, Some((claim, fence))) => Command::Release { claim, fence },
            (_, put_back) => {
                ids.extend(put_back);
                ask("mine", &[1 + random.below(9), 0, 0], 10)
            }
        });
        let batch = engine.step(Time(at), inputs(bodies), &mut plugins);
        let mut own: Vec<ClaimId> = batch
            .events
            .iter()
            .filter_map(|event| match event.what {
                What::Queued { claim, .. } if event.cause == Some(mine) => Some(claim),
                _ => None,
            })
            .collect();
        own.extend(engine.view().claims.id.iter().map(|&id| ClaimId(id)).filter(|&claim| {
            let row = engine.books().claim(claim);
            row.is_some_and(|row| {
                &**engine.books().scope_path(engine.view().claims.scope[row as usize]) == "mine"
            })
        }));
        for event in &batch.events {
            let line = match &event.what {
                What::Granted { claim, fence, .. } if own.contains(claim) => {
                    ids.push((*claim, *fence));
                    "granted".to_owned()
                }
                What::Waiting { claim, reason, .. } if own.contains(claim) => format!("waits: {reason}"),
                What::Refused(refusal) if event.cause == Some(mine) => {
                    format!("{refusal} {}", refusal.hint)
                }
                _ => continue,
            };
            told.push(format!("{at}: {line}"));
        }
    }
    told
}

#[test]
fn what_one_tenant_hears_does_not_depend_on_anothers_name_or_limit() {
    for seed in 0..50 {
        let (once, again) = (heard("theirs", 30, seed), heard("canary-7f3a", 45, seed));
        assert!(once.len() > 100);
        assert_eq!(once, again, "seed {seed}");
        assert!(again.iter().all(|line| !line.contains("canary")));
    }
}
