//! How the board looks on the terminal.
use super::{
    super::show,
    board::{Board, Course, Tab, Typing},
};
use bursar_wire as wire;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Modifier, Style},
    text::Line,
    widgets::{Block, Cell, Paragraph, Row, Sparkline, Table, Tabs, Wrap},
};

/// Lines of the answers below the table.
const SAID_MAX: u16 = 8;

/// Draws everything.
pub fn paint(frame: &mut Frame<'_>, board: &mut Board) {
    let said = (board.said.len() as u16).min(SAID_MAX);
    let parts = [Constraint::Length(4), Constraint::Length(1), Constraint::Min(3), Constraint::Length(said)];
    let [head, tabs, table, below, foot] =
        Layout::vertical([&parts[..], &[Constraint::Length(1)]].concat()).areas(frame.area());
    courses(frame, head, board);
    let chosen = Tab::ALL.iter().position(|(tab, _)| *tab == board.tab);
    frame.render_widget(Tabs::new(Tab::ALL.map(|(_, name)| name)).select(chosen), tabs);
    rows(frame, table, board);
    let lines: Vec<Line<'_>> = board.said.iter().map(|line| Line::from(line.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), below);
    let keys = match board.typing {
        Typing::Filter => format!("filter: {}_   enter: keep   esc: drop", board.filter),
        _ => format!(
            "tab: table  s: sort ({})  /: filter ({})  e: explain  r: end  q: quit",
            board.order.name(),
            if board.filter.is_empty() { "all" } else { &board.filter }
        ),
    };
    frame.render_widget(Paragraph::new(keys).style(Style::new().add_modifier(Modifier::DIM)), foot);
}

/// How it goes, look by look.
fn courses(frame: &mut Frame<'_>, area: Rect, board: &Board) {
    let quarter = [Constraint::Ratio(1, 4); 4];
    let places: [Rect; 4] = Layout::horizontal(quarter).areas(area);
    let percent = |value: Option<f64>| value.map_or("unknown".into(), |value| format!("{value:.0}%"));
    let newest = |course: &Course| course.newest(1).last().copied().unwrap_or(0);
    let titles = [
        format!("held {}", newest(&board.held)),
        format!("waiting {}", newest(&board.waiting)),
        format!("cpu {} stall {}", wire::show("cpu", newest(&board.cpu)), percent(board.seen.cpu_pressure)),
        format!(
            "mem {} stall {}",
            wire::show("memory", newest(&board.memory)),
            percent(board.seen.memory_pressure)
        ),
    ];
    let courses = [&board.held, &board.waiting, &board.cpu, &board.memory];
    for ((place, title), course) in places.into_iter().zip(titles).zip(courses) {
        let data = course.newest(place.width.saturating_sub(2) as usize);
        frame.render_widget(Sparkline::default().data(&data).block(Block::bordered().title(title)), place);
    }
}

fn rows(frame: &mut Frame<'_>, area: Rect, board: &mut Board) {
    let (header, rows, widths): (Vec<&str>, Vec<Vec<String>>, Vec<Constraint>) = match board.tab {
        Tab::Claims => (
            vec!["ID", "PHASE", "SCOPE", "CLASS", "CPU", "MEM", "PEAK", "PROCS", "WAITED", "WHY"],
            board.claims().into_iter().map(claim).collect(),
            [8, 9, 20, 11, 8, 9, 9, 6, 9, 20].map(Constraint::Min).into(),
        ),
        Tab::Scopes => (
            vec!["SCOPE", "WEIGHT", "CLAIMS", "LEASES", "CPU", "MEM*TIME", "PEAK", "UNKNOWN"],
            board.scopes().into_iter().map(scope).collect(),
            [24, 7, 7, 8, 10, 12, 9, 8].map(Constraint::Min).into(),
        ),
        Tab::Pools => (
            vec!["RESOURCE", "POOL", "OFFERED", "HELD", "FREE", "QUARANTINED"],
            board.pools().into_iter().map(pool).collect(),
            [10, 14, 10, 10, 10, 12].map(Constraint::Min).into(),
        ),
    };
    let style = Style::new().add_modifier(Modifier::REVERSED);
    let rows = rows.into_iter().map(|cells| Row::new(cells.into_iter().map(Cell::from)));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let table = Table::new(rows, widths).header(Row::new(header).style(bold)).row_highlight_style(style);
    frame.render_stateful_widget(table, area, &mut board.table);
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".into())
}

fn claim(claim: &wire::Claim) -> Vec<String> {
    let usage = claim.usage.clone().unwrap_or_default();
    let leak = usage.leak_bytes_per_second.map(|slope| format!("leaks {}/s", wire::show("memory", slope)));
    let bytes = |bytes: Option<u64>| or_dash(bytes.map(|bytes| wire::show("memory", bytes)));
    vec![
        claim.id.to_string(),
        claim.phase.clone(),
        claim.scope.clone(),
        claim.class.clone(),
        or_dash(usage.cpu_milli.map(|milli| wire::show("cpu", milli))),
        bytes(usage.memory_bytes),
        bytes(usage.memory_peak_bytes),
        or_dash(usage.processes.map(|count| count.to_string())),
        or_dash(claim.waited_ms.map(show::millis)),
        or_dash(leak.or_else(|| claim.ending.clone()).or_else(|| claim.reason.clone())),
    ]
}

fn scope(scope: &wire::Scope) -> Vec<String> {
    let usage = &scope.usage;
    let unknown = usage.unknown;
    let name = if scope.path.is_empty() { "/" } else { &scope.path };
    vec![
        name.to_owned(),
        scope.weight.to_string(),
        scope.claims.to_string(),
        usage.leases.to_string(),
        show::millis(usage.cpu_ms),
        format!("{:.1} GB*s", usage.memory_byte_seconds as f64 / 1e9),
        or_dash(usage.memory_peak_bytes.map(|bytes| wire::show("memory", bytes))),
        unknown.cpu.max(unknown.memory).to_string(),
    ]
}

fn pool(pool: &wire::Pool) -> Vec<String> {
    let amount = |amount| wire::show(&pool.resource, amount);
    vec![
        pool.resource.clone(),
        pool.id.clone(),
        amount(pool.offered),
        amount(pool.held + pool.reserved),
        amount(pool.free),
        amount(pool.quarantined),
    ]
}

#[cfg(test)]
mod tests;
