//! Analyzer `@NAME@`: claims that have waited for long.
use bursar_sdk::prelude::*;

/// What an operator may set under `[plugins.config.@NAME@]`.
#[config]
struct Settings {
    /// How long is long, in seconds.
    patience_s: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { patience_s: 300 }
    }
}

struct @TYPE@(Settings);

impl From<Settings> for @TYPE@ {
    fn from(settings: Settings) -> @TYPE@ {
        @TYPE@(settings)
    }
}

#[plugin(id = "@NAME@", config = Settings)]
impl Analyzer for @TYPE@ {
    fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        let claims = sight.view.claims;
        // Phase 0 waits; a free row has no id.
        let waiting = (0..claims.len()).filter(|&row| claims.id[row] != 0 && claims.phase[row] == 0);
        for row in waiting {
            let waited_ms = sight.view.at.0.saturating_sub(claims.asked_at[row]) / 1_000_000;
            if waited_ms >= self.0.patience_s * 1000 {
                let advice = "see `bursar explain` for what it waits for";
                let finding = Finding::new("long-wait", Subject::Claim(row as Row), Severity::Notice, advice);
                // A number's name ends in its unit.
                findings.push(finding.with("waited_ms", waited_ms));
            }
        }
        Ok(())
    }
}

#[test]
fn it_passes_the_kit() {
    let make = || -> Box<dyn Analyzer> { Box::new(@TYPE@::from(Settings::default())) };
    assert_eq!(bursar_conformance::analyzer(&make), Ok(()));
}
