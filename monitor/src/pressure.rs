//! Pressure: how long work stood still for want of a kind, as the kernel counts it (PSI), beside what is held of it.
use bursar_interface::{Fault, Finding, Row, Severity, Sight, Subject, tag};
use std::collections::BTreeMap;

/// What the kernel counts, the sample that tells it, and the kind that it is of.
const PRESSED: [(&str, &str); 3] = [
    ("cpu", "host_cpu_pressure_some_avg10_percent"),
    ("memory", "host_memory_pressure_some_avg10_percent"),
    ("io", "host_io_pressure_some_avg10_percent"),
];
/// Held of what there is, in percent, below which what presses is outside of any lease.
const OUTSIDE_PERCENT: u64 = 50;

/// When something is worth telling.
#[derive(Clone, Copy, Debug)]
pub struct PressureLimits {
    /// Time in which somebody stood still, in percent, from which it is told.
    pub warning_percent: f64,
    /// The same where it matters most.
    pub critical_percent: f64,
    /// Looks in a row for which it must be so, before it is told.
    pub looks: u32,
}

impl Default for PressureLimits {
    fn default() -> Self {
        PressureLimits { warning_percent: 20.0, critical_percent: 60.0, looks: 2 }
    }
}

/// Looks for kinds for want of which work stands still.
#[derive(Clone, Debug, Default)]
pub struct Pressure {
    limits: PressureLimits,
    /// Looks in a row at which each was pressed.
    pressed: BTreeMap<&'static str, u32>,
}

impl Pressure {
    /// A detector with limits of its own.
    pub fn new(limits: PressureLimits) -> Pressure {
        Pressure { limits, ..Pressure::default() }
    }

    /// Appends what it finds. What was not measured is not found.
    ///
    /// # Errors
    /// None of its own.
    pub fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        for (kind, name) in PRESSED {
            let sample = sight.samples.iter().find(|sample| sample.name == name);
            let Some(percent) = sample.and_then(|sample| sample.value) else {
                self.pressed.remove(kind);
                continue;
            };
            let looks = self.pressed.entry(kind).or_default();
            // Once told, it is over when it is well below: half of what it takes to be told.
            let told = *looks >= self.limits.looks;
            let enough = if told { self.limits.warning_percent / 2.0 } else { self.limits.warning_percent };
            *looks = if percent >= enough { looks.saturating_add(1) } else { 0 };
            if *looks >= self.limits.looks.max(1) {
                findings.push(self.finding(sight, kind, percent));
            }
        }
        Ok(())
    }

    fn finding(&self, sight: &Sight<'_>, kind: &'static str, percent: f64) -> Finding {
        let severity = match percent >= self.limits.critical_percent {
            true => Severity::Critical,
            false => Severity::Warning,
        };
        let resources = sight.view.resources;
        let row = (0..resources.len()).find(|&row| resources.tag[row] == tag(kind));
        let whole = percent.round() as u64;
        let Some(row) = row else {
            let advice = "programs wait for the disk: run fewer at once that read and write much";
            return Finding::new(&format!("{kind}-pressure"), Subject::Host, severity, advice)
                .with("pressure_some_avg10_percent", whole);
        };
        let supply = Supply::of(sight, row as Row);
        Finding::new(&format!("{kind}-pressure"), Subject::Resource(row as Row), severity, supply.advice())
            .with("pressure_some_avg10_percent", whole)
            .with("held_percent", supply.percent(supply.held))
            .with("offered_percent", supply.percent(supply.offered))
    }
}

/// What there is of a kind, by all pools.
#[derive(Clone, Copy, Debug, Default)]
struct Supply {
    capacity: u64,
    offered: u64,
    held: u64,
}

impl Supply {
    fn of(sight: &Sight<'_>, kind: Row) -> Supply {
        let pools = sight.view.pools;
        let of_kind = (0..pools.len()).filter(|&p| pools.id[p] != 0 && pools.resource[p] == kind);
        of_kind.fold(Supply::default(), |sum, p| Supply {
            capacity: sum.capacity.saturating_add(pools.capacity[p]),
            offered: sum.offered.saturating_add(pools.offered[p]),
            held: sum.held.saturating_add(pools.held[p]).saturating_add(pools.reserved[p]),
        })
    }

    fn percent(&self, amount: u64) -> u64 {
        amount.saturating_mul(100).checked_div(self.capacity).unwrap_or(0)
    }

    /// What presses, by what is held: more than there is, what there is, or somebody who holds nothing.
    fn advice(&self) -> &'static str {
        match self.percent(self.held) {
            held if held > 100 => {
                "more of it is promised than there is: lower the ratio at which it is shared"
            }
            held if held < OUTSIDE_PERCENT => {
                "little of it is held by leases: what presses is outside of them; run it under `bursar run`, or offer less"
            }
            _ => "what is held is used to the full: let each ask for what it needs, or run fewer at once",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Sample, Tables, Time};

    fn sight<'a>(tables: &'a Tables, samples: &'a [Sample]) -> Sight<'a> {
        Sight { view: tables.view(Time(1), 1), samples, flows: &[], ties: &[] }
    }

    fn cpu(held: u64) -> Tables {
        let mut tables = Tables::default();
        tables.resources.push();
        tables.resources.tag[0] = tag("cpu");
        tables.pools.push();
        (tables.pools.id[0], tables.pools.capacity[0], tables.pools.offered[0]) = (1, 1000, 2000);
        tables.pools.held[0] = held;
        tables
    }

    fn pressed(value: Option<f64>) -> [Sample; 1] {
        [Sample { name: PRESSED[0].1.into(), at: Time(1), value }]
    }

    fn look(detector: &mut Pressure, tables: &Tables, value: Option<f64>) -> Vec<Finding> {
        let mut found = Vec::new();
        detector.report(&sight(tables, &pressed(value)), &mut found).expect("no fault");
        found
    }

    #[test]
    fn it_is_told_when_it_lasts_and_over_when_it_is_well_below() {
        let (mut detector, tables) = (Pressure::default(), cpu(1500));
        assert_eq!(look(&mut detector, &tables, Some(30.0)), []);
        assert_eq!(look(&mut detector, &tables, None), [], "what is not measured is not found");
        let told = [Some(30.0), Some(25.0), Some(70.0), Some(12.0), Some(9.0)];
        let severities =
            told.map(|value| look(&mut detector, &tables, value).first().map(|found| found.severity));
        let (warning, critical) = (Some(Severity::Warning), Some(Severity::Critical));
        assert_eq!(severities, [None, warning, critical, warning, None]);
    }

    #[test]
    fn the_advice_follows_what_is_held() {
        for (held, word) in [(1500, "promised than there is"), (100, "outside"), (900, "to the full")] {
            let mut detector = Pressure::new(PressureLimits { looks: 1, ..PressureLimits::default() });
            let found = look(&mut detector, &cpu(held), Some(50.0));
            assert!(found[0].advice.contains(word), "{found:?}");
            assert_eq!(found[0].evidence[2].value, 200, "{found:?}");
        }
    }
}
