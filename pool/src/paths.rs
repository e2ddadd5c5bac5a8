//! Rows of scopes by path, found by a hash of it: a path is looked up with every ask, and comparing numbers is
//! cheaper than comparing paths. Two paths of one hash are rare, and no slower than a tree of paths.
use bursar_interface::Row;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Rows by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paths {
    rows: BTreeMap<u64, Row>,
    /// Those whose hash another path had first.
    twins: BTreeMap<Arc<str>, Row>,
}

impl Paths {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.twins.len()
    }

    /// The row of a path; `paths` are those of all rows.
    pub(crate) fn get(&self, path: &str, paths: &[Arc<str>]) -> Option<Row> {
        let row = self.rows.get(&hash(path)).copied();
        match row.filter(|&row| &*paths[row as usize] == path) {
            None if !self.twins.is_empty() => self.twins.get(path).copied(),
            row => row,
        }
    }

    /// A path that was not there has a row now.
    pub(crate) fn insert(&mut self, path: &Arc<str>, row: Row) {
        if *self.rows.entry(hash(path)).or_insert(row) != row {
            self.twins.insert(path.clone(), row);
        }
    }

    /// A path goes.
    pub(crate) fn remove(&mut self, path: &str, row: Row) {
        let hash = hash(path);
        if self.rows.get(&hash) == Some(&row) {
            self.rows.remove(&hash);
        } else {
            self.twins.remove(path);
        }
    }
}

/// A number for a path, eight bytes at a time: multiplied and folded.
fn hash(path: &str) -> u64 {
    let (words, rest) = path.as_bytes().as_chunks::<8>();
    let rest = rest.iter().fold(path.len() as u64, |word, &byte| word << 8 | u64::from(byte));
    let words = words.iter().map(|word| u64::from_le_bytes(*word)).chain([rest]);
    words.fold(0x9e37_79b9_7f4a_7c15, |hash, word| {
        let mixed = u128::from(hash ^ word) * 0xd6e8_feb8_6659_fd93_u128;
        (mixed as u64 ^ (mixed >> 64) as u64).rotate_left(23)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_by_itself_even_where_another_has_its_hash() {
        let names: Vec<Arc<str>> = (0..5000).map(|n| format!("t{}/a{n}", n % 70).into()).collect();
        let mut paths = Paths::default();
        (0..).zip(&names).for_each(|(row, name)| paths.insert(name, row));
        assert!(paths.twins.is_empty(), "hashes that short paths share are no good");
        // As if the last two had the hash of the first two.
        for (row, like) in [(4998, 0), (4999, 1)] {
            paths.remove(&names[row as usize], row);
            paths.rows.insert(hash(&names[row as usize]), like);
            paths.insert(&names[row as usize], row);
        }
        assert_eq!(paths.twins.len(), 2);
        for (row, name) in (0..).zip(&names) {
            assert_eq!(paths.get(name, &names), Some(row));
        }
        paths.remove(&names[4998], 4998);
        assert_eq!(paths.get(&names[4998], &names), None);
        assert_eq!(paths.get("t0", &names), None);
    }
}
