//! The parameters of a JSON body: those that a rule concerns, and what a rule does to them as edits.
use super::edit::Edit;
use crate::protocol::json::{self, Kind, Member, Value};
use std::ops::Range;

/// The parameters of a JSON body.
pub(super) struct Object<'a> {
    bytes: &'a [u8],
    top: Value,
    /// The members at the top that a rule concerns.
    members: Vec<Member>,
    edits: Vec<Edit>,
    added: Vec<String>,
}

/// A value in the body, and the member that it is the value of.
pub(super) struct ObjectNode {
    /// The value.
    pub value: Value,
    key: Range<usize>,
}

impl<'a> Object<'a> {
    /// The object or list of a body, with its members that a rule concerns.
    pub fn new(bytes: &'a [u8], top: Value, members: Vec<Member>) -> Self {
        Self {
            bytes,
            top,
            members,
            edits: Vec::new(),
            added: Vec::new(),
        }
    }

    /// Takes the place of `{}`, `[]` or `null`, when something is added.
    pub fn in_place_of(bytes: &'a [u8], span: Range<usize>) -> Self {
        Self::new(
            bytes,
            Value {
                kind: Kind::Null,
                span,
            },
            Vec::new(),
        )
    }

    /// The object itself.
    pub fn root(&self) -> ObjectNode {
        ObjectNode {
            value: self.top.clone(),
            key: 0..0,
        }
    }

    /// What the portal has under a key; of duplicates the last. `null` too, since it hides what the query has there.
    pub fn child(&self, parent: &ObjectNode, key: &str) -> Option<ObjectNode> {
        let is = |member: &Member| json::key_is(self.bytes, &member.key, key.as_bytes());
        let last = match parent.value.kind {
            Kind::Object if parent.value == self.top => {
                self.members.iter().rev().find(|m| is(m)).cloned()
            }
            Kind::Object => json::members(self.bytes, &parent.value).filter(is).last(),
            _ => None,
        };
        last.map(|member| ObjectNode {
            value: member.value,
            key: member.key,
        })
    }

    /// Gives a node's member another key. Members that have it already and come later would win: they are `null`, and get
    /// the old key.
    pub fn rename(&mut self, parent: &ObjectNode, node: &ObjectNode, to: &str) {
        let old = String::from_utf8_lossy(&self.bytes[node.key.clone()]).into_owned();
        self.edits.push(Edit::new(node.key.clone(), quoted(to)));
        for member in self
            .named(parent, to)
            .into_iter()
            .filter(|member| member.key.start > node.key.start)
        {
            self.edits.push(Edit::new(member.key, old.clone()));
        }
    }

    /// Gives all members that have one key another.
    pub fn rename_all(&mut self, parent: &ObjectNode, from: &str, to: &str) {
        for member in self.named(parent, from) {
            self.edits.push(Edit::new(member.key, quoted(to)));
        }
    }

    /// Puts `name: value` in the place of the first member at the top whose key is one of `names`, and removes the
    /// others. Gives the keys that gave way.
    pub fn replace(
        &mut self,
        names: &[&str],
        name: &str,
        value: &serde_json::Value,
    ) -> Vec<String> {
        let mut gave_way: Vec<String> = Vec::new();
        for member in &self.members {
            let Some(found) = names
                .iter()
                .find(|name| json::key_is(self.bytes, &member.key, name.as_bytes()))
            else {
                continue;
            };
            if gave_way.is_empty() {
                self.edits.push(Edit::new(member.key.clone(), quoted(name)));
                self.edits
                    .push(Edit::new(member.value.span.clone(), printed(value)));
            } else {
                self.edits
                    .push(Edit::new(member.after..member.value.span.end, ""));
            }
            gave_way.push((*found).to_owned());
        }
        gave_way
    }

    /// Adds a member at the end; false in a list, whose entries have numbers for names.
    pub fn add(&mut self, name: &str, value: &serde_json::Value) -> bool {
        if self.top.kind == Kind::List {
            return false;
        }
        self.added
            .push([&quoted(name), ":", &printed(value)].concat());
        true
    }

    /// What has been changed.
    pub fn into_edits(mut self) -> Vec<Edit> {
        if !self.added.is_empty() {
            let added = self.added.join(",");
            self.edits.push(match self.top.kind {
                Kind::Object => Edit::insert(self.end_of_last_value(), [",", &added].concat()),
                _ => Edit::new(self.top.span.clone(), format!("{{{added}}}")),
            });
        }
        self.edits
    }

    /// Where the last value in the object ends: before the blanks before the closing bracket.
    fn end_of_last_value(&self) -> usize {
        let inside = &self.bytes[..self.top.span.end - 1];
        inside.len()
            - inside
                .iter()
                .rev()
                .take_while(|b| b.is_ascii_whitespace())
                .count()
    }

