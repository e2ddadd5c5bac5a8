//! The parts of a bench: an echo that does nothing, a daemon of its own, and what the disk takes.
use serde_json::Value;
use std::{
    fs::File,
    io::Write,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// An empty echo in a process of its own: the same HTTP over the same kind of socket, and nothing behind it.
pub(crate) struct Echo {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Echo {
    /// Starts this program again, as an echo.
    pub(crate) fn start(folder: &Path) -> Echo {
        let socket = folder.join("echo.sock");
        let this = std::env::current_exe().expect("a path");
        let child = Command::new(this).arg(ECHO).arg(&socket).stdin(Stdio::null()).spawn().expect("an echo");
        while UnixStream::connect(&socket).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Echo { child, socket }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It is only a bench's.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The word by which this program is an echo.
pub(crate) const ECHO: &str = "--echo";

/// Is an echo until it is killed.
pub(crate) fn echo(socket: &Path) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // As long a backlog as the daemon has.
        let listener = bursar_api::bind_unix(socket, None).expect("a socket");
        listener.set_nonblocking(true).expect("set");
        let listener = tokio::net::UnixListener::from_std(listener).expect("a listener");
        let echo = axum::routing::post(|body: axum::Json<Value>| async move { body });
        axum::serve(listener, axum::Router::new().route("/echo", echo)).await.expect("served");
    });
}

/// How long each of some small appends takes to be on the disk, in seconds, shortest first.
pub(crate) fn syncs(folder: &Path, span: Duration) -> Vec<f64> {
    let mut file = File::create(folder.join("appended")).expect("a file");
    let (start, mut took) = (Instant::now(), Vec::new());
    while start.elapsed() < span {
        let since = Instant::now();
        file.write_all(&[7; 128]).and_then(|()| file.sync_data()).expect("on the disk");
        took.push(since.elapsed().as_secs_f64());
    }
    took.sort_by(f64::total_cmp);
    took
}

/// Connections that say nothing. The backlog is short: who finds it full knocks again.
pub(crate) fn crowd(socket: &Path, many: usize) -> Vec<UnixStream> {
    let knock = || loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    (0..many).map(|_| knock()).collect()
}
