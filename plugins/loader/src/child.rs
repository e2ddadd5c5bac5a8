//! Plugins in a child process: started, asked under a deadline, killed when late, started again.
//! Whatever the child does, the caller gets a fault and the linked-in default takes over.
use crate::{
    Footprint, Grant, Health, Reject,
    counted::COUNT,
    discipline::disciplined,
    frame::{Question, Reply, receive, send},
    hosted::{PROBE, SCHEMA},
    inline::{carry_out, room},
    log,
    mirror::Mirror,
    nursery,
    spent::spent_by_process,
};
use bursar_abi::{RDiscipline, RTake};
use bursar_interface::{Allocator, Discipline, Fault, FaultKind, Plan, Qos, Rank, Row, View};
use std::{
    io::{self, BufRead, BufReader},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    time::{Duration, Instant},
};

/// How long a child may take to start.
const START_MAX: Duration = Duration::from_secs(5);
/// The pause before a child is started again, at first and at most; it doubles.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(10));
/// How long a child may take to end by itself when its host hangs up.
const FAREWELL: Duration = Duration::from_millis(50);
/// What a child gets of the host's environment: nothing, unless coverage is counted.
const ENVIRONMENT: [&str; 1] = ["LLVM_PROFILE_FILE"];
/// Log lines of one child that are passed on per second; the rest is counted.
const LINES_PER_SECOND: u32 = 100;
/// Bytes of a log line that are passed on.
const LINE_BYTES_MAX: usize = 1024;

/// How a child is started.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// The host's own program and its leading arguments.
    pub(crate) host: (PathBuf, Vec<String>),
    /// The staged library.
    pub(crate) library: PathBuf,
    pub(crate) role: &'static str,
    pub(crate) id: String,
    /// JSON, or nothing.
    pub(crate) config: String,
    /// What it may reach beyond what its role needs.
    pub(crate) grant: Grant,
    /// Where its traces are counted.
    pub(crate) footprint: Footprint,
}

/// A running child.
pub(crate) struct Link {
    process: std::process::Child,
    socket: UnixStream,
    turn: u64,
}

impl Link {
    /// Starts a child and has it make its plugin.
    pub(crate) fn start(recipe: &Recipe, mirror: Option<OwnedFd>) -> Result<Link, String> {
        let mut link = Link::spawn(recipe, mirror).map_err(|error| error.to_string())?;
        recipe.footprint.moved_to(link.process.id());
        let until = Instant::now() + START_MAX;
        // The child may be gone already; the reply, or its lack, says why.
        let _ = link.send(&Question::Make(recipe.config.clone()));
        match link.receive(until) {
            Ok(Reply::Ready) => Ok(link),
            Ok(Reply::Fault(_, why)) => Err(why),
            Ok(other) => Err(format!("it answered {other:?}")),
            Err(error) => Err(format!("{}; `bursar plugin verify` says more", link.obituary(&error))),
        }
    }

    fn spawn(recipe: &Recipe, mirror: Option<OwnedFd>) -> io::Result<Link> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_write_timeout(Some(START_MAX))?;
        let (program, args) = &recipe.host;
        let mut command = Command::new(program);
        let grant = serde_json::to_string(&recipe.grant)?;
        command.args(args).arg(&recipe.library).arg(recipe.role).arg(&recipe.id).arg(grant);
        command
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| ENVIRONMENT.iter().any(|known| name == known)));
        command.stdin(OwnedFd::from(theirs)).stderr(Stdio::piped());
        command.stdout(mirror.map_or_else(Stdio::null, Stdio::from));
        let mut process = nursery::spawn(command)?;
        if let Some(stderr) = process.stderr.take() {
            let (plugin, footprint) = (recipe.id.clone(), recipe.footprint.clone());
            // Without a thread for it the child's log is lost, and nothing else.
            let _ = std::thread::Builder::new()
                .name("plugin-log".into())
                .spawn(move || relay(&plugin, &footprint, stderr));
        }
        Ok(Link { process, socket, turn: 0 })
    }

    pub(crate) fn send(&mut self, question: &Question) -> io::Result<()> {
        self.turn += 1;
        send(&self.socket, self.turn, question)
    }

    /// The answer to the question of this turn; before the plugin is made there may be one that was not asked for,
    /// which says why it cannot be. Whoever answers something else has an answer too many, and cannot be believed.
    pub(crate) fn receive(&mut self, until: Instant) -> io::Result<Reply> {
        match receive(&self.socket, Some(until))? {
            (turn, reply) if turn == self.turn || turn == 0 && self.turn <= 1 => Ok(reply),
            (turn, _) => Err(io::Error::other(format!("it answers question {turn}, this is {}", self.turn))),
        }
    }

    /// CPU time of the child, as far as it can be told.
    fn cpu(&self) -> Duration {
        spent_by_process(self.process.id())
    }

    /// How it ended.
    fn obituary(&mut self, error: &io::Error) -> String {
        if error.kind() == io::ErrorKind::TimedOut {
            return format!("it did not answer within {START_MAX:?}");
        }
        let _ = self.process.kill();
        self.process
            .wait()
            .map_or_else(|error| error.to_string(), |status| format!("the child ended: {status}"))
    }
}

