//! Logs of batch systems through the real engine and the real orders, against plain second implementations.
mod oracle;

use bursar_engine::{Plugins, Seat};
use bursar_interface::{Allocator, Backfill, Discipline, Fault, Qos, Rank, Row, View};
use bursar_sim::{
    Random, batch, rlscheduler,
    trace::swf::{Job, Log},
};
use oracle::{conservative, easy, most_in_use, protocol, published};

fn plugins<Q: Qos + Default + 'static>() -> Plugins {
    Plugins {
        qos: Seat::linked("order", || Box::new(Q::default()) as Box<dyn Qos>),
        allocator: Seat::linked("best-fit", || {
            Box::<bursar_allocator::fit::BestFit>::default() as Box<dyn Allocator>
        }),
    }
}

/// Jobs of (submit, run, processors, estimate), all in seconds.
fn jobs(list: &[(u64, u64, u64, u64)]) -> Vec<Job> {
    let numbered = (1..).zip(list);
    numbered
        .map(|(id, &(submit_s, run_s, processors, request_s))| Job {
            id,
            submit_s,
            run_s,
            ran: true,
            processors,
            request_s,
        })
        .collect()
}

/// A crowded log on 16 processors: bursts, ties, jobs as wide as the machine, estimates far off; where
/// `limits`, nobody outlives his estimate.
fn crowd(seed: u64, count: u64, limits: bool) -> Vec<Job> {
    let mut random = Random::new(seed);
    let mut submit_s = random.below(50);
    (1..=count)
        .map(|id| {
            submit_s += if random.chance(1, 3) { 0 } else { random.below(40) };
            let longest_s = if random.chance(1, 4) { 300 } else { 30 };
            let run_s = 1 + random.below(longest_s);
            let processors = if random.chance(1, 9) { 16 } else { 1 + random.below(8) };
            let least = if limits { run_s } else { 1 };
            let more_s = random.below(100);
            let request_s = least + more_s * random.below(2);
            Job { id, submit_s, run_s, ran: true, processors, request_s }
        })
        .collect()
}

fn protocol_agrees<Q: Qos + Default + 'static>(key: protocol::Key) {
    for seed in 0..60 {
        let jobs = crowd(seed, 80, seed % 2 == 0);
        for backfill in [false, true] {
            let (mut order, mut machine) = (plugins::<Q>(), plugins::<Q>());
            let run =
                rlscheduler::run(&jobs, 16, backfill, &mut order.qos, &mut machine).expect("all of it fits");
            let expected = protocol::slowdown(&jobs, 16, key, backfill);
            assert!((run.bounded_slowdown - expected).abs() < 1e-9, "seed {seed}: {run:?}, not {expected}");
            assert_eq!((run.granted, run.refused, run.faults), (80, 0, 0), "seed {seed}");
        }
    }
}

#[test]
fn first_come_first_served_is_as_in_plain_words() {
    protocol_agrees::<bursar_qos::batch::Fcfs>(protocol::fcfs);
}

#[test]
fn shortest_first_is_as_in_plain_words() {
    protocol_agrees::<bursar_qos::batch::Sjf>(protocol::sjf);
}

#[test]
fn f1_is_as_in_plain_words() {
    protocol_agrees::<bursar_qos::batch::F1>(protocol::f1);
}

#[test]
fn jobs_that_no_machine_could_run_are_named() {
    let mut order = plugins::<bursar_qos::batch::Fcfs>();
    let mut machine = plugins::<bursar_qos::batch::Fcfs>();
    for (job, told) in [
        ((0, 1, 17, 1), "job 1 needs 17 processors, and the machine has 16"),
        ((0, 31 * 86_400, 1, 1), "30 days at most"),
        ((0, 1, 1, 31 * 86_400), "30 days at most"),
        ((1 << 40, 1, 1, 1), "job 1 was submitted at"),
    ] {
        let jobs = jobs(&[job]);
        let why = rlscheduler::run(&jobs, 16, false, &mut order.qos, &mut machine).expect_err(told);
        assert!(why.contains(told), "{why}");
        assert!(batch::run(&jobs, 16, &mut machine).expect_err(told).contains(told));
    }
}

