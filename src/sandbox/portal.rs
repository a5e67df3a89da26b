//! What the sandbox does: how a call turns into a result or a documented error, command by command in a batch
//! (PROTOCOL §4, §5).

use std::time::SystemTime;

use super::operation::{Operation, Work};
use super::other;
use super::outcome::{Failure, SandboxUser, Success};
use super::php::{Array, Key, Value};
use super::reading::{Batch, Call, Command};
use super::references;
use super::views::Views;

/// The member `time` of what began at a moment and has just ended.
pub type Clock<'a> = &'a (dyn Fn(SystemTime) -> Value + Sync);

/// The state behind the sandbox's methods.
#[derive(Debug, Default)]
pub struct Portal {
    views: Views,
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
            Work::Details(details) => self
                .portal
                .views
                .details(details, self.caller)
                .map(Success::from),
            Work::Fatal => Err(Failure::fatal()),
            Work::Other { .. } => other::answer(&operation.method, self.caller),
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
        let parameters = references::with_results(&command.parameters, results);
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
