//! The state as an event log tells it: read once, at the start.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom};

use super::entry::Version;
use super::state::State;
use super::used::{Address, Documentation, Use};
use crate::telemetry::callers::{Callers, Day};
use crate::telemetry::reader::{CALL, CALLS, Line, LineCaller, Lines, REGRESSED};
use crate::telemetry::shown::ModeChange;

/// The most bytes that are read of an event log at the start; of a larger one its tail.
pub const MOST_READ: u64 = 4 << 30;

/// What was read at the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    pub events: u64,
    /// Lines that are no events: torn by a crash, or not ours.
    pub skipped: u64,
    pub bytes: u64,
    /// Whether only the log's tail was read.
    pub tail: bool,
}

/// Which part of an event log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPart {
    /// Not beyond so many bytes from its begin: what was written since is known from the run itself.
    pub until: u64,
    /// Of that, the last so many bytes.
    pub most: u64,
}

impl Default for ReadPart {
    fn default() -> Self {
        Self {
            until: u64::MAX,
            most: MOST_READ,
        }
    }
}

/// Reads an event log, plain or gzipped, or the tail of a plain one; names come from `callers`. `regressed` is told of each
/// day on which a name was said to have regressed.
pub(super) fn read(
    mut file: File,
    part: ReadPart,
    callers: &Callers,
    mut regressed: impl FnMut(Day, &str),
) -> io::Result<(State, Rebuilt)> {
    let mut rebuilt = Rebuilt::default();
    let mut skip = 0;
    let mut length = file.metadata()?.len();
    let from: Box<dyn Read> = if starts_like_gzip(&mut file)? {
        Box::new(file)
    } else {
        length = length.min(part.until);
        skip = length.saturating_sub(part.most);
        rebuilt.tail = skip > 0;
        file.seek(SeekFrom::Start(skip))?;
        Box::new(file.take(length - skip))
    };
    let mut lines = Lines::decoded(from)?;
    let mut state = State::default();
    let version = Version::default();
    let mut names = Names::new(callers);
    // The first line of a tail is not whole.
    let mut first = rebuilt.tail;
    while let Some(line) = lines.next_line()? {
        rebuilt.bytes += line.len() as u64 + 1;
        if std::mem::take(&mut first) || line.trim_ascii().is_empty() {
            continue;
        }
        match Line::read(line) {
            Some(line) => {
                rebuilt.events += 1;
                state.replay(&line, &version, &mut names, &mut regressed);
            }
            None => rebuilt.skipped += 1,
        }
    }
    rebuilt.skipped += lines.too_long;
    if rebuilt.tail {
        state.note = Some(format!(
            "The event log is large: only its last {} MiB were read at the start.",
            (length - skip) >> 20
        ));
    }
    Ok((state, rebuilt))
}

fn starts_like_gzip(file: &mut File) -> io::Result<bool> {
    let mut magic = [0; 2];
    let begins = file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b];
    file.rewind()?;
    Ok(begins)
}

impl State {
    /// The uses that a line of the log tells of; the callers file gives their caller this name.
    pub(super) fn take_line(&mut self, version: &Version, line: &Line<'_>, name: Option<&str>) {
        let (_, at) = line.span();
        let changes = line.changes();
        let changes = changes.iter().map(|change| &**change);
        let parameters = line.parameters();
        let used = Use {
            parameters: parameters.iter().map(|name| &**name).collect(),
            ..used(line, at)
        };
        self.take(
            version,
            &line.method,
            &line.caller.key,
            name,
            &used,
            changes,
        );
    }

    /// A line of the log.
    fn replay(
        &mut self,
        line: &Line<'_>,
        version: &Version,
        names: &mut Names<'_>,
        regressed: &mut impl FnMut(Day, &str),
    ) {
        let (_, at) = line.span();
        match &*line.event {
            CALL | CALLS => {
                let name = names.of(&line.caller);
                self.take_line(version, line, name);
            }
            REGRESSED => {
                if let Some(name) = &line.name {
                    regressed(Day::of(at), name);
                }
            }
            "mode_changed" => self.mode_changed(ModeChange {
                at,
                method: line.method.to_string(),
                from: line.from.to_string(),
                to: line.to.to_string(),
                scope: line.scope.as_deref().map(str::to_owned),
                cause: line.cause.to_string(),
            }),
            _ => {}
        }
    }
}

fn used<'l>(line: &'l Line<'_>, at: u64) -> Use<'l> {
    Use {
        at,
        who: None,
        count: line.uses(),
        errors: line.failed(),
        action: &line.action,
        // Only a batch holds so many uses of a method that they are summed up, or an hour.
        in_batch: line.batch_key.is_some() || (&*line.event == CALLS && !line.sums_an_hour()),
        is_let_in: shows_that_its_caller_was_let_in(line),
        documentation: Documentation::Text(line.documentation.as_deref()),
        replacement: line.replacement.as_deref(),
        auth: &line.caller.auth,
        user: line.caller.user.as_deref(),
        fingerprint: line.caller.fingerprint.as_deref(),
        application: line.caller.application.as_deref(),
        address: Address::Text(line.caller.address.as_deref()),
        user_agent: line.caller.user_agent.as_deref(),
        sdk: line.caller.sdk.as_deref(),
        target: &line.target,
        encoding: &line.encoding,
        mode: line.mode.as_deref(),
        reason: line.reason.as_deref(),
        status: line.status,
        error: line.error.as_deref(),
        parameters: Vec::new(),
    }
}

/// Whether the portal let the caller in, as far as the line tells: its status may be ours, of a refusal or of a portal
/// that was not reached.
fn shows_that_its_caller_was_let_in(line: &Line<'_>) -> bool {
    match line.status {
        None => line.sums_an_hour() && line.failed() < line.uses(),
        Some(401 | 403) => false,
        Some(status) if status < 400 => true,
        Some(502..=504) => false,
        Some(_) => &*line.action != "refused",
    }
}

/// The names of callers in the callers file, each looked for once: thousands of lines have few callers.
struct Names<'c> {
    callers: &'c Callers,
    known: HashMap<u64, Option<&'c str>>,
    hasher: RandomState,
}

impl<'c> Names<'c> {
    /// So many callers are remembered at a time.
    const MOST: usize = 10_000;

    fn new(callers: &'c Callers) -> Self {
        Self {
            callers,
            known: HashMap::new(),
            hasher: RandomState::new(),
        }
    }

    fn of(&mut self, seen: &LineCaller<'_>) -> Option<&'c str> {
        if self.callers.names().is_empty() {
            return None;
        }
        let who = (&seen.key, &seen.user, &seen.fingerprint, &seen.application);
        let hash = self
            .hasher
            .hash_one((who, &seen.address, &seen.user_agent, &seen.sdk));
        if let Some(name) = self.known.get(&hash) {
            return *name;
        }
        if self.known.len() >= Self::MOST {
            self.known.clear();
        }
        let name = self.callers.name_of(&seen.owned());
        self.known.insert(hash, name);
        name
    }
}
