//! The way to a daemon on another machine: TCP with TLS, and a token.
use crate::transport::{Reach, Stream};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    io::{self, Read, Write},
    net::{IpAddr, TcpStream, ToSocketAddrs},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How long a machine may take to answer at all.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Another machine's daemon.
#[derive(Debug)]
pub struct Remote {
    url: PathBuf,
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    head: String,
}

impl Remote {
    /// The daemon at `https://HOST[:PORT]`, known by the certificates of `ca_file` or else those that this machine
    /// trusts. `http://` is for this machine alone: a token would pass in the clear.
    ///
    /// # Errors
    /// Says what is wrong and what would be right.
    pub fn new(url: &str, ca_file: Option<&Path>, token: Option<&str>) -> Result<Remote, String> {
        let (secret, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(format!("{url:?} is no address of a daemon; write it as https://HOST:PORT")),
        };
        let named = rest.trim_end_matches('/');
        let (host, port) = split(named, if secret { 443 } else { 80 })
            .ok_or_else(|| format!("{url:?} is no address of a daemon; write it as https://HOST:PORT"))?;
        if !secret && !here(&host) {
            return Err(format!("{url:?}: a token would pass in the clear; write it as https://{named}"));
        }
        let tls = secret.then(|| trusting(ca_file, &host)).transpose()?;
        let mut head = format!("Host: {named}\r\n");
        if let Some(token) = token {
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("the token is not plain text of one word".into());
            }
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        Ok(Remote { url: url.into(), host, port, tls, head })
    }
}

/// Host and port.
fn split(named: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match named.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => named.split_once(':').map_or((named, None), |(host, port)| (host, Some(port))),
    };
    let plain = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    let port = port.map_or(Some(usual), |port| port.parse().ok())?;
    (!host.is_empty() && plain(host)).then(|| (host.to_owned(), port))
}

/// Whether a host is this machine.
fn here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Trusts the certificates of a file, or those that this machine trusts.
fn trusting(ca_file: Option<&Path>, host: &str) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            let bad = |why: String| format!("{}: {why}", file.display());
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))? {
                let certificate = certificate.map_err(|error| bad(error.to_string()))?;
                roots.add(certificate).map_err(|error| bad(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(bad("there is no certificate in it".into()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("this machine trusts nobody; name a certificate with --ca-file".into());
            }
        }
    }
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| format!("{host:?} is no name of a machine"))?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), name))
}

impl Reach for Remote {
    fn connect(&self, patience: Option<Duration>) -> io::Result<Box<dyn Stream>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.host));
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            let stream = match TcpStream::connect_timeout(&address, CONNECT_TIME) {
                Ok(stream) => stream,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            stream.set_nodelay(true)?;
            let Some((config, name)) = &self.tls else {
                stream.set_read_timeout(patience)?;
                return Ok(Box::new(Line(stream)));
            };
            let tls = ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?;
            let mut stream = StreamOwned::new(tls, stream);
            // Who cannot be trusted is found out here, and not in the middle of a request.
            stream.sock.set_read_timeout(Some(CONNECT_TIME))?;
            while stream.conn.is_handshaking() {
                stream.conn.complete_io(&mut stream.sock)?;
            }
            stream.sock.set_read_timeout(patience)?;
            return Ok(Box::new(Line(stream)));
        }
        Err(last)
    }

    fn place(&self) -> &Path {
        &self.url
    }

    fn head(&self) -> &str {
        &self.head
    }
}

/// A connection over TCP, encrypted or not.
struct Line<S>(S);

impl<S> std::fmt::Debug for Line<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

impl<S: Read> Read for Line<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<S: Write> Write for Line<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Whether a socket has nothing to read, and is open.
fn quiet(socket: &TcpStream) -> bool {
    let _ = socket.set_nonblocking(true);
    let idle = socket.peek(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    idle && socket.set_nonblocking(false).is_ok()
}

impl Stream for Line<TcpStream> {
    fn quiet(&mut self) -> bool {
        quiet(&self.0)
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Stream for Line<StreamOwned<ClientConnection, TcpStream>> {
    fn quiet(&mut self) -> bool {
        quiet(&self.0.sock)
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.0.sock.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_what_is_wrong_with_it_is_named() {
        assert_eq!(split("a.b:8400", 443), Some(("a.b".into(), 8400)));
        assert_eq!(split("a.b", 443), Some(("a.b".into(), 443)));
        assert_eq!(split("[::1]:8400", 443), Some(("::1".into(), 8400)));
        for wrong in ["", ":1", "a:b", "a b", "a:99999", "[::1", "user@a:1", "a/b"] {
            assert_eq!(split(wrong, 443), None, "{wrong}");
        }
        let told = |url: &str, token| Remote::new(url, None, token).expect_err(url);
        assert!(told("ftp://x", None).contains("https://HOST:PORT"));
        assert!(told("http://example.org:1", None).contains("in the clear"));
        assert!(told("http://127.0.0.1:1", Some("a b")).contains("one word"));
        assert!(Remote::new("http://127.0.0.1:1", None, Some("secret")).is_ok());
        let nowhere = Remote::new("https://x", Some(Path::new("/nonexistent")), None).expect_err("no file");
        assert!(nowhere.contains("/nonexistent"), "{nowhere}");
    }
}
