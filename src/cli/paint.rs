//! Colour where a person reads, plain text everywhere else.

use std::io::IsTerminal;

/// Whether to colour, and how.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// Colours when standard output is a terminal that has not asked for none (<https://no-color.org>).
    pub fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(!unwanted && std::io::stdout().is_terminal())
    }

    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// What went away or went wrong.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// What is new or well.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What is worth a look.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// Both texts with the part in which they differ coloured: red in the first, green in the second.
    pub fn difference(self, before: &str, after: &str) -> (String, String) {
        if before == after {
            return (before.to_owned(), after.to_owned());
        }
        let start: usize = before
            .chars()
            .zip(after.chars())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        let (rest_before, rest_after) = (&before[start..], &after[start..]);
        let tail: usize = rest_before
            .chars()
            .rev()
            .zip(rest_after.chars().rev())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a.len_utf8())
            .sum();
        let painted = |text: &str, paint: &dyn Fn(&str) -> String| {
            let end = text.len() - tail;
            format!(
                "{}{}{}",
                &text[..start],
                paint(&text[start..end]),
                &text[end..]
            )
        };
        (
            painted(before, &|part| self.red(part)),
            painted(after, &|part| self.green(part)),
        )
    }
}

/// A client's text as a terminal may show it: line ends kept, other control characters as escapes.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        if c == '\n' || c == '\t' || !c.is_control() {
            shown.push(c);
        } else {
            shown.extend(c.escape_default());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_part_that_differs_is_coloured() {
        let (before, after) = Paint(true).difference("{\"aä\":1}", "{\"aö\":1}");
        assert_eq!(before, "{\"a\u{1b}[31mä\u{1b}[0m\":1}");
        assert_eq!(after, "{\"a\u{1b}[32mö\u{1b}[0m\":1}");
        let (before, after) = Paint(true).difference("aa", "aaa");
        assert_eq!(
            (before.as_str(), after.as_str()),
            ("aa", "aa\u{1b}[32ma\u{1b}[0m")
        );
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\r\nb\u{1b}[2J"), "a\nb\\u{1b}[2J");
    }
}
