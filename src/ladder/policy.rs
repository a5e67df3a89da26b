//! All that the configuration says of modes, together. Asked for every deprecated call: a rule of which no entry speaks
//! costs one look at a slice.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::entry::{Entry, Methods, Miss, Step};
use super::guard::{Guard, Harm};
use super::{Because, CallerView, Decision};
use crate::catalogue::{Catalogue, Mode, Rule, RuleKind};
use crate::nearest::nearest;
use crate::telemetry::caller::Caller;
use crate::telemetry::logging::Logging;

/// A brownout that names no end ends so long after it was first configured. Only a person who is there may begin one
/// ([`Setting::by_hand`]).
pub const LONGEST_BROWNOUT: SignedDuration = SignedDuration::from_hours(1);

/// A mode for all translated rules or for one method, as `--mode` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Lower-cased; all translated rules without it.
    pub method: Option<String>,
    /// The mode, and its days.
    pub step: Step,
    /// Where it was given: `--mode`, `B24_PROXY_MODE` or `FILE:LINE:COLUMN`.
    pub origin: String,
    /// A person has just typed it. What stands in a file or a unit is read again at each restart, in each replica, so that
    /// an end that is counted from there would move: such a brownout has to name its end.
    pub by_hand: bool,
}

/// What cannot be meant, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The setting's or entry's origin.
    pub origin: String,
    /// What is wrong and what would be right.
    pub why: String,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.origin, self.why)
    }
}

/// Which mode each rule is in, for whom and when.
#[derive(Debug)]
pub struct Policy {
    catalogue: Arc<Catalogue>,
    /// How the calls are named and logged.
    logging: Arc<Logging>,
    plans: Box<[Plan]>,
    pub(super) settings: Vec<Setting>,
    pub(super) entries: Vec<Placed>,
    guard: Arc<Guard>,
    /// Whether any entry is a brownout, so that the guard has something to do.
    guarded: bool,
    /// Whether any entry may depend on which application calls.
    asks_for_applications: bool,
}

/// What holds for one rule.
#[derive(Debug)]
pub(super) struct Plan {
    /// Entries that may match, in their order.
    pub(super) entries: Box<[usize]>,
    /// What holds when none does.
    base: Decision,
}

/// An entry in a policy.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) entry: Entry,
    /// When it was first configured.
    since: Timestamp,
    /// Shared with the policy before a reload.
    stop: Arc<Stop>,
}

/// That a brownout was ended before its time.
#[derive(Debug, Default)]
struct Stop {
    /// From when (Unix milliseconds).
    since: AtomicI64,
    /// Until when (Unix seconds).
    until: AtomicI64,
    by_guard: AtomicBool,
}

/// Who ends a brownout before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoppedBy {
    /// A person, on the status page.
    Admin,
    /// The guard: its callers' other calls fail.
    Guard,
}

impl Policy {
    /// Nothing is configured: translated rules are in `rewrite`, watched methods in `observe`.
    pub fn usual(catalogue: &Catalogue) -> Self {
        let plans = catalogue.rules().iter().map(|rule| Plan {
            entries: Box::default(),
            base: usual(rule),
        });
        Self {
            catalogue: Arc::new(catalogue.clone()),
            logging: Arc::default(),
            plans: plans.collect(),
            settings: Vec::new(),
            entries: Vec::new(),
            guard: Arc::default(),
            guarded: false,
            asks_for_applications: false,
        }
    }

    /// Of settings, of which later ones win, and entries, of which the first that matches wins over any setting. An entry
    /// that stood in `previous` already keeps when it was first configured, its stop and its counts.
    ///
    /// # Errors
    /// What cannot be meant: unknown methods, modes that a rule cannot be in, a brownout for all.
    pub fn build(
        catalogue: &Catalogue,
        settings: Vec<Setting>,
        mut entries: Vec<Entry>,
        now: Timestamp,
        previous: Option<&Policy>,
    ) -> Result<Self, Wrong> {
        let mut policy = Self::usual(catalogue);
        for (at, setting) in settings.iter().enumerate() {
            if setting.method.is_none() {
                policy.set_all(catalogue, at, setting)?;
            }
        }
        let timed = policy.set_methods(catalogue, &settings, now)?;
        let written = entries.len();
        entries.extend(timed.into_values());
        policy.plan_entries(catalogue, &entries, written, now)?;
        policy.settings = settings;
        policy.place(entries, now, previous);
        if !policy.entries.is_empty() {
            let date = |rule: &Rule| {
                let sunset = policy.sunset(rule)?;
                Some(sunset.strftime("%Y-%m-%d").to_string())
            };
            let dated = catalogue.with_sunsets(date);
            policy.catalogue = Arc::new(dated);
        }
        Ok(policy)
    }

