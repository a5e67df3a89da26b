//! Starts the command line; an outcome becomes one line and an exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    b24_migration_proxy::memory::give_back_large_blocks();
    b24_migration_proxy::cli::run(std::env::args_os())
}
