//! A batch: each of its commands on its own, wherever and however often they are wrapped (PROTOCOL §5).
//!
//! A command is an address inside a value: it is unwrapped only when its method is a rule's, translated as a call with a
//! query, and its edits are carried back to the bytes that it is wrapped in. All others keep theirs.
use super::apply::{NoRoom, Parameters, apply};
use super::edit::{Edit, splice, wrap};
use super::fields::Fields;
use super::order::{Fate, Order, Ordered};
use super::refusal::{Reason, Refusal};
use super::steps;
use super::verdict::{Action, Call, DeprecatedUse, Encoding, Outcome, Verdict};
use crate::catalogue::{Catalogue, Mode, Rule, RuleKind};
use crate::protocol::answer::Format;
use crate::protocol::batch::{self, CMD, Commands, as_address, cmd, full_key};
use crate::protocol::call::{Body, Reader, read_body};
use crate::protocol::form::{self, Limit};
use crate::protocol::name::{Name, Wanted};
use crate::protocol::target::BATCH;
use crate::protocol::target::query;
use crate::protocol::{Begin, Layer};
use crate::protocol::{json, multipart};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// A method that no portal has: what becomes of a command that is refused, so that keys, order and `halt` stay the
/// portal's own.
pub const BLOCKED_METHOD: &str = "deprecated.method.blocked";

/// A batch inside a batch is followed so far down.
const DEEPEST: usize = 4;

/// So many deprecated commands of one request are carried out. A batch runs 50, and so many again for each that is a
/// batch itself; no client is known that packs more than one batch, but a body of 32 MiB could hold a million and a half, each
/// with a key of its own and a line in the log.
pub(super) const MOST_USES: usize = 5_000;

/// Translates the commands of a batch, each on its own.
pub(super) fn translate(
    call: &Call<'_>,
    catalogue: &Catalogue,
    mode: &dyn Fn(&Rule) -> Mode,
) -> Verdict {
    let mut pass = Pass {
        catalogue,
        mode,
        uses: Vec::new(),
        method: Vec::new(),
        encoding: Encoding::Query,
        is_full: false,
        is_xml: call.place.format() == Format::Xml,
        order: None,
    };
    let (layer, in_body) = body_arrays(call);
    let mut in_query = form_arrays(call.target, query(call.target), Limit::QUERY);
    in_query.retain(|(spelling, _)| !in_body.iter().any(|(hiding, _)| hiding == spelling));
    let target_edits = pass.arrays(&in_query, Layer::Form, call.target, None, 0);
    let order_of_query = pass.order.take();
    pass.encoding = Encoding::of(call.verb, call.content_type, !call.body.is_empty());
    let of_query = pass.uses.len();
    let body_edits = pass.arrays(&in_body, layer, call.body, None, 0);
    if pass.is_full {
        return too_many(pass.uses);
    }
    let outcome = match (
        splice(call.target, target_edits),
        splice(call.body, body_edits),
    ) {
        (None, None) => Outcome::Untouched,
        (target, body) => Outcome::Rewritten { target, body },
    };
    // What is said to be packed and reads plainly is not: servers and PHP ignore that, and run it.
    let is_unread = call.has_packed_body() && pass.uses.len() == of_query;
    Verdict {
        outcome,
        uses: pass.uses,
        batch: true,
        order: match (order_of_query, pass.order) {
            (one, None) | (None, one) => one,
            // Nobody knows which of them the portal runs.
            (Some(_), Some(_)) => None,
        },
        unread: is_unread.then_some(Reason::Encoding),
    }
}

/// The commands of a batch, unwrapped, with their keys; those of a batch inside it are not looked for.
pub(super) fn commands(call: &Call<'_>, take: &mut dyn FnMut(&str, &[u8])) {
    let (layer, in_body) = body_arrays(call);
    let in_query = form_arrays(call.target, query(call.target), Limit::QUERY);
    for (arrays, layer, bytes) in [
        (in_query, Layer::Form, call.target),
        (in_body, layer, call.body),
    ] {
        for (key, at) in arrays.iter().flat_map(|(_, commands)| commands.that_run()) {
            let key = full_key(None, &key.text());
            take(&key, &as_address(layer.decode(&bytes[at])));
        }
    }
}

