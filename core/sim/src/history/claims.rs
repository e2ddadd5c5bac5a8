//! The claims of a history: who was granted what, and within what time that and its end took effect.
use super::{Broken, Kind, Law, Op, Outcome};

/// The points between which something took effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) earliest: u64,
    pub(super) latest: u64,
}

/// One claim that was granted.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// Index of the ask.
    pub(super) ask: u32,
    /// Of what.
    pub(super) resource: u32,
    /// How much.
    pub(super) amount: u64,
    /// Its token.
    pub(super) fence: u64,
    /// When it was granted, once that is known.
    pub(super) granted: Option<Window>,
    /// When its lease ended, if it did.
    pub(super) ended: Option<Window>,
    /// The earliest point at which somebody may have ended it, heard of or not.
    pub(super) ends_from: u64,
}

/// All claims that were granted, by identity.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    ids: Vec<u64>,
    pub(super) all: Vec<Claim>,
}

impl Claims {
    /// Collects them.
    pub(super) fn of(ops: &[Op]) -> Result<Claims, Broken> {
        let granted =
            ops.iter().zip(0..).filter(|(op, _)| op.kind == Kind::Ask && op.outcome == Outcome::Done);
        let mut asks: Vec<(u64, u32)> = granted.map(|(op, index)| (op.claim, index)).collect();
        asks.sort_unstable();
        if let Some(twice) = asks.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let why = format!("claim {} was granted to operation {} already", twice[0].0, twice[0].1);
            return Err(Broken::new(Law::Fence, twice[1].1 as usize, why));
        }
        let claim = |&(_, ask): &(u64, u32)| {
            let Op { resource, amount, fence, .. } = ops[ask as usize];
            Claim { ask, resource, amount, fence, granted: None, ended: None, ends_from: u64::MAX }
        };
        let mut claims =
            Claims { ids: asks.iter().map(|(id, _)| *id).collect(), all: asks.iter().map(claim).collect() };
        for op in ops {
            let ends = matches!(op.kind, Kind::Release | Kind::Expire)
                && matches!(op.outcome, Outcome::Done | Outcome::Unknown);
            if let (true, Some(claim)) = (ends, claims.get_mut(op.claim)) {
                claim.ends_from = claim.ends_from.min(op.t_invoke);
            }
        }
        Ok(claims)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Claim> {
        let place = self.place(id)?;
        self.all.get_mut(place)
    }

    /// Identities are mostly without gaps: where one would stand then is where it is looked for first.
    fn place(&self, id: u64) -> Option<usize> {
        let guess = id.checked_sub(*self.ids.first()?)? as usize;
        match self.ids.get(guess) {
            Some(found) if *found == id => Some(guess),
            _ => self.ids.binary_search(&id).ok(),
        }
    }

    fn get(&self, id: u64) -> Option<&Claim> {
        self.all.get(self.place(id)?)
    }

    /// What is read was so at some point of its reading, and stays so for those who read later.
    pub(super) fn check_reads(&mut self, ops: &[Op]) -> Result<(), Broken> {
        for op in ops {
            let Some(returned) = op.t_return else { continue };
            let Some(claim) = self.get_mut(op.claim) else { continue };
            match op.outcome {
                Outcome::Held => {
                    if let Some(ended) = &mut claim.ended {
                        ended.earliest = ended.earliest.max(op.t_invoke);
                    }
                }
                _ if found_gone(op, claim) => {
                    if let Some(ended) = &mut claim.ended {
                        ended.latest = ended.latest.min(returned);
                    }
                }
                _ => {}
            }
        }
        ops.iter().enumerate().try_for_each(|(index, op)| {
            let Some(returned) = op.t_return else { return Ok(()) };
            self.read(op, returned).map_err(|why| Broken::new(Law::Read, index, why))
        })
    }

    fn read(&self, op: &Op, returned: u64) -> Result<(), String> {
        let claim = self.get(op.claim);
        let granted = claim.and_then(|claim| claim.granted);
        let ended = claim.and_then(|claim| claim.ended);
        if op.outcome == Outcome::Held {
            return match granted {
                None => Err(format!("claim {} is held, and nobody was granted it", op.claim)),
                Some(window) if window.earliest > returned => {
                    Err(format!("claim {} is held before it can have been granted", op.claim))
                }
                _ if ended.is_some_and(|window| window.latest < op.t_invoke) => {
                    Err(format!("claim {} is held after its end was known", op.claim))
                }
                _ => Ok(()),
            };
        }
        match claim {
            Some(claim) if found_gone(op, claim) => match ended {
                None => Err(format!("claim {} is gone, and nothing ended it", op.claim)),
                Some(window) if window.earliest > returned => {
                    Err(format!("claim {} is gone while it must still be held", op.claim))
                }
                _ => Ok(()),
            },
            None if op.outcome == Outcome::Gone => {
                Err(format!("claim {} has ended, and nobody was granted it", op.claim))
            }
            _ => Ok(()),
        }
    }
}

/// Whether an answer says that the lease has ended: by a look, or by refusing its own token.
fn found_gone(op: &Op, claim: &Claim) -> bool {
    op.outcome == Outcome::Gone || op.outcome == Outcome::Stale && op.fence == claim.fence
}
