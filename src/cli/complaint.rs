//! What is wrong with the words themselves, in one line: clap's errors, without its usage screen and without a value
//! that may hold a secret.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::failure::Failure;

/// The one line for an error of clap. None where clap's own screen is what helps: a command without any word.
pub fn of(error: &Error) -> Option<Failure> {
    let argument = text(error, ContextKind::InvalidArg).map(harmless);
    let option = || argument.clone().unwrap_or_else(|| "an option".to_owned());
    let line = match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            return None;
        }
        ErrorKind::UnknownArgument => match (&argument, text(error, ContextKind::SuggestedArg)) {
            (Some(given), Some(near)) => {
                format!("there is no option {given}; did you mean {near}?")
            }
            (Some(given), None) if given.starts_with('-') => {
                format!("there is no option {given}; see --help")
            }
            (Some(given), None) if !given.is_empty() => {
                format!("{given:?} is one word too many; see --help")
            }
            _ => "there is one word too many on the command line; see --help".to_owned(),
        },
        ErrorKind::InvalidSubcommand => {
            let given = text(error, ContextKind::InvalidSubcommand)
                .map(harmless)
                .unwrap_or_default();
            match text(error, ContextKind::SuggestedSubcommand) {
                Some(near) => format!("there is no command {given}; did you mean {near}?"),
                None => format!("there is no command {given}; see b24-migration-proxy --help"),
            }
        }
        ErrorKind::MissingRequiredArgument => format!("{} is missing; see --help", option()),
        ErrorKind::NoEquals => format!(
            "{} takes its value after an equals sign; see --help",
            option()
        ),
        ErrorKind::ArgumentConflict => match text(error, ContextKind::PriorArg) {
            Some(prior) if prior != option() => format!(
                "{} does not go together with {prior}; leave one away",
                option()
            ),
            _ => format!("{} is given more than once; give it once", option()),
        },
        ErrorKind::InvalidUtf8 => {
            "a word on the command line is not UTF-8; write it in UTF-8".to_owned()
        }
        ErrorKind::InvalidValue => {
            let valid = text(error, ContextKind::ValidValue);
            match (text(error, ContextKind::InvalidValue).as_deref(), valid) {
                (Some(""), _) | (None, _) => format!("{} needs a value; see --help", option()),
                (_, Some(valid)) => format!("{}: it is one of {valid}", option()),
                (_, None) => format!("{} cannot have that value; see --help", option()),
            }
        }
        _ => format!("{} cannot be given like this; see --help", option()),
    };
    Some(Failure::usage(line))
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(all) => (!all.is_empty()).then(|| all.join(", ")),
        other => Some(other.to_string()).filter(|text| !text.is_empty()),
    }
}

/// The option without its value. A bare word that may be an address, and so may hold a secret, is not shown at all.
fn harmless(word: String) -> String {
    if word.starts_with('-') {
        let name = word.trim_start_matches('-');
        let dashes = &word[..word.len() - name.len()];
        let name: String = name
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
            .collect();
        // clap shows an option with its value's name, as `--listen <ADDR>`.
        return format!("{dashes}{name}");
    }
    if word.starts_with('<') {
        return word;
    }
    if word
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && word.len() < 40
    {
        word
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn complaint(words: &[&str]) -> String {
        let error = command()
            .try_get_matches_from(words)
            .expect_err("words that clap refuses");
        of(&error).expect("a line").to_string()
    }

    #[test]
    fn a_misspelt_option_is_told_the_nearest() {
        let said = complaint(&["b24-migration-proxy", "serve", "--lisen", "127.0.0.1:1"]);
        assert_eq!(said, "there is no option --lisen; did you mean --listen?");
    }

    #[test]
    fn a_misspelt_command_is_told_the_nearest() {
        assert_eq!(
            complaint(&["b24-migration-proxy", "serv"]),
            "there is no command serv; did you mean serve?"
        );
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_not_repeated() {
        for words in [
            &["serve", "https://x.bitrix24.com/rest/1/s3cretc0de/"][..],
            &["https://x.bitrix24.com/rest/1/s3cretc0de/"],
            &[
                "serve",
                "--upstreem=https://x.bitrix24.com/rest/1/s3cretc0de/",
            ],
            &["serve", "--http2", "s3cret/c0de"],
            &["serve", "-s3cretc0de=1/2"],
        ] {
            let words: Vec<_> = std::iter::once("b24-migration-proxy")
                .chain(words.iter().copied())
                .collect();
            let said = complaint(&words);
            assert!(!said.contains("c0de"), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }

    #[test]
    fn an_option_without_its_value_is_named() {
        assert_eq!(
            complaint(&["b24-migration-proxy", "serve", "--upstream"]),
            "--upstream needs a value; see --help"
        );
    }
}
