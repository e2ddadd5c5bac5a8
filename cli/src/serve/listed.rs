//! Plugins as they are shown, and what `doctor` finds of them.
use super::told;
use bursar_interface::Role;
use bursar_loader::{Listing, State, Trust, ability};
use bursar_wire as wire;

/// A plugin as it is shown.
pub fn plugin_row(listing: Listing) -> wire::Plugin {
    let state = match listing.state {
        State::Active => "active",
        State::Ready => "ready",
        State::Quarantined => "quarantined",
        State::Disabled => "disabled",
        State::Refused => "refused",
    };
    let trust = match listing.trust {
        Trust::None => None,
        Trust::Listed => Some("listed".into()),
        Trust::Signed(key) => Some(format!("signed by {key}")),
    };
    wire::Plugin {
        id: listing.id,
        library: listing.library,
        version: listing.version,
        role: listing.role.map(|role| role.name().to_owned()).unwrap_or_default(),
        home: told::home(listing.home).into(),
        state: state.into(),
        path: listing.path.map(|path| path.display().to_string()),
        sha256: listing.sha256,
        trust,
        reason: listing.reason,
    }
}

/// How the plugins are doing: all of them in a line, then each that is refused or in quarantine.
pub fn plugin_findings(listed: &[Listing]) -> Vec<wire::Finding> {
    let row = |what: String, state: &str, detail: String| wire::Finding {
        what,
        state: state.into(),
        detail,
        advice: None,
    };
    let sick = |plugin: &&Listing| matches!(plugin.state, State::Refused | State::Quarantined);
    let refused: Vec<&str> = listed.iter().filter(sick).map(|plugin| plugin.id.as_str()).collect();
    let names = if refused.is_empty() { "none".into() } else { refused.join(", ") };
    let state = if refused.is_empty() { "ok" } else { "wrong" };
    let all = format!("{} found, refused or quarantined: {names}", listed.len());
    let (locked, how) = ability();
    let mut findings = vec![row("plugins".into(), state, all), row("plugin children".into(), locked, how)];
    findings.extend(listed.iter().filter(sick).map(|plugin| {
        let what = format!("plugin {} {}", plugin.role.map_or("file", Role::name), plugin.id);
        let word = if plugin.state == State::Quarantined { "quarantined" } else { "refused" };
        row(what, "wrong", format!("{word}: {}", plugin.reason.as_deref().unwrap_or("it does not say why")))
    }));
    findings
}
