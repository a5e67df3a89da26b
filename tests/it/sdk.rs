//! Each rung of the ladder as published client libraries meet it, in single calls and in a batch: through the proxy, over
//! TLS, to the sandbox portal.
//!
//! `tests/sdk/install.sh` puts the libraries under `target/`; one that is not there is skipped, and said so.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use b24_migration_proxy::sandbox::{RequestLimit, SandboxConfig};
use serde_json::{Value, json};

use crate::support::authority::{Authority, Kind, trusting};
use crate::support::proxy::{self, Proxy};
use crate::support::sandbox;

const OBSERVED: &str = "crm.lead.details.configuration.get";
const COMPARED: &str = "crm.deal.details.configuration.get";
const REWRITTEN: &str = "crm.contact.details.configuration.reset";
const BROWNED_OUT: &str = "crm.company.details.configuration.get";
const BLOCKED: &str = "crm.lead.list";
const ALL: [&str; 5] = [OBSERVED, COMPARED, REWRITTEN, BROWNED_OUT, BLOCKED];

const LADDER: &str = "
[[mode]]
mode = 'observe'
rule = 'crm.lead.details.configuration.get'

[[mode]]
mode = 'compare'
rule = 'crm.deal.details.configuration.get'

[[mode]]
mode = 'brownout until 2099-01-01'
rule = 'crm.company.details.configuration.get'

[[mode]]
mode = 'block'
rule = 'crm.lead.list'
";

/// A library: the script that calls it, what runs the script, and what it shows of an error.
struct Library {
    script: &'static str,
    program: &'static str,
    arguments: &'static [&'static str],
    /// Whether it shows the code and text of a single call's error, and not the status alone.
    tells_why: bool,
    /// Whether a batch with a failed command still gives the results of the others.
    keeps_results: bool,
}

/// Where the libraries are, if the one in hand is.
fn installed(library: &Library) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk");
    let (runs, name) = match library.program {
        "node" => (folder.join("node_modules"), "@bitrix24/b24jssdk"),
        program => (folder.join(program), library.script),
    };
    if !runs.exists() {
        eprintln!("skipped: {name} is not installed; tests/sdk/install.sh does it");
        return None;
    }
    Some(folder)
}

/// What the library makes of a call of each method, and of a batch of all.
fn said(library: &Library, folder: &Path, webhook: &str, authority: &Path) -> Value {
    run(library, library.script, folder, webhook, &ALL, authority)
}

/// What a script tells that calls by the library.
fn run(
    library: &Library,
    script: &str,
    folder: &Path,
    webhook: &str,
    words: &[&str],
    authority: &Path,
) -> Value {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk");
    let file = std::fs::File::open(scripts.join(script)).expect("a script");
    let program = match library.program {
        "node" => PathBuf::from("node"),
        program => folder.join(program),
    };
    let output = Command::new(program)
        .current_dir(folder)
        .args(library.arguments)
        .args(["-", webhook])
        .args(words)
        .stdin(Stdio::from(file))
        .envs(trusting(authority))
        .output()
        .expect("it runs");
    let (told, wrong) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&told).unwrap_or_else(|why| panic!("{script}: {why}: {wrong}"))
}

/// The actions and reasons that the log has for a method: of its single calls, or of those in a batch.
fn logged(proxy: &Proxy, method: &str, in_batch: bool) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    proxy
        .events()
        .iter()
        .filter(|event| event["method"] == method)
        .filter(|event| event["batch_key"].is_string() == in_batch)
        .map(|event| format!("{} {}", word(&event["action"]), word(&event["reason"])))
        .collect()
}

