//! Rules of sharing as somebody may set them: more than there is, no more than that, to so many at once, by turns, and
//! what is unlawful.
use crate::random::Random;
use bursar_engine::Engine;
use bursar_interface::{Command, Decider, Home, Offer, bound::QUANTUM_NS};

/// Rules for the processors of some node.
pub(crate) fn share(random: &mut Random, engine: &Engine, nodes: &[&str]) -> Command {
    let node = (*random.pick(nodes)).to_owned();
    let books = engine.books();
    let row = books.resource("cpu").and_then(|kind| books.pool_on(kind, Some(&node), "cpu"));
    let capacity = row.map_or(0, |row| books.tables().pools.capacity[row as usize]);
    let plain = Offer::plain(capacity);
    let few = 1 + random.below(4) as u32;
    let by_turns =
        Offer { holders: few + 1, quantum_ns: QUANTUM_NS.0, firm: 0, offered: capacity * u64::from(few) };
    let offer = match random.below(6) {
        0 => None,
        1 => Some(plain),
        2 => Some(Offer { offered: capacity * 2, ..plain }),
        3 => Some(Offer { holders: few, ..plain }),
        4 => Some(by_turns),
        _ => Some(Offer { firm: capacity + 1, ..plain }),
    };
    let by = Decider { plugin: "share".into(), home: Home::Linked };
    Command::Share { resource: "cpu".into(), node: Some(node), pool: "cpu".into(), offer, by, fault: None }
}