/// What one that is late has done.
pub(crate) fn late(deadline: Duration, spent: Duration) -> Fault {
    Fault::of(FaultKind::Overrun, format!("no answer within {deadline:?}, having used {spent:?} of cpu"))
}

impl Drop for Link {
    fn drop(&mut self) {
        // A child that is well ends when its host hangs up; any other is ended.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let until = Instant::now() + FAREWELL;
        while self.process.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Passes a child's log on, so many lines a second.
fn relay(plugin: &str, footprint: &Footprint, stderr: impl io::Read) {
    let (mut since, mut lines, mut dropped) = (Instant::now(), 0, 0_u64);
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match io::Read::take(&mut reader, LINE_BYTES_MAX as u64).read_until(b'\n', &mut line) {
            Ok(1..) => {}
            _ => return,
        }
        if since.elapsed() > Duration::from_secs(1) {
            if dropped > 0 {
                tracing::warn!(target: "plugin", plugin, dropped, "it logs too much");
            }
            (since, lines, dropped) = (Instant::now(), 0, 0);
        }
        let text = String::from_utf8_lossy(&line);
        let words = text.trim_end().splitn(3, '\t').collect::<Vec<_>>();
        if let [COUNT, name, value] = words[..] {
            // What is no number was not counted.
            value.parse::<f64>().into_iter().for_each(|value| footprint.count(name, value));
            continue;
        }
        footprint.logged();
        lines += 1;
        if lines > LINES_PER_SECOND {
            dropped += 1;
            continue;
        }
        match words[..] {
            [level, _, message] if level.len() == 1 => log::emit(level.parse().unwrap_or(2), plugin, message),
            _ => log::emit(2, plugin, text.trim_end()),
        }
    }
}

/// A child that is up, on its way, or to be started again.
pub(crate) enum State {
    Up(Link),
    Starting(Receiver<Result<Link, String>>),
    Down(Instant),
}

/// A supervised child.
pub(crate) struct Child {
    pub(crate) recipe: Recipe,
    pub(crate) health: Arc<Health>,
    deadline: Duration,
    pub(crate) state: State,
    pause: Duration,
    pub(crate) mirror: Option<Mirror>,
}

impl Child {
    /// Starts a child and waits until its plugin is made. Strategies get a mirror of the books.
    pub(crate) fn start(
        recipe: Recipe,
        health: Arc<Health>,
        deadline: Duration,
        mirrored: bool,
    ) -> Result<Child, Reject> {
        let plugin = format!("{} {}", recipe.role, recipe.id);
        let refuse = |why: String| Reject::Make { plugin: plugin.clone(), why };
        let mirror = mirrored.then(Mirror::new).transpose().map_err(|error| refuse(error.to_string()))?;
        let mut child =
            Child { recipe, health, deadline, state: State::Down(Instant::now()), pause: PAUSES.0, mirror };
        let file = child.file().map_err(|error| refuse(error.to_string()))?;
        child.state = State::Up(Link::start(&child.recipe, file).map_err(refuse)?);
        Ok(child)
    }