/// An order that can say nothing.
struct Mute;
impl Qos for Mute {
    fn rank(&mut self, _: &View<'_>, _: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
        Err(Fault::new("no word"))
    }
}

#[test]
fn who_says_nothing_is_stood_in_for_and_counted() {
    let jobs = crowd(3, 40, true);
    let (mut order, mut machine) =
        (plugins::<bursar_qos::batch::Fcfs>(), plugins::<bursar_qos::batch::Fcfs>());
    let said = rlscheduler::run(&jobs, 16, false, &mut order.qos, &mut machine).expect("all of it fits");
    let (mut mute, mut machine) =
        (plugins::<bursar_qos::batch::Fcfs>(), plugins::<bursar_qos::batch::Fcfs>());
    mute.qos.active = Box::new(Mute);
    let run = rlscheduler::run(&jobs, 16, false, &mut mute.qos, &mut machine).expect("all of it fits");
    assert_eq!(run.faults, 40, "once for each job");
    assert_eq!(
        rlscheduler::Run { faults: said.faults, ..run },
        said,
        "the order is the one of who stands in"
    );
}

#[test]
fn a_log_that_is_too_short_for_the_sequences_is_named() {
    let log = |count| Log { processors: Some(16), jobs: crowd(1, count, true) };
    let why = rlscheduler::sequences(&log(9873)).expect_err("a job is missing");
    assert_eq!(why, "the log has 9873 jobs, and the protocol takes 9874");
    let whole = log(9874);
    let sequences = rlscheduler::sequences(&whole).expect("as many as it takes");
    for (start, jobs) in rlscheduler::STARTS.into_iter().zip(sequences) {
        assert_eq!((jobs.len(), jobs[0].id), (rlscheduler::JOBS, start as u64 + 1));
    }
}

/// What holds whatever the engine's order is: everybody starts, nobody too early, nothing is given twice.
#[test]
fn a_whole_log_goes_through_the_engine() {
    for seed in 0..20 {
        let jobs = crowd(seed, 300, seed % 2 == 0);
        let run = batch::run(&jobs, 16, &mut plugins::<bursar_qos::batch::Fcfs>()).expect("all of it fits");
        let starts_s: Vec<u64> = run.starts_s.iter().map(|start_s| start_s.expect("started")).collect();
        assert!(jobs.iter().zip(&starts_s).all(|(job, start_s)| job.submit_s <= *start_s), "seed {seed}");
        assert!(most_in_use(&jobs, &starts_s) <= 16 && run.faults == 0, "seed {seed}");
        // Where nobody ever waits, any order is the same.
        assert_eq!(differs_from_easy(&jobs, 16 * 300), None, "seed {seed}");
    }
}

/// First come, first served, where what is freed accrues to the first one from the start, and others go
/// before it if that does not harm it.
#[derive(Default)]
struct Easy(bursar_qos::batch::Fcfs);

impl Qos for Easy {
    fn discipline(&self) -> Discipline {
        Discipline { reserve_after_ns: 0, backfill: Backfill::Harmless }
    }

    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        self.0.rank(view, pending, ranks)
    }
}

/// The first job that the engine starts otherwise than EASY backfilling does; both take the same jobs, in
/// order of arrival.
fn differs_from_easy(jobs: &[Job], processors: u64) -> Option<String> {
    let run = batch::run(jobs, processors, &mut plugins::<Easy>()).expect("all of it fits");
    let easy = easy::starts(jobs, processors);
    let others = jobs.iter().zip(run.starts_s.iter().zip(&easy));
    let differ = others.clone().filter(|(_, (engine, easy))| **engine != Some(**easy)).count();
    let mut others = others.filter(|(_, (engine, easy))| **engine != Some(**easy));
    let (job, (engine, easy)) = others.next()?;
    Some(format!("{differ} of {}: {job:?} starts at {engine:?}, and by EASY at {easy}", jobs.len()))
}

