//! The top of the page: the health of the path, and how far the migration is.

use super::html::{Text, counted, day, minute, moment, number, to_come};
use super::trend;
use crate::admin::Overview;
use crate::admin::overview::{DAY, QUIET_DAYS};
use crate::ladder::standing::Brownout;
use crate::telemetry::health::Stage;
use crate::telemetry::log::LogStatus;

/// How many days in a row without a call end a migration.
const GOAL_DAYS: u64 = 30;

/// How the path is.
pub(super) struct Path {
    pub(super) stage: Stage,
    /// The text of `/readyz`, whose second line is about the portal.
    pub(super) portal: String,
    pub(super) portal_error: Option<String>,
    pub(super) log: LogStatus,
    /// When this run of the proxy began, in milliseconds since 1970.
    pub(super) started: u64,
    /// The row for the portal's request limit, HTML already.
    pub(super) budget: Option<String>,
}

/// `brownouts` is HTML already.
pub(super) fn section(sums: &Overview, path: &Path, brownouts: &str) -> String {
    let note = sums
        .note
        .as_deref()
        .map(|note| format!("<p class=note>{}</p>", Text(note)))
        .unwrap_or_default();
    let forgotten = match sums.forgotten {
        0 => String::new(),
        count => format!(
            "<p class=note>{} not shown: there are more callers than the page can hold. The log has them all.</p>",
            counted(count, "row is", "rows are")
        ),
    };
    format!(
        "<section id=overview aria-label=\"Overview\">{}{}{brownouts}{}<div class=tiles>{}{}{}{}</div>{note}{forgotten}</section>",
        health(path),
        path.budget.as_deref().unwrap_or_default(),
        progress(sums),
        since_last(sums),
        callers(sums),
        methods(sums),
        calls(sums)
    )
}

/// The migration in a sentence, for who has no time for more.
fn progress(sums: &Overview) -> String {
    if sums.callers == 0 {
        return String::new();
    }
    let all = counted(sums.callers as u64, "caller", "callers");
    let goes_on = |count: usize| {
        let verb = if count == 1 { "calls" } else { "call" };
        let methods = counted(sums.methods_active as u64, "method", "methods");
        format!("{verb} {methods}")
    };
    let text = if sums.known_since + QUIET_DAYS * DAY > sums.now {
        let since = day(sums.known_since);
        let verb = goes_on(sums.callers);
        format!(
            "<b>{all} {verb}.</b> Who has stopped shows after {QUIET_DAYS} days; the log begins on {since}."
        )
    } else if sums.callers_active == 0 {
        format!("<b>No caller is left</b>: none of {all} has called for {QUIET_DAYS} days.")
    } else {
        let stopped = number((sums.callers - sums.callers_active) as u64);
        let active = sums.callers_active;
        let still = number(active as u64);
        let verb = goes_on(active);
        let pace = match sums.done_by {
            Some(done) => format!(
                " At the pace of the last 30 days the last one stops about {}.",
                day(done)
            ),
            None => String::new(),
        };
        format!("<b>{stopped} of {all} have stopped; {still} still {verb}.</b>{pace}")
    };
    format!("<p class=progress>{text}</p>")
}

/// The brownouts that are going on, each with its end and, for who has the token, a button that ends it now.
pub(super) fn brownouts(going_on: &[Brownout], can_stop: bool, now: u64) -> String {
    if going_on.is_empty() {
        return String::new();
    }
    let items: String = going_on
        .iter()
        .map(|brownout| {
            let methods = match brownout.methods.as_slice() {
                [] => "all translated methods".to_owned(),
                methods => methods.join(", "),
            };
            let scope = match &brownout.scope {
                Some(scope) => format!(" for <bdi>{}</bdi>", Text(scope)),
                None => String::new(),
            };
            let end = match brownout.until {
                Some(until) => format!(
                    ", {}",
                    to_come(u64::try_from(until.as_millisecond()).unwrap_or(0), now)
                ),
                None => String::new(),
            };
            let button = if can_stop {
                format!(
                    "<form method=post action=/brownouts/stop><input type=hidden name=entry value={}><input \
                     type=hidden name=origin value=\"{}\"><button>Stop it now</button></form>",
                    brownout.entry,
                    Text(&brownout.origin)
                )
            } else {
                "<small>With --admin-token-file it could be stopped here.</small>".to_owned()
            };
            format!(
                "<li><span><b>Brownout</b>: <bdi class=mono>{}</bdi> refused{scope}{end} \
                 <small><bdi>{}</bdi></small></span>{button}</li>",
                Text(&methods),
                Text(&brownout.origin)
            )
        })
        .collect();
    format!("<ul class=brownouts aria-label=\"Brownouts\">{items}</ul>")
}

