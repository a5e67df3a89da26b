//! The status page in a real Chromium, in front of the running proxy: what an ops engineer sees and does with it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::chromium::Chromium;
use crate::support::client::post;
use crate::support::portal::Portal;
use crate::support::proxy::{self, Proxy};
use crate::support::time::pause_ms;

const METHOD: &str = "crm.lead.details.configuration.reset";
const SUCCESSOR: &str = "crm.item.details.configuration.reset";

/// Sets a page on fire if it takes it for anything but text.
const HOSTILE: &str =
    "\"'><script>window.burning=1</script><img src=x onerror=window.burning=2>{{7*7}}\u{202e}gnp";

/// A log as it stands after a month: a caller that goes on, one that has stopped, and one that means ill.
fn a_months_log() -> String {
    let mut log = String::new();
    let now = jiff::Timestamp::now();
    for day in (0..28).rev() {
        let at = now - jiff::SignedDuration::from_hours(24 * day);
        line(&mut log, at, METHOD, "7", "b24pysdk 1.3.2", "10.0.0.7");
        if day > 10 {
            line(
                &mut log,
                at,
                "crm.deal.details.configuration.get",
                "12",
                "CRest",
                "10.0.0.12",
            );
        }
        if day == 3 {
            line(&mut log, at, HOSTILE, HOSTILE, HOSTILE, HOSTILE);
        }
    }
    log
}

fn line(log: &mut String, at: jiff::Timestamp, method: &str, user: &str, sdk: &str, address: &str) {
    let event = json!({
        "schema": 1, "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(), "event": "deprecated_call",
        "request_id": "1", "rule": method, "method": method, "replacement": method.replace(".lead.", ".item."),
        "action": "rewritten", "encoding": "json",
        "changes": [
            "entityTypeId is set to 1", "extras[lead.customer.type] is now extras[leadCustomerType]",
            format!("{HOSTILE} is now {HOSTILE}"),
        ],
        "target": format!("/rest/{user}/***/{method}"),
        "caller": {
            "key": format!("webhook:portal:{user}:0123456789abcdef"), "auth": "webhook", "user": user,
            "fingerprint": "0123456789abcdef", "address": address, "user_agent": sdk, "sdk": sdk,
        },
        "status": 200, "duration_ms": 12.5,
    });
    writeln!(log, "{event}").unwrap();
}

fn stage(log: &str) -> (Portal, Proxy) {
    let portal = Portal::plain();
    let wanted = proxy::before(&portal.url());
    std::fs::write(wanted.folder().join("deprecated.jsonl"), log).unwrap();
    let proxy = wanted.start();
    (portal, proxy)
}

fn page_of(proxy: &Proxy) -> String {
    format!("http://{}/", proxy.admin)
}

fn call(proxy: &Proxy, user: usize, agent: &str) {
    let request = post(
        &format!("/rest/{user}/abcdefgh12345678/{METHOD}"),
        "application/json",
        "{\"extras\":{\"lead.customer.type\":2}}",
    );
    let request = request.replacen("\r\n", &format!("\r\nUser-Agent: {agent}\r\n"), 1);
    assert_eq!(proxy.call(request).status(), 200);
}

fn rows(browser: &mut Chromium) -> Value {
    browser.evaluate(
        "[...document.querySelectorAll('#rows tr[id]')].filter(r => !r.hidden).map(r => r.cells[0].innerText.split('\\n')[0])",
    )
}

#[test]
fn the_page_shows_a_call_within_a_second_of_its_being_made() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let (_portal, proxy) = stage("");
    browser.go(&page_of(&proxy));
    browser.wait(
        "it is live",
        "document.getElementById('live').textContent === 'live'",
    );
    assert_eq!(rows(&mut browser), json!([]));
    assert!(
        browser
            .text("document.getElementById('nothing').innerText")
            .starts_with("No deprecated call has been seen.")
    );
    // The fastest of a few, since the machine may be busy with other tests.
    let mut fastest = Duration::MAX;
    for user in 1..=3 {
        let made = Instant::now();
        call(&proxy, user, "curl/8.5.0");
        browser.wait(
            "the call is shown",
            &format!(
                "document.getElementById('rows').innerText.includes('Webhook of user {user}')"
            ),
        );
        fastest = fastest.min(made.elapsed());
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    call(&proxy, 3, "curl/8.5.0");
    browser.wait(
        "the same row counts on",
        "document.querySelector('#rows tr[id] td:nth-child(3) b').textContent === '2'",
    );
    assert_eq!(
        rows(&mut browser),
        json!([
            "Webhook of user 3",
            "Webhook of user 2",
            "Webhook of user 1"
        ])
    );
    browser.wait(
        "the days since the last call are up to date",
        "document.querySelector('.tile.used .figure')?.textContent === '0'",
    );
    browser.wait(
        "the sums follow the last row",
        "document.querySelector('#overview').innerText.includes('4')",
    );
    assert_eq!(browser.complaints(), [] as [String; 0]);
}

