//! Waiting claims that have no rank yet, in the order in which they came. Those that leave are only
//! counted, and swept out once they are the greater part: coming and going costs no search.
use bursar_interface::ClaimId;

/// Entries that may be stale before it is worth looking.
const STALE_MIN: usize = 64;

/// Claims that came, and how many of them have left meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fresh {
    claims: Vec<ClaimId>,
    left: usize,
}

impl Fresh {
    /// A claim came.
    pub(crate) fn push(&mut self, claim: ClaimId) {
        self.claims.push(claim);
    }

    /// One of them left, whichever it was.
    pub(crate) fn leave(&mut self) {
        self.left += 1;
        if self.left >= self.claims.len() {
            self.clear();
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.claims.len() - self.left
    }

    /// All that came since the last [`Fresh::clear`], some of which may have left.
    pub(crate) fn claims(&self) -> &[ClaimId] {
        &self.claims
    }

    /// Everyone has a rank now.
    pub(crate) fn clear(&mut self) {
        self.claims.clear();
        self.left = 0;
    }

    /// Whether enough of them left for [`Fresh::sweep`] to be worth it.
    pub(crate) fn stale(&self) -> bool {
        self.left > STALE_MIN + self.claims.len() / 2
    }

    /// Forgets those that do not wait any more.
    pub(crate) fn sweep(&mut self, waits: impl Fn(ClaimId) -> bool) {
        self.claims.retain(|&claim| waits(claim));
        self.left = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_left_is_counted_out_and_swept_in_the_end() {
        let mut fresh = Fresh::default();
        (0..1000).for_each(|id| fresh.push(ClaimId(id)));
        (0..500).for_each(|_| fresh.leave());
        assert!(!fresh.stale() && fresh.len() == 500 && fresh.claims().len() == 1000);
        (0..100).for_each(|_| fresh.leave());
        assert!(fresh.stale());
        fresh.sweep(|claim| claim.0 >= 600);
        assert_eq!((fresh.len(), fresh.claims().len(), fresh.stale()), (400, 400, false));
        (0..400).for_each(|_| fresh.leave());
        assert_eq!((fresh.len(), fresh.claims().len()), (0, 0));
    }
}
