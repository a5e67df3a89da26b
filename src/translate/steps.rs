//! Rules of one's own: their steps one after another, each on what the one before left, so that no two can meet on the
//! same bytes. Their conditions are asked of the call as it came.
use super::apply::{Applied, Found, NoRoom, Node, Parameters, Source};
use super::edit::{Edit, Pieces, splice};
use super::fields::Fields;
use super::parameters;
use super::verdict::Call;
use crate::catalogue::{Rule, Set, Step, What, When, form_text};
use crate::protocol::flaw::Unreadable;
use serde_json::Value;

/// What the steps make of a call, before it gets its successor's name.
pub(super) struct Stepped {
    pub target: Vec<u8>,
    pub body: Vec<u8>,
    pub changes: Vec<String>,
}

/// Why steps cannot be made.
pub(super) enum Trouble {
    Unreadable(Unreadable),
    NoRoom,
}

impl From<Unreadable> for Trouble {
    fn from(why: Unreadable) -> Self {
        Self::Unreadable(why)
    }
}

impl From<NoRoom> for Trouble {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// Makes a rule's steps on a call.
///
/// # Errors
/// The portal could not read its body, or has no room for what a step sets.
pub(super) fn run(rule: &Rule, call: &Call<'_>) -> Result<Stepped, Trouble> {
    let mut due = Vec::new();
    for step in &rule.steps {
        let holds = match &step.when {
            None => true,
            Some(when) => parameters::read(call, &when.wanted())?.holds(when),
        };
        if holds {
            due.push(step);
        }
    }
    if due.is_empty() {
        // What the portal cannot read is refused, whether or not something in it is changed.
        parameters::read(call, &rule.wanted())?;
    }
    let mut stepped = Stepped {
        target: call.target.to_vec(),
        body: call.counting_body().to_vec(),
        changes: Vec::new(),
    };
    for step in due {
        let now = Call {
            target: &stepped.target,
            body: &stepped.body,
            ..*call
        };
        let applied = apply(step, parameters::read(&now, &step.wanted())?)?;
        let (target, body) = (
            splice(&stepped.target, applied.query),
            splice(&stepped.body, applied.body),
        );
        stepped.target = target.unwrap_or(stepped.target);
        stepped.body = body.unwrap_or(stepped.body);
        stepped.changes.extend(applied.changes);
    }
    Ok(stepped)
}

/// Makes a rule's steps on a batch's command.
///
/// # Errors
/// The portal has no room for what a step sets.
pub(super) fn run_command(rule: &Rule, command: &[u8]) -> Result<(Vec<Edit>, Vec<String>), NoRoom> {
    let holds = |step: &&Step| {
        step.when.as_ref().is_none_or(|when| {
            Parameters::of_query(Fields::query(command, &when.wanted())).holds(when)
        })
    };
    let mut pieces = Pieces::new(command);
    let mut changes = Vec::new();
    for step in rule.steps.iter().filter(holds) {
        let now = pieces.text();
        let applied = apply(
            step,
            Parameters::of_query(Fields::query(&now, &step.wanted())),
        )?;
        changes.extend(applied.changes);
        pieces.edit(applied.query);
    }
    Ok((pieces.into_edits(), changes))
}

fn apply(step: &Step, mut parameters: Parameters<'_>) -> Result<Applied, NoRoom> {
    let mut changes = Vec::new();
    match &step.what {
        What::Rename {
            from,
            to,
            yields_to,
        } => {
            changes.extend(parameters.rename_first(&step.inside, from, to, yields_to));
        }
        What::Map { name, values } => changes.extend(parameters.map(&step.inside, name, values)),
        What::Remove { name } => changes.extend(parameters.remove(&step.inside, name)),
        What::Set {
            name,
            to,
            instead_of,
        } => {
            let set = Set {
                name: name.clone(),
                to: to.clone(),
                instead_of: instead_of.clone(),
            };
            changes.push(if step.inside.is_empty() {
                parameters.set(&set, &[])?
            } else {
                parameters.set_inside(&step.inside, &set)?
            });
        }
    }
    Ok(parameters.into_applied(changes))
}

/// Objects on the way to a parameter: their spellings, and what the innermost is.
struct Way {
    path: Vec<String>,
    parents: Vec<Found>,
}

impl Parameters<'_> {
    /// Whether a condition holds.
    fn holds(&self, when: &When) -> bool {
        let Some(way) = self.way(&when.inside) else {
            return false;
        };
        let found = when
            .name
            .iter()
            .find_map(|name| self.set_child(&way.parents, name));
        found.is_some_and(|(source, node)| {
            when.is.is_empty()
                || self.sources[source]
                    .text(&node)
                    .is_some_and(|text| when.is.contains(&text))
        })
    }

