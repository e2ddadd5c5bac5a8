//! `bursar simulate --format agentcgroup`: how many agents finish on a machine, replayed from what real ones used of
//! memory each second: without a manager, with a fixed cap for each, and by Bursar's burstable admission, which is
//! the real engine and what it learns of the runs.
use super::{plugins, read, scratch, unreadable};
use crate::{
    args::{Output, Simulate},
    commands::{
        Context,
        outcome::{Failed, Outcome},
        show,
    },
};
use bursar_engine::{Engine, Plugins};
use bursar_interface::{
    Ask, ClaimId, Class, Command, Fence, Input, LineAsk, PoolSpec, Principal, ResourceSpec, Shape, Time,
    What, bound::TTL_NS_MAX,
};
use bursar_monitor::{Multiplex, Share};
use bursar_sim::Random;
use serde::Serialize;
use std::{collections::BTreeMap, rc::Rc};

const SECOND_NS: u64 = 1_000_000_000;
/// Of all memory, in thousandths: above the first nobody is let in, above the second the youngest is ended.
const PRESSURE: (u64, u64) = (800, 950);
/// How often a newcomer's chances are looked at again, in seconds.
const LOOK_S: u64 = 1;

/// One run of an agent: bytes, second by second.
type Profile = Rc<Vec<u64>>;

/// Who decides who runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Everybody at once, and the kernel kills.
    Unmanaged,
    /// As many as fit with a cap that 99 of 100 runs stay below.
    Capped,
    /// Asked for with the same cap, and admitted by what all of them really use.
    Burstable,
}

/// What one way came to.
#[derive(Clone, Debug, Default, Serialize)]
struct Told {
    way: &'static str,
    memory_gb: f64,
    finished: u64,
    killed: u64,
    finished_per_gb_hour: f64,
    /// Seconds of work that were lost with those that were killed, of all seconds.
    lost_percent: f64,
    /// Memory that was used, of all there was, on average.
    used_percent: f64,
    /// What was promised for what was used.
    promised_over_used: Option<f64>,
    /// The most agents at once.
    agents_max: usize,
}

#[derive(Debug, Serialize)]
struct Report {
    trace: String,
    seed: u64,
    runs: usize,
    slots: usize,
    hours: u64,
    cap_bytes: u64,
    ways: Vec<Told>,
    /// With how much less memory burstable admission finishes as many as fixed caps do.
    less_memory_percent: Option<f64>,
}

/// An agent at work.
struct Agent {
    profile: Profile,
    since_s: u64,
    lease: Option<(ClaimId, Fence)>,
    used: u64,
    sum: u128,
    squares: u128,
    peak: u64,
}

impl Agent {
    fn new(profile: Profile, since_s: u64, lease: Option<(ClaimId, Fence)>) -> Agent {
        Agent { profile, since_s, lease, used: 0, sum: 0, squares: 0, peak: 0 }
    }

    fn look(&mut self, now_s: u64) {
        let age = (now_s - self.since_s) as usize;
        self.used = self.profile[age.min(self.profile.len() - 1)];
        self.sum += u128::from(self.used);
        self.squares += u128::from(self.used) * u128::from(self.used);
        self.peak = self.peak.max(self.used);
    }

    fn ends(&self, now_s: u64) -> bool {
        (now_s - self.since_s) as usize >= self.profile.len()
    }

    /// What is known of it; its mean only once it has lived for a while.
    fn share(&self, asked: u64, now_s: u64, whole: bool) -> Share {
        let seconds = u128::from(now_s - self.since_s).max(1);
        let mean = self.sum / seconds;
        let deviation = (self.squares / seconds).saturating_sub(mean * mean).isqrt() as u64;
        let known = whole || seconds >= 20;
        Share { asked, mean: known.then_some(mean as u64), deviation, peak: self.peak }
    }
}

