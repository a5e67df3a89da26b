//! The one reader of deprecation logs: plain and gzipped files, pipes and standard input, several of them in the order of
//! their first event. Torn and foreign lines are skipped and counted; memory does not grow with the log.

mod line;

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

pub use line::{
    CALL, CALLS, Counts, HEARTBEAT, Line, LineCaller, REGRESSED, START, STOP, Text, Totals, UNREAD,
};

use super::json;

/// A longer line is not one of the log's own: it is skipped, and never held whole.
pub const LONGEST_LINE: usize = 1 << 20;

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// How every line of the log begins, with the timestamp directly after it.
const BEGIN: &[u8] = br#"{"schema":1,"timestamp":""#;

/// How long a line that sums uses up may be written after the first of them, in milliseconds: until the hour is over, and
/// some time to write it.
const SUMMED: u64 = 2 * 3_600_000;

/// The length of a timestamp as the log writes it: `2026-11-25T22:25:17.042Z`.
const TIMESTAMP: usize = 24;

/// Why a log cannot be read.
#[derive(Debug)]
pub enum Trouble {
    /// The system says so, or gzip: the file's name, and what they say.
    Io(String, io::Error),
    /// The file has lines and none of them is an event: its name, and how many.
    Foreign(String, u64),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(name, error) => {
                let error = error.to_string();
                let reason = error.split(" (os error").next().unwrap_or_default();
                write!(f, "cannot read {name}: {}", reason.to_lowercase())
            }
            Self::Foreign(name, lines) => write!(
                f,
                "{name} is not a deprecation log: of {lines} lines none is an event"
            ),
        }
    }
}

impl std::error::Error for Trouble {}

/// Who is told how far the reading has come.
type Progress<'p> = Box<dyn FnMut(&Totals) + 'p>;

/// Logs that are to be read as one.
pub struct Reader<'p> {
    sources: Vec<Source>,
    period: Period,
    progress: Option<Progress<'p>>,
}

/// One file, or standard input.
struct Source {
    name: String,
    /// The timestamp of its first event, in milliseconds since 1970.
    first: Option<u64>,
    content: Content,
}

enum Content {
    /// What cannot be read twice, with what was read of it so far put before the rest; or a file that may be renamed
    /// meanwhile.
    Open(Box<dyn Read>),
    /// A compressed file: nobody writes or renames it any more, so it needs no descriptor while it waits.
    Closed(PathBuf),
}

