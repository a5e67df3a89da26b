//! The report as text: for a terminal, for programs, for code scanning services, for GitHub's annotations. None of them
//! shows a line's content.

mod github;
mod json;
mod sarif;
mod table;

pub use github::github;
pub use json::json;
pub use sarif::sarif;
pub use table::table;

use std::path::Path;

use super::alive::Log;
use super::{Known, Report};

/// What is reported.
#[derive(Debug, Clone, Copy)]
pub struct Findings<'a> {
    /// The list that was searched for.
    pub known: &'a [Known],
    /// What was found.
    pub report: &'a Report,
    /// What an event log adds, where one was given.
    pub log: Option<&'a Log>,
    /// How many columns the terminal has that the table is for.
    pub width: Option<usize>,
}

impl Findings<'_> {
    /// The methods that the log has seen called and no line of the tree names.
    fn called_from_elsewhere(&self) -> Vec<&str> {
        let Some(log) = self.log else {
            return Vec::new();
        };
        log.methods()
            .filter(|method| {
                !self
                    .report
                    .found
                    .iter()
                    .any(|found| self.known[found.known].method.eq_ignore_ascii_case(method))
            })
            .collect()
    }
}

/// A path without a leading `./`, with slashes where the system has others; what is no text becomes a replacement.
fn plain(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = match std::path::MAIN_SEPARATOR {
        '/' => text.into_owned(),
        other => text.replace(other, "/"),
    };
    text.strip_prefix("./").map_or(text.clone(), str::to_owned)
}

/// A path for a person to read: control characters, and those that turn the direction, as escapes (`\n`, `\u{1b}`), so that a
/// file's name cannot write to a terminal.
fn shown(path: &Path) -> String {
    let mut text = String::new();
    for c in plain(path).chars() {
        match is_hidden(c) {
            true => text.extend(c.escape_default()),
            false => text.push(c),
        }
    }
    text
}

/// Control characters, and those that end a line or turn the direction of what a reader sees.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Indented JSON with a line end, in which such characters are escapes too: only strings can hold them.
fn escaped(value: &serde_json::Value) -> String {
    let mut text = String::new();
    for c in format!("{value:#}\n").chars() {
        match c != '\n' && is_hidden(c) {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text
}

/// What is wrong with a line and what to do, in a sentence.
fn sentence(known: &Known) -> String {
    let mut text = format!("{} is deprecated", known.method);
    match &known.successor {
        Some(successor) => text.push_str(&format!(
            "; call {} instead{}",
            successor.replace(' ', " or "),
            known.needs
        )),
        None => text.push_str(" and has no successor"),
    }
    if known.translated {
        text.push_str(" (the proxy translates it until then)");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::scan::{Place, Unseen, Why};

    /// What each format makes of a file of this name with one place to look at.
    fn written(name: &str, format: fn(&Findings<'_>) -> String) -> String {
        let report = Report {
            unseen: vec![Unseen {
                path: PathBuf::from(name),
                place: Place {
                    line: 1,
                    column: 2,
                    end_column: 3,
                },
                why: Why::Variable,
            }],
            searched: 1,
            ..Report::default()
        };
        format(&Findings {
            known: &[],
            report: &report,
            log: None,
            width: None,
        })
    }

    const NAME: &str = "./a\n\u{1b}[31m\u{9b}\u{202e}%:,b";

    #[test]
    fn a_table_shows_control_characters_of_a_name_as_escapes() {
        let table = written(NAME, table);
        assert!(
            table.contains("  a\\n\\u{1b}[31m\\u{9b}\\u{202e}%:,b:1:2  "),
            "{table}"
        );
    }

    #[test]
    fn json_and_sarif_give_the_name_as_it_is() {
        let text = written(NAME, json);
        assert!(text.contains("a\\n\\u001b[31m\\u009b\\u202e%:,b"), "{text}");
        let whole: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(whole["unseen"][0]["file"], NAME[2..]);
        let text = written(NAME, sarif);
        let uri = "\"uri\": \"./a%0A%1B%5B31m%C2%9B%E2%80%AE%25:,b\"";
        assert!(text.contains(uri), "{text}");
    }

    #[test]
    fn github_gets_line_ends_as_its_escapes_and_no_other_control_character() {
        let text = written(NAME, github);
        let name = "file=a%0A\u{fffd}[31m\u{fffd}\u{fffd}%25%3A%2Cb,line=1,";
        assert!(text.starts_with(&format!("::notice {name}")), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn the_last_line_counts_the_places_to_look_at() {
        let table = written("a", table);
        assert!(
            table.ends_with(
                "\n0 lines of 0 deprecated methods and 1 place to look at in 1 file searched\n"
            ),
            "{table}"
        );
    }
}
