//! The golden cases: `tests/golden/FOLDER/SENTENCE.case`, bytes as they travel.
//!
//! `--- request` is a request line, fields, an empty line and a body; `--- upstream` what the portal gets instead, or
//! `untouched`, or `refused` with status, code and description; `--- uses` a line for each deprecated use, `--- changes`
//! what was changed. `--- mode` names another mode than rewrite. `UPDATE_GOLDEN=1 cargo test` writes what the engine
//! does now, and the diff is the review. [`served`] sends them through the built proxy too.
use b24_migration_proxy::catalogue::{Catalogue, Mode};
use b24_migration_proxy::protocol::address::Address;
use b24_migration_proxy::protocol::target::RestPath;
use b24_migration_proxy::protocol::urlrewrite;
use b24_migration_proxy::translate::{Call, Doubt, Outcome, Verdict, translate};
use std::path::{Path, PathBuf};

mod served;

/// A case's sections, in the order of the file.
type Sections = Vec<(String, Vec<u8>)>;

#[test]
fn every_golden_case_is_translated_as_it_says() {
    let files = cases(&folder());
    assert!(files.len() > 1, "no cases in {}", folder().display());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read(&file).unwrap();
        let now = written(&replayed(sections(&text)));
        if now != text {
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&file, &now).unwrap();
            } else {
                wrong.push(format!("{}:\n{}", file.display(), difference(&text, &now)));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "the engine does otherwise (- what the case says, + what it does; UPDATE_GOLDEN=1 writes that):\n{}",
        wrong.join("\n")
    );
}

/// The lines in which two cases differ, with one line around them; long ones are cut around the first difference.
fn difference(expected: &[u8], got: &[u8]) -> String {
    let lines = |text: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(text);
        text.lines().map(str::to_owned).collect()
    };
    let (expected, got) = (lines(expected), lines(got));
    let before = expected
        .iter()
        .zip(&got)
        .take_while(|(a, b)| a == b)
        .count();
    let rest = (&expected[before..], &got[before..]);
    let after = rest.0.iter().rev().zip(rest.1.iter().rev());
    let after = after.take_while(|(a, b)| a == b).count();
    let column = match (expected.get(before), got.get(before)) {
        (Some(a), Some(b)) => a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    let shown = |line: &str| -> String {
        let is_long = line.chars().count() > 160;
        let skipped = if is_long {
            column.saturating_sub(60)
        } else {
            0
        };
        let cut: String = line.chars().skip(skipped).take(160).collect();
        format!("{}{cut}", if skipped > 0 { "…" } else { "" })
    };
    let mut out = String::new();
    let mut add = |sign: char, lines: &[String]| {
        for line in lines {
            out.push_str(&format!("  {sign} {}\n", shown(line)));
        }
    };
    add(' ', &expected[before.saturating_sub(1)..before]);
    add('-', &expected[before..expected.len() - after]);
    add('+', &got[before..got.len() - after]);
    add(' ', &expected[expected.len() - after..][..after.min(1)]);
    out
}

#[test]
fn a_difference_shows_the_lines_that_differ_and_where() {
    let long = "x".repeat(200);
    let expected = format!("--- request\nGET /a\n--- upstream\n{long}1 tail\n--- uses\n");
    let got = format!("--- request\nGET /a\n--- upstream\n{long}2 tail\nmore\n--- uses\n");
    let cut = "x".repeat(60);
    assert_eq!(
        difference(expected.as_bytes(), got.as_bytes()),
        format!("    --- upstream\n  - …{cut}1 tail\n  + …{cut}2 tail\n  + more\n    --- uses\n")
    );
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                cases(&path)
            } else {
                vec![path]
            }
        })
        .collect();
    files.sort();
    files
}

fn sections(text: &[u8]) -> Sections {
    let mut sections = Sections::new();
    for line in text.split_inclusive(|b| *b == b'\n') {
        match line.strip_prefix(b"--- ") {
            Some(name) => sections.push((
                String::from_utf8_lossy(name).trim_end().to_owned(),
                Vec::new(),
            )),
            None => sections
                .last_mut()
                .expect("a case begins with `--- `")
                .1
                .extend_from_slice(line),
        }
    }
    // The line's end before the next heading is not part of a body.
    for (_, text) in &mut sections {
        text.pop();
    }
    sections
}

