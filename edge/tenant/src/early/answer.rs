//! Answers as far as they are what is hoped for: the lease is true and the child is in it, or all of it is back. Every
//! other one is left to whoever reads all of it.
use super::{
    text::{Text, find, number},
    words::{Request, Socket, with_body},
};
use bursar_enforce::early::Standing;

/// Whether all of an answer is there, whatever it says.
pub(super) fn is_whole(answer: &[u8]) -> bool {
    parts(answer).is_some()
}

/// Status and document of a whole answer; `None` while some of it is missing, and where it does not say how long it is.
fn parts(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = find(answer, b"\r\n\r\n")? + 4;
    let (head, document) = answer.split_at_checked(start)?;
    let status = head.strip_prefix(b"HTTP/1.1 ")?.split(|&byte| byte == b' ').next()?;
    let length = b"\r\ncontent-length: ";
    let digits = head.get(find(head, length)? + length.len()..)?.split(|&byte| byte == b'\r').next()?;
    (number(digits)? == document.len() as u64).then_some((status, document))
}

/// The document of a whole answer of this status.
fn document<'a>(answer: &'a [u8], status: &[u8]) -> Option<&'a [u8]> {
    parts(answer).filter(|(told, _)| *told == status).map(|(_, document)| document)
}

/// A lease that is true.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease<'a> {
    id: &'a [u8],
    fence: &'a [u8],
}

impl<'a> Lease<'a> {
    /// The lease of an answer, if it is true, this child is in it, and nothing else is to be told to the command.
    pub(super) fn read(answer: &'a [u8], pid: u32) -> Option<Lease<'a>> {
        let body = document(answer, b"201")?;
        let mut pids = Text::<16>::new();
        pids.put(b"[")?.number(pid.into())?.put(b"]")?;
        let inside = value(body, b"\"pids\":")?.starts_with(pids.bytes());
        let bare = value(body, b"\"environment\":")?.starts_with(b"{}");
        let held = word(body, b"\"phase\":")? == b"held";
        let (id, fence) = (word(body, b"\"id\":")?, word(body, b"\"fence\":")?);
        (inside && bare && held && number(id).and(number(fence)).is_some()).then_some(Lease { id, fence })
    }

    /// What the command finds in its environment, as `run.rs` says it.
    pub(super) fn variables(&self, socket: &Socket) -> Option<Text<{ Standing::ROOM }>> {
        let mut text = Text::new();
        text.put(b"BURSAR_LEASE=")?.put(self.id)?.put(b":")?.put(self.fence)?;
        text.put(b"\0BURSAR_CLAIM=")?.put(self.id)?.put(b"\0BURSAR_FENCE=")?.put(self.fence)?;
        text.put(b"\0BURSAR_SOCKET=")?.put(socket.bytes())?.put(b"\0")?;
        Some(text)
    }

    /// The request that gives it back.
    pub(super) fn release(&self) -> Option<Request> {
        let mut body = Text::<64>::new();
        body.put(b"{\"fence\":\"")?.put(self.fence)?.put(b"\"}")?;
        let mut request = Request::new();
        request.put(b"POST /v1/claims/")?.put(self.id)?.put(b"/release?wait=15s HTTP/1.1\r\nHost: bursar")?;
        with_body(&mut request, body.bytes())?;
        Some(request)
    }
}

/// Whether an answer says that all of it is back, and nothing that people have to be told.
pub(super) fn is_back(answer: &[u8]) -> bool {
    let look = || {
        let body = document(answer, b"200")?;
        let closed = word(body, b"\"phase\":")? == b"closed" && word(body, b"\"ending\":")? == b"released";
        (closed && value(body, b"\"quarantined\":")?.starts_with(b"false")).then_some(())
    };
    look().is_some()
}

/// What stands behind a name for the first time. No text within a document has a bare quote in it, so this is a name.
fn value<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    body.get(find(body, name)? + name.len()..)
}

fn word<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    value(body, name)?.strip_prefix(b"\"")?.split(|&byte| byte == b'"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: &str, body: &str) -> Vec<u8> {
        let head = "content-type: application/json\r\ncontent-length: ";
        format!("HTTP/1.1 {status}\r\n{head}{}\r\ndate: now\r\n\r\n{body}", body.len()).into_bytes()
    }

    const GRANTED: &str = r#"{"claim":{"id":"679","fence":"1099511628455","scope":"","phase":"held","lines":[],"pids":[26807],"environment":{}}}"#;
    const BACK: &str = r#"{"claim":{"id":"679","phase":"closed","ending":"released","quarantined":false}}"#;

    #[test]
    fn a_lease_is_taken_only_when_all_of_it_is_as_hoped() {
        let granted = answer("201 Created", GRANTED);
        let lease = Lease::read(&granted, 26807).expect("true");
        let mut socket = Socket::new();
        socket.put(b"/s").expect("room");
        let variables = lease.variables(&socket).expect("room");
        let told = "BURSAR_LEASE=679:1099511628455\0BURSAR_CLAIM=679\0BURSAR_FENCE=1099511628455\0BURSAR_SOCKET=/s\0";
        assert_eq!(variables.bytes(), told.as_bytes());
        let release = lease.release().expect("room");
        assert!(release.bytes().starts_with(b"POST /v1/claims/679/release?wait=15s HTTP/1.1\r\n"));
        assert!(release.bytes().ends_with(b"Content-Length: 25\r\n\r\n{\"fence\":\"1099511628455\"}"));
        for (now, then) in [
            ("held", "reserved"),
            ("[26807]", "[2680]"),
            ("[26807]", "[268070]"),
            ("[26807]", "[26807,1]"),
            ("{}", r#"{"A":"b"}"#),
            ("679", "six"),
        ] {
            assert!(
                Lease::read(&answer("201 Created", &GRANTED.replace(now, then)), 26807).is_none(),
                "{then}"
            );
        }
        assert!(Lease::read(&answer("200 OK", GRANTED), 26807).is_none());
    }

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        for whole in [answer("201 Created", GRANTED), answer("409 Conflict", "{}"), answer("204 None", "")] {
            assert!(is_whole(&whole));
            assert!((0..whole.len()).all(|length| !is_whole(&whole[..length])));
        }
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"));
    }

    #[test]
    fn what_people_have_to_be_told_is_not_the_end() {
        assert!(is_back(&answer("200 OK", BACK)));
        for (now, then) in [("closed", "draining"), ("released", "preempted"), ("false", "true")] {
            assert!(!is_back(&answer("200 OK", &BACK.replace(now, then))), "{then}");
        }
        assert!(!is_back(&answer("409 Conflict", BACK)));
    }
}
