//! The requests of the golden cases.
use crate::Request;
use crate::catalogue::Mode;
use std::path::{Path, PathBuf};

/// The request of every case in `tests/golden`, by name.
///
/// # Panics
/// When a case cannot be read.
pub fn golden() -> Vec<Request> {
    golden_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"))
}

/// The same from another place.
///
/// # Panics
/// When a case cannot be read.
pub fn golden_of(root: &Path) -> Vec<Request> {
    let mut files = Vec::new();
    gather(root, &mut files);
    files.sort();
    files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(root).expect("a file below the root");
            let text = std::fs::read(file).expect("a readable case");
            request(name.with_extension("").display().to_string(), &text)
        })
        .collect()
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of golden cases") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The text below this heading, without the line's end before the next one.
fn section<'t>(text: &'t [u8], heading: &str) -> Option<&'t [u8]> {
    let heading = format!("--- {heading}\n");
    let start = if text.starts_with(heading.as_bytes()) {
        heading.len()
    } else {
        let before = format!("\n{heading}");
        memchr::memmem::find(text, before.as_bytes())? + before.len()
    };
    let rest = &text[start..];
    let end = memchr::memmem::find(rest, b"\n--- ").unwrap_or(rest.len().saturating_sub(1));
    Some(&rest[..end])
}

fn request(name: String, text: &[u8]) -> Request {
    let request = section(text, "request").expect("a case has a request");
    let (head, body) = match memchr::memmem::find(request, b"\n\n") {
        Some(end) => (&request[..end], &request[end + 2..]),
        None => (request, &b""[..]),
    };
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let space = memchr::memchr(b' ', first).expect("VERB TARGET");
    let fields: Vec<&[u8]> = lines.collect();
    let field = |name: &str| {
        fields.iter().find_map(|field| {
            let (found, value) = field.split_at(memchr::memchr(b':', field)?);
            found
                .eq_ignore_ascii_case(name.as_bytes())
                .then(|| value[1..].trim_ascii().to_vec())
        })
    };
    Request {
        name,
        verb: first[..space].to_vec(),
        target: first[space + 1..].to_vec(),
        content_type: field("content-type"),
        content_encoding: field("content-encoding"),
        body: body.to_vec(),
        mode: match section(text, "mode") {
            Some(b"observe") => Mode::Observe,
            Some(b"compare") => Mode::Compare,
            Some(b"brownout") => Mode::Brownout,
            Some(b"block") => Mode::Block,
            _ => Mode::Rewrite,
        },
    }
}