fn written(sections: &Sections) -> Vec<u8> {
    sections
        .iter()
        .flat_map(|(name, text)| [format!("--- {name}\n").as_bytes(), text, b"\n"].concat())
        .collect()
}

/// The case's request and mode, and what the engine makes of them.
fn replayed(sections: Sections) -> Sections {
    let given: Sections = sections
        .into_iter()
        .filter(|(name, _)| name == "mode" || name == "request")
        .collect();
    let mode = given
        .iter()
        .find(|(name, _)| name == "mode")
        .map_or(Mode::Rewrite, |(_, text)| mode(text));
    let request = &given
        .iter()
        .find(|(name, _)| name == "request")
        .expect("a case has a request")
        .1;
    let (head, body) = split_head(request);
    let mut lines = head.split(|b| *b == b'\n');
    let line = lines.next().unwrap();
    let space = line.iter().position(|b| *b == b' ').expect("VERB TARGET");
    let (verb, target) = (&line[..space], &line[space + 1..]);
    let fields: Vec<&[u8]> = lines.collect();
    let field = |name: &str| {
        fields.iter().find_map(|field| {
            let (found, value) = field.split_at(field.iter().position(|b| *b == b':')?);
            found
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| value[1..].trim_ascii())
        })
    };
    let rest = RestPath::default();
    let made = urlrewrite::made(target);
    let at = Address::of_whole(
        verb,
        target,
        made.as_ref(),
        field("content-type"),
        body,
        &rest,
    );
    let call = Call {
        verb,
        target: at.target,
        place: &at.place,
        content_type: field("content-type"),
        content_encoding: field("content-encoding"),
        body,
        doubt: at.is_made.then_some(Doubt::Address),
    };
    let verdict = translate(&call, &Catalogue::builtin(), &|_| mode);
    let upstream = match &verdict.outcome {
        Outcome::Untouched => b"untouched".to_vec(),
        Outcome::Refused(refusal) => format!(
            "refused\n{} {}\n{}",
            refusal.code.status(),
            refusal.code.as_str(),
            refusal.description
        )
        .into_bytes(),
        Outcome::Rewritten {
            target: new_target,
            body: new_body,
        } => {
            let mut request = [verb, b" ", new_target.as_deref().unwrap_or(target)].concat();
            for field in &fields {
                request.extend_from_slice(&[b"\n", *field].concat());
            }
            let body = new_body.as_deref().unwrap_or(body);
            if !body.is_empty() {
                request.extend_from_slice(&[b"\n\n", body].concat());
            }
            request
        }
    };
    let mut replayed = given.clone();
    replayed.push(("upstream".into(), upstream));
    if !verdict.uses.is_empty() {
        replayed.push(("uses".into(), uses(&verdict).into_bytes()));
    }
    replayed
}

fn split_head(request: &[u8]) -> (&[u8], &[u8]) {
    match request.windows(2).position(|two| two == b"\n\n") {
        Some(end) => (&request[..end], &request[end + 2..]),
        None => (request, b""),
    }
}

fn uses(verdict: &Verdict) -> String {
    let mut lines = Vec::new();
    for used in &verdict.uses {
        let key = used
            .batch_key
            .as_ref()
            .map(|key| format!("[{key}] "))
            .unwrap_or_default();
        let reason = used
            .refusal
            .map(|reason| format!(" ({})", reason.as_str()))
            .unwrap_or_default();
        let (action, encoding) = (used.action.as_str(), used.encoding.as_str());
        lines.push(format!(
            "{key}{} {action}{reason}, {encoding}",
            used.rule.method
        ));
        lines.extend(used.changes.iter().map(|change| format!("  {change}")));
    }
    lines.join("\n")
}

fn mode(text: &[u8]) -> Mode {
    match text {
        b"observe" => Mode::Observe,
        b"compare" => Mode::Compare,
        b"brownout" => Mode::Brownout,
        b"block" => Mode::Block,
        other => panic!("{} is not a mode", String::from_utf8_lossy(other)),
    }
}
