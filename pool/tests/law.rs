//! The law: every proposal that a correct allocator cannot make is refused by name, and nothing that
//! is refused moves the books.
use bursar_interface::*;
use bursar_pool::{Books, Digest, Refused, Tight};

/// Two nodes with two cpu pools' worth each, one floating lock; one claim for cpu and a T4.
fn books() -> Books {
    let mut books = Books::new();
    let kind = |name: &str, shape, springs, piece| ResourceSpec {
        name: name.into(),
        shape,
        unit: "pieces".into(),
        min: 1,
        step: 1,
        piece,
        springs,
        driven: false,
    };
    books.set_resource(&kind("cpu", Shape::Capacity, 0, 0));
    books.set_resource(&kind("gpu", Shape::Unit, 0, 1000));
    books.set_resource(&kind("lock", Shape::Unit, 8, 0));
    for (node, label, model) in [("n1", "slow", "P100"), ("n2", "fast", "T4")] {
        books.set_node(&NodeSpec { name: node.into(), labels: vec![label.into()], ..NodeSpec::default() });
        books.set_pool(&pool("cpu", node, "cpu", 4, &[]));
        books.set_pool(&pool("gpu", node, "gpu0", 1000, &[model]));
    }
    books
}

fn pool(resource: &str, node: &str, name: &str, capacity: u64, labels: &[&str]) -> PoolSpec {
    PoolSpec {
        resource: resource.into(),
        node: Some(node.into()),
        name: name.into(),
        capacity,
        labels: labels.iter().map(|&label| label.into()).collect(),
        ..PoolSpec::default()
    }
}

fn line(resource: &str, amount: u64) -> LineAsk {
    LineAsk { resource: resource.into(), amount, ..LineAsk::default() }
}

fn open(books: &mut Books, id: u64, lines: Vec<LineAsk>) -> Row {
    let ask = Ask { lines, ttl_ns: 1, need: vec!["fast".into()], ..Ask::default() };
    books.open_claim(ClaimId(id), "team/a", Some("team"), &ask)
}

/// A lawful proposal for [`claim`], to be spoilt.
fn lawful(books: &Books, claim: Row) -> Vec<Take> {
    let first = books.view().claims.first_line[claim as usize];
    let gpu = books.pool_named(1, "n2/gpu0").unwrap();
    let cpu = books.pool_named(0, "n2/cpu").unwrap();
    vec![
        Take { claim, line: first, pool: cpu, node: 1, amount: 2 },
        Take { claim, line: first + 1, pool: gpu, node: 1, amount: 500 },
    ]
}

fn claim(books: &mut Books) -> Row {
    let mut gpu = line("gpu", 500);
    gpu.models = vec!["T4".into()];
    open(books, 1, vec![line("cpu", 2), gpu])
}

fn digest(books: &Books) -> u64 {
    let mut digest = Digest::default();
    books.digest(&mut digest);
    digest.finish()
}

#[test]
fn a_lawful_proposal_is_placed() {
    let mut books = books();
    let row = claim(&mut books);
    let takes = lawful(&books, row);
    let placement = books.check(&takes).unwrap();
    assert_eq!(placement.node, 1);
    books.grant(row, Fence(7), &placement, Time(9));
    assert!(books.balanced() && books.within_capacity());
    assert_eq!(books.node_name(placement.node), "n2");
    assert_eq!(books.view().pools.free(takes[0].pool), 2);
}

#[test]
fn the_order_of_lines_does_not_matter() {
    let mut books = books();
    let row = claim(&mut books);
    let mut takes = lawful(&books, row);
    takes.reverse();
    assert_eq!(
        books.check(&takes).unwrap().pools[..],
        [lawful(&books, row)[0].pool, lawful(&books, row)[1].pool]
    );
}

