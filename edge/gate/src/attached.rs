//! What a request carries beside its text, and what it only points at.
//!
//! Only where a provider reads them as such: what stands in the input or the schema of a tool is text to the model,
//! whatever it looks like.
use serde_json::{Map, Value};

/// Levels of nesting that are looked into; what lies deeper is reckoned by its length.
const DEPTH_MAX: usize = 64;
/// Members of a request in which content stands.
const CONTENT: [&str; 3] = ["messages", "system", "input"];
/// Members of a request that stand for turns or instructions which the provider keeps.
const KEPT_THERE: [&str; 4] = ["previous_response_id", "conversation", "mcp_servers", "web_search_options"];
/// What the types of tools begin with that the caller runs itself; what any other brings is the provider's affair.
const OWN_TOOLS: [&str; 10] = [
    "function",
    "custom",
    "bash",
    "text_editor",
    "str_replace",
    "computer",
    "memory",
    "local_shell",
    "shell",
    "apply_patch",
];

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attached {
    /// Pictures, which are not reckoned by their length.
    pub(crate) pictures: u64,
    /// Bytes that those take in the request.
    pub(crate) bytes: u64,
    /// Something is read that the request does not hold, or not as text.
    pub(crate) elsewhere: bool,
}

impl Attached {
    fn and(self, other: Attached) -> Attached {
        Attached {
            pictures: self.pictures + other.pictures,
            bytes: self.bytes + other.bytes,
            elsewhere: self.elsewhere || other.elsewhere,
        }
    }
}

/// Looks through a request.
pub(crate) fn attached(document: &Value) -> Attached {
    // A prompt by its number; of old it was the text itself.
    let prompt = document["prompt"].is_object();
    let hosted = document["tools"].as_array().is_some_and(|tools| tools.iter().any(is_hosted));
    let kept = KEPT_THERE.iter().any(|&key| !document[key].is_null());
    let elsewhere = kept || prompt || hosted;
    let content = CONTENT.iter().map(|&key| within(&document[key], DEPTH_MAX));
    content.fold(Attached { elsewhere, ..Attached::default() }, Attached::and)
}

/// Whether a provider runs a tool itself.
fn is_hosted(tool: &Value) -> bool {
    let own = |kind: &str| OWN_TOOLS.iter().any(|own| kind.starts_with(own));
    tool["type"].as_str().is_some_and(|kind| !own(kind))
}

fn within(value: &Value, depth: usize) -> Attached {
    let Some(depth) = depth.checked_sub(1) else { return Attached::default() };
    match value {
        Value::Array(all) => {
            all.iter().map(|value| within(value, depth)).fold(Attached::default(), Attached::and)
        }
        Value::Object(object) => of_object(object, depth),
        _ => Attached::default(),
    }
}

fn of_object(object: &Map<String, Value>, depth: usize) -> Attached {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    let named = |start: &str, key: &str| text(key).is_some_and(|text| text.starts_with(start));
    if text("type").is_some_and(|kind| kind.ends_with("tool_use")) {
        return Attached::default();
    }
    // Anthropic's source of an image; an address that carries the image of OpenAI's.
    let data = match (text("type"), text("data")) {
        (Some("base64"), Some(data)) if named("image/", "media_type") => Some(data),
        _ => ["url", "image_url"].into_iter().filter(|key| named("data:image/", key)).find_map(text),
    };
    if let Some(data) = data {
        return Attached { pictures: 1, bytes: data.len() as u64, elsewhere: false };
    }
    let below = object.values().map(|value| within(value, depth)).fold(Attached::default(), Attached::and);
    // One that is fetched from an address costs as much.
    let fetched = named("http", "url") && text("type") == Some("url")
        || object.contains_key("image_url") && below.pictures == 0;
    // Pages are packed, and read as pictures besides.
    let document = match text("type") {
        Some("document") => {
            !matches!(object.get("source").and_then(|from| from["type"].as_str()), Some("text" | "content"))
        }
        Some("file" | "input_file" | "item_reference") => true,
        _ => false,
    };
    let pointed = document || object.get("file_id").is_some_and(Value::is_string);
    below.and(Attached { pictures: u64::from(fetched), bytes: 0, elsewhere: pointed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_request_only_points_at_is_seen() {
        let user = |content: Value| json!({ "messages": [{ "role": "user", "content": [content] }] });
        for (elsewhere, request) in [
            (true, json!({ "previous_response_id": "resp_1" })),
            (true, json!({ "prompt": { "id": "pmpt_1" } })),
            (true, json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] })),
            (true, json!({ "tools": [{ "type": "file_search" }] })),
            (true, json!({ "mcp_servers": [{ "url": "https://x" }] })),
            (
                true,
                user(json!({ "type": "document", "source": { "type": "url", "url": "https://x/a.pdf" } })),
            ),
            (
                true,
                user(
                    json!({ "type": "document", "source": { "type": "base64", "media_type": "application/pdf", "data": "A" } }),
                ),
            ),
            (true, user(json!({ "type": "image", "source": { "type": "file", "file_id": "f" } }))),
            (
                true,
                json!({ "input": [{ "type": "input_file", "file_data": "data:application/pdf;base64,A" }] }),
            ),
            (true, json!({ "input": [{ "type": "item_reference", "id": "i" }] })),
            (false, json!({ "prompt": "once upon a time", "previous_response_id": null })),
            (
                false,
                json!({ "tools": [{ "name": "f", "input_schema": { "file_id": "a" } }, { "type": "function" },
                { "type": "bash_20250124" }, { "type": "computer_20250124" }] }),
            ),
            (false, user(json!({ "type": "document", "source": { "type": "text", "data": "plain" } }))),
            (false, user(json!({ "type": "tool_use", "input": { "file_id": "mine", "type": "document" } }))),
            (false, user(json!({ "type": "image_url", "image_url": { "url": "data:image/png;base64,A" } }))),
        ] {
            assert_eq!(attached(&request).elsewhere, elsewhere, "{request}");
        }
    }
}
