//! Examples in `--help`: lines to copy, which clap would fold to the terminal's width.

use clap::Command;

/// A command with examples at the end of its help.
pub trait Examples {
    /// Shows this text unfolded, however narrow the terminal is. A brace in it needs its partner before the next one.
    fn examples(self, text: &'static str) -> Self;
}

impl Examples for Command {
    fn examples(self, text: &'static str) -> Self {
        // clap does not fold a template; `after_help`, which it folds, remains for the manual page.
        let template =
            "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}\n\n";
        self.after_help(text)
            .help_template(format!("{template}{text}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Command;

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

    /// Every command with its words, those below others too.
    fn all() -> Vec<(String, Command)> {
        let mut found = Vec::new();
        let mut left = vec![(String::new(), crate::cli::command())];
        while let Some((above, command)) = left.pop() {
            for verb in command.get_subcommands() {
                let words = format!("{above} {}", verb.get_name());
                left.push((words.clone(), verb.clone()));
                found.push((words, verb.clone()));
            }
        }
        found
    }

    #[test]
    fn each_command_ends_with_an_example_that_can_be_pasted() {
        for (name, verb) in all() {
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
                assert!(words.join(" ").contains(&name), "{call}");
            }
        }
    }

    #[test]
    fn each_command_begins_with_what_it_is_for() {
        for (name, verb) in all() {
            let about = verb.get_long_about().or_else(|| verb.get_about());
            let text = about.map(ToString::to_string).unwrap_or_default();
            let first = text.split_whitespace().next().unwrap_or_default();
            assert!(
                first.starts_with(char::is_uppercase) && first.ends_with('s'),
                "{name} begins with {first:?}, not with a verb as Shows or Prints"
            );
        }
    }
}
