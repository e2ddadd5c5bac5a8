//! The mirror: the books' columns in a memory file that a child can only read. Between two calls only
//! the chunks that changed are copied, so a call costs what changed and not what there is.
#![allow(unsafe_code)]
use abi_stable::std_types::RSlice;
use bursar_abi::{RColumn, RTable, RView};
use bursar_interface::{CHUNK, Column, View, changed};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    ops::Range,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    ptr::null_mut,
};

/// Size of the memory file (1 GiB); only pages that are written take room.
const BYTES: usize = 1 << 30;
/// Columns begin at multiples of this: a cache line.
const ALIGN: usize = 64;

/// What the kernel maps at a time, at least.
const PAGE: usize = 4096;

/// Where the columns are in the mirror, and what else a view is made of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Layout {
    at: u64,
    epoch: u64,
    columns: Vec<Place>,
}

/// One column: offset in bytes, cells, and whether a cell has 32 bits.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Place {
    offset: u32,
    cells: u32,
    half: bool,
}

/// The host's side.
pub(crate) struct Mirror {
    file: OwnedFd,
    base: *mut u8,
    layout: Layout,
    /// Rows that each table has room for.
    room: Vec<usize>,
    /// Cells that were copied so far.
    copied: u64,
}

// SAFETY: the mapping belongs to this value alone and has no thread of its own.
unsafe impl Send for Mirror {}

impl Mirror {
    /// An empty mirror.
    pub(crate) fn new() -> io::Result<Mirror> {
        let file = memfd_create("bursar-mirror", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, BYTES as u64)?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping of our own file, unmapped when this is dropped.
        let base = unsafe { mmap(null_mut(), BYTES, protection, MapFlags::SHARED, &file, 0) }?.cast();
        let mirror = Mirror { file, base, layout: Layout::default(), room: Vec::new(), copied: 0 };
        // From here on nobody else can map it for writing; kernels before 5.1 lack that seal.
        let size = SealFlags::SHRINK | SealFlags::GROW;
        fcntl_add_seals(&mirror.file, size | SealFlags::FUTURE_WRITE)
            .or_else(|_| fcntl_add_seals(&mirror.file, size))?;
        Ok(mirror)
    }

    /// The memory file, for a child.
    pub(crate) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Where everything is in it; nothing while there is nothing to see.
    pub(crate) fn layout(&self) -> Option<&Layout> {
        (self.layout.epoch > 0).then_some(&self.layout)
    }

    /// Cells that were copied into it so far: what the work is counted in.
    #[cfg(test)]
    pub(crate) fn copied(&self) -> u64 {
        self.copied
    }

    /// Makes the mirror show `view`. No child may be looking.
    pub(crate) fn show(&mut self, view: &View<'_>) -> io::Result<&Layout> {
        let columns = columns(view);
        let rows = rows(&columns);
        let fits = self.has_room(&rows);
        // Epochs only rise in one life of the books: a lower one means that they were taken back.
        let since = if fits && view.epoch >= self.layout.epoch { Some(self.layout.epoch) } else { None };
        if !fits {
            self.arrange(&columns, &rows)?;
        }
        self.measure(&columns);
        let mut first = 0;
        for &count in View::SHAPE {
            self.copy(&columns[first..first + count], first, since);
            first += count;
        }
        self.date(view.at.0, view.epoch);
        Ok(&self.layout)
    }

    /// What it shows is of this moment.
    pub(crate) fn date(&mut self, at: u64, epoch: u64) {
        (self.layout.at, self.layout.epoch) = (at, epoch);
    }

    /// What it shows is older than anything: the next view is copied as a whole.
    pub(crate) fn forget(&mut self) {
        self.date(0, 0);
    }

    /// Whether each table has room for so many rows where it is.
    pub(crate) fn has_room(&self, rows: &[usize]) -> bool {
        self.room.len() == rows.len() && rows.iter().zip(&self.room).all(|(rows, room)| rows <= room)
    }

