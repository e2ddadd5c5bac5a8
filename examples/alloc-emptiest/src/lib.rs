//! An allocator of one's own: each claim goes to the node with the most free cpu.
use bursar_sdk::{prelude::*, tag};

/// The emptiest node first.
#[derive(Default)]
struct Emptiest;

#[plugin(id = "emptiest")]
impl Allocator for Emptiest {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        let cpu = view.resources.tag.iter().position(|&name| name == tag("cpu")).unwrap_or(0) as u32;
        for &claim in queue {
            let mut nodes: Vec<Row> = (0..view.nodes.len() as Row).collect();
            let free = |plan: &Plan<'_>, node: Row| view.pools_of(node, cpu).map(|pool| plan.free(pool)).sum::<Amount>();
            nodes.sort_by_key(|&node| std::cmp::Reverse(free(plan, node)));
            nodes.into_iter().find(|&node| plan.place(claim, node));
        }
        Ok(())
    }
}
