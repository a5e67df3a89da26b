//! `translate`: what the proxy would make of a call, without any network.

use std::io::Read;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use super::call::target_of;
use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::lookalike::{self, Lookalike};
use super::output::print;
use super::paint::{Paint, harmless};
use super::text::reason;
use super::{rule_files, terminal};
use crate::catalogue::{Catalogue, Rule};
use crate::columns::fold;
use crate::protocol::address::Address;
use crate::protocol::answer;
use crate::protocol::target::{self, Access, Place, RestPath};
use crate::protocol::urlrewrite;
use crate::translate as core;
use crate::translate::{Call, DeprecatedUse, Refusal, Verdict};

/// A body is shown up to here; programs get all of it.
const SHOWN: usize = 4096;

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy translate crm.lead.details.configuration.reset --data '{\"scope\":\"C\"}'
  b24-migration-proxy translate '/rest/crm.lead.details.configuration.reset.xml?scope=C'
  b24-migration-proxy translate batch --data 'cmd[a]=crm.lead.details.configuration.reset%3Fscope%3DC'
  b24-migration-proxy translate batch --data @batch.json --json";

pub fn command() -> Command {
    Command::new("translate")
        .about("Show what the proxy would make of a call, without any network")
        .long_about(
            "Shows what the proxy would make of a call, without any network: what is sent, what the portal would \
             receive, and each change. Secrets in it are shown as ***, but not with --json, which gives the bytes back \
             for programs. Exit status 0, also for a call that would be refused, which is shown as such.",
        )
        .examples(EXAMPLES)
        .arg(Arg::new("call").value_name("METHOD|PATH|URL").required(true).help(
            "A method, with ?parameters or without; or the path or URL of a call as it would be sent to the portal",
        ))
        .arg(
            Arg::new("data").long("data").short('d').value_name("DATA").help("The body: itself, @FILE, or - for standard input"),
        )
        .arg(
            Arg::new("content-type")
                .long("content-type")
                .short('t')
                .value_name("TYPE")
                .help("The body's Content-Type; '' for none [default: by the body's first character, JSON or form]"),
        )
        .arg(
            Arg::new("verb")
                .long("verb")
                .short('X')
                .value_name("VERB")
                .help("The HTTP method [default: POST with --data, else GET]"),
        )
        .arg(
            Arg::new("rest-path")
                .long("rest-path")
                .value_name("PREFIX")
                .env("B24_PROXY_REST_PATH")
                .hide_env_values(true)
                .default_value("/rest/")
                .help("Where the portal mounts its REST addresses"),
        )
        .arg(rule_files::option())
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON, for programs"))
}

pub fn run(matches: &ArgMatches) -> Exit {
    let request = Request::read(matches)?;
    let catalogue = rule_files::catalogue_of(matches)?;
    let made = urlrewrite::made(request.target.as_bytes());
    let content_type = request.content_type.as_deref().map(str::as_bytes);
    let at = Address::of_whole(
        request.verb.as_bytes(),
        request.target.as_bytes(),
        made.as_ref(),
        content_type,
        &request.body,
        &request.rest,
    );
    let place = &at.place;
    let call = Call {
        verb: request.verb.as_bytes(),
        target: at.target,
        place,
        content_type,
        content_encoding: None,
        body: &request.body,
        doubt: at.is_made.then_some(core::Doubt::Address),
    };
    let verdict = core::decide(&call, &catalogue, &Rule::usual_mode);
    if matches.get_flag("json") {
        print(&format!("{:#}\n", as_json(&request, place, &verdict)))?;
    } else {
        print(&as_text(
            &request,
            place,
            &verdict,
            &catalogue,
            Paint::for_stdout(),
        ))?;
    }
    Ok(0)
}

/// The call as it would be sent.
struct Request {
    verb: String,
    target: String,
    content_type: Option<String>,
    body: Vec<u8>,
    rest: RestPath,
}

