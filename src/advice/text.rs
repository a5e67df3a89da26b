//! Text that comes from clients, made harmless, and the words that stand for what is not known of a call (pure).

/// What stands for the value that the caller sends today.
pub(super) const AS_BEFORE: &str = "AS_BEFORE";
/// What stands for a list of field names: today's, by their new names.
pub(super) const NEW_NAMES: &str = "NEW_NAMES";
/// What stands for a value that the caller has to choose.
pub(super) const YOUR_VALUE: &str = "YOUR_VALUE";

/// Text without what a terminal, an editor or a browser would act on: control characters, and those that turn the
/// direction of writing.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if is_active(c) { '\u{FFFD}' } else { c })
        .collect()
}

/// Whether a character does something instead of being shown.
pub fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}
