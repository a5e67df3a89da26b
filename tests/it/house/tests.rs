//! The checker itself, over planted sources.

use super::check::{self, House};
use super::map::Map;

const PAGE: &str = "
| folder | what it is | uses of ours |
|---|---|---|
| `src/shell/` | sockets | all below |
| `src/core/` | the core | `ground` |
| `src/ground.rs` | words | nothing |

### Pure

- `src/core/` and `src/ground.rs`
";

fn faults_of(files: &[(&str, &str)]) -> Vec<String> {
    faults_on(PAGE, files)
}

fn faults_on(page: &str, files: &[(&str, &str)]) -> Vec<String> {
    let planted: Vec<(String, String)> = [
        ("src/lib.rs", "mod shell; mod core; mod ground;"),
        ("src/shell/mod.rs", ""),
        ("src/core/mod.rs", ""),
        ("src/ground.rs", "pub struct Word;"),
    ]
    .into_iter()
    .filter(|(path, _)| files.iter().all(|(other, _)| other != path))
    .chain(files.iter().copied())
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .collect();
    let map = Map::read(page);
    let mut faults = map.faults();
    faults.extend(check::faults(
        &House {
            root: "src/",
            files: &planted,
        },
        &map,
    ));
    faults
}

#[track_caller]
fn one(faults: &[String], words: &[&str]) {
    assert_eq!(faults.len(), 1, "{faults:#?}");
    for word in words {
        assert!(faults[0].contains(word), "no {word:?} in {:?}", faults[0]);
    }
}

#[test]
fn a_house_in_order_has_no_faults() {
    let faults = faults_of(&[
        (
            "src/shell/mod.rs",
            "mod net; use crate::core::Call; fn f() { let _ = std::time::Instant::now(); net::g(); }",
        ),
        (
            "src/shell/net.rs",
            "use tokio::net::TcpStream; pub fn g() {}",
        ),
        (
            "src/core/mod.rs",
            "use crate::ground::Word; pub struct Call(Word); mod read;",
        ),
        (
            "src/core/read.rs",
            "use super::super::ground; fn f() -> ground::Word { ground::Word }",
        ),
    ]);
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_planted_circle_is_named_with_each_arrow() {
    let faults = faults_of(&[
        ("src/core/mod.rs", "mod a; mod b; mod c;"),
        ("src/core/a.rs", "use super::b::B; pub struct A(B);"),
        ("src/core/b.rs", "use super::c; pub struct B(c::C);"),
        (
            "src/core/c.rs",
            "pub struct C(Option<Box<crate::core::a::A>>);",
        ),
    ]);
    assert_eq!(
        faults.len(),
        3,
        "one for each file of the circle: {faults:#?}"
    );
    assert!(faults[0].contains(
        "src/core/a.rs: is in a circle of files: src/core/a.rs → src/core/b.rs (super::b::B, line 1) → src/core/c.rs"
    ));
    assert!(
        faults[0].contains("→ src/core/a.rs (crate::core::a::A, line 1)"),
        "{}",
        faults[0]
    );
}

#[test]
fn a_circle_through_a_face_is_found() {
    let faults = faults_of(&[
        (
            "src/core/mod.rs",
            "mod a; pub struct Limit; pub fn f() { a::g() }",
        ),
        (
            "src/core/a.rs",
            "use super::Limit; pub fn g() -> Limit { Limit }",
        ),
    ]);
    assert_eq!(faults.len(), 2, "{faults:#?}");
}

#[test]
fn a_name_that_a_face_hands_on_is_no_circle() {
    let faults = faults_of(&[
        (
            "src/core/mod.rs",
            "mod a; mod b; pub use a::A; pub use b::f;",
        ),
        ("src/core/a.rs", "pub struct A;"),
        ("src/core/b.rs", "use super::A; pub fn f() -> A { A }"),
    ]);
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn an_import_that_runs_up_is_told_with_the_row_that_forbids_it() {
    let faults = faults_of(&[
        ("src/shell/mod.rs", "pub struct Worker;"),
        ("src/ground.rs", "pub fn f(_: crate::core::Call) {}"),
        ("src/core/mod.rs", "pub struct Call;"),
    ]);
    one(
        &faults,
        &[
            "src/ground.rs:1: imports crate::core::Call (of src/core/mod.rs), which ARCHITECTURE's table does not allow",
            "the row of src/ground.rs lists nothing",
        ],
    );
}

#[test]
fn an_import_inside_a_macro_is_found() {
    let faults = faults_of(&[
        ("src/shell/mod.rs", "pub fn f() {}"),
        (
            "src/core/mod.rs",
            "fn f() { assert!(vec![crate::shell::f()].len() == 1); }",
        ),
    ]);
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("imports crate::shell::f")),
        "{faults:#?}"
    );
}

