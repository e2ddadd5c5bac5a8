//! What a hook knows of a claim that an earlier hook made: each is a process of its own and keeps nothing, so
//! the claim is found by a key that follows from the task's name, and the daemon is asked for it.
use super::{Trouble, Turn};
use bursar_interface::{Fence, Reason};
use bursar_wire::{self as wire, AskBody, AttachBody, Claim, ClaimAnswer, Failure, FenceBody, LineBody};
use std::time::Instant;

/// How often one name may be used again after its claim has ended, while the daemon remembers that one.
const AGAIN_MAX: u32 = 64;
/// Bytes of a name that become part of a key or a scope.
const NAME_BYTES_MAX: usize = 64;

/// A name as a level of a scope, or part of one: what is not plain becomes a dash.
pub fn level(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    name.chars().map(plain).take(NAME_BYTES_MAX).collect()
}

/// Levels of a scope as one path; empty ones are left out.
pub fn path(levels: &[&str]) -> String {
    levels.iter().filter(|level| !level.is_empty()).copied().collect::<Vec<_>>().join("/")
}

/// The key of the `n`th claim of a name.
fn key(name: &str, n: u32) -> String {
    if n == 0 { format!("hook/{name}") } else { format!("hook/{name}/{n}") }
}

fn ended(claim: &Claim) -> bool {
    claim.phase == "closed" || claim.phase == "draining"
}

impl Turn<'_> {
    /// Asks under a name: the living claim of that name, if there is one.
    pub fn ask(&mut self, name: Option<&str>, body: &AskBody) -> Result<Claim, Trouble> {
        let Some(name) = name else { return Ok(self.send(body, None)?) };
        let since = Instant::now();
        let wait = body.wait.as_deref().and_then(|wait| wire::duration(wait).ok()).unwrap_or_default();
        let refused = match self.send(body, Some(&key(name, 0))) {
            Ok(claim) if !ended(&claim) => return Ok(claim),
            Ok(_) => None,
            // That one has waited, and is no earlier one.
            Err(failure @ Failure::Refused(_)) if wait.is_zero() || since.elapsed() < wait => Some(failure),
            Err(failure) => return Err(failure.into()),
        };
        // It may be that an earlier claim of that name has ended, or was refused.
        match (self.look(name)?, refused) {
            ((Some(claim), _), _) if claim.phase != wire::PENDING => Ok(claim),
            ((None, 0), Some(failure)) => Err(failure.into()),
            // One that waits is waited for.
            ((_, n), _) => Ok(self.send(body, Some(&key(name, n)))?),
        }
    }

    fn send(&mut self, body: &AskBody, key: Option<&str>) -> Result<Claim, Failure> {
        self.client.send::<ClaimAnswer>("POST", "/v1/claims", body, key).map(|answer| answer.claim)
    }

    /// The living claim of a name; `None` if there is none.
    pub fn find(&mut self, name: &str) -> Result<Option<Claim>, Trouble> {
        self.look(name).map(|(claim, _)| claim)
    }

    /// The living claim of a name and its number, or the number of the next one. An ask for no time at all is
    /// refused, unless its key is known: then it is the claim.
    fn look(&mut self, name: &str) -> Result<(Option<Claim>, u32), Trouble> {
        let lines = vec![LineBody { resource: "pids".into(), amount: "1".into(), ..LineBody::default() }];
        let nothing = AskBody { lines, ttl: Some("0s".into()), detach: true, ..AskBody::default() };
        for n in 0..AGAIN_MAX {
            match self.send(&nothing, Some(&key(name, n))) {
                Ok(claim) if ended(&claim) => {}
                Ok(claim) => return Ok((Some(claim), n)),
                Err(Failure::Refused(error)) if error.reason == Reason::BadRequest.name() => {
                    return Ok((None, n));
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        Err(Trouble::input(
            format!("{name:?} was used {AGAIN_MAX} times in ten minutes"),
            "use a new task_id",
        ))
    }

    /// Binds a claim to the life of a process, which then lives inside its lease.
    pub fn attach(&mut self, claim: &Claim, pid: u32) -> Result<Claim, Trouble> {
        let body = AttachBody { fence: Fence(claim.fence.unwrap_or(0)), pid };
        let path = format!("/v1/claims/{}/attach", claim.id);
        Ok(self.client.send::<ClaimAnswer>("POST", &path, &body, None)?.claim)
    }

    /// Gives a claim back.
    pub fn release(&mut self, id: u64, fence: Fence) -> Result<Claim, Trouble> {
        let path = format!("/v1/claims/{id}/release");
        Ok(self.client.send::<ClaimAnswer>("POST", &path, &FenceBody { fence }, None)?.claim)
    }

    /// The process that runs the hooks: the one named, else the nearest forebear that is no shell.
    pub fn agent(&self) -> Option<u32> {
        self.hook.agent_pid.or_else(|| {
            let parent = std::os::unix::process::parent_id();
            let (name, its_parent) = status(parent)?;
            Some(if SHELLS.contains(&name.as_str()) { its_parent } else { parent })
        })
    }
}

/// Programs that only start a hook.
const SHELLS: [&str; 6] = ["sh", "bash", "dash", "zsh", "ksh", "fish"];

/// Name and parent of a process.
fn status(pid: u32) -> Option<(String, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Some((field("Name:")?.to_owned(), field("PPid:")?.parse().ok().filter(|parent| *parent > 1)?))
}

/// The lease that this process lives in, by the name of its control group.
pub fn within() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    groups
        .lines()
        .flat_map(|line| line.split('/'))
        .find_map(|level| level.strip_prefix("lease-")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_levels_that_a_scope_can_have() {
        assert_eq!(level("toolu_01/../x y\u{7}é"), "toolu_01-..-x-y--");
        assert_eq!(level(&"x".repeat(200)).len(), NAME_BYTES_MAX);
        assert_eq!(path(&["", "team", "session-1", ""]), "team/session-1");
        assert_eq!((key("t", 0), key("t", 2)), ("hook/t".into(), "hook/t/2".into()));
    }
}
