//! What the events say of each claim, as whoever asked for it would write it down.
use super::{Broken, Law, broken};
use bursar_interface::{Batch, ClaimId, Command, Ending, Event, Fence, Input, LineAsk, What, bound::KEPT_NS};
use std::collections::BTreeMap;

/// The longest grace after a restart, in nanoseconds.
const GRACE_NS: u64 = 30_000_000_000;

/// Where a claim is: it only moves down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Waits,
    Held,
    Draining,
}

/// One claim that lives.
#[derive(Clone, Debug)]
pub(super) struct Life {
    stage: Stage,
    pub(super) fence: Fence,
    /// When its waiting or its lease ends, in nanoseconds.
    until: u64,
    ttl_ns: u64,
    /// An edge must prove its return.
    bodied: bool,
    /// Which of its sets of lines are made true by an edge.
    driven: Vec<bool>,
    /// Its return was proved, and it closes once those within it have.
    proved: bool,
    /// It draws from another lease, and lasts no longer than that.
    within: bool,
    /// It has had its grace, and was not renewed since.
    graced: bool,
}

/// All that live, and what is remembered of those that do not.
#[derive(Clone, Debug, Default)]
pub(super) struct Lives {
    pub(super) live: BTreeMap<ClaimId, Life>,
    /// First claim of each key of each principal, and when it was gone.
    keys: BTreeMap<(String, String), (ClaimId, Option<u64>)>,
    keyed: BTreeMap<ClaimId, (String, String)>,
    /// The highest token given out, and the epoch that is.
    fence: u64,
    epoch: u64,
}

impl Lives {
    /// Checks and writes down what was done.
    pub(super) fn hear(&mut self, batch: &Batch, event: &Event) -> Result<(), Broken> {
        let (at, input) = (batch.at.0, event.cause.and_then(|cause| batch.inputs.get(cause as usize)));
        if let Some(input) = input {
            self.token_counts(input, &event.what)?;
        }
        match &event.what {
            What::Started => self.started(input),
            What::Queued { claim, .. } => self.queued(at, *claim, input),
            What::Repeated(_) if is_resize(input) => Ok(()),
            What::Repeated(claim) => self.repeated(*claim, input),
            What::Chosen { claim, alternative } => {
                self.with(*claim, |life| life.bodied = life.driven[*alternative as usize]);
                Ok(())
            }
            What::Returned { claim, .. } => {
                let proof = proves(input, *claim);
                self.with(*claim, |life| life.proved |= proof);
                Ok(())
            }
            What::Granted { claim, fence, lease_until, .. } => {
                self.granted(at, *claim, *fence, lease_until.0)
            }
            What::Renewed { claim, lease_until } if is_back(input) => self.graced(at, *claim, lease_until.0),
            What::Renewed { claim, lease_until } => {
                self.with(*claim, |life| (life.until, life.graced) = (lease_until.0, false));
                Ok(())
            }
            What::Attached(claim) => {
                self.with(*claim, |life| life.bodied = true);
                Ok(())
            }
            What::Draining { claim, ending } => {
                self.in_time(at, *claim, *ending)?;
                self.heard(batch, *claim, *ending)?;
                self.moves(*claim, Stage::Draining)
            }
            What::Closed { claim, ending } => {
                self.heard(batch, *claim, *ending)?;
                self.closed(at, *claim, *ending, input)
            }
            _ => Ok(()),
        }
    }

    fn with(&mut self, claim: ClaimId, act: impl FnOnce(&mut Life)) {
        if let Some(life) = self.live.get_mut(&claim) {
            act(life);
        }
    }

    fn started(&mut self, input: Option<&Input>) -> Result<(), Broken> {
        if let Some(Input { body: Command::Start { epoch, .. }, .. }) = input {
            self.epoch = (*epoch).max(self.epoch + 1);
        }
        Ok(())
    }