/// One machine, second by second.
struct Machine<'a> {
    way: Way,
    memory: u64,
    slots: usize,
    cap: u64,
    profiles: &'a [Profile],
    random: Random,
    engine: Engine,
    plugins: Plugins,
    multiplex: Multiplex,
    agents: Vec<Agent>,
    waiting: BTreeMap<ClaimId, Profile>,
    offered: u64,
    told: Told,
    used_sum: u128,
    promised_sum: u128,
    lost_s: u64,
    worked_s: u64,
}

impl<'a> Machine<'a> {
    fn new(
        way: Way,
        memory: u64,
        slots: usize,
        cap: u64,
        profiles: &'a [Profile],
        seed: u64,
        plugins: Plugins,
    ) -> Machine<'a> {
        let mut machine = Machine {
            way,
            memory,
            slots,
            cap,
            profiles,
            random: Random::new(seed),
            engine: Engine::new(),
            plugins,
            multiplex: Multiplex::default(),
            agents: Vec::new(),
            waiting: BTreeMap::new(),
            offered: memory,
            told: Told::default(),
            used_sum: 0,
            promised_sum: 0,
            lost_s: 0,
            worked_s: 0,
        };
        let kind = ResourceSpec {
            name: "memory".into(),
            shape: Shape::Capacity,
            unit: "bytes".into(),
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            driven: false,
        };
        let start = Command::Start { epoch: 1, boot: "simulated".into(), boottime_ns: 0 };
        machine.step(0, vec![start, Command::SetResource(kind), pool(memory)]);
        machine
    }

    /// Lives through some hours.
    fn live(mut self, hours: u64) -> Told {
        let seconds = hours * 3600;
        for now_s in 1..=seconds {
            self.second(now_s);
        }
        let share = |part: u128, whole: u128| 100.0 * part as f64 / whole.max(1) as f64;
        let (memory, gb) = (self.memory, self.memory as f64 / (1u64 << 30) as f64);
        let whole = u128::from(memory) * u128::from(seconds);
        Told {
            way: match self.way {
                Way::Unmanaged => "no manager",
                Way::Capped => "fixed caps",
                Way::Burstable => "burstable",
            },
            memory_gb: gb,
            finished_per_gb_hour: self.told.finished as f64 / gb / hours as f64,
            lost_percent: share(self.lost_s.into(), self.worked_s.into()),
            used_percent: share(self.used_sum, whole),
            promised_over_used: (self.way != Way::Unmanaged)
                .then(|| self.promised_sum as f64 / self.used_sum.max(1) as f64),
            ..self.told
        }
    }

    fn second(&mut self, now_s: u64) {
        let mut commands = Vec::new();
        self.worked_s += self.agents.len() as u64;
        self.agents.iter_mut().for_each(|agent| agent.look(now_s));
        let (done, going) =
            std::mem::take(&mut self.agents).into_iter().partition(|agent: &Agent| agent.ends(now_s));
        self.agents = going;
        self.told.finished += done.len() as u64;
        done.into_iter().for_each(|agent| self.part(agent, now_s, &mut commands));
        self.kill(now_s, &mut commands);
        let used: u64 = self.agents.iter().map(|agent| agent.used).sum();
        self.used_sum += u128::from(used.min(self.memory));
        self.promised_sum += self.agents.len() as u128 * u128::from(self.cap);
        if self.way == Way::Burstable && now_s.is_multiple_of(LOOK_S) {
            self.offer(used, now_s, &mut commands);
        }
        while self.agents.len() + self.waiting.len() + asks(&commands) < self.slots {
            match self.way {
                Way::Unmanaged => {
                    let profile = self.any();
                    self.agents.push(Agent::new(profile, now_s, None));
                }
                _ => commands.push(ask(self.cap)),
            }
        }
        self.step(now_s, commands);
        self.told.agents_max = self.told.agents_max.max(self.agents.len());
    }

    fn any(&mut self) -> Profile {
        self.random.pick(self.profiles).clone()
    }

    /// An agent is gone: what it held goes back, and something is learned.
    fn part(&mut self, agent: Agent, now_s: u64, commands: &mut Vec<Command>) {
        self.multiplex.learn(agent.share(self.cap, now_s, true));
        if let Some((claim, fence)) = agent.lease {
            commands.push(Command::Release { claim, fence });
        }
    }

    /// Those that pass their own cap; and while all together use more than there is, the kernel's choice, or with
    /// burstable admission the youngest, somewhat earlier.
    fn kill(&mut self, now_s: u64, commands: &mut Vec<Command>) {
        let cap = self.cap;
        while self.way != Way::Unmanaged
            && let Some(at) = self.agents.iter().position(|agent| agent.used > cap)
        {
            self.lose(at, now_s, commands);
        }
        let most = match self.way {
            Way::Burstable => self.memory / 1000 * PRESSURE.1,
            _ => self.memory,
        };
        while self.agents.iter().map(|agent| agent.used).sum::<u64>() > most {
            let choose = |(_, agent): &(usize, &Agent)| match self.way {
                Way::Burstable => agent.since_s,
                _ => agent.used,
            };
            let Some(at) = self.agents.iter().enumerate().max_by_key(choose).map(|(at, _)| at) else {
                return;
            };
            self.lose(at, now_s, commands);
        }
    }

    fn lose(&mut self, at: usize, now_s: u64, commands: &mut Vec<Command>) {
        let agent = self.agents.swap_remove(at);
        self.told.killed += 1;
        self.lost_s += now_s - agent.since_s;
        self.part(agent, now_s, commands);
    }

    /// What is promised follows what is used; nobody is let in under pressure.
    fn offer(&mut self, used: u64, now_s: u64, commands: &mut Vec<Command>) {
        let shares: Vec<Share> =
            self.agents.iter().map(|agent| agent.share(self.cap, now_s, false)).collect();
        let promised: u64 = shares.iter().map(|share| share.asked).sum();
        let offered = match used > self.memory / 1000 * PRESSURE.0 {
            true => promised.max(1),
            false => self.multiplex.offer(self.memory, &shares),
        };
        if offered != self.offered {
            self.offered = offered;
            commands.push(pool(offered));
        }
    }

    fn step(&mut self, now_s: u64, commands: Vec<Command>) {
        let by = Principal { admin: true, ..Principal::default() };
        let inputs = commands.into_iter().map(|body| Input { by: by.clone(), body }).collect();
        let batch = self.engine.step(Time(now_s * SECOND_NS), inputs, &mut self.plugins);
        for event in &batch.events {
            match &event.what {
                What::Queued { claim, .. } => {
                    let profile = self.any();
                    self.waiting.insert(*claim, profile);
                }
                What::Granted { claim, fence, .. } => {
                    if let Some(profile) = self.waiting.remove(claim) {
                        self.agents.push(Agent::new(profile, now_s, Some((*claim, *fence))));
                    }
                }
                _ => {}
            }
        }
    }
}

