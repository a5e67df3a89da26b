//! The callers file: names for callers, given by ops (`--callers FILE`), with who owns them and how far they are.

mod about;

use std::net::IpAddr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use about::Value;
pub use about::{About, Day, State};

use super::caller::Caller;
use crate::nearest::nearest;

/// The name in metrics of all callers that the callers file does not name.
pub const UNNAMED: &str = "unnamed";

/// The most names that a callers file may hold: each is a label value of metrics.
pub const MOST_NAMES: usize = 200;

/// The longest name, in bytes.
const LONGEST_NAME: usize = 100;

/// Names for callers; the first entry that matches wins.
#[derive(Clone, Debug, Default)]
pub struct Callers {
    /// Who is meant, and the place of its name in `names`.
    entries: Vec<(Selector, usize)>,
    /// Each name once: several entries may share one.
    names: Vec<String>,
    /// What is said of each name.
    about: Vec<About>,
}

/// Which callers: all conditions that are set must hold; a selector without conditions matches nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The webhook's user, exactly.
    pub user: Option<String>,
    /// The application's id, exactly: as the call names it (`client_id`), or as the portal does.
    pub application: Option<String>,
    /// The credential's fingerprint, exactly.
    pub fingerprint: Option<String>,
    /// A network that the call came from.
    pub address: Option<Network>,
    /// A text that `User-Agent` holds.
    pub user_agent: Option<Pattern>,
    /// A text that `caller.sdk` holds: the library, with or without its version.
    pub sdk: Option<Pattern>,
}

/// The keys that tell who is meant.
const SELECTORS: &[&str] = &[
    "user",
    "application",
    "fingerprint",
    "address",
    "user_agent",
    "sdk",
];

/// The keys that belong to the name.
const ABOUT: &[&str] = &["owner", "contact", "ticket", "told", "migrated"];

/// An address range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that another one holds somewhere, without regard to ASCII case; `*` stands for anything between its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Vec<String>);

impl Callers {
    /// Reads a callers file.
    ///
    /// # Errors
    /// One line that says where (`LINE:COLUMN: `) and what is wrong, and what was probably meant.
    pub fn parse(text: &str) -> Result<Self, String> {
        let document = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(text, at, error.message())
        })?;
        let mut callers = Self::default();
        for (key, value) in document.get_ref() {
            if key.get_ref() != "caller" {
                return Err(wrong(
                    text,
                    key.span().start,
                    &unknown(key.get_ref(), &["caller"]),
                ));
            }
            let entries = value.get_ref().as_array().ok_or_else(|| {
                wrong(
                    text,
                    key.span().start,
                    "callers are written as [[caller]], each with a name",
                )
            })?;
            for entry in entries {
                let at = entry.span().start;
                let table = entry.get_ref().as_table().ok_or_else(|| {
                    wrong(
                        text,
                        at,
                        "callers are written as [[caller]], each with a name",
                    )
                })?;
                callers.add(text, at, table)?;
            }
        }
        Ok(callers)
    }

    fn add(&mut self, text: &str, at: usize, table: &DeTable<'_>) -> Result<(), String> {
        let mut name = None;
        let mut selector = Selector::default();
        let mut said = Vec::new();
        for (key, value) in table {
            let value_at = value.span().start;
            let told = |problem: String| wrong(text, value_at, &problem);
            let key_at = key.span().start;
            let key = &**key.get_ref();
            if ABOUT.contains(&key) {
                said.push((key, value_at, read_about(text, key, value)?));
                continue;
            }
            let read = read_text(text, key, value);
            match key {
                "name" => name = Some(read_name(read?).map_err(told)?),
                "user" => selector.user = Some(read?),
                "application" => selector.application = Some(read?),
                "fingerprint" => {
                    selector.fingerprint = Some(fingerprint_of(&read?).map_err(told)?);
                }
                "address" => selector.address = Some(Network::parse(&read?).map_err(told)?),
                "user_agent" => selector.user_agent = Some(Pattern::new(&read?)),
                "sdk" => selector.sdk = Some(Pattern::new(&read?)),
                other => {
                    let known = [&["name"], SELECTORS, ABOUT].concat();
                    return Err(wrong(text, key_at, &unknown(other, &known)));
                }
            }
        }
        let Some(name) = name else {
            return Err(wrong(text, at, "this caller has no name"));
        };
        if selector == Selector::default() {
            let problem = format!(
                "`{name}` has no condition: give at least one of {}",
                SELECTORS.join(", ")
            );
            return Err(wrong(text, at, &problem));
        }
        let place = self
            .place_of(name)
            .map_err(|problem| wrong(text, at, &problem))?;
        for (key, value_at, value) in said {
            self.about[place]
                .set(key, value)
                .map_err(|problem| wrong(text, value_at, &problem))?;
        }
        self.entries.push((selector, place));
        Ok(())
    }

    /// The place of a name, made where it is new.
    fn place_of(&mut self, name: String) -> Result<usize, String> {
        if let Some(place) = self.names.iter().position(|known| *known == name) {
            return Ok(place);
        }
        if self.names.len() == MOST_NAMES {
            return Err(format!(
                "more than {MOST_NAMES} names: each becomes a label of metrics; give several callers one name"
            ));
        }
        self.names.push(name);
        self.about.push(About::default());
        Ok(self.names.len() - 1)
    }

    /// What the file says of a name.
    pub fn about(&self, name: &str) -> Option<&About> {
        let place = self.names.iter().position(|known| known == name)?;
        self.about.get(place)
    }

    /// All names with what is said of them, in the file's order.
    pub fn all(&self) -> impl Iterator<Item = (&str, &About)> {
        self.names.iter().map(String::as_str).zip(&self.about)
    }

    /// Whether a deprecated call of any name would be a regression, now or later.
    pub fn any_migrated(&self) -> bool {
        self.about.iter().any(|about| about.migrated.is_some())
    }

    /// The name of a caller, where an entry matches.
    pub fn name_of(&self, caller: &Caller) -> Option<&str> {
        let (_, place) = self
            .entries
            .iter()
            .find(|(selector, _)| selector.matches(caller))?;
        self.names.get(*place).map(String::as_str)
    }

    /// All names, each once, in the file's order.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// A fingerprint as events and the status page show it.
