//! A call as received → what the portal would do (pure): `docs/PROTOCOL.md` read from the portal's side. It shares
//! nothing with the proxy's own reading, so that each checks the other.

use std::fmt;

use super::address::{self, Address};
use super::form::{parse_str, parse_urlencoded_body};
use super::operation::{Effect, Operation, Work};
use super::php::{Array, Key, Value, lower_cased};
use super::{json, multipart, url};

/// Commands of a batch that run.
pub const BATCH_LENGTH: usize = 50;

/// Batches within batches that this portal follows; a real one has no limit but its memory.
const BATCH_DEPTH: usize = 16;

/// A request as it came, its body unchunked but otherwise raw. `Debug` tells its shape alone: targets, fields and
/// bodies carry credentials.
#[derive(Clone, Default, PartialEq)]
pub struct Received {
    /// The HTTP method.
    pub verb: Vec<u8>,
    /// The request target, any bytes.
    pub target: Vec<u8>,
    /// The header fields in order.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .fields
            .iter()
            .map(|(name, _)| name.escape_ascii().to_string())
            .collect();
        let verb = self.verb.escape_ascii().to_string();
        let mut shown = f.debug_struct("Received");
        shown
            .field("verb", &verb)
            .field("fields", &names)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Received {
    /// A request with at most a Content-Type.
    pub fn new(verb: &[u8], target: &[u8], content_type: Option<&[u8]>, body: &[u8]) -> Self {
        let field = |value: &[u8]| (b"Content-Type".to_vec(), value.to_vec());
        Received {
            verb: verb.to_vec(),
            target: target.to_vec(),
            fields: content_type.map(field).into_iter().collect(),
            body: body.to_vec(),
        }
    }

    /// The first field of that name, compared without case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let named = |(field, _): &&(Vec<u8>, Vec<u8>)| field.eq_ignore_ascii_case(name.as_bytes());
        self.fields
            .iter()
            .find(named)
            .map(|(_, value)| value.as_slice())
    }
}

/// What of a portal's set-up changes how a call is read.
#[derive(Debug, Clone, PartialEq)]
pub struct PortalConfig {
    /// Where the REST interface is mounted: starts and ends with a slash.
    pub rest_path: String,
}

impl Default for PortalConfig {
    fn default() -> Self {
        PortalConfig {
            rest_path: "/rest/".into(),
        }
    }
}

/// In which format the answer is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.json`, or no suffix.
    Json,
    /// `.xml`.
    Xml,
}

/// What the address says of who calls.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// `/rest/USER/CODE/…`.
    Webhook {
        /// An id or a login.
        user: Vec<u8>,
        /// The secret; compare it, never print it.
        code: Vec<u8>,
    },
    /// `/rest/METHOD`: a token or a session stands elsewhere.
    Other,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::Webhook { user, .. } => write!(f, "Webhook({}, ***)", user.escape_ascii()),
            Access::Other => f.write_str("Other"),
        }
    }
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Not under the REST path.
    Elsewhere,
    /// REST v3, or an address of no form that the portal knows: nothing is executed.
    Unknown,
    /// A call of one method.
    Call(Call),
}

/// A call of a method, `batch` included.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Who calls, as far as the address tells.
    pub access: Access,
    /// The answer's format.
    pub format: Format,
    /// The method: lower-cased, its suffix cut off.
    pub method: Vec<u8>,
    /// Query and body merged.
    pub parameters: Array,
    /// For a batch, whether its first error ends it.
    pub halt: bool,
    /// What is done: one operation, or those of the batch in their order.
    pub operations: Vec<Operation>,
}

impl Reading {
    /// The call, if the request is one.
    pub fn call(&self) -> Option<&Call> {
        match self {
            Reading::Call(call) => Some(call),
            _ => None,
        }
    }

    /// What would be done, in order; nothing for what is no call.
    pub fn operations(&self) -> &[Operation] {
        self.call().map_or(&[], |call| &call.operations)
    }

