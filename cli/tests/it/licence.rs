//! The resource type of the examples in a real daemon, against its licence server, which is killed in the middle.
use crate::{
    authors::{build_outside, built_outside},
    daemon::{Daemon, Setup},
};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A licence server that ends with the test.
struct Server(Child, String);

impl Server {
    fn start(address: &str, state: &Path) -> Server {
        let mut command = Command::new(built_outside("licence-server"));
        let mut child =
            command.arg(address).arg(state).arg("cad=2").stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
        Server(child, line.trim().into())
    }

    fn take(&self, holder: &str) {
        let mut stream = TcpStream::connect(&self.1).expect("it listens");
        stream.write_all(format!("take cad 1 {holder}\n").as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer.trim(), "ok");
    }

    fn holders(&self) -> usize {
        let mut stream = TcpStream::connect(&self.1).expect("it listens");
        stream.write_all(b"holders cad\n").expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.lines().filter(|line| line.starts_with("bursar-")).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pool(daemon: &Daemon) -> Value {
    let pools = daemon.ask(&["get", "pools"]);
    let mut pools = pools["pools"].as_array().expect("pools").iter();
    pools.find(|pool| pool["resource"] == "licence").cloned().unwrap_or_default()
}

#[test]
fn licences_are_out_for_as_long_as_a_lease_and_proved_back_though_their_server_was_killed() {
    build_outside("res-licence");
    let scratch = TempDir::new().expect("a folder");
    let (folder, state) = (scratch.path().join("plugins"), scratch.path().join("licences"));
    fs::create_dir(&folder).expect("a folder");
    fs::copy(built_outside("libres_licence.so"), folder.join("libres_licence.so")).expect("copied");
    let server = Server::start("127.0.0.1:0", &state);
    let address = server.1.clone();
    let config = format!("[enforce]\nreconcile-ms = 100\n[plugins.config.licence]\nserver = \"{address}\"\n");
    let mut daemon = Daemon::with(Setup { plugins: vec![folder], config, ..Setup::default() });
    let found = pool(&daemon);
    assert_eq!((&found["id"], &found["capacity"]), (&"cad".into(), &"2".into()), "{}", daemon.log());
    // What a daemon that is gone left out is had back; what somebody else has is not.
    server.take("bursar-99-7");
    daemon.eventually("nobody's is back", || server.holders() == 0);
    // One is out for as long as a command runs.
    let run = daemon.tell(&["run", "--need", "licence:cad=1", "--", "true"]);
    assert_eq!(run.code, 0, "{run:?}");
    daemon.eventually("it came back", || server.holders() == 0);
    let claim = daemon.ask(&["claim", "--need", "licence:cad=2"])["claim"].clone();
    let (id, fence) = (claim["id"].as_str().expect("an id"), claim["fence"].as_str().expect("a fence"));
    daemon.await_phase(id, "held");
    assert_eq!(server.holders(), 1);
    assert_ne!(daemon.tell(&["claim", "--need", "licence:cad=1"]).code, 0, "both are out");
    // A restarted daemon says the same again, and the server does not mind.
    daemon.stop();
    daemon.start();
    daemon.await_phase(id, "held");
    // A server that is gone proves nothing.
    drop(server);
    assert_eq!(daemon.tell(&["release", id, "--fence", fence]).code, 0);
    daemon.eventually("nothing is proved", || pool(&daemon)["quarantined"] == "2");
    let server = Server::start(&address, &state);
    assert_eq!(server.holders(), 1, "it was written down");
    daemon.eventually("all of it came back", || pool(&daemon)["free"] == "2");
    assert_eq!(server.holders(), 0);
    let told = daemon.ask(&["get", "claims"])["claims"].clone();
    let claims = told.as_array().expect("claims");
    let ended = claims.iter().find(|claim| claim["id"] == id).expect("it is remembered");
    assert!(ended["evidence"].as_str().is_some_and(|text| text.contains("has none of cad")), "{ended}");
}
