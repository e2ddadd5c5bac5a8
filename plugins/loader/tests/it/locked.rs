//! Children that try to get out: files, network, programs, signals, memory. Each way ends in a fault.
use crate::{
    badly_behaved,
    place::{books, place},
};
use bursar_interface::{FaultKind, Home, Time};
use bursar_loader::{Grant, Loader, ability};
use std::fs;

/// Whether the kernel has all that this needs; says what is skipped where it has not.
fn able() -> bool {
    let (state, detail) = ability();
    if state != "ok" {
        eprintln!("skipped: {detail}");
    }
    state == "ok"
}

fn flee(loader: &mut Loader) -> String {
    let (books, queue) = books();
    let mut plugin = loader.allocator("chaos-flee", "").expect("there").plugin;
    place(&mut *plugin, &books, &queue).expect_err("it says how it went").message
}

#[test]
fn a_strategy_reaches_nothing_but_its_host() {
    if !able() {
        return;
    }
    let told = flee(&mut badly_behaved(Home::Child).0);
    assert!(!told.contains("got out"), "{told}");
    for way in ["read", "list", "write", "connect", "listen", "send", "local", "run", "signal", "peek"] {
        assert!(told.contains(&format!("{way}: ")), "{way}: {told}");
    }
    // Threads are its own business, and it has nothing of the host's environment but where coverage is counted.
    let counted = u8::from(std::env::var_os("LLVM_PROFILE_FILE").is_some());
    assert!(told.contains(&format!("; threads; {counted} variables")), "{told}");
}

#[test]
fn one_in_this_process_gets_out_as_whoever_trusted_it_knew() {
    let told = flee(&mut badly_behaved(Home::Inline).0);
    assert!(told.contains("read: got out") && told.contains("run: got out"), "{told}");
}

#[test]
fn a_metric_reads_figures_and_nothing_else() {
    if !able() {
        return;
    }
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    let mut metric = loader.metric("chaos-nosy", "").expect("there").plugin;
    let told = metric.collect(Time(1), &mut Vec::new()).expect_err("it says how it went").message;
    assert!(told.starts_with("figures true; ") && !told.contains("got out"), "{told}");
}

#[test]
fn a_grant_opens_what_it_names_and_no_more() {
    if !able() {
        return;
    }
    let grant = Grant { read: vec!["/etc/passwd".into()], ..Grant::default() };
    let grants = [("chaos-flee".to_owned(), grant)].into();
    let told = flee(&mut crate::badly_behaved_with(grants).0);
    assert!(told.contains("read: got out") && told.matches("got out").count() == 1, "{told}");
}

#[test]
fn one_that_takes_all_memory_is_stopped_long_before_that() {
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    let (books, queue) = books();
    let mut plugin = loader.allocator("chaos-hoard", "").expect("there").plugin;
    let fault = place(&mut *plugin, &books, &queue).expect_err("a fault");
    // Late or dead, depending on how fast the machine gives memory.
    assert!([FaultKind::Died, FaultKind::Overrun].contains(&fault.kind), "{fault}");
}

#[test]
fn nothing_of_the_hosts_is_left_in_a_child() {
    // Somebody else's file, which whoever this process starts inherits.
    let secret = tempfile::NamedTempFile::new().expect("a file");
    rustix::io::fcntl_setfd(secret.as_file(), rustix::io::FdFlags::empty()).expect("inherited");
    let (mut loader, _scratch) = badly_behaved(Home::Child);
    let seated = loader.allocator("chaos-good", "").expect("there");
    let child = seated.footprint.usage().expect("it runs").pid;
    let environment = fs::read(format!("/proc/{child}/environ")).expect("this user's own");
    let mut variables = environment.split(|&byte| byte == 0).filter(|text| !text.is_empty());
    assert!(variables.all(|text| text.starts_with(b"LLVM_PROFILE_FILE=")), "{environment:?}");
    let open = fs::read_dir(format!("/proc/{child}/fd")).expect("this user's own");
    let open: Vec<_> = open.map(|entry| fs::read_link(entry.expect("an entry").path())).collect();
    let known = ["socket:", "pipe:", "/memfd:bursar-mirror", "/dev/null"];
    for descriptor in open.iter().map(|link| link.as_ref().expect("a link").to_string_lossy()) {
        assert!(known.iter().any(|known| descriptor.starts_with(known)), "{descriptor}: {open:?}");
    }
}
