//! One entry of the ladder: which rules, which callers, when, and what then.

use globset::{Glob, GlobBuilder, GlobMatcher};
use jiff::Timestamp;

use super::share::Share;
use super::window::{Span, Window, moment};
use super::{CallerView, mode};
use crate::catalogue::Mode;
use crate::telemetry::caller::{Auth, Caller};
use crate::telemetry::callers::Selector;

/// One entry. Everything that it says must hold for it to match; what it does not say holds always.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Of these methods; of all translated ones when empty.
    pub methods: Vec<Methods>,
    /// From these callers; from all when it has no condition.
    pub callers: Selector,
    /// From the caller of this name in the callers file.
    pub caller: Option<String>,
    /// From a share of the callers.
    pub share: Option<Share>,
    /// In one of these windows; always when empty.
    pub windows: Vec<Window>,
    /// What then.
    pub step: Step,
    /// Where it stands: `FILE:LINE:COLUMN`.
    pub origin: String,
}

/// Methods by their name, or by a pattern in which `*` stands for anything.
#[derive(Clone, Debug)]
pub struct Methods {
    text: String,
    pattern: Option<GlobMatcher>,
}

/// A mode, and the days between which it holds: `block from 2027-03-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The mode.
    pub mode: Mode,
    /// Its first moment.
    pub from: Option<Timestamp>,
    /// The first moment behind it.
    pub until: Option<Timestamp>,
}

/// Why an entry does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// Its date has not come.
    NotYet(Timestamp),
    /// Its date is over.
    Over(Timestamp),
    /// None of its windows is open; the next one, if there is one.
    Closed(Option<Timestamp>),
    /// It is for other callers.
    OtherCaller,
    /// It is for an application, and nothing tells yet which one calls.
    UnknownApplication,
    /// The caller is not in its share.
    OutsideShare,
    /// It was stopped.
    Stopped,
}

impl Miss {
    /// For a person to read.
    pub fn text(&self) -> String {
        match self {
            Miss::NotYet(from) => format!("it begins at {from}"),
            Miss::Over(until) => format!("it ended at {until}"),
            Miss::Closed(Some(next)) => format!("no window is open; the next begins at {next}"),
            Miss::Closed(None) => "no window is open, and none will be".to_owned(),
            Miss::OtherCaller => "it is for other callers".to_owned(),
            Miss::UnknownApplication => {
                "the call does not name its application; the entry matches once an answer of \
                                         the portal to the same token has"
                    .to_owned()
            }
            Miss::OutsideShare => "the caller is not in its share".to_owned(),
            Miss::Stopped => "it was stopped".to_owned(),
        }
    }
}

impl Methods {
    /// Reads a method's name or a pattern.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty()
            || text.contains(|c: char| !(c.is_ascii_alphanumeric() || "._*".contains(c)))
        {
            return Err(format!(
                "`{text}` is not a method; write one as crm.lead.get, or several as crm.*.details.configuration.get"
            ));
        }
        let pattern = if text.contains('*') {
            let glob: Glob = GlobBuilder::new(&text)
                .build()
                .map_err(|error| format!("`{text}` is not a pattern: {}", error.kind()))?;
            Some(glob.compile_matcher())
        } else {
            None
        };
        Ok(Self { text, pattern })
    }

    /// One method, by its name in any case.
    pub(super) fn name(method: &str) -> Self {
        Self {
            text: method.to_ascii_lowercase(),
            pattern: None,
        }
    }

    /// Whether this method is meant, given in lower case.
    pub fn holds(&self, lower_case_method: &str) -> bool {
        #[cfg(test)]
        counted::HELD.set(counted::HELD.get() + 1);
        match &self.pattern {
            Some(pattern) => pattern.is_match(lower_case_method),
            None => self.text == lower_case_method,
        }
    }

    /// Whether it is a single method's name.
    pub fn is_name(&self) -> bool {
        self.pattern.is_none()
    }

    /// As it was written, in lower case.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Step {
    /// This mode, always.
    pub fn always(mode: Mode) -> Self {
        Self {
            mode,
            from: None,
            until: None,
        }
    }

    /// Reads `block`, `block from 2027-03-01`, `observe until 2027-03-01`, or both.
    ///
    /// # Errors
    /// Says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (rest, until) = match text.rsplit_once(" until ") {
            Some((rest, until)) => (rest, Some(moment(until.trim())?)),
            None => (text, None),
        };
        let (rest, from) = match rest.rsplit_once(" from ") {
            Some((rest, from)) => (rest, Some(moment(from.trim())?)),
            None => (rest, None),
        };
        if let (Some(from), Some(until)) = (from, until)
            && from >= until
        {
            return Err("it ends before it begins".to_owned());
        }
        Ok(Self {
            mode: mode(rest)?,
            from,
            until,
        })
    }
}

