//! What a call may cost at most, from its request alone.
//!
//! The tokenizers of the providers take bytes of text as they are (byte-pair encoding: Sennrich, Haddow and Birch, ACL
//! 2016, over bytes), so none makes more tokens of a text than it has bytes. What the request only points at is in
//! nobody's count but the provider's: such a call may read as much as its model can.
use crate::{
    attached::{Attached, attached},
    config::Shape,
};
use serde_json::Value;
use std::io::{self, Write};

/// What a request says of its cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The model's name.
    pub(crate) model: String,
    /// Whether the answer is to come as a stream.
    pub(crate) stream: bool,
    /// Tokens that go in, as reckoned.
    pub(crate) input: u64,
    /// It reads more than it holds: files, documents, earlier turns, what the provider's own tools find.
    pub(crate) elsewhere: bool,
    /// The most tokens that may come out of one answer, where it says so.
    pub(crate) output: Option<u64>,
    /// How many answers it wants.
    pub(crate) answers: u64,
}

/// By how much input is reckoned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reckoning {
    /// Bytes of text for one token, 1 at least; with 1 it is never too few.
    pub(crate) bytes_per_token: u64,
    /// Tokens of a picture.
    pub(crate) image_tokens: u64,
    /// Tokens that a provider adds of its own where a call may use tools.
    pub(crate) tool_tokens: u64,
}

impl Asked {
    /// Reads a request's body.
    ///
    /// # Errors
    /// Says what is missing or no JSON.
    pub(crate) fn read(shape: Shape, body: &[u8], by: Reckoning) -> Result<Asked, String> {
        let document: Value =
            serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
        let Some(model) = document["model"].as_str().filter(|model| !model.is_empty()) else {
            return Err("the body names no model".into());
        };
        let bounds: &[&str] = match shape {
            Shape::Anthropic => &["max_tokens", "max_tokens_to_sample"],
            Shape::Openai => &["max_completion_tokens", "max_output_tokens", "max_tokens"],
        };
        let output = bounds.iter().find_map(|key| document[*key].as_u64());
        let count = |key: &str| document[key].as_u64().unwrap_or(1);
        let Attached { pictures, bytes, elsewhere } = attached(&document);
        let with_tools = ["tools", "functions", "mcp_servers"].iter().any(|key| !document[*key].is_null());
        let text = length(&document).saturating_sub(bytes).div_ceil(by.bytes_per_token.max(1));
        let pictures = pictures.saturating_mul(by.image_tokens);
        let own = if with_tools { by.tool_tokens } else { 0 };
        Ok(Asked {
            model: model.into(),
            stream: document["stream"].as_bool().unwrap_or(false),
            input: text.saturating_add(pictures).saturating_add(own),
            elsewhere,
            output,
            answers: if shape == Shape::Openai { count("n").max(count("best_of")).max(1) } else { 1 },
        })
    }
}

/// Bytes of a document as it is without what JSON may add to a text: spaces, and characters written as six bytes.
fn length(document: &Value) -> u64 {
    struct Count(u64);
    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // To count fails never.
    let _ = serde_json::to_writer(&mut count, document);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Reckoning = Reckoning { bytes_per_token: 2, image_tokens: 1000, tool_tokens: 300 };

    fn asked(shape: Shape, body: &str) -> Asked {
        Asked::read(shape, body.as_bytes(), BY).expect("sound")
    }

    #[test]
    fn the_bound_on_what_comes_out_is_read_where_each_shape_has_it() {
        let body = r#"{"model":"m","max_tokens":100,"stream":true}"#;
        let read = asked(Shape::Anthropic, body);
        assert_eq!((read.output, read.stream, read.answers), (Some(100), true, 1));
        assert_eq!(read.input, body.len().div_ceil(2) as u64);
        let body = r#"{"model":"m","max_completion_tokens":7,"max_tokens":9,"n":3}"#;
        let read = asked(Shape::Openai, body);
        assert_eq!((read.output, read.answers), (Some(7), 3));
        assert_eq!(asked(Shape::Openai, r#"{"model":"m"}"#).output, None);
    }

    #[test]
    fn pictures_are_reckoned_by_their_number() {
        let data = "A".repeat(100_000);
        let anthropic = format!(
            r#"{{"model":"m","messages":[{{"content":[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{data}"}}}}]}}]}}"#
        );
        let openai = format!(
            r#"{{"model":"m","messages":[{{"content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}]}}]}}"#
        );
        for (shape, body) in [(Shape::Anthropic, &anthropic), (Shape::Openai, &openai)] {
            let input = asked(shape, body).input;
            assert!((1000..1200).contains(&input), "{shape:?}: {input}");
        }
        let fetched = r#"{"model":"m","messages":[{"content":[{"type":"image","source":{"type":"url","url":"https://x/y.png"}},{"type":"image_url","image_url":{"url":"https://x/z.png"}}]}]}"#;
        assert!(asked(Shape::Anthropic, fetched).input >= 2000);
        // What only says that it is a document is text to us.
        let document = anthropic.replace("image/png", "application/pdf");
        assert!(asked(Shape::Anthropic, &document).input > 50_000);
    }

    /// Byte by byte nothing is dearer than it was reckoned, however it is written and wherever it stands.
    #[test]
    fn no_text_has_more_tokens_than_were_kept() {
        let by = Reckoning { bytes_per_token: 1, ..BY };
        // Characters of which a tokenizer may make a token of every byte.
        let dense = "\u{1d4d0}\u{fdfa}\u{200b}\u{e0041}z\u{7f}".repeat(500);
        let raw = serde_json::json!({ "model": "m", "messages": [{ "role": "user", "content": dense }] })
            .to_string();
        let escaped = raw.chars().map(|c| match c.is_ascii() {
            true => c.to_string(),
            false => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        });
        let read = |body: &str| Asked::read(Shape::Openai, body.as_bytes(), by).expect("sound").input;
        assert!(read(&raw) >= dense.len() as u64);
        assert_eq!(read(&escaped.collect::<String>()), read(&raw), "how it is escaped costs nothing");
        assert_eq!(read(&raw.replace(",", " ,\n ")), read(&raw), "nor do spaces between");
        // Text that passes for a picture where a provider takes any object is reckoned as text.
        let hidden = format!(
            r#"{{"model":"m","messages":[{{"content":[{{"type":"tool_use","input":{{"url":"data:image/png;base64,{dense}"}}}}]}}],
            "tools":[{{"name":"t","input_schema":{{"url":"data:image/png;base64,{dense}"}}}}]}}"#
        );
        assert!(read(&hidden) >= 2 * dense.len() as u64 + 300);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (body, told) in [("{", "no JSON"), ("{}", "no model"), (r#"{"model":7}"#, "no model")] {
            assert!(Asked::read(Shape::Openai, body.as_bytes(), BY).expect_err(body).contains(told));
        }
    }
}
