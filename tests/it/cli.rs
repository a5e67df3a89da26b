//! The command line as a user meets it: the program itself, its exit status, and the one line it says.

use std::process::{Command, Output};

use b24_migration_proxy::cli::options::{OPTIONS, Shape, Spec};

fn program(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"));
    command.args(words);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("B24_PROXY_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(words: &[&str]) -> Output {
    program(words).output().expect("the program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// The one line of a command that must end with status 2.
fn refusal(words: &[&str]) -> String {
    line_and_status(words, 2)
}

fn line_and_status(words: &[&str], status: i32) -> String {
    let output = run(words);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{words:?}: {said}");
    assert_eq!(said.lines().count(), 1, "{words:?}: {said}");
    assert_eq!(stdout(&output), "", "{words:?}");
    said
}

const UPSTREAM: [&str; 2] = ["--upstream", "https://example.bitrix24.com"];

#[test]
fn a_wrong_word_is_one_line_and_status_2() {
    for (words, said) in [
        (&["serve"][..], "--upstream is missing"),
        (&["serve", "--lisen", "x"], "did you mean --listen?"),
        (&["srve"], "did you mean serve?"),
        (&["serve", "--upstream"], "--upstream needs a value"),
        (&["serve", "--upstream", "example.bitrix24.com"], "https://"),
        (
            &[
                "serve",
                "--upstream",
                "https://a.example",
                "--log-level",
                "inof",
            ],
            "did you mean info?",
        ),
        (
            &["check", "--config", "/nowhere/proxy.toml"],
            "/nowhere/proxy.toml",
        ),
        (
            &["serve", "--upstream", "http://127.0.0.1:8080"],
            "own --listen address",
        ),
    ] {
        let line = refusal(words);
        assert!(line.contains(said), "{words:?}: {line}");
    }
}

#[test]
fn an_upstream_pasted_with_its_webhook_is_refused_without_repeating_the_code() {
    for upstream in [
        "https://example.bitrix24.com/rest/1/s3cretc0de/",
        "https://example.bitrix24.com/?auth=s3cretc0de",
        "https://1:s3cretc0de@example.bitrix24.com",
        "https://example.bitrix24.com#s3cretc0de",
    ] {
        assert!(!refusal(&["serve", "--upstream", upstream]).contains("s3cret"));
        let output = program(&["check"])
            .env("B24_PROXY_UPSTREAM", upstream)
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).starts_with("B24_PROXY_UPSTREAM: ")
                && !stderr(&output).contains("s3cret")
        );
    }
}

#[test]
fn a_webhook_pasted_into_any_option_is_not_repeated() {
    let webhook = "https://example.bitrix24.com/rest/1/s3cretc0de/";
    for name in OPTIONS.iter().map(|spec| spec.name).chain(["config"]) {
        let option = format!("--{name}={webhook}");
        let words = [&UPSTREAM[..], &[&option]].concat();
        // With an option that takes anything it ends at its listener.
        let serve = run(&[&["serve", "--listen", "unix:/nowhere/b24.sock"], &words[..]].concat());
        assert!(matches!(serve.status.code(), Some(2 | 3)), "{name}");
        let check = run(&[&["check"], &words[..]].concat());
        for said in [
            stderr(&serve),
            stdout(&serve),
            stderr(&check),
            stdout(&check),
        ] {
            assert!(!said.contains("s3cret"), "{name}: {said}");
        }
    }
}

#[test]
fn check_says_what_would_be_used_and_from_where() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(
        file.path(),
        "upstream = 'https://file.example'\nbody-timeout = '7s'\nmax-connections = 9\n",
    )
    .expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let output = program(&["check", "--config", path, "--header-timeout", "3s"])
        .env("B24_PROXY_BODY_TIMEOUT", "8s")
        .env("B24_PROXY_LISTEN", "127.0.0.1:7001, unix:/run/x.sock")
        .env("B24_PROXY_CALLERS", "")
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let line = |key: &str| {
        let found = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_else(|| panic!("{key}: {text}"));
        found
            .split('#')
            .map(str::trim)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        line("upstream ="),
        [
            "upstream = \"https://file.example\"",
            &format!("{path}:1:12")
        ]
    );
    assert_eq!(
        line("body-timeout"),
        ["body-timeout = \"8s\"", "environment"]
    );
    assert_eq!(
        line("header-timeout"),
        ["header-timeout = \"3s\"", "option"]
    );
    assert_eq!(
        line("max-connections ="),
        ["max-connections = \"9\"", &format!("{path}:3:19")]
    );
    assert_eq!(
        line("connect-timeout"),
        ["connect-timeout = \"5s\"", "default"]
    );
    assert_eq!(
        line("listen ="),
        [
            "listen = [\"127.0.0.1:7001\", \"unix:/run/x.sock\"]",
            "environment"
        ]
    );
    assert_eq!(line("# callers"), ["", "callers =", "not set"]);
}

