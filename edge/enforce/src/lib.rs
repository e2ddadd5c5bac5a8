//! Makes the world match the books: cgroups, process trees, reclaim with proof.
//!
//! One [`Cell`] per lease. On cgroup v1, v2 and mixed hosts it is a control group in every hierarchy
//! that counts; without rights to any, it is the lease's processes as far as they can be found, sampled
//! and killed above their limits. What each ability comes down to here is told by [`Hierarchy::strength`].
//! No runtime, no threads: the host decides when to look.
#![deny(unsafe_code)]

mod binary;
mod caller;
mod cell;
mod counter;
mod dial;
#[cfg(target_arch = "x86_64")]
pub mod early;
mod exempt;
mod freeze;
mod gate;
mod gauge;
mod groups;
mod headroom;
mod heap;
mod hierarchy;
mod locks;
mod marks;
mod mounts;
mod moves;
mod namespace;
mod port;
mod presence;
mod process;
mod project;
mod readings;
mod reclaim;
mod resize;
mod score;
mod scratch;
mod search;
mod small;
mod squeeze;
mod stranger;
mod throttle;
mod warmth;

pub use cell::{Cell, Entrance, Limits};
pub use dial::Dial;
pub use exempt::exempt;
pub use gate::{Gate, Opened};
pub use headroom::{Headroom, Memory};
pub use heap::keep_little;
pub use hierarchy::{Ability, Hierarchy, Strength};
pub use locks::file_waits;
pub use marks::{MARK, mark};
pub use moves::Moves;
pub use namespace::told_by;
pub use port::{Hold, hold_port, prove_port};
pub use presence::Presence;
pub use process::{Seen, Watch, boot_id, identify, same, see, stopped};
pub use project::{free_project, limit_project, project_bytes, projects_enforced};
pub use readings::{Readings, cpus_milli, gpus, memory_bytes, pids};
pub use reclaim::{Progress, Reclaim};
pub use score::{Exposure, score_of, spare_self, unspare};
pub use scratch::{Cleared, Scratch, make_root, room};
pub use warmth::Warmth;
