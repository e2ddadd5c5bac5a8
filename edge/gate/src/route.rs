//! Which provider a path leads to, in which scope, and whether what is asked for there costs anything.
//!
//! `/PROVIDER/SCOPE…/v1/messages`: the first word names the provider, what lies between it and the first
//! `/v1/` is the scope of the caller, and the rest is the provider's own. So a base URL alone says all three.
use crate::{
    config::Shape,
    terms::{Provider, Terms},
};
use hyper::Method;

/// Calls that are metered, by the end of their path.
const METERED: [(Shape, &str); 6] = [
    (Shape::Anthropic, "/v1/messages"),
    (Shape::Anthropic, "/v1/complete"),
    (Shape::Openai, "/v1/chat/completions"),
    (Shape::Openai, "/v1/completions"),
    (Shape::Openai, "/v1/responses"),
    (Shape::Openai, "/v1/embeddings"),
];
/// Calls that change nothing and that providers do not charge for.
const FREE: [(Shape, &str); 2] =
    [(Shape::Anthropic, "/v1/messages/count_tokens"), (Shape::Openai, "/v1/responses/input_tokens")];

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    pub(crate) provider: &'a Provider,
    /// The scope that the path names; empty for none.
    pub(crate) scope: &'a str,
    /// What the provider is to see, query included.
    pub(crate) path: &'a str,
    pub(crate) cost: Cost,
}

/// Whether a request costs anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// By what it uses.
    Metered,
    /// Nothing.
    Free,
    /// Something that the gate cannot measure.
    Unmeasured,
}

impl Route<'_> {
    /// Finds the way of a path with its query.
    ///
    /// # Errors
    /// Says what would be right.
    pub(crate) fn find<'a>(terms: &'a Terms, method: &Method, path: &'a str) -> Result<Route<'a>, String> {
        let names =
            || terms.providers.iter().map(|provider| provider.name.as_str()).collect::<Vec<_>>().join(", ");
        let (before, rest) = match path.find("/v1/") {
            Some(at) => path.split_at(at),
            None => return Err(format!("paths are /PROVIDER/[SCOPE/]v1/…; the providers are {}", names())),
        };
        let named = before.strip_prefix('/').unwrap_or(before);
        let (name, scope) = named.split_once('/').unwrap_or((named, ""));
        let provider = match (name, &terms.providers[..]) {
            ("", [only]) => only,
            _ => terms
                .providers
                .iter()
                .find(|provider| provider.name == name)
                .ok_or_else(|| format!("there is no provider {name:?}; there are {}", names()))?,
        };
        let plain = rest.split('?').next().unwrap_or(rest);
        let among =
            |list: &[(Shape, &str)]| list.iter().any(|&(shape, end)| shape == provider.shape && plain == end);
        let cost = match *method {
            Method::GET | Method::HEAD => Cost::Free,
            Method::POST if among(&METERED) => Cost::Metered,
            Method::POST if among(&FREE) => Cost::Free,
            _ => Cost::Unmeasured,
        };
        Ok(Route { provider, scope, path: rest, cost })
    }
}
