//! The plain ones of all command lines: what is said in them, and the request that it comes to, as `words.rs` and
//! `ask.rs` would have it. All others are left to those.
use super::text::{Text, number};
use bursar_enforce::early::KEY_BYTES;

/// Bytes of a request.
const REQUEST_MAX: usize = 1024;
/// Bytes of its document.
const BODY_MAX: usize = 512;
/// Bytes of a socket's path.
const SOCKET_MAX: usize = 100;

/// A request.
pub(super) type Request = Text<REQUEST_MAX>;
/// A socket's path.
pub(super) type Socket = Text<SOCKET_MAX>;

/// What a command line says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plain<'a> {
    cpu_milli: Option<u64>,
    memory_bytes: Option<u64>,
    pids: Option<u64>,
    wait: Option<&'a [u8]>,
    ttl: Option<&'a [u8]>,
    expect: Option<&'a [u8]>,
    socket: Option<&'a [u8]>,
    /// Which word the command begins with.
    pub(super) command: usize,
}

/// What a lease holds where nothing is asked for, and how long it lasts where nobody says; as in `run.rs`.
const PIDS: u64 = 256;
const TTL: &[u8] = b"60s";

impl<'a> Plain<'a> {
    /// Reads a command line; `None` for what is not read here.
    pub(super) fn read(words: impl Iterator<Item = &'a [u8]>) -> Option<Plain<'a>> {
        let mut words = words.enumerate().skip(1);
        if words.next()?.1 != b"run" {
            return None;
        }
        let mut plain = Plain::default();
        loop {
            let (at, word) = words.next()?;
            if word == b"--" {
                plain.command = at + 1;
                return words.next().map(|_| plain);
            }
            let name = word.strip_prefix(b"--")?;
            let (name, value) = match name.iter().position(|&byte| byte == b'=') {
                Some(sign) => (name.get(..sign)?, name.get(sign + 1..)?),
                None => (name, words.next()?.1),
            };
            match name {
                b"cpu" => once(&mut plain.cpu_milli, cores(value)?)?,
                b"memory" => once(&mut plain.memory_bytes, bytes(value)?)?,
                b"pids" => once(&mut plain.pids, number(value).filter(|_| value.len() <= 9)?)?,
                b"wait" => once(&mut plain.wait, time(value)?)?,
                b"ttl" => once(&mut plain.ttl, time(value)?)?,
                b"expect" => once(&mut plain.expect, time(value)?)?,
                b"socket" => once(&mut plain.socket, value)?,
                _ => return None,
            }
        }
    }

    /// The socket of the daemon, as `bursar_wire::socket` finds it.
    pub(super) fn socket<'v>(&self, variable: impl Fn(&[u8]) -> Option<&'v [u8]>) -> Option<Socket> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let places = [
            (self.socket, b"" as &[u8]),
            (set(b"BURSAR_SOCKET"), b""),
            (set(b"XDG_RUNTIME_DIR"), b"/bursar/bursar.sock"),
            (set(b"HOME"), b"/.local/state/bursar/bursar.sock"),
            (Some(b"/run"), b"/bursar/bursar.sock"),
        ];
        let (folder, name) = places.into_iter().find_map(|(folder, name)| folder.map(|it| (it, name)))?;
        let mut path = Socket::new();
        path.put(folder)?.put(name)?;
        // Others are made absolute and shown in ways that need more than this.
        let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
        let straight = |pair: &[u8]| pair != b"//";
        let dotted = path.bytes().split(|&byte| byte == b'/').any(|part| part == b"." || part == b"..");
        let last = path.bytes().last().is_some_and(|&byte| byte != b'/');
        let whole =
            path.bytes().starts_with(b"/") && last && !dotted && path.bytes().windows(2).all(straight);
        (whole && path.bytes().iter().all(plain)).then_some(path)
    }

    /// The request for it, with a process that is to live in the lease.
    pub(super) fn request(&self, pid: u32, key: &[u8; KEY_BYTES]) -> Option<Request> {
        let mut body = Text::<BODY_MAX>::new();
        body.put(b"{\"class\":\"burstable\",\"priority\":0")?;
        let ttl = Some(self.ttl.unwrap_or(TTL));
        for (name, value) in [(b"wait" as &[u8], self.wait), (b"ttl", ttl), (b"expect", self.expect)] {
            if let Some(value) = value {
                body.put(b",\"")?.put(name)?.put(b"\":\"")?.put(value)?.put(b"\"")?;
            }
        }
        body.put(b",\"lines\":[")?;
        let bare = self.cpu_milli.or(self.memory_bytes).or(self.pids).is_none();
        let pids = self.pids.or(bare.then_some(PIDS));
        let mut between: &[u8] = b"";
        for (name, amount) in
            [(b"cpu" as &[u8], self.cpu_milli), (b"memory", self.memory_bytes), (b"pids", pids)]
        {
            if let Some(amount) = amount {
                body.put(between)?.put(b"{\"resource\":\"")?.put(name)?.put(b"\",\"amount\":\"")?;
                body.number(amount)?.put(b"\"}")?;
                between = b",";
            }
        }
        body.put(b"],\"pid\":")?.number(pid.into())?.put(b"}")?;
        let mut request = Request::new();
        request.put(b"POST /v1/claims HTTP/1.1\r\nHost: bursar\r\nIdempotency-Key: ")?.put(key)?;
        with_body(&mut request, body.bytes())?;
        Some(request)
    }
}

