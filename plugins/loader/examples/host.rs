//! The smallest plugin host: what a daemon starts for each plugin in a child.
fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    bursar_loader::child_main(&args)
}
