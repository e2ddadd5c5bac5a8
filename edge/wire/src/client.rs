//! A blocking client over a unix socket, or another way: one request after the other on one connection, no runtime.
use crate::{
    BatchAnswer, ErrorBody, Operation, Outcome, Problem,
    transport::{Local, Reach, Resumed, Stream},
};
use bursar_interface::Reason;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::BorrowedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Header lines that an answer may have.
const HEADERS_MAX: usize = 64;
/// Bytes that an answer's headers may have.
const HEADER_BYTES_MAX: u64 = 64 << 10;
/// Bytes that one answer may have.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Characters of a text that are told back.
const TOLD_MAX: usize = 64;

/// Why there is no answer, or which one was not hoped for.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No daemon answers there.
    #[error("no daemon answers on {}: {source}", path.display())]
    Unreachable {
        /// The socket, or the address.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke after the request was sent: whether it was carried out is not known.
    #[error("the daemon on {} broke off: {source}", path.display())]
    Broken {
        /// The socket, or the address.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon refused.
    #[error("{0}")]
    Refused(ErrorBody),
}

impl Failure {
    /// The exit code of the contract.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Unreachable { .. } | Failure::Broken { .. } => crate::EXIT_UNREACHABLE,
            Failure::Refused(error) => error.exit_code(),
        }
    }

    /// The reason, where the daemon gave one.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Failure::Refused(error) => crate::reason(&error.reason),
            _ => None,
        }
    }

    /// Whether the same may be answered by the daemon that comes after this one: none answers, it broke off, or it
    /// said that it is about to stop.
    pub fn passes(&self) -> bool {
        match self {
            Failure::Unreachable { .. } | Failure::Broken { .. } => true,
            Failure::Refused(error) => error.reason == Reason::Stopping.name(),
        }
    }

    fn whereabouts(&self) -> &'static str {
        match self {
            Failure::Unreachable { path, .. } if path.starts_with("https:") => {
                "see whether one serves there with --http, and whether --ca-file names who vouches for it"
            }
            _ => "start one with `bursar serve`, or name its socket with --socket",
        }
    }

    /// As it stands in JSON.
    pub fn problem(&self) -> Problem {
        let error = match self {
            Failure::Refused(error) => error.clone(),
            other => ErrorBody {
                reason: "Unreachable".into(),
                message: other.to_string(),
                hint: self.whereabouts().into(),
                retry_after_ms: None,
            },
        };
        Problem { error }
    }
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A connection, and what of an answer was read ahead.
type Reader = BufReader<Box<dyn Stream>>;

/// A connection to the daemon, opened when it is needed and again when it broke.
#[derive(Debug)]
pub struct Client {
    way: Arc<dyn Reach>,
    patience: Option<Duration>,
    meanwhile: Meanwhile,
    stream: Option<Reader>,
}

/// What is done between a request and the wait for its answer.
#[derive(Clone, Default)]
struct Meanwhile(Option<Arc<Act>>);

/// Something that is done with the connection at hand.
type Act = dyn Fn(BorrowedFd<'_>) + Send + Sync;

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Meanwhile").field(&self.0.is_some()).finish()
    }
}

impl Client {
    /// A client of the daemon on `path`. Nothing is opened yet.
    pub fn new(path: &Path) -> Client {
        Client::by(Arc::new(Local(path.into())))
    }

    /// A client of the daemon that this way leads to. Nothing is opened yet.
    pub fn by(way: Arc<dyn Reach>) -> Client {
        Client { way, patience: None, meanwhile: Meanwhile::default(), stream: None }
    }

    /// Whenever a request was sent, does something before the answer is waited for; it is shown the connection,
    /// which has something to read once the answer comes.
    pub fn meanwhile(mut self, act: impl Fn(BorrowedFd<'_>) + Send + Sync + 'static) -> Client {
        self.meanwhile = Meanwhile(Some(Arc::new(act)));
        self
    }

    /// Gives up on an answer after this long; never by itself if nobody says.
    pub fn patience(mut self, patience: Duration) -> Client {
        self.patience = Some(patience);
        self
    }

    /// Goes on with a connection on which a request was sent and so much of the answer was read: [`Client::awaited`]
    /// reads the rest.
    pub fn resume(mut self, stream: UnixStream, received: Vec<u8>) -> Client {
        let stream: Box<dyn Stream> = Box::new(Resumed { stream, received: io::Cursor::new(received) });
        self.stream = Some(BufReader::new(stream));
        self
    }

    /// The document that answers the request which was sent before this client was there.
    ///
    /// # Errors
    /// [`Failure`], a refusal included; [`Failure::Broken`] where nothing was resumed.
    pub fn awaited<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let Some(mut stream) = self.stream.take() else {
            return Err(self.broken(io::ErrorKind::NotConnected.into()));
        };
        let answered = self.heard(&mut stream).and_then(|head| {
            let body = head.body(&mut stream)?;
            Ok((Answer { status: head.status, body }, !head.close))
        });
        let answered = answered.map_err(|source| self.broken(source))?;
        let answer = self.keep(stream, answered);
        self.read(answer)
    }

