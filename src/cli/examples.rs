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

    #[test]
    fn each_command_ends_with_an_example_that_can_be_pasted() {
        for verb in crate::cli::command().get_subcommands() {
            let name = verb.get_name();
            let text = verb.get_after_help().map(ToString::to_string);
            let text = text.unwrap_or_default();
            let calls: Vec<&str> = text.lines().filter(|line| line.starts_with("  ")).collect();
            assert!(!calls.is_empty(), "{name} has no example");
            for call in calls {
                let own = call.rsplit(" | ").next().unwrap_or(call);
                let own = own.split(" >").next().unwrap_or(own).trim();
                let words = shlex::split(own).expect("words of a shell");
                let parsed = crate::cli::command().try_get_matches_from(&words);
                let said = parsed.err().map(|error| error.to_string());
                assert_eq!(said, None, "{call}");
                assert_eq!(words[1], name, "{call}");
            }
        }
    }
}
