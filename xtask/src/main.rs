//! One binary, all automation: `cargo xtask test` and its like.
#![forbid(unsafe_code)]
// A program exports nothing; `pub` here says that a module offers it to the others.
#![allow(unreachable_pub)]
mod agents;
mod bench;
mod canaries;
mod ci;
mod contract;
mod cover;
mod demo;
mod instructions;
mod layers;
mod plugins;
mod promises;
mod sim;
mod soak;
mod step;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Simulated worlds where nobody says how many.
const SEEDS_DEFAULT: u64 = 300;

/// All automation of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Everything that must hold before a change lands, lane by lane
    Ci {
        /// Only this lane: layers, system, simulation, canaries, agents, contract, coverage or slow
        #[arg(long)]
        lane: Option<ci::Lane>,
    },
    /// All tests
    Test,
    /// What the house forbids in its sources
    Tidy,
    /// Who may depend on whom
    Layers,
    /// Builds the first-party plugin libraries and the list of those that are trusted
    Plugins {
        /// Unoptimized, for tests
        #[arg(long)]
        dev: bool,
    },
    /// A fleet of real processes, admitted, limited, measured and cleaned up, in under two minutes
    Demo {
        /// How many jobs
        #[arg(long, default_value_t = 120)]
        jobs: usize,
        /// What the drawing of jobs begins with
        #[arg(long, default_value_t = 42)]
        seed: u64,
    },
    /// Benchmarks, each beside its limit or peer in the same run
    Bench {
        /// Beside Redis, PostgreSQL and etcd, installed if they can be
        #[arg(long)]
        peers: bool,
    },
    /// Instructions of a pair of ask and release, and whether they are too many
    Instructions {
        /// Agree on them as they are now
        #[arg(long)]
        update: bool,
    },
    /// Coverage of lines, and whether it is enough
    Cover,
    /// Planted bugs, each of which its law must catch
    Canaries,
    /// The simulated world, from seed to seed
    Sim {
        /// The first seed, and the only one unless it is said how many
        #[arg(long)]
        seed: Option<u64>,
        /// How many; 300 where no first one is named
        #[arg(long)]
        seeds: Option<u64>,
        /// As many as there are in so many minutes
        #[arg(long, conflicts_with = "seeds")]
        minutes: Option<f64>,
        /// Instead: whether so many random states come to rest when leases are taken back
        #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "minutes"])]
        settle: Option<u64>,
    },
    /// What each badly behaved plugin comes to, in a child and in the daemon's own process
    Matrix,
    /// The daemon under load: memory, files, threads and cells must stay flat
    Soak {
        /// For how long
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
    },
    /// What a job of the demo does (started by the demo only)
    #[command(hide = true)]
    Job(demo::Job),
}

fn main() -> ExitCode {
    let done: Result<()> = match Cli::parse().task {
        Task::Ci { lane } => ci::run(lane),
        Task::Test => ci::test(),
        Task::Tidy => tidy::run().and_then(|()| promises::run()),
        Task::Layers => layers::run(),
        Task::Plugins { dev } => plugins::build(dev).map(drop),
        Task::Demo { jobs, seed } => demo::run(jobs, seed),
        Task::Bench { peers } => bench::run(peers),
        Task::Instructions { update } => instructions::run(update),
        Task::Cover => cover::run(cover::Tests::All),
        Task::Canaries => canaries::run(),
        Task::Sim { seed, settle: Some(states), .. } => sim::settle(seed.unwrap_or(1), states),
        Task::Sim { seed, seeds, minutes, .. } => {
            let seeds = seeds.unwrap_or(if seed.is_some() { 1 } else { SEEDS_DEFAULT });
            sim::run(seed.unwrap_or(1), minutes.map_or(sim::Length::Seeds(seeds), sim::Length::Minutes))
        }
        Task::Matrix => plugins::matrix(),
        Task::Soak { minutes } => soak::run(minutes),
        Task::Job(job) => demo::job(job),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