    pub(crate) fn file(&self) -> io::Result<Option<OwnedFd>> {
        self.mirror.as_ref().map(|mirror| mirror.file().try_clone_to_owned()).transpose()
    }

    /// Asks, with what the mirror shows if there is one.
    pub(crate) fn ask(
        &mut self,
        question: impl FnOnce(Option<&mut Mirror>) -> io::Result<Question>,
    ) -> Result<Reply, Fault> {
        self.health.admit()?;
        self.revive();
        let State::Up(link) = &mut self.state else {
            return Err(Fault::of(FaultKind::Died, "its child is being started again"));
        };
        let question = question(self.mirror.as_mut()).map_err(|error| Fault::new(error.to_string()))?;
        let (cpu, start) = (link.cpu(), Instant::now());
        let answered = link.send(&question).and_then(|()| link.receive(start + self.deadline));
        match answered {
            Ok(Reply::Fault(kind, message)) => {
                Err(self.health.count(Fault::of(FaultKind::of(kind), message)))
            }
            Ok(reply) => {
                self.pause = PAUSES.0;
                Ok(reply)
            }
            Err(error) => Err(self.lose(cpu, &error)),
        }
    }

    /// Ends a child that failed. One that was late only because it was starved is not to blame.
    fn lose(&mut self, cpu_before: Duration, error: &io::Error) -> Fault {
        let State::Up(mut link) =
            std::mem::replace(&mut self.state, State::Down(Instant::now() + self.pause))
        else {
            return Fault::of(FaultKind::Died, error.to_string());
        };
        self.pause = (self.pause * 2).min(PAUSES.1);
        if error.kind() != io::ErrorKind::TimedOut {
            return self.health.count(Fault::of(FaultKind::Died, link.obituary(error)));
        }
        let spent = link.cpu().saturating_sub(cpu_before);
        // It may have ended meanwhile.
        let _ = link.process.kill();
        let fault = late(self.deadline, spent);
        if spent >= self.deadline { self.health.count(fault) } else { fault }
    }

    /// What a qos says of itself when it is made, with all the time that a start has; it holds for those that are
    /// started again.
    pub(crate) fn discipline(&mut self) -> Result<Discipline, String> {
        let State::Up(link) = &mut self.state else { return Err("its child is gone".into()) };
        let until = Instant::now() + START_MAX;
        let answered = link.send(&Question::Discipline).and_then(|()| link.receive(until));
        match answered.map_err(|error| link.obituary(&error))? {
            Reply::Discipline(reserve_after_ns, backfill) => {
                disciplined(RDiscipline { reserve_after_ns, backfill })
            }
            Reply::Fault(_, why) => Err(why),
            other => Err(format!("it answered {other:?}")),
        }
    }

    /// Starts a lost child again once its pause is over, beside the caller.
    fn revive(&mut self) {
        match &self.state {
            State::Up(_) => {}
            State::Down(until) if Instant::now() < *until => {}
            State::Down(_) => {
                let (recipe, file) = (self.recipe.clone(), self.file());
                // Nobody writes into the mirror before it is up.
                let shown = self.mirror.as_ref().and_then(Mirror::layout).cloned();
                let (tell, told) = sync_channel(1);
                let start = move || {
                    let link = file.map_err(|error| error.to_string());
                    let mut link = link.and_then(|file| Link::start(&recipe, file));
                    if let (Ok(link), Some(layout)) = (&mut link, shown) {
                        // What is wrong with it shows when it is asked.
                        let _ = link.look_at(&layout);
                    }
                    // If nobody waits any more, the child ends with the link.
                    let _ = tell.send(link);
                };
                // A thread that cannot be had shows as a channel that nobody sends to.
                let _ = std::thread::Builder::new().name("plugin-start".into()).spawn(start);
                self.state = State::Starting(told);
            }
            State::Starting(told) => match told.try_recv() {
                Ok(Ok(link)) => self.state = State::Up(link),
                Err(TryRecvError::Empty) => {}
                Ok(Err(why)) => self.fail_start(&why),
                Err(TryRecvError::Disconnected) => self.fail_start("it could not be started"),
            },
        }
    }

