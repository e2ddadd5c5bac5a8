//! The fleet: jobs drawn from a distribution shaped like the openb trace, kept at three times what the
//! machine has until all are done.
use super::screen::Standing;
use anyhow::{Context, Result};
use bursar_sim::Random;
use bursar_wire::{self as wire, Client};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What is asked for at a time, as a multiple of what there is.
const OVERSUBSCRIBED: u64 = 3;
/// Jobs that are shaped like an agent.
const AGENTS: usize = 12;
/// Marks every process of the demo.
pub const MARK: &str = "BURSAR_DEMO";

/// Quantiles at 0, 10, … 90, 95, 100 % of the openb pod list (Alibaba 2023, 8,152 pods), as parts per
/// mille of its most frequent node (96 cores, 384 GiB); the last is cut so that several fit at once.
const PARTS: [u64; 12] = [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 950, 1000];
const CPU: [u64; 12] = [33, 33, 33, 43, 83, 118, 119, 124, 130, 171, 252, 333];
const MEMORY: [u64; 12] = [14, 14, 16, 58, 78, 106, 120, 125, 125, 148, 164, 250];
/// Lifetimes as parts per mille of their median (540 s there, [`MEDIAN_MS`] here); the tail is cut.
const LIFETIME: [u64; 12] = [90, 150, 270, 370, 560, 1000, 1640, 2630, 5000, 10_000, 12_000, 16_000];
const MEDIAN_MS: u64 = 300;

/// What a job is on stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Computes and holds memory.
    Worker,
    /// Makes a worktree, compiles, tests, listens on a port, holds a lock.
    Agent,
    /// Takes more memory than it asked for.
    Hog,
    /// Ends by a signal of its own.
    Crash,
    /// Leaves processes behind.
    Leaver,
}

/// A job that was drawn.
struct Drawn {
    part: Part,
    cpu_milli: u64,
    memory: u64,
    lifetime_ms: u64,
}

/// A job that was started.
struct Running {
    part: Part,
    cpu_milli: u64,
    child: Child,
}

/// The whole fleet.
pub struct Fleet {
    binaries: PathBuf,
    scratch: PathBuf,
    socket: PathBuf,
    id: String,
    capacity: (u64, u64),
    ahead: Vec<Drawn>,
    running: Vec<Running>,
    ended: Vec<(Part, Option<i32>)>,
    started: usize,
}

impl Fleet {
    /// Draws the jobs.
    pub fn draw(
        binaries: &Path,
        scratch: &Path,
        socket: PathBuf,
        client: &mut Client,
        jobs: usize,
        seed: u64,
    ) -> Result<Fleet> {
        let pools: wire::Pools = client.get("/v1/pools")?;
        let of = |kind: &str| {
            pools.pools.iter().find(|pool| pool.resource == kind).map(|pool| pool.capacity).context("a pool")
        };
        let capacity = (of("cpu")?, of("memory")?.min(8 << 30));
        let mut random = Random::new(seed);
        let mut ahead: Vec<Drawn> = (0..jobs.saturating_sub(AGENTS + 3))
            .map(|_| Drawn {
                part: Part::Worker,
                cpu_milli: (capacity.0 * quantile(&CPU, &mut random) / 1000).max(10),
                memory: (capacity.1 * quantile(&MEMORY, &mut random) / 1000).max(16 << 20),
                lifetime_ms: MEDIAN_MS * quantile(&LIFETIME, &mut random) / 1000,
            })
            .collect();
        let agent = |part, memory| Drawn { part, cpu_milli: capacity.0 / 5, memory, lifetime_ms: 0 };
        ahead.extend((0..AGENTS).map(|_| agent(Part::Agent, 768 << 20)));
        ahead.extend([Part::Hog, Part::Crash, Part::Leaver].map(|part| agent(part, 64 << 20)));
        random.shuffle(&mut ahead);
        repository(scratch)?;
        Ok(Fleet {
            binaries: binaries.into(),
            scratch: scratch.into(),
            socket,
            id: format!("{}-{seed}", std::process::id()),
            capacity,
            ahead,
            running: Vec::new(),
            ended: Vec::new(),
            started: 0,
        })
    }

    /// What was drawn, in a sentence.
    pub fn describe(&self) -> String {
        let sum: u64 = self.ahead.iter().map(|job| job.cpu_milli).sum();
        format!(
            "{} jobs ({AGENTS} like agents, a memory hog, a crash, one that forks and leaves) asking for {:.1} cores of {:.1} in all, \
             {OVERSUBSCRIBED}× what there is at a time; sizes and lifetimes by the quantiles of the openb trace",
            self.ahead.len(),
            sum as f64 / 1000.0,
            self.capacity.0 as f64 / 1000.0
        )
    }

    /// Starts jobs until three times the machine is asked for; says whether any is left.
    pub fn advance(&mut self) -> Result<bool> {
        let mut still = Vec::new();
        for mut job in self.running.drain(..) {
            match job.child.try_wait()? {
                Some(status) => self.ended.push((job.part, status.code())),
                None => still.push(job),
            }
        }
        self.running = still;
        while let Some(next) = self.ahead.last() {
            let asked: u64 = self.running.iter().map(|job| job.cpu_milli).sum();
            if asked + next.cpu_milli > self.capacity.0 * OVERSUBSCRIBED && !self.running.is_empty() {
                break;
            }
            if let Some(next) = self.ahead.pop() {
                let running = self.start(&next)?;
                self.running.push(running);
            }
        }
        Ok(!self.running.is_empty() || !self.ahead.is_empty())
    }