impl<'p> Reader<'p> {
    /// Opens the logs and puts them in the order of their first event. `-` is standard input; a file that is named twice
    /// is read once.
    ///
    /// # Errors
    /// One of them cannot be opened or read.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, Trouble> {
        let mut seen = HashSet::new();
        let mut sources = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let (name, opened) = if path == Path::new("-") {
                let fresh = seen.insert(None);
                (
                    "standard input".to_owned(),
                    fresh.then(|| Source::pipe(Box::new(io::stdin()))),
                )
            } else {
                let name = path.display().to_string();
                let opened = Source::file(path, |file| seen.insert(Some(file)));
                (name, opened.transpose())
            };
            let Some(opened) = opened else { continue };
            match opened {
                Ok((content, first)) => sources.push(Source {
                    name,
                    first,
                    content,
                }),
                Err(error) => return Err(Trouble::Io(name, error)),
            }
        }
        sources.sort_by_key(|source| source.first.unwrap_or(u64::MAX));
        Ok(Self {
            sources,
            period: Period::default(),
            progress: None,
        })
    }

    /// Leaves out lines from before `since` and from after `until`, in milliseconds since 1970; a line that sums uses up
    /// counts when its first one came. They are counted as events without a closer look where their beginning and end
    /// are those of one.
    #[must_use]
    pub fn between(mut self, since: Option<u64>, until: Option<u64>) -> Self {
        self.period = Period::new(since, until);
        self
    }

    /// Tells how far the reading has come, every quarter of a megabyte.
    #[must_use]
    pub fn with_progress(mut self, tell: impl FnMut(&Totals) + 'p) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    /// Reads all of it, and hands on each event.
    ///
    /// # Errors
    /// A file cannot be read to its end, or has lines of which none is an event.
    pub fn read(mut self, mut take: impl FnMut(&Line<'_>)) -> Result<Totals, Trouble> {
        let mut totals = Totals::default();
        for source in self.sources {
            let before = totals;
            let trouble = |error| Trouble::Io(source.name.clone(), error);
            let mut lines = Lines::new(source.content.open().map_err(trouble)?);
            loop {
                let pieces = lines.pieces;
                let Some(line) = lines.next_line().map_err(trouble)? else {
                    break;
                };
                self.period.look(line, &mut totals, &mut take);
                if lines.pieces != pieces
                    && let Some(tell) = &mut self.progress
                {
                    tell(&totals);
                }
            }
            totals.read += lines.too_long;
            totals.skipped += lines.too_long;
            let read = totals.read - before.read;
            if read > 0 && totals.events == before.events {
                return Err(Trouble::Foreign(source.name, read));
            }
        }
        Ok(totals)
    }
}

impl Source {
    /// A file, and when its first event was; `None` where it was opened already. `fresh` is asked with the file's own
    /// number.
    fn file(
        path: &Path,
        fresh: impl FnOnce((u64, u64)) -> bool,
    ) -> io::Result<Option<(Content, Option<u64>)>> {
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        if !about.is_file() {
            // A folder is an error here and not later; a pipe gives its first bytes once only.
            return Self::pipe(Box::new(file)).map(Some);
        }
        if !fresh((about.dev(), about.ino())) {
            return Ok(None);
        }
        let mut magic = [0; 2];
        let compressed = read_up_to(&mut file, &mut magic)? == 2 && is_gzip(&magic);
        file.rewind()?;
        let first = first_event(&mut Lines::new(decoded(Box::new(&file))?))?;
        if compressed {
            return Ok(Some((Content::Closed(path.to_owned()), first)));
        }
        file.rewind()?;
        Ok(Some((Content::Open(Box::new(file)), first)))
    }

    /// What can be read only once.
    fn pipe(from: Box<dyn Read>) -> io::Result<(Content, Option<u64>)> {
        let mut lines = Lines::new(decoded(from)?);
        let first = first_event(&mut lines)?;
        Ok((Content::Open(lines.unread()), first))
    }
}

impl Content {
    fn open(self) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Open(reader) => Ok(reader),
            Self::Closed(path) => decoded(Box::new(File::open(path)?)),
        }
    }
}

fn is_gzip(begin: &[u8]) -> bool {
    begin == [0x1f, 0x8b]
}

fn read_up_to(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The bytes as they were before gzip, which is told by its first two bytes and not by a name.
fn decoded<'r>(mut from: Box<dyn Read + 'r>) -> io::Result<Box<dyn Read + 'r>> {
    let mut magic = [0; 2];
    let read = read_up_to(&mut from, &mut magic)?;
    let whole = io::Cursor::new(magic).take(read as u64).chain(from);
    Ok(if is_gzip(&magic[..read]) {
        Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(
            PIECE, whole,
        )))
    } else {
        Box::new(whole)
    })
}

/// When the first event was; looked for in the first piece, as torn and foreign lines are rare.
fn first_event(lines: &mut Lines<Box<dyn Read + '_>>) -> io::Result<Option<u64>> {
    loop {
        let first = lines.buffer[..lines.filled]
            .split(|byte| *byte == b'\n')
            .find_map(|line| Line::read(line)?.at());
        if first.is_some() || lines.ended || lines.filled >= PIECE {
            return Ok(first);
        }
        lines.fill()?;
    }
}

/// From when to when lines count, in milliseconds; and the timestamps from before and after which no line does.
#[derive(Default)]
struct Period {
    since: Option<(u64, Vec<u8>)>,
    until: Option<(u64, Vec<u8>)>,
}

