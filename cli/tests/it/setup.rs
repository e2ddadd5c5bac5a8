//! The program about itself: its config with what said so, its manual, and what a host lacks.
use crate::daemon::{Daemon, program, told};
use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A command in a home of its own.
fn at_home(home: &TempDir, args: &[&str], vars: &[(&str, &str)]) -> crate::daemon::Told {
    let mut command = Command::new(program());
    command.args(args).env("HOME", home.path()).env_remove("XDG_CONFIG_HOME").stdin(Stdio::null());
    command.envs(vars.iter().copied());
    told(command)
}

#[test]
fn each_key_of_the_config_says_where_its_value_comes_from() {
    let home = TempDir::new().expect("a folder");
    let own = home.path().join(".config/bursar");
    fs::create_dir_all(&own).expect("made");
    fs::write(own.join("bursar.toml"), "[journal]\nretain-hours = 5\n[strategy]\nqos = \"fcfs\"\n")
        .expect("written");
    let vars = [("BURSAR__JOURNAL__RETAIN_HOURS", "7"), ("BURSAR__HTTP__LISTEN", "127.0.0.1:2")];
    let shown =
        at_home(&home, &["config", "show", "--origins", "--http", "127.0.0.1:1", "-o", "json"], &vars);
    assert_eq!(shown.code, 0, "{shown:?}");
    let keys = shown.json()["keys"].as_array().expect("keys").clone();
    let key = |name: &str| {
        let found = keys.iter().find(|key| key["key"] == name).unwrap_or_else(|| panic!("{name}"));
        (found["value"].clone(), found["origin"].as_str().expect("a word").to_owned())
    };
    assert_eq!(key("journal.retain-hours"), (7.into(), "environment BURSAR__JOURNAL__RETAIN_HOURS".into()));
    let (qos, origin) = key("strategy.qos");
    assert!(qos == "fcfs" && origin.starts_with("file ") && origin.ends_with("bursar.toml"), "{origin}");
    assert_eq!(key("http.listen"), ("127.0.0.1:1".into(), "flag --http".into()));
    assert_eq!(key("strategy.allocator"), ("best-fit".into(), "default".into()));
    let table = at_home(&home, &["config", "show", "--origins"], &vars);
    assert!(table.out.contains("ORIGIN") && table.out.contains("environment BURSAR__"), "{table:?}");
    // What is shown can be used as it is.
    let whole = at_home(&home, &["config", "show"], &vars);
    let again = home.path().join("again.toml");
    fs::write(&again, &whole.out).expect("written");
    let same = at_home(&home, &["config", "show", "--config", &again.display().to_string()], &[]);
    assert_eq!((same.code, &same.out), (0, &whole.out), "{same:?}");
    // A file that is named wins over the usual one, and what is wrong is laid to what said it.
    fs::write(&again, "[journal]\nretain-days = 5\n").expect("written");
    let wrong = at_home(&home, &["config", "show", "--config", &again.display().to_string()], &[]);
    assert!(
        wrong.code == 2 && wrong.err.contains("again.toml") && wrong.err.contains("retain-days"),
        "{wrong:?}"
    );
    let wrong = at_home(&home, &["config", "show"], &[("BURSAR__STRATEGY__COLOUR", "red")]);
    assert!(wrong.code == 2 && wrong.err.contains("BURSAR__STRATEGY__COLOUR"), "{wrong:?}");
}