    fn fail_start(&mut self, why: &str) {
        self.health.strike(why);
        self.state = State::Down(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSES.1);
    }

    /// Carries out one operation of a resource, driver or metric.
    pub(crate) fn call(&mut self, operation: &str, argument: &[u8]) -> Result<Vec<u8>, Fault> {
        match self.ask(|_| Ok(Question::Call(operation.into(), argument.into())))? {
            Reply::Bytes(answer) => Ok(answer),
            other => Err(self.nonsense(&other)),
        }
    }

    pub(crate) fn nonsense(&self, reply: &Reply) -> Fault {
        let text: String = format!("{reply:?}").chars().take(160).collect();
        self.health.count(Fault::of(FaultKind::Nonsense, text))
    }
}

/// Shows the books in the mirror and says where.
pub(crate) fn shown(mirror: Option<&mut Mirror>, view: &View<'_>) -> io::Result<crate::mirror::Layout> {
    mirror.ok_or_else(|| io::Error::other("a strategy has a mirror"))?.show(view).cloned()
}

/// An allocator in a child.
pub(crate) struct ChildAllocator(pub(crate) Child);

impl Allocator for ChildAllocator {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        let room = room(view, queue);
        match self.0.ask(|mirror| Ok(Question::Place(shown(mirror, view)?, queue.into(), room as u32)))? {
            Reply::Takes(takes) => {
                let takes: Vec<RTake> = takes
                    .into_iter()
                    .map(|(claim, line, pool, node, amount)| RTake { claim, line, pool, node, amount })
                    .collect();
                carry_out(view, takes.get(..).filter(|takes| takes.len() <= room), plan)
                    .map_err(|fault| self.0.health.count(fault))
            }
            other => Err(self.0.nonsense(&other)),
        }
    }
}

/// A qos in a child.
pub(crate) struct ChildQos(pub(crate) Child, pub(crate) Discipline);

impl Qos for ChildQos {
    fn discipline(&self) -> Discipline {
        self.1
    }

    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        match self.0.ask(|mirror| Ok(Question::Rank(shown(mirror, view)?, pending.into())))? {
            Reply::Ranks(told) if told.len() == ranks.len() => {
                for (rank, (tier, share)) in ranks.iter_mut().zip(told) {
                    *rank = Rank { tier, share };
                }
                Ok(())
            }
            other => Err(self.0.nonsense(&other)),
        }
    }
}

/// Opens a library in a child and lets it go again: what crashes, crashes there.
pub(crate) fn probe(host: &(PathBuf, Vec<String>), library: &std::path::Path) -> Result<(), String> {
    match errand(host, library, PROBE, "probe")? {
        Reply::Ready => Ok(()),
        other => Err(format!("it answered {other:?}")),
    }
}

/// What a plugin says may be configured, as a JSON schema; nothing if it does not say.
pub(crate) fn schema(
    host: &(PathBuf, Vec<String>),
    library: &std::path::Path,
    role: &str,
    id: &str,
) -> Result<String, String> {
    match errand(host, library, SCHEMA, &format!("{role} {id}"))? {
        Reply::Bytes(text) => String::from_utf8(text).map_err(|error| error.to_string()),
        other => Err(format!("it answered {other:?}")),
    }
}

/// One answer of a child that is there for nothing else.
fn errand(
    host: &(PathBuf, Vec<String>),
    library: &std::path::Path,
    role: &'static str,
    id: &str,
) -> Result<Reply, String> {
    let recipe = Recipe {
        host: host.clone(),
        library: library.into(),
        role,
        id: id.into(),
        config: String::new(),
        grant: Grant::default(),
        footprint: Footprint::default(),
    };
    let mut link = Link::spawn(&recipe, None).map_err(|error| error.to_string())?;
    match link.receive(Instant::now() + START_MAX) {
        Ok(Reply::Fault(_, why)) => Err(why),
        Ok(reply) => Ok(reply),
        Err(error) => Err(link.obituary(&error)),
    }
}
