//! Bad input of every kind: a clear answer that names it, the exit code of the contract, a daemon that
//! lives on.
use crate::daemon::{Daemon, Setup, Told, program, told};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};
use tempfile::TempDir;

#[track_caller]
fn says(told: &Told, code: i32, what: &str) {
    assert!(told.code == code && told.err.contains(what), "{what}: {told:?}");
}

#[test]
fn asks_that_make_no_sense() {
    let daemon = Daemon::plain();
    for (args, code, what) in [
        (&["claim", "--need", "mana=1"][..], 3, "no resource \"mana\""),
        (&["claim", "--cpu", "0"], 2, "cpu is zero"),
        (&["claim", "--cpu", "-1"], 2, "\"-1\" is no amount"),
        (&["claim", "--memory", "99999999999999T"], 2, "more than can be counted"),
        (&["claim", "--cpu", "4000"], 4, "NeverFits"),
        (&["claim", "--memory", "lots"], 2, "\"lots\" is no amount"),
        (&["claim", "--cpu", "1", "--wait", "soon"], 2, "\"soon\" is no duration"),
        (&["claim", "--cpu", "1", "--ttl", "400d"], 2, "30 days"),
        (&["claim", "--cpu", "1", "--ttl", "0s"], 2, "ttl is zero"),
        (&["claim", "--port", "99999"], 2, "no port"),
        (&["claim", "--need", "cpu"], 2, "has no amount"),
        (&["claim", "--cpu", "1", "--scope", "a//b"], 2, "a//b"),
        (&["claim", "--cpu", "1", "--scope", "1/2/3/4/5/6/7/8/9/10"], 4, "10 levels deep"),
        (&["claim"], 2, "nothing is asked for"),
        (&["claim", "--lock", "tree:exclusiv"], 2, "write it as tree, tree:shared or tree:exclusive"),
        (&["claim", "--lock", "tree:"], 2, "\"tree:\" is no lock"),
        (&["run", "--lock", "tree:Shared", "--", "true"], 125, "\"tree:Shared\" is no lock"),
        (&["claim", "--cpu", "1", "--or", "lock:tree:write"], 2, "\"tree:write\" is no lock"),
        (&["run", "--or", "cpu=1", "--", "true"], 125, "nothing is asked for"),
        (&["run", "--gang", "crew", "--", "true"], 125, "is no gang"),
        (&["renew", "1", "--fence", "x"], 2, "\"x\" is no fence"),
        (&["renew", "one", "--fence", "1"], 2, "\"one\" is no claim"),
        (&["renew", "7", "--fence", "1"], 3, "no claim 7"),
        (&["release", "7", "--fence", "1"], 3, "no claim 7"),
        (&["cancel", "7"], 3, "no claim 7"),
        (&["settle", "7", "--fence", "1", "cpu"], 2, "has no amount"),
        (&["settle", "7", "--fence", "1", "cpu=1"], 3, "no claim 7"),
        (&["explain", "7"], 3, "no claim 7"),
        (&["attach", "7", "--fence", "1", "--pid", "1"], 3, "no claim 7"),
        (&["strategy", "use", "taste", "x"], 2, "\"taste\" is no strategy"),
        (&["strategy", "use", "allocator", "x"], 3, "best-fit, first-fit, worst-fit"),
        (&["run", "--cpu", "1"], 125, "no command"),
        (&["run", "--bogus", "--", "true"], 125, "--bogus"),
        (&["run", "--class", "gold", "--", "true"], 125, "best-effort"),
        (&["run", "--priority", "-5", "--", "true"], 125, "0..=4294967295"),
        (&["run", "--url", "ftp://x", "--", "true"], 125, "leave out --url"),
        (&["run", "-o", "name", "--", "true"], 125, "no names"),
        (&["claim", "--cpu", "1", "--key", "a\r\nHost: b"], 2, "Idempotency-Key"),
        (&["frobnicate"], 2, "unrecognized subcommand"),
        (&["get", "dreams"], 2, "invalid value"),
        (&["get", "claims", "--since", "5"], 2, "--since is for what has a sequence"),
        (&["simulate", "--experiment", "kueue-baseline", "--seeds", "0"], 2, "0 is not in 1"),
        (&["config", "schema", "-o", "name"], 2, "no names"),
    ] {
        says(&daemon.tell(args), code, what);
    }
    let refused = daemon.tell(&["claim", "--cpu", "4000", "-o", "json"]);
    assert_eq!(refused.json()["error"]["reason"], "NeverFits");
    assert_eq!(daemon.tell(&["claim", "--cpu", "1"]).code, 0, "it lives on");
    says(&daemon.tell(&["release", "1", "--fence", "5"]), 4, "StaleFence");
    assert_eq!(
        daemon.ask(&["get", "claims"])["claims"].as_array().map(Vec::len),
        Some(1),
        "nothing else came of it"
    );
}

