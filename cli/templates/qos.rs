//! Qos `@NAME@`: class first, then whoever has the larger priority.
use bursar_sdk::prelude::*;

/// What an operator may set under `[plugins.config.@NAME@]`.
#[config]
struct Settings {
    /// Smaller priorities go first instead.
    reversed: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { reversed: false }
    }
}

struct @TYPE@(Settings);

impl From<Settings> for @TYPE@ {
    fn from(settings: Settings) -> @TYPE@ {
        @TYPE@(settings)
    }
}

#[plugin(id = "@NAME@", config = Settings)]
impl Qos for @TYPE@ {
    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        for (rank, &claim) in ranks.iter_mut().zip(pending) {
            let priority = u64::from(view.claims.priority[claim as usize]);
            let share = if self.0.reversed { priority } else { u64::from(u32::MAX) - priority };
            // Smaller is served first.
            *rank = Rank { tier: u64::from(view.claims.class[claim as usize]), share };
        }
        Ok(())
    }
}

#[test]
fn it_passes_the_kit() {
    let make = || -> Box<dyn Qos> { Box::new(@TYPE@::from(Settings::default())) };
    assert_eq!(bursar_conformance::qos(&make), Ok(()));
}
