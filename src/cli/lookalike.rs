//! What a method that no rule knows may have to do with those that one does.

use super::text::nearest;
use crate::catalogue::Catalogue;

/// What is near a method that no rule knows.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookalike<'c> {
    /// It is what these methods are replaced by.
    SuccessorOf(Vec<&'c str>),
    /// It is one letter or two away from this one.
    Misspelt(&'c str),
    Nothing,
}

/// The most letters that a misspelt name differs in.
const MISSPELT: usize = 2;

/// What is near this method, in whatever case it is given.
pub fn of<'c>(method: &str, catalogue: &'c Catalogue) -> Lookalike<'c> {
    let rules = catalogue.rules().iter();
    let leads_here = |replacement: &String| {
        let mut named = replacement.split([' ', ',']);
        named.any(|name| name.eq_ignore_ascii_case(method))
    };
    let before: Vec<&str> = rules
        .clone()
        .filter(|rule| rule.replacement.as_ref().is_some_and(leads_here))
        .map(|rule| rule.method.as_str())
        .collect();
    if !before.is_empty() {
        return Lookalike::SuccessorOf(before);
    }
    let wanted = method.to_ascii_lowercase();
    let is_near =
        |name: &&str| strsim::osa_distance(&wanted, &name.to_ascii_lowercase()) <= MISSPELT;
    match nearest(
        &wanted,
        rules.map(|rule| rule.method.as_str()).filter(is_near),
    ) {
        Some(name) => Lookalike::Misspelt(name),
        None => Lookalike::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_and_a_misspelt_name_are_known_for_what_they_are() {
        let catalogue = Catalogue::builtin();
        assert_eq!(
            of("CRM.item.details.configuration.reset", &catalogue),
            Lookalike::SuccessorOf(vec![
                "crm.lead.details.configuration.reset",
                "crm.deal.details.configuration.reset",
                "crm.contact.details.configuration.reset",
                "crm.company.details.configuration.reset",
            ])
        );
        assert_eq!(
            of("crm.laed.list", &catalogue),
            Lookalike::Misspelt("crm.lead.list")
        );
        for other in ["user.get", "disk.folder.getchildren", "batch", ""] {
            assert_eq!(of(other, &catalogue), Lookalike::Nothing, "{other}");
        }
    }
}
