//! What is sent in: an ask and the verbs on a lease. Unknown keys are refused by name.
use crate::{
    amount, duration,
    text::{AmountDigits, FenceDigits, MaybeDigits},
    words::ClassWord,
};
use bursar_interface::{
    Ask, ClaimId, Class, Fence, Gang, LineAsk, Reason, Refusal, Used, Within,
    bound::{TTL_NS_DEFAULT, TTL_NS_MAX},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The one kind of which processes can be slowed down before they come to its end.
const SOFT_KIND: &str = "memory";
/// The kind whose pools are numbers.
const NUMBERED: &str = "port";

/// `POST /v1/claims`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskBody {
    /// Scope path below the caller's root; the root itself if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// How firmly.
    #[serde(default)]
    #[schemars(with = "ClassWord")]
    pub class: Class,
    /// Larger comes first within the class.
    #[serde(default)]
    pub priority: u32,
    /// How long to wait, as `30s`; an answer at once if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    /// How long the lease lasts without renewal, as `10m`; an hour if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// The caller's own estimate of its run time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// What for: all of it or nothing.
    pub lines: Vec<LineBody>,
    /// Other sets of lines that would do as well, in order of preference: the first that fits is granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// Label terms that the node must all have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub need: Vec<String>,
    /// Label terms of which the node must have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bar: Vec<String>,
    /// Scope path of which no two claims share a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<String>,
    /// Others of the scope that it is granted together with, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gang: Option<Box<GangBody>>,
    /// Makes it safe to ask again: the same ask with the same key is the same claim. Another one with that key is refused,
    /// and so is another `pid` while the first one's lives inside. An `Idempotency-Key` header says the same, and comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Answer at once, though the claim may still wait; it stays when the caller leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detach: bool,
    /// The lease to draw from, by its id; `none` for the pools, wherever the asker lives. If it is missing:
    /// the lease that the asker lives in, or else the pools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// That lease's token, where the asker must show it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "MaybeDigits")]
    pub within_fence: Option<u64>,
    /// Leases that the asker holds and keeps until this one is granted, by their ids, besides the one that it draws
    /// from and those around it: of those who would so wait for each other forever, one is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holding: Vec<String>,
    /// A process of the caller's that is to live inside the lease; the answer comes when it does, and its phase
    /// is `held` then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// With `detach`: the claim stays in line whoever of its askers leaves, also one who is heard of only later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stays: bool,
}

/// A set of lines that would do as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// All of it or nothing.
    pub lines: Vec<LineBody>,
}

/// Claims of one scope that are granted together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GangBody {
    /// What they call it.
    pub name: String,
    /// How many they are.
    pub size: u32,
}

/// One line of an ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LineBody {
    /// Name of the kind.
    pub resource: String,
    /// How much, in base units, as digits.
    #[serde(default = "one", with = "AmountDigits")]
    pub amount: String,
    /// Only from the pool of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Only from pools that carry one of these label terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Take all of the pool, whatever its size: an exclusive lock. Only of kinds whose pools come with their names;
    /// 400 for any other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// Of memory: how much may be used without being slowed down, in base units, as digits; all of it if it is
    /// missing.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "MaybeDigits")]
    pub soft: Option<u64>,
}

fn one() -> String {
    "1".into()
}

impl TryFrom<AskBody> for Ask {
    type Error = Refusal;

    fn try_from(body: AskBody) -> Result<Ask, Refusal> {
        let read = |lines: Vec<LineBody>| lines.into_iter().map(LineAsk::try_from).collect::<Result<_, _>>();
        let lines = read(body.lines)?;
        let alternatives = body.alternatives.into_iter().map(|other| read(other.lines));
        let alternatives = alternatives.collect::<Result<_, _>>()?;
        Ok(Ask {
            key: body.key,
            scope: body.scope,
            class: body.class,
            priority: body.priority,
            wait_ns: span("wait", body.wait.as_deref())?,
            ttl_ns: body.ttl.as_deref().map_or(Ok(TTL_NS_DEFAULT), |ttl| span("ttl", Some(ttl)))?,
            expect_ns: span("expect", body.expect.as_deref())?,
            lines,
            need: body.need,
            bar: body.bar,
            apart: body.apart,
            alternatives,
            within: within(body.within.as_deref(), body.within_fence)?,
            gang: body.gang.map(|gang| Gang { name: gang.name, size: gang.size }),
            holding: body.holding.iter().map(|lease| holding(lease)).collect::<Result<_, _>>()?,
        })
    }
}

/// A lease that the asker holds.
fn holding(lease: &str) -> Result<ClaimId, Refusal> {
    lease.parse().map(ClaimId).map_err(|_| {
        Refusal::new(Reason::BadRequest, format!("holding: {lease:?} is no lease"))
            .hint("write the ids of leases, as [\"12\"]")
    })
}

