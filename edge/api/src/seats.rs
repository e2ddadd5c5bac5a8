//! Counts connections: so many in all, so many of one user.
use crate::Limits;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The connections that there may be.
pub(crate) struct Seats {
    connections: usize,
    per_uid: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_uid: BTreeMap<u32, usize>,
}

/// One connection's place; free again when dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    uid: u32,
}

impl Seats {
    pub(crate) fn new(limits: &Limits) -> Arc<Seats> {
        let (connections, per_uid) = (limits.connections, limits.per_uid);
        Arc::new(Seats { connections, per_uid, taken: Mutex::default() })
    }

    /// A place for a user's connection; `None` when the house or that user's part of it is full.
    pub(crate) fn take(self: &Arc<Self>, uid: u32) -> Option<Seat> {
        let mut taken = self.taken();
        let of_user = taken.by_uid.get(&uid).copied().unwrap_or(0);
        if taken.all >= self.connections || of_user >= self.per_uid {
            return None;
        }
        taken.all += 1;
        taken.by_uid.insert(uid, of_user + 1);
        Some(Seat { seats: self.clone(), uid })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all -= 1;
        let of_user = taken.by_uid.remove(&self.uid).unwrap_or(1) - 1;
        if of_user > 0 {
            taken.by_uid.insert(self.uid, of_user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_never_takes_the_whole_house() {
        let limits = Limits { connections: 3, per_uid: 2, ..Limits::for_files(1024) };
        let seats = Seats::new(&limits);
        let first = seats.take(1000).expect("an empty house");
        let second = seats.take(1000).expect("room for two");
        assert!(seats.take(1000).is_none(), "two is all that one user gets");
        let other = seats.take(1001).expect("another user still gets in");
        assert!(seats.take(1002).is_none(), "three is all that the house has");
        drop((first, other));
        let third = seats.take(1000).expect("a place that was left is free again");
        drop((second, third));
        assert!(seats.taken().by_uid.is_empty() && seats.taken().all == 0);
    }
}