#[test]
fn every_unlawful_proposal_is_refused_and_moves_nothing() {
    let mut books = books();
    let row = claim(&mut books);
    let good = lawful(&books, row);
    let before = digest(&books);
    let n1_cpu = books.pool_named(0, "n1/cpu").unwrap();
    let n1_gpu = books.pool_named(1, "n1/gpu0").unwrap();
    let spoilt = |spoil: &dyn Fn(&mut Vec<Take>)| {
        let mut takes = good.clone();
        spoil(&mut takes);
        match books.check(&takes) {
            Err(Refused::Unlawful(why)) => why,
            other => panic!("{takes:?} gave {other:?}"),
        }
    };
    type Spoil<'a> = &'a dyn Fn(&mut Vec<Take>);
    let cases: [(&str, Spoil<'_>); 14] = [
        ("empty", &|takes| takes.clear()),
        ("no waiting claim", &|takes| takes.iter_mut().for_each(|take| take.claim = 99)),
        ("no node", &|takes| takes.iter_mut().for_each(|take| take.node = 77)),
        ("wrong labels", &|takes| takes.iter_mut().for_each(|take| take.node = 0)),
        ("not of one claim", &|takes| takes[1].node = 0),
        ("not of one claim", &|takes| takes[1].line = 99),
        ("taken twice", &|takes| takes[1] = takes[0]),
        ("not all lines", &|takes| takes.truncate(1)),
        ("no pool", &|takes| takes[0].pool = 1234),
        ("not what line", &|takes| takes[0].amount = 1),
        ("not what line", &|takes| takes[0].pool = takes[1].pool),
        ("another node", &|takes| takes[0].pool = n1_cpu),
        ("another model", &|takes| takes[1].pool = n1_gpu),
        ("not of one claim", &|takes| takes[1].claim = 5),
    ];
    for (expected, spoil) in cases {
        let why = spoilt(spoil);
        assert!(why.contains(expected), "{why:?} does not say {expected:?}");
    }
    assert_eq!(digest(&books), before);
}

#[test]
fn no_pool_is_promised_twice() {
    let mut books = books();
    let row = open(&mut books, 2, vec![line("cpu", 3)]);
    let cpu = books.pool_named(0, "n2/cpu").unwrap();
    let first = books.view().claims.first_line[row as usize];
    let takes = [Take { claim: row, line: first, pool: cpu, node: 1, amount: 3 }];
    let placement = books.check(&takes).unwrap();
    books.grant(row, Fence(1), &placement, Time(9));
    let again = open(&mut books, 3, vec![line("cpu", 3)]);
    let first = books.view().claims.first_line[again as usize];
    let takes = [Take { claim: again, line: first, pool: cpu, node: 1, amount: 3 }];
    assert!(matches!(books.check(&takes), Err(Refused::Unlawful(_))));
}

#[test]
fn cordoned_occupied_and_wanted_places_are_kept() {
    let mut books = books();
    let row = claim(&mut books);
    let takes = lawful(&books, row);
    books.set_node(&NodeSpec { name: "n2".into(), labels: vec!["fast".into()], state: NodeState::Draining });
    assert!(matches!(books.check(&takes), Err(Refused::Unlawful(why)) if why.contains("takes no claims")));
    books.set_node(&NodeSpec { name: "n2".into(), labels: vec!["fast".into()], ..NodeSpec::default() });
    let placement = books.check(&takes).unwrap();
    books.grant(row, Fence(1), &placement, Time(9));
    let next = open(&mut books, 2, vec![line("cpu", 1)]);
    let first = books.view().claims.first_line[next as usize];
    let takes = [Take { claim: next, line: first, pool: takes[0].pool, node: 1, amount: 1 }];
    assert!(
        matches!(books.check(&takes), Err(Refused::Unlawful(why)) if why.contains("already has a claim"))
    );
    let mut wanting = line("cpu", 1);
    wanting.pool = Some("n1/cpu".into());
    let ask = Ask { lines: vec![wanting], ttl_ns: 1, ..Ask::default() };
    let other = books.open_claim(ClaimId(4), "solo", None, &ask);
    let first = books.view().claims.first_line[other as usize];
    let takes = [Take { claim: other, line: first, pool: takes[0].pool, node: 1, amount: 1 }];
    assert!(matches!(books.check(&takes), Err(Refused::Unlawful(why)) if why.contains("names another pool")));
}

#[test]
fn a_quota_makes_wait_and_names_itself() {
    let mut books = books();
    books.set_quota(&QuotaSpec {
        scope: "team".into(),
        resource: "cpu".into(),
        limit: Some(1),
        ..QuotaSpec::default()
    });
    let row = claim(&mut books);
    assert_eq!(books.check(&lawful(&books, row)), Err(Refused::Wait(Reason::InsufficientQuota)));
    assert_eq!(books.quota_short(row).unwrap().1, 1);
}

#[test]
fn what_shrinks_under_its_holders_frees_nothing_until_it_is_back() {
    let mut books = books();
    let row = claim(&mut books);
    let takes = lawful(&books, row);
    let placement = books.check(&takes).unwrap();
    books.grant(row, Fence(1), &placement, Time(9));
    books.set_pool(&pool("cpu", "n2", "cpu", 1, &[]));
    assert!(books.balanced() && !books.within_capacity());
    assert_eq!((books.view().pools.free(takes[0].pool), books.view().resources.largest[0]), (0, 4));
    books.set_pool(&pool("cpu", "n1", "cpu", 2, &[]));
    assert_eq!(books.view().resources.largest[0], 2);
    books.quarantine(row);
    books.quarantine(row);
    assert!(books.balanced());
    books.close(row);
    assert!(books.balanced() && books.within_capacity());
    assert_eq!((books.live(), books.view().pools.free(takes[0].pool)), (0, 1));
}

#[test]
fn scopes_go_with_their_last_claim_and_rows_are_used_again() {
    let mut books = books();
    let scopes = books.scopes();
    for round in 1..=50 {
        let row = claim_with(&mut books, round);
        assert_eq!(&**books.scope_path(books.view().claims.scope[row as usize]), "team/a");
        books.close(row);
        assert_eq!(books.scopes(), scopes);
    }
    assert_eq!((books.view().claims.len(), books.view().lines.len(), books.view().pools.len()), (1, 2, 5));
    books.set_scope(&ScopeSpec { path: "team".into(), weight: 3 });
    let row = claim_with(&mut books, 99);
    books.close(row);
    assert_eq!(books.scopes(), scopes + 1);
}

/// A claim that springs a lock, so that pools come and go as well.
fn claim_with(books: &mut Books, id: u64) -> Row {
    if books.pool_named(2, "build").is_none() {
        let next = books.next_pool();
        assert_eq!(books.spring_pool("lock", "build"), Some(next));
    }
    let lock = LineAsk { pool: Some("build".into()), whole: true, ..line("lock", 0) };
    let ask = Ask { lines: vec![line("cpu", 1), lock], ttl_ns: 1, ..Ask::default() };
    books.open_claim(ClaimId(id), "team/a", None, &ask)
}

#[test]
fn labels_have_a_bound_and_names_lead_back() {
    let mut books = books();
    assert_eq!(books.labels(&["fast".into(), "nope".into()]), Err("nope".to_owned()));
    let bits = books.labels(&["fast".into(), "T4".into()]).unwrap();
    assert_eq!(books.label_terms(bits), ["fast", "T4"]);
    let many: Vec<String> = (0..100).map(|n| format!("l{n}")).collect();
    books.set_node(&NodeSpec { name: "n3".into(), labels: many, ..NodeSpec::default() });
    assert_eq!(books.known_terms(), bound::LABELS_MAX);
    assert_eq!((books.node("n3"), books.node("n4"), books.pool_name(NONE)), (Some(2), None, ""));
    assert_eq!(books.set_pool(&pool("ram", "n1", "x", 1, &[])), None);
    assert_eq!(books.set_pool(&pool("cpu", "n9", "x", 1, &[])), None);
    assert_eq!(books.set_quota(&QuotaSpec { resource: "ram".into(), ..QuotaSpec::default() }), None);
    let (row, _) = (claim(&mut books), ());
    assert_eq!(books.placement(ClaimId(1), &[PoolId(77)]), None);
    assert!(books.placement(ClaimId(1), &[PoolId(3), PoolId(4)]).is_some_and(|(r, _)| r == row));
}

#[test]
fn what_grows_is_checked_against_pools_ledgers_and_what_is_kept() {
    let mut books = books();
    let row = claim(&mut books);
    let takes = lawful(&books, row);
    let placement = books.check(&takes).unwrap();
    books.grant(row, Fence(7), &placement, Time(9));
    let to = |amount| [LineSize { line: 0, amount }];
    assert!(books.growth_short(row, &to(4), &[]).is_empty());
    let pool = takes[0].pool;
    assert_eq!(books.growth_short(row, &to(5), &[]), [Tight::Pool { pool, asked: 3, by: 1 }]);
    assert_eq!(
        books.growth_short(row, &to(4), &[(takes[0].pool, 1)]),
        [Tight::Pool { pool, asked: 2, by: 1 }]
    );
    for (scope, limit) in [("team/a", 4), ("team", 3)] {
        let spec = QuotaSpec {
            scope: scope.into(),
            resource: "cpu".into(),
            limit: Some(limit),
            ..QuotaSpec::default()
        };
        books.set_quota(&spec);
    }
    assert!(books.growth_short(row, &to(3), &[]).is_empty());
    assert!(
        matches!(books.growth_short(row, &to(4), &[])[..], [Tight::Ledger { by: 1, .. }]),
        "of the scope above"
    );
    for amount in [3, 1, 2] {
        books.resize(row, to(amount)[0]);
        assert!(books.balanced() && books.within_capacity());
        assert_eq!(books.view().pools.free(takes[0].pool), 4 - amount);
    }
    // No such line: nothing moves.
    let before = digest(&books);
    books.resize(row, LineSize { line: 2, amount: 1 });
    assert_eq!(digest(&books), before);
}

#[test]
fn of_several_sets_of_lines_one_is_left_and_the_rest_is_given_back() {
    let mut books = books();
    let lock = |name: &str| LineAsk { pool: Some(name.into()), ..line("lock", 1) };
    for name in ["a", "b"] {
        books.spring_pool("lock", name);
    }
    let ask = Ask {
        lines: vec![line("cpu", 9), lock("a")],
        alternatives: vec![vec![lock("b")], vec![line("cpu", 1), line("gpu", 5)]],
        ..Ask::default()
    };
    let row = books.open_claim(ClaimId(1), "team/a", None, &ask);
    assert_eq!(
        (books.sets(row), books.all_rows(row).len(), books.view().claims.line_rows(row).len()),
        (3, 5, 2)
    );
    books.select(row, 1);
    let (rows, b) = (books.view().claims.line_rows(row), books.pool_named(2, "b").unwrap());
    assert!(rows.len() == 1 && !books.goes_with_choice(row, b));
    assert!(books.goes_with_choice(row, books.pool_named(2, "a").unwrap()), "nobody else names it");
    let take = Take { claim: row, line: rows.start, pool: b, node: NONE, amount: 1 };
    let placement = books.check(&[take]).unwrap();
    books.choose(row, 1);
    books.grant(row, Fence(7), &placement, Time(9));
    assert!(books.balanced() && books.chosen(row) == Some(1) && books.sets(row) == 1);
    assert_eq!(books.pool_named(2, "a"), None, "it went with its last asker");
    // Their rows are used again before new ones are made.
    let rows = books.view().lines.len();
    open(&mut books, 2, vec![line("cpu", 1), line("gpu", 5)]);
    open(&mut books, 3, vec![line("cpu", 1), line("gpu", 5)]);
    assert_eq!(books.view().lines.len(), rows);
    books.close(row);
    assert!(books.balanced() && books.pool_named(2, "b").is_none());
}
