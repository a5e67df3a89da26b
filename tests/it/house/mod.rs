//! The map of ARCHITECTURE.md, kept true: rooms import what their rows say, files form no circle, what is listed as
//! pure names no clock, socket, file or runtime, and files and functions keep their size. Tests sleep with a reason only.

mod check;
mod map;
mod source;
mod tests;

use std::path::Path;

use check::House;
use map::Map;

fn files(root: &str) -> Vec<(String, String)> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut open = vec![base.join(root)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(base)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}

/// Fails with each sentence.
fn keeps_its_rules(faults: &[String]) {
    assert!(
        faults.is_empty(),
        "the house breaks its own rules (docs/ARCHITECTURE.md) in {} places:\n{}",
        faults.len(),
        faults
            .iter()
            .map(|fault| format!("- {fault}\n"))
            .collect::<String>()
    );
}

#[test]
fn the_house_is_as_its_map_says() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ARCHITECTURE.md"))
            .unwrap();
    let map = Map::read(&page);
    assert!(
        map.rooms.len() > 10,
        "the tables of ARCHITECTURE.md were not found"
    );
    assert!(map.pure.len() > 5, "the list of what is pure was not found");
    let files = files("src");
    let mut faults = map.faults();
    faults.extend(check::faults(
        &House {
            root: "src/",
            files: &files,
        },
        &map,
    ));
    keeps_its_rules(&faults);
}

#[test]
fn the_benches_have_no_circles_of_files() {
    let files = files("benches/compare/src");
    let faults = check::faults(
        &House {
            root: "benches/compare/src/",
            files: &files,
        },
        &Map::default(),
    );
    keeps_its_rules(&faults);
}

/// The lines on which a test waits for time, and says not why or not by the only means for it.
fn sleeps(path: &str, text: &str) -> Vec<String> {
    let sleep = ["thread::", "time::"].map(|of| format!("{of}sleep"));
    let no_reason = [", \"\")", ",\"\")"];
    let lines = text.lines().enumerate();
    let wrong = lines.filter(|(_, line)| {
        let pauses = line.contains("pause") && no_reason.iter().any(|end| line.contains(end));
        pauses || sleep.iter().any(|sleep| line.contains(sleep))
    });
    let told = |(at, line): (usize, &str)| {
        let at = at + 1;
        format!(
            "{path}:{at}: {}: wait for what is to come (support::time::wait_until), or say why time must pass (pause)",
            line.trim()
        )
    };
    wrong.map(told).collect()
}

#[test]
fn a_test_that_waits_for_time_says_why() {
    let mut faults = Vec::new();
    for (path, text) in files("tests/it") {
        if !path.ends_with("support/time.rs") && !path.ends_with("house/mod.rs") {
            faults.extend(sleeps(&path, &text));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for planted in [
        "    std::thread::sleep(Duration::from_millis(5));",
        "    tokio::time::sleep(second).await;",
        "    pause_ms(5, \"\");",
    ] {
        assert_eq!(sleeps("x.rs", planted).len(), 1, "{planted}");
    }
    assert_eq!(sleeps("x.rs", "pause_ms(5, \"it drips\");").len(), 0);
}

#[test]
fn each_module_of_these_tests_stands_under_folders_of_src_and_each_folder_has_some() {
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    let main = std::fs::read_to_string(base.join("tests/it/main.rs")).unwrap();
    let mut headed = std::collections::BTreeSet::new();
    let blocks = main.split("\n\n").filter(|block| block.contains("mod "));
    for block in blocks.filter(|block| !block.contains("mod house;")) {
        let heading = block.trim_start().lines().next().unwrap_or_default();
        let folders = heading.strip_prefix("// ").unwrap_or_default();
        let folders = folders.split(':').next().unwrap_or_default();
        for folder in folders.split(", ") {
            let is_one = folder.starts_with("src/") && base.join(folder).is_dir();
            assert!(is_one, "no folder of src stands above {block}");
            headed.insert(folder.to_owned());
        }
    }
    for entry in std::fs::read_dir(base.join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("src/{}", path.file_name().unwrap().to_string_lossy());
        assert!(
            !path.is_dir() || headed.contains(&name),
            "tests/it/main.rs has no heading {name}"
        );
    }
}
