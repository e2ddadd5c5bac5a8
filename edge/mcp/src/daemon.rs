//! The one seam to the host: a request of the contract, made as whoever calls.
use bursar_interface::Fence;
use bursar_wire as wire;
use serde::Deserialize;
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

/// What agents do most: a host that holds the daemon itself needs no document for it.
#[derive(Clone, Debug)]
pub enum Act {
    /// `POST /v1/claims`.
    Ask(Box<wire::AskBody>),
    /// `POST /v1/claims/{id}/release`.
    Release {
        /// Which claim.
        claim: u64,
        /// The lease's token.
        fence: u64,
    },
}

/// Why something was refused, and what would be granted in its stead.
#[derive(Clone, Debug)]
pub struct Refused {
    /// As the contract tells it.
    pub error: wire::ErrorBody,
    /// Changes that would be granted, each as a whole.
    pub offers: Vec<wire::Change>,
}

/// What an act came to.
pub type Acted = Result<wire::Claim, Refused>;

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

    /// Carries out an act as the caller that `from` came from. An ask that is dropped is one whose asker has left.
    ///
    /// # Errors
    /// [`Away`] when no answer comes, or none that can be read.
    fn act(&self, from: Option<&Parts>, act: Act) -> impl Future<Output = Result<Acted, Away>> + Send {
        async move {
            let (path, body) = act.document();
            let reply = self.request(from, "POST", &path, Some(&body)).await?;
            if (200..300).contains(&reply.status) {
                let answer: wire::ClaimAnswer = serde_json::from_slice(&reply.body).map_err(unread)?;
                return Ok(Ok(answer.claim));
            }
            let problem: Value = serde_json::from_slice(&reply.body).map_err(unread)?;
            let error = wire::ErrorBody::deserialize(&problem["error"]).map_err(unread)?;
            let offers = Vec::deserialize(&problem["would_admit"]).unwrap_or_default();
            Ok(Err(Refused { error, offers }))
        }
    }

    /// A number for the caller, the same for all that it sends: its asks are counted together.
    fn caller(&self, from: Option<&Parts>) -> u64;
}

impl Act {
    /// The lines that whoever asks has said, in whichever set of them.
    pub(crate) fn lines(&self) -> Vec<wire::LineBody> {
        match self {
            Act::Ask(body) => {
                let others = body.alternatives.iter().flat_map(|set| &set.lines);
                body.lines.iter().chain(others).cloned().collect()
            }
            Act::Release { .. } => Vec::new(),
        }
    }

    /// Where it goes in the contract, and with what.
    fn document(&self) -> (String, Value) {
        let plain = "plain data always becomes JSON";
        match self {
            Act::Ask(body) => ("/v1/claims".into(), serde_json::to_value(body).expect(plain)),
            Act::Release { claim, fence } => {
                let body = wire::FenceBody { fence: Fence(*fence) };
                (format!("/v1/claims/{claim}/release"), serde_json::to_value(body).expect(plain))
            }
        }
    }
}

fn unread(error: serde_json::Error) -> Away {
    Away(error.into())
}