#[test]
fn an_unknown_key_of_the_file_is_refused_with_its_place_and_the_nearest_name() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(
        file.path(),
        "upstream = 'https://file.example'\n  body_timeot = '7s'\n",
    )
    .expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let line = refusal(&["check", "--config", path]);
    assert_eq!(
        line.trim(),
        format!("{path}:2:3: there is no key body_timeot; did you mean body-timeout?")
    );
}

#[test]
fn print_config_ends_before_anything_is_opened() {
    let output = run(&[&["serve", "--print-config"], &UPSTREAM[..]].concat());
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stdout(&output),
        stdout(&run(&[&["check"], &UPSTREAM[..]].concat()))
    );
}

#[test]
fn every_option_stands_in_the_help_with_its_variable() {
    let help = stdout(&run(&["serve", "--help"]));
    for spec in OPTIONS {
        assert!(help.contains(&format!("--{}", spec.name)), "{}", spec.name);
        assert!(
            help.contains(&format!("[env: {}", spec.variable())),
            "{}",
            spec.name
        );
    }
}

#[test]
fn completions_and_the_manual_page_name_every_command() {
    for words in [
        &["completions", "bash"][..],
        &["completions", "zsh"],
        &["completions", "fish"],
        &["man"],
    ] {
        let text = stdout(&run(words));
        for command in ["serve", "check", "healthcheck"] {
            assert!(text.contains(command), "{words:?}: {command}");
        }
    }
    let line = refusal(&["completions", "tcl"]);
    assert!(line.contains("bash"), "{line}");
}

#[test]
fn a_health_check_of_nobody_is_status_1() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port")
        .port();
    let output = run(&[
        "healthcheck",
        "--admin-listen",
        &format!("127.0.0.1:{port}"),
    ]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no answer"), "{}", stderr(&output));
}

#[test]
fn the_example_configuration_is_one_that_serve_takes() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/b24-migration-proxy.toml"
    );
    let output = run(&["check", "--config", path]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn the_documented_modes_are_ones_that_serve_takes() {
    let text = include_str!("../../docs/CONFIGURATION.md");
    let block = text
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|block| block.contains("[[mode]]"))
        .expect("a block with [[mode]]");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let text = format!("upstream = 'https://example.bitrix24.com'\n{block}");
    std::fs::write(file.path(), text).expect("written");
    let callers = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(callers.path(), "[[caller]]\nname = 'Old shop'\nuser = 1\n").expect("written");
    let path = |file: &tempfile::NamedTempFile| file.path().display().to_string();
    let output = run(&[
        "check",
        "--config",
        &path(&file),
        "--callers",
        &path(&callers),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// `UPDATE_DOCS=1 cargo test` writes the table anew.
#[test]
fn the_documentation_lists_every_option_as_it_is_declared() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
    let text = std::fs::read_to_string(path).expect("docs/CONFIGURATION.md");
    let (begin, end) = ("<!-- options: begin -->\n", "<!-- options: end -->");
    let (before, rest) = text.split_once(begin).expect("the table's begin");
    let (_, after) = rest.split_once(end).expect("the table's end");
    let wanted = format!("{before}{begin}{}\n{end}{after}", table());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).expect("written");
    } else {
        assert!(
            text == wanted,
            "docs/CONFIGURATION.md is not what the code says; UPDATE_DOCS=1 cargo test writes it"
        );
    }
}

