//! The new call's parameters, as a tree (pure): from the lines of the table; for a call that is translated also from an
//! event's `changes`. Those are words for people, but written by the engine in few forms; what has another form is shown as
//! words only.

use super::table::{self, Line, is_place};
use super::text::{AS_BEFORE, NEW_NAMES, YOUR_VALUE, clean};
use crate::catalogue::{Migration, Rule, form_text};

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
    Map(Parameters),
    List(Vec<Value>),
}

/// Names and values, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parameters(pub(super) Vec<(String, Value)>);

impl Parameters {
    /// What the replacement call has in place of the old one: the rule's constants first, then what has another name now.
    pub(super) fn of_rule(rule: Option<&Rule>, changes: &[String]) -> Self {
        let mut parameters = Self::default();
        for set in rule.iter().flat_map(|rule| &rule.set) {
            parameters.insert(&[clean(&set.name)], literal(&set.form_value()));
        }
        let entry = rule.and_then(Rule::migration);
        for (name, value) in entry.iter().flat_map(|entry| entry.set.iter()) {
            if let Some(path) = path(name) {
                parameters.insert(&path, literal(&form_text(value)));
            }
        }
        for (name, value) in changes.iter().filter_map(|change| constant(change)) {
            parameters.insert(&name, value);
        }
        for name in changes.iter().filter_map(|change| renamed(change)) {
            parameters.insert(&name, Value::Text(AS_BEFORE.to_owned()));
        }
        parameters
    }

    /// What the lines have in the new call.
    pub(super) fn of_lines(lines: &[Line], entry: &Migration) -> Self {
        let mut parameters = Self::default();
        let by_name = entry.call_fields().is_some();
        let mut multiple: Vec<&str> = Vec::new();
        for line in lines {
            let Some(mut path) = line.new.as_deref().and_then(path) else {
                continue;
            };
            let text = |word: &str| Value::Text(word.to_owned());
            let holds_fields = ["fields", "filter", "order"].contains(&path[0].as_str());
            let value = match (&line.value, &line.old) {
                (Some(value), _) => literal(value),
                (None, None) => text(YOUR_VALUE),
                (None, Some(_)) if path[0] == "select" && path[1..].iter().all(|p| is_place(p)) => {
                    path.truncate(1);
                    Value::List(vec![text(if by_name { NEW_NAMES } else { AS_BEFORE })])
                }
                (None, Some(_)) if by_name && holds_fields && path.len() == 1 => {
                    path.push(NEW_NAMES.to_owned());
                    text(AS_BEFORE)
                }
                (None, Some(_)) if by_name && path == ["productRows"] => {
                    path.extend([String::new(), NEW_NAMES.to_owned()]);
                    text(AS_BEFORE)
                }
                (None, Some(_)) => match table::multiple(line) {
                    Some(kind) if multiple.contains(&kind) => continue,
                    Some(kind) => {
                        multiple.push(kind);
                        // An update names the record, or n0, n1 for one that is new.
                        let updates = entry.successor.iter().any(|to| to == "crm.item.update");
                        path.push(match updates {
                            true => format!("n{}", multiple.len() - 1),
                            false => String::new(),
                        });
                        let members = ["typeId", "valueType", "value"].map(str::to_owned);
                        let values = [text(kind), text(AS_BEFORE), text(AS_BEFORE)];
                        Value::Map(Self(members.into_iter().zip(values).collect()))
                    }
                    None => text(AS_BEFORE),
                },
            };
            parameters.insert(&path, value);
        }
        parameters
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert(&mut self, path: &[String], value: Value) {
        let Some((name, inside)) = path.split_first() else {
            return;
        };
        let at = match self.0.iter().position(|(known, _)| known == name) {
            Some(at) => at,
            None => {
                self.0.push((name.clone(), Value::Map(Self::default())));
                self.0.len() - 1
            }
        };
        put(&mut self.0[at].1, inside, value);
    }

    /// The leaves as a form names them: `extras[leadCustomerType]`.
    pub(super) fn flat(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        self.flatten("", &mut pairs);
        pairs
    }

    fn flatten(&self, prefix: &str, pairs: &mut Vec<(String, String)>) {
        for (name, value) in &self.0 {
            let name = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}[{name}]")
            };
            match value {
                Value::Number(number) => pairs.push((name, number.to_string())),
                Value::Text(text) => pairs.push((name, text.clone())),
                Value::Map(map) => map.flatten(&name, pairs),
                Value::List(items) => {
                    let places = items.iter().enumerate();
                    let named = places.map(|(at, item)| (at.to_string(), item.clone()));
                    Self(named.collect()).flatten(&name, pairs);
                }
            }
        }
    }
}

