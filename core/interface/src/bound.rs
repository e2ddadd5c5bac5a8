//! Every limit of the house by name: a full queue or an oversize ask is refused, never absorbed.

/// Lines in one claim.
pub const LINES_MAX: usize = 16;
/// Sets of lines of which one would do, in one claim; together they have at most [`LINES_MAX`].
pub const SETS_MAX: usize = 4;
/// Different label terms in an installation (they are bits of one word).
pub const LABELS_MAX: usize = 64;
/// Levels of the scope tree below its root.
pub const SCOPE_DEPTH_MAX: usize = 8;
/// Scopes alive at once.
pub const SCOPES_MAX: usize = 100_000;
/// Bytes in a name: of a node, a pool, a resource, or one level of a scope path.
pub const NAME_BYTES_MAX: usize = 128;
/// Bytes in an idempotency key.
pub const KEY_BYTES_MAX: usize = 128;
/// Resource kinds in an installation.
pub const RESOURCES_MAX: usize = 64;
/// Nodes in an installation.
pub const NODES_MAX: usize = 65_536;
/// Pools in an installation, those that spring from a name included.
pub const POOLS_MAX: usize = 1 << 20;
/// Levels of claims that draw from each other, below an outermost lease.
pub const NEST_MAX: u32 = 8;
/// Scopes with bounds on how far demands fan out.
pub const FAN_SCOPES_MAX: usize = 1_000;
/// Levels of claims below an outermost lease, where nobody says otherwise.
pub const AGENT_DEPTH: u32 = 4;
/// Claims of agents right below one lease at once, where nobody says otherwise.
pub const AGENT_CHILDREN: u32 = 64;
/// Claims of agents below one outermost lease at once, where nobody says otherwise.
pub const AGENT_CLAIMS: u32 = 256;
/// Asks of one agent in a second, where nobody says otherwise.
pub const AGENT_ASKS_PER_SECOND: u32 = 50;
/// Leases that one may say to hold while asking for more.
pub const HOLDING_MAX: usize = 16;
/// Edges between those who hold and those who wait that are looked at in one step to find circles; past that it is
/// unknown whether there are any, and whoever asks waits.
pub const EDGES_SEEN_MAX: usize = 1 << 17;
/// Lines of leases that are looked at in one step to find who waits for them: past that nobody inherits.
pub const HEIR_LOOKS_MAX: usize = 4096;
/// Claims in one step at most that are refused because a supply shrank and left them in a circle.
pub const CIRCLES_MAX: usize = 64;
/// Claims alive at once.
pub const CLAIMS_MAX: usize = 1 << 20;
/// Claims waiting at once; one more is refused with `QueueFull`.
pub const PENDING_MAX: usize = 100_000;
/// Settlements below the estimate that are remembered by their place on one meter, until what was spent before
/// them has come back.
pub const GAPS_MAX: usize = 4096;
/// Members of a gang.
pub const GANG_MAX: u32 = 64;
/// Closed claims and idempotency keys remembered.
pub const KEPT_MAX: usize = 10_000;
/// How long a closed claim is remembered at most, in nanoseconds (10 minutes).
pub const KEPT_NS: u64 = 600 * 1_000_000_000;
/// Things set at one moment.
pub const SETTINGS_MAX: usize = 1024;
/// A scope's weight.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// Inputs taken into one batch.
pub const BATCH_MAX: usize = 1024;
/// Waiting claims offered to the allocator in one round.
pub const ROUND_MAX: usize = 256;
/// The largest amount of anything, in base units: sums of a million of them stay below 2^63.
pub const AMOUNT_MAX: u64 = 1 << 43;
/// The longest lease or wait, in nanoseconds (30 days).
pub const TTL_NS_MAX: u64 = 30 * 86_400 * 1_000_000_000;
/// What a lease lasts when nobody says, in nanoseconds (1 hour).
pub const TTL_NS_DEFAULT: u64 = 3_600 * 1_000_000_000;
/// How long a claim waits before what is freed accrues to it once it is the first in line, in nanoseconds (30 s).
pub const RESERVE_AFTER_NS: u64 = 30 * 1_000_000_000;
/// How long a claim waits before it goes before all others of its tier, in nanoseconds (10 minutes).
pub const STARVED_NS: u64 = 600 * 1_000_000_000;
/// The longest time in which what is spent comes back, in nanoseconds (a year).
pub const PERIOD_NS_MAX: u64 = 366 * 86_400 * 1_000_000_000;
/// Waiting claims at once for which others are made to give back.
pub const PROMISES_MAX: usize = 64;
/// Leases that end for one waiting claim at most.
pub const VICTIMS_MAX: usize = 64;
/// Leases that are looked at to find them.
pub const LEASES_SEEN_MAX: usize = 1 << 16;
/// Of these, the first that may be taken from.
pub const CANDIDATES_MAX: usize = 1024;
/// Nodes on which they are looked for.
pub const NODES_SEEN_MAX: usize = 64;
/// Waiting claims in one step for which they are looked for.
pub const SEARCHES_MAX: usize = 32;
/// Preemptions by bands within one class, at most.
pub const BANDS_MAX: usize = 16;
/// How long what was freed is kept for whom it was freed, after it should have come, in nanoseconds (30 s).
pub const PROMISE_NS: u64 = 30 * 1_000_000_000;
/// In which the same two may not take from each other by turns, in nanoseconds (1 minute).
pub const LOOP_NS: u64 = 60 * 1_000_000_000;
/// Preemptions that are remembered to find such turns.
pub const TURNS_MAX: usize = 1024;
/// Promises to one waiting claim that may come to nothing; after that nobody is told to leave for it.
pub const BROKEN_MAX: usize = 3;
/// Scopes of one's own top-level scope that a part of a wait is charged to by name, and as many others.
pub const BLAMED_MAX: usize = 16;
/// Different things that one wait is charged to.
pub const CAUSES_MAX: usize = 16;
/// Waits that are over and are remembered with what they were charged to.
pub const WAITS_MAX: usize = 2 * KEPT_MAX;
/// Scopes, each with the kinds it waited for, of which the waits are added up.
pub const TALLIES_MAX: usize = 4096;
/// Between two looks at who holds what others wait for, in nanoseconds (1 ms), and for each row read besides
/// (0.5 µs): so that looking takes about a hundredth of the time.
pub const LOOK_NS: u64 = 1_000_000;
/// See [`LOOK_NS`].
pub const LOOK_ROW_NS: u64 = 500;
/// Groups of waiting claims of which it is seen again, at one look, what they wait for.
pub const LOOKED_AGAIN_MAX: usize = 64;
/// Holders that are named for one thing that somebody is short of.
pub const NAMED_MAX: usize = 16;
/// How many times what there is may be offered of a pool.
pub const OVERCOMMIT_MAX: u64 = 64;
/// Leases that share one pool where they are counted, at most.
pub const HOLDERS_MAX: u32 = 64;
/// The shortest and the longest turn of those who share by turns, in nanoseconds (10 ms, a minute).
pub const QUANTUM_NS: (u64, u64) = (10_000_000, 60_000_000_000);
/// Findings of one analyzer at once.
pub const FINDINGS_MAX: usize = 256;
/// Numbers of one finding.
pub const EVIDENCE_MAX: usize = 16;
/// Bytes of a finding's words together.
pub const FINDING_BYTES_MAX: usize = 1024;
/// Claims that are named when a strategy may leave waiting what would fit.
pub const LEFT_MAX: usize = 16;
/// How long an edge may take to say that a lease is frozen, or that it cannot be, in nanoseconds (10 s).
pub const FREEZE_NS: u64 = 10 * 1_000_000_000;
/// Kinds of which a frozen process uses nothing, at most.
pub const IDLE_MAX: usize = 16;
/// Variables that one driver may set for a lease's processes.
pub const VARIABLES_MAX: usize = 4;
/// Bytes of them, names and values.
pub const VARIABLES_BYTES_MAX: usize = 1024;
/// What a driver may say that it holds, at once.
pub const HOLDINGS_MAX: usize = 1 << 16;