impl Request {
    fn read(matches: &ArgMatches) -> Result<Self, Failure> {
        let word = |name: &str| matches.get_one::<String>(name).map(String::as_str);
        let rest = RestPath::new(word("rest-path").unwrap_or("/rest/"))
            .map_err(|why| Failure::usage(format!("--rest-path: {why}")))?;
        let target = target_of(word("call").unwrap_or_default(), &rest)?;
        let body = word("data").map(read_data).transpose()?;
        let verb = match word("verb") {
            Some(verb)
                if !verb.is_empty()
                    && verb.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-') =>
            {
                verb.to_ascii_uppercase()
            }
            Some(_) => {
                return Err(Failure::usage(
                    "--verb: it is no HTTP method; write it as POST or GET",
                ));
            }
            None => if body.is_some() { "POST" } else { "GET" }.to_owned(),
        };
        let content_type = match (word("content-type"), &body) {
            (Some(""), _) | (None, None) => None,
            (Some(given), _) => Some(given.to_owned()),
            (None, Some(body)) => Some(usual_content_type(body).to_owned()),
        };
        Ok(Self {
            verb,
            target,
            content_type,
            body: body.unwrap_or_default(),
            rest,
        })
    }
}

fn read_data(data: &str) -> Result<Vec<u8>, Failure> {
    let failed = |what: &str, error: std::io::Error| {
        Failure::usage(format!(
            "--data: cannot read {what}: {}; check its name",
            reason(&error)
        ))
    };
    match data.strip_prefix('@') {
        Some(path) => std::fs::read(path).map_err(|error| failed(path, error)),
        None if data == "-" => {
            let mut body = Vec::new();
            std::io::stdin()
                .read_to_end(&mut body)
                .map_err(|error| failed("standard input", error))?;
            Ok(body)
        }
        None => Ok(data.as_bytes().to_vec()),
    }
}