impl Entry {
    /// An entry that says only what then.
    pub fn new(step: Step, origin: impl Into<String>) -> Self {
        Self {
            methods: Vec::new(),
            callers: Selector::default(),
            caller: None,
            share: None,
            windows: Vec::new(),
            step,
            origin: origin.into(),
        }
    }

    /// Whether it is for some callers only.
    pub fn is_for_some(&self) -> bool {
        self.callers != Selector::default() || self.caller.is_some() || self.share.is_some()
    }

    /// Whether it depends on the moment.
    pub fn is_timed(&self) -> bool {
        self.step.from.is_some() || self.step.until.is_some() || !self.windows.is_empty()
    }

    /// Whether it holds at this moment, and up to when, where that is known.
    ///
    /// # Errors
    /// Says why not.
    pub fn in_time(&self, now: Timestamp) -> Result<Option<Span>, Miss> {
        let Step { from, until, .. } = self.step;
        if let Some(from) = from.filter(|from| now < *from) {
            return Err(Miss::NotYet(from));
        }
        if let Some(until) = until.filter(|until| now >= *until) {
            return Err(Miss::Over(until));
        }
        if self.windows.is_empty() {
            return Ok(until.map(|until| Span {
                from: from.unwrap_or(Timestamp::MIN),
                until,
            }));
        }
        let open = self.windows.iter().filter_map(|window| window.open_at(now));
        match open.max_by_key(|span| span.until) {
            Some(span) => Ok(Some(Span {
                until: until.map_or(span.until, |until| until.min(span.until)),
                ..span
            })),
            None => Err(Miss::Closed(
                self.windows
                    .iter()
                    .filter_map(|window| window.next_after(now))
                    .map(|span| span.from)
                    .min()
                    .filter(|next| until.is_none_or(|until| *next < until)),
            )),
        }
    }

    /// Whether it is for this caller.
    ///
    /// # Errors
    /// Says why not.
    pub fn is_for(&self, view: &CallerView<'_>) -> Result<(), Miss> {
        let named = self
            .caller
            .as_deref()
            .is_none_or(|wanted| view.name == Some(wanted));
        let selected = self.callers == Selector::default() || self.callers.matches(view.caller);
        if !named || !selected {
            let is_open = named
                && view.caller.application.is_none()
                && !matches!(view.caller.auth, Auth::Webhook | Auth::Session)
                && self.callers.application.is_some()
                && self.callers.matches_but_for_the_application(view.caller);
            return Err(if is_open {
                Miss::UnknownApplication
            } else {
                Miss::OtherCaller
            });
        }
        if self.share.is_some_and(|share| !share.holds(view.lasting())) {
            return Err(Miss::OutsideShare);
        }
        Ok(())
    }

    /// Whether it is for a caller of whom only a call's head is known; nothing where the body, which is not read, may tell.
    pub fn is_for_head_of(&self, caller: &Caller) -> Option<bool> {
        let Selector {
            user,
            application,
            fingerprint,
            address,
            user_agent,
            sdk,
        } = &self.callers;
        let by_head = Selector {
            address: *address,
            user_agent: user_agent.clone(),
            sdk: sdk.clone(),
            ..Selector::default()
        };
        if !by_head.matches_but_for_the_application(caller) {
            return Some(false);
        }
        let by_body = [user, application, fingerprint, &self.caller];
        let is_sure = by_body.iter().all(|wanted| wanted.is_none()) && self.share.is_none();
        is_sure.then_some(true)
    }

    /// The next moment after this one at which it begins or ends to hold.
    pub fn next_turn(&self, now: Timestamp) -> Option<Timestamp> {
        let dates = [self.step.from, self.step.until];
        let windows = self.windows.iter().flat_map(|window| {
            [
                window.open_at(now).map(|span| span.until),
                window.next_after(now).map(|span| span.from),
            ]
        });
        dates
            .into_iter()
            .chain(windows)
            .flatten()
            .filter(|turn| *turn > now)
            .min()
    }

    /// Whom it is for, for a person to read; nothing when it is for all.
    pub fn scope(&self) -> Option<String> {
        if !self.is_for_some() {
            return None;
        }
        let Selector {
            user,
            application,
            fingerprint,
            address,
            user_agent,
            sdk,
        } = &self.callers;
        let quoted = |label: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{label} {value}"))
        };
        let parts = [
            quoted("caller", &self.caller),
            quoted("user", user),
            quoted("application", application),
            quoted("fingerprint", fingerprint),
            address.map(|address| format!("address {address}")),
            user_agent
                .as_ref()
                .map(|pattern| format!("user agent {pattern}")),
            sdk.as_ref().map(|pattern| format!("library {pattern}")),
            self.share.map(|share| format!("{share} of the callers")),
        ];
        Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    /// Whether another entry says the same, wherever it stands.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.words() == other.words()
    }

    /// What it says, wherever it stands and whenever it ends: the same for two entries that say the same.
    pub(super) fn words(&self) -> String {
        #[cfg(test)]
        counted::WORDS.set(counted::WORDS.get() + 1);
        let methods: Vec<&str> = self.methods.iter().map(Methods::text).collect();
        let windows: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
        let Step { mode, from, .. } = self.step;
        let (callers, caller) = (&self.callers, &self.caller);
        format!(
            "{methods:?} {callers:?} {caller:?} {:?} {windows:?} {mode:?} {from:?}",
            self.share
        )
    }

    /// Its mode in a word.
    pub fn word(&self) -> &'static str {
        self.step.mode.as_str()
    }
}

