//! A rule on one call's parameters: which of them count (PROTOCOL §2), and what has to change so that the successor
//! reads the same. It goes by what the portal would have used, never by where a name stands.
use super::edit::Edit;
use super::fields::{Fields, FieldsNode};
use super::object::{Object, ObjectNode};
use crate::catalogue::{Rename, Rule, Set};
use crate::protocol::json::Kind;

/// A place where parameters stand.
pub(super) enum Source<'a> {
    Fields(Fields<'a>),
    Object(Object<'a>),
}

/// A value in a source.
pub(super) enum Node {
    Fields(FieldsNode),
    Object(ObjectNode),
}

impl Source<'_> {
    pub(super) fn root(&self) -> Node {
        match self {
            Source::Fields(fields) => Node::Fields(fields.root()),
            Source::Object(object) => Node::Object(object.root()),
        }
    }

    /// What stands under a key, `null` too.
    fn child(&self, parent: &Node, key: &str) -> Option<Node> {
        match (self, parent) {
            (Source::Fields(fields), Node::Fields(parent)) => {
                fields.child(parent, key).map(Node::Fields)
            }
            (Source::Object(object), Node::Object(parent)) => {
                object.child(parent, key).map(Node::Object)
            }
            _ => None,
        }
    }

    fn rename(&mut self, parent: &Node, node: &Node, to: &str) {
        match (self, parent, node) {
            (Source::Fields(fields), _, Node::Fields(node)) => fields.rename(node, to),
            (Source::Object(object), Node::Object(parent), Node::Object(node)) => {
                object.rename(parent, node, to)
            }
            _ => {}
        }
    }

    /// Puts a parameter in the place of those that it is set instead of. Gives the keys that gave way, and whether the
    /// portal reads it now.
    fn replace(&mut self, set: &Set) -> (Vec<String>, bool) {
        let names: Vec<&str> = set.names().collect();
        match self {
            Source::Fields(fields) => fields.replace(&names, &set.name, &set.form_value()),
            Source::Object(object) => {
                let gave_way = object.replace(&names, &set.name, &set.to);
                let is_read = !gave_way.is_empty();
                (gave_way, is_read)
            }
        }
    }

    fn add(&mut self, set: &Set) -> bool {
        match self {
            Source::Fields(fields) => fields.add(&set.name, &set.form_value()),
            Source::Object(object) => object.add(&set.name, &set.to),
        }
    }

    fn add_in_place_of_another(&mut self, set: &Set, reads: &[String]) -> bool {
        match self {
            Source::Fields(fields) => {
                fields.add_in_place_of_another(&set.name, &set.form_value(), reads)
            }
            Source::Object(_) => false,
        }
    }

    fn into_edits(self) -> Vec<Edit> {
        match self {
            Source::Fields(fields) => fields.into_edits(),
            Source::Object(object) => object.into_edits(),
        }
    }
}

/// The parameters of one call: what stands in the body hides what the query has under the same key.
pub(super) struct Parameters<'a> {
    /// The body, where it has parameters or can be given some; then the query.
    pub(super) sources: Vec<Source<'a>>,
    /// Where something is added by choice.
    preferred: usize,
}

impl<'a> Parameters<'a> {
    /// Those of a call without a body.
    pub fn of_query(query: Fields<'a>) -> Self {
        Self {
            sources: vec![Source::Fields(query)],
            preferred: 0,
        }
    }

    /// Those of a call with a body. Something is added to it only if it `is_declared` to be what it is.
    pub fn of_body_and_query(body: Source<'a>, is_declared: bool, query: Fields<'a>) -> Self {
        Self {
            sources: vec![body, Source::Fields(query)],
            preferred: usize::from(!is_declared),
        }
    }
}

/// The call has as many parameters as the portal reads, and all of them count.
#[derive(Debug)]
pub(super) struct NoRoom;

/// The edits of a call's query and body, and what they change, in words.
pub(super) struct Applied {
    pub query: Vec<Edit>,
    pub body: Vec<Edit>,
    pub changes: Vec<String>,
}

/// Makes the parameters those of the successor.
///
/// # Errors
/// Where there is no place for what the rule sets.
pub(super) fn apply(rule: &Rule, mut parameters: Parameters<'_>) -> Result<Applied, NoRoom> {
    let mut changes = Vec::new();
    for rename in &rule.rename {
        changes.extend(parameters.rename(rename));
    }
    for set in &rule.set {
        changes.push(parameters.set(set, &rule.reads)?);
    }
    Ok(parameters.into_applied(changes))
}