impl Period {
    fn new(since: Option<u64>, until: Option<u64>) -> Self {
        let moment = |millis: u64| {
            let mut text = Vec::new();
            let moment = std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis);
            json::timestamp(&mut text, moment);
            text
        };
        Self {
            since: since.map(|since| (since, moment(since))),
            until: until.map(|until| (until, moment(until.saturating_add(SUMMED)))),
        }
    }

    /// Counts a line, and hands it on when it is an event within the period.
    fn look(&self, line: &[u8], totals: &mut Totals, take: &mut impl FnMut(&Line<'_>)) {
        totals.bytes += line.len() as u64 + 1;
        if line.trim_ascii().is_empty() {
            return;
        }
        totals.read += 1;
        if self.leaves_out(line) {
            totals.events += 1;
            return;
        }
        let Some(event) = Line::read(line) else {
            totals.skipped += 1;
            return;
        };
        totals.events += 1;
        let (at, _) = event.span();
        let early = self.since.as_ref().is_some_and(|(since, _)| at < *since);
        let late = self.until.as_ref().is_some_and(|(until, _)| at > *until);
        if !early && !late {
            take(&event);
        }
    }

    /// Whether the first bytes of a line say already that it does not count. Timestamps of one length sort as their
    /// moments do.
    fn leaves_out(&self, line: &[u8]) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return false;
        }
        let Some(timestamp) = line
            .strip_prefix(BEGIN)
            .and_then(|rest| rest.get(..TIMESTAMP))
            .filter(|timestamp| timestamp.ends_with(b"Z") && line.ends_with(b"}"))
        else {
            return false;
        };
        let early = self
            .since
            .as_ref()
            .is_some_and(|(_, since)| timestamp < &since[..]);
        let late = self
            .until
            .as_ref()
            .is_some_and(|(_, until)| timestamp > &until[..]);
        early || late
    }
}

/// The lines of a reader, one at a time, in a buffer that grows to the longest line at most.
pub struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// Where the next line begins, and where what was read ends.
    begin: usize,
    filled: usize,
    /// Up to where no line feed stands.
    searched: usize,
    ended: bool,
    /// Whether the line that is being read is too long: its rest is passed over.
    skipping: bool,
    /// How many pieces were read.
    pieces: u64,
    /// How many lines were longer than [`LONGEST_LINE`].
    pub too_long: u64,
}

impl<R: Read> Lines<R> {
    /// The lines of `from`, which needs no buffer of its own.
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            begin: 0,
            filled: 0,
            searched: 0,
            ended: false,
            skipping: false,
            pieces: 0,
            too_long: 0,
        }
    }

    /// The next line without its line feed; `None` at the end. A line that is too long is counted and passed over.
    ///
    /// # Errors
    /// Reading fails.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        loop {
            let unsearched = &self.buffer[self.searched..self.filled];
            if let Some(at) = memchr::memchr(b'\n', unsearched) {
                let (begin, end) = (self.begin, self.searched + at);
                self.begin = end + 1;
                self.searched = self.begin;
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                return Ok(Some(&self.buffer[begin..end]));
            }
            self.searched = self.filled;
            if self.ended {
                let begin = std::mem::replace(&mut self.begin, self.filled);
                let rest = begin < self.filled && !std::mem::take(&mut self.skipping);
                return Ok(rest.then(|| &self.buffer[begin..self.filled]));
            }
            self.fill()?;
        }
    }

    /// Reads one more piece behind what is there.
    fn fill(&mut self) -> io::Result<()> {
        if self.filled - self.begin > LONGEST_LINE && !self.skipping {
            self.skipping = true;
            self.too_long += 1;
        }
        if self.skipping {
            self.begin = self.filled;
        }
        self.buffer.copy_within(self.begin..self.filled, 0);
        self.filled -= self.begin;
        self.searched -= self.begin;
        self.begin = 0;
        if self.buffer.len() < self.filled + PIECE {
            self.buffer.resize(self.filled + PIECE, 0);
        }
        let room = self.filled..self.filled + PIECE;
        let read = loop {
            match self.from.read(&mut self.buffer[room.clone()]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.filled += read;
        self.pieces += 1;
        self.ended = read == 0;
        Ok(())
    }
}

impl Lines<Box<dyn Read>> {
    /// The lines of what may be gzipped.
    ///
    /// # Errors
    /// Reading fails.
    pub fn decoded(from: Box<dyn Read>) -> io::Result<Self> {
        decoded(from).map(Self::new)
    }
}

impl<R: Read + 'static> Lines<R> {
    /// All that was not handed out yet, as a reader.
    fn unread(mut self) -> Box<dyn Read> {
        self.buffer.truncate(self.filled);
        let mut buffer = io::Cursor::new(self.buffer);
        buffer.set_position(self.begin as u64);
        Box::new(buffer.chain(self.from))
    }
}

#[cfg(test)]
mod tests;
