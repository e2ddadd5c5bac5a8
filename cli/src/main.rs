//! The host and the commands: bursar.
fn main() {}