    fn queued(&mut self, at: u64, claim: ClaimId, input: Option<&Input>) -> Result<(), Broken> {
        let Some(Input { by, body: Command::Ask(ask) }) = input else {
            return broken(Law::Life, format!("claim {claim} was queued, and nobody asked"));
        };
        if let Some(name) = &ask.key {
            let key = (by.root.clone(), name.clone());
            if let Some((first, gone)) = self.keys.get(&key)
                && gone.is_none_or(|gone| at < gone + KEPT_NS)
            {
                return broken(Law::Once, format!("claim {claim} has the key of claim {first}"));
            }
            self.keys.insert(key.clone(), (claim, None));
            self.keyed.insert(claim, key);
        }
        let within = ask.parent(by).is_some();
        // A port that is drawn from a lease was made true with that.
        let of_edge = |line: &LineAsk| line.resource == "port" && !within;
        let sets = std::iter::once(&ask.lines).chain(&ask.alternatives);
        let driven: Vec<bool> = sets.map(|set| set.iter().any(of_edge)).collect();
        let bodied = driven[0];
        let (until, ttl_ns) = (at.saturating_add(ask.wait_ns), ask.ttl_ns);
        let (stage, fence, proved, graced) = (Stage::Waits, Fence(0), false, false);
        let life = Life { stage, fence, until, ttl_ns, bodied, driven, proved, within, graced };
        match self.live.insert(claim, life) {
            Some(_) => broken(Law::Life, format!("claim {claim} was queued already")),
            None => Ok(()),
        }
    }

    fn repeated(&self, claim: ClaimId, input: Option<&Input>) -> Result<(), Broken> {
        let key = |input: &Input| match &input.body {
            Command::Ask(ask) => Some((input.by.root.clone(), ask.key.clone()?)),
            _ => None,
        };
        let first = input.and_then(key).and_then(|key| self.keys.get(&key)).map(|(first, _)| *first);
        match first == Some(claim) {
            true => Ok(()),
            false => {
                broken(Law::Once, format!("a repeated ask was answered {claim}, and {first:?} at first"))
            }
        }
    }

    fn granted(&mut self, at: u64, claim: ClaimId, fence: Fence, until: u64) -> Result<(), Broken> {
        if fence.0 <= self.fence {
            return broken(
                Law::Fence,
                format!("fence {fence} of claim {claim} does not rise above {}", self.fence),
            );
        }
        if fence.0 >> 40 != self.epoch {
            return broken(Law::Fence, format!("fence {fence} is not of epoch {}", self.epoch));
        }
        self.fence = fence.0;
        self.moves(claim, Stage::Held)?;
        let (ttl_ns, within) = self.live.get(&claim).map_or((0, false), |life| (life.ttl_ns, life.within));
        let whole = at.saturating_add(ttl_ns);
        if until != whole && !(within && until < whole) {
            return broken(
                Law::Time,
                format!("claim {claim} was granted until {until} at {at} for {ttl_ns}"),
            );
        }
        self.with(claim, |life| (life.fence, life.until) = (fence, until));
        Ok(())
    }

    /// A restart, or that the daemon was held up, makes no lease longer by more than one grace, counted from its end or
    /// from the first time after that at which the daemon is back, and none twice.
    fn graced(&mut self, at: u64, claim: ClaimId, until: u64) -> Result<(), Broken> {
        let Some(life) = self.live.get_mut(&claim) else { return Ok(()) };
        let most = life.until.max(at).saturating_add(life.ttl_ns.min(GRACE_NS));
        if life.graced || until > most {
            return broken(Law::Time, format!("claim {claim} has a grace until {until} at {at}"));
        }
        (life.until, life.graced) = (until, true);
        Ok(())
    }

    /// Whoever could not renew because nobody was there is heard before the lease is over.
    fn heard(&self, batch: &Batch, claim: ClaimId, ending: Ending) -> Result<(), Broken> {
        let starts = batch.inputs.iter().any(|input| is_back(Some(input)));
        let held = self.live.get(&claim).filter(|life| life.stage == Stage::Held && !life.within);
        match held {
            Some(life) if starts && ending == Ending::LeaseExpired && !life.graced => {
                broken(Law::Time, format!("claim {claim} is over as the daemon is back"))
            }
            _ => Ok(()),
        }
    }

    fn moves(&mut self, claim: ClaimId, to: Stage) -> Result<(), Broken> {
        let Some(life) = self.live.get_mut(&claim) else {
            return broken(Law::Life, format!("claim {claim} came from nowhere"));
        };
        let from = std::mem::replace(&mut life.stage, to);
        match from < to && (to != Stage::Draining || from == Stage::Held) {
            true => Ok(()),
            false => broken(Law::Life, format!("claim {claim} moved from {from:?} to {to:?}")),
        }
    }