    /// Sets the methods' own settings, each of which wins over one for all, wherever it stands. Gives those that end by
    /// themselves as entries, by rule.
    fn set_methods(
        &mut self,
        catalogue: &Catalogue,
        settings: &[Setting],
        now: Timestamp,
    ) -> Result<BTreeMap<usize, Entry>, Wrong> {
        let mut timed = BTreeMap::new();
        for (at, setting) in settings.iter().enumerate() {
            let Some(method) = &setting.method else {
                continue;
            };
            let rule = self.set_one(catalogue, at, setting, method)?;
            timed.remove(&rule.id);
            if setting.is_timed() {
                let mut entry = Entry::new(setting.step, &*setting.origin);
                entry.methods.push(Methods::name(&rule.method));
                if is_endless(&entry) && !setting.by_hand {
                    let right = format!("{}={}", rule.method, an_hour_from(now));
                    return Err(setting.wrong(needs_an_end(&right)));
                }
                timed.insert(rule.id, entry);
            }
        }
        Ok(timed)
    }

    /// Notes for each rule the entries that may match. The first `written` of them stand in a file, where a brownout has to
    /// name its end.
    fn plan_entries(
        &mut self,
        catalogue: &Catalogue,
        entries: &[Entry],
        written: usize,
        now: Timestamp,
    ) -> Result<(), Wrong> {
        let mut plans: Vec<Vec<usize>> = vec![Vec::new(); self.plans.len()];
        for (at, entry) in entries.iter().enumerate() {
            for rule in rules_of(catalogue, entry)? {
                plans[rule].push(at);
            }
            if at < written && is_endless(entry) {
                return Err(Wrong {
                    origin: entry.origin.clone(),
                    why: needs_an_end(&format!("mode = \"{}\"", an_hour_from(now))),
                });
            }
        }
        for (plan, entries) in self.plans.iter_mut().zip(plans) {
            plan.entries = entries.into();
        }
        self.guarded = entries
            .iter()
            .any(|entry| entry.step.mode == Mode::Brownout);
        // A caller's name may stand for an application.
        self.asks_for_applications = entries
            .iter()
            .any(|entry| entry.callers.application.is_some() || entry.caller.is_some());
        Ok(())
    }

    /// Takes the entries over. One that stood in `previous` keeps when it was first configured and its stop; where none has
    /// moved, the guard's counts are kept, which are by an entry's position.
    fn place(&mut self, entries: Vec<Entry>, now: Timestamp, previous: Option<&Policy>) {
        let mut before: HashMap<String, &Placed> = HashMap::new();
        for old in previous.map_or(&[][..], |policy| &policy.entries) {
            before.entry(old.entry.words()).or_insert(old);
        }
        let placed = |entry: Entry| {
            let old = (!before.is_empty()).then(|| before.get(&entry.words()));
            Placed::new(entry, now, old.flatten().copied())
        };
        self.entries = entries.into_iter().map(placed).collect();
        let Some(previous) = previous else {
            return;
        };
        let unmoved = previous.entries.len() == self.entries.len()
            && previous
                .entries
                .iter()
                .zip(&self.entries)
                .all(|(old, new)| old.entry.says_the_same(&new.entry));
        if unmoved {
            self.guard = Arc::clone(&previous.guard);
        }
    }

    fn set_all(
        &mut self,
        catalogue: &Catalogue,
        at: usize,
        setting: &Setting,
    ) -> Result<(), Wrong> {
        let mode = setting.step.mode;
        if mode == Mode::Brownout {
            return Err(setting.wrong(
                "a brownout is never for all; name a method, as METHOD=brownout".to_owned(),
            ));
        }
        if setting.is_timed() {
            return Err(setting.wrong(
                "days are for a method, as METHOD=MODE, or for a [[mode]] entry of the configuration file"
                    .to_owned(),
            ));
        }
        for rule in catalogue
            .rules()
            .iter()
            .filter(|rule| rule.kind == RuleKind::Exact)
        {
            can_be_in(rule, mode).map_err(|why| setting.wrong(why))?;
            self.plans[rule.id].base = setting.decision(at);
        }
        Ok(())
    }

