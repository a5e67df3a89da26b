//! Layers of options become settings, and what does not go together is refused.

use super::*;
use crate::catalogue::Mode;
use crate::ladder::Step;
use clap::Command;

fn load(words: &[&str]) -> Result<Settings, Failure> {
    let command = super::super::options::add_to(Command::new("serve"));
    let words = std::iter::once("serve").chain(words.iter().copied());
    SettingsSource::new(
        command
            .try_get_matches_from(words)
            .expect("words that clap takes"),
    )
    .load()
}

fn failure(words: &[&str]) -> String {
    load(words).expect_err("a failure").to_string()
}

const UPSTREAM: [&str; 2] = ["--upstream", "https://example.bitrix24.com"];

#[test]
fn an_upstream_is_all_that_is_needed() {
    let settings = load(&UPSTREAM).unwrap();
    assert_eq!(
        settings.listen,
        [Listen::Tcp {
            address: "127.0.0.1:8080".parse().unwrap(),
            plain: false
        }]
    );
    assert_eq!(
        settings.admin_listen,
        Some("127.0.0.1:9090".parse().unwrap())
    );
    assert_eq!(settings.time.response, Duration::from_secs(75));
    assert_eq!(settings.limits.rewrite_memory, 256 << 20);
    assert_eq!(settings.deprecation_log, LogTarget::Stdout);
    assert!(settings.threads >= 1 && settings.rewrite_origin && settings.deprecation_headers);
}

#[test]
fn without_an_upstream_it_says_what_to_give() {
    assert!(failure(&[]).contains("--upstream https://example.bitrix24.com"));
}

#[test]
fn an_option_wins_over_the_file_and_the_file_over_the_default() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "upstream='https://a.example'\nbody-timeout='7s'\nheader-timeout='8s'",
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    let settings = load(&["--config", path, "--body-timeout", "9s"]).unwrap();
    assert_eq!(settings.time.body, Duration::from_secs(9));
    assert_eq!(settings.time.header, Duration::from_secs(8));
    assert_eq!(settings.time.connect, Duration::from_secs(5));
}

#[test]
fn a_switch_of_the_file_can_be_turned_off_by_its_option() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "upstream='https://a.example'\nhttp2=true").unwrap();
    let path = file.path().to_str().unwrap();
    assert!(load(&["--config", path]).unwrap().http2);
    assert!(!load(&["--config", path, "--http2=false"]).unwrap().http2);
}

#[test]
fn a_wrong_value_says_where_it_stood() {
    assert!(
        failure(&["--upstream", "https://a.example", "--body-timeout", "5"])
            .starts_with("--body-timeout: ")
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "upstream='https://a.example'\nbody-timeout='5'",
    )
    .unwrap();
    let path = file.path().to_str().unwrap();
    assert!(failure(&["--config", path]).starts_with(&format!("{path}:2:14: body-timeout: ")));
}

