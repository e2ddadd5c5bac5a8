//! What a driver says of a lease besides that it is true: what it holds for it, and what its processes find in their
//! environment.
use crate::{
    Amount, ClaimId,
    bound::{VARIABLES_BYTES_MAX, VARIABLES_MAX},
};
use serde::{Deserialize, Serialize};

/// What a driver finds that it holds: for a lease, or for nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// For which claim; 0 for nobody: a cache.
    pub claim: ClaimId,
    /// Name of the kind.
    pub resource: String,
    /// Name of the pool.
    pub pool: String,
    /// How much of it is used, in base units, as measured; `None` where that cannot be measured.
    pub used: Option<Amount>,
}

/// Something that a lease's processes find in their environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name: capitals, digits and `_`.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// How names of variables may begin that a driver may set, besides the name of its own kind in capitals: nothing
/// by which a library is loaded or a program found.
const VARIABLES: [&str; 3] = ["BURSAR_", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"];

/// Whether a driver of this kind may set these variables.
///
/// # Errors
/// Says which it may not, and why.
pub fn variables_lawful(kind: &str, variables: &[Variable]) -> Result<(), String> {
    let own: String = kind.bytes().map(|byte| byte.to_ascii_uppercase() as char).collect();
    let bytes: usize = variables.iter().map(|one| one.name.len() + one.value.len() + 2).sum();
    if variables.len() > VARIABLES_MAX || bytes > VARIABLES_BYTES_MAX {
        return Err(format!("at most {VARIABLES_MAX} variables of {VARIABLES_BYTES_MAX} bytes may be set"));
    }
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let may = |name: &str| {
        let begins = |start: &str| !start.is_empty() && name.starts_with(start);
        name.bytes().all(letter) && (begins(&own) || VARIABLES.into_iter().any(begins))
    };
    match variables.iter().find(|one| !may(&one.name) || one.value.contains(char::is_control)) {
        None => Ok(()),
        Some(one) => Err(format!(
            "the variable {:?} may not be set: its name begins with {own} or one of {}, and its value is printable",
            one.name,
            VARIABLES.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lawful(kind: &str, name: &str, value: &str) -> bool {
        variables_lawful(kind, &[Variable { name: name.into(), value: value.into() }]).is_ok()
    }

    #[test]
    fn a_driver_sets_nothing_by_which_other_code_would_run() {
        assert!(
            lawful("licence", "LICENCE_SERVER", "10.0.0.1:7") && lawful("disk", "BURSAR_SCRATCH", "/a b")
        );
        assert!(lawful("gpu", "CUDA_VISIBLE_DEVICES", "GPU-1,GPU-2"));
        for name in ["LD_PRELOAD", "PATH", "licence_a", "LICENCE=A", ""] {
            assert!(!lawful("licence", name, "x"), "{name}");
        }
        assert!(!lawful("licence", "LICENCE_A", "a\nLD_PRELOAD=b") && !lawful("", "X", "x"));
        let many = vec![Variable { name: "BURSAR_A".into(), value: "a".into() }; VARIABLES_MAX + 1];
        assert!(variables_lawful("disk", &many).is_err());
    }
}
