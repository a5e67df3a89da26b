//! Whether nothing was called, and somebody looked all the time: the proof that the proxy may go, or a method (pure).
//!
//! - [`chain`] what the lines of one instance prove
//! - [`hole`] what they do not
//! - [`certificate`] the verdict as a text to keep

pub mod certificate;
mod chain;
mod hole;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use super::output;
use super::period::Period;
use super::rows::{Filter, Report};
use crate::ladder::Methods;
use crate::telemetry::callers::Callers;
use crate::telemetry::reader::{Counts, Line, UNREAD};
use chain::{Chain, gap};
pub use hole::{Hole, Why};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Does nobody call these methods; without any, was no call rewritten or refused.
    pub methods: Vec<String>,
    /// The period's first moment, and its last where it is given, in milliseconds since 1970.
    pub since: u64,
    pub until: Option<u64>,
    /// How many instances are to have looked at each moment.
    pub replicas: usize,
    /// Those that are to have looked all the time, by name.
    pub instances: Vec<String>,
    /// Whether calls that could not be read are only mentioned.
    pub allow_unread: bool,
    /// The hashes of rules that hold all the methods.
    pub rules: Vec<String>,
    /// The moment of the question.
    pub now: u64,
}

/// All that the log says about it, line by line.
pub struct Proof<'c> {
    question: Question,
    chains: BTreeMap<String, Chain>,
    used: Report<'c>,
    /// Observed calls that passed: of the first question only.
    unread: BTreeMap<String, (u64, u64)>,
    /// Lines of calls that name no instance, within the period: how many, the first and the last.
    old: Option<(u64, u64, u64)>,
}

/// The answer.
#[derive(Debug)]
pub struct Verdict {
    pub methods: Vec<String>,
    pub since: u64,
    pub until: u64,
    /// Who called, what, how often, and when last.
    pub used: Vec<Used>,
    /// Whose calls could not be read: how many, and when last.
    pub unread: Vec<Unread>,
    pub allow_unread: bool,
    pub holes: Vec<Hole>,
    pub looked: Vec<Looked>,
    /// What the instances that count have counted in the period.
    pub counts: Counts,
}

/// A caller that still calls.
#[derive(Debug, Serialize)]
pub struct Used {
    pub caller: String,
    pub name: Option<String>,
    pub owner: Option<String>,
    pub method: String,
    pub calls: u64,
    pub last: String,
}

/// A caller whose calls could not be read.
#[derive(Debug, Serialize)]
pub struct Unread {
    pub caller: String,
    pub calls: u64,
    pub last: String,
}

/// An instance that looked.
#[derive(Debug, Serialize)]
pub struct Looked {
    pub instance: String,
    pub from: String,
    pub to: String,
    pub runs: u64,
    pub heartbeats: u64,
    pub version: String,
    pub methods: u64,
}

impl<'c> Proof<'c> {
    /// Nothing is known yet.
    pub fn new(question: Question, callers: Option<&'c Callers>) -> Self {
        let methods = question
            .methods
            .iter()
            .filter_map(|method| Methods::parse(method).ok())
            .collect::<Vec<_>>();
        let actions = if methods.is_empty() {
            vec!["rewritten".to_owned(), "refused".to_owned()]
        } else {
            Vec::new()
        };
        let filter = Filter {
            period: Period::default(),
            callers: Vec::new(),
            methods,
            actions,
        };
        Self {
            question,
            chains: BTreeMap::new(),
            used: Report::new(filter, callers),
            unread: BTreeMap::new(),
            old: None,
        }
    }

    /// Takes note of the next line.
    pub fn take(&mut self, line: &Line<'_>) {
        let (first, last) = line.span();
        let period = Period {
            since: Some(self.question.since),
            until: self.question.until,
        };
        // A sum counts where any of its calls may lie in the period.
        let inside = period.since.is_none_or(|since| last >= since)
            && period.until.is_none_or(|until| first <= until);
        if inside {
            self.used.take(line);
            if &*line.event == UNREAD {
                let who = line.caller.name.as_deref().unwrap_or(&line.caller.key);
                let (calls, at) = self.unread.entry(who.to_owned()).or_default();
                *calls += 1;
                *at = last.max(*at);
            }
        }
        match line.instance.as_deref() {
            Some(instance) => {
                if !self.chains.contains_key(instance) {
                    self.chains.insert(instance.to_owned(), Chain::default());
                }
                if let Some(chain) = self.chains.get_mut(instance) {
                    chain.take(line);
                }
            }
            None if inside => {
                let (lines, from, to) = self.old.unwrap_or((0, last, last));
                self.old = Some((lines + 1, from.min(last), to.max(last)));
            }
            None => {}
        }
    }

