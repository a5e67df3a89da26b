//! The sentences in which advice is given, in the languages of owners (pure). Each language is a file of whole sentences
//! with `{placeholders}`, and of the phrases that the data have in English.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// Its tag, as HTML has it.
    pub tag: String,
    /// Sentences by their key.
    sentences: HashMap<String, String>,
    /// The data's English phrases, in this language; none for English.
    phrases: HashMap<String, String>,
}

/// The tags that there are, English first.
pub const TAGS: [&str; 4] = ["en", "ru", "de", "pt-BR"];

static ALL: LazyLock<Vec<Language>> = LazyLock::new(|| {
    let files = [
        include_str!("languages/en.json"),
        include_str!("languages/ru.json"),
        include_str!("languages/de.json"),
        include_str!("languages/pt-BR.json"),
    ];
    let read = |text| serde_json::from_str(text).expect("a test reads each language");
    files.into_iter().map(read).collect()
});

impl Language {
    /// English.
    pub fn english() -> &'static Self {
        &ALL[0]
    }

    /// The language with this tag.
    pub fn by_tag(tag: &str) -> Option<&'static Self> {
        ALL.iter().find(|language| language.tag == tag)
    }

    /// A sentence with its placeholders filled in.
    pub fn say(&self, key: &str, values: &[(&str, &str)]) -> String {
        let known = self.sentences.get(key);
        debug_assert!(known.is_some(), "no sentence {key}");
        let mut rest = known.map_or(key, String::as_str);
        let mut out = String::with_capacity(rest.len() + 32);
        // Filled in one pass: a value that looks like a placeholder stays as it is.
        while let Some((before, behind)) = rest.split_once('{') {
            out.push_str(before);
            let (name, after) = behind.split_once('}').unwrap_or((behind, ""));
            let value = values.iter().find(|(known, _)| *known == name);
            out.push_str(value.map_or("", |(_, value)| value));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// A phrase of the data; in English where this language does not have it.
    pub fn phrase<'a>(&'a self, english: &'a str) -> &'a str {
        self.phrases.get(english).map_or(english, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use std::collections::BTreeSet;

    fn placeholders(sentence: &str) -> BTreeSet<&str> {
        let parts = sentence.split('{').skip(1);
        parts.filter_map(|part| part.split('}').next()).collect()
    }

    #[test]
    fn every_language_has_every_sentence_with_its_placeholders() {
        let english = Language::english();
        for tag in TAGS {
            let language = Language::by_tag(tag).expect(tag);
            let keys = |of: &Language| of.sentences.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(language), keys(english), "{tag}");
            for (key, sentence) in &english.sentences {
                assert_eq!(
                    placeholders(&language.sentences[key]),
                    placeholders(sentence),
                    "{tag}: {key}"
                );
            }
        }
    }

    #[test]
    fn every_language_has_every_phrase_of_the_data() {
        let catalogue = Catalogue::builtin();
        let entries = catalogue.rules().iter().filter_map(|rule| rule.migration());
        let phrases: BTreeSet<&str> = entries
            .flat_map(|entry| entry.types.iter().chain(&entry.rights))
            .map(String::as_str)
            .collect();
        for tag in &TAGS[1..] {
            let language = Language::by_tag(tag).expect(tag);
            let known: BTreeSet<&str> = language.phrases.keys().map(String::as_str).collect();
            let missing: Vec<_> = phrases.difference(&known).collect();
            let unused: Vec<_> = known.difference(&phrases).collect();
            assert!(
                missing.is_empty() && unused.is_empty(),
                "{tag}: missing {missing:#?}, unused {unused:#?}"
            );
        }
    }

    #[test]
    fn every_sentence_that_the_code_says_exists_and_each_is_said() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/advice");
        let mut said = BTreeSet::new();
        for file in std::fs::read_dir(folder).unwrap().flatten() {
            let name = file.file_name();
            if !name.to_string_lossy().ends_with(".rs") || name == "language.rs" {
                continue;
            }
            let text = std::fs::read_to_string(file.path()).unwrap();
            for part in text.split("say(").skip(1) {
                let part = part.trim_start();
                if let Some(key) = part.strip_prefix('"').and_then(|key| key.split('"').next()) {
                    said.insert(key.to_owned());
                }
            }
        }
        let known: BTreeSet<String> = Language::english().sentences.keys().cloned().collect();
        assert_eq!(known, said);
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_stays_text() {
        let language = Language {
            tag: "x".into(),
            sentences: [("k".to_owned(), "{a} and {b}".to_owned())].into(),
            phrases: HashMap::new(),
        };
        assert_eq!(language.say("k", &[("a", "{b}"), ("b", "c")]), "{b} and c");
    }
}
