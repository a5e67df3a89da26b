//! The parameters of a form, as a form string or as multipart: those that a rule concerns, in the order in which they
//! came, and what a rule does to them as edits.
use super::edit::Edit;
use crate::protocol::form::{self, Limit};
use crate::protocol::multipart::{self, FieldName};
use crate::protocol::name::{self, Name, Wanted};
use crate::protocol::{Layer, credentials};
use std::ops::Range;

/// The parameters of a form.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    wire: Wire,
    found: Vec<Field>,
    /// How many pairs the portal counts; it reads as many as the limit says.
    counted: usize,
    limit: usize,
    /// The pairs that gave their place to another parameter.
    taken: Vec<Range<usize>>,
    edits: Vec<Edit>,
}

/// How the form is written.
enum Wire {
    /// A form string at `span`; `joins` is what has to stand before a pair that is put in at its end.
    Form {
        span: Range<usize>,
        limit: Limit,
        joins: &'static str,
    },
    /// Multipart: the first part begins at `start`. Something is put in before it, since a reading can end anywhere behind
    /// it. A boundary `line` that is not UTF-8 is not written.
    Multipart {
        start: usize,
        line: Option<String>,
        newline: &'static str,
        /// Where the part begins that ends the portal's reading before the body's end, and how many parameters stand before
        /// it. If they all were taken out, the portal would read what it has left unread as a form string.
        broken: Option<(usize, usize)>,
        /// Where a line begins that the portal may read in pieces.
        long_line: Option<usize>,
    },
}

/// A parameter that a rule concerns.
struct Field {
    name: Name,
    raw_name: RawName,
    /// The value, raw.
    value: Range<usize>,
    is_read: bool,
}

enum RawName {
    Form(Range<usize>),
    Multipart(FieldName, Part),
}

/// The part of a multipart field.
struct Part {
    whole: Range<usize>,
    is_ended: bool,
}

/// Fields that share the begin of their names: the value that the portal has under that name.
pub(super) struct FieldsNode {
    /// The fields that count, in order: earlier ones that a later one overwrote are gone.
    pub live: Vec<usize>,
    /// How many keys they share.
    pub depth: usize,
}

