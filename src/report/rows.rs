//! Who still calls what: the uses in a log by caller and method, in memory for as many rows as there are of these.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

use super::period::Period;
use crate::ladder::Methods;
use crate::telemetry::callers::{About, Callers, Day, State};
use crate::telemetry::reader::{Line, LineCaller, REGRESSED};

/// The most callers whose name is remembered, so that it need not be looked up for each line.
const REMEMBERED: usize = 50_000;

/// Which uses are wanted: those that every kind of condition lets through.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub period: Period,
    /// Names or keys; none lets all through.
    pub callers: Vec<String>,
    pub methods: Vec<Methods>,
    /// `rewritten`, `observed`, `refused`.
    pub actions: Vec<String>,
}

/// One caller's uses of one method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The caller's key; of a named caller with several, the one that called last.
    pub key: String,
    /// How many keys were seen under the name.
    pub keys: usize,
    pub name: Option<String>,
    pub method: String,
    pub replacement: Option<String>,
    pub rewritten: u64,
    pub observed: u64,
    pub refused: u64,
    /// How many were answered with an error.
    pub errors: u64,
    /// The first and the last use, in milliseconds since 1970.
    pub first: u64,
    pub last: u64,
    /// Uses a day; days without one are left out.
    pub days: BTreeMap<Day, u64>,
}

impl Row {
    /// All uses.
    pub fn calls(&self) -> u64 {
        self.rewritten + self.observed + self.refused
    }

    /// What a person knows the caller by: its name, else its key.
    pub fn caller(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.key)
    }
}

/// The rows while they are counted.
pub struct Report<'c> {
    filter: Filter,
    callers: Option<&'c Callers>,
    names: Names,
    rows: Vec<Counted>,
    /// The place of a caller's row, by what it goes by and the method.
    places: HashMap<String, HashMap<String, usize>>,
    /// By name: on which days it was said to have regressed.
    regressed: BTreeMap<String, BTreeSet<Day>>,
}

struct Counted {
    row: Row,
    /// Hashes of the keys that were seen.
    keys: BTreeSet<u64>,
}

impl<'c> Report<'c> {
    /// An empty report. Where there is a callers file, it names the callers of all lines, old ones too; without one their
    /// names are those of the log.
    pub fn new(filter: Filter, callers: Option<&'c Callers>) -> Self {
        Self {
            filter,
            callers,
            names: Names::default(),
            rows: Vec::new(),
            places: HashMap::new(),
            regressed: BTreeMap::new(),
        }
    }

    /// Takes note of a line.
    pub fn take(&mut self, line: &Line<'_>) {
        let uses = line.uses();
        if uses == 0 {
            self.take_regression(line);
            return;
        }
        let (first, last) = line.span();
        if !self.filter.period.holds(first) || !self.wants(line) {
            return;
        }
        let name = match self.callers {
            Some(callers) => self.names.of(callers, &line.caller),
            None => line.caller.name.as_deref(),
        };
        let wanted = &self.filter.callers;
        let is_wanted = |text: &str| wanted.iter().any(|wanted| wanted == text);
        if !wanted.is_empty() && !is_wanted(&line.caller.key) && !name.is_some_and(is_wanted) {
            return;
        }
        let place = place(&mut self.places, &mut self.rows, name, line);
        let key = self.names.hasher.hash_one(&*line.caller.key);
        self.rows[place].count(line, uses, key, (first, last));
    }

    fn take_regression(&mut self, line: &Line<'_>) {
        if &*line.event != REGRESSED {
            return;
        }
        let (Some(name), Some(at)) = (&line.name, line.at()) else {
            return;
        };
        if self.filter.period.holds(at) {
            let days = self.regressed.entry(name.to_string()).or_default();
            days.insert(Day::of(at));
        }
    }

    fn wants(&self, line: &Line<'_>) -> bool {
        let Filter {
            methods, actions, ..
        } = &self.filter;
        let holds = |method: &str| {
            let method = method.to_ascii_lowercase();
            methods.iter().any(|wanted| wanted.holds(&method))
        };
        (methods.is_empty() || holds(&line.method))
            && (actions.is_empty() || actions.iter().any(|wanted| **wanted == *line.action))
    }

    /// The days on which names were said to have regressed, by name; several replicas say it, and it counts once.
    pub fn regressed(&self) -> &BTreeMap<String, BTreeSet<Day>> {
        &self.regressed
    }

    /// What the callers file says of a row's caller, and its state on the day of `now`.
    pub fn about(&self, row: &Row, now: u64) -> Option<(&'c About, State)> {
        let about = self.callers?.about(row.name.as_deref()?)?;
        Some((about, about.state(now, Some(row.last))))
    }

