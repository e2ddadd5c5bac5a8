//! Grants to a crowd, and nothing else: something to count instructions of.
//!
//! `crowds fair N WAITING`: so many grants of one of 64 units, with so many claims of 1,000 scopes waiting.
//! `crowds rates N`: so many claims of a rate at three levels, each of another agent.
//! `crowds takes N`: so many checks of that rate, without a claim.
#[path = "../benches/crowds/mod.rs"]
mod crowds;

fn main() {
    let number = |at: usize| std::env::args().nth(at).and_then(|text| text.parse::<u64>().ok());
    let times = number(2).unwrap_or(6400);
    match std::env::args().nth(1).as_deref() {
        Some("rates") => crowds::Rates::new().checks(times),
        Some("takes") => {
            let mut rates = crowds::Rates::new();
            let (mut books, agents) = rates.books();
            println!("{} of {times} were taken", rates.takes(&mut books, &agents, times));
        }
        _ => {
            let mut fair = crowds::Fair::new(number(3).unwrap_or(10_000));
            fair.prepare(times);
            fair.cycles();
        }
    }
}
