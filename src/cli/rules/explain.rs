//! `rules --explain CALL`: which entry decides for a call, and why those before it do not.

use clap::ArgMatches;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::known::Known;
use super::print::{arrow, mode_text, row};
use crate::cli::call::target_of;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::print;
use crate::cli::paint::Paint;
use crate::cli::{inputs, values};
use crate::ladder::CallerView;
use crate::protocol::credentials;
use crate::protocol::target::{self, Place, RestPath};
use crate::telemetry::caller::{Auth, Caller, Fingerprints};
use crate::telemetry::callers::{Callers, fingerprint_of};
pub fn explain(
    known: &Known,
    matches: &ArgMatches,
    call: &str,
    now: Timestamp,
    as_json: bool,
) -> Exit {
    let rest = known.layers.one("rest-path", RestPath::new)?;
    let target = target_of(call, &rest)?;
    let place = target::place(target.as_bytes(), &rest);
    let Place::Call { method, .. } = &place else {
        return Err(Failure::usage(
            "--explain: the address calls no method; give one as crm.lead.list or /rest/USER/CODE/crm.lead.list",
        ));
    };
    let Some(rule) = known.catalogue.find(method.as_bytes()) else {
        return Err(known.not_deprecated(method));
    };
    let caller = caller(known, matches, &place, target.as_bytes())?;
    let names = known
        .layers
        .maybe("callers", values::path)?
        .map(|path| inputs::callers(&path))
        .transpose()?
        .unwrap_or_default();
    let view = CallerView {
        caller: &caller,
        name: match matches.get_one::<String>("caller") {
            Some(name) => Some(name.as_str()),
            None => Callers::name_of(&names, &caller),
        },
    };
    let explanation = known.policy.explain(rule, &view, now);
    let decision = explanation.decision;
    let text = if as_json {
        let passed: Vec<Value> = explanation
            .passed_over
            .iter()
            .map(|(entry, why)| json!({ "entry": entry, "why": why }))
            .collect();
        let value = json!({
            "schema": 1,
            "method": rule.method,
            "at": now.to_string(),
            "mode": decision.mode.as_str(),
            "because": explanation.decided_by,
            "until": decision.until.map(|until| until.to_string()),
            "passed_over": passed,
        });
        format!("{value:#}\n")
    } else {
        let paint = Paint::for_stdout();
        let mut lines = vec![
            format!("{}  {}", paint.bold(&rule.method), arrow(rule)),
            row("mode", &mode_text(decision.mode, decision.until)),
            row("because of", &explanation.decided_by),
        ];
        for (entry, why) in &explanation.passed_over {
            lines.push(row("not", &format!("{entry}: {why}")));
        }
        lines.join("\n") + "\n"
    };
    print(&text)?;
    Ok(0)
}

/// Who makes the call: what its address shows, and what the options add.
fn caller(
    known: &Known,
    matches: &ArgMatches,
    place: &Place<'_>,
    target: &[u8],
) -> Result<Caller, Failure> {
    let fingerprints = match known.layers.maybe("fingerprint-key-file", values::path)? {
        None => Fingerprints::default(),
        Some(path) => inputs::fingerprints(&path)?,
    };
    let word = |name: &str| matches.get_one::<String>(name).cloned();
    let address = match word("address") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Failure::usage("--address: it is not an IP address; write one as 192.0.2.9")
        })?),
    };
    let head = GivenHead(word("user-agent"));
    let credentials = credentials::read(place, &head, target, None);
    let mut caller = Caller::of(&credentials, &head, target, address, &fingerprints);
    if let Some(user) = word("user") {
        caller.auth = Auth::Webhook;
        caller.user = Some(user);
    }
    if let Some(fingerprint) = word("fingerprint") {
        let read = fingerprint_of(&fingerprint);
        caller.fingerprint =
            Some(read.map_err(|why| Failure::usage(format!("--fingerprint: {why}")))?);
    }
    if let Some(application) = word("application") {
        caller.name_application(application.as_bytes());
    }
    Ok(caller)
}

/// A head with nothing but a `User-Agent`.
struct GivenHead(Option<String>);

impl crate::protocol::Fields for GivenHead {
    fn get(&self, lower_case_name: &str) -> Option<&[u8]> {
        let agent = self
            .0
            .as_deref()
            .filter(|_| lower_case_name == "user-agent");
        agent.map(str::as_bytes)
    }

    fn all<'a>(&'a self, name: &str) -> Box<dyn Iterator<Item = &'a [u8]> + 'a> {
        Box::new(self.get(name).into_iter())
    }
}