///
/// # Errors
/// Says what would be right.
pub fn fingerprint_of(text: &str) -> Result<String, String> {
    if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format!(
            "`{text}` is not a fingerprint: 16 hexadecimal digits, as `caller.fingerprint` of an event and the status page show it"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// A name is shown in tables, labels and links: short, and without anything that could disturb them.
fn read_name(name: String) -> Result<String, String> {
    if name.trim().is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!(
            "a name has 1 to {LONGEST_NAME} bytes and no control characters"
        ));
    }
    if name == UNNAMED {
        return Err(format!(
            "`{name}` stands for callers that the file does not name; choose another name"
        ));
    }
    Ok(name)
}

/// A text; a number is one too, for users' ids are written without quotes.
fn read_text(text: &str, key: &str, value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    match value.get_ref() {
        DeValue::String(read) if !read.is_empty() => Ok(read.to_string()),
        DeValue::Integer(number) if key == "user" => Ok(number.to_string()),
        _ => Err(wrong(
            text,
            value.span().start,
            &format!("`{key}` is to be a text that is not empty"),
        )),
    }
}

/// A text or a day.
fn read_about(text: &str, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Value, String> {
    let DeValue::Datetime(moment) = value.get_ref() else {
        return read_text(text, key, value).map(Value::Text);
    };
    match (moment.time, moment.date) {
        (None, Some(_)) => moment.to_string().parse().map(Value::Day),
        _ => Err(format!(
            "`{key}` is a date such as 2026-12-01, without a time"
        )),
    }
    .map_err(|problem| wrong(text, value.span().start, &problem))
}

fn unknown(key: &str, known: &[&str]) -> String {
    match nearest(key, known.iter().copied()) {
        Some(name) => format!("unknown key `{key}`; did you mean `{name}`?"),
        None => format!("unknown key `{key}`; known are {}", known.join(", ")),
    }
}

fn wrong(text: &str, at: usize, problem: &str) -> String {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    format!("{line}:{column}: {problem}")
}

impl Selector {
    /// Whether a caller is meant.
    pub fn matches(&self, caller: &Caller) -> bool {
        *self != Self::default()
            && is(self.application.as_ref(), caller.application.as_ref())
            && self.matches_but_for_the_application(caller)
    }

    /// Whether a caller may be meant, by all that is said but the application.
    pub fn matches_but_for_the_application(&self, caller: &Caller) -> bool {
        is(self.user.as_ref(), caller.user.as_ref())
            && is(self.fingerprint.as_ref(), caller.fingerprint.as_ref())
            && self.address.is_none_or(|network| {
                caller
                    .address
                    .is_some_and(|address| network.contains(address))
            })
            && self.user_agent.as_ref().is_none_or(|pattern| {
                caller
                    .user_agent
                    .as_ref()
                    .is_some_and(|user_agent| pattern.is_in(user_agent))
            })
            && self
                .sdk
                .as_ref()
                .is_none_or(|pattern| caller.sdk.as_ref().is_some_and(|sdk| pattern.is_in(sdk)))
    }
}

fn is(wanted: Option<&String>, found: Option<&String>) -> bool {
    wanted.is_none() || wanted == found
}

impl Network {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or one address.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address
            .parse()
            .map_err(|_| format!("`{text}` is not an address range such as 192.0.2.0/24"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => match bits.parse() {
                Ok(length) if length <= most && !bits.starts_with('+') => length,
                _ => {
                    return Err(format!(
                        "the prefix of `{text}` is not a number from 0 to {most}"
                    ));
                }
            },
        };
        Ok(Self { address, bits })
    }

    /// Whether the range holds an address; an IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 one.
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let ignored = 32 - u32::from(self.bits);
                let of = |address: u32| address.checked_shr(ignored).unwrap_or(0);
                of(network.to_bits()) == of(address.to_bits())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let ignored = 128 - u32::from(self.bits);
                let of = |address: u128| address.checked_shr(ignored).unwrap_or(0);
                of(network.to_bits()) == of(address.to_bits())
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("*"))
    }
}

