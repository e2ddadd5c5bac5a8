//! The config as the gate works with it: read once, wrong in a way that is named.
use crate::{
    Error,
    cascade::Cascade,
    config::{Config, Fail, Shape},
    estimate::{Asked, Reckoning},
    limits::ENTRIES_MAX,
    price::Price,
    usage::Usage,
};
use bursar_interface::check_scope;
use bursar_wire::{LineBody, UsedBody};
use hyper::Uri;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Everything that was agreed before the first call.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) fail: Fail,
    pub(crate) wait: Duration,
    pub(crate) call: Duration,
    pub(crate) by: Reckoning,
    pub(crate) calibrate: bool,
    pub(crate) scope: String,
    pub(crate) callers: BTreeMap<[u8; 32], String>,
    pub(crate) providers: Vec<Provider>,
    models: Vec<Model>,
}

/// Where calls go.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) url: Uri,
}

/// What a model's calls cost and draw from.
#[derive(Debug)]
pub(crate) struct Model {
    provider: String,
    /// As the config has it; what the gate says of a model in its log.
    pub(crate) name: String,
    max_output: u64,
    max_input: Option<u64>,
    requests: Option<String>,
    tokens: Option<String>,
    input_tokens: Option<String>,
    output_tokens: Option<String>,
    usd: Option<String>,
    price: Price,
    /// How the provider's patience stands, together with all that draw from the same pools.
    pub(crate) cascade: Arc<Cascade>,
}

fn wrong(what: String) -> Error {
    Error::Config(what)
}

impl Terms {
    /// Reads the config.
    ///
    /// # Errors
    /// [`Error::Config`] names what is wrong and what would be right.
    pub(crate) fn read(config: &Config) -> Result<Terms, Error> {
        let span =
            |key: &str, text: &str| bursar_wire::duration(text).map_err(|why| wrong(format!("{key}: {why}")));
        let long = [config.caller.len(), config.provider.len(), config.model.len()];
        if long.iter().any(|&entries| entries > ENTRIES_MAX) {
            return Err(wrong(format!("a table has more than {ENTRIES_MAX} entries")));
        }
        if config.bytes_per_token == 0 {
            return Err(wrong("bytes-per-token: 0 is no length; write 1 or more".into()));
        }
        let providers = config.provider.iter().map(provider).collect::<Result<Vec<_>, _>>()?;
        if providers.is_empty() {
            return Err(wrong("there is no provider; write one as [[gate.provider]]".into()));
        }
        for (at, Provider { name, .. }) in providers.iter().enumerate() {
            if providers[..at].iter().any(|before| before.name == *name) {
                return Err(wrong(format!("provider {name}: there are two of that name; give one another")));
            }
        }
        let mut cascades = BTreeMap::new();
        let mut models = Vec::new();
        for model in &config.model {
            if !providers.iter().any(|provider| provider.name == model.provider) {
                return Err(wrong(format!(
                    "model {}: there is no provider {:?}",
                    model.model, model.provider
                )));
            }
            models.push(self::model(model, &mut cascades)?);
        }
        let scope = |place: &str, path: &str| {
            check_scope(path).map_err(|why| wrong(format!("{place}: {}; {}", why.message, why.hint)))
        };
        scope("scope", &config.scope)?;
        let mut callers = BTreeMap::new();
        for caller in &config.caller {
            scope("caller: scope", &caller.scope)?;
            callers.insert(digest(&caller.token_sha256)?, caller.scope.clone());
        }
        Ok(Terms {
            fail: config.fail,
            wait: span("wait", &config.wait)?,
            call: span("call", &config.call)?,
            by: Reckoning {
                bytes_per_token: config.bytes_per_token,
                image_tokens: config.image_tokens,
                tool_tokens: config.tool_tokens,
            },
            calibrate: config.calibrate,
            scope: config.scope.clone(),
            callers,
            providers,
            models,
        })
    }

    /// Every set of pools once.
    pub(crate) fn cascades(&self) -> Vec<Arc<Cascade>> {
        let mut all: Vec<Arc<Cascade>> = Vec::new();
        for model in &self.models {
            if !all.iter().any(|known| Arc::ptr_eq(known, &model.cascade)) {
                all.push(model.cascade.clone());
            }
        }
        all
    }

    /// What the calls of a model cost: the first entry that fits.
    pub(crate) fn model(&self, provider: &str, model: &str) -> Option<&Model> {
        let fits = |name: &str| match name.strip_suffix('*') {
            Some(start) => model.starts_with(start),
            None => model == name,
        };
        self.models.iter().find(|entry| entry.provider == provider && fits(&entry.name))
    }
}

fn provider(from: &crate::config::Provider) -> Result<Provider, Error> {
    let bad = |why: &str| wrong(format!("provider {}: {why}", from.name));
    if from.name.is_empty() || from.name.contains('/') || from.name == "v1" {
        return Err(wrong(format!("provider: {:?} is no name; write one word", from.name)));
    }
    let url: Uri = from.url.trim_end_matches('/').parse().map_err(|_| bad("url is no address"))?;
    let sound = matches!(url.scheme_str(), Some("http" | "https")) && url.query().is_none();
    if !sound || url.host().is_none() || url.path().ends_with("/v1") {
        return Err(bad("write url as \"https://HOST\", without /v1"));
    }
    Ok(Provider { name: from.name.clone(), shape: from.shape, url })
}

