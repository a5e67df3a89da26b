//! In your call → in the new call (pure): what becomes of each name that a caller sends, as the data tell.

use serde::Serialize;

use super::language::Language;
use super::text::YOUR_VALUE;
use crate::catalogue::form_text;
use crate::catalogue::migration::{Becomes, Migration};

/// One line: a name that is sent today, and the name that takes its place.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Line {
    /// Nothing where something has to be added.
    pub old: Option<String>,
    /// Nothing where there is no such parameter any more, or the documentation does not tell.
    pub new: Option<String>,
    /// What else there is to know.
    pub note: Option<String>,
    /// The value, where it is always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What becomes of a name.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    To(String),
    Nothing,
    Unknown,
}

/// The parameters that hold fields by their names.
const BY_NAME: [&str; 3] = ["fields", "filter", "order"];

/// The old names of what the successor has in `fm`.
const MULTIPLE: [&str; 4] = ["PHONE", "EMAIL", "WEB", "IM"];

/// The lines for these names; for those that are documented where none was seen.
pub(super) fn lines(entry: &Migration, seen: &[String], language: &Language) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for (name, value) in entry.set.iter() {
        lines.push(Line {
            new: Some(name.to_owned()),
            value: Some(form_text(value)),
            ..Line::default()
        });
    }
    let names = match seen.is_empty() {
        true => documented(entry),
        false => seen.to_vec(),
    };
    let is_set = |name: &str| {
        let set = entry.set.iter().map(|(set, _)| set);
        set.map(top).any(|set| set.eq_ignore_ascii_case(name))
    };
    for name in names.into_iter().filter(|name| !is_set(name)) {
        let (fate, note) = fate(entry, &name, language);
        let (new, told) = match fate {
            Fate::To(new) => (Some(new), None),
            Fate::Nothing => (None, Some(language.say("line-lost", &[]))),
            Fate::Unknown => (None, Some(language.say("line-unknown", &[]))),
        };
        let computed = new.as_deref().and_then(|new| computed(entry, &name, new));
        lines.push(Line {
            old: Some(name),
            new,
            // That nothing takes its place matters more than how it was sent.
            note: computed
                .map(|how| language.phrase(how).to_owned())
                .or(told)
                .or(note),
            value: computed.map(|_| YOUR_VALUE.to_owned()),
        });
    }
    let documented = entry.parameters.successor.iter();
    let starred = documented.filter_map(|name| name.strip_suffix('*'));
    let required = entry.required.iter().map(String::as_str).chain(starred);
    for name in required {
        // `select[]=id` is a parameter with its value.
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let is_there = lines.iter().any(|line| {
            let new = line.new.as_deref();
            new.is_some_and(|new| {
                new == name && line.value == value
                    || value.is_none() && (new == name || inside(new, name).is_some())
            })
        });
        if !is_there {
            lines.push(Line {
                old: None,
                new: Some(name.to_owned()),
                note: Some(language.say("line-required", &[])),
                value,
            });
        }
    }
    if entry.keeps_custom_names() && lines.iter().any(|line| is_custom(line.old.as_deref())) {
        lines.push(Line {
            new: Some("useOriginalUfNames".to_owned()),
            value: Some("Y".to_owned()),
            note: Some(language.say("line-custom", &[])),
            ..Line::default()
        });
    }
    lines
}

/// How the data say to compute a parameter's value, where the one that is sent today does not do: `start = …`.
fn computed<'e>(entry: &'e Migration, old: &str, new: &str) -> Option<&'e str> {
    let is_how = |text: &&String| {
        text.strip_prefix(new)
            .is_some_and(|rest| rest.starts_with(" = "))
    };
    let how = entry.types.iter().find(is_how).filter(|_| old != new);
    how.map(String::as_str)
}

/// The old method's parameters that are documented, and those that have another name now.
fn documented(entry: &Migration) -> Vec<String> {
    let renamed: Vec<&str> = entry.rename.iter().map(|(old, _)| old).collect();
    let mut names: Vec<String> = Vec::new();
    for name in &entry.parameters.legacy {
        let name = name.trim_end_matches('*');
        // Where only parts of it are known to have other names, those are the lines.
        if renamed.contains(&name) || !renamed.iter().any(|old| inside(old, name).is_some()) {
            names.push(name.to_owned());
        }
    }
    for old in renamed {
        if !names.iter().any(|name| name == old) {
            names.push(old.to_owned());
        }
    }
    names
}

fn fate(entry: &Migration, name: &str, language: &Language) -> (Fate, Option<String>) {
    let named = by_name(entry, name);
    let note = (named != name).then(|| language.say("line-position", &[("name", top(&named))]));
    let (fate, told) = fate_of_named(entry, &named, language);
    (fate, told.or(note))
}

