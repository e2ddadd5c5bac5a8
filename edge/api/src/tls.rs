//! TLS for those who come from elsewhere. The greeting is part of the conversation and under its clock: nobody who is
//! slow with it holds up the door.
use crate::{Error, stream::Stream};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant, SystemTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{Accept, TlsAcceptor, server::TlsStream};

/// How often it is looked whether the files are others now.
const LOOK: Duration = Duration::from_secs(1);

/// What this daemon shows of itself. A certificate that was renewed is shown from then on, to who comes anew.
#[derive(Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    shown: Mutex<Shown>,
}

/// What was read, and when.
struct Shown {
    acceptor: TlsAcceptor,
    written: Option<[SystemTime; 2]>,
    looked: Instant,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("written", &self.written).finish_non_exhaustive()
    }
}

impl Tls {
    /// A certificate with those that vouch for it, its own first, and its key; both as PEM.
    ///
    /// # Errors
    /// [`Error::Tls`] names the file and what is wrong with it.
    pub fn read(cert: &Path, key: &Path) -> Result<Tls, Error> {
        let written = written(cert, key);
        let shown = Shown { acceptor: acceptor(cert, key)?, written, looked: Instant::now() };
        Ok(Tls { cert: cert.into(), key: key.into(), shown: Mutex::new(shown) })
    }

    /// What is shown to one who comes now.
    fn acceptor(&self) -> TlsAcceptor {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.looked.elapsed() >= LOOK {
            shown.looked = Instant::now();
            let written = written(&self.cert, &self.key);
            if written != shown.written {
                shown.written = written;
                match acceptor(&self.cert, &self.key) {
                    Ok(acceptor) => {
                        tracing::info!(cert = %self.cert.display(), "another certificate is shown from now on");
                        shown.acceptor = acceptor;
                    }
                    // They may be about to be written: the next look tells.
                    Err(error) => tracing::warn!(%error, "the certificate stays the one that it was"),
                }
            }
        }
        shown.acceptor.clone()
    }
}

/// When the files were written.
fn written(cert: &Path, key: &Path) -> Option<[SystemTime; 2]> {
    let at = |path: &Path| std::fs::metadata(path).and_then(|found| found.modified()).ok();
    Some([at(cert)?, at(key)?])
}

fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let bad = |path: &Path, why: String| Error::Tls { path: path.into(), why };
    let read = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = read.map_err(|error| bad(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(bad(cert, "there is no certificate in it".into()));
    }
    let own = PrivateKeyDer::from_pem_file(key).map_err(|error| bad(key, error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(cert, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, own);
    let mut config = config.map_err(|error| bad(key, error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A connection over TCP, as far as it has come.
pub(crate) enum Line {
    /// Nothing is encrypted.
    Plain(TcpStream),
    /// Keys are being agreed on.
    Greeting(Box<Accept<TcpStream>>),
    /// Everything is encrypted.
    Secret(Box<TlsStream<TcpStream>>),
    /// It came to nothing.
    Lost,
}

impl Line {
    pub(crate) fn new(stream: TcpStream, tls: Option<&Tls>) -> Line {
        match tls {
            None => Line::Plain(stream),
            Some(tls) => Line::Greeting(Box::new(tls.acceptor().accept(stream))),
        }
    }

    /// Goes on with the greeting until it is over.
    fn greeted(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Line::Greeting(greeting) = self else { return Poll::Ready(Ok(())) };
        let greeted = ready!(Pin::new(greeting.as_mut()).poll(cx));
        Poll::Ready(match greeted {
            Ok(stream) => {
                *self = Line::Secret(Box::new(stream));
                Ok(())
            }
            Err(error) => {
                *self = Line::Lost;
                Err(error)
            }
        })
    }
}

impl Stream for Line {}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        ready!(line.greeted(cx))?;
        match line {
            Line::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Line::Secret(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
            Line::Greeting(_) | Line::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        ready!(line.greeted(cx))?;
        match line {
            Line::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Line::Secret(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
            Line::Greeting(_) | Line::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Line::Secret(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
            Line::Greeting(_) | Line::Lost => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Line::Secret(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
            Line::Greeting(_) | Line::Lost => Poll::Ready(Ok(())),
        }
    }
}
