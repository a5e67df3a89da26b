//! What callers of a method have to change, for a terminal and for `scan`.

use super::paint::Paint;
use crate::advice::language::Language;
use crate::advice::{Advice, Line, Seen};
use crate::catalogue::Rule;
use crate::catalogue::migration::field_map;

/// Advice to any caller of a rule's method.
fn of(rule: &Rule) -> Advice {
    let seen = Seen {
        method: rule.method.clone(),
        ..Seen::default()
    };
    Advice::of(&seen, Some(rule), None, Language::english())
}

/// The same as Markdown.
pub fn for_any(rule: &Rule) -> String {
    of(rule).markdown(Language::english())
}

/// The same as paragraphs.
pub fn text(rule: &Rule, paint: Paint) -> String {
    let said = of(rule);
    let mut out = String::new();
    let mut part = |heading: &str, lines: &[String]| {
        if !lines.is_empty() {
            out.push_str(&format!("\n{}\n", paint.bold(heading)));
            for line in lines {
                out.push_str(&format!("  {line}\n"));
            }
        }
    };
    part("For the owners of callers", &said.cautions);
    part("In the call → in the new call", &columns(&said.lines));
    part("What the new call needs", &said.needs);
    part("What changes in the answer", &said.answer);
    part("Without a successor", &wrapped(&said.lost));
    if let Some(map) = said.field_map.as_deref().and_then(field_map) {
        let names = map.iter();
        let names: Vec<String> = names
            .map(|(old, new)| format!("{old} → {}", new.as_deref().unwrap_or("–")))
            .collect();
        part("Names of fields", &wrapped(&names));
    }
    let pages = [said.successor_documentation, said.documentation];
    let pages: Vec<String> = pages.into_iter().flatten().collect();
    part("Documentation, the new method first", &pages);
    out
}

fn columns(lines: &[Line]) -> Vec<String> {
    let old = |line: &Line| line.old.clone().unwrap_or_else(|| "–".to_owned());
    let width = lines.iter().map(|line| old(line).chars().count()).max();
    let width = width.unwrap_or(0);
    let row = |line: &Line| {
        let new = match (&line.new, &line.value) {
            (Some(new), Some(value)) => format!("{new}={value}"),
            (Some(new), None) => new.clone(),
            (None, _) => "–".to_owned(),
        };
        let note = line.note.as_ref();
        let note = note.map(|note| format!("  ({note})")).unwrap_or_default();
        format!("{:<width$}  →  {new}{note}", old(line))
    };
    lines.iter().map(row).collect()
}

/// Names with commas between them, in lines of a terminal's width.
fn wrapped(names: &[String]) -> Vec<String> {
    const WIDTH: usize = 100;
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.chars().count() + name.chars().count() + 2 <= WIDTH => {
                line.push_str(&format!(", {name}"));
            }
            Some(line) => {
                line.push(',');
                lines.push(name.clone());
            }
            None => lines.push(name.clone()),
        }
    }
    lines
}
