//! The contract in types: what stands in JSON, how quantities are read, what a refusal's number is, and
//! a blocking client that needs no runtime.
//!
//! ```
//! use bursar_interface::Reason;
//! assert_eq!(bursar_wire::status(Reason::NeverFits), 422);
//! assert_eq!(bursar_wire::exit_code(Reason::UnknownClaim), 3);
//! assert_eq!(bursar_wire::quantity("memory", "512M"), Ok(512 << 20));
//! ```
#![forbid(unsafe_code)]

mod ask;
mod batch;
mod blame;
mod circle;
mod client;
mod quantity;
mod refusal;
mod resize;
mod rows;
mod setting;
mod socket;
mod squeeze;
mod text;
mod usage;

pub use ask::{
    Alternative, AskBody, AttachBody, FenceBody, GangBody, LineBody, PluginOrder, RenewBody, SettleBody,
    StrategyBody, UsedBody,
};
pub use batch::{BatchAnswer, BatchBody, OPERATIONS_MAX, Operation, Outcome};
pub use blame::{Blamed, ScopeWait, WaitPart};
pub use circle::{CircleLink, circle};
pub use client::{Answer, Client, Events as EventStream, Failure};
pub use quantity::{amount, duration, per_time, quantity, show};
pub use refusal::{EXIT_FAILED, EXIT_UNREACHABLE, ErrorBody, Problem, exit_code, reason, status};
pub use resize::{ResizeBody, SizeBody, sizes};
pub use rows::{
    Bottleneck, Change, ChangedLine, Claim, ClaimAnswer, Claims, DEADLOCK, Doctor, Eta, EventRow, Events,
    Explain, ExplainSet, Finding, Findings, Holder, Key, Keys, Lessened, Line, Node, NodeAnswer, Nodes,
    PENDING, Plugin, Plugins, Pool, Pools, Preempting, Quota, Quotas, Scope, Scopes, Strategies, Strategy,
    TAKING, WaitingOn,
};
pub use setting::{
    APPLIED_MAX, ApplyBody, ChangeRow, ChangesAnswer, NodeBody, PoolBody, QuotaBody, ScopeBody, change_name,
};
pub use socket::{Place, socket};
pub use squeeze::{SqueezeRow, StrainRow};
pub use usage::{SpentRow, UnknownRow, UsageRow};
