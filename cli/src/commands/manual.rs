//! `bursar man`: the manual, made from what the command line says of itself.
use super::outcome::Outcome;
use crate::args::{Cli, Man};
use clap::{Command, CommandFactory};
use clap_mangen::Man as Page;
use std::{fs::File, io::Write, path::Path};

/// `bursar man`.
pub fn man(man: &Man) -> Outcome {
    let mut whole = Cli::command();
    whole.build();
    match &man.to {
        None => {
            let mut page = Vec::new();
            Page::new(whole).render(&mut page)?;
            // A reader that has gone away is no failure.
            let _ = std::io::stdout().write_all(&page);
        }
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            write(&whole, "", folder)?;
        }
    }
    Ok(())
}

/// Writes the page of a command and those of its own commands.
fn write(command: &Command, within: &str, folder: &Path) -> std::io::Result<()> {
    let name = match within {
        "" => command.get_name().to_owned(),
        within => format!("{within}-{}", command.get_name()),
    };
    let page = Page::new(command.clone().name(name.clone())).title(name.to_uppercase());
    page.render(&mut File::create(folder.join(format!("{name}.1")))?)?;
    let seen = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    command.get_subcommands().filter(seen).try_for_each(|below| write(below, &name, folder))
}
