//! What can go wrong in a world. Each seed has a swarm of its own: every fault is on in half of the worlds,
//! and every fourth world has none, so that laws which no fault may excuse are tried as well
//! (Groce et al., "Swarm Testing", ISSTA'12).
use crate::Random;
use bursar_interface::ClaimId;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $word:literal,)*) => {
        /// One thing that goes wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// Every fault, in the order of its number.
            pub const ALL: &'static [Fault] = &[$(Fault::$name),*];

            /// In a word or three.
            pub fn word(self) -> &'static str {
                match self { $(Fault::$name => $word),* }
            }
        }
    };
}

faults! {
    /// A client is gone after its ask: it renews, settles and releases nothing.
    Crash "client crashes",
    /// A client stops for longer than its lease lasts, and comes back with the old token.
    Hang "client hangs",
    /// A client renews for ever and never gives back.
    Hoard "client hoards",
    /// Everything about a claim is said twice.
    Double "said twice",
    /// A client mixes its tokens up.
    Stale "stale fence",
    /// Many ask at once.
    Burst "burst",
    /// A pool has less than is in use of it.
    Shrink "capacity shrank",
    /// Boot time jumps forward by many minutes: the daemon was stopped, or the machine slept.
    Jump "clock jumps",
    /// Time stands still from one step to the next.
    Still "clock stands",
    /// The daemon dies and comes back.
    Restart "restart",
    /// The machine is started anew.
    Reboot "reboot",
    /// The allocator proposes what is not there, not offered, not a row, or twice the same.
    Lie "allocator lies",
    /// The allocator proposes nothing.
    Mute "allocator is mute",
    /// A strategy panics.
    Panic "plugin panics",
    /// A strategy answers too late: what it wrote is not used.
    Slow "plugin is slow",
    /// The qos ranks by dice.
    Dice "qos rolls dice",
    /// The disk is full: the step did not happen, and only what gives back is taken until there is room.
    Full "disk full",
    /// The disk errs: the daemon dies, and whether the batch was written shows when it comes back.
    Torn "disk errs",
}

/// What holders do wrong: a claim's holder has at most one of these.
const HOLDERS: [Fault; 5] = [Fault::Crash, Fault::Hang, Fault::Hoard, Fault::Double, Fault::Stale];

/// Some faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    /// The swarm of a seed.
    pub fn of_seed(seed: u64, random: &mut Random) -> Faults {
        let all = random.word() as u32 & ((1 << Fault::ALL.len()) - 1);
        Faults(if seed.is_multiple_of(4) { 0 } else { all })
    }

    /// Whether a fault is among them.
    pub fn has(self, fault: Fault) -> bool {
        self.0 >> fault as u32 & 1 == 1
    }

    /// Whether any of these is.
    pub fn any(self, faults: &[Fault]) -> bool {
        faults.iter().any(|&fault| self.has(fault))
    }

    /// One more.
    pub fn add(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u32;
    }

    /// Those of either.
    pub fn with(self, other: Faults) -> Faults {
        Faults(self.0 | other.0)
    }

    /// In the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.iter().copied().filter(move |&fault| self.has(fault))
    }

    /// How they stand in one word, for what is shared with the plugins.
    pub(crate) fn word(self) -> u32 {
        self.0
    }

    /// From such a word.
    pub(crate) fn from_word(word: u32) -> Faults {
        Faults(word)
    }

    /// What is wrong with the holder of a claim; the same whenever one asks.
    pub(crate) fn of_holder(self, claim: ClaimId) -> Option<Fault> {
        let mut random = Random::new(claim.0 << 8 ^ u64::from(self.0));
        let here: Vec<Fault> = HOLDERS.into_iter().filter(|&fault| self.has(fault)).collect();
        (!here.is_empty() && random.chance(1, 2)).then(|| *random.pick(&here))
    }
}
