//! The fields that answers to deprecated calls carry: `Deprecation`, `Sunset`, `Link` (pure).

use crate::catalogue::Rule;

/// The lines that tell a caller of deprecated methods: since when (RFC 9745), until when (RFC 8594), and where to read on.
/// Both dates are single values by their RFCs, so that of several rules the earliest is told; each rule has its links.
pub fn lines<'r>(rules: impl Iterator<Item = &'r Rule> + Clone) -> Vec<u8> {
    let earliest = |date: fn(&Rule) -> Option<&str>| {
        rules.clone().filter_map(|rule| midnight(date(rule)?)).min()
    };
    let mut lines = String::new();
    if let Some(since) = earliest(|rule| rule.deprecated.as_deref()) {
        lines.push_str(&format!("Deprecation: @{since}\r\n"));
    }
    if let Some(until) = earliest(|rule| rule.sunset.as_deref()) {
        let date = jiff::Timestamp::from_second(until).unwrap_or_default();
        lines.push_str(&format!(
            "Sunset: {}\r\n",
            date.strftime("%a, %d %b %Y %H:%M:%S GMT")
        ));
    }
    let links: Vec<String> = rules.flat_map(links).collect();
    if !links.is_empty() {
        lines.push_str(&format!("Link: {}\r\n", links.join(", ")));
    }
    lines.into_bytes()
}

/// The documentation, and the method to call instead where it is a single one; its address is relative to the call's.
fn links(rule: &Rule) -> impl Iterator<Item = String> + use<> {
    let page = rule
        .documentation_url()
        .map(|page| format!("<{page}>; rel=\"deprecation\"; type=\"text/html\""));
    let is_single = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    let successor = rule
        .replacement
        .as_deref()
        .filter(is_single)
        .map(|name| format!("<{name}>; rel=\"successor-version\""));
    page.into_iter().chain(successor)
}

/// The seconds since 1970 of a date at midnight UTC.
fn midnight(date: &str) -> Option<i64> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let midnight = date.to_datetime(jiff::civil::Time::midnight());
    jiff::tz::TimeZone::UTC
        .to_timestamp(midnight)
        .ok()
        .map(|moment| moment.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn several_rules_have_one_date_and_all_their_links() {
        let catalogue = Catalogue::builtin();
        let rules: Vec<&Rule> = catalogue
            .rules()
            .iter()
            .map(|rule| &**rule)
            .take(2)
            .collect();
        let lines = String::from_utf8(lines(rules.iter().copied())).unwrap();
        assert_eq!(lines.matches("Deprecation: @").count(), 1, "{lines}");
        assert_eq!(lines.matches("Link: ").count(), 1, "{lines}");
        assert_eq!(lines.matches("rel=\"deprecation\"").count(), 2, "{lines}");
    }
}
