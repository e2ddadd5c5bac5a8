//! The exit code of a command line that cannot be read: as the contract has it, and in `run` what is ours alone, so
//! that nobody takes it for the command's.
use crate::args::Cli;
use bursar_tenant::REFUSED;
use clap::{CommandFactory, error::ErrorKind};
use std::ffi::{OsStr, OsString};

/// The exit code of this error about these words; 0 where help was asked for.
pub fn code(error: &clap::Error, words: impl Iterator<Item = OsString>) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ if verb(words).is_some_and(|verb| verb == "run") => REFUSED,
        _ => bursar_wire::exit_code(bursar_interface::Reason::BadRequest),
    }
}

/// The first word that is a verb.
fn verb(words: impl Iterator<Item = OsString>) -> Option<OsString> {
    let cli = Cli::command();
    words.skip(1).take_while(|word| word != OsStr::new("--")).find(|word| cli.find_subcommand(word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn code_of(line: &str) -> u8 {
        let words = || line.split(' ').map(OsString::from);
        code(&Cli::try_parse_from(words()).expect_err("cannot be read"), words())
    }

    #[test]
    fn what_cannot_be_read_of_a_run_is_not_taken_for_the_commands() {
        assert_eq!(code_of("bursar run --bogus -- true"), 125);
        assert_eq!(code_of("bursar --socket /s run --class gold -- true"), 125);
        assert_eq!(code_of("bursar claim --bogus -- run"), 2);
        assert_eq!(code_of("bursar frobnicate"), 2);
        assert_eq!(code_of("bursar run --help"), 0);
    }
}
