//! All methods that the documentation marks as deprecated, called through real HTTP: each is in the log once, with the
//! right action, and reaches the portal once.

use std::collections::BTreeMap;

use b24_migration_proxy::sandbox::SandboxConfig;

use crate::support::client;
use crate::support::proxy;
use crate::support::sandbox::{self, Running};

/// What the documentation marks as deprecated: 16 exact rules are among them.
const LIST: &str = include_str!("../../src/catalogue/watched.tsv");

fn sandbox() -> Running {
    sandbox::start(SandboxConfig::default())
}

fn methods() -> Vec<&'static str> {
    LIST.lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .collect()
}

fn is_translated(method: &str) -> bool {
    let mut parts = method.split('.');
    let entity = parts.nth(1).unwrap_or_default();
    method.contains(".details.configuration.")
        && ["lead", "deal", "contact", "company"].contains(&entity)
}

#[test]
fn each_of_the_deprecated_methods_is_logged_once_with_its_action() {
    let portal = sandbox();
    let methods = methods();
    assert_eq!(methods.len(), 234);
    let proxy = proxy::before(&portal.sandbox.url()).start();
    let mut connection = proxy.connect();
    let mut statuses = BTreeMap::new();
    for method in &methods {
        let target = format!("/rest/1/sandboxcode/{method}.json");
        let answer = connection
            .call(client::post(
                &target,
                "application/json",
                r#"{"scope":"P"}"#,
            ))
            .unwrap_or_else(|lost| panic!("{method}: {lost:?}"));
        statuses.insert(method.to_string(), answer.status());
    }

    let events = proxy.events();
    assert_eq!(events.len(), methods.len(), "one line for each call");
    let mut translated = 0;
    for (event, method) in events.iter().zip(&methods) {
        assert_eq!(event["event"], "deprecated_call", "{method}");
        assert_eq!(event["method"], *method, "in the order of the calls");
        let wanted = if is_translated(method) {
            translated += 1;
            "rewritten"
        } else {
            "observed"
        };
        assert_eq!(event["action"], wanted, "{method}");
        assert_eq!(event["status"], statuses[*method], "{method}");
        assert_eq!(event["caller"]["user"], "1", "{method}");
        let page = event["documentation"].as_str().unwrap_or_default();
        assert!(
            page.starts_with("https://apidocs.bitrix24.com/"),
            "{method}: {page}"
        );
    }
    assert_eq!(translated, 16);

    let received = portal.sandbox.received();
    assert_eq!(
        received.len(),
        methods.len(),
        "each reached the portal once"
    );
    for (request, method) in received.iter().zip(&methods) {
        let called = match method.rsplit_once('.') {
            Some((_, action)) if is_translated(method) => {
                format!("crm.item.details.configuration.{action}")
            }
            _ => method.to_string(),
        };
        let target = String::from_utf8_lossy(&request.target);
        assert_eq!(target, format!("/rest/1/sandboxcode/{called}.json"));
        if !is_translated(method) {
            assert_eq!(
                request.body, br#"{"scope":"P"}"#,
                "{method} goes on as it came"
            );
        }
    }
    let metric = |action: &str| -> f64 {
        proxy
            .admin("/metrics")
            .text()
            .lines()
            .filter(|line| line.starts_with("b24_proxy_deprecated_calls_total{"))
            .filter(|line| line.contains(&format!("action=\"{action}\"")))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    assert_eq!((metric("rewritten"), metric("observed")), (16.0, 218.0));
}

#[test]
fn in_a_batch_each_of_them_is_logged_once_under_its_key() {
    let portal = sandbox();
    let proxy = proxy::before(&portal.sandbox.url()).start();
    let mut connection = proxy.connect();
    let methods = methods();
    for block in methods.chunks(50) {
        let commands: Vec<String> = block
            .iter()
            .enumerate()
            .map(|(at, method)| format!("\"k{at}\":\"{method}?scope=P\""))
            .collect();
        let body = format!("{{\"halt\":0,\"cmd\":{{{}}}}}", commands.join(","));
        let answer = connection
            .call(client::post(
                "/rest/1/sandboxcode/batch",
                "application/json",
                &body,
            ))
            .expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    let events = proxy.events();
    assert_eq!(events.len(), methods.len());
    for (at, method) in methods.iter().enumerate() {
        let of_it: Vec<_> = events
            .iter()
            .filter(|event| event["method"] == *method)
            .collect();
        assert_eq!(of_it.len(), 1, "{method}");
        assert_eq!(of_it[0]["batch_key"], format!("k{}", at % 50), "{method}");
        let wanted = if is_translated(method) {
            "rewritten"
        } else {
            "observed"
        };
        assert_eq!(of_it[0]["action"], wanted, "{method}");
    }
}
