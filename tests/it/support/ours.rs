//! What an answer of the proxy itself must look like, so that SDKs, browsers and operators read it rightly.

use super::strict::Message;

/// Checks the shape of an error of the proxy: its status and code, in the portal's format, with CORS and `Proxy-Status`.
pub fn check(answer: &Message, status: u16, code: &str, xml: bool) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what}: {answer:?}"));
    if answer.status() != status {
        return wrong(&format!("not {status}"));
    }
    if said_code(&answer.text(), xml).as_deref() != Some(code) {
        return wrong(&format!("the code is not {code}"));
    }
    let kind = answer.one("content-type").unwrap_or_default();
    let wanted = if xml {
        "text/xml; charset=utf-8"
    } else {
        "application/json"
    };
    if !kind.starts_with(wanted) {
        return wrong("the type of its body");
    }
    if answer.one("access-control-allow-origin").as_deref() != Some("*") {
        return wrong("no CORS");
    }
    let exposed = answer.list("access-control-expose-headers");
    if !["retry-after", "proxy-status"]
        .iter()
        .all(|name| exposed.contains(&(*name).to_owned()))
    {
        return wrong("what a browser may read of it");
    }
    if status == 503
        && answer
            .one("retry-after")
            .is_none_or(|after| after.parse::<u32>().is_err())
    {
        return wrong("a 503 without Retry-After");
    }
    if status >= 500
        && answer
            .one("proxy-status")
            .is_none_or(|value| !value.contains("error="))
    {
        return wrong("no Proxy-Status");
    }
    Ok(())
}

/// The code in an error's body.
pub fn said_code(body: &str, xml: bool) -> Option<String> {
    if xml {
        let rest = body.split_once("<response>")?.1.split_once("<error>")?.1;
        return Some(rest.split_once("</error>")?.0.to_owned());
    }
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    value.get("error_description")?.as_str()?;
    Some(value.get("error")?.as_str()?.to_owned())
}
