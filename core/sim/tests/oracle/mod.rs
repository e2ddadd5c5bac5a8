//! Plain second implementations, written from the publications and sharing nothing with the engine: jobs in,
//! starts out. They may be slow; they may not be clever.
pub(crate) mod conservative;
pub(crate) mod easy;
pub(crate) mod protocol;
pub(crate) mod published;

/// The most processors in use at once, given starts; jobs run for `run_s`.
pub(crate) fn most_in_use(jobs: &[bursar_sim::trace::swf::Job], starts_s: &[u64]) -> u64 {
    let mut edges: Vec<(u64, i64)> = Vec::new();
    for (job, &start_s) in jobs.iter().zip(starts_s) {
        edges.push((start_s, job.processors as i64));
        edges.push((start_s + job.run_s, -(job.processors as i64)));
    }
    // Ends come before starts of the same second.
    edges.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, edge) in edges {
        now += edge;
        most = most.max(now);
    }
    most as u64
}
