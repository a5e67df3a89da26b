//! What is strange about what `serve` is told and keeps it from nothing: said at the start, and by `check`.

use std::net::SocketAddr;

use super::options::{OPTIONS, Spec};
use super::text::nearest;

/// Variables that are not options of `serve`.
pub const OTHER_VARIABLES: [&str; 4] = [
    "B24_PROXY_CONFIG",
    "B24_PROXY_ASK_WEBHOOK",
    "B24_PROXY_SANDBOX_LISTEN",
    "B24_PROXY_SANDBOX_RATE",
];

const PREFIX: &str = "B24_PROXY_";

/// As [`of_variables`], of this process.
pub fn of_environment() -> Vec<String> {
    of_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

/// A warning for each variable that looks like one of ours and is none. Its value may be a secret and is not shown.
pub fn of_variables(set: impl Iterator<Item = String>) -> Vec<String> {
    let known: Vec<String> = OPTIONS
        .iter()
        .map(Spec::variable)
        .chain(OTHER_VARIABLES.map(str::to_owned))
        .collect();
    let mut unknown: Vec<String> = set
        .filter(|name| name.starts_with(PREFIX) && !known.contains(name) && !is_kubernetes(name))
        .collect();
    unknown.sort_unstable();
    // Without the prefix, which all have and which would make them all alike.
    let stems: Vec<String> = known
        .iter()
        .filter_map(|known| known.strip_prefix(PREFIX))
        .map(|stem| stem.to_ascii_lowercase().replace('_', "-"))
        .collect();
    unknown
        .iter()
        .map(|name| {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
            let hint = match nearest(&name[PREFIX.len()..], stems.iter().map(String::as_str)) {
                Some(stem) => format!(
                    "did you mean {PREFIX}{}?",
                    stem.to_ascii_uppercase().replace('-', "_")
                ),
                None => "docs/CONFIGURATION.md lists all".to_owned(),
            };
            format!("the variable {shown} sets nothing: there is no such option; {hint}")
        })
        .collect()
}

/// Whether Kubernetes sets it, in each container, for a Service that is called as we are (`b24-proxy`, `b24-proxy-admin`).
fn is_kubernetes(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_PORT") && !name.ends_with("_TCP_PORT") {
        return true;
    }
    if let Some((_, port)) = name.rsplit_once("_SERVICE_PORT") {
        return port.is_empty() || port.starts_with('_');
    }
    // …_PORT_8080_TCP, and that with _PROTO, _PORT or _ADDR.
    name.match_indices("_PORT_").any(|(at, mark)| {
        let mut words = name[at + mark.len()..].split('_');
        let port = words.next().unwrap_or_default();
        let protocol = words.next().unwrap_or_default();
        is_number(port) && matches!(protocol, "TCP" | "UDP" | "SCTP")
    })
}

/// A warning for listeners that take plain HTTP from other machines, where nobody is said to stand in front. Each with
/// whether it speaks TLS.
pub fn of_listeners(
    listeners: impl Iterator<Item = (SocketAddr, bool)>,
    has_front: bool,
) -> Option<String> {
    let open: Vec<String> = listeners
        .filter(|(address, tls)| !tls && !address.ip().to_canonical().is_loopback())
        .map(|(address, _)| address.to_string())
        .collect();
    (!open.is_empty() && !has_front).then(|| {
        format!(
            "plain HTTP is taken from other machines on {}: who is on the way reads every webhook and token; give it \
             --tls-cert and --tls-key, or name what speaks TLS in front of it with --trusted-proxy",
            open.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(names: &[&str]) -> Vec<String> {
        of_variables(names.iter().map(|name| (*name).to_owned()))
    }

    #[test]
    fn a_misspelt_variable_is_told_the_nearest_and_kubernetes_own_are_passed_over() {
        assert_eq!(
            warnings(&[
                "B24_PROXY_UPSTREAM",
                "B24_PROXY_LISEN",
                "HOME",
                "B24_PROXY_CONFIG"
            ]),
            [
                "the variable B24_PROXY_LISEN sets nothing: there is no such option; did you mean B24_PROXY_LISTEN?"
            ]
        );
        assert!(warnings(&["B24_PROXY_QQQ"])[0].ends_with("docs/CONFIGURATION.md lists all"));
        let of_kubernetes = [
            "B24_PROXY_SERVICE_HOST",
            "B24_PROXY_SERVICE_PORT",
            "B24_PROXY_SERVICE_PORT_HTTP",
            "B24_PROXY_PORT",
            "B24_PROXY_PORT_8080_TCP",
            "B24_PROXY_PORT_8080_TCP_ADDR",
            "B24_PROXY_PORT_8080_TCP_PORT",
            "B24_PROXY_PORT_8080_TCP_PROTO",
            "B24_PROXY_ADMIN_SERVICE_HOST",
            "B24_PROXY_ADMIN_PORT_9090_TCP",
        ];
        assert_eq!(warnings(&of_kubernetes), [""; 0]);
    }

    #[test]
    fn plain_http_beyond_loopback_without_a_front_is_told() {
        let of = |address: &str, tls, front| {
            of_listeners([(address.parse().unwrap(), tls)].into_iter(), front).is_some()
        };
        assert!(of("0.0.0.0:8080", false, false) && of("[::]:80", false, false));
        assert!(of("192.0.2.7:80", false, false));
        assert!(!of("127.0.0.1:8080", false, false) && !of("[::1]:8080", false, false));
        assert!(!of("0.0.0.0:8080", true, false) && !of("0.0.0.0:8080", false, true));
    }
}
