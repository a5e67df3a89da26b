//! Why a call goes no further, and what its sender can do.
use crate::catalogue::{Mode, Rule};
use crate::protocol::json::{Fault, Unreadable};
use jiff::Timestamp;

/// Why a deprecated call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The portal could not read its body, and would run it without its parameters.
    Unreadable,
    /// Its body is over the limit up to which bodies are rewritten.
    TooLarge,
    /// Its body is compressed.
    Encoding,
    /// Its method is switched off for a while.
    Brownout,
    /// Its method is switched off.
    Blocked,
    /// Its use could not be logged.
    LogFailure,
}

impl Reason {
    /// The word that events and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Unreadable => "unreadable",
            Reason::TooLarge => "too_large",
            Reason::Encoding => "encoding",
            Reason::Brownout => "brownout",
            Reason::Blocked => "blocked",
            Reason::LogFailure => "log_failure",
        }
    }
}

/// The answer to a call that goes no further. Nothing of it was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error's code, for programs.
    pub code: &'static str,
    /// What is wrong, that nothing was executed, and what to do.
    pub description: String,
    /// Why, as events and metrics say it.
    pub reason: Reason,
}

impl Refusal {
    /// The body of a call cannot be read.
    pub(super) fn unreadable(rule: &Rule, why: Unreadable) -> Self {
        let method = &rule.method;
        let (code, right) = match why.fault {
            Fault::LongLine => ("INVALID_MULTIPART", "shorter lines"),
            _ => ("INVALID_JSON", "valid JSON"),
        };
        Self {
            status: 400,
            code,
            description: format!(
                "The body of {method} {why}. Nothing was executed: send {right}, or call {}.",
                successor(rule)
            ),
            reason: Reason::Unreadable,
        }
    }

    /// The body of a call is compressed.
    pub(super) fn encoded(rule: &Rule) -> Self {
        let method = &rule.method;
        Self {
            status: 415,
            code: "UNSUPPORTED_CONTENT_ENCODING",
            description: format!(
                "The body of {method} has a Content-Encoding, which a portal does not read. Nothing was executed: \
                 send the body as it is, or call {}.",
                successor(rule)
            ),
            reason: Reason::Encoding,
        }
    }

    /// The body of a call, or of a batch where there is no rule, is over the limit.
    pub(super) fn too_large(rule: Option<&Rule>, limit: usize) -> Self {
        let (what, instead) = match rule {
            Some(rule) => (rule.method.as_str(), format!("or call {}", successor(rule))),
            None => ("batch", "or send fewer commands at once".to_owned()),
        };
        Self {
            status: 413,
            code: "REQUEST_TOO_LARGE",
            description: format!(
                "The body of {what} is larger than {limit} bytes, up to which bodies are read here. Nothing was \
                 executed: send less, {instead}."
            ),
            reason: Reason::TooLarge,
        }
    }

    /// There are so many parameters that the successor's would not be read.
    pub(super) fn too_many(rule: &Rule) -> Self {
        let method = &rule.method;
        Self {
            status: 413,
            code: "REQUEST_TOO_LARGE",
            description: format!(
                "{method} has as many parameters as a portal reads, so that none can be added. Nothing was executed: \
                 send fewer, or call {}.",
                successor(rule)
            ),
            reason: Reason::TooLarge,
        }
    }

    /// A batch has more deprecated commands than are carried out.
    pub(super) fn too_many_commands(most: usize) -> Self {
        Self {
            status: 413,
            code: "REQUEST_TOO_LARGE",
            description: format!(
                "The batch has more than {most} commands of deprecated methods, counting those of batches inside it. \
                 Nothing was executed: send fewer commands at once."
            ),
            reason: Reason::TooLarge,
        }
    }

    /// The method is switched off, for a while or for good; `None` where it is not. `until` is when that ends by itself,
    /// where it does and is known.
    pub fn switched_off(rule: &Rule, mode: Mode, until: Option<Timestamp>) -> Option<Self> {
        let (code, how_long, reason) = match mode {
            Mode::Brownout => (
                "DEPRECATED_METHOD_BROWNOUT",
                "for a while",
                Reason::Brownout,
            ),
            Mode::Block => ("DEPRECATED_METHOD_BLOCKED", "for good", Reason::Blocked),
            Mode::Observe | Mode::Compare | Mode::Rewrite => return None,
        };
        let how_long =
            until.map_or_else(|| how_long.to_owned(), |until| format!("until {until:.0}"));
        let sunset = rule.sunset.as_ref().filter(|_| mode == Mode::Brownout);
        let sunset = sunset
            .map(|date| format!(" It stops working for good on {date}."))
            .unwrap_or_default();
        let read = rule
            .documentation_url()
            .map(|url| format!(" ({url})"))
            .unwrap_or_default();
        let method = &rule.method;
        let description = format!(
            "{method} is deprecated and switched off {how_long}.{sunset} Nothing was executed: call {}{read}.",
            successor(rule)
        );
        Some(Self {
            status: 410,
            code,
            description,
            reason,
        })
    }
}

/// What to call instead, in words.
fn successor(rule: &Rule) -> &str {
    rule.replacement
        .as_deref()
        .unwrap_or("what the documentation names in its place")
}
