//! What can be enforced on this host, as `doctor` tells it.
use bursar_enforce::{Ability, Hierarchy};
use bursar_wire as wire;

/// What can be enforced on a host.
pub fn host_findings(hierarchy: &Hierarchy) -> Vec<wire::Finding> {
    let mut findings = vec![wire::Finding {
        what: "control groups".into(),
        state: if hierarchy.grouped() { "ok" } else { "weak" }.into(),
        detail: [vec![hierarchy.kind().to_owned()], hierarchy.notes().to_vec()].concat().join("; "),
    }];
    findings.extend(Ability::ALL.into_iter().map(|ability| {
        let strength = hierarchy.strength(ability);
        let detail = match strength.name() {
            "ok" => "enforced by the kernel",
            "weak" => "sampled four times a second, killed above",
            _ => "not enforced here",
        };
        wire::Finding { what: ability.name().into(), state: strength.name().into(), detail: detail.into() }
    }));
    findings
}
