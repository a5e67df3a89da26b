//! What strangers, who have no credential, can do to the log, the page and the callers that have one: nothing much.

use crate::support::client::post;
use crate::support::portal::Portal;
use crate::support::proxy;

const METHOD: &str = "crm.lead.list";
const TRANSLATED: &str = "crm.lead.details.configuration.reset";

/// A portal that lets nobody in.
fn closed_portal() -> Portal {
    Portal::start(|visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(&request, 401, "", b"{\"error\":\"INVALID_CREDENTIALS\"}");
        }
    })
}

#[test]
fn one_request_writes_at_most_fifty_lines_of_a_method_and_one_that_counts_the_rest() {
    for (method, mode, action) in [
        (METHOD, "observe", "observed"),
        (TRANSLATED, "rewrite", "rewritten"),
        (TRANSLATED, "block", "refused"),
    ] {
        let portal = closed_portal();
        let proxy = proxy::start(&portal, &["--mode", &format!("{method}={mode}")]);
        let inner = vec![format!("cmd[]={method}"); 50].join("&");
        let outer = vec![format!("\"Batch?{inner}\""); 50].join(",");
        let answer = proxy.call(post(
            "/rest/1/made-up/batch",
            "application/json",
            &format!("{{\"cmd\":[{outer}]}}"),
        ));
        // The answer is here, and so are the lines.
        let log = std::fs::read(proxy.log_path()).expect("a log");
        let events = proxy.events();
        assert_eq!(answer.status(), 401, "{mode}");
        assert_eq!(events.len(), 51, "{mode}");
        assert!(log.len() < 51 * 1200, "{mode}: {} bytes", log.len());
        for event in &events[..50] {
            assert_eq!(event["event"], "deprecated_call", "{mode}");
        }
        let (single, sum) = (&events[0], &events[50]);
        assert_eq!(sum["event"], "deprecated_calls", "{mode}");
        assert_eq!(sum["count"], 2450, "{mode}");
        assert_eq!(sum["action"], action, "{mode}");
        for shared in [
            "timestamp",
            "request_id",
            "method",
            "replacement",
            "mode",
            "reason",
            "encoding",
            "target",
            "caller",
            "status",
            "error",
            "documentation",
        ] {
            assert_eq!(sum[shared], single[shared], "{mode}: {shared}");
        }
        assert!(sum.get("batch_key").is_none(), "{mode}: {sum}");
        let total = format!(
            "b24_proxy_deprecated_calls_total{{method=\"{method}\",action=\"{action}\",caller=\"unnamed\"}}"
        );
        assert_eq!(proxy.metric(&total), 2500.0, "{mode}");
    }
}
