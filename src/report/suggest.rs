//! Entries for the callers file: who is in a log without a name, and how to recognise them (pure).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use super::output::{counted, moment};
use crate::telemetry::caller::{Auth, Caller};
use crate::telemetry::callers::{Callers, MOST_NAMES, fingerprint_of};
use crate::telemetry::reader::Line;

/// The longest name that is made, in bytes; a callers file takes longer ones.
const LONGEST: usize = 80;

/// The callers of a log that have no name.
pub struct Unnamed<'c> {
    callers: Option<&'c Callers>,
    found: HashMap<String, Found>,
}

/// One of them.
#[derive(Debug)]
struct Found {
    /// As its last call showed it.
    caller: Caller,
    calls: u64,
    methods: BTreeMap<String, u64>,
    first: u64,
    last: u64,
}

/// What is printed: entries, and for how many callers there was no room.
#[derive(Debug, PartialEq, Eq)]
pub struct Suggested {
    pub text: String,
    pub left_out: usize,
}

impl<'c> Unnamed<'c> {
    /// Without a callers file those without a name are the ones that the log itself does not name.
    pub fn new(callers: Option<&'c Callers>) -> Self {
        Self {
            callers,
            found: HashMap::new(),
        }
    }

    /// Takes note of a line.
    pub fn take(&mut self, line: &Line<'_>) {
        let calls = line.uses();
        if calls == 0 {
            return;
        }
        let (first, last) = line.span();
        let key = &*line.caller.key;
        let newer = self.found.get(key).is_none_or(|found| last >= found.last);
        if newer {
            let caller = line.caller.owned();
            let named = match self.callers {
                Some(callers) => callers.name_of(&caller).is_some(),
                None => line.caller.name.is_some(),
            };
            if named {
                self.found.remove(key);
                return;
            }
            match self.found.get_mut(key) {
                Some(found) => found.caller = caller,
                None => {
                    let found = Found {
                        caller,
                        calls: 0,
                        methods: BTreeMap::new(),
                        first,
                        last,
                    };
                    self.found.insert(key.to_owned(), found);
                }
            }
        }
        if let Some(found) = self.found.get_mut(key) {
            found.calls += calls;
            found.first = found.first.min(first);
            found.last = found.last.max(last);
            match found.methods.get_mut(&*line.method) {
                Some(count) => *count += calls,
                None => {
                    found.methods.insert(line.method.to_string(), calls);
                }
            }
        }
    }

    /// The ids of the webhooks' users, for who can say their names.
    pub fn users(&self) -> Vec<u64> {
        let mut users: Vec<u64> = self.found.values().filter_map(Found::user).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// The entries, most calls first, as many as the file has room for. Those that only an address tells come last, since
    /// they could take what a sharper entry is for. `people` are names of users by their ids.
    pub fn suggest(&self, people: &BTreeMap<u64, String>) -> Suggested {
        let mut found: Vec<(Vec<(&str, String)>, &Found)> = self
            .found
            .values()
            .map(|found| (found.selector(), found))
            .collect();
        let is_sharp = |selector: &[(&str, String)]| {
            selector
                .iter()
                .any(|(key, _)| matches!(*key, "fingerprint" | "application"))
        };
        found.sort_by(|(a_selector, a), (b_selector, b)| {
            (!is_sharp(a_selector), b.calls, &a.caller.key).cmp(&(
                !is_sharp(b_selector),
                a.calls,
                &b.caller.key,
            ))
        });
        let mut taken: HashSet<String> = self
            .callers
            .iter()
            .flat_map(|callers| callers.names())
            .cloned()
            .collect();
        let room = MOST_NAMES.saturating_sub(taken.len());
        let mut text = String::new();
        let (mut given, mut left_out) = (0, 0);
        for (selector, found) in found {
            if selector.is_empty() || given == room {
                left_out += 1;
                continue;
            }
            given += 1;
            let person = found.user().and_then(|user| people.get(&user));
            let name = unique(found.name(person.map(String::as_str)), &mut taken);
            found.write(&name, &selector, &mut text);
        }
        if left_out > 0 {
            let _ = writeln!(
                text,
                "# {} more without a name: the file has room for {MOST_NAMES} names; give several callers one name.",
                counted(left_out as u64, "caller")
            );
        }
        Suggested { text, left_out }
    }
}

impl Found {
    /// The webhook's user, where it is an id.
    fn user(&self) -> Option<u64> {
        let user = self.caller.user.as_deref()?;
        (self.caller.auth == Auth::Webhook)
            .then(|| user.parse().ok())
            .flatten()
    }