    /// The answer.
    pub fn verdict(mut self) -> Verdict {
        let until = self.until();
        let since = self.question.since.min(until);
        let holes = self.holes(since, until);
        let overlap = |from: u64, to: u64| from < until && to > since;
        let mut counts = Counts::default();
        let mut looked = Vec::new();
        for (instance, chain) in self.chains() {
            let spans = || {
                chain
                    .spans
                    .iter()
                    .filter(|span| overlap(span.from, span.to))
            };
            counts = spans().fold(counts, |sum, span| sum.plus(&span.counts));
            if let (Some(first), Some(last)) = (spans().next(), spans().next_back()) {
                looked.push(Looked {
                    instance: instance.clone(),
                    from: output::moment(first.from.max(since)),
                    to: output::moment(last.to.min(until)),
                    runs: chain.runs,
                    heartbeats: chain.heartbeats,
                    version: chain.version.clone(),
                    methods: chain.methods,
                });
            }
        }
        let used = self
            .used
            .rows(self.question.now)
            .into_iter()
            .map(|row| Used {
                caller: row.key.clone(),
                name: row.name.clone(),
                owner: self
                    .used
                    .about(row, self.question.now)
                    .and_then(|(about, _)| about.owner.clone()),
                method: row.method.clone(),
                calls: row.calls(),
                last: output::moment(row.last),
            })
            .collect();
        let unread = std::mem::take(&mut self.unread);
        Verdict {
            methods: self.question.methods,
            since,
            until,
            used,
            unread: unread
                .into_iter()
                .map(|(caller, (calls, last))| Unread {
                    caller,
                    calls,
                    last: output::moment(last),
                })
                .collect(),
            allow_unread: self.question.allow_unread,
            holes,
            looked,
            counts,
        }
    }

    fn asks_for_methods(&self) -> bool {
        !self.question.methods.is_empty()
    }

    /// The chains that count: the named ones, or all that were there in the period.
    fn chains(&self) -> impl Iterator<Item = (&String, &Chain)> {
        let named = &self.question.instances;
        self.chains.iter().filter(move |(instance, chain)| {
            if named.is_empty() {
                chain.last() >= self.question.since
            } else {
                named.contains(instance)
            }
        })
    }

    /// The period's last moment: the given one, else the last mark that all have who still speak.
    fn until(&self) -> u64 {
        if let Some(until) = self.question.until {
            return until;
        }
        let now = self.question.now;
        let end = |chain: &Chain| {
            let (at, interval, stopped) = chain.end()?;
            let at = if self.asks_for_methods() {
                chain.clear().unwrap_or(at)
            } else {
                at
            };
            Some((at, now.saturating_sub(at) <= gap(interval), stopped))
        };
        let fresh = |open: bool| {
            self.chains()
                .filter_map(|(_, chain)| end(chain))
                .filter(move |(_, fresh, stopped)| *fresh && *stopped != open)
                .map(|(at, ..)| at)
        };
        // Who has stopped no longer speaks; only where nobody speaks, the last stop is the end.
        fresh(true)
            .min()
            .or_else(|| fresh(false).max())
            .unwrap_or(now)
    }

    /// All that cannot be vouched for, within the period.
    fn holes(&self, since: u64, until: u64) -> Vec<Hole> {
        let mut holes = Vec::new();
        for (instance, chain) in self.chains() {
            let mut add = |hole: Hole| {
                holes.push(Hole {
                    instance: Some(instance.clone()),
                    ..hole
                });
            };
            chain.holes.iter().cloned().for_each(&mut add);
            if let Some((at, _, false)) = chain.end()
                && at < until
            {
                add(Hole {
                    from: at,
                    to: until,
                    instance: None,
                    why: Why::Silent,
                });
            }
            if self.asks_for_methods() {
                chain
                    .unshown
                    .iter()
                    .cloned()
                    .chain(chain.still_unshown())
                    .for_each(&mut add);
                let unknown = |rules: &&String| !self.question.rules.contains(rules);
                for span in &chain.spans {
                    if let Some(rules) = span.rules.iter().find(unknown) {
                        add(Hole {
                            from: span.from,
                            to: span.to,
                            instance: None,
                            why: Why::Rules(rules.clone()),
                        });
                    }
                }
            }
        }
        if let Some((lines, from, to)) = self.old {
            holes.push(Hole {
                from,
                to: to.max(from + 1),
                instance: None,
                why: Why::Old(lines),
            });
        }
        holes.retain(|hole| hole.to > since && hole.from < until);
        for hole in &mut holes {
            hole.from = hole.from.max(since);
            hole.to = hole.to.min(until);
        }
        let unwatched = self.unwatched(since, until, &holes);
        holes.extend(unwatched);
        holes.sort_by(|a, b| (a.from, a.to, &a.instance).cmp(&(b.from, b.to, &b.instance)));
        joined(holes)
    }

