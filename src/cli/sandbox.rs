//! `sandbox`: the stand-in portal alone, to try integrations against.

use clap::{Arg, ArgMatches, Command};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::output::print;
use super::paint::harmless;
use super::sockets::cannot_listen;
use super::text::reason;
use super::values;
use crate::protocol::answer::error_code;
use crate::protocol::target::mask;
use crate::sandbox::{Recorded, RequestLimit, Sandbox, SandboxConfig};

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy sandbox
  b24-migration-proxy sandbox --listen 127.0.0.1:8082 --rate 50:2";

pub fn command() -> Command {
    Command::new("sandbox")
        .about("Run the sandbox portal alone, to try integrations against")
        .long_about(
            "Runs a stand-in for a Bitrix24 portal that reads calls as a portal does (JSON, form, multipart, query, \
             batch, XML; webhook and OAuth) and knows the *.details.configuration.* methods, the deprecated ones and \
             their successors, so that you can try the proxy and your integrations without a real portal. It keeps nothing \
             and touches nothing outside this machine. Prints a line for each call, without secrets. Ctrl-C ends it.",
        )
        .examples(EXAMPLES)
        .arg(
            Arg::new("listen")
                .long("listen")
                .value_name("ADDR")
                .env("B24_PROXY_SANDBOX_LISTEN")
                .hide_env_values(true)
                .default_value("127.0.0.1:8081")
                .help("Where it is served: IP:PORT"),
        )
        .arg(
            Arg::new("rate")
                .long("rate")
                .value_name("DEPTH:PER_SECOND")
                .env("B24_PROXY_SANDBOX_RATE")
                .hide_env_values(true)
                .help("Refuse requests over this limit, counted for each source address, as 50:2")
                .long_help(
                    "Refuses requests over this limit as a cloud portal does: a count for each source address that falls \
                     by PER_SECOND once a second; a request that would raise it above DEPTH gets 503 \
                     QUERY_LIMIT_EXCEEDED and is not executed. A batch counts as one. Cloud portals have 50:2, those of \
                     the Enterprise plan 250:5.",
                ),
        )
}

/// Reads `DEPTH:PER_SECOND`.
pub fn request_limit(text: &str) -> Result<RequestLimit, String> {
    let wrong = || "not DEPTH:PER_SECOND; write it as 50:2".to_owned();
    let (depth, per_second) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| {
        let number = text.trim().parse::<f64>().ok();
        number.filter(|number| number.is_finite() && *number > 0.0)
    };
    let depth = number(depth).filter(|depth| *depth >= 1.0);
    match (depth, number(per_second)) {
        (Some(depth), Some(per_second)) => Ok(RequestLimit { depth, per_second }),
        _ => Err(wrong()),
    }
}

/// Prints a line for a request: what came, what was done, how it was answered; no secret and no parameter.
fn tell(recorded: &Recorded) {
    // A reader that has gone costs the sandbox nothing.
    let _ = print(&line(recorded));
}

fn line(recorded: &Recorded) -> String {
    let target = &recorded.target[..];
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    let verb = String::from_utf8_lossy(&recorded.verb);
    let mut line = format!("{} {verb} {}", recorded.status, mask(path));
    let done: Vec<_> = recorded
        .operations
        .iter()
        .map(|operation| String::from_utf8_lossy(&operation.method).into_owned())
        .collect();
    if let Some(code) = error_code(&recorded.answer) {
        line += &format!("  {code}");
    } else if !done.is_empty() {
        line += &format!("  {}", done.join(", "));
    }
    harmless(&line).replace('\n', " ") + "\n"
}

pub fn run(matches: &ArgMatches) -> Exit {
    let text = matches
        .get_one::<String>("listen")
        .map(String::as_str)
        .unwrap_or_default();
    let listen = values::address(text).map_err(|why| Failure::usage(format!("--listen: {why}")))?;
    let limit = matches
        .get_one::<String>("rate")
        .filter(|text| !text.is_empty())
        .map(|text| request_limit(text).map_err(|why| Failure::usage(format!("--rate: {why}"))))
        .transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::found(format!("cannot start: {}", reason(&error))))?;
    runtime.block_on(async {
        let config =
            SandboxConfig { listen, remember: 0, limit, tell: Some(tell), ..SandboxConfig::default() };
        let users = config.users.clone();
        let sandbox =
            Sandbox::start(config).await.map_err(|error| cannot_listen(&listen.to_string(), "--listen", &error))?;
        let url = sandbox.url();
        let mut text = format!("A sandbox portal listens on {url}; each call appears here; Ctrl-C ends it.\n");
        for user in &users {
            let role = if user.administrator { "an administrator" } else { "no administrator" };
            text += &format!(
                "  user {} ({role}): webhook {url}/rest/{}/{}/, token {}\n",
                user.id, user.id, user.webhook_code, user.access_token
            );
        }
        if let Some(user) = users.first() {
            text += &format!(
                "Try it: curl -s {url}/rest/{}/{}/crm.item.details.configuration.reset -d entityTypeId=1\n",
                user.id, user.webhook_code
            );
        }
        if let Some(RequestLimit { depth, per_second }) = limit {
            text += &format!(
                "It counts requests for each source address: {depth} at most, {per_second} less each second.\n"
            );
        }
        print(&text)?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(|error| Failure::found(format!("cannot listen to signals: {}", reason(&error))))?;
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_line_without_its_secrets() {
        let recorded = |target: &str, status, answer: &str| Recorded {
            verb: b"POST".into(),
            target: target.into(),
            headers: Vec::new(),
            body: b"auth=sandboxtoken".into(),
            operations: Vec::new(),
            status,
            answer: answer.into(),
        };
        let text = line(&recorded(
            "/rest/1/sandboxcode/user.get?auth=sandboxtoken",
            200,
            "{\"result\":[]}",
        ));
        assert_eq!(text, "200 POST /rest/1/***/user.get\n");
        let text = line(&recorded(
            "/rest/1/wr0ngc0de9/user.get",
            401,
            "{\"error\":\"NO_AUTH_FOUND\",\"error_description\":\"\"}",
        ));
        assert_eq!(text, "401 POST /rest/1/***/user.get  NO_AUTH_FOUND\n");
    }
}