    /// A scalar as text; nothing for an object, a list and `null`.
    pub fn text(&self, node: &ObjectNode) -> Option<String> {
        let span = &node.value.span;
        let text = match node.value.kind {
            Kind::String => json::text(self.bytes, span),
            // PHP takes `TRUE` for `true`.
            Kind::Other => self.bytes[span.clone()].to_ascii_lowercase().into(),
            Kind::Object | Kind::List | Kind::Null => return None,
        };
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// Gives a member another value.
    pub fn set_value(&mut self, node: &ObjectNode, to: &serde_json::Value) -> bool {
        self.edits
            .push(Edit::new(node.value.span.clone(), printed(to)));
        true
    }

    /// Takes the members of these names out of an object, duplicates too. Gives the names that were there.
    pub fn remove(&mut self, parent: &ObjectNode, names: &[String]) -> Vec<String> {
        let members = self.named_one_of(parent, names);
        // A member goes with the comma before it; those at the object's begin go with the comma behind them.
        let mut begin = parent.value.span.start + 1;
        let mut gone: Vec<String> = Vec::new();
        for (member, name) in members {
            let end = member.value.span.end;
            let span = if member.after <= begin {
                let behind = self.bytes[end..]
                    .iter()
                    .take_while(|b| b.is_ascii_whitespace())
                    .count();
                let comma = self.bytes.get(end + behind) == Some(&b',');
                begin = end;
                member.after..if comma { end + behind + 1 } else { end }
            } else {
                member.after..end
            };
            // What the member before took with it is not taken again.
            let taken = self.edits.last().map_or(0, |edit| edit.span.end);
            let start = if span.start < taken && taken <= span.end {
                taken
            } else {
                span.start
            };
            self.edits.push(Edit::new(start..span.end, ""));
            if !gone.contains(name) {
                gone.push(name.clone());
            }
        }
        gone
    }

    /// Puts `name: value` in the place of the first member of an object whose key is one of `names`, and of the others
    /// too, so that whichever counts is this. False where there is none.
    pub fn replace_in(
        &mut self,
        parent: &ObjectNode,
        names: &[String],
        name: &str,
        value: &serde_json::Value,
    ) -> bool {
        let members = self.named_one_of(parent, names);
        for (member, _) in &members {
            self.edits.push(Edit::new(member.key.clone(), quoted(name)));
            self.edits
                .push(Edit::new(member.value.span.clone(), printed(value)));
        }
        !members.is_empty()
    }

    /// Adds a member to an object. Takes the place of what counts as an empty one; a list becomes the object as which the
    /// portal reads it.
    pub fn add_in(&mut self, parent: &ObjectNode, name: &str, value: &serde_json::Value) {
        let whole = parent.value.span.clone();
        let member = [&quoted(name), ":", &printed(value)].concat();
        let entries: Vec<Member> = json::members(self.bytes, &parent.value).collect();
        let Some(end) = entries.last().map(|last| last.value.span.end) else {
            self.edits.push(Edit::new(whole, format!("{{{member}}}")));
            return;
        };
        self.edits.push(Edit::insert(end, format!(",{member}")));
        if parent.value.kind == Kind::List {
            self.edits
                .push(Edit::new(whole.start..whole.start + 1, "{"));
            for (place, entry) in entries.iter().enumerate() {
                let key = format!("\"{place}\":");
                self.edits.push(Edit::insert(entry.value.span.start, key));
            }
            self.edits.push(Edit::new(whole.end - 1..whole.end, "}"));
        }
    }

    /// The members that have one of these keys, and which, in their order; each once, however often its key is listed.
    fn named_one_of<'n>(
        &self,
        parent: &ObjectNode,
        keys: &'n [String],
    ) -> Vec<(Member, &'n String)> {
        let mut members: Vec<(Member, &String)> = keys
            .iter()
            .flat_map(|key| self.named(parent, key).into_iter().map(move |m| (m, key)))
            .collect();
        members.sort_by_key(|(member, _)| member.key.start);
        members.dedup_by_key(|(member, _)| member.key.start);
        members
    }

    fn named(&self, parent: &ObjectNode, key: &str) -> Vec<Member> {
        let is = |member: &Member| json::key_is(self.bytes, &member.key, key.as_bytes());
        match parent.value.kind {
            Kind::Object if parent.value == self.top => {
                self.members.iter().filter(|m| is(m)).cloned().collect()
            }
            Kind::Object => json::members(self.bytes, &parent.value)
                .filter(is)
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    // Names are letters, digits and dots: they need no printer.
    if text
        .bytes()
        .all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
    {
        return ["\"", text, "\""].concat();
    }
    serde_json::Value::from(text).to_string()
}

/// A value as JSON.
fn printed(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::String(text) => quoted(text),
        Value::Number(number) => match number.as_u64() {
            Some(number) => number.to_string(),
            None => value.to_string(),
        },
        _ => value.to_string(),
    }
}
