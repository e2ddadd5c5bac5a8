//! The ladder on a simulated machine: leases that grow, hear or do not hear, and end; the machine never runs out.
use bursar_interface::{Came, ClaimId, Class, Step, Time};
use bursar_monitor::{Deed, Holder, Ladder, Level, Means, Strain, Thresholds};
use std::collections::{BTreeMap, BTreeSet};

const SECOND: u64 = 1_000_000_000;
/// What the machine has.
const THERE: u64 = 10_000;

#[derive(Clone, Copy)]
struct Agent {
    class: Class,
    used: u64,
    /// By how much it grows in a second, and how far.
    grows: u64,
    wants: u64,
    files: u64,
    /// It uses no more than it is asked to.
    hears: bool,
    /// Somebody waits for what it holds.
    awaited: bool,
    /// How long it goes on once it has what it wants, in seconds.
    lasts: u64,
    frozen: bool,
    /// When it ends, once it was told to.
    ends: Option<u64>,
}

/// A machine, and all that was ever done on it.
struct Machine {
    ladder: Ladder,
    agents: BTreeMap<ClaimId, Agent>,
    second: u64,
    done: Vec<(u64, Deed)>,
    finished: BTreeSet<ClaimId>,
    most: u64,
    added: u64,
    /// Those that had to make room, and ask again.
    again: Vec<Agent>,
}

impl Machine {
    fn new(missing: &[(Step, &str)], kills_per_minute: usize) -> Machine {
        let missing = missing.iter().map(|(step, why)| (*step, (*why).to_owned())).collect();
        let means = Means { missing, collects: [false, true, true], kills_per_minute, grace_ns: 3 * SECOND };
        let ladder = Ladder::new(Thresholds::default(), means);
        let (agents, done, finished) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Machine { ladder, agents, second: 0, done, finished, most: 0, added: 0, again: Vec::new() }
    }

    fn add(&mut self, class: Class, grows: u64, wants: u64) -> &mut Agent {
        self.added += 1;
        let claim = ClaimId(self.added);
        let (used, files, hears, awaited, lasts) = (wants / 10, 0, false, false, 20);
        let agent =
            Agent { class, used, grows, wants, files, hears, awaited, lasts, frozen: false, ends: None };
        self.agents.entry(claim).or_insert(agent)
    }

    fn used(&self) -> u64 {
        self.agents.values().map(|agent| agent.used).sum()
    }

    fn second(&mut self) {
        self.second += 1;
        for (claim, agent) in &mut self.agents {
            if agent.frozen {
                continue;
            }
            agent.used = (agent.used + agent.grows).min(agent.wants);
            if agent.used == agent.wants {
                agent.lasts = agent.lasts.saturating_sub(1);
            }
            if agent.lasts == 0 {
                self.finished.insert(*claim);
            }
        }
        let (finished, second) = (&self.finished, self.second);
        self.agents.retain(|claim, _| !finished.contains(claim));
        let over = self.agents.iter().filter(|(_, agent)| agent.ends.is_some_and(|at| at <= second));
        let over: Vec<ClaimId> = over.map(|(&claim, _)| claim).collect();
        over.into_iter().for_each(|claim| self.make_room(claim));
        if !self.ladder.is_stopped()
            && let Some(agent) = self.again.pop()
        {
            self.add(agent.class, agent.grows, agent.wants);
        }
        self.most = self.most.max(self.used());
        let holder = |(&claim, agent): (&ClaimId, &Agent)| Holder {
            claim,
            class: agent.class,
            priority: 0,
            granted_at: Time(claim.0),
            soft: None,
            used: agent.used,
            files: agent.files,
            waited_for: agent.awaited,
        };
        let holders: Vec<Holder> = self.agents.iter().map(holder).collect();
        let strain =
            Strain { at: Time(self.second * SECOND), used: self.used(), there: THERE, holders: &holders };
        for deed in self.ladder.look(&strain) {
            self.take(&deed);
            self.done.push((self.second, deed));
        }
    }

