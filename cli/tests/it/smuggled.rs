//! Requests that two readers could read otherwise, byte by byte as they come (S-17 to S-19): each is refused in the
//! contract's words, and what comes after it is never read as a request.
use crate::{
    access::{House, token},
    daemon::LONG,
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// Both doors of a daemon, and what a request needs to be let in by either.
struct Doors {
    house: House,
    /// Two headers.
    known: String,
}

/// A way in.
trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

impl Doors {
    fn open() -> Doors {
        let house = House::with(&token("good", "team", &["read", "claim"], ""));
        let known = format!("Host: {}\r\nAuthorization: Bearer good\r\n", house.address);
        Doors { house, known }
    }

    fn streams(&self) -> [(&'static str, Box<dyn Stream>); 2] {
        let unix = UnixStream::connect(self.house.daemon.socket()).expect("connected");
        unix.set_read_timeout(Some(LONG)).expect("set");
        let tcp = TcpStream::connect(&self.house.address).expect("connected");
        tcp.set_read_timeout(Some(LONG)).expect("set");
        tcp.set_nodelay(true).expect("set");
        [("unix", Box::new(unix)), ("tcp", Box::new(tcp))]
    }

    /// A request that would be answered if it were read.
    fn next(&self) -> String {
        format!("GET /v1/pools HTTP/1.1\r\n{}\r\n", self.known)
    }
}

/// What is said until the other end hangs up, which it does of itself and soon.
fn heard(stream: &mut dyn Stream) -> String {
    let since = Instant::now();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(since.elapsed() < Duration::from_secs(4), "it was left open: {answer}");
    answer
}

/// The answers to what was sent on one connection, by status.
fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).filter_map(|part| part.get(..3)).collect()
}

