//! Filling a mirror before it is looked into, so that the first call of a strategy costs what has changed since, like
//! each one after it, and not what there is.
use crate::{
    Scene,
    mirror::{Layout, Mirror, columns, length, rows},
};
use bursar_interface::{Column, View, changed};
use std::io;

/// How often it is begun anew when tables outgrow their places meanwhile.
const TRIES_MAX: usize = 3;

impl Mirror {
    /// Makes the mirror show what a scene shows, a column at each look, and what has changed meanwhile in one that
    /// is short. Where that cannot be done, the first view is copied as a whole.
    ///
    /// # Errors
    /// When the books are larger than a mirror.
    pub(crate) fn prime(&mut self, scene: &dyn Scene) -> io::Result<Option<Layout>> {
        for _ in 0..TRIES_MAX {
            self.forget();
            let begun = seen(scene, |view| {
                let columns = columns(view);
                self.arrange(&columns, &rows(&columns)).map(|()| view.epoch)
            });
            let Some(begun) = begun.transpose()? else { break };
            // The first write to a page costs more than what is written, and whoever folds would wait for it.
            self.populate();
            let all: usize = View::SHAPE.iter().sum();
            for column in 0..all {
                seen(scene, |view| self.take_column(view, column));
            }
            let Some(epoch) = scene.caught_up() else { break };
            if seen(scene, |view| self.catch_up(view, begun, epoch)) == Some(true) {
                return Ok(self.layout().cloned());
            }
        }
        self.forget();
        Ok(None)
    }

    /// Copies one column, as far as it has a place.
    fn take_column(&mut self, view: &View<'_>, column: usize) {
        let columns = columns(view);
        if self.has_room(&rows(&columns)) {
            self.write(column, 0, columns[column].1);
        }
    }

    /// Copies what a scene has changed since its epoch `begun`, and dates all of it `epoch` of the deciding books;
    /// false if the tables have outgrown their places.
    fn catch_up(&mut self, view: &View<'_>, begun: u64, epoch: u64) -> bool {
        let columns = columns(view);
        if !self.has_room(&rows(&columns)) {
            return false;
        }
        self.measure(&columns);
        let mut first = 0;
        for &count in View::SHAPE {
            let table = &columns[first..first + count];
            if let Some((&(_, Column::Word(touched)), cells)) = table.split_first() {
                let rows = cells.first().map_or(0, |(_, column)| length(column));
                for range in changed(touched, rows, begun) {
                    self.copy_rows(cells, first + 1, range);
                }
                // The scene counts its changes by itself: to whoever looks now all is of one age.
                self.write(first, 0, Column::Word(&vec![epoch; touched.len()]));
            }
            first += count;
        }
        self.date(view.at.0, epoch);
        true
    }
}

/// What comes of a look, if there was something to see.
fn seen<T>(scene: &dyn Scene, look: impl FnOnce(&View<'_>) -> T) -> Option<T> {
    let (mut look, mut told) = (Some(look), None);
    scene.look(&mut |view| {
        if let Some(look) = look.take() {
            told = Some(look(view));
        }
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::Glass;
    use bursar_interface::{Ask, ClaimId, LineAsk, NodeSpec, PoolSpec, ResourceSpec, Shape};
    use bursar_pool::Books;
    use std::sync::Mutex;

    const NODES: usize = 2_000;

    fn ask(books: &mut Books, id: u64) {
        let line = LineAsk { resource: "cpu".into(), amount: id, ..LineAsk::default() };
        books.begin_change();
        books.open_claim(ClaimId(id), "team", None, &Ask { lines: vec![line], ..Ask::default() });
    }

    /// A machine has so much.
    fn offer(books: &mut Books, number: usize, capacity: u64) {
        let (resource, name, node) = ("cpu".into(), "cpu".into(), Some(format!("n{number}")));
        books.begin_change();
        books.set_pool(&PoolSpec { resource, node, name, capacity, ..PoolSpec::default() });
    }

    /// Many machines, and a number of claims.
    fn fleet() -> Books {
        let mut books = Books::new();
        books.set_resource(&ResourceSpec {
            name: "cpu".into(),
            shape: Shape::Capacity,
            unit: "pieces".into(),
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            driven: false,
        });
        for number in 0..NODES {
            books.set_node(&NodeSpec { name: format!("n{number}"), ..NodeSpec::default() });
            offer(&mut books, number, 9);
        }
        (1..=60).for_each(|id| ask(&mut books, id));
        books
    }

    /// The deciding books and a copy, to both of which the same happens after each look; they count their changes each
    /// by itself.
    struct Twins(Mutex<(Books, Books, u64)>, bool);

    impl Twins {
        fn new(caught_up: bool) -> Twins {
            let (deciding, mut copy) = (fleet(), fleet());
            (0..1_000).for_each(|_| copy.begin_change());
            Twins(Mutex::new((deciding, copy, 1_000)), caught_up)
        }
    }

    impl Scene for Twins {
        fn look(&self, see: &mut dyn FnMut(&View<'_>)) {
            let (deciding, copy, id) = &mut *self.0.lock().expect("one thread");
            see(&copy.view());
            *id += 1;
            for books in [deciding, copy] {
                // Far from each other, so that each is in a chunk of its own.
                offer(books, *id as usize * 64 % NODES, *id);
                ask(books, *id);
            }
        }

        fn caught_up(&self) -> Option<u64> {
            self.1.then(|| self.0.lock().expect("one thread").0.view().epoch)
        }
    }

    /// Shows the deciding books after one more change; how many cells were copied for that, and how many there are.
    fn first_look(twins: Twins, mirror: &mut Mirror) -> (u64, u64) {
        let (mut books, _, id) = twins.0.into_inner().expect("one thread");
        ask(&mut books, id + 1);
        let (before, view) = (mirror.copied(), books.view());
        let layout = mirror.show(&view).expect("shown").clone();
        let glass = Glass::new(mirror.file()).expect("mapped");
        glass.touch(&layout);
        let columns = columns(&view);
        glass.look(&layout, |seen| {
            let mut seen = seen.tables.iter().flat_map(|table| table.columns.iter());
            for (number, (_, column)) in columns.iter().enumerate() {
                let seen = seen.next().expect("as many columns");
                match column {
                    Column::Word(cells) => assert_eq!(seen.words.as_slice(), *cells, "column {number}"),
                    Column::Half(cells) => assert_eq!(seen.halves.as_slice(), *cells, "column {number}"),
                }
            }
        });
        let all = columns.iter().map(|(_, column)| length(column) as u64).sum();
        (mirror.copied() - before, all)
    }

    #[test]
    fn the_first_look_costs_what_has_changed_and_shows_all_there_is() {
        let (twins, mut mirror) = (Twins::new(true), Mirror::new().expect("a mirror"));
        assert!(mirror.prime(&twins).expect("room").is_some());
        let (copied, all) = first_look(twins, &mut mirror);
        assert!(copied * 5 < all, "{copied} of {all} cells");
        let mut cold = Mirror::new().expect("a mirror");
        let (copied, all) = first_look(Twins::new(true), &mut cold);
        assert_eq!(copied, all, "without it, all");
    }

    #[test]
    fn where_nobody_can_say_how_far_the_copy_is_all_of_it_is_copied() {
        let (twins, mut mirror) = (Twins::new(false), Mirror::new().expect("a mirror"));
        assert!(mirror.prime(&twins).expect("room").is_none());
        let (copied, all) = first_look(twins, &mut mirror);
        assert_eq!(copied, all);
    }
}
