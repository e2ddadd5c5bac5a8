//! One binary, three homes: an allocator, a qos, a driver, a metric and a resource do the same in each.
use crate::{
    at_home,
    place::{books, place},
};
use bursar_conformance as kit;
use bursar_interface::{
    Backfill, ClaimId, Discipline, Fence, Home, Lease, LeaseLine, Offer, Rank, Role, Row, Sample, Sight, Time,
};
use bursar_loader::State;
use std::{cell::RefCell, net::TcpListener};

const HOMES: [Home; 3] = [Home::Linked, Home::Inline, Home::Child];

#[test]
fn allocators_place_the_same_wherever_they_run() {
    let (books, queue) = books();
    for id in ["first-fit", "best-fit", "worst-fit"] {
        let placed = HOMES.map(|home| {
            let (mut loader, _scratch) = at_home(home);
            let mut seated = loader.allocator(id, "").expect("there");
            assert_eq!((seated.decider.plugin.as_str(), seated.decider.home), (id, home));
            place(&mut *seated.plugin, &books, &queue).expect("a plan")
        });
        assert_eq!(placed[0].len(), 4, "{id}");
        assert!(placed.iter().all(|takes| *takes == placed[0]), "{id}: {placed:?}");
    }
}

#[test]
fn a_plugin_in_a_child_sees_what_changed_between_two_calls() {
    let (mut books, queue) = books();
    let (mut loader, _scratch) = at_home(Home::Child);
    let mut child = loader.allocator("first-fit", "").expect("there").plugin;
    let before = place(&mut *child, &books, &queue[..1]).expect("a plan");
    let placement = books.check(&before).expect("lawful");
    books.begin_change();
    books.grant(queue[0], Fence(1), &placement, Time::NEVER);
    // The small node has 1.5 cores left: the claim for 2 goes to the large one.
    let after = place(&mut *child, &books, &queue[3..]).expect("a plan");
    assert_eq!((before[0].node, after[0].node), (0, 1));
}

#[test]
fn qos_ranks_the_same_wherever_it_runs() {
    let (books, queue) = books();
    let ranked = HOMES.map(|home| {
        let (mut loader, _scratch) = at_home(home);
        let mut ranks = vec![Rank::default(); queue.len()];
        loader
            .qos("class", "")
            .expect("there")
            .plugin
            .rank(&books.view(), &queue, &mut ranks)
            .expect("ranks");
        ranks
    });
    assert!(ranked.iter().all(|ranks| *ranks == ranked[0]));
}