/// The name of what was sent by its position.
fn by_name(entry: &Migration, name: &str) -> String {
    let first = top(name);
    let place: Option<usize> = first.parse().ok().filter(|_| entry.positional);
    match place.and_then(|place| entry.parameters.legacy.get(place)) {
        Some(parameter) => {
            format!(
                "{}{}",
                parameter.trim_end_matches('*'),
                &name[first.len()..]
            )
        }
        None => name.to_owned(),
    }
}

fn fate_of_named(entry: &Migration, name: &str, language: &Language) -> (Fate, Option<String>) {
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    if let Some((_, new)) = entry.rename.iter().find(|(old, _)| is(old)) {
        return (Fate::To(new.clone()), None);
    }
    let leaf = leaf(name);
    let is_lost = |lost: &String| {
        is(lost) || inside(name, lost).is_some() || leaf.is_some_and(|leaf| bare(leaf) == lost)
    };
    if entry.lost.iter().any(is_lost) {
        return (Fate::Nothing, None);
    }
    if let Some(field) = field(entry, name, language) {
        return field;
    }
    let longest = entry
        .rename
        .iter()
        .filter_map(|(old, new)| Some((old.len(), format!("{new}{}", inside(name, old)?))))
        .max_by_key(|(length, _)| *length);
    if let Some((_, new)) = longest {
        return (Fate::To(new), None);
    }
    let first = top(name);
    let rest = &name[first.len()..];
    let known = entry.parameters.successor.iter();
    let mut known = known.map(|known| known.trim_end_matches('*'));
    if let Some(new) = known.find(|known| known.eq_ignore_ascii_case(first)) {
        let note = (first.eq_ignore_ascii_case("select") && entry.call_fields().is_some())
            .then(|| language.say("line-select", &[]));
        return (Fate::To(format!("{new}{rest}")), note);
    }
    match entry.equal {
        true => (Fate::To(name.to_owned()), None),
        false => (Fate::Unknown, None),
    }
}

/// What becomes of a field: `fields[TITLE]`, `filter[>DATE_CREATE]`, `rows[][PRICE]`.
fn field(entry: &Migration, name: &str, language: &Language) -> Option<(Fate, Option<String>)> {
    entry.call_fields()?;
    let first = top(name);
    let renamed = entry.rename.iter();
    let renamed = renamed.filter(|(old, _)| old.eq_ignore_ascii_case(first));
    let place = renamed.map(|(_, new)| new.as_str()).next();
    let lower = first.to_ascii_lowercase();
    let parts: Vec<&str> = parts(&name[first.len()..]);
    let (before, leaf, behind) = match (BY_NAME.contains(&lower.as_str()), &parts[..]) {
        (true, [leaf, behind @ ..]) => (String::new(), *leaf, behind),
        (false, [row, leaf, behind @ ..]) if is_place(row) => (format!("[{row}]"), *leaf, behind),
        _ => return None,
    };
    let place = place.unwrap_or(lower.as_str());
    let operator = &leaf[..leaf.len() - bare(leaf).len()];
    let behind: String = behind.iter().map(|part| format!("[{part}]")).collect();
    let to = |new: &str| Fate::To(format!("{place}{before}[{operator}{new}]{behind}"));
    Some(match entry.field(bare(leaf)) {
        Becomes::Name(new) if new == "fm" => (
            Fate::To(format!("{place}{before}[fm]")),
            Some(language.say("line-fm", &[("type", bare(leaf))])),
        ),
        Becomes::Name(new) => (to(&new), None),
        Becomes::Nothing => (Fate::Nothing, None),
        Becomes::Unknown if entry.keeps_custom_names() && bare(leaf).starts_with("UF_") => {
            (to(bare(leaf)), None)
        }
        Becomes::Unknown => (Fate::Unknown, None),
    })
}

/// The part of a name before its first bracket.
pub(super) fn top(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}

/// The parts in brackets.
pub(super) fn parts(brackets: &str) -> Vec<&str> {
    let inside = brackets.strip_prefix('[').and_then(|b| b.strip_suffix(']'));
    inside
        .map(|inside| inside.split("][").collect())
        .unwrap_or_default()
}

/// The last part that is no place in a list.
fn leaf(name: &str) -> Option<&str> {
    let parts = parts(&name[top(name).len()..]);
    parts.into_iter().find(|part| !is_place(part))
}

/// A field's name without the operator of a filter.
pub(super) fn bare(leaf: &str) -> &str {
    leaf.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// Whether a part is a place in a list.
pub(super) fn is_place(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
}

/// What of a name is inside another one, from its bracket on.
fn inside<'n>(name: &'n str, outer: &str) -> Option<&'n str> {
    let begin = name.get(..outer.len())?;
    let rest = &name[outer.len()..];
    (begin.eq_ignore_ascii_case(outer) && rest.starts_with('[')).then_some(rest)
}