fn table() -> String {
    let mut section = "";
    let mut text = String::new();
    for spec in OPTIONS {
        if spec.section != section {
            section = spec.section;
            text += &format!("\n### {section}\n\n| option | default | |\n|---|---|---|\n");
        }
        text += &row(spec);
    }
    text
}

fn row(spec: &Spec) -> String {
    let value = spec.value.replace('|', "\\|");
    let written = match spec.shape {
        Shape::Switch => format!("`--{}`", spec.name),
        Shape::One | Shape::Many => format!("`--{} {value}`", spec.name),
    };
    let default = match (spec.name, spec.shape, spec.default) {
        (_, Shape::Switch, _) => "off".to_owned(),
        ("threads", ..) => "one per core".to_owned(),
        (_, _, Some(default)) => format!("`{default}`"),
        (_, _, None) => String::new(),
    };
    let reload = if spec.change == b24_migration_proxy::cli::options::Change::Applied {
        " *SIGHUP applies it.*"
    } else {
        ""
    };
    let help = spec
        .help
        .replace(" [required]", "")
        .replace(" [default: one per core]", "");
    let more = if spec.more.is_empty() {
        String::new()
    } else {
        format!(" {}", spec.more)
    };
    format!(
        "| {written} | {default} | {}.{}{reload} |\n",
        escaped(&help),
        escaped(&more)
    )
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[test]
fn an_address_that_cannot_be_listened_on_says_why_and_what_to_do() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("an address").to_string();
    for (listen, said) in [
        (taken.as_str(), "the port is in use"),
        ("unix:/nowhere/b24.sock", "its folder does not exist"),
    ] {
        let serve = ["serve", "--listen", listen, "--admin-listen", "off"];
        let line = line_and_status(&[&serve, &UPSTREAM[..]].concat(), 3);
        assert!(
            line.starts_with(&format!("cannot listen on {listen}: ")),
            "{line}"
        );
        assert!(line.contains(said) && line.contains("--listen"), "{line}");
    }
}

