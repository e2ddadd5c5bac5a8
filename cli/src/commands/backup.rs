//! Copies of the journal: put away, and put back.
use super::{Context, outcome::Outcome, show, state_dir};
use crate::args::{Backup, Output, Restore};
use std::path::Path;

/// `bursar backup`.
pub fn backup(context: &Context, backup: &Backup) -> Outcome {
    let state = match &backup.state {
        Some(state) => state.clone(),
        None => state_dir()?,
    };
    copy(context, &state, &backup.to)
}

/// `bursar restore`: a copy is as good as its original, and its fences are ahead of it.
pub fn restore(context: &Context, restore: &Restore) -> Outcome {
    let state = match &restore.state {
        Some(state) => state.clone(),
        None => state_dir()?,
    };
    copy(context, &restore.from, &state)
}

fn copy(context: &Context, from: &Path, to: &Path) -> Outcome {
    crate::serve::outlive_limits().map_err(anyhow::Error::from)?;
    let report = bursar_journal::backup(from, to).map_err(anyhow::Error::from)?;
    match context.output {
        Output::Table => show::line(&format!(
            "{}: {} batches up to sequence {}",
            to.display(),
            report.batches,
            report.next_seq
        )),
        output => {
            let (batches, next) = (report.batches.to_string(), report.next_seq.to_string());
            let path = to.to_string_lossy();
            show::document(
                &serde_json::json!({ "path": path, "batches": batches, "next_seq": next }),
                output,
            );
        }
    }
    Ok(())
}
