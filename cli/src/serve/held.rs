//! One lease at the edge: its cell, its processes, its drivers' lines, and how far its return has come.
use super::clock::boottime_ns;
use super::enforcer::Ground;
use super::workers::Workers;
use bursar_enforce::{Cell, Entrance, Exposure, Hierarchy, Limits, Reclaim, Watch, same};
use bursar_engine::{Engine, Resizing};
use bursar_interface::{
    Amount, Batch, ClaimId, Class, Command, Fence, Gauge, Lease, LeaseLine, LineSize, Process, Row, Used,
    What,
};
use bursar_pool::Books;
use std::{
    collections::BTreeMap,
    io,
    time::{Duration, Instant},
};

/// A process for whom all is ready.
pub struct Entering {
    /// Its way in.
    pub entrance: Entrance,
    /// How it is to stand when memory runs out.
    pub exposure: io::Result<Exposure>,
}

/// A lease that has processes or drivers.
pub struct Held {
    /// Its processes' home.
    pub cell: Cell,
    /// Attached processes that are about to be in it.
    pub entering: Vec<Entering>,
    /// Attached processes that are in the cell.
    pub watches: Vec<(Process, Watch)>,
    /// Since when the first one is in.
    since: Option<Instant>,
    /// Its drivers by name, each with its own lines.
    pub driven: Vec<(String, Lease)>,
    /// Which version of each driver it began with, by the driver's name: that one takes it back.
    pub versions: BTreeMap<String, u32>,
    /// Answers that drivers owe.
    pub outstanding: usize,
    /// It is from before a restart.
    pub adopted: bool,
    /// It is being taken back.
    pub leaving: bool,
    /// Its cell on the way back.
    pub reclaim: Option<Reclaim>,
    /// When drivers that failed to prove their return are asked again.
    pub again: Option<Instant>,
    /// What proves the return, so far.
    pub evidence: Vec<String>,
    /// The kernel killed in it because it passed its memory.
    pub over_limit: bool,
    /// What it used, measured and not told yet.
    pub used: Vec<Command>,
    /// It was told that it cannot be taken back.
    pub told_stuck: bool,
    /// It was told that its processes are gone.
    pub told_gone: bool,
    /// A change of what it holds that is not true yet.
    pub resizing: bool,
    /// Its drivers' lines before that.
    pub before: Vec<(String, Lease)>,
    /// Its processes are held still, or are to be.
    pub frozen: bool,
    /// The same because memory runs short.
    pub squeezed: bool,
    /// Since when they are to be and it was not told that they are.
    pub freezing: Option<Instant>,
}

impl Held {
    /// A lease with nothing in it yet, and those for whom all is ready.
    pub fn new(cell: Cell, entering: Vec<Entering>) -> Held {
        Held {
            cell,
            entering,
            watches: Vec::new(),
            since: None,
            driven: Vec::new(),
            versions: BTreeMap::new(),
            outstanding: 0,
            adopted: false,
            leaving: false,
            reclaim: None,
            again: None,
            evidence: Vec::new(),
            over_limit: false,
            used: Vec::new(),
            told_stuck: false,
            told_gone: false,
            resizing: false,
            before: Vec::new(),
            frozen: false,
            squeezed: false,
            freezing: None,
        }
    }

    /// Which version of a driver it is held by: the newest there was when it was first asked.
    pub fn version(&mut self, driver: &str, workers: &Workers) -> u32 {
        let newest = || workers.newest(driver).unwrap_or(0);
        *self.versions.entry(driver.to_owned()).or_insert_with(newest)
    }

    /// Makes the cell and puts in the attached processes that are not in yet, which are of this class.
    pub fn take_in(&mut self, limits: Limits, bodies: &[Process], class: Class) -> io::Result<()> {
        let stood = self.cell.stands(limits);
        if !stood {
            self.cell.build(limits)?;
            // What was ready led into the cell as it was.
            self.entering.clear();
        }
        for body in bodies {
            if !self.watches.iter().any(|(known, _)| known == body) {
                let ready = self.entering.iter().position(|ready| ready.entrance.process() == body);
                let ready = ready.map(|at| self.entering.swap_remove(at));
                let (entrance, exposure) = ready.map(|ready| (ready.entrance, ready.exposure)).unzip();
                let joined = match entrance {
                    Some(entrance) => self.cell.enter(entrance),
                    None => self.cell.join(body),
                };
                let watch = match joined {
                    // Somebody took away what was made.
                    Err(error) if stood && error.kind() == io::ErrorKind::NotFound => {
                        self.cell.build(limits)?;
                        self.cell.join(body)?
                    }
                    joined => joined?,
                };
                expose(body, exposure.unwrap_or_else(|| Exposure::of(body.pid, class)));
                self.watch(body, watch);
            }
        }
        Ok(())
    }