    fn take(&mut self, deed: &Deed) {
        let second = self.second;
        match *deed {
            Deed::Take { step, claim: Some(claim), bytes } => {
                let agent = self.agents.get_mut(&claim).expect("it is there");
                assert_ne!(agent.class, Class::Guaranteed, "{step:?} for a guaranteed lease");
                match step {
                    Step::Ask if agent.hears => (agent.used, agent.wants) = (bytes, bytes.max(1)),
                    Step::Reclaim => agent.files = 0,
                    Step::Freeze | Step::Slow => agent.frozen = true,
                    Step::Evict => agent.ends = Some(second + 3),
                    Step::Kill => self.make_room(claim),
                    _ => {}
                }
            }
            Deed::Undo { step, claim: Some(claim) } => {
                if let Some(agent) = self.agents.get_mut(&claim) {
                    match step {
                        Step::Freeze | Step::Slow => agent.frozen = false,
                        Step::Evict => agent.ends = None,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn make_room(&mut self, claim: ClaimId) {
        self.again.extend(self.agents.remove(&claim));
    }

    fn seconds(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.second());
    }

    /// The steps that were taken, in the order in which each first was.
    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (_, deed) in &self.done {
            if let Deed::Take { step, .. } = deed
                && !steps.contains(step)
            {
                steps.push(*step);
            }
        }
        steps
    }

    fn taken(&self, wanted: Step) -> usize {
        let is = |deed: &Deed| matches!(deed, Deed::Take { step, .. } if *step == wanted);
        self.done.iter().filter(|(_, deed)| is(deed)).count()
    }
}

#[test]
fn where_there_is_enough_nothing_is_done() {
    let mut machine = Machine::new(&[], 6);
    for _ in 0..3 {
        machine.add(Class::BestEffort, 100, 2500);
    }
    machine.seconds(60);
    assert_eq!(machine.done, []);
    assert_eq!(machine.finished.len(), 3);
}

#[test]
fn twenty_four_that_each_want_a_quarter_never_bring_the_machine_to_its_end() {
    // Where all of them together take a sixth of the machine between two looks, as with 80 a second, it is full before
    // anything can be done, and the kernel's limit on their group comes first.
    for grows in [10, 40, 60] {
        let mut machine = Machine::new(&[(Step::Slow, "only v2")], usize::MAX);
        for agent in 0..24 {
            let class = if agent < 2 { Class::Guaranteed } else { Class::Burstable };
            machine.add(class, grows, THERE / 4);
        }
        // No longer than one after the other.
        let seconds = 24 * (THERE / 4 / grows + 40);
        machine.seconds(seconds);
        assert!(machine.most < THERE, "{grows} a second: {} of {THERE}", machine.most);
        let guaranteed = [ClaimId(1), ClaimId(2)];
        assert!(guaranteed.iter().all(|claim| machine.finished.contains(claim)), "{grows} a second");
        assert_eq!(machine.finished.len(), 24, "{grows} a second: all finish, some of them later");
        assert_eq!(machine.ladder.level(), Level::Calm, "{grows} a second");
        let written = machine.done.len() as u64;
        assert!(written < seconds, "{grows} a second: {written} things are written down in {seconds} s");
        assert!(!machine.ladder.is_stopped(), "whoever waits is let in again");
        assert!(machine.agents.values().all(|agent| !agent.frozen), "nobody is left standing still");
    }
}

#[test]
fn rungs_are_taken_from_the_mildest_to_the_last() {
    let mut machine = Machine::new(&[(Step::Slow, "only v2")], 6);
    for class in [Class::Burstable, Class::BestEffort, Class::BestEffort] {
        let agent = machine.add(class, 40, 5000);
        (agent.files, agent.lasts) = (500, 10_000);
    }
    machine.seconds(300);
    let order = [Step::Stop, Step::Ask, Step::Purge, Step::Reclaim, Step::Collect, Step::Freeze, Step::Evict];
    assert_eq!(machine.steps(), order);
    let count = |is: &dyn Fn(&Deed) -> bool| machine.done.iter().filter(|(_, deed)| is(deed)).count();
    let said = |deed: &Deed| matches!(deed, Deed::Note { step: Step::Slow, came: Came::Unavailable(_), .. });
    let calm = |deed: &Deed| matches!(deed, Deed::Undo { step: Step::Stop, .. });
    assert!((1..=1 + count(&calm)).contains(&count(&said)), "what is missing is said once a time");
    assert!(machine.agents.contains_key(&ClaimId(1)), "the best class stays");
    assert!(machine.most < THERE);
}

#[test]
fn who_hears_when_asked_is_neither_frozen_nor_ended() {
    let mut machine = Machine::new(&[], 6);
    (0..4).for_each(|_| machine.add(Class::Burstable, 40, 5000).hears = true);
    machine.seconds(200);
    assert_eq!(machine.steps(), [Step::Stop, Step::Ask]);
    let freed = |deed: &Deed| match deed {
        Deed::Note { step: Step::Ask, came: Came::Freed(Some(freed)), .. } => *freed,
        _ => 0,
    };
    assert!(machine.done.iter().map(|(_, deed)| freed(deed)).sum::<u64>() > 0, "what it freed is told");
    assert_eq!(machine.finished.len(), 4);
}

#[test]
fn whoever_holds_what_others_wait_for_is_not_held_still_and_goes_on_at_once() {
    let mut machine = Machine::new(&[(Step::Slow, "only v2")], 6);
    for _ in 0..5 {
        machine.add(Class::Burstable, 40, 6000);
    }
    let (worst, next) = (ClaimId(5), ClaimId(4));
    machine.agents.get_mut(&worst).expect("it is there").awaited = true;
    while machine.taken(Step::Freeze) == 0 {
        machine.second();
    }
    let still = |machine: &Machine, claim| machine.agents.get(&claim).expect("it is there").frozen;
    assert!(!still(&machine, worst) && still(&machine, next), "all but the one that is waited for");
    machine.agents.get_mut(&next).expect("it is there").awaited = true;
    machine.second();
    assert!(!still(&machine, next), "somebody came who waits for what it holds");
    let undone = (machine.second, Deed::Undo { step: Step::Freeze, claim: Some(next) });
    assert!(machine.done.contains(&undone), "{:?}", machine.done);
}

#[test]
fn no_more_end_at_once_than_may_in_a_minute() {
    let mut machine = Machine::new(&[(Step::Slow, "no"), (Step::Freeze, "no")], 2);
    // They do not end by themselves, and what they are told is not heard.
    for _ in 0..12 {
        let agent = machine.add(Class::BestEffort, 400, 4000);
        agent.lasts = 10_000;
    }
    machine.seconds(30);
    assert_eq!(machine.taken(Step::Kill), 2);
    let said = |deed: &Deed| matches!(deed, Deed::Note { step: Step::Kill, came: Came::Unavailable(_), .. });
    assert!(machine.done.iter().any(|(_, deed)| said(deed)), "that it is so is told");
}
