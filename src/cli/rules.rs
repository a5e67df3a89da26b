//! `rules`: what is translated, what is watched, in which mode and why.

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::failure::Failure;
use super::file::File;
use super::layers::Layers;
use super::paint::{Paint, harmless};
use super::{Outcome, assemble, modes, options, own_rules, print, translate};
use crate::catalogue::{Catalogue, Migration, Rule, RuleKind, Step, What, form_text, migration};
use crate::ladder::standing::Standing;
use crate::ladder::window::moment;
use crate::ladder::{CallerView, Methods, Policy, word};
use crate::protocol::credentials;
use crate::protocol::target::{self, Place, RestPath};
use crate::telemetry::caller::{Auth, Caller, Fingerprints};
use crate::telemetry::callers::{Callers, fingerprint_of};

const LONG_ABOUT: &str = "\
Shows every deprecated method that the proxy knows: what is translated, what is watched, in which mode, what says so and \
what comes next. With METHOD (or a pattern, as crm.lead.*) all about it. With --explain CALL which entry of the \
configuration decides for that call, and why those before it do not. Reads the same options, environment and \
configuration file as `serve`.";

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy rules 'crm.lead.details.*'
  b24-migration-proxy rules --config proxy.toml --explain https://proxy.example/rest/7/CODE/crm.lead.list
  b24-migration-proxy rules --config proxy.toml --explain crm.lead.list --user 7 --at 2026-12-01T09:00Z
  b24-migration-proxy rules check my-rules.json";

/// The options of `serve` that matter here.
const NEEDED: [&str; 5] = ["config", "mode", "rules", "callers", "fingerprint-key-file"];

pub fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .help(help)
            .help_heading("The call to explain")
    };
    let command = Command::new("rules")
        .about("Show what is translated and what is watched, in which mode and why")
        .long_about(LONG_ABOUT)
        .after_help(EXAMPLES)
        .args_conflicts_with_subcommands(true)
        .subcommand(own_rules::check_command())
        .subcommand(own_rules::schema_command())
        .arg(
            Arg::new("method")
                .value_name("METHOD")
                .help("A method, or a pattern in which * stands for anything"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Print JSON, for programs"),
        )
        .arg(text(
            "explain",
            "CALL",
            "Say what decides for this call: a method, or the path or URL of a call",
        ))
        .arg(text(
            "at",
            "MOMENT",
            "At this moment, as 2026-12-01T09:00Z [default: now]",
        ))
        .arg(text("user", "USER", "From this webhook user"))
        .arg(text(
            "fingerprint",
            "HEX",
            "From the caller with this fingerprint, as events show it",
        ))
        .arg(text("application", "ID", "From this application"))
        .arg(text("address", "IP", "From this address"))
        .arg(text("user-agent", "TEXT", "With this User-Agent"))
        .arg(text(
            "caller",
            "NAME",
            "From the caller of this name in the callers file",
        ));
    let mut command = options::add_to(command);
    for spec in options::OPTIONS {
        if !NEEDED.contains(&spec.name) {
            command = command.mut_arg(spec.name, |arg| arg.hide(true));
        }
    }
    command
}

pub fn run(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        Some(("check", matches)) => return own_rules::check(matches),
        Some((_, matches)) => return own_rules::schema(matches),
        None => {}
    }
    let known = Known::load(matches)?;
    let now = match matches.get_one::<String>("at") {
        Some(text) => moment(text).map_err(|why| Failure::usage(format!("--at: {why}")))?,
        None => Timestamp::now(),
    };
    let as_json = matches.get_flag("json");
    if let Some(call) = matches.get_one::<String>("explain") {
        return explain(&known, matches, call, now, as_json);
    }
    let rules: Vec<&Arc<Rule>> = match matches.get_one::<String>("method") {
        None => known.catalogue.rules().iter().collect(),
        Some(text) => known.meant(text)?,
    };
    let standings: Vec<(&Rule, Standing)> = rules
        .iter()
        .map(|rule| (&***rule, known.policy.standing(rule, now)))
        .collect();
    let text = if as_json {
        let rules: Vec<Value> = standings
            .iter()
            .map(|(rule, standing)| as_value(rule, standing))
            .collect();
        let value = json!({
            "schema": 1,
            "rules": rules,
            "fields": migration::field_maps(),
            "documentation": migration::source(),
        });
        format!("{value:#}\n")
    } else if let [(rule, standing)] = standings.as_slice() {
        details(rule, standing, Paint::for_stdout())
    } else {
        table(&standings, Paint::for_stdout())
    };
    print(&text)?;
    Ok(0)
}

/// The rules and their modes, as options, environment and file say.
struct Known {
    catalogue: Catalogue,
    policy: Policy,
    layers: Layers,
}

impl Known {
    fn load(matches: &ArgMatches) -> Result<Self, Failure> {
        let config = matches
            .get_one::<String>("config")
            .filter(|path| !path.is_empty());
        let file = config.map(|path| File::read(path.as_ref())).transpose()?;
        let layers = Layers::stack(matches, file.as_ref());
        let catalogue = own_rules::catalogue(&layers.many("rules", super::values::path)?)?;
        let entries = file.map(|file| file.modes).unwrap_or_default();
        let policy = modes::policy(&layers, entries, &catalogue, None)?;
        Ok(Self {
            catalogue,
            policy,
            layers,
        })
    }

