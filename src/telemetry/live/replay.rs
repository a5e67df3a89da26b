//! The state as an event log tells it: read once, at the start.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::ModeChange;
use super::state::State;
use super::used::{Documentation, Use};
use crate::telemetry::caller::Caller;
use crate::telemetry::callers::Callers;
use crate::telemetry::json::read_timestamp;
use crate::telemetry::reader::{CALL, CALLS};

/// The most bytes that are read of an event log at the start; of a larger one its tail.
pub const MOST_READ: u64 = 4 << 30;

/// No line of the log is longer, by far.
const LONGEST_LINE: u64 = 1 << 20;

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

/// Reads an event log, or its tail where it is large; names come from `callers`.
pub(super) fn read(path: &Path, part: ReadPart, callers: &Callers) -> io::Result<(State, Rebuilt)> {
    let nothing = || (State::default(), Rebuilt::default());
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nothing()),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Ok(nothing());
    }
    let length = file.metadata()?.len().min(part.until);
    let skip = length.saturating_sub(part.most);
    file.seek(SeekFrom::Start(skip))?;
    let mut rebuilt = Rebuilt {
        tail: skip > 0,
        ..Rebuilt::default()
    };
    let mut reader = BufReader::with_capacity(1 << 20, file.take(length - skip));
    let mut line = Vec::new();
    if rebuilt.tail {
        rebuilt.bytes += reader.read_until(b'\n', &mut line)? as u64;
    }
    let mut state = State::default();
    let mut names = Names::new(callers);
    loop {
        line.clear();
        // A line that never ends is no reason to hold all of it: the log's own are below this.
        let read = reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        rebuilt.bytes += read as u64;
        match serde_json::from_slice(&line) {
            Ok(seen) if state.replay(&seen, &mut names) => rebuilt.events += 1,
            _ if line.trim_ascii().is_empty() => {}
            _ => rebuilt.skipped += 1,
        }
    }
    if rebuilt.tail {
        state.note = Some(format!(
            "The event log is large: only its last {} MiB were read at the start.",
            (length - skip) >> 20
        ));
    }
    Ok((state, rebuilt))
}

impl State {
    /// A line of the log; false for one that is no event.
    fn replay(&mut self, seen: &Seen<'_>, names: &mut Names<'_>) -> bool {
        let Some(at) = read_timestamp(seen.timestamp) else {
            return false;
        };
        match seen.event {
            CALL | CALLS if !seen.method.is_empty() => {
                let name = names.of(&seen.caller);
                let changes = seen.changes.iter().map(AsRef::as_ref);
                self.take(
                    &seen.method,
                    &seen.caller.key,
                    name,
                    &seen.used(at),
                    changes,
                );
                true
            }
            "mode_changed" => {
                self.mode_changed(ModeChange {
                    at,
                    method: seen.method.to_string(),
                    from: seen.from.to_string(),
                    to: seen.to.to_string(),
                    scope: seen.scope.as_deref().map(str::to_owned),
                    cause: seen.cause.to_string(),
                });
                true
            }
            _ => false,
        }
    }
}

/// A line of the log, as much of it as is shown; borrowed, for a log of a gigabyte is read in seconds.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen<'a> {
    #[serde(borrow)]
    event: &'a str,
    timestamp: &'a str,
    count: Option<u64>,
    errors: u64,
    action: &'a str,
    encoding: &'a str,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    replacement: Option<Cow<'a, str>>,
    #[serde(borrow)]
    documentation: Option<Cow<'a, str>>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    mode: Option<Cow<'a, str>>,
    #[serde(borrow)]
    batch_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    changes: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(borrow)]
    caller: SeenCaller<'a>,
    status: Option<u16>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(borrow)]
    scope: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cause: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SeenCaller<'a> {
    auth: &'a str,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    user: Option<Cow<'a, str>>,
    #[serde(borrow)]
    fingerprint: Option<Cow<'a, str>>,
    #[serde(borrow)]
    application: Option<Cow<'a, str>>,
    #[serde(borrow)]
    address: Option<Cow<'a, str>>,
    #[serde(borrow)]
    user_agent: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sdk: Option<Cow<'a, str>>,
}

impl Seen<'_> {
    fn used(&self, at: u64) -> Use<'_> {
        let count = self.count.unwrap_or(1);
        Use {
            at,
            count,
            errors: match &self.error {
                Some(_) => count,
                None => self.errors,
            },
            action: self.action,
            // Only a batch holds so many uses of a method that they are summed up.
            in_batch: self.batch_key.is_some() || self.event == CALLS,
            is_let_in: self.shows_that_its_caller_was_let_in(),
            documentation: Documentation::Text(self.documentation.as_deref()),
            replacement: self.replacement.as_deref(),
            auth: self.caller.auth,
            user: self.caller.user.as_deref(),
            fingerprint: self.caller.fingerprint.as_deref(),
            application: self.caller.application.as_deref(),
            address: self.caller.address.as_deref(),
            user_agent: self.caller.user_agent.as_deref(),
            sdk: self.caller.sdk.as_deref(),
            target: &self.target,
            encoding: self.encoding,
            mode: self.mode.as_deref(),
            reason: self.reason.as_deref(),
            status: self.status,
            error: self.error.as_deref(),
        }
    }

    /// Whether the portal let the caller in, as far as the line tells: its status may be ours, of a refusal or of a portal
    /// that was not reached.
    fn shows_that_its_caller_was_let_in(&self) -> bool {
        match self.status {
            Some(401 | 403) | None => false,
            Some(status) if status < 400 => true,
            Some(502..=504) => false,
            Some(_) => self.action != "refused",
        }
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

    fn of(&mut self, seen: &SeenCaller<'_>) -> Option<&'c str> {
        if self.callers.names().is_empty() {
            return None;
        }
        let who = (&seen.key, &seen.user, &seen.fingerprint, &seen.application);
        let hash = self.hasher.hash_one((who, &seen.address, &seen.user_agent));
        if let Some(name) = self.known.get(&hash) {
            return *name;
        }
        if self.known.len() >= Self::MOST {
            self.known.clear();
        }
        let owned = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let name = self.callers.name_of(&Caller {
            user: owned(&seen.user),
            fingerprint: owned(&seen.fingerprint),
            application: owned(&seen.application),
            address: seen
                .address
                .as_deref()
                .and_then(|address| address.parse().ok()),
            user_agent: owned(&seen.user_agent),
            key: seen.key.to_string(),
            ..Caller::default()
        });
        self.known.insert(hash, name);
        name
    }
}
