//! A daemon that is reached from elsewhere: by TLS, and by who shows a token.
use crate::daemon::{Daemon, Setup, Told, told};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A certificate and its key for these names, in files.
fn certified(folder: &Path, word: &str, names: &[&str]) -> (PathBuf, PathBuf) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (cert, key) = (folder.join(format!("{word}.pem")), folder.join(format!("{word}.key")));
    fs::write(&cert, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (cert, key)
}

struct Elsewhere {
    daemon: Daemon,
    files: TempDir,
    cert: PathBuf,
    address: String,
    port: u16,
}

impl Elsewhere {
    fn new() -> Elsewhere {
        let files = TempDir::new().expect("a folder");
        let (cert, key) = certified(files.path(), "own", &["localhost", "127.0.0.1"]);
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let local = free.local_addr().expect("its number");
        drop(free);
        let path = |path: &Path| path.display().to_string();
        let args = ["--http", &local.to_string(), "--tls-cert", &path(&cert), "--tls-key", &path(&key)];
        let args = args.map(str::to_owned).to_vec();
        let daemon = Daemon::with(Setup { args, ..Setup::default() });
        Elsewhere { daemon, files, cert, address: local.to_string(), port: local.port() }
    }

    /// A command that talks to it by TLS, trusting this certificate, with the daemon's own token or none.
    fn tell(&self, args: &[&str], trusted: &Path, token: bool) -> Told {
        let url = format!("https://localhost:{}", self.port);
        let mut command = self.daemon.command(args);
        command.env("BURSAR_URL", url).env("BURSAR_CA_FILE", trusted);
        if token {
            command.env("BURSAR_TOKEN_FILE", self.daemon.state().join("http-token"));
        }
        told(command)
    }
}

#[test]
fn the_command_line_reaches_it_from_elsewhere_and_trusts_whom_it_was_told_to() {
    let elsewhere = Elsewhere::new();
    let claim = elsewhere.tell(&["claim", "--cpu", "0.5", "-o", "json"], &elsewhere.cert, true);
    assert_eq!(claim.code, 0, "{claim:?}\n{}", elsewhere.daemon.log());
    let id = claim.json()["claim"]["id"].as_str().expect("an id").to_owned();
    let listed = elsewhere.tell(&["get", "claims", "-o", "name"], &elsewhere.cert, true);
    assert_eq!((listed.code, listed.out.trim()), (0, id.as_str()), "{listed:?}");
    let events = elsewhere.tell(&["get", "events", "-o", "json"], &elsewhere.cert, true);
    assert!(events.code == 0 && events.out.contains("granted"), "{events:?}");
    let cancelled = elsewhere.tell(&["cancel", &id], &elsewhere.cert, true);
    assert_eq!(cancelled.code, 0, "{cancelled:?}");

    let without = elsewhere.tell(&["get", "claims", "-o", "json"], &elsewhere.cert, false);
    assert_eq!((without.code, &without.json()["error"]["reason"]), (4, &"Forbidden".into()), "{without:?}");
    let (other, _) = certified(elsewhere.files.path(), "other", &["localhost"]);
    let stranger = elsewhere.tell(&["get", "claims", "-o", "json"], &other, true);
    assert_eq!(
        (stranger.code, &stranger.json()["error"]["reason"]),
        (5, &"Unreachable".into()),
        "{stranger:?}"
    );
    assert!(stranger.err.contains("certificate"), "{stranger:?}");
    let here = elsewhere.tell(&["run", "--cpu", "0.1", "--", "true"], &elsewhere.cert, true);
    assert!(here.code == 125 && here.err.contains("--url"), "commands run on this machine: {here:?}");
    let named = elsewhere.daemon.tell(&["--url", "http://example.org", "get", "pools"]);
    assert!(named.code == 2 && named.err.contains("in the clear"), "{named:?}");
}

#[test]
fn nothing_passes_in_the_clear_and_nobody_who_is_slow_to_greet_holds_up_another() {
    let elsewhere = Elsewhere::new();
    let connect = || {
        let stream = TcpStream::connect(&elsewhere.address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        stream
    };
    let mut clear = connect();
    let token = fs::read_to_string(elsewhere.daemon.state().join("http-token")).expect("a token");
    let request = format!(
        "GET /v1/pools HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        elsewhere.address,
        token.trim()
    );
    clear.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"), "{answer:?}");

    let slow: Vec<TcpStream> = (0..50).map(|_| connect()).collect();
    let mut half = connect();
    half.write_all(&[22, 3, 1, 2]).expect("the beginning of a greeting");
    let since = Instant::now();
    let listed = elsewhere.tell(&["get", "pools"], &elsewhere.cert, true);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    drop((slow, half));
}

#[test]
fn a_certificate_that_was_renewed_is_shown_without_a_restart_and_a_broken_one_never() {
    let elsewhere = Elsewhere::new();
    let (cert, key) = (elsewhere.files.path().join("own.pem"), elsewhere.files.path().join("own.key"));
    let (other, other_key) = certified(elsewhere.files.path(), "other", &["localhost"]);
    let listed = |trusted: &Path| elsewhere.tell(&["get", "pools"], trusted, true).code;
    assert_eq!((listed(&cert), listed(&other)), (0, 5));
    let first = elsewhere.files.path().join("first.pem");
    fs::copy(&cert, &first).expect("copied");
    fs::write(&cert, "half a certificate").expect("written");
    elsewhere.daemon.eventually("it looked", || {
        let _ = listed(&first);
        elsewhere.daemon.log().contains("stays the one that it was")
    });
    assert_eq!(listed(&first), 0, "what was shown before is shown still");
    fs::copy(&other_key, &key).expect("copied");
    fs::copy(&other, &cert).expect("copied");
    elsewhere.daemon.eventually("the new one is shown", || listed(&other) == 0);
    assert_eq!(listed(&first), 5);
}

#[test]
fn with_a_certificate_others_may_come_and_what_is_wrong_with_one_is_named() {
    let files = TempDir::new().expect("a folder");
    let (cert, key) = certified(files.path(), "own", &["localhost"]);
    let (_, other) = certified(files.path(), "other", &["localhost"]);
    let text = |path: &Path| path.display().to_string();
    let args =
        ["--http", "0.0.0.0:0", "--tls-cert", &text(&cert), "--tls-key", &text(&key)].map(str::to_owned);
    let far = Daemon::with(Setup { args: args.to_vec(), ..Setup::default() });
    assert!(far.log().contains("tls=true") || far.log().contains("http"), "{}", far.log());
    let refused = |cert: &Path, key: &Path| {
        let (state, socket) = (files.path().join("state"), files.path().join("sock"));
        let mut command = far.command(&["serve", "--http", "127.0.0.1:0", "--state"]);
        command.arg(state).arg("--socket").arg(socket).arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
        let told = told(command);
        assert_eq!(told.code, 1, "{told:?}");
        told.err
    };
    let nowhere = Path::new("/nonexistent.pem");
    assert!(refused(nowhere, &key).contains("/nonexistent.pem"));
    assert!(refused(&cert, nowhere).contains("/nonexistent.pem"));
    assert!(refused(&key, &key).contains("no certificate") || refused(&key, &key).contains("own.key"));
    assert!(refused(&cert, &other).contains("other.key"), "a key of another certificate");
    let half = far.tell(&["serve", "--http", "127.0.0.1:0", "--tls-cert", &text(&cert)]);
    assert!(half.code == 2 && half.err.contains("--tls-key"), "{half:?}");
}
