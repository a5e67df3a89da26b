//! The demo's tables: what was sent, what the portal did, what came back, what was logged.

use super::calls::{Fate, Sample};
use super::judge::Played;
use crate::cli::paint::{Paint, harmless};
use crate::cli::table::{Cell, Table};
use crate::protocol::answer;
use crate::protocol::target::{self, RestPath};
use crate::sandbox::{Details, LeadType, Operation, User, Work};
use crate::telemetry::event::EventLine;

/// Stands for the middle of the family's long names.
const LONG: &str = "details.configuration";

/// Explains the table's only abbreviation.
pub const LEGEND: &str = "… in a method's name means details.configuration";

/// Explains the ladder's two odd calls.
pub const LADDER_LEGEND: &str = "\
2: the call for comparison is the proxy's own, so it is not logged; metrics count how the answers agree
6: the proxy puts a method that no portal has in the refused command's place, so all others run as before";

/// A row for each call, and for each command of a batch. `heading` says what tells the calls apart.
pub fn calls(played: &[Played], heading: &'static str, paint: Paint) -> String {
    let mut table = Table::new(&[
        "#",
        heading,
        "method sent",
        "what the portal did",
        "answer",
        "log",
    ]);
    for (at, played) in played.iter().enumerate() {
        for (number, cells) in rows(played).into_iter().enumerate() {
            let first = number == 0;
            let mut row = vec![
                Cell::plain(if first {
                    format!("{:>2}", at + 1)
                } else {
                    String::new()
                }),
                Cell::plain(if first { played.sample.title } else { "" }),
            ];
            row.extend(cells);
            table.row(row);
        }
        if let Some(fault) = played.fault() {
            table.row(vec![
                Cell::plain(""),
                Cell::painted(format!("WRONG: {fault}"), Paint::red),
            ]);
        }
    }
    table.render(paint)
}

fn rows(played: &Played) -> Vec<Vec<Cell>> {
    let reading = played.sample.reading();
    let sent = reading.operations();
    let done: Vec<&Operation> = played
        .received
        .iter()
        .flat_map(|recorded| &recorded.operations)
        .collect();
    let unread = sent.is_empty().then(|| method_in(played.sample));
    let count = sent.len().max(done.len()).max(1);
    (0..count)
        .map(|at| {
            row(
                played,
                at,
                sent.get(at),
                done.get(at).copied(),
                unread.as_deref(),
            )
        })
        .collect()
}

fn row(
    played: &Played,
    at: usize,
    sent: Option<&Operation>,
    done: Option<&Operation>,
    unread: Option<&str>,
) -> Vec<Cell> {
    let key = sent.and_then(Operation::batch_key);
    let method = match (sent, unread) {
        (Some(sent), _) => short(&String::from_utf8_lossy(&sent.method)),
        (None, Some(method)) => short(method),
        (None, None) => String::new(),
    };
    let method = match &key {
        Some(key) => format!("[{key}] {method}"),
        None => method,
    };
    let event = played
        .events
        .iter()
        .find(|event| event.batch_key == key)
        .filter(|_| at == 0 || sent.is_some());
    vec![
        Cell::plain(harmless(&method)),
        match (done, played.sample.fate) {
            (Some(done), _) => Cell::plain(describe(done)),
            (None, Fate::Refused(_)) => Cell::painted("nothing: it never came", Paint::yellow),
            (None, _) => Cell::plain("nothing"),
        },
        if at == 0 {
            answered(played)
        } else {
            Cell::plain("")
        },
        match event {
            Some(event) => Cell::painted(logged(event), colour(event)),
            None => Cell::painted("-", Paint::dim),
        },
    ]
}

fn answered(played: &Played) -> Cell {
    let refused = answer::batch_error_codes(played.answer.body.as_bytes());
    if let Some((key, code)) = refused
        .first()
        .filter(|_| played.sample.fate == Fate::RefusedCommand)
    {
        return Cell::painted(
            format!("{}, [{key}] {code}", played.answer.status),
            Paint::yellow,
        );
    }
    let code = answer::error_code(played.answer.body.as_bytes()).unwrap_or_default();
    let text = format!("{} {code}", played.answer.status);
    let paint = if played.answer.status < 400 {
        Paint::green
    } else {
        Paint::yellow
    };
    Cell::painted(text.trim_end(), paint)
}