fn climb(library: &Library) {
    let Some(folder) = installed(library) else {
        return;
    };
    let portal = sandbox::start(SandboxConfig::default());
    let wanted = proxy::before(&portal.sandbox.url());
    let authority = Authority::new(wanted.folder(), "authority");
    let issued = authority.issue("proxy", &["localhost"], Kind::Ecdsa);
    let config = wanted.folder().join("proxy.toml");
    std::fs::write(&config, LADDER).expect("written");
    let proxy = wanted
        .with(&["--config", config.to_str().expect("a path")])
        .with(&issued.arguments())
        .start();
    let webhook = format!(
        "https://localhost:{}/rest/1/sandboxcode/",
        proxy.address().port()
    );
    let told = said(library, &folder, &webhook, &authority.certificate);
    let (calls, batch) = (&told["calls"], &told["batch"]);

    // A call that goes through gives the library the portal's result.
    for (method, result) in [
        (OBSERVED, Value::Null),
        (COMPARED, Value::Null),
        (REWRITTEN, json!(true)),
    ] {
        assert_eq!(calls[method], json!({ "result": result }), "{told}");
        if library.keeps_results {
            assert_eq!(batch[method], json!({ "result": result }), "{told}");
        }
    }
    // One that is refused is the library's own error, in a batch of that command alone.
    for (method, code, parts) in [
        (
            BROWNED_OUT,
            "DEPRECATED_METHOD_BROWNOUT",
            [
                "until 2099-01-01T00:00:00Z",
                "call crm.item.details.configuration.get ",
            ],
        ),
        (
            BLOCKED,
            "DEPRECATED_METHOD_BLOCKED",
            ["switched off for good", "call crm.item.list "],
        ),
    ] {
        let explains = |error: &Value| {
            assert_eq!(error["code"], code, "{told}");
            let says = error["says"].as_str().unwrap_or_default();
            assert!(parts.iter().all(|part| says.contains(part)), "{told}");
        };
        assert_eq!(calls[method]["status"], 410, "{told}");
        if library.tells_why {
            explains(&calls[method]);
        }
        explains(&batch[method]);
    }
    let failed = batch.as_object().into_iter().flatten();
    let failed = failed.filter(|(_, outcome)| outcome.get("code").is_some());
    assert_eq!(failed.count(), 2, "{told}");

    // The log has each call and each command once: the library has repeated none.
    for (method, action) in [
        (OBSERVED, "observed "),
        (COMPARED, "observed "),
        (REWRITTEN, "rewritten "),
        (BROWNED_OUT, "refused brownout"),
        (BLOCKED, "refused blocked"),
    ] {
        assert_eq!(logged(&proxy, method, false), [action], "{method}");
        assert_eq!(logged(&proxy, method, true), [action], "{method}");
    }

    // The portal has run what was to run, under the name that was to be used, and nothing of what was refused.
    let mut ran: Vec<(String, bool)> = portal
        .sandbox
        .received()
        .iter()
        .flat_map(|request| &request.operations)
        .map(|operation| {
            let method = String::from_utf8_lossy(&operation.method).into_owned();
            (method, !operation.batch_keys.is_empty())
        })
        .filter(|(method, _)| method.starts_with("crm."))
        .collect();
    // The successor that a comparison sends may come at any moment, or not yet.
    ran.retain(|(method, in_batch)| method != "crm.item.details.configuration.get" || *in_batch);
    ran.sort();
    let mut expected: Vec<(String, bool)> =
        [OBSERVED, COMPARED, "crm.item.details.configuration.reset"]
            .iter()
            .flat_map(|method| [false, true].map(|in_batch| ((*method).to_owned(), in_batch)))
            .collect();
    expected.sort();
    assert_eq!(ran, expected);
}

const FAST_BITRIX24: Library = Library {
    script: "fast_bitrix24.py",
    program: "python/bin/python",
    arguments: &[],
    tells_why: false,
    keeps_results: false,
};

const B24PYSDK: Library = Library {
    script: "b24pysdk.py",
    program: "python/bin/python",
    arguments: &[],
    tells_why: true,
    keeps_results: true,
};

const B24JSSDK: Library = Library {
    script: "b24jssdk.mjs",
    program: "node",
    arguments: &["--input-type=module"],
    tells_why: true,
    keeps_results: true,
};

#[test]
fn fast_bitrix24_meets_each_rung() {
    climb(&FAST_BITRIX24);
}

#[test]
fn b24pysdk_meets_each_rung() {
    climb(&B24PYSDK);
}

#[test]
fn b24jssdk_meets_each_rung() {
    climb(&B24JSSDK);
}

/// Makes many calls of a portal that allows few, through a proxy that paces them, or through one that does not.
fn makes(library: &Library, folder: &Path, calls: usize, rate: &str) -> Value {
    let portal = sandbox::start(SandboxConfig {
        limit: Some(RequestLimit {
            depth: 20.0,
            per_second: 10.0,
        }),
        ..SandboxConfig::default()
    });
    let wanted = proxy::before(&portal.sandbox.url());
    let authority = Authority::new(wanted.folder(), "authority");
    let issued = authority.issue("proxy", &["localhost"], Kind::Ecdsa);
    let proxy = wanted
        .with(&["--portal-rate", rate])
        .with(&issued.arguments())
        .start();
    let webhook = format!(
        "https://localhost:{}/rest/1/sandboxcode/",
        proxy.address().port()
    );
    let script = format!("many/{}", library.script);
    let words = [OBSERVED, &calls.to_string()];
    run(
        library,
        &script,
        folder,
        &webhook,
        &words,
        &authority.certificate,
    )
}

/// Small by default; with `B24_HEAVY=1` all three libraries, 300 calls each, also without pacing.
fn finishes(library: &Library) {
    let Some(folder) = installed(library) else {
        return;
    };
    let heavy = std::env::var_os("B24_HEAVY").is_some();
    let calls = if heavy { 300 } else { 50 };
    let told = makes(library, &folder, calls, "20:10");
    assert_eq!(told, json!({ "done": calls }), "{}", library.script);
    if heavy {
        let told = makes(library, &folder, calls, "off");
        crate::support::figure(&format!("{} unpaced", library.script), told.to_string());
        assert_ne!(told, json!({ "done": calls }), "{}", library.script);
    }
}

#[test]
fn fast_bitrix24_finishes_many_calls_of_a_portal_that_allows_few() {
    finishes(&FAST_BITRIX24);
}

#[test]
fn b24pysdk_finishes_many_calls_of_a_portal_that_allows_few() {
    finishes(&B24PYSDK);
}

#[test]
fn b24jssdk_finishes_many_calls_of_a_portal_that_allows_few() {
    finishes(&B24JSSDK);
}
