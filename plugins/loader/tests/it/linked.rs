//! One plugin of each role that is linked in, says a word, or panics when it is told to.
use bursar_sdk::prelude::*;

/// The name of all of them.
pub(crate) const ID: &str = "talks-here";

/// What it says, and whether it goes on.
#[config]
pub(crate) struct Settings {
    /// What it says.
    pub(crate) word: String,
    /// It panics instead of an answer.
    pub(crate) panic: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { word: "nothing".into(), panic: false }
    }
}

impl Settings {
    fn speak(&self) {
        tracing::warn!(word = self.word, "it speaks");
        metrics::counter!("talk_words").increment(1);
        assert!(!self.panic, "{} is the last word", self.word);
    }
}

macro_rules! talkers {
    ($($name:ident: $role:ident { $($body:tt)* })*) => {$(
        /// Says its word.
        pub(crate) struct $name(Settings);

        impl From<Settings> for $name {
            fn from(settings: Settings) -> $name {
                $name(settings)
            }
        }

        #[plugin(id = "talks-here", config = Settings)]
        impl $role for $name {
            $($body)*
        }
    )*};
}

talkers! {
    TalksOfKinds: Resource {
        fn spec(&self) -> ResourceSpec {
            self.0.speak();
            let (name, unit) = ("talks-here".into(), "pieces".into());
            ResourceSpec { name, shape: Shape::Unit, unit, min: 1, step: 1, piece: 0, springs: 0, driven: false }
        }
    }
    TalksAndDrives: Driver {
        fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
            self.0.speak();
            Ok(Vec::new())
        }
        fn enforce(&mut self, _: &Lease) -> Result<(), Fault> {
            Ok(())
        }
        fn release(&mut self, _: &Lease) -> Result<Proof, Fault> {
            Ok(Proof::default())
        }
    }
    TalksAndRanks: Qos {
        fn rank(&mut self, _: &View<'_>, _: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
            self.0.speak();
            Ok(())
        }
    }
    TalksAndShares: Sharing {
        fn offer(&mut self, _: &View<'_>, _: &[Row], _: &mut [Offer]) -> Result<(), Fault> {
            self.0.speak();
            Ok(())
        }
    }
    TalksAndPlaces: Allocator {
        fn place(&mut self, _: &View<'_>, _: &[Row], _: &mut Plan<'_>) -> Result<(), Fault> {
            self.0.speak();
            Ok(())
        }
    }
    TalksAndFinds: Analyzer {
        fn report(&mut self, _: &Sight<'_>, _: &mut Vec<Finding>) -> Result<(), Fault> {
            self.0.speak();
            Ok(())
        }
    }
    TalksAndMeasures: Metric {
        fn collect(&mut self, _: Time, _: &mut Vec<Sample>) -> Result<(), Fault> {
            self.0.speak();
            Ok(())
        }
    }
}
