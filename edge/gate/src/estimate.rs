//! What a call may cost at most, from its request alone.
use crate::config::Shape;
use serde_json::Value;

/// Levels of nesting that are looked into; what lies deeper is reckoned by its length.
const DEPTH_MAX: usize = 64;

/// What a request says of its cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The model's name.
    pub(crate) model: String,
    /// Whether the answer is to come as a stream.
    pub(crate) stream: bool,
    /// Tokens that go in, as reckoned.
    pub(crate) input: u64,
    /// The most tokens that may come out of one answer, where it says so.
    pub(crate) output: Option<u64>,
    /// How many answers it wants.
    pub(crate) answers: u64,
}

/// By how much input is reckoned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reckoning {
    /// Bytes of text for one token, 1 at least.
    pub(crate) bytes_per_token: u64,
    /// Tokens of a picture.
    pub(crate) image_tokens: u64,
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
        let pictures = pictures(&document, DEPTH_MAX);
        let text = (body.len() as u64).saturating_sub(pictures.bytes);
        Ok(Asked {
            model: model.into(),
            stream: document["stream"].as_bool().unwrap_or(false),
            input: text
                .div_ceil(by.bytes_per_token.max(1))
                .saturating_add(pictures.count.saturating_mul(by.image_tokens)),
            output,
            answers: if shape == Shape::Openai { count("n").max(count("best_of")).max(1) } else { 1 },
        })
    }
}

/// Pictures in a request, which are not reckoned by their length.
#[derive(Clone, Copy, Debug, Default)]
struct Pictures {
    count: u64,
    bytes: u64,
}

fn pictures(value: &Value, depth: usize) -> Pictures {
    let Some(depth) = depth.checked_sub(1) else { return Pictures::default() };
    let sum = |all: &mut dyn Iterator<Item = Pictures>| {
        all.fold(Pictures::default(), |sum, next| Pictures {
            count: sum.count + next.count,
            bytes: sum.bytes + next.bytes,
        })
    };
    match value {
        Value::Array(all) => sum(&mut all.iter().map(|value| pictures(value, depth))),
        Value::Object(object) => {
            let text = |key: &str| object.get(key).and_then(Value::as_str);
            let named = |start: &str, key: &str| text(key).is_some_and(|text| text.starts_with(start));
            // Anthropic's source of an image; an address that carries the image of OpenAI's.
            let data = match (text("type"), text("data")) {
                (Some("base64"), Some(data)) if named("image/", "media_type") => Some(data),
                _ => ["url", "image_url"].into_iter().filter(|key| named("data:image/", key)).find_map(text),
            };
            match data {
                Some(data) => Pictures { count: 1, bytes: data.len() as u64 },
                None => {
                    let within = sum(&mut object.values().map(|value| pictures(value, depth)));
                    // One that is fetched from an address costs as much.
                    let fetched = named("http", "url") && text("type") == Some("url")
                        || object.contains_key("image_url") && within.count == 0;
                    Pictures { count: within.count + u64::from(fetched), ..within }
                }
            }
        }
        _ => Pictures::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Reckoning = Reckoning { bytes_per_token: 2, image_tokens: 1000 };

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

    #[test]
    fn what_cannot_be_read_is_named() {
        for (body, told) in [("{", "no JSON"), ("{}", "no model"), (r#"{"model":7}"#, "no model")] {
            assert!(Asked::read(Shape::Openai, body.as_bytes(), BY).expect_err(body).contains(told));
        }
    }
}
