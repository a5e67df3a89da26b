//! Finds the known name that was probably meant, for the hint of a message (pure).

/// From this likeness on (Jaro-Winkler, 0 to 1) a name may be meant.
const ALIKE: f64 = 0.8;

/// Finds the known name nearest to `written`, in any case, if one is near enough to be meant.
pub fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let written = written.to_ascii_lowercase();
    known
        .map(|name| {
            let likeness = strsim::jaro_winkler(&written, &name.to_ascii_lowercase());
            (likeness, name)
        })
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_found_in_any_case_and_a_strange_one_is_not() {
        let known = || ["observe", "compare", "Rewrite"].into_iter();
        assert_eq!(nearest("REWRIET", known()), Some("Rewrite"));
        assert_eq!(nearest("obsrve", known()), Some("observe"));
        assert_eq!(nearest("portal", known()), None);
    }
}
