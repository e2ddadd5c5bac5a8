//! How a line moves under a qos of a library: told once, when it is made, and looked at before anybody goes by it.
use bursar_abi::RDiscipline;
use bursar_interface::{Backfill, Discipline, bound::TTL_NS_MAX};

/// What a qos says of itself; the host's own way where it says nothing.
///
/// # Errors
/// In words what cannot be.
pub(crate) fn disciplined(told: RDiscipline) -> Result<Discipline, String> {
    let RDiscipline { reserve_after_ns, backfill } = told;
    if backfill == 0 {
        return Ok(Discipline::default());
    }
    if reserve_after_ns > TTL_NS_MAX {
        return Err(format!(
            "discipline: it keeps for the oldest after {reserve_after_ns} ns; at most {TTL_NS_MAX} ns (30 days)"
        ));
    }
    let known =
        Backfill::of(backfill).ok_or_else(|| format!("discipline: backfill {backfill}; there are 1 to 3"));
    known.map(|backfill| Discipline { reserve_after_ns, backfill })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reserve_after_ns: u64, backfill: u64) -> Result<Discipline, String> {
        disciplined(RDiscipline { reserve_after_ns, backfill })
    }

    #[test]
    fn what_it_says_holds_and_nothing_is_the_hosts_own_way() {
        for backfill in [Backfill::Nothing, Backfill::Harmless, Backfill::Anything] {
            let said = Discipline { reserve_after_ns: 7, backfill };
            assert_eq!(told(7, backfill.number()), Ok(said));
        }
        assert_eq!(told(7, 0), Ok(Discipline::default()));
    }

    #[test]
    fn what_cannot_be_is_named() {
        assert!(told(u64::MAX, 1).is_err_and(|why| why.contains("at most 2592000000000000 ns")));
        assert!(told(0, 4).is_err_and(|why| why.contains("backfill 4; there are 1 to 3")));
    }
}