#[test]
fn an_upstream_that_is_our_own_listener_is_refused() {
    for (upstream, listen) in [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost:8080", "0.0.0.0:8080"),
        ("http://localhost:8080", "[::1]:8080"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
    ] {
        assert!(
            failure(&["--upstream", upstream, "--listen", listen]).contains("own --listen"),
            "{upstream}"
        );
    }
    assert!(
        load(&[
            "--upstream",
            "http://127.0.0.1:8081",
            "--listen",
            "127.0.0.1:8080"
        ])
        .is_ok()
    );
    assert!(
        failure(&[
            "--upstream",
            "https://a.example",
            "--upstream-connect",
            "127.0.0.1:8080"
        ])
        .contains("own")
    );
}

/// Options that contradict each other, beside an upstream, and all that the failure says.
const CONTRADICTIONS: &[(&[&str], &str)] = &[
    (
        &["--preserve-host", "--upstream-host", "a.example"],
        "--preserve-host: it contradicts --upstream-host; leave one of them away",
    ),
    (
        &["--accept-proxy-protocol"],
        "--accept-proxy-protocol: nobody is trusted to speak it; name the proxies with --trusted-proxy",
    ),
    (
        &["--rewrite-memory", "1MiB"],
        "--rewrite-memory: it is less than --max-rewrite-body, so that the largest body never fits",
    ),
    (
        &["--protect-metrics"],
        "--protect-metrics: there is no token to ask for; name its file with --admin-token-file",
    ),
    (
        &["--tls-cert", "/nowhere.pem"],
        "--tls-cert: it needs --tls-key beside it",
    ),
    (
        &["--tls-key", "/nowhere.key"],
        "--tls-key: it needs --tls-cert beside it",
    ),
    (
        &["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.key"],
        "cannot read the certificate /nowhere.pem: no such file or directory; check its name and who may read it",
    ),
    (
        &["--tls-cert", "/dev/null", "--tls-key", "/nowhere.key"],
        "cannot read the private key /nowhere.key: no such file or directory; check its name and who may read it",
    ),
    (
        &["--listen", "127.0.0.1:9090"],
        "--admin-listen: it is also a --listen address; choose another port",
    ),
    (
        &["--upstream-connect", "127.0.0.1:8080"],
        "--upstream: it is the proxy's own --listen address, so that calls would go round for ever; give the portal's",
    ),
    (
        &[
            "--upstream-source",
            "192.0.2.1",
            "--upstream-source",
            "192.0.2.1",
        ],
        "--upstream-source: it names an address twice, but the portal counts it once; name each once",
    ),
    (
        &["--rate-store-user", "pace"],
        "--rate-store-user: there is no --rate-store that would ask for it",
    ),
    (
        &["--rate-store-password-file", "/nowhere.txt"],
        "--rate-store-password-file: there is no --rate-store that would ask for it",
    ),
    #[cfg(feature = "rate-store")]
    (
        &[
            "--rate-store",
            "redis://127.0.0.1:6379",
            "--portal-rate",
            "off",
        ],
        "--rate-store: with --portal-rate off nothing is shared; leave one of them away",
    ),
    #[cfg(not(feature = "rate-store"))]
    (
        &["--rate-store", "redis://127.0.0.1:6379"],
        "--rate-store: this build has none; build it with the feature rate-store",
    ),
];

#[test]
fn each_contradiction_of_options_has_its_own_message() {
    for (words, message) in CONTRADICTIONS {
        assert_eq!(failure(&[&UPSTREAM[..], words].concat()), *message);
    }
    let unix = ["--upstream", "unix:/a"];
    for (words, message) in [
        (
            ["--upstream-connect", "b.example:1"],
            "--upstream-connect: a unix: upstream is dialled at its path; leave one of them away",
        ),
        (
            ["--upstream-source", "192.0.2.1"],
            "--upstream-source: a unix: upstream is reached from no address; leave one of them away",
        ),
    ] {
        assert_eq!(failure(&[unix, words].concat()), message);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "upstream='https://a.example'\nlisten=[]").unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(
        failure(&["--config", path]),
        format!("{path}:2:8: listen: it names no address; give one, as 127.0.0.1:8080")
    );
}

#[test]
fn each_check_of_what_goes_together_has_a_row_of_contradictions() {
    let source = include_str!("../settings.rs");
    let checks = source.find("fn check_pace").unwrap()..source.find("const LEVELS").unwrap();
    let texts: Vec<&str> = source[checks]
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|text| text.contains(' '))
        .collect();
    assert!(texts.len() >= 10, "{texts:?}");
    for text in texts {
        assert!(
            include_str!("tests.rs").contains(text),
            "no row expects: {text}"
        );
    }
}

#[test]
fn a_mode_is_for_all_or_for_one_method() {
    let words = [
        &UPSTREAM[..],
        &["--mode", "observe", "--mode", "CRM.Lead.Get=Block"],
    ]
    .concat();
    let modes = load(&words).unwrap().modes;
    assert_eq!(
        modes[0],
        ModeSetting {
            method: None,
            step: Step::always(Mode::Observe)
        }
    );
    assert_eq!(
        modes[1],
        ModeSetting {
            method: Some("crm.lead.get".to_owned()),
            step: Step::always(Mode::Block)
        }
    );
    assert!(
        failure(&[&UPSTREAM[..], &["--mode", "blok"]].concat()).contains("did you mean block?")
    );
    let dated = [
        &UPSTREAM[..],
        &["--mode", "crm.lead.get=block from 2027-03-01"],
    ]
    .concat();
    assert_eq!(
        Step::parse("block from 2027-03-01"),
        Ok(load(&dated).unwrap().modes[0].step)
    );
}

#[test]
fn a_reload_names_what_waits_for_a_restart() {
    let old = load(&UPSTREAM).unwrap();
    let new = load(
        &[
            &UPSTREAM[..],
            &["--listen", "127.0.0.1:1", "--mode", "block"],
        ]
        .concat(),
    )
    .unwrap();
    assert_eq!(old.needs_restart(&new).collect::<Vec<_>>(), ["listen"]);
}
