//! Reads the data of server-sent events as their bytes pass, however they are cut (WHATWG HTML, 9.2.6).
use crate::limits::EVENT_BYTES_MAX;

/// What of a stream has not made a whole event yet.
#[derive(Debug, Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    /// Bytes of the line, kept or not.
    length: usize,
    data: Vec<u8>,
    /// The event is too long to be kept: it is passed over.
    over: bool,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    returned: bool,
}

impl Events {
    /// Takes the next bytes; `event` hears the data of each event that they complete.
    pub(crate) fn take(&mut self, bytes: &[u8], mut event: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r') {
            let (line, feed) = (&rest[..end], rest[end] == b'\n');
            let joined = std::mem::replace(&mut self.returned, !feed) && feed && line.is_empty();
            rest = &rest[end + 1..];
            if !joined {
                self.keep(line);
                self.end_line(&mut event);
            }
        }
        if !rest.is_empty() {
            self.returned = false;
            self.keep(rest);
        }
    }

    fn keep(&mut self, part: &[u8]) {
        self.length = self.length.saturating_add(part.len());
        if self.over {
            return;
        }
        self.over = self.line.len() + self.data.len() + part.len() > EVENT_BYTES_MAX;
        match self.over {
            true => (self.line, self.data) = (Vec::new(), Vec::new()),
            false => self.line.extend_from_slice(part),
        }
    }

    fn end_line(&mut self, event: &mut impl FnMut(&[u8])) {
        if self.length == 0 {
            if !self.data.is_empty() {
                event(&self.data);
            }
            self.data.clear();
            self.over = false;
        } else if let Some(data) = self.line.strip_prefix(b"data:") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
        }
        self.line.clear();
        self.length = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let (mut events, mut heard) = (Events::default(), Vec::new());
        for piece in pieces {
            events.take(piece, |data| heard.push(String::from_utf8_lossy(data).into_owned()));
        }
        heard
    }

    #[test]
    fn events_are_read_however_they_are_cut_and_whatever_ends_their_lines() {
        let text = "event: a\ndata: one\n\n: comment\ndata:two\ndata: lines\n\nid: 7\n\ndata: cut off";
        for text in [text.to_owned(), text.replace('\n', "\r\n"), text.replace('\n', "\r")] {
            let bytes = text.as_bytes();
            let expected = ["one", "two\nlines"];
            for cut in 0..bytes.len() {
                assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), expected, "{text:?} cut at {cut}");
            }
            assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn an_event_that_is_too_long_is_passed_over_and_the_next_is_heard() {
        let long = format!("data: {}\ndata: x\n\ndata: next\n\n", "y".repeat(EVENT_BYTES_MAX));
        assert_eq!(read(&[long.as_bytes()]), ["next"]);
        assert_eq!(read(&long.as_bytes().chunks(1000).collect::<Vec<_>>()), ["next"]);
    }
}
