//! The journal as an operator meets it: refused with what to do, looked at, kept as long as was said, copied
//! under load.
use crate::daemon::{Daemon, Told, program, told};
use bursar_journal::{Follower, verify};
use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

/// Those who ask while a copy is made.
const CLIENTS: usize = 8;
/// Copies that are made meanwhile.
const COPIES: usize = 4;

const DATABASE: &str = "journal.sqlite";

/// What makes a journal unfit: a name, what is done to the state directory, and what is said of it.
type Harm = (&'static str, fn(&Path), &'static str);

const HARMS: [Harm; 7] = [
    ("a flipped bit", |state| flip(state, b"best-fit", 3), "damaged"),
    ("a cut database", cut, "damaged"),
    ("a newer schema", |state| put(state, 60, &99_u32.to_be_bytes()), "start the newer version"),
    ("a diary", |state| put(state, 0, b"Dear diary, today"), "no SQLite database"),
    ("no sidecar", |state| fs::remove_file(state.join("answered")).expect("removed"), "the sidecar is gone"),
    ("an older copy of the rows", older, "answers were given up to"),
    ("open to all", |state| mode(state, 0o777), "others may write to it"),
];

fn put(state: &Path, at: u64, bytes: &[u8]) {
    let file = fs::File::options().write(true).open(state.join(DATABASE)).expect("a file");
    file.write_all_at(bytes, at).expect("written");
}

/// Flips a bit wherever these bytes are: some places are left over from pages as they were.
fn flip(state: &Path, near: &[u8], bit: u8) {
    let bytes = fs::read(state.join(DATABASE)).expect("a file");
    let places: Vec<usize> =
        (0..bytes.len() - near.len()).filter(|&at| bytes[at..].starts_with(near)).collect();
    assert!(!places.is_empty(), "it is in there");
    places.into_iter().for_each(|at| put(state, at as u64, &[bytes[at] ^ 1 << bit]));
}

fn cut(state: &Path) {
    let file = fs::File::options().write(true).open(state.join(DATABASE)).expect("a file");
    file.set_len(file.metadata().expect("a length").len() - 4096).expect("cut");
}

