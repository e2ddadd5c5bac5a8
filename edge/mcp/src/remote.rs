//! A daemon at the other end of a unix socket, without blocking.
use crate::{Away, Daemon, Parts, Reply, limits::REPLY_BYTES_MAX};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
    header::{CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    io::Error,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::net::UnixStream;

type Connection = SendRequest<Full<Bytes>>;

/// A daemon on a socket. One connection is kept for the next request; a request that is dropped takes its
/// connection along, and so tells the daemon that its asker has left.
#[derive(Clone, Debug)]
pub struct Remote {
    path: Arc<PathBuf>,
    spare: Arc<Mutex<Option<Connection>>>,
}

impl Remote {
    /// The daemon on `path`. Nothing is opened yet.
    pub fn new(path: &Path) -> Remote {
        Remote { path: Arc::new(path.into()), spare: Arc::default() }
    }

    fn spare(&self) -> Option<Connection> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        spare.filter(|connection| connection.is_ready() && !connection.is_closed())
    }

    async fn open(&self) -> Result<Connection, Away> {
        let stream = UnixStream::connect(self.path.as_path()).await?;
        let (connection, pump) = handshake(TokioIo::new(stream)).await.map_err(Error::other)?;
        // It ends with the connection's last handle.
        tokio::spawn(pump);
        Ok(connection)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, Away> {
        let mut connection = match self.spare() {
            Some(connection) => connection,
            None => self.open().await?,
        };
        let (status, body) = match connection.try_send_request(request).await {
            Ok(answer) => (answer.status().as_u16(), answer.into_body()),
            // The daemon closed a connection that had been quiet, and never saw the request.
            Err(mut error) => {
                let unsent = error.take_message().ok_or_else(|| Error::other(error.into_error()))?;
                connection = self.open().await?;
                let answer = connection.send_request(unsent).await.map_err(Error::other)?;
                (answer.status().as_u16(), answer.into_body())
            }
        };
        let body = Limited::new(body, REPLY_BYTES_MAX).collect().await.map_err(Error::other)?;
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(Reply { status, body: body.to_bytes().to_vec() })
    }
}

impl Daemon for Remote {
    async fn request(
        &self,
        _: Option<&Parts>,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Away> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(HOST, "bursar");
        let request = match body.is_empty() {
            true => request,
            false => request.header(CONTENT_TYPE, "application/json"),
        };
        let request = request.body(Full::from(body)).map_err(Error::other)?;
        self.exchange(request).await
    }

    /// Whoever started this process is all that calls.
    fn caller(&self, _: Option<&Parts>) -> u64 {
        0
    }
}
