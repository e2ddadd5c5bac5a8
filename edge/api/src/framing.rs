//! Where each request on a connection begins and ends, as RFC 9112 has it and no looser: hyper forgives a length beside
//! chunks and a bare line feed, and of two readers who forgive otherwise one takes for a request what the other took for
//! a body.
use crate::limits::HEADER_BYTES_MAX;

const LENGTH: &[u8] = b"content-length";
const CODING: &[u8] = b"transfer-encoding";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// What about a head could be read in two ways, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A line ends without CR.
    LineFeed,
    /// The line and headers have more than [`HEADER_BYTES_MAX`] bytes.
    Long,
    /// A length is no number, or there are two.
    Length,
    /// A coding other than `chunked`, or a second one.
    Coding,
    /// A length beside a coding.
    Both,
}

/// Follows what comes on one connection, each byte of a head once.
#[derive(Default)]
pub(crate) struct Framing {
    part: Part,
    /// Bytes of the head so far, with the empty lines before it.
    bytes: usize,
    /// Whether the request's first line is over.
    headers: bool,
    /// A line that has not come to its end.
    line: Vec<u8>,
    length: Option<u64>,
    chunked: bool,
    /// Requests of which a byte came.
    begun: u64,
}

/// What comes next.
#[derive(Default)]
enum Part {
    #[default]
    Head,
    /// So many bytes of a body, at least one.
    Body(u64),
    /// A body in chunks. It is the last of its connection, so that its end need not be known here; `line` is how it ends
    /// so far.
    Last,
}

impl Framing {
    /// Requests that have begun to come.
    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// Whether every request that began to come is whole. One in chunks is taken for that if it ends as such do.
    pub(crate) fn is_between(&self) -> bool {
        match self.part {
            Part::Head => self.bytes == 0,
            Part::Body(_) => false,
            Part::Last => self.line == LAST_CHUNK,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// What is wrong, and from which of these bytes on nobody must read any. What comes later is nobody's either.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), (usize, Wrong)> {
        let mut at = 0;
        while let Some(rest @ [_, ..]) = bytes.get(at..) {
            at += match self.part {
                Part::Last => {
                    let ends = &rest[rest.len().saturating_sub(LAST_CHUNK.len())..];
                    self.line.extend_from_slice(ends);
                    self.line.drain(..self.line.len().saturating_sub(LAST_CHUNK.len()));
                    break;
                }
                Part::Body(left) => {
                    let part = left.min(rest.len() as u64);
                    self.part = if part < left { Part::Body(left - part) } else { Part::Head };
                    part as usize
                }
                Part::Head => self.read_head(rest).map_err(|wrong| (at, wrong))?,
            };
        }
        Ok(())
    }

    /// Reads to the end of a line, or as much of it as there is. Says how much that was.
    fn read_head(&mut self, bytes: &[u8]) -> Result<usize, Wrong> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let part = &bytes[..end.map_or(bytes.len(), |end| end + 1)];
        self.begun += u64::from(self.bytes == 0);
        self.bytes += part.len();
        if self.bytes > HEADER_BYTES_MAX {
            return Err(Wrong::Long);
        }
        if end.is_some() && self.line.is_empty() {
            self.read_line(part)?;
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(part);
            match end {
                Some(_) => self.read_line(&line)?,
                None => self.line = line,
            }
        }
        Ok(part.len())
    }

    fn read_line(&mut self, line: &[u8]) -> Result<(), Wrong> {
        let line = line.strip_suffix(b"\r\n").ok_or(Wrong::LineFeed)?;
        match (line, self.headers) {
            ([], true) => self.end_head(),
            // Before a request an empty line is let pass (2.2).
            ([], false) => Ok(()),
            (_, false) => {
                self.headers = true;
                Ok(())
            }
            (_, true) => self.read_header(line),
        }
    }

    fn read_header(&mut self, line: &[u8]) -> Result<(), Wrong> {
        if let Some(said) = value(line, LENGTH) {
            let length = number(said).ok_or(Wrong::Length)?;
            if self.length.replace(length).is_some_and(|before| before != length) {
                return Err(Wrong::Length);
            }
        }
        if let Some(coding) = value(line, CODING)
            && (coding != b"chunked" || std::mem::replace(&mut self.chunked, true))
        {
            return Err(Wrong::Coding);
        }
        Ok(())
    }

