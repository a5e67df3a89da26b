//! The ladder: in which mode a rule is for a caller at a moment, and why (pure; the moment is handed in).
//!
//! `observe` → `compare` → `rewrite` → `brownout` → `block`. A [`Policy`] is built from what the configuration says: a mode
//! for all translated rules, modes for single methods, and entries that name rules, callers, a share of them, windows of
//! time and dates. The first that matches wins; [`Policy::explain`] says which one and why.
//!
//! - [`entry`] one `[[mode]]` of the configuration
//! - [`window`] stretches of time as data
//! - [`share`] a share of the callers, always the same ones
//! - [`policy`] all entries together: build, ask
//! - `explain` which of them decides, and why, for a person to read
//! - [`standing`] what holds for callers that nobody names, what comes next, and what has changed
//! - [`guard`] ends a brownout when its callers' other calls begin to fail
//! - [`rehearsal`] what an entry would have refused, from a log

pub mod entry;
mod explain;
pub mod guard;
pub mod policy;
pub mod rehearsal;
pub mod share;
pub mod standing;
pub mod window;

use jiff::Timestamp;

use crate::catalogue::Mode;
use crate::nearest::nearest;
use crate::telemetry::caller::Caller;

pub use entry::{Entry, Methods, Step};
pub use explain::Explanation;
pub use policy::{Policy, Setting, StoppedBy, Wrong};

/// A caller as an entry sees it.
#[derive(Clone, Copy, Debug)]
pub struct CallerView<'a> {
    /// What its call shows of it.
    pub caller: &'a Caller,
    /// Its name in the callers file.
    pub name: Option<&'a str>,
}

impl<'a> CallerView<'a> {
    /// A caller without a name.
    pub fn unnamed(caller: &'a Caller) -> Self {
        Self { caller, name: None }
    }

    /// What a share is taken of: the fingerprint of a credential that lasts, else the caller's key. An access token's own
    /// fingerprint changes every hour and is not used.
    fn lasting(&self) -> &'a str {
        use crate::telemetry::caller::Auth;
        match (self.caller.auth, &self.caller.fingerprint) {
            (Auth::Webhook, Some(fingerprint)) => fingerprint,
            _ => &self.caller.key,
        }
    }
}

/// The mode of a rule for a caller at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is done with the call.
    pub mode: Mode,
    /// What says so; [`Policy::origin`] has its words.
    pub because: Because,
    /// When that ends by itself, where it does: the end of a window, or the day that an entry ends.
    pub until: Option<Timestamp>,
}

/// What says in which mode a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Because {
    /// Nobody: translated rules are in `rewrite`, watched methods in `observe`.
    Default,
    /// A setting, by its position.
    Setting(usize),
    /// An entry, by its position.
    Entry(usize),
}

/// The mode of this word.
///
/// # Errors
/// Names all modes, and the one that was probably meant.
pub fn mode(text: &str) -> Result<Mode, String> {
    let wanted = text.trim().to_ascii_lowercase();
    Mode::parse(&wanted).ok_or_else(|| {
        let hint = nearest(&wanted, Mode::ALL.into_iter().map(Mode::as_str))
            .map_or(String::new(), |name| format!("; did you mean {name}?"));
        format!("`{wanted}` is not a mode: observe, compare, rewrite, brownout or block{hint}")
    })
}