    /// What is done, whatever the names: equal for a legacy call and its faithful translation. A fatal operation
    /// ends the whole request, so it is the last.
    pub fn effects(&self) -> Vec<Effect> {
        let operations = self.operations();
        let fatal = operations
            .iter()
            .position(|operation| operation.work == Work::Fatal);
        let done = fatal.map_or(operations, |at| &operations[..=at]);
        done.iter().map(Operation::effect).collect()
    }
}

/// What the portal would do with `received`. Credentials are not checked here.
pub fn read(received: &Received, portal: &PortalConfig) -> Reading {
    let host = received.field("host");
    let (address, get) = address::read(&received.target, host, &portal.rest_path);
    let mut parameters = parameters(received, &get);
    let (access, method) = match address {
        Address::Elsewhere => return Reading::Elsewhere,
        Address::V3 => return Reading::Unknown,
        Address::Template { webhook, method } => {
            let webhook = webhook.map(|(user, code)| Access::Webhook { user, code });
            (webhook.unwrap_or(Access::Other), method)
        }
        Address::NoTemplate => match named_method(received, &get) {
            Some(method) => {
                parameters.remove(&Key::of(b"method"));
                (Access::Other, method)
            }
            None => return Reading::Unknown,
        },
    };
    let (method, format) = method_and_format(&method);
    let (halt, operations) = if method == b"batch" {
        let batch = Batch::read(&parameters);
        (batch.halt, batch.operations(&[]))
    } else {
        (
            false,
            vec![Operation::resolve(&method, &parameters, vec![])],
        )
    };
    Reading::Call(Call {
        access,
        format,
        method,
        parameters,
        halt,
        operations,
    })
}

/// The method that `$_REQUEST` names: a form's field, else the query's.
fn named_method(received: &Received, get: &Array) -> Option<Vec<u8>> {
    let content_type = received.field("content-type").unwrap_or_default();
    let post = match received.verb.as_slice() {
        b"POST" => form_fields(content_type, &received.body).0,
        _ => Array::default(),
    };
    let key = Key::of(b"method");
    let value = post.get(&key).or_else(|| get.get(&key))?;
    value
        .as_text()
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
}

fn method_and_format(method: &[u8]) -> (Vec<u8>, Format) {
    let mut method = lower_cased(method);
    for (suffix, format) in [(&b".json"[..], Format::Json), (b".xml", Format::Xml)] {
        if method.len() > suffix.len() && method.ends_with(suffix) {
            method.truncate(method.len() - suffix.len());
            return (method, format);
        }
    }
    (method, Format::Json)
}

/// The parameters of a request: its query, and for POST each key of the body in place of the query's.
fn parameters(received: &Received, get: &Array) -> Array {
    let mut parameters = get.clone();
    if received.verb == b"POST" {
        let body = body_parameters(
            received.field("content-type").unwrap_or_default(),
            &received.body,
        );
        for (key, value) in body.iter() {
            parameters.set(key.clone(), value.clone());
        }
    }
    parameters
}

/// What the body of a POST gives.
pub fn body_parameters(content_type: &[u8], body: &[u8]) -> Array {
    let lower = content_type.to_ascii_lowercase();
    let media_type = lower
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if media_type == b"application/json" || media_type.windows(5).any(|window| window == b"+json") {
        return match json::decode(body) {
            Some(Value::Array(array)) => array,
            _ => Array::default(),
        };
    }
    let (fields, raw) = form_fields(content_type, body);
    if fields.is_empty() {
        parse_str(trim(raw))
    } else {
        fields
    }
}

/// `$_POST`, and what PHP has left of the body. PHP ends the type at a blank or a comma, too.
fn form_fields<'b>(content_type: &[u8], body: &'b [u8]) -> (Array, &'b [u8]) {
    let lower = content_type.to_ascii_lowercase();
    let php_type = lower
        .split(|byte| matches!(byte, b';' | b',' | b' '))
        .next()
        .unwrap_or_default();
    match php_type {
        b"application/x-www-form-urlencoded" => (parse_urlencoded_body(body), body),
        b"multipart/form-data" => {
            let found = multipart::read(content_type, body);
            (found.fields, found.rest)
        }
        _ => (Array::default(), body),
    }
}

