//! The experiment of "Beware of Fragmentation" (Weng et al., USENIX ATC'23), through the real engine:
//! pods arrive until they ask for 1.3 times the fleet's devices, none leaves, and one that fits
//! nowhere is refused.
use crate::{
    Random,
    supply::{kinds, node, told},
    trace::openb::{Node, Pod},
};
use bursar_engine::{Engine, Plugins};
use bursar_interface::{Ask, Batch, Command, LineAsk, Time, What};

/// Arrived demand in percent of the fleet at which a run ends.
const LAST_PERCENT: u64 = 130;

/// How one seed went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Pods that arrived.
    pub arrived: u64,
    /// Pods that were placed.
    pub placed: u64,
    /// Faults of the strategies.
    pub faults: u64,
    /// By percent of arrived demand, 0 to 130: the mean of allocated devices in percent of the fleet
    /// over the pods that arrived at that percent; `None` where none did.
    pub allocated: Vec<Option<f64>>,
}

/// One seed's world: the fleet is set up, the arrivals are drawn.
pub struct Experiment {
    engine: Engine,
    arrivals: Vec<Pod>,
    fleet_milli: u64,
    at: u64,
}

impl Experiment {
    /// Sets the fleet up in this seed's node order, and draws the arrivals: the whole list in random
    /// order, then pods from it with replacement until 1.3 times the fleet is asked for.
    pub fn new(nodes: &[Node], pods: &[Pod], seed: u64, plugins: &mut Plugins) -> Experiment {
        let mut random = Random::new(seed);
        let mut nodes: Vec<&Node> = nodes.iter().collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        random.shuffle(&mut nodes);
        let mut pods: Vec<&Pod> = pods.iter().collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        random.shuffle(&mut pods);
        let fleet_milli = nodes.iter().map(|node| node.gpus * 1000).sum();
        let mut engine = Engine::new();
        let fleet = nodes.iter().flat_map(|n| node(&n.name, n.cpu_milli, n.memory, n.gpus, &n.model));
        let start = Command::Start { epoch: 1, boot: "simulated".into(), boottime_ns: 0 };
        engine.step(Time(1), kinds().into_iter().chain(fleet).chain([start]).map(told).collect(), plugins);
        let arrivals = draw(&pods, fleet_milli, &mut random);
        Experiment { engine, arrivals, fleet_milli, at: 1 }
    }

    /// How many pods arrive in all.
    pub fn arrivals(&self) -> usize {
        self.arrivals.len()
    }

    /// Lets all pods arrive, one by one.
    pub fn run(mut self, plugins: &mut Plugins) -> Run {
        let mut run = Run::default();
        let (mut asked, mut given) = (0, 0);
        let mut sums = vec![(0.0, 0u64); LAST_PERCENT as usize + 1];
        for pod in std::mem::take(&mut self.arrivals) {
            let batch = self.arrive(&pod, plugins);
            run.arrived += 1;
            asked += pod.gpu_total();
            run.faults +=
                batch.events.iter().filter(|event| matches!(event.what, What::PluginFault { .. })).count()
                    as u64;
            if batch.events.iter().any(|event| matches!(event.what, What::Granted { .. })) {
                run.placed += 1;
                given += pod.gpu_total();
            }
            let percent = (asked as f64 * 100.0 / self.fleet_milli as f64).round() as usize;
            if let Some((sum, count)) = sums.get_mut(percent) {
                *sum += given as f64 * 100.0 / self.fleet_milli as f64;
                *count += 1;
            }
        }
        run.allocated =
            sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect();
        run
    }

    fn arrive(&mut self, pod: &Pod, plugins: &mut Plugins) -> Batch {
        self.at += 1;
        self.engine.step(Time(self.at), vec![told(Command::Ask(ask(pod)))], plugins)
    }
}

fn draw(pods: &[&Pod], fleet_milli: u64, random: &mut Random) -> Vec<Pod> {
    let mut asked = 0;
    let mut arrivals = Vec::new();
    let mut listed = pods.iter();
    while asked * 100 < fleet_milli * LAST_PERCENT {
        let pod = *listed.next().unwrap_or_else(|| random.pick(pods));
        asked += pod.gpu_total();
        arrivals.push(pod.clone());
    }
    arrivals
}

fn ask(pod: &Pod) -> Ask {
    let line = |resource: &str, amount| LineAsk { resource: resource.into(), amount, ..LineAsk::default() };
    let gpu = LineAsk { models: pod.models.clone(), ..line("gpu", pod.gpu_total()) };
    let lines = [line("cpu", pod.cpu_milli), line("memory", pod.memory), gpu];
    let lines = lines.into_iter().filter(|line| line.amount > 0).collect();
    Ask { ttl_ns: bursar_interface::bound::TTL_NS_MAX, lines, ..Ask::default() }
}