    /// The socket, or the address.
    pub fn path(&self) -> &Path {
        self.way.place()
    }

    /// Whether a daemon answers.
    pub fn alive(&mut self) -> bool {
        self.request("GET", "/healthz", None, &[]).is_ok_and(|answer| answer.status == 200)
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// [`Failure`], a refusal included.
    pub fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Failure> {
        let answer = self.request("GET", path, None, &[])?;
        self.read(answer)
    }

    /// Sends a document and reads the one that comes back. `key` makes it safe to send again.
    ///
    /// # Errors
    /// [`Failure`], a refusal included.
    pub fn send<T: DeserializeOwned>(
        &mut self,
        method: &str,
        path: &str,
        body: &impl Serialize,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).expect("plain data always becomes JSON");
        let headers: Vec<(&str, &str)> = key.map(|key| ("Idempotency-Key", key)).into_iter().collect();
        let answer = self.request(method, path, Some(&body), &headers)?;
        self.read(answer)
    }

    /// Has operations carried out in their order, at most [`crate::OPERATIONS_MAX`] of them; one that is
    /// refused holds up none of the others. What keys make safe to send again stands in the asks.
    ///
    /// # Errors
    /// [`Failure`] where the batch as a whole got no answer or was refused: too many at once, or a document
    /// that cannot be read.
    pub fn batch(&mut self, operations: &[Operation]) -> Result<Vec<Outcome>, Failure> {
        let body = serde_json::json!({ "operations": operations });
        self.send::<BatchAnswer>("POST", "/v1/batch", &body, None).map(|answer| answer.answers)
    }

    /// Follows the events above `since` until the daemon ends the stream.
    ///
    /// # Errors
    /// [`Failure`], a refusal included.
    pub fn events(&mut self, since: u64) -> Result<Events, Failure> {
        let path = format!("/v1/events?since={since}");
        let mut stream = self.connect()?;
        let head = self.exchange(&mut stream, "GET", &path, None, &[("Accept", "text/event-stream")]);
        let head = head.map_err(|source| self.broken(source))?;
        if head.status != 200 {
            let body = head.body(&mut stream).map_err(|source| self.broken(source))?;
            return Err(self.refused(&Answer { status: head.status, body }));
        }
        Ok(Events { stream, chunk: Vec::new() })
    }

