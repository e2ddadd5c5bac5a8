//! What works on this host and what does not: asked of the daemon, or found out without one.
use super::{
    Context, get,
    names::Named,
    outcome::{Failed, Outcome},
    show,
};
use crate::{
    args::{Doctor, Output},
    serve::{Instance, advise, host_findings},
};
use bursar_enforce::Hierarchy;
use bursar_wire as wire;
use std::path::Path;

/// `bursar doctor`.
pub fn doctor(context: &Context, doctor: &Doctor) -> Outcome {
    get::shown(context, doctor.watch, || look(context, doctor))
}

fn look(context: &Context, doctor: &Doctor) -> Outcome {
    let report = match &doctor.journal {
        Some(state) => journal(state)?,
        None => daemon(context)?,
    };
    match context.output {
        Output::Table => {
            show::line(&format!("{}{}", show::checks(&report.findings), show::advice(&report.findings)));
        }
        Output::Name => report.findings.iter().for_each(|finding| show::line(&finding.name())),
        output => show::document(&report, output),
    }
    let wrong = report.findings.iter().find(|finding| finding.state == "wrong");
    let told =
        |finding: &wire::Finding| Failed::from(anyhow::anyhow!("{}: {}", finding.what, finding.detail));
    wrong.map_or(Ok(()), |finding| Err(told(finding).shown()))
}

fn daemon(context: &Context) -> Result<wire::Doctor, Failed> {
    let unreachable = match context.looking().doctor() {
        Err(failure @ wire::Failure::Unreachable { .. }) => failure,
        answered => return Ok(answered?),
    };
    let hierarchy = Hierarchy::detect(&format!("doctor-{}", std::process::id()));
    let mut findings = host_findings(&hierarchy);
    hierarchy.remove();
    let (state, detail) = bursar_loader::ability();
    findings.push(wire::Finding {
        what: "plugin children".into(),
        state: state.into(),
        detail,
        advice: None,
    });
    findings.push(wire::Finding {
        what: "daemon".into(),
        state: "missing".into(),
        detail: unreachable.to_string(),
        advice: None,
    });
    advise(&mut findings);
    Ok(wire::Doctor { sound: true, findings })
}

fn journal(state: &Path) -> Result<wire::Doctor, Failed> {
    let report = bursar_journal::verify(state).map_err(anyhow::Error::from)?;
    let row = |what: &str, state: &str, detail: String| wire::Finding {
        what: what.into(),
        state: state.into(),
        detail,
        advice: None,
    };
    let mut findings = vec![row(
        "journal",
        "ok",
        format!(
            "schema {}, {} batches up to sequence {}, {} bytes",
            report.schema, report.batches, report.next_seq, report.bytes
        ),
    )];
    findings.extend(report.problems.iter().map(|problem| row("problem", "wrong", problem.clone())));
    let flaw = Instance::flaw(state);
    let sound = report.sound() && flaw.is_none();
    findings.extend(flaw.map(|flaw| row("instance", "wrong", flaw)));
    advise(&mut findings);
    Ok(wire::Doctor { sound, findings })
}
