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

/// Prose with its lines folded to the terminal's width.
pub fn prose(text: &str) -> String {
    let Some(width) = width() else {
        return text.to_owned();
    };
    let lines = text.split('\n').flat_map(|line| fold(line, width));
    lines.collect::<Vec<_>>().join("\n")
}