#[test]
fn a_qos_says_once_how_the_line_moves_wherever_it_runs() {
    for home in HOMES {
        let (mut loader, _scratch) = at_home(home);
        let plain = loader.qos("class", "").expect("there").plugin.discipline();
        assert_eq!(plain, Discipline::default(), "{home:?}");
    }
    for home in [Home::Inline, Home::Child] {
        let (mut loader, _scratch) = crate::badly_behaved(home);
        let strict = loader.qos("chaos-strict", r#"{"reserve-after-ns":7}"#).expect("there");
        let said = Discipline { reserve_after_ns: 7, backfill: Backfill::Nothing };
        assert_eq!((strict.decider.home, strict.plugin.discipline()), (home, said));
        let forever = format!(r#"{{"reserve-after-ns":{}}}"#, u64::MAX);
        let reject = loader.qos("chaos-strict", &forever).err().expect("too long").to_string();
        assert!(reject.contains("chaos-strict") && reject.contains("(30 days)"), "{home:?}: {reject}");
    }
}

#[test]
fn sharings_offer_the_same_wherever_they_run() {
    let (books, _) = books();
    let view = books.view();
    let pools: Vec<Row> = (0..view.pools.len() as Row).collect();
    for (id, config) in [
        ("share-exclusive", ""),
        ("share-overcommit", r#"{"percent":250}"#),
        ("share-timeslice", r#"{"holders":3,"quantum-ms":20}"#),
    ] {
        let offered = HOMES.map(|home| {
            let (mut loader, _scratch) = at_home(home);
            let mut seated = loader.sharing(id, config).expect("there");
            assert_eq!((seated.decider.plugin.as_str(), seated.decider.home), (id, home));
            let plain = |&pool: &Row| Offer::plain(view.pools.capacity[pool as usize]);
            let mut offers: Vec<Offer> = pools.iter().map(plain).collect();
            seated.plugin.offer(&view, &pools, &mut offers).expect("offers");
            offers
        });
        assert!(offered.iter().all(|offers| *offers == offered[0]), "{id}: {offered:?}");
        let plain = |&pool: &Row| Offer::plain(view.pools.capacity[pool as usize]);
        assert!(
            offered[0].iter().zip(&pools).all(|(offer, pool)| *offer != plain(pool)),
            "{id}: {offered:?}"
        );
    }
}

#[test]
fn analyzers_find_the_same_wherever_they_run() {
    let (books, _) = books();
    let samples =
        [Sample { name: "host_cpu_pressure_some_avg10_percent".into(), at: Time(1), value: Some(75.0) }];
    let found = HOMES.map(|home| {
        let (mut loader, _scratch) = at_home(home);
        let seated = loader.analyzer("detect-pressure", r#"{"looks":1}"#).expect("there");
        assert_eq!(seated.decider.home, home);
        let (mut analyzer, mut findings) = (seated.plugin, Vec::new());
        let sight = Sight { view: books.view(), samples: &samples, flows: &[], ties: &[] };
        analyzer.report(&sight, &mut findings).expect("findings");
        findings
    });
    assert_eq!((found[0].len(), found[0][0].kind.as_str()), (1, "cpu-pressure"));
    assert!(found.iter().all(|findings| *findings == found[0]), "{found:?}");
}

#[test]
fn the_kit_does_not_care_where_a_strategy_runs() {
    for home in [Home::Inline, Home::Child] {
        let (loader, _scratch) = at_home(home);
        let loader = RefCell::new(loader);
        let make = || loader.borrow_mut().allocator("best-fit", "").expect("there").plugin;
        assert_eq!(kit::allocator(&make), Ok(()), "{home:?}");
        let make = || loader.borrow_mut().qos("class", "").expect("there").plugin;
        assert_eq!(kit::qos(&make), Ok(()), "{home:?}");
        let make = || loader.borrow_mut().sharing("share-overcommit", "").expect("there").plugin;
        assert_eq!(kit::sharing(&make), Ok(()), "{home:?}");
        let make = || loader.borrow_mut().analyzer("detect-queueing", "").expect("there").plugin;
        assert_eq!(kit::analyzer(&make), Ok(()), "{home:?}");
    }
}

#[test]
fn drivers_hold_and_prove_wherever_they_run() {
    for home in HOMES {
        let (mut loader, _scratch) = at_home(home);
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port();
        let mut seated =
            loader.driver("port", &format!(r#"{{"first":{port},"last":{port}}}"#)).expect("there");
        assert_eq!(seated.decider.home, home);
        let driver = &mut seated.plugin;
        assert_eq!(driver.discover().expect("a look")[0].pool, port.to_string(), "{home:?}");
        let line = LeaseLine { resource: "port".into(), pool: port.to_string(), amount: 1 };
        let lease = Lease { claim: ClaimId(1), fence: Fence(1), lines: vec![line], owner: None };
        driver.enforce(&lease).expect("free");
        let holder = TcpListener::bind(("127.0.0.1", port)).expect("over the hold");
        assert!(driver.release(&lease).expect_err("in use").message.contains("still in use"), "{home:?}");
        drop(holder);
        assert_eq!(driver.release(&lease).expect("free").evidence, format!("port {port} bindable"));
        assert_eq!(driver.reclaim("x", 5), Ok(0));
    }
}

#[test]
fn metrics_measure_wherever_they_run() {
    for home in HOMES {
        let (mut loader, _scratch) = at_home(home);
        let mut metric = loader.metric("host", "").expect("there").plugin;
        assert_eq!(kit::metric(&mut *metric), Ok(()), "{home:?}");
    }
}

#[test]
fn resources_say_the_same_wherever_they_run() {
    for id in ["cpu", "memory", "pids", "gpu", "lock", "port"] {
        let specs = HOMES.map(|home| at_home(home).0.resource(id, "").expect("there").plugin);
        assert!(specs.iter().all(|spec| *spec == specs[0]) && specs[0].name == id);
    }
}

#[test]
fn a_config_that_is_wrong_is_refused_by_its_key() {
    for home in HOMES {
        let (mut loader, _scratch) = at_home(home);
        let reject = loader.driver("port", r#"{"frist":1}"#).err().expect("a slip").to_string();
        assert!(reject.contains("frist"), "{home:?}: {reject}");
        let reject = loader.driver("port", "no json").err().expect("no json").to_string();
        assert!(reject.contains("config"), "{home:?}: {reject}");
        // The kind of this name has no config; its driver has.
        loader.resource("port", r#"{"first":1}"#).expect("it is for another role");
    }
    for home in [Home::Inline, Home::Child] {
        let (mut loader, _scratch) = crate::badly_behaved(home);
        let reject =
            loader.allocator("chaos-good", r#"{"wieght":1}"#).err().expect("it takes none").to_string();
        assert!(reject.contains(r#"unknown key "wieght"; chaos-good takes no config"#), "{home:?}: {reject}");
    }
}

#[test]
fn listings_tell_the_home_of_each() {
    let (mut loader, _scratch) = at_home(Home::Inline);
    loader.allocator("best-fit", "").expect("there");
    let listed = loader.listings(|role, decider| {
        role == Role::Allocator && decider.home == Home::Inline && decider.plugin == "best-fit"
    });
    let of = |id: &str, home| {
        listed.iter().find(|listing| listing.id == id && listing.home == home).expect("listed")
    };
    assert_eq!(of("best-fit", Home::Inline).state, State::Active);
    assert_eq!(of("best-fit", Home::Linked).state, State::Ready);
    assert_eq!(of("worst-fit", Home::Inline).library, "alloc-fit");
    assert_eq!(loader.seat_of(Role::Allocator, "best-fit"), Some(Home::Inline));
    assert_eq!(loader.seat_of(Role::Allocator, "worst-fit"), None);
    let unknown = loader.allocator("quickest-fit", "").err().expect("unknown").to_string();
    assert!(unknown.contains("best-fit, first-fit, talks-here, worst-fit"), "{unknown}");
}

#[test]
fn a_library_is_opened_from_a_private_copy() {
    let folder = tempfile::TempDir::new().expect("a folder");
    crate::copy_libraries(&bursar_conformance::first_party(), folder.path());
    let (mut loader, _scratch) = crate::loader(&[folder.path().into()], Default::default());
    let mut seated = loader.allocator("best-fit", "").expect("there");
    // What is installed afterwards does not change what runs.
    std::fs::write(folder.path().join("liballoc_fit.so"), "gone").expect("written");
    let (books, queue) = books();
    assert_eq!(place(&mut *seated.plugin, &books, &queue).expect("a plan").len(), 4);
    loader.scan();
    assert!(loader.listings(|_, _| false).iter().any(|listing| listing.state == State::Refused));
}

#[test]
fn a_library_that_changed_since_it_was_looked_at_is_not_opened() {
    let folder = tempfile::TempDir::new().expect("a folder");
    crate::copy_libraries(&bursar_conformance::first_party(), folder.path());
    let (mut loader, _scratch) = crate::loader(&[folder.path().into()], Default::default());
    let other = std::fs::read(folder.path().join("libqos_class.so")).expect("a library");
    std::fs::write(folder.path().join("liballoc_fit.so"), other).expect("written");
    let seated = loader.allocator("best-fit", "").expect("the linked one");
    assert_eq!(seated.decider.home, Home::Linked);
    let listed = loader.listings(|_, _| true);
    let told = listed
        .iter()
        .find(|listing| listing.id == "best-fit" && listing.home == Home::Child)
        .expect("listed");
    assert!(told.reason.as_ref().is_some_and(|why| why.contains("changed")), "{told:?}");
}
