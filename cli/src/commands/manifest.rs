//! Reads what `bursar apply` is given: the tables of the config that can be set while the daemon runs. Every
//! key is known or named with the one that is nearest.
use super::outcome::Failed;
use bursar_wire::{ApplyBody, PoolBody, QuotaBody, ScopeBody, bounds_per_time, per_time, quantity};
use toml::{Table, Value};

/// Tables that can be set while the daemon runs.
const LIVE: [&str; 4] = ["pool", "scope", "quota", "node"];
/// Tables of the config that are read at its start only, and what to do instead.
const AT_START: [&str; 12] = [
    "strategy",
    "plugins",
    "enforce",
    "journal",
    "token",
    "gate",
    "http",
    "limits",
    "preemption",
    "memory",
    "liveness",
    "analysis",
];
/// Keys of a scope that are read at the start only.
const FAN_OUT: [&str; 4] = ["max-claims", "max-depth", "max-children", "asks-per-second"];
/// What to do with what is read at the start only.
const RESTART: &str = "restart the daemon with it in its config";
/// Farther than this a key is another word.
const NEAR: f64 = 0.7;

/// What a file says: the body that sets it, and capacities of this node by kind.
pub fn read(text: &str) -> Result<(ApplyBody, Vec<(String, u64)>), Failed> {
    let table: Table = text.parse().map_err(|error| Failed::usage(format!("it is no TOML: {error}")))?;
    let (mut body, mut here) = (ApplyBody::default(), Vec::new());
    for (key, value) in &table {
        match key.as_str() {
            "pool" => body.pools = items("pool", value, pool)?,
            "scope" => body.scopes = items("scope", value, scope)?,
            "quota" => body.quotas = items("quota", value, quota)?,
            "node" => here = node(value)?,
            other => return Err(not_live(other)),
        }
    }
    if body.pools.is_empty() && body.scopes.is_empty() && body.quotas.is_empty() && here.is_empty() {
        return Err(Failed::usage("nothing is set in it").hint(format!("it has tables: {}", LIVE.join(", "))));
    }
    Ok((body, here))
}

fn not_live(key: &str) -> Failed {
    if AT_START.contains(&key) {
        return at_start(&format!("[{key}]"), instead(key));
    }
    unknown("the file", key, &[&LIVE[..], &AT_START].concat())
}

/// What to do with a table of the config that is read at the start only.
fn instead(key: &str) -> &'static str {
    match key {
        "strategy" => "use `bursar strategy use`, or restart the daemon with it in its config",
        "gate" => "restart `bursar gate` with it in its config",
        _ => RESTART,
    }
}

fn at_start(what: &str, instead: &str) -> Failed {
    Failed::usage(format!("{what} is read when the daemon starts, and cannot be applied")).hint(instead)
}

/// A key that is not known, with the nearest one.
fn unknown(place: &str, key: &str, known: &[&str]) -> Failed {
    let near = |other: &&&str| strsim::jaro_winkler(key, other);
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|key| near(key) > NEAR);
    let hint = match nearest {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None => format!("there are: {}", known.join(", ")),
    };
    Failed::usage(format!("{place}: there is no key {key:?}")).hint(hint)
}

/// The tables of `[[what]]`, each with its number for refusals.
fn items<T>(
    what: &str,
    value: &Value,
    item: impl Fn(&Item<'_>) -> Result<T, Failed>,
) -> Result<Vec<T>, Failed> {
    let wrong =
        || Failed::usage(format!("{what} is no list of tables")).hint(format!("write it as [[{what}]]"));
    let list = value.as_array().ok_or_else(wrong)?;
    let numbered = (1..).zip(list);
    numbered
        .map(|(number, value)| {
            let table = value.as_table().ok_or_else(wrong)?;
            item(&Item { place: format!("{what} {number}"), table })
        })
        .collect()
}

/// One table, and what it is called in a refusal.
struct Item<'a> {
    place: String,
    table: &'a Table,
}