    fn set_one<'c>(
        &mut self,
        catalogue: &'c Catalogue,
        at: usize,
        setting: &Setting,
        method: &str,
    ) -> Result<&'c Rule, Wrong> {
        if method.contains('*') {
            return Err(setting.wrong(format!(
                "{method} is a pattern, and here one method is meant; a pattern is for `rule` in a [[mode]] entry of the \
                 configuration file"
            )));
        }
        let rule = catalogue
            .find(method.to_ascii_lowercase().as_bytes())
            .ok_or_else(|| setting.wrong(unknown(catalogue, method)))?;
        can_be_in(rule, setting.step.mode).map_err(|why| setting.wrong(why))?;
        if !setting.is_timed() {
            self.plans[rule.id].base = setting.decision(at);
        }
        Ok(rule)
    }

    /// The rules that it speaks of, each with its `sunset`. Rules and modes are swapped as one.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// The same, whose calls are named and logged so.
    pub fn with_logging(self, logging: Arc<Logging>) -> Self {
        Self { logging, ..self }
    }

    /// How the calls are named and logged, since the same reload.
    pub fn logging(&self) -> &Arc<Logging> {
        &self.logging
    }

    /// The plan of a rule; none for a rule of another catalogue, as of one before a reload.
    pub(super) fn plan(&self, rule: &Rule) -> Option<&Plan> {
        let own = self.catalogue.rules().get(rule.id)?;
        (own.method == rule.method)
            .then(|| self.plans.get(rule.id))
            .flatten()
    }

    /// The mode of a rule, where it is the same for every caller at every moment.
    pub fn fixed(&self, rule: &Rule) -> Option<Mode> {
        let plan = self.plan(rule)?;
        plan.entries.is_empty().then_some(plan.base.mode)
    }

    /// The mode of a rule for a caller at a moment. A rule of another catalogue is in its usual mode.
    pub fn mode(&self, rule: &Rule, caller: &CallerView<'_>, now: Timestamp) -> Decision {
        let Some(plan) = self.plan(rule) else {
            return usual(rule);
        };
        for &at in &plan.entries {
            if let Ok(decision) = self.ask(at, caller, now) {
                return decision;
            }
        }
        plan.base
    }

    /// Whether a rule's call is refused at this moment whoever makes it. `caller` is what its head tells; who it is may stand
    /// in a body that is not read.
    pub fn refuses_whoever_calls(&self, rule: &Rule, caller: &Caller, now: Timestamp) -> bool {
        let refuses = |mode| matches!(mode, Mode::Brownout | Mode::Block);
        let Some(plan) = self.plan(rule) else {
            return false;
        };
        for placed in plan.entries.iter().map(|&at| &self.entries[at]) {
            if placed.in_time(now).is_err() {
                continue;
            }
            match placed.entry.is_for_head_of(caller) {
                Some(true) => return refuses(placed.entry.step.mode),
                None if !refuses(placed.entry.step.mode) => return false,
                Some(false) | None => {}
            }
        }
        refuses(plan.base.mode)
    }

    pub(super) fn ask(
        &self,
        at: usize,
        caller: &CallerView<'_>,
        now: Timestamp,
    ) -> Result<Decision, Miss> {
        let placed = &self.entries[at];
        let until = placed.in_time(now)?;
        placed.entry.is_for(caller)?;
        Ok(Decision {
            mode: placed.entry.step.mode,
            because: Because::Entry(at),
            until,
        })
    }

    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|placed| &placed.entry)
    }

    pub(super) fn placed(&self) -> &[Placed] {
        &self.entries
    }

    pub(super) fn entries_of(&self, rule: &Rule) -> &[usize] {
        self.plan(rule).map_or(&[], |plan| &plan.entries)
    }

    pub(super) fn base_of(&self, rule: &Rule) -> Decision {
        self.plans
            .get(rule.id)
            .map_or_else(|| usual(rule), |plan| plan.base)
    }

    /// Whether answers should be told to [`Policy::answered`] and refusals to [`Policy::refused`]: a brownout is configured.
    pub fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// Whether a mode may depend on which application calls.
    pub fn asks_for_applications(&self) -> bool {
        self.asks_for_applications
    }

    /// A call of this caller was refused by a brownout.
    pub fn refused(&self, decision: &Decision, caller: &str, now: Timestamp) {
        if let (Mode::Brownout, Because::Entry(at)) = (decision.mode, decision.because) {
            let began = self.entries[at].began(now);
            self.guard.refused(at, began, caller);
        }
    }

    /// Another call of this caller was answered by the portal with this status. Ends the brownouts that this shows to do
    /// harm, and gives them: each entry's position, and what was counted.
    pub fn answered(&self, caller: &str, status: u16, now: Timestamp) -> Vec<(usize, Harm)> {
        let harmful = self.guard.answered(caller, status, now);
        harmful
            .into_iter()
            .filter(|(at, _)| self.stop(*at, now, StoppedBy::Guard))
            .collect()
    }

    /// Ends the brownout of this entry now, up to the end of its window. False when it was not going on.
    pub fn stop(&self, entry: usize, now: Timestamp, by: StoppedBy) -> bool {
        let brownout = |placed: &&Placed| placed.entry.step.mode == Mode::Brownout;
        let Some(placed) = self.entries.get(entry).filter(brownout) else {
            return false;
        };
        let until = match placed.in_time(now) {
            Ok(Some(until)) => until.as_second(),
            Ok(None) => i64::MAX,
            Err(_) => return false,
        };
        self.guard.forget(entry);
        let by_guard = by == StoppedBy::Guard;
        placed.stop.by_guard.store(by_guard, Ordering::Relaxed);
        let since = now.as_millisecond();
        placed.stop.since.store(since, Ordering::Relaxed);
        placed.stop.until.store(until, Ordering::Release);
        true
    }

    /// The brownouts that are ended before their time at this moment, and who ended them.
    pub fn stops(&self, now: Timestamp) -> Vec<(usize, StoppedBy)> {
        let stopped = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, placed)| placed.is_stopped(now));
        let by = |placed: &Placed| match placed.stop.by_guard.load(Ordering::Relaxed) {
            true => StoppedBy::Guard,
            false => StoppedBy::Admin,
        };
        stopped.map(|(at, placed)| (at, by(placed))).collect()
    }
}

