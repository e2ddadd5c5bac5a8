//! How a command ends: with an exit code of the contract, its reason on standard error and in the JSON.
use crate::args::Output;
use bursar_tenant::say;
pub use bursar_tenant::{Failed, Outcome};
use bursar_wire::Problem;
use std::process::ExitCode;

/// Tells people on standard error, and scripts in the document they asked for.
pub fn tell(failed: &Failed, output: Output) -> ExitCode {
    say(&failed.error);
    if !matches!(output, Output::Table | Output::Name) && !failed.shown {
        super::show::document(&Problem { error: failed.error.clone() }, output);
    }
    ExitCode::from(failed.code)
}
