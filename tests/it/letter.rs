//! What an owner is told to change, from calls as they came: the names that a caller sends, in the log and in its letter.

use std::process::{Command, Output};

use crate::support::chromium::{self, Chromium};
use crate::support::client::{get, post};
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};

const VALUE: &str = "Ann Lee, 12 High Street";

fn add(proxy: &Proxy) {
    let body = format!(r#"{{"fields":{{"TITLE":"{VALUE}","PHONE":[{{"VALUE":"{VALUE}"}}]}}}}"#);
    let answer = proxy.call(post("/rest/7/code/crm.lead.add", "application/json", &body));
    assert_eq!(answer.status(), 200);
}

fn report(proxy: &Proxy, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"))
        .arg("report")
        .args(words)
        .arg(proxy.log_path())
        .output()
        .expect("the program runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn names_of_parameters_are_logged_of_the_first_calls_and_never_a_value() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    for _ in 0..20 {
        add(&proxy);
    }
    let events = proxy.events();
    let names = |at: usize| events[at]["parameters"].clone();
    assert_eq!(events.len(), 20);
    for at in 0..16 {
        assert_eq!(
            names(at),
            serde_json::json!(["fields[TITLE]", "fields[PHONE][][VALUE]"])
        );
    }
    assert!((16..20).all(|at| names(at).is_null()), "{events:?}");
    let log = std::fs::read_to_string(proxy.log_path()).expect("a log");
    assert!(!log.contains("Ann"), "{log}");
}

#[test]
fn names_come_from_the_query_a_token_in_the_head_and_a_batch_alike() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    proxy.call(get(
        "/rest/7/code/crm.deal.list?filter[%3EID]=1&select[]=TITLE",
    ));
    // Who calls is known from the head, so that nobody waits for the body: it came with its head.
    let body = "0[ID]=asc&1[STATUS]=2";
    proxy.call(
        post(
            "/rest/task.item.list",
            "application/x-www-form-urlencoded",
            body,
        )
        .replacen(
            "\r\n\r\n",
            "\r\nAuthorization: Bearer abcdefabcdefabcdef\r\n\r\n",
            1,
        ),
    );
    proxy.call(post(
        "/rest/7/code/batch",
        "application/json",
        r#"{"cmd":{"a":"crm.lead.list?order[ID]=desc"}}"#,
    ));
    let told: Vec<String> = proxy
        .events()
        .iter()
        .map(|event| format!("{} {}", event["method"], event["parameters"]))
        .collect();
    assert_eq!(
        told,
        [
            r#""crm.deal.list" ["filter[>ID]","select[]"]"#,
            r#""task.item.list" ["0[ID]","1[STATUS]"]"#,
            r#""crm.lead.list" ["order[ID]"]"#,
        ]
    );
}

#[test]
fn no_names_are_kept_where_ops_do_not_want_them() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &["--no-parameter-names"]);
    add(&proxy);
    assert!(proxy.events()[0]["parameters"].is_null());
}

#[test]
fn a_letter_from_the_log_is_that_of_the_page() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    add(&proxy);
    proxy.call(get("/rest/7/code/crm.invoice.list"));
    let key = proxy.events()[0]["caller"]["key"]
        .as_str()
        .expect("a key")
        .to_owned();
    let origin = portal.url();
    let letter = text(&report(&proxy, &["--for", &key, "--portal", &origin]));
    let shown = proxy.admin(&format!("/letter?key={key}&format=markdown"));
    let shown = String::from_utf8_lossy(&shown.body).into_owned();
    assert_eq!(letter, shown);
    for part in [
        "| `fields[TITLE]` | `fields[title]` |",
        "`crm.invoice.list`",
        "curl ",
    ] {
        assert!(letter.contains(part), "{part}\n{letter}");
    }
    assert!(
        !letter.contains("&#") && !letter.contains("Ann"),
        "{letter}"
    );
    let german = text(&report(
        &proxy,
        &[
            "--for",
            &key,
            "--format",
            "html",
            "--language",
            "de",
            "--by",
            "2027-03-01",
        ],
    ));
    for part in ["<html lang=\"de\">", "2027-03-01", "fields[title]"] {
        assert!(german.contains(part), "{part}\n{german}");
    }
}