    /// Takes the cell over as it is; processes that are gone are seen to be gone, and so are those that another
    /// daemon has: that one lives, and neither its groups nor its processes are touched.
    pub fn take_over(&mut self, limits: Limits, bodies: &[Process], hierarchy: &Hierarchy) -> io::Result<()> {
        let claim = self.cell.claim();
        let is_anothers = |body: &&Process| same(body) && hierarchy.is_anothers(body.pid, claim);
        let (others, own): (Vec<&Process>, Vec<&Process>) = bodies.iter().partition(is_anothers);
        for body in others {
            tracing::warn!(%claim, pid = body.pid, "another daemon has this process, so it is taken for gone here");
            self.evidence.push(format!("process {} is another daemon's", body.pid));
            self.watches.push((body.clone(), Watch::nobody()));
        }
        own.iter().for_each(|body| self.watch(body, Watch::open(body)));
        self.since = own.iter().copied().filter_map(began).min().or(self.since);
        self.cell.build(limits)?;
        for body in own.into_iter().filter(|body| same(body)) {
            self.cell.inherit(body)?;
        }
        Ok(())
    }

    fn watch(&mut self, body: &Process, watch: Watch) {
        self.cell.remember(body);
        self.watches.push((body.clone(), watch));
        self.since.get_or_insert_with(Instant::now);
    }

    /// Whether a process ever lived in it.
    pub fn is_bodied(&self) -> bool {
        self.since.is_some()
    }

    /// Whether there were processes and all of them are gone.
    pub fn all_gone(&self) -> bool {
        !self.watches.is_empty() && self.watches.iter().all(|(_, watch)| watch.gone())
    }

    /// How long its first process has been there, in nanoseconds: what this daemon saw of it.
    pub fn lived_ns(&self) -> Option<u64> {
        self.since.map(|since| since.elapsed().as_nanos() as u64)
    }
}

/// Has the kernel choose among leases when memory runs out all the same. Another user's processes stand where they are.
fn expose(body: &Process, exposure: io::Result<Exposure>) {
    if let Err(error) = exposure.and_then(Exposure::begin) {
        tracing::debug!(pid = body.pid, %error, "it stands where it was");
    }
}

/// When a process began, as far back as that can be told.
fn began(process: &Process) -> Option<Instant> {
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let began_ns = process.started.checked_mul(1_000_000_000 / ticks_per_second.max(1))?;
    Instant::now().checked_sub(Duration::from_nanos(boottime_ns().checked_sub(began_ns)?))
}

/// What a claim's cell is limited to, the processes that are to be in it, and how firmly it was promised.
pub fn entering(engine: &Engine, claim: ClaimId) -> Option<(Limits, Vec<Process>, Class)> {
    let row = engine.books().claim(claim)?;
    let class = Class::of(engine.view().claims.class[row as usize]);
    Some((limits(engine, row), engine.bodies(claim).to_vec(), class))
}

/// The groups that will be needed by those to whom a process comes with this batch, which is being written down; not
/// of those within others, whose cells come first.
pub fn grounds(engine: &Engine, batch: &Batch) -> Vec<Ground> {
    let books = engine.books();
    let comers = batch.events.iter().filter_map(|event| match event.what {
        What::Attached(claim) => Some(claim),
        _ => None,
    });
    let outermost = comers.filter(|claim| books.around(*claim).nth(1).is_none());
    let rows = outermost.filter_map(|claim| Some((claim, books.claim(claim)?)));
    let ground = |(claim, row): (ClaimId, Row)| {
        let class = Class::of(engine.view().claims.class[row as usize]);
        Ground { claim, limits: limits(engine, row), bodies: engine.bodies(claim).to_vec(), class }
    };
    rows.map(ground).collect()
}

/// What a claim's lines limit its cell to; where they are being changed, what they are to be then.
pub fn limits(engine: &Engine, row: Row) -> Limits {
    limits_of(engine, row, |resizing| &resizing.to)
}