    /// Takes over how many cells each column has.
    pub(crate) fn measure(&mut self, columns: &[(usize, Column<'_>)]) {
        for (place, (_, column)) in self.layout.columns.iter_mut().zip(columns) {
            place.cells = length(column) as u32;
        }
    }

    /// Gives every column a place with room to grow.
    pub(crate) fn arrange(&mut self, columns: &[(usize, Column<'_>)], rows: &[usize]) -> io::Result<()> {
        self.room = rows.iter().map(|rows| (rows * 2).next_power_of_two().max(CHUNK)).collect();
        self.layout.columns.clear();
        let mut end = 0_usize;
        let mut first_of = usize::MAX;
        for &(table, column) in columns {
            // The first column of a table has one cell per chunk, not per row.
            let cells = if first_of == table { self.room[table] } else { self.room[table].div_ceil(CHUNK) };
            first_of = table;
            let half = matches!(column, Column::Half(_));
            let offset = u32::try_from(end).map_err(io::Error::other)?;
            self.layout.columns.push(Place { offset, cells: 0, half });
            end = (end + cells * if half { 4 } else { 8 }).next_multiple_of(ALIGN);
        }
        match end <= BYTES {
            true => Ok(()),
            false => Err(io::Error::other("the books are larger than what a child can be shown")),
        }
    }

    /// Has the kernel find memory for all that was arranged, so that a write to it is only a write.
    pub(crate) fn populate(&mut self) {
        let ends = self.layout.columns.iter().map(|place| place.offset as usize);
        let end = ends.max().unwrap_or(0).next_multiple_of(PAGE).min(BYTES);
        // SAFETY: pages of our own mapping, which nobody looks at before they were written to.
        unsafe { (0..end).step_by(PAGE).for_each(|at| self.base.add(at).write(0)) };
    }

    /// Copies what changed of one table since an epoch; all of it if there is none.
    fn copy(&mut self, columns: &[(usize, Column<'_>)], first: usize, since: Option<u64>) {
        let Some((&(_, Column::Word(touched)), cells)) = columns.split_first() else { return };
        self.write(first, 0, Column::Word(touched));
        let rows = cells.first().map_or(0, |(_, column)| length(column));
        let all = since.is_none().then_some(0..rows);
        let changed = changed(touched, rows, since.unwrap_or(u64::MAX));
        for range in all.into_iter().chain(changed) {
            self.copy_rows(cells, first + 1, range);
        }
    }

    /// Copies these rows of columns, of which the first is the `first` of all.
    pub(crate) fn copy_rows(&mut self, columns: &[(usize, Column<'_>)], first: usize, rows: Range<usize>) {
        for (i, (_, column)) in columns.iter().enumerate() {
            let part = match column {
                Column::Word(cells) => Column::Word(&cells[rows.clone()]),
                Column::Half(cells) => Column::Half(&cells[rows.clone()]),
            };
            self.write(first + i, rows.start, part);
        }
    }

    /// Writes cells of one column, beginning at `row`.
    pub(crate) fn write(&mut self, column: usize, row: usize, cells: Column<'_>) {
        let Place { offset, .. } = self.layout.columns[column];
        self.copied += length(&cells) as u64;
        // SAFETY: `arrange` gave the column room for all rows of its table inside the mapping, and no
        // child reads while the host is here.
        unsafe {
            let start = self.base.add(offset as usize);
            match cells {
                Column::Word(cells) => {
                    start.cast::<u64>().add(row).copy_from_nonoverlapping(cells.as_ptr(), cells.len());
                }
                Column::Half(cells) => {
                    start.cast::<u32>().add(row).copy_from_nonoverlapping(cells.as_ptr(), cells.len());
                }
            }
        }
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and nothing points into it any more.
        let _ = unsafe { munmap(self.base.cast(), BYTES) };
    }
}

pub(crate) fn columns<'a>(view: &View<'a>) -> Vec<(usize, Column<'a>)> {
    let mut columns = Vec::with_capacity(View::SHAPE.iter().sum());
    view.columns(&mut |table, column| columns.push((table, column)));
    columns
}

/// Rows of each table: the cells of its second column, the first being the change stamps.
pub(crate) fn rows(columns: &[(usize, Column<'_>)]) -> Vec<usize> {
    let firsts = View::SHAPE.iter().scan(0, |first, count| {
        let second = *first + 1;
        *first += count;
        Some(second)
    });
    firsts.map(|second| length(&columns[second].1)).collect()
}

pub(crate) fn length(column: &Column<'_>) -> usize {
    match column {
        Column::Word(cells) => cells.len(),
        Column::Half(cells) => cells.len(),
    }
}

/// The child's side: the same pages, for reading.
pub(crate) struct Glass(*const u8);

impl Glass {
    /// Maps the mirror's file.
    pub(crate) fn new(file: BorrowedFd<'_>) -> io::Result<Glass> {
        // SAFETY: a fresh mapping that lives as long as the process.
        let base = unsafe { mmap(null_mut(), BYTES, ProtFlags::READ, MapFlags::SHARED, file, 0) }?;
        Ok(Glass(base.cast()))
    }

    /// Looks at each page of the columns once: the first look at a page costs more than all later ones.
    pub(crate) fn touch(&self, layout: &Layout) {
        for &place in &layout.columns {
            let column = self.column(place);
            let words = column.words.iter().step_by(PAGE / 8).fold(0, |seen, &cell| seen ^ cell);
            let halves = column.halves.iter().step_by(PAGE / 4).fold(0, |seen, &cell| seen ^ cell);
            // What is not used would not be read.
            std::hint::black_box((words, halves));
        }
    }

    /// Runs `look` on the view that the mirror shows.
    pub(crate) fn look<R>(&self, layout: &Layout, look: impl FnOnce(RView<'_>) -> R) -> R {
        let columns: Vec<RColumn<'_>> = layout.columns.iter().map(|place| self.column(*place)).collect();
        let mut rest = columns.as_slice();
        let mut tables = Vec::with_capacity(View::SHAPE.len());
        for &count in View::SHAPE {
            let (own, after) = rest.split_at(count.min(rest.len()));
            tables.push(RTable { columns: own.into() });
            rest = after;
        }
        look(RView { at: layout.at, epoch: layout.epoch, tables: tables.as_slice().into() })
    }

    fn column(&self, Place { offset, cells, half }: Place) -> RColumn<'_> {
        let (offset, cells) = (offset as usize, cells as usize);
        assert!(
            offset + cells * if half { 4 } else { 8 } <= BYTES,
            "the host's layout passes the mirror's end"
        );
        // SAFETY: inside the mapping and aligned; the host, which alone can write, waits for the answer.
        unsafe {
            let start = self.0.add(offset);
            match half {
                true => RColumn {
                    words: RSlice::EMPTY,
                    halves: RSlice::from_raw_parts(start.cast(), cells),
                    width: 1,
                },
                false => RColumn {
                    words: RSlice::from_raw_parts(start.cast(), cells),
                    halves: RSlice::EMPTY,
                    width: 0,
                },
            }
        }
    }
}
