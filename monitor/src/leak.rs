//! Memory that grows and grows: a leak, told by its slope.
//!
//! A working set goes up in steps and down again; a leak lifts the floor, evenly. So the time is cut into stretches,
//! of each the least is kept, and there is a leak when that has risen from each stretch to the next by about as
//! much. A floor that rises is the sign that garbage collectors are judged by as well (Jump and McKinley, "Cork",
//! POPL 2007: a type whose volume keeps growing across collections).
use bursar_interface::Time;
use std::collections::VecDeque;

/// Rises in a row that it takes, each from one stretch to the next.
const RISES: usize = 8;
/// A rise is at least one part in so many of the mean one, and no more than so many times it.
const EVEN: u64 = 2;
/// How long a stretch is, in nanoseconds, and the bytes a second that are told at least: what grows fast is told
/// within a minute, what grows slowly after five.
const SCALES: [(u64, u64); 2] = [(5_000_000_000, 256 << 10), (30_000_000_000, 16 << 10)];

/// Looks at one lease's memory over short and over long stretches.
#[derive(Clone, Debug, Default)]
pub struct Leak {
    scales: [Floors; SCALES.len()],
}

/// The floors of the newest stretches of one length.
#[derive(Clone, Debug, Default)]
struct Floors {
    /// The stretch under way: when it began, and the least in it.
    open: Option<(Time, u64)>,
    /// The least of each whole stretch, oldest first.
    floors: VecDeque<u64>,
}

impl Leak {
    /// Takes a look in: bytes that no file stands behind.
    pub fn look(&mut self, at: Time, bytes: u64) {
        for (floors, (stretch_ns, _)) in self.scales.iter_mut().zip(SCALES) {
            floors.look(at, bytes, stretch_ns);
        }
    }

    /// Bytes a second by which the floor rises, if it has done so evenly for long enough.
    pub fn slope(&self) -> Option<u64> {
        let slope = |(floors, (stretch_ns, least)): (&Floors, (u64, u64))| {
            let slope = floors.rise()?.saturating_mul(1_000_000_000) / stretch_ns;
            Some(slope).filter(|&slope| slope >= least)
        };
        self.scales.iter().zip(SCALES).find_map(slope)
    }
}

impl Floors {
    fn look(&mut self, at: Time, bytes: u64, stretch_ns: u64) {
        let Some((began, least)) = &mut self.open else {
            self.open = Some((at, bytes));
            return;
        };
        let passed = at.0.saturating_sub(began.0);
        if passed < stretch_ns {
            *least = bytes.min(*least);
            return;
        }
        // Whoever was not looked at for longer than a stretch is not known to have grown evenly.
        if passed >= 2 * stretch_ns {
            self.floors.clear();
        }
        self.floors.push_back(*least);
        if self.floors.len() > RISES + 1 {
            self.floors.pop_front();
        }
        self.open = Some((at, bytes));
    }

    /// Bytes by which it rises from one stretch to the next, if it does so evenly and does not level off.
    fn rise(&self) -> Option<u64> {
        let floors: Vec<u64> = self.floors.iter().copied().collect();
        let [first, .., last] = floors[..] else { return None };
        if floors.len() <= RISES {
            return None;
        }
        let mean = last.checked_sub(first)? / RISES as u64;
        let rise = |pair: &[u64]| pair[1].checked_sub(pair[0]);
        let even = floors.windows(2).all(|pair| {
            rise(pair).is_some_and(|rise| rise >= mean / EVEN && rise <= mean.saturating_mul(EVEN))
        });
        let middle = floors[RISES / 2];
        let goes_on =
            (last - middle.min(last)).saturating_mul(4) >= (middle - first.min(middle)).saturating_mul(3);
        (even && goes_on).then_some(mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The first second in which it is told, and the slope then.
    fn told(bytes: impl Fn(u64) -> u64) -> Option<(u64, u64)> {
        let mut leak = Leak::default();
        (0..600).find_map(|second| {
            leak.look(Time(second * SECOND), bytes(second));
            Some((second, leak.slope()?))
        })
    }

    #[test]
    fn a_megabyte_a_second_is_told_within_a_minute() {
        let saw = |second: u64| (50 << 20) + second * 1_000_000 + (second % 3) * 8_000_000;
        for (what, told) in [("even", told(|second| second * 1_000_000)), ("with garbage", told(saw))] {
            let (second, slope) = told.unwrap_or_else(|| panic!("{what}"));
            assert!(second <= 60 && (800_000..1_200_000).contains(&slope), "{what}: {second} s, {slope}");
        }
    }

    #[test]
    fn what_grows_slowly_is_told_after_minutes() {
        let (second, slope) = told(|second| second * 50_000).expect("told");
        assert!((200..=310).contains(&second) && (45_000..55_000).contains(&slope), "{second} s, {slope}");
    }

    #[test]
    fn work_is_no_leak() {
        assert_eq!(told(|second| (second.min(200) / 20) * 100_000_000), None, "steps");
        assert_eq!(told(|second| (second % 40) * 10_000_000), None, "up and down");
        assert_eq!(
            told(|second| 1_000_000_000 - 1_000_000_000 / (second + 1)),
            None,
            "a warm-up that levels off"
        );
        assert_eq!(told(|second| second * 10_000), None, "too little to matter");
        assert_eq!(told(|second| second.min(30) * 5_000_000), None, "a build that takes half a minute");
    }
}