fn logged(event: &EventLine) -> String {
    match &event.reason {
        Some(reason) => format!("{} ({reason})", event.action),
        None => event.action.clone(),
    }
}

fn colour(event: &EventLine) -> fn(Paint, &str) -> String {
    match event.action.as_str() {
        "rewritten" => Paint::green,
        "refused" => Paint::red,
        _ => Paint::yellow,
    }
}

/// An operation in words.
fn describe(operation: &Operation) -> String {
    let method = short(&String::from_utf8_lossy(&operation.method));
    let text = match &operation.work {
        Work::Details(details) => format!("{method}: {}", describe_details(details)),
        Work::Other { .. } => method,
        Work::Fatal => format!("{method}: a server error"),
    };
    harmless(&text)
}

fn describe_details(details: &Details) -> String {
    let entity = match details.entity_type {
        1 => "lead".to_owned(),
        2 => "deal".to_owned(),
        3 => "contact".to_owned(),
        4 => "company".to_owned(),
        0 => "no type".to_owned(),
        other => format!("type {other}"),
    };
    let view = match (details.common, details.user) {
        (true, _) => "common view".to_owned(),
        (false, User::Caller) => "own view".to_owned(),
        (false, User::Id(id)) => format!("view of user {id}"),
    };
    let lead = match details.lead_type {
        Some(LeadType::Repeat) => ", repeat leads",
        Some(LeadType::Other(_)) => ", leads of a type of their own",
        Some(LeadType::Simple) | None => "",
    };
    format!("{entity}, {view}{lead}")
}

/// The method that an address names, where the call itself cannot be read.
fn method_in(sample: &Sample) -> String {
    match target::place(sample.target.as_bytes(), &RestPath::default()) {
        target::Place::Call { method, .. } => method.into_owned(),
        _ => String::new(),
    }
}

fn short(method: &str) -> String {
    method.replace(LONG, "…")
}

/// One call to the byte: as it was sent, and as the portal received it.
pub fn to_the_byte(played: &Played, paint: Paint) -> String {
    let Some(recorded) = played.received.first() else {
        return String::new();
    };
    let hide =
        |text: &[u8]| harmless(&String::from_utf8_lossy(text)).replace("/sandboxcode/", "/***/");
    let sample = played.sample;
    let sent = format!(
        "{} {}\n         {}",
        sample.verb,
        hide(sample.target.as_bytes()),
        hide(sample.body.as_bytes())
    );
    let verb = String::from_utf8_lossy(&recorded.verb);
    let got = format!(
        "{verb} {}\n         {}",
        hide(&recorded.target),
        hide(&recorded.body)
    );
    let mut lines = sent
        .lines()
        .zip(got.lines())
        .map(|(before, after)| paint.difference(before, after));
    let (mut sent, mut got) = (Vec::new(), Vec::new());
    for (before, after) in &mut lines {
        sent.push(before);
        got.push(after);
    }
    format!(
        "  sent   {}\n  portal {}\n",
        sent.join("\n"),
        got.join("\n")
    )
}

/// A line for each event.
pub fn event(event: &EventLine, paint: Paint) -> String {
    let caller = &event.caller;
    let who = match (&caller.user, &caller.application) {
        (Some(user), _) => format!("{} of user {user}", caller.auth),
        (None, Some(application)) => format!("{} {application}", caller.auth),
        (None, None) => caller.auth.clone(),
    };
    let key = event
        .batch_key
        .as_ref()
        .map(|key| format!(" [{key}]"))
        .unwrap_or_default();
    let status = event
        .status
        .map(|status| status.to_string())
        .unwrap_or_default();
    let action = colour(event)(paint, &format!("{:9}", event.action));
    let text = harmless(&format!(
        "{}{key}  {}  {who}  {status}",
        event.method, event.encoding
    ));
    format!("{action} {text}\n")
}
