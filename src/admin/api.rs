//! What the status page shows, as JSON for programs.

use hyper::header::LOCATION;
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::answer::{self, Body, json, text};
use super::overview::calls;
use super::selection::{Selection, value};
use super::shared::Admin;
use super::{MethodUse, Overview};
use crate::advice::language::Language;
use crate::advice::{Advice, Behind, Seen};
use crate::catalogue::Mode;
use crate::ladder::Policy;
use crate::telemetry::health::Stage;
use crate::telemetry::log::LogStatus;
use crate::telemetry::shown::{ModeChange, Row, Whose};

/// What there is under `/api/`.
#[derive(Serialize)]
struct Index {
    overview: &'static str,
    callers: &'static str,
    methods: &'static str,
    instructions: &'static str,
    letter: &'static str,
    events: &'static str,
}

/// `/api/overview`.
#[derive(Serialize)]
struct Whole<'a> {
    version: &'static str,
    #[serde(flatten)]
    overview: Overview,
    path: Path,
    mode_changes: &'a [ModeChange],
}

/// The health of the path.
#[derive(Serialize)]
struct Path {
    stage: &'static str,
    portal_error: Option<String>,
    log: Log,
}

#[derive(Serialize)]
struct Log {
    ok: bool,
    queued: u64,
    dropped: u64,
    written: u64,
    last_error: Option<String>,
}

impl From<LogStatus> for Log {
    fn from(status: LogStatus) -> Self {
        Self {
            ok: status.ok,
            queued: status.queued,
            dropped: status.dropped,
            written: status.written,
            last_error: status.last_error,
        }
    }
}

/// `/api/callers`.
#[derive(Serialize)]
struct Callers<'a> {
    now: u64,
    version: u64,
    callers: Vec<&'a Row>,
}

/// `/api/methods`.
#[derive(Serialize)]
struct Methods {
    now: u64,
    methods: Vec<MethodUse>,
}

pub(super) fn answer(admin: &Admin, path: &str, query: &str) -> Response<Body> {
    match path {
        "/api/" => json(&Index {
            overview: "/api/overview",
            callers: "/api/callers?q=WORDS&sort=urgent|last|first|calls|caller|method\
                      &show=all|active|quiet|rewritten|observed|refused|unnamed|regressed",
            methods: "/api/methods",
            instructions: "/api/instructions?name=NAME&method=METHOD[&format=markdown], or key=CALLER_KEY",
            letter: "/letter?name=NAME[&language=en|ru|de|pt-BR][&format=html|markdown], or key=CALLER_KEY",
            events: "/events",
        }),
        "/api/overview" => overview(admin),
        "/api/callers" => {
            let snapshot = admin.telemetry.live.snapshot();
            json(&Callers {
                now: snapshot.now,
                version: snapshot.version,
                callers: Selection::of(query).select(&snapshot.rows, snapshot.now),
            })
        }
        "/api/methods" => {
            let snapshot = admin.telemetry.live.snapshot();
            json(&Methods {
                now: snapshot.now,
                methods: MethodUse::of(&snapshot, &admin.policy()),
            })
        }
        "/api/instructions" => instructions(admin, query),
        "/api" => answer::with(text(StatusCode::SEE_OTHER, "See /api/."), LOCATION, "/api/"),
        _ => text(
            StatusCode::NOT_FOUND,
            "There is no such data. /api/ lists what there is.",
        ),
    }
}

fn overview(admin: &Admin) -> Response<Body> {
    let snapshot = admin.telemetry.live.snapshot();
    json(&Whole {
        version: env!("CARGO_PKG_VERSION"),
        overview: Overview::of(&snapshot, admin.policy().catalogue()),
        path: Path {
            stage: match admin.telemetry.health.stage() {
                Stage::Starting => "starting",
                Stage::Serving => "serving",
                Stage::Draining => "draining",
            },
            portal_error: admin.telemetry.health.upstream_error(),
            log: admin.telemetry.log.status().into(),
        },
        mode_changes: &snapshot.mode_changes,
    })
}

