//! Which commands of an agent are heavy, and how one is written so that it runs inside a lease of its own.
use crate::args::Ask;

/// What is heavy when nobody says: words that a command begins with.
const HEAVY: [&str; 34] = [
    "bazel",
    "cargo bench",
    "cargo build",
    "cargo check",
    "cargo clippy",
    "cargo doc",
    "cargo nextest",
    "cargo run",
    "cargo test",
    "cmake --build",
    "docker build",
    "go build",
    "go test",
    "gradle",
    "gradlew",
    "jest",
    "make",
    "meson compile",
    "mvn",
    "ninja",
    "npm ci",
    "npm install",
    "npm run",
    "npm test",
    "npx jest",
    "npx tsc",
    "npx vitest",
    "pip install",
    "pnpm",
    "pytest",
    "python -m pytest",
    "tox",
    "vitest",
    "yarn",
];
/// Words that only stand before a command.
const BEFORE: [&str; 8] = ["sudo", "env", "nice", "nohup", "time", "exec", "command", "builtin"];

/// Whether some command of a line is heavy: one of `patterns`, or of the usual ones where there are none.
pub fn is_heavy(line: &str, patterns: &[String]) -> bool {
    let usual = || HEAVY.iter().any(|pattern| begins(line, pattern));
    match patterns {
        [] => usual(),
        patterns => patterns.iter().any(|pattern| begins(line, pattern)),
    }
}

/// Whether a line takes its leases itself.
pub fn is_leased(line: &str) -> bool {
    begins(line, "bursar run")
}

/// Whether some command of a line begins with the words of a pattern.
fn begins(line: &str, pattern: &str) -> bool {
    commands(line).any(|command| {
        let mut words = words(command);
        pattern.split_whitespace().all(|wanted| words.next().is_some_and(|word| word == wanted))
    })
}

/// The commands of a line, cut where a shell would begin another. Quotes are not read: a word inside of them
/// may be taken for a command, which then runs inside a lease without need.
fn commands(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| ";|&\n(){}`".contains(c)).map(str::trim).filter(|command| !command.is_empty())
}

/// The words of a command: without what only stands before it, and the first one without its folder.
fn words(command: &str) -> impl Iterator<Item = &str> {
    let before = |word: &&str| {
        let assigns = word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        assigns || BEFORE.contains(word)
    };
    let mut words = command.split_whitespace().skip_while(before);
    let first = words.next().map(|word| word.rsplit('/').next().unwrap_or(word));
    first.into_iter().chain(words)
}

/// A command line that runs `line` in `scope`, inside a lease of what `ask` says.
pub fn leased(line: &str, scope: &str, ask: &Ask, program: &str, socket: Option<&str>) -> String {
    let mut words = vec![quoted(program)];
    socket.into_iter().for_each(|socket| words.extend(["--socket".into(), quoted(socket)]));
    words.push("run".into());
    let mut say = |flag: &str, value: &str| words.extend([flag.to_owned(), quoted(value)]);
    let figures =
        [("--cpu", &ask.cpu), ("--memory", &ask.memory), ("--pids", &ask.pids), ("--gpu", &ask.gpu)];
    let spans = [("--wait", &ask.wait), ("--ttl", &ask.ttl), ("--expect", &ask.expect)];
    for (flag, value) in figures.into_iter().chain(spans) {
        value.iter().for_each(|value| say(flag, value));
    }
    ask.need.iter().for_each(|need| say("--need", need));
    ask.lock.iter().for_each(|lock| say("--lock", lock));
    ask.or.iter().for_each(|set| say("--or", set));
    if !scope.is_empty() {
        say("--scope", scope);
    }
    if ask.priority > 0 {
        say("--priority", &ask.priority.to_string());
    }
    say("--class", ask.class.name());
    words.extend(["--".into(), shell().into(), "-c".into(), quoted(line)]);
    words.join(" ")
}

/// What the line is read by: the shell that agents write for, where there is one.
fn shell() -> &'static str {
    let bash = ["/bin/bash", "/usr/bin/bash"].into_iter().find(|path| std::path::Path::new(path).exists());
    bash.unwrap_or("sh")
}

/// A word that a shell reads as it is.
pub fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heavy_command_is_found_wherever_it_stands() {
        for line in [
            "cargo test",
            "cd /x && RUST_LOG=debug cargo test --workspace",
            "time /usr/bin/make -j8",
            "(cd a; ./gradlew build)",
            "echo hi | yarn",
        ] {
            assert!(is_heavy(line, &[]), "{line}");
        }
        for line in ["cargo --version", "echo cargo test", "ls", "", "makeup", "git log --grep=make"] {
            assert!(!is_heavy(line, &[]), "{line}");
        }
        assert!(is_heavy("ffmpeg -i a b", &["ffmpeg".into()]));
        assert!(!is_heavy("cargo test", &["ffmpeg".into()]));
        assert!(is_leased("cd x && bursar run --cpu 1 -- make"));
    }

    #[test]
    fn a_line_survives_its_quoting() {
        let line = "echo 'it'\"'\"'s' \"$HOME\" && printf '%s\\n' a";
        let ask = Ask { cpu: Some("2".into()), wait: Some("10m".into()), ..Ask::default() };
        let leased = leased(line, "session-1", &ask, "/bin/bur sar", Some("/tmp/s"));
        assert!(
            leased.starts_with("'/bin/bur sar' --socket /tmp/s run --cpu 2 --wait 10m --scope session-1"),
            "{leased}"
        );
        let inner = leased.split_once(" -c ").expect("a shell").1;
        let run = |script: &str| {
            let output = std::process::Command::new("sh").args(["-c", script]).output().expect("sh");
            String::from_utf8(output.stdout).expect("text")
        };
        assert_eq!(run(&format!("sh -c {inner}")), run(line));
    }
}
