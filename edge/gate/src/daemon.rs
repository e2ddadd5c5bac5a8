//! The daemon as the gate asks it: over its socket, without blocking, with a bound on how many ask at once.
use crate::limits::{ANSWER_TIME, ASKS_MAX, PATIENCE, REPLY_BYTES_MAX};
use bursar_interface::Fence;
use bursar_wire::{
    AskBody, BatchAnswer, ClaimAnswer, ErrorBody, LineBody, Operation, Outcome, Pool, Pools, Problem, Quota,
    Quotas, SettleBody, UsedBody,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Uri, body::Bytes, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{
    future::Future,
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::UnixStream, sync::Semaphore, time::timeout};

/// A lease by its number and its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) id: u64,
    pub(crate) fence: u64,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The daemon is out of reach, or broke off: nothing is known.
    Away,
    /// It refused.
    Refused(Box<ErrorBody>),
}

/// The daemon on a socket.
#[derive(Debug)]
pub(crate) struct Daemon {
    client: Client<Socket, Full<Bytes>>,
    seats: Semaphore,
}

impl Daemon {
    pub(crate) fn new(path: &Path) -> Daemon {
        let client = Client::builder(TokioExecutor::new()).build(Socket(path.into()));
        Daemon { client, seats: Semaphore::new(ASKS_MAX) }
    }

    /// Asks for lines and waits in line for them. An ask that is dropped is called off.
    pub(crate) async fn ask(
        &self,
        scope: &str,
        lines: Vec<LineBody>,
        wait: Duration,
        ttl: Duration,
    ) -> Result<Lease, Failed> {
        let millis = |span: Duration| format!("{}ms", span.as_millis());
        let body = AskBody {
            scope: scope.into(),
            lines,
            wait: Some(wait).filter(|wait| !wait.is_zero()).map(millis),
            ttl: Some(millis(ttl)),
            // Calls draw from the pools wherever the gate itself lives.
            ..AskBody::default()
        };
        let _seat = self.seats.acquire().await.map_err(|_| Failed::Away)?;
        let answer: ClaimAnswer = self.send("POST", "/v1/claims", &body, wait + PATIENCE).await?;
        match answer.claim.fence {
            Some(fence) => Ok(Lease { id: answer.claim.id, fence }),
            None => Err(Failed::Away),
        }
    }

    /// Says at once what was used of many leases, and gives them back.
    pub(crate) async fn batch(&self, operations: &[Operation]) -> Result<Vec<Outcome>, Failed> {
        let body = json!({ "operations": operations });
        self.send::<BatchAnswer>("POST", "/v1/batch", &body, ANSWER_TIME).await.map(|answer| answer.answers)
    }

    /// Says what was used of a lease.
    pub(crate) async fn settle(&self, lease: Lease, used: Vec<UsedBody>) -> Result<(), Failed> {
        let body = SettleBody { fence: Fence(lease.fence), used };
        let path = format!("/v1/claims/{}/settle", lease.id);
        self.send::<ClaimAnswer>("POST", &path, &body, ANSWER_TIME).await.map(drop)
    }

    /// A pool as it is now.
    pub(crate) async fn pool(&self, kind: &str, name: &str) -> Result<Option<Pool>, Failed> {
        let pools: Pools = self.request("GET", "/v1/pools", Full::default(), ANSWER_TIME).await?;
        Ok(pools
            .pools
            .into_iter()
            .find(|pool| pool.node.is_none() && pool.resource == kind && pool.id == name))
    }

    /// The scope of a lease, from the root of the tree.
    pub(crate) async fn scope(&self, lease: Lease) -> Result<String, Failed> {
        let path = format!("/v1/claims/{}", lease.id);
        let answer: ClaimAnswer = self.request("GET", &path, Full::default(), ANSWER_TIME).await?;
        Ok(answer.claim.scope)
    }

    /// Every bound that the gate may see.
    pub(crate) async fn quotas(&self) -> Result<Vec<Quota>, Failed> {
        let quotas: Quotas = self.request("GET", "/v1/quotas", Full::default(), ANSWER_TIME).await?;
        Ok(quotas.quotas)
    }

    /// Sets what a pool has.
    pub(crate) async fn set_pool(&self, kind: &str, name: &str, capacity: u64) -> Result<(), Failed> {
        let body = json!({ "capacity": capacity.to_string() });
        let path = format!("/v1/pools/{kind}/{name}");
        self.send::<serde_json::Value>("PUT", &path, &body, ANSWER_TIME).await.map(drop)
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &impl Serialize,
        within: Duration,
    ) -> Result<T, Failed> {
        let body = serde_json::to_vec(body).map_err(|_| Failed::Away)?;
        self.request(method, path, Full::from(body), within).await
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Full<Bytes>,
        within: Duration,
    ) -> Result<T, Failed> {
        let request = Request::builder().method(method).uri(format!("http://bursar{path}"));
        let request =
            request.header(CONTENT_TYPE, "application/json").body(body).map_err(|_| Failed::Away)?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|_| Failed::Away)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), REPLY_BYTES_MAX).collect().await;
            let body = body.map_err(|_| Failed::Away)?.to_bytes();
            if status.is_success() {
                return serde_json::from_slice(&body).map_err(|_| Failed::Away);
            }
            let problem: Problem = serde_json::from_slice(&body).map_err(|_| Failed::Away)?;
            Err(Failed::Refused(Box::new(problem.error)))
        };
        timeout(within, exchange).await.unwrap_or(Err(Failed::Away))
    }
}

/// Opens connections to the socket, whatever the address says.
#[derive(Clone, Debug)]
struct Socket(Arc<Path>);

impl tower_service::Service<Uri> for Socket {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<UnixStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { UnixStream::connect(&*path).await.map(TokioIo::new) })
    }
}
