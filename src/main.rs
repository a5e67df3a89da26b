//! Starts the command line; an outcome becomes one line and an exit status.
fn main() {}