fn health(path: &Path) -> String {
    let (class, stage) = match path.stage {
        Stage::Starting => ("warn", "Starting"),
        Stage::Serving => ("good", "Serving"),
        Stage::Draining => ("warn", "Draining: ending what is in flight"),
    };
    let portal = match &path.portal_error {
        Some(error) => pill("bad", &format!("Portal cannot be reached: {error}")),
        None => {
            let said = path
                .portal
                .lines()
                .find_map(|line| line.strip_prefix("upstream: "));
            match said {
                Some("not tried yet") | None => pill("idle", "Portal not tried yet"),
                Some(said) => pill("good", &format!("Portal {said}")),
            }
        }
    };
    let log = &path.log;
    let logged = if log.ok {
        pill(
            "good",
            &format!(
                "Log: {} since the start on {}",
                counted(log.written, "line", "lines"),
                minute(path.started)
            ),
        )
    } else {
        let error = log.last_error.as_deref().unwrap_or("it cannot be written");
        pill(
            "bad",
            &format!(
                "Log: {error}; {} in memory",
                counted(log.queued, "line waits", "lines wait")
            ),
        )
    };
    let dropped = match log.dropped {
        0 => String::new(),
        count => pill(
            "bad",
            &format!("Log: {} lost", counted(count, "line", "lines")),
        ),
    };
    format!(
        "<ul class=health aria-label=\"Health of the path\">{}{portal}{logged}{dropped}</ul>",
        pill(class, stage)
    )
}

fn pill(class: &str, text: &str) -> String {
    format!("<li class={class}>{}</li>", Text(text))
}

fn tile(class: &str, label: &str, figure: &str, below: &str) -> String {
    format!("<div class=\"tile {class}\"><h2>{label}</h2><p class=figure>{figure}</p>{below}</div>")
}

fn since_last(sums: &Overview) -> String {
    // Days of the calendar (UTC), as the trends count them.
    let known = (sums.now / DAY).saturating_sub(sums.known_since / DAY) as usize + 1;
    let strip = trend::strip(&sums.days, known);
    let reach = match known < sums.days.len() {
        true => format!(
            "<p class=reach>The log begins on {}.</p>",
            day(sums.known_since)
        ),
        false => String::new(),
    };
    let (class, figure, below) = match (sums.days_since_last_use, sums.last_use) {
        (Some(days), Some(last)) => {
            let caller = sums.last_caller.as_deref().unwrap_or_default();
            let class = match days {
                0 => "used",
                d if d >= GOAL_DAYS => "done",
                _ => "nearly",
            };
            let below = format!(
                "<p>{} by <bdi class=caller>{}</bdi></p>",
                moment(last, sums.now),
                Text(caller)
            );
            (class, number(days), below)
        }
        _ => (
            "done",
            "–".to_owned(),
            format!("<p>None since {}</p>", day(sums.known_since)),
        ),
    };
    tile(
        &format!("wide {class}"),
        "Days since the last deprecated call",
        &figure,
        &format!("{below}{strip}{reach}"),
    )
}

fn callers(sums: &Overview) -> String {
    let unnamed = match sums.callers_unnamed {
        0 => "all have a name".to_owned(),
        count => format!("{} without a name", number(count as u64)),
    };
    let regressed = match sums.callers_regressed {
        0 => String::new(),
        count => format!(
            " · <a href=\"/?show=regressed\" class=bad>{} regressed</a>",
            number(count as u64)
        ),
    };
    tile(
        "",
        "Callers in the last 7 days",
        &format!(
            "{} <small>of {}</small>",
            number(sums.callers_active as u64),
            number(sums.callers as u64)
        ),
        &format!("<p>{unnamed}{regressed}</p>"),
    )
}

fn methods(sums: &Overview) -> String {
    tile(
        "",
        "Methods in the last 7 days",
        &format!(
            "{} <small>of {}</small>",
            number(sums.methods_active as u64),
            number(sums.methods as u64)
        ),
        &format!(
            "<p>{} known as deprecated, {} translated</p>",
            number(sums.methods_known as u64),
            number(sums.methods_translated as u64)
        ),
    )
}

fn calls(sums: &Overview) -> String {
    let before = match (sums.calls_day, sums.calls_day_before) {
        (_, 0) => String::new(),
        (today, before) if today < before => format!("<p>falling, from {}</p>", number(before)),
        (today, before) if today > before => format!("<p>rising, from {}</p>", number(before)),
        _ => "<p>as the day before</p>".to_owned(),
    };
    let kinds = format!(
        "<p class=kinds>{} rewritten, {} observed, {} refused in all</p>",
        number(sums.rewritten),
        number(sums.observed),
        number(sums.refused)
    );
    tile(
        "",
        "Calls in the last 24 hours",
        &number(sums.calls_day),
        &format!(
            "{before}<p>7 days: {} · 30 days: {}</p>{kinds}",
            number(sums.calls_week),
            number(sums.calls_month)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strip_counts_days_of_the_calendar_not_24_hour_steps() {
        // Known since a minute before midnight, looked at two minutes later: of two days.
        let sums = Overview {
            now: 20_000 * DAY + 60_000,
            known_since: 20_000 * DAY - 60_000,
            days: vec![0; 30],
            ..Overview::default()
        };
        let tile = since_last(&sums);
        assert_eq!(tile.matches("class=clear").count(), 2, "{tile}");
        assert_eq!(tile.matches("class=unknown").count(), 28, "{tile}");
    }
}
