//! Deprecation logs as commands are given them: which files, how far the reading has come, and what is wrong with them.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ArgMatches;

use super::failure::Failure;
use crate::telemetry::reader::{Line, Reader, Totals, Trouble};

/// The help of an option or argument that takes logs.
pub const FORMS: &str = "plain or gzipped; - is standard input";

/// How long the reading may take before a terminal is told how far it has come, and how often it is told then.
const PATIENCE: Duration = Duration::from_secs(1);

/// The files that an option or argument names.
pub fn paths(matches: &ArgMatches, name: &str) -> Vec<PathBuf> {
    matches
        .get_many::<PathBuf>(name)
        .unwrap_or_default()
        .cloned()
        .collect()
}

/// Opens logs; see [`Reader::open`].
pub fn open<'p>(paths: &[PathBuf]) -> Result<Reader<'p>, Failure> {
    Reader::open(paths).map_err(failure)
}

/// Reads logs to their end. A terminal on standard error sees how far it has come; what was skipped is said there.
pub fn read(reader: Reader<'_>, take: impl FnMut(&Line<'_>)) -> Result<Totals, Failure> {
    let shows = std::io::stderr().is_terminal();
    let begin = Instant::now();
    let (mut told, mut any) = (begin, false);
    let reader = reader.with_progress(|totals| {
        if shows && told.elapsed() >= PATIENCE {
            told = Instant::now();
            any = true;
            say(&format!(
                "\r{} lines read, {} MiB\u{1b}[K",
                totals.read,
                totals.bytes >> 20
            ));
        }
    });
    let read = reader.read(take);
    if any {
        say("\r\u{1b}[K");
    }
    let totals = read.map_err(failure)?;
    if totals.skipped > 0 {
        say(&format!(
            "{} of {} lines are not events of a deprecation log (torn, too long or foreign); they were skipped\n",
            totals.skipped, totals.read
        ));
    }
    Ok(totals)
}

/// Standard error may be closed; the result is what counts.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn failure(trouble: Trouble) -> Failure {
    let advice = match trouble {
        Trouble::Io(..) => "check the path of the log",
        Trouble::Foreign(..) => "name the file that --deprecation-log writes",
    };
    Failure::usage(format!("{trouble}; {advice}"))
}
