//! Asking: the options of `claim` and `run` as the ask that they stand for.
use crate::{Ask, ClassArg, Failed};
use bursar_interface::Class;
use bursar_wire::{Alternative, AskBody, Client, GangBody, LineBody, quantity};

/// What `--port` says that names none.
pub(crate) const ANY_PORT: &str = "any";

/// The ask that options stand for.
pub fn body(ask: &Ask) -> Result<AskBody, Failed> {
    let mut lines = Vec::new();
    for (resource, text) in
        [("cpu", &ask.cpu), ("memory", &ask.memory), ("pids", &ask.pids), ("gpu", &ask.gpu)]
    {
        if let Some(text) = text {
            lines.push(line(resource, text)?);
        }
    }
    if let Some(text) = &ask.memory_soft {
        let soft = quantity("memory", text).map_err(Failed::usage)?;
        lines.iter_mut().filter(|line| line.resource == "memory").for_each(|line| line.soft = Some(soft));
    }
    for need in &ask.need {
        let (resource, pool, amount) = amount_of(need)?;
        lines.push(LineBody { resource, pool, amount, ..LineBody::default() });
    }
    for lock in &ask.lock {
        lines.push(bursar_wire::lock(lock).map_err(|why| Failed::usage(format!("--lock {why}")))?);
    }
    for port in &ask.port {
        let pool = match port.as_str() {
            ANY_PORT => None,
            number => Some(
                number.parse::<u16>().ok().filter(|port| *port > 0).map(|port| port.to_string()).ok_or_else(
                    || {
                        Failed::usage(format!("--port {number:?} is no port"))
                            .hint("write a number from 1 to 65535, or nothing for any")
                    },
                )?,
            ),
        };
        lines.push(LineBody { resource: "port".into(), amount: "1".into(), pool, ..LineBody::default() });
    }
    if lines.is_empty() {
        return Err(Failed::usage("nothing is asked for")
            .hint("say what with --cpu, --memory, --pids, --lock, --port or --need"));
    }
    with_lines(ask, lines)
}

/// The ask for these lines, all else as the options say.
pub fn with_lines(ask: &Ask, lines: Vec<LineBody>) -> Result<AskBody, Failed> {
    let class = match ask.class {
        ClassArg::Guaranteed => Class::Guaranteed,
        ClassArg::Burstable => Class::Burstable,
        ClassArg::BestEffort => Class::BestEffort,
    };
    Ok(AskBody {
        scope: ask.scope.clone(),
        class,
        priority: ask.priority,
        wait: ask.wait.clone(),
        ttl: ask.ttl.clone(),
        expect: ask.expect.clone(),
        lines,
        alternatives: ask.or.iter().map(|set| alternative(set)).collect::<Result<_, _>>()?,
        need: ask.label.clone(),
        bar: ask.not_label.clone(),
        apart: None,
        gang: ask.gang.as_deref().map(gang).transpose()?,
        key: None,
        detach: false,
        within: ask.within.clone(),
        within_fence: ask.within_fence,
        holding: ask.holding.clone(),
        pid: None,
        stays: false,
    })
}

/// `cpu=2,memory=1G,lock:build` as a set of lines; a lock without an amount is one as behind `--lock`.
fn alternative(set: &str) -> Result<Alternative, Failed> {
    let line = |text: &str| {
        if let Some(name) = text.strip_prefix("lock:").filter(|name| !name.contains('=')) {
            return bursar_wire::lock(name).map_err(|why| Failed::usage(format!("--or lock:{why}")));
        }
        let (resource, pool, amount) = amount_of(text)?;
        Ok(LineBody { resource, pool, amount, ..LineBody::default() })
    };
    Ok(Alternative { lines: set.split(',').map(line).collect::<Result<_, Failed>>()? })
}

/// `KIND=AMOUNT` or `KIND:POOL=AMOUNT` as kind, pool, and amount in base units.
pub fn amount_of(text: &str) -> Result<(String, Option<String>, String), Failed> {
    let (kind, amount) = text.split_once('=').ok_or_else(|| {
        Failed::usage(format!("{text:?} has no amount")).hint("write it as KIND=AMOUNT, as in memory=512M")
    })?;
    let (kind, pool) =
        kind.split_once(':').map_or((kind, None), |(kind, pool)| (kind, Some(pool.to_owned())));
    let amount = quantity(kind, amount).map_err(Failed::usage)?.to_string();
    Ok((kind.into(), pool, amount))
}

/// `NAME:N`.
fn gang(text: &str) -> Result<Box<GangBody>, Failed> {
    let parts = text.rsplit_once(':').and_then(|(name, size)| Some((name, size.parse().ok()?)));
    let (name, size) = parts.ok_or_else(|| {
        Failed::usage(format!("--gang {text:?} is no gang"))
            .hint("write its name and how many it has, as crew:4")
    })?;
    Ok(Box::new(GangBody { name: name.into(), size }))
}

/// One line of so much of a kind, as people write it.
pub fn line(resource: &str, text: &str) -> Result<LineBody, Failed> {
    let amount = quantity(resource, text).map_err(Failed::usage)?.to_string();
    Ok(LineBody { resource: resource.into(), amount, ..LineBody::default() })
}

/// Sends an ask, with a key so that it can be sent again without asking twice.
pub fn send(
    client: &mut Client,
    body: &AskBody,
    key: &str,
) -> Result<bursar_wire::Claim, bursar_wire::Failure> {
    client.ask(body, Some(key))
}

/// A key that nobody else has.
pub fn fresh_key() -> String {
    let mut bytes = [0; 16];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(_) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        // This process at this time is nearly as good.
        Err(_) => format!("{}-{:?}", std::process::id(), std::time::SystemTime::now()),
    }
}
