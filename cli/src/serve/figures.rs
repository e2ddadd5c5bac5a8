//! Figures as they are shown: what metrics measured last, and what plugins count of themselves, each under its plugin.
use super::{host::Host, present::rfc3339, told};
use bursar_interface::{Principal, Role, Time};
use bursar_wire as wire;
use std::sync::PoisonError;

impl Host {
    /// Every figure; none for those who do not see everybody, since plugins may name others in theirs.
    pub(super) fn figures(&self, by: &Principal) -> Vec<wire::Metric> {
        if !by.root.is_empty() {
            return Vec::new();
        }
        let loader = self.loader();
        let counted = loader.counted().into_iter().map(|counted| wire::Metric {
            plugin: counted.plugin,
            role: counted.role.map(Role::name).unwrap_or_default().into(),
            home: told::home(counted.home).into(),
            name: counted.name,
            value: Some(counted.value).filter(|value| value.is_finite()),
            at: None,
        });
        let mut rows: Vec<wire::Metric> = counted.collect();
        let newest: Vec<_> = self.rings.lock().unwrap_or_else(PoisonError::into_inner).newest().collect();
        rows.extend(newest.into_iter().map(|sample| {
            let plugin = self.beside.sources.of(&sample.name).unwrap_or_default();
            let home = loader.seat_of(Role::Metric, &plugin).map_or("", told::home);
            let at = Some(rfc3339(self.clock.wall_ms(sample.at)));
            let role = Role::Metric.name().into();
            wire::Metric { plugin, role, home: home.into(), name: sample.name, value: sample.value, at }
        }));
        rows
    }

    /// The newest samples for `doctor`. They count what all have: who sees one part of the tree only is told none.
    pub(super) fn sampled(&self, by: &Principal) -> Vec<wire::Finding> {
        if !by.root.is_empty() {
            return Vec::new();
        }
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |name: &str| {
            let (state, detail) = match rings.window(name, Time(0)).last {
                Some(last) => ("ok", format!("{last:.3}")),
                None => ("missing", "unknown".into()),
            };
            wire::Finding { what: name.into(), state: state.into(), detail, advice: None }
        };
        rings.names().map(row).collect()
    }
}
