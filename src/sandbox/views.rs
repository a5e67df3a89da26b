//! The stored forms of items' cards: the family of `crm.item.details.configuration` (PROTOCOL §4).

use std::collections::HashMap;
use std::sync::Mutex;

use super::operation::{Action, Details, LeadType, User};
use super::outcome::{Failure, SandboxUser};
use super::php::{Array, Key, Value};

/// Which of the stored forms: of which type, whose, and which of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct View {
    entity_type: i64,
    /// `None` is the common one.
    user: Option<i64>,
    lead_type: Option<LeadType>,
    category: Option<i64>,
}

/// The stored forms of the sandbox.
#[derive(Debug, Default)]
pub struct Views {
    stored: Mutex<HashMap<View, Value>>,
}

impl Views {
    /// Does what a method of the family asks for.
    pub(super) fn details(
        &self,
        details: &Details,
        caller: &SandboxUser,
    ) -> Result<Value, Failure> {
        if !matches!(details.entity_type, 1..=4 | 7 | 31 | 36 | 128..) {
            return Err(Failure::refused(
                "Parameter 'entityTypeId' is required and must name a type of items.",
            ));
        }
        let user = match details.user {
            User::Caller => caller.id,
            User::Id(id) => id,
        };
        let own = user == caller.id;
        let allowed = match (details.action, details.common) {
            (Action::ForceCommonScopeForAll, _) => caller.administrator,
            (Action::Get, true) => true,
            (_, true) => caller.administrator,
            (_, false) => own || caller.administrator,
        };
        if !allowed {
            return Err(Failure::refused("Access denied."));
        }
        let view = View {
            entity_type: details.entity_type,
            user: (!details.common).then_some(user),
            lead_type: details.lead_type,
            category: details
                .deal_category
                .or(details.category)
                .filter(|category| *category != 0),
        };
        let mut views = self
            .stored
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match details.action {
            Action::Get => return Ok(views.get(&view).cloned().unwrap_or(Value::Null)),
            Action::Set => {
                let sections = sections(details.data.as_ref()).map_err(Failure::refused)?;
                views.insert(view, sections);
            }
            Action::Reset => {
                views.remove(&view);
            }
            Action::ForceCommonScopeForAll => {
                let kind = |view: &View| View {
                    user: None,
                    ..view.clone()
                };
                views.retain(|stored, _| stored.user.is_none() || kind(stored) != kind(&view));
            }
        }
        Ok(Value::Bool(true))
    }
}

/// The `data` of `set`, as it is stored, or why it is refused.
fn sections(data: Option<&Value>) -> Result<Value, String> {
    let Some(sections) = data.and_then(Value::as_array) else {
        return Err("Parameter 'data' must be array.".into());
    };
    if sections.is_empty() {
        return Err("There are no data to write.".into());
    }
    if !sections.is_list() {
        return Err("The data must be indexed array.".into());
    }
    let stored = sections
        .iter()
        .enumerate()
        .map(|(index, (_, section))| stored_section(index, section));
    Ok(Value::Array(Array::list(
        stored.collect::<Result<Vec<_>, _>>()?,
    )))
}

fn stored_section(index: usize, section: &Value) -> Result<Value, String> {
    let none = Array::default();
    let section = section.as_array().unwrap_or(&none);
    let kind = section
        .isset("type")
        .and_then(Value::as_text)
        .unwrap_or_default();
    if kind != b"section" {
        let kind = String::from_utf8_lossy(kind);
        return Err(format!(
            "Section at index {index} have type '{kind}'. The expected type is 'section'."
        ));
    }
    let text = |array: &Array, name| {
        array
            .isset(name)
            .filter(|value| value.as_text().is_some_and(|text| !text.is_empty()))
            .cloned()
    };
    let Some(name) = text(section, "name") else {
        return Err(format!("Section at index {index} does not have name."));
    };
    let Some(title) = text(section, "title") else {
        return Err(format!("Section at index {index} does not have title."));
    };
    let elements = section
        .isset("elements")
        .and_then(Value::as_array)
        .unwrap_or(&none);
    let element = |(at, (_, element)): (usize, (&Key, &Value))| {
        let element = element.as_array().unwrap_or(&none);
        let Some(name) = text(element, "name") else {
            return Err(format!(
                "Element at index {at} in section at index {index} does not have name."
            ));
        };
        let mut kept = Array::of([("name", name)]);
        if let Some(flags) = element
            .isset("optionFlags")
            .filter(|flags| flags.is_numeric())
        {
            kept.set(Key::of(b"optionFlags"), flags.clone());
        }
        if let Some(options @ Value::Array(_)) = element.isset("options") {
            kept.set(Key::of(b"options"), options.clone());
        }
        Ok(Value::Array(kept))
    };
    let elements: Vec<Value> = elements
        .iter()
        .enumerate()
        .map(element)
        .collect::<Result<_, _>>()?;
    Ok(Value::Array(Array::of([
        ("name", name),
        ("title", title),
        ("type", Value::from("section")),
        ("elements", Value::Array(Array::list(elements))),
    ])))
}
