//! What a scope's path may look like: the one judgement for those who ask, those who set, and those who hand out rights.
use crate::{
    Reason, Refusal,
    bound::{NAME_BYTES_MAX, SCOPE_DEPTH_MAX},
};

/// Refuses a path that is no scope. The empty one is the root.
///
/// # Errors
/// `BadRequest` for what is no path of names; `FanOut` for one that is too deep.
///
/// ```
/// use bursar_interface::check_scope;
///
/// assert!(check_scope("").is_ok() && check_scope("team/session/agent").is_ok());
/// assert!(["/", "a//b", "a/", "a/.."].into_iter().all(|path| check_scope(path).is_err()));
/// ```
pub fn check_scope(path: &str) -> Result<(), Refusal> {
    if path.is_empty() {
        return Ok(());
    }
    let mut depth = 0;
    for level in path.split('/') {
        depth += 1;
        // Who sends a path as an address has these two resolved on the way.
        let walks = matches!(level, "." | "..");
        if level.is_empty() || walks || level.len() > NAME_BYTES_MAX || level.chars().any(char::is_control) {
            return Err(Refusal::new(Reason::BadRequest, format!("{path:?} is no scope"))
                .hint("use names separated by single slashes, none of them . or .., as team/session/agent"));
        }
    }
    if depth > SCOPE_DEPTH_MAX {
        return Err(Refusal::new(Reason::FanOut, format!("{path:?} is {depth} levels deep"))
            .hint(format!("at most {SCOPE_DEPTH_MAX} levels")));
    }
    Ok(())
}
