//! The driver against a real server: what is there, what is out, and what comes back though the server was killed.
use bursar_sdk::{ClaimId, Driver, Fence, Lease, LeaseLine};
use res_licence::{Licences, Server, Settings, holder};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A server that ends with the test.
struct Running(Child, String);

impl Running {
    fn start(address: &str, state: &Path) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_licence-server"));
        let mut child = command.arg(address).arg(state).args(["cad=2", "sim=1"]).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("its address");
        Running(child, line.trim().into())
    }

    fn driver(&self) -> Licences {
        Licences::from(Settings { server: self.1.clone() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("licences-{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

fn lease(number: u64, product: &str, amount: u64) -> Lease {
    let line = LeaseLine { resource: "licence".into(), pool: product.into(), amount };
    Lease { claim: ClaimId(number), fence: Fence(number), lines: vec![line], owner: None }
}

#[test]
fn what_is_there_is_found_taken_once_and_proved_back() {
    let state = scratch("found");
    let server = Running::start("127.0.0.1:0", &state);
    let mut driver = server.driver();
    let found: Vec<_> = driver.discover().expect("a look").into_iter().map(|found| (found.pool, found.capacity)).collect();
    assert_eq!(found, [("cad".to_owned(), 2), ("sim".to_owned(), 1)]);
    let (first, second) = (lease(1, "cad", 2), lease(2, "cad", 1));
    driver.enforce(&first).expect("two are there");
    driver.enforce(&first).expect("the same again, as after a restart");
    assert!(driver.enforce(&second).expect_err("none is left").message.contains("0 of cad are left"));
    assert_eq!(Server::at(&server.1).held("cad", &holder(&first)), Ok(2));
    assert!(driver.release(&first).expect("back").evidence.contains("has none of cad"));
    driver.enforce(&second).expect("now there is one");
    assert!(driver.release(&lease(9, "sim", 1)).is_ok(), "who has none gives none");
    assert_eq!(bursar_conformance::driver(&mut driver), Ok(()));
}

#[test]
fn a_server_that_was_killed_is_no_proof_and_one_that_comes_back_is() {
    let state = scratch("killed");
    let server = Running::start("127.0.0.1:0", &state);
    let (address, mut driver) = (server.1.clone(), server.driver());
    let held = lease(1, "cad", 1);
    driver.enforce(&held).expect("one is there");
    drop(server);
    assert!(driver.release(&held).expect_err("nobody says so").message.contains("the licence server at"));
    assert!(driver.discover().is_err());
    let again = Running::start(&address, &state);
    assert_eq!(Server::at(&again.1).held("cad", &holder(&held)), Ok(1), "it was written down");
    assert!(driver.release(&held).is_ok());
    assert_eq!(Server::at(&again.1).held("cad", &holder(&held)), Ok(0));
}

#[test]
fn what_a_daemon_that_is_gone_left_out_comes_back() {
    let state = scratch("orphans");
    let server = Running::start("127.0.0.1:0", &state);
    server.driver().enforce(&lease(1, "cad", 1)).expect("one is there");
    Server::at(&server.1).take("cad", 1, "somebody-else").expect("and another");
    let mut driver = server.driver();
    assert_eq!(driver.reclaim("cad", 5), Ok(1), "what is somebody else's is left alone");
    let held = lease(2, "cad", 1);
    driver.enforce(&held).expect("it is there again");
    assert_eq!(driver.reclaim("cad", 5), Ok(0), "what a lease has is no orphan");
}