/// Whose lines an ask draws from.
fn within(lease: Option<&str>, fence: Option<u64>) -> Result<Within, Refusal> {
    let bad = |why: String| {
        Refusal::new(Reason::BadRequest, why).hint("write the id of a lease, as \"12\", or \"none\"")
    };
    match (lease, fence) {
        (None, None) => Ok(Within::Own),
        (Some("none"), None) => Ok(Within::Pools),
        (None | Some("none"), Some(_)) => Err(bad("within_fence is the token of no lease".into())),
        (Some(id), fence) => match id.parse() {
            Ok(id) => Ok(Within::Lease(ClaimId(id), fence.map(Fence))),
            Err(_) => Err(bad(format!("within: {id:?} is no lease"))),
        },
    }
}

impl TryFrom<LineBody> for LineAsk {
    type Error = Refusal;

    fn try_from(
        LineBody { resource, amount: text, pool, models, whole, soft }: LineBody,
    ) -> Result<LineAsk, Refusal> {
        let bad = |why: String| Refusal::new(Reason::BadRequest, why);
        let whole_amount = amount(&resource, &text).map_err(bad)?;
        if let Some(name) = pool.as_ref().filter(|name| resource == NUMBERED && !is_port(name)) {
            return Err(bad(format!("{name:?} is no port"))
                .hint("name its number, from 1 to 65535, or no pool for any"));
        }
        if soft.is_some() && resource != SOFT_KIND {
            return Err(
                bad(format!("{resource} has no soft limit")).hint("only memory has one; leave it out")
            );
        }
        Ok(LineAsk { resource, amount: whole_amount, pool, models, whole, soft })
    }
}

/// Whether a text is a port's number as people write it.
fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0 && port.to_string() == text)
}

/// A duration in nanoseconds; 0 if there is none. One that is longer than any lease is refused.
fn span(what: &str, text: Option<&str>) -> Result<u64, Refusal> {
    let Some(text) = text else { return Ok(0) };
    let bad = |why: String| Refusal::new(Reason::BadRequest, format!("{what}: {why}"));
    let parsed = duration(text).map_err(bad)?;
    match u64::try_from(parsed.as_nanos()) {
        Ok(ns) if ns <= TTL_NS_MAX => Ok(ns),
        _ => Err(bad(format!("{text:?} is longer than {} days", TTL_NS_MAX / 86_400_000_000_000))),
    }
}

/// `POST …/renew`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewBody {
    /// The lease's token.
    #[serde(with = "FenceDigits")]
    pub fence: Fence,
    /// From now on; what was asked for at first if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

impl RenewBody {
    /// The new lifetime in nanoseconds; 0 for what was asked for at first.
    ///
    /// # Errors
    /// `BadRequest` for what is no duration, none at all, or too long.
    pub fn ttl_ns(&self) -> Result<u64, Refusal> {
        match span("ttl", self.ttl.as_deref())? {
            0 if self.ttl.is_some() => Err(Refusal::new(Reason::BadRequest, "ttl is zero").hint(
                "say how long the lease lasts from now on, as 1h, or leave it out for as long as at first",
            )),
            ttl_ns => Ok(ttl_ns),
        }
    }
}

/// `POST …/release`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FenceBody {
    /// The lease's token.
    #[serde(with = "FenceDigits")]
    pub fence: Fence,
}

/// `POST …/attach`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachBody {
    /// The lease's token.
    #[serde(with = "FenceDigits")]
    pub fence: Fence,
    /// The process that is to live inside the lease.
    pub pid: u32,
}

/// `POST …/settle`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettleBody {
    /// The lease's token.
    #[serde(with = "FenceDigits")]
    pub fence: Fence,
    /// What was used, by kind.
    pub used: Vec<UsedBody>,
}

/// What was used of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsedBody {
    /// Name of the kind.
    pub resource: String,
    /// Only what was taken from the pool of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// How much, in base units, as digits.
    #[serde(with = "AmountDigits")]
    pub amount: String,
}

impl SettleBody {
    /// What was used.
    ///
    /// # Errors
    /// `BadRequest` for what is no amount.
    pub fn used(&self) -> Result<Vec<Used>, Refusal> {
        let used = |body: &UsedBody| match amount(&body.resource, &body.amount) {
            Ok(amount) => Ok(Used { resource: body.resource.clone(), pool: body.pool.clone(), amount }),
            Err(why) => Err(Refusal::new(Reason::BadRequest, why)),
        };
        self.used.iter().map(used).collect()
    }
}

/// `PUT /v1/strategies/{role}`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StrategyBody {
    /// The plugin that is to decide.
    pub plugin: String,
}

