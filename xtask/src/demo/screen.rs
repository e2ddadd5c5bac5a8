//! The live table: drawn over itself on a terminal, a line a second elsewhere.
use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

/// Between two lines where nobody sees them move.
const PACE: Duration = Duration::from_secs(1);

/// How the fleet stands: claims by phase, supplies by use.
pub struct Standing {
    /// Phase, jobs like agents, all other jobs.
    pub jobs: [(&'static str, usize, usize); 4],
    /// Kind, in use, offered.
    pub supplies: Vec<(&'static str, String, String)>,
}

/// Where the table is shown.
pub struct Screen {
    terminal: bool,
    drawn: usize,
    last: Option<Instant>,
}

impl Screen {
    /// Standard output.
    pub fn new() -> Screen {
        Screen { terminal: std::io::stdout().is_terminal(), drawn: 0, last: None }
    }

    /// Shows how it stands.
    pub fn show(&mut self, standing: &Standing) {
        if self.terminal {
            let rows = table(standing);
            let up = if self.drawn > 0 { format!("\x1b[{}A", self.drawn) } else { String::new() };
            let text: String = rows.iter().map(|row| format!("\x1b[K{row}\n")).collect();
            self.drawn = rows.len();
            write(&format!("{up}{text}"));
        } else if self.last.is_none_or(|last| last.elapsed() >= PACE) {
            self.last = Some(Instant::now());
            write(&format!("{}\n", line(standing)));
        }
    }

    /// Says something below the table, which starts anew after it.
    pub fn say(&mut self, text: &str) {
        self.drawn = 0;
        write(&format!("{text}\n"));
    }
}

fn write(text: &str) {
    let mut out = std::io::stdout();
    // Somebody who looks away is no failure.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn table(standing: &Standing) -> Vec<String> {
    let mut rows = vec![format!(
        "  {:<9} {:>7} {:>7}     {:<9} {:>9} {:>9}",
        "JOBS", "AGENTS", "OTHERS", "SUPPLY", "IN USE", "OFFERED"
    )];
    for number in 0..standing.jobs.len().max(standing.supplies.len()) {
        let jobs = standing
            .jobs
            .get(number)
            .map_or(String::new(), |(phase, agents, others)| format!("{phase:<9} {agents:>7} {others:>7}"));
        let supply = standing
            .supplies
            .get(number)
            .map_or(String::new(), |(kind, used, offered)| format!("{kind:<9} {used:>9} {offered:>9}"));
        rows.push(format!("  {jobs:<25}     {supply}"));
    }
    rows
}

fn line(standing: &Standing) -> String {
    let jobs = standing.jobs.iter().map(|(phase, agents, others)| format!("{phase} {:>3}", agents + others));
    let supplies = standing.supplies.iter().map(|(kind, used, offered)| format!("{kind} {used}/{offered}"));
    format!("{} │ {}", jobs.collect::<Vec<_>>().join("  "), supplies.collect::<Vec<_>>().join("  "))
}