/// The verdict on a batch with more deprecated commands than are carried out; those up to there are logged.
fn too_many(mut uses: Vec<DeprecatedUse>) -> Verdict {
    let refusal = Refusal::too_many_commands(MOST_USES);
    for used in &mut uses {
        used.action = Action::Refused;
        used.refusal = Some(refusal.reason);
        used.changes = Vec::new();
    }
    Verdict {
        outcome: Outcome::Refused(refusal),
        uses,
        batch: true,
        order: None,
        unread: None,
    }
}

/// The commands under each spelling of `cmd` that is present.
type Arrays<'a> = Vec<(Cow<'a, [u8]>, Commands<'a>)>;

/// The commands in a batch's body, and how they are wrapped. One that the portal cannot read has none.
fn body_arrays<'a>(call: &Call<'a>) -> (Layer, Arrays<'a>) {
    let bytes = call.counting_body();
    if Reader::of(call.content_type) == Reader::Json {
        let mut reading = Reading {
            bytes,
            wanted: cmd(),
            arrays: Arrays::new(),
            commands: Commands::default(),
        };
        return match json::visit(bytes, &mut reading) {
            Ok(_) => (Layer::Json, reading.arrays),
            Err(_) => (Layer::Plain, Arrays::new()),
        };
    }
    let wanted = cmd();
    let nothing = Body::Empty { json: None };
    match read_body(call.content_type, bytes, |_| false).unwrap_or(nothing) {
        Body::Empty { .. } | Body::Json { .. } => (Layer::Plain, Arrays::new()),
        Body::Form { span, limit, .. } => (Layer::Form, form_arrays(bytes, span, limit)),
        Body::Multipart { boundary } => {
            let mut arrays = Arrays::new();
            for field in multipart::fields(bytes, boundary).filter(|field| field.is_read) {
                let name = Name::read(&field.name.text);
                if let Some(name) =
                    name.filter(|name| name.key(0).is_some_and(|key| wanted.has(key)))
                {
                    take(&mut arrays, &name, field.value);
                }
            }
            (Layer::Plain, arrays)
        }
    }
}

/// A JSON body whose commands are taken while it is read.
struct Reading<'a> {
    bytes: &'a [u8],
    wanted: Wanted<'static>,
    arrays: Arrays<'a>,
    /// Those under the key in hand.
    commands: Commands<'a>,
}

impl json::Visit for Reading<'_> {
    fn enters(&mut self, key: &Range<usize>) -> bool {
        self.commands = Commands::default();
        self.wanted.has(&json::text(self.bytes, key))
    }

    fn inner(&mut self, member: json::Member) {
        self.commands.take_member(self.bytes, &member);
    }

    fn member(&mut self, member: json::Member) {
        let spelling = json::text(self.bytes, &member.key);
        if self.wanted.has(&spelling) {
            self.arrays.retain(|(earlier, _)| *earlier != spelling);
            self.arrays
                .push((spelling, std::mem::take(&mut self.commands)));
        }
    }
}

/// The commands in the form string at `span`.
fn form_arrays(bytes: &[u8], span: Range<usize>, limit: Limit) -> Arrays<'_> {
    let wanted = cmd();
    let mut arrays = Arrays::new();
    for pair in form::pairs(bytes, span, limit).take_while(|pair| pair.is_read) {
        if wanted.may_be_in(&bytes[pair.whole.clone()]) {
            let (name, value) = pair.split(bytes);
            if let Some((spelling, key)) = plainly_keyed(&bytes[name.clone()]) {
                of(&mut arrays, Cow::Borrowed(spelling)).take_keyed(key, value);
            } else if let Some(name) = wanted.read(&bytes[name]) {
                take(&mut arrays, &name, value);
            }
        }
    }
    arrays
}

