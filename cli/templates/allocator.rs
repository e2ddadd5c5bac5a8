//! Allocator `@NAME@`: each claim goes to the node with the most free of one kind.
use bursar_sdk::{prelude::*, tag};

/// What an operator may set under `[plugins.config.@NAME@]`.
#[config]
struct Settings {
    /// The kind that is looked at.
    kind: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { kind: "cpu".into() }
    }
}

struct @TYPE@(Settings);

impl From<Settings> for @TYPE@ {
    fn from(settings: Settings) -> @TYPE@ {
        @TYPE@(settings)
    }
}

#[plugin(id = "@NAME@", config = Settings)]
impl Allocator for @TYPE@ {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        let kind = view.resources.tag.iter().position(|&known| known == tag(&self.0.kind));
        for &claim in queue {
            let free = |plan: &Plan<'_>, node| match kind {
                Some(kind) => view.pools_of(node, kind as Row).map(|pool| plan.free(pool)).sum(),
                None => 0,
            };
            let mut nodes: Vec<(Amount, Row)> =
                (0..view.nodes.len() as Row).map(|node| (free(plan, node), node)).collect();
            // The most free first; of equal ones the first.
            nodes.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
            // Whoever fits nowhere goes on waiting.
            nodes.into_iter().find(|&(_, node)| plan.place(claim, node));
        }
        Ok(())
    }
}

#[test]
fn it_passes_the_kit() {
    let make = || -> Box<dyn Allocator> { Box::new(@TYPE@::from(Settings::default())) };
    assert_eq!(bursar_conformance::allocator(&make), Ok(()));
}
