//! What a provider says was used.
use crate::config::Shape;
use serde_json::Value;

/// Tokens of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Read, and neither written into the provider's cache nor read from it.
    pub(crate) input: u64,
    /// Written into the cache.
    pub(crate) cache_write: u64,
    /// Read from the cache.
    pub(crate) cache_read: u64,
    /// Answered.
    pub(crate) output: u64,
}

impl Usage {
    /// Input as the provider's rate counts it: Anthropic's does not count what comes from its cache.
    pub(crate) fn counted_input(&self, shape: Shape) -> u64 {
        let cached = if shape == Shape::Openai { self.cache_read } else { 0 };
        self.input.saturating_add(self.cache_write).saturating_add(cached)
    }

    /// Takes what a `usage` object says; what it leaves out stays as it was, for counts are told anew as they
    /// grow. Says whether there was anything in it.
    pub(crate) fn take(&mut self, shape: Shape, usage: &Value) -> bool {
        let number = |key: &str| usage[key].as_u64();
        match shape {
            Shape::Anthropic => {
                let told = [
                    (&mut self.input, number("input_tokens")),
                    (&mut self.cache_write, number("cache_creation_input_tokens")),
                    (&mut self.cache_read, number("cache_read_input_tokens")),
                    (&mut self.output, number("output_tokens")),
                ];
                told.into_iter().fold(false, |any, (to, told)| any | told.map(|told| *to = told).is_some())
            }
            Shape::Openai => {
                let Some(input) = number("prompt_tokens").or_else(|| number("input_tokens")) else {
                    return false;
                };
                let details = ["prompt_tokens_details", "input_tokens_details"];
                let cached = details.iter().find_map(|key| usage[*key]["cached_tokens"].as_u64());
                self.cache_read = cached.unwrap_or(0).min(input);
                self.input = input - self.cache_read;
                self.output =
                    number("completion_tokens").or_else(|| number("output_tokens")).unwrap_or(self.output);
                true
            }
        }
    }
}

/// What a whole answer in one document says was used; `None` where it says nothing.
pub(crate) fn of_document(shape: Shape, document: &[u8]) -> Option<Usage> {
    let document: Value = serde_json::from_slice(document).ok()?;
    let mut usage = Usage::default();
    usage.take(shape, &document["usage"]).then_some(usage)
}

/// What the events of a stream have said so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    shape: Shape,
    usage: Usage,
    /// Whether it said how much was read and how much was answered.
    any: bool,
    ended: bool,
}

impl Told {
    pub(crate) fn new(shape: Shape) -> Told {
        Told { shape, usage: Usage::default(), any: false, ended: false }
    }

    /// Takes one event's data.
    pub(crate) fn event(&mut self, data: &[u8]) {
        if data == b"[DONE]" {
            self.ended = true;
            return;
        }
        // Most events are pieces of text, and say nothing of either.
        if !["usage", "message_stop", "response."].iter().any(|word| holds(data, word.as_bytes())) {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
        match (self.shape, event["type"].as_str()) {
            (Shape::Anthropic, Some("message_start")) => {
                self.any |= self.usage.take(self.shape, &event["message"]["usage"]);
            }
            (Shape::Anthropic, Some("message_delta")) => {
                self.any |= self.usage.take(self.shape, &event["usage"]);
            }
            (Shape::Anthropic, Some("message_stop")) => self.ended = true,
            (Shape::Openai, Some("response.completed" | "response.incomplete" | "response.failed")) => {
                self.any |= self.usage.take(self.shape, &event["response"]["usage"]);
                self.ended = true;
            }
            (Shape::Openai, None) => self.any |= self.usage.take(self.shape, &event["usage"]),
            _ => {}
        }
    }

    /// What was used, if the stream came to its end and said so.
    pub(crate) fn outcome(&self) -> Option<Usage> {
        (self.ended && self.any).then_some(self.usage)
    }
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_each_shape_tells_its_usage() {
        let anthropic = br#"{"content":[],"usage":{"input_tokens":12,"cache_creation_input_tokens":3,
            "cache_read_input_tokens":40,"output_tokens":7}}"#;
        let usage = of_document(Shape::Anthropic, anthropic).expect("it is told");
        assert_eq!(usage, Usage { input: 12, cache_write: 3, cache_read: 40, output: 7 });
        assert_eq!(usage.counted_input(Shape::Anthropic), 15);
        let openai = br#"{"usage":{"prompt_tokens":50,"completion_tokens":7,
            "prompt_tokens_details":{"cached_tokens":30}}}"#;
        let usage = of_document(Shape::Openai, openai).expect("it is told");
        assert_eq!(usage, Usage { input: 20, cache_write: 0, cache_read: 30, output: 7 });
        assert_eq!(usage.counted_input(Shape::Openai), 50);
        let responses = br#"{"usage":{"input_tokens":5,"output_tokens":2}}"#;
        assert_eq!(of_document(Shape::Openai, responses).map(|usage| usage.output), Some(2));
        for nothing in [&b"{}"[..], br#"{"usage":null}"#, b"<html>", br#"{"usage":{}}"#] {
            assert_eq!(of_document(Shape::Anthropic, nothing), None);
            assert_eq!(of_document(Shape::Openai, nothing), None);
        }
    }

    #[test]
    fn a_stream_is_known_only_when_it_ended_and_told() {
        let mut told = Told::new(Shape::Anthropic);
        told.event(br#"{"type":"message_start","message":{"usage":{"input_tokens":25,"output_tokens":1}}}"#);
        told.event(br#"{"type":"content_block_delta","delta":{"text":"usage"}}"#);
        told.event(br#"{"type":"message_delta","usage":{"output_tokens":15}}"#);
        assert_eq!(told.outcome(), None, "cut off before its end");
        told.event(br#"{"type":"message_stop"}"#);
        assert_eq!(told.outcome(), Some(Usage { input: 25, output: 15, ..Usage::default() }));

        let mut told = Told::new(Shape::Openai);
        told.event(br#"{"choices":[{"delta":{}}],"usage":null}"#);
        told.event(br#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}"#);
        assert_eq!(told.outcome(), None);
        told.event(b"[DONE]");
        assert_eq!(told.outcome(), Some(Usage { input: 9, output: 4, ..Usage::default() }));
        let mut silent = Told::new(Shape::Openai);
        silent.event(b"[DONE]");
        assert_eq!(silent.outcome(), None, "it ended and told nothing");

        let mut told = Told::new(Shape::Openai);
        told.event(
            br#"{"type":"response.completed","response":{"usage":{"input_tokens":3,"output_tokens":2}}}"#,
        );
        assert_eq!(told.outcome(), Some(Usage { input: 3, output: 2, ..Usage::default() }));
    }
}
