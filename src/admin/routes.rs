//! What each address of the admin server answers, and to whom.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ALLOW, LOCATION, SET_COOKIE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::sync::oneshot;

use super::access::{Area, Denied, Gate};
use super::answer::{self, Body, text};
use super::large::Visitor;
use super::shared::Admin;
use super::{api, events, page, selection};
use crate::ladder::StoppedBy;

/// A posted form: a token.
const MOST_FORM: usize = 4 << 10;

/// How long a form may take to come.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// What there is.
const HINT: &str = "There is: / (the status page), /metrics, /healthz, /livez, /readyz, /api/, and POST /-/reload.";

/// Answers one request.
pub(super) async fn answer(
    admin: &Arc<Admin>,
    visitor: &Visitor<'_>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    if let "/session" | "/session/end" | "/brownouts/stop" | "/-/reload" = path {
        return change(admin, &head, body, now).await;
    }
    if head.method != Method::GET && head.method != Method::HEAD {
        return not_allowed("GET, HEAD");
    }
    let area = match path {
        "/healthz" | "/livez" | "/readyz" => Area::Health,
        "/metrics" => Area::Metrics,
        _ => Area::Inside,
    };
    if let Err(denied) = admin.access.may_read(area, &head.headers, now) {
        return refuse(admin, &head, denied);
    }
    match path {
        "/healthz" => health(
            admin
                .telemetry
                .health
                .healthz(&admin.telemetry.log.status()),
        ),
        "/livez" => text(StatusCode::OK, "alive"),
        "/readyz" => health(admin.telemetry.health.readyz()),
        "/metrics" => metrics(admin, &head),
        "/events" => events::stream(admin, &head),
        path if matches!(path, "/" | "/instructions" | "/letter" | "/api")
            || path.starts_with("/api/") =>
        {
            let (admin, uri) = (Arc::clone(admin), head.uri.clone());
            let made = visitor.make(move || of_callers(&admin, &uri)).await;
            made.unwrap_or_else(|| {
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "A fault kept this from being shown. The operational log says more; /livez and /metrics go on.",
                )
            })
        }
        _ => text(
            StatusCode::NOT_FOUND,
            format!("There is nothing here. {HINT}"),
        ),
    }
}

/// What shows callers.
fn of_callers(admin: &Admin, uri: &Uri) -> Response<Body> {
    let query = uri.query().unwrap_or_default();
    match uri.path() {
        "/" => page::whole(admin, query),
        "/instructions" => page::instructions(admin, query),
        "/letter" => page::letter(admin, query),
        path => api::answer(admin, path, query),
    }
}

fn health((status, said): (u16, String)) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    text(status, said)
}

fn metrics(admin: &Admin, head: &Parts) -> Response<Body> {
    let accept = head
        .headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    let (content_type, page) = admin.telemetry.metrics.render(accept);
    answer::whole(StatusCode::OK, content_type, page)
}

/// Whatever changes something: who is let in, and what is refused. Each change is a POST, and asks [`Gate::may_change`].
async fn change(admin: &Admin, head: &Parts, body: Incoming, now: Duration) -> Response<Body> {
    if head.method != Method::POST {
        return not_allowed("POST");
    }
    match head.uri.path() {
        "/session" => {
            let typed = match form(body).await {
                Ok(form) => selection::value(&form, "token").unwrap_or_default(),
                Err(status) => return text(status, "Post the form of the page: token=TOKEN."),
            };
            match admin.access.let_in(&typed, &head.headers, now) {
                Ok(cookie) => answer::with(to_the_page(), SET_COOKIE, &cookie),
                Err(denied) => refuse(admin, head, denied),
            }
        }
        path => match (admin.access.may_change(&head.headers, now), path) {
            (Err(denied), _) => refuse(admin, head, denied),
            (Ok(()), "/session/end") => answer::with(to_the_page(), SET_COOKIE, &Gate::let_out()),
            (Ok(()), "/-/reload") => reload(admin).await,
            (Ok(()), _) => match form(body).await {
                Ok(form) => stop_brownout(admin, &form),
                Err(status) => text(status, "Post the form of the page: entry=…&origin=…."),
            },
        },
    }
}

/// Has the configuration read again: 200 and what waits for a restart, or 422 and what is wrong.
async fn reload(admin: &Admin) -> Response<Body> {
    let (asked, outcome) = oneshot::channel();
    match &admin.reload {
        // Who stops answers no more, and drops what it was asked.
        Some(reloads) => drop(reloads.send(asked).await),
        None => drop(asked),
    }
    match outcome.await {
        Ok(Ok(waiting)) => {
            let mut said = "The configuration was read again and applied.".to_owned();
            for option in waiting {
                said.push_str(&format!(
                    "\n{option}: its new value takes effect at the next start"
                ));
            }
            text(StatusCode::OK, said)
        }
        Ok(Err(why)) => text(StatusCode::UNPROCESSABLE_ENTITY, why),
        Err(_) => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "The proxy is stopping; nothing was read.",
        ),
    }
}

/// Ends the brownout that the form names. It names the entry by its place and by what it says, so that after a reload no
/// other one is ended.
fn stop_brownout(admin: &Admin, form: &str) -> Response<Body> {
    let entry = selection::value(form, "entry").and_then(|entry| entry.parse().ok());
    let origin = selection::value(form, "origin");
    let now = jiff::Timestamp::now();
    let policy = admin.policy();
    let stopped = {
        policy
            .brownouts(now)
            .iter()
            .find(|going_on| {
                Some(going_on.entry) == entry && Some(&going_on.origin) == origin.as_ref()
            })
            .is_some_and(|going_on| {
                tracing::warn!(
                    brownout = going_on.origin,
                    "stopped on the status page; it begins again with its next window, or when its entry is changed"
                );
                policy.stop(going_on.entry, now, StoppedBy::Admin)
            })
    };
    if stopped {
        to_the_page()
    } else {
        text(
            StatusCode::CONFLICT,
            "This brownout is not going on any more; read the page again.",
        )
    }
}

async fn form(body: Incoming) -> Result<String, StatusCode> {
    let whole = Limited::new(body, MOST_FORM).collect();
    let bytes = tokio::time::timeout(FORM_TIMEOUT, whole)
        .await
        .map_err(|_| StatusCode::REQUEST_TIMEOUT)?
        .map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?
        .to_bytes();
    String::from_utf8(bytes.into()).map_err(|_| StatusCode::BAD_REQUEST)
}

fn to_the_page() -> Response<Body> {
    let answer = text(StatusCode::SEE_OTHER, "See /.");
    answer::with(answer, LOCATION, "/")
}

fn not_allowed(allowed: &'static str) -> Response<Body> {
    let answer = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("This address answers {allowed} only."),
    );
    answer::with(answer, ALLOW, allowed)
}

/// 403; for a browser that can be let in, with the form.
fn refuse(admin: &Admin, head: &Parts, denied: Denied) -> Response<Body> {
    let wants_page = head
        .headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let can_be_let_in = matches!(denied, Denied::NoToken | Denied::WrongToken);
    if wants_page && can_be_let_in && admin.access.has_token() {
        return page::door(denied);
    }
    text(StatusCode::FORBIDDEN, denied.hint())
}
