//! What is wrong and what to do about it: one line on standard error, and an exit status.

use std::fmt;

use crate::protocol::target::mask;

/// A reason to stop before or instead of working. Its text is one line and never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
    status: u8,
}

/// The result of a command: its exit status, or why it stopped.
pub type Exit = Result<u8, Failure>;

impl Failure {
    /// The user can put it right: a wrong option or file. Exit status 2: another try ends in the same way.
    pub fn usage(message: impl Into<String>) -> Self {
        Self {
            message: one_line(message.into()),
            status: 2,
        }
    }

    /// The machine is not ready: a port in use, an address that is not there yet, a log that cannot be opened. Exit
    /// status 3: another try may succeed.
    pub fn machine(message: impl Into<String>) -> Self {
        Self {
            message: one_line(message.into()),
            status: 3,
        }
    }

    /// The command ran, and what it found is not as it should be. Exit status 1.
    pub fn found(message: impl Into<String>) -> Self {
        Self {
            message: one_line(message.into()),
            status: 1,
        }
    }

    /// The same as a matter of the machine.
    pub fn of_machine(self) -> Self {
        Self { status: 3, ..self }
    }

    /// The same with more behind it.
    pub fn with(self, more: &str) -> Self {
        Self {
            message: one_line(format!("{} {more}", self.message)),
            ..self
        }
    }

    /// The exit status that goes with it: 1, 2 or 3.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Line ends and other control characters become spaces: a terminal and a log see one harmless line. People paste their
/// webhook's address where a path or a name is due, so what looks like a secret is masked.
fn one_line(message: String) -> String {
    let message = mask(message.as_bytes());
    if message.chars().any(char::is_control) {
        let spaced: String = message
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        spaced.trim_end().to_owned()
    } else {
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_no_webhook_that_was_pasted_for_a_path() {
        let said =
            Failure::usage("cannot read https://x.bitrix24.com/rest/1/s3cretc0de/: not found");
        assert!(!said.to_string().contains("s3cret"), "{said}");
    }

    #[test]
    fn a_failure_is_one_line_whatever_it_quotes() {
        assert_eq!(
            Failure::usage("no file \"a\nb\u{1b}\"\n").to_string(),
            "no file \"a b \""
        );
    }
}
