//! The documentation as a reader follows it.

use std::path::{Path, PathBuf};

use super::support::portal::Portal;
use super::support::proxy;

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

/// The heading's anchor as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars()
        .filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_')
        .collect()
}

fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| anchor(heading.trim_start_matches('#')))
        .collect()
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut broken = Vec::new();
    for page in [pages(root), pages(&root.join("docs"))].concat() {
        let text = std::fs::read_to_string(&page).expect("a page");
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://")
                || link.starts_with("mailto:")
                || link.contains(char::is_whitespace)
            {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                page.clone()
            } else {
                page.parent().expect("a folder").join(path)
            };
            let there = target.exists()
                && (heading.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap_or_default())
                        .contains(&heading.to_owned()));
            if !there {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// All that a reader may copy from: pages, and the examples in `deploy/`.
fn texts() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "docs", "deploy", "deploy/kubernetes"];
    let mut paths: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| pages(&root.join(folder)))
        .filter(|path| !path.ends_with("CHANGELOG.md"))
        .collect();
    let examples = [
        "b24-migration-proxy.toml",
        "b24-migration-proxy.service",
        "callers.toml",
        "logrotate",
    ];
    paths.extend(examples.map(|name| root.join("deploy").join(name)));
    let text = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a text");
        (path, text)
    };
    paths.into_iter().map(text).collect()
}