    /// The times at which fewer looked than are asked for, as far as no other hole says why.
    fn unwatched(&self, since: u64, until: u64, told: &[Hole]) -> Vec<Hole> {
        if self.chains.values().all(|chain| chain.end().is_none()) {
            return vec![Hole {
                from: since,
                to: until,
                instance: None,
                why: Why::NoMarks,
            }];
        }
        let named = &self.question.instances;
        if named.is_empty() {
            let chains: Vec<&Chain> = self.chains.values().collect();
            return few(&chains, self.question.replicas, since, until)
                .into_iter()
                .flat_map(|hole| without(hole, told))
                .collect();
        }
        let mut holes = Vec::new();
        for instance in named {
            let of = |hole: Hole| Hole {
                instance: Some(instance.clone()),
                ..hole
            };
            match self.chains.get(instance) {
                None => holes.push(of(Hole {
                    from: since,
                    to: until,
                    instance: None,
                    why: Why::Absent,
                })),
                Some(chain) => {
                    let told: Vec<Hole> = told
                        .iter()
                        .filter(|hole| hole.instance.as_ref() == Some(instance))
                        .cloned()
                        .collect();
                    let few = few(&[chain], 1, since, until).into_iter();
                    holes.extend(few.flat_map(|hole| without(hole, &told)).map(of));
                }
            }
        }
        holes
    }
}

/// When fewer than `wanted` chains have a span.
fn few(chains: &[&Chain], wanted: usize, since: u64, until: u64) -> Vec<Hole> {
    let mut turns: BTreeMap<u64, i64> = BTreeMap::from([(since, 0), (until, 0)]);
    for chain in chains {
        let mut end = None;
        for span in &chain.spans {
            let (from, to) = (span.from.max(since), span.to.min(until));
            if from >= to {
                continue;
            }
            // Spans that touch are one.
            let from = end.filter(|end| *end >= from).unwrap_or(from);
            *turns.entry(from).or_default() += 1;
            *turns.entry(to).or_default() -= 1;
            end = Some(to);
        }
    }
    let mut holes: Vec<Hole> = Vec::new();
    let (mut looked, mut before) = (0, since);
    for (at, change) in turns {
        if at > before && looked < wanted as i64 {
            let why = Why::Few {
                looked: usize::try_from(looked).unwrap_or(0),
                wanted,
            };
            match holes.last_mut() {
                Some(last) if last.to == before && last.why == why => last.to = at,
                _ => holes.push(Hole {
                    from: before,
                    to: at,
                    instance: None,
                    why,
                }),
            }
        }
        looked += change;
        before = at;
    }
    holes
}

/// The parts of a hole that no other one covers.
fn without(hole: Hole, others: &[Hole]) -> Vec<Hole> {
    let mut parts = vec![hole];
    for other in others {
        parts = parts
            .into_iter()
            .flat_map(|part| {
                let left = Hole {
                    to: part.to.min(other.from),
                    ..part.clone()
                };
                let right = Hole {
                    from: part.from.max(other.to),
                    ..part
                };
                [left, right]
            })
            .filter(|part| part.from < part.to)
            .collect();
    }
    parts
}

/// Holes for one reason that touch are one.
fn joined(holes: Vec<Hole>) -> Vec<Hole> {
    let mut joined: Vec<Hole> = Vec::new();
    for hole in holes {
        let same = |last: &&mut Hole| {
            last.instance == hole.instance && last.why == hole.why && last.to >= hole.from
        };
        match joined.iter_mut().rev().take(8).find(same) {
            Some(last) => last.to = last.to.max(hole.to),
            None => joined.push(hole),
        }
    }
    joined
}

impl Verdict {
    /// Whether there was no REST call at all, so that nothing is proved.
    pub fn has_no_traffic(&self) -> bool {
        self.counts.calls + self.counts.batches == 0
    }

    /// Whether calls that could not be read stand against a proof.
    pub fn is_unread(&self) -> bool {
        !self.allow_unread && (!self.unread.is_empty() || self.counts.unread > 0)
    }

    /// 0: proved; 1: still used; 2: nobody can tell.
    pub fn status(&self) -> u8 {
        if !self.used.is_empty() {
            1
        } else if !self.holes.is_empty() || self.has_no_traffic() || self.is_unread() {
            2
        } else {
            0
        }
    }
}
