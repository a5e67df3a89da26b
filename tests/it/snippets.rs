//! Calls that owners are shown as ready to use are run as they are shown, with published libraries, against the sandbox:
//! they do there what the deprecated call did.
//!
//! `tests/sdk/install.sh` puts the libraries under `target/`; one that is not there is skipped, and said so. The calls for
//! b24phpsdk are from its documentation and are not run.

use std::path::{Path, PathBuf};
use std::process::Command;

use b24_migration_proxy::advice::{Advice, Language, Seen};
use b24_migration_proxy::catalogue::{Catalogue, Migration, Rule, RuleKind};
use b24_migration_proxy::sandbox::{Effect, SandboxConfig, Work};

use crate::support::authority::{Authority, Kind, trusting};
use crate::support::chromium::Chromium;
use crate::support::client;
use crate::support::proxy::{self, Proxy};
use crate::support::sandbox::{self, Running};

/// A deprecated call: its names, as a form writes them, and their values.
#[derive(Clone)]
struct Call {
    method: String,
    sent: Vec<(&'static str, &'static str)>,
}

/// A call of each method whose successor does the same, with all that the method documents.
fn calls() -> Vec<Call> {
    let is_equal = |rule: &Rule| {
        rule.kind == RuleKind::Exact
            || rule
                .migration()
                .is_some_and(|entry: &Migration| entry.equal)
    };
    let catalogue = Catalogue::builtin();
    let rules = catalogue.rules().iter().filter(|rule| is_equal(rule));
    rules
        .map(|rule| {
            let method = rule.method.clone();
            let sent = sent(&method);
            Call { method, sent }
        })
        .collect()
}

fn sent(method: &str) -> Vec<(&'static str, &'static str)> {
    if method.starts_with("catalog.") {
        return vec![("id", "42")];
    }
    let mut sent = Vec::new();
    if !method.ends_with("forceCommonScopeForAll") {
        sent.extend([("scope", "P"), ("userId", "7")]);
    }
    if method.ends_with("set") && !method.ends_with("reset") {
        sent.extend([
            ("data[][name]", "main"),
            ("data[][title]", "It's \"main\" & more: 100% <b>"),
            ("data[][type]", "section"),
            ("data[][elements][][name]", "TITLE"),
        ]);
    }
    match method.split('.').nth(1) {
        Some("lead") if method.ends_with("reset") || method.ends_with("get") => {
            sent.push(("extras[lead.customer.type]", "2"));
        }
        Some("lead") => sent.push(("extras[leadCustomerType]", "2")),
        Some("deal") => sent.push(("extras[dealCategoryId]", "3")),
        _ => {}
    }
    sent
}

/// The code that the owner of such a caller is shown for a library, with the values in their places.
fn shown(call: &Call, library: &str, origin: &str, encoding: &str) -> String {
    let seen = Seen {
        method: call.method.clone(),
        auth: "webhook".into(),
        user: Some("1".into()),
        encoding: encoding.into(),
        parameters: call
            .sent
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect(),
        ..Seen::default()
    };
    let catalogue = Catalogue::builtin();
    let rule = catalogue.find_in_any_case(call.method.as_bytes());
    let advice = Advice::of(
        &seen,
        rule.map(AsRef::as_ref),
        Some(origin),
        Language::english(),
    );
    assert!(advice.ready, "{}", call.method);
    let snippet = advice
        .snippets
        .iter()
        .find(|snippet| snippet.name == library);
    let snippet = snippet.unwrap_or_else(|| panic!("{}: none for {library}", call.method));
    let mut code = snippet.code.replace("/CODE/", "/sandboxcode/");
    for (_, value) in &call.sent {
        let value = match snippet.language {
            "sh" if code.contains("-d '") => serde_json::json!(value)
                .to_string()
                .trim_matches('"')
                .replace('\'', "'\\''"),
            "sh" => value.replace('\'', "'\\''"),
            "python" => value.replace('"', "\\\""),
            _ => value.replace('\'', "\\'"),
        };
        assert!(code.contains("AS_BEFORE"), "{}: {code}", call.method);
        code = code.replacen("AS_BEFORE", &value, 1);
    }
    assert!(
        !code.contains("AS_BEFORE") && !code.contains("sketch"),
        "{code}"
    );
    code
}

