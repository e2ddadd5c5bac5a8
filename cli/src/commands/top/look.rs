//! What is asked of the daemon for one picture, and what the keys have it do.
use super::super::show;
use bursar_wire as wire;

/// Everything that one picture shows.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub claims: Vec<wire::Claim>,
    pub pools: Vec<wire::Pool>,
    pub scopes: Vec<wire::Scope>,
    /// Share of time in which something on this host waited for memory, in percent; `None` where it is unknown.
    pub memory_pressure: Option<f64>,
    /// The same for processors.
    pub cpu_pressure: Option<f64>,
}

/// Looks once.
pub fn look(client: &mut wire::Client) -> Result<Snapshot, wire::Failure> {
    let claims: wire::Claims = client.list()?;
    let pools: wire::Pools = client.list()?;
    let scopes: wire::Scopes = client.list()?;
    let doctor: wire::Doctor = client.doctor()?;
    let reading = |name: &str| {
        let found = doctor.findings.iter().find(|finding| finding.what == name)?;
        found.detail.parse().ok()
    };
    Ok(Snapshot {
        claims: claims.claims,
        pools: pools.pools,
        scopes: scopes.scopes,
        memory_pressure: reading("host_memory_pressure_some_avg10_percent"),
        cpu_pressure: reading("host_cpu_pressure_some_avg10_percent"),
    })
}

/// Why a claim waits, in lines.
pub fn explain(client: &mut wire::Client, claim: u64) -> Vec<String> {
    match client.explain(claim) {
        Ok(explain) => show::explain(&explain).lines().map(str::to_owned).collect(),
        Err(failure) => vec![failure.to_string()],
    }
}

/// Ends a claim; says what came of it.
pub fn end(client: &mut wire::Client, claim: u64) -> Vec<String> {
    match client.cancel(claim, None) {
        Ok(_) => vec![format!("claim {claim} is being ended")],
        Err(failure) => vec![failure.to_string()],
    }
}
