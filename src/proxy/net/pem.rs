//! Certificates and keys out of PEM files, strictly: what nginx would refuse is refused here too, and told by line and
//! label. No message shows a byte of a file, for any of them may be a key's.
//!
//! Where blocks begin and end is read here, because the parser of rustls passes over what it does not know; their content
//! is that parser's.

use crate::proxy::net::certificate;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;

/// What stands between a block's begin and its end, both included.
struct Block<'a> {
    label: &'a str,
    /// The number of its first line, from 1.
    line: usize,
    bytes: &'a [u8],
}

const CERTIFICATE: &str = "CERTIFICATE";
const KEYS: [&str; 3] = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
const PARAMETERS: [&str; 2] = ["EC PARAMETERS", "DH PARAMETERS"];

/// The longest label that a message repeats; those in use are shorter.
const LONGEST_LABEL: usize = 40;

/// A file that cannot be used: which and why, for one line to ops.
pub fn unusable(path: &Path, why: impl std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

/// What is wrong with a file, and in which line, where it is one.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    line: Option<usize>,
    why: String,
}

impl Wrong {
    fn at(line: usize, why: impl Into<String>) -> Self {
        Wrong {
            line: Some(line),
            why: why.into(),
        }
    }

    fn all(why: &str) -> Self {
        Wrong {
            line: None,
            why: why.to_owned(),
        }
    }

    /// `FILE:LINE:1: …`
    fn of(self, path: &Path) -> String {
        match self.line {
            Some(line) => format!("{}:{line}:1: {}", path.display(), self.why),
            None => unusable(path, self.why),
        }
    }
}

/// The certificates of a file, in their order.
///
/// # Errors
/// Names the file, and the line that cannot be used.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = read(path)?;
    certificates_in(&bytes).map_err(|wrong| wrong.of(path))
}

/// The first private key of a file.
///
/// # Errors
/// Names the file, and the line that cannot be used.
pub fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let bytes = read(path)?;
    key_in(&bytes).map_err(|wrong| wrong.of(path))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        if is_a_place(path) {
            unusable(path, error)
        } else {
            format!(
                "a certificate's or key's file cannot be read: {error}; its name is not repeated, for it may be the key itself"
            )
        }
    })
}

/// Whether a path that leads to no file looks like one: it lies in a folder, or its name ends as such files' names do.
/// What was pasted in place of a path does not, and may be a secret.
pub fn is_a_place(path: &Path) -> bool {
    const ENDINGS: [&str; 7] = ["pem", "crt", "cer", "key", "txt", "token", "toml"];
    let in_folder = path.parent().is_some_and(|folder| {
        folder.parent().is_some() && !folder.as_os_str().is_empty() && folder.is_dir()
    });
    let ends = |ending: &std::ffi::OsStr| ENDINGS.iter().any(|known| ending == *known);
    in_folder || path.as_os_str().len() < 64 && path.extension().is_some_and(ends)
}

/// Whether what was given as a path is a key itself: PEM, or a long word as base64 has them.
pub fn is_a_key(given: &Path) -> bool {
    let text = given.to_string_lossy();
    let is_base64 = |word: &str| {
        let has = |kind: fn(&u8) -> bool| word.bytes().any(|b| kind(&b));
        word.len() >= 24
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_digit)
    };
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    text.contains("-----") || text.contains('\n') || words.any(is_base64)
}

fn certificates_in(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let mut found = Vec::new();
    for block in blocks(bytes)? {
        match block.label {
            CERTIFICATE => found.push(certificate_of(&block)?),
            label if KEYS.contains(&label) => drop(key_of(&block)?),
            _ => {}
        }
    }
    if found.is_empty() {
        return Err(Wrong::all("it has no certificate in PEM form"));
    }
    Ok(found)
}