    /// The way to the innermost object, where all of them are set.
    fn way(&self, inside: &[Vec<String>]) -> Option<Way> {
        let mut way = Way {
            path: Vec::new(),
            parents: self.roots(),
        };
        for spellings in inside {
            let (spelling, node) = spellings
                .iter()
                .find_map(|spelling| Some((spelling, self.set_child(&way.parents, spelling)?)))?;
            way.path.push(spelling.clone());
            way.parents = vec![node];
        }
        Some(way)
    }

    /// Renames the first of these names that is set, unless one that it yields to is. All that is called so gets the new
    /// name, so that nothing is left that counts now that the other is gone; what had the new name before goes.
    fn rename_first(
        &mut self,
        inside: &[Vec<String>],
        names: &[String],
        to: &str,
        yields_to: &[String],
    ) -> Option<String> {
        let way = self.way(inside)?;
        let is_set = |name: &str| self.set_child(&way.parents, name).is_some();
        let from = names.iter().find(|name| is_set(name))?;
        if from == to || yields_to.iter().any(|name| is_set(name)) {
            return None;
        }
        let (gone, renamed) = (full_name(&way.path, from), full_name(&way.path, to));
        let gave_way = self.take_name(&way.parents, &way.path, from, to);
        Some(if gave_way {
            format!("{gone} is now {renamed}, in place of the call's own")
        } else {
            format!("{gone} is now {renamed}")
        })
    }

    /// Gives all that is called `from` the name `to`; what had it goes. Says whether something of it was set.
    pub(super) fn take_name(
        &mut self,
        parents: &[Found],
        path: &[String],
        from: &str,
        to: &str,
    ) -> bool {
        let gave_way = self.set_child(parents, to).is_some();
        for (source, parent) in parents {
            let source = &mut self.sources[*source];
            source.remove(parent, path, &[to.to_owned()]);
            source.rename_all(parent, path, from, to);
        }
        gave_way
    }

    fn map(
        &mut self,
        inside: &[Vec<String>],
        names: &[String],
        values: &[(String, Value)],
    ) -> Option<String> {
        let way = self.way(inside)?;
        let (name, (source, node)) = names
            .iter()
            .find_map(|name| Some((name, self.set_child(&way.parents, name)?)))?;
        let text = self.sources[source].text(&node)?;
        let (_, to) = values.iter().find(|(from, _)| *from == text)?;
        self.sources[source]
            .set_value(&node, to)
            .then(|| format!("the value of {} is mapped", full_name(&way.path, name)))
    }

    fn remove(&mut self, inside: &[Vec<String>], names: &[String]) -> Vec<String> {
        let Some(way) = self.way(inside) else {
            return Vec::new();
        };
        let mut changes = Vec::new();
        for (source, parent) in &way.parents {
            let removed = self.sources[*source].remove(parent, &way.path, names);
            changes.extend(
                removed
                    .iter()
                    .map(|name| format!("{} is removed", full_name(&way.path, name))),
            );
        }
        changes.dedup();
        changes
    }