impl Placed {
    /// `before` is the one that said the same before a reload.
    fn new(entry: Entry, now: Timestamp, before: Option<&Placed>) -> Self {
        let (since, stop) = match before {
            Some(old) => (old.since, Arc::clone(&old.stop)),
            None => (now, Arc::default()),
        };
        Self { entry, since, stop }
    }

    /// Whether it holds at this moment and is not stopped, and up to when.
    pub(super) fn in_time(&self, now: Timestamp) -> Result<Option<Timestamp>, Miss> {
        let span = self.entry.in_time(now)?;
        let until = match (span, self.end_of_brownout()) {
            (Some(span), _) => Some(span.until),
            (None, Some(end)) if now >= end => return Err(Miss::Over(end)),
            (None, end) => end,
        };
        if self.is_stopped(now) {
            return Err(Miss::Stopped);
        }
        Ok(until)
    }

    fn is_stopped(&self, now: Timestamp) -> bool {
        now.as_second() < self.stop.until.load(Ordering::Acquire)
            && now.as_millisecond() >= self.stop.since.load(Ordering::Relaxed)
    }

    /// When a brownout ends that names neither windows nor an end.
    fn end_of_brownout(&self) -> Option<Timestamp> {
        let entry = &self.entry;
        if !is_endless(entry) {
            return None;
        }
        let since = entry
            .step
            .from
            .map_or(self.since, |from| from.max(self.since));
        since.checked_add(LONGEST_BROWNOUT).ok()
    }

    /// The next moment after this one at which it begins or ends to hold.
    pub(super) fn next_turn(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.end_of_brownout().filter(|end| *end > now);
        self.entry.next_turn(now).into_iter().chain(end).min()
    }

    fn began(&self, now: Timestamp) -> Timestamp {
        let open = self
            .entry
            .windows
            .iter()
            .filter_map(|window| window.open_at(now));
        match open.map(|span| span.from).min() {
            Some(from) => from,
            None => self
                .entry
                .step
                .from
                .map_or(self.since, |from| from.max(self.since)),
        }
    }
}

