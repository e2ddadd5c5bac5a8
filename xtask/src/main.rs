//! One binary, all automation.
fn main() {}