fn usual_content_type(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => "application/json",
        _ => "application/x-www-form-urlencoded",
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn as_json(request: &Request, place: &Place<'_>, verdict: &Verdict) -> serde_json::Value {
    let content_type = &request.content_type;
    let message = |target: &[u8], body: &[u8]| {
        json!({
            "verb": request.verb,
            "target": text_of(target),
            "content_type": content_type,
            "body": text_of(body),
            "body_is_utf8": str::from_utf8(body).is_ok(),
        })
    };
    let sent = message(request.target.as_bytes(), &request.body);
    let (outcome, portal, answer) = match &verdict.outcome {
        core::Outcome::Untouched => ("untouched", sent.clone(), None),
        core::Outcome::Rewritten { target, body } => {
            let target = target.as_deref().unwrap_or(request.target.as_bytes());
            (
                "rewritten",
                message(target, body.as_deref().unwrap_or(&request.body)),
                None,
            )
        }
        core::Outcome::Refused(refusal) => (
            "refused",
            serde_json::Value::Null,
            Some(refusal_json(refusal, place)),
        ),
    };
    let uses: Vec<_> = verdict.uses.iter().map(use_json).collect();
    json!({ "outcome": outcome, "sent": sent, "portal": portal, "answer": answer, "uses": uses })
}

fn refusal_json(refusal: &Refusal, place: &Place<'_>) -> serde_json::Value {
    let format = place.format();
    json!({
        "status": refusal.code.status(),
        "content_type": answer::content_type(format),
        "body": text_of(&answer::error_body(format, refusal.code.as_str(), &refusal.description)),
        "code": refusal.code.as_str(),
        "reason": refusal.reason.as_str(),
    })
}

fn use_json(used: &DeprecatedUse) -> serde_json::Value {
    json!({
        "method": used.rule.method,
        "replacement": used.rule.replacement,
        "action": used.action.as_str(),
        "encoding": used.encoding.as_str(),
        "batch_key": used.batch_key,
        "changes": used.changes,
        "reason": used.refusal.map(core::Reason::as_str),
        "deprecated": used.rule.deprecated,
        "documentation": used.rule.documentation_url(),
    })
}

fn as_text(
    request: &Request,
    place: &Place<'_>,
    verdict: &Verdict,
    catalogue: &Catalogue,
    paint: Paint,
) -> String {
    let mut out = Text::new(paint);
    out.line("", &headline(request, place, verdict, catalogue, paint));
    out.blank();
    let before = Shown::of(request, place, request.target.as_bytes(), &request.body);
    match &verdict.outcome {
        core::Outcome::Untouched => out.message("sent", &before.target, request, &before.body),
        core::Outcome::Rewritten { target, body } => {
            let new_target = target.as_deref().unwrap_or(request.target.as_bytes());
            let after = Shown::of(
                request,
                place,
                new_target,
                body.as_deref().unwrap_or(&request.body),
            );
            let (old_target, new_target) = paint.difference(&before.target, &after.target);
            let (old_body, new_body) = paint.difference(&before.body, &after.body);
            out.message("sent", &old_target, request, &old_body);
            out.blank();
            out.message("portal gets", &new_target, request, &new_body);
        }
        core::Outcome::Refused(refusal) => {
            let format = place.format();
            out.message("sent", &before.target, request, &before.body);
            out.blank();
            out.line(
                "answer",
                &paint.red(&format!(
                    "{} {}",
                    refusal.code.status(),
                    refusal.code.as_str()
                )),
            );
            out.line(
                "",
                &text_of(&answer::error_body(
                    format,
                    refusal.code.as_str(),
                    &refusal.description,
                )),
            );
        }
    }
    for used in &verdict.uses {
        out.used(used, verdict.batch);
    }
    out.text
}

fn headline(
    request: &Request,
    place: &Place<'_>,
    verdict: &Verdict,
    catalogue: &Catalogue,
    paint: Paint,
) -> String {
    let forwarded = "it is forwarded untouched";
    match (&verdict.outcome, place) {
        (core::Outcome::Refused(_), _) => paint.red("Refused: the portal would get nothing."),
        (core::Outcome::Rewritten { .. }, _) => {
            let what = if verdict.batch {
                "Deprecated commands in it are rewritten"
            } else {
                "Deprecated, and rewritten"
            };
            paint.green(&format!("{what}: the portal gets the successor's call."))
        }
        (core::Outcome::Untouched, _) if !verdict.uses.is_empty() => paint.yellow(&format!(
            "Deprecated, and observed: {forwarded}, and logged."
        )),
        (core::Outcome::Untouched, _) if verdict.batch || place.is_batch() => {
            format!("No command of this batch is deprecated: {forwarded}.")
        }
        (core::Outcome::Untouched, Place::Call { method, .. }) => {
            match catalogue.find(method.as_bytes()) {
                Some(_) => format!("Its verb calls nothing: {forwarded}."),
                None => match lookalike::of(method, catalogue) {
                    Lookalike::SuccessorOf(methods) => format!(
                        "Not deprecated: {forwarded}. It is the successor of {}.",
                        methods.join(", ")
                    ),
                    Lookalike::Misspelt(name) => format!(
                        "Not deprecated, as far as the catalogue knows: {forwarded}. Did you mean {name}?"
                    ),
                    Lookalike::Nothing => {
                        format!("Not deprecated, as far as the catalogue knows: {forwarded}.")
                    }
                },
            }
        }
        (core::Outcome::Untouched, _) => {
            format!("No REST call below {}: {forwarded}.", request.rest.as_str())
        }
    }
}

/// A request as it is shown to people: without its secrets, harmless, and not too long.
struct Shown {
    target: String,
    body: String,
}

impl Shown {
    fn of(request: &Request, place: &Place<'_>, target: &[u8], body: &[u8]) -> Self {
        Self {
            target: shown_target(place, target, &request.rest),
            body: shown_body(body),
        }
    }
}

fn shown_target(place: &Place<'_>, target: &[u8], rest: &RestPath) -> String {
    let text = text_of(target);
    let Place::Call {
        access: Access::Webhook { code, .. },
        ..
    } = place
    else {
        return harmless(&target::mask(target));
    };
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, format!("?{query}")),
        None => (text.as_str(), String::new()),
    };
    let code = format!("/{}/", code.expose());
    let path = if path.contains(&code) {
        path.replace(&code, "/***/")
    } else {
        target::masked_path(target, rest)
    };
    harmless(&target::mask(format!("{path}{query}").as_bytes()))
}

fn shown_body(body: &[u8]) -> String {
    let shown = harmless(&target::mask(body));
    if shown.len() <= SHOWN {
        return shown;
    }
    let end = shown.floor_char_boundary(SHOWN);
    format!(
        "{}… ({} bytes; --json gives all)",
        &shown[..end],
        body.len()
    )
}

