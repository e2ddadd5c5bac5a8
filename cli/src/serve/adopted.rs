//! What an enforcer takes over from the daemon that was before: what the books say is there goes on, and cells that no
//! lease has are swept away.
use super::enforcer::Enforcer;
use bursar_enforce::Reclaim;
use bursar_interface::{ClaimId, Phase, Row};
use std::time::Duration;

impl Enforcer {
    /// To be done once, before anything else.
    pub(super) fn adopt(&mut self) {
        let known: Vec<(ClaimId, Phase, bool)> = self.follower.read(|engine| {
            let view = engine.view();
            let rows = (0..view.claims.len() as Row).filter(|&row| view.claims.id[row as usize] != 0);
            rows.map(|row| {
                let claim = ClaimId(view.claims.id[row as usize]);
                (claim, engine.books().phase(row), !engine.bodies(claim).is_empty())
            })
            .collect()
        });
        for &(claim, phase, bodied) in known.iter().filter(|(_, phase, _)| *phase != Phase::Pending) {
            let driven = self.driven(claim);
            if !bodied && driven.is_empty() {
                continue;
            }
            let held = self.held(claim);
            (held.adopted, held.driven) = (true, driven);
            if phase == Phase::Draining {
                self.draining(claim);
                continue;
            }
            self.enforce_driven(claim);
            if bodied {
                self.readopt(claim);
            }
            // A change that was under way is made true now.
            if self.follower.read(|engine| engine.resizing(claim).is_some()) {
                self.resize(claim);
            }
            self.readopt_frozen(claim);
        }
        let stray = |path: &Vec<ClaimId>| !known.iter().any(|(known, ..)| Some(known) == path.last());
        let strays = self.hierarchy.cells().into_iter().filter(stray);
        self.strays =
            strays.map(|path| Reclaim::begin(self.hierarchy.cell_at(&path), Duration::ZERO)).collect();
    }

    /// Takes a lease's cell and processes over from the daemon that was before.
    fn readopt(&mut self, claim: ClaimId) {
        let (limits, bodies, becoming) = self.follower.read(|engine| {
            let row = engine.books().claim(claim);
            let limits = row.map(|row| super::held::limits_before(engine, row)).unwrap_or_default();
            (limits, engine.bodies(claim).to_vec(), row.is_some_and(|row| engine.books().becoming(row)))
        });
        self.held(claim);
        let around = self.build_around(claim);
        let hierarchy = self.hierarchy.clone();
        let held = self.held(claim);
        if let Err(error) = around.and_then(|()| held.take_over(limits, &bodies, &hierarchy)) {
            tracing::warn!(%claim, %error, "a lease from before the restart is not limited any more");
        }
        if becoming {
            self.tell_enforced(claim);
        }
    }
}
