//! The child's side: a process that holds one plugin and answers one question after the other.
use crate::{
    Grant, Reject,
    counted::tell,
    frame::{Question, Reply, comes, receive, send},
    log,
    mirror::Glass,
    open::open,
    sandbox::{Profile, close_inherited, lock, lock_further},
};
use abi_stable::std_types::{
    RResult::{self, RErr},
    RVec,
};
use bursar_abi::{
    AllocatorBox, AnalyzerBox, CallBox, PluginRoot_Ref, QosBox, RFault, ROffer, RRank, RTake, RView,
    SharingBox,
};
use bursar_interface::FaultKind;
use rustix::{fs::OFlags, process::Signal};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Between two times at which a child tells what it has counted.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// The role word of a child that only opens the library.
pub(crate) const PROBE: &str = "probe";
/// The role word of a child that only says what may be configured; its id is `role id`.
pub(crate) const SCHEMA: &str = "schema";

/// Runs a plugin child: the staged library, a role, an id and a grant (JSON) stand in `args`; the host is on standard
/// input, the mirror on standard output, log lines go to standard error. Returns when the host hangs up.
pub fn child_main(args: &[String]) -> ExitCode {
    close_inherited();
    let [library, role, id, grant] = args else {
        eprintln!("1\tbursar\ta plugin host is started by the daemon only");
        return ExitCode::from(2);
    };
    let grant = serde_json::from_str(grant).map_err(io::Error::from);
    match grant.and_then(|grant| serve(Path::new(library), role, id, &grant)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("1\tbursar\t{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(library: &Path, role: &str, id: &str, grant: &Grant) -> io::Result<()> {
    // The host may already be gone, then nobody would end this process.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let host = UnixStream::from(take(std::io::stdin().as_fd())?);
    let mirror = take(std::io::stdout().as_fd())?;
    put_away(0)?;
    put_away(1)?;
    let profile = Profile::of(role);
    lock(profile, grant, library)?;
    let root = match open(library, log::to_stderr()) {
        Ok(root) => root,
        Err(reject) => return refuse(&host, &reject),
    };
    lock_further(profile, grant)?;
    if role == PROBE {
        return send(&host, 0, &Reply::Ready);
    }
    if role == SCHEMA {
        let (of, id) = id.split_once(' ').unwrap_or_default();
        return send(&host, 0, &schema(&root, of, id));
    }
    let (turn, question) = receive(&host, None)?;
    let Question::Make(config) = question else { return Err(io::Error::other("a config comes first")) };
    let made = Plugin::make(&root, role, id, &config);
    let mut plugin = match made.into_result() {
        Ok(plugin) => plugin,
        Err(fault) => return send(&host, turn, &Reply::Fault(fault.kind, fault.message.into())),
    };
    send(&host, turn, &Reply::Ready)?;
    let glass = (!matches!(plugin, Plugin::Call(_))).then(|| Glass::new(mirror.as_fd()));
    let glass = glass.transpose()?;
    let (mut told, mut counts) = (BTreeMap::new(), None);
    loop {
        // What was counted since is told once a second at most, and not again before there was something to do.
        let left = counts.map(|since: Instant| TOLD_EVERY.saturating_sub(since.elapsed()));
        if let Some(left) = left
            && (left.is_zero() || !comes(&host, left)?)
        {
            tell(&root, &mut told);
            counts = None;
        }
        let (turn, question) = match receive(&host, None) {
            Err(gone) if gone.kind() == io::ErrorKind::UnexpectedEof => {
                tell(&root, &mut told);
                return Ok(());
            }
            other => other?,
        };
        send(&host, turn, &plugin.answer(glass.as_ref(), question))?;
        counts = counts.or_else(|| Some(Instant::now()));
    }
}

/// Another descriptor for the same file, not inherited by anything the plugin starts.
fn take(standard: std::os::fd::BorrowedFd<'_>) -> io::Result<OwnedFd> {
    standard.try_clone_to_owned()
}

/// What a plugin prints or reads goes nowhere, instead of into the conversation.
fn put_away(descriptor: i32) -> io::Result<()> {
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::CLOEXEC.bits() as i32)
        .open("/dev/null")?;
    match descriptor {
        0 => rustix::stdio::dup2_stdin(&null)?,
        _ => rustix::stdio::dup2_stdout(&null)?,
    }
    Ok(())
}

fn schema(root: &PluginRoot_Ref, role: &str, id: &str) -> Reply {
    // A library from before there were schemas says nothing.
    let told = root.schema().map(|schema| schema(role.into(), id.into()).into_result());
    match told.unwrap_or_else(|| Ok("".into())) {
        Ok(text) => Reply::Bytes(text.into_string().into_bytes()),
        Err(fault) => Reply::Fault(fault.kind, fault.message.into()),
    }
}

fn refuse(host: &UnixStream, reject: &Reject) -> io::Result<()> {
    send(host, 0, &Reply::Fault(FaultKind::Failed as u32, reject.to_string()))
}

/// The plugin of this child.
enum Plugin {
    Allocator(AllocatorBox),
    Qos(QosBox),
    Sharing(SharingBox),
    Analyzer(AnalyzerBox),
    Call(CallBox),
}

impl Plugin {
    fn make(root: &PluginRoot_Ref, role: &str, id: &str, config: &str) -> RResult<Plugin, RFault> {
        match role {
            "allocator" => root.allocator()(id.into(), config.into()).map(Plugin::Allocator),
            "qos" => root.qos()(id.into(), config.into()).map(Plugin::Qos),
            "sharing" => match root.sharing() {
                Some(sharing) => sharing(id.into(), config.into()).map(Plugin::Sharing),
                None => RErr(too_old()),
            },
            "analyzer" => match root.analyzer() {
                Some(analyzer) => analyzer(id.into(), config.into()).map(Plugin::Analyzer),
                None => RErr(too_old()),
            },
            role => root.call()(role.into(), id.into(), config.into()).map(Plugin::Call),
        }
    }

    fn answer(&mut self, glass: Option<&Glass>, question: Question) -> Reply {
        let answered = match (self, glass, question) {
            (Plugin::Allocator(plugin), Some(glass), Question::Place(layout, queue, room)) => {
                let mut takes = vec![RTake::default(); room as usize];
                let place = |view: RView<'_>| {
                    plugin.place(view, queue.as_slice().into(), takes.as_mut_slice().into())
                };
                let placed = glass.look(&layout, place).into_result();
                placed.map(|len| takes.truncate(len as usize)).map(|()| Reply::Takes(told(&takes)))
            }
            (Plugin::Qos(plugin), Some(glass), Question::Rank(layout, pending)) => {
                let mut ranks = vec![RRank::default(); pending.len()];
                let rank = |view: RView<'_>| {
                    plugin.rank(view, pending.as_slice().into(), ranks.as_mut_slice().into())
                };
                let ranked = glass.look(&layout, rank).into_result();
                ranked.map(|()| Reply::Ranks(ranks.iter().map(|rank| (rank.tier, rank.share)).collect()))
            }
            (Plugin::Qos(plugin), _, Question::Discipline) => {
                let told = plugin.discipline().into_result();
                told.map(|told| Reply::Discipline(told.reserve_after_ns, told.backfill))
            }
            (Plugin::Sharing(plugin), Some(glass), Question::Offer(layout, pools, plain)) => {
                let mut offers: Vec<ROffer> = plain.into_iter().map(offer).collect();
                let ask = |view: RView<'_>| {
                    plugin.offer(view, pools.as_slice().into(), offers.as_mut_slice().into())
                };
                let asked = glass.look(&layout, ask).into_result();
                asked.map(|()| Reply::Offers(offers.iter().map(offered).collect()))
            }
            (Plugin::Analyzer(plugin), Some(glass), Question::Report(layout, told)) => {
                let ask = |view: RView<'_>| plugin.report(view, told.as_slice().into());
                glass.look(&layout, ask).into_result().map(RVec::into_vec).map(Reply::Bytes)
            }
            (Plugin::Call(plugin), _, Question::Call(operation, argument)) => {
                let answer = plugin.call(operation.as_str().into(), argument.as_slice().into()).into_result();
                answer.map(RVec::into_vec).map(Reply::Bytes)
            }
            (_, Some(glass), Question::Touch(layout)) => {
                glass.touch(&layout);
                Ok(Reply::Ready)
            }
            _ => Err(RFault {
                kind: FaultKind::Nonsense as u32,
                message: "not a question for this role".into(),
            }),
        };
        answered.unwrap_or_else(|fault| Reply::Fault(fault.kind, fault.message.into()))
    }
}

/// An offer as it crosses the frame, and back.
pub(crate) fn offer((offered, firm, quantum_ns, holders): (u64, u64, u64, u64)) -> ROffer {
    ROffer { offered, firm, quantum_ns, holders }
}

pub(crate) fn offered(offer: &ROffer) -> (u64, u64, u64, u64) {
    (offer.offered, offer.firm, offer.quantum_ns, offer.holders)
}

/// Its library is from before there was this role.
pub(crate) fn too_old() -> RFault {
    let message = "this library is from before there was this role; build it again".into();
    RFault { kind: FaultKind::Nonsense as u32, message }
}

fn told(takes: &[RTake]) -> Vec<(u32, u32, u32, u32, u64)> {
    takes.iter().map(|take| (take.claim, take.line, take.pool, take.node, take.amount)).collect()
}
