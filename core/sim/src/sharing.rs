//! Rules of sharing as somebody may set them: more than there is, no more than that, and what is unlawful.
//! Holders are not bounded here: what the laws know of who could start when counts amounts alone.
use crate::random::Random;
use bursar_engine::Engine;
use bursar_interface::{Command, Decider, Home, Offer};

/// Rules for the processors of some node.
pub(crate) fn share(random: &mut Random, engine: &Engine, nodes: &[&str]) -> Command {
    let node = (*random.pick(nodes)).to_owned();
    let books = engine.books();
    let row = books.resource("cpu").and_then(|kind| books.pool_on(kind, Some(&node), "cpu"));
    let capacity = row.map_or(0, |row| books.tables().pools.capacity[row as usize]);
    let plain = Offer::plain(capacity);
    let offer = match random.below(4) {
        0 => None,
        1 => Some(plain),
        2 => Some(Offer { offered: capacity * 2, ..plain }),
        _ => Some(Offer { firm: capacity + 1, ..plain }),
    };
    let by = Decider { plugin: "share".into(), home: Home::Linked };
    Command::Share { resource: "cpu".into(), node: Some(node), pool: "cpu".into(), offer, by, fault: None }
}
