//! Rules and their modes as people read them, and as JSON.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalogue::{Mode, Rule, RuleKind, Step, What, form_text};
use crate::cli::advice;
use crate::cli::paint::Paint;
use crate::cli::table::{Cell, Table};
use crate::cli::terminal;
use crate::columns::fold;
use crate::ladder::standing::Standing;
pub fn arrow(rule: &Rule) -> String {
    match &rule.replacement {
        Some(replacement) => format!("→ {}", replacement.replace(' ', ", ")),
        None => "has no successor".to_owned(),
    }
}

fn kind(rule: &Rule) -> &'static str {
    match rule.kind {
        RuleKind::Exact => "translated",
        RuleKind::Watched => "watched",
    }
}

pub fn mode_text(mode: Mode, until: Option<Timestamp>) -> String {
    match until {
        Some(until) => format!("{}, until {until:.0}", mode.as_str()),
        None => mode.as_str().to_owned(),
    }
}

/// A label and what it is of, folded to the terminal's width.
pub fn row(label: &str, text: &str) -> String {
    folded(label, text, terminal::width())
}

/// The column at which texts begin.
const TEXT: usize = 16;

fn folded(label: &str, text: &str, room: Option<usize>) -> String {
    let width = room.map_or(usize::MAX, |room| room.saturating_sub(TEXT).max(TEXT));
    let lines = match is_address(text) {
        // To be copied whole; a terminal knows how.
        true => vec![text],
        false => fold(text, width),
    };
    let begin = format!("  {label:<13} ");
    format!("{begin}{}", lines.join(&format!("\n{:TEXT$}", "")))
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://")
}

/// All about one rule.
pub fn details(rule: &Rule, standing: &Standing, paint: Paint) -> String {
    let mut lines = vec![
        format!("{}  {}", paint.bold(&rule.method), arrow(rule)),
        row(
            "",
            match rule.kind {
                RuleKind::Exact => "translated, call for call",
                RuleKind::Watched => "watched: its calls are forwarded untouched and logged",
            },
        ),
    ];
    for set in &rule.set {
        lines.push(row(
            "sets",
            &format!("{} to {}", set.name, set.form_value()),
        ));
    }
    for step in &rule.steps {
        lines.push(row("", &step_text(step)));
    }
    for rename in &rule.rename {
        lines.push(row("renames", &format!("{} to {}", rename.from, rename.to)));
    }
    lines.push(row("mode", standing.mode.as_str()));
    lines.push(row("because of", &standing.origin));
    for exception in &standing.exceptions {
        let mode = mode_text(exception.mode, exception.until);
        lines.push(row(
            "but",
            &format!("{mode} for {} ({})", exception.scope, exception.origin),
        ));
    }
    for planned in &standing.planned {
        let (mode, from) = (planned.mode.as_str(), planned.from);
        lines.push(row(
            "planned",
            &format!(
                "{mode} from {from:.0} for {} ({})",
                planned.scope, planned.origin
            ),
        ));
    }
    if let Some((when, mode)) = standing.next {
        lines.push(row("next", &format!("{} from {when:.0}", mode.as_str())));
    }
    if let Some(sunset) = standing.sunset {
        lines.push(row("sunset", &sunset.to_string()));
    }
    if let Some(since) = &rule.deprecated {
        lines.push(row("deprecated", &format!("{since} or earlier")));
    }
    if let Some(page) = rule.documentation_url() {
        lines.push(row("documentation", &page));
    }
    lines.join("\n") + "\n" + &advice::text(rule, paint)
}

/// A step of a rule of one's own, in words.
fn step_text(step: &Step) -> String {
    let inside = |inside: &[Vec<String>]| {
        let names = inside.iter().filter_map(|spellings| spellings.first());
        names.map(|name| format!("{name}.")).collect::<String>()
    };
    let first = |names: &[String]| names.first().cloned().unwrap_or_default();
    let place = inside(&step.inside);
    let what = match &step.what {
        What::Rename { from, to, .. } => format!("renames {place}{} to {to}", first(from)),
        What::Map { name, .. } => format!("maps the value of {place}{}", first(name)),
        What::Remove { name } => format!("removes {place}{}", first(name)),
        What::Set { name, to, .. } => format!("sets {place}{name} to {}", form_text(to)),
    };
    match &step.when {
        None => what,
        Some(when) => format!(
            "{what}, when {}{} {}",
            inside(&when.inside),
            first(&when.name),
            match when.is.is_empty() {
                true => "is set".to_owned(),
                false => format!("is {}", when.is.join(" or ")),
            }
        ),
    }
}

/// A line for each rule.
pub fn table(standings: &[(&Rule, Standing)], paint: Paint) -> String {
    let mut table = Table::new(&["METHOD", "CALL INSTEAD", "KIND", "MODE", "BECAUSE OF"]);
    for (rule, standing) in standings {
        let replacement = rule.replacement.as_ref();
        let exceptions = match standing.exceptions.len() {
            0 => String::new(),
            1 => " (1 exception)".to_owned(),
            many => format!(" ({many} exceptions)"),
        };
        table.row(vec![
            Cell::plain(&*rule.method),
            Cell::plain(
                replacement.map_or("-".to_owned(), |successor| successor.replace(' ', ", ")),
            ),
            Cell::plain(kind(rule)),
            Cell::plain(standing.mode.as_str()),
            Cell::plain(format!("{}{exceptions}", standing.origin)),
        ]);
    }
    let translated = standings
        .iter()
        .filter(|(rule, _)| rule.kind == RuleKind::Exact)
        .count();
    format!(
        "{}\n{translated} translated, {} watched\n",
        table.render(paint),
        standings.len() - translated
    )
}

pub fn as_value(rule: &Rule, standing: &Standing) -> Value {
    let exceptions: Vec<Value> = standing
        .exceptions
        .iter()
        .map(|exception| {
            json!({
                "scope": exception.scope,
                "mode": exception.mode.as_str(),
                "because": exception.origin,
                "until": exception.until.map(|until| until.to_string()),
            })
        })
        .collect();
    let planned: Vec<Value> = standing
        .planned
        .iter()
        .map(|planned| {
            json!({
                "scope": planned.scope,
                "mode": planned.mode.as_str(),
                "because": planned.origin,
                "from": planned.from.to_string(),
            })
        })
        .collect();
    json!({
        "method": rule.method,
        "successor": rule.replacement,
        "kind": kind(rule),
        "read_only": rule.read_only,
        "mode": standing.mode.as_str(),
        "because": standing.origin,
        "exceptions": exceptions,
        "planned": planned,
        "next": standing.next.map(|(when, mode)| json!({ "at": when.to_string(), "mode": mode.as_str() })),
        "sunset": standing.sunset.map(|sunset| sunset.to_string()),
        "deprecated": rule.deprecated,
        "documentation": rule.documentation_url(),
        "migration": rule.migration(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_stays_in_its_column_and_an_address_stays_whole() {
        let text = folded("lost", "one two three four five six", Some(32));
        assert_eq!(
            text,
            "  lost          one two three\n                four five six"
        );
        let page = "https://apidocs.bitrix24.com/api-reference/crm/leads/crm-lead-list.html";
        assert!(folded("documentation", page, Some(40)).ends_with(page));
    }
}