/// A value, and the index of its source.
pub(super) type Found = (usize, Node);

impl Parameters<'_> {
    /// The parameters of all sources, of which the first hide the others.
    pub(super) fn roots(&self) -> Vec<Found> {
        self.sources.iter().map(Source::root).enumerate().collect()
    }

    /// The source to which something is added by choice.
    pub(super) fn preferred_source(&self) -> usize {
        self.preferred
    }

    /// The edits of query and body.
    pub(super) fn into_applied(mut self, changes: Vec<String>) -> Applied {
        let query = self.sources.pop().map(Source::into_edits);
        let body = self.sources.pop().map(Source::into_edits);
        Applied {
            query: query.unwrap_or_default(),
            body: body.unwrap_or_default(),
            changes,
        }
    }

    /// What the portal has under a key of these parents, of which the first hides the others.
    fn child(&self, parents: &[Found], key: &str) -> Option<Found> {
        parents
            .iter()
            .find_map(|(source, parent)| Some((*source, self.sources[*source].child(parent, key)?)))
    }

    /// The same, where it is set: `null` is not.
    pub(super) fn set_child(&self, parents: &[Found], key: &str) -> Option<Found> {
        self.child(parents, key).filter(|(_, node)| !is_null(node))
    }

    /// Gives the parameter that counts its new name; says so, where there is one.
    pub(super) fn rename(&mut self, rename: &Rename) -> Option<String> {
        let mut parents = self.roots();
        let mut path: Vec<&str> = Vec::new();
        for spellings in &rename.inside {
            let (spelling, node) = spellings
                .iter()
                .find_map(|spelling| Some((spelling, self.set_child(&parents, spelling)?)))?;
            path.push(spelling);
            parents = vec![node];
        }
        let mut before = rename.yields_to.iter();
        if before.any(|name| self.set_child(&parents, name).is_some()) {
            return None;
        }
        let (source, node) = self.set_child(&parents, &rename.from)?;
        let (from, to) = (full_name(&path, &rename.from), full_name(&path, &rename.to));
        let is_there = |name: &str| self.set_child(&parents, name).is_some();
        if !rename.yields_to.contains(&rename.to) && is_there(&rename.to) {
            let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
            self.take_name(&parents, &path, &rename.from, &rename.to);
            return Some([&from, " is now ", &to, ", in place of the call's own"].concat());
        }
        for (of, parent) in &parents {
            if *of == source {
                self.sources[*of].rename(parent, &node, &rename.to);
                break;
            }
            // A `null` in the body would hide what the query now has under this name.
            if let Some(null) = self.sources[*of].child(parent, &rename.to) {
                self.sources[*of].rename(parent, &null, &rename.from);
            }
        }
        Some([&from, " is now ", &to].concat())
    }

    /// Sets a parameter where it is sure to be read; says so.
    pub(super) fn set(&mut self, set: &Set, reads: &[String]) -> Result<String, NoRoom> {
        let mut gave_way: Vec<String> = Vec::new();
        let mut is_read = false;
        for source in &mut self.sources {
            let (replaced, read) = source.replace(set);
            is_read |= read;
            for name in replaced {
                if !gave_way.contains(&name) {
                    gave_way.push(name);
                }
            }
        }
        let to = set.form_value();
        let name = &set.name;
        if is_read {
            return Ok(format!(
                "{name} is set to {to} in place of the call's {}",
                gave_way.join(" and ")
            ));
        }
        let query = self.sources.len() - 1;
        if [self.preferred, query, 0]
            .into_iter()
            .any(|source| self.sources[source].add(set))
        {
            return Ok([name, " is set to ", &to].concat());
        }
        if self
            .sources
            .iter_mut()
            .rev()
            .any(|source| source.add_in_place_of_another(set, reads))
        {
            return Ok(format!(
                "{name} is set to {to} in place of a parameter that nothing reads"
            ));
        }
        Err(NoRoom)
    }
}

fn is_null(node: &Node) -> bool {
    matches!(node, Node::Object(node) if node.value.kind == Kind::Null)
}

/// A name as a form would write it: `extras[lead.customer.type]`.
fn full_name(path: &[&str], name: &str) -> String {
    let mut keys = path.iter().copied().chain([name]);
    let length: usize = keys.clone().map(|key| key.len() + 2).sum();
    let mut full = String::with_capacity(length);
    full.push_str(keys.next().unwrap_or_default());
    for key in keys {
        for part in ["[", key, "]"] {
            full.push_str(part);
        }
    }
    full
}
