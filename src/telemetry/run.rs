//! What a run tells of itself: which rules it knows.

use crate::catalogue::Catalogue;

/// Which methods are known as deprecated: a hash of their names, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RulesKnown {
    /// The first 16 hexadecimal digits of BLAKE3 of the methods' names in lower case, sorted, a line feed behind each.
    pub hash: String,
    pub methods: u64,
}

impl RulesKnown {
    /// What a catalogue knows, whatever its rules say.
    pub fn of(catalogue: &Catalogue) -> Self {
        let mut names: Vec<String> = catalogue
            .rules()
            .iter()
            .map(|rule| rule.method.to_ascii_lowercase() + "\n")
            .collect();
        names.sort_unstable();
        Self {
            hash: blake3::hash(names.concat().as_bytes()).to_hex()[..16].to_owned(),
            methods: names.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Rule;

    #[test]
    fn the_hash_is_that_of_the_methods_names_in_whatever_order_and_case() {
        let of = |methods: &[&str]| {
            let rule = |method: &&str| Rule {
                method: (*method).to_owned(),
                ..Rule::default()
            };
            RulesKnown::of(&Catalogue::new(methods.iter().map(rule)))
        };
        assert_eq!(of(&["a.b", "C.d"]), of(&["c.d", "A.B"]));
        assert_ne!(of(&["a.b", "c.d"]).hash, of(&["a.b", "c.e"]).hash);
        assert_eq!(
            (of(&["a.b", "c.d"]).methods, of(&["a.b"]).hash.len()),
            (2, 16)
        );
    }
}
