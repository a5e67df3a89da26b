//! `check`: what `serve` would use with the same words, or why it would not start.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::output::print;
use super::paint::harmless;
use super::settings::{Settings, SettingsSource};
use super::text::reason;
use super::{admin, assemble, effective, here, options, rule_files, terminal, warnings};
use crate::protocol::answer::error_code;
use crate::protocol::target::mask;
use crate::proxy::config::{Listen, Portal};
use crate::proxy::{Answered, probe};

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy check --upstream https://example.bitrix24.com
  b24-migration-proxy check --here --connect --config /etc/b24-migration-proxy/b24-migration-proxy.toml";

pub fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let command = Command::new("check")
        .about("Check the configuration and show what would be used")
        .long_about(
            "Checks the configuration before you start `serve` with it, on any machine. Reads options, environment and \
             configuration file as `serve` does, and the files that they name; prints the effective configuration, each \
             value with its origin. --here also checks this machine: logs, addresses, authorities; it opens no port. \
             --connect also asks the portal.\n\n\
             Exit status: 0 all is well; 1 the portal does not answer as one; 2 the configuration is wrong; 3 this machine is not \
             ready. One line says why.",
        )
        .examples(EXAMPLES)
        .arg(switch("here", "Judge also what this machine has: log folders, addresses, authorities"))
        .arg(switch("connect", "Ask also the portal: its name, TLS, and whether a portal answers"))
        .arg(switch("quiet", "Print nothing when all is well").short('q'));
    options::add_to(command)
}

pub fn run(matches: &ArgMatches) -> Exit {
    let settings = SettingsSource::new(matches.clone()).load()?;
    let catalogue = rule_files::catalogue(&settings.rules)?;
    assemble::policy_of(&settings, &catalogue, None)?;
    assemble::fingerprints(&settings)?;
    admin::token_of(&settings)?;
    let config = assemble::proxy_config(&settings);
    let of_files = crate::proxy::check_tls(&config).map_err(Failure::usage)?;
    let warnings = of_files
        .into_iter()
        .chain(warnings::of_environment())
        .chain(of_listeners(&settings));
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    if matches.get_flag("here") {
        here::check(&settings)?;
    }
    let mut text = effective::text_for(&settings, terminal::width());
    if matches.get_flag("connect") {
        text.push_str(&connect(&settings)?);
    }
    if !matches.get_flag("quiet") {
        print(&text)?;
    }
    Ok(0)
}

fn of_listeners(settings: &Settings) -> Option<String> {
    let has_certificate = !settings.certificates.is_empty();
    let listeners = settings.listen.iter().filter_map(|listen| match listen {
        Listen::Tcp { address, plain } => Some((*address, has_certificate && !plain)),
        Listen::Unix(_) => None,
    });
    warnings::of_listeners(listeners, !settings.trusted_proxies.is_empty())
}

/// Asks the portal, and says what was found, as comments of the configuration.
fn connect(settings: &Settings) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::found(format!("cannot ask the portal: {}", reason(&error))))?;
    runtime.block_on(async {
        let mut lines = vec!["\n# The portal".to_owned()];
        lines.extend(name(settings).await?);
        let answered = probe(&assemble::proxy_config(settings))
            .await
            .map_err(|why| {
                Failure::found(format!(
                    "the portal cannot be reached: {why}; check --upstream and --upstream-connect"
                ))
            })?;
        let at = answered.address.map(|address| address.to_string());
        let tls = answered.tls.unwrap_or("without TLS");
        lines.push(format!(
            "# reached  {}, {tls}",
            at.as_deref().unwrap_or("its socket")
        ));
        lines.push(format!("# answers  {}", judge(&answered)?));
        Ok(lines.join("\n") + "\n")
    })
}

/// What the name that is dialled stands for.
async fn name(settings: &Settings) -> Result<Option<String>, Failure> {
    let (host, port) = match (&settings.upstream, &settings.upstream_connect) {
        (_, Some(dialled)) => (dialled.host.as_str(), dialled.port),
        (Portal::Tcp { host, port, .. }, None) => (host.as_str(), *port),
        (Portal::Unix(_), None) => return Ok(None),
    };
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(None);
    }
    let found = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| {
            Failure::found(format!(
                "the name {host} cannot be resolved: {}; check --upstream and this machine's DNS",
                reason(&error)
            ))
        })?;
    let mut addresses: Vec<String> = found.map(|address| address.ip().to_string()).collect();
    addresses.dedup();
    Ok(Some(format!(
        "# name     {host} is {}",
        addresses.join(", ")
    )))
}

/// Whether what answers is a portal: it knows the call and misses a credential, or bears Bitrix's name.
fn judge(answered: &Answered) -> Result<String, Failure> {
    let Answered { status, body, .. } = answered;
    if let (300..=399, Some(location)) = (status, &answered.location) {
        let to = harmless(&mask(location.as_bytes()));
        return Err(Failure::found(format!(
            "the portal sends its clients elsewhere ({status} to {to}); give that address with --upstream"
        )));
    }
    match error_code(body) {
        Some(code) => Ok(format!("{status} {}, as a portal does", harmless(&code))),
        None if answered.is_marked => Ok(format!("{status}, as a portal does")),
        None => Err(Failure::found(format!(
            "what answers is not a portal ({status} without an error's code); check --upstream, --upstream-host and --rest-path"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, location: Option<&str>, body: &str) -> Result<String, String> {
        let answered = Answered {
            address: None,
            tls: None,
            status,
            location: location.map(str::to_owned),
            is_marked: false,
            body: body.into(),
        };
        judge(&answered).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_portal_is_known_by_its_errors() {
        let refusal = r#"{"error":"NO_AUTH_FOUND","error_description":"Wrong authorization data"}"#;
        assert_eq!(
            judged(401, None, refusal).as_deref(),
            Ok("401 NO_AUTH_FOUND, as a portal does")
        );
        let moved = judged(
            302,
            Some("https://new.bitrix24.com/rest/1/s3cretc0de/x"),
            "",
        );
        let moved = moved.unwrap_err();
        assert!(
            moved.contains("new.bitrix24.com") && !moved.contains("s3cretc0de"),
            "{moved}"
        );
        assert!(
            judged(200, None, "<html>")
                .unwrap_err()
                .contains("is not a portal")
        );
    }
}