fn older(state: &Path) {
    fs::copy(state.join("older"), state.join(DATABASE)).expect("copied");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

/// Copies a state directory's files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    mode(to, 0o700);
    let files = fs::read_dir(from).expect("a folder").flatten();
    for entry in files.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())) {
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

fn doctor(state: &Path, output: &[&str]) -> Told {
    let mut command = Command::new(program());
    command.arg("doctor").arg("--journal").arg(state).args(output);
    told(command)
}

#[test]
fn what_cannot_be_served_from_is_refused_with_the_command_that_tells_more() {
    let mut daemon = Daemon::plain();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    daemon.stop();
    fs::copy(daemon.state().join(DATABASE), daemon.state().join("older")).expect("copied");
    daemon.start();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    daemon.stop();
    // Without the states, so that all depends on the rows.
    for entry in fs::read_dir(daemon.state()).expect("a folder").flatten() {
        if entry.file_name().to_string_lossy().starts_with("checkpoint-") {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
    for (number, (name, harm, says)) in HARMS.into_iter().enumerate() {
        let state = daemon.scratch.path().join(format!("state-{number}"));
        copy(&daemon.state(), &state);
        assert_eq!(doctor(&state, &[]).code, 0, "it is sound before");
        harm(&state);
        // Should it start after all, it does not stay.
        let mut serve = Command::new("timeout");
        serve.arg("20").arg(program());
        // Should it start after all, it ends by itself.
        serve
            .args(["serve", "--idle-exit", "1s"])
            .arg("--state")
            .arg(&state)
            .arg("--socket")
            .arg(state.join("sock"));
        let refused = told(serve);
        assert!(refused.code == 1 && refused.err.contains(says), "{name}: {refused:?}");
        let command = format!("bursar doctor --journal {}", state.display());
        assert!(refused.err.contains(&command), "{name}: {refused:?}");
        // And that command says the same, and what to do, to people and to scripts.
        let looked = doctor(&state, &[]);
        assert!(
            looked.code == 1 && format!("{}{}", looked.out, looked.err).contains(says),
            "{name}: {looked:?}"
        );
        let json = doctor(&state, &["-o", "json"]);
        let ways = ["restore the state directory", "start the newer version", "chmod 0700"];
        assert!(json.code == 1 && ways.iter().any(|way| json.out.contains(way)), "{name}: {json:?}");
        assert!(json.json()["sound"] != true);
    }
}

#[test]
fn a_journal_is_looked_at_beside_its_daemon_and_without() {
    let mut daemon = Daemon::plain();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    let beside = doctor(&daemon.state(), &["-o", "json"]);
    assert!(beside.code == 0 && beside.json()["sound"] == true, "{beside:?}");
    let mut second = Command::new(program());
    second.arg("serve").arg("--state").arg(daemon.state());
    second.arg("--socket").arg(daemon.scratch.path().join("second"));
    let second = told(second);
    assert!(second.code == 1 && second.err.contains("in use by process"), "{second:?}");
    assert!(second.err.contains("bursar doctor --journal"), "{second:?}");
    daemon.kill();
    let files = |state: &Path| -> Vec<(String, Vec<u8>)> {
        let names = [DATABASE, "journal.sqlite-wal", "answered"];
        names.map(|name| (name.to_owned(), fs::read(state.join(name)).unwrap_or_default())).into()
    };
    let before = files(&daemon.state());
    let without = doctor(&daemon.state(), &[]);
    assert!(without.code == 0 && without.out.contains("schema 2"), "{without:?}");
    assert!(files(&daemon.state()) == before, "a look changes nothing");
    let nothing = doctor(&daemon.scratch.path().join("nothing"), &[]);
    assert!(nothing.code == 1 && nothing.err.contains("nothing"), "{nothing:?}");
}

#[test]
fn events_are_kept_as_long_as_was_said() {
    for (kept, most) in [("retain-batches = 5", 20), ("retain-bytes = 1000", 40), ("retain-hours = 0", 20)] {
        let daemon = Daemon::configured(&format!("[journal]\ncheckpoint-batches = 4\n{kept}\n"));
        for round in 0..30 {
            assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0);
            let id = (round + 1).to_string();
            let fence = daemon.claim(&id)["fence"].as_str().expect("a fence").to_owned();
            assert_eq!(daemon.tell(&["release", &id, "--fence", &fence]).code, 0);
        }
        let rows = || Follower::open(&daemon.state()).and_then(|reader| reader.since(0, 1000)).expect("rows");
        // Old rows go with later ones, a few at a time.
        daemon.eventually(kept, || {
            let _ = daemon.tell(&["claim", "--cpu", "0.01"]);
            rows()[0].batch.first_seq > 40 && rows().len() < most
        });
        assert!(verify(&daemon.state()).expect("a look").sound());
    }
    let daemon = Daemon::configured("[journal]\ncheckpoint-batches = 4\n");
    for _ in 0..30 {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0);
    }
    let rows = Follower::open(&daemon.state()).and_then(|reader| reader.since(0, 1000)).expect("rows");
    assert!(rows[0].batch.first_seq == 0 && rows.len() > 30, "nothing goes unless that was said");
}

/// What one who asks was answered: the claim, its fence, and whether it was given back.
type Answered = (String, u64, bool);

/// Asks, and gives every other claim back, until it is time to end.
fn asks(daemon: &Daemon, answered: &Mutex<Vec<Answered>>, over: &AtomicBool) {
    let body = r#"{"lines":[{"resource":"pids","amount":"1"}]}"#;
    let mut turn = 0;
    while !over.load(Ordering::Acquire) {
        turn += 1;
        let (status, claim) = daemon.http("POST", "/v1/claims", body);
        assert!(status < 300, "{status} {claim}");
        let id = claim["claim"]["id"].as_str().expect("an id").to_owned();
        let fence = claim["claim"]["fence"].as_str().expect("a fence").to_owned();
        let number = fence.parse().expect("digits");
        if turn % 2 == 0 {
            answered.lock().expect("whole").push((id, number, false));
            continue;
        }
        let (status, _) =
            daemon.http("POST", &format!("/v1/claims/{id}/release"), &format!(r#"{{"fence":"{fence}"}}"#));
        assert!(status < 300);
        answered.lock().expect("whole").push((id, number, true));
    }
}

#[test]
fn a_copy_under_load_has_all_that_was_answered_before_it() {
    // Checkpoints and retention at work.
    let config =
        "[journal]\ncheckpoint-batches = 20\nretain-batches = 40\n[node.capacity]\npids = \"1000000\"\n";
    let mut daemon = Daemon::configured(config);
    let (answered, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let mut copies = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| asks(&daemon, &answered, &over));
        }
        for number in 0..COPIES {
            let goal = 100 * (number + 1);
            daemon.eventually("it is under load", || answered.lock().expect("whole").len() >= goal);
            let to = daemon.scratch.path().join(format!("copy-{number}"));
            let before = answered.lock().expect("whole").clone();
            let (state, to_text) = (daemon.state().display().to_string(), to.display().to_string());
            let told = daemon.tell(&["backup", &to_text, "--state", &state]);
            over.store(told.code != 0 || number + 1 == COPIES, Ordering::Release);
            assert_eq!(told.code, 0, "{told:?}");
            copies.push((to, before));
        }
    });
    let answered = answered.into_inner().expect("whole");
    let newest = answered.iter().map(|(_, fence, _)| *fence).max().expect("some");
    daemon.kill();
    for (to, before) in copies {
        assert_eq!(doctor(&to, &[]).code, 0);
        fs::remove_dir_all(daemon.state()).expect("removed");
        let (to, state) = (to.display().to_string(), daemon.state().display().to_string());
        let told = daemon.tell(&["restore", &to, "--state", &state]);
        assert_eq!(told.code, 0, "{told:?}");
        daemon.start();
        for (id, fence, back) in &before {
            let claim = daemon.claim(id);
            assert_eq!(claim["phase"], if *back { "closed" } else { "held" }, "{id} of {to}: {claim}");
            assert_eq!(claim["fence"], fence.to_string());
        }
        let (_, claim) = daemon.http("POST", "/v1/claims", r#"{"lines":[{"resource":"pids","amount":"1"}]}"#);
        let fence: u64 =
            claim["claim"]["fence"].as_str().and_then(|fence| fence.parse().ok()).expect("a fence");
        assert!(fence > newest, "no fence is given out twice, though the last grants are lost");
        daemon.kill();
    }
    daemon.start();
}

#[test]
fn a_daemon_whose_state_is_taken_away_promises_nothing_more() {
    let mut daemon = Daemon::plain();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    let (state, moved) = (daemon.state(), daemon.scratch.path().join("moved"));
    fs::rename(&state, &moved).expect("moved");
    let refused = daemon.tell(&["claim", "--cpu", "0.1", "--no-autostart"]);
    assert!([4, 5].contains(&refused.code), "{refused:?}");
    daemon.await_end();
    assert_eq!(daemon.ended().and_then(|status| status.code()), Some(1), "{}", daemon.log());
    assert!(daemon.log().contains("put the state directory back where it was"), "{}", daemon.log());
    fs::rename(&moved, &state).expect("moved back");
    daemon.start();
    assert_eq!(daemon.claim("1")["phase"], "held", "what was promised is there");
}
