//! What a connection is heard and answered on.
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};

/// Whoever says nothing more may listen still, and is owed the answers to what it said.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Resolves when a peer that says nothing more does not listen either. Where the two cannot be told apart, as over
    /// TCP, that is at once: nobody waits in line for one who may be gone.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
