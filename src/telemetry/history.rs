//! The files of a deprecation log that earlier runs wrote: the current one, and those that were rotated away.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// A file of the log, open: it may be renamed or compressed while it waits to be read.
#[derive(Debug)]
pub struct LogFile {
    pub name: String,
    pub file: File,
    /// Device and inode.
    pub identity: (u64, u64),
    modified: SystemTime,
}

/// The files of the log at this path, newest first: itself, `LOG.1`, `LOG-20261201` and the like, each also with `.gz`.
///
/// # Errors
/// The folder cannot be read, or a file of the log cannot be opened.
pub fn files(log: &Path) -> io::Result<Vec<LogFile>> {
    let folder = match log.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Some(own) = log.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let mut names: HashSet<String> = HashSet::new();
    for entry in std::fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string()
            && is_of(own, &name)
        {
            names.insert(name);
        }
    }
    let mut files: Vec<LogFile> = Vec::new();
    for name in &names {
        // While a file is compressed both are there.
        if name
            .strip_suffix(".gz")
            .is_some_and(|plain| names.contains(plain))
        {
            continue;
        }
        let path = folder.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            // Rotated away just now, under another name.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let about = file.metadata()?;
        let identity = (about.dev(), about.ino());
        if about.is_file() && files.iter().all(|known| known.identity != identity) {
            files.push(LogFile {
                name: path.display().to_string(),
                file,
                identity,
                modified: about.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            });
        }
    }
    files.sort_by_key(|file| std::cmp::Reverse(file.modified));
    Ok(files)
}

/// Whether a file of this name is one of the log's own: `LOG`, `LOG.N`, `LOG-DATE…`, each also `.gz`. logrotate's
/// `extension` may put what it adds before the log's own ending.
fn is_of(log: &str, name: &str) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    if name == log {
        return true;
    }
    let added = |rest: &str| {
        rest.strip_prefix(['.', '-'])
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    if name.strip_prefix(log).is_some_and(added) {
        return true;
    }
    match log.rsplit_once('.') {
        Some((stem, ending)) => name
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_suffix(ending)?.strip_suffix('.'))
            .is_some_and(added),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_known_by_their_names() {
        for name in [
            "log.jsonl",
            "log.jsonl.1",
            "log.jsonl.12.gz",
            "log.jsonl-20261201",
            "log.jsonl-20261201-1764547200.gz",
            "log-20261201.jsonl",
            "log.jsonl.gz",
        ] {
            assert!(is_of("log.jsonl", name), "{name}");
        }
        for name in [
            "log.jsonl.bak",
            "other.jsonl",
            "log.json",
            "log.jsonl.",
            "logs-1.jsonl",
            "log.jsonl~",
        ] {
            assert!(!is_of("log.jsonl", name), "{name}");
        }
    }

    #[test]
    fn files_come_newest_first_and_one_that_is_being_compressed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, age) in [
            ("log", 0),
            ("log.1", 10),
            ("log.2", 20),
            ("log.2.gz", 5),
            ("log.3.gz", 30),
            ("else", 0),
        ] {
            let file = File::create(path(name)).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age))
                .unwrap();
        }
        std::fs::create_dir(path("log.4")).unwrap();
        let found = files(&path("log")).unwrap();
        let names: Vec<&str> = found
            .iter()
            .filter_map(|file| file.name.rsplit('/').next())
            .collect();
        assert_eq!(names, ["log", "log.1", "log.2", "log.3.gz"]);
    }
}
