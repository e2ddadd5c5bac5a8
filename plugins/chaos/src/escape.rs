//! Ways out of a child: files, network, programs, signals. Each is tried, and what came of it is told.
use bursar_sdk::prelude::*;
use std::{fmt::Display, fs, net, os::unix::net::UnixStream, process};

/// Says what came of trying to get out.
fn escaped<T>(what: &str, tried: std::io::Result<T>) -> String {
    let told: Box<dyn Display> = match tried {
        Ok(_) => Box::new("got out"),
        Err(error) => Box::new(error),
    };
    format!("{what}: {told}")
}

/// Tries one way out after the other, and says how each of them went.
pub(crate) fn flee() -> Fault {
    let told = [
        escaped("read", fs::read("/etc/passwd")),
        escaped("list", fs::read_dir("/")),
        escaped("write", fs::write("/tmp/chaos-was-here", "x")),
        escaped("connect", net::TcpStream::connect(("127.0.0.1", 9))),
        escaped("listen", net::TcpListener::bind(("127.0.0.1", 0))),
        escaped("send", net::UdpSocket::bind(("127.0.0.1", 0))),
        escaped("local", UnixStream::connect("/run/nobody")),
        escaped("run", process::Command::new("/bin/true").spawn().and_then(|mut child| child.wait())),
        escaped("signal", signal_parent()),
        escaped("peek", fs::read(format!("/proc/{}/environ", std::os::unix::process::parent_id()))),
    ];
    let threads = std::thread::spawn(|| 1).join().map_or("no threads", |_| "threads");
    let names = std::env::vars().map(|(name, _)| name).filter(|name| name != "LLVM_PROFILE_FILE").count();
    Fault::new(format!("{}; {threads}; {names} variables", told.join("; ")))
}

/// Asks whether the host could be signalled.
fn signal_parent() -> std::io::Result<()> {
    let parent = rustix::process::getppid().ok_or_else(|| std::io::Error::other("there is no parent"))?;
    Ok(rustix::process::test_kill_process(parent)?)
}
