//! Why a call goes no further, and what its sender can do.

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