#[test]
fn the_demo_translates_every_call_as_it_should_be() {
    let output = run(&["demo", "--once"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}{}", stderr(&output));
    for way in [
        "JSON",
        "form",
        "multipart",
        "GET",
        ".xml",
        "raw <",
        "OAuth",
        "batch in JSON",
        "batch in a form",
    ] {
        assert!(text.contains(way), "{way}: {text}");
    }
    // A burst: what fails directly succeeds through the proxy.
    let row = |way: &str| -> Vec<usize> {
        let row = text.lines().find(|line| line.starts_with(way));
        let numbers = row.unwrap_or_default().split_whitespace();
        numbers.filter_map(|word| word.parse().ok()).collect()
    };
    let directly = row("directly ");
    assert!(
        directly[..2] == [18, 6] || directly[..2] == [18, 12],
        "{text}"
    );
    assert_eq!(row("through the proxy, "), [18, 18, 0], "{text}");
    assert!(
        !text.contains("WRONG") && !text.contains("sandboxcode"),
        "{text}"
    );
}

#[test]
fn translate_shows_a_call_before_and_after_with_its_changes() {
    let words = [
        "translate",
        "/rest/1/s3cretc0de/crm.lead.details.configuration.reset?entityTypeId=7",
    ];
    let output = run(&[
        &words[..],
        &["--data", r#"{"extras":{"lead.customer.type":2}}"#],
    ]
    .concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "POST /rest/1/***/crm.lead.details.configuration.reset?entityTypeId=7",
        "POST /rest/1/***/crm.item.details.configuration.reset",
        r#"{"extras":{"lead.customer.type":2}}"#,
        "extras[lead.customer.type] is now extras[leadCustomerType]",
        "https://apidocs.bitrix24.com/",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        !text.contains("s3cret") && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[test]
fn translate_shows_a_refusal_as_such_and_still_ends_well() {
    let output = run(&[
        "translate",
        "crm.lead.details.configuration.reset",
        "--data",
        "{",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["outcome"], "refused");
    assert_eq!(answer["answer"]["status"], 400);
    assert_eq!(answer["portal"], serde_json::Value::Null);
    assert_eq!(answer["uses"][0]["reason"], "unreadable");
}

#[test]
fn translate_reads_its_body_from_standard_input_or_a_file() {
    use std::io::Write;
    let body = br#"{"cmd":{"a":"crm.lead.details.configuration.reset","b":"user.current"}}"#;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), body).expect("written");
    let by_file = run(&[
        "translate",
        "batch",
        "--json",
        "--data",
        &format!("@{}", file.path().display()),
    ]);
    let mut child = program(&["translate", "batch", "--json", "-d", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program runs");
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(body)
        .expect("written");
    let by_input = child.wait_with_output().expect("its output");
    assert_eq!(by_file.stdout, by_input.stdout);
    let answer: serde_json::Value = serde_json::from_slice(&by_input.stdout).expect("JSON");
    assert_eq!(answer["outcome"], "rewritten");
    assert_eq!(answer["uses"][0]["batch_key"], "a");
}

#[test]
fn the_sandbox_alone_says_how_to_call_it_and_answers() {
    use std::io::{BufRead, BufReader};
    let mut child = program(&["sandbox", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let first = lines.next().expect("a line").expect("UTF-8");
    let address = first
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .expect("an address")
        .to_owned();
    let call = |target: &str| {
        crate::support::client::call(
            address.parse().expect("an address"),
            crate::support::client::get(target),
        )
    };
    assert_eq!(call("/rest/1/sandboxcode/user.current?auth=").status(), 200);
    assert_eq!(call("/rest/1/wr0ngs3cret/crm.lead.list").status(), 401);
    let told: Vec<String> = lines
        .map_while(Result::ok)
        .filter(|line| line.contains(" GET "))
        .take(2)
        .collect();
    assert_eq!(
        told,
        [
            "200 GET /rest/1/***/user.current  user.current",
            "401 GET /rest/1/***/crm.lead.list  INVALID_CREDENTIALS"
        ]
    );
    child.kill().expect("ended");
    child.wait().expect("gone");
}

#[test]
fn a_demo_that_is_terminated_leaves_nothing() {
    use rustix::process::{Pid, Signal, kill_process};
    use std::io::{BufRead, BufReader};
    let folder = tempfile::tempdir().expect("a folder");
    // In the middle of its calls, and when it waits for people to try.
    for sign in ["The proxy listens on", "Try it; each use appears here"] {
        let mut child = program(&["demo"])
            .env("TMPDIR", folder.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains(sign))));
        let pid = Pid::from_raw(child.id().try_into().expect("a pid")).expect("a pid");
        kill_process(pid, Signal::TERM).expect("it lives");
        std::thread::spawn(move || lines.for_each(drop));
        assert_eq!(child.wait().expect("its end").code(), Some(0), "{sign}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).expect("there").collect();
        assert!(left.is_empty(), "{sign}: {left:?}");
    }
}

#[test]
fn check_judges_the_configuration_and_with_here_the_machine_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("no/deprecated.jsonl");
    let log = log.to_str().expect("a path");
    let foreign = "192.0.2.77:8080";
    let front = ["--trusted-proxy", "10.0.0.0/8"];
    for (words, said) in [
        (
            &["--listen", foreign][..],
            "this machine has no such address",
        ),
        (
            &["--admin-listen", foreign],
            "this machine has no such address",
        ),
        (
            &["--deprecation-log", log],
            "cannot open the deprecation log",
        ),
        (&["--access-log", log], "cannot open the access log"),
        (
            &["--upstream-source", "192.0.2.77"],
            "this machine has no address 192.0.2.77",
        ),
        (
            &["--listen", "unix:/nowhere/b24.sock"],
            "its folder does not exist",
        ),
    ] {
        let words = [&["check"], &UPSTREAM[..], words, &front].concat();
        let output = run(&words);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(stderr(&output), "");
        let line = line_and_status(&[&words[..], &["--here"]].concat(), 3);
        assert!(line.contains(said), "{line}");
        // The same is what `serve` says, and that it could have been known.
        let serve = [&["serve"], &words[1..], &["--log-level", "off"]].concat();
        let serve = match words.contains(&"--listen") {
            true => serve,
            false => [&serve[..], &["--listen", "127.0.0.1:0"]].concat(),
        };
        let serve = match words.contains(&"--admin-listen") {
            true => serve,
            false => [&serve[..], &["--admin-listen", "off"]].concat(),
        };
        let at_the_start = line_and_status(&serve, 3);
        let refused = at_the_start
            .trim_end()
            .strip_suffix(" (`check --here` says so without a start)");
        assert_eq!(
            refused.unwrap_or(&at_the_start),
            line.trim_end(),
            "{at_the_start}"
        );
    }
    assert!(!folder.path().join("no").exists());
    let output = run(&[
        &[
            "check",
            "--here",
            "--admin-listen",
            "off",
            "--listen",
            "127.0.0.1:1080",
        ],
        &UPSTREAM[..],
    ]
    .concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn check_asks_the_portal_where_that_is_wished() {
    use crate::support::portal::Portal;
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            let body =
                br#"{"error":"NO_AUTH_FOUND","error_description":"Wrong authorization data"}"#;
            visit.answer_to(&request, 401, "", body);
            visit.close();
        }
    });
    let asked = |upstream: &str| run(&["check", "--connect", "--upstream", upstream]);
    let output = asked(&format!("http://localhost:{}", portal.address.port()));
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(text.contains("# name     localhost is "), "{text}");
    assert!(
        text.contains(&format!("# reached  {}, without TLS\n", portal.address)),
        "{text}"
    );
    assert!(
        text.contains("# answers  401 NO_AUTH_FOUND, as a portal does\n"),
        "{text}"
    );
    assert_eq!(portal.requests()[0].target(), b"/rest/scope.json");
    let website = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            visit.answer_to(&request, 200, "", b"<html>");
            visit.close();
        }
    });
    for (upstream, why) in [
        (
            website.url(),
            "what answers is not a portal (200 without an error's code)",
        ),
        ("http://127.0.0.1:9".to_owned(), "it refused the connection"),
        (
            "https://no-such-name.invalid".to_owned(),
            "the name no-such-name.invalid cannot be resolved",
        ),
    ] {
        let output = asked(&upstream);
        assert_eq!(output.status.code(), Some(1), "{upstream}");
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1);
    }
}

#[test]
fn a_variable_that_is_none_and_plain_http_for_all_are_warnings() {
    let words = [
        &["check", "--quiet", "--listen", "0.0.0.0:8080"],
        &UPSTREAM[..],
    ]
    .concat();
    let mut command = program(&words);
    command
        .env("B24_PROXY_LISEN", "s3cret")
        .env("B24_PROXY_SERVICE_HOST", "10.0.0.1");
    let output = command.output().expect("the program runs");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines[0].contains("B24_PROXY_LISEN sets nothing")
            && lines[0].contains("did you mean B24_PROXY_LISTEN?")
    );
    assert!(lines[1].contains("plain HTTP is taken from other machines on 0.0.0.0:8080"));
    assert!(!said.contains("s3cret"));
}

#[test]
fn the_example_configuration_has_nothing_to_warn_of() {
    let example = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/deploy/b24-migration-proxy.toml"
    );
    let output = run(&["check", "--quiet", "--config", example]);
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
}
