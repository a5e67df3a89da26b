//! The row for the portal's request limit: how much of it is used, and who waits.

use super::html::{Text, counted};
use crate::pace::desk::State;
use crate::telemetry::metrics::MostUsed;
use std::sync::Arc;

/// So many of who waits are named.
pub(super) const NAMED: usize = 5;

/// The row; nothing where nothing is to be said of it.
pub(super) fn row(
    state: &State,
    waiting: &[(Arc<str>, usize)],
    store_up: Option<bool>,
    times: &[MostUsed],
) -> String {
    let mut items = String::new();
    let mut item = |class: &str, text: &str| {
        items += &format!("<li class={class}>{}</li>", Text(text));
    };
    if state.holds {
        let share = if state.depth > 0.0 {
            state.level / state.depth
        } else {
            0.0
        };
        let class = if share > 0.8 { "warn" } else { "good" };
        item(
            class,
            &format!(
                "Portal\u{2019}s limit: {:.0} of {:.0} used, {} a second",
                state.level.max(0.0),
                state.depth,
                short(state.rate)
            ),
        );
        match state.waiting {
            0 => item("good", "Nobody waits"),
            calls => {
                let named: Vec<String> = waiting
                    .iter()
                    .take(NAMED)
                    .map(|(who, calls)| format!("{who} {calls}"))
                    .collect();
                let more = waiting.len().saturating_sub(NAMED);
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                let calls = counted(calls as u64, "call waits", "calls wait");
                item("warn", &format!("{calls}: {}{more}", named.join(", ")));
            }
        }
    }
    if state.others > 0.0 {
        item(
            "bad",
            "Someone else calls from this address: the portal refuses more than our calls explain",
        );
    }
    match store_up {
        Some(true) if state.holds => item("good", "Shared with other replicas"),
        Some(false) => item(
            "bad",
            "The rate store does not answer: this replica uses its own part of the limit",
        ),
        _ => {}
    }
    if !times.is_empty() {
        let class = if times.iter().any(|used| used.is_high) {
            "warn"
        } else {
            "good"
        };
        let named: Vec<String> = times
            .iter()
            .map(|used| format!("{} {:.0} s ({})", used.method, used.seconds, used.caller))
            .collect();
        let named = named.join(", ");
        item(
            class,
            &format!("Portal\u{2019}s time in ten minutes: {named}"),
        );
    }
    if items.is_empty() {
        return String::new();
    }
    format!("<ul class=health aria-label=\"The portal\u{2019}s request limit\">{items}</ul>")
}

fn short(rate: f64) -> String {
    let text = format!("{rate:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            holds: true,
            depth: 48.0,
            rate: 2.0,
            level: 44.4,
            waiting: 3,
            callers: 2,
            others: 0.0,
        }
    }

    #[test]
    fn it_says_what_is_used_and_who_waits() {
        let waiting: Vec<(Arc<str>, usize)> = vec![("1C".into(), 2), ("<b>".into(), 1)];
        let html = row(&state(), &waiting, None, &[]);
        assert!(html.contains("44 of 48 used, 2 a second"), "{html}");
        assert!(html.contains("3 calls wait: 1C 2, &lt;b&gt; 1"), "{html}");
        assert!(!html.contains("<b>"), "{html}");
    }

    #[test]
    fn methods_that_use_much_of_the_portals_time_are_named() {
        let used = MostUsed {
            method: "crm.item.list".into(),
            caller: "1C".into(),
            seconds: 401.2,
            is_high: true,
        };
        let html = row(&State::default(), &[], None, &[used]);
        assert!(html.contains("class=warn"), "{html}");
        assert!(html.contains("crm.item.list 401 s (1C)"), "{html}");
    }

    #[test]
    fn nothing_is_shown_while_nothing_is_held_back() {
        assert_eq!(row(&State::default(), &[], None, &[]), "");
        assert_eq!(row(&State::default(), &[], Some(true), &[]), "");
        assert!(row(&State::default(), &[], Some(false), &[]).contains("does not answer"));
        let others = State {
            others: 0.19,
            ..state()
        };
        assert!(row(&others, &[], None, &[]).contains("Someone else calls from this address"));
    }
}