impl Pattern {
    /// A pattern; `*` stands for anything.
    pub fn new(text: &str) -> Self {
        Self(
            text.split('*')
                .filter(|part| !part.is_empty())
                .map(str::to_ascii_lowercase)
                .collect(),
        )
    }

    /// Whether `text` holds the pattern's parts, in their order.
    pub fn is_in(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let mut rest = text.as_str();
        self.0.iter().all(|part| {
            let found = rest.find(part.as_str());
            if let Some(at) = found {
                rest = &rest[at + part.len()..];
            }
            found.is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(user: &str, address: &str, user_agent: &str) -> Caller {
        Caller {
            user: Some(user.to_owned()),
            address: address.parse().ok(),
            user_agent: Some(user_agent.to_owned()),
            fingerprint: Some("0123456789abcdef".to_owned()),
            application: Some("local.1".to_owned()),
            ..Caller::default()
        }
    }

    const FILE: &str = r#"
[[caller]]
name = "shop"
user = 7
user_agent = "guzzle*7"

[[caller]]
name = "office"
address = "192.0.2.0/24"

[[caller]]
name = "office"
address = "2001:db8::/32"

[[caller]]
name = "app"
application = "local.1"
fingerprint = "0123456789ABCDEF"
"#;

    #[test]
    fn the_first_entry_whose_conditions_all_hold_names_the_caller() {
        let callers = Callers::parse(FILE).unwrap();
        assert_eq!(callers.names(), ["shop", "office", "app"]);
        let name = |user, address, agent| {
            callers
                .name_of(&caller(user, address, agent))
                .map(str::to_owned)
        };
        assert_eq!(
            name("7", "192.0.2.9", "x GuzzleHttp/7.1").as_deref(),
            Some("shop")
        );
        assert_eq!(
            name("7", "192.0.2.9", "7 Guzzle").as_deref(),
            Some("office")
        );
        assert_eq!(name("8", "::ffff:192.0.2.9", "").as_deref(), Some("office"));
        assert_eq!(name("8", "2001:db8:1::1", "").as_deref(), Some("office"));
        assert_eq!(name("8", "192.0.3.1", "").as_deref(), Some("app"));
        assert_eq!(callers.name_of(&Caller::default()), None);
        assert_eq!(Callers::default().name_of(&caller("1", "::1", "")), None);
    }

    #[test]
    fn a_wrong_file_is_told_with_its_line_and_what_was_meant() {
        let told = |text: &str| Callers::parse(text).unwrap_err();
        assert_eq!(
            told("[[caller]]\nname = \"a\"\nuser_agnet = \"x\""),
            "3:1: unknown key `user_agnet`; did you mean `user_agent`?"
        );
        assert_eq!(
            told("[[callers]]\nname = \"a\""),
            "1:3: unknown key `callers`; did you mean `caller`?"
        );
        assert_eq!(
            told("[[caller]]\nname = \"a\"\naddress = \"192.0.2.0/33\""),
            "3:11: the prefix of `192.0.2.0/33` is not a number from 0 to 32"
        );
        assert_eq!(
            told("[[caller]]\nuser = \"1\""),
            "1:1: this caller has no name"
        );
        assert!(told("[[caller]]\nname = \"a\"").contains("`a` has no condition"));
        assert!(told("[[caller]]\nname = \"unnamed\"\nuser = 1").contains("choose another name"));
        assert!(told("[[caller]]\nname = 1\nuser = 1").starts_with("2:8: `name` is to be a text"));
        assert!(told("caller = 1").contains("[[caller]]"));
        assert!(told("[[caller]]\nname = ").starts_with("2:"));
        let many: String = (0..=MOST_NAMES)
            .map(|n| format!("[[caller]]\nname = \"n{n}\"\nuser = {n}\n"))
            .collect();
        assert!(told(&many).contains("more than 200 names"));
    }

    #[test]
    fn a_network_holds_the_addresses_of_its_prefix() {
        let holds = |network: &str, address: &str| {
            Network::parse(network)
                .unwrap()
                .contains(address.parse().unwrap())
        };
        assert!(holds("0.0.0.0/0", "203.0.113.9") && holds("::/0", "2001:db8::1"));
        assert!(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.4"));
        assert!(holds("10.1.2.3/8", "10.200.0.1") && !holds("10.1.2.3/8", "11.0.0.1"));
        assert!(!holds("0.0.0.0/0", "::1") && !holds("::/0", "10.0.0.1"));
        for wrong in [
            "",
            "10.0.0",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "::/129",
            "x/8",
        ] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }
}