    /// The conditions that tell this caller from others: of what lasts longest.
    fn selector(&self) -> Vec<(&'static str, String)> {
        let caller = &self.caller;
        if let Some(application) = caller
            .application
            .as_ref()
            .filter(|id| caller.auth != Auth::Webhook && !id.is_empty())
        {
            return vec![("application", application.clone())];
        }
        // The fingerprint of a token changes every hour; that of a webhook and of an application's own id stays.
        let lasts = caller.auth == Auth::Webhook || caller.key.starts_with("client:");
        if let Some(fingerprint) = caller
            .fingerprint
            .as_deref()
            .filter(|_| lasts)
            .and_then(|text| fingerprint_of(text).ok())
        {
            return vec![("fingerprint", fingerprint)];
        }
        let library = |sdk: &String| sdk.split(' ').next().unwrap_or_default().to_owned();
        let address = caller
            .address
            .map(|address| ("address", address.to_string()));
        let agent = match &caller.sdk {
            Some(sdk) => Some(("sdk", library(sdk))),
            None => caller
                .user_agent
                .clone()
                .filter(|agent| !agent.is_empty() && !agent.contains('*'))
                .map(|agent| ("user_agent", agent)),
        };
        address
            .into_iter()
            .chain(agent)
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }

    fn name(&self, person: Option<&str>) -> String {
        let caller = &self.caller;
        let short = |text: &Option<String>| {
            text.as_deref()
                .unwrap_or_default()
                .chars()
                .take(6)
                .collect::<String>()
        };
        let library = caller.sdk.as_deref().and_then(|sdk| sdk.split(' ').next());
        match (caller.auth, &caller.user, &caller.application) {
            (Auth::Webhook, Some(user), _) => match person {
                Some(person) => format!("{person}-{}", short(&caller.fingerprint)),
                None => format!("user-{user}-{}", short(&caller.fingerprint)),
            },
            (_, _, Some(application)) => format!("app-{application}"),
            _ if caller.key.starts_with("client:") => format!("app-{}", short(&caller.fingerprint)),
            _ => format!(
                "{}-{}",
                library.unwrap_or("caller"),
                caller
                    .address
                    .map(|address| address.to_string())
                    .unwrap_or_default()
            ),
        }
    }

    fn write(&self, name: &str, selector: &[(&str, String)], text: &mut String) {
        let caller = &self.caller;
        let mut line = |about: &str| {
            let _ = writeln!(text, "# {}", plain(about));
        };
        line(&format!(
            "{}, {} to {}",
            counted(self.calls, "call"),
            moment(self.first),
            moment(self.last)
        ));
        let mut methods: Vec<(&String, &u64)> = self.methods.iter().collect();
        methods.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
        let most: Vec<String> = methods
            .iter()
            .take(3)
            .map(|(method, calls)| format!("{method} ({calls})"))
            .collect();
        let more = methods.len().saturating_sub(3);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        line(&format!("{}{more}", most.join(", ")));
        let known = [
            ("key", Some(caller.key.clone())),
            ("user", caller.user.clone()),
            ("address", caller.address.map(|address| address.to_string())),
            ("library", caller.sdk.clone()),
            ("User-Agent", caller.user_agent.clone()),
        ];
        for (what, value) in known {
            if let Some(value) = value {
                line(&format!("{what}: {value}"));
            }
        }
        let _ = writeln!(text, "[[caller]]\nname = {}", quoted(name));
        for (key, value) in selector {
            let _ = writeln!(text, "{key} = {}", quoted(value));
        }
        text.push('\n');
    }
}

/// A name that no other has: cut, without what the callers file refuses, and numbered where it is taken.
fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let name: String = name.chars().filter(|c| !is_unseen(*c)).collect();
    let mut base = name.trim();
    if base.len() > LONGEST {
        base = &base[..base.floor_char_boundary(LONGEST)];
    }
    let mut unique = base.to_owned();
    let mut number = 1;
    while !taken.insert(unique.clone()) {
        number += 1;
        unique = format!("{base}-{number}");
    }
    unique
}

/// Control characters, and those that turn the direction or end a line where no line feed is.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}')
}

