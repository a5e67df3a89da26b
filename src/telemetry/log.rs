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

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::queue::Queue;

/// The queue's default size, in bytes.
pub const DEFAULT_QUEUE: usize = 8 << 20;

/// The most bytes that a pipe takes at once without a reader in between, by POSIX's `PIPE_BUF` on Linux.
const PIPE_BUF: usize = 4096;

/// Repeated trouble is said at most this often in the operational log.
const QUIET: Duration = Duration::from_secs(10);

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
}

#[derive(Debug)]
struct State {
    sink: Arc<Sink>,
    queue: Queue,
    status: LogStatus,
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
        let state = State {
            sink,
            queue: Queue::new(config.queue),
            status: LogStatus {
                ok: true,
                ..LogStatus::default()
            },
            torn_at: None,
            trouble: Trouble::default(),
        };
        Ok(Arc::new(Self {
            config,
            state: Mutex::new(state),
            failing: AtomicBool::new(false),
            synced: Mutex::new(0),
            length_at_open,
        }))
    }

    /// Appends whole lines, each with its line feed. Blocks for no longer than the disk takes.
    ///
    /// # Errors
    /// Only with [`OnLogFailure::Refuse`]: the lines are not in the log now.
    pub fn append(&self, lines: &[u8]) -> Result<(), LogUnavailable> {
        if lines.is_empty() {
            return Ok(());
        }
        debug_assert!(lines.ends_with(b"\n"), "the log takes whole lines");
        let mut state = self.lock();
        let flushed = state.queue.is_empty() || self.flush(&mut state);
        let mut written = 0;
        let result = if flushed {
            state.sink.write(lines, &mut written)
        } else {
            Ok(())
        };
        let whole = written == lines.len();
        if whole {
            state.wrote(memchr::memchr_iter(b'\n', lines).count() as u64);
        } else {
            let (out, dropped) = state.queue.push(lines, written);
            state.wrote(out);
            state.status.dropped += dropped;
            if flushed {
                state.torn_at = state.sink.regular_length();
            }
            self.failed(&mut state, result.err());
        }
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
                state.status.last_error = Some(format!("cannot be synced: {error}"));
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
                state.status.last_error = Some(format!("cannot be reopened: {error}"));
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
                error.to_string()
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

/// What the lines are written to.
#[derive(Debug)]
struct Sink {
    file: File,
    kind: SinkKind,
    /// Device and inode.
    identity: Option<(u64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SinkKind {
    /// A file of a disk: its writes end soon, or fail.
    Regular,
    /// Opened by us with `O_NONBLOCK`.
    NonBlocking,
    /// Shared with others, and may block: to be polled.
    Polled,
}

impl Sink {
    fn open(target: &LogTarget) -> io::Result<Self> {
        match target {
            LogTarget::Path(path) => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
                    .open(path)?;
                let sink = Self::of(file, SinkKind::NonBlocking)?;
                if sink.kind == SinkKind::Regular {
                    end_the_last_line(path, &sink.file);
                }
                Ok(sink)
            }
            LogTarget::Stdout => {
                let file: OwnedFd = io::stdout().as_fd().try_clone_to_owned()?;
                Self::of(File::from(file), SinkKind::Polled)
            }
        }
    }

    fn of(file: File, otherwise: SinkKind) -> io::Result<Self> {
        let found = file.metadata()?;
        let regular = found.file_type().is_file() || found.file_type().is_block_device();
        Ok(Self {
            file,
            kind: if regular {
                SinkKind::Regular
            } else {
                otherwise
            },
            identity: Some((found.dev(), found.ino())),
        })
    }

    fn is_same_file(&self, other: &Self) -> bool {
        self.identity == other.identity
    }

    /// The length of a regular file; nothing for what has no length.
    fn regular_length(&self) -> Option<u64> {
        if self.kind != SinkKind::Regular {
            return None;
        }
        self.file.metadata().ok().map(|found| found.len())
    }

    /// Writes as much as goes without waiting for anybody; `written` says how much, also when it ends in an error.
    fn write(&self, bytes: &[u8], written: &mut usize) -> io::Result<()> {
        while *written < bytes.len() {
            let mut piece = &bytes[*written..];
            if self.kind != SinkKind::Regular && piece.len() > PIPE_BUF {
                // So much a pipe takes whole or not at all: lines stay whole when others write to it too.
                let end =
                    memchr::memrchr(b'\n', &piece[..PIPE_BUF]).map_or(PIPE_BUF, |end| end + 1);
                piece = &piece[..end];
            }
            if self.kind == SinkKind::Polled && !self.is_writable()? {
                return Err(ErrorKind::WouldBlock.into());
            }
            match (&self.file).write(piece) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => *written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_writable(&self) -> io::Result<bool> {
        let mut ask = [PollFd::new(&self.file, PollFlags::OUT)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // An error or a hang-up is for the write to tell.
        Ok(rustix::event::poll(&mut ask, Some(&now))? > 0)
    }

    fn sync(&self) -> io::Result<()> {
        match self.kind {
            SinkKind::Regular => self.file.sync_data(),
            SinkKind::NonBlocking | SinkKind::Polled => Ok(()),
        }
    }
}

/// A line that its writer could not end is ended, so that ours is not glued to it. Best effort: a log that may be written
/// but not read is left as it is.
fn end_the_last_line(path: &std::path::Path, mut append: &File) {
    let last = File::open(path).and_then(|mut file| {
        let mut last = [0u8];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last[0])
    });
    if last.is_ok_and(|last| last != b'\n') {
        let _ = append.write_all(b"\n");
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn open(path: &Path) -> Arc<LineLog> {
        LineLog::open(LogConfig::deprecation(LogTarget::Path(path.to_owned()))).unwrap()
    }

    fn refusing(path: &Path) -> Arc<LineLog> {
        let config = LogConfig {
            on_failure: OnLogFailure::Refuse,
            ..LogConfig::deprecation(LogTarget::Path(path.to_owned()))
        };
        LineLog::open(config).unwrap()
    }

    /// A line that shows where it was torn: `N xxxx… N`.
    fn line(number: usize, width: usize) -> Vec<u8> {
        format!("{number} {} {number}\n", "x".repeat(width)).into_bytes()
    }

    /// The numbers of the lines of a file, in their order; fails at one that is not whole.
    fn numbers(path: &Path) -> Vec<usize> {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(
            text.is_empty() || text.ends_with('\n'),
            "the last line is torn"
        );
        text.lines()
            .map(|line| {
                let (first, rest) = line
                    .split_once(' ')
                    .unwrap_or_else(|| panic!("torn: {line}"));
                assert_eq!(rest.rsplit(' ').next(), Some(first), "torn: {line}");
                first.parse().unwrap()
            })
            .collect()
    }

    /// Runs this test again as a process of its own, for what concerns a whole process; says whether this is that process.
    fn in_a_process_of_its_own(test: &str) -> bool {
        const INSIDE: &str = "TELEMETRY_LOG_TEST_INSIDE";
        if std::env::var_os(INSIDE).is_some() {
            return true;
        }
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                &format!("telemetry::log::tests::{test}"),
                "--nocapture",
            ])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}\n{output:?}",
            String::from_utf8_lossy(&output.stderr)
        );
        false
    }

    #[test]
    fn lines_are_in_the_file_when_append_returns() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open(&path);
        log.append(&line(1, 5)).unwrap();
        assert_eq!(numbers(&path), [1]);
        log.append(&[line(2, 5), line(3, 5)].concat()).unwrap();
        assert_eq!(numbers(&path), [1, 2, 3]);
        let status = log.status();
        assert!(status.ok && status.last_write.is_some());
        assert_eq!(
            (status.written, status.queued, status.dropped, status.errors),
            (3, 0, 0, 0)
        );
    }

    #[test]
    fn a_line_that_its_writer_could_not_end_is_ended_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "1 x 1\n{\"half").unwrap();
        let log = open(&path);
        assert_eq!(log.length_at_open(), 13);
        log.append(b"2 x 2\n").unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "1 x 1\n{\"half\n2 x 2\n"
        );
    }

    #[test]
    fn rotation_by_rename_under_load_loses_and_tears_nothing() {
        const THREADS: usize = 4;
        const LINES: usize = 3000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open(&path);
        let done = AtomicBool::new(false);
        let mut files = vec![path.clone()];
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let log = &log;
                    scope.spawn(move || {
                        for n in 0..LINES {
                            log.append(&line(thread * LINES + n, 200)).unwrap();
                        }
                    })
                })
                .collect();
            let rotator = scope.spawn(|| {
                let mut rotated = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(3));
                    let old = dir.path().join(format!("log.{}", rotated.len()));
                    if std::fs::rename(&path, &old).is_ok() {
                        rotated.push(old);
                    }
                    // Both ways in turn: told by a signal, or seen by itself.
                    if rotated.len() % 2 == 0 {
                        log.reopen().unwrap()
                    } else {
                        log.tick()
                    }
                }
                rotated
            });
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
            files.extend(rotator.join().unwrap());
        });
        assert!(files.len() > 3, "rotated too rarely to show anything");
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for file in files.iter().filter(|file| file.exists()) {
            for number in numbers(file) {
                *seen.entry(number).or_default() += 1;
            }
        }
        assert_eq!(seen.len(), THREADS * LINES);
        assert!(seen.values().all(|&times| times == 1));
    }

    #[test]
    fn a_file_that_was_moved_or_removed_is_replaced_by_a_tick() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open(&path);
        log.append(&line(1, 1)).unwrap();
        std::fs::remove_file(&path).unwrap();
        log.tick();
        log.append(&line(2, 1)).unwrap();
        assert_eq!(numbers(&path), [2]);
        // A directory in its place: lines go on to the open file, and the trouble is known.
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        std::fs::create_dir(&path).unwrap();
        log.tick();
        log.append(&line(3, 1)).unwrap();
        assert!(log.reopen().is_err());
        assert_eq!(numbers(&dir.path().join("old")), [2, 3]);
        assert!(
            log.status()
                .last_error
                .unwrap()
                .starts_with("cannot be reopened")
        );
        std::fs::remove_dir(&path).unwrap();
        log.tick();
        log.append(&line(4, 1)).unwrap();
        assert_eq!(numbers(&path), [4]);
    }

    #[test]
    fn with_a_full_disk_calls_go_on_and_what_does_not_fit_is_counted() {
        let config = LogConfig {
            queue: 100,
            ..LogConfig::deprecation(LogTarget::Path("/dev/full".into()))
        };
        let log = LineLog::open(config).unwrap();
        for number in 0..20 {
            assert_eq!(log.append(&line(number, 10)), Ok(()));
        }
        let status = log.status();
        assert!(!status.ok && status.last_error.unwrap().contains("No space left"));
        assert_eq!(status.queued + status.dropped, 20);
        assert!(
            status.queued_bytes <= 100 && status.queued >= 5,
            "{} bytes",
            status.queued_bytes
        );
        assert!(log.can_accept());
    }

    #[test]
    fn with_a_full_disk_and_refuse_the_caller_is_told() {
        let log = refusing(Path::new("/dev/full"));
        assert!(log.can_accept(), "nothing has failed yet");
        assert_eq!(log.append(&line(1, 1)), Err(LogUnavailable));
        assert!(!log.can_accept());
        assert_eq!(log.status().queued, 1);
    }

    #[test]
    fn a_pipe_that_nobody_reads_stalls_nobody_and_gets_all_lines_in_order_later() {
        use std::io::BufRead;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(
            LineLog::open(LogConfig::deprecation(LogTarget::Path(path.clone()))).is_err(),
            "no reader yet"
        );
        let reader = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let log = refusing(&path);
        let mut refused = 0;
        for number in 0..1000 {
            refused += usize::from(log.append(&line(number, 500)).is_err());
        }
        assert!(refused > 500, "the pipe took too much");
        assert!(!log.can_accept());
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(reader).lines() {
                if sender.send(line.unwrap()).is_err() {
                    break;
                }
            }
        });
        let mut received = Vec::new();
        while received.len() < 1000 {
            log.tick();
            received.extend(receiver.try_iter());
            std::thread::sleep(Duration::from_millis(1));
        }
        let sent: Vec<String> = (0..1000)
            .map(|number| {
                String::from_utf8(line(number, 500))
                    .unwrap()
                    .trim_end()
                    .to_owned()
            })
            .collect();
        assert_eq!(received, sent);
        assert!(log.can_accept() && log.status().ok);
        assert_eq!((log.status().queued, log.status().dropped), (0, 0));
    }

    #[test]
    fn standard_output_that_is_a_full_pipe_is_not_waited_for() {
        // The same as for standard output, on a pipe of our own: blocking, and polled before each piece.
        let (reader, writer) = std::io::pipe().unwrap();
        let sink = Sink::of(File::from(OwnedFd::from(writer)), SinkKind::Polled).unwrap();
        let lines: Vec<u8> = (0..400).flat_map(|number| line(number, 1000)).collect();
        let mut written = 0;
        let error = sink.write(&lines, &mut written).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(written >= 32 << 10, "{written} bytes");
        assert!(
            lines[..written].ends_with(b"\n"),
            "pieces of a pipe end with a line"
        );
        drop(reader);
        assert_eq!(
            sink.write(&lines, &mut 0).unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn after_a_file_size_limit_the_log_goes_on_where_it_was_cut() {
        if !in_a_process_of_its_own("after_a_file_size_limit_the_log_goes_on_where_it_was_cut") {
            return;
        }
        survive_the_file_size_limit().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = open(&path);
        let limits = getrlimit(Resource::Fsize);
        setrlimit(
            Resource::Fsize,
            Rlimit {
                current: Some(1000),
                maximum: limits.maximum,
            },
        )
        .unwrap();
        for number in 0..100 {
            log.append(&line(number, 30)).unwrap();
        }
        assert_eq!(
            std::fs::metadata(&path).unwrap().len(),
            1000,
            "cut in the middle of a line"
        );
        let status = log.status();
        assert!(!status.ok && status.last_error.unwrap().contains("File too large"));
        assert_eq!(status.written + status.queued, 100);
        setrlimit(Resource::Fsize, limits).unwrap();
        log.append(&line(100, 30)).unwrap();
        assert_eq!(numbers(&path), (0..=100).collect::<Vec<_>>());
        assert_eq!((log.status().written, log.status().queued), (101, 0));

        // Somebody else wrote behind our half line: the next line begins on a new line, whole.
        let length = std::fs::metadata(&path).unwrap().len();
        setrlimit(
            Resource::Fsize,
            Rlimit {
                current: Some(length + 10),
                maximum: limits.maximum,
            },
        )
        .unwrap();
        log.append(&line(101, 30)).unwrap();
        setrlimit(Resource::Fsize, limits).unwrap();
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"theirs")
            .unwrap();
        log.append(&line(102, 30)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let tail: Vec<&str> = text[length as usize..].lines().collect();
        let whole = |number| {
            String::from_utf8(line(number, 30))
                .unwrap()
                .trim_end()
                .to_owned()
        };
        assert_eq!(tail, ["101 xxxxxxtheirs", &whole(101), &whole(102)]);

        // Rotated while a line was half out: the new file begins with the whole line.
        let length = std::fs::metadata(&path).unwrap().len();
        setrlimit(
            Resource::Fsize,
            Rlimit {
                current: Some(length + 10),
                maximum: limits.maximum,
            },
        )
        .unwrap();
        log.append(&line(103, 30)).unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        log.reopen().unwrap();
        assert_eq!(numbers(&path), [103]);
        setrlimit(Resource::Fsize, limits).unwrap();
    }

    #[test]
    fn with_sync_lines_of_many_threads_are_written_and_synced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let config = LogConfig {
            sync: true,
            ..LogConfig::deprecation(LogTarget::Path(path.clone()))
        };
        let log = LineLog::open(config).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let log = &log;
                scope.spawn(move || {
                    (0..20).for_each(|n| log.append(&line(thread * 20 + n, 10)).unwrap())
                });
            }
        });
        let mut seen = numbers(&path);
        seen.sort_unstable();
        assert_eq!(seen, (0..80).collect::<Vec<_>>());
        assert_eq!(*log.synced.lock().unwrap(), 80);
    }

    #[test]
    fn an_empty_append_is_no_write() {
        let log = refusing(Path::new("/dev/full"));
        assert_eq!(log.append(b""), Ok(()));
        assert!(log.status().ok);
    }
}
