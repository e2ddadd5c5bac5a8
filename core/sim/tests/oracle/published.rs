//! Published logs, where they are there.
use bursar_sim::trace::swf::{self, Job};
use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

/// A log of the folder BURSAR_TRACES, else of the one beside the repository: its jobs of which it knows how
/// long they ran, in order of arrival, with estimates raised to what they ran, and its processors.
pub(crate) fn log(file: &str) -> Option<(Vec<Job>, u64)> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/traces");
    let path = std::env::var_os("BURSAR_TRACES").map_or_else(beside, PathBuf::from).join(file);
    let Ok(mut packed) = File::open(&path) else {
        eprintln!("skipped: no {}; set BURSAR_TRACES to the folder of the traces", path.display());
        return None;
    };
    let mut text = String::new();
    match file.ends_with(".gz") {
        true => flate2::read::MultiGzDecoder::new(packed).read_to_string(&mut text).expect("unpacks"),
        false => packed.read_to_string(&mut text).expect("reads"),
    };
    let log = swf::log(&text).expect("a log");
    let known = log.jobs.iter().filter(|job| job.ran);
    let mut jobs: Vec<Job> =
        known.map(|job| Job { request_s: job.request_s.max(job.run_s), ..*job }).collect();
    jobs.sort_by_key(|job| (job.submit_s, job.id));
    Some((jobs, log.processors.expect("a size")))
}