    fn start(&mut self, job: &Drawn) -> Result<Running> {
        self.started += 1;
        let number = self.started;
        let mut command = Command::new(self.binaries.join("bursar"));
        command.args([
            "run",
            "--no-autostart",
            "--wait",
            "100s",
            "--cpu",
            &format!("{}m", job.cpu_milli),
            "--memory",
            &job.memory.to_string(),
        ]);
        let kind = match job.part {
            Part::Agent => "agents",
            _ => "batch",
        };
        command.args(["--scope", &format!("demo/{kind}/{number}")]);
        if job.part == Part::Agent {
            command.args(["--port", "--lock", &format!("session-{number}"), "--priority", "1"]);
        }
        command.arg("--").arg(self.binaries.join("xtask")).arg("job").args(self.words(job, number));
        command.env("BURSAR_SOCKET", &self.socket).env(MARK, &self.id);
        let log = File::create(self.scratch.join(format!("job-{number}.log")))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| command.get_program().to_string_lossy().into_owned())?;
        Ok(Running { part: job.part, cpu_milli: job.cpu_milli, child })
    }

    fn words(&self, job: &Drawn, number: usize) -> Vec<String> {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let half = (job.memory / 2).to_string();
        match job.part {
            Part::Worker => text(&["work", "--memory", &half, "--millis", &job.lifetime_ms.to_string()]),
            Part::Hog => text(&["work", "--memory", &(job.memory * 4).to_string(), "--millis", "500"]),
            Part::Crash => text(&["crash"]),
            Part::Leaver => text(&["leave"]),
            Part::Agent => {
                let repository = self.scratch.join("repository").display().to_string();
                let bursar = self.binaries.join("bursar").display().to_string();
                text(&[
                    "agent",
                    "--repository",
                    &repository,
                    "--bursar",
                    &bursar,
                    "--number",
                    &number.to_string(),
                ])
            }
        }
    }

    /// Jobs that have ended.
    pub fn done(&self) -> usize {
        self.ended.len()
    }

    /// Exit codes of the jobs of a part.
    pub fn codes(&self, part: Part) -> Vec<Option<i32>> {
        self.ended.iter().filter(|(other, _)| *other == part).map(|(_, code)| *code).collect()
    }

    /// What a job wrote, for those that did not go well.
    pub fn logs(&self) -> String {
        let logs = (1..=self.started).map(|number| self.scratch.join(format!("job-{number}.log")));
        let texts =
            logs.filter_map(|path| std::fs::read_to_string(path).ok()).filter(|text| !text.trim().is_empty());
        texts.take(40).collect()
    }

    /// How it stands.
    pub fn standing(&self, client: &mut Client) -> Result<Standing> {
        let claims: wire::Claims = client.get("/v1/claims")?;
        let pools: wire::Pools = client.get("/v1/pools")?;
        let count = |phases: &[&str], agents: bool| {
            let of_kind = |claim: &&wire::Claim| claim.scope.starts_with("demo/agents/") == agents;
            let jobs = claims.claims.iter().filter(of_kind);
            jobs.filter(|claim| {
                phases.contains(&claim.phase.as_str()) && claim.scope.matches('/').count() == 2
            })
            .count()
        };
        let done =
            |agents: bool| self.ended.iter().filter(|(part, _)| (*part == Part::Agent) == agents).count();
        let ahead =
            |agents: bool| self.ahead.iter().filter(|job| (job.part == Part::Agent) == agents).count();
        let held = ["reserved", "held", "draining"];
        let supply = |kind: &'static str, name: &'static str| {
            let of_kind = || pools.pools.iter().filter(move |pool| pool.resource == kind);
            let used = of_kind().map(|pool| pool.held + pool.reserved + pool.quarantined).sum();
            let offered = of_kind().map(|pool| pool.offered).sum();
            (name, wire::show(kind, used), wire::show(kind, offered))
        };
        Ok(Standing {
            jobs: [
                ("ahead", ahead(true), ahead(false)),
                ("waiting", count(&["pending"], true), count(&["pending"], false)),
                ("held", count(&held, true), count(&held, false)),
                ("done", done(true), done(false)),
            ],
            supplies: vec![supply("cpu", "cores"), supply("memory", "memory"), supply("port", "ports")],
        })
    }

    /// Processes of the demo that are left, by pid.
    pub fn orphans(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.id);
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        })
        .collect()
    }
}

/// A value of the distribution, by linear interpolation between its quantiles.
fn quantile(values: &[u64; 12], random: &mut Random) -> u64 {
    let at = random.below(1000);
    let above = PARTS.iter().position(|part| *part > at).unwrap_or(PARTS.len() - 1);
    let (low, high) = (PARTS[above - 1], PARTS[above]);
    values[above - 1] + (values[above] - values[above - 1]) * (at - low) / (high - low)
}

/// A small repository for the agents to work in.
fn repository(scratch: &Path) -> Result<()> {
    let folder = scratch.join("repository");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("lib.rs"), include_str!("agent.rs.txt"))?;
    let git = |args: &[&str]| -> Result<()> {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=demo", "-c", "user.email=demo@localhost"]).args(args);
        let done = command.current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null()).status();
        anyhow::ensure!(done.context("git")?.success(), "git {args:?} failed");
        Ok(())
    };
    git(&["init", "-q"])?;
    git(&["add", "lib.rs"])?;
    git(&["commit", "-q", "-m", "something small"])
}
