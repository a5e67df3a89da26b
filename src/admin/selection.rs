//! Which rows are shown, in which order: the query of `/` and of `/api/callers` (pure).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::overview::{calls, identity, is_active};
use crate::telemetry::callers::State;
use crate::telemetry::shown::Row;

const REGRESSED: &str = State::Regressed.as_str();

/// What rows are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Who has regressed, then who has no name, then the others; of each the latest use first.
    #[default]
    Urgent,
    /// Last use, the latest first.
    Last,
    /// First use, the latest first.
    First,
    /// Calls, the most first.
    Calls,
    /// Caller; those without a name first, since they are what is to be found out.
    Caller,
    /// Method.
    Method,
}

impl Order {
    pub(super) const ALL: [Self; 6] = [
        Self::Urgent,
        Self::Last,
        Self::First,
        Self::Calls,
        Self::Caller,
        Self::Method,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Last => "last",
            Self::First => "first",
            Self::Calls => "calls",
            Self::Caller => "caller",
            Self::Method => "method",
        }
    }

    /// What a list of orders says.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Urgent => "Most urgent first",
            Self::Last => "Last use first",
            Self::First => "Newest first",
            Self::Calls => "Most calls first",
            Self::Caller => "By caller",
            Self::Method => "By method",
        }
    }
}

/// Which rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Show {
    #[default]
    All,
    /// Called within the last days.
    Active,
    /// Not called for days.
    Quiet,
    /// The last call was rewritten, observed, refused.
    Rewritten,
    Observed,
    Refused,
    /// The callers file has no name for them.
    Unnamed,
    /// Called after the day on which the migration was done.
    Regressed,
}

impl Show {
    pub(super) const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::All, "all", "All"),
        (Self::Active, "active", "Active"),
        (Self::Quiet, "quiet", "Quiet for 7 days"),
        (Self::Rewritten, "rewritten", "Rewritten"),
        (Self::Observed, "observed", "Observed only"),
        (Self::Refused, "refused", "Refused"),
        (Self::Unnamed, "unnamed", "Without a name"),
        (Self::Regressed, "regressed", "Regressed"),
    ];

    pub(super) fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find_map(|&(show, word, _)| (show == self).then_some(word))
            .unwrap_or("all")
    }

    fn shows(self, row: &Row, now: u64) -> bool {
        match self {
            Self::All => true,
            Self::Active => is_active(row, now),
            Self::Quiet => !is_active(row, now),
            Self::Rewritten | Self::Observed | Self::Refused => row.action == self.as_str(),
            Self::Unnamed => row.name.is_none(),
            Self::Regressed => row.state == Some(REGRESSED),
        }
    }
}

/// What the query of an address selects. What it does not know of a query it leaves unread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selection {
    /// Words that all must stand in some text of a row, in lower case; `*` in a word stands for anything.
    pub(super) words: String,
    pub(super) order: Order,
    pub(super) show: Show,
    /// Show all rows, however many there are.
    pub(super) all: bool,
}

impl Selection {
    pub(super) fn of(query: &str) -> Self {
        let mut selection = Self::default();
        for (name, value) in pairs(query) {
            match name.as_str() {
                "q" => selection.words = value.to_lowercase(),
                "sort" => {
                    let known = Order::ALL.into_iter().find(|o| o.as_str() == value);
                    selection.order = known.unwrap_or_default();
                }
                "show" => {
                    let known = Show::ALL.into_iter().find(|&(_, word, _)| word == value);
                    selection.show = known.map(|(show, ..)| show).unwrap_or_default();
                }
                "all" => selection.all = true,
                _ => {}
            }
        }
        selection
    }

    pub(super) fn select<'r>(&self, rows: &'r [Row], now: u64) -> Vec<&'r Row> {
        let words: Vec<&str> = self.words.split_whitespace().collect();
        let mut selected: Vec<&Row> = rows
            .iter()
            .filter(|row| self.show.shows(row, now) && words.iter().all(|word| holds(row, word)))
            .collect();
        match self.order {
            Order::Urgent => {
                selected.sort_by_key(|row| (rank(row), std::cmp::Reverse(row.last_seen)));
            }
            Order::Last => selected.sort_by_key(|row| std::cmp::Reverse(row.last_seen)),
            Order::First => selected.sort_by_key(|row| std::cmp::Reverse(row.first_seen)),
            Order::Calls => selected.sort_by_key(|row| std::cmp::Reverse(calls(row))),
            Order::Caller => selected.sort_by(|a, b| (&a.name, &a.key).cmp(&(&b.name, &b.key))),
            Order::Method => selected.sort_by(|a, b| a.method.cmp(&b.method)),
        }
        selected
    }
}

/// How urgent a row is: the least number first. Who has no name and was never let in by the portal may be made up: such
/// rows stand among the others by their last use.
pub(super) fn rank(row: &Row) -> u8 {
    match (row.state, &row.name) {
        (Some(REGRESSED), _) => 0,
        (_, None) if row.let_in => 1,
        _ => 2,
    }
}

