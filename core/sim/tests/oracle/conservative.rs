//! Conservative backfilling as in Mu'alem and Feitelson (IEEE TPDS 12(6), 2001), section 2.1: every job gets a
//! reservation when it arrives, at the earliest moment that delays nobody's; when a job ends before its
//! estimate, the reservations move up one by one in order of arrival, and none moves back.
use bursar_sim::trace::swf::Job;
use std::collections::BTreeMap;

/// When each job starts. `jobs` are in order of arrival, and none outlives its estimate: a system that makes
/// promises ends those that would break them.
pub(crate) fn starts(jobs: &[Job], processors: u64) -> Vec<u64> {
    assert!(jobs.iter().all(|job| job.run_s <= job.request_s), "an estimate is a limit here");
    // The reservation of a waiting job, and the start of one that runs, which holds to its estimate.
    let mut starts_s = vec![0; jobs.len()];
    let (mut waiting, mut running) = (Vec::<usize>::new(), Vec::<usize>::new());
    let mut next = 0;
    loop {
        let arrives_s = jobs.get(next).map(|job| job.submit_s);
        let ends_s = running.iter().map(|&job| starts_s[job] + jobs[job].run_s).min();
        // A reservation comes true no later than at an expected end, which need not be a real one.
        let due_s = waiting.iter().map(|&job| starts_s[job]).min();
        let Some(now_s) = arrives_s.into_iter().chain(ends_s).chain(due_s).min() else { return starts_s };
        let mut early = false;
        running.retain(|&job| {
            let ended = starts_s[job] + jobs[job].run_s == now_s;
            early |= ended && jobs[job].run_s < jobs[job].request_s;
            !ended
        });
        if early {
            for &job in &waiting {
                let others: Vec<usize> =
                    waiting.iter().chain(&running).copied().filter(|&other| other != job).collect();
                starts_s[job] = earliest(jobs, &others, &starts_s, processors, job, now_s);
            }
        }
        while jobs.get(next).is_some_and(|job| job.submit_s == now_s) {
            let others: Vec<usize> = waiting.iter().chain(&running).copied().collect();
            starts_s[next] = earliest(jobs, &others, &starts_s, processors, next, now_s);
            waiting.push(next);
            next += 1;
        }
        running.extend(waiting.iter().filter(|&&job| starts_s[job] == now_s));
        waiting.retain(|&job| starts_s[job] > now_s);
    }
}

/// The earliest moment from now on at which a job fits beside what the others hold and will hold.
fn earliest(
    jobs: &[Job],
    others: &[usize],
    starts_s: &[u64],
    processors: u64,
    job: usize,
    now_s: u64,
) -> u64 {
    let mut changes: BTreeMap<u64, i64> = BTreeMap::new();
    for &other in others {
        let (start_s, processors) = (starts_s[other], jobs[other].processors as i64);
        *changes.entry(start_s.max(now_s)).or_default() += processors;
        *changes.entry(start_s + jobs[other].request_s).or_default() -= processors;
    }
    let (mut from_s, mut used) = (now_s, 0);
    for (at_s, change) in changes {
        if used + jobs[job].processors as i64 > processors as i64 {
            // Too full until here.
            from_s = at_s;
        } else if at_s >= from_s + jobs[job].request_s {
            break;
        }
        used += change;
    }
    from_s
}
