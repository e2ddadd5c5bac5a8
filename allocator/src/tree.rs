//! A tournament over node rows: who is best is read at the root, changing one costs O(log n).

/// Scores by row, 0 for none; the highest wins, the lowest row among equals.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    leaves: usize,
    cells: Vec<u32>,
}

impl Tree {
    /// Room for that many rows; all scores are 0.
    pub(crate) fn with_rows(rows: usize) -> Tree {
        let leaves = rows.next_power_of_two().max(1);
        Tree { leaves, cells: vec![0; 2 * leaves] }
    }

    /// How many rows there is room for.
    pub(crate) fn room(&self) -> usize {
        self.leaves
    }

    /// The score of a row.
    pub(crate) fn get(&self, row: u32) -> u32 {
        self.cells[self.leaves + row as usize]
    }

    /// Sets the score of a row.
    pub(crate) fn set(&mut self, row: u32, score: u32) {
        let mut at = self.leaves + row as usize;
        self.cells[at] = score;
        while at > 1 {
            at /= 2;
            let best = self.cells[2 * at].max(self.cells[2 * at + 1]);
            if self.cells[at] == best {
                break;
            }
            self.cells[at] = best;
        }
    }

    /// The lowest row of those with the highest score, unless that is 0.
    pub(crate) fn best(&self) -> Option<u32> {
        let score = self.cells[1];
        let mut at = 1;
        while at < self.leaves {
            at = if self.cells[2 * at] == score { 2 * at } else { 2 * at + 1 };
        }
        (score > 0).then(|| (at - self.leaves) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn the_highest_wins_and_the_lowest_row_among_equals() {
        let mut tree = Tree::with_rows(5);
        assert_eq!((tree.best(), tree.room()), (None, 8));
        for (row, score) in [(4, 7), (2, 9), (3, 9), (0, 1)] {
            tree.set(row, score);
        }
        assert_eq!((tree.best(), tree.get(3)), (Some(2), 9));
        tree.set(2, 0);
        assert_eq!(tree.best(), Some(3));
        [3, 4].into_iter().for_each(|row| tree.set(row, 0));
        assert_eq!(tree.best(), Some(0));
    }

    #[test]
    fn one_row_is_enough() {
        let mut tree = Tree::with_rows(1);
        tree.set(0, 3);
        assert_eq!(tree.best(), Some(0));
    }
}
