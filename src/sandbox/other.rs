//! The methods outside the family: plausible and empty answers (pure).

use super::outcome::{Failure, SandboxUser, Success};
use super::php::{Array, Value};

/// The first parts of the names of methods that a portal has.
const SCOPES: [&str; 61] = [
    "access",
    "ai",
    "app",
    "appform",
    "biconnector",
    "bizproc",
    "booking",
    "calendar",
    "cashbox",
    "catalog",
    "configuration",
    "contact_center",
    "crm",
    "department",
    "documentgenerator",
    "disk",
    "entity",
    "event",
    "events",
    "feature",
    "forum",
    "humanresources",
    "im",
    "imbot",
    "imconnector",
    "imopenlines",
    "imservice",
    "intranet",
    "landing",
    "lists",
    "log",
    "mailservice",
    "main",
    "messageservice",
    "method",
    "mobile",
    "note",
    "pay_system",
    "paysystem",
    "placement",
    "pull",
    "rating",
    "rpa",
    "sale",
    "scope",
    "server",
    "sign",
    "sonet",
    "sonet_group",
    "socialnetwork",
    "tasks",
    "task",
    "telephony",
    "timeman",
    "transformer",
    "user",
    "userconsent",
    "userfieldconfig",
    "userfieldtype",
    "vote",
    "voximplant",
];

/// Any method outside the family: plausible and empty.
pub(super) fn answer(method: &[u8], caller: &SandboxUser) -> Result<Success, Failure> {
    let method = std::str::from_utf8(method).map_err(|_| Failure::not_found())?;
    let user = || {
        Value::Array(Array::of([
            ("ID", Value::from(caller.id.to_string().as_str())),
            ("ADMIN", Value::Bool(caller.administrator)),
            ("NAME", Value::from("Sandbox")),
            ("LAST_NAME", Value::from(caller.login.as_str())),
        ]))
    };
    let (scope, last) = match method.split_once('.') {
        Some((scope, rest)) => (scope, rest.rsplit('.').next().unwrap_or(rest)),
        None if method == "profile" => return Ok(user().into()),
        None if matches!(method, "scope" | "methods") => {
            return Ok(Value::Array(Array::list([Value::from("crm")])).into());
        }
        None => return Err(Failure::not_found()),
    };
    if !SCOPES.contains(&scope) || last.is_empty() {
        return Err(Failure::not_found());
    }
    Ok(match (method, last) {
        ("user.current", _) => user().into(),
        ("user.get", _) => Value::Array(Array::list([user()])).into(),
        (_, "list") => Success {
            result: Value::Array(Array::default()),
            total: Some(0),
        },
        (_, "add") => Value::Int(1).into(),
        (_, "update" | "delete" | "set") => Value::Bool(true).into(),
        _ => Value::Array(Array::default()).into(),
    })
}
