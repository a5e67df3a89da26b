//! Answers of the admin address: every one with the fields that keep a browser from doing more with it than show it.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// Any answer's body.
pub(super) type Body = BoxBody<Bytes, Infallible>;

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const HTML: &str = "text/html; charset=utf-8";
pub(super) const MARKDOWN: &str = "text/markdown; charset=utf-8";
const JSON: &str = "application/json";

/// An answer of a body that is there whole.
pub(super) fn whole(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    of_body(status, content_type, Full::new(body.into()).boxed())
}

/// An answer of any body.
pub(super) fn of_body(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
        (HeaderName::from_static("x-frame-options"), "DENY"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("content-security-policy"),
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A line of text for people and probes.
pub(super) fn text(status: StatusCode, line: impl Into<String>) -> Response<Body> {
    let mut line = line.into();
    if !line.ends_with('\n') {
        line.push('\n');
    }
    whole(status, TEXT, line)
}

/// A value as JSON.
pub(super) fn json(value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => whole(StatusCode::OK, JSON, body),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// An HTML document. Nothing in it runs or styles but what carries the nonce, and it loads nothing from anywhere else.
pub(super) fn document(status: StatusCode, nonce: &str, html: String) -> Response<Body> {
    let mut answer = whole(status, HTML, html);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        let name = HeaderName::from_static("content-security-policy");
        answer.headers_mut().insert(name, policy);
    }
    answer
}

/// Adds a field whose value is known to be well-formed.
pub(super) fn with(mut answer: Response<Body>, name: HeaderName, value: &str) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