/// Ends a request that has a document.
pub(super) fn with_body(request: &mut Request, body: &[u8]) -> Option<()> {
    request.put(b"\r\nContent-Type: application/json\r\nContent-Length: ")?.number(body.len() as u64)?;
    request.put(b"\r\n\r\n")?.put(body).map(drop)
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    match place.replace(value) {
        None => Some(()),
        Some(_) => None,
    }
}

/// Cores in thousandths: digits, and up to three behind a point.
fn cores(text: &[u8]) -> Option<u64> {
    let point = text.iter().position(|&byte| byte == b'.');
    let (whole, part): (&[u8], &[u8]) = match point {
        Some(point) => (text.get(..point)?, text.get(point + 1..)?),
        None => (text, b"0"),
    };
    let milli = match part.len() {
        1 => number(part)? * 100,
        2 => number(part)? * 10,
        3 => number(part)?,
        _ => return None,
    };
    (whole.len() <= 6).then_some(number(whole)? * 1000 + milli)
}

/// Bytes: digits, and K, M or G.
fn bytes(text: &[u8]) -> Option<u64> {
    let shift = match text.last()? {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        _ => 0,
    };
    let digits = text.get(..text.len() - usize::from(shift > 0))?;
    (digits.len() <= if shift == 30 { 3 } else { 6 } || shift == 0 && digits.len() <= 12)
        .then_some(number(digits)? << shift)
}

