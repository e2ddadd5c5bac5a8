//! A view as it crosses the border: arrays of borrowed columns, built on the stack for each call.
use abi_stable::std_types::RSlice;
use bursar_abi::{RColumn, RTable, RView};
use bursar_interface::{Column, View};

/// Columns of all tables together at most.
const COLUMNS_MAX: usize = 128;
/// Tables at most.
const TABLES_MAX: usize = 16;

/// Runs `call` with the view as the border carries it.
pub(crate) fn cross<R>(view: &View<'_>, call: impl FnOnce(RView<'_>) -> R) -> R {
    const { assert!(View::SHAPE.len() <= TABLES_MAX) };
    let none = RColumn { words: RSlice::EMPTY, halves: RSlice::EMPTY, width: 0 };
    let mut columns = [none; COLUMNS_MAX];
    let mut len = 0;
    view.columns(&mut |_, column| {
        columns[len] = match column {
            Column::Word(cells) => RColumn { words: cells.into(), ..none },
            Column::Half(cells) => RColumn { halves: cells.into(), width: 1, ..none },
        };
        len += 1;
    });
    let mut tables = [RTable { columns: RSlice::EMPTY }; TABLES_MAX];
    let mut rest = &columns[..len];
    for (table, &count) in tables.iter_mut().zip(View::SHAPE) {
        let (own, after) = rest.split_at(count);
        (table.columns, rest) = (own.into(), after);
    }
    call(RView { at: view.at.0, epoch: view.epoch, tables: tables[..View::SHAPE.len()].into() })
}
