//! The one seam to the host: a request of the contract, made as whoever calls.
use serde_json::Value;
use std::future::Future;

/// What the transport knows of a caller: the request that a call came in, over HTTP.
pub type Parts = http::request::Parts;

/// An answer of the contract.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The document.
    pub body: Vec<u8>,
}

/// No daemon answers.
#[derive(Debug, thiserror::Error)]
#[error("no daemon answers: {0}")]
pub struct Away(#[from] pub std::io::Error);

/// The daemon as it is reached from here. A request that is dropped is one whose asker has left.
pub trait Daemon: Clone + Send + Sync + 'static {
    /// Sends a request of the contract as the caller that `from` came from; as this process where there is
    /// none.
    ///
    /// # Errors
    /// [`Away`] when no answer comes.
    fn request(
        &self,
        from: Option<&Parts>,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> impl Future<Output = Result<Reply, Away>> + Send;

    /// A number for the caller, the same for all that it sends: its asks are counted together.
    fn caller(&self, from: Option<&Parts>) -> u64;
}
