//! What an operator changes of a pool or a quota: what is not named stays.
use bursar_interface::{PoolChange, PoolSpec, QuotaChange, QuotaSpec, Refill};

fn bucket() -> Refill {
    Refill { period_ns: 60, burst: 20, ..Refill::default() }
}

#[test]
fn a_pool_keeps_what_is_not_named() {
    let pool = PoolSpec { name: "acct".into(), capacity: 100, refill: bucket(), ..PoolSpec::default() };
    assert_eq!(PoolChange::default().onto(pool.clone()), pool);
    let more = PoolChange { capacity: Some(200), ..PoolChange::default() }.onto(pool.clone());
    assert_eq!((more.capacity, more.refill.burst, more.refill.period_ns), (200, 20, 60));
    // A bucket as large as all that comes in a period is what a bucket is when nobody says.
    let whole = PoolChange { burst: Some(100), ..PoolChange::default() }.onto(pool.clone());
    assert_eq!(whole.refill.burst, 0);
    let slower = PoolChange { period_ns: Some(120), ..PoolChange::default() }.onto(pool);
    assert_eq!((slower.refill.period_ns, slower.refill.burst), (120, 20));
}

#[test]
fn a_quota_without_a_limit_or_a_guarantee_has_nothing_that_comes_back() {
    let quota = QuotaSpec {
        guaranteed: 3,
        limit: Some(50),
        refill: bucket(),
        lend_limit: Some(1),
        ..QuotaSpec::default()
    };
    assert_eq!(QuotaChange::default().onto(quota.clone()), quota);
    let open = QuotaChange { limit: Some(None), ..QuotaChange::default() };
    let assured = open.onto(quota.clone());
    assert_eq!((assured.limit, assured.refill), (None, bucket()));
    let free = open.onto(QuotaSpec { guaranteed: 0, ..quota.clone() });
    assert_eq!((free.limit, free.refill), (None, Refill::default()));
    let change = QuotaChange {
        guaranteed: Some(5),
        borrow_limit: Some(Some(7)),
        lend_limit: Some(None),
        burst: Some(9),
        ..QuotaChange::default()
    };
    let changed = change.onto(quota);
    assert_eq!((changed.guaranteed, changed.borrow_limit, changed.lend_limit), (5, Some(7), None));
    assert_eq!((changed.limit, changed.refill.burst), (Some(50), 9));
}