impl Item<'_> {
    fn only(&self, known: &[&str]) -> Result<(), Failed> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(unknown(&self.place, key, known)),
            None => Ok(()),
        }
    }

    fn text(&self, key: &str) -> Result<Option<&str>, Failed> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| {
            self.wrong(key, format!("{value} is no text")).hint(format!("write it as {key} = \"…\""))
        })
    }

    fn must(&self, key: &str) -> Result<String, Failed> {
        let text = self.text(key)?;
        text.map(str::to_owned).ok_or_else(|| self.wrong(key, "it is missing".into()))
    }

    fn amount(&self, kind: &str, key: &str) -> Result<Option<u64>, Failed> {
        let amount = self.text(key)?.map(|text| quantity(kind, text)).transpose();
        amount.map_err(|why| self.wrong(key, why))
    }

    /// Whether it is to go; then nothing but its `names` is said of it.
    fn goes(&self, names: &[&str]) -> Result<bool, Failed> {
        let Some(value) = self.table.get("remove") else { return Ok(false) };
        let goes = value.as_bool().ok_or_else(|| {
            self.wrong("remove", format!("{value} is neither true nor false")).hint("write remove = true")
        })?;
        match self.table.keys().find(|key| goes && *key != "remove" && !names.contains(&key.as_str())) {
            Some(key) => {
                Err(self.wrong(key, "it is to be removed and to be set".into()).hint("leave out either"))
            }
            None => Ok(goes),
        }
    }

    fn wrong(&self, key: &str, why: String) -> Failed {
        Failed::usage(format!("{}: {key}: {why}", self.place))
    }
}

fn pool(item: &Item<'_>) -> Result<PoolBody, Failed> {
    item.only(&["resource", "name", "capacity", "burst", "remove"])?;
    let (resource, name) = (item.must("resource")?, item.must("name")?);
    if item.goes(&["resource", "name"])? {
        return Ok(PoolBody { resource, name, remove: true, ..PoolBody::default() });
    }
    let capacity = per_time(&resource, &item.must("capacity")?);
    let (capacity, period_ns) = capacity.map_err(|why| item.wrong("capacity", why))?;
    let burst = Some(item.amount(&resource, "burst")?.unwrap_or(0));
    let (capacity, period_ms) = (Some(capacity), Some(period_ns / 1_000_000));
    Ok(PoolBody { resource, name, capacity, period_ms, burst, ..PoolBody::default() })
}

fn scope(item: &Item<'_>) -> Result<ScopeBody, Failed> {
    if let Some(key) = FAN_OUT.iter().find(|key| item.table.contains_key(**key)) {
        return Err(at_start(&format!("{}: {key}", item.place), RESTART));
    }
    item.only(&["path", "weight"])?;
    let weight = item.table.get("weight").ok_or_else(|| item.wrong("weight", "it is missing".into()))?;
    let weight = weight.as_integer().and_then(|weight| u32::try_from(weight).ok()).ok_or_else(|| {
        item.wrong("weight", format!("{weight} is no weight")).hint("write a number from 1, as weight = 3")
    })?;
    Ok(ScopeBody { path: item.must("path")?, weight })
}

fn quota(item: &Item<'_>) -> Result<QuotaBody, Failed> {
    item.only(&[
        "scope",
        "resource",
        "limit",
        "burst",
        "borrow-limit",
        "lend-limit",
        "guaranteed",
        "remove",
    ])?;
    let (scope, resource) = (item.must("scope")?, item.must("resource")?);
    if item.goes(&["scope", "resource"])? {
        return Ok(QuotaBody { scope, resource, remove: true, ..QuotaBody::default() });
    }
    let read = bounds_per_time(&resource, item.text("limit")?, item.text("guaranteed")?);
    let read = read.map_err(|(key, why)| item.wrong(key, why))?;
    Ok(QuotaBody {
        guaranteed: Some(read.guaranteed.unwrap_or(0)),
        limit: Some(read.limit),
        borrow_limit: Some(item.amount(&resource, "borrow-limit")?),
        lend_limit: Some(item.amount(&resource, "lend-limit")?),
        period_ms: Some(read.period_ns.unwrap_or(0) / 1_000_000),
        burst: Some(item.amount(&resource, "burst")?.unwrap_or(0)),
        scope,
        resource,
        remove: false,
    })
}

