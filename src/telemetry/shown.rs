//! What is known of who still calls what, as the status page and the API show it (pure).

use serde::Serialize;

/// The whole state at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Grows with each change.
    pub version: u64,
    /// In milliseconds since 1970.
    pub now: u64,
    /// All rows, those seen last first.
    pub rows: Vec<Row>,
    /// The last use of any deprecated method, in milliseconds since 1970.
    pub last_use: Option<u64>,
    /// Since when uses are known: the first event read, or the start. In milliseconds since 1970.
    pub known_since: u64,
    /// What the page says about where its state comes from: nothing when all of the log was read.
    pub note: Option<String>,
    /// How many rows were given up for lack of room.
    pub forgotten: u64,
    /// The last changes of modes, newest first.
    pub mode_changes: Vec<ModeChange>,
}

/// A change of a mode, as the page shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModeChange {
    /// In milliseconds since 1970.
    pub at: u64,
    pub method: String,
    pub from: String,
    pub to: String,
    pub scope: Option<String>,
    pub cause: String,
}

/// Whose row is meant.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// Of the callers that the callers file gives this name.
    Name(&'a str),
    /// Of the caller with this key: without a name, else of the name under which it was seen last.
    Key(&'a str),
}

/// The use of one method by the callers of one name of the callers file, or by one caller without a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The caller's key; of a row with a name, that of the last call.
    pub key: String,
    /// The caller's name in the callers file.
    pub name: Option<String>,
    /// What the callers file says of the name.
    pub owner: Option<String>,
    pub contact: Option<String>,
    pub ticket: Option<String>,
    pub told: Option<String>,
    pub migrated: Option<String>,
    /// How far the migration of the name is, as this row shows it: `regressed` where the method was called after it.
    pub state: Option<&'static str>,
    /// Whether the portal has let the caller in: it has answered one of its calls with anything but 401 or 403.
    pub let_in: bool,
    /// The legacy method.
    pub method: String,
    pub replacement: Option<String>,
    pub documentation: Option<String>,
    /// `webhook`, `oauth`, `session`, `none` or `unknown`.
    pub auth: String,
    pub user: Option<String>,
    pub fingerprint: Option<String>,
    pub application: Option<String>,
    /// Of the last call, like all that follows.
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub sdk: Option<String>,
    /// The path, its code as `***`.
    pub target: String,
    pub encoding: String,
    pub mode: Option<String>,
    pub action: String,
    pub reason: Option<String>,
    pub status: Option<u16>,
    pub error: Option<String>,
    /// What was changed in the last call that was changed, in words.
    pub changes: Vec<String>,
    /// The names of the parameters and fields that the calls were seen to send, at most 64.
    pub parameters: Vec<String>,
    /// How many calls, by what was done to them.
    pub rewritten: u64,
    pub observed: u64,
    pub refused: u64,
    /// How many of them were commands of a batch.
    pub batch: u64,
    /// How many were answered with an error code.
    pub errors: u64,
    /// In milliseconds since 1970.
    pub first_seen: u64,
    pub last_seen: u64,
    /// Calls a day (UTC) and an hour, oldest first; the last one is that of the snapshot's time.
    pub days: Vec<u32>,
    pub hours: Vec<u32>,
    /// The version of the state at which the row last changed.
    pub version: u64,
    /// How many keys, libraries and addresses stand behind it. Of each key the last 32 pairs of a library and an address
    /// are known.
    pub keys: usize,
    pub libraries: usize,
    pub addresses: usize,
    pub behind: Behind,
}

/// Who stands behind a row, those seen last first; of many the first 32.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Behind {
    pub keys: Vec<String>,
    pub libraries: Vec<String>,
    pub addresses: Vec<String>,
}