fn key_in(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Wrong> {
    let mut found = None;
    for block in blocks(bytes)? {
        match block.label {
            CERTIFICATE => drop(certificate_of(&block)?),
            label if KEYS.contains(&label) => {
                let key = key_of(&block)?;
                found.get_or_insert(key);
            }
            _ => {}
        }
    }
    found.ok_or_else(|| Wrong::all("it has no private key in PEM form"))
}

fn certificate_of(block: &Block<'_>) -> Result<CertificateDer<'static>, Wrong> {
    CertificateDer::from_pem_slice(block.bytes)
        .ok()
        .filter(|der| certificate::outline(der).is_some())
        .ok_or_else(|| cannot_be_parsed(block))
}

fn key_of(block: &Block<'_>) -> Result<PrivateKeyDer<'static>, Wrong> {
    PrivateKeyDer::from_pem_slice(block.bytes).map_err(|_| {
        let says_so = memchr::memmem::find(block.bytes, b"ENCRYPTED").is_some();
        if says_so {
            encrypted(block.line)
        } else {
            cannot_be_parsed(block)
        }
    })
}

fn cannot_be_parsed(block: &Block<'_>) -> Wrong {
    Wrong::at(
        block.line,
        format!("the block {} cannot be parsed", block.label),
    )
}

fn encrypted(line: usize) -> Wrong {
    Wrong::at(
        line,
        "the private key is encrypted; decrypt it first, as with openssl pkey",
    )
}

/// All blocks of a file, each whole and of a known label.
fn blocks(bytes: &[u8]) -> Result<Vec<Block<'_>>, Wrong> {
    let mut found = Vec::new();
    let mut open: Option<(&str, usize, usize)> = None;
    for (number, at, line) in lines(bytes) {
        let marked = memchr::memmem::find(line, b"-----").is_some();
        match open {
            _ if !marked => {}
            None => open = Some((begin(line, number)?, number, at)),
            Some((label, first, from)) => {
                if label_of(line, b"-----END ") != Some(label) {
                    let why = format!(
                        "here should be the end of the block {label} of line {first}, alone in its line; {}",
                        hint(line)
                    );
                    return Err(Wrong::at(number, why));
                }
                found.push(Block {
                    label,
                    line: first,
                    bytes: &bytes[from..at + line.len()],
                });
                open = None;
            }
        }
    }
    match open {
        Some((label, line, _)) => Err(Wrong::at(line, format!("the block {label} has no end"))),
        None => Ok(found),
    }
}

/// The label of the block that begins in this line.
fn begin(line: &[u8], number: usize) -> Result<&str, Wrong> {
    let Some(label) = label_of(line, b"-----BEGIN ") else {
        let why = format!("the line holds ----- and begins no block; {}", hint(line));
        return Err(Wrong::at(number, why));
    };
    if label == "ENCRYPTED PRIVATE KEY" {
        return Err(encrypted(number));
    }
    if label == CERTIFICATE || KEYS.contains(&label) || PARAMETERS.contains(&label) {
        Ok(label)
    } else {
        let why = format!(
            "a block {label} is not used here; take it out: what counts are CERTIFICATE, {}",
            KEYS.join(", ")
        );
        Err(Wrong::at(number, why))
    }
}

/// The label of a line that is a block's begin or end, by this mark, and nothing else.
fn label_of<'a>(line: &'a [u8], mark: &[u8]) -> Option<&'a str> {
    let label = line.trim_ascii_end().strip_prefix(mark)?;
    let label = str::from_utf8(label.strip_suffix(b"-----")?).ok()?;
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ';
    (label.len() <= LONGEST_LABEL && label.bytes().all(plain)).then_some(label)
}

/// What is likely wrong with a line that should be a mark.
fn hint(line: &[u8]) -> &'static str {
    if memchr::memmem::find(line, b"\\n").is_some() {
        "its line ends are written as \\n: make them line ends, as with printf '%b'"
    } else {
        "a line end is missing, as where files were joined, or something is before or after the mark"
    }
}

