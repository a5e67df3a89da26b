//! The files of a tree, read on all cores by ripgrep's own walker: what `.gitignore`, `.ignore` and git's own excludes leave
//! out stays out, inside a repository or not; hidden files are read, `.git` is not. Links are not followed.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use ignore::{DirEntry, WalkBuilder, WalkState};

use super::pieces::Language;
use super::text::{Finder, Places, What};
use super::{Found, Report, Unseen};

/// Files above this size (64 MiB) are no source code; they are not read, and named in the report.
pub const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// So many bytes at the beginning tell text from other files, as git does it: a NUL is in no text.
const LOOKED_AT: usize = 8000;

/// Searches these files and folders.
pub fn search(paths: &[PathBuf], finder: &Finder) -> Report {
    let Some((first, others)) = paths.split_first() else {
        return Report::default();
    };
    let mut walk = WalkBuilder::new(first);
    for path in others {
        walk.add(path);
    }
    walk.hidden(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .threads(std::thread::available_parallelism().map_or(1, usize::from));
    let (sender, receiver) = mpsc::channel();
    let mut report = Report::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            walk.build_parallel().run(|| {
                let mut part = Part {
                    report: Report::default(),
                    content: Vec::new(),
                    sender: sender.clone(),
                };
                Box::new(move |entry| {
                    match entry {
                        Ok(entry) => part.take(&entry, finder),
                        Err(error) => part.cannot_walk(&error),
                    }
                    WalkState::Continue
                })
            });
            drop(sender);
        });
        for part in receiver {
            merge(&mut report, part);
        }
    });
    report
        .found
        .sort_by(|a, b| (&a.path, a.place).cmp(&(&b.path, b.place)));
    report
        .unseen
        .sort_by(|a, b| (&a.path, a.place).cmp(&(&b.path, b.place)));
    report.skipped.sort();
    report
}

fn merge(report: &mut Report, part: Report) {
    report.found.extend(part.found);
    report.unseen.extend(part.unseen);
    report.skipped.extend(part.skipped);
    report.searched += part.searched;
    report.binary += part.binary;
}

/// What one thread has found; given away when the thread ends.
struct Part {
    report: Report,
    content: Vec<u8>,
    sender: mpsc::Sender<Report>,
}

impl Drop for Part {
    fn drop(&mut self) {
        // The receiver outlives all threads; were it gone, nobody would want the report.
        let _ = self.sender.send(std::mem::take(&mut self.report));
    }
}

impl Part {
    fn take(&mut self, entry: &DirEntry, finder: &Finder) {
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            return;
        }
        match self.read(entry.path()) {
            Ok(true) => self.search(entry.path(), finder),
            Ok(false) => {}
            Err(error) => self
                .report
                .skipped
                .push((entry.path().to_owned(), error.to_string())),
        }
    }

    /// Reads a file whole; false when it is no text or too large.
    fn read(&mut self, path: &Path) -> io::Result<bool> {
        let mut file = fs::File::open(path)?;
        self.content.clear();
        let mut limited = (&mut file).take(LARGEST_FILE + 1);
        limited
            .by_ref()
            .take(LOOKED_AT as u64)
            .read_to_end(&mut self.content)?;
        let wide = self.content.starts_with(b"\xff\xfe") || self.content.starts_with(b"\xfe\xff");
        if !wide && memchr::memchr(0, &self.content).is_some() {
            self.report.binary += 1;
            return Ok(false);
        }
        if self.content.len() == LOOKED_AT {
            limited.read_to_end(&mut self.content)?;
        }
        if self.content.len() as u64 > LARGEST_FILE {
            self.content = Vec::new();
            let reason = format!("larger than {} MiB", LARGEST_FILE / 1024 / 1024);
            self.report.skipped.push((path.to_owned(), reason));
            return Ok(false);
        }
        if wide {
            self.content = from_utf16(&self.content);
        }
        self.report.searched += 1;
        Ok(true)
    }

    fn search(&mut self, path: &Path, finder: &Finder) {
        // Editors count no column for a byte order mark.
        let content = self
            .content
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.content);
        let hits = finder.find(content, language(path, content));
        let mut places = Places::new(content);
        for hit in hits {
            let place = places.of(&hit.span);
            match hit.what {
                What::Method { known, joined } => self.report.found.push(Found {
                    path: path.to_owned(),
                    place,
                    known,
                    joined,
                }),
                What::Unsure(why) => self.report.unseen.push(Unseen {
                    path: path.to_owned(),
                    place,
                    why,
                }),
            }
        }
    }

    fn cannot_walk(&mut self, error: &ignore::Error) {
        let mut path = PathBuf::new();
        let mut inner = error;
        loop {
            match inner {
                ignore::Error::WithPath { path: at, err } => {
                    path.clone_from(at);
                    inner = err;
                }
                ignore::Error::WithDepth { err, .. }
                | ignore::Error::WithLineNumber { err, .. } => {
                    inner = err;
                }
                other => {
                    self.report.skipped.push((path, other.to_string()));
                    return;
                }
            }
        }
    }
}

/// What matters of a file's language, by its extension or its first line.
fn language(path: &Path, content: &[u8]) -> Language {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("py" | "pyw" | "ipynb") => Language::Python,
        Some("sh" | "bash" | "zsh" | "ksh") => Language::Shell,
        None if content.starts_with(b"#!") => {
            let line = content.split(|b| *b == b'\n').next().unwrap_or_default();
            let named = |word: &[u8]| memchr::memmem::find(line, word).is_some();
            if named(b"python") {
                Language::Python
            } else if named(b"sh") {
                Language::Shell
            } else {
                Language::Other
            }
        }
        _ => Language::Other,
    }
}

/// Text in UTF-16 with its byte order mark, as Windows' tools write it; what is no character becomes a replacement.
fn from_utf16(content: &[u8]) -> Vec<u8> {
    let little = content.starts_with(b"\xff\xfe");
    let units = content[2..].chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        }
    });
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect::<String>()
        .into_bytes()
}
