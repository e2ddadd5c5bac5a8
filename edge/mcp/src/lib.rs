//! What agents see: the contract as tools of the Model Context Protocol, over stdio and under `/mcp` of the
//! daemon's door.
//!
//! A tool call is one or two requests of the contract, made as whoever the transport says is calling, and an
//! answer that a model reads for less than 300 tokens. Nothing is remembered between calls: a claim's number
//! and its fence are the handle, and the agent passes them. The host implements [`Daemon`]; over stdio
//! [`Remote`] is one that reaches the daemon over its socket.
#![forbid(unsafe_code)]

mod advise;
mod allocate;
mod analyze;
mod answer;
mod arguments;
mod bottlenecks;
mod call;
mod daemon;
mod denial;
mod explain;
mod give_back;
pub mod limits;
mod monitor;
mod pace;
mod remote;
mod schema;
mod serve;
mod server;
mod terms;

pub use daemon::{Act, Acted, Away, Daemon, Parts, Refused, Reply};
pub use remote::Remote;
pub use serve::{Http, http, stdio};
pub use server::Server;