#[test]
fn rows_filter_sort_open_and_copy_by_mouse_and_by_keyboard() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let (_portal, proxy) = stage(&a_months_log());
    browser.go(&page_of(&proxy));
    browser.wait(
        "it is live",
        "document.getElementById('live').textContent === 'live'",
    );
    assert_eq!(rows(&mut browser).as_array().unwrap().len(), 3);

    browser.press("/");
    browser.type_text("USER crest");
    browser.wait(
        "only what has both words is shown",
        "[...document.querySelectorAll('#rows tr[id]')].filter(r => !r.hidden).length === 1",
    );
    assert_eq!(rows(&mut browser), json!(["Webhook of user 12"]));
    assert_eq!(browser.text("location.search"), "?q=USER+crest");
    browser.evaluate("q.value = ''; q.dispatchEvent(new Event('input'))");
    browser.evaluate("show.value = 'quiet'; show.dispatchEvent(new Event('change'))");
    assert_eq!(rows(&mut browser), json!(["Webhook of user 12"]));
    browser.evaluate("show.value = 'all'; show.dispatchEvent(new Event('change'))");
    browser.evaluate("document.querySelector('a.sort[data-sort=calls]').click()");
    let sorted = rows(&mut browser);
    assert_eq!(sorted[0], "Webhook of user 7", "{sorted}");
    assert_eq!(
        browser.text("document.querySelector('a.sort[data-sort=calls]').closest('th').ariaSort"),
        "descending"
    );

    browser.evaluate("document.querySelector('#rows a.open').focus()");
    browser.evaluate("document.activeElement.click()");
    browser.wait(
        "the instructions open",
        "!!document.querySelector('.guide-row .guide')",
    );
    let first = browser.text("document.querySelector('.guide details[open] summary').innerText");
    assert!(first.starts_with("b24pysdk"), "{first}");
    let code = browser.text("document.querySelector('.guide details[open] code').textContent");
    assert!(
        code.contains(&format!("token.call_method(\"{SUCCESSOR}\", {{")),
        "{code}"
    );
    assert!(
        code.contains("\"entityTypeId\": 1,") && code.contains("leadCustomerType"),
        "{code}"
    );

    browser.evaluate("document.querySelector('.guide [data-copy=markdown]').click()");
    browser.wait(
        "it says that it is copied",
        "document.querySelector('.guide [data-copy=markdown]').textContent === 'Copied'",
    );
    let copied = browser.text("navigator.clipboard.readText()");
    assert!(
        copied.starts_with(&format!("## Replace `{METHOD}` with `{SUCCESSOR}`")),
        "{copied}"
    );
    for library in [
        "curl",
        "CRest",
        "b24phpsdk",
        "BX24.js",
        "b24jssdk",
        "b24pysdk",
        "fast-bitrix24",
    ] {
        assert!(copied.contains(library), "{library}: {copied}");
    }
    let codes = browser.text(
        "[...document.querySelectorAll('.guide details code')].map(code => code.textContent).join('\\n')",
    );
    let mark = "// From the library's documentation, not run.\n";
    assert_eq!(codes.matches(mark).count(), 1, "{codes}");

    call(&proxy, 1, "curl/8");
    browser.wait(
        "a new row comes",
        "document.querySelectorAll('#rows tr[id]').length === 4",
    );
    assert_eq!(
        browser.evaluate(
            "document.querySelector('.guide-row').previousElementSibling.innerText.includes('Webhook of user 7')"
        ),
        json!(true),
        "what is open stays with its row"
    );
    browser.evaluate("document.querySelector('#rows a.open[aria-expanded=true]').focus()");
    browser.press("Escape");
    browser.wait("Escape closes it", "!document.querySelector('.guide-row')");
    browser.press("ArrowDown");
    assert_eq!(
        browser.evaluate("document.activeElement === document.querySelectorAll('#rows a.open')[1]"),
        json!(true)
    );
    assert_eq!(browser.complaints(), [] as [String; 0]);
}

