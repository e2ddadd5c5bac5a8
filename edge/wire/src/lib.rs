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
mod audit;
mod batch;
mod blame;
mod circle;
mod client;
mod lists;
mod quantity;
mod refusal;
#[cfg(feature = "tls")]
mod remote;
mod resize;
mod rows;
mod setting;
mod socket;
mod squeeze;
mod text;
mod transport;
mod typed;
mod usage;
mod words;

pub use ask::{
    Alternative, AskBody, AttachBody, FenceBody, GangBody, LineBody, PluginOrder, RenewBody, SettleBody,
    StrategyBody, UsedBody,
};
pub use audit::AuditRow;
pub use batch::{BatchAnswer, BatchBody, OPERATIONS_MAX, Operation, Outcome};
pub use blame::{Blamed, ScopeWait, WaitPart};
pub use circle::{CircleLink, circle};
pub use client::{Answer, Client, Events as EventStream, Failure};
pub use lists::{
    AuditLog, ClaimAnswer, Claims, Events, Findings, Keyed, Keys, List, NodeAnswer, Nodes, PAGE_MAX, Plugins,
    Pools, Quotas, Scopes, Strategies,
};
pub use quantity::{amount, duration, per_time, quantity, show};
pub use refusal::{EXIT_FAILED, EXIT_UNREACHABLE, ErrorBody, Problem, exit_code, reason, status};
#[cfg(feature = "tls")]
pub use remote::Remote;
pub use resize::{ResizeBody, SizeBody, sizes};
pub use rows::{
    Bottleneck, Change, ChangedLine, Claim, DEADLOCK, Doctor, Eta, EventRow, Explain, ExplainSet, Finding,
    Holder, Key, Lessened, Line, Node, PENDING, Plugin, Pool, Preempting, Quota, Scope, Strategy, TAKING,
    WaitingOn,
};
pub use setting::{
    APPLIED_MAX, ApplyBody, ChangeRow, ChangesAnswer, NodeBody, PoolBody, QuotaBody, ScopeBody, change_name,
};
pub use socket::{Place, socket};
pub use squeeze::{SqueezeRow, StrainRow};
pub use transport::{Reach, Stream};
pub use typed::plain;
pub use usage::{SpentRow, UnknownRow, UsageRow};
