//! What a search looks for and what it finds (pure).

use std::path::PathBuf;

use super::n8n::Node;

/// A deprecated method as the search knows it: a row of what is printed, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// In the documentation's spelling; looked for in any case.
    pub method: String,
    /// What the documentation names instead: a method, a family (`x.*`), several, or nothing.
    pub successor: Option<String>,
    /// What that needs and how it differs, as the end of a sentence.
    pub needs: String,
    /// The successor's page.
    pub successor_documentation: Option<String>,
    /// What to change, as Markdown.
    pub advice: String,
    /// Whether the proxy turns its calls into its successor's.
    pub translated: bool,
    /// The page that marks it as deprecated.
    pub documentation: Option<String>,
}

/// A line that names a deprecated method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As reached from the path given.
    pub path: PathBuf,
    /// Where it begins and ends.
    pub place: Place,
    /// Which method: its position in the list that was searched for.
    pub known: usize,
    /// Whether the name stands there whole, or is put together from pieces.
    pub joined: bool,
}

/// A place in a text, counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The first character.
    pub column: u64,
    /// The first character that is no longer part of it; on the same line, else the line's last.
    pub end_column: u64,
}

/// A place where a deprecated method may be called, and a text search cannot tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// As reached from the path given.
    pub path: PathBuf,
    /// Where it begins and ends.
    pub place: Place,
    /// What keeps the search from telling.
    pub why: Why,
}

/// What keeps the search from telling which method is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A name begins here and ends in something known only at run time: `'crm.lead.' . $action`.
    Dynamic {
        /// The certain part.
        begins: String,
    },
    /// A call whose method is a variable: `callMethod(method, …)`.
    Variable,
    /// `client.crm.lead.get(…)`: a call only if the object is a client of Bitrix24.
    Attribute {
        /// Which method it would be: its position in the list that was searched for.
        known: usize,
    },
    /// A library's own accessor, which makes the name itself: `getCRMScope()->lead()->get()`.
    Accessor,
    /// A node of n8n, which makes the method's name from what it is set to.
    Node(Node),
}

impl Why {
    /// For a person to read, with what to do about it.
    pub fn text(&self, known: &[Known]) -> String {
        match self {
            Why::Dynamic { begins } => {
                format!(
                    "a method that begins with {begins} and ends in something that this file does not tell"
                )
            }
            Why::Variable => "a call whose method is known only at run time".to_owned(),
            Why::Attribute { known: index } => format!(
                "{} if the object is a client of Bitrix24",
                known[*index].method
            ),
            Why::Accessor => {
                "a library's accessor, which makes the method's name itself".to_owned()
            }
            Why::Node(node) => {
                let known =
                    |word: &Option<String>| word.clone().unwrap_or_else(|| "not known".to_owned());
                format!(
                    "an n8n node for Bitrix24 (resource {}, operation {}), which makes the method's name itself",
                    known(&node.resource),
                    known(&node.operation)
                )
            }
        }
    }

    /// One word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Why::Dynamic { .. } => "dynamic",
            Why::Variable => "variable",
            Why::Attribute { .. } => "attribute",
            Why::Accessor => "accessor",
            Why::Node(_) => "node",
        }
    }
}

/// All that a search brought to light, sorted by path and place.
#[derive(Debug, Default)]
pub struct Report {
    /// The lines that name a deprecated method.
    pub found: Vec<Found>,
    /// The places that may.
    pub unseen: Vec<Unseen>,
    /// How many files were read as text.
    pub searched: u64,
    /// How many files are no text.
    pub binary: u64,
    /// What was not searched, and why.
    pub skipped: Vec<(PathBuf, String)>,
}
