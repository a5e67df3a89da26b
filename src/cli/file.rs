//! The configuration file: TOML whose keys are the options' names, and what only a file can say.
//!
//! It is walked as a tree with spans instead of being deserialised into a struct, so that the list of options stays
//! the one declaration, and every complaint has its line, its column and the nearest name that would have been right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::entries;
use super::failure::Failure;
use super::inputs::unreadable;
use super::layered::{Layered, Origin};
use super::options::{self, OPTIONS, Shape, Spec};
use super::source::{Source, shown};
use super::text::reason;
use crate::ladder::Entry;
use crate::proxy::config::CertificateFiles;
use crate::proxy::pem::is_a_key;

/// A configuration file that could be read.
#[derive(Clone, Debug, Default)]
pub struct File {
    options: BTreeMap<&'static str, Layered>,
    /// The `[[certificate]]` tables, in their order.
    pub certificates: Vec<CertificateFiles>,
    /// The `[[mode]]` tables, in their order.
    pub modes: Vec<Entry>,
    /// The same as they could stand in a file, each without its heading.
    pub mode_texts: Vec<String>,
}

impl File {
    /// Reads and checks the file's form; its values are understood later.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            if is_a_key(path) {
                return unreadable("configuration file", path, &error);
            }
            Failure::usage(format!(
                "cannot read the configuration file {name}: {}; check --config",
                reason(&error)
            ))
        })?;
        Self::parse(&name, &text)
    }

    /// As [`File::read`], for a text that has been read already; `name` stands in complaints.
    pub fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let source = Source::new(name, text);
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            let why = match (error.message(), text.get(at.clone())) {
                ("duplicate key", Some("mode")) => {
                    "mode is set twice; beside [[mode]] entries set it for all others by a last [[mode]] entry without conditions"
                        .to_owned()
                }
                ("duplicate key", Some(key)) => format!("{} is set twice", shown(key)),
                (message, _) => format!("this is not TOML: {message}"),
            };
            source.wrong(at, &why)
        })?;
        let mut file = Self::default();
        for (key, value) in table.into_inner() {
            let at = key.span();
            match (key.get_ref().as_ref(), options::find(key.get_ref())) {
                ("certificate", _) => file.certificates = certificates(&source, &value)?,
                ("mode", _) if entries::are_entries(&value) => {
                    file.modes = entries::read(&source, &value)?;
                    file.mode_texts = entries::texts_of(&value);
                }
                (_, Some(spec)) => {
                    let layered = option(&source, spec, &value)?;
                    file.options.insert(spec.name, layered);
                }
                (unknown, None) => {
                    let known = OPTIONS.iter().map(|spec| spec.name).chain(["certificate"]);
                    return Err(source.unknown(at, unknown, known));
                }
            }
        }
        Ok(file)
    }

    /// The options that the file sets.
    pub fn options(&self) -> &BTreeMap<&'static str, Layered> {
        &self.options
    }
}

fn option(
    source: &Source<'_>,
    spec: &Spec,
    value: &Spanned<DeValue<'_>>,
) -> Result<Layered, Failure> {
    let (line, column) = source.position(&value.span());
    let origin = Origin::File {
        file: source.name.to_owned(),
        line,
        column,
    };
    let values = match (spec.shape, value.get_ref()) {
        (Shape::Switch, DeValue::Boolean(on)) => vec![on.to_string()],
        (Shape::Switch, _) => {
            return Err(source.wrong(value.span(), &format!("{} is true or false", spec.name)));
        }
        (Shape::Many, DeValue::Array(items)) => items
            .iter()
            .map(|item| scalar(source, spec, item))
            .collect::<Result<_, _>>()?,
        (Shape::One | Shape::Many, _) => vec![scalar(source, spec, value)?],
    };
    Ok(Layered { values, origin })
}

fn scalar(
    source: &Source<'_>,
    spec: &Spec,
    value: &Spanned<DeValue<'_>>,
) -> Result<String, Failure> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        other => {
            let or_list = if spec.shape == Shape::Many {
                " or an array of them"
            } else {
                ""
            };
            let why = format!(
                "{} takes a string in quotes{or_list}, not {}",
                spec.name,
                article(other.type_str())
            );
            Err(source.wrong(value.span(), &why))
        }
    }
}

