//! What was meant by a word that is not known.

/// How alike two words must be for one to be meant by the other (Jaro and Winkler's measure, from 0 to 1).
const ALIKE: f64 = 0.75;

/// The known word that is most like this one, if it is alike at all.
pub fn near<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let rated = known.map(|known| (strsim::jaro_winkler(word, known), known));
    let best = rated.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, known)| known)
}

/// What serde says of an unknown key, with the key that was meant: it names the unknown one and the known ones, each
/// between backticks.
pub fn meant(told: &str) -> String {
    let rest = told.split_once("unknown field ").map_or("", |(_, rest)| rest);
    let words = rest.split_once(" for key ").map_or(rest, |(words, _)| words);
    let mut names = words.split('`').skip(1).step_by(2);
    let meant = names.next().and_then(|unknown| near(unknown, names));
    meant.map_or_else(|| told.to_owned(), |meant| format!("{told}; did you mean {meant:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_was_meant_is_named_and_none_where_none_is_alike() {
        let told = "unknown field `idel-ms`, expected one of `dirs`, `idle-ms` for key `plugins.idle-mss`";
        assert!(meant(told).ends_with("`plugins.idle-mss`; did you mean \"idle-ms\"?"), "{}", meant(told));
        let told = "unknown field `zzz`, expected `dirs`";
        assert_eq!(meant(told), told);
        assert_eq!(meant("invalid type: string \"x\""), "invalid type: string \"x\"");
    }
}
