//! The language of Bursar: the tables, the plugin traits, and the inputs and events of the engine.
//!
//! Supply is a tree of *pools* on *nodes*, demand is a tree of *scopes*, and a *claim* is an edge
//! between them with amounts and a deadline. Everything else in the house speaks in these words and
//! depends on nothing but this crate.
//!
//! ```
//! use bursar_interface::{Amount, Fault, Plan, Row, View, Allocator};
//!
//! /// Puts each claim on the first node that takes the whole of it.
//! struct First;
//! impl Allocator for First {
//!     fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
//!         for &claim in queue {
//!             (0..view.nodes.len() as Row).find(|&node| plan.place(claim, node));
//!         }
//!         Ok(())
//!     }
//! }
//! ```
#![forbid(unsafe_code)]

mod analysis;
pub mod bound;
pub mod canary;
mod claim;
mod event;
mod fan;
mod fault;
mod holding;
mod ident;
mod input;
mod metric;
mod plan;
mod preemption;
mod reason;
mod resource;
mod role;
mod scope;
mod setting;
mod sharing;
mod squeeze;
mod strategy;
mod table;
mod tables;
mod usage;

pub use analysis::{
    Analyzer, Finding, Flow, How, Measure, Noted, Severity, Sight, Subject, Tie, lawful as findings_lawful,
};
pub use claim::{Ask, Class, Ending, Gang, LineAsk, Phase, Principal, Process, Size, Used, Within};
pub use event::{Event, LineSize, Link, Places, What};
pub use fan::{FanOut, FanOutSpec};
pub use fault::{Fault, FaultKind};
pub use holding::{Holding, Variable, variables_lawful};
pub use ident::{Amount, ClaimId, Fence, NONE, NodeId, PoolId, QuotaId, ResourceId, Row, ScopeId, Time};
pub use input::{Batch, Command, Input, Left, NodeSpec, NodeState, PoolSpec, QuotaSpec, Refill, ScopeSpec};
pub use metric::{Metric, Sample};
pub use plan::{Overlay, Plan, Take, choosiest_first};
pub use preemption::{Claimed, Lessened, PreemptionPolicy, Promise, Rung};
pub use reason::{Reason, Refusal};
pub use resource::{Driver, Lease, LeaseLine, Proof, Resource, ResourceSpec, Shape, Supply};
pub use role::{Decider, Home, Manifest, Role};
pub use scope::check_scope;
pub use setting::{Change, NodeChange, PoolChange, QuotaChange, Setting};
pub use sharing::{Offer, Sharing};
pub use squeeze::{Came, Squeeze, Step};
pub use strategy::{Allocator, Backfill, Discipline, Qos, Rank};
pub use table::{CHUNK, Column, changed};
pub use tables::{
    ClaimTable, Claims, LineTable, Lines, NodeTable, Nodes, OccupantTable, Occupants, PoolTable, Pools,
    QuotaTable, Quotas, ResourceTable, Resources, ScopeTable, Scopes, Tables, View, tag,
};
pub use usage::{Gauge, Spent, Sum, Usage};
