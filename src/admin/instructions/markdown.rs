//! Instructions as Markdown for a ticket (pure). What a client can invent is text there too: it neither ends a fence nor
//! becomes a link, an image or a heading.

use std::fmt::Write;

use super::Instructions;

pub(super) fn of(instructions: &Instructions) -> String {
    let mut out = String::new();
    write(instructions, &mut out).expect("writing to a String does not fail");
    out
}

fn write(said: &Instructions, out: &mut String) -> std::fmt::Result {
    match &said.replacement {
        Some(successor) => writeln!(
            out,
            "## Replace {} with {}\n",
            code(&said.method),
            code(successor)
        )?,
        None => writeln!(out, "## Stop calling {}\n", code(&said.method))?,
    }
    writeln!(
        out,
        "{} calls {}, which Bitrix24 has deprecated.\n",
        text(&said.caller),
        code(&said.method)
    )?;
    if let Some(caution) = said.caution() {
        writeln!(out, "{}\n", text(&caution))?;
    }
    if !said.changes.is_empty() {
        writeln!(out, "What changes in the call:\n")?;
        for change in &said.changes {
            writeln!(out, "- {}", text(change))?;
        }
        out.push('\n');
    }
    writeln!(out, "How to find it:\n")?;
    for (label, fact) in &said.facts {
        writeln!(out, "- {label}: {}", code(fact))?;
    }
    out.push('\n');
    if let Some(legend) = said.legend() {
        writeln!(out, "{}\n", text(&legend))?;
    }
    for snippet in &said.snippets {
        let fence = "`".repeat(longest_run(&snippet.code).max(2) + 1);
        writeln!(
            out,
            "### {}\n\n{fence}{}\n{}{fence}\n",
            snippet.name, snippet.language, snippet.code
        )?;
    }
    if let Some(page) = &said.documentation {
        writeln!(
            out,
            "Documentation: <{}>",
            page.replace(['<', '>', ' '], "")
        )?;
    }
    Ok(())
}

/// Text in which nothing is markup.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '>' | '(' | ')' | '#' | '+'
            | '!' | '|' | '~' | '&' | '@' => {
                out.push('\\');
                out.push(c);
            }
            // A bare address would become a link.
            ':' => out.push_str("&#58;"),
            c => out.push(c),
        }
    }
    out
}

/// A span of code that holds whatever it holds.
fn code(text: &str) -> String {
    let fence = "`".repeat(longest_run(text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{text}{space}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::live::Row;

    #[test]
    fn a_letter_says_what_to_change_and_where() {
        let row = Row {
            name: Some("shop".into()),
            method: "a.b".into(),
            replacement: Some("c.d".into()),
            action: "rewritten".into(),
            address: Some("192.0.2.7".into()),
            changes: vec!["entityTypeId is set to 1".into()],
            ..Row::default()
        };
        let letter = Instructions::of(&row, None, None).markdown();
        assert!(
            letter.starts_with("## Replace `a.b` with `c.d`\n"),
            "{letter}"
        );
        assert!(letter.contains("- entityTypeId is set to 1\n"), "{letter}");
        assert!(letter.contains("- From address: `192.0.2.7`\n"), "{letter}");
        assert!(letter.contains("### CRest\n\n```php\n"), "{letter}");
    }

    #[test]
    fn backticks_end_no_fence_and_addresses_become_no_links() {
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(
            text("![x](http://e.example)"),
            r"\!\[x\]\(http&#58;//e.example\)"
        );
        let row = Row {
            method: "a.b".into(),
            replacement: Some("c.d".into()),
            user_agent: Some("``` <img src=x>".into()),
            changes: vec!["a```b is set to 1".into()],
            ..Row::default()
        };
        let letter = Instructions::of(&row, None, None).markdown();
        assert!(
            letter.contains("- User-Agent: ```` ``` <img src=x> ````\n"),
            "{letter}"
        );
        assert!(letter.contains("````php\n"), "{letter}");
    }
}