#[test]
fn a_list_is_no_object_however_deep_it_lies() {
    let daemon = Daemon::plain();
    let lease = daemon.ask(&["claim", "--lock", "tree:exclusive"])["claim"].clone();
    assert_eq!(lease["lines"][0]["pool"], "tree", "{lease}");
    let (fence, node) = (&lease["fence"], daemon.ask(&["get", "nodes"])["nodes"][0]["id"].clone());
    let node = format!("/v1/nodes/{}", node.as_str().expect("a name"));
    let line = r#"{"resource":"cpu","amount":"1"}"#;
    for (method, path, body, what) in [
        ("POST", "/v1/claims", "[]".to_owned(), "the body is a list, and an object is right here"),
        ("POST", "/v1/claims", "7".into(), "the body is no object"),
        ("POST", "/v1/claims", "\"lines\"".into(), "the body is no object"),
        ("POST", "/v1/claims", r#"{"lines":[["cpu","500"]]}"#.into(), "lines[0]: "),
        ("POST", "/v1/claims", format!(r#"{{"lines":[{line}],"gang":["crew",1]}}"#), "gang: "),
        ("POST", "/v1/claims", format!(r#"{{"lines":[{line}],"alternatives":[[[]]]}}"#), "alternatives[0]: "),
        (
            "POST",
            "/v1/claims",
            format!(r#"{{"lines":[{line}],"alternatives":[{{"lines":[["cpu","1"]]}}]}}"#),
            "alternatives[0].lines[0]: ",
        ),
        ("POST", "/v1/claims", r#"{"lines":[7]}"#.into(), "lines[0]: "),
        ("POST", "/v1/claims/1/release", format!("[{fence}]"), "the body is a list"),
        ("POST", "/v1/claims/1/settle", format!(r#"{{"fence":{fence},"used":[["lock","1"]]}}"#), "used[0]: "),
        (
            "POST",
            "/v1/claims/1/shrink",
            format!(r#"{{"fence":{fence},"lines":[["lock","1"]]}}"#),
            "lines[0]: ",
        ),
        ("PUT", &node, r#"["cordoned"]"#.into(), "the body is a list"),
        ("POST", "/v1/plugins", r#"["reload"]"#.into(), "the body is a list"),
        ("POST", "/v1/plugins", "true".into(), "the body is no object"),
        ("POST", "/v1/apply", r#"{"scopes":[["a",2]]}"#.into(), "scopes[0]: "),
        ("POST", "/v1/batch", format!(r#"{{"operations":[{{"release":["1",{fence}]}}]}}"#), "operations[0]"),
        ("POST", "/v1/batch", r#"{"operations":[{"ask":[[]]}]}"#.into(), "operations[0]"),
        ("POST", "/v1/batch", format!(r#"{{"operations":[{{"ask":{{"lines":[[{line}]]}}}}]}}"#), "lines[0]"),
    ] {
        let (status, told) = daemon.http(method, path, &body);
        let told = told.to_string();
        assert!(status == 400 && told.contains(what), "{method} {path} {body}: {status} {told}");
        let ours = ["struct ", "enum ", "elements", "Body"].iter().any(|word| told.contains(word));
        assert!(!ours, "{method} {path} {body}: {told}");
    }
    let (_, told) = daemon.http("POST", "/v1/claims", r#"{"lines":[["cpu","500"]]}"#);
    assert!(told.to_string().contains("an object of resource, amount, pool"), "{told}");
    assert_eq!(daemon.claim("1")["phase"], "held", "nothing came of it");
    assert_eq!(daemon.ask(&["get", "claims"])["claims"].as_array().map(Vec::len), Some(1));
}

/// Tries to serve, and says why not.
fn serve(scratch: &Path, args: &[&str]) -> Told {
    let mut command = Command::new(program());
    command
        .arg("serve")
        .args(args)
        .env("HOME", scratch)
        .env("BURSAR_SOCKET", scratch.join("sock"))
        .stdin(Stdio::null());
    told(command)
}

#[test]
fn places_and_configs_that_cannot_be_used() {
    let scratch = TempDir::new().expect("a folder");
    let path = |name: &str| scratch.path().join(name).display().to_string();
    says(&serve(scratch.path(), &["--state", "/proc/nowhere"]), 1, "/proc/nowhere");
    says(&serve(scratch.path(), &["--config", &path("none.toml")]), 2, "no config file");
    fs::write(path("bad.toml"), "[strategy]\nalocator = \"best-fit\"\n").expect("written");
    says(&serve(scratch.path(), &["--config", &path("bad.toml"), "--state", &path("s")]), 2, "alocator");
    fs::write(path("soon.toml"), "[http]\nlifetime = \"soon\"\n").expect("written");
    says(
        &serve(scratch.path(), &["--config", &path("soon.toml"), "--state", &path("s")]),
        2,
        "http.lifetime",
    );
    fs::write(path("worse.toml"), "= what").expect("written");
    says(&serve(scratch.path(), &["--config", &path("worse.toml"), "--state", &path("s")]), 2, "worse.toml");
    fs::write(path("unknown.toml"), "[strategy]\nallocator = \"quickest\"\n").expect("written");
    says(&serve(scratch.path(), &["--config", &path("unknown.toml"), "--state", &path("s")]), 1, "quickest");
    fs::write(path("mana.toml"), "[node.capacity]\nmana = \"3\"\n").expect("written");
    says(&serve(scratch.path(), &["--config", &path("mana.toml"), "--state", &path("s")]), 2, "mana");
    fs::write(path("amount.toml"), "[node.capacity]\ncpu = \"lots\"\n").expect("written");
    says(&serve(scratch.path(), &["--config", &path("amount.toml"), "--state", &path("s")]), 2, "lots");
    let pool = "[[pool]]\nresource = \"tokens\"\nname = \"acct\"\ncapacity = ";
    fs::write(path("rate.toml"), format!("{pool}\"50k\"\n")).expect("written");
    says(&serve(scratch.path(), &["--config", &path("rate.toml"), "--state", &path("s")]), 2, "50k/m");
    fs::write(path("year.toml"), format!("{pool}\"50k/y\"\n")).expect("written");
    says(
        &serve(scratch.path(), &["--config", &path("year.toml"), "--state", &path("s")]),
        2,
        "s, m, h, d or w",
    );
    says(
        &serve(scratch.path(), &["--plugins", &path("nowhere"), "--state", &path("s")]),
        1,
        "no folder of plugins",
    );
    says(&serve(scratch.path(), &["--idle-exit", "never", "--state", &path("s")]), 2, "no duration");
    fs::create_dir(path("open")).expect("made");
    fs::set_permissions(path("open"), fs::Permissions::from_mode(0o777)).expect("set");
    says(&serve(scratch.path(), &["--state", &path("open")]), 1, "0700");
    fs::write(path("file"), "").expect("written");
    says(&serve(scratch.path(), &["--state", &path("s"), "--socket", &path("file")]), 1, "file");
    says(&serve(scratch.path(), &["--state", &path("s"), "--http", "nowhere:x"]), 1, "nowhere:x");
}

#[test]
fn a_config_that_is_wrong_is_wrong_usage_to_all_who_read_it() {
    let scratch = TempDir::new().expect("a folder");
    let (file, none) = (scratch.path().join("c.toml"), scratch.path().join("none.toml"));
    let state = scratch.path().join("s").display().to_string();
    let tells = |file: &Path, what: &str| {
        let file = file.display().to_string();
        says(&serve(scratch.path(), &["--config", &file, "--state", &state, "--idle-exit", "1s"]), 2, what);
        for words in [&["config", "show"][..], &["gate", "--no-autostart"]] {
            let mut command = Command::new(program());
            command.args(words).args(["--config", &file]).env("HOME", scratch.path());
            command.env("BURSAR_SOCKET", scratch.path().join("sock")).stdin(Stdio::null());
            says(&told(command), 2, what);
        }
    };
    for (config, what) in [
        ("[memory]\nladder = \"no\"\n", "memory.ladder: invalid type: string \"no\", expected a boolean"),
        ("[strategy]\nalocator = \"best-fit\"\n", "did you mean \"allocator\"?"),
        ("= what", "line 1"),
    ] {
        fs::write(&file, config).expect("written");
        tells(&file, what);
    }
    tells(&none, "no config file");
}

#[test]
fn a_certificate_for_nobody_is_refused() {
    let scratch = TempDir::new().expect("a folder");
    let state = scratch.path().join("s").display().to_string();
    let told =
        serve(scratch.path(), &["--state", &state, "--tls-cert", "c", "--tls-key", "k", "--idle-exit", "1s"]);
    says(
        &told,
        2,
        "--tls-cert and --tls-key: nothing is served over TCP; say where with --http, or set http.listen",
    );
    let config = scratch.path().join("c.toml");
    fs::write(&config, "[http]\nlisten = \"127.0.0.1:0\"\n").expect("written");
    let config = config.display().to_string();
    let words = ["--config", &config, "--state", &state, "--tls-cert", "c", "--tls-key", "k"];
    let told = serve(scratch.path(), &words);
    assert!(!told.err.contains("nothing is served"), "{told:?}");
}

#[test]
fn a_copy_of_a_daemon_elsewhere_is_not_taken_from_here() {
    let daemon = Daemon::plain();
    let state = daemon.state().display().to_string();
    let copy = daemon.scratch.path().join("copy").display().to_string();
    let elsewhere = |words: &[&str]| {
        let mut command = daemon.command(words);
        command.env("BURSAR_URL", "http://127.0.0.1:1");
        told(command)
    };
    for word in ["backup", "restore"] {
        says(
            &elsewhere(&[word, &copy]),
            2,
            "none elsewhere (say --state for a state directory of this machine, or",
        );
    }
    let told = elsewhere(&["backup", &copy, "--state", &state]);
    assert_eq!(told.code, 0, "which one is meant is said: {told:?}");
}

#[test]
fn configs_that_the_books_refuse() {
    let scratch = TempDir::new().expect("a folder");
    let state = scratch.path().join("s").display().to_string();
    let long = "x".repeat(300);
    let pool = |capacity: &str| {
        format!("[[pool]]\nresource = \"tokens\"\nname = \"acct\"\ncapacity = \"{capacity}\"\n")
    };
    for (config, what) in [
        ("[node]\nlabels = [\"\"]\n".to_owned(), "config: node.labels: \"\" is no name for a label"),
        (format!("[node]\nlabels = [\"fast\", \"{long}\"]\n"), "config: node.labels: \"xxx"),
        (
            format!("[node]\nlabels = {:?}\n", (0..65).map(|n| format!("l{n}")).collect::<Vec<_>>()),
            "config: node.labels: more than 64 label terms",
        ),
        (format!("[node]\nname = \"{long}\"\n"), "config: node.name: \"xxx"),
        ("[node]\nname = \"a\\nb\"\n".into(), "config: node.name: \"a\\nb\" is no name for a node"),
        (
            "[node.sharing]\ncpuu = \"share-overcommit\"\n".into(),
            "config: node.sharing: there is no resource \"cpuu\"; did you mean \"cpu\"?",
        ),
        (
            "[[scope]]\npath = \"a\"\nweight = 0\n".into(),
            "config: scope \"a\": weight: 0 is no weight; from 1 to 1000000",
        ),
        (
            "[[scope]]\npath = \"a\"\nweight = 2000000\n".into(),
            "config: scope \"a\": weight: 2000000 is no weight; from 1 to 1000000",
        ),
        ("[[scope]]\npath = \"a//b\"\n".into(), "config: scope \"a//b\": "),
        (
            "[[scope]]\npath = \"a\"\nweight = 2\n[[scope]]\npath = \"a\"\nmax-claims = 3\n".into(),
            "config: scope \"a\": it is set twice; say it once",
        ),
        ([pool("50k/m"), pool("60k/m")].concat(), "config: pool tokens:acct: it is set twice; say it once"),
        (pool("50k/m").replace("acct", &long), "config: pool tokens:xxx"),
        ("[preemption]\nshrink-to = 101\n".into(), "config: preemption.shrink-to: 101 %"),
        (
            "[preemption]\nidle = [\"cpu=1\"]\n".into(),
            "config: preemption.idle: \"cpu=1\" is no name of a kind",
        ),
        ("[plugins]\ninline = [\"trusted\"]\n".into(), "config: plugins.inline: \"trusted\" is no sha256"),
        (
            "[plugins.pin]\nbest-fit = \"newest\"\n".into(),
            "config: plugins.pin.best-fit: \"newest\" is no version",
        ),
        ("[http]\nlifetime = \"0s\"\n".into(), "config: http.lifetime: 0s is no time"),
        ("[http]\nlisten = \"x\"\n".into(), "cannot listen on x (http.listen, --http)"),
        ("[plugins]\ndirs = [\"/x\"]\n".into(), "/x is no folder of plugins (plugins.dirs, --plugins)"),
        ("[plugins]\ndeadline-ms = 0\n".into(), "config: plugins.deadline-ms: in 0 ms nobody decides"),
        (
            format!("[journal]\nballast-bytes = {}\n", i64::MAX),
            "config: journal.ballast-bytes: 9223372036854775807 is more than the disk of ",
        ),
        (
            "[plugins.config.port]\nfrst = 28700\n".into(),
            "config: plugins.config.port: unknown key \"frst\"; did you mean \"first\"?",
        ),
        (
            "[plugins.config.port]\nfirst = 30000\nlast = 20000\n".into(),
            "config: plugins.config.port: first 30000 to last 20000 is no range",
        ),
        (
            "[plugins.config.disk]\nkept-percent = 200\n".into(),
            "config: plugins.config.disk: kept-percent 200",
        ),
        (
            "[plugins.config.detect-pressure]\nlook = 2\n".into(),
            "config: plugins.config.detect-pressure: unknown key \"look\"; did you mean \"looks\"?",
        ),
        (
            "[plugins.config.cpu]\nx = 1\n".into(),
            "config: plugins.config.cpu: unknown key \"x\"; cpu takes no config",
        ),
        (
            "[plugins.config.best-fit]\nx = 1\n".into(),
            "config: plugins.config.best-fit: unknown key \"x\"; best-fit takes no config",
        ),
    ] {
        fs::write(scratch.path().join("c.toml"), &config).expect("written");
        let config = scratch.path().join("c.toml").display().to_string();
        // One that starts all the same does not stay.
        let told = serve(scratch.path(), &["--config", &config, "--state", &state, "--idle-exit", "1s"]);
        // What a key says wrong is wrong usage; what the world lacks is a failure.
        says(&told, if what.starts_with("config: ") { 2 } else { 1 }, what);
    }
    let journal = serve(scratch.path(), &["--state", &state, "--idle-exit", "100ms"]);
    assert!(
        journal.code == 0 && !journal.err.contains("ERROR"),
        "nothing of it was written down: {journal:?}"
    );
}

#[test]
fn a_state_directory_in_use_is_left_alone() {
    let mut daemon = Daemon::plain();
    let state = daemon.state().display().to_string();
    let other = TempDir::new().expect("a folder");
    says(&serve(other.path(), &["--state", &state]), 1, &format!("in use by process {}", daemon.pid()));
    daemon.stop();
    let doctor = daemon.tell(&["doctor", "--journal", &state, "-o", "json"]);
    assert_eq!((doctor.code, &doctor.json()["sound"]), (0, &true.into()), "{doctor:?}");
    // One bit of one row.
    let database = daemon.state().join("journal.sqlite");
    let mut bytes = fs::read(&database).expect("a database");
    let at = bytes.windows(8).rposition(|window| window == b"best-fit").expect("a row that names it");
    bytes[at] ^= 4;
    fs::write(&database, bytes).expect("written");
    let doctor = daemon.tell(&["doctor", "--journal", &state, "-o", "json"]);
    assert_eq!((doctor.code, &doctor.json()["sound"]), (1, &false.into()), "one document: {doctor:?}");
}

#[test]
fn files_that_are_no_plugins_are_passed_over_and_told() {
    let folder = TempDir::new().expect("a folder");
    let good = fs::read(bursar_conformance::first_party().join("liballoc_fit.so")).expect("built");
    fs::write(folder.path().join("libwords.so"), "no library").expect("written");
    fs::write(folder.path().join("libcut.so"), &good[..good.len() / 3]).expect("written");
    fs::write(folder.path().join("notes.txt"), "not looked at").expect("written");
    let daemon = Daemon::with(Setup { plugins: vec![folder.path().into()], ..Setup::default() });
    let plugins = daemon.ask(&["plugin", "list"]);
    let of = |id: &str| {
        plugins["plugins"].as_array().and_then(|all| all.iter().find(|plugin| plugin["id"] == id)).cloned()
    };
    assert_eq!(of("libwords").expect("listed")["state"], "refused");
    assert!(
        of("libcut").expect("listed")["reason"]
            .as_str()
            .is_some_and(|why| why.contains("cut off") || why.contains("no shared library"))
    );
    assert!(of("notes").is_none());
    assert_eq!(of("best-fit").expect("linked")["home"], "linked");
    assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "true"]).code, 0);
    let doctor = daemon.tell(&["doctor"]);
    assert!(doctor.code == 1 && doctor.err.contains("libcut"), "{doctor:?}");
}

#[test]
fn hidden_commands_are_not_for_people() {
    let bare = |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(args).stdin(Stdio::null());
        told(command)
    };
    says(&bare(&["plugin-host"]), 2, "started by the daemon only");
    assert!(!bare(&["--help"]).out.contains("plugin-host"));
}
