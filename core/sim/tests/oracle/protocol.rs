//! The protocol of RLScheduler (SC'20) in plain words: one list of what waits, one of what runs.
use bursar_sim::trace::swf::Job;

/// By what the queue is sorted; smaller first.
pub(crate) type Key = fn(&Job) -> (f64, f64);

pub(crate) fn fcfs(job: &Job) -> (f64, f64) {
    (job.submit_s as f64, 0.0)
}

pub(crate) fn sjf(job: &Job) -> (f64, f64) {
    (job.request_s as f64, job.submit_s as f64)
}

pub(crate) fn f1(job: &Job) -> (f64, f64) {
    let log = |seconds: u64| if seconds > 0 { (seconds as f64).log10() } else { -1.0 };
    (log(job.request_s) * job.processors as f64 + 870.0 * log(job.submit_s), 0.0)
}

/// Mean bounded slowdown of a sequence on an idle machine.
pub(crate) fn slowdown(jobs: &[Job], processors: u64, key: Key, backfill: bool) -> f64 {
    let mut now = jobs[0].submit_s;
    let mut arrivals = jobs.to_vec();
    let mut queue = vec![arrivals.remove(0)];
    let mut running: Vec<(u64, Job)> = Vec::new();
    let mut sum = 0.0;
    while !queue.is_empty() {
        queue.sort_by(|a, b| key(a).partial_cmp(&key(b)).expect("numbers"));
        let head = queue.remove(0);
        let mut begin = |job: Job, now: u64, running: &mut Vec<(u64, Job)>| {
            let (wait, run) = ((now - job.submit_s) as f64, job.run_s as f64);
            sum += ((wait + run) / run.max(10.0)).max(1.0);
            running.push((now, job));
        };
        let free =
            |running: &[(u64, Job)]| processors - running.iter().map(|(_, job)| job.processors).sum::<u64>();
        let mut by_estimate = running.clone();
        by_estimate.sort_by_key(|(start, job)| start + job.request_s);
        let mut earliest = now;
        let mut would_be_free = free(&running);
        for (start, job) in by_estimate {
            if would_be_free >= head.processors {
                break;
            }
            would_be_free += job.processors;
            earliest = start + job.request_s;
        }
        while free(&running) < head.processors {
            queue.sort_by_key(|job| job.submit_s);
            let mut place = 0;
            while backfill && place < queue.len() {
                let job = queue[place];
                if job.processors <= free(&running) && now + job.request_s < earliest {
                    begin(queue.remove(place), now, &mut running);
                } else {
                    place += 1;
                }
            }
            now = step(now, &mut arrivals, &mut queue, &mut running);
        }
        begin(head, now, &mut running);
        while queue.is_empty() && !arrivals.is_empty() {
            now = step(now, &mut arrivals, &mut queue, &mut running);
        }
    }
    sum / jobs.len() as f64
}

/// To the next arrival or, if that is sooner, the next end.
fn step(now: u64, arrivals: &mut Vec<Job>, queue: &mut Vec<Job>, running: &mut Vec<(u64, Job)>) -> u64 {
    running.sort_by_key(|(start, job)| start + job.run_s);
    let end = running.first().map_or(u64::MAX, |(start, job)| start + job.run_s);
    if arrivals.first().is_some_and(|job| job.submit_s <= end) {
        queue.push(arrivals.remove(0));
        return now.max(queue[queue.len() - 1].submit_s);
    }
    running.remove(0);
    now.max(end)
}
