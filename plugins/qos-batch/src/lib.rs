//! Qos plugins `fcfs`, `sjf` and `f1`: the orders of batch systems.
#![deny(unsafe_code)]
use bursar_qos::batch;
use bursar_sdk::prelude::*;

macro_rules! shells {
    ($($(#[$doc:meta])* $name:ident, $id:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name(batch::$name);

        #[plugin(id = $id)]
        impl Qos for $name {
            fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
                self.0.rank(view, pending, ranks)
            }
        }
    )*};
}

shells! {
    /// First come, first served.
    Fcfs, "fcfs";
    /// Shortest job first.
    Sjf, "sjf";
    /// F1 of Carastan-Santos and de Camargo.
    F1, "f1";
}