#[test]
fn the_keys_of_the_config_are_described_one_and_all() {
    let home = TempDir::new().expect("a folder");
    let schema = at_home(&home, &["config", "schema"], &[]).json();
    let shown = at_home(&home, &["config", "show", "-o", "json"], &[]).json();
    for (table, keys) in shown["config"].as_object().expect("tables") {
        let described = &schema["properties"][table];
        assert!(described.is_object(), "{table}");
        let to = described["$ref"].as_str().or_else(|| described["allOf"][0]["$ref"].as_str());
        let Some((to, keys)) = to.zip(keys.as_object()) else { continue };
        for key in keys.keys() {
            let key = schema.pointer(to.trim_start_matches('#')).map(|table| &table["properties"][key]);
            let told = key.and_then(|key| key["description"].as_str()).unwrap_or_default();
            assert!(told.len() > 5, "{table}: {key:?}");
        }
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let home = TempDir::new().expect("a folder");
    let main = at_home(&home, &["man"], &[]);
    assert!(main.code == 0 && main.out.contains(".TH bursar"), "{main:?}");
    let folder = home.path().join("man");
    let written = at_home(&home, &["man", "--to", &folder.display().to_string()], &[]);
    assert_eq!(written.code, 0, "{written:?}");
    let page = |name: &str| fs::read_to_string(folder.join(format!("{name}.1"))).expect(name);
    assert!(page("bursar-get").contains("What did those") || page("bursar-get").contains("audit"));
    assert!(page("bursar-config-show").contains("origins"));
    let help = at_home(&home, &["--help"], &[]).out;
    let listed =
        help.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let commands = listed.filter_map(|line| line.split(' ').next()).filter(|word| !word.starts_with('-'));
    for command in commands.filter(|word| *word != "help" && !word.is_empty()) {
        assert!(page(&format!("bursar-{command}")).contains(".SH"), "{command}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let told = at_home(&home, &["completions", shell], &[]);
        assert!(told.code == 0 && told.out.contains("bursar") && told.out.contains("config"), "{shell}");
        assert!(!told.out.contains("plugin-host") && told.out.contains("socket"), "{shell}");
    }
}

#[test]
fn help_says_what_it_is_for_and_of_each_option_one_default() {
    let home = TempDir::new().expect("a folder");
    let help = at_home(&home, &["--help"], &[]).out;
    let first = help.lines().next().expect("a line");
    assert!(include_str!("../../../README.md").contains(first.trim_end_matches('.')), "{first}");
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let named = |line: &str| line.starts_with("  ") && !line.starts_with("   ");
    let verbs = verbs.take_while(|line| !line.is_empty()).filter(|line| named(line));
    let verbs: Vec<&str> = verbs.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(verbs.contains(&"run") && verbs.contains(&"token"), "{verbs:?}");
    for verb in verbs.into_iter().filter(|verb| *verb != "help") {
        // What is said of an option is indented further than the option.
        let help = at_home(&home, &[verb, "--help"], &[]).out.replace("\n  -", "\n      -");
        for option in help.split("\n      -") {
            let empty = ["[default: ]", "[default: \"\"]"].iter().any(|said| option.contains(said));
            assert!(!empty && option.matches("[default: ").count() < 2, "{verb}: {option}");
        }
    }
}

#[test]
fn the_doctor_says_what_would_help() {
    let daemon = Daemon::configured("[enforce]\ncgroups = false\n");
    let told = daemon.tell(&["doctor"]);
    assert!(told.out.contains("What would help:") && told.out.contains("systemd-run"), "{told:?}");
    let report: Value = daemon.ask(&["doctor"]);
    let findings = report["findings"].as_array().expect("findings");
    let weak = findings.iter().find(|finding| finding["what"] == "memory limit").expect("looked at");
    assert_eq!(weak["state"], "weak", "{weak}");
    assert!(weak["advice"].as_str().is_some_and(|advice| advice.contains("controller")), "{weak}");
    assert!(findings.iter().any(|finding| finding["state"] == "ok" && finding["advice"].is_null()));
}

#[test]
fn paths_from_here_hold_elsewhere_as_well() {
    let home = TempDir::new().expect("a folder");
    let here = |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(args).current_dir(home.path()).env("HOME", home.path()).env_remove("XDG_RUNTIME_DIR");
        command
    };
    let mut serve = here(&["serve", "--state", "s", "--socket", "b.sock"]);
    let mut daemon = serve.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("the daemon");
    let since = Instant::now();
    while !bursar_wire::Client::new(&home.path().join("b.sock")).alive() {
        assert!(since.elapsed() < Duration::from_secs(20), "it does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
    let elsewhere = "cd / && \"$0\" get claims -o name && ls -d \"$BURSAR_SCRATCH\" && pwd";
    let told = told(here(&[
        "run",
        "--socket",
        "b.sock",
        "--need",
        "disk=1M",
        "--",
        "sh",
        "-c",
        elsewhere,
        &program().display().to_string(),
    ]));
    let pid = rustix::process::Pid::from_child(&daemon);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told to end");
    daemon.wait().expect("waited for");
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.out.starts_with('1') && told.out.ends_with("/\n"), "{told:?}");
}