/// A time above nothing: digits, and s, m or h.
fn time(text: &[u8]) -> Option<&[u8]> {
    let (unit, digits) = text.split_last()?;
    let plain = b"smh".contains(unit) && digits.len() <= 4 && digits.first() != Some(&b'0');
    number(digits).filter(|_| plain).map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ask, run::asked, words};
    use std::ffi::OsString;

    const KEY: [u8; KEY_BYTES] = [b'k'; KEY_BYTES];

    fn early(line: &str) -> Option<(Vec<u8>, usize)> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let plain = Plain::read(words.into_iter())?;
        Some((plain.request(7, &KEY)?.bytes().to_vec(), plain.command))
    }

    #[test]
    fn what_is_asked_early_is_asked_alike_later() {
        for line in [
            "bursar run -- true",
            "bursar run --cpu 0.5 --wait 10s -- /bin/true",
            "bursar run --cpu=12 --memory=64M --pids 9 --ttl 5m --expect 2h -- sh -c x --cpu 7 -- y",
            "bursar run --cpu 0.25 -- a",
            "bursar run --cpu 1.125 -- a",
            "bursar run --memory 1G -- a",
            "bursar run --memory 123456789012 -- a",
            "bursar run --memory 7K --socket /s -- a",
        ] {
            let (request, command) = early(line).unwrap_or_else(|| panic!("{line} is plain"));
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let errand = words::understand(&words).expect("understood");
            assert_eq!(words[command..], errand.run.command[..], "{line}");
            let mut body = asked(&errand.run).expect("an ask").0;
            body.pid = Some(7);
            let body = serde_json::to_string(&body).expect("JSON");
            let head = "POST /v1/claims HTTP/1.1\r\nHost: bursar\r\nIdempotency-Key: kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\r\n";
            let head =
                format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
            assert_eq!(String::from_utf8_lossy(&request), head + &body, "{line}");
        }
        assert_eq!(ask::fresh_key().len(), KEY_BYTES);
    }

    #[test]
    fn all_others_are_left_to_later() {
        for line in [
            "bursar",
            "bursar run",
            "bursar run true",
            "bursar run --",
            "bursar get -- true",
            "bursar run --cpu -- true",
            "bursar run --cpu 1 --cpu 1 -- true",
            "bursar run --cpu 0.0001 -- true",
            "bursar run --cpu 1. -- true",
            "bursar run --cpu .5 -- true",
            "bursar run --cpu -1 -- true",
            "bursar run --cpu 250m -- true",
            "bursar run --cpu 12345678 -- true",
            "bursar run --memory 1T -- true",
            "bursar run --memory G -- true",
            "bursar run --memory 12345678G -- true",
            "bursar run --memory 1.5G -- true",
            "bursar run --ttl 0s -- true",
            "bursar run --ttl s -- true",
            "bursar run --wait 1500ms -- true",
            "bursar run --wait \" -- true",
            "bursar run --class guaranteed -- true",
            "bursar run --lock l -- true",
            "bursar run --key k -- true",
            "bursar --socket /s run -- true",
        ] {
            assert_eq!(early(line), None, "{line}");
        }
    }

    #[test]
    fn the_socket_is_where_the_client_finds_it() {
        let found = |line: &str, variables: &[(&str, &'static str)]| {
            let plain = Plain::read(line.split(' ').map(str::as_bytes)).expect("plain");
            let of = |name: &[u8]| variables.iter().find(|(known, _)| known.as_bytes() == name);
            let socket = plain.socket(|name| of(name).map(|(_, value)| value.as_bytes()));
            socket.map(|socket| String::from_utf8_lossy(socket.bytes()).into_owned())
        };
        let (plain, named) = ("bursar run -- a", "bursar run --socket /f -- a");
        let (own, runtime, home) = (("BURSAR_SOCKET", "/a"), ("XDG_RUNTIME_DIR", "/r"), ("HOME", "/h"));
        assert_eq!(found(named, &[own, runtime, home]).as_deref(), Some("/f"));
        assert_eq!(found(plain, &[own, runtime, home]).as_deref(), Some("/a"));
        assert_eq!(found(plain, &[runtime, home]).as_deref(), Some("/r/bursar/bursar.sock"));
        assert_eq!(found(plain, &[home]).as_deref(), Some("/h/.local/state/bursar/bursar.sock"));
        assert_eq!(found(plain, &[]).as_deref(), Some("/run/bursar/bursar.sock"));
        for other in ["s", "./s", "/a/../s", "/a//s", "/a/", "/a/./s", "/\u{e4}", "/a b", "/a\"b"] {
            assert_eq!(found(plain, &[("BURSAR_SOCKET", other)]), None, "{other}");
        }
        let long = format!("/{}", "x".repeat(SOCKET_MAX)).leak();
        assert_eq!(found(plain, &[("BURSAR_SOCKET", long)]), None);
    }
}
