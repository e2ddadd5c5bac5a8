//! Everybody's place in the line, for those who only read: found when somebody wants to know, once for each state.
use super::follower::claim_of;
use bursar_engine::{Engine, Stood};
use bursar_interface::{Batch, ClaimId, What};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Places that are told: whoever stands behind them hears that it is not known. To find more takes longer than
/// anybody who reads may hold up those who answer.
pub const PLACES_MAX: usize = 10_000;

/// The places of one state, from 1.
type Found = HashMap<ClaimId, u64>;

/// Who stands in line, as the one that decides told.
#[derive(Debug, Default)]
pub struct Places(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    standing: BTreeMap<ClaimId, Stood>,
    /// The places as of a sequence.
    found: Option<(u64, Arc<Found>)>,
}

impl Places {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These took places in the steps that made `batches`, in which some may have been granted or have gone.
    pub fn see<'a>(&self, stood: Vec<Stood>, batches: impl Iterator<Item = &'a Batch>) {
        let mut known = self.known();
        known.standing.extend(stood.into_iter().map(|stood| (stood.claim, stood)));
        if known.standing.is_empty() {
            return;
        }
        for event in batches.flat_map(|batch| &batch.events) {
            if let (What::Granted { .. } | What::Closed { .. }, Some(claim)) =
                (&event.what, claim_of(&event.what))
            {
                known.standing.remove(&claim);
            }
        }
    }

    /// The place of a claim that waits, from 1; a gang has one, which is that of all its members. `None` for one that
    /// does not wait, that stands beyond [`PLACES_MAX`], or whose gang is not complete.
    pub fn of(&self, engine: &Engine, claim: ClaimId) -> Option<u64> {
        let found = self.found(engine)?;
        let own = found.get(&claim).copied();
        own.or_else(|| engine.gang_members(claim).iter().find_map(|member| found.get(member).copied()))
    }

    fn found(&self, engine: &Engine) -> Option<Arc<Found>> {
        let seq = engine.next_seq();
        let standing: Vec<Stood> = {
            let known = self.known();
            match &known.found {
                Some((known_at, found)) if *known_at == seq => return Some(found.clone()),
                _ if known.standing.is_empty() => return None,
                _ => known.standing.values().copied().collect(),
            }
        };
        let found: Found = engine.order(standing, PLACES_MAX).into_iter().zip(1..).collect();
        let found = Arc::new(found);
        self.known().found = Some((seq, found.clone()));
        Some(found)
    }
}