    fn closed(
        &mut self,
        at: u64,
        claim: ClaimId,
        ending: Ending,
        input: Option<&Input>,
    ) -> Result<(), Broken> {
        self.in_time(at, claim, ending)?;
        let Some(life) = self.live.remove(&claim) else {
            return broken(Law::Life, format!("claim {claim} came from nowhere and is closed"));
        };
        let proof = life.proved || proves(input, claim);
        if life.stage > Stage::Waits && life.bodied && !proof {
            return broken(Law::Proof, format!("claim {claim} is free, and nobody proved its return"));
        }
        if let Some(entry) = self.keyed.remove(&claim).and_then(|key| self.keys.get_mut(&key)) {
            entry.1 = Some(at);
        }
        Ok(())
    }

    /// Nobody's time ends early.
    fn in_time(&self, at: u64, claim: ClaimId, ending: Ending) -> Result<(), Broken> {
        let Some(life) = self.live.get(&claim) else { return Ok(()) };
        let due = match (ending, life.stage) {
            (Ending::WaitExpired, Stage::Waits) | (Ending::LeaseExpired, Stage::Held) => life.until,
            _ => return Ok(()),
        };
        match at >= due {
            true => Ok(()),
            false => broken(Law::Time, format!("claim {claim} ended at {at}, and had time until {due}")),
        }
    }

    /// A token does something only while its lease lasts, and then giving back works.
    fn token_counts(&self, input: &Input, what: &What) -> Result<(), Broken> {
        let (claim, fence, last) = match &input.body {
            Command::Release { claim, fence }
            | Command::Renew { claim, fence, .. }
            | Command::Attach { claim, fence, .. }
            | Command::Extend { claim, fence, .. }
            | Command::Shrink { claim, fence, .. } => (claim, fence, Stage::Held),
            Command::Settle { claim, fence, .. } => (claim, fence, Stage::Draining),
            _ => return Ok(()),
        };
        let life = self.live.get(claim);
        let lasts =
            life.is_some_and(|life| life.fence == *fence && (Stage::Held..=last).contains(&life.stage));
        let gives_back = matches!(input.body, Command::Release { .. }) && input.by.root.is_empty();
        match what {
            What::Refused(refusal) if lasts && gives_back => {
                broken(Law::Release, format!("claim {claim} cannot be given back: {refusal}"))
            }
            What::Refused(_) => Ok(()),
            _ if lasts => Ok(()),
            _ => broken(Law::Stale, format!("fence {fence} did something to claim {claim}: {what:?}")),
        }
    }

    /// Whether the state has exactly these claims, with these tokens and deadlines.
    pub(super) fn are(&self, engine: &bursar_engine::Engine) -> Result<(), Broken> {
        let view = engine.view();
        let rows = (0..view.claims.len()).filter(|&c| view.claims.id[c] != 0);
        let mut count = 0;
        for c in rows {
            count += 1;
            let id = ClaimId(view.claims.id[c]);
            let Some(life) = self.live.get(&id) else {
                return broken(
                    Law::Durable,
                    format!("claim {id} is there, and nothing that was recorded says so"),
                );
            };
            let until = if life.stage == Stage::Waits {
                view.claims.wait_until[c]
            } else {
                view.claims.lease_until[c]
            };
            if life.fence.0 != view.claims.fence[c] || life.stage < Stage::Draining && life.until != until {
                return broken(Law::Owner, format!("claim {id} is not as it was granted"));
            }
        }
        match count == self.live.len() {
            true => Ok(()),
            false => {
                broken(Law::Durable, format!("{count} claims are there, and {} should be", self.live.len()))
            }
        }
    }

    /// Nobody keeps a lease, or waits, beyond the time.
    pub(super) fn nobody_outstays(&self, now: u64) -> Result<(), Broken> {
        match self.live.iter().find(|(_, life)| life.stage < Stage::Draining && life.until <= now) {
            None => Ok(()),
            Some((claim, life)) => {
                broken(Law::Time, format!("claim {claim} outstays its deadline {} at {now}", life.until))
            }
        }
    }
}

/// Whether an edge proved the return of a claim.
fn proves(input: Option<&Input>, claim: ClaimId) -> bool {
    matches!(input, Some(Input { body: Command::Reclaimed { claim: of, .. }, .. }) if *of == claim)
}

/// Whether the daemon was away, or held up, and is back.
fn is_back(input: Option<&Input>) -> bool {
    input.is_some_and(|input| matches!(input.body, Command::Start { .. } | Command::Woke))
}

/// Whether somebody said again what a lease is to hold.
fn is_resize(input: Option<&Input>) -> bool {
    input.is_some_and(|input| matches!(input.body, Command::Extend { .. } | Command::Shrink { .. }))
}