#[test]
fn with_more_rows_than_a_page_holds_no_caller_is_hidden() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let mut log = String::new();
    let now = jiff::Timestamp::now();
    let mut called = |user: i64, minutes: i64| {
        let at = now - jiff::SignedDuration::from_mins(minutes);
        line(&mut log, at, METHOD, &user.to_string(), "CRest", "10.0.0.7");
    };
    // Those whose last call is the newest began first; who called last of all has called most.
    for user in 4000..4300 {
        called(user, 20_000);
    }
    called(4699, 6000);
    called(4699, 5000);
    for user in 4000..4700 {
        called(user, user);
    }
    let (_portal, proxy) = stage(&log);
    let live = "document.getElementById('live').textContent === 'live'";
    let shown = "[...document.querySelectorAll('#rows tr[id]')].filter(r => !r.hidden)";
    let users = format!("{shown}.map(r => r.cells[0].innerText.match(/user ([0-9]+)/)[1])");
    let only = |user: u32| {
        format!(
            "{shown}.map(r => r.cells[0].innerText.split('\\n')[0]).join() === 'Webhook of user {user}'"
        )
    };

    // The last one of all, by the address and by typing.
    browser.go(&format!("{}?q=user+4699", page_of(&proxy)));
    browser.wait("it is live", live);
    browser.wait("the address is read", &only(4699));
    browser.press("/");
    browser.evaluate("q.value = ''");
    browser.type_text("user 4698");
    browser.wait("the server was asked", &only(4698));
    assert_eq!(browser.text("location.search"), "?q=user+4698");
    browser.press("ArrowDown");
    assert_eq!(
        browser.evaluate("document.activeElement.matches('#rows a.open')"),
        json!(true)
    );
    browser.press("ArrowUp");
    assert_eq!(browser.evaluate("document.activeElement.id"), json!("q"));
    browser.evaluate("q.value = 'crm.lead.*'; q.dispatchEvent(new Event('input'))");
    browser.wait(
        "all of a family",
        "document.getElementById('count').textContent === '700 rows'",
    );
    assert_eq!(browser.evaluate(&format!("{shown}.length")), json!(500));
    // Another order brings rows that were not here.
    assert_eq!(
        browser.evaluate(&format!("{users}[0]+{users}.includes('4699')")),
        json!("4000false")
    );
    browser.evaluate("sort.value = 'calls'; sort.dispatchEvent(new Event('change'))");
    browser.wait("who calls most is first", &format!("{users}[0] === '4699'"));
    assert_eq!(
        browser.evaluate(&format!("{users}.includes('4698')")),
        json!(false)
    );
    browser.evaluate("document.querySelector('a.sort[data-sort=first]').click()");
    let expected: Vec<String> = (4300..4700).map(|user| user.to_string()).collect();
    browser.wait(
        "the newest are first",
        &format!("{users}.slice(0, 400).join() === '{}'", expected.join(",")),
    );
    assert_eq!(browser.evaluate(&format!("{shown}.length")), json!(500));
    assert_eq!(browser.text("location.search"), "?q=crm.lead.*&sort=first");

    browser.go(&format!("{}?all", page_of(&proxy)));
    browser.wait("it is live", live);
    browser.wait("all are here", &format!("{shown}.length === 700"));
    browser.evaluate("q.value = '4699'; q.dispatchEvent(new Event('input'))");
    browser.wait("words choose among them", &only(4699));
    assert_eq!(browser.text("location.search"), "?all=&q=4699");
    assert_eq!(browser.complaints(), [] as [String; 0]);
}

