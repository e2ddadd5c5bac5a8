//! The openb trace and its experiment, on a fleet small enough to be reckoned by hand.
use bursar_engine::{Plugins, Seat};
use bursar_interface::{Allocator, Qos};
use bursar_sim::{
    fgd::Experiment,
    trace::openb::{Node, Pod, nodes, pods},
};

const NODES: &str = "sn,cpu_milli,memory_mib,gpu,model\n\
    n1,8000,1024,1,T4\n\
    n2,8000,1024,1,T4\n";
/// Two halves and a whole fill both devices; the last wants a model that nobody has.
const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n\
    half,1000,16,1,500,\n\
    other,1000,16,1,500,T4|V100\n\
    whole,1000,16,1,1000,T4\n\
    elsewhere,1000,16,1,1000,V100\n";

fn plugins<A: Allocator + Default + 'static>() -> Plugins {
    Plugins {
        qos: Seat::linked("class", || Box::<bursar_qos::class::ByClass>::default() as Box<dyn Qos>),
        allocator: Seat::linked("a", || Box::<A>::default() as Box<dyn Allocator>),
    }
}

fn fleet() -> (Vec<Node>, Vec<Pod>) {
    (nodes(NODES).expect("nodes"), pods(PODS).expect("pods"))
}

#[test]
fn whoever_fills_devices_up_places_what_fits_and_nothing_else() {
    let (nodes, pods) = fleet();
    for seed in 1..=20 {
        let mut plugins = plugins::<bursar_allocator::fit::BestFit>();
        let experiment = Experiment::new(&nodes, &pods, seed, &mut plugins);
        // 2000 thousandths are there and 2600 are asked for: whoever comes last is needed for that.
        assert_eq!(experiment.arrivals(), 4, "seed {seed}");
        let run = experiment.run(&mut plugins);
        assert_eq!((run.arrived, run.placed, run.faults), (4, 3, 0), "seed {seed}");
        assert!(run.allocated.iter().flatten().all(|percent| *percent <= 100.0), "seed {seed}: {run:?}");
        assert_eq!(run.allocated.len(), 131);
    }
}

#[test]
fn whoever_spreads_leaves_halves_that_a_whole_one_cannot_use() {
    let (nodes, pods) = fleet();
    let placed = (1..=20).map(|seed| {
        let mut plugins = plugins::<bursar_allocator::fit::WorstFit>();
        Experiment::new(&nodes, &pods, seed, &mut plugins).run(&mut plugins).placed
    });
    let placed: Vec<u64> = placed.collect();
    assert!(placed.contains(&2) && placed.contains(&3), "by who comes first: {placed:?}");
}

#[test]
fn one_seed_is_one_order() {
    let (nodes, pods) = fleet();
    let run = |seed| {
        let mut plugins = plugins::<bursar_allocator::fit::WorstFit>();
        Experiment::new(&nodes, &pods, seed, &mut plugins).run(&mut plugins)
    };
    assert_eq!(run(7), run(7));
    assert!((1..20).any(|seed| run(seed) != run(7)));
}

#[test]
fn what_cannot_be_read_is_named() {
    let wrong = |text: &str| pods(text).expect_err("it is wrong").to_string();
    assert_eq!(wrong("name,cpu_milli\n"), "line 1: there is no column memory_mib");
    let head = "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n";
    assert_eq!(wrong(&format!("{head}a,x,1,1,1\n")), "line 2: cpu_milli is \"x\", not a whole number");
    assert_eq!(
        wrong(&format!("{head}a,1,18446744073709551615,1,1\n")),
        "line 2: memory_mib is 18446744073709551615, more than there can be"
    );
    assert!(wrong(&format!("{head}a,1\n")).contains("line: 2"), "{}", wrong(&format!("{head}a,1\n")));
    assert!(nodes("sn,cpu_milli,memory_mib\n").expect_err("no devices").to_string().contains("gpu"));
}
