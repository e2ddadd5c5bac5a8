//! `bursar top`: who uses what and who waits, live, on a terminal.
mod board;
mod look;
mod paint;

use super::{
    Context,
    outcome::{Failed, Outcome},
};
use crate::args::Top;
use anyhow::{Context as _, anyhow};
use board::{Act, Board};
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Shows the board until it is told to stop.
pub fn top(context: &Context, top: &Top) -> Outcome {
    let every = bursar_wire::duration(&top.every).map_err(|why| Failed::usage(format!("--every: {why}")))?;
    let mut client = context.client();
    // Whatever stands in the way is told before the screen is taken.
    let mut board = Board::new(look::look(&mut client)?);
    if !std::io::stdout().is_terminal() {
        return Err(Failed::usage("bursar top needs a terminal; scripts read `bursar get claims -o json`"));
    }
    let mut terminal =
        ratatui::try_init().map_err(|error| anyhow!("this terminal cannot be used: {error}"))?;
    let shown = watch(&mut terminal, &mut client, &mut board, every.max(Duration::from_millis(100)));
    ratatui::restore();
    Ok(shown.context("the terminal")?)
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    client: &mut bursar_wire::Client,
    board: &mut Board,
    every: Duration,
) -> std::io::Result<()> {
    let mut next = Instant::now() + every;
    loop {
        terminal.draw(|frame| paint::paint(frame, board))?;
        if event::poll(next.saturating_duration_since(Instant::now()))? {
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match board.press(key.code, key.modifiers) {
                Act::Nothing => {}
                Act::Leave => return Ok(()),
                Act::Explain(claim) => board.say(look::explain(client, claim)),
                Act::End(claim) => {
                    board.say(look::end(client, claim));
                    next = Instant::now();
                }
            }
        }
        if Instant::now() >= next {
            next = Instant::now() + every;
            match look::look(client) {
                Ok(snapshot) => board.see(snapshot),
                Err(failure) => board.say(vec![format!("{failure}")]),
            }
        }
    }
}
