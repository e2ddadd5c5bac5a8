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
    let claims: wire::Claims = client.get("/v1/claims")?;
    let pools: wire::Pools = client.get("/v1/pools")?;
    let scopes: wire::Scopes = client.get("/v1/scopes")?;
    let doctor: wire::Doctor = client.get("/v1/doctor")?;
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
    match client.get::<wire::Explain>(&format!("/v1/claims/{claim}/explain")) {
        Ok(explain) => show::explain(&explain).lines().map(str::to_owned).collect(),
        Err(failure) => vec![failure.to_string()],
    }
}

/// Ends a claim; says what came of it.
pub fn end(client: &mut wire::Client, claim: u64) -> Vec<String> {
    let path = format!("/v1/claims/{claim}/cancel");
    match client.send::<wire::ClaimAnswer>("POST", &path, &serde_json::json!({}), None) {
        Ok(_) => vec![format!("claim {claim} is being ended")],
        Err(failure) => vec![failure.to_string()],
    }
}
