//! GitHub's workflow commands: an annotation a line of output.

use std::fmt::Write;

use super::{Findings, is_hidden, plain, sentence};

/// One `::warning` a finding, one `::notice` a place that could not be judged.
pub fn github(outcome: &Findings<'_>) -> String {
    let mut out = String::new();
    for found in &outcome.report.found {
        let known = &outcome.known[found.known];
        let mut text = sentence(known);
        for page in [&known.successor_documentation, &known.documentation]
            .into_iter()
            .flatten()
        {
            let _ = write!(text, ". {page}");
        }
        let _ = writeln!(
            out,
            "::warning file={},line={},col={},endColumn={},title=Deprecated Bitrix24 method::{}",
            property(&plain(&found.path)),
            found.place.line,
            found.place.column,
            found.place.end_column,
            data(&text)
        );
    }
    for unseen in &outcome.report.unseen {
        let _ = writeln!(
            out,
            "::notice file={},line={},col={},title=Bitrix24 method not visible::{}",
            property(&plain(&unseen.path)),
            unseen.place.line,
            unseen.place.column,
            data(&unseen.why.text(outcome.known))
        );
    }
    out
}

/// Escaped as the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escaped as the value of a command's property. Of control characters the format can only express line ends; others would
/// reach a terminal, so a replacement stands for them.
fn property(text: &str) -> String {
    data(text)
        .replace(':', "%3A")
        .replace(',', "%2C")
        .replace(is_hidden, "\u{fffd}")
}