/// Nobody outlives his estimate; on whole logs of real machines some do.
#[test]
fn the_engine_backfills_as_easy_does() {
    for seed in 0..300 {
        assert_eq!(differs_from_easy(&crowd(seed, 60, true), 16), None, "seed {seed}");
    }
    for file in ["lublin-rlscheduler/lublin_256.swf", "sdsc-sp2/SDSC-SP2-1998-4.2-cln.swf.gz"] {
        let Some((jobs, processors)) = published::log(file) else { continue };
        assert_eq!(differs_from_easy(&jobs, processors), None, "{file}");
    }
}

/// Those who wait are served in the order of the qos: one at a time, since each is as wide as the machine.
#[test]
fn the_engine_serves_in_the_order_of_the_qos() {
    // All within the time in which nothing is kept for anybody yet.
    let list = [(0, 5, 16, 5), (1, 6, 16, 6), (1, 4, 16, 4), (1, 3, 16, 7), (1, 2, 16, 2)];
    let starts = |mut plugins: Plugins| {
        let run = batch::run(&jobs(&list), 16, &mut plugins).expect("all of it fits");
        run.starts_s.into_iter().map(|start_s| start_s.expect("started")).collect::<Vec<u64>>()
    };
    assert_eq!(starts(plugins::<bursar_qos::batch::Fcfs>()), [0, 5, 11, 15, 18]);
    assert_eq!(starts(plugins::<bursar_qos::batch::Sjf>()), [0, 11, 7, 17, 5]);
    assert_eq!(starts(plugins::<bursar_qos::batch::F1>()), [0, 11, 7, 17, 5]);
}

#[test]
fn easy_is_as_the_paper_has_it() {
    let starts = |list: &[(u64, u64, u64, u64)]| easy::starts(&jobs(list), 10);
    let (long, head) = ((0, 100, 6, 100), (1, 50, 8, 50));
    // The head's shadow time is 100, with 2 extra nodes then. Who ends by 100 goes at once …
    assert_eq!(starts(&[long, head, (2, 98, 4, 98)]), [0, 100, 2]);
    // … who ends a second later needs no more than the extra nodes …
    assert_eq!(starts(&[long, head, (2, 99, 4, 99)]), [0, 100, 150]);
    assert_eq!(starts(&[long, head, (2, 500, 2, 500)]), [0, 100, 2]);
    // … which are spent once.
    assert_eq!(starts(&[long, head, (2, 500, 2, 500), (3, 500, 2, 500)]), [0, 100, 2, 150]);
    // The estimate counts, not what it turns out to be; the end that was too early lets the head in sooner.
    assert_eq!(starts(&[long, head, (2, 5, 4, 99)]), [0, 100, 150]);
    assert_eq!(starts(&[(0, 40, 6, 100), head, (2, 98, 4, 98)]), [0, 100, 2]);
    assert_eq!(starts(&[(0, 40, 6, 100), head, (2, 30, 4, 30)]), [0, 40, 2]);
    // Only the head is promised anything: the third is delayed by the fourth, which uses extra nodes.
    assert_eq!(starts(&[long, head, (2, 10, 10, 10), (3, 500, 2, 500)]), [0, 100, 503, 3]);
    // All that end by the shadow time count: 2 of 10 stay free beside the head.
    assert_eq!(starts(&[(0, 100, 3, 100), (0, 100, 4, 100), (1, 9, 6, 9), (2, 500, 3, 500)]), [0, 0, 100, 2]);
    // Who outlives his estimate is expected to end now: nobody ends by then, and extra nodes are left.
    assert_eq!(starts(&[(0, 100, 6, 10), (20, 9, 8, 9), (30, 5, 3, 5), (40, 5, 2, 5)]), [0, 100, 109, 40]);
    assert_eq!(starts(&[(0, 100, 6, 10), (0, 100, 3, 20), (30, 9, 7, 9), (40, 5, 1, 5)]), [0, 0, 100, 40]);
}

