//! The effective configuration as a file that could be used as it stands, with where each value came from.

use std::fmt::Write;
use std::path::Path;

use super::options::{OPTIONS, Shape, Spec};
use super::settings::Settings;
use crate::protocol::target::mask;
use crate::proxy::pem::{is_a_key, is_a_place};

/// The column at which origins begin, where the value leaves room for it.
const ORIGIN_COLUMN: usize = 56;

/// TOML, one line an option, each with its origin as a comment. What is not set is a comment as a whole.
pub fn text(settings: &Settings) -> String {
    let mut out = String::new();
    let mut section = "";
    for spec in OPTIONS {
        if spec.section != section {
            section = spec.section;
            let title = section.split(" (").next().unwrap_or(section);
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}# {title}");
        }
        line(&mut out, spec, settings);
    }
    let mut certificates = settings
        .certificates
        .iter()
        .skip(usize::from(settings.layers().get("tls-cert").is_some()));
    if let Some(first) = certificates.next() {
        for certificate in std::iter::once(first).chain(certificates) {
            let (cert, key) = (
                certificate.certificate.display().to_string(),
                certificate.key.display().to_string(),
            );
            let _ = write!(
                out,
                "\n[[certificate]]\ncert = {}\nkey = {}\n",
                quoted(&cert),
                quoted(&key)
            );
        }
    }
    for (entry, text) in settings.entries.iter().zip(&settings.entry_texts) {
        let _ = write!(out, "\n[[mode]]  # {}\n{text}", entry.origin);
    }
    out
}

/// The same for a terminal: an origin for which a line has no room moves closer to its value, or above it.
pub fn text_for(settings: &Settings, width: Option<usize>) -> String {
    let text = text(settings);
    match width {
        Some(width) => text
            .lines()
            .map(|line| narrow(line, width) + "\n")
            .collect(),
        None => text,
    }
}

fn narrow(line: &str, width: usize) -> String {
    let length = |text: &str| text.chars().count();
    match line.rsplit_once("  # ") {
        Some((value, origin)) if length(line) > width => {
            let value = value.trim_end();
            match length(value) + length(origin) + 4 <= width {
                true => format!("{value}  # {origin}"),
                false => format!("# {origin}\n{value}"),
            }
        }
        _ => line.to_owned(),
    }
}

fn line(out: &mut String, spec: &Spec, settings: &Settings) {
    let Some(layered) = settings.layers().get(spec.name) else {
        let unset = match spec.name {
            "threads" => format!("# threads = {}", settings.threads),
            name => format!("# {name} ="),
        };
        let origin = if spec.name == "threads" {
            "one per core"
        } else {
            "not set"
        };
        let _ = writeln!(out, "{unset:ORIGIN_COLUMN$} # {origin}");
        return;
    };
    let value = match spec.shape {
        Shape::Switch => layered.values.last().cloned().unwrap_or_default(),
        Shape::One => shown(
            spec,
            layered
                .values
                .last()
                .map(String::as_str)
                .unwrap_or_default(),
        ),
        Shape::Many => {
            let all: Vec<String> = layered
                .values
                .iter()
                .map(|value| shown(spec, value))
                .collect();
            format!("[{}]", all.join(", "))
        }
    };
    // TOML has no key that is an array of strings and of tables.
    let comment = if spec.name == "mode" && !settings.entries.is_empty() {
        "# "
    } else {
        ""
    };
    let set = format!("{comment}{} = {value}", spec.name);
    let _ = writeln!(out, "{set:ORIGIN_COLUMN$} # {}", layered.origin);
}

/// The options whose files hold secrets: what was pasted in place of such a file's path is not shown. (A certificate's
/// key must be there before this is printed.) A key in place of any file is not shown either.
const HOLD_SECRETS: [&str; 3] = [
    "admin-token-file",
    "fingerprint-key-file",
    "rate-store-password-file",
];