/// Lines under labels, aligned.
struct Text {
    text: String,
    paint: Paint,
}

/// The width of the labels' column.
const LABEL: usize = 14;

impl Text {
    fn new(paint: Paint) -> Self {
        Self {
            text: String::new(),
            paint,
        }
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn line(&mut self, label: &str, text: &str) {
        for (at, line) in text.split('\n').enumerate() {
            let label = if at == 0 { label } else { "" };
            let indent = if label.is_empty() && self.text.is_empty() {
                0
            } else {
                LABEL
            };
            self.text += &self.paint.dim(&format!("{label:indent$}"));
            self.text += line;
            self.text.push('\n');
        }
    }

    fn message(&mut self, label: &str, target: &str, request: &Request, body: &str) {
        self.line(label, &format!("{} {target}", request.verb));
        if let Some(content_type) = &request.content_type {
            self.line(
                "",
                &self
                    .paint
                    .dim(&format!("Content-Type: {}", harmless(content_type))),
            );
        }
        if !body.is_empty() {
            self.line("", body);
        }
    }

    fn used(&mut self, used: &DeprecatedUse, batch: bool) {
        self.blank();
        let rule = &used.rule;
        let method = match &used.batch_key {
            Some(key) if batch => format!(
                "{} {}",
                self.paint.dim(&format!("[{}]", harmless(key))),
                rule.method
            ),
            _ => rule.method.clone(),
        };
        let since = rule
            .deprecated
            .as_ref()
            .map(|date| format!(", deprecated {date} or earlier"))
            .unwrap_or_default();
        let room = terminal::width().map_or(usize::MAX, |width| width.saturating_sub(LABEL));
        let since = match method.len() + since.len() > room {
            true => since.replacen(", ", "\n", 1),
            false => since,
        };
        self.line(
            used.action.as_str(),
            &format!("{}{since}", self.paint.bold(&method)),
        );
        if let Some(replacement) = &rule.replacement {
            self.line("call instead", replacement);
        }
        for (at, change) in used.changes.iter().enumerate() {
            let change = harmless(change);
            let label = if at == 0 { "changes" } else { "" };
            self.line(label, &fold(&change, room).join("\n"));
        }
        if let Some(reason) = used.refusal {
            self.line("reason", reason.as_str());
        }
        if let Some(address) = rule.documentation_url() {
            self.line("read", &address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_a_path_and_a_url_are_all_calls() {
        let rest = RestPath::default();
        assert_eq!(target_of("a.b?c=1", &rest).unwrap(), "/rest/a.b?c=1");
        assert_eq!(target_of("/rest/1/x/a.b", &rest).unwrap(), "/rest/1/x/a.b");
        assert_eq!(
            target_of("https://h.example/rest/a.b?u=http://x/y", &rest).unwrap(),
            "/rest/a.b?u=http://x/y"
        );
        assert_eq!(
            target_of("a.b?u=http://x/y", &rest).unwrap(),
            "/rest/a.b?u=http://x/y"
        );
        for wrong in ["", "a b", "https://h.example", "a\nb"] {
            assert!(target_of(wrong, &rest).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_body_is_json_or_a_form_by_its_first_character() {
        assert_eq!(usual_content_type(b" {\"a\":1}"), "application/json");
        assert_eq!(usual_content_type(b"[]"), "application/json");
        assert_eq!(
            usual_content_type(b"a=1"),
            "application/x-www-form-urlencoded"
        );
        assert_eq!(usual_content_type(b""), "application/x-www-form-urlencoded");
    }

    #[test]
    fn a_webhooks_code_is_not_shown() {
        let rest = RestPath::default();
        for target in [
            "/rest/1/s3cret/a.b?x=1",
            "//rest/1/s3%63ret/a.b?x=1",
            "/rest/1/s3cret/a.b.json/",
        ] {
            let place = target::place(target.as_bytes(), &rest);
            let shown = shown_target(&place, target.as_bytes(), &rest);
            assert!(
                shown.contains("/1/***/a.b") && !shown.contains("ret/"),
                "{shown}"
            );
        }
    }
}
