//! The contract in types: what stands in JSON, how quantities are read, what a refusal's number is, and
//! a blocking client that needs no runtime.
//!
//! ```
//! use bursar_interface::Reason;
//! assert_eq!(bursar_wire::status(Reason::NeverFits), 422);
//! assert_eq!(bursar_wire::exit_code(Reason::UnknownClaim), 3);
//! assert_eq!(bursar_wire::quantity("memory", "512M"), Ok(512 << 20));
//! ```
//!
//! The client has a method for each thing that can be asked:
//!
//! ```no_run
//! use bursar_wire::{AskBody, Claims, Client, FenceBody, LineBody};
//! # fn main() -> Result<(), bursar_wire::Failure> {
//! let mut client = Client::new("/run/bursar/bursar.sock".as_ref());
//! let line = LineBody { resource: "cpu".into(), amount: "500".into(), ..LineBody::default() };
//! let claim = client.ask(&AskBody { lines: vec![line], ..AskBody::default() }, Some("once"))?;
//! let page: Claims = client.page(None, 100)?;
//! if let Some(fence) = claim.fence {
//!     client.release(claim.id, &FenceBody { fence: bursar_interface::Fence(fence) }, Some("10s"))?;
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod ask;
mod audit;
mod batch;
mod blame;
mod circle;
mod client;
mod lists;
mod lock;
mod metric;
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
    AuditLog, ClaimAnswer, Claims, Events, Findings, Keyed, Keys, List, Metrics, NodeAnswer, Nodes, PAGE_MAX,
    Plugins, Pools, Quotas, Scopes, Strategies,
};
pub use lock::{lock, show_lock};
pub use metric::Metric;
pub use quantity::{Bounded, amount, bounds_per_time, duration, per_time, quantity, show};
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
pub use socket::{Place, socket, usual_socket};
pub use squeeze::{PRESSED, SqueezeRow, StrainRow, pressed};
pub use transport::{Reach, Stream};
pub use typed::plain;
pub use usage::{SpentRow, UnknownRow, UsageRow};
