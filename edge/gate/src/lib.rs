//! A forward proxy for model providers, to be set as the provider's base URL. Each call is reserved before it
//! is sent, from what it may cost; it is passed on and back byte for byte; and it is settled by the usage that
//! the provider reports. An outcome that is not known counts as spent.
//!
//! Who calls too fast waits in the daemon's fair line instead of hearing 429. What a provider says of its
//! limits, in headers and refusals, sets the pace of the pools. Keys pass through: nothing here logs, keeps or
//! compares a header's value but its own token's.
#![forbid(unsafe_code)]

mod answer;
mod attached;
mod call;
mod cascade;
mod config;
mod daemon;
mod debt;
mod door;
mod estimate;
mod limits;
mod price;
mod quota_headers;
mod record;
mod route;
mod settle;
mod sse;
mod tap;
mod terms;
mod upstream;
mod usage;

pub use config::{Caller, Config, Fail, Model, Price, Provider, Shape};
pub use door::{Door, open};

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The config is not as it should be.
    #[error("[gate] {0}")]
    Config(String),
    /// The address cannot be listened on.
    #[error("{address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The providers cannot be reached by TLS.
    #[error("TLS: {0}")]
    Tls(String),
}
