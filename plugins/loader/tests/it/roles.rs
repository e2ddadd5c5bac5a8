//! Seven roles from one library, and seven that are linked in: each has a config of a type of its own, is heard under its
//! name, and panics with words and a place.
use crate::{
    at_home, badly_behaved, linked,
    place::{books, place},
};
use bursar_interface::{Home, Offer, Rank, Role, Sight, Time};
use bursar_loader::{Counted, Loader};
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// What the host's log says.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Write for Heard {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a log").extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Heard {
    /// Waits for a line: what a child says comes through a pipe.
    fn hears(&self, plugin: &str, word: &str) {
        let since = Instant::now();
        loop {
            let text = String::from_utf8_lossy(&self.0.lock().expect("a log")).into_owned();
            if text.lines().any(|line| line.contains(plugin) && line.contains(word)) {
                return;
            }
            assert!(since.elapsed() < Duration::from_secs(30), "{plugin} is not heard to say {word}: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Makes the plugin of a role and has it do something once; in words what went wrong.
fn once(loader: &mut Loader, id: &str, role: Role, config: &str) -> Result<(), String> {
    let (books, queue) = books();
    let view = books.view();
    let unmade = |reject: bursar_loader::Reject| reject.to_string();
    let failed = |fault: bursar_interface::Fault| format!("{:?}: {}", fault.kind, fault.message);
    match role {
        Role::Resource => loader.resource(id, config).map(drop).map_err(unmade),
        Role::Driver => {
            loader.driver(id, config).map_err(unmade)?.plugin.discover().map(drop).map_err(failed)
        }
        Role::Qos => {
            let mut ranks = vec![Rank::default(); queue.len()];
            loader.qos(id, config).map_err(unmade)?.plugin.rank(&view, &queue, &mut ranks).map_err(failed)
        }
        Role::Sharing => {
            let mut offers = [Offer::plain(view.pools.capacity[0])];
            loader.sharing(id, config).map_err(unmade)?.plugin.offer(&view, &[0], &mut offers).map_err(failed)
        }
        Role::Allocator => {
            let mut plugin = loader.allocator(id, config).map_err(unmade)?.plugin;
            place(&mut *plugin, &books, &queue).map(drop).map_err(failed)
        }
        Role::Analyzer => {
            let sight = Sight { view, samples: &[], flows: &[], ties: &[] };
            loader
                .analyzer(id, config)
                .map_err(unmade)?
                .plugin
                .report(&sight, &mut Vec::new())
                .map_err(failed)
        }
        Role::Metric => loader
            .metric(id, config)
            .map_err(unmade)?
            .plugin
            .collect(Time(1), &mut Vec::new())
            .map_err(failed),
    }
}

/// Waits until what it has counted of itself stands under its name; a child tells that when it goes, if not before.
fn counts(loader: &Loader, id: &str, home: Home) {
    let since = Instant::now();
    let its = |counted: &Counted| counted.plugin == id && counted.name == "talk_words";
    while !loader.counted().iter().any(|counted| its(counted) && counted.home == home && counted.value >= 1.0)
    {
        assert!(since.elapsed() < Duration::from_secs(30), "{home:?}: {:?}", loader.counted());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_role_is_configured_heard_and_guarded_in_each_home() {
    let heard = Heard::default();
    let log = heard.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only one");
    bursar_sdk::count();
    for home in [Home::Linked, Home::Inline, Home::Child] {
        let ((mut loader, _scratch), id, place) = match home {
            Home::Linked => (at_home(home), linked::ID, "linked.rs:"),
            _ => (badly_behaved(home), "chaos-talk", "talk.rs:"),
        };
        for role in Role::ALL {
            let word = format!("{}-{home:?}", role.name());
            let told = once(&mut loader, id, role, &format!(r#"{{"word":"{word}"}}"#));
            assert_eq!((told, loader.seat_of(role, id)), (Ok(()), Some(home)), "{word}");
            // How the host's log names whoever is linked in is the host's own test.
            let named = if home == Home::Linked { &word } else { id };
            heard.hears(named, &word);
            counts(&loader, id, home);
            let slip = once(&mut loader, id, role, r#"{"wrod":"x"}"#).expect_err("a slip");
            assert!(slip.contains(r#"unknown key "wrod"; did you mean "word"?"#), "{word}: {slip}");
            let last = format!("{word}-last");
            let panic = once(&mut loader, id, role, &format!(r#"{{"word":"{last}","panic":true}}"#))
                .expect_err("a panic");
            assert!(panic.contains(&format!("{last} is the last word")) && panic.contains(place), "{panic}");
            heard.hears(id, &format!("{last} is the last word"));
        }
    }
}
