//! What the sandbox knows and does: its users, the stored forms, and how a call turns into a result or a documented
//! error (PROTOCOL §4, §5).

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::SystemTime;

use super::operation::{Action, Details, LeadType, Operation, User, Work};
use super::php::{Array, Key, Value};
use super::reading::{Batch, Call, Command};

/// A user of the sandbox, with all that lets one in.
#[derive(Clone, PartialEq, Eq)]
pub struct SandboxUser {
    /// The id, as in `userId` and in a webhook's address.
    pub id: i64,
    /// The login, which a webhook's address may carry in place of the id.
    pub login: String,
    /// The secret of the user's inbound webhook.
    pub webhook_code: String,
    /// The user's OAuth access token.
    pub access_token: String,
    /// Whether the user is a CRM administrator.
    pub administrator: bool,
}

impl std::fmt::Debug for SandboxUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SandboxUser");
        shown
            .field("id", &self.id)
            .field("administrator", &self.administrator)
            .finish_non_exhaustive()
    }
}

/// An error as the portal answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status.
    pub status: u16,
    /// The code; empty for most errors of the family.
    pub code: &'static str,
    /// The text for people.
    pub description: String,
}

impl Failure {
    pub(crate) fn new(status: u16, code: &'static str, description: impl Into<String>) -> Self {
        Failure {
            status,
            code,
            description: description.into(),
        }
    }

    pub(crate) fn fatal() -> Self {
        Failure::new(500, "INTERNAL_SERVER_ERROR", "Internal server error")
    }

    fn refused(description: impl Into<String>) -> Self {
        Failure::new(400, "", description)
    }

    fn not_found() -> Self {
        Failure::new(404, "ERROR_METHOD_NOT_FOUND", "Method not found!")
    }
}

/// What a call gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Success {
    /// The member `result`.
    pub result: Value,
    /// The member `total`, of lists.
    pub total: Option<i64>,
}

impl From<Value> for Success {
    fn from(result: Value) -> Self {
        Success {
            result,
            total: None,
        }
    }
}

/// The member `time` of what began at a moment and has just ended.
pub type Clock<'a> = &'a (dyn Fn(SystemTime) -> Value + Sync);

/// Which of the stored forms: of which type, whose, and which of them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct View {
    entity_type: i64,
    /// `None` is the common one.
    user: Option<i64>,
    lead_type: Option<LeadType>,
    category: Option<i64>,
}

/// The state behind the sandbox's methods.
#[derive(Debug, Default)]
pub struct Portal {
    views: Mutex<HashMap<View, Value>>,
}

impl Portal {
    /// Do what `call` asks for. Gives also the operations as executed, references replaced.
    pub fn execute(
        &self,
        call: &Call,
        caller: &SandboxUser,
        clock: Clock<'_>,
    ) -> (Result<Success, Failure>, Vec<Operation>) {
        let mut run = Run {
            portal: self,
            caller,
            clock,
            done: Vec::new(),
        };
        let answer = if call.method == b"batch" {
            run.batch(&Batch::read(&call.parameters), &[])
        } else {
            run.operation(Operation::resolve(&call.method, &call.parameters, vec![]))
        };
        (answer, run.done)
    }

    fn details(&self, details: &Details, caller: &SandboxUser) -> Result<Value, Failure> {
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
            .views
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

/// One request under way.
struct Run<'a> {
    portal: &'a Portal,
    caller: &'a SandboxUser,
    clock: Clock<'a>,
    done: Vec<Operation>,
}

impl Run<'_> {
    fn operation(&mut self, operation: Operation) -> Result<Success, Failure> {
        let answer = match &operation.work {
            Work::Details(details) => self.portal.details(details, self.caller).map(Success::from),
            Work::Fatal => Err(Failure::fatal()),
            Work::Other { .. } => other(&operation.method, self.caller),
        };
        self.done.push(operation);
        answer
    }

    fn batch(&mut self, batch: &Batch, outer: &[Key]) -> Result<Success, Failure> {
        let mut answers = Answers::default();
        let mut halted = false;
        for command in &batch.commands {
            let start = SystemTime::now();
            let keys = [outer, std::slice::from_ref(&command.key)].concat();
            let answer = self.command(command, keys, &answers.results);
            if matches!(&answer, Err(failure) if *failure == Failure::fatal()) {
                return answer;
            }
            halted = batch.halt && answer.is_err();
            answers.add(&command.key, answer, (self.clock)(start));
            if halted {
                break;
            }
        }
        for key in batch.too_many.iter().filter(|_| !halted) {
            let refusal = Failure::new(
                400,
                "ERROR_BATCH_LENGTH_EXCEEDED",
                "Max batch length exceeded",
            );
            answers.add(key, Err(refusal), Value::Null);
        }
        Ok(answers.into_value().into())
    }

