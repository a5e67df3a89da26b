//! Examples in `--help`: lines to copy, which clap would fold to the terminal's width.

use clap::Command;

/// A command with examples at the end of its help.
pub trait Examples {
    /// Shows this text as it stands, however narrow the terminal is. A brace in it needs its partner before the next one.
    fn examples(self, text: &'static str) -> Self;
}

impl Examples for Command {
    fn examples(self, text: &'static str) -> Self {
        // What stands in a template is not folded; `after_help`, which is, remains for the manual page.
        let template =
            "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}\n\n";
        self.after_help(text)
            .help_template(format!("{template}{text}"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_line_of_an_example_is_folded_in_a_narrow_terminal() {
        let mut left = vec![crate::cli::command()];
        let mut seen = 0;
        while let Some(command) = left.pop() {
            left.extend(command.get_subcommands().cloned());
            let Some(text) = command.get_after_help().map(ToString::to_string) else {
                continue;
            };
            seen += 1;
            let help = command.term_width(40).render_long_help().to_string();
            for line in text.lines() {
                assert!(help.lines().any(|shown| shown == line), "{line}: {help}");
            }
        }
        assert!(seen > 6);
    }
}