fn holds(row: &Row, word: &str) -> bool {
    texts(row).any(|text| matches(&text.to_lowercase(), word))
}

/// Whether a text holds a word, whose parts between `*` may have anything between them. `script.js` does the same.
fn matches(text: &str, word: &str) -> bool {
    let mut rest = text;
    word.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// The texts of a row that words are looked for in, each by itself.
pub(super) fn texts(row: &Row) -> impl Iterator<Item = Cow<'_, str>> {
    let known = [
        Some(&row.key),
        row.name.as_ref(),
        Some(&row.method),
        row.replacement.as_ref(),
        row.user.as_ref(),
        row.application.as_ref(),
        row.fingerprint.as_ref(),
        row.address.as_ref(),
        row.user_agent.as_ref(),
        row.sdk.as_ref(),
        Some(&row.auth),
        Some(&row.action),
        row.reason.as_ref(),
        row.error.as_ref(),
        row.owner.as_ref(),
        row.contact.as_ref(),
        row.ticket.as_ref(),
    ];
    let behind = &row.behind;
    let listed = [
        &behind.keys,
        &behind.libraries,
        &behind.addresses,
        &row.changes,
    ];
    let state = row.state.unwrap_or_default();
    [Cow::Owned(identity(row)), Cow::Borrowed(state)]
        .into_iter()
        .chain(
            known
                .into_iter()
                .flatten()
                .map(|text| Cow::Borrowed(&**text)),
        )
        .chain(
            listed
                .into_iter()
                .flatten()
                .map(|text| Cow::Borrowed(&**text)),
        )
}

/// The pairs of a query or of a form.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
}

/// The value of one name.
pub(super) fn value(query: &str, name: &str) -> Option<String> {
    pairs(query).find_map(|(given, value)| (given == name).then_some(value))
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::overview::DAY;

    fn rows() -> Vec<Row> {
        let row = |name: Option<&str>, method: &str, last_seen, action: &str| Row {
            key: format!("webhook:portal:{method}"),
            name: name.map(Into::into),
            method: method.into(),
            action: action.into(),
            last_seen,
            rewritten: last_seen,
            user_agent: Some("Мой Агент/1".into()),
            ..Row::default()
        };
        vec![
            row(Some("shop"), "a.b", 10 * DAY, "rewritten"),
            row(None, "c.d", 2 * DAY, "observed"),
            row(Some("erp"), "a.c", 9 * DAY, "refused"),
        ]
    }

    fn selected(query: &str) -> Vec<String> {
        let rows = rows();
        let selected = Selection::of(query).select(&rows, 10 * DAY);
        selected.iter().map(|row| row.method.clone()).collect()
    }

    #[test]
    fn without_a_query_who_regressed_and_who_has_no_name_come_first() {
        let mut rows = rows();
        rows[1].let_in = true;
        rows[2].state = Some(REGRESSED);
        let selected = Selection::of("").select(&rows, 10 * DAY);
        let methods: Vec<&str> = selected.iter().map(|row| &*row.method).collect();
        assert_eq!(methods, ["a.c", "c.d", "a.b"]);
        let regressed = Selection::of("show=regressed&q=regressed").select(&rows, 10 * DAY);
        assert_eq!((regressed.len(), &*regressed[0].method), (1, "a.c"));
    }

    #[test]
    fn of_equal_urgency_the_last_callers_come_first() {
        assert_eq!(selected(""), ["a.b", "a.c", "c.d"]);
        assert_eq!(
            selected("sort=nonsense&show=x&&=&%zz"),
            ["a.b", "a.c", "c.d"]
        );
    }

    #[test]
    fn every_word_must_stand_somewhere_in_a_row() {
        assert_eq!(selected("q=SHOP"), ["a.b"]);
        assert_eq!(selected("q=%D0%B0%D0%B3%D0%B5%D0%BD%D1%82+erp"), ["a.c"]);
        assert!(selected("q=shop+erp").is_empty());
    }

    #[test]
    fn a_star_in_a_word_stands_for_anything_within_a_text() {
        assert_eq!(selected("q=a.*"), ["a.b", "a.c"]);
        assert_eq!(selected("q=webhook:*:c.d"), ["c.d"]);
        assert_eq!(
            selected("q=Agent*shop"),
            [] as [&str; 0],
            "not over two texts"
        );
        assert_eq!(selected("q=*").len(), 3);
        assert_eq!(selected("q=rewritten"), ["a.b"], "as the page says it");
    }

    #[test]
    fn rows_can_be_ordered_and_narrowed() {
        assert_eq!(selected("sort=caller"), ["c.d", "a.c", "a.b"]);
        assert_eq!(selected("sort=method&show=active"), ["a.b", "a.c"]);
        assert_eq!(selected("show=quiet"), ["c.d"]);
        assert_eq!(selected("show=refused"), ["a.c"]);
        assert_eq!(selected("show=unnamed"), ["c.d"]);
    }
}