impl<'a> Fields<'a> {
    /// Reads the form string at `span`; of its parameters those that are wanted.
    pub fn form(bytes: &'a [u8], span: Range<usize>, limit: Limit, wanted: &Wanted<'_>) -> Self {
        let span = form::seen(bytes, span, limit);
        let mut pairs = form::pairs(bytes, span.clone(), limit);
        let mut found = Vec::new();
        for pair in pairs.by_ref() {
            if wanted.may_be_in(&bytes[pair.whole.clone()]) {
                let (raw, value) = pair.split(bytes);
                if let Some(name) = wanted.read(&bytes[raw.clone()]) {
                    found.push(Field {
                        name,
                        raw_name: RawName::Form(raw),
                        value,
                        is_read: pair.is_read,
                    });
                }
            }
        }
        let counted = pairs.counted();
        let joins = if matches!(bytes[span.clone()].last(), None | Some(b'&')) {
            ""
        } else {
            "&"
        };
        let wire = Wire::Form { span, limit, joins };
        Self {
            bytes,
            wire,
            found,
            counted,
            limit: limit.pairs,
            taken: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// Reads the query of an address (a request target, a command): `path?query#fragment`.
    pub fn query(address: &'a [u8], wanted: &Wanted<'_>) -> Self {
        let span = crate::protocol::target::query(address);
        let has_mark = span.start > 0 && address[span.start - 1] == b'?';
        let mut fields = Self::form(address, span, Limit::QUERY, wanted);
        if let Wire::Form { joins, .. } = &mut fields.wire
            && !has_mark
        {
            *joins = "?";
        }
        fields
    }

    /// Reads a multipart body that has at least one field.
    pub fn multipart(bytes: &'a [u8], boundary: &[u8], wanted: &Wanted<'_>) -> Self {
        let limit = multipart::MOST_FIELDS;
        let mut found = Vec::new();
        let mut counted = 0;
        let (start, has_cr) = multipart::first_part(bytes, boundary).unwrap_or_default();
        let line = str::from_utf8(boundary).ok().map(str::to_owned);
        let mut parameters = 0;
        let mut fields = multipart::fields(bytes, boundary);
        for field in fields.by_ref() {
            counted += 1;
            let is_read = field.is_read;
            let Some(name) = Name::read(&field.name.text) else {
                continue;
            };
            parameters += usize::from(is_read);
            if name.key(0).is_some_and(|key| wanted.has(key)) {
                found.push(Field {
                    name,
                    value: field.value,
                    is_read,
                    raw_name: RawName::Multipart(
                        field.name,
                        Part {
                            whole: field.part,
                            is_ended: field.is_ended,
                        },
                    ),
                });
            }
        }
        let wire = Wire::Multipart {
            start,
            line,
            newline: if has_cr { "\r\n" } else { "\n" },
            broken: fields.broke_off().map(|at| (at, parameters)),
            long_line: fields.long_line(),
        };
        Self {
            bytes,
            wire,
            found,
            counted,
            limit,
            taken: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// How values are wrapped.
    fn layer(&self) -> Layer {
        match self.wire {
            Wire::Form { .. } => Layer::Form,
            Wire::Multipart { .. } => Layer::Plain,
        }
    }

    /// All parameters.
    pub fn root(&self) -> FieldsNode {
        FieldsNode {
            live: (0..self.found.len())
                .filter(|at| self.found[*at].is_read)
                .collect(),
            depth: 0,
        }
    }

    /// What the portal has under a key; `None` where it is not set.
    pub fn child(&self, parent: &FieldsNode, key: &str) -> Option<FieldsNode> {
        let depth = parent.depth;
        let mut live: Vec<usize> = Vec::new();
        let mut is_scalar = false;
        for at in &parent.live {
            let name = &self.found[*at].name;
            if name.key(depth) != Some(key.as_bytes()) {
                continue;
            }
            if name.is_too_deep() {
                live.clear();
                continue;
            }
            // A scalar takes the place of all before it, and an element that of a scalar before it.
            let ends_here = name.keys().len() == depth + 1;
            if ends_here || is_scalar {
                live.clear();
            }
            is_scalar = ends_here;
            live.push(*at);
        }
        (!live.is_empty()).then_some(FieldsNode {
            live,
            depth: depth + 1,
        })
    }

    /// Gives the last key of a node another name.
    pub fn rename(&mut self, node: &FieldsNode, to: &str) {
        for at in &node.live {
            let edit = self.renamed(&self.found[*at], node.depth - 1, to);
            self.edits.push(edit);
        }
    }

    /// Gives all parameters under this path that have one key another.
    pub fn rename_all(&mut self, path: &[String], from: &str, to: &str) {
        let names = [from.to_owned()];
        let named = self.under(path, &names);
        let edits: Vec<Edit> = named
            .map(|(_, field, _)| self.renamed(field, path.len(), to))
            .collect();
        self.edits.extend(edits);
    }

    /// Another name for one of a field's keys.
    fn renamed(&self, field: &Field, depth: usize, to: &str) -> Edit {
        let key = field.name.keys()[depth].span.clone();
        let span = match &field.raw_name {
            RawName::Form(raw) => {
                let spans = Layer::Form.to_raw(&self.bytes[raw.clone()], [key]);
                raw.start + spans[0].start..raw.start + spans[0].end
            }
            RawName::Multipart(name, _) => name.raw(key),
        };
        Edit::new(span, self.layer().encode(to))
    }

    /// Another name and value for a field.
    fn rewritten(field: &Field, name: &str, value: &str) -> Vec<Edit> {
        match &field.raw_name {
            RawName::Form(raw) => vec![Edit::new(
                raw.start..field.value.end,
                form_pair(name, value),
            )],
            RawName::Multipart(raw, _) => vec![
                Edit::new(raw.raw(0..raw.text.len()), name),
                Edit::new(field.value.clone(), value),
            ],
        }
    }

    /// Puts `name=value` in the place of every parameter whose top-level key is one of `names`. Their number stays, so
    /// that none which the portal dropped as one too many is read now. Gives the keys that gave way, and whether
    /// the portal reads one of them.
    pub fn replace(&mut self, names: &[&str], name: &str, value: &str) -> (Vec<String>, bool) {
        let mut gave_way = Vec::new();
        let mut is_read = false;
        for field in &self.found {
            let Some(key) = field
                .name
                .key(0)
                .filter(|key| names.iter().any(|name| name.as_bytes() == *key))
            else {
                continue;
            };
            gave_way.push(String::from_utf8_lossy(key).into_owned());
            is_read |= field.is_read;
            self.edits.extend(Self::rewritten(field, name, value));
        }
        (gave_way, is_read)
    }

    /// Adds a parameter; false where the portal would not read one more.
    pub fn add(&mut self, name: &str, value: &str) -> bool {
        let front = match &self.wire {
            Wire::Form { .. } => 0,
            Wire::Multipart { start, .. } => *start,
        };
        self.add_at(front, name, value)
    }

    /// Adds a parameter to an object, so that nothing of what the object was before is put over it: before the first field
    /// that counts, or behind a scalar, which gives way.
    pub fn add_inside(&mut self, parent: &FieldsNode, name: &str, value: &str) -> bool {
        let first = parent.live.first().filter(|_| parent.depth > 0);
        let Some(field) = first.map(|at| &self.found[*at]) else {
            return self.add(name, value);
        };
        let is_scalar = field.name.keys().len() == parent.depth;
        let at = match &field.raw_name {
            RawName::Form(_) => 0,
            // Whether its head or its value breaks off, nothing can stand behind it.
            RawName::Multipart(_, part) if is_scalar && !part.is_ended => return false,
            RawName::Multipart(_, part) if is_scalar => part.whole.end,
            RawName::Multipart(_, part) => part.whole.start,
        };
        self.add_at(at, name, value)
    }

    /// Adds a parameter: at the end of a form string; at `at` of a multipart body, where a part begins.
    fn add_at(&mut self, at: usize, name: &str, value: &str) -> bool {
        if self.counted >= self.limit {
            return false;
        }
        match &mut self.wire {
            Wire::Form { span, joins, .. } => {
                self.edits.push(Edit::insert(
                    span.end,
                    format!("{joins}{}", form_pair(name, value)),
                ));
                *joins = "&";
            }
            Wire::Multipart {
                line, newline: n, ..
            } => {
                let Some(line) = line else { return false };
                let head = format!("--{line}{n}Content-Disposition: form-data; name=\"{name}\"");
                let part = format!("{head}{n}{n}{value}{n}");
                self.edits.push(Edit::insert(at, part));
            }
        }
        self.counted += 1;
        true
    }

    /// Puts a parameter in the place of one that counts for nothing: nameless, or read by no one. False where there is
    /// none. `reads` are the top-level keys that the method reads; none where that is not known. `method` may be what names
    /// it.
    pub fn add_in_place_of_another(&mut self, name: &str, value: &str, reads: &[String]) -> bool {
        let Wire::Form { span, limit, .. } = &self.wire else {
            return false;
        };
        let counts = |key: &[u8]| {
            reads.is_empty()
                || key == name.as_bytes()
                || key == b"method"
                || reads.iter().any(|read| read.as_bytes() == key)
                || credentials::is_parameter(key)
        };
        // A nameless one where there is any, else the first that nobody reads.
        let mut free = None;
        let pairs = form::pairs(self.bytes, span.clone(), *limit).take_while(|pair| pair.is_read);
        for pair in pairs.filter(|pair| !self.taken.contains(&pair.whole)) {
            match name::top_level(&self.bytes[pair.split(self.bytes).0]) {
                None => {
                    free = Some(pair);
                    break;
                }
                Some(key) if free.is_none() && !counts(&key) => free = Some(pair),
                Some(_) => {}
            }
        }
        let Some(pair) = free else { return false };
        self.taken.push(pair.whole.clone());
        self.edits
            .push(Edit::new(pair.whole, form_pair(name, value)));
        true
    }

    /// A scalar as text; nothing for an array.
    pub fn text(&self, node: &FieldsNode) -> Option<String> {
        let field = &self.found[*node.live.last()?];
        let scalar = field.name.keys().len() == node.depth;
        let value = self.layer().decode(&self.bytes[field.value.clone()]);
        scalar.then(|| String::from_utf8_lossy(&value).into_owned())
    }

    /// Gives a scalar another value.
    pub fn set_value(&mut self, node: &FieldsNode, to: &str) -> bool {
        let Some(at) = node.live.last() else {
            return false;
        };
        let field = &self.found[*at];
        let to = self.layer().encode(to);
        let value = field.value.clone();
        let text = match &field.raw_name {
            // Without a `=` the value would be more of the name.
            RawName::Form(raw) if raw.end == value.start => format!("={to}"),
            _ => to.into_owned(),
        };
        self.edits.push(Edit::new(value, text));
        true
    }

    /// The parameters under this path and one of these names, overwritten ones too.
    fn under<'f>(
        &'f self,
        path: &'f [String],
        names: &'f [String],
    ) -> impl Iterator<Item = (usize, &'f Field, &'f String)> {
        self.found
            .iter()
            .enumerate()
            .filter_map(move |(at, field)| {
                let on_path = path
                    .iter()
                    .enumerate()
                    .all(|(depth, key)| field.name.key(depth) == Some(key.as_bytes()));
                let own = field.name.key(path.len()).filter(|_| on_path)?;
                let name = names.iter().find(|name| name.as_bytes() == own)?;
                Some((at, field, name))
            })
    }

    /// Takes the parameters under this path and one of these names out. Where the portal drops fields as too many, their
    /// number stays, so that none of those is read now; and an object of which nothing is left stays, empty, so that
    /// nothing that it hid counts now. Gives the names that were there.
    pub fn remove(
        &mut self,
        parent: &FieldsNode,
        path: &[String],
        names: &[String],
    ) -> Vec<String> {
        let is_live = |at: usize| parent.live.binary_search(&at).is_ok();
        let of_it = |fields: &Self| {
            let named = fields.under(path, names);
            named.filter(|(at, ..)| is_live(*at)).count()
        };
        let mut is_emptied =
            parent.depth > 0 && !parent.live.is_empty() && of_it(self) == parent.live.len();
        let read = self
            .under(path, names)
            .filter(|(_, field, _)| field.is_read);
        let read = read.count();
        let unread = match &self.wire {
            Wire::Multipart {
                broken: Some((at, parameters)),
                line: Some(line),
                ..
            } if *parameters == read && !is_emptied => {
                Some(Edit::new(*at..self.bytes.len(), format!("--{line}--")))
            }
            _ => None,
        };
        let mut gone: Vec<String> = Vec::new();
        let mut edits: Vec<Edit> = unread.into_iter().collect();
        for (at, field, name) in self.under(path, names) {
            if is_emptied && is_live(at) {
                is_emptied = false;
                edits.extend(Self::rewritten(field, &full_name(path), ""));
            } else {
                edits.extend(self.removed(field));
            }
            if !gone.contains(name) {
                gone.push(name.clone());
            }
        }
        self.edits.extend(edits);
        gone
    }

    /// Where a line of a multipart body begins that the portal may read in pieces.
    pub fn long_line(&self) -> Option<usize> {
        match &self.wire {
            Wire::Multipart { long_line, .. } => *long_line,
            Wire::Form { .. } => None,
        }
    }

    /// Whether a NUL ends the form. A raw body without anything before the NUL would lose it, blanks and NULs at its
    /// begin being cut off, and what the NUL hid would count.
    fn is_cut_by_a_nul(&self) -> bool {
        matches!(&self.wire, Wire::Form { span, .. } if self.bytes.get(span.end) == Some(&0))
    }

    /// A field no more.
    fn removed(&self, field: &Field) -> Vec<Edit> {
        match &field.raw_name {
            RawName::Form(raw) if self.counted > self.limit || self.is_cut_by_a_nul() => {
                vec![Edit::new(raw.start..field.value.end, "=1")]
            }
            RawName::Form(raw) => {
                let end = field.value.end;
                let joined = usize::from(self.bytes.get(end) == Some(&b'&'));
                vec![Edit::new(raw.start..end + joined, "")]
            }
            RawName::Multipart(_, part) => match &self.wire {
                Wire::Multipart {
                    line: Some(line), ..
                } if self.counted <= self.limit => {
                    // Something has to end the value before it.
                    let end = (!part.is_ended).then(|| format!("--{line}--"));
                    vec![Edit::new(part.whole.clone(), end.unwrap_or_default())]
                }
                // A part without a name would end the portal's reading.
                _ => Self::rewritten(field, "_", ""),
            },
        }
    }

    /// Puts `full_name=value` in the place of every parameter under this path and one of these names. False where none of
    /// them counts.
    pub fn replace_inside(
        &mut self,
        parent: &FieldsNode,
        path: &[String],
        names: &[String],
        full_name: &str,
        value: &str,
    ) -> bool {
        let mut counts = false;
        let mut edits = Vec::new();
        for (at, field, _) in self.under(path, names) {
            counts |= parent.live.binary_search(&at).is_ok();
            edits.extend(Self::rewritten(field, full_name, value));
        }
        self.edits.extend(edits);
        counts
    }

    /// What has been changed.
    pub fn into_edits(self) -> Vec<Edit> {
        self.edits
    }
}

/// The name of an object as a form would write it: `extras[owner]`.
fn full_name(path: &[String]) -> String {
    let mut keys = path.iter();
    let top = keys.next().cloned().unwrap_or_default();
    keys.fold(top, |full, key| format!("{full}[{key}]"))
}

fn form_pair(name: &str, value: &str) -> String {
    format!("{}={}", Layer::Form.encode(name), Layer::Form.encode(value))
}
