//! EASY backfilling as in Mu'alem and Feitelson, "Utilization, Predictability, Workloads, and User Runtime
//! Estimates in Scheduling the IBM SP2 with Backfilling" (IEEE TPDS 12(6), 2001), section 2.2, in order of
//! arrival: the first of the queue has a reservation, made anew at every event, and nobody else has one.
use bursar_sim::trace::swf::Job;

/// When each job starts. `jobs` are in order of arrival. Where the paper leaves a choice: at one moment
/// ends come first, then arrivals, then decisions; a job that outlives its estimate is expected to end
/// now; all that end by the shadow time count into the extra nodes; "by" includes the shadow time itself.
pub(crate) fn starts(jobs: &[Job], processors: u64) -> Vec<u64> {
    let mut starts_s = vec![0; jobs.len()];
    let (mut queue, mut running) = (Vec::new(), Vec::<usize>::new());
    let (mut next, mut free) = (0, processors);
    loop {
        let arrives_s = jobs.get(next).map(|job| job.submit_s);
        let ends_s = running.iter().map(|&job| starts_s[job] + jobs[job].run_s).min();
        let Some(now_s) = arrives_s.into_iter().chain(ends_s).min() else { return starts_s };
        running.retain(|&job| {
            let ended = starts_s[job] + jobs[job].run_s == now_s;
            free += if ended { jobs[job].processors } else { 0 };
            !ended
        });
        while jobs.get(next).is_some_and(|job| job.submit_s == now_s) {
            queue.push(next);
            next += 1;
        }
        // One start at a time, and everything is looked at anew after it.
        while let Some(place) = choose(jobs, &queue, &running, &starts_s, free, now_s) {
            let job = queue.remove(place);
            free -= jobs[job].processors;
            starts_s[job] = now_s;
            running.push(job);
        }
    }
}

/// The place in the queue of a job that starts now.
fn choose(
    jobs: &[Job],
    queue: &[usize],
    running: &[usize],
    starts_s: &[u64],
    free: u64,
    now_s: u64,
) -> Option<usize> {
    let head = &jobs[*queue.first()?];
    if head.processors <= free {
        return Some(0);
    }
    let mut ends: Vec<(u64, u64)> = running
        .iter()
        .map(|&job| ((starts_s[job] + jobs[job].request_s).max(now_s), jobs[job].processors))
        .collect();
    ends.sort_unstable();
    let mut available = free;
    let shadow_s = ends.iter().find_map(|&(end_s, processors)| {
        available += processors;
        (available >= head.processors).then_some(end_s)
    })?;
    let by_then: u64 =
        ends.iter().filter(|(end_s, _)| *end_s <= shadow_s).map(|(_, processors)| processors).sum();
    let extra = free + by_then - head.processors;
    (1..queue.len()).find(|&place| {
        let job = &jobs[queue[place]];
        job.processors <= free && (now_s + job.request_s <= shadow_s || job.processors <= extra)
    })
}
