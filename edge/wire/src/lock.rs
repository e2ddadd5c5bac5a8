//! Named locks as people write them: `NAME` or `NAME:exclusive` to hold one alone, `NAME:shared` beside others. What
//! stands behind the last colon is never part of the name, so that no slip of the pen names another lock.
use crate::LineBody;

/// The kind.
const LOCK: &str = "lock";
/// Beside others.
const SHARED: &str = "shared";
/// Alone.
const EXCLUSIVE: &str = "exclusive";

/// The line of an ask that a lock stands for.
///
/// # Errors
/// Says what is wrong with the text and what would be right.
///
/// ```
/// let line = bursar_wire::lock("tree:shared").expect("a lock");
/// assert_eq!((line.pool.as_deref(), line.whole), (Some("tree"), false));
/// assert!(bursar_wire::lock("tree:exclusiv").is_err());
/// ```
pub fn lock(text: &str) -> Result<LineBody, String> {
    let (name, how) = text.rsplit_once(':').unwrap_or((text, EXCLUSIVE));
    let whole = match how {
        EXCLUSIVE => true,
        SHARED => false,
        _ => return Err(unreadable(text, name)),
    };
    match name.is_empty() {
        true => Err(unreadable(text, "NAME")),
        false => Ok(LineBody {
            resource: LOCK.into(),
            amount: "1".into(),
            pool: Some(name.into()),
            whole,
            ..LineBody::default()
        }),
    }
}

fn unreadable(text: &str, name: &str) -> String {
    let name = if name.is_empty() { "NAME" } else { name };
    let plain = if name.contains(':') { String::new() } else { format!("{name}, ") };
    format!("{text:?} is no lock; write it as {plain}{name}:{SHARED} or {name}:{EXCLUSIVE}")
}

/// A lock as [`lock`] reads it.
///
/// ```
/// assert_eq!(bursar_wire::show_lock("tree", true), "tree");
/// assert_eq!(bursar_wire::show_lock("tree", false), "tree:shared");
/// assert_eq!(bursar_wire::show_lock("git:main", true), "git:main:exclusive");
/// ```
pub fn show_lock(name: &str, alone: bool) -> String {
    match (alone, name.contains(':')) {
        (false, _) => format!("{name}:{SHARED}"),
        (true, true) => format!("{name}:{EXCLUSIVE}"),
        (true, false) => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, bool), String> {
        lock(text).map(|line| (line.pool.unwrap_or_default(), line.whole))
    }

    #[test]
    fn a_lock_is_held_alone_or_beside_others_and_is_never_another_one_by_a_slip() {
        let held = |name: &str, alone| Ok((name.to_owned(), alone));
        assert_eq!(read("tree"), held("tree", true));
        assert_eq!(read("tree:exclusive"), held("tree", true));
        assert_eq!(read("tree:shared"), held("tree", false));
        assert_eq!(read("git:main:shared"), held("git:main", false));
        for (text, right) in [
            ("tree:exclusiv", "tree, tree:shared or tree:exclusive"),
            ("tree:", "tree, tree:shared or tree:exclusive"),
            ("tree:Shared", "tree, tree:shared or tree:exclusive"),
            ("tree: shared", "tree, tree:shared or tree:exclusive"),
            ("git:main:write", "git:main:shared or git:main:exclusive"),
            ("", "NAME, NAME:shared or NAME:exclusive"),
            (":shared", "NAME, NAME:shared or NAME:exclusive"),
        ] {
            let why = read(text).expect_err(text);
            assert_eq!(why, format!("{text:?} is no lock; write it as {right}"));
        }
    }

    #[test]
    fn what_is_shown_is_read_as_it_was() {
        for name in ["tree", "git:main", "a:shared", "b:exclusive", "c:"] {
            for alone in [true, false] {
                assert_eq!(read(&show_lock(name, alone)), Ok((name.to_owned(), alone)));
            }
        }
    }
}
