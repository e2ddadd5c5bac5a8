//! Allocator plugins `first-fit`, `best-fit` and `worst-fit`.
#![deny(unsafe_code)]
use bursar_allocator::fit;
use bursar_sdk::prelude::*;

macro_rules! shells {
    ($($(#[$doc:meta])* $name:ident, $id:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name(fit::$name);

        #[plugin(id = $id)]
        impl Allocator for $name {
            fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
                self.0.place(view, queue, plan)
            }
        }
    )*};
}

shells! {
    /// The first feasible node in node order.
    FirstFit, "first-fit";
    /// The node that is fullest afterwards.
    BestFit, "best-fit";
    /// The node that is emptiest afterwards.
    WorstFit, "worst-fit";
}