/// Whether it is a brownout that goes on for ever.
fn is_endless(entry: &Entry) -> bool {
    entry.step.mode == Mode::Brownout && entry.windows.is_empty() && entry.step.until.is_none()
}

/// A brownout of an hour, as it could be written.
fn an_hour_from(now: Timestamp) -> String {
    let end = now.checked_add(LONGEST_BROWNOUT).unwrap_or(now);
    format!("brownout until {}", end.strftime("%Y-%m-%dT%H:%MZ"))
}

fn needs_an_end(right: &str) -> String {
    format!(
        "a brownout needs an end, which no restart moves; write {right}, or an entry with `when`"
    )
}

impl Setting {
    /// Whether it depends on the moment.
    fn is_timed(&self) -> bool {
        let Step { mode, from, until } = self.step;
        mode == Mode::Brownout || from.is_some() || until.is_some()
    }

    fn wrong(&self, why: String) -> Wrong {
        Wrong {
            origin: self.origin.clone(),
            why,
        }
    }

    fn decision(&self, at: usize) -> Decision {
        Decision {
            mode: self.step.mode,
            because: Because::Setting(at),
            until: None,
        }
    }
}

/// What holds for a rule when nothing is configured.
fn usual(rule: &Rule) -> Decision {
    Decision {
        mode: rule.usual_mode(),
        because: Because::Default,
        until: None,
    }
}

/// Whether a rule can be in this mode.
fn can_be_in(rule: &Rule, mode: Mode) -> Result<(), String> {
    match (rule.kind, mode) {
        (RuleKind::Watched, Mode::Rewrite | Mode::Compare) => Err(format!(
            "{} is watched and has no translation; it can be in observe, brownout or block",
            rule.method
        )),
        (RuleKind::Exact, Mode::Compare) if !rule.read_only => Err(format!(
            "{} changes something on the portal and cannot be sent twice to compare; only rules that read can",
            rule.method
        )),
        _ => Ok(()),
    }
}

/// The rules that an entry speaks of, by their ids.
fn rules_of(catalogue: &Catalogue, entry: &Entry) -> Result<Vec<usize>, Wrong> {
    let wrong = |why: String| Wrong {
        origin: entry.origin.clone(),
        why,
    };
    if entry.methods.is_empty() && !entry.is_for_some() && entry.step.mode == Mode::Brownout {
        return Err(wrong(
            "a brownout is never for all; name rules, callers or a share of them".to_owned(),
        ));
    }
    let rules = catalogue.rules().iter();
    if entry.methods.is_empty() {
        let translated: Vec<_> = rules.filter(|rule| rule.kind == RuleKind::Exact).collect();
        for rule in &translated {
            can_be_in(rule, entry.step.mode).map_err(wrong)?;
        }
        return Ok(translated.iter().map(|rule| rule.id).collect());
    }
    let mut ids = Vec::new();
    for methods in &entry.methods {
        let meant: Vec<_> = if methods.is_name() {
            catalogue
                .find(methods.text().as_bytes())
                .into_iter()
                .collect()
        } else {
            catalogue
                .rules()
                .iter()
                .filter(|rule| methods.holds(&rule.method.to_ascii_lowercase()))
                .collect()
        };
        if meant.is_empty() {
            return Err(wrong(unknown(catalogue, methods.text())));
        }
        let able: Vec<_> = meant
            .iter()
            .filter(|rule| can_be_in(rule, entry.step.mode).is_ok())
            .collect();
        // A pattern means those of its methods that can be in the mode; at least one must.
        if let (true, Some(rule)) = (able.is_empty(), meant.first()) {
            can_be_in(rule, entry.step.mode).map_err(wrong)?;
        }
        ids.extend(able.iter().map(|rule| rule.id));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn unknown(catalogue: &Catalogue, method: &str) -> String {
    if method.contains('*') {
        return format!("no method that there is a rule for is like {method}; `rules` lists all");
    }
    let known = catalogue.rules().iter().map(|rule| rule.method.as_str());
    match nearest(method, known) {
        Some(name) => format!("there is no rule for {method}; did you mean {name}?"),
        None => format!("there is no rule for {method}; `rules` lists all"),
    }
}