/// PHP's `trim`.
fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0 | 0x0b);
    let start = text.iter().take_while(|byte| blank(byte)).count();
    let end = text.iter().rev().take_while(|byte| blank(byte)).count();
    text.get(start..text.len() - end).unwrap_or_default()
}

/// A batch as its parameters describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Whether the first error ends it.
    pub halt: bool,
    /// The commands that run, in order.
    pub commands: Vec<Command>,
    /// The keys behind the fiftieth, which are refused.
    pub too_many: Vec<Key>,
}

/// One command of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Its key, under which the result comes back.
    pub key: Key,
    /// Its method as written: percent-escapes are not decoded here, and suffixes not cut off.
    pub method: Vec<u8>,
    /// Its parameters, references still in them.
    pub parameters: Array,
}

impl Batch {
    /// The batch in `parameters`, whose names count in any case; of several spellings the last one counts.
    pub fn read(parameters: &Array) -> Batch {
        let spelled = |name: &str| {
            let same =
                |(key, _): &(&Key, &Value)| key.to_bytes().eq_ignore_ascii_case(name.as_bytes());
            parameters
                .iter()
                .filter(same)
                .last()
                .map(|(_, value)| value)
        };
        let none = Array::default();
        let entries = spelled("cmd").and_then(Value::as_array).unwrap_or(&none);
        let command = |(key, value): (&Key, &Value)| {
            let (method, query) = url::path_and_query(value.as_text()?);
            Some(Command {
                key: key.clone(),
                method,
                parameters: parse_str(&query),
            })
        };
        Batch {
            halt: spelled("halt").is_some_and(Value::truthy),
            commands: entries
                .iter()
                .take(BATCH_LENGTH)
                .filter_map(command)
                .collect(),
            too_many: entries
                .iter()
                .skip(BATCH_LENGTH)
                .map(|(key, _)| key.clone())
                .collect(),
        }
    }

    fn operations(&self, outer: &[Key]) -> Vec<Operation> {
        let mut operations = Vec::new();
        for command in &self.commands {
            let mut keys = outer.to_vec();
            keys.push(command.key.clone());
            if command.is_batch() && keys.len() < BATCH_DEPTH {
                operations.extend(Batch::read(&command.parameters).operations(&keys));
            } else {
                operations.push(Operation::resolve(
                    &command.method,
                    &command.parameters,
                    keys,
                ));
            }
        }
        operations
    }
}

impl Command {
    /// Whether the command runs a batch of its own: `batch` exactly so spelled is refused, any other case runs.
    pub fn is_batch(&self) -> bool {
        self.method != b"batch" && self.method.eq_ignore_ascii_case(b"batch")
    }
}

#[cfg(test)]
mod tests {
    use super::super::operation::{Action, LeadType, User};
    use super::*;

    fn post(target: &str, content_type: &str, body: &str) -> Reading {
        let content_type = (!content_type.is_empty()).then_some(content_type.as_bytes());
        let received = Received::new(b"POST", target.as_bytes(), content_type, body.as_bytes());
        read(&received, &PortalConfig::default())
    }

    fn method(target: &str) -> Option<String> {
        let reading = post(target, "", "");
        reading
            .call()
            .map(|call| String::from_utf8_lossy(&call.method).into_owned())
    }

    #[test]
    fn addresses_are_decoded_normalised_and_matched() {
        for target in [
            "/rest/crm.x",
            "/rest/crm.x/",
            "/rest/1/code/CRM.X.json?a=1",
            "/rest/1/code/crm.x.XML/",
            "//rest/./1//code/foo/../crm.x/index.php",
            "/rest%2F1/code/%63rm.x",
            "http://portal.example/rest/crm.x#fragment",
        ] {
            assert_eq!(method(target).as_deref(), Some("crm.x"), "{target}");
        }
        assert_eq!(post("/rest/api/crm.x", "", ""), Reading::Unknown);
        assert_eq!(post("/rest/api/1/code/crm.x", "", ""), Reading::Unknown);
        assert_eq!(post("/rest/1/crm.x", "", ""), Reading::Unknown);
        assert_eq!(
            method("/rest/1/x?method=CRM.X.xml").as_deref(),
            Some("crm.x")
        );
        assert_eq!(method("/rest/tas%E2%84%AA.x").as_deref(), Some("task.x"));
        assert_eq!(post("/rest/../crm.x", "", ""), Reading::Elsewhere);
        assert_eq!(post("/upload/x", "", ""), Reading::Elsewhere);
    }

