//! What the rows are called: the strings that stay out of the tables, and the ways back to the rows.
use crate::paths::Paths;
use bursar_interface::{ResourceSpec, Row, bound::LABELS_MAX};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Names by row, and rows by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Names {
    /// Kinds, by row: few, so a name is found by looking at them all.
    pub(crate) resources: Vec<ResourceSpec>,
    /// Node names, by row.
    pub(crate) nodes: Vec<String>,
    /// Rows of nodes.
    pub(crate) node_rows: BTreeMap<String, Row>,
    /// Pool names, by row.
    pub(crate) pools: Vec<String>,
    /// Rows of pools by kind, node and name.
    pub(crate) pool_rows: BTreeMap<(Row, Row, String), Row>,
    /// Full scope paths, by row.
    pub(crate) scopes: Vec<Arc<str>>,
    /// Rows of scopes by full path.
    pub(crate) scope_rows: Paths,
    /// Label terms; the position is the bit.
    pub(crate) labels: Vec<String>,
}

impl Names {
    /// The bit of a label term, made on first use; `None` when all [`LABELS_MAX`] bits are taken.
    pub(crate) fn label(&mut self, term: &str) -> Option<u64> {
        if let Some(bit) = self.labels.iter().position(|known| known == term) {
            return Some(1 << bit);
        }
        (self.labels.len() < LABELS_MAX).then(|| {
            self.labels.push(term.into());
            1 << (self.labels.len() - 1)
        })
    }

    /// The bits of the terms that are known.
    pub(crate) fn known_labels(&self, terms: &[String]) -> u64 {
        terms
            .iter()
            .filter_map(|term| self.labels.iter().position(|known| known == term))
            .fold(0, |bits, bit| bits | 1 << bit)
    }
}

/// Puts `value` at `row`, growing the list by one when the row is new.
pub(crate) fn put<T>(list: &mut Vec<T>, row: Row, value: T) {
    match list.get_mut(row as usize) {
        Some(cell) => *cell = value,
        None => list.push(value),
    }
}