#[test]
fn conservative_is_as_the_paper_has_it() {
    let starts = |list: &[(u64, u64, u64, u64)]| conservative::starts(&jobs(list), 10);
    let (long, head) = ((0, 100, 6, 100), (1, 50, 8, 50));
    assert_eq!(starts(&[long, head, (2, 98, 4, 98)]), [0, 100, 2]);
    assert_eq!(starts(&[long, head, (2, 99, 4, 99)]), [0, 100, 150]);
    assert_eq!(starts(&[long, head, (2, 500, 2, 500)]), [0, 100, 2]);
    // Everybody is promised: the fourth may not delay the third, which EASY lets it.
    assert_eq!(starts(&[long, head, (2, 10, 10, 10), (3, 500, 2, 500)]), [0, 100, 150, 160]);
    assert_eq!(starts(&[long, head, (2, 10, 10, 10), (3, 147, 2, 147)]), [0, 100, 150, 3]);
    // What ends early moves the others up, each in turn, and the last one keeps what it had.
    assert_eq!(starts(&[(0, 40, 6, 100), head, (2, 20, 4, 20), (3, 10, 10, 10)]), [0, 40, 2, 90]);
    assert_eq!(starts(&[(0, 40, 10, 100), (1, 50, 8, 50), (2, 30, 4, 30)]), [0, 40, 90]);
}

/// With one processor, exact estimates and nothing to overtake with, both are first come, first served.
#[test]
fn backfilling_has_nothing_to_do_where_everybody_is_as_wide_as_the_machine() {
    for seed in 0..20 {
        let mut jobs = crowd(seed, 60, true);
        jobs.iter_mut().for_each(|job| job.processors = 16);
        let mut end_s = 0;
        let plain: Vec<u64> = jobs
            .iter()
            .map(|job| {
                let start_s = end_s.max(job.submit_s);
                end_s = start_s + job.run_s;
                start_s
            })
            .collect();
        assert_eq!(easy::starts(&jobs, 16), plain);
        assert_eq!(conservative::starts(&jobs, 16), plain);
    }
}

/// Nothing is given twice, and with exact estimates conservative backfilling keeps its first promise to
/// everybody, which is what its name says: nobody is later than if he were the last to come.
#[test]
fn backfilled_logs_are_lawful() {
    for seed in 0..20 {
        let jobs = crowd(seed, 120, true);
        for starts_s in [easy::starts(&jobs, 16), conservative::starts(&jobs, 16)] {
            assert!(jobs.iter().zip(&starts_s).all(|(job, start_s)| job.submit_s <= *start_s));
            assert!(most_in_use(&jobs, &starts_s) <= 16, "seed {seed}");
        }
        let exact: Vec<Job> = jobs.iter().map(|job| Job { request_s: job.run_s, ..*job }).collect();
        let all = conservative::starts(&exact, 16);
        for last in (1..=exact.len()).step_by(13) {
            assert_eq!(
                conservative::starts(&exact[..last], 16),
                all[..last],
                "seed {seed}: a promise broken"
            );
        }
        let wild = crowd(seed, 200, false);
        assert!(most_in_use(&wild, &easy::starts(&wild, 16)) <= 16);
    }
}

/// The oracle of EASY backfilling on whole logs; the figures are those of a third implementation, in another
/// language, written for nothing else.
#[test]
fn easy_on_published_logs_comes_out_as_elsewhere() {
    for (file, slowdown, wait_s) in [
        ("lublin-rlscheduler/lublin_256.swf", "590.05", "97155.99"),
        ("sdsc-sp2/SDSC-SP2-1998-4.2-cln.swf.gz", "92.63", "21183.67"),
    ] {
        let Some((jobs, processors)) = published::log(file) else { continue };
        let starts_s = easy::starts(&jobs, processors);
        assert!(most_in_use(&jobs, &starts_s) <= processors, "{file}");
        let waits = || jobs.iter().zip(&starts_s).map(|(job, start_s)| (job, start_s - job.submit_s));
        let mean = |sum: f64| format!("{:.2}", sum / jobs.len() as f64);
        let slowed = waits().map(|(job, wait_s)| rlscheduler::bounded_slowdown(job, wait_s)).sum();
        assert_eq!(mean(slowed), slowdown, "{file}");
        assert_eq!(mean(waits().map(|(_, wait_s)| wait_s as f64).sum()), wait_s, "{file}");
    }
}
