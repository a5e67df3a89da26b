//! What a rule of one's own says, written down once more: over the parameters of a call as the sandbox reads them. For the
//! law in `own_rules_law`, and for the fuzz target of the same name.

use std::collections::BTreeMap;

use b24_migration_proxy::sandbox::Work;
use b24_migration_proxy::sandbox::php::{Array, Value};
use b24_migration_proxy::sandbox::reading::{PortalConfig, Received, read};

/// Parameters, as far as a rule can tell them apart: `null` is not set, `1` is `"1"`, and an empty object is as good as an
/// empty text.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    Text(String),
    Map(BTreeMap<String, Parameter>),
}

use Parameter::{Map, Text};

impl Parameter {
    fn of(array: &Array) -> Self {
        let entries = array.iter().filter_map(|(key, value)| {
            let value = match value {
                Value::Null => return None,
                Value::Bool(flag) => Text(flag.to_string()),
                Value::Int(number) => Text(number.to_string()),
                Value::Float(number) => Text(number.to_string()),
                Value::Text(text) => Text(String::from_utf8_lossy(text).into_owned()),
                Value::Array(array) => Parameter::of(array),
            };
            Some((String::from_utf8_lossy(&key.to_bytes()).into_owned(), value))
        });
        Map(entries.collect())
    }

    fn get(&self, name: &str) -> Option<&Parameter> {
        match self {
            Map(entries) => entries.get(name),
            Text(_) => None,
        }
    }

    /// The same as an object, to be changed; what is a scalar counts as an empty one.
    fn object(&mut self) -> &mut BTreeMap<String, Parameter> {
        if let Text(_) = self {
            *self = Map(BTreeMap::new());
        }
        match self {
            Map(entries) => entries,
            Text(_) => unreachable!("it is an object by now"),
        }
    }

    /// Empty objects and empty texts are one.
    pub fn plain(self) -> Self {
        match self {
            Map(entries) if entries.is_empty() => Text(String::new()),
            Map(entries) => Map(entries
                .into_iter()
                .map(|(key, value)| (key, value.plain()))
                .collect()),
            text => text,
        }
    }
}

/// What a rule says, read once more.
pub struct Rule(pub serde_json::Value);

fn strings(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Array(all) => all.iter().flat_map(strings).collect(),
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Null => Vec::new(),
        other => vec![other.to_string()],
    }
}

/// The objects in which an entry's parameter stands: the spelling of each that counts. `None` where one is not set.
fn way(parameters: &Parameter, entry: &serde_json::Value) -> Option<Vec<String>> {
    let mut at = parameters;
    let mut way = Vec::new();
    for spellings in entry["inside"].as_array().into_iter().flatten() {
        let name = first(at, &strings(spellings))?;
        at = at.get(&name)?;
        way.push(name);
    }
    Some(way)
}

fn first(at: &Parameter, names: &[String]) -> Option<String> {
    names.iter().find(|name| at.get(name).is_some()).cloned()
}

fn look<'p>(parameters: &'p Parameter, way: &[String]) -> Option<&'p Parameter> {
    way.iter().try_fold(parameters, |at, name| at.get(name))
}

fn reach<'p>(parameters: &'p mut Parameter, way: &[String]) -> &'p mut Parameter {
    way.iter().fold(parameters, |at, name| {
        let entries = at.object();
        entries.entry(name.clone()).or_insert(Map(BTreeMap::new()))
    })
}

fn holds(parameters: &Parameter, when: &serde_json::Value) -> bool {
    if when.is_null() {
        return true;
    }
    let Some(at) = way(parameters, when).and_then(|way| look(parameters, &way)) else {
        return false;
    };
    let Some(name) = first(at, &strings(&when["name"])) else {
        return false;
    };
    let wanted = strings(&when["is"]);
    wanted.is_empty() || matches!(at.get(&name), Some(Text(text)) if wanted.contains(text))
}

impl Rule {
    /// The parameters that the successor is to get.
    pub fn applied(&self, call: &Parameter) -> Parameter {
        let mut now = call.clone();
        let of = |kind: &str| self.0[kind].as_array().cloned().unwrap_or_default();
        let due = |entry: &serde_json::Value| holds(call, &entry["when"]);
        for entry in of("rename").iter().filter(|entry| due(entry)) {
            let Some(way) = way(&now, entry) else {
                continue;
            };
            let at = reach(&mut now, &way);
            let stay = strings(&entry["yields_to"]);
            if let (Some(from), None) = (first(at, &strings(&entry["from"])), first(at, &stay))
                && strings(&entry["to"]) != [from.as_str()]
                && let Some(value) = at.object().remove(&from)
            {
                at.object().insert(strings(&entry["to"]).concat(), value);
            }
        }
        for entry in of("map").iter().filter(|entry| due(entry)) {
            let Some(at) = way(&now, entry).map(|way| reach(&mut now, &way)) else {
                continue;
            };
            if let Some(name) = first(at, &strings(&entry["name"]))
                && let Some(Text(text)) = at.get(&name)
                && let Some(to) = entry["values"].get(text)
            {
                let to = Text(strings(to).concat());
                at.object().insert(name, to);
            }
        }
        for entry in of("remove").iter().filter(|entry| due(entry)) {
            let Some(way) = way(&now, entry) else {
                continue;
            };
            if let Some(Map(_)) = look(&now, &way) {
                let at = reach(&mut now, &way).object();
                at.retain(|name, _| !strings(&entry["name"]).contains(name));
            }
        }
        for entry in of("set").iter().filter(|entry| due(entry)) {
            let mut way = Vec::new();
            for spellings in entry["inside"].as_array().into_iter().flatten() {
                let at = look(&now, &way);
                let names = strings(spellings);
                let set = at.and_then(|at| first(at, &names));
                way.extend(set.or_else(|| names.first().cloned()));
            }
            let at = reach(&mut now, &way).object();
            at.retain(|name, _| !strings(&entry["instead_of"]).contains(name));
            at.insert(
                strings(&entry["name"]).concat(),
                Text(strings(&entry["to"]).concat()),
            );
        }
        now.plain()
    }
}

/// The method that the portal would run, and its parameters. Nothing where a number has a fraction: its text is not one.
pub fn operation(request: &Received) -> Option<(String, Parameter)> {
    let reading = read(request, &PortalConfig::default());
    let [operation] = reading.operations() else {
        return None;
    };
    let Work::Other { parameters } = &operation.work else {
        return None;
    };
    let method = String::from_utf8_lossy(&operation.method).into_owned();
    (!has_fraction(parameters)).then(|| (method, Parameter::of(parameters)))
}

fn has_fraction(array: &Array) -> bool {
    array.iter().any(|(_, value)| match value {
        Value::Float(_) => true,
        Value::Array(array) => has_fraction(array),
        _ => false,
    })
}
