//! What a rule of one's own can do to a call's parameters: rename, map, remove and set, at any depth, where a condition
//! holds. A step says *what*, never *how*, and cannot loop.

use serde_json::Value;

use crate::protocol::name::Wanted;

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Only where this holds for the call as it came.
    pub when: Option<When>,
    /// The objects in which the parameter stands, from the top: for each all spellings, of which the first one that is set
    /// counts.
    pub inside: Vec<Vec<String>>,
    /// What is done.
    pub what: What,
}

/// What is done to a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The first of these names that is set becomes `to`, unless `to` or one of `yields_to` is set.
    Rename {
        /// All spellings.
        from: Vec<String>,
        /// The name that the successor reads.
        to: String,
        /// Names that count before it.
        yields_to: Vec<String>,
    },
    /// The value of the first of these names that is set becomes another, where the table has it.
    Map {
        /// All spellings.
        name: Vec<String>,
        /// Values as text, and what they become.
        values: Vec<(String, Value)>,
    },
    /// None of these names is there any more.
    Remove {
        /// All spellings.
        name: Vec<String>,
    },
    /// The parameter has this value, whatever the call has under its names.
    Set {
        /// Its name.
        name: String,
        /// A scalar.
        to: Value,
        /// Other spellings, which give way.
        instead_of: Vec<String>,
    },
}

/// A condition on one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When {
    /// As [`Step::inside`].
    pub inside: Vec<Vec<String>>,
    /// All spellings, of which the first one that is set counts.
    pub name: Vec<String>,
    /// The values, as text, of which it must have one; any when empty.
    pub is: Vec<String>,
}

impl Step {
    /// The top-level parameters that matter to it.
    pub fn wanted(&self) -> Wanted<'_> {
        let own: Vec<&String> = match &self.what {
            What::Rename {
                from,
                to,
                yields_to,
            } => from.iter().chain([to]).chain(yields_to).collect(),
            What::Map { name, .. } | What::Remove { name } => name.iter().collect(),
            What::Set {
                name, instead_of, ..
            } => std::iter::once(name).chain(instead_of).collect(),
        };
        top(&self.inside, own)
    }
}

impl When {
    /// The top-level parameters that matter to it.
    pub fn wanted(&self) -> Wanted<'_> {
        top(&self.inside, self.name.iter().collect())
    }
}

fn top<'w>(inside: &'w [Vec<String>], own: Vec<&'w String>) -> Wanted<'w> {
    let names = match inside.first() {
        Some(spellings) => spellings.iter().collect(),
        None => own,
    };
    Wanted::keys(names.into_iter().map(|name| name.as_bytes()))
}

/// A value as a form carries it.
pub fn form_text(value: &Value) -> String {
    scalar(value).unwrap_or_default()
}

/// A scalar as text: what a form would carry. Nothing for `null`, lists and objects.
pub(crate) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
