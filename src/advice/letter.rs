//! The owner's letter (pure): all deprecated methods of one caller on one page.

use jiff::Timestamp;

use super::language::Language;
use super::method::{Advice, caller};
use super::seen::Seen;
use super::snippets::Snippet;
use super::text::clean;
use crate::catalogue::Catalogue;

/// A letter to the owner of one caller.
pub struct Letter<'a> {
    pub(super) caller: String,
    /// The methods, those called most first.
    pub(super) methods: Vec<Advice>,
    pub(super) language: &'a Language,
    portal: Option<String>,
    /// The day on which it is written, `YYYY-MM-DD`.
    day: String,
}

/// The figures of a method, as text.
pub(super) struct Figures {
    pub(super) calls: String,
    pub(super) first: String,
    pub(super) last: String,
    pub(super) until: String,
}

impl<'a> Letter<'a> {
    /// A letter about what was seen of a caller. `portal` is the portal's origin, where it is known; `now` the moment at
    /// which it is written.
    pub fn of(
        seen: &[Seen],
        catalogue: &Catalogue,
        portal: Option<&str>,
        now: Timestamp,
        language: &'a Language,
    ) -> Self {
        let advice = |seen: &Seen| {
            let rule = catalogue.find_in_any_case(seen.method.as_bytes());
            Advice::of(seen, rule.map(AsRef::as_ref), portal, language)
        };
        let mut methods: Vec<Advice> = seen.iter().map(advice).collect();
        methods.sort_by(|a, b| b.calls.cmp(&a.calls).then(a.method.cmp(&b.method)));
        Self {
            caller: clean(
                &seen
                    .first()
                    .map_or_else(String::new, |seen| caller(seen, language)),
            ),
            methods,
            language,
            portal: portal.map(clean),
            day: day_of(now),
        }
    }

    pub(super) fn title(&self, caller: &str) -> String {
        self.language.say("letter-title", &[("caller", caller)])
    }

    /// What it is about, in sentences.
    pub(super) fn introduction(&self) -> Vec<String> {
        let calls: u64 = self.methods.iter().map(|advice| advice.calls).sum();
        let (calls, methods) = (calls.to_string(), self.methods.len().to_string());
        let values = [
            ("calls", calls.as_str()),
            ("methods", methods.as_str()),
            ("day", self.day.as_str()),
        ];
        let mut said = vec![match &self.portal {
            Some(portal) => {
                let values = [values[0], values[1], values[2], ("portal", portal.as_str())];
                self.language.say("letter-about-portal", &values)
            }
            None => self.language.say("letter-about", &values),
        }];
        let until = self
            .methods
            .iter()
            .filter_map(|advice| advice.until.as_deref());
        said.push(match until.min() {
            Some(day) => self.language.say("letter-date", &[("day", day)]),
            None => self.language.say("letter-no-date", &[]),
        });
        let translated = self.methods.iter().filter(|advice| advice.exact).count();
        if translated > 0 {
            said.push(self.language.say("letter-translated", &[]));
        }
        said
    }

    pub(super) fn row(&self, advice: &Advice) -> Figures {
        Figures {
            calls: advice.calls.to_string(),
            first: day(advice.first_seen),
            last: day(advice.last_seen),
            until: advice.until.clone().unwrap_or_else(|| "–".to_owned()),
        }
    }

    /// A command that finds the calls in source code.
    pub(super) fn search_command(&self) -> String {
        let methods = self.methods.iter();
        let words = methods.map(|advice| format!(" -e '{}'", advice.method.replace('\'', "")));
        format!("grep -rniF{} .", words.collect::<String>())
    }

    /// The snippets for this caller: its own library's, and curl to try the call.
    pub(super) fn snippets(&self, advice: &Advice) -> Vec<Snippet> {
        let all = advice.snippets.iter();
        all.filter(|snippet| snippet.own || snippet.language == "text" || snippet.name == "curl")
            .cloned()
            .collect()
    }

    /// The maps of field names that the methods need, each once.
    pub(super) fn field_maps(&self) -> Vec<&str> {
        let mut maps: Vec<&str> = Vec::new();
        for map in self
            .methods
            .iter()
            .filter_map(|advice| advice.field_map.as_deref())
        {
            if !maps.contains(&map) {
                maps.push(map);
            }
        }
        maps
    }

    /// How to see that all is done, in sentences.
    pub(super) fn done(&self) -> Vec<String> {
        vec![
            self.language.say("done-try", &[]),
            self.language.say("done-quiet", &[]),
        ]
    }
}

/// The day of a moment in milliseconds since 1970; a dash where it is not known.
fn day(at: u64) -> String {
    let moment = i64::try_from(at).ok().filter(|at| *at > 0);
    let moment = moment.and_then(|at| Timestamp::from_millisecond(at).ok());
    moment.map_or("–".to_owned(), day_of)
}

fn day_of(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d").to_string()
}
