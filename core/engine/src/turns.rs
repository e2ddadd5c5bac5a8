//! The loop breaker: two kinds of claims that take from each other by turns are stopped at the second turn.
//!
//! The order in which claims take from each other has no circles, so this never happens unless that order is
//! broken; the breaker is there for the day on which it is. What changed the footing of either side since
//! (a lease that was granted or ended in the usual way, another bound) makes a turn a new matter.
use crate::{Engine, shape::Shape};
use bursar_interface::{
    ClaimId, Row, Time,
    bound::{LOOP_NS, TURNS_MAX},
};
use bursar_pool::Digest;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// That claims of one shape took from those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Turn {
    at: Time,
    by: Shape,
    from: Shape,
    /// Tops of the scope trees of both.
    tops: [Row; 2],
}

/// Who took from whom lately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Turns(VecDeque<Turn>);

impl Turns {
    /// Nothing is as it was.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Something else changed below a top.
    fn disturb(&mut self, top: Row) {
        self.0.retain(|turn| !turn.tops.contains(&top));
    }

    fn record(&mut self, turn: Turn) {
        while self.0.front().is_some_and(|old| old.at.after(LOOP_NS) <= turn.at) || self.0.len() >= TURNS_MAX
        {
            self.0.pop_front();
        }
        self.0.push_back(turn);
    }

    /// Whether `from` took from `by` within the window.
    fn turned(&self, now: Time, by: Shape, from: Shape) -> bool {
        let lately = self.0.iter().rev().take_while(|turn| turn.at.after(LOOP_NS) > now);
        lately.into_iter().any(|turn| turn.by == from && turn.from == by)
    }

    pub(crate) fn digest(&self, digest: &mut Digest) {
        digest.word(self.0.len() as u64);
        self.0.iter().for_each(|turn| digest.word(turn.at.0));
    }
}

impl Engine {
    fn kind_of(&self, claim: ClaimId) -> Option<(Shape, Row)> {
        let row = self.books.claim(claim)?;
        let shape = Shape::of(self.books.tables(), row).with(u64::from(self.band(row)));
        Some((shape, self.top(self.books.tables().claims.scope[row as usize])))
    }

    /// The scope below the root that a scope belongs to.
    fn top(&self, scope: Row) -> Row {
        let chain: Vec<Row> = self.books.chain(scope).collect();
        chain[chain.len().saturating_sub(2)]
    }

    /// Remembers that one takes from another.
    pub(crate) fn take_turn(&mut self, by: ClaimId, from: ClaimId) {
        if let (Some((by, a)), Some((from, b))) = (self.kind_of(by), self.kind_of(from)) {
            self.preemption.turns.record(Turn { at: self.books.at(), by, from, tops: [a, b] });
        }
    }

    /// Whether the like of `from` took from the like of `by` just now.
    pub(crate) fn turned(&self, by: ClaimId, from: ClaimId) -> bool {
        match (self.kind_of(by), self.kind_of(from)) {
            (Some((by, _)), Some((from, _))) => self.preemption.turns.turned(self.books.at(), by, from),
            _ => false,
        }
    }

    /// A lease came or went in the usual way.
    pub(crate) fn disturb(&mut self, scope: Row) {
        if !self.preemption.turns.is_empty() {
            let top = self.top(scope);
            self.preemption.turns.disturb(top);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Engine, Plugins, plain};
    use bursar_interface::{
        Ask, Batch, ClaimId, Class, Command, Ending, Input, LineAsk, NodeSpec, PoolSpec, PreemptionPolicy,
        Principal, ResourceSpec, Shape, Time, What,
    };

    struct Room(Engine, Plugins, u64);

    impl Room {
        fn step(&mut self, commands: Vec<Command>) -> Batch {
            let by = Principal { admin: true, ..Principal::default() };
            let inputs = commands.into_iter().map(|body| Input { by: by.clone(), body }).collect();
            self.2 += 1;
            self.0.step(Time(self.2), inputs, &mut self.1)
        }
    }

    fn ask(class: Class) -> Command {
        let line = LineAsk { resource: "cpu".into(), amount: 8, ..LineAsk::default() };
        Command::Ask(Ask { class, wait_ns: 1 << 50, ttl_ns: 1 << 50, lines: vec![line], ..Ask::default() })
    }

    fn room() -> Room {
        let kind = ResourceSpec {
            name: "cpu".into(),
            unit: "millicores".into(),
            shape: Shape::Capacity,
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            driven: false,
        };
        let pool =
            PoolSpec { resource: "cpu".into(), node: Some("n".into()), capacity: 8, ..PoolSpec::default() };
        let pool = PoolSpec { name: "cpu".into(), ..pool };
        let plugins = plain::plugins();
        let mut room = Room(Engine::new(), plugins, 0);
        let policy = PreemptionPolicy { by_band: true, ..PreemptionPolicy::default() };
        room.step(vec![
            Command::SetResource(kind),
            Command::SetNode(NodeSpec { name: "n".into(), ..NodeSpec::default() }),
            Command::SetPool(pool),
            Command::SetPreemption(policy),
        ]);
        room
    }

    /// Two who ask again as soon as they are preempted: how often that happens, and whether it was stopped.
    fn by_turns(room: &mut Room) -> (usize, bool) {
        room.step(vec![ask(Class::BestEffort)]);
        let (mut next, mut preempted, mut broken) = (vec![ask(Class::Guaranteed)], 0, false);
        for _ in 0..40 {
            let batch = room.step(next.drain(..).chain([Command::Tick]).collect());
            for event in &batch.events {
                match event.what {
                    What::Closed { claim, ending: Ending::Preempted } => {
                        preempted += 1;
                        let class = |claim: ClaimId| room.0.closed(claim).map(|closed| closed.class);
                        let class =
                            if class(claim) == Some(0) { Class::Guaranteed } else { Class::BestEffort };
                        next.push(ask(class));
                    }
                    What::LoopBroken { .. } => broken = true,
                    _ => {}
                }
            }
        }
        (preempted, broken)
    }

    #[test]
    fn two_that_would_take_turns_for_ever_are_stopped_at_the_second_turn() {
        let mut lawful = room();
        assert_eq!(by_turns(&mut lawful), (1, false), "the better one keeps what it took");
        let mut broken = room();
        broken.0.preemption.either_way = true;
        assert_eq!(by_turns(&mut broken), (1, true), "with a planted bug in the order of bands");
    }
}