/// Puts a value below a slot; an empty name is a place in a list.
fn put(slot: &mut Value, path: &[String], value: Value) {
    match path {
        [] => *slot = value,
        [first, rest @ ..] if is_place(first) => {
            if !matches!(slot, Value::List(_)) {
                *slot = Value::List(Vec::new());
            }
            let Value::List(items) = slot else { return };
            match (rest.is_empty(), items.is_empty()) {
                (true, _) => items.push(value),
                (false, true) => {
                    let mut item = Value::Map(Parameters::default());
                    put(&mut item, rest, value);
                    items.push(item);
                }
                (false, false) => put(&mut items[0], rest, value),
            }
        }
        _ => {
            if !matches!(slot, Value::Map(_)) {
                *slot = Value::Map(Parameters::default());
            }
            if let Value::Map(map) = slot {
                map.insert(path, value);
            }
        }
    }
}

fn constant(change: &str) -> Option<(Vec<String>, Value)> {
    let (name, value) = change.split_once(" is set to ")?;
    let value = value.split(" in place of ").next().unwrap_or(value);
    Some((path(name)?, literal(value)))
}

fn literal(value: &str) -> Value {
    match value.parse() {
        Ok(number) => Value::Number(number),
        Err(_) => Value::Text(clean(value)),
    }
}

fn renamed(change: &str) -> Option<Vec<String>> {
    path(change.split_once(" is now ")?.1)
}

/// The parts of a form name `a[b][c]`; nothing for what is no such name.
fn path(name: &str) -> Option<Vec<String>> {
    let (first, inside): (&str, Vec<&str>) = match name.split_once('[') {
        Some((first, inside)) => (first, inside.strip_suffix(']')?.split("][").collect()),
        None => (name, Vec::new()),
    };
    let parts: Vec<String> = std::iter::once(first).chain(inside).map(clean).collect();
    let plain = !first.is_empty()
        && parts
            .iter()
            .all(|part| part.len() <= 64 && !part.contains(['[', ']']) && !part.contains(' '));
    (plain && parts.len() <= 8).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(changes: &[&str]) -> Vec<(String, String)> {
        let changes: Vec<String> = changes.iter().map(|&change| change.to_owned()).collect();
        Parameters::of_rule(None, &changes).flat()
    }

    #[test]
    fn constants_come_before_new_names() {
        assert_eq!(
            flat(&[
                "extras[lead.customer.type] is now extras[leadCustomerType]",
                "entityTypeId is set to 1 in place of the call's ENTITY_TYPE_ID",
                "ENTITY_TYPE_ID is removed",
            ]),
            [
                ("entityTypeId".to_owned(), "1".to_owned()),
                ("extras[leadCustomerType]".to_owned(), AS_BEFORE.to_owned()),
            ]
        );
    }

    #[test]
    fn a_rules_constants_are_known_without_a_call_that_was_changed() {
        let catalogue = crate::catalogue::Catalogue::builtin();
        let rule = catalogue.find(b"crm.lead.details.configuration.reset");
        let parameters = Parameters::of_rule(rule.map(AsRef::as_ref), &[]);
        assert_eq!(
            parameters.flat(),
            [("entityTypeId".to_owned(), "1".to_owned())]
        );
    }

    #[test]
    fn what_is_no_parameters_name_is_left_out() {
        let long = format!("{} is set to 1", "a".repeat(100));
        assert!(
            flat(&[
                "x",
                " is set to 1",
                "a[b is set to 1",
                "a b is now c d",
                &long,
            ])
            .is_empty()
        );
    }

    #[test]
    fn a_name_that_is_both_a_value_and_a_map_becomes_the_map() {
        assert_eq!(
            flat(&["a is set to 1", "a[b] is set to 2"]),
            [("a[b]".to_owned(), "2".to_owned())]
        );
    }
}
