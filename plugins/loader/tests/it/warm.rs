//! Children that are warmed up before they decide: on a copy of the books, once, for nothing, and without blame.
use crate::{
    at_home, badly_behaved,
    place::{books, place},
};
use bursar_interface::{FaultKind, Fence, Home, Time, View};
use bursar_loader::Scene;
use bursar_pool::Books;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A copy of the books, how far the deciding ones are, and how often it was looked at.
struct Copy(Books, u64, AtomicUsize);

impl Scene for Copy {
    fn look(&self, see: &mut dyn FnMut(&View<'_>)) {
        self.2.fetch_add(1, Ordering::Relaxed);
        see(&self.0.view());
    }

    fn caught_up(&self) -> Option<u64> {
        Some(self.1)
    }
}

/// A copy that has counted its changes by itself.
fn copy_of(deciding: &Books) -> Arc<Copy> {
    let mut copy = books().0;
    (0..3).for_each(|_| copy.begin_change());
    Arc::new(Copy(copy, deciding.view().epoch, AtomicUsize::new(0)))
}

#[test]
fn one_that_was_warmed_up_sees_what_has_changed_since() {
    let (mut books, queue) = books();
    let (mut loader, _scratch) = at_home(Home::Child);
    let scene = copy_of(&books);
    loader.warm_up_on(scene.clone());
    let mut child = loader.allocator("first-fit", "").expect("there").plugin;
    assert!(scene.2.load(Ordering::Relaxed) > 1, "it was shown the copy");
    let taken = place(&mut *loader.allocator("first-fit", "").expect("there").plugin, &books, &queue[..1]);
    let placement = books.check(&taken.expect("a plan")).expect("lawful");
    books.begin_change();
    books.grant(queue[0], Fence(1), &placement, Time::NEVER);
    // The small node has 1.5 cores left: the claim for 2 goes to the large one.
    assert_eq!(place(&mut *child, &books, &queue[3..]).expect("a plan")[0].node, 1);
    loader.qos("class", "").expect("a qos is warmed up as well");
}

#[test]
fn what_it_does_in_its_trial_costs_no_strike() {
    let (books, queue) = books();
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    loader.warm_up_on(copy_of(&books));
    let mut panics = loader.allocator("chaos-panic", "").expect("there").plugin;
    for strike in 1..=3 {
        let fault = place(&mut *panics, &books, &queue).expect_err("it panics");
        assert_eq!(fault.kind, FaultKind::Panicked, "strike {strike}: {fault}");
    }
    let fault = place(&mut *panics, &books, &queue).expect_err("three are borne");
    assert_eq!(fault.kind, FaultKind::Quarantined);
    // One that was lost by it is there again.
    let mut aborts = loader.allocator("chaos-abort", "").expect("there").plugin;
    let fault = place(&mut *aborts, &books, &queue).expect_err("it aborts");
    assert!(fault.kind == FaultKind::Died && fault.message.contains("the child ended"), "{fault}");
}