    fn meant(&self, text: &str) -> Result<Vec<&Arc<Rule>>, Failure> {
        let methods = Methods::parse(text).map_err(Failure::usage)?;
        let rules: Vec<_> = self
            .catalogue
            .rules()
            .iter()
            .filter(|rule| methods.holds(&rule.method.to_ascii_lowercase()))
            .collect();
        if rules.is_empty() {
            return Err(self.not_deprecated(text));
        }
        Ok(rules)
    }

    fn not_deprecated(&self, method: &str) -> Failure {
        if method == "batch" {
            return Failure::found(
                "a batch is explained command by command; give the method of one, with --user for who calls".to_owned(),
            );
        }
        let names = self
            .catalogue
            .rules()
            .iter()
            .map(|rule| rule.method.as_str());
        let hint = match super::file::nearest(method, names) {
            Some(name) => format!("; did you mean {name}?"),
            None => String::new(),
        };
        Failure::found(format!(
            "{} is not known to be deprecated{hint}",
            harmless(method)
        ))
    }
}

fn explain(
    known: &Known,
    matches: &ArgMatches,
    call: &str,
    now: Timestamp,
    as_json: bool,
) -> Outcome {
    let rest = known.layers.one("rest-path", RestPath::new)?;
    let target = translate::target_of(call, &rest)?;
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
        .maybe("callers", super::values::path)?
        .map(|path| assemble::callers_of(&path))
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
            "mode": word(decision.mode),
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
    let fingerprints = match known
        .layers
        .maybe("fingerprint-key-file", super::values::path)?
    {
        None => Fingerprints::default(),
        Some(path) => assemble::fingerprints_of(&path)?,
    };
    let word = |name: &str| matches.get_one::<String>(name).cloned();
    let address = match word("address") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Failure::usage("--address: it is no IP address; write one as 192.0.2.9")
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

fn arrow(rule: &Rule) -> String {
    match &rule.replacement {
        Some(replacement) => format!("→ {}", replacement.replace(' ', ", ")),
        None => "has no successor".to_owned(),
    }
}

fn kind(rule: &Rule) -> &'static str {
    match rule.kind {
        RuleKind::Exact => "translated",
        RuleKind::Watched => "watched",
    }
}

fn mode_text(mode: crate::catalogue::Mode, until: Option<Timestamp>) -> String {
    match until {
        Some(until) => format!("{}, until {until:.0}", word(mode)),
        None => word(mode).to_owned(),
    }
}

fn row(label: &str, text: &str) -> String {
    format!("  {label:<13} {text}")
}

/// All about one rule.
fn details(rule: &Rule, standing: &Standing, paint: Paint) -> String {
    let mut lines = vec![
        format!("{}  {}", paint.bold(&rule.method), arrow(rule)),
        row(
            "",
            match rule.kind {
                RuleKind::Exact => "translated, call for call",
                RuleKind::Watched => "watched: its calls are forwarded untouched and logged",
            },
        ),
    ];
    for set in &rule.set {
        lines.push(row(
            "sets",
            &format!("{} to {}", set.name, set.form_value()),
        ));
    }
    for step in &rule.steps {
        lines.push(row("", &step_text(step)));
    }
    for rename in &rule.rename {
        lines.push(row("renames", &format!("{} to {}", rename.from, rename.to)));
    }
    lines.push(row("mode", word(standing.mode)));
    lines.push(row("because of", &standing.origin));
    for exception in &standing.exceptions {
        let mode = mode_text(exception.mode, exception.until);
        lines.push(row(
            "but",
            &format!("{mode} for {} ({})", exception.scope, exception.origin),
        ));
    }
    for planned in &standing.planned {
        let (mode, from) = (word(planned.mode), planned.from);
        lines.push(row(
            "planned",
            &format!(
                "{mode} from {from:.0} for {} ({})",
                planned.scope, planned.origin
            ),
        ));
    }
    if let Some((when, mode)) = standing.next {
        lines.push(row("next", &format!("{} from {when:.0}", word(mode))));
    }
    if let Some(sunset) = standing.sunset {
        lines.push(row("sunset", &sunset.to_string()));
    }
    if let Some(since) = &rule.deprecated {
        lines.push(row("deprecated", &format!("{since} or earlier")));
    }
    if let Some(page) = rule.documentation_url() {
        lines.push(row("documentation", &page));
    }
    if let Some(entry) = rule.migration() {
        lines.extend(migration_rows(entry));
    }
    lines.join("\n") + "\n"
}