fn instructions(admin: &Admin, query: &str) -> Response<Body> {
    let Some(row) = row_of(admin, query) else {
        return text(
            StatusCode::NOT_FOUND,
            "No such caller and method. Ask with the name, or else the key, and the method of a row of /api/callers, as \
             ?name=…&method=… or ?key=…&method=….",
        );
    };
    let instructions = instructions_for(admin, &row);
    match value(query, "format").as_deref() {
        Some("markdown") => answer::whole(
            StatusCode::OK,
            answer::MARKDOWN,
            instructions.markdown(Language::english()),
        ),
        _ => json(&instructions),
    }
}

/// The row that a query names by its callers' name or its caller's key, and its method.
pub(super) fn row_of(admin: &Admin, query: &str) -> Option<Row> {
    let (name, key) = (value(query, "name"), value(query, "key"));
    let whose = match (&name, &key) {
        (Some(name), _) => Whose::Name(name),
        (None, Some(key)) => Whose::Key(key),
        (None, None) => return None,
    };
    admin.telemetry.live.row(whose, &value(query, "method")?)
}

/// What the owner of a row's caller is to change.
pub(super) fn instructions_for(admin: &Admin, row: &Row) -> Advice {
    let policy = admin.policy();
    let rule = policy.catalogue().find_in_any_case(row.method.as_bytes());
    let portal = admin.portal.as_deref();
    Advice::of(
        &seen(row, None),
        rule.map(AsRef::as_ref),
        portal,
        Language::english(),
    )
}

/// All that is known of the deprecated calls of the caller that a query names by its name or key, with the day from which
/// each method is refused.
pub(super) fn letter_facts(admin: &Admin, policy: &Policy, query: &str) -> Vec<Seen> {
    let (name, key) = (value(query, "name"), value(query, "key"));
    let snapshot = admin.telemetry.live.snapshot();
    let methods = MethodUse::of(&snapshot, policy);
    let rows = snapshot.rows.iter().filter(|row| match (&name, &key) {
        (Some(_), _) => row.name == name,
        (None, Some(key)) => row.key == *key && row.name.is_none(),
        (None, None) => false,
    });
    rows.map(|row| {
        let method = methods.iter().find(|method| method.method == row.method);
        seen(row, method.and_then(|method| until(method, row)))
    })
    .collect()
}

/// The day from which a row's calls are refused: that of all callers, or an earlier one of its own.
fn until(method: &MethodUse, row: &Row) -> Option<String> {
    let scope = row.name.as_ref().map(|name| format!("caller {name}"));
    let own = method
        .planned
        .iter()
        .filter(|(whom, mode, _)| mode == Mode::Block.as_str() && scope.as_ref() == Some(whom));
    let days = own.filter_map(|(_, _, from)| from.get(..10).map(str::to_owned));
    days.chain(method.sunset.clone()).min()
}

/// A row, as advice is given on it. `until` is the day from which its calls are refused.
pub fn seen(row: &Row, until: Option<String>) -> Seen {
    Seen {
        method: row.method.clone(),
        name: row.name.clone(),
        auth: row.auth.clone(),
        user: row.user.clone(),
        application: row.application.clone(),
        fingerprint: row.fingerprint.clone(),
        address: row.address.clone(),
        sdk: row.sdk.clone(),
        user_agent: row.user_agent.clone(),
        behind: Behind {
            keys: (row.keys, row.behind.keys.clone()),
            libraries: (row.libraries, row.behind.libraries.clone()),
            addresses: (row.addresses, row.behind.addresses.clone()),
        },
        target: row.target.clone(),
        encoding: row.encoding.clone(),
        batch: row.batch,
        changes: row.changes.clone(),
        parameters: row.parameters.clone(),
        replacement: row.replacement.clone(),
        documentation: row.documentation.clone(),
        calls: calls(row),
        first_seen: row.first_seen,
        last_seen: row.last_seen,
        until,
    }
}