/// As [`limits`], with what lines that are being changed were before.
pub fn limits_before(engine: &Engine, row: Row) -> Limits {
    limits_of(engine, row, |resizing| &resizing.before)
}

fn limits_of(engine: &Engine, row: Row, which: fn(&Resizing) -> &Vec<LineSize>) -> Limits {
    let books = engine.books();
    let amount = |name: &str| {
        let kind = books.resource(name)?;
        let of_kind = |line: &Row| books.tables().lines.resource[*line as usize] == kind;
        let lines = books.tables().claims.line_rows(row).filter(of_kind);
        let inner = books.inner(row).iter().filter(|line| line.resource == kind).map(|line| line.amount);
        let amounts = lines.map(|line| amount_of(engine, row, line, which)).chain(inner);
        Some(amounts.sum()).filter(|amount| *amount > 0)
    };
    let memory_bytes = amount("memory");
    let claim = ClaimId(books.tables().claims.id[row as usize]);
    let soft = books.resource("memory").and_then(|kind| engine.soft_limit(claim, kind));
    let memory_soft = soft.filter(|soft| memory_bytes.is_some_and(|hard| *soft < hard));
    // What was promised for certain is the last that the kernel is to take.
    let guaranteed = Class::of(books.tables().claims.class[row as usize]) == Class::Guaranteed;
    Limits {
        cpu_milli: amount("cpu"),
        memory_bytes,
        memory_soft,
        memory_low: memory_bytes.filter(|_| guaranteed),
        pids: amount("pids"),
        io_bytes: amount("io"),
    }
}

/// What a line of a claim holds at the edge, before or after a change that is under way.
fn amount_of(engine: &Engine, row: Row, line: Row, which: fn(&Resizing) -> &Vec<LineSize>) -> Amount {
    let tables = engine.books().tables();
    let index = line - tables.claims.first_line[row as usize];
    let resizing = engine.resizing(ClaimId(tables.claims.id[row as usize]));
    let to = resizing.and_then(|resizing| which(resizing).iter().find(|size| size.line == index));
    to.map_or(tables.lines.amount[line as usize], |size| size.amount)
}

/// The drivers of a claim's lines: of each driven kind, the driver of the kind's name.
pub fn driven(engine: &Engine, row: Row) -> Vec<(String, Lease)> {
    let (books, view) = (engine.books(), engine.view());
    let (claim, fence) = (ClaimId(view.claims.id[row as usize]), Fence(view.claims.fence[row as usize]));
    let mut lines: BTreeMap<String, Vec<LeaseLine>> = BTreeMap::new();
    for (row_of_line, line) in view.claims.line_rows(row).map(|line| (line, line as usize)) {
        let spec = books.spec(view.lines.resource[line]);
        if spec.driven {
            let pool = books.pool_name(view.lines.pool[line]).to_owned();
            let amount = amount_of(engine, row, row_of_line, |resizing| &resizing.to);
            let line = LeaseLine { resource: spec.name.clone(), pool, amount };
            lines.entry(spec.name.clone()).or_default().push(line);
        }
    }
    let owner = owner(books.scope_path(view.claims.scope[row as usize]));
    lines.into_iter().map(|(driver, lines)| (driver, Lease { claim, fence, lines, owner })).collect()
}

/// The user whose processes a lease is for: everybody but those who administer asks below `uid-NUMBER`.
fn owner(scope: &str) -> Option<u32> {
    scope.split('/').next()?.strip_prefix("uid-")?.parse().ok()
}

/// What a lease used of the kinds it asked for, as measured by the kernel: cpu as the mean over its
/// life, memory as the peak. What cannot be measured is left out.
pub fn measured(books: &Books, row: Row, held: &Held, usage: &Gauge) -> Vec<Used> {
    let asked = |name: &str| books.resource(name).is_some_and(|kind| books.asked_in_all(row, kind) > 0);
    let lived = held.lived_ns().filter(|_| !held.adopted).filter(|lived| *lived > 0);
    let mean_milli =
        usage.cpu_ns.zip(lived).map(|(cpu, lived)| (u128::from(cpu) * 1000 / u128::from(lived)) as u64);
    let measured = [("cpu", mean_milli), ("memory", usage.memory_peak)].into_iter();
    let known = measured.filter(|(name, _)| asked(name));
    known
        .filter_map(|(name, amount)| Some(Used { resource: name.into(), pool: None, amount: amount? }))
        .collect()
}
