//! `[[mode]]` of the configuration file: TOML in, entries of the ladder out.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::failure::Failure;
use super::source::Source;
use crate::ladder::share::Share;
use crate::ladder::window::Window;
use crate::ladder::{Entry, Methods, Step};
use crate::telemetry::callers::{Network, Pattern, fingerprint_of};

/// What an entry can say.
const KEYS: [&str; 9] = [
    "mode",
    "rule",
    "caller",
    "user",
    "application",
    "fingerprint",
    "address",
    "user_agent",
    "share",
];

/// What an entry can say of time.
const WHEN: &str = "when";

/// Whether the key `mode` holds entries, `[[mode]]`, and not the option's values.
pub fn are_entries(value: &Spanned<DeValue<'_>>) -> bool {
    match value.get_ref() {
        DeValue::Array(items) => items
            .iter()
            .any(|item| matches!(item.get_ref(), DeValue::Table(_))),
        DeValue::Table(_) => true,
        _ => false,
    }
}

/// Reads all entries, in their order.
pub fn read(source: &Source<'_>, value: &Spanned<DeValue<'_>>) -> Result<Vec<Entry>, Failure> {
    let hint = "write [[mode]] with mode = \"MODE\" and what it is for; a mode for all is one without more, at the end";
    let DeValue::Array(items) = value.get_ref() else {
        return Err(source.wrong(value.span(), hint));
    };
    items.iter().map(|item| entry(source, item, hint)).collect()
}

/// Each entry as it could stand in a file, without its heading.
pub fn texts_of(value: &Spanned<DeValue<'_>>) -> Vec<String> {
    let DeValue::Array(items) = value.get_ref() else {
        return Vec::new();
    };
    let tables = items
        .iter()
        .map(|item| toml::Table::deserialize(ValueDeserializer::from(item.clone())));
    tables.flatten().map(|table| table.to_string()).collect()
}

fn entry(source: &Source<'_>, item: &Spanned<DeValue<'_>>, hint: &str) -> Result<Entry, Failure> {
    let DeValue::Table(table) = item.get_ref() else {
        return Err(source.wrong(item.span(), hint));
    };
    let mut found: BTreeMap<&str, Vec<(String, std::ops::Range<usize>)>> = BTreeMap::new();
    for (key, value) in table {
        let name = KEYS
            .iter()
            .chain([&WHEN])
            .find(|name| **name == key.get_ref().as_ref())
            .ok_or_else(|| {
                let known = KEYS.into_iter().chain([WHEN]);
                source.unknown(key.span(), key.get_ref(), known)
            })?;
        found.insert(name, texts(source, name, value)?);
    }
    let step = match found.remove("mode").unwrap_or_default().as_slice() {
        [(text, at)] => Step::parse(text).map_err(|why| source.wrong(at.clone(), &why))?,
        _ => return Err(source.wrong(item.span(), hint)),
    };
    let mut entry = Entry::new(step, source.place(&item.span()));
    for (name, values) in found {
        for (text, at) in values {
            set(&mut entry, name, &text).map_err(|why| source.wrong(at, &why))?;
        }
    }
    Ok(entry)
}

/// One value as text; several where the key takes a list.
fn texts(
    source: &Source<'_>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<Vec<(String, std::ops::Range<usize>)>, Failure> {
    let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) if !text.trim().is_empty() => {
            Ok((text.trim().to_owned(), item.span()))
        }
        DeValue::Integer(number) if name == "user" => Ok((number.to_string(), item.span())),
        _ => Err(source.wrong(item.span(), &format!("{name} takes a string in quotes"))),
    };
    match value.get_ref() {
        // Nothing listed would be as good as nothing said: all rules, at any time.
        DeValue::Array(items) if items.is_empty() && matches!(name, "rule" | WHEN) => {
            let why = format!("{name} lists nothing; name something, or take the key out");
            Err(source.wrong(value.span(), &why))
        }
        DeValue::Array(items) if matches!(name, "rule" | WHEN) => items.iter().map(text).collect(),
        _ => Ok(vec![text(value)?]),
    }
}

