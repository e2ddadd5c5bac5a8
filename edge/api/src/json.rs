//! Reads a request's body: bounded in bytes, time, depth, breadth and text; with unknown and repeated
//! keys refused by name.
use crate::{
    denial::Denial,
    limits::{BODY_BYTES_MAX, DEPTH_MAX, ITEMS_MAX, STRING_BYTES_MAX},
    objects::{self, Objects},
};
use axum::{body::Body, extract::Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    StatusCode,
    body::{Body as _, Bytes},
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::{
    Deserialize,
    de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor},
};
use std::{borrow::Cow, fmt, time::Duration};

/// How much of an offending key is told back, in characters.
const TOLD_MAX: usize = 64;

/// The request's body as `T`.
pub(crate) async fn body<T: DeserializeOwned>(request: Request, patience: Duration) -> Result<T, Denial> {
    body_of(request, patience, ITEMS_MAX).await
}

/// The request's body as `T`, of which the lists that stand in it at the top may have `items` elements.
pub(crate) async fn body_of<T: DeserializeOwned>(
    request: Request,
    patience: Duration,
    items: usize,
) -> Result<T, Denial> {
    check_type(request.headers())?;
    let bytes = bytes(request.into_body(), patience).await?;
    check_sound(&bytes, items)?;
    check_object(&bytes)?;
    read(&bytes)
}

/// Makes sure that a request says nothing, or an empty object.
pub(crate) async fn nothing(request: Request, patience: Duration) -> Result<(), Denial> {
    if request.headers().contains_key(CONTENT_TYPE) {
        check_type(request.headers())?;
    }
    let bytes = bytes(request.into_body(), patience).await?;
    match bytes.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => Err(Denial::bad("this request takes no body".into())),
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Denial> {
    let told = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or("?"));
    let kind = told.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return check_coding(headers);
    }
    let message = match told {
        "" => "the request has no content type".to_owned(),
        told => format!("the content type is {told:?}, and only JSON is read here"),
    };
    Err(Denial::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
        .hint("send -H 'Content-Type: application/json'"))
}

/// Nothing is unpacked: a few bytes could become any number.
fn check_coding(headers: &HeaderMap) -> Result<(), Denial> {
    let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
    match headers.get_all(CONTENT_ENCODING).iter().find(|value| !plain(value)) {
        None => Ok(()),
        Some(coding) => {
            let message = format!("the content encoding is {coding:?}, and nothing is unpacked here");
            Err(Denial::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).hint("send the JSON as it is"))
        }
    }
}

/// The bytes of a body, within the bounds.
pub(crate) async fn bytes(body: Body, patience: Duration) -> Result<Bytes, Denial> {
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let collected = tokio::time::timeout(patience, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Denial::bad(format!("the body broke off: {error}")).closing()),
        Err(_) => {
            let message = format!("the body did not come within {} s", patience.as_secs_f32());
            Err(Denial::of(StatusCode::REQUEST_TIMEOUT, message).closing())
        }
    }
}

fn too_large() -> Denial {
    let message = format!("the body is larger than {BODY_BYTES_MAX} bytes");
    Denial::of(StatusCode::PAYLOAD_TOO_LARGE, message).closing()
}

fn check_sound(bytes: &[u8], items: usize) -> Result<(), Denial> {
    let mut strict = serde_json::Deserializer::from_slice(bytes);
    let sound = Strict { depth: 0, items }.deserialize(&mut strict).and_then(|()| strict.end());
    sound.map_err(|error| Denial::bad(format!("the body is not the JSON that is read here: {error}")))
}

/// Every body is an object at the top, also one of which that is not clear from its type.
fn check_object(sound: &[u8]) -> Result<(), Denial> {
    match sound.trim_ascii_start().first() {
        Some(b'{') => Ok(()),
        Some(b'[') => Err(Denial::bad("the body is a list, and an object is right here".into())),
        _ => Err(Denial::bad("the body is no object".into())),
    }
}

/// Reads what is known to be sound.
fn read<T: DeserializeOwned>(sound: &[u8]) -> Result<T, Denial> {
    // To know the place of what is wrong costs as much as reading does, so it is found out when it is.
    if let Ok(read) = objects::read(&mut serde_json::Deserializer::from_slice(sound)) {
        return Ok(read);
    }
    let mut lenient = serde_json::Deserializer::from_slice(sound);
    serde_path_to_error::deserialize(Objects(&mut lenient)).map_err(|error| {
        let place = error.path().to_string();
        let what = error.into_inner();
        match place.as_str() {
            "." => Denial::bad(what.to_string()),
            place => Denial::bad(format!("{place}: {what}")),
        }
    })
}

