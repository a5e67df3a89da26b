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
pub struct Outcome<'a> {
    /// The list that was searched for.
    pub known: &'a [Known],
    /// What was found.
    pub report: &'a Report,
    /// What an event log adds, where one was given.
    pub log: Option<&'a Log>,
    /// How many columns the terminal has that the table is for.
    pub width: Option<usize>,
}

impl Outcome<'_> {
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

/// A path with slashes and without a leading `./`; what is no text becomes a replacement, and control characters spaces, so
/// that a file's name cannot write to a terminal.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    let text = text.strip_prefix("./").unwrap_or(&text);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
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
