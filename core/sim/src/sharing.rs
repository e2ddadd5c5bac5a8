//! Rules of sharing as somebody may set them: one holder, more than there is, by turns, and what is unlawful.
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
    let holders = 2 + random.below(3) as u32;
    let offer = match random.below(6) {
        0 => None,
        1 => Some(plain),
        2 => Some(Offer { holders: 1, ..plain }),
        3 => Some(Offer { offered: capacity * 2, ..plain }),
        4 => {
            Some(Offer { offered: capacity * u64::from(holders), firm: 0, quantum_ns: QUANTUM_NS.0, holders })
        }
        _ => Some(Offer { firm: capacity + 1, ..plain }),
    };
    let by = Decider { plugin: "share".into(), home: Home::Linked };
    Command::Share { resource: "cpu".into(), node: Some(node), pool: "cpu".into(), offer, by, fault: None }
}