/// The portal, and a proxy with a certificate before it: SDKs take no other address.
struct Stage {
    portal: Running,
    proxy: Proxy,
    authority: Authority,
}

impl Stage {
    fn new() -> Self {
        let portal = sandbox::start(SandboxConfig::default());
        let wanted = proxy::before(&portal.sandbox.url());
        let authority = Authority::new(wanted.folder(), "authority");
        let issued = authority.issue("proxy", &["localhost"], Kind::Ecdsa);
        let proxy = wanted.with(&issued.arguments()).start();
        Self {
            portal,
            proxy,
            authority,
        }
    }

    fn origin(&self) -> String {
        format!("https://localhost:{}", self.proxy.address().port())
    }

    /// Runs a program with all that snippets read from their environment.
    fn run(&self, program: impl AsRef<Path>, words: &[&str], folder: &Path) {
        let output = Command::new(program.as_ref())
            .args(words)
            .current_dir(folder)
            .env(
                "B24_WEBHOOK",
                format!("{}/rest/1/sandboxcode/", self.origin()),
            )
            .env("B24_WEBHOOK_TOKEN", "1/sandboxcode")
            .envs(trusting(&self.authority.certificate))
            .output()
            .expect("it runs");
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What the portal did so far, whatever it was called by; a method that the sandbox does not know by its name and what
    /// the call sent.
    fn done_of(portal: &Running) -> Vec<String> {
        let received = portal.sandbox.received();
        let operations = received.iter().flat_map(|request| &request.operations);
        operations
            .map(|operation| match operation.effect() {
                Effect::Other(other) => {
                    let Work::Other { parameters } = &other.work else {
                        unreachable!("another method");
                    };
                    let id = parameters.first_set(&["id"]).map(|id| id.to_int());
                    format!("{} id={id:?}", String::from_utf8_lossy(&other.method))
                }
                // A library may pack a call into a batch.
                Effect::Details { details, .. } => format!("{details:?}"),
                Effect::Fatal => "fatal".to_owned(),
            })
            .collect()
    }

    /// Asserts that the portal did what the deprecated calls do.
    fn assert_same(&self, calls: &[Call]) {
        let done = Stage::done_of(&self.portal);
        let legacy = Stage::legacy(calls);
        assert_eq!(done.len(), calls.len());
        for ((call, done), legacy) in calls.iter().zip(done).zip(legacy) {
            assert_eq!(done, legacy, "{}", call.method);
        }
    }

    /// What the portal does for the deprecated calls themselves, under their successors' names.
    fn legacy(calls: &[Call]) -> Vec<String> {
        let portal = sandbox::start(SandboxConfig::default());
        let address = portal.sandbox.url();
        let address = address.trim_start_matches("http://").trim_end_matches('/');
        for call in calls {
            let form = form_urlencoded(&call.sent);
            let target = format!("/rest/1/sandboxcode/{}", call.method);
            client::call(
                address.parse().expect("an address"),
                client::post(&target, "application/x-www-form-urlencoded", &form),
            );
        }
        let renamed = |text: String| {
            text.replace("catalog.document.confirm", "catalog.document.conduct")
                .replace("catalog.document.unconfirm", "catalog.document.cancel")
        };
        Stage::done_of(&portal).into_iter().map(renamed).collect()
    }
}

fn form_urlencoded(sent: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        let byte = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<String> = sent
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(&name.replace("[]", "[0]")), escaped(value)))
        .collect();
    pairs.join("&")
}

/// Where the published libraries are.
fn libraries() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk")
}

fn is_there(what: &Path) -> bool {
    let there = what.exists();
    if !there {
        eprintln!(
            "skipped: {} is not installed; tests/sdk/install.sh does it",
            what.display()
        );
    }
    there
}

/// Whether a program can be run; else says so.
fn runs(program: &str) -> bool {
    let runs = Command::new(program).arg("--version").output().is_ok();
    if !runs {
        eprintln!("skipped: there is no {program} on this machine");
    }
    runs
}

