//! A provider of models that does as it is told: it answers in one document or as a stream, errs, throttles and
//! breaks off. And a caller of it.
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// A request as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// How many came before it.
    pub(crate) number: usize,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// A status, further headers, and a document.
    Document(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Pieces of a stream, with a pause before each.
    Stream(Vec<Vec<u8>>, Duration),
    /// The same, and then it breaks off.
    Cut(Vec<Vec<u8>>),
    /// Nothing: it hangs up.
    Nothing,
}

/// Whatever requests come over.
trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A provider on a port of its own; its threads end with the test.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) heard: Arc<Mutex<Vec<Heard>>>,
    /// The most that were with it at once.
    pub(crate) peak: Arc<AtomicUsize>,
}

impl Provider {
    pub(crate) fn who(says: impl Fn(&Heard) -> Says + Send + Sync + 'static) -> Provider {
        Provider::open(None, says)
    }

    /// One that is reached by TLS alone.
    pub(crate) fn secured(
        config: Arc<ServerConfig>,
        says: impl Fn(&Heard) -> Says + Send + Sync + 'static,
    ) -> Provider {
        Provider::open(Some(config), says)
    }

    fn open(
        tls: Option<Arc<ServerConfig>>,
        says: impl Fn(&Heard) -> Says + Send + Sync + 'static,
    ) -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let (heard, peak) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let here = AtomicUsize::new(0);
        let (all, most) = (heard.clone(), peak.clone());
        let visit = Arc::new(move |stream: &mut dyn Stream| {
            let mut reader = BufReader::new(stream);
            while let Some(mut request) = read(&mut reader) {
                {
                    let mut heard = all.lock().expect("no panic");
                    request.number = heard.len();
                    heard.push(request.clone());
                }
                most.fetch_max(here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let said = says(&request);
                here.fetch_sub(1, Ordering::SeqCst);
                if answer(reader.get_mut(), said).is_none() {
                    return;
                }
            }
        });
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (visit, tls) = (visit.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => visit(&mut stream),
                    Some(config) => {
                        let connection = ServerConnection::new(config).expect("a sound config");
                        visit(&mut StreamOwned::new(connection, stream));
                    }
                });
            }
        });
        Provider { address, heard, peak }
    }

    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }
}

fn read(from: &mut impl BufRead) -> Option<Heard> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(Heard { head, body, number: 0 })
}

/// A header's value in a head.
pub(crate) fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

/// Answers; `None` where the connection is at its end.
fn answer(to: &mut (impl Write + ?Sized), says: Says) -> Option<()> {
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
                   Transfer-Encoding: chunked\r\n\r\n";
    let (pieces, pause, cut) = match says {
        Says::Document(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} As Told\r\nContent-Type: application/json\r\n");
            headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
            head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
            return to.write_all(&[head.as_bytes(), &body].concat()).ok();
        }
        Says::Nothing => return None,
        Says::Stream(pieces, pause) => (pieces, pause, false),
        Says::Cut(pieces) => (pieces, Duration::ZERO, true),
    };
    to.write_all(chunked.as_bytes()).ok()?;
    for piece in pieces {
        std::thread::sleep(pause);
        to.write_all(&[format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat()).ok()?;
    }
    if cut {
        return None;
    }
    to.write_all(b"0\r\n\r\n").ok()
}

/// What a caller hears.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether it came to its end.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Calls on a connection of its own.
pub(crate) fn call(at: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(at).expect("connected");
    stream.set_read_timeout(Some(crate::daemon::LONG * 2)).expect("set");
    let host = match headers.iter().any(|(name, _)| *name == "Host") {
        true => String::new(),
        false => format!("Host: {at}\r\n"),
    };
    let mut head = format!("POST {path} HTTP/1.1\r\n{host}Connection: close\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()));
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).expect("sent");
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).expect("an answer") > 0, "it hung up: {head:?}");
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    let mut answer = Answer { status, head, body: Vec::new(), whole: false };
    answer.whole = match header(&answer.head, "transfer-encoding") {
        Some(_) => chunks(&mut reader, &mut answer.body).is_some(),
        None => reader.read_to_end(&mut answer.body).is_ok(),
    };
    answer
}

fn chunks(from: &mut impl BufRead, into: &mut Vec<u8>) -> Option<()> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        from.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(());
        }
        into.extend_from_slice(&chunk[..length]);
    }
}
