//! The map of ARCHITECTURE.md as values: the rooms with what each may import, and the list of what is pure.

/// A row of a table: some folders or files, and which other rooms they may import from.
#[derive(Debug, PartialEq)]
pub struct Room {
    /// `src/proxy/` for a folder with all in it, `src/digits.rs` for a file.
    pub paths: Vec<String>,
    pub uses: Uses,
    /// Its table, by number: "all below" ends where the table does.
    table: usize,
}

#[derive(Debug, PartialEq)]
pub enum Uses {
    AllBelow,
    Named(Vec<String>),
}

#[derive(Debug, Default)]
pub struct Map {
    pub rooms: Vec<Room>,
    /// Folders and files that are pure.
    pub pure: Vec<String>,
}

impl Room {
    pub fn name(&self) -> &str {
        &self.paths[0]
    }

    fn holds(&self, file: &str) -> Option<usize> {
        self.paths
            .iter()
            .filter(|path| covers(path, file))
            .map(String::len)
            .max()
    }
}

fn covers(path: &str, file: &str) -> bool {
    path == file || path.ends_with('/') && file.starts_with(path)
}

/// `` `a`, `b` (of the rest) `` → a, b
fn quoted(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

impl Map {
    /// Reads every table whose first column has `src/…` in backticks and whose last column says what it uses, and
    /// the section "Pure".
    pub fn read(page: &str) -> Map {
        let mut map = Map::default();
        let (mut table, mut in_table, mut in_pure) = (0, false, false);
        for line in page.lines() {
            if line.starts_with('#') {
                in_pure = line.trim_start_matches('#').trim() == "Pure";
            }
            if in_pure {
                map.pure.extend(
                    quoted(line)
                        .into_iter()
                        .filter(|path| path.starts_with("src/")),
                );
            }
            if !line.starts_with('|') {
                in_table = false;
                continue;
            }
            if !in_table {
                table += 1;
                in_table = true;
            }
            let columns: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [first, .., last] = columns[..] else {
                continue;
            };
            let paths = quoted(first);
            if paths.is_empty() || paths.iter().any(|path| !path.starts_with("src/")) {
                continue;
            }
            let uses = if last == "all below" {
                Uses::AllBelow
            } else {
                Uses::Named(quoted(last))
            };
            map.rooms.push(Room { paths, uses, table });
        }
        map
    }

    /// The narrowest room that holds a file, by number.
    pub fn room_of(&self, file: &str) -> Option<usize> {
        (0..self.rooms.len())
            .filter_map(|at| Some((self.rooms[at].holds(file)?, at)))
            .max()
            .map(|(_, at)| at)
    }

    pub fn is_pure(&self, file: &str) -> bool {
        self.pure.iter().any(|path| covers(path, file))
    }

    /// The room that a name in the last column of a room's row means: one of the same table first.
    fn meant(&self, name: &str, by: usize) -> Option<usize> {
        let called = |at: usize| {
            self.rooms[at].paths.iter().any(|path| {
                let path = path.trim_end_matches('/').trim_end_matches(".rs");
                path.ends_with(name) && path[..path.len() - name.len()].ends_with('/')
            })
        };
        let here = (0..self.rooms.len())
            .find(|at| self.rooms[*at].table == self.rooms[by].table && called(*at));
        here.or_else(|| (0..self.rooms.len()).find(|at| called(*at)))
    }

    /// Names in the last column that mean no room, or one that stands above.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (at, room) in self.rooms.iter().enumerate() {
            let Uses::Named(names) = &room.uses else {
                continue;
            };
            for name in names {
                match self.meant(name, at) {
                    None => faults.push(format!("map: the row of {} names {name}, which is no row", room.name())),
                    Some(other) if other <= at && self.rooms[other].table == room.table => faults.push(format!(
                        "map: the row of {} names {name}, which stands above it; imports go down the table",
                        room.name()
                    )),
                    Some(_) => {}
                }
            }
        }
        faults
    }

    /// Whether a file of one room may import from another. The face of a folder (`mod.rs`) may use what is in it, and
    /// where a room lies within another, both rows must allow what leaves the outer one.
    pub fn allows(&self, file: &str, imported: &str) -> bool {
        let (Some(from), Some(to)) = (self.room_of(file), self.room_of(imported)) else {
            return true;
        };
        if from == to {
            return true;
        }
        let outer: Vec<usize> = (0..self.rooms.len())
            .filter(|at| self.rooms[*at].holds(file).is_some())
            .collect();
        outer.into_iter().all(|room| {
            // What a room holds, it may use: the rows within it say the rest.
            let within = self.rooms[room].holds(imported).is_some();
            within || self.lists(room, imported)
        })
    }

    fn lists(&self, room: usize, imported: &str) -> bool {
        match &self.rooms[room].uses {
            Uses::AllBelow => {
                let below =
                    |at: &usize| *at > room && self.rooms[*at].table == self.rooms[room].table;
                let outer = (0..self.rooms.len()).any(|at| {
                    self.rooms[at].table != self.rooms[room].table
                        && self.rooms[at].holds(imported).is_some()
                });
                let same_table = (0..self.rooms.len()).any(|at| {
                    self.rooms[at].table == self.rooms[room].table
                        && self.rooms[at].holds(imported).is_some()
                });
                (0..self.rooms.len())
                    .filter(below)
                    .any(|at| self.rooms[at].holds(imported).is_some())
                    || outer && !same_table
            }
            Uses::Named(names) => names
                .iter()
                .filter_map(|name| self.meant(name, room))
                .any(|at| self.rooms[at].holds(imported).is_some()),
        }
    }
}
