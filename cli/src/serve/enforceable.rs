//! What can be enforced on a host, as `doctor` tells it.
use bursar_enforce::{Ability, Hierarchy, Strength};
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
            "weak" if ability == Ability::Io => {
                "reads and direct writes by the kernel; what it writes back later is not"
            }
            "weak" => "sampled four times a second, killed above",
            _ => "not enforced here",
        };
        wire::Finding { what: ability.name().into(), state: strength.name().into(), detail: detail.into() }
    }));
    findings.push(wire::Finding {
        what: "network limit".into(),
        state: Strength::Missing.name().into(),
        detail: "counted, and held by nobody: advice to those who hold it".into(),
    });
    findings
}