/// That the last answer is the refusal of what could not be read.
fn assert_told(what: &str, answer: &str, status: u16, word: &str) {
    let last = answer.rfind("HTTP/1.1 ").map_or("", |at| &answer[at..]);
    let (head, body) = last.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{what}: {answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
    let head = head.to_lowercase();
    assert!(head.contains("content-type: application/problem+json"), "{what}: {answer}");
    assert!(head.contains("connection: close"), "{what}: {answer}");
    let told: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{what}: {error}: {answer}"));
    assert_eq!(told["status"], status, "{what}: {answer}");
    let hint = told["error"]["hint"].as_str().unwrap_or_default();
    assert!(hint.len() > 5 && body.contains(word), "{what}: {word:?} is not in {answer}");
}

/// What is wrong, the headers that are, a body, the status and a word of the answer.
type Odd = (&'static str, String, &'static str, u16, &'static str);

/// Heads that are wrong behind a good line and `known`.
fn odd() -> Vec<Odd> {
    let one = |what, headers: &str, body, word| (what, headers.to_owned(), body, 400, word);
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    vec![
        one("a length and chunks", &format!("{length}{chunked}"), "0\r\n\r\n", "Transfer-Encoding"),
        one("chunks and a length", &format!("{chunked}{length}"), "0\r\n\r\n", "Transfer-Encoding"),
        one(
            "chunks and no length",
            &format!("{chunked}Content-Length: 0\r\n"),
            "0\r\n\r\n",
            "Transfer-Encoding",
        ),
        one(
            "in small letters",
            "content-length:5\r\ntransfer-encoding:chunked\r\n",
            "0\r\n\r\n",
            "Transfer-Encoding",
        ),
        one("two lengths", &format!("Content-Length: 0\r\n{length}"), "12345", "Content-Length"),
        one(
            "two lengths apart",
            &format!("{length}X-A: b\r\nContent-Length: 6\r\n"),
            "12345",
            "Content-Length",
        ),
        one("a length with a sign", "Content-Length: +5\r\n", "12345", "Content-Length"),
        one("a length below none", "Content-Length: -5\r\n", "", "Content-Length"),
        one("a length in parts", "Content-Length: 0 5\r\n", "12345", "Content-Length"),
        one("a list of lengths", "Content-Length: 5, 5\r\n", "12345", "Content-Length"),
        one("no length at all", "Content-Length:\r\n", "", "Content-Length"),
        one("a length by sixteens", "Content-Length: 0x5\r\n", "12345", "Content-Length"),
        one(
            "a length of too many digits",
            "Content-Length: 18446744073709551621\r\n",
            "12345",
            "Content-Length",
        ),
        one("an unknown coding", "Transfer-Encoding: xchunked\r\n", "0\r\n\r\n", "chunked"),
        one("two codings", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n", "chunked"),
        one("a coding twice", &format!("{chunked}{chunked}"), "0\r\n\r\n", "chunked"),
        one(
            "a coding and none",
            &format!("{chunked}Transfer-Encoding: identity\r\n"),
            "0\r\n\r\n",
            "chunked",
        ),
        one("no coding", "Transfer-Encoding:\r\n", "", "chunked"),
        one("a coding of odd letters", "Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n", "chunked"),
        one("a coding with more", "Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n", "chunked"),
        one("a coding with a tab before", "Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n", ""),
        one("a line that ends without CR", "X-A: b\nX-C: d\r\n", "", "CR"),
        one("a length behind a bare LF", "X-A: b\nContent-Length: 5\r\n", "12345", "CR"),
        one("a bare CR", "X-A: b\rX-C: d\r\n", "", ""),
        one("a folded header", "X-A: b\r\n c\r\n", "", ""),
        one("a header folded by a tab", "X-A: b\r\n\tc\r\n", "", ""),
        one("a length that is folded", "Content-Length:\r\n 5\r\n", "12345", ""),
        one("a blank before the colon", "Content-Length : 5\r\n", "12345", ""),
        one("a tab before the colon", "Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n", ""),
        one("no name", ": b\r\n", "", ""),
        one("no colon", "X-A\r\n", "", ""),
        ("17 KiB", format!("X-A: {}\r\n", "x".repeat(17 << 10)), "", 431, "16384"),
        ("a thousand", (0..1000).map(|n| format!("X-{n}: y\r\n")).collect(), "", 431, "64"),
        ("a hundred", (0..100).map(|n| format!("X-{n}: y\r\n")).collect(), "", 431, "64"),
    ]
}

#[test]
fn s_17_to_s_19_what_two_readers_could_read_otherwise_is_refused_and_the_connection_closed() {
    let doors = Doors::open();
    let (known, next) = (&doors.known, doors.next());
    let behind = odd().into_iter().map(|(what, headers, body, status, word)| {
        (what, format!("POST /v1/claims HTTP/1.1\r\n{known}{headers}\r\n{body}"), status, word)
    });
    let whole = [
        ("an LF before it", format!("\nGET /healthz HTTP/1.1\r\n{known}\r\n"), 400, "CR"),
        ("a line that ends with LF", format!("GET /healthz HTTP/1.1\n{known}\r\n"), 400, "CR"),
        ("LF alone", format!("GET /healthz HTTP/1.1\r\n{known}\r\n").replace("\r\n", "\n"), 400, "CR"),
        ("an end of LF", format!("GET /healthz HTTP/1.1\r\n{known}\n"), 400, "CR"),
        ("folded at once", format!("GET /healthz HTTP/1.1\r\n X-A: b\r\n{known}\r\n"), 400, ""),
        (
            "chunks in HTTP/1.0",
            format!("POST /healthz HTTP/1.0\r\n{known}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
            "",
        ),
        ("no request at all", "\0\0\0\0\r\n\r\n".to_owned(), 400, ""),
        ("an endless line", format!("GET /{} HTTP/1.1\r\n{known}\r\n", "x".repeat(17 << 10)), 431, "16384"),
        ("empty lines only", "\r\n".repeat(9 << 10), 431, "16384"),
    ];
    for (what, request, status, word) in behind.chain(whole) {
        for (door, mut stream) in doors.streams() {
            let what = format!("{what}, {door}");
            let _ = stream.write_all(format!("{request}{next}").as_bytes());
            let answer = heard(&mut *stream);
            assert_eq!(statuses(&answer).len(), 1, "{what}: {answer}");
            assert_told(&what, &answer, status, word);
        }
    }
    let claims = doors.house.daemon.ask(&["get", "claims"]);
    assert_eq!(claims["claims"].as_array().map(Vec::len), Some(0), "{claims}");
}

#[test]
fn what_comes_in_pieces_or_behind_another_request_is_judged_all_the_same() {
    let doors = Doors::open();
    let (known, next) = (&doors.known, doors.next());
    let long = format!("POST /v1/claims HTTP/1.1\r\n{known}Content-Length: 2\r\n\r\n{{}}");
    for (what, headers, body, status, word) in odd().into_iter().filter(|odd| odd.1.len() < 200) {
        let request = format!("POST /v1/claims HTTP/1.1\r\n{known}{headers}\r\n{body}{next}");
        for (door, mut stream) in doors.streams() {
            let what = format!("{what} behind others, {door}");
            stream.write_all(format!("{next}{long}{request}").as_bytes()).expect("sent");
            let answer = heard(&mut *stream);
            assert_eq!(statuses(&answer), ["200", "415", "400"], "{what}: {answer}");
            assert_told(&what, &answer, status, word);
        }
        for (door, mut stream) in doors.streams() {
            let what = format!("{what} in pieces, {door}");
            for piece in request.as_bytes().chunks(7) {
                // Who was refused need not be heard to the end.
                let _ = stream.write_all(piece);
            }
            let answer = heard(&mut *stream);
            assert_eq!(statuses(&answer).len(), 1, "{what}: {answer}");
            assert_told(&what, &answer, status, word);
        }
    }
}

#[test]
fn who_sends_in_chunks_is_heard_and_nothing_after_that_is() {
    let doors = Doors::open();
    let (known, next) = (&doors.known, doors.next());
    let json = "Content-Type: application/json\r\n";
    let body = "{\"lines\":[{\"resource\":\"cpu\",\"amount\":\"10\"}]}";
    let chunks = format!("5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n", &body[..5], body.len() - 5, &body[5..]);
    let head = format!("POST /v1/claims HTTP/1.1\r\n{known}{json}Transfer-Encoding: chunked\r\n\r\n");
    for (door, mut stream) in doors.streams() {
        stream.write_all(format!("{head}{chunks}{next}").as_bytes()).expect("sent");
        let answer = heard(&mut *stream);
        assert_eq!(statuses(&answer), ["201"], "{door}: {answer}");
        assert!(answer.to_lowercase().contains("connection: close"), "{door}: {answer}");
    }
}

#[test]
fn what_is_said_in_good_order_stays_on_its_connection() {
    let doors = Doors::open();
    let (known, next) = (&doors.known, doors.next());
    let body = "{\"lines\":[{\"resource\":\"cpu\",\"amount\":\"10\"}]}";
    let length = format!("content-LENGTH:  {}\t\r\n", body.len());
    let head = format!("POST /v1/claims HTTP/1.1\r\n{known}Content-Type: application/json\r\n{length}");
    let last = format!("GET /healthz HTTP/1.1\r\n{known}Connection: close\r\n\r\n");
    // An empty line before a request is let pass (RFC 9112, 2.2), and a length that is said twice is one.
    let all = format!("\r\n{next}{head}\r\n{body}\r\n{next}{head}{length}\r\n{body}{last}{next}");
    for (door, mut stream) in doors.streams() {
        stream.write_all(all.as_bytes()).expect("sent");
        let answer = heard(&mut *stream);
        assert_eq!(statuses(&answer), ["200", "201", "200", "201", "200"], "{door}: {answer}");
    }
    for (door, mut stream) in doors.streams() {
        for piece in all.as_bytes().chunks(5) {
            let _ = stream.write_all(piece);
        }
        let answer = heard(&mut *stream);
        assert_eq!(statuses(&answer), ["200", "201", "200", "201", "200"], "in pieces, {door}: {answer}");
    }
}

#[test]
fn half_a_request_behind_a_whole_one_is_waited_for_no_longer_than_any() {
    let doors = Doors::open();
    let (since, mut both) = (Instant::now(), doors.streams());
    for (_, stream) in &mut both {
        stream.write_all(format!("{}GET /v1/po", doors.next()).as_bytes()).expect("sent");
    }
    for (door, mut stream) in both {
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(since.elapsed() < Duration::from_secs(15), "{door}: {:?}", since.elapsed());
        assert_eq!(statuses(&answer), ["200"], "{door}: {answer}");
    }
}
