//! Reads the words behind `bursar run`, as the full command line reads them. What it does not know, and whatever is
//! wrong, is left to that: it has the help and the better words for it.
use crate::{Ask, ClassArg, Run};
use std::{ffi::OsString, path::PathBuf};

/// A command to run, and where the daemon is if that was said.
#[derive(Debug)]
pub struct Errand {
    /// The socket.
    pub socket: Option<PathBuf>,
    /// What to run inside what.
    pub run: Run,
}

/// What the words of a command line say; `None` for what is not read here.
pub fn read(words: &[OsString]) -> Option<Errand> {
    // So is a daemon elsewhere: commands run on this machine.
    if std::env::var_os("BURSAR_URL").is_some() {
        return None;
    }
    // One that is named and empty is an error there.
    let nowhere = std::env::var_os("BURSAR_SOCKET").is_some_and(|socket| socket.is_empty());
    if nowhere { None } else { understand(words) }
}

pub(crate) fn understand(words: &[OsString]) -> Option<Errand> {
    let end = words.iter().position(|word| word == "--")?;
    let (options, command) = (&words[1..end], words[end + 1..].to_vec());
    let options: Vec<&str> = options.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let mut rest = options.into_iter().peekable();
    let (mut ask, mut socket) = (Ask::default(), None);
    // The one option that is often said before the verb.
    let mut first = rest.next()?;
    if let Some(said) = first.strip_prefix("--socket") {
        let value = said.strip_prefix('=').or_else(|| if said.is_empty() { rest.next() } else { None })?;
        socket = Some(value.into()).filter(|_| !value.is_empty() && !value.starts_with('-'));
        first = socket.is_some().then(|| rest.next())??;
    }
    if first != "run" || command.is_empty() {
        return None;
    }
    while let Some(word) = rest.next() {
        let (name, attached) = match word.strip_prefix("--")?.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word.strip_prefix("--")?, None),
        };
        if name == "no-autostart" && attached.is_none() && !ask.no_autostart {
            ask.no_autostart = true;
            continue;
        }
        if name == "port" && attached.is_none() && rest.peek().is_none_or(|next| next.starts_with('-')) {
            ask.port.push("any".into());
            continue;
        }
        let value = match attached {
            Some(value) => value,
            // What looks like an option is one, but for these.
            None => rest.next().filter(|next| !next.starts_with('-') || SIGNED.contains(&name))?,
        };
        if value.is_empty() {
            return None;
        }
        match name {
            "socket" => once(&mut socket, value.into())?,
            name => put(&mut ask, name, value)?,
        }
    }
    if ask.within_fence.is_some() && ask.within.is_none() || ask.memory_soft.is_some() && ask.memory.is_none()
    {
        return None;
    }
    Some(Errand { socket, run: Run { ask, command } })
}

/// Options of all verbs, which may be said before it, that have a value.
const GLOBAL: [&str; 6] = ["--socket", "--url", "--ca-file", "--token-file", "--output", "-o"];

/// Whether a command line is that of `bursar run`, however wrong it is: what is wrong with it ends with
/// [`REFUSED`](crate::REFUSED), and with 2 in all others.
pub fn is_run(words: &[OsString]) -> bool {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        if GLOBAL.iter().any(|option| word == option) {
            words.next();
        } else if word == "--" || !word.as_encoded_bytes().starts_with(b"-") {
            return word == "run";
        }
    }
    false
}

/// Options whose value may begin with a sign, so that what is wrong with it can be told.
const SIGNED: [&str; 5] = ["cpu", "memory", "memory-soft", "pids", "gpu"];