fn certificates(
    source: &Source<'_>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<CertificateFiles>, Failure> {
    let hint = "write [[certificate]] with cert = \"FILE\" and key = \"FILE\"";
    let DeValue::Array(items) = value.get_ref() else {
        return Err(source.wrong(value.span(), hint));
    };
    items
        .iter()
        .map(|item| certificate(source, item, hint))
        .collect()
}

fn certificate(
    source: &Source<'_>,
    item: &Spanned<DeValue<'_>>,
    hint: &str,
) -> Result<CertificateFiles, Failure> {
    let DeValue::Table(table) = item.get_ref() else {
        return Err(source.wrong(item.span(), hint));
    };
    let (mut cert, mut private_key) = (None, None);
    for (key, value) in table {
        let into = match key.get_ref().as_ref() {
            "cert" => &mut cert,
            "key" => &mut private_key,
            unknown => {
                return Err(source.unknown(key.span(), unknown, ["cert", "key"].into_iter()));
            }
        };
        match value.get_ref() {
            DeValue::String(path) if !path.is_empty() => *into = Some(PathBuf::from(path.as_ref())),
            _ => return Err(source.wrong(value.span(), hint)),
        }
    }
    match (cert, private_key) {
        (Some(certificate), Some(key)) => Ok(CertificateFiles { certificate, key }),
        _ => Err(source.wrong(item.span(), hint)),
    }
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        File::parse("proxy.toml", text).expect_err(text).to_string()
    }

    #[test]
    fn keys_are_the_options_names() {
        let file = File::parse(
            "f",
            "listen = [\"127.0.0.1:1\", 'unix:/x']\nhttp2 = true\nmax-connections = 5\n",
        )
        .unwrap();
        assert_eq!(
            file.options.get("listen").unwrap().values,
            ["127.0.0.1:1", "unix:/x"]
        );
        assert_eq!(file.options.get("http2").unwrap().values, ["true"]);
        let layered = file.options.get("max-connections").unwrap();
        assert_eq!(layered.values, ["5"]);
        assert_eq!(
            layered.origin,
            Origin::File {
                file: "f".to_owned(),
                line: 3,
                column: 19
            }
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_place_and_the_nearest_name() {
        assert_eq!(
            complaint("\n  lisen = 'x'"),
            "proxy.toml:2:3: there is no key lisen; did you mean listen?"
        );
        assert_eq!(
            complaint("max_connections = 1"),
            "proxy.toml:1:1: there is no key max_connections; did you mean max-connections?"
        );
        assert_eq!(
            complaint("http2 = true\nhttp2 = false"),
            "proxy.toml:2:1: http2 is set twice"
        );
        let both = complaint("mode = 'observe'\n[[mode]]\nmode = 'block'");
        assert!(
            both.starts_with("proxy.toml:2:3: mode is set twice; beside"),
            "{both}"
        );
        assert_eq!(
            complaint("zebra = 1"),
            "proxy.toml:1:1: there is no key zebra; docs/CONFIGURATION.md lists all"
        );
    }

    #[test]
    fn an_unknown_key_in_a_table_is_an_error_too() {
        let text = "[[certificate]]\ncert = 'a'\nkey = 'b'\nkeys = 'c'";
        assert_eq!(
            complaint(text),
            "proxy.toml:4:1: there is no key keys; did you mean key?"
        );
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_an_error_with_its_place() {
        assert_eq!(
            complaint("http2 = 'yes'"),
            "proxy.toml:1:9: http2 is true or false"
        );
        assert_eq!(
            complaint("body-timeout = 1.5"),
            "proxy.toml:1:16: body-timeout takes a string in quotes, not a float"
        );
        assert!(
            complaint("listen = [true]")
                .starts_with("proxy.toml:1:11: listen takes a string in quotes or an array")
        );
    }

    #[test]
    fn what_is_no_toml_is_an_error_of_one_line_with_its_place() {
        let said = complaint("listen = [\n'a'\nhttp2 = true");
        assert!(said.starts_with("proxy.toml:"), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }

    #[test]
    fn certificates_are_pairs() {
        let file = File::parse(
            "f",
            "[[certificate]]\ncert='a.pem'\nkey='a.key'\n[[certificate]]\ncert='b'\nkey='c'",
        )
        .unwrap();
        assert_eq!(
            file.certificates[0],
            CertificateFiles {
                certificate: "a.pem".into(),
                key: "a.key".into()
            }
        );
        assert_eq!(file.certificates.len(), 2);
        assert!(complaint("[[certificate]]\ncert='a'").contains("write [[certificate]]"));
    }
}
