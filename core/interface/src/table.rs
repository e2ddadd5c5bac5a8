//! How a table is kept: columns of `u32` and `u64`, borrowed whole by a view and carried whole
//! across the plugin border, with a stamp per chunk of rows that says when it last changed.

/// Rows per change stamp.
pub const CHUNK: usize = 64;

/// One borrowed column, as it crosses the border.
#[derive(Clone, Copy, Debug)]
pub enum Column<'a> {
    /// 32-bit cells: rows, identities, small enumerations.
    Half(&'a [u32]),
    /// 64-bit cells: amounts, times, label sets.
    Word(&'a [u64]),
}

/// A cell type that a column can hold.
pub(crate) trait Cell: Copy + Default + 'static {
    /// Wraps a slice of such cells.
    fn column(cells: &[Self]) -> Column<'_>;
    /// The cells of a column, if it holds this type.
    fn cells<'a>(column: Column<'a>) -> Option<&'a [Self]>;
}
impl Cell for u32 {
    fn column(cells: &[u32]) -> Column<'_> {
        Column::Half(cells)
    }
    fn cells<'a>(column: Column<'a>) -> Option<&'a [u32]> {
        if let Column::Half(cells) = column { Some(cells) } else { None }
    }
}
impl Cell for u64 {
    fn column(cells: &[u64]) -> Column<'_> {
        Column::Word(cells)
    }
    fn cells<'a>(column: Column<'a>) -> Option<&'a [u64]> {
        if let Column::Word(cells) = column { Some(cells) } else { None }
    }
}

/// The row ranges whose chunks were stamped after `since`, in row order: what a cache built from a
/// view at epoch `since` must read again. Cost: one comparison per 64 rows.
pub fn changed(touched: &[u64], rows: usize, since: u64) -> impl Iterator<Item = std::ops::Range<usize>> {
    touched
        .iter()
        .enumerate()
        .filter(move |(_, stamp)| **stamp > since)
        .map(move |(chunk, _)| chunk * CHUNK..((chunk + 1) * CHUNK).min(rows))
}

macro_rules! table {
    ($(#[$doc:meta])* $view:ident, $table:ident { $($(#[$col_doc:meta])* $col:ident: $cell:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $view<'a> {
            $($(#[$col_doc])* pub $col: &'a [$cell],)*
            /// The epoch in which each chunk of 64 rows last changed.
            pub touched: &'a [u64],
        }

        impl<'a> $view<'a> {
            /// How many columns cross the border, the change stamps included.
            pub const COLUMNS: usize = 1 $(+ { let _ = stringify!($col); 1 })*;

            /// Rows in the table, free ones included.
            pub fn len(&self) -> usize {
                [$(self.$col.len()),*][0]
            }

            /// Whether there is no row at all.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Hands over every column, change stamps first, then in order of declaration. New
            /// columns are appended, so a plugin that knows fewer reads a prefix.
            pub fn columns(&self, sink: &mut dyn FnMut(Column<'a>)) {
                sink(Column::Word(self.touched));
                $(sink(<$cell as Cell>::column(self.$col));)*
            }

            /// The table again from its columns; `None` if one is missing, of the wrong width, or
            /// shorter than the rest.
            pub fn gather(columns: &[Column<'a>]) -> Option<Self> {
                let mut next = columns.iter().copied();
                let touched = <u64 as Cell>::cells(next.next()?)?;
                $(let $col = <$cell as Cell>::cells(next.next()?)?;)*
                let view = $view { $($col,)* touched };
                let rows = view.len();
                ([$(view.$col.len()),*].iter().all(|&n| n == rows)
                    && touched.len() >= rows.div_ceil(CHUNK)).then_some(view)
            }
        }

        #[doc = concat!("The owned columns behind [`", stringify!($view), "`].")]
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $table {
            $($(#[$col_doc])* pub $col: Vec<$cell>,)*
            touched: Vec<u64>,
        }

        impl $table {
            /// Rows in the table, free ones included.
            pub fn len(&self) -> usize {
                [$(self.$col.len()),*][0]
            }

            /// Whether there is no row at all.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Appends a row of zeros.
            pub fn push(&mut self) -> Row {
                let row = self.len();
                $(self.$col.push(<$cell>::default());)*
                if row % CHUNK == 0 {
                    self.touched.push(0);
                }
                row as Row
            }

            /// Sets every cell of a row to zero.
            pub fn clear(&mut self, row: Row) {
                $(self.$col[row as usize] = <$cell>::default();)*
            }

            /// Stamps the chunk of `row` as changed in `epoch`.
            pub fn touch(&mut self, row: Row, epoch: u64) {
                self.touched[row as usize / CHUNK] = epoch;
            }

            /// Stamps every chunk, after the columns were restored from elsewhere.
            pub fn touch_all(&mut self, epoch: u64) {
                self.touched.fill(epoch);
            }

            /// Borrows the columns.
            pub fn view(&self) -> $view<'_> {
                $view { $($col: &self.$col,)* touched: &self.touched }
            }

            /// Feeds every cell, column by column, into `sink`: what a digest is made of.
            pub fn cells(&self, sink: &mut dyn FnMut(u64)) {
                $(for cell in &self.$col { sink(u64::from(*cell)); })*
            }
        }
    };
}
pub(crate) use table;
