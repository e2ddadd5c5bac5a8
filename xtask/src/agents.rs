//! The official conformance suite and inspector of the protocol that agents speak, headless: the suite against
//! the handler over HTTP, the inspector against the daemon's own door and against `bursar mcp`.
use crate::{demo::Daemon, plugins, step};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What npm installs, by exact version, and what of the suites is expected to fail.
const FOLDER: &str = "xtask/agents";
/// The suites: revision of the protocol, program, arguments.
const SUITES: [(&str, &str, &[&str]); 2] = [
    ("2025-11-25", "@modelcontextprotocol/conformance/dist/index.js", &["--suite", "all"]),
    ("2026-07-28", "conformance-next/dist/index.js", &["--requirements", "2026-07-28"]),
];
/// The tool that is called, and what it must say.
const CALL: [&str; 4] = ["--tool-name", "resource_allocate", "--tool-arg", "cpu=0.5"];
const GRANTED: &str = "GRANTED";

/// Runs all of it; says what it skipped where there is no npm.
///
/// # Errors
/// When something fails that is not expected to, or passes that is not.
pub fn run() -> Result<()> {
    let target = plugins::target();
    let Some(tools) = Tools::install(&target)? else { return Ok(()) };
    step::run(step::cargo(&["build", "--quiet", "--package", "bursar"]))?;
    step::run(step::cargo(&["build", "--quiet", "--package", "bursar-mcp", "--example", "conformance"]))?;
    let program = target.join("debug/bursar");
    let scratch = tempfile::Builder::new().prefix("bursar-agents-").tempdir()?;
    // Free when it was asked for; what takes it meanwhile makes the daemon say so.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let daemon = Daemon::start_with(&program, scratch.path(), &[Path::new("--http"), Path::new(&address)])?;
    let handler = Handler::start(&target.join("debug/examples/conformance"), &daemon.socket())?;
    for (revision, suite, args) in SUITES {
        let mut command = tools.node(suite);
        command.args(["server", "--url", &handler.url]).args(args);
        command.arg("--expected-failures").arg(format!("{FOLDER}/{revision}.yaml"));
        command.arg("--output-dir").arg(scratch.path().join(revision));
        step::run(command)?;
    }
    let token = fs::read_to_string(scratch.path().join("state/http-token")).context("the daemon's token")?;
    let (door, bearer) = (format!("http://{address}/mcp"), format!("Authorization: Bearer {}", token.trim()));
    let http = [door.as_str(), "--transport", "http", "--header", &bearer];
    let socket = format!("BURSAR_SOCKET={}", daemon.socket().display());
    let program = program.display().to_string();
    let stdio = ["-e", &socket, program.as_str(), "mcp"];
    for era in ["legacy", "modern"] {
        tools.inspect(&http, &["--protocol-era", era])?;
    }
    tools.inspect(&stdio, &[])?;
    drop(handler);
    daemon.stop()
}

/// What was installed.
struct Tools {
    modules: PathBuf,
}

impl Tools {
    /// Installs the suite, the inspector and the node that they need, unless they are there.
    fn install(target: &Path) -> Result<Option<Tools>> {
        if !step::has("npm", &["--version"]) {
            eprintln!("skipped: the conformance suite and the inspector, because there is no npm");
            return Ok(None);
        }
        let folder = target.join("agents");
        let wanted = fs::read(step::root().join(FOLDER).join("package.json"))?;
        let modules = folder.join("node_modules");
        // What is wanted is written last, so that one that was interrupted begins again.
        if fs::read(folder.join("installed.json")).ok().as_ref() != Some(&wanted) {
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("package.json"), &wanted)?;
            let mut install =
                step::command("npm", &["install", "--no-audit", "--no-fund", "--loglevel=error"]);
            install.current_dir(&folder);
            if let Err(error) = step::run(install) {
                eprintln!("skipped: the conformance suite and the inspector cannot be installed: {error:#}");
                return Ok(None);
            }
            fs::write(folder.join("installed.json"), &wanted)?;
        }
        Ok(Some(Tools { modules }))
    }

    /// One of the programs, in the node that came with them.
    fn node(&self, script: &str) -> Command {
        let bin = self.modules.join("node/bin");
        let mut command = step::command(&bin.join("node").to_string_lossy(), &[]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(bin).chain(std::env::split_paths(&path));
        // Without a NUL or a colon in them, paths can always be joined.
        command.env("PATH", std::env::join_paths(path).unwrap_or_default());
        command.arg(self.modules.join(script));
        command
    }

    /// Has the inspector look at the tools' schemas, strictly, and call one.
    fn inspect(&self, target: &[&str], args: &[&str]) -> Result<()> {
        let inspector = || {
            let mut command = self.node("@modelcontextprotocol/inspector/clients/launcher/build/index.js");
            command.arg("--cli").args(target).args(args).args(["--format", "json", "-q"]);
            command
        };
        let mut list = inspector();
        list.args(["--method", "tools/list", "--strict"]).stdout(Stdio::null());
        step::run(list)?;
        let mut call = inspector();
        call.args(["--method", "tools/call"]).args(CALL);
        let said: Value = serde_json::from_str(&step::output(call)?)?;
        let status = &said["result"]["structuredContent"]["status"];
        ensure!(status == GRANTED, "the inspector was told {said}");
        Ok(())
    }
}

/// The handler with the suite's own tools beside it.
struct Handler {
    child: Child,
    url: String,
}

impl Handler {
    fn start(program: &Path, socket: &Path) -> Result<Handler> {
        let mut child = Command::new(program).arg(socket).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        let out = child.stdout.take().context("a pipe")?;
        BufReader::new(out).read_line(&mut address)?;
        Ok(Handler { child, url: format!("http://{}/mcp", address.trim()) })
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