fn put(ask: &mut Ask, name: &str, value: &str) -> Option<()> {
    let text = value.to_owned();
    match name {
        "cpu" => once(&mut ask.cpu, text),
        "memory" => once(&mut ask.memory, text),
        "memory-soft" => once(&mut ask.memory_soft, text),
        "pids" => once(&mut ask.pids, text),
        "gpu" => once(&mut ask.gpu, text),
        "wait" => once(&mut ask.wait, text),
        "ttl" => once(&mut ask.ttl, text),
        "expect" => once(&mut ask.expect, text),
        "within" => once(&mut ask.within, text),
        "within-fence" => once(&mut ask.within_fence, value.parse().ok()?),
        "gang" => once(&mut ask.gang, text),
        "key" => once(&mut ask.key, text),
        "need" => several(&mut ask.need, text),
        "or" => several(&mut ask.or, text),
        "lock" => several(&mut ask.lock, text),
        "port" => several(&mut ask.port, text),
        "holding" => several(&mut ask.holding, text),
        "label" => several(&mut ask.label, text),
        "not-label" => several(&mut ask.not_label, text),
        // Zero and nothing are what stands there when they were not given; once more is an error there.
        "priority" if ask.priority == 0 => {
            value.parse().ok().filter(|&it| it > 0).map(|it| ask.priority = it)
        }
        // The root by the sign that is shown for it is read by those who read everything.
        "scope" if ask.scope.is_empty() && value != "/" => {
            ask.scope = text;
            Some(())
        }
        "class" if ask.class == ClassArg::default() => {
            let classes = [ClassArg::Guaranteed, ClassArg::BestEffort];
            classes.into_iter().find(|class| class.name() == value).map(|class| ask.class = class)
        }
        _ => None,
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    match place.replace(value) {
        None => Some(()),
        Some(_) => None,
    }
}

fn several(place: &mut Vec<String>, value: String) -> Option<()> {
    place.push(value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, Subcommand};

    /// The full command line, as far as it is about this.
    #[derive(Parser)]
    struct Full {
        #[arg(long, global = true)]
        socket: Option<PathBuf>,
        #[command(subcommand)]
        verb: Verb,
    }

    #[derive(Subcommand)]
    enum Verb {
        Run(Run),
    }

    fn both(line: &str) -> (Option<String>, Option<String>) {
        let words: Vec<OsString> = format!("bursar {line}").split(' ').map(OsString::from).collect();
        let here = understand(&words).map(|errand| format!("{:?} {:?}", errand.socket, errand.run));
        let full = Full::try_parse_from(&words).ok();
        let there = full.map(|Full { socket, verb: Verb::Run(run) }| format!("{socket:?} {run:?}"));
        (here, there)
    }

    #[test]
    fn what_is_read_here_is_read_alike_there() {
        for line in [
            "run -- true",
            "run --cpu 0.5 --wait 10s -- true",
            "run --cpu=0.5 --memory=1G --pids 9 --gpu 1 -- sh -c exit --cpu 7 -- x",
            "run --need a=1 --need=b:c=2 --or cpu=2,memory=1G --lock l --lock m:shared -- true",
            "run --port -- true",
            "run --port 8080 --port --port=any --cpu 1 -- true",
            "run --scope a/b --class guaranteed --priority 7 --ttl 1m --expect 1s -- true",
            "run --class best-effort --label x --not-label y --within 7 --within-fence 9 -- true",
            "run --within none --gang crew:4 --key k --no-autostart --socket /s -- true",
            "--socket /s run --cpu 1 -- true",
            "--socket=/s run -- true",
            "run --cpu -1 -- true",
            "run --memory 1G --memory-soft 512M -- true",
            "run --need a=b=c -- true",
        ] {
            let (here, there) = both(line);
            assert!(here.is_some(), "{line}");
            assert_eq!(here, there, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_or_unusual_is_left_to_the_full_command_line() {
        for line in [
            "run",
            "run --",
            "run true",
            "run --cpu",
            "run --cpu -- true",
            "run --cpu 1 --cpu 2 -- true",
            "run --nonsense 1 -- true",
            "run --help -- true",
            "run --wait -1 -- true",
            "run --class some -- true",
            "run --class burstable --class burstable -- true",
            "run --priority x -- true",
            "run --priority 0 --priority 1 -- true",
            "run --within-fence 9 -- true",
            "run --memory-soft 1G -- true",
            "run --no-autostart=1 -- true",
            "run --cpu= -- true",
            "run --scope= -- true",
            "run --scope / -- true",
            "-o json run -- true",
            "--socket run -- true",
            "--socket= run -- true",
            "--socket /s --socket /t run -- true",
            "--socket /s run --socket /t -- true",
            "--socketry /s run -- true",
            "get pools",
            "claim --cpu 1 -- true",
        ] {
            assert_eq!(both(line).0, None, "{line}");
        }
    }
}
