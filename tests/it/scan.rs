//! `scan` over trees on disk: what was planted is found, a clean tree is clean, every format holds the same.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const RESET: &str = "crm.lead.details.configuration.reset";

fn scan(tree: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"))
        .current_dir(tree)
        .arg("scan")
        .args(words)
        .output()
        .expect("the program runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn plant(tree: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = tree.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, content).expect("written");
}

/// A tree with one call in each way that is certain, and things that must not be found.
fn planted() -> tempfile::TempDir {
    let tree = tempfile::tempdir().expect("a folder");
    let at = tree.path();
    plant(
        at,
        "src/a.php",
        format!("<?php\n\nCRest::call('{RESET}', []);\n"),
    );
    plant(
        at,
        "src/b.js",
        "BX24.callMethod(\n  'crm.lead.details.configuration' + '.reset',\n  {});\n",
    );
    plant(
        at,
        "c.py",
        "LEAD = 'crm.lead'\nb.call(f'{LEAD}.details.configuration.reset')\n",
    );
    plant(
        at,
        "d.sh",
        format!("curl https://x.bitrix24.com/rest/1/s3cr3tcode/{RESET}.json\n"),
    );
    plant(
        at,
        ".github/e.yml",
        format!("run: call {}\n", RESET.to_uppercase()),
    );
    plant(
        at,
        "n8n.json",
        format!("{{\"jsCode\":\"\\nreturn '{RESET}'\"}}"),
    );
    let wide: Vec<u8> = std::iter::once(0xfeff)
        .chain(format!("Invoke '{RESET}'\r\n").encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    plant(at, "g.ps1", wide);
    plant(at, "h.php", "<?php $b->call('crm.lead.' . $action);\n");
    plant(at, ".gitignore", "vendor/\n");
    plant(at, "vendor/x.php", format!("'{RESET}'"));
    plant(at, ".git/config", format!("'{RESET}'"));
    plant(at, "picture.bin", format!("\0'{RESET}'"));
    plant(
        at,
        "other.php",
        format!("'x{RESET}' '{RESET}x' '{RESET}.all' 'crm.item.get'"),
    );
    tree
}

fn places(output: &Output) -> Vec<String> {
    let whole: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    whole["found"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| format!("{}:{}", row["file"].as_str().unwrap_or("?"), row["line"]))
        .collect()
}

#[test]
fn all_that_was_planted_is_found_and_nothing_else() {
    let tree = planted();
    let output = scan(tree.path(), &[".", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        places(&output),
        [
            ".github/e.yml:1",
            "c.py:2",
            "d.sh:1",
            "g.ps1:1",
            "n8n.json:1",
            "src/a.php:3",
            "src/b.js:2"
        ]
    );
    let whole: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(whole["binary_files"], 1);
    assert_eq!(whole["unseen"][0]["file"], "h.php");
    assert_eq!(whole["found"][0]["method"], RESET);
    assert_eq!(
        whole["found"][0]["successor"],
        "crm.item.details.configuration.reset"
    );
    assert_eq!(whole["found"][0]["translated"], true);
    assert!(
        whole["found"][0]["documentation"]
            .as_str()
            .is_some_and(|page| page.starts_with("https://apidocs.bitrix24.com/"))
    );
}

#[test]
fn a_clean_tree_is_clean_and_passes() {
    let tree = tempfile::tempdir().expect("a folder");
    plant(
        tree.path(),
        "a.php",
        "<?php call('crm.item.get'); // the methods of a task.\n",
    );
    let output = scan(tree.path(), &["--fail", "."]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stdout(&output),
        "0 lines of 0 deprecated methods and 0 places to look at in 1 file searched\n"
    );
}

#[test]
fn fail_ends_with_status_1_when_something_is_found_or_to_be_looked_at() {
    let tree = planted();
    assert_eq!(scan(tree.path(), &[".", "--fail"]).status.code(), Some(1));
    assert_eq!(
        scan(tree.path(), &["h.php", "--fail"]).status.code(),
        Some(1),
        "a place to look at"
    );
    assert_eq!(
        scan(tree.path(), &["other.php", "--fail"]).status.code(),
        Some(0)
    );
}

#[test]
fn columns_behind_a_byte_order_mark_are_those_of_an_editor() {
    let tree = tempfile::tempdir().expect("a folder");
    plant(
        tree.path(),
        "a.php",
        format!("\u{feff}<?php f('{RESET}');\n f('{RESET}');"),
    );
    let output = stdout(&scan(tree.path(), &["."]));
    assert!(output.contains("a.php:1:10 "), "{output}");
    assert!(output.contains("a.php:2:5 "), "{output}");
}

#[test]
fn no_format_shows_what_stands_on_a_line() {
    let tree = planted();
    for format in ["table", "json", "sarif", "github"] {
        let output = stdout(&scan(tree.path(), &[".", "--format", format]));
        assert!(output.contains("d.sh"), "{format}");
        assert!(!output.contains("s3cr3tcode"), "{format}: {output}");
    }
}

#[test]
fn the_table_names_place_method_successor_and_documentation() {
    let tree = planted();
    let output = stdout(&scan(tree.path(), &["src"]));
    let row = output.lines().nth(1).expect("a row");
    assert!(row.starts_with("src/a.php:3:"), "{output}");
    for part in [
        RESET,
        "crm.item.details.configuration.reset",
        " yes ",
        "https://apidocs.bitrix24.com/api-reference/crm/leads/custom-form/crm-lead-details-configuration-reset.html",
    ] {
        assert!(row.contains(part), "{output}");
    }
    assert!(
        output.ends_with(
            "2 lines of 1 deprecated method and 0 places to look at in 2 files searched\n"
        ),
        "{output}"
    );
    let output = stdout(&scan(tree.path(), &["h.php"]));
    assert!(
        output.contains("h.php:1:17  a method that begins with crm.lead."),
        "{output}"
    );
}

#[test]
fn sarif_has_what_its_schema_requires() {
    let tree = planted();
    plant(tree.path(), "with space#1.php", format!("'{RESET}'"));
    let output = scan(tree.path(), &[".", "--format", "sarif"]);
    let log: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["name"], "b24-migration-proxy");
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), 9);
    for result in results {
        let index =
            usize::try_from(result["ruleIndex"].as_u64().expect("an index")).expect("small");
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(
            result["message"]["text"]
                .as_str()
                .is_some_and(|text| text.ends_with('.'))
        );
        let place = &result["locations"][0]["physicalLocation"];
        assert!(place["region"]["startLine"].as_u64() >= Some(1));
        assert!(place["region"]["startColumn"].as_u64() >= Some(1));
    }
    let uris: Vec<&str> = results
        .iter()
        .filter_map(|result| {
            result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str()
        })
        .collect();
    assert!(uris.contains(&"with%20space%231.php"), "{uris:?}");
}