    fn command(
        &mut self,
        command: &Command,
        keys: Vec<Key>,
        results: &Array,
    ) -> Result<Success, Failure> {
        if command.method == b"batch" {
            let text = "Method is not allowed for batch usage";
            return Err(Failure::new(405, "ERROR_BATCH_METHOD_NOT_ALLOWED", text));
        }
        let parameters = with_results(&command.parameters, results);
        if command.is_batch() {
            return self.batch(&Batch::read(&parameters), &keys);
        }
        self.operation(Operation::resolve(&command.method, &parameters, keys))
    }
}

/// The members of a batch's result.
#[derive(Default)]
struct Answers {
    results: Array,
    errors: Array,
    totals: Array,
    times: Array,
}

impl Answers {
    fn add(&mut self, key: &Key, answer: Result<Success, Failure>, time: Value) {
        match answer {
            Ok(success) => {
                self.results.set(key.clone(), success.result);
                if let Some(total) = success.total {
                    self.totals.set(key.clone(), Value::Int(total));
                }
                self.times.set(key.clone(), time);
            }
            Err(failure) => {
                let error = Array::of([
                    ("error", Value::from(failure.code)),
                    (
                        "error_description",
                        Value::from(failure.description.as_str()),
                    ),
                ]);
                self.errors.set(key.clone(), Value::Array(error));
            }
        }
    }

    fn into_value(self) -> Value {
        Value::Array(Array::of([
            ("result", Value::Array(self.results)),
            ("result_error", Value::Array(self.errors)),
            ("result_total", Value::Array(self.totals)),
            ("result_next", Value::Array(Array::default())),
            ("result_time", Value::Array(self.times)),
        ]))
    }
}

/// The parameters with each `$result[key][field]` in a value replaced by what it names.
fn with_results(parameters: &Array, results: &Array) -> Array {
    let replaced = |value: &Value| match value {
        Value::Array(array) => Value::Array(with_results(array, results)),
        Value::Text(text) => replace_references(text, results),
        other => other.clone(),
    };
    parameters
        .iter()
        .map(|(key, value)| (key.clone(), replaced(value)))
        .collect()
}

fn replace_references(text: &[u8], results: &Array) -> Value {
    const MARK: &[u8] = b"$result";
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(MARK.len()).position(|window| window == MARK) {
        let behind = &rest[at + MARK.len()..];
        let (keys, length) = reference_keys(behind);
        let found = lookup(&keys, results);
        if let (Some(value), true) = (found, at == 0 && out.is_empty() && length == behind.len()) {
            return value.clone();
        }
        out.extend_from_slice(&rest[..at]);
        match found {
            Some(value) => out.extend_from_slice(&printed(value)),
            None => out.extend_from_slice(&rest[at..at + MARK.len() + length]),
        }
        rest = &behind[length..];
    }
    out.extend_from_slice(rest);
    Value::Text(out)
}

/// The keys in `[a][b]…` at the start of `text`, and the length of that.
fn reference_keys(text: &[u8]) -> (Vec<Key>, usize) {
    let (mut keys, mut at) = (Vec::new(), 0);
    while text.get(at) == Some(&b'[') {
        let Some(length) = text[at + 1..]
            .iter()
            .position(|byte| *byte == b']')
            .filter(|length| *length > 0)
        else {
            break;
        };
        keys.push(Key::of(&text[at + 1..at + 1 + length]));
        at += length + 2;
    }
    (keys, at)
}

fn lookup<'a>(keys: &[Key], results: &'a Array) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    let found = results.get(first)?;
    rest.iter()
        .try_fold(found, |value, key| value.as_array()?.get(key))
}

fn printed(value: &Value) -> Vec<u8> {
    match value {
        Value::Null | Value::Bool(false) => Vec::new(),
        Value::Bool(true) => b"1".to_vec(),
        Value::Int(number) => number.to_string().into_bytes(),
        Value::Float(number) => number.to_string().into_bytes(),
        Value::Text(text) => text.clone(),
        Value::Array(_) => b"Array".to_vec(),
    }
}

/// The first parts of the names of methods that a portal has.
const SCOPES: [&str; 61] = [
    "access",
    "ai",
    "app",
    "appform",
    "biconnector",
    "bizproc",
    "booking",
    "calendar",
    "cashbox",
    "catalog",
    "configuration",
    "contact_center",
    "crm",
    "department",
    "documentgenerator",
    "disk",
    "entity",
    "event",
    "events",
    "feature",
    "forum",
    "humanresources",
    "im",
    "imbot",
    "imconnector",
    "imopenlines",
    "imservice",
    "intranet",
    "landing",
    "lists",
    "log",
    "mailservice",
    "main",
    "messageservice",
    "method",
    "mobile",
    "note",
    "pay_system",
    "paysystem",
    "placement",
    "pull",
    "rating",
    "rpa",
    "sale",
    "scope",
    "server",
    "sign",
    "sonet",
    "sonet_group",
    "socialnetwork",
    "tasks",
    "task",
    "telephony",
    "timeman",
    "transformer",
    "user",
    "userconsent",
    "userfieldconfig",
    "userfieldtype",
    "vote",
    "voximplant",
];