#[test]
fn whatever_clients_invent_is_shown_as_text() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let (_portal, proxy) = stage(&a_months_log());
    browser.go(&page_of(&proxy));
    browser.wait(
        "it is live",
        "document.getElementById('live').textContent === 'live'",
    );
    call(&proxy, 66, &HOSTILE.replace('\u{202e}', ""));
    browser.wait(
        "the hostile call is shown",
        "document.getElementById('rows').innerText.includes('Webhook of user 66')",
    );
    for at in 0..4 {
        browser.evaluate(&format!(
            "document.querySelectorAll('#rows a.open')[{at}].click()"
        ));
    }
    browser.wait(
        "all instructions open",
        "document.querySelectorAll('.guide').length === 4",
    );
    let shown = browser.text("document.getElementById('rows').textContent");
    assert!(
        shown.contains("<script>window.burning=1</script>"),
        "{shown}"
    );
    assert!(!shown.contains('\u{202e}'));
    assert_eq!(browser.evaluate("window.burning ?? null"), Value::Null);
    assert_eq!(
        browser.evaluate("document.querySelectorAll('#rows script, #rows img').length"),
        json!(0)
    );
    browser.evaluate(
        "location.href = document.querySelectorAll('#rows a.open')[1].href; new Promise(() => {}).catch(() => {}), 1",
    );
    browser.wait(
        "its own page opens",
        "location.pathname === '/instructions' && !!document.querySelector('.guide')",
    );
    assert_eq!(browser.evaluate("window.burning ?? null"), Value::Null);
    assert_eq!(browser.complaints(), [] as [String; 0]);
}

/// A portal with many integrations: 40 callers of 12 methods each, some refused, some with errors, some quiet.
fn a_crowds_log() -> String {
    let mut log = String::new();
    let now = jiff::Timestamp::now();
    let hours = |hours: i64| jiff::SignedDuration::from_hours(hours);
    for user in 0..40_i64 {
        for method in 0..12_i64 {
            let name = [
                "crm.lead.list",
                "crm.deal.list",
                "crm.contact.get",
                METHOD,
                "crm.invoice.add",
                "task.item.list",
                "crm.company.update",
                "crm.deal.fields",
                "crm.lead.add",
                "crm.contact.list",
                "crm.deal.update",
                "crm.activity.add",
            ][method as usize];
            let at = now - hours(user * (method + 1)) - hours(1);
            let agent = ["b24pysdk 1.3.2", "CRest", "curl 8.5.0"][(user % 3) as usize];
            line(&mut log, at, name, &user.to_string(), agent, "10.0.0.7");
        }
    }
    log
}

#[test]
fn the_page_meets_wcag_aa_by_axe() {
    let axe = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("sdk/node_modules/axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(axe) else {
        eprintln!("skipped: axe-core is not installed; tests/sdk/install.sh does it");
        return;
    };
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let (_portal, proxy) = stage(&a_months_log());
    call(&proxy, 1, "curl/8");
    // One page and one axe for all of them: to load both again takes longer than to look.
    browser.go(&page_of(&proxy));
    browser.evaluate("document.querySelector('#rows a.open').click()");
    browser.wait("instructions open", "!!document.querySelector('.guide')");
    browser.evaluate(&axe);
    let all = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']";
    let mut violations = Vec::new();
    for (width, scheme, rules) in [
        (1440, "light", all),
        // The scheme changes nothing but colours.
        (1440, "dark", "{type: 'rule', values: ['color-contrast']}"),
        (390, "light", all),
    ] {
        browser.size(width, 900);
        browser.prefer(scheme);
        let found = browser.evaluate(&format!(
            "axe.run(document, {{runOnly: {rules}}}).then(r => r.passes.length + r.violations.length ? \
             r.violations.map(v => `${{v.id}}: ${{v.nodes.slice(0, 3).map(n => n.html.slice(0, 120) + ' ' + \
             (n.any[0]?.message ?? '')).join(' | ')}}`) : ['no rule was applied'])"
        ));
        for each in found.as_array().expect("a list") {
            violations.push(format!("{width} {scheme}: {each}"));
        }
    }
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Looked at by eye, with `SCREENSHOTS=FOLDER`; what is asserted is that nothing is wider than its window. It takes long because
/// Chromium lays 480 rows out three times (wide, phone, paper), up to a second each; the page is loaded only once.
#[test]
fn a_crowd_of_callers_fits_the_page() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let (_portal, proxy) = stage(&a_crowds_log());
    browser.go(&page_of(&proxy));
    browser.wait(
        "all rows are there",
        "document.getElementById('count').textContent === '480 rows'",
    );
    let looked_at = std::env::var_os("SCREENSHOTS").is_some();
    for (name, width, scheme) in [
        ("crowd-light", 1440, "light"),
        ("crowd-dark", 1440, "dark"),
        ("crowd-phone", 390, "light"),
    ] {
        // Dark is as wide as light: only an eye needs it.
        if scheme == "dark" && !looked_at {
            continue;
        }
        browser.size(width, 900);
        browser.prefer(scheme);
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{name}: {wide}");
        let sums = browser.text("document.getElementById('sums').textContent");
        browser.evaluate("q.value = 'curl 8.5.0'; q.dispatchEvent(new Event('input'))");
        let narrowed = browser.text("document.getElementById('sums').textContent");
        assert!(sums.starts_with("Calls of these rows: "), "{sums}");
        assert_ne!(sums, narrowed, "the sums are of the rows that are shown");
        browser.evaluate("q.value = ''; q.dispatchEvent(new Event('input'))");
        browser.picture(name);
    }
    browser.call("Emulation.setEmulatedMedia", json!({"media": "print"}));
    let naming = "getComputedStyle(document.querySelector('.naming')).display";
    assert_eq!(browser.text(naming), "none", "paper has no lines to paste");
}