fn is_custom(name: Option<&str>) -> bool {
    name.and_then(leaf)
        .is_some_and(|leaf| bare(leaf).starts_with("UF_"))
}

/// The old name of a line whose field the successor has in `fm`.
pub(super) fn multiple(line: &Line) -> Option<&'static str> {
    line.new.as_deref().filter(|new| new.ends_with("[fm]"))?;
    let old = line.old.as_deref().and_then(leaf).map(bare)?;
    MULTIPLE.into_iter().find(|name| *name == old)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `old → new`, with a value or a note behind it.
    fn said(method: &str, seen: &[&str]) -> Vec<String> {
        let entry = Migration::shipped(method).expect(method);
        let seen: Vec<String> = seen.iter().map(|&name| name.to_owned()).collect();
        let lines = lines(entry, &seen, Language::english());
        lines
            .into_iter()
            .map(|line| {
                let value = line
                    .value
                    .map(|value| format!("={value}"))
                    .unwrap_or_default();
                format!(
                    "{} → {}{value}",
                    line.old.as_deref().unwrap_or("+"),
                    line.new.as_deref().unwrap_or("-"),
                )
            })
            .collect()
    }

    #[test]
    fn fields_have_their_new_names_wherever_they_stand() {
        assert_eq!(
            said(
                "crm.lead.add",
                &[
                    "fields[TITLE]",
                    "fields[STATUS_ID]",
                    "fields[PHONE][][VALUE]",
                    "fields[ADDRESS]",
                    "fields[UF_CRM_17]",
                    "fields[WHAT]",
                    "params[REGISTER_SONET_EVENT]"
                ]
            ),
            [
                "+ → entityTypeId=1",
                "fields[TITLE] → fields[title]",
                "fields[STATUS_ID] → fields[stageId]",
                "fields[PHONE][][VALUE] → fields[fm]",
                "fields[ADDRESS] → -",
                "fields[UF_CRM_17] → fields[UF_CRM_17]",
                "fields[WHAT] → -",
                "params[REGISTER_SONET_EVENT] → -",
                "+ → useOriginalUfNames=Y",
            ]
        );
        assert_eq!(
            said(
                "crm.deal.list",
                &["FILTER[>=DATE_CREATE]", "order[ID]", "select[]", "start"]
            ),
            [
                "+ → entityTypeId=2",
                "FILTER[>=DATE_CREATE] → filter[>=createdTime]",
                "order[ID] → order[id]",
                "select[] → select[]",
                "start → start",
            ]
        );
        assert_eq!(
            said(
                "crm.deal.productrows.set",
                &["id", "rows[][PRODUCT_ID]", "rows[][PRICE_NETTO]"]
            ),
            [
                "+ → ownerType=D",
                "id → ownerId",
                "rows[][PRODUCT_ID] → productRows[][productId]",
                "rows[][PRICE_NETTO] → -",
            ]
        );
    }

    #[test]
    fn what_is_sent_by_position_has_a_name() {
        assert_eq!(
            said(
                "task.item.list",
                &["0[ID]", "1[>CREATED_DATE]", "2[NAV_PARAMS][iNumPage]"]
            ),
            [
                "0[ID] → order[ID]",
                "1[>CREATED_DATE] → filter[>CREATED_DATE]",
                "2[NAV_PARAMS][iNumPage] → start=YOUR_VALUE",
            ]
        );
    }

    #[test]
    fn without_a_call_that_was_seen_all_that_is_documented_is_shown() {
        assert_eq!(
            said("crm.deal.list", &[]),
            [
                "+ → entityTypeId=2",
                "select → select",
                "filter → filter",
                "order → order",
                "start → start",
            ]
        );
        assert_eq!(
            said("crm.activity.add", &[]),
            [
                "fields[OWNER_ID] → ownerId",
                "fields[OWNER_TYPE_ID] → ownerTypeId",
                "fields[SUBJECT] → title",
                "fields[DESCRIPTION] → description",
                "fields[RESPONSIBLE_ID] → responsibleId",
                "fields[DEADLINE] → deadline",
            ]
        );
    }

    #[test]
    fn what_the_successor_requires_is_added() {
        let lines = said("crm.product.list", &["filter[NAME]"]);
        assert!(
            lines.contains(&"+ → filter[iblockId]".to_owned()),
            "{lines:?}"
        );
        assert!(
            lines.contains(&"+ → select[]=iblockId".to_owned()),
            "{lines:?}"
        );
    }
}