#[test]
fn curl_does_in_every_encoding_what_the_deprecated_call_did() {
    if !runs("curl") {
        return;
    }
    let stage = Stage::new();
    let calls = calls();
    // Each call in one encoding, those with a list in all.
    let encodings = ["json", "form", "multipart", "query"];
    let mut script = String::from("set -e\n");
    let mut sent = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        for (place, encoding) in encodings.into_iter().enumerate() {
            if at % 4 == place || call.method.ends_with(".set") {
                let code = shown(call, "curl", &stage.origin(), encoding);
                // The portal does not know catalog.*: that is an answer too.
                script += &code.replace("curl ", "curl -sS -o /dev/null ");
                script.push('\n');
                sent.push(call.clone());
            }
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    stage.run("sh", &["-c", &script], folder.path());
    stage.assert_same(&sent);
}

#[test]
fn crest_does_what_the_deprecated_call_did() {
    if !runs("php") {
        return;
    }
    let stage = Stage::new();
    let calls = calls();
    let folder = tempfile::tempdir().expect("a folder");
    let stub = include_str!("../snippets/crest.php");
    std::fs::write(folder.path().join("crest.php"), stub).expect("written");
    let code: String = calls
        .iter()
        // The portal does not know catalog.*, so that there is no result.
        .map(|call| {
            shown(call, "CRest", &stage.origin(), "form")
                .replace("['result'];", "['result'] ?? null;")
        })
        .collect();
    std::fs::write(folder.path().join("run.php"), format!("<?php\n{code}")).expect("written");
    stage.run(
        "php",
        &["-d", "error_reporting=E_ALL", "run.php"],
        folder.path(),
    );
    stage.assert_same(&calls);
}

#[test]
fn b24jssdk_does_what_the_deprecated_call_did() {
    let modules = libraries().join("node_modules");
    if !is_there(&modules) || !runs("node") {
        return;
    }
    let stage = Stage::new();
    let calls = known(calls());
    let folder = tempfile::tempdir_in(libraries()).expect("a folder");
    let mut run = String::new();
    for (at, call) in calls.iter().enumerate() {
        let code = shown(call, "@bitrix24/b24jssdk", &stage.origin(), "json");
        std::fs::write(folder.path().join(format!("{at}.mjs")), code).expect("written");
        run += &format!("await import('./{at}.mjs');\n");
    }
    run += "process.exit(0);\n";
    std::fs::write(folder.path().join("run.mjs"), run).expect("written");
    stage.run("node", &["run.mjs"], folder.path());
    stage.assert_same(&calls);
}

/// The calls that the sandbox knows: libraries end at the error of any other.
fn known(calls: Vec<Call>) -> Vec<Call> {
    let known = |call: &Call| call.method.starts_with("crm.");
    calls.into_iter().filter(known).collect()
}

fn python(library: &str) {
    let program = libraries().join("python/bin/python");
    if !is_there(&program) {
        return;
    }
    let stage = Stage::new();
    let calls = known(calls());
    let folder = tempfile::tempdir().expect("a folder");
    let code: String = calls
        .iter()
        .map(|call| shown(call, library, &stage.origin(), "json") + "\n")
        .collect();
    std::fs::write(folder.path().join("run.py"), code).expect("written");
    stage.run(&program, &["run.py"], folder.path());
    stage.assert_same(&calls);
}

#[test]
fn b24pysdk_does_what_the_deprecated_call_did() {
    python("b24pysdk");
}

#[test]
fn fast_bitrix24_does_what_the_deprecated_call_did() {
    python("fast-bitrix24");
}

#[test]
fn bx24_js_does_what_the_deprecated_call_did() {
    let Some(mut browser) = Chromium::start() else {
        return;
    };
    let stage = Stage::new();
    let calls = known(calls());
    let stub = include_str!("../snippets/bx24.js").replace("TOKEN)", "'sandboxtoken')");
    // One after another, so that the portal gets them in their order.
    let each: String = calls
        .iter()
        .map(|call| {
            format!(
                "{}await done.at(-1);\n",
                shown(call, "BX24.js", &stage.origin(), "form")
            )
        })
        .collect();
    browser.go(&stage.portal.sandbox.url());
    browser.evaluate(&format!("(async () => {{\n{stub}\n{each}\n}})()"));
    stage.assert_same(&calls);
}
