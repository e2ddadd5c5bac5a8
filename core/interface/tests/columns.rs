//! Tables as columns, as they cross the plugin border: what is gathered is what was handed over, or nothing.
use bursar_interface::{Column, Tables, Time, View, changed};

fn columns<'a>(view: &View<'a>) -> Vec<Vec<Column<'a>>> {
    let mut tables: Vec<Vec<Column<'a>>> = vec![Vec::new(); View::SHAPE.len()];
    view.columns(&mut |table, column| tables[table].push(column));
    tables
}

fn some() -> Tables {
    let mut tables = Tables::default();
    for number in 1..=70 {
        let row = tables.pools.push() as usize;
        (tables.pools.id[row], tables.pools.capacity[row]) = (number, u64::from(number) * 10);
    }
    let node = tables.nodes.push();
    tables.nodes.labels[node as usize] = 7;
    tables
}

#[test]
fn a_view_comes_back_from_its_columns() {
    let tables = some();
    let view = tables.view(Time(9), 4);
    let handed = columns(&view);
    assert!(handed.iter().map(Vec::len).eq(View::SHAPE.iter().copied()));
    let slices: Vec<&[Column<'_>]> = handed.iter().map(Vec::as_slice).collect();
    let again = View::gather(Time(9), 4, &slices).expect("all of it is there");
    assert_eq!((again.pools.len(), again.nodes.len(), again.claims.is_empty()), (70, 1, true));
    assert_eq!((again.pools.capacity, again.nodes.labels, again.epoch), (view.pools.capacity, &[7][..], 4));
}

#[test]
fn what_does_not_match_is_no_view() {
    let tables = some();
    let handed = columns(&tables.view(Time(9), 4));
    let slices: Vec<&[Column<'_>]> = handed.iter().map(Vec::as_slice).collect();
    assert!(View::gather(Time(9), 4, &slices[1..]).is_none(), "a table is missing");
    // A column of the other width where one is expected, and one that is missing.
    for table in 0..handed.len() {
        let mut wrong = handed.clone();
        wrong[table][0] = match wrong[table][0] {
            Column::Half(_) => Column::Word(&[]),
            Column::Word(_) => Column::Half(&[]),
        };
        let slices: Vec<&[Column<'_>]> = wrong.iter().map(Vec::as_slice).collect();
        assert!(View::gather(Time(9), 4, &slices).is_none(), "table {table}");
        wrong[table].clear();
        let slices: Vec<&[Column<'_>]> = wrong.iter().map(Vec::as_slice).collect();
        assert!(View::gather(Time(9), 4, &slices).is_none(), "table {table} without columns");
    }
}

#[test]
fn a_cache_reads_the_chunks_that_changed_since() {
    let mut tables = some();
    tables.touch_all(3);
    tables.pools.touch(69, 5);
    let since =
        |epoch| changed(tables.pools.view().touched, 70, epoch).map(|rows| rows.len()).collect::<Vec<_>>();
    assert_eq!((since(2), since(3), since(5)), (vec![64, 6], vec![6], vec![]));
    tables.pools.clear(0);
    assert_eq!(tables.pools.id[0], 0, "a row that is cleared is nobody's");
    let mut cells = 0;
    tables.cells(&mut |_| cells += 1);
    assert!(cells > 70);
}
