//! Goals 3 and 4: a fair line of 10,000 claims of 1,000 scopes on 64 units, against tokio's semaphore, which
//! is first come first served and knows neither scopes nor weights; and a rate that is checked at three
//! levels for 10,000 agents, against one textbook rate of the `governor` crate.
mod crowds;

use crowds::{AGENTS, Fair, Rates, UNITS};
use governor::{Quota, RateLimiter};
use std::{hint::black_box, num::NonZeroU32, sync::Arc, time::Instant};

const ROUNDS: usize = 5;
const WAITING: u64 = 10_000;
const CYCLES: u64 = 20_000;
const CHECKS: u64 = 20_000;
const TAKES: u64 = 100_000;

fn main() {
    let [mut line, mut semaphore, mut rate, mut take, mut single] = [const { Vec::new() }; 5];
    let mut fair = Fair::new(WAITING);
    let mut rates = Rates::new();
    let (mut books, agents) = rates.books();
    let mut taken = 0;
    for _ in 0..ROUNDS {
        fair.prepare(CYCLES);
        line.push(per_second(CYCLES, || fair.cycles()));
        semaphore.push(per_second(CYCLES, semaphores));
        rate.push(per_second(CHECKS, || rates.checks(CHECKS)));
        take.push(per_second(TAKES, || taken += rates.takes(&mut books, &agents, TAKES)));
        single.push(per_second(TAKES, governor));
    }
    let [line, semaphore, rate, take, single] =
        [line, semaphore, rate, take, single].map(|mut rates: Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2] / 1e6
        });
    println!("fair line, 10,000 waiting, 1,000 scopes   {line:>8.3} M grants/s");
    println!("peer: tokio semaphore, 10,000 tasks       {semaphore:>8.3} M grants/s");
    println!("goal 3: {:.2} of the peer (goal ≥ 1)", line / semaphore);
    println!("rate at three levels, 10,000 agents       {take:>8.3} M checks/s ({}% taken)", {
        100 * taken / (TAKES * ROUNDS as u64)
    });
    println!("the same as claims: asked, granted, back  {rate:>8.3} M claims/s");
    println!("peer: governor, keyed, one level          {single:>8.3} M checks/s");
    println!("goal 4: {:.2} of the peer (goal 10 ÷ 29 = 0.34)", take / single);
    println!("as claims: {:.3} of the peer", rate / single);
}

fn per_second(times: u64, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    times as f64 / start.elapsed().as_secs_f64()
}

fn semaphores() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let semaphore = Arc::new(tokio::sync::Semaphore::new(UNITS as usize));
        let tasks: Vec<_> = (0..WAITING)
            .map(|_| {
                let semaphore = semaphore.clone();
                tokio::spawn(async move {
                    for _ in 0..CYCLES / WAITING {
                        let permit = semaphore.acquire().await.expect("open");
                        tokio::task::yield_now().await;
                        drop(permit);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
}

fn governor() {
    let limiter = RateLimiter::keyed(Quota::per_second(NonZeroU32::new(1 << 30).expect("not zero")));
    for n in 0..TAKES {
        let _ = black_box(limiter.check_key(&(n % AGENTS)));
    }
}
