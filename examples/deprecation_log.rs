//! Writes a seeded deprecation log of a month into a folder: real lines of two replicas, rotated every day.
//!
//! ```text
//! cargo run --release --example deprecation_log -- FOLDER [MIB] [SEED] [COMPRESSED]
//! ```
//!
//! MIB is about how large it is (16), COMPRESSED how many of the oldest files of each replica are gzipped (0). For
//! measuring: `docs/BENCHMARKS.md` has what `report`, `jq` and DuckDB take for one of 1 GiB.

use std::path::Path;
use std::process::ExitCode;

#[path = "../tests/it/support/mod.rs"]
mod support;

use support::generated::{Wanted, write};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: u64| match words.get(at) {
        Some(word) => word.parse().ok(),
        None => Some(usual),
    };
    let (Some(folder), Some(mebibytes), Some(seed), Some(compressed @ 0..=29)) =
        (words.first(), number(1, 16), number(2, 1), number(3, 0))
    else {
        eprintln!("usage: deprecation_log FOLDER [MIB] [SEED] [COMPRESSED, at most 29]");
        return ExitCode::from(2);
    };
    if let Err(error) = std::fs::create_dir_all(folder) {
        eprintln!("cannot make {folder}: {error}");
        return ExitCode::from(2);
    }
    let generated = write(&Wanted {
        folder: Path::new(folder),
        bytes: mebibytes << 20,
        seed,
        compressed: compressed as usize,
    });
    for file in generated.files() {
        println!("{}", file.display());
    }
    ExitCode::SUCCESS
}