/// Walks JSON without keeping it, and stops at the first thing that is too deep, too long, too many,
/// or said twice.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
    /// Elements that a list right below the top may have.
    items: usize,
}

impl Strict {
    fn below<E: Error>(self) -> Result<Strict, E> {
        match self.depth < DEPTH_MAX {
            true => Ok(Strict { depth: self.depth + 1, ..self }),
            false => Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels"))),
        }
    }
}

fn check_text<E: Error>(text: &str) -> Result<(), E> {
    match text.len() <= STRING_BYTES_MAX {
        true => Ok(()),
        false => Err(E::custom(format_args!("a text is longer than {STRING_BYTES_MAX} bytes"))),
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        check_text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let below = self.below()?;
        let most = if self.depth == 1 { self.items } else { ITEMS_MAX };
        let mut items = 0;
        while seq.next_element_seed(below)?.is_some() {
            items += 1;
            if items > most {
                return Err(A::Error::custom(format_args!("a list has more than {most} elements")));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let below = self.below()?;
        // Few enough to be looked through one by one, and most of them lie in the body.
        let mut keys: Vec<Cow<'de, str>> = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            check_text(&key)?;
            if keys.contains(&key) {
                let told: String = key.chars().take(TOLD_MAX).collect();
                return Err(A::Error::custom(format_args!("the key {told:?} stands twice in one object")));
            }
            keys.push(key);
            if keys.len() > ITEMS_MAX {
                return Err(A::Error::custom(format_args!("an object has more than {ITEMS_MAX} keys")));
            }
            map.next_value_seed(below)?;
        }
        Ok(())
    }
}

/// A key, where it stands if it can.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn parse<T: DeserializeOwned>(bytes: &[u8], items: usize) -> Result<T, Denial> {
        check_sound(bytes, items)?;
        read(bytes)
    }

    fn refused(text: &str) -> String {
        parse::<Value>(text.as_bytes(), ITEMS_MAX).expect_err("not sound").message().to_owned()
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#"{"a":[null,true,-1,1,1.5,"x",{"b":{}}]}"#;
        let value: Value = parse(text.as_bytes(), ITEMS_MAX).expect("sound JSON");
        assert_eq!(value["a"][5], "x");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse::<Value>(nested(DEPTH_MAX).as_bytes(), ITEMS_MAX).is_ok());
        assert!(refused(&nested(DEPTH_MAX + 1)).contains("deeper than 32"));
        assert!(refused(&"[".repeat(200_000)).contains("deeper than 32"));
    }

    #[test]
    fn breadth_and_text_are_bounded() {
        let keys = |n: usize| {
            let keys: Vec<String> = (0..n).map(|i| format!("\"k{i}\":0")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert!(parse::<Value>(keys(ITEMS_MAX).as_bytes(), ITEMS_MAX).is_ok());
        assert!(refused(&keys(ITEMS_MAX + 1)).contains("more than 64 keys"));
        assert!(refused(&format!("[{}0]", "0,".repeat(ITEMS_MAX))).contains("more than 64 elements"));
        let text = "x".repeat(STRING_BYTES_MAX + 1);
        assert!(refused(&format!("[\"{text}\"]")).contains("longer than 4096"));
        assert!(refused(&format!("{{\"{text}\":0}}")).contains("longer than 4096"));
    }

    #[test]
    fn only_lists_at_the_top_may_be_longer() {
        let list = |n: usize| format!("[{}0]", "0,".repeat(n - 1));
        let sound = |text: String| {
            parse::<Value>(text.as_bytes(), 1000).map(drop).map_err(|d| d.message().to_owned())
        };
        assert_eq!(sound(format!("{{\"a\":{}}}", list(1000))), Ok(()));
        assert!(sound(format!("{{\"a\":{}}}", list(1001))).is_err_and(|why| why.contains("more than 1000")));
        let deeper = format!("{{\"a\":[{}]}}", list(ITEMS_MAX + 1));
        assert!(sound(deeper).is_err_and(|why| why.contains("more than 64")));
    }

    #[test]
    fn what_is_said_twice_or_out_of_range_is_refused() {
        assert!(refused(r#"{"a":{"key":1,"key":2}}"#).contains("\"key\" stands twice"));
        assert!(refused("1e400").contains("out of range"));
        assert!(refused("[1] x").contains("trailing"));
        assert!(refused("").contains("EOF"));
        assert!(refused("\u{feff}{}").contains("expected value"));
    }
}
