//! How a log is opened.

use std::path::PathBuf;

/// The queue's default size, in bytes.
pub const DEFAULT_QUEUE: usize = 8 << 20;

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// A file (or FIFO), made where there is none.
    Path(PathBuf),
    /// Standard output (`-`).
    Stdout,
}

impl LogTarget {
    /// `-` is standard output, anything else a path.
    pub fn parse(text: &str) -> Self {
        if text == "-" {
            Self::Stdout
        } else {
            Self::Path(PathBuf::from(text))
        }
    }
}

/// What happens to calls whose use cannot be logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLogFailure {
    /// They go on; their lines wait in memory.
    #[default]
    Continue,
    /// They are refused: no unlogged use.
    Refuse,
}

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// What messages call it: `deprecation log`, `access log`.
    pub name: &'static str,
    pub target: LogTarget,
    /// Whether lines are on disk (`fdatasync`) before `append` returns.
    pub sync: bool,
    pub on_failure: OnLogFailure,
    /// The most bytes that wait in memory while the log cannot be written.
    pub queue: usize,
}

impl LogConfig {
    /// The deprecation log with its defaults.
    pub fn deprecation(target: LogTarget) -> Self {
        Self {
            name: "deprecation log",
            target,
            sync: false,
            on_failure: OnLogFailure::Continue,
            queue: DEFAULT_QUEUE,
        }
    }

    /// The access log with its defaults.
    pub fn access(target: LogTarget) -> Self {
        Self {
            name: "access log",
            queue: 1 << 20,
            ..Self::deprecation(target)
        }
    }
}