fn shown(spec: &Spec, value: &str) -> String {
    let path = Path::new(value);
    let may_be_secret = HOLD_SECRETS.contains(&spec.name) || is_a_key(path);
    if may_be_secret && !path.exists() && !is_a_place(path) {
        quoted("***")
    } else {
        quoted(value)
    }
}

/// As TOML. A webhook's address that was pasted where a path is due shows no secret.
fn quoted(text: &str) -> String {
    toml::Value::String(mask(text.as_bytes())).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::options::add_to;
    use super::super::settings::SettingsSource;
    use super::*;

    #[test]
    fn in_a_narrow_terminal_an_origin_moves_closer_or_above() {
        let line = "http2 = true                  # proxy.toml:1:9";
        assert_eq!(narrow(line, 46), line);
        assert_eq!(narrow(line, 30), "http2 = true  # proxy.toml:1:9");
        assert_eq!(narrow(line, 20), "# proxy.toml:1:9\nhttp2 = true");
        assert_eq!(narrow("# Portal", 5), "# Portal");
    }

    fn of(words: &[&str]) -> Settings {
        let words = ["serve", "--upstream", "https://example.bitrix24.com"]
            .iter()
            .chain(words);
        SettingsSource::new(add_to(clap::Command::new("serve")).get_matches_from(words))
            .load()
            .expect("right words")
    }

    #[test]
    fn a_secret_in_place_of_its_files_path_is_not_shown() {
        for option in HOLD_SECRETS.map(|name| format!("--{name}")) {
            let store = ["--rate-store", "redis://127.0.0.1:6379"];
            let words = [&store[..], &[&option, "S3cretAdminTok3n"]].concat();
            let text = text(&of(&words));
            assert!(!text.contains("S3cret"), "{text}");
        }
        let key = "MC4CAQAwBQYDK2VwBCIEIPzZ3n4yBSDWc/uG6mgz";
        let text_of = |option: &str, given: &str| text(&of(&[option, given]));
        for option in ["--upstream-ca", "--callers", "--rules", "--access-log"] {
            for given in [key.to_owned(), format!("\"-----BEGIN X-----\\n{key}\"")] {
                let text = text_of(option, &given);
                assert!(!text.contains("MC4C"), "{text}");
            }
        }
        let said = text_of("--upstream-ca", "certificates/internal-ca-2026.pem");
        assert!(said.contains("internal-ca-2026.pem"), "{said}");
        let text = text(&of(&["--admin-token-file", "/etc/no-such-token"]));
        assert!(text.contains("\"/etc/no-such-token\""), "{text}");
    }

    #[test]
    fn every_option_stands_in_it_with_its_origin() {
        let text = text(&of(&["--mode", "observe", "--mode", "crm.lead.get=block"]));
        for spec in OPTIONS {
            assert!(text.contains(&format!("{} =", spec.name)), "{}", spec.name);
        }
        let modes = text
            .lines()
            .find(|line| line.starts_with("mode ="))
            .unwrap();
        assert!(
            modes.starts_with(r#"mode = ["observe", "crm.lead.get=block"] "#)
                && modes.ends_with("# option"),
            "{modes}"
        );
    }

    #[test]
    fn it_can_be_used_as_the_file_and_then_says_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mode = "[[mode]]
mode = 'block'
rule = 'crm.lead.list'
user = '7'
";
        std::fs::write(file.path(), mode).unwrap();
        let config = file.path().to_str().unwrap();
        let settings = of(&["--config", config, "--http2", "--max-connections", "7"]);
        std::fs::write(file.path(), text(&settings)).unwrap();
        let words = ["serve", "--config", file.path().to_str().unwrap()];
        let again =
            SettingsSource::new(add_to(clap::Command::new("serve")).get_matches_from(words))
                .load()
                .unwrap();
        assert!(again.http2);
        assert!(again.entries[0].says_the_same(&settings.entries[0]));
        assert_eq!(again.limits.connections, Some(7));
    }
}