/// `POST /v1/plugins`: what an operator does about plugins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum PluginOrder {
    /// Lets it be asked.
    Enable {
        /// Its role.
        role: String,
        /// Its name.
        id: String,
    },
    /// Lets it not be asked any more.
    Disable {
        /// Its role.
        role: String,
        /// Its name.
        id: String,
    },
    /// Looks through the folders again, and lets the highest versions decide.
    Reload {},
    /// Trusts whoever has this key.
    Trust {
        /// As minisign prints it, or the whole of its file.
        key: String,
    },
    /// Trusts them no more.
    Revoke {
        /// As minisign prints it.
        key: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(json: &str) -> Result<Ask, String> {
        let body: AskBody = serde_json::from_str(json).map_err(|e| e.to_string())?;
        body.try_into().map_err(|refusal: Refusal| refusal.to_string())
    }

    #[test]
    fn a_renewal_for_no_time_is_refused() {
        let of = |ttl: Option<&str>| RenewBody { fence: Fence(1), ttl: ttl.map(Into::into) }.ttl_ns();
        assert_eq!((of(None), of(Some("2s"))), (Ok(0), Ok(2_000_000_000)));
        assert!(of(Some("0s")).is_err_and(|refusal| refusal.to_string().contains("ttl is zero")));
    }

    #[test]
    fn an_ask_is_read_with_amounts_as_strings_or_numbers() {
        let read = ask(
            r#"{"scope":"a","class":"best-effort","wait":"2s","lines":[{"resource":"memory","amount":"1024"},{"resource":"cpu","amount":500},{"resource":"lock","pool":"x","whole":true}]}"#,
        );
        let read = read.expect("a sound ask");
        assert_eq!(read.wait_ns, 2_000_000_000);
        assert_eq!(read.lines.iter().map(|line| line.amount).collect::<Vec<_>>(), [1024, 500, 1]);
        assert!(read.alternatives.is_empty());
        let read = ask(
            r#"{"lines":[{"resource":"gpu"}],"alternatives":[{"lines":[{"resource":"cpu","amount":"9"}]}]}"#,
        );
        assert_eq!(read.expect("a sound ask").alternatives[0][0].amount, 9);
    }

    #[test]
    fn a_port_is_named_by_its_number() {
        let named = |name: &str| ask(&format!(r#"{{"lines":[{{"resource":"port","pool":"{name}"}}]}}"#));
        assert!(named("8080").is_ok() && named("65535").is_ok());
        for wrong in ["abc", "0", "65536", "08080", "80 ", "-1", "+80", ""] {
            let told = named(wrong).expect_err(wrong);
            assert!(told.contains("is no port") && told.contains(wrong), "{told}");
        }
    }

    #[test]
    fn an_ask_says_whose_lines_it_draws_from() {
        for (json, within) in [
            (r#"{"lines":[]}"#, Within::Own),
            (r#"{"lines":[],"within":"none"}"#, Within::Pools),
            (r#"{"lines":[],"within":"12"}"#, Within::Lease(ClaimId(12), None)),
            (r#"{"lines":[],"within":"12","within_fence":"7"}"#, Within::Lease(ClaimId(12), Some(Fence(7)))),
        ] {
            assert_eq!(ask(json).expect(json).within, within);
        }
    }

    #[test]
    fn a_wrong_ask_names_what_is_wrong() {
        for (json, told) in [
            (r#"{}"#, "lines"),
            (r#"{"lines":[],"colour":1}"#, "colour"),
            (r#"{"lines":[{"resource":"cpu","amount":-1}]}"#, "-1"),
            (r#"{"lines":[{"resource":"cpu","amount":1.5}]}"#, "1.5"),
            (r#"{"lines":[{"resource":"cpu","amount":"1G"}]}"#, "base units"),
            (r#"{"lines":[{"resource":"cpu","amount":true}]}"#, "digits"),
            (r#"{"lines":[],"alternatives":[{"line":[]}]}"#, "line"),
            (r#"{"lines":[],"wait":"soon"}"#, "wait"),
            (r#"{"lines":[],"ttl":"9000 days"}"#, "30 days"),
            (r#"{"lines":[],"class":"royal"}"#, "royal"),
            (r#"{"lines":[],"within":"mine"}"#, "mine"),
            (r#"{"lines":[],"within":"none","within_fence":"3"}"#, "within_fence"),
            (r#"{"lines":[],"holding":["mine"]}"#, "mine"),
        ] {
            let error = ask(json).expect_err(json);
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn fences_are_read_from_strings_and_numbers() {
        let body: FenceBody = serde_json::from_str(r#"{"fence":"18446744073709551615"}"#).expect("a string");
        assert_eq!(body.fence, Fence(u64::MAX));
        assert_eq!(serde_json::to_string(&body).expect("plain data"), r#"{"fence":"18446744073709551615"}"#);
        assert!(serde_json::from_str::<FenceBody>(r#"{"fence":7}"#).is_ok());
        let error = serde_json::from_str::<FenceBody>(r#"{"fence":"x"}"#).expect_err("no number").to_string();
        assert!(error.contains("\"x\""), "{error}");
        assert!(serde_json::from_str::<FenceBody>(r#"{"fence":-1}"#).is_err());
    }

    #[test]
    fn what_was_used_is_counted_in_base_units() {
        let body: SettleBody =
            serde_json::from_str(r#"{"fence":"1","used":[{"resource":"cpu","amount":"9"}]}"#).expect("sound");
        assert_eq!(body.used().expect("sound")[0].amount, 9);
    }
}
