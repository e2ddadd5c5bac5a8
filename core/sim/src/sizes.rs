//! What the world does to the sizes of claims: holders that want more or less, by right and by wrong, edges that
//! make it true or cannot, and asks that would be content with one of several sets of lines.
use crate::{Random, spent};
use bursar_engine::Engine;
use bursar_interface::{ClaimId, Command, Fence, LineAsk, Size};

/// A holder wants to hold more, or less, of something that it holds.
pub(crate) fn resize(random: &mut Random, engine: &Engine, claim: ClaimId, fence: Fence) -> Command {
    let mut to = Vec::new();
    if let Some(row) = engine.books().claim(claim) {
        let view = engine.view();
        for line in view.claims.line_rows(row).map(|line| line as usize) {
            if random.chance(1, 2) {
                let resource = engine.books().spec(view.lines.resource[line]).name.clone();
                let pool = Some(engine.books().pool_name(view.lines.pool[line]).to_owned());
                let pool = pool.filter(|_| random.chance(1, 2));
                let amount = random.below(2 * view.lines.amount[line].min(1 << 40) + 2);
                to.push(Size { resource, pool, amount });
            }
        }
    }
    match random.chance(1, 2) {
        true => Command::Extend { claim, fence, to },
        false => Command::Shrink { claim, fence, to },
    }
}

/// A holder wants to spend more, or less, than it said, and nothing else.
pub(crate) fn resize_spent(random: &mut Random, engine: &Engine, claim: ClaimId, fence: Fence) -> Command {
    let kinds = spent::of(engine, claim);
    let resource = (*random.pick(if kinds.is_empty() { &[spent::RATE] } else { &kinds })).to_owned();
    let books = engine.books();
    let now =
        books.claim(claim).zip(books.resource(&resource)).map_or(0, |(row, kind)| books.asked(row, kind));
    let grows = random.chance(1, 2);
    let amount = if grows { now + random.below(30) } else { 1 + random.below(now.max(1)) };
    let to = vec![Size { resource, pool: None, amount }];
    match grows {
        true => Command::Extend { claim, fence, to },
        false => Command::Shrink { claim, fence, to },
    }
}

/// What an edge reports of a change that is under way; now and then of one that is not.
pub(crate) fn report(random: &mut Random, engine: &Engine, claim: ClaimId) -> Option<Command> {
    let due = engine.resizing(claim).is_some();
    if !random.chance(if due { 3 } else { 1 }, if due { 4 } else { 20 }) {
        return None;
    }
    Some(match random.chance(1, 2) {
        true => Command::Resized { claim },
        false => Command::ResizeFailed { claim, message: "it is in use".into() },
    })
}

/// Other sets of lines, or none.
pub(crate) fn alternatives(random: &mut Random) -> Vec<Vec<LineAsk>> {
    if random.chance(3, 4) {
        return Vec::new();
    }
    (0..1 + random.below(3)).map(|_| set(random)).collect()
}

fn set(random: &mut Random) -> Vec<LineAsk> {
    let mut lines = Vec::new();
    for (resource, most) in [("cpu", 5000), ("memory", 20_000), (spent::RATE, 40), (spent::BUDGET, 40)] {
        if random.chance(1, 2) {
            let (resource, amount) = (resource.to_owned(), 1 + random.below(most));
            lines.push(LineAsk { resource, amount, ..LineAsk::default() });
        }
    }
    if lines.is_empty() || random.chance(1, 6) {
        let (resource, pool) = ("lock".to_owned(), Some(format!("lock-{}", random.below(4))));
        lines.push(LineAsk { resource, amount: 1, pool, whole: random.chance(1, 2), ..LineAsk::default() });
    }
    lines
}