#[test]
fn a_planted_clock_is_named_with_its_line() {
    for clock in [
        "std::time::Instant::now()",
        "jiff::Timestamp::now()",
        "std::time::SystemTime::now()",
    ] {
        let faults = faults_of(&[(
            "src/core/mod.rs",
            &format!("fn f() {{\n let _ = {clock};\n}}"),
        )]);
        one(
            &faults,
            &[
                "src/core/mod.rs:2: names",
                "a clock",
                "lists the file as pure",
            ],
        );
    }
}

#[test]
fn a_clock_under_another_name_is_a_clock() {
    let faults = faults_of(&[(
        "src/core/mod.rs",
        "use std::time::{self, Instant as Now}; fn f() { Now::now(); }",
    )]);
    one(&faults, &["a clock"]);
}

#[test]
fn a_socket_a_file_and_a_runtime_are_not_pure() {
    for (text, what) in [
        ("use tokio::net::TcpStream;", "tokio"),
        ("use std::fs;", "a file"),
        ("fn f() { let _ = std::fs::read(\"x\"); }", "a file"),
        ("use std::net::{IpAddr, TcpStream};", "a socket"),
    ] {
        one(&faults_of(&[("src/core/mod.rs", text)]), &[what]);
    }
}

#[test]
fn a_pure_file_imports_what_is_pure() {
    let page = PAGE.replace("- `src/core/` and `src/ground.rs`", "- `src/core/`");
    let faults = faults_on(
        &page,
        &[(
            "src/core/mod.rs",
            "use crate::ground::Word; pub struct Call(Word);",
        )],
    );
    one(
        &faults,
        &["imports crate::ground::Word of src/ground.rs, which is not listed as pure"],
    );
}

#[test]
fn what_stands_in_comments_strings_and_tests_does_not_count() {
    let faults = faults_of(&[(
        "src/core/mod.rs",
        "//! crate::shell\nconst A: &str = \"std::fs\"; #[cfg(test)] mod tests { use tokio::net; fn f() { Instant::now(); } }",
    )]);
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn a_file_without_a_row_is_told() {
    one(
        &faults_of(&[("src/attic.rs", "")]),
        &["src/attic.rs: ARCHITECTURE's table has no row for it"],
    );
}

#[test]
fn a_row_that_names_no_room_or_one_above_is_told() {
    let page = PAGE.replace("| nothing |", "| `core`, `attic` |");
    let faults = faults_on(&page, &[]);
    assert_eq!(faults.len(), 2, "{faults:#?}");
    assert!(
        faults[0].contains("names core, which stands above it"),
        "{faults:#?}"
    );
    assert!(
        faults[1].contains("names attic, which is no row"),
        "{faults:#?}"
    );
}

#[test]
fn floors_of_a_room_are_held_to_both_rows() {
    let page = format!(
        "{PAGE}\n## Floors\n\n| floor | what | uses |\n|---|---|---|\n| `src/core/top/` | | `low` |\n| `src/core/low.rs` | | `shell` |\n"
    );
    let faults = faults_on(
        &page,
        &[
            ("src/shell/mod.rs", "pub struct Worker;"),
            ("src/core/mod.rs", "mod top; mod low; fn f() { top::f() }"),
            ("src/core/top/mod.rs", "use super::low::Low; pub fn f() {}"),
            (
                "src/core/low.rs",
                "pub struct Low; fn f(_: crate::shell::Worker) {} fn g() { super::top::f() }",
            ),
        ],
    );
    let rows: Vec<&String> = faults
        .iter()
        .filter(|fault| fault.contains("does not allow"))
        .collect();
    assert_eq!(rows.len(), 2, "{faults:#?}");
    assert!(
        rows[0].contains("crate::shell::Worker"),
        "the outer row forbids what the inner allows: {rows:#?}"
    );
    assert!(rows[1].contains("super::top::f"), "{rows:#?}");
}

#[test]
fn a_long_function_needs_a_reason_beside_it() {
    let body = "    work();\n".repeat(90);
    let without = format!("fn long() {{\n{body}}}\n");
    one(
        &faults_of(&[("src/core/mod.rs", &without)]),
        &["src/core/mod.rs:1: long has 92 lines, more than 80"],
    );
    let with = format!("// Long: one table, read from top to bottom.\n{without}");
    assert_eq!(
        faults_of(&[("src/core/mod.rs", &with)]),
        Vec::<String>::new()
    );
}

#[test]
fn a_long_file_is_told() {
    one(
        &faults_of(&[("src/core/mod.rs", &"\n".repeat(701))]),
        &["src/core/mod.rs: has 701 lines, more than 700"],
    );
}
