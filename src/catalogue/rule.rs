//! What a rule can say: how a deprecated method's call becomes its successor's, or only that it is deprecated.
//!
//! A rule says *what* the portal is to read, never *how* that is written: the engine finds the parameter that counts in
//! whatever encoding a call has.
use super::migration::{DOCUMENTATION, Migration};
use super::step::Step;
use crate::protocol::name::Wanted;
use serde::Deserialize;
use serde_json::Value;

/// How far a rule goes with the calls of its method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RuleKind {
    /// Call for call the same as its successor: can be translated.
    Exact,
    /// Seen and logged, never changed.
    #[default]
    Watched,
}

/// What is done to the calls of a rule's method, for a caller at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Forwarded as it came, and logged.
    Observe,
    /// As `Observe`; a sample is also sent as its successor, and the answers are compared.
    Compare,
    /// Sent under its successor's name.
    #[default]
    Rewrite,
    /// Refused for a while.
    Brownout,
    /// Refused.
    Block,
}

impl Mode {
    /// Every mode, from the mildest on.
    pub const ALL: [Self; 5] = [
        Self::Observe,
        Self::Compare,
        Self::Rewrite,
        Self::Brownout,
        Self::Block,
    ];

    /// The word that configuration, events, metrics and pages use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Compare => "compare",
            Self::Rewrite => "rewrite",
            Self::Brownout => "brownout",
            Self::Block => "block",
        }
    }

    /// The mode of this word, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str().eq_ignore_ascii_case(word))
    }
}

/// A deprecated method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The rule's index in [`super::Catalogue::rules`].
    pub id: usize,
    /// The deprecated method, spelled as the documentation does.
    pub method: String,
    /// What to call instead: a method, or several with blanks between them; none for some watched methods.
    pub replacement: Option<String>,
    /// Whether calls can be translated.
    pub kind: RuleKind,
    /// Calls of it change nothing on the portal, so that they can be repeated to compare answers.
    pub read_only: bool,
    /// Parameters that the successor needs.
    pub set: Vec<Set>,
    /// Parameters that the successor reads under another name.
    pub rename: Vec<Rename>,
    /// What a rule of one's own does beside, one after another; such a rule has neither `set` nor `rename`.
    pub steps: Vec<Step>,
    /// The top-level parameters that the method reads, in all spellings: where a call has so many parameters that the
    /// portal drops some, what is set takes the place of another one.
    pub reads: Vec<String>,
    /// What changes for callers, where a rule of one's own says so; see [`Rule::migration`].
    pub migration: Option<Box<Migration>>,
    /// The date (`YYYY-MM-DD`) of the first public revision of the documentation that marks the method as deprecated.
    pub deprecated: Option<String>,
    /// The date (`YYYY-MM-DD`) from which calls are refused, where one is set.
    pub sunset: Option<String>,
    /// The documentation's page: its path below the documentation's address.
    pub documentation: Option<String>,
}

/// A top-level parameter that gets a value, whatever the call has under its name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    /// The parameter.
    pub name: String,
    /// Its value: text, a number, `true` or `false`.
    pub to: Value,
    /// Other spellings that the successor honours; such a parameter gives way.
    #[serde(default)]
    pub instead_of: Vec<String>,
}

impl Set {
    /// Every name that a call may carry the parameter under.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name)
            .chain(&self.instead_of)
            .map(String::as_str)
    }

    /// The value as a form carries it.
    pub fn form_value(&self) -> String {
        match &self.to {
            Value::String(text) => text.clone(),
            Value::Number(number) => match number.as_u64() {
                Some(number) => number.to_string(),
                None => number.to_string(),
            },
            other => other.to_string(),
        }
    }
}

/// A parameter whose value the successor reads under another name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rename {
    /// The objects in which it stands, from the top: for each all spellings, of which the first one that is set counts.
    pub inside: Vec<Vec<String>>,
    /// Its name.
    pub from: String,
    /// The name that the successor reads.
    pub to: String,
    /// Names that count before it: where one of them is set, nothing is renamed.
    #[serde(default)]
    pub yields_to: Vec<String>,
}

impl Rule {
    /// The mode of the rule where nothing is configured: a translated rule rewrites, a watched one observes.
    pub fn usual_mode(&self) -> Mode {
        match self.kind {
            RuleKind::Exact => Mode::Rewrite,
            RuleKind::Watched => Mode::Observe,
        }
    }

    /// The address of the documentation's page.
    pub fn documentation_url(&self) -> Option<String> {
        self.documentation_parts().map(|parts| parts.concat())
    }

    /// The same in pieces, for who writes it without putting it together first.
    pub fn documentation_parts(&self) -> Option<[&str; 3]> {
        let page = self.documentation.as_deref()?;
        Some([DOCUMENTATION, page, ".html"])
    }

    /// What changes for this method's callers: the rule's own entry, or the one that ships, where it is about the rule's
    /// successor.
    pub fn migration(&self) -> Option<&Migration> {
        match &self.migration {
            Some(own) => Some(own),
            None => Migration::shipped(&self.method).filter(|shipped| {
                self.replacement.is_none() || shipped.replacement() == self.replacement
            }),
        }
    }

    /// The top-level parameters that matter to the translation.
    pub fn wanted(&self) -> Wanted<'_> {
        let set = self.set.iter().flat_map(Set::names);
        let renamed = self.rename.iter().flat_map(|rename| {
            let outside = rename.inside.first().into_iter().flatten();
            let own = [&rename.from, &rename.to]
                .into_iter()
                .chain(&rename.yields_to);
            outside.chain(own.filter(|_| rename.inside.is_empty()))
        });
        let renamed = renamed.map(String::as_str);
        Wanted::keys(set.chain(renamed).map(str::as_bytes))
    }
}