fn set(entry: &mut Entry, name: &str, text: &str) -> Result<(), String> {
    let own = || Some(text.to_owned());
    match name {
        "rule" => entry.methods.push(Methods::parse(text)?),
        "caller" => entry.caller = own(),
        "user" => entry.callers.user = own(),
        "application" => entry.callers.application = own(),
        "fingerprint" => entry.callers.fingerprint = Some(fingerprint_of(text)?),
        "address" => entry.callers.address = Some(Network::parse(text)?),
        "user_agent" => entry.callers.user_agent = Some(Pattern::new(text)),
        "share" => entry.share = Some(Share::parse(text)?),
        _ => entry.windows.push(Window::parse(text)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::file::File;

    fn complaint(text: &str) -> String {
        File::parse("proxy.toml", text).expect_err(text).to_string()
    }

    #[test]
    fn entries_say_which_rules_callers_and_times() {
        let file = File::parse(
            "proxy.toml",
            "listen = '127.0.0.1:1'\n\n[[mode]]\nmode = 'brownout until 2027-01-01'\nrule = ['crm.lead.*', 'crm.deal.list']\n\
             user = 7\naddress = '192.0.2.0/24'\nwhen = 'every Tuesday 10:00 Europe/Berlin for 15m'\n\n[[mode]]\nmode = 'observe'\n",
        )
        .unwrap();
        let [first, second] = file.modes.as_slice() else {
            panic!("{:?}", file.modes);
        };
        assert_eq!(first.origin, "proxy.toml:3:1");
        assert_eq!(first.word(), "brownout");
        assert_eq!(first.methods.len(), 2);
        assert_eq!(
            first.scope().as_deref(),
            Some("user 7, address 192.0.2.0/24")
        );
        assert_eq!(first.windows.len(), 1);
        assert_eq!(second.origin, "proxy.toml:10:1");
        assert!(!second.is_for_some() && !second.is_timed());
    }

    #[test]
    fn the_option_of_the_same_name_stays_what_it_is() {
        let file = File::parse("f", "mode = ['observe', 'crm.lead.get=block']").unwrap();
        assert!(file.modes.is_empty());
        assert_eq!(file.options()["mode"].values.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_what_would_be_right() {
        for (text, said) in [
            (
                "[[mode]]\nrule = 'x'",
                "proxy.toml:1:1: write [[mode]] with mode =",
            ),
            (
                "[[mode]]\nmode = 'blok'",
                "proxy.toml:2:8: `blok` is not a mode",
            ),
            (
                "[[mode]]\nmode = 'block'\nuser-agent = 'x'",
                "proxy.toml:3:1: there is no key user-agent; did you mean user_agent?",
            ),
            (
                "[[mode]]\nmode = 'block'\nwhen = 'soon'",
                "proxy.toml:3:8: a window ends in its length",
            ),
            (
                "[[mode]]\nmode = 'block'\naddress = 'here'",
                "proxy.toml:3:11: ",
            ),
            (
                "[[mode]]\nmode = 'block'\nshare = 10",
                "share takes a string in quotes",
            ),
            (
                "[[mode]]\nmode = 'block'\nrule = []",
                "proxy.toml:3:8: rule lists nothing",
            ),
            (
                "[[mode]]\nmode = 'block'\nwhen = []",
                "proxy.toml:3:8: when lists nothing",
            ),
            (
                "[[mode]]\nmode = 'block'\nfingerprint = 'webhook:x:1:0123456789abcdef'",
                "proxy.toml:3:15: `webhook:x:1:0123456789abcdef` is not a fingerprint",
            ),
            (
                "[[mode]]\nmode = 'block'\ncaller = ''",
                "caller takes a string in quotes",
            ),
        ] {
            let why = complaint(text);
            assert!(why.starts_with(said) || why.contains(said), "{text}: {why}");
        }
    }

    #[test]
    fn a_file_of_many_entries_is_read_once_for_their_places() {
        let entry =
            |n: usize| format!("[[mode]]\nmode = 'block'\nrule = 'crm.lead.list'\nuser = {n}\n");
        let text: String = (0..2_000).map(entry).collect();
        crate::places::counted::bytes();
        let file = File::parse("proxy.toml", &text).unwrap();
        assert_eq!(file.modes[1_999].origin, "proxy.toml:7997:1");
        assert!(crate::places::counted::bytes() <= text.len());
    }
}
