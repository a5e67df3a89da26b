//! The status page: one document, readable without JavaScript, made here as a whole and in the parts that the live view
//! replaces, so that there is one way to write each of them.

mod budget;
mod guide;
mod html;
mod overview;
mod rows;
mod shell;
mod trend;

pub(super) use rows::{row, row_id};

use std::time::Instant;

use hyper::{Response, StatusCode};

use super::access::Denied;
use super::answer::{self, Body, text};
use super::api::{instructions_for, letter_facts, row_of};
use super::clock::{now, since_1970};
use super::selection::{Selection, value};
use super::shared::Admin;
use super::{MethodUse, Overview};
use crate::advice::language::TAGS;
use crate::advice::{Language, Letter};
use crate::ladder::Policy;
use html::Text;

/// `/`: the whole page; with `?part` only what changes, for the script of a page that is open.
pub(super) fn whole(admin: &Admin, query: &str) -> Response<Body> {
    let snapshot = admin.telemetry.live.snapshot();
    let policy = admin.policy();
    let is_part = value(query, "part").is_some();
    let mut selection = Selection::of(query);
    if is_part && (selection.all || snapshot.rows.len() <= rows::MOST_ROWS) {
        // The script has room for all rows, and chooses among them by itself.
        selection = Selection {
            all: selection.all,
            ..Selection::default()
        };
    }
    let rows = selection.select(&snapshot.rows, snapshot.now);
    let overview = overview_of(admin, &policy, &Overview::of(&snapshot, policy.catalogue()));
    let table = rows::table(&rows, &selection, &snapshot);
    if is_part {
        return answer::whole(StatusCode::OK, answer::HTML, format!("{overview}{table}"));
    }
    let methods = MethodUse::of(&snapshot, &policy);
    let content = format!(
        "{overview}{table}{methods}{modes}",
        methods = rows::methods(&methods, snapshot.now),
        modes = rows::mode_changes(&snapshot.mode_changes, snapshot.now),
    );
    let nonce = nonce();
    let page = shell::Page {
        title: "Who still calls deprecated methods",
        portal: admin.portal.as_deref(),
        version: &admin.feed.id(snapshot.version),
        live: true,
        content: &content,
    };
    answer::document(StatusCode::OK, &nonce, page.html(&nonce, now()))
}

/// What the live view shows anew with each change.
pub(super) fn overview(admin: &Admin) -> String {
    let snapshot = admin.telemetry.live.snapshot();
    let policy = admin.policy();
    overview_of(admin, &policy, &Overview::of(&snapshot, policy.catalogue()))
}

fn overview_of(admin: &Admin, policy: &Policy, sums: &Overview) -> String {
    let health = &admin.telemetry.health;
    let metrics = &admin.telemetry.metrics;
    let path = overview::Path {
        stage: health.stage(),
        portal: health.readyz().1,
        portal_error: health.upstream_error(),
        log: admin.telemetry.log.status(),
        started: since_1970(admin.telemetry.started()),
        budget: metrics.budget().map(|budget| {
            let times = metrics.most_operating(budget::NAMED, Instant::now());
            budget::row(
                &budget.state(),
                &budget.waiting(),
                budget.store_up(),
                &times,
            )
        }),
    };
    let brownouts = policy.brownouts(jiff::Timestamp::now());
    overview::section(
        sums,
        &path,
        &overview::brownouts(&brownouts, admin.access.has_token(), sums.now),
    )
}

/// `/instructions`: what one caller is to change; a page, or with `?part` what opens under a row.
pub(super) fn instructions(admin: &Admin, query: &str) -> Response<Body> {
    let Some(row) = row_of(admin, query) else {
        return text(
            StatusCode::NOT_FOUND,
            "No such caller and method. The rows of / lead here.",
        );
    };
    let instructions = instructions_for(admin, &row);
    let guide = guide::article(&instructions, &row, now());
    if value(query, "part").is_some() {
        return answer::whole(StatusCode::OK, answer::HTML, guide);
    }
    let nonce = nonce();
    let content = format!("<p class=back><a href=\"/\">← All callers</a></p>{guide}");
    let title = format!("{}: instructions", Text(&row.method));
    let page = shell::Page {
        title: &title,
        portal: admin.portal.as_deref(),
        version: "",
        live: false,
        content: &content,
    };
    answer::document(StatusCode::OK, &nonce, page.html(&nonce, now()))
}

/// `/letter`: all that the owner of one caller is to change, on a page of its own.
pub(super) fn letter(admin: &Admin, query: &str) -> Response<Body> {
    let tag = value(query, "language").unwrap_or_else(|| TAGS[0].to_owned());
    let Some(language) = Language::by_tag(&tag) else {
        return text(
            StatusCode::BAD_REQUEST,
            format!(
                "There is no letter in this language; there are {}.",
                TAGS.join(", ")
            ),
        );
    };
    let policy = admin.policy();
    let seen = letter_facts(admin, &policy, query);
    if seen.is_empty() {
        return text(
            StatusCode::NOT_FOUND,
            "No such caller. Ask with the name, or else the key, of a row of /api/callers, as ?name=… or ?key=….",
        );
    }
    let portal = admin.portal.as_deref();
    let today = jiff::Timestamp::now();
    let letter = Letter::of(&seen, policy.catalogue(), portal, today, language);
    match value(query, "format").as_deref() {
        Some("markdown") => answer::whole(StatusCode::OK, answer::MARKDOWN, letter.markdown()),
        None | Some("html") => {
            let nonce = nonce();
            answer::document(StatusCode::OK, &nonce, letter.html(&nonce))
        }
        Some(_) => text(
            StatusCode::BAD_REQUEST,
            "A letter's format is html or markdown.",
        ),
    }
}

/// The form that asks for the token.
pub(super) fn door(denied: Denied) -> Response<Body> {
    let said = match denied {
        Denied::WrongToken => {
            "<p class=bad role=alert>That is not the token, or the session has ended.</p>"
        }
        _ => "",
    };
    let content = format!(
        "<form class=door method=post action=/session><h2>Who is there?</h2>{said}<label for=token>The token of \
         <code>--admin-token-file</code></label><input id=token name=token type=password \
         autocomplete=current-password required autofocus><button>Let me in</button></form>"
    );
    let nonce = nonce();
    let page = shell::Page {
        title: "Status",
        portal: None,
        version: "",
        live: false,
        content: &content,
    };
    answer::document(StatusCode::FORBIDDEN, &nonce, page.html(&nonce, now()))
}

/// What lets a page's own script and style through its policy: guessed by nobody, another one for each page.
fn nonce() -> String {
    let mut bytes = [0; 16];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    if random.fill(&mut bytes).is_err() {
        // Without randomness the page goes out without style and script rather than with a nonce that can be guessed.
        return String::new();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
