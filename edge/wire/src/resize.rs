//! What is sent to hold more or less in a lease: absolute amounts, so that saying it twice does no harm.
use crate::{
    amount,
    text::{AmountDigits, FenceDigits},
};
use bursar_interface::{Fence, Reason, Refusal, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `POST …/extend` and `POST …/shrink`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeBody {
    /// The lease's token.
    #[serde(with = "FenceDigits")]
    pub fence: Fence,
    /// What the lease is to hold then, of the lines that change.
    pub lines: Vec<SizeBody>,
}

/// What one line of a lease is to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SizeBody {
    /// Name of the kind.
    pub resource: String,
    /// Only the line that was taken from the pool of this name; for leases with several lines of the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// How much from now on, in base units, as digits.
    #[serde(with = "AmountDigits")]
    pub amount: String,
}

/// What a lease is to hold.
///
/// # Errors
/// `BadRequest` for what is no amount.
pub fn sizes(lines: &[SizeBody]) -> Result<Vec<Size>, Refusal> {
    let size = |body: &SizeBody| match amount(&body.resource, &body.amount) {
        Ok(amount) => Ok(Size { resource: body.resource.clone(), pool: body.pool.clone(), amount }),
        Err(why) => Err(Refusal::new(Reason::BadRequest, why)),
    };
    lines.iter().map(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_base_units_and_what_is_wrong_is_named() {
        let body: ResizeBody = serde_json::from_str(
            r#"{"fence":"1","lines":[{"resource":"memory","amount":"9"},{"resource":"gpu","pool":"a","amount":5}]}"#,
        )
        .expect("sound");
        let read = sizes(&body.lines).expect("sound");
        assert_eq!((read[0].amount, read[1].pool.as_deref()), (9, Some("a")));
        for (json, told) in [
            (r#"{"fence":"1"}"#, "lines"),
            (r#"{"fence":"1","lines":[{"resource":"cpu"}]}"#, "amount"),
            (r#"{"fence":"1","lines":[{"resource":"cpu","amount":"1","by":"2"}]}"#, "by"),
        ] {
            let error = serde_json::from_str::<ResizeBody>(json).expect_err(json).to_string();
            assert!(error.contains(told), "{error}");
        }
        let line = SizeBody { resource: "memory".into(), pool: None, amount: "1G".into() };
        assert!(sizes(&[line]).expect_err("no base units").message.contains("base units"));
    }
}
