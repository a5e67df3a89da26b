//! Text as HTML (pure): for the owner's letter and the status page.

use std::fmt::{Display, Formatter, Result, Write};

use super::text::is_active;

/// Text in which nothing is markup, as an element's content or in a quoted attribute. Characters that do something instead
/// of being shown are shown as �.
pub struct Text<'a>(pub &'a str);

impl Display for Text<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        for c in self.0.chars() {
            match c {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                c if is_active(c) => out.write_char('\u{FFFD}')?,
                c => out.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The same of several lines: line feeds are kept.
pub struct Code<'a>(pub &'a str);

impl Display for Code<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> Result {
        for (at, line) in self.0.split('\n').enumerate() {
            if at > 0 {
                out.write_char('\n')?;
            }
            Text(line).fmt(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(
            Text("<img src=x onerror='a(\"b\")'>&\u{202e}\u{0}").to_string(),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;\u{FFFD}\u{FFFD}"
        );
        assert_eq!(Code("a\n\tb<").to_string(), "a\n\u{FFFD}b&lt;");
    }
}