/// Lines with their number, from 1, and where they begin; they end with LF, CR or both.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, usize, &[u8])> {
    let mut at = 0;
    (1..).map_while(move |number| {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let begin = at;
        at += length
            + if rest[length..].starts_with(b"\r\n") {
                2
            } else {
                1
            };
        Some((number, begin, &rest[..length]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["proxy.example".into()]).unwrap();
        (
            params
                .self_signed(&key)
                .unwrap()
                .pem()
                .replace("\r\n", "\n"),
            key.serialize_pem().replace("\r\n", "\n"),
        )
    }

    fn refused(text: &str) -> String {
        told(certificates_in(text.as_bytes()).unwrap_err())
    }

    fn told(wrong: Wrong) -> String {
        wrong.of(Path::new("f"))
    }

    #[test]
    fn certificates_and_keys_are_found_among_what_may_stand_beside_them() {
        let (certificate, key) = pair();
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let dh = parameters.replace("EC PARAM", "DH PARAM");
        let text = format!(
            "Bag Attributes\n    friendlyName: x - y\n{parameters}{key}{dh}subject=CN = a\n{certificate}{certificate}"
        );
        for text in [
            text.clone(),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\r"),
            text.trim_end().to_owned(),
            text.replace("-----\n", "-----  \n"),
        ] {
            assert_eq!(certificates_in(text.as_bytes()).unwrap().len(), 2);
            assert!(key_in(text.as_bytes()).is_ok());
        }
        assert_eq!(refused(&key), "f: it has no certificate in PEM form");
        assert_eq!(
            told(key_in(certificate.as_bytes()).unwrap_err()),
            "f: it has no private key in PEM form"
        );
    }

    #[test]
    fn a_chain_that_was_joined_without_a_line_end_is_refused_and_not_cut() {
        let (certificate, _) = pair();
        let end = certificate.trim_end().lines().count();
        let joined = format!("{}{certificate}", certificate.trim_end());
        assert_eq!(
            refused(&joined),
            format!(
                "f:{end}:1: here should be the end of the block CERTIFICATE of line 1, alone in its line; a line end is \
                 missing, as where files were joined, or something is before or after the mark"
            )
        );
        let bom = format!("\u{feff}{certificate}");
        assert!(refused(&bom).starts_with("f:1:1: the line holds ----- and begins no block; "));
        let indented = certificate.replace("-----BEGIN", " -----BEGIN");
        assert!(
            refused(&indented).starts_with("f:1:1: the line holds ----- and begins no block; ")
        );
    }

    #[test]
    fn other_labels_and_blocks_that_cannot_be_parsed_are_refused_by_line_and_label() {
        let (certificate, key) = pair();
        let trusted = certificate.replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        assert_eq!(
            refused(&format!("{certificate}{trusted}")),
            format!(
                "f:{}:1: a block TRUSTED CERTIFICATE is not used here; take it out: what counts are \
                 CERTIFICATE, PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY",
                certificate.lines().count() + 1
            )
        );
        let broken = "-----BEGIN CERTIFICATE-----\nMII?\n-----END CERTIFICATE-----\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nMIH=\n-----END CERTIFICATE-----\n";
        for text in [broken, no_certificate] {
            assert_eq!(
                refused(text),
                "f:1:1: the block CERTIFICATE cannot be parsed"
            );
        }
        let cut = &key[..key.len() / 2];
        assert_eq!(refused(cut), "f:1:1: the block PRIVATE KEY has no end");
        let bad_key = "\n-----BEGIN EC PRIVATE KEY-----\n!\n-----END EC PRIVATE KEY-----\n";
        assert_eq!(
            told(key_in(bad_key.as_bytes()).unwrap_err()),
            "f:2:1: the block EC PRIVATE KEY cannot be parsed"
        );
        assert!(refused(&format!("{certificate}{bad_key}")).contains("the block EC PRIVATE KEY"));
    }

    #[test]
    fn no_message_shows_what_stands_in_the_file() {
        let (_, key) = pair();
        let in_one_line = key.replace('\n', "\\n");
        assert_eq!(
            told(key_in(in_one_line.as_bytes()).unwrap_err()),
            "f:1:1: the line holds ----- and begins no block; its line ends are written as \\n: make them line ends, as with \
             printf '%b'"
        );
        let content = key.lines().nth(1).unwrap();
        for at in 0..key.len() {
            for with in ["", "-----", "\n", "\\n", "?"] {
                let text = format!("{}{with}{}", &key[..at], &key[at + 1..]);
                for wrong in [
                    key_in(text.as_bytes()).err(),
                    certificates_in(text.as_bytes()).err(),
                ]
                .into_iter()
                .flatten()
                {
                    let said = wrong.why;
                    let shows = |part: &[u8]| said.contains(str::from_utf8(part).unwrap());
                    assert!(!content.as_bytes().windows(8).any(shows), "{said}");
                }
            }
        }
    }
}
