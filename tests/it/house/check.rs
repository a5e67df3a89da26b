//! The rules of the house: a pure function from sources and the map to what breaks it.

use std::collections::{BTreeMap, BTreeSet};

use super::map::Map;
use super::source::{self, Source};

/// A source file is at most this long.
const FILE: usize = 700;
/// A function is at most this long, unless `// Long: …` stands above it or at its head.
const FUNCTION: usize = 80;

/// What a pure file may not name: the beginning of a path, and what it stands for.
const IMPURE: &[(&[&str], &str)] = &[
    (&["tokio"], "tokio"),
    (&["tokio_rustls"], "a socket"),
    (&["std", "fs"], "a file"),
    (&["std", "env"], "the environment"),
    (&["std", "process"], "a process"),
    (&["std", "thread"], "a thread"),
    (&["std", "net", "TcpStream"], "a socket"),
    (&["std", "net", "TcpListener"], "a socket"),
    (&["std", "net", "UdpSocket"], "a socket"),
    (&["std", "os", "unix", "net"], "a socket"),
    (&["socket2"], "a socket"),
    (&["rustix"], "a system call"),
    (&["libc"], "a system call"),
];

/// The last two parts of a path that read a clock.
const CLOCKS: &[&str] = &["Instant", "SystemTime", "Timestamp", "Zoned"];

/// The files of one crate: its root folder ("src/"), and each file's path with its text.
pub struct House<'a> {
    pub root: &'a str,
    pub files: &'a [(String, String)],
}

/// Everything that breaks a rule, a sentence each.
pub fn faults(house: &House<'_>, map: &Map) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tree = Tree {
        root: house.root,
        files: BTreeMap::new(),
    };
    for (path, text) in house.files {
        match source::read(text) {
            Ok(source) => {
                tree.files.insert(path.clone(), source);
            }
            Err(error) => faults.push(format!("{path}: cannot be parsed: {error}")),
        }
    }
    let imports = tree.imports();
    faults.extend(rooms(&imports, &tree, map));
    faults.extend(circles(&imports));
    faults.extend(purity(&imports, &tree, map));
    faults.extend(sizes(&tree));
    faults
}

struct Tree<'a> {
    root: &'a str,
    files: BTreeMap<String, Source>,
}

/// That a file imports a name of another.
#[derive(Debug, Clone)]
struct Import {
    from: String,
    to: String,
    what: String,
    line: usize,
    handed_on: bool,
}

impl Tree<'_> {
    /// `["proxy", "wire"]` → `src/proxy/wire/mod.rs`
    fn file(&self, module: &[String]) -> Option<String> {
        let stem = format!("{}{}", self.root, module.join("/"));
        let names = if module.is_empty() {
            vec![format!("{stem}lib.rs"), format!("{stem}main.rs")]
        } else {
            vec![format!("{stem}.rs"), format!("{stem}/mod.rs")]
        };
        names.into_iter().find(|name| self.files.contains_key(name))
    }

    fn module(&self, file: &str) -> Vec<String> {
        let inside = file
            .strip_prefix(self.root)
            .unwrap_or(file)
            .trim_end_matches(".rs");
        let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|name| {
            name == "mod" || module.len() == 1 && (name == "lib" || name == "main")
        }) {
            module.pop();
        }
        module
    }

    /// A path as a file writes it, from the root of the crate on; none if it belongs to another crate.
    fn absolute(&self, file: &str, path: &[String]) -> Option<Vec<String>> {
        let mut module = self.module(file);
        match path[0].as_str() {
            "crate" | "b24_migration_proxy" => Some(path[1..].to_vec()),
            "self" => {
                module.extend_from_slice(&path[1..]);
                Some(module)
            }
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                module.truncate(module.len().checked_sub(ups)?);
                module.extend_from_slice(&path[ups..]);
                Some(module)
            }
            first => {
                let source = &self.files[file];
                if let Some(meant) = source.scope.get(first)
                    && meant[0] != first
                {
                    let mut path_in_full = meant.clone();
                    path_in_full.extend_from_slice(&path[1..]);
                    return self.absolute(file, &path_in_full);
                }
                // A module of the file's own.
                module.push(first.to_owned());
                self.file(&module)?;
                module.extend_from_slice(&path[1..]);
                Some(module)
            }
        }
    }

    /// The file in which a name is declared; names that a file hands on are followed.
    fn declared(&self, path: &[String], depth: usize) -> Option<String> {
        let known = (0..=path.len())
            .rev()
            .find(|length| self.file(&path[..*length]).is_some())?;
        let file = self.file(&path[..known])?;
        let (Some(name), true) = (path.get(known), depth < 8) else {
            return Some(file);
        };
        let source = &self.files[&file];
        let meant = source.scope.get(name).cloned();
        let followed = meant.and_then(|meant| {
            let mut in_full = self.absolute(&file, &meant)?;
            in_full.extend_from_slice(&path[known + 1..]);
            if in_full == path {
                None
            } else {
                self.declared(&in_full, depth + 1)
            }
        });
        Some(followed.unwrap_or(file))
    }

    fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (file, source) in &self.files {
            for named in &source.named {
                let Some(path) = self.absolute(file, &named.path) else {
                    continue;
                };
                let Some(to) = self.declared(&path, 0) else {
                    continue;
                };
                if to != *file {
                    imports.push(Import {
                        from: file.clone(),
                        to,
                        what: named.path.join("::"),
                        line: named.line,
                        handed_on: named.handed_on,
                    });
                }
            }
        }
        imports
    }
}

