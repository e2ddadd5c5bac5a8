//! What an operator says of the gate: the `[gate]` table of the config.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The gate.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Where callers connect.
    pub listen: String,
    /// What is done while no daemon answers.
    pub fail: Fail,
    /// How long a call may wait in line, as `10m`.
    pub wait: String,
    /// How long a call may take once it was granted, as `15m`; then it is cut off and counts as spent.
    pub call: String,
    /// Bytes of text that are reckoned as one token when a call is reserved: of one byte no tokenizer makes two tokens, so
    /// with 1 no call costs more than was kept for it. More keeps less, and some texts will cost more than was kept.
    pub bytes_per_token: u64,
    /// Tokens that a picture is reckoned as.
    pub image_tokens: u64,
    /// Tokens that a provider adds of its own where a call may use tools.
    pub tool_tokens: u64,
    /// Let what providers say of their limits set the pools, never above what an operator set.
    pub calibrate: bool,
    /// The scope that callers' scopes lie in, below the gate's own root.
    pub scope: String,
    /// Certificates (PEM) to trust for providers instead of the host's.
    pub ca_file: Option<PathBuf>,
    /// Names by which the gate may be called, besides those of this machine's loopback.
    pub hosts: Vec<String>,
    /// Whoever may call; anybody on this machine if there is none.
    pub caller: Vec<Caller>,
    /// Where calls go.
    pub provider: Vec<Provider>,
    /// What calls cost and which pools they draw from: the first that fits counts.
    pub model: Vec<Model>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:4141".into(),
            fail: Fail::Closed,
            wait: "10m".into(),
            call: "15m".into(),
            bytes_per_token: 1,
            image_tokens: 5_000,
            tool_tokens: 1_000,
            calibrate: true,
            scope: String::new(),
            ca_file: None,
            hosts: Vec::new(),
            caller: Vec::new(),
            provider: Vec::new(),
            model: Vec::new(),
        }
    }
}

/// What is done while no daemon answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fail {
    /// Calls pass, unmetered.
    Open,
    /// No call passes.
    Closed,
}

/// Who may call.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Caller {
    /// sha256 (hex) of the token that it shows as `x-bursar-token`.
    pub token_sha256: String,
    /// The scope that it calls in, or below.
    pub scope: String,
}

/// Where calls go.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Provider {
    /// The first word of the path by which it is called.
    pub name: String,
    /// How its requests and answers look.
    pub shape: Shape,
    /// Its address, without the part that begins with `/v1`.
    pub url: String,
}

/// How a provider's requests and answers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The Messages API.
    Anthropic,
    /// Chat completions, completions, responses and embeddings.
    Openai,
}

/// What a model's calls cost and draw from.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Model {
    /// Whose.
    pub provider: String,
    /// Its name as requests give it; with `*` at the end, what names begin with.
    pub model: String,
    /// Tokens that it may answer with where the request has no bound.
    pub max_output: u64,
    /// Tokens that it can read at all: no call is reserved for more, and one that points at files, documents, earlier turns
    /// or the provider's own tools for no less. Without it such a call does not pass.
    pub max_input: Option<u64>,
    /// Pool of the kind `requests`.
    pub requests: Option<String>,
    /// Pool of the kind `tokens` that input and output both draw from.
    pub tokens: Option<String>,
    /// Pool of the kind `tokens` for input alone.
    pub input_tokens: Option<String>,
    /// Pool of the kind `tokens` for output alone.
    pub output_tokens: Option<String>,
    /// Pool of the kind `usd`.
    pub usd: Option<String>,
    /// What it costs.
    pub price: Option<Price>,
}

/// Dollars for a million tokens, as `"3.75"`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Price {
    /// Of input.
    pub input: String,
    /// Of output.
    pub output: String,
    /// Of input that is written into the provider's cache; as input if it is missing.
    pub cache_write: Option<String>,
    /// Of input that is read from there; as input if it is missing.
    pub cache_read: Option<String>,
}
