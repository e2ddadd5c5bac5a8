//! The shims from the safe traits to the vtables; every entry is guarded.
use crate::guard::guard;
use abi_stable::std_types::{RResult, RSlice, RSliceMut, RStr, RVec};
use bursar_abi::{AllocatorAbi, CallAbi, QosAbi, RDiscipline, RFault, RRank, RTake, RView};
use bursar_interface::{
    Allocator, Column, Discipline, Driver, Fault, FaultKind, Lease, Metric, Overlay, Plan, Qos, Rank,
    Resource, Sample, Take, Time, View,
};
use serde::{Serialize, de::DeserializeOwned};
use std::mem::ManuallyDrop;

/// A plugin by name, whose drop is guarded as well.
pub(crate) struct Guarded<T: ?Sized>(pub(crate) ManuallyDrop<Box<T>>, pub(crate) &'static str);
impl<T: ?Sized> Guarded<T> {
    pub(crate) fn new(who: &'static str, plugin: Box<T>) -> Self {
        Guarded(ManuallyDrop::new(plugin), who)
    }
}
impl<T: ?Sized> Drop for Guarded<T> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: dropped once, here, and never used again. A panic in it has nobody left to tell.
        let _ = guard(self.1, || {
            unsafe { ManuallyDrop::drop(&mut self.0) };
            Ok(())
        });
    }
}