/// The spelling of `cmd` and the key of a raw name that is nothing but these two, `cmd[key]`, as nearly all are: brackets
/// may be escaped, and the key is made of letters, digits and underscores.
fn plainly_keyed(raw_name: &[u8]) -> Option<(&[u8], &[u8])> {
    let (spelling, rest) = raw_name.split_at_checked(CMD.len())?;
    let rest = rest
        .strip_prefix(b"[")
        .or_else(|| rest.strip_prefix(b"%5B"))?;
    let key = rest
        .strip_suffix(b"]")
        .or_else(|| rest.strip_suffix(b"%5D"))?;
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    (spelling.eq_ignore_ascii_case(CMD) && !key.is_empty() && key.iter().all(is_plain))
        .then_some((spelling, key))
}

/// The commands under a spelling of `cmd`.
fn of<'r, 'a>(arrays: &'r mut Arrays<'a>, spelling: Cow<'_, [u8]>) -> &'r mut Commands<'a> {
    let at = arrays
        .iter()
        .position(|(known, _)| *known == spelling)
        .unwrap_or_else(|| {
            arrays.push((Cow::Owned(spelling.into_owned()), Commands::default()));
            arrays.len() - 1
        });
    &mut arrays[at].1
}

/// Takes the next field of a form that is a command.
fn take(arrays: &mut Arrays<'_>, name: &Name, value: Range<usize>) {
    if let Some(spelling) = name.key(0) {
        of(arrays, Cow::Borrowed(spelling)).take_field(name, value);
    }
}

/// One pass over a batch.
struct Pass<'p> {
    catalogue: &'p Catalogue,
    mode: &'p dyn Fn(&Rule) -> Mode,
    uses: Vec<DeprecatedUse>,
    /// The method of a command that is not plainly written, lower-cased; kept to be used again.
    method: Vec<u8>,
    encoding: Encoding,
    /// There are more deprecated commands than are carried out: what comes behind is not looked at.
    is_full: bool,
    /// The answer is XML, so that the order of commands has to be known.
    is_xml: bool,
    /// That of the batch that was looked into last.
    order: Option<Order>,
}

