//! Kueue's schedule in virtual time: everybody ends, nobody takes by turns, and the fleet is used.
use bursar_engine::{Plugins, Seat};
use bursar_interface::{Allocator, Qos};
use bursar_sim::kueue::{Hall, Schedule};

fn plugins() -> Plugins {
    Plugins {
        allocator: Seat::linked("best-fit", || {
            Box::<bursar_allocator::fit::BestFit>::default() as Box<dyn Allocator>
        }),
        qos: Seat::linked("class", || Box::<bursar_qos::class::ByClass>::default() as Box<dyn Qos>),
    }
}

#[test]
fn the_baseline_ends_soon_and_uses_what_there_is() {
    let schedule = Schedule::baseline();
    let mut plugins = plugins();
    let run = Hall::new(&schedule, &mut plugins).live(&mut plugins);
    let all = u128::from(schedule.cpus() * 1000) * u128::from(run.makespan_ns);
    eprintln!("{run:?}");
    assert_eq!((run.finished, run.loops, run.faults), (schedule.jobs(), 0, 0));
    assert!(run.makespan_ns <= 80_000_000_000, "{run:?}");
    assert!(run.held * 100 >= all * 80, "{run:?}");
}

#[test]
fn the_schedules_are_as_they_were_published() {
    let (baseline, large) = (Schedule::baseline(), Schedule::large());
    assert_eq!((baseline.jobs(), baseline.cpus(), large.jobs(), large.cpus()), (15_000, 600, 50_000, 20_000));
    // Nobody can be done before the work is.
    assert_eq!(baseline.work_ms() / baseline.cpus(), 66_000);
    let mut plugins = plugins();
    let hall = Hall::new(&baseline, &mut plugins);
    assert_eq!((hall.run().finished, hall.run().faults), (0, 0));
}