/// The lines inside of fences, each with its continuation lines.
fn fenced(text: &str) -> Vec<String> {
    let blocks = text.split("```").skip(1).step_by(2);
    let joined = blocks.map(|block| block.replace("\\\n", " "));
    joined
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_command_of_the_documentation_can_be_pasted() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in texts() {
        for line in fenced(&text) {
            let line = line.trim_start_matches("$ ").trim_start_matches("./");
            // What a pipe, a redirection or a comment follows; `…` stands for more of the same.
            let line = line.split(" #").next().unwrap_or(line);
            let line = line.split(" > ").next().unwrap_or(line);
            let line = line.split(" >> ").next().unwrap_or(line);
            let line = line.split(" | ").next().unwrap_or(line);
            if !line.starts_with("b24-migration-proxy ") || line.contains('…') {
                continue;
            }
            seen += 1;
            let Some(words) = shlex::split(line) else {
                wrong.push(format!("{}: {line}: unbalanced quotes", path.display()));
                continue;
            };
            if let Err(error) = b24_migration_proxy::cli::command().try_get_matches_from(&words)
                && error.use_stderr()
            {
                wrong.push(format!("{}: {line}: {error}", path.display()));
            }
        }
    }
    assert!(seen > 25, "only {seen} commands");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn options_that_the_documentation_names_exist() {
    let mut known: Vec<String> = vec!["help".to_owned(), "version".to_owned()];
    let mut left = vec![b24_migration_proxy::cli::command()];
    while let Some(command) = left.pop() {
        let options = command.get_arguments().filter_map(clap_long);
        known.extend(options);
        left.extend(command.get_subcommands().cloned());
    }
    let mut wrong = Vec::new();
    for (path, text) in texts() {
        for rest in text.split("`--").skip(1) {
            let ends = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            let name = rest.split(ends).next().unwrap_or_default();
            // `--upstream…` stands for all that begin so; `--strict` and `--release` are those of the tools of CI.
            let family = rest[name.len()..].starts_with('…');
            let is_known = known
                .iter()
                .any(|option| option == name || family && option.starts_with(name));
            if !is_known && !FOREIGN.contains(&name) && !name.starts_with('-') {
                wrong.push(format!("{}: --{name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Options of other programs that pages name alone.
const FOREIGN: &[&str] = &[
    "release",
    "count",
    "only",
    "candidates",
    "rounds",
    "seconds",
];

fn clap_long(argument: &clap::Arg) -> Option<String> {
    argument.get_long().map(str::to_owned)
}

#[test]
fn defaults_in_tables_are_those_of_the_program() {
    use b24_migration_proxy::cli::options::OPTIONS;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in texts() {
        let mut column = None;
        for line in text.lines() {
            let Some(row) = line.strip_prefix('|') else {
                column = None;
                continue;
            };
            let row = row.replace("\\|", "/");
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let Some(column) = column else {
                column = Some(cells.iter().position(|cell| *cell == "default"));
                continue;
            };
            let Some(default) = column.and_then(|column: usize| cells.get(column)) else {
                continue;
            };
            let names: Vec<&str> = cells[..column.unwrap_or_default()]
                .iter()
                .filter_map(|cell| cell.strip_prefix("`--"))
                .filter_map(|cell| cell.split(['`', ' ']).next())
                .collect();
            let Some(spec) = names
                .first()
                .and_then(|name| OPTIONS.iter().find(|spec| spec.name == *name))
            else {
                continue;
            };
            seen += 1;
            let shown = default.trim_matches('`');
            let is_right = match spec.default {
                Some("false") => matches!(shown, "off" | "false"),
                Some("0") => matches!(shown, "0" | "none"),
                Some(text) => shown == text,
                None => !default.starts_with('`') || default.is_empty(),
            };
            if !is_right {
                wrong.push(format!("{}: --{} {default}", path.display(), spec.name));
            }
        }
    }
    assert!(seen > 90, "only {seen} rows");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The names of an object's fields, those of `caller` too.
fn names(event: &serde_json::Value) -> Vec<String> {
    let of = |value: &serde_json::Value| -> Vec<String> {
        let fields = value.as_object().expect("an object");
        fields.keys().cloned().collect()
    };
    let mut names = [of(event), of(&event["caller"])].concat();
    names.sort();
    names
}

#[test]
fn the_event_that_the_readme_shows_has_the_fields_that_are_written() {
    let portal = Portal::plain();
    let proxy = proxy::start(&portal, &[]);
    let body = r#"{"scope":"C","extras":{"lead.customer.type":2}}"#;
    proxy.call(format!(
        "POST /rest/1/somecode1/crm.lead.details.configuration.reset HTTP/1.1\r\nHost: p\r\nContent-Type: application/json\r\n\
         User-Agent: b24-php-sdk-vendor-v-1.9.0-php-8.2.29\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let written = names(&proxy.events()[0]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("README.md")).expect("a page");
    let shown = page.lines().find(|line| line.starts_with("{\"schema\":1"));
    let shown = serde_json::from_str(shown.expect("an event")).expect("JSON");
    assert_eq!(names(&shown), written);
}

#[test]
fn examples_use_one_path_for_the_log_and_the_configuration() {
    let mut wrong = Vec::new();
    let own = "b24-migration-proxy";
    for (path, text) in texts() {
        for (start, folder) in text
            .match_indices("/etc/b24")
            .chain(text.match_indices("/var/log/b24"))
        {
            let rest = &text[start + folder.len() - "b24".len()..];
            if !rest.starts_with(own) {
                wrong.push(format!(
                    "{}: {}",
                    path.display(),
                    &rest[..rest.len().min(30)]
                ));
            }
        }
        for other in ["deprecation.log", " proxy.toml", "deprecations.log"] {
            if text.contains(other) {
                wrong.push(format!("{}: {other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The texts of a module of `tests/it`, or of a source file of the program.
fn sources(root: &Path, name: &str) -> Vec<String> {
    let read = |path: PathBuf| std::fs::read_to_string(path).ok();
    if name.starts_with("src/") {
        return read(root.join(name)).into_iter().collect();
    }
    let module = root.join("tests/it").join(name);
    let inside = std::fs::read_dir(&module).into_iter().flatten().flatten();
    let files = inside.map(|entry| entry.path());
    files
        .chain([module.with_extension("rs")])
        .filter_map(read)
        .collect()
}

/// Whether a text has a test of this name.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let signature = format!("fn {name}(");
    let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    lines.iter().enumerate().any(|(at, line)| {
        let begins = line.trim_start_matches("async ").starts_with(&signature);
        let before = lines[..at].iter().rev();
        begins
            && before
                .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
                .any(is_test)
    })
}

/// The path that a quoted word names, if it is one of ours: without what stands in the file, and without placeholders.
fn named_path<'t>(word: &'t str, folders: &[String]) -> Option<&'t str> {
    let path = word.split("::").next().unwrap_or(word);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let is_placeholder =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_uppercase());
    let begins = path.split_once('/').map(|(folder, _)| folder);
    let is_ours = path.ends_with(".rs")
        || begins.is_some_and(|folder| folders.iter().any(|ours| ours == folder));
    let is_meant = is_ours && path.chars().all(is_plain) && !path.split('/').any(is_placeholder);
    is_meant.then_some(path)
}

/// The folders in a folder, by name.
fn folders_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "target" && name != ".git")
        .collect()
}

#[test]
fn every_path_that_the_documentation_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let src = root.join("src");
    let folders = [folders_in(root), folders_in(&src)].concat();
    let (mut missing, mut seen) = (Vec::new(), 0);
    let pages = [pages(root), pages(&root.join("docs"))].concat();
    for page in pages.iter().filter(|page| !page.ends_with("CHANGELOG.md")) {
        let text = std::fs::read_to_string(page).expect("a page");
        for line in text.lines() {
            // A bare name is of the folder that was named before it.
            let mut folder = PathBuf::new();
            for path in quoted(line).filter_map(|word| named_path(word, &folders)) {
                seen += 1;
                let places = [root.join(path), src.join(path), folder.join(path)];
                let Some(there) = places.iter().find(|place| place.exists()) else {
                    missing.push(format!("{}: {path}", page.display()));
                    continue;
                };
                folder = match there.is_dir() {
                    true => there.clone(),
                    false => there.parent().map(Path::to_path_buf).unwrap_or_default(),
                };
            }
        }
    }
    assert!(seen > 100, "only {seen} paths");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_test_that_the_promises_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/SECURITY.md")).expect("a page");
    let mut missing = Vec::new();
    for (name, test) in quoted(&page).filter_map(|quoted| quoted.rsplit_once("::")) {
        let texts = sources(root, name);
        let is_meant = name.starts_with("src/") && !name.contains('…') || !texts.is_empty();
        if is_meant && !texts.iter().any(|text| has_test(text, test)) {
            missing.push(format!("{name}::{test}"));
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_promise_names_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/SECURITY.md")).expect("a page");
    let rows: Vec<&str> = page
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() > 30, "{rows:#?}");
    for row in rows {
        let tests = row.trim_end_matches([' ', '|']).rsplit(" | ").next();
        let named: Vec<&str> = quoted(tests.unwrap_or_default()).collect();
        assert!(!named.is_empty(), "{row}");
        for name in named {
            let fuzz = root.join(format!("fuzz/fuzz_targets/{name}.rs"));
            let name = name.rsplit_once("::").map_or(name, |(name, _)| name);
            assert!(
                fuzz.exists() || !sources(root, name).is_empty(),
                "{name}: {row}"
            );
        }
    }
}
