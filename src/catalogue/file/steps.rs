//! The steps of a rule as a file writes them, and the names in them, checked.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::text::{Text, Wrong};
use crate::catalogue::read::{ReadError, is_key, is_top_level};
use crate::catalogue::step::{Step, What, When, scalar};

/// One name or several.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Names {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RenameEntry {
    #[serde(default)]
    inside: Vec<Names>,
    from: Names,
    to: String,
    #[serde(default)]
    yields_to: Vec<String>,
    when: Option<WhenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MapEntry {
    #[serde(default)]
    inside: Vec<Names>,
    name: Names,
    values: serde_json::Map<String, Value>,
    when: Option<WhenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveEntry {
    #[serde(default)]
    inside: Vec<Names>,
    name: Names,
    when: Option<WhenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetEntry {
    #[serde(default)]
    inside: Vec<Names>,
    name: String,
    to: Value,
    #[serde(default)]
    instead_of: Vec<String>,
    when: Option<WhenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhenEntry {
    #[serde(default)]
    inside: Vec<Names>,
    name: Names,
    #[serde(default)]
    is: Vec<Value>,
}

impl Names {
    fn all(self) -> Vec<String> {
        match self {
            Names::One(name) => vec![name],
            Names::Many(names) => names,
        }
    }
}

/// A step as a file writes it.
pub(super) trait Written {
    /// The list of the rule in which such steps stand.
    const KEY: &'static str;

    /// What it does, inside what, and when.
    fn parts(self) -> (What, Vec<Names>, Option<WhenEntry>);
}

impl Written for RenameEntry {
    const KEY: &'static str = "rename";

    fn parts(self) -> (What, Vec<Names>, Option<WhenEntry>) {
        let what = What::Rename {
            from: self.from.all(),
            to: self.to,
            yields_to: self.yields_to,
        };
        (what, self.inside, self.when)
    }
}

impl Written for MapEntry {
    const KEY: &'static str = "map";

    fn parts(self) -> (What, Vec<Names>, Option<WhenEntry>) {
        let what = What::Map {
            name: self.name.all(),
            values: self.values.into_iter().collect(),
        };
        (what, self.inside, self.when)
    }
}

impl Written for RemoveEntry {
    const KEY: &'static str = "remove";

    fn parts(self) -> (What, Vec<Names>, Option<WhenEntry>) {
        let what = What::Remove {
            name: self.name.all(),
        };
        (what, self.inside, self.when)
    }
}

impl Written for SetEntry {
    const KEY: &'static str = "set";

    fn parts(self) -> (What, Vec<Names>, Option<WhenEntry>) {
        let what = What::Set {
            name: self.name,
            to: self.to,
            instead_of: self.instead_of,
        };
        (what, self.inside, self.when)
    }
}

/// Reads one list of a rule's steps.
pub(super) fn read<'f, E: Written + Deserialize<'f>>(
    file: Text<'f>,
    list: Vec<&'f RawValue>,
) -> Result<Vec<Step>, ReadError> {
    let read = |part| {
        let (what, inside, when) = file.read::<E>(part)?.parts();
        step(E::KEY, inside, what, when).map_err(|wrong| file.wrong(part, wrong))
    };
    list.into_iter().map(read).collect()
}

fn step(key: &str, inside: Vec<Names>, what: What, when: Option<WhenEntry>) -> Result<Step, Wrong> {
    let step = Step {
        when: when.map(condition).transpose()?,
        inside: inside.into_iter().map(Names::all).collect(),
        what,
    };
    let (lists, values): (Vec<Vec<&String>>, Vec<&Value>) = match &step.what {
        What::Rename {
            from,
            to,
            yields_to,
        } => (
            vec![
                from.iter().collect(),
                std::iter::once(to).chain(yields_to).collect(),
            ],
            vec![],
        ),
        What::Map { name, values } => (
            vec![name.iter().collect()],
            values.iter().map(|(_, to)| to).collect(),
        ),
        What::Remove { name } => (vec![name.iter().collect()], vec![]),
        What::Set {
            name,
            to,
            instead_of,
        } => (
            vec![std::iter::once(name).chain(instead_of).collect()],
            vec![to],
        ),
    };
    for names in lists {
        check_names(&step.inside, names).map_err(|wrong| wrong.inside(key))?;
    }
    if let Some(value) = values.into_iter().find(|value| scalar(value).is_none()) {
        let why =
            format!("{value} is not a value for a parameter; text, a number, true or false is");
        return Err(Wrong::from(why).inside(key));
    }
    Ok(step)
}

fn condition(when: WhenEntry) -> Result<When, Wrong> {
    let is: Option<Vec<String>> = when.is.iter().map(scalar).collect();
    let condition = When {
        inside: when.inside.into_iter().map(Names::all).collect(),
        name: when.name.all(),
        is: is.ok_or_else(|| {
            Wrong::from("\"is\" lists text, numbers, true or false".to_owned()).inside("when")
        })?,
    };
    let names = condition.name.iter().collect();
    check_names(&condition.inside, names).map_err(|wrong| wrong.inside("when"))?;
    Ok(condition)
}

/// Names that a portal can see: PHP changes some at the top level.
fn check_names(inside: &[Vec<String>], own: Vec<&String>) -> Result<(), Wrong> {
    let levels = inside.iter().map(|names| names.iter().collect::<Vec<_>>());
    for (depth, names) in levels.chain([own]).enumerate() {
        if names.is_empty() {
            return Err("a list of names is empty; name the parameter"
                .to_owned()
                .into());
        }
        for name in names {
            if !is_key(name) {
                let why = match name.split_once('[') {
                    Some((before, behind)) if !before.is_empty() => format!(
                        "{name:?} is not a name of one parameter; write \"inside\": [{before:?}] and the name {:?}",
                        behind.replace(']', "")
                    ),
                    _ => format!(
                        "{name:?} cannot be a parameter's name: printable ASCII without blanks and []\"'\\;&=%+#?"
                    ),
                };
                return Err(Wrong::of(name, why));
            }
            if name
                .parse::<i64>()
                .is_ok_and(|number| number.to_string() == **name)
            {
                let why = format!(
                    "{name:?} is the place of an entry in a list, which has no name; name a parameter"
                );
                return Err(Wrong::of(name, why));
            }
            if depth == 0 && !is_top_level(name) {
                let why = format!(
                    "a portal never sees the top-level parameter {name:?}: PHP makes it {:?}",
                    name.replace('.', "_")
                );
                return Err(Wrong::of(name, why));
            }
        }
    }
    Ok(())
}