fn model(
    from: &crate::config::Model,
    cascades: &mut BTreeMap<[Option<String>; 4], Arc<Cascade>>,
) -> Result<Model, Error> {
    let bad = |why: String| wrong(format!("model {}: {why}", from.model));
    let price = match (&from.price, &from.usd) {
        (Some(price), _) => Price::read(price).map_err(bad)?,
        (None, Some(_)) => return Err(bad("it draws from a pool of dollars and has no price".into())),
        (None, None) => Price::default(),
    };
    let pools = [&from.requests, &from.tokens, &from.input_tokens, &from.output_tokens].map(Clone::clone);
    if pools.iter().flatten().next().is_none() && from.usd.is_none() {
        return Err(bad("it draws from no pool; name one as requests, tokens or usd".into()));
    }
    let cascade = cascades.entry(pools.clone()).or_insert_with(|| Arc::new(Cascade::of(&pools)));
    Ok(Model {
        provider: from.provider.clone(),
        name: from.model.clone(),
        max_output: from.max_output,
        max_input: from.max_input,
        requests: from.requests.clone(),
        tokens: from.tokens.clone(),
        input_tokens: from.input_tokens.clone(),
        output_tokens: from.output_tokens.clone(),
        usd: from.usd.clone(),
        price,
        cascade: cascade.clone(),
    })
}

fn digest(text: &str) -> Result<[u8; 32], Error> {
    let bad = || wrong("caller: token-sha256 is no sha256; write 64 hexadecimal digits".into());
    let mut digest = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return Err(bad());
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| bad())?;
    }
    Ok(digest)
}

impl Model {
    /// What a call reserves: the most that it may use.
    pub(crate) fn lines(&self, asked: &Asked) -> Vec<LineBody> {
        let output = asked.output.unwrap_or(self.max_output).saturating_mul(asked.answers);
        let input = match self.max_input {
            Some(most) if asked.elsewhere => most,
            Some(most) => asked.input.min(most),
            None => asked.input,
        };
        let cost = self.price.worst(input, output);
        let line = |(resource, pool, amount): (&str, &str, u64)| LineBody {
            resource: resource.into(),
            amount: amount.max(1).to_string(),
            pool: Some(pool.into()),
            ..LineBody::default()
        };
        self.amounts(input, output, cost).map(line).collect()
    }

    /// Whether it is known how much a call may read at most.
    pub(crate) fn bounds(&self, asked: &Asked) -> bool {
        !asked.elsewhere || self.max_input.is_some()
    }

    /// What a call used.
    pub(crate) fn used(&self, shape: Shape, usage: &Usage) -> Vec<UsedBody> {
        let used = |(resource, pool, amount): (&str, &str, u64)| UsedBody {
            resource: resource.into(),
            pool: Some(pool.into()),
            amount: amount.to_string(),
        };
        self.amounts(usage.counted_input(shape), usage.output, self.price.cost(usage)).map(used).collect()
    }

    /// What a call used that was never sent.
    pub(crate) fn unused(&self) -> Vec<UsedBody> {
        let mut used = self.used(Shape::Openai, &Usage::default());
        used.iter_mut().for_each(|used| used.amount = "0".into());
        used
    }

    fn amounts(&self, input: u64, output: u64, cost: u64) -> impl Iterator<Item = (&str, &str, u64)> {
        let all = [
            ("requests", &self.requests, 1),
            ("tokens", &self.tokens, input.saturating_add(output)),
            ("tokens", &self.input_tokens, input),
            ("tokens", &self.output_tokens, output),
            ("usd", &self.usd, cost),
        ];
        all.into_iter().filter_map(|(kind, pool, amount)| Some((kind, pool.as_deref()?, amount)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Caller, Provider};

    #[test]
    fn a_scope_that_is_none_and_a_provider_that_is_there_twice_are_named_with_their_place() {
        let provider = Provider { name: "p".into(), shape: Shape::Openai, url: "http://127.0.0.1:1".into() };
        let config = Config { provider: vec![provider], ..Config::default() };
        let caller = |scope: &str| Caller { token_sha256: "ab".repeat(32), scope: scope.into() };
        let wrong = |config: Config| Terms::read(&config).err().map(|error| error.to_string());
        assert_eq!(
            wrong(Config { scope: "team".into(), caller: vec![caller("a/b")], ..config.clone() }),
            None
        );
        let twice = [config.provider.clone(), config.provider.clone()].concat();
        let told = wrong(Config { provider: twice, ..config.clone() }).expect("wrong");
        assert!(told.contains("provider p: there are two of that name"), "{told}");
        let told = wrong(Config { scope: "/".into(), ..config.clone() }).expect("wrong");
        assert!(told.contains("scope: \"/\" is no scope; use names"), "{told}");
        let told = wrong(Config { caller: vec![caller("a//b")], ..config }).expect("wrong");
        assert!(told.contains("caller: scope: \"a//b\" is no scope"), "{told}");
    }
}
