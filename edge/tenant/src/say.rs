//! What is said to people beside what a command gives: on standard error, and to nobody where that cannot be written.
use std::{
    fmt::Display,
    io::{Write, stderr},
};

/// Says a line, as a whole. A full disk, or somebody who stopped reading, changes nothing of what a command does.
pub fn say(words: impl Display) {
    let _ = stderr().write_all(format!("bursar: {words}\n").as_bytes());
}
