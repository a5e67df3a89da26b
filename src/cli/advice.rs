//! What callers of a method have to change, for a terminal and for `scan`.

use super::paint::Paint;
use super::terminal;
use crate::advice::language::Language;
use crate::advice::{Advice, Line, Seen};
use crate::catalogue::Rule;
use crate::catalogue::migration::field_map;
use crate::columns::fold;

/// The most columns of a list of names.
const WIDTH: usize = 100;

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
    // Behind the two columns before each line.
    let room = terminal::width().map_or(usize::MAX, |room| room.saturating_sub(2).max(20));
    let prose = |lines: &[String]| -> Vec<String> {
        let folded = lines.iter().flat_map(|line| fold(line, room));
        folded.map(str::to_owned).collect()
    };
    let wrapped = |names: &[String]| wrapped(names, room.min(WIDTH));
    let mut out = String::new();
    let mut part = |heading: &str, lines: &[String]| {
        if !lines.is_empty() {
            out.push_str(&format!("\n{}\n", paint.bold(heading)));
            for line in lines {
                out.push_str(&format!("  {line}\n"));
            }
        }
    };
    part("For the owners of callers", &prose(&said.cautions));
    part("In the call → in the new call", &columns(&said.lines));
    part("What the new call needs", &prose(&said.needs));
    part("What changes in the answer", &prose(&said.answer));
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

/// Names with commas between them, in lines of so many columns; no name is broken.
fn wrapped(names: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for name in names {
        match lines.last_mut() {
            Some(line) if line.chars().count() + name.chars().count() + 3 <= width => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fill_lines_of_a_width_and_none_is_broken() {
        let names = ["ADDRESS → –", "TITLE → title", "ID → id"].map(str::to_owned);
        assert_eq!(
            wrapped(&names, 27),
            ["ADDRESS → –, TITLE → title,", "ID → id"]
        );
        assert_eq!(wrapped(&names, 26).len(), 2);
        assert_eq!(
            wrapped(&names, 20),
            ["ADDRESS → –,", "TITLE → title,", "ID → id"]
        );
    }
}