    fn end_head(&mut self) -> Result<(), Wrong> {
        let part = match (self.chunked, self.length) {
            (true, Some(_)) => return Err(Wrong::Both),
            (true, None) => Part::Last,
            (false, None | Some(0)) => Part::Head,
            (false, Some(length)) => Part::Body(length),
        };
        *self = Framing { part, begun: self.begun, ..Framing::default() };
        Ok(())
    }
}

/// The value of a header, if it is this one.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (said, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    said.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

/// Digits and nothing else.
fn number(said: &[u8]) -> Option<u64> {
    let digits = said.iter().all(u8::is_ascii_digit).then_some(said)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all of it in pieces of so many bytes: how many requests began, or what is wrong and where.
    fn read(said: &str, piece: usize) -> Result<u64, (usize, Wrong)> {
        let mut framing = Framing::default();
        for (n, piece_of) in said.as_bytes().chunks(piece).enumerate() {
            framing.read(piece_of).map_err(|(at, wrong)| (n * piece + at, wrong))?;
        }
        Ok(framing.begun())
    }

    #[test]
    fn a_body_is_no_request_and_what_follows_it_is() {
        let all = "\r\nGET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\n\n\n\nGET / HTTP/1.1\r\nA: b\r\n\r\nP";
        for piece in 1..=all.len() {
            assert_eq!(read(all, piece), Ok(4), "{piece}");
        }
        let last = "P / HTTP/1.1\r\ntransfer-encoding:chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\nGET /\n";
        assert_eq!(read(last, 3), Ok(1));
    }

    #[test]
    fn it_is_known_whether_all_that_began_is_whole() {
        let whole = "GET / HTTP/1.1\r\n\r\n";
        let body = "P / HTTP/1.1\r\nContent-Length: 2\r\n\r\n\n\n";
        let chunks = "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n\r\n";
        let all = format!("{whole}{body}{chunks}");
        let ends = [0, whole.len(), whole.len() + body.len(), all.len()];
        for length in 0..=all.len() {
            for piece in 1..=all.len() {
                let mut framing = Framing::default();
                for part in all.as_bytes()[..length].chunks(piece) {
                    framing.read(part).expect("nothing is wrong");
                }
                assert_eq!(framing.is_between(), ends.contains(&length), "{length} {piece}");
            }
        }
    }

    #[test]
    fn what_is_wrong_is_found_in_whatever_pieces_it_comes() {
        for (headers, wrong) in [
            ("A: b\n", Wrong::LineFeed),
            ("Content-Length: 1,1\r\n", Wrong::Length),
            ("Content-Length: 1\r\nContent-Length: 2\r\n", Wrong::Length),
            ("Transfer-Encoding: gzip\r\n", Wrong::Coding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Wrong::Coding),
            ("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", Wrong::Both),
        ] {
            let good = "GET / HTTP/1.1\r\n\r\n";
            let all = format!("{good}P / HTTP/1.1\r\n{headers}\r\n");
            for piece in 1..=all.len() {
                let (at, found) = read(&all, piece).expect_err(headers);
                assert_eq!(found, wrong, "{headers} {piece}");
                assert!(at > good.len() && at < all.len(), "{headers} {piece} {at}");
            }
        }
        let long = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(HEADER_BYTES_MAX));
        assert_eq!(read(&long, 100).expect_err("long").1, Wrong::Long);
    }

    #[test]
    fn the_length_is_what_hyper_takes_for_one() {
        for (said, is) in [("0", Some(0)), ("007", Some(7)), ("18446744073709551615", Some(u64::MAX))] {
            assert_eq!(number(said.as_bytes()), is);
        }
        for odd in ["", "+1", "-1", "1 1", "1,1", "0x1", "1.0", "18446744073709551616", "\u{664}"] {
            assert_eq!(number(odd.as_bytes()), None, "{odd}");
        }
    }
}
