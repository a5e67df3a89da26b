//! A log of whole lines that a business relies on: the deprecation log, and with less at stake the access log.
//!
//! **One append, whole lines.** A batch of lines is one `write(2)` to a file opened with `O_APPEND`, on the calling thread:
//! when [`LineLog::append`] returns `Ok`, the lines are the kernel's, and `kill -9` does not lose them.
//!
//! **Trouble stalls nobody.** What cannot be written (a full disk, a file-size limit, a pipe that nobody reads) waits in a
//! bounded queue and goes out in order when the log works again; what does not fit is dropped and counted. A path is opened
//! with `O_NONBLOCK`, so that a FIFO never blocks; standard output, whose flags are shared with others and stay as they
//! are, is asked with `poll(2)` before each piece of at most `PIPE_BUF` bytes, which a pipe that polls as writable takes
//! without blocking.
//!
//! **No torn line.** After a short write the rest of the line follows where nobody else has written since; else the next
//! line begins on a new line and is written whole again.
//!
//! **Rotation by rename loses nothing.** Until [`LineLog::reopen`] the lines go to the renamed file; [`LineLog::tick`] sees
//! within its caller's period that the path leads elsewhere. No line is split over two files.

mod config;
mod queue;
mod sink;
mod stderr;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

pub use config::{DEFAULT_QUEUE, LogConfig, LogTarget, OnLogFailure};
use queue::Queue;
use sink::Sink;

use super::reader::Counts;
pub use stderr::Stderr;

/// Repeated trouble is said at most this often in the operational log.
const QUIET: Duration = Duration::from_secs(10);

/// The lines are not in the log, and the log was opened with [`OnLogFailure::Refuse`]. They wait in the queue if it has room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogUnavailable;

impl std::fmt::Display for LogUnavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the deprecation log cannot be written")
    }
}

impl std::error::Error for LogUnavailable {}

/// How a log is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogStatus {
    /// Whether the last write succeeded and nothing waits.
    pub ok: bool,
    /// Lines and bytes that wait in memory.
    pub queued: u64,
    pub queued_bytes: u64,
    /// Lines that did not fit into the queue.
    pub dropped: u64,
    /// Lines that were written.
    pub written: u64,
    /// Writes (and syncs and reopenings) that failed.
    pub errors: u64,
    /// What failed last, in words; stays after the log works again.
    pub last_error: Option<String>,
    /// When a line was last written.
    pub last_write: Option<SystemTime>,
}

/// The log of deprecated calls.
pub type DeprecationLog = LineLog;

/// A log of whole lines. Shared by all threads.
#[derive(Debug)]
pub struct LineLog {
    config: LogConfig,
    state: Mutex<State>,
    /// Whether something waits: read without the lock.
    failing: AtomicBool,
    /// How many lines are known to be on disk; see [`LineLog::sync`].
    synced: Mutex<u64>,
    length_at_open: u64,
    identity_at_open: Option<(u64, u64)>,
}

/// What became of lines.
struct Put {
    /// Whether all are written.
    whole: bool,
    /// How many there were, and how many of them found no room.
    lines: u64,
    dropped: u64,
}

#[derive(Debug)]
struct State {
    sink: Arc<Sink>,
    queue: Queue,
    status: LogStatus,
    /// What the run has counted; requests and calls are counted elsewhere.
    counts: Counts,
    /// The length of a regular file after a short write: where it still is, the rest of the line may follow.
    torn_at: Option<u64>,
    trouble: Trouble,
}

/// What the operational log was told.
#[derive(Debug, Default)]
struct Trouble {
    since: Option<Instant>,
    said: Option<Instant>,
    dropped_before: u64,
}

impl LineLog {
    /// Opens the log. A file that ends in the middle of a line (its writer died) gets a line feed first.
    ///
    /// # Errors
    /// What the system says; the caller names the log's target.
    pub fn open(config: LogConfig) -> io::Result<Arc<Self>> {
        let sink = Arc::new(Sink::open(&config.target)?);
        let length_at_open = sink.regular_length().unwrap_or(0);
        let identity_at_open = sink.identity;
        let state = State {
            sink,
            queue: Queue::new(config.queue),
            status: LogStatus {
                ok: true,
                ..LogStatus::default()
            },
            counts: Counts::default(),
            torn_at: None,
            trouble: Trouble::default(),
        };
        Ok(Arc::new(Self {
            config,
            state: Mutex::new(state),
            failing: AtomicBool::new(false),
            synced: Mutex::new(0),
            length_at_open,
            identity_at_open,
        }))
    }