#[test]
fn the_page_fits_a_phone_the_dark_and_a_browser_without_scripts() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let (_portal, proxy) = stage(&a_months_log());
    let page = page_of(&proxy);
    for (name, width, scheme) in [
        ("light", 1440, "light"),
        ("dark", 1440, "dark"),
        ("narrow", 390, "light"),
        ("narrow-dark", 390, "dark"),
    ] {
        browser.size(width, 900);
        browser.prefer(scheme);
        browser.go(&page);
        browser.evaluate("document.querySelector('#rows a.open').click()");
        browser.wait("instructions open", "!!document.querySelector('.guide')");
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64().unwrap() <= u64::from(width), "{name}: {wide}");
        browser.picture(name);
    }
    browser.size(1280, 900);
    browser.scripts(false);
    browser.call(
        "Page.navigate",
        json!({"url": format!("{page}?q=CRest&sort=calls")}),
    );
    pause_ms(
        500,
        "without scripts nothing can be asked: the page is to be painted",
    );
    browser.picture("without-scripts");
    let html = proxy.admin("/?q=CRest&sort=calls").text();
    let body = html.split("<tbody id=rows ").nth(1).unwrap();
    let body = body.split("</tbody>").next().unwrap();
    assert_eq!(body.matches("<tr id=").count(), 1, "the server filters too");
    assert!(
        html.contains("href=\"/instructions?key="),
        "a row leads to its instructions"
    );
}

#[test]
fn a_browser_is_let_in_by_the_form_and_stays() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "a token of some length\n").unwrap();
    let portal = Portal::plain();
    let proxy = proxy::before(&portal.url())
        .admin_on("0.0.0.0:0")
        .with(&["--admin-token-file", token.to_str().unwrap()])
        .start();
    let page = format!("http://127.0.0.1:{}/", proxy.admin.port());
    browser.go(&page);
    assert_eq!(
        browser.evaluate("!!document.getElementById('token') && !document.getElementById('rows')"),
        json!(true)
    );
    browser.picture("door");
    let submit = |browser: &mut Chromium, token: &str| {
        browser.evaluate(&format!(
            "document.getElementById('token').value = {}; document.querySelector('form.door button').click()",
            json!(token)
        ));
    };
    submit(&mut browser, "a wrong token");
    browser.wait(
        "it says that it is wrong",
        "!!document.querySelector('.door .bad')",
    );
    submit(&mut browser, "a token of some length");
    browser.wait(
        "the page opens and is live",
        "document.getElementById('live')?.textContent === 'live'",
    );
    assert_eq!(
        browser.text("document.cookie"),
        "",
        "the cookie is no script's"
    );
}