#[test]
fn github_gets_a_workflow_command_a_line() {
    let tree = planted();
    plant(tree.path(), "src/a,b.php", format!("'{RESET}'"));
    let output = stdout(&scan(tree.path(), &["src", "h.php", "--format", "github"]));
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(lines.len(), 4, "{output}");
    assert!(
        lines[1].starts_with(&format!(
            "::warning file=src/a.php,line=3,col=14,endColumn=50,title=Deprecated Bitrix24 method::{RESET} is deprecated; call "
        )),
        "{output}"
    );
    assert!(
        lines[0].starts_with("::warning file=src/a%2Cb.php,line=1,"),
        "{output}"
    );
    assert!(
        lines[3].starts_with("::notice file=h.php,line=1,"),
        "{output}"
    );
}

#[test]
fn with_a_log_living_calls_are_told_from_dead_ones() {
    let tree = planted();
    let event = |method: &str, day: u8, key: &str| {
        format!(
            "{{\"schema\":1,\"timestamp\":\"2026-11-{day:02}T08:00:00.000Z\",\"event\":\"deprecated_call\",\
             \"method\":\"{method}\",\"caller\":{{\"key\":\"{key}\"}}}}\n"
        )
    };
    let log = [
        event(RESET, 3, "a"),
        event(RESET, 7, "b"),
        event(RESET, 5, "a"),
        event(RESET, 4, "a").replacen("deprecated_call\",", "deprecated_calls\",\"count\":70,", 1),
        event("task.item.add", 1, "a"),
        "{\"torn\n".to_owned(),
        "{\"event\":\"mode_changed\"}\n".to_owned(),
    ];
    plant(tree.path(), "events.log", log.concat());
    let words = ["src/a.php", "--with-log", "events.log"];
    let output = stdout(&scan(tree.path(), &words));
    assert!(
        output.contains("73 calls by 2 callers, last 2026-11-07"),
        "{output}"
    );
    assert!(
        output.contains("called by the log and named nowhere here: task.item.add\n"),
        "{output}"
    );
    let output = scan(tree.path(), &[&words[..], &["--format", "json"]].concat());
    let whole: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(whole["found"][0]["seen"]["calls"], 73);
    assert_eq!(whole["called_from_elsewhere"][0], "task.item.add");
}

#[test]
fn logs_may_be_several_compressed_or_standard_input_and_are_to_be_logs() {
    let tree = planted();
    let event = |day: u8| {
        format!(
            "{{\"schema\":1,\"timestamp\":\"2026-11-{day:02}T08:00:00.000Z\",\"event\":\"deprecated_calls\",\
             \"method\":\"{RESET}\",\"count\":10,\"caller\":{{\"key\":\"a\"}}}}\n"
        )
    };
    plant(tree.path(), "old.log", event(1));
    plant(tree.path(), "piped", event(9));
    plant(tree.path(), "empty.log", "");
    plant(tree.path(), "foreign.log", "a\nb\n");
    let packed = Command::new("gzip")
        .arg("old.log")
        .current_dir(tree.path())
        .status();
    assert!(packed.expect("gzip runs").success());
    plant(tree.path(), "new.log", event(7));
    let logs = |logs: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"));
        command.current_dir(tree.path()).args(["scan", "src/a.php"]);
        for log in logs {
            command.args(["--with-log", log]);
        }
        let piped = std::fs::File::open(tree.path().join("piped")).expect("a file");
        command.stdin(piped).output().expect("it runs")
    };
    let output = stdout(&logs(&["new.log", "old.log.gz", "-", "empty.log"]));
    assert!(
        output.contains("30 calls by 1 caller, last 2026-11-09"),
        "{output}"
    );
    let output = logs(&["new.log", "foreign.log"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "foreign.log is not a deprecation log: of 2 lines none is an event; name the file that --deprecation-log writes\n"
    );
    assert!(stdout(&logs(&["empty.log"])).contains(RESET));
}

#[test]
fn a_path_that_is_not_there_is_one_line_and_status_2() {
    let tree = tempfile::tempdir().expect("a folder");
    for words in [&["nowhere"][..], &[".", "--with-log", "nowhere"]] {
        let output = scan(tree.path(), words);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.starts_with("cannot read nowhere: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