/// A text on one line of a comment.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A basic TOML string on one line.
fn quoted(text: &str) -> String {
    let mut shown = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                shown.push('\\');
                shown.push(c);
            }
            c if is_unseen(c) => {
                let _ = write!(shown, "\\u{:04X}", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown.push('"');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(caller: &serde_json::Value, day: u64) -> String {
        serde_json::json!({
            "schema": 1, "timestamp": format!("2026-11-{day:02}T10:00:00.000Z"), "event": "deprecated_call",
            "method": "crm.lead.list", "action": "observed", "caller": caller,
        })
        .to_string()
    }

    fn webhook(user: u64, code: u64) -> serde_json::Value {
        serde_json::json!({
            "key": format!("webhook:p:{user}:{code:016x}"), "auth": "webhook", "user": user.to_string(),
            "fingerprint": format!("{code:016x}"), "address": "192.0.2.7", "user_agent": "curl/8\n[[caller]]",
        })
    }

    fn suggested(lines: &[String], callers: Option<&Callers>, people: &[(u64, &str)]) -> Suggested {
        let mut unnamed = Unnamed::new(callers);
        for text in lines {
            unnamed.take(&Line::read(text.as_bytes()).expect("an event"));
        }
        let people = people
            .iter()
            .map(|(id, name)| (*id, (*name).to_owned()))
            .collect();
        unnamed.suggest(&people)
    }

    #[test]
    fn who_calls_most_comes_first_and_every_entry_names_its_caller() {
        let application = serde_json::json!({"key": "application:local.1", "auth": "oauth", "application": "local.1",
            "fingerprint": "00000000000000ff", "address": "192.0.2.8"});
        let anonymous = serde_json::json!({"key": "none:b24pysdk:192.0.2.7", "auth": "none", "address": "192.0.2.7",
            "sdk": "b24pysdk 1.0"});
        let lines = [
            line(&anonymous, 1),
            line(&anonymous, 2),
            line(&anonymous, 3),
            line(&webhook(7, 1), 1),
            line(&application, 1),
            line(&application, 2),
        ];
        let text = suggested(&lines, None, &[]).text;
        let callers = Callers::parse(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
        assert_eq!(
            callers.names(),
            ["app-local.1", "user-7-000000", "b24pysdk-192.0.2.7"]
        );
        for (text, name) in [
            (&lines[0], "b24pysdk-192.0.2.7"),
            (&lines[3], "user-7-000000"),
            (&lines[4], "app-local.1"),
        ] {
            let read = Line::read(text.as_bytes()).unwrap();
            assert_eq!(callers.name_of(&read.caller.owned()), Some(name));
        }
        assert!(
            text.starts_with("# 2 calls, 2026-11-01T10:00:00.000Z to 2026-11-02T10:00:00.000Z\n"),
            "{text}"
        );
        assert!(
            text.contains("# User-Agent: curl/8\\n[[caller]]\n"),
            "{text}"
        );
    }

    #[test]
    fn who_has_a_name_is_left_out_and_names_are_not_given_twice() {
        let callers = Callers::parse("[[caller]]\nname = \"Ann-000000\"\nuser = 8\n").unwrap();
        let lines = [
            line(&webhook(7, 1), 1),
            line(&webhook(8, 2), 1),
            line(&webhook(7, 3), 1),
        ];
        let text = suggested(&lines, Some(&callers), &[(7, "Ann")]).text;
        assert_eq!(
            Callers::parse(&text).unwrap().names(),
            ["Ann-000000-2", "Ann-000000-3"]
        );
    }

    #[test]
    fn there_are_as_many_as_the_file_has_room_for() {
        let callers = Callers::parse("[[caller]]\nname = \"a\"\nuser = 999\n").unwrap();
        let lines: Vec<String> = (0..205).map(|n| line(&webhook(n, n), 1)).collect();
        let suggested = suggested(&lines, Some(&callers), &[]);
        assert_eq!(suggested.left_out, 6);
        assert!(suggested.text.ends_with(
            "# 6 callers more without a name: the file has room for 200 names; give several callers one name.\n"
        ));
        let whole = format!("[[caller]]\nname = \"a\"\nuser = 999\n{}", suggested.text);
        assert_eq!(Callers::parse(&whole).unwrap().names().len(), 200);
    }

    proptest! {
        #[test]
        fn whatever_a_client_sent_the_entries_are_accepted(texts in prop::collection::vec(any::<String>(), 5)) {
            for auth in ["webhook", "oauth", "none"] {
                let caller = serde_json::json!({
                    "key": texts[0], "auth": auth, "user": texts[1], "application": texts[2], "user_agent": texts[3],
                    "sdk": texts[4], "address": "192.0.2.7",
                });
                let text = suggested(&[line(&caller, 1)], None, &[]).text;
                let callers = Callers::parse(&text);
                prop_assert!(callers.is_ok(), "{:?}: {}", callers, text);
            }
        }
    }
}