    fn set_inside(&mut self, inside: &[Vec<String>], set: &Set) -> Result<String, NoRoom> {
        // As deep as the objects are there.
        let mut depth = inside.len();
        let way = loop {
            match self.way(&inside[..depth]) {
                Some(way) => break way,
                None => depth -= 1,
            }
        };
        let missing: Vec<&str> = inside[depth..]
            .iter()
            .filter_map(|spellings| spellings.first().map(String::as_str))
            .collect();
        let mut full = way.path.clone();
        full.extend(missing.iter().map(|name| (*name).to_owned()));
        let told = format!(
            "{} is set to {}",
            full_name(&full, &set.name),
            set.form_value()
        );
        if let (true, [(source, parent)]) = (missing.is_empty(), way.parents.as_slice()) {
            return self.sources[*source]
                .set_in(parent, &way.path, set)
                .then_some(told)
                .ok_or(NoRoom);
        }
        // From the first object that is not there on, all of it is new.
        let nested = missing
            .iter()
            .skip(1)
            .rev()
            .fold(object(&set.name, set.to.clone()), |inner, name| {
                object(name, inner)
            });
        let first = missing.first().copied().unwrap_or(&set.name);
        let preferred = self.preferred_source();
        let parent = way
            .parents
            .iter()
            .find(|(source, _)| *source == preferred)
            .or(way.parents.first());
        let Some((source, parent)) = parent else {
            return Err(NoRoom);
        };
        let form_name = full_name(&full, &set.name);
        self.sources[*source]
            .add_new(parent, first, &nested, &form_name, &set.form_value())
            .then_some(told)
            .ok_or(NoRoom)
    }
}

fn object(name: &str, value: Value) -> Value {
    Value::Object([(name.to_owned(), value)].into_iter().collect())
}

impl Source<'_> {
    /// A scalar as text; nothing for an object or list.
    fn text(&self, node: &Node) -> Option<String> {
        match (self, node) {
            (Source::Fields(fields), Node::Fields(node)) => fields.text(node),
            (Source::Object(object), Node::Object(node)) => object.text(node),
            _ => None,
        }
    }

    fn set_value(&mut self, node: &Node, to: &Value) -> bool {
        match (self, node) {
            (Source::Fields(fields), Node::Fields(node)) => fields.set_value(node, &form_text(to)),
            (Source::Object(object), Node::Object(node)) => object.set_value(node, to),
            _ => false,
        }
    }

    /// Gives all that is called by one name another.
    fn rename_all(&mut self, parent: &Node, path: &[String], from: &str, to: &str) {
        match (self, parent) {
            (Source::Fields(fields), _) => fields.rename_all(path, from, to),
            (Source::Object(object), Node::Object(parent)) => object.rename_all(parent, from, to),
            _ => {}
        }
    }

    fn remove(&mut self, parent: &Node, path: &[String], names: &[String]) -> Vec<String> {
        match (self, parent) {
            (Source::Fields(fields), Node::Fields(parent)) => fields.remove(parent, path, names),
            (Source::Object(object), Node::Object(parent)) => object.remove(parent, names),
            _ => Vec::new(),
        }
    }

    /// Sets a parameter in an object that is there.
    fn set_in(&mut self, parent: &Node, path: &[String], set: &Set) -> bool {
        let names: Vec<String> = set.names().map(str::to_owned).collect();
        match (self, parent) {
            (Source::Fields(fields), Node::Fields(parent)) => {
                let (name, value) = (full_name(path, &set.name), set.form_value());
                fields.replace_inside(parent, path, &names, &name, &value)
                    || fields.add_inside(parent, &name, &value)
            }
            (Source::Object(object), Node::Object(parent)) => {
                if !object.replace_in(parent, &names, &set.name, &set.to) {
                    object.add_in(parent, &set.name, &set.to);
                }
                true
            }
            _ => false,
        }
    }

    /// Adds an object that is not there, with all that is in it.
    fn add_new(
        &mut self,
        parent: &Node,
        name: &str,
        nested: &Value,
        form_name: &str,
        form_value: &str,
    ) -> bool {
        match (self, parent) {
            (Source::Fields(fields), Node::Fields(parent)) => {
                fields.add_inside(parent, form_name, form_value)
            }
            (Source::Object(object), Node::Object(parent)) => {
                object.add_in(parent, name, nested);
                true
            }
            _ => false,
        }
    }
}

/// A name as a form would write it: `extras[lead.customer.type]`.
fn full_name(path: &[String], name: &str) -> String {
    let mut keys = path.iter().map(String::as_str).chain([name]);
    let top = keys.next().unwrap_or_default().to_owned();
    keys.fold(top, |full, key| format!("{full}[{key}]"))
}
