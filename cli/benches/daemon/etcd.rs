//! etcd as it comes: every transaction is synced before it is answered. Its clients speak gRPC, in a program of
//! their own that `cargo xtask bench --peers` builds and names.
use crate::{
    load::SPAN,
    peers::{START, Server, quiet},
};
use serde_json::Value;
use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// What stands before the path of the program that is etcd's clients.
pub(crate) const CLIENTS: &str = "--etcd-clients";

/// One etcd, on ports of its own that only this host reaches.
pub(crate) struct Etcd {
    clients: PathBuf,
    url: String,
    _server: Server,
}

impl Etcd {
    /// `None` where etcd or its clients are not installed.
    pub(crate) fn start(folder: &Path, clients: Option<PathBuf>) -> Option<Etcd> {
        let clients = clients?;
        let [port, peers] = free_ports();
        let (url, peer_url) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
        let mut command = quiet("etcd");
        command.arg("--data-dir").arg(folder.join("etcd"));
        command.args(["--name", "one", "--initial-cluster", &format!("one={peer_url}")]);
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
        let server = Server::of(command.spawn().ok()?);
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if since.elapsed() > START {
                return None;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Some(Etcd { clients, url, _server: server })
    }

    /// Pairs per second in one round of so many clients.
    pub(crate) fn round(&self, clients: usize) -> f64 {
        let mut command = Command::new(&self.clients);
        command.arg(&self.url).args([clients.to_string(), SPAN.as_millis().to_string()]);
        let output = command.output().expect("etcd's clients");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        said["pairs_per_s"].as_f64().expect("a number")
    }
}

/// Two ports that are free now.
fn free_ports() -> [u16; 2] {
    let bound = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    bound.map(|listener| listener.local_addr().expect("an address").port())
}