/// Any method outside the family: plausible and empty.
fn other(method: &[u8], caller: &SandboxUser) -> Result<Success, Failure> {
    let method = std::str::from_utf8(method).map_err(|_| Failure::not_found())?;
    let user = || {
        Value::Array(Array::of([
            ("ID", Value::from(caller.id.to_string().as_str())),
            ("ADMIN", Value::Bool(caller.administrator)),
            ("NAME", Value::from("Sandbox")),
            ("LAST_NAME", Value::from(caller.login.as_str())),
        ]))
    };
    let (scope, last) = match method.split_once('.') {
        Some((scope, rest)) => (scope, rest.rsplit('.').next().unwrap_or(rest)),
        None if method == "profile" => return Ok(user().into()),
        None if matches!(method, "scope" | "methods") => {
            return Ok(Value::Array(Array::list([Value::from("crm")])).into());
        }
        None => return Err(Failure::not_found()),
    };
    if !SCOPES.contains(&scope) || last.is_empty() {
        return Err(Failure::not_found());
    }
    Ok(match (method, last) {
        ("user.current", _) => user().into(),
        ("user.get", _) => Value::Array(Array::list([user()])).into(),
        (_, "list") => Success {
            result: Value::Array(Array::default()),
            total: Some(0),
        },
        (_, "add") => Value::Int(1).into(),
        (_, "update" | "delete" | "set") => Value::Bool(true).into(),
        _ => Value::Array(Array::default()).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::super::reading::{self, PortalConfig, Received};
    use super::*;

    fn user(id: i64, administrator: bool) -> SandboxUser {
        let text = |name: &str| format!("{name}{id}");
        SandboxUser {
            id,
            login: text("login"),
            webhook_code: text("code"),
            access_token: text("token"),
            administrator,
        }
    }

    fn call(
        portal: &Portal,
        user: &SandboxUser,
        method: &str,
        body: &str,
    ) -> Result<String, (u16, String)> {
        let target = format!("/rest/{method}");
        let received = Received::new(
            b"POST",
            target.as_bytes(),
            Some(b"application/json"),
            body.as_bytes(),
        );
        let reading = reading::read(&received, &PortalConfig::default());
        let call = reading.call().expect("a call");
        let (answer, _) = portal.execute(call, user, &|_| Value::Null);
        answer
            .map(|success| json::encode(&success.result))
            .map_err(|failure| (failure.status, failure.description))
    }

    fn refused(text: &str) -> Result<String, (u16, String)> {
        Err((400, text.into()))
    }

    const SECTION: &str = r#"{"name":"main","title":"Main","type":"section","elements":[
        {"name":"TITLE","optionFlags":"1","options":{"a":1},"x":1},{"name":"STATUS","optionFlags":2,"options":7}]}"#;

    #[test]
    fn what_is_set_under_one_name_is_got_under_the_other_and_reset() {
        let (portal, admin) = (Portal::default(), user(1, true));
        let data = format!(r#"{{"extras":{{"leadCustomerType":2}},"data":[{SECTION}]}}"#);
        assert_eq!(
            call(&portal, &admin, "crm.lead.details.configuration.set", &data),
            Ok("true".into())
        );
        let repeat = r#"{"entityTypeId":1,"extras":{"leadCustomerType":"2"}}"#;
        let stored = r#"[{"name":"main","title":"Main","type":"section","elements":[{"name":"TITLE","optionFlags":"1","options":{"a":1}},{"name":"STATUS","optionFlags":2}]}]"#;
        assert_eq!(
            call(
                &portal,
                &admin,
                "crm.item.details.configuration.get",
                repeat
            ),
            Ok(stored.into())
        );
        assert_eq!(
            call(
                &portal,
                &admin,
                "crm.item.details.configuration.get",
                r#"{"entityTypeId":1}"#
            ),
            Ok("null".into())
        );
        assert_eq!(
            call(
                &portal,
                &admin,
                "crm.item.details.configuration.reset",
                repeat
            ),
            Ok("true".into())
        );
        assert_eq!(
            call(
                &portal,
                &admin,
                "crm.item.details.configuration.get",
                repeat
            ),
            Ok("null".into())
        );
    }

    #[test]
    fn data_is_refused_with_the_documented_words() {
        let (portal, admin) = (Portal::default(), user(1, true));
        for (data, text) in [
            ("7", "Parameter 'data' must be array."),
            ("[]", "There are no data to write."),
            (r#"{"1":[],"0":[]}"#, "The data must be indexed array."),
            (
                r#"[{"type":"x"}]"#,
                "Section at index 0 have type 'x'. The expected type is 'section'.",
            ),
            (
                r#"[{"type":"section"}]"#,
                "Section at index 0 does not have name.",
            ),
            (
                r#"[{"type":"section","name":"a","title":5}]"#,
                "Section at index 0 does not have title.",
            ),
            (
                r#"[{"type":"section","name":"a","title":"b","elements":[{"name":"c"},{}]}]"#,
                "Element at index 1 in section at index 0 does not have name.",
            ),
        ] {
            let body = format!(r#"{{"data":{data}}}"#);
            assert_eq!(
                call(&portal, &admin, "crm.deal.details.configuration.set", &body),
                refused(text),
                "{data}"
            );
        }
    }

    #[test]
    fn who_may_do_what_is_checked_before_the_data() {
        let (portal, ordinary, admin) = (Portal::default(), user(2, false), user(1, true));
        let denied = || refused("Access denied.");
        for (method, body, allowed) in [
            ("get", r#"{"scope":"C"}"#, true),
            ("get", r#"{"userId":2}"#, true),
            ("get", r#"{"userId":3}"#, false),
            ("set", r#"{"scope":"C"}"#, false),
            ("reset", "", true),
            ("reset", r#"{"userId":3}"#, false),
            ("forceCommonScopeForAll", "", false),
        ] {
            let method = format!("crm.company.details.configuration.{method}");
            assert_eq!(
                call(&portal, &ordinary, &method, body) != denied(),
                allowed,
                "{method} {body}"
            );
            assert_ne!(
                call(&portal, &admin, &method, body),
                denied(),
                "{method} {body}"
            );
        }
    }

    #[test]
    fn force_common_scope_deletes_every_personal_view_and_leaves_the_common_one() {
        let (portal, admin) = (Portal::default(), user(1, true));
        let base = "crm.contact.details.configuration";
        for extra in [r#""scope":"C""#, r#""userId":5"#] {
            let body = format!(r#"{{{extra},"data":[{SECTION}]}}"#);
            assert_eq!(
                call(&portal, &admin, &format!("{base}.set"), &body),
                Ok("true".into())
            );
        }
        assert_eq!(
            call(
                &portal,
                &admin,
                &format!("{base}.forceCommonScopeForAll"),
                ""
            ),
            Ok("true".into())
        );
        assert_eq!(
            call(&portal, &admin, &format!("{base}.get"), r#"{"userId":5}"#),
            Ok("null".into())
        );
        assert_ne!(
            call(&portal, &admin, &format!("{base}.get"), r#"{"scope":"C"}"#),
            Ok("null".into())
        );
    }

    #[test]
    fn a_batch_answers_under_its_keys_replaces_references_and_halts() {
        let (portal, admin) = (Portal::default(), user(1, true));
        let body = |halt: u8| {
            format!(
                r#"{{"halt":{halt},"cmd":{{"me":"profile","view":"crm.item.details.configuration.get?entityTypeId=1&userId=$result[me][ID]",
                "no":"deprecated.method.blocked","after":"crm.lead.add"}}}}"#
            )
        };
        let answer = call(&portal, &admin, "batch", &body(0)).expect("a batch is answered");
        assert!(answer.contains(r#""view":null,"after":1}"#), "{answer}");
        assert!(
            answer.contains(r#""result_error":{"no":{"error":"ERROR_METHOD_NOT_FOUND""#),
            "{answer}"
        );
        let answer = call(&portal, &admin, "batch", &body(1)).expect("a batch is answered");
        assert!(!answer.contains(r#""after""#), "{answer}");
    }

    #[test]
    fn a_category_that_is_no_number_ends_the_whole_batch() {
        let (portal, admin) = (Portal::default(), user(1, true));
        let body = r#"{"cmd":["crm.deal.details.configuration.get?extras[CATEGORY_ID]=x","crm.lead.list"]}"#;
        assert_eq!(
            call(&portal, &admin, "batch", body),
            Err((500, "Internal server error".into()))
        );
    }

    #[test]
    fn unknown_methods_are_not_found() {
        let (portal, admin) = (Portal::default(), user(1, true));
        for method in [
            "deprecated.method.blocked",
            "nodot",
            "crm.",
            "nosuchscope.list",
        ] {
            assert_eq!(
                call(&portal, &admin, method, ""),
                Err((404, "Method not found!".into())),
                "{method}"
            );
        }
        assert_eq!(
            call(&portal, &admin, "crm.contact.list", ""),
            Ok("[]".into())
        );
    }
}
