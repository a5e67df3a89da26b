//! Helpers for messages: the nearest known name, the system's reason in words.

/// Finds the known name nearest to `written`, in which `_` and `-` are the same, if one is near enough to be meant.
pub fn nearest<'k>(written: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    crate::nearest::nearest(&written.replace('_', "-"), known)
}

/// Gives the system's reason in lower case, without its error number.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