#[test]
fn the_letter_of_a_caller_by_position_names_what_is_lost_and_what_is_computed() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let body = r#"[{"DEADLINE":"desc"},{">CREATED_DATE":"2026-01-01"},{"NAV_PARAMS":{"nPageSize":20,"iNumPage":2}},["ID"]]"#;
    proxy.call(post(
        "/rest/7/code/task.item.list",
        "application/json",
        body,
    ));
    let key = proxy.events()[0]["caller"]["key"]
        .as_str()
        .expect("a key")
        .to_owned();
    let letter = text(&report(&proxy, &["--for", &key]));
    for line in [
        "| `0[DEADLINE]` | `order[DEADLINE]` | sent by position; this is ORDER |",
        "| `1[>CREATED_DATE]` | `filter[>CREATED_DATE]` | sent by position; this is FILTER |",
        "| `2[NAV_PARAMS][nPageSize]` | – | no successor |",
        "| `2[NAV_PARAMS][iNumPage]` | `start=YOUR_VALUE` | start = (page - 1) × 50, pages of 50 |",
        "| `3[]` | `select[]` | sent by position; this is SELECT |",
    ] {
        assert!(letter.contains(line), "{line}\n{letter}");
    }
}

#[test]
fn a_log_of_hourly_sums_has_the_names_too() {
    let portal = Portal::plain();
    let mut proxy = proxy::start(&portal, &["--watched-log", "hourly"]);
    add(&proxy);
    proxy.call(get("/rest/7/code/crm.lead.add?fields[NAME]=x"));
    proxy.terminate();
    let events = proxy.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        events[0]["parameters"],
        serde_json::json!(["fields[TITLE]", "fields[PHONE][][VALUE]", "fields[NAME]"])
    );
    let key = events[0]["caller"]["key"].as_str().expect("a key");
    let letter = text(&report(&proxy, &["--for", key]));
    assert!(
        letter.contains("| `fields[NAME]` | `fields[name]` |"),
        "{letter}"
    );
}

#[test]
fn a_letter_that_cannot_be_written_says_what_to_do() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    add(&proxy);
    for (words, part) in [
        (&["--for", "nobody"][..], "no deprecated call of \"nobody\""),
        (
            &["--for", "x", "--format", "csv"],
            "--format markdown or --format html",
        ),
        (&["--format", "html"], "name a caller with --for"),
        (&["--for", "x", "--by", "soon"], "write it as 2027-03-01"),
        (
            &["--for", "x", "--portal", "example"],
            "https://example.bitrix24.com",
        ),
        (&["--for", "x", "--language", "fr"], "pt-BR"),
    ] {
        let output = report(&proxy, words);
        let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {wrong}");
        assert!(wrong.contains(part), "{words:?}: {wrong}");
    }
}

#[test]
fn the_pages_letter_needs_nothing_else_and_prints_on_one_page() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    add(&proxy);
    browser.go(&format!("http://127.0.0.1:{}/", proxy.admin.port()));
    browser.evaluate("document.querySelector('#rows a.open').click()");
    browser.wait(
        "instructions open",
        "!!document.querySelector('.guide .letters a')",
    );
    let letters =
        browser.evaluate("[...document.querySelectorAll('.guide .letters a')].map(a => a.lang)");
    assert_eq!(letters, serde_json::json!(["en", "ru", "de", "pt-BR"]));
    let link = browser.text("document.querySelector('.guide .letters a[lang=de]').href");
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.go(&link);
        assert_eq!(browser.text("document.documentElement.lang"), "de");
        browser.picture(&format!("letter-{scheme}"));
    }
    let dark = browser.text("getComputedStyle(document.body).backgroundColor");
    assert_ne!(
        dark, "rgb(255, 255, 255)",
        "it is dark where the reader prefers that"
    );
    let loaded = "performance.getEntriesByType('resource').length";
    assert_eq!(
        browser.evaluate(loaded),
        serde_json::json!(0),
        "nothing is fetched"
    );
    // The sheet of `@page`, as Chromium prints without being told another.
    let printed = browser.call(
        "Page.printToPDF",
        serde_json::json!({"preferCSSPageSize": true}),
    );
    let pdf = chromium::base64(printed["data"].as_str().expect("a document"));
    let pages =
        |part: &[u8]| part.starts_with(b"/Type /Page\n") || part.starts_with(b"/Type /Page ");
    assert_eq!((0..pdf.len()).filter(|at| pages(&pdf[*at..])).count(), 1);
    assert_eq!(browser.complaints(), [] as [String; 0]);
}