    /// The rows: callers without a name first, then those that have regressed, then the others; most calls first.
    pub fn rows(&self, now: u64) -> Vec<&Row> {
        let rank = |row: &Row| match (&row.name, self.about(row, now)) {
            (None, _) => 0,
            (Some(_), Some((_, State::Regressed))) => 1,
            (Some(_), _) => 2,
        };
        let mut rows: Vec<(u8, &Row)> = self
            .rows
            .iter()
            .map(|counted| (rank(&counted.row), &counted.row))
            .collect();
        rows.sort_by(|(a_rank, a), (b_rank, b)| {
            (a_rank, b.calls(), a.caller(), &a.method).cmp(&(
                b_rank,
                a.calls(),
                b.caller(),
                &b.method,
            ))
        });
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

/// The place of the row of a caller and a method, made where there is none.
fn place(
    places: &mut HashMap<String, HashMap<String, usize>>,
    rows: &mut Vec<Counted>,
    name: Option<&str>,
    line: &Line<'_>,
) -> usize {
    // A key has a colon behind its first word; a name could look like one, so names get a sign that no key begins with.
    let mut named = String::new();
    let caller: &str = match name {
        Some(name) => {
            named.push('\u{0}');
            named.push_str(name);
            &named
        }
        None => &line.caller.key,
    };
    if let Some(place) = places.get(caller).and_then(|of| of.get(&*line.method)) {
        return *place;
    }
    let row = Row {
        name: name.map(str::to_owned),
        method: line.method.to_string(),
        first: u64::MAX,
        ..Row::default()
    };
    rows.push(Counted {
        row,
        keys: BTreeSet::new(),
    });
    let methods = places.entry(caller.to_owned()).or_default();
    methods.insert(line.method.to_string(), rows.len() - 1);
    rows.len() - 1
}

impl Counted {
    fn count(&mut self, line: &Line<'_>, uses: u64, key: u64, (first, last): (u64, u64)) {
        let row = &mut self.row;
        if self.keys.len() < REMEMBERED && self.keys.insert(key) {
            row.keys = self.keys.len();
        }
        match &*line.action {
            "rewritten" => row.rewritten += uses,
            "refused" => row.refused += uses,
            _ => row.observed += uses,
        }
        row.errors += line.failed();
        row.first = row.first.min(first);
        if last >= row.last {
            row.last = last;
            if row.key != *line.caller.key {
                row.key = line.caller.key.to_string();
            }
            if row.replacement.as_deref() != line.replacement.as_deref() {
                row.replacement = line.replacement.as_deref().map(str::to_owned);
            }
        }
        *row.days.entry(Day::of(first)).or_default() += uses;
    }
}

/// Names of callers as a callers file gives them, remembered by all of a caller that a file can ask for.
#[derive(Default)]
pub struct Names {
    known: HashMap<u64, Option<String>>,
    hasher: RandomState,
}

impl Names {
    /// The name that the file gives to a line's caller.
    pub fn of(&mut self, callers: &Callers, caller: &LineCaller<'_>) -> Option<&str> {
        let parts = (
            (
                &*caller.key,
                &caller.user,
                &caller.application,
                &caller.fingerprint,
            ),
            (&caller.address, &caller.user_agent, &caller.sdk),
        );
        let hash = self.hasher.hash_one(parts);
        if self.known.len() >= REMEMBERED && !self.known.contains_key(&hash) {
            self.known.clear();
        }
        self.known
            .entry(hash)
            .or_insert_with(|| callers.name_of(&caller.owned()).map(str::to_owned))
            .as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[[caller]]\nname = \"shop\"\nuser = 7\nowner = \"Ann\"\ntold = 2026-11-01\nmigrated = 2026-11-20\n\
        [[caller]]\nname = \"erp\"\nsdk = \"b24pysdk\"\n";

    fn line(at: &str, user: &str, method: &str, rest: &str) -> String {
        format!(
            "{{\"schema\":1,\"timestamp\":\"2026-11-{at}.000Z\",\"event\":\"deprecated_call\",\"method\":\"{method}\",\
             \"replacement\":\"new\",{rest}\"caller\":{{\"key\":\"webhook:{user}\",\"name\":\"old name\",\"user\":\"{user}\"}}}}"
        )
    }

    fn report<'c>(filter: Filter, callers: Option<&'c Callers>, lines: &[String]) -> Report<'c> {
        let mut report = Report::new(filter, callers);
        for text in lines {
            report.take(&Line::read(text.as_bytes()).expect("an event"));
        }
        report
    }

    fn at(text: &str) -> u64 {
        let moment: jiff::Timestamp = format!("2026-{text}Z").parse().unwrap();
        moment.as_millisecond() as u64
    }

    const REWRITTEN: &str = "\"action\":\"rewritten\",";

    #[test]
    fn uses_are_counted_by_caller_method_action_and_day() {
        let lines = [
            line("01T10:00:00", "1", "a.b", REWRITTEN),
            line(
                "02T10:00:00",
                "1",
                "a.b",
                "\"action\":\"refused\",\"error\":\"X\",",
            ),
            line("02T09:00:00", "1", "a.b", "\"action\":\"observed\","),
            line("01T10:00:00", "1", "c.d", REWRITTEN),
        ];
        let callers = Callers::default();
        let report = report(Filter::default(), Some(&callers), &lines);
        let rows = report.rows(0);
        assert_eq!(rows.len(), 2);
        let row = rows[0];
        assert_eq!(
            (row.method.as_str(), row.calls(), row.errors),
            ("a.b", 3, 1)
        );
        assert_eq!((row.rewritten, row.observed, row.refused), (1, 1, 1));
        assert_eq!(
            (row.first, row.last),
            (at("11-01T10:00:00"), at("11-02T10:00:00"))
        );
        let days: Vec<(String, u64)> = row
            .days
            .iter()
            .map(|(day, n)| (day.to_string(), *n))
            .collect();
        assert_eq!(
            days,
            [("2026-11-01".to_owned(), 1), ("2026-11-02".to_owned(), 2)]
        );
    }

    #[test]
    fn a_summed_line_counts_on_the_day_of_its_first_use() {
        let summed = line(
            "03T00:00:01",
            "1",
            "a.b",
            "\"action\":\"observed\",\"count\":40,\"errors\":3,\"first\":\"2026-11-02T23:00:00.000Z\",\"last\":\"2026-11-02T23:59:00.000Z\",",
        )
        .replace("deprecated_call", "deprecated_calls");
        let day = |text: &str| Filter {
            period: Period::parse(Some(text), Some(text), 0).unwrap(),
            ..Filter::default()
        };
        let lines = [summed];
        let wanted = report(day("2026-11-02"), None, &lines);
        let rows = wanted.rows(0);
        assert_eq!((rows[0].calls(), rows[0].errors), (40, 3));
        assert_eq!(rows[0].last, at("11-02T23:59:00"));
        assert!(report(day("2026-11-03"), None, &lines).rows(0).is_empty());
    }

    #[test]
    fn todays_callers_file_names_old_lines_and_without_one_the_log_does() {
        let callers = Callers::parse(FILE).unwrap();
        let lines = [
            line("21T10:00:00", "7", "a.b", REWRITTEN),
            line("01T10:00:00", "8", "a.b", REWRITTEN),
            line("01T11:00:00", "8", "a.b", REWRITTEN),
            line("02T10:00:00", "9", "a.b", REWRITTEN)
                .replace("\"user\"", "\"sdk\":\"b24pysdk 1\",\"user\""),
            line("02T11:00:00", "6", "a.b", REWRITTEN)
                .replace("\"user\"", "\"sdk\":\"b24pysdk 2\",\"user\""),
        ];
        let named = report(Filter::default(), Some(&callers), &lines);
        let rows = named.rows(at("12-01T00:00:00"));
        let shown: Vec<(&str, usize, u64)> = rows
            .iter()
            .map(|row| (row.caller(), row.keys, row.calls()))
            .collect();
        // Without a name first, then who has regressed.
        assert_eq!(shown, [("webhook:8", 1, 2), ("shop", 1, 1), ("erp", 2, 2)]);
        assert_eq!(rows[2].key, "webhook:6");
        let (about, state) = named.about(rows[1], at("12-01T00:00:00")).unwrap();
        assert_eq!(
            (about.owner.as_deref(), state),
            (Some("Ann"), State::Regressed)
        );
        let by_the_log = report(Filter::default(), None, &lines);
        assert_eq!(by_the_log.rows(0)[0].caller(), "old name");
    }

    #[test]
    fn rows_can_be_narrowed_by_name_or_key_method_action_and_time() {
        let callers = Callers::parse(FILE).unwrap();
        let lines = [
            line("01T10:00:00", "7", "a.b", REWRITTEN),
            line("02T10:00:00", "8", "a.c", "\"action\":\"refused\","),
            line("03T10:00:00", "9", "x.y", "\"action\":\"observed\","),
        ];
        let count = |filter: Filter| report(filter, Some(&callers), &lines).rows(0).len();
        let of = |callers: &[&str]| Filter {
            callers: callers.iter().map(ToString::to_string).collect(),
            ..Filter::default()
        };
        assert_eq!(count(of(&["shop"])), 1);
        assert_eq!(count(of(&["shop", "webhook:8"])), 2);
        assert_eq!(count(of(&["nobody"])), 0);
        let methods = vec![Methods::parse("a.*").unwrap()];
        assert_eq!(
            count(Filter {
                methods,
                ..Filter::default()
            }),
            2
        );
        let actions = vec!["refused".to_owned(), "observed".to_owned()];
        assert_eq!(
            count(Filter {
                actions,
                ..Filter::default()
            }),
            2
        );
        let period = Period::parse(Some("2026-11-02"), None, 0).unwrap();
        assert_eq!(
            count(Filter {
                period,
                ..Filter::default()
            }),
            2
        );
    }

    #[test]
    fn a_regression_that_several_replicas_tell_of_counts_once_a_day() {
        let told = |at: &str| {
            format!(
                "{{\"schema\":1,\"timestamp\":\"2026-11-{at}.000Z\",\"event\":\"caller_regressed\",\"name\":\"shop\"}}"
            )
        };
        let lines = [
            told("21T10:00:00"),
            told("21T10:00:01"),
            told("22T00:00:00"),
        ];
        let report = report(Filter::default(), None, &lines);
        assert_eq!(report.regressed()["shop"].len(), 2);
    }
}
