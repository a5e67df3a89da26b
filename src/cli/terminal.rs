//! The terminal that a person reads the output in.

use std::io::IsTerminal;

use crate::columns::fold;

/// How many columns it has; nothing where the output goes elsewhere, and is not folded.
pub fn width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(out).ok()?;
    Some(size.ws_col.into()).filter(|columns| *columns > 0)
}

/// Lines that begin with a label of `indent` columns; what is folded goes on below the label's text.
pub fn labelled(text: &str, indent: usize) -> String {
    match width() {
        Some(width) => hang(text, indent, width),
        None => text.to_owned(),
    }
}

fn hang(text: &str, indent: usize, width: usize) -> String {
    let mut out = Vec::new();
    for line in text.split('\n') {
        let first = fold(line, width)[0];
        out.push(first.to_owned());
        let rest = line[first.len()..].trim_start();
        if !rest.is_empty() {
            let below = fold(rest, width.saturating_sub(indent).max(indent));
            out.extend(below.iter().map(|piece| format!("{:indent$}{piece}", "")));
        }
    }
    out.join("\n")
}

/// Prose with its lines folded to the terminal's width.
pub fn prose(text: &str) -> String {
    let Some(width) = width() else {
        return text.to_owned();
    };
    let lines = text.split('\n').flat_map(|line| fold(line, width));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labelled_line_goes_on_below_its_text() {
        let text = "Question  Does nobody call crm.invoice.add, crm.invoice.get?\nMade      now\n";
        assert_eq!(
            hang(text, 10, 32),
            "Question  Does nobody call\n          crm.invoice.add,\n          crm.invoice.get?\nMade      now\n"
        );
        assert_eq!(hang(text, 10, 80), text);
    }
}