/// What is done with entries, so that a test can say that it grows no faster than they do.
#[cfg(test)]
pub(super) mod counted {
    use std::cell::Cell;

    thread_local! {
        pub static WORDS: Cell<usize> = const { Cell::new(0) };
        pub static HELD: Cell<usize> = const { Cell::new(0) };
    }

    /// How often, on this thread since the last call, an entry's words were made and a method was held against one.
    pub fn taken() -> (usize, usize) {
        (WORDS.take(), HELD.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        moment(text).unwrap_or_else(|why| panic!("{why}"))
    }

    #[test]
    fn a_step_names_a_mode_and_its_days() {
        assert_eq!(Step::parse("block"), Ok(Step::always(Mode::Block)));
        assert_eq!(
            Step::parse("Block from 2027-03-01"),
            Ok(Step {
                mode: Mode::Block,
                from: Some(at("2027-03-01")),
                until: None
            })
        );
        assert_eq!(
            Step::parse("observe from 2027-03-01 until 2027-03-02T12:00Z").map(|step| step.until),
            Ok(Some(at("2027-03-02T12:00Z")))
        );
        for (text, said) in [
            ("blok", "did you mean block?"),
            ("block from soon", "is not a moment"),
            (
                "block from 2027-03-02 until 2027-03-01",
                "ends before it begins",
            ),
        ] {
            let why = Step::parse(text).expect_err(text);
            assert!(why.contains(said), "{text}: {why}");
        }
    }

    #[test]
    fn methods_are_named_or_described_by_a_pattern() {
        let all = Methods::parse("CRM.*.details.configuration.get").unwrap();
        assert!(all.holds("crm.lead.details.configuration.get"));
        assert!(!all.holds("crm.lead.details.configuration.getlist"));
        let one = Methods::parse("crm.lead.get").unwrap();
        assert!(one.holds("crm.lead.get") && !one.holds("crm.lead.getlist"));
        assert!(Methods::parse("crm.{lead}.get").is_err());
        assert!(Methods::parse("").is_err());
    }

    #[test]
    fn an_entry_with_windows_holds_in_them_between_its_days() {
        let mut entry = Entry::new(Step::parse("brownout until 2026-12-02").unwrap(), "f:1");
        entry.windows = vec![
            Window::parse("every day 10:00 UTC for 15m").unwrap(),
            Window::parse("every day 10:10 UTC for 20m").unwrap(),
        ];
        assert_eq!(
            entry
                .in_time(at("2026-12-01T10:12Z"))
                .unwrap()
                .map(|span| span.until),
            Some(at("2026-12-01T10:30Z"))
        );
        assert_eq!(
            entry.in_time(at("2026-12-01T09:00Z")),
            Err(Miss::Closed(Some(at("2026-12-01T10:00Z"))))
        );
        assert_eq!(
            entry.in_time(at("2026-12-01T11:00Z")),
            Err(Miss::Closed(None))
        );
        assert_eq!(
            entry.in_time(at("2026-12-02T10:12Z")),
            Err(Miss::Over(at("2026-12-02")))
        );
        assert_eq!(
            entry.next_turn(at("2026-12-01T09:00Z")),
            Some(at("2026-12-01T10:00Z"))
        );
        assert_eq!(
            entry.next_turn(at("2026-12-01T10:01Z")),
            Some(at("2026-12-01T10:10Z"))
        );
    }

    #[test]
    fn many_entries_are_built_and_kept_over_a_reload_at_the_cost_of_each() {
        use crate::catalogue::Catalogue;
        use crate::ladder::Policy;
        let catalogue = Catalogue::builtin();
        let entries = |count: usize| -> Vec<Entry> {
            let one = |n: usize| {
                let mut entry = Entry::new(Step::always(Mode::Block), format!("f:{n}:1"));
                entry.methods.push(Methods::parse("crm.lead.list").unwrap());
                entry.callers.user = Some(n.to_string());
                entry
            };
            (0..count).map(one).collect()
        };
        let cost = |count| {
            let build = |previous| {
                let now = at("2026-12-01");
                Policy::build(&catalogue, Vec::new(), entries(count), now, previous).unwrap()
            };
            let first = build(None);
            counted::taken();
            build(Some(&first));
            counted::taken()
        };
        let (words, held) = cost(2_000);
        // Of the old and the new ones, once to find them again and once to see whether any moved.
        assert!(words <= 4 * 2_000, "{words}");
        assert_eq!(held, 0, "a name is looked up, not held against each rule");
    }
}
