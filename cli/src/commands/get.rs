//! Looking: lists of everything, once or followed, and why a claim waits.
use super::{Context, lease::number, outcome::Outcome, show};
use crate::args::{Explain, Get, Output, What};
use bursar_wire as wire;
use std::io::IsTerminal;

/// Events in one page.
const PAGE: usize = 1000;

/// `bursar get`.
pub fn get(context: &Context, get: &Get) -> Outcome {
    match (get.what, get.watch) {
        (What::Events, false) => events(context, get.since),
        (What::Events, true) => follow_events(context, get.since),
        (what, false) => once(context, what),
        (what, true) => follow(context, what),
    }
}

/// Shows a list as it is now.
pub fn once(context: &Context, what: What) -> Outcome {
    let mut client = context.client();
    macro_rules! list {
        ($path:literal, $list:ident, $rows:ident) => {{
            let document: wire::$list = client.get(concat!("/v1/", $path))?;
            match context.output {
                Output::Table if context.wide => show::line(&show::wide::$rows(&document.$rows)),
                Output::Table => show::line(&show::$rows(&document.$rows)),
                output => show::document(&document, output),
            }
        }};
    }
    match what {
        What::Claims => list!("claims", Claims, claims),
        What::Pools => list!("pools", Pools, pools),
        What::Nodes => list!("nodes", Nodes, nodes),
        What::Scopes => list!("scopes", Scopes, scopes),
        What::Quotas => list!("quotas", Quotas, quotas),
        What::Plugins => list!("plugins", Plugins, plugins),
        What::Findings => list!("findings", Findings, findings),
        What::Metrics => list!("metrics", Metrics, metrics),
        What::Events => return events(context, 0),
    }
    Ok(())
}

/// Shows a list again whenever something happened.
fn follow(context: &Context, what: What) -> Outcome {
    let mut client = context.client();
    loop {
        if context.output == Output::Table && std::io::stdout().is_terminal() {
            // Clears the screen and goes to its upper left.
            print!("\x1b[2J\x1b[H");
        }
        once(context, what)?;
        let newest = newest(&mut client)?;
        let Some(_) = client.events(newest)?.next() else { return Ok(()) };
        // What happens at once is shown at once.
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// The sequence of the newest event.
fn newest(client: &mut wire::Client) -> Result<u64, wire::Failure> {
    let mut since = 0;
    loop {
        let page: wire::Events = client.get(&format!("/v1/events?since={since}&limit={PAGE}"))?;
        match page.events.last() {
            Some(last) => since = last.seq,
            None => return Ok(since),
        }
    }
}

/// Every event above a sequence.
fn events(context: &Context, since: u64) -> Outcome {
    let mut client = context.client();
    let (mut all, mut since) = (Vec::new(), since);
    loop {
        let page: wire::Events = client.get(&format!("/v1/events?since={since}&limit={PAGE}"))?;
        let Some(last) = page.events.last() else { break };
        since = last.seq;
        if context.output == Output::Jsonl {
            page.events.iter().for_each(|event| show::document(event, Output::Jsonl));
        } else {
            all.extend(page.events);
        }
    }
    match context.output {
        Output::Table | Output::Wide => show::line(&show::events(&all)),
        Output::Json => show::document(&wire::Events { events: all }, Output::Json),
        Output::Jsonl => {}
    }
    Ok(())
}

fn follow_events(context: &Context, since: u64) -> Outcome {
    for event in context.client().events(since)? {
        match context.output {
            Output::Table => {
                let claim = event.claim.map(|id| id.to_string()).unwrap_or_default();
                let detail = if event.detail.is_null() { String::new() } else { event.detail.to_string() };
                show::line(&format!("{:>8} {} {:<12} {claim:>6} {detail}", event.seq, event.at, event.kind));
            }
            _ => show::document(&event, Output::Jsonl),
        }
    }
    Ok(())
}

/// `bursar explain`.
pub fn explain(context: &Context, explain: &Explain) -> Outcome {
    let id = number("claim", &explain.id)?;
    let answer: wire::Explain = context.client().get(&format!("/v1/claims/{id}/explain"))?;
    match context.output {
        Output::Table => show::line(&show::explain(&answer)),
        output => show::document(&answer, output),
    }
    Ok(())
}
