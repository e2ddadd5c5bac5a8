//! An answer as a model reads it: one small document, as data and as text, that never passes its bound.
use crate::{denial::Denial, limits::ANSWER_BYTES_MAX};
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Serializer;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// What a tool says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    /// In the order in which it is read: first the status.
    told: Vec<(&'static str, Value)>,
    fault: bool,
}

impl Answer {
    /// An answer of this status.
    pub(crate) fn of(status: &str) -> Answer {
        Answer::default().with("status", status)
    }

    /// Adds a member.
    pub(crate) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Answer {
        self.told.retain(|(known, _)| *known != key);
        self.told.push((key, value.into()));
        self
    }

    /// Adds a member where there is something to say.
    pub(crate) fn with_some(self, key: &'static str, value: Option<impl Into<Value>>) -> Answer {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds a list unless it is empty. What does not fit is counted in `more`.
    pub(crate) fn with_list(mut self, key: &'static str, rows: Vec<Value>) -> Answer {
        if rows.is_empty() {
            return self;
        }
        let all = rows.len() + self.get("more").and_then(Value::as_u64).unwrap_or(0) as usize;
        self = self.with(key, rows);
        while self.bytes() > ANSWER_BYTES_MAX {
            let rows = self.told.iter_mut().find(|(known, _)| *known == key);
            let Some((_, Value::Array(rows))) = rows else { break };
            rows.pop();
            let left = rows.len();
            if left == 0 {
                self.told.retain(|(known, _)| *known != key);
            }
            self = self.with("more", all - left);
        }
        self
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.told.iter().find(|(known, _)| *known == key).map(|(_, value)| value)
    }

    /// The document as text.
    fn text(&self) -> String {
        let mut text = Vec::with_capacity(ANSWER_BYTES_MAX);
        self.write_to(&mut text);
        // It is JSON, and that is UTF-8.
        String::from_utf8(text).unwrap_or_default()
    }

    /// Writes the document, in the order in which it is read.
    fn write_to(&self, to: &mut impl Write) {
        let mut to = serde_json::Serializer::new(to);
        // Neither what is written nor where it goes can fail.
        let _ = to.collect_map(self.told.iter().map(|(key, value)| (key, value)));
    }

    /// Bytes of the document as data, and of the same as text: that is how often it stands in a result.
    fn bytes(&self) -> usize {
        let mut length = Length::default();
        self.write_to(&mut length);
        2 * length.bytes + length.escaped + 2
    }

    /// As the protocol carries it.
    pub(crate) fn result(self) -> CallToolResult {
        let content = vec![ContentBlock::text(self.text())];
        let told = self.told.into_iter().map(|(key, value)| (key.to_owned(), value));
        let told: Map<String, Value> = told.collect();
        let mut result = match self.fault {
            true => CallToolResult::error(content),
            false => CallToolResult::success(content),
        };
        result.structured_content = Some(told.into());
        result
    }
}

/// How long a document is, without it.
#[derive(Default)]
struct Length {
    bytes: usize,
    /// Of these, what takes one more where the document stands as text in another.
    escaped: usize,
}

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        self.escaped += bytes.iter().filter(|byte| b"\"\\".contains(byte)).count();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<Denial> for Answer {
    fn from(denial: Denial) -> Answer {
        let Denial { reason, fix, retry_after_ms, offers, fault } = denial;
        let (status, fix) = match offers.is_empty() {
            true => ("DENIED", fix),
            false => {
                ("COUNTER_OFFER", "each offer would be granted now: ask for its lines; or set wait".into())
            }
        };
        let answer = Answer::of(status).with("reason", reason).with("fix", fix);
        let answer = answer.with_some("retry_after_ms", retry_after_ms).with_list("offers", offers);
        Answer { fault, ..answer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn its_length_is_known_without_writing_it() {
        let odd = json!({ "a": ["\"q\"\\", "\n\u{1}é", 1.5, null], "b": {} });
        let answer = Answer::of("OK").with("odd", odd).with("more", 7);
        let text = answer.text();
        assert_eq!(answer.bytes(), text.len() + Value::String(text).to_string().len());
    }

    #[test]
    fn a_list_is_cut_to_what_fits_and_says_how_much_is_missing() {
        let rows: Vec<Value> =
            (0..200).map(|n| json!({ "resource": "memory", "amount": n.to_string() })).collect();
        let answer =
            Answer::of("OK").with_list("lines", rows).with_list("pools", vec![json!("x".repeat(300))]);
        let shown = answer.get("lines").and_then(Value::as_array).expect("some").len();
        assert!(shown > 3);
        assert!(answer.get("pools").is_none());
        assert_eq!(answer.get("more"), Some(&json!(201 - shown)));
        let read: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(read["status"], "OK");
        let result = serde_json::to_string(&answer.result()).expect("plain data");
        assert!(result.len() < 1050, "{}: {result}", result.len());
    }
}