fn rooms(imports: &[Import], tree: &Tree<'_>, map: &Map) -> Vec<String> {
    let mut faults = Vec::new();
    if map.rooms.is_empty() {
        return faults;
    }
    for file in tree.files.keys() {
        if map.room_of(file).is_none() && !file.ends_with("/lib.rs") {
            faults.push(format!(
                "{file}: ARCHITECTURE's table has no row for it; add one that says what it is and what it uses"
            ));
        }
    }
    let mut told = BTreeSet::new();
    for import in imports {
        if import.from.ends_with("/lib.rs") || map.allows(&import.from, &import.to) {
            continue;
        }
        if told.insert((&import.from, &import.to)) {
            faults.push(format!(
                "{}:{}: imports {} (of {}), which ARCHITECTURE's table does not allow: {}",
                import.from,
                import.line,
                import.what,
                import.to,
                row(map, &import.from)
            ));
        }
    }
    faults
}

fn row(map: &Map, file: &str) -> String {
    use super::map::Uses;
    match map.room_of(file).map(|at| &map.rooms[at]) {
        None => String::from("the file has no row"),
        Some(room) => match &room.uses {
            Uses::AllBelow => format!("the row of {} lists all below it", room.name()),
            Uses::Named(names) if names.is_empty() => {
                format!("the row of {} lists nothing", room.name())
            }
            Uses::Named(names) => format!("the row of {} lists {}", room.name(), names.join(", ")),
        },
    }
}

/// For each file that is on a circle, the shortest one.
fn circles(imports: &[Import]) -> Vec<String> {
    let mut next: BTreeMap<&str, BTreeMap<&str, &Import>> = BTreeMap::new();
    for import in imports.iter().filter(|import| !import.handed_on) {
        next.entry(&import.from)
            .or_default()
            .entry(&import.to)
            .or_insert(import);
    }
    let mut faults = Vec::new();
    for &start in next.keys() {
        if let Some(way) = shortest(&next, start) {
            let steps: Vec<String> = way
                .iter()
                .map(|import| format!("→ {} ({}, line {})", import.to, import.what, import.line))
                .collect();
            faults.push(format!(
                "{start}: is in a circle of files: {start} {}",
                steps.join(" ")
            ));
        }
    }
    faults
}

fn shortest<'a>(
    next: &BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>,
    start: &'a str,
) -> Option<Vec<&'a Import>> {
    let mut came: BTreeMap<&str, &Import> = BTreeMap::new();
    let mut wave = vec![start];
    while !wave.is_empty() {
        let mut after = Vec::new();
        for at in wave {
            for (&to, &import) in next.get(at).into_iter().flatten() {
                if came.contains_key(to) {
                    continue;
                }
                came.insert(to, import);
                if to == start {
                    let mut way = vec![import];
                    while way[0].from != start {
                        way.insert(0, came[way[0].from.as_str()]);
                    }
                    return Some(way);
                }
                after.push(to);
            }
        }
        wave = after;
    }
    None
}

fn purity(imports: &[Import], tree: &Tree<'_>, map: &Map) -> Vec<String> {
    let mut faults = Vec::new();
    for path in &map.pure {
        if !tree
            .files
            .keys()
            .any(|file| file == path || path.ends_with('/') && file.starts_with(path.as_str()))
        {
            faults.push(format!("map: {path} is listed as pure and does not exist"));
        }
    }
    for (file, source) in tree.files.iter().filter(|(file, _)| map.is_pure(file)) {
        for named in &source.named {
            let mut path = named.path.clone();
            if let Some(meant) = source.scope.get(&path[0]) {
                path.splice(..1, meant.iter().cloned());
            }
            let begins = |begin: &[&str]| {
                path.len() >= begin.len() && path.iter().zip(begin).all(|(a, b)| a == b)
            };
            let taken = IMPURE
                .iter()
                .find(|(begin, _)| begins(begin))
                .map(|(_, what)| *what);
            let clock = path
                .windows(2)
                .any(|two| CLOCKS.contains(&two[0].as_str()) && two[1] == "now")
                .then_some("a clock");
            if let Some(what) = taken.or(clock) {
                faults.push(format!(
                    "{file}:{}: names {}, {what}, but ARCHITECTURE lists the file as pure; take the value as an argument",
                    named.line,
                    named.path.join("::")
                ));
            }
        }
    }
    let mut told = BTreeSet::new();
    for import in imports
        .iter()
        .filter(|import| map.is_pure(&import.from) && !map.is_pure(&import.to))
    {
        if told.insert((&import.from, &import.to)) {
            faults.push(format!(
                "{}:{}: imports {} of {}, which is not listed as pure, but the file is",
                import.from, import.line, import.what, import.to
            ));
        }
    }
    faults
}

fn sizes(tree: &Tree<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    for (file, source) in &tree.files {
        if source.lines > FILE {
            faults.push(format!(
                "{file}: has {} lines, more than {FILE}; find its two jobs and split it",
                source.lines
            ));
        }
        for function in source
            .functions
            .iter()
            .filter(|function| function.lines > FUNCTION)
        {
            let near = function.line.saturating_sub(12)..function.line + 8;
            if !source.reasons.iter().any(|line| near.contains(line)) {
                faults.push(format!(
                    "{file}:{}: {} has {} lines, more than {FUNCTION}; split it, or say why above it (`// Long: …`)",
                    function.line, function.name, function.lines
                ));
            }
        }
    }
    faults
}