    fn shown(content_type: &str, body: &str) -> String {
        let reading = post("/rest/crm.x?scope=C&extras[a]=1", content_type, body);
        json::encode(&Value::Array(
            reading.call().expect("a call").parameters.clone(),
        ))
    }

    #[test]
    fn a_key_of_the_body_replaces_that_of_the_query_whole() {
        let kept = r#"{"scope":"C","extras":{"a":"1"}}"#;
        for (content_type, body, json) in [
            (
                "application/json",
                r#"{"extras":[],"x":1}"#,
                r#"{"scope":"C","extras":[],"x":1}"#,
            ),
            (
                "Application/Vnd.Api+JSON; charset=utf-8",
                r#"{"scope":null}"#,
                r#"{"scope":null,"extras":{"a":"1"}}"#,
            ),
            ("application/json", "scope=P", kept),
            ("application/json", "7", kept),
            (
                "application/x-www-form-urlencoded, x",
                "scope=P",
                r#"{"scope":"P","extras":{"a":"1"}}"#,
            ),
            ("", " scope=P\n", r#"{"scope":"P","extras":{"a":"1"}}"#),
            (
                "text/json",
                "scope=P",
                r#"{"scope":"P","extras":{"a":"1"}}"#,
            ),
            (
                "multipart/form-data",
                "scope=P",
                r#"{"scope":"P","extras":{"a":"1"}}"#,
            ),
        ] {
            assert_eq!(shown(content_type, body), json, "{content_type}: {body}");
        }
    }

    #[test]
    fn other_verbs_have_no_body() {
        let mut received = Received::new(b"PUT", b"/rest/crm.x", None, b"a=1");
        assert!(
            read(&received, &PortalConfig::default())
                .call()
                .expect("a call")
                .parameters
                .is_empty()
        );
        received.verb = b"post".to_vec();
        assert!(
            read(&received, &PortalConfig::default())
                .call()
                .expect("a call")
                .parameters
                .is_empty()
        );
    }

    #[test]
    fn the_commands_of_a_batch_are_operations_under_their_keys() {
        let body = r##"{"CMD":{"a":"crm.lead.details.configuration.reset?scope=C&extras[leadCustomerType]=2#x",
            "b":7,"c":"crm.lead.details.configuration.reset.json","d":"Batch?cmd[x]=crm.lead.list%3Fa%3D1","e":"batch?cmd[]=x"},
            "Halt":1}"##;
        let reading = post("/rest/1/code/batch", "application/json", body);
        let call = reading.call().expect("a call");
        assert!(call.halt);
        let keys: Vec<_> = call
            .operations
            .iter()
            .filter_map(Operation::batch_key)
            .collect();
        assert_eq!(keys, ["a", "c", "d/x", "e"]);
        let details = call.operations[0].details().expect("of the family");
        assert_eq!(
            (details.action, details.user, details.common),
            (Action::Reset, User::Caller, true)
        );
        assert_eq!(details.lead_type, Some(LeadType::Repeat));
        assert!(
            call.operations[1].details().is_none(),
            "a suffix is part of the name here"
        );
    }

    #[test]
    fn a_batch_runs_fifty_entries_and_counts_those_that_are_no_strings() {
        let entries: Vec<String> = (0..60)
            .map(|at| {
                if at == 3 {
                    "7".into()
                } else {
                    format!("\"crm.x?a={at}\"")
                }
            })
            .collect();
        let body = format!("{{\"cmd\":[{}]}}", entries.join(","));
        let reading = post("/rest/batch", "application/json", &body);
        assert_eq!(reading.operations().len(), 49);
    }
}