    /// Appends whole lines, each with its line feed. Blocks for no longer than the disk takes. They are not among those
    /// that [`Counts::lines`] counts.
    ///
    /// # Errors
    /// Only with [`OnLogFailure::Refuse`]: the lines are not in the log now.
    pub fn append(&self, lines: &[u8]) -> Result<(), LogUnavailable> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        let put = self.put(&mut state, lines, count(lines));
        self.end(state, put.whole)
    }

    /// As [`LineLog::append`], for so many lines of events. What they tell of is added to the run's counts under the same lock, so
    /// that the counts of a heartbeat are exactly those of the lines before it.
    ///
    /// # Errors
    /// As [`LineLog::append`].
    pub fn append_counted(
        &self,
        lines: &[u8],
        number: u64,
        grown: &Counts,
    ) -> Result<(), LogUnavailable> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut state = self.lock();
        let put = self.put(&mut state, lines, number);
        state.counts = state.counts.plus(grown);
        state.counts.lines += put.lines - put.dropped;
        state.counts.dropped += put.dropped;
        self.end(state, put.whole)
    }

    /// Appends lines that are made of the run's counts while nobody else can append. `make` writes them and gives what they
    /// add to the counts, their number among it.
    ///
    /// # Errors
    /// As [`LineLog::append`].
    pub fn append_made(
        &self,
        make: impl FnOnce(&Counts, &mut Vec<u8>) -> Counts,
    ) -> Result<(), LogUnavailable> {
        let mut lines = Vec::new();
        let mut state = self.lock();
        let grown = make(&state.counts, &mut lines);
        if lines.is_empty() {
            return Ok(());
        }
        let put = self.put(&mut state, &lines, count(&lines));
        state.counts = state.counts.plus(&grown);
        // The last lines are dropped first: those that are not counted stand last.
        let uncounted = put.lines - grown.lines;
        state.counts.lines -= put.dropped.saturating_sub(uncounted);
        state.counts.dropped += put.dropped;
        self.end(state, put.whole)
    }

    /// What the run has counted.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Writes so many lines, or has them wait.
    fn put(&self, state: &mut State, lines: &[u8], number: u64) -> Put {
        debug_assert!(lines.ends_with(b"\n"), "the log takes whole lines");
        debug_assert_eq!(number, count(lines), "its caller knows how many");
        let flushed = state.queue.is_empty() || self.flush(state);
        let mut written = 0;
        let result = if flushed {
            state.sink.write(lines, &mut written)
        } else {
            Ok(())
        };
        let mut put = Put {
            whole: written == lines.len(),
            lines: number,
            dropped: 0,
        };
        if put.whole {
            state.wrote(put.lines);
        } else {
            let (out, dropped) = state.queue.push(lines, written);
            state.wrote(out);
            state.status.dropped += dropped;
            put.dropped = dropped;
            if flushed {
                state.torn_at = state.sink.regular_length();
            }
            self.failed(state, result.err());
        }
        put
    }

    /// What is said of lines that were put: whether they are in the log, and on disk where that is asked for.
    fn end(&self, state: MutexGuard<'_, State>, whole: bool) -> Result<(), LogUnavailable> {
        if whole && self.config.sync {
            return self.sync(state);
        }
        self.verdict(whole)
    }

    fn verdict(&self, in_the_log: bool) -> Result<(), LogUnavailable> {
        match self.config.on_failure {
            OnLogFailure::Refuse if !in_the_log => Err(LogUnavailable),
            _ => Ok(()),
        }
    }

    /// Waits until what was written so far is on disk. Threads that come together share one `fdatasync`.
    fn sync(&self, state: MutexGuard<'_, State>) -> Result<(), LogUnavailable> {
        let mine = state.status.written;
        drop(state);
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= mine {
            return Ok(());
        }
        let state = self.lock();
        let (sink, so_far) = (Arc::clone(&state.sink), state.status.written);
        drop(state);
        match sink.sync() {
            Ok(()) => {
                *synced = so_far;
                Ok(())
            }
            Err(error) => {
                let mut state = self.lock();
                state.status.errors += 1;
                state.status.last_error = Some(format!("cannot be synced: {}", words(&error)));
                drop(state);
                self.verdict(false)
            }
        }
    }

    /// Whether a line would be written now: asked before a call is sent where [`OnLogFailure::Refuse`] counts. Always true
    /// with [`OnLogFailure::Continue`]. A log in trouble is tried again by the question.
    pub fn can_accept(&self) -> bool {
        self.config.on_failure == OnLogFailure::Continue
            || !self.failing.load(Ordering::Acquire)
            || self.flush_queue()
    }

    /// Tries to write what waits. True when nothing waits any more.
    pub fn flush_queue(&self) -> bool {
        let mut state = self.lock();
        state.queue.is_empty() || self.flush(&mut state)
    }

    /// Opens the path again: after a rotation by rename, on SIGHUP or SIGUSR1. Standard output stays as it is. Lines go to
    /// the old file until the new one is open.
    ///
    /// # Errors
    /// The path cannot be opened; the log goes on with the file that it has.
    pub fn reopen(&self) -> io::Result<()> {
        if self.config.target == LogTarget::Stdout {
            self.flush_queue();
            return Ok(());
        }
        let mut state = self.lock();
        self.reopen_locked(&mut state)
    }

    fn reopen_locked(&self, state: &mut State) -> io::Result<()> {
        let opened = Sink::open(&self.config.target);
        match opened {
            Ok(sink) => {
                if self.config.sync {
                    // Threads that wait for their line to be on disk will sync the new file.
                    let _ = state.sink.sync();
                }
                if !sink.is_same_file(&state.sink) {
                    state.queue.begin_again();
                    state.torn_at = None;
                }
                state.sink = Arc::new(sink);
                if !state.queue.is_empty() {
                    self.flush(state);
                }
                Ok(())
            }
            Err(error) => {
                state.status.errors += 1;
                state.status.last_error = Some(format!("cannot be reopened: {}", words(&error)));
                Err(error)
            }
        }
    }

    /// To be called about once a second: writes what waits, and opens the path again when it no longer leads to the file
    /// that is open.
    pub fn tick(&self) {
        let LogTarget::Path(path) = &self.config.target else {
            self.flush_queue();
            return;
        };
        let there = std::fs::metadata(path)
            .ok()
            .map(|found| (found.dev(), found.ino()));
        let mut state = self.lock();
        if there.is_none() || there != state.sink.identity {
            if let Err(error) = self.reopen_locked(&mut state) {
                let State { trouble, .. } = &mut *state;
                if trouble.may_speak() {
                    tracing::warn!(log = self.config.name, %error, "cannot reopen the log; lines go on to the file that was open");
                }
            }
        } else if !state.queue.is_empty() {
            self.flush(&mut state);
        }
    }

    /// How the log is doing.
    pub fn status(&self) -> LogStatus {
        let state = self.lock();
        LogStatus {
            queued: state.queue.lines(),
            queued_bytes: state.queue.bytes() as u64,
            ..state.status.clone()
        }
    }

    /// How many bytes the file had when it was first opened: what earlier runs wrote.
    pub fn length_at_open(&self) -> u64 {
        self.length_at_open
    }

    /// Device and inode of the file that was first opened.
    pub fn identity_at_open(&self) -> Option<(u64, u64)> {
        self.identity_at_open
    }

    /// Where the lines go.
    pub fn target(&self) -> &LogTarget {
        &self.config.target
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits, as far as it goes. True when nothing waits any more.
    fn flush(&self, state: &mut State) -> bool {
        let mut result = Ok(());
        if state.queue.is_torn()
            && state.torn_at.is_some()
            && state.sink.regular_length() != state.torn_at
        {
            // Somebody else wrote behind our half line: it cannot be continued.
            let mut feed = 0;
            result = state.sink.write(b"\n", &mut feed);
            if feed == 1 {
                state.queue.begin_again();
            }
        }
        if result.is_ok() {
            let mut written = 0;
            result = state.sink.write(state.queue.unwritten(), &mut written);
            let ended = state.queue.wrote(written);
            state.wrote(ended);
            state.torn_at = state.sink.regular_length();
        }
        if state.queue.is_empty() {
            self.recovered(state);
            true
        } else {
            self.failed(state, result.err());
            false
        }
    }

    fn failed(&self, state: &mut State, error: Option<io::Error>) {
        self.failing.store(true, Ordering::Release);
        state.status.ok = false;
        if let Some(error) = error {
            state.status.errors += 1;
            let cause = if error.kind() == ErrorKind::WouldBlock {
                "nobody reads the other end, or not fast enough".to_owned()
            } else {
                words(&error)
            };
            state.status.last_error = Some(cause);
        }
        if state.trouble.since.is_none() {
            state.trouble.since = Some(Instant::now());
            state.trouble.dropped_before = state.status.dropped;
        }
        let (queued, dropped) = (state.queue.lines(), state.status.dropped);
        let cause = state.status.last_error.clone().unwrap_or_default();
        if state.trouble.may_speak() {
            tracing::warn!(log = self.config.name, %cause, queued, dropped, "the log cannot be written; its lines wait in memory");
        }
    }

    fn recovered(&self, state: &mut State) {
        self.failing.store(false, Ordering::Release);
        state.status.ok = true;
        let Some(since) = state.trouble.since.take() else {
            return;
        };
        if state.trouble.said.is_some() {
            let dropped = state.status.dropped - state.trouble.dropped_before;
            let seconds = since.elapsed().as_secs();
            tracing::info!(
                log = self.config.name,
                seconds,
                dropped,
                "the log is written again; the lines that waited are in it"
            );
        }
    }
}

impl Trouble {
    fn may_speak(&mut self) -> bool {
        let now = Instant::now();
        let quiet = self
            .said
            .is_some_and(|said| now.duration_since(said) < QUIET);
        if !quiet {
            self.said = Some(now);
        }
        !quiet
    }
}

impl State {
    fn wrote(&mut self, lines: u64) {
        if lines > 0 {
            self.status.written += lines;
            self.status.last_write = Some(SystemTime::now());
        }
    }
}

/// A file-size limit (`RLIMIT_FSIZE`) is then an error of a write, `EFBIG`, and does not end the process by SIGXFSZ. To be
/// called once at the start, inside or outside of a runtime.
///
/// # Errors
/// The handler cannot be installed.
pub fn survive_the_file_size_limit() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let limit = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    let install = || signal(limit).map(drop);
    if tokio::runtime::Handle::try_current().is_ok() {
        return install();
    }
    // tokio's handlers stay for the life of the process; only to install one takes a runtime.
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?
        .block_on(async { install() })
}

/// How many lines these are.
fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// What the system says, without its number.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}
