//! Without control groups the daemon still limits and cleans up, later and less surely, and says so.
use crate::daemon::{Daemon, number_in, runs};

const WEAK: &str = "[enforce]\ncgroups = false\ngrace-ms = 100\n";

#[test]
fn limits_are_sampled_and_trees_are_ended() {
    let daemon = Daemon::configured(WEAK);
    let doctor = daemon.ask(&["doctor"]);
    assert_eq!(
        (&doctor["findings"][0]["state"], &doctor["findings"][1]["state"]),
        (&"weak".into(), &"missing".into())
    );
    let script = "x=$(head -c 100000000 /dev/zero | tr '\\0' x); sleep 60; echo not killed";
    let hog = daemon.tell(&["run", "--memory", "32M", "--", "sh", "-c", script]);
    assert!(hog.code == 137 && hog.err.contains("its own limit"), "{hog:?}");
    let file = daemon.scratch.path().join("pid");
    let script = format!(
        "(setsid sh -c 'trap \"\" TERM; echo $$ > {0}; while :; do sleep 1; done' &) ; while [ ! -s {0} ]; do sleep 0.05; done",
        file.display()
    );
    assert_eq!(daemon.tell(&["run", "--pids", "100", "--", "sh", "-c", &script]).code, 0);
    let left = number_in(&file);
    daemon.eventually("it is gone", || !runs(left));
    assert_eq!(daemon.taken(), 0);
    let bursar = crate::daemon::program().display().to_string();
    let inside = daemon.tell(&[
        "run",
        "--cpu",
        "0.1",
        "--",
        "sh",
        "-c",
        &format!("{bursar} strategy use allocator worst-fit"),
    ]);
    assert!(inside.err.contains("Forbidden"), "{inside:?}");
}