/// What changes for the method's callers.
fn migration_rows(entry: &Migration) -> Vec<String> {
    let mut rows = Vec::new();
    let mut add = |label: &str, text: String| rows.push(row(label, &text));
    if let Some(page) = entry.page_url() {
        add("successor's", page);
    }
    if let Some(family) = &entry.documented {
        add("documented", format!("{family}, which is no method"));
    }
    if let Some(scope) = &entry.scope {
        add("scope", scope.successor.clone());
    }
    if let Some(rights) = &entry.rights {
        add("rights", rights.clone());
    }
    for (name, value) in entry.set.iter() {
        add("send", format!("{name}={}", form_text(value)));
    }
    for (from, to) in entry.rename.iter() {
        add("send", format!("{to} for {from}"));
    }
    for name in &entry.required {
        add("send", format!("{name}, which is required"));
    }
    if let Some(map) = entry.call_fields() {
        for (from, to) in map.iter() {
            add(
                "field",
                match to {
                    Some(to) => format!("{to} for {from}"),
                    None => format!("none for {from}"),
                },
            );
        }
    }
    if let Some(answer) = &entry.result {
        add(
            "answer",
            format!("in {}; was in {}", answer.successor, answer.legacy),
        );
    }
    for text in &entry.types {
        add("note", text.clone());
    }
    if !entry.lost.is_empty() {
        add("lost", entry.lost.join(", "));
    }
    rows
}

/// A step of a rule of one's own, in words.
fn step_text(step: &Step) -> String {
    let inside = |inside: &[Vec<String>]| {
        let names = inside.iter().filter_map(|spellings| spellings.first());
        names.map(|name| format!("{name}.")).collect::<String>()
    };
    let first = |names: &[String]| names.first().cloned().unwrap_or_default();
    let place = inside(&step.inside);
    let what = match &step.what {
        What::Rename { from, to, .. } => format!("renames {place}{} to {to}", first(from)),
        What::Map { name, .. } => format!("maps the value of {place}{}", first(name)),
        What::Remove { name } => format!("removes {place}{}", first(name)),
        What::Set { name, to, .. } => format!("sets {place}{name} to {}", form_text(to)),
    };
    match &step.when {
        None => what,
        Some(when) => format!(
            "{what}, when {}{} {}",
            inside(&when.inside),
            first(&when.name),
            match when.is.is_empty() {
                true => "is set".to_owned(),
                false => format!("is {}", when.is.join(" or ")),
            }
        ),
    }
}

/// A line for each rule.
fn table(standings: &[(&Rule, Standing)], paint: Paint) -> String {
    let heading = ["METHOD", "CALL INSTEAD", "KIND", "MODE", "BECAUSE OF"].map(str::to_owned);
    let cells = standings.iter().map(|(rule, standing)| {
        let replacement = rule.replacement.as_ref();
        let exceptions = match standing.exceptions.len() {
            0 => String::new(),
            1 => " (1 exception)".to_owned(),
            many => format!(" ({many} exceptions)"),
        };
        [
            rule.method.clone(),
            replacement.map_or("-".to_owned(), |successor| successor.replace(' ', ", ")),
            kind(rule).to_owned(),
            word(standing.mode).to_owned(),
            format!("{}{exceptions}", standing.origin),
        ]
    });
    let lines: Vec<[String; 5]> = std::iter::once(heading).chain(cells).collect();
    let width = |column: usize| {
        let longest = lines.iter().map(|line| line[column].chars().count()).max();
        longest.unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let mut out = String::new();
    for (at, line) in lines.iter().enumerate() {
        let padded: Vec<String> = widths
            .iter()
            .zip(line)
            .map(|(width, cell)| format!("{cell:<width$}"))
            .collect();
        let text = format!("{}  {}", padded.join("  "), line[4]);
        out.push_str(&if at == 0 { paint.bold(&text) } else { text });
        out.push('\n');
    }
    let translated = standings
        .iter()
        .filter(|(rule, _)| rule.kind == RuleKind::Exact)
        .count();
    out.push_str(&format!(
        "\n{translated} translated, {} watched\n",
        standings.len() - translated
    ));
    out
}

fn as_value(rule: &Rule, standing: &Standing) -> Value {
    let exceptions: Vec<Value> = standing
        .exceptions
        .iter()
        .map(|exception| {
            json!({
                "scope": exception.scope,
                "mode": word(exception.mode),
                "because": exception.origin,
                "until": exception.until.map(|until| until.to_string()),
            })
        })
        .collect();
    let planned: Vec<Value> = standing
        .planned
        .iter()
        .map(|planned| {
            json!({
                "scope": planned.scope,
                "mode": word(planned.mode),
                "because": planned.origin,
                "from": planned.from.to_string(),
            })
        })
        .collect();
    json!({
        "method": rule.method,
        "successor": rule.replacement,
        "kind": kind(rule),
        "read_only": rule.read_only,
        "mode": word(standing.mode),
        "because": standing.origin,
        "exceptions": exceptions,
        "planned": planned,
        "next": standing.next.map(|(when, mode)| json!({ "at": when.to_string(), "mode": word(mode) })),
        "sunset": standing.sunset.map(|sunset| sunset.to_string()),
        "deprecated": rule.deprecated,
        "documentation": rule.documentation_url(),
        "migration": rule.migration(),
    })
}