    fn read<T: DeserializeOwned>(&self, answer: Answer) -> Result<T, Failure> {
        if !(200..300).contains(&answer.status) {
            return Err(self.refused(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.broken(io::Error::other(error)))
    }

    fn refused(&self, answer: &Answer) -> Failure {
        match serde_json::from_slice::<Problem>(&answer.body) {
            Ok(problem) => Failure::Refused(problem.error),
            Err(_) => self
                .broken(io::Error::other(format!("an answer of status {} without a reason", answer.status))),
        }
    }

    /// Sends a request and reads the answer, whatever it is.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] and [`Failure::Broken`].
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        sendable(path, headers)?;
        // A connection that idled may have been closed by the other end; that is found out by using it.
        let open = self.stream.take().and_then(|mut stream| stream.get_mut().quiet().then_some(stream));
        if let Some(mut stream) = open {
            if let Ok(answer) = self.converse(&mut stream, method, path, body, headers) {
                return Ok(self.keep(stream, answer));
            }
            if method != "GET" {
                return Err(self.broken(io::ErrorKind::ConnectionReset.into()));
            }
        }
        let mut stream = self.connect()?;
        let answer =
            self.converse(&mut stream, method, path, body, headers).map_err(|source| self.broken(source))?;
        Ok(self.keep(stream, answer))
    }

    fn keep(&mut self, stream: Reader, (answer, open): (Answer, bool)) -> Answer {
        self.stream = open.then_some(stream);
        answer
    }

    fn connect(&self) -> Result<Reader, Failure> {
        let stream = self.way.connect(self.patience).map(BufReader::new);
        stream.map_err(|source| Failure::Unreachable { path: self.path().into(), source })
    }

    fn broken(&self, mut source: io::Error) -> Failure {
        let late = matches!(source.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        if let Some(patience) = self.patience.filter(|_| late) {
            source = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {patience:?}"));
        }
        Failure::Broken { path: self.path().into(), source }
    }

    fn converse(
        &self,
        stream: &mut Reader,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> io::Result<(Answer, bool)> {
        let head = self.exchange(stream, method, path, body, headers)?;
        let body = head.body(stream)?;
        Ok((Answer { status: head.status, body }, !head.close))
    }

    fn exchange(
        &self,
        stream: &mut Reader,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        headers: &[(&str, &str)],
    ) -> io::Result<Head> {
        let mut request = format!("{method} {path} HTTP/1.1\r\n{}", self.way.head());
        headers.iter().for_each(|(name, value)| request.extend([*name, ": ", *value, "\r\n"]));
        if let Some(body) = body {
            request
                .push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend(body.unwrap_or_default());
        // A daemon that does not want to hear the rest has answered already.
        match stream.get_mut().write_all(&bytes) {
            Ok(()) => self.heard(stream),
            Err(error) => Head::read(stream).map_err(|_| error),
        }
    }

    /// The head of the answer to a request that was sent.
    fn heard(&self, stream: &mut Reader) -> io::Result<Head> {
        if let Some(act) = self.meanwhile.0.as_ref().filter(|_| !stream.get_ref().has_some()) {
            act(stream.get_ref().socket());
        }
        Head::read(stream)
    }
}

/// Refuses what would end a line of the request early: the rest of it would be read as another header, or as
/// another request.
fn sendable(path: &str, headers: &[(&str, &str)]) -> Result<(), Failure> {
    let breaks = |text: &str| text.bytes().any(|byte| byte.is_ascii_control());
    let (what, text) = match headers.iter().find(|(_, value)| breaks(value)) {
        Some((name, value)) => (*name, *value),
        None if breaks(path) || path.contains(' ') => ("path", path),
        None => return Ok(()),
    };
    let told: String = text.chars().take(TOLD_MAX).collect();
    Err(Failure::Refused(ErrorBody {
        reason: Reason::BadRequest.name().into(),
        message: format!("{what}: {told:?} has characters that cannot be sent"),
        hint: "use printable characters, on one line".into(),
        retry_after_ms: None,
    }))
}

/// What stands before an answer's body.
struct Head {
    status: u16,
    length: Option<u64>,
    chunked: bool,
    close: bool,
}

impl Head {
    fn read(stream: &mut Reader) -> io::Result<Head> {
        let mut text = Vec::new();
        let mut bounded = stream.by_ref().take(HEADER_BYTES_MAX);
        while !text.ends_with(b"\r\n\r\n") {
            if bounded.read_until(b'\n', &mut text)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        response.parse(&text).map_err(io::Error::other)?;
        let find = |name: &str| {
            let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        Ok(Head {
            status: response.code.unwrap_or_default(),
            length: find("content-length").and_then(|length| length.parse().ok()),
            chunked: find("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")),
            close: find("connection").is_some_and(|word| word.eq_ignore_ascii_case("close")),
        })
    }

    fn body(&self, stream: &mut Reader) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.chunked {
            while let Some(chunk) = chunk(stream)? {
                body.extend(chunk);
                if body.len() as u64 > ANSWER_BYTES_MAX {
                    return Err(io::Error::other("the answer is too long"));
                }
            }
            return Ok(body);
        }
        let length = self.length.unwrap_or(0);
        if length > ANSWER_BYTES_MAX {
            return Err(io::Error::other("the answer is too long"));
        }
        stream.take(length).read_to_end(&mut body)?;
        if body.len() as u64 == length { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// One chunk of a chunked body; `None` after the last.
fn chunk(stream: &mut Reader) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    stream.by_ref().take(1024).read_line(&mut line)?;
    let length =
        u64::from_str_radix(line.trim(), 16).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let mut chunk = Vec::new();
    stream.take(length.min(ANSWER_BYTES_MAX)).read_to_end(&mut chunk)?;
    let mut end = [0; 2];
    stream.read_exact(&mut end)?;
    Ok((length > 0).then_some(chunk))
}

/// Events as they happen.
#[derive(Debug)]
pub struct Events {
    stream: Reader,
    chunk: Vec<u8>,
}

impl Iterator for Events {
    type Item = crate::EventRow;

    /// The next event; `None` when the stream ended.
    fn next(&mut self) -> Option<crate::EventRow> {
        loop {
            while let Some(end) = self.chunk.windows(2).position(|two| two == b"\n\n") {
                let message: Vec<u8> = self.chunk.drain(..end + 2).collect();
                let text = String::from_utf8_lossy(&message);
                let data = text.lines().find_map(|line| line.strip_prefix("data: "));
                if let Some(row) = data.and_then(|data| serde_json::from_str(data).ok()) {
                    return Some(row);
                }
            }
            self.chunk.extend(chunk(&mut self.stream).ok()??);
        }
    }
}