fn asks(commands: &[Command]) -> usize {
    commands.iter().filter(|command| matches!(command, Command::Ask(_))).count()
}

fn pool(capacity: u64) -> Command {
    let (resource, name) = ("memory".into(), "machine".into());
    Command::SetPool(PoolSpec { resource, name, capacity, ..PoolSpec::default() })
}

fn ask(cap: u64) -> Command {
    let line = LineAsk { resource: "memory".into(), amount: cap, ..LineAsk::default() };
    let (lines, class) = (vec![line], Class::Burstable);
    Command::Ask(Ask { class, lines, wait_ns: TTL_NS_MAX, ttl_ns: TTL_NS_MAX, ..Ask::default() })
}

/// Runs the experiment.
pub(super) fn simulate(context: &Context, simulate: &Simulate) -> Outcome {
    let profiles = profiles(simulate)?;
    let memory = bursar_wire::quantity("memory", &simulate.memory)
        .map_err(|why| Failed::usage(format!("--memory: {why}")))?;
    let mut peaks: Vec<u64> = profiles.iter().filter_map(|run| run.iter().max().copied()).collect();
    peaks.sort_unstable();
    let cap = peaks[(peaks.len() * 99).div_ceil(100).saturating_sub(1)];
    let live = |way, memory| -> Result<Told, Failed> {
        let plugins = plugins(simulate, &simulate.qos, &scratch(simulate)?)?;
        let machine = Machine::new(way, memory, simulate.slots, cap, &profiles, simulate.seed, plugins);
        Ok(machine.live(simulate.hours))
    };
    let ways = [Way::Unmanaged, Way::Capped, Way::Burstable];
    let ways: Vec<Told> = ways.into_iter().map(|way| live(way, memory)).collect::<Result<_, _>>()?;
    let less = (0..20).rev().map(|part| memory / 20 * (part + 1)).collect::<Vec<u64>>();
    let mut enough = None;
    for memory in less.into_iter().filter(|memory| *memory >= cap) {
        if live(Way::Burstable, memory)?.finished < ways[1].finished {
            break;
        }
        enough = Some(memory);
    }
    let report = Report {
        trace: simulate.trace().display().to_string(),
        seed: simulate.seed,
        runs: profiles.len(),
        slots: simulate.slots,
        hours: simulate.hours,
        cap_bytes: cap,
        ways,
        less_memory_percent: enough.map(|enough| 100.0 - 100.0 * enough as f64 / memory as f64),
    };
    match context.output {
        Output::Table => show::line(&table(&report)),
        output => show::document(&report, output),
    }
    Ok(())
}

