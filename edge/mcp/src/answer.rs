//! An answer as a model reads it: one small document, as data and as text, that never passes its bound.
use crate::{denial::Denial, limits::ANSWER_BYTES_MAX};
use rmcp::model::CallToolResult;
use serde_json::{Map, Value};

/// What a tool says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    told: Map<String, Value>,
    fault: bool,
}

impl Answer {
    /// An answer of this status.
    pub(crate) fn of(status: &str) -> Answer {
        Answer::default().with("status", status)
    }

    /// Adds a member.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Answer {
        self.told.insert(key.into(), value.into());
        self
    }

    /// Adds a member where there is something to say.
    pub(crate) fn with_some(self, key: &str, value: Option<impl Into<Value>>) -> Answer {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Adds a list unless it is empty. What does not fit is counted in `more`.
    pub(crate) fn with_list(mut self, key: &str, rows: Vec<Value>) -> Answer {
        if rows.is_empty() {
            return self;
        }
        let all = rows.len() + self.told.get("more").and_then(Value::as_u64).unwrap_or(0) as usize;
        self = self.with(key, rows);
        while self.bytes() > ANSWER_BYTES_MAX {
            let Some(Value::Array(rows)) = self.told.get_mut(key) else { break };
            rows.pop();
            let left = rows.len();
            if left == 0 {
                self.told.remove(key);
            }
            self = self.with("more", all - left);
        }
        self
    }

    /// Bytes of the document as data, and of the same as text: that is how often it stands in a result.
    fn bytes(&self) -> usize {
        let data = Value::Object(self.told.clone()).to_string();
        data.len() + Value::String(data).to_string().len()
    }

    /// As the protocol carries it.
    pub(crate) fn result(self) -> CallToolResult {
        let told = Value::Object(self.told);
        match self.fault {
            true => CallToolResult::structured_error(told),
            false => CallToolResult::structured(told),
        }
    }
}

impl From<Denial> for Answer {
    fn from(denial: Denial) -> Answer {
        let Denial { reason, fix, retry_after_ms, fault } = denial;
        let answer = Answer::of("DENIED").with("reason", reason).with("fix", fix);
        Answer { fault, ..answer.with_some("retry_after_ms", retry_after_ms) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_cut_to_what_fits_and_says_how_much_is_missing() {
        let rows: Vec<Value> =
            (0..200).map(|n| json!({ "resource": "memory", "amount": n.to_string() })).collect();
        let answer =
            Answer::of("OK").with_list("lines", rows).with_list("pools", vec![json!("x".repeat(300))]);
        let shown = answer.told["lines"].as_array().expect("some").len();
        assert!(shown > 3 && answer.told["more"].as_u64().is_some());
        assert!(!answer.told.contains_key("pools"));
        assert_eq!(answer.told["more"], 201 - shown);
        let result = serde_json::to_string(&answer.result()).expect("plain data");
        assert!(result.len() < 1050, "{}: {result}", result.len());
    }
}