/// Columns gathered again on this side; the buffer is kept between calls.
#[derive(Default)]
pub(crate) struct Gathered(Vec<Column<'static>>);

impl Gathered {
    /// Runs `run` on the view behind `raw`.
    pub(crate) fn with<R>(
        &mut self,
        raw: &RView<'_>,
        run: impl FnOnce(&View<'_>) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        let mut buffer: Vec<Column<'_>> = std::mem::take(&mut self.0);
        buffer.extend(raw.tables.iter().flat_map(|table| table.columns.iter()).map(
            |column| match column.width {
                0 => Column::Word(column.words.as_slice()),
                _ => Column::Half(column.halves.as_slice()),
            },
        ));
        let outcome = {
            let mut rest: &[Column<'_>] = &buffer;
            let mut tables: [&[Column<'_>]; 16] = [&[]; 16];
            for (slot, table) in tables.iter_mut().zip(raw.tables.iter()) {
                let (columns, after) = rest.split_at(table.columns.len());
                (*slot, rest) = (columns, after);
            }
            match View::gather(Time(raw.at), raw.epoch, &tables[..raw.tables.len().min(16)]) {
                Some(view) => run(&view),
                None => Err(Fault::of(
                    FaultKind::Nonsense,
                    "the host's tables lack a column this plugin was built with",
                )),
            }
        };
        buffer.clear();
        self.0 = empty(buffer);
        outcome
    }
}

/// The allocation of an emptied buffer, for columns of another lifetime.
fn empty<'a>(buffer: Vec<Column<'_>>) -> Vec<Column<'a>> {
    buffer.into_iter().map(|_| -> Column<'a> { Column::Word(&[]) }).collect()
}

pub(crate) struct AllocatorShim {
    plugin: Guarded<dyn Allocator>,
    gathered: Gathered,
    overlay: Overlay,
    takes: Vec<Take>,
}
impl AllocatorShim {
    pub(crate) fn new(who: &'static str, plugin: Box<dyn Allocator>) -> Self {
        let plugin = Guarded::new(who, plugin);
        AllocatorShim {
            plugin,
            gathered: Gathered::default(),
            overlay: Overlay::default(),
            takes: Vec::new(),
        }
    }
}
impl AllocatorAbi for AllocatorShim {
    fn place(
        &mut self,
        view: RView<'_>,
        queue: RSlice<'_, u32>,
        mut out: RSliceMut<'_, RTake>,
    ) -> RResult<u32, RFault> {
        let AllocatorShim { plugin, gathered, overlay, takes } = self;
        guard(plugin.1, || {
            gathered.with(&view, |view| {
                takes.clear();
                takes.resize(out.len(), Take::default());
                let mut plan = Plan::new(*view, overlay, takes);
                plugin.0.place(view, queue.as_slice(), &mut plan)?;
                for (raw, take) in out.as_mut_slice().iter_mut().zip(plan.takes()) {
                    let Take { claim, line, pool, node, amount } = *take;
                    *raw = RTake { claim, line, pool, node, amount };
                }
                Ok(plan.len() as u32)
            })
        })
    }
}

pub(crate) struct QosShim {
    plugin: Guarded<dyn Qos>,
    gathered: Gathered,
}
impl QosShim {
    pub(crate) fn new(who: &'static str, plugin: Box<dyn Qos>) -> Self {
        QosShim { plugin: Guarded::new(who, plugin), gathered: Gathered::default() }
    }
}
impl QosAbi for QosShim {
    fn rank(
        &mut self,
        view: RView<'_>,
        pending: RSlice<'_, u32>,
        mut out: RSliceMut<'_, RRank>,
    ) -> RResult<(), RFault> {
        let QosShim { plugin, gathered } = self;
        guard(plugin.1, || {
            gathered.with(&view, |view| {
                let mut ranks = vec![Rank::default(); out.len()];
                plugin.0.rank(view, pending.as_slice(), &mut ranks)?;
                for (raw, Rank { tier, share }) in out.as_mut_slice().iter_mut().zip(ranks) {
                    *raw = RRank { tier, share };
                }
                Ok(())
            })
        })
    }

    fn discipline(&self) -> RResult<RDiscipline, RFault> {
        guard(self.plugin.1, || {
            let Discipline { reserve_after_ns, backfill } = self.plugin.0.discipline();
            Ok(RDiscipline { reserve_after_ns, backfill: backfill.number() })
        })
    }
}

/// A plugin of the roles that take owned values.
pub(crate) enum Callee {
    Resource(Box<dyn Resource>),
    Driver(Box<dyn Driver>),
    Metric(Box<dyn Metric>),
}

impl Callee {
    fn call(&mut self, operation: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        match (self, operation) {
            (Callee::Resource(plugin), "spec") => answer(&plugin.spec()),
            (Callee::Driver(plugin), "discover") => answer(&plugin.discover()?),
            (Callee::Driver(plugin), "enforce") => answer(&plugin.enforce(&question::<Lease>(argument)?)?),
            (Callee::Driver(plugin), "release") => answer(&plugin.release(&question::<Lease>(argument)?)?),
            (Callee::Driver(plugin), "reclaim") => {
                let (pool, amount): (String, u64) = question(argument)?;
                answer(&plugin.reclaim(&pool, amount)?)
            }
            (Callee::Driver(plugin), "holdings") => answer(&plugin.holdings()?),
            (Callee::Driver(plugin), "environment") => {
                answer(&plugin.environment(&question::<Lease>(argument)?)?)
            }
            (Callee::Metric(plugin), "collect") => {
                let mut samples: Vec<Sample> = Vec::new();
                plugin.collect(Time(question(argument)?), &mut samples)?;
                answer(&samples)
            }
            (_, other) => Err(Fault::new(format!("this plugin has no operation {other:?}"))),
        }
    }
}

pub(crate) fn question<T: DeserializeOwned>(argument: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(argument)
        .map_err(|error| Fault::of(FaultKind::Nonsense, format!("argument: {error}")))
}

pub(crate) fn answer<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|error| Fault::of(FaultKind::Nonsense, format!("answer: {error}")))
}

pub(crate) struct CallShim(Guarded<Callee>);
impl CallShim {
    pub(crate) fn new(who: &'static str, plugin: Callee) -> Self {
        CallShim(Guarded::new(who, Box::new(plugin)))
    }
}
impl CallAbi for CallShim {
    fn call(&mut self, operation: RStr<'_>, argument: RSlice<'_, u8>) -> RResult<RVec<u8>, RFault> {
        guard(self.0.1, || self.0.0.call(operation.as_str(), argument.as_slice()).map(RVec::from))
    }
}