fn node(value: &Value) -> Result<Vec<(String, u64)>, Failed> {
    let wrong =
        |what: &str| Failed::usage(format!("{what} is no table")).hint(format!("write it as [{what}]"));
    let table = value.as_table().ok_or_else(|| wrong("node"))?;
    if let Some(key) = table.keys().find(|key| ["name", "labels"].contains(&key.as_str())) {
        return Err(at_start(&format!("node.{key}"), RESTART));
    }
    Item { place: "node".into(), table }.only(&["capacity"])?;
    let Some(capacity) = table.get("capacity") else { return Ok(Vec::new()) };
    let table = capacity.as_table().ok_or_else(|| wrong("node.capacity"))?;
    let item = Item { place: "node.capacity".into(), table };
    let amounts = table.keys().map(|kind| Ok((kind.clone(), item.amount(kind, kind)?.unwrap_or(0))));
    amounts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_a_table_has_its_default() {
        let (body, here) = read(
            "[[pool]]\nresource = \"tokens\"\nname = \"acct\"\ncapacity = \"60k/m\"\n\
             [[quota]]\nscope = \"team\"\nresource = \"usd\"\nlimit = \"5usd/d\"\n\
             [[scope]]\npath = \"team\"\nweight = 3\n[node.capacity]\ncpu = \"1.5\"\n",
        )
        .expect("sound");
        let pool = &body.pools[0];
        assert_eq!((pool.capacity, pool.period_ms, pool.burst), (Some(60_000), Some(60_000), Some(0)));
        let quota = &body.quotas[0];
        assert_eq!((quota.limit, quota.guaranteed), (Some(Some(5_000_000)), Some(0)));
        assert_eq!((quota.lend_limit, quota.period_ms), (Some(None), Some(86_400_000)));
        assert_eq!(here, [("cpu".to_owned(), 1500)]);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        let pool = "[[pool]]\nresource = \"usd\"\nname = \"x\"\n";
        for (text, told) in [
            ("", "nothing is set"),
            ("= what", "no TOML"),
            ("[[pol]]\n", "there is no key \"pol\" (did you mean \"pool\"?)"),
            ("[colour]\n", "there are: pool, scope, quota, node"),
            ("[plugins]\ndirs = []\n", "[plugins] is read when the daemon starts"),
            ("[strategy]\nqos = \"x\"\n", "`bursar strategy use`"),
            ("[node]\nname = \"x\"\n", "node.name is read when"),
            ("[node]\ncapacty = {}\n", "did you mean \"capacity\"?"),
            ("[node.capacity]\ncpu = \"lots\"\n", "\"lots\" is no amount of cpu"),
            ("pool = 3\n", "write it as [[pool]]"),
            (
                &format!("{pool}capasity = \"1\"\n"),
                "pool 1: there is no key \"capasity\" (did you mean \"capacity\"?)",
            ),
            (pool, "pool 1: capacity: it is missing"),
            (&format!("{pool}capacity = 5\n"), "5 is no text"),
            (&format!("{pool}capacity = \"5/y\"\n"), "s, m, h, d or w"),
            ("[[scope]]\npath = \"a\"\nweight = -1\n", "-1 is no weight"),
            (
                "[[quota]]\nscope = \"a\"\nresource = \"cpu\"\nlimit = \"-1\"\n",
                "quota 1: limit: \"-1\" is no amount",
            ),
        ] {
            let told_is = read(text).expect_err(text).error.to_string();
            assert!(told_is.contains(told), "{text}: {told_is}");
        }
    }

    #[test]
    fn a_guarantee_comes_back_in_its_time_as_in_the_config() {
        let quota = |text: &str| {
            read(&format!("[[quota]]\nscope = \"t\"\nresource = \"tokens\"\n{text}"))
                .map(|(body, _)| body.quotas[0].clone())
        };
        let alone = quota("guaranteed = \"30/m\"").expect("sound");
        assert_eq!((alone.guaranteed, alone.limit, alone.period_ms), (Some(30), Some(None), Some(60_000)));
        let both = quota("guaranteed = \"20\"\nlimit = \"60/h\"").expect("sound");
        assert_eq!(
            (both.guaranteed, both.limit, both.period_ms),
            (Some(20), Some(Some(60)), Some(3_600_000))
        );
        let wrong =
            quota("guaranteed = \"20/m\"\nlimit = \"60/h\"").expect_err("two times").error.to_string();
        assert!(wrong.to_string().contains("different times"), "{wrong}");
    }

    #[test]
    fn what_the_config_alone_can_say_is_told_so() {
        for text in [
            "[http]\n",
            "[limits]\nmax-depth = 2\n",
            "[preemption]\n",
            "[memory]\n",
            "[liveness]\n",
            "[analysis]\n",
            "[[scope]]\npath = \"a\"\nmax-claims = 3\n",
        ] {
            let wrong = read(text).expect_err(text).error.to_string();
            assert!(wrong.contains("is read when the daemon starts"), "{text}: {wrong}");
        }
    }
}