/// The runs of the trace, each as bytes second by second.
fn profiles(simulate: &Simulate) -> Result<Vec<Profile>, Failed> {
    let path = simulate.trace();
    let text = read(path)?;
    let mut runs: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let wrong = || unreadable(path, &format!("line {}: {line:?} is no run_id,t_s,mem_mb,…", number + 1));
        let fields: Vec<&str> = line.split(',').collect();
        let field =
            |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).filter(|it| *it >= 0.0);
        let (run, second, megabytes) =
            (field(0).ok_or_else(wrong)?, field(1).ok_or_else(wrong)?, field(2).ok_or_else(wrong)?);
        let looks = runs.entry(run as u64).or_default();
        // Seconds that are left out are as the last one before them.
        let last = looks.last().copied().unwrap_or(0);
        if second > 1e6 {
            return Err(wrong());
        }
        looks.resize((second as usize + 1).max(looks.len()), last);
        *looks.last_mut().ok_or_else(wrong)? = (megabytes * 1e6) as u64;
    }
    match runs.is_empty() {
        true => Err(unreadable(path, &"there is no run in it")),
        false => Ok(runs.into_values().map(Rc::new).collect()),
    }
}

fn table(report: &Report) -> String {
    let header = ["way", "finished", "per GB·hour", "killed", "lost", "used", "promised/used", "at once"];
    let rows = report.ways.iter().map(|told| {
        vec![
            told.way.to_owned(),
            told.finished.to_string(),
            format!("{:.1}", told.finished_per_gb_hour),
            told.killed.to_string(),
            format!("{:.1} %", told.lost_percent),
            format!("{:.1} %", told.used_percent),
            told.promised_over_used.map_or("-".into(), |ratio| format!("{ratio:.2}")),
            told.agents_max.to_string(),
        ]
    });
    let less = match report.less_memory_percent {
        Some(percent) => {
            format!("with {percent:.0} % less memory burstable admission finishes as many as fixed caps")
        }
        None => "burstable admission finishes fewer than fixed caps on this machine".into(),
    };
    format!("{}\n{less}", show::table(&header, rows))
}