impl Pass<'_> {
    /// The edits of all commands in some bytes. `outer` is the key of the batch that these are in.
    fn arrays(
        &mut self,
        arrays: &Arrays<'_>,
        layer: Layer,
        bytes: &[u8],
        outer: Option<&str>,
        depth: usize,
    ) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut order = Order::default();
        for (_, commands) in arrays {
            for (key, at) in commands.that_run() {
                if self.is_full {
                    return Vec::new();
                }
                let before = self.uses.len();
                if self.is_of_known_method(layer, &bytes[at.clone()]) {
                    let key = full_key(outer, &key.text());
                    let command = as_address(layer.decode(&bytes[at.clone()]));
                    edits.extend(wrap(layer, bytes, at, self.command(&command, key, depth)));
                }
                if self.is_xml {
                    let is_refused = |used: &DeprecatedUse| used.action == Action::Refused;
                    let fate = match self.order.take() {
                        Some(inner) => Fate::Batch(inner),
                        None if self.uses[before..].iter().any(is_refused) => Fate::Refused,
                        None => Fate::Runs,
                    };
                    let key = full_key(None, &key.text());
                    order.commands.push(Ordered { key, fate });
                }
            }
        }
        if self.is_xml {
            // Of several spellings of `cmd` nobody knows which the portal runs.
            self.order = match arrays.len() {
                1 => Some(order),
                _ => (depth > 0).then(|| order.of_names()),
            };
        }
        edits
    }

    /// Whether a wrapped command is one to look into. Of one that is plainly written up to the end of its method, as
    /// nearly all are, no byte behind that is read.
    fn is_of_known_method(&mut self, layer: Layer, raw: &[u8]) -> bool {
        let longest = self.catalogue.longest_method().max(BATCH.len());
        let plain = Layer::plain_begin(raw, longest + 1);
        if plain <= longest && matches!(raw.get(plain), None | Some(b'?' | b'#')) {
            return self.is_known(&raw[..plain]);
        }
        // Something is escaped, or a scheme stands before the method.
        match layer.begin(raw, b"?#:", longest, &mut self.method) {
            Begin::Whole | Begin::StoppedBy(b'?' | b'#') => self.is_known(&lowered(&self.method)),
            Begin::StoppedBy(_) | Begin::TooLong => {
                let command = as_address(layer.decode(raw));
                self.is_known(&lowered(&command[batch::method(&command)]))
            }
        }
    }

    /// Whether a method, in any case of its letters, is a rule's or a batch.
    fn is_known(&self, method: &[u8]) -> bool {
        method.eq_ignore_ascii_case(BATCH.as_bytes())
            || self.catalogue.find_in_any_case(method).is_some()
    }

    /// The edits of one command, as it is unwrapped.
    fn command(&mut self, command: &[u8], key: String, depth: usize) -> Vec<Edit> {
        let name = batch::method(command);
        match self
            .catalogue
            .find_in_any_case(&lowered(&command[name.clone()]))
            .cloned()
        {
            Some(rule) => self.deprecated(command, name, &rule, key),
            // Only the exact name is refused inside a batch.
            None if command[name.clone()] == *BATCH.as_bytes() || depth == DEEPEST => Vec::new(),
            None => {
                let arrays = form_arrays(command, query(command), Limit::QUERY);
                self.arrays(&arrays, Layer::Form, command, Some(&key), depth + 1)
            }
        }
    }

    /// The edits of a command whose method has a rule.
    fn deprecated(
        &mut self,
        command: &[u8],
        name: Range<usize>,
        rule: &Arc<Rule>,
        key: String,
    ) -> Vec<Edit> {
        if self.uses.len() == MOST_USES {
            self.is_full = true;
            return Vec::new();
        }
        let mut used = DeprecatedUse::observed(rule, self.encoding);
        used.batch_key = Some(key);
        let edits = match ((self.mode)(rule), rule.kind, &rule.replacement) {
            (Mode::Brownout, ..) => refuse(&mut used, name, Reason::Brownout),
            (Mode::Block, ..) => refuse(&mut used, name, Reason::Blocked),
            (Mode::Rewrite, RuleKind::Exact, Some(successor)) => match edits_of(rule, command) {
                Ok((mut edits, changes)) => {
                    used.action = Action::Rewritten;
                    used.changes = changes;
                    edits.push(Edit::new(name, successor));
                    edits
                }
                Err(_) => refuse(&mut used, name, Reason::TooLarge),
            },
            _ => Vec::new(),
        };
        self.uses.push(used);
        edits
    }
}

/// A command's method as the catalogue can be asked for it: of letters that are not ASCII's, in lower case.
fn lowered(method: &[u8]) -> Cow<'_, [u8]> {
    if method.is_ascii() {
        return Cow::Borrowed(method);
    }
    match std::str::from_utf8(method) {
        Ok(text) => Cow::Owned(text.to_lowercase().into_bytes()),
        Err(_) => Cow::Borrowed(method),
    }
}

/// What a rule does to a command's parameters.
fn edits_of(rule: &Rule, command: &[u8]) -> Result<(Vec<Edit>, Vec<String>), NoRoom> {
    if !rule.steps.is_empty() {
        return steps::run_command(rule, command);
    }
    let query = Fields::query(command, &rule.wanted());
    let applied = apply(rule, Parameters::of_query(query))?;
    Ok((applied.query, applied.changes))
}

/// Puts a method that no portal has in the place of a command's.
fn refuse(used: &mut DeprecatedUse, name: Range<usize>, reason: Reason) -> Vec<Edit> {
    used.action = Action::Refused;
    used.refusal = Some(reason);
    vec![Edit::new(name, BLOCKED_METHOD)]
}
