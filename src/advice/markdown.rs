//! Advice as Markdown (pure): for a ticket, or as an owner's whole letter. What a client can invent is text there too: it
//! neither ends a fence nor becomes a link, an image or a heading.

use std::fmt::Write;

use super::language::Language;
use super::letter::Letter;
use super::method::Advice;
use super::snippets::Snippet;
use crate::catalogue::migration::field_map;

impl Advice {
    /// As Markdown, for a ticket.
    pub fn markdown(&self, language: &Language) -> String {
        ticket(self, language)
    }
}

impl Letter<'_> {
    /// As Markdown.
    pub fn markdown(&self) -> String {
        letter(self)
    }
}

/// Advice on one method, with what is known of the caller.
fn ticket(advice: &Advice, language: &Language) -> String {
    let mut out = format!("## {}\n\n", heading(advice, language));
    let caller = name(&advice.caller);
    let method = code(&advice.method);
    let values = [("caller", caller.as_str()), ("method", method.as_str())];
    let _ = writeln!(out, "{}\n", language.say("calls-deprecated", &values));
    method_section(advice, language, &advice.snippets, 3, &mut out);
    let _ = writeln!(out, "### {}\n", language.say("heading-find", &[]));
    facts(advice, &mut out);
    out.push('\n');
    names(advice.field_map.as_deref(), language, 3, &mut out);
    out
}

/// An owner's letter.
fn letter(letter: &Letter<'_>) -> String {
    let language = letter.language;
    let mut out = format!("# {}\n\n", letter.title(&name(&letter.caller)));
    for sentence in letter.introduction() {
        let _ = writeln!(out, "{}\n", text(&sentence));
    }
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} |\n|---|---|--:|---|---|---|",
        language.say("column-method", &[]),
        language.say("column-instead", &[]),
        language.say("column-calls", &[]),
        language.say("column-first", &[]),
        language.say("column-last", &[]),
        language.say("column-until", &[]),
    );
    for advice in &letter.methods {
        let row = letter.row(advice);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            code(&advice.method),
            match &advice.replacement {
                Some(successor) => successors(successor),
                None => language.say("none", &[]),
            },
            row.calls,
            row.first,
            row.last,
            row.until
        );
    }
    let _ = writeln!(out, "\n## {}\n", language.say("heading-find", &[]));
    if let Some(first) = letter.methods.first() {
        facts(first, &mut out);
    }
    let _ = writeln!(out, "\n{}\n", search(&letter.search_command(), language));
    for advice in &letter.methods {
        let _ = writeln!(out, "## {}\n", heading(advice, language));
        let snippets: Vec<Snippet> = letter.snippets(advice);
        method_section(advice, language, &snippets, 3, &mut out);
    }
    for map in letter.field_maps() {
        names(Some(map), language, 2, &mut out);
    }
    let _ = writeln!(out, "## {}\n", language.say("heading-done", &[]));
    for sentence in letter.done() {
        let _ = writeln!(out, "{}\n", text(&sentence));
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn search(command: &str, language: &Language) -> String {
    language.say("find-search", &[("command", &code(command))])
}

fn heading(advice: &Advice, language: &Language) -> String {
    let method = code(&advice.method);
    match &advice.replacement {
        Some(successor) => language.say(
            "replace",
            &[("method", &method), ("successor", &successors(successor))],
        ),
        None => language.say("stop", &[("method", &method)]),
    }
}

fn successors(listed: &str) -> String {
    let each: Vec<String> = listed.split(' ').map(code).collect();
    each.join(", ")
}

fn facts(advice: &Advice, out: &mut String) {
    for (label, fact) in &advice.facts {
        let _ = writeln!(out, "- {label}: {}", code(fact));
    }
}

fn method_section(
    advice: &Advice,
    language: &Language,
    snippets: &[Snippet],
    level: usize,
    out: &mut String,
) {
    let mark = "#".repeat(level);
    for caution in &advice.cautions {
        let _ = writeln!(out, "{}\n", text(caution));
    }
    table(advice, language, &mark, out);
    list(
        &language.say("heading-changes", &[]),
        &advice.changes,
        code,
        &mark,
        out,
    );
    list(
        &language.say("heading-needs", &[]),
        &advice.needs,
        text,
        &mark,
        out,
    );
    list(
        &language.say("heading-answer", &[]),
        &advice.answer,
        text,
        &mark,
        out,
    );
    if !advice.lost.is_empty() {
        let lost: Vec<String> = advice.lost.iter().map(|name| code(name)).collect();
        let lost = lost.join(", ");
        let _ = writeln!(out, "{}\n", language.say("lost", &[("names", &lost)]));
    }
    if let Some(legend) = &advice.legend {
        let _ = writeln!(out, "{}\n", text(legend));
    }
    for snippet in snippets {
        let fence = "`".repeat(longest_run(&snippet.code).max(2) + 1);
        let _ = writeln!(
            out,
            "{mark} {}\n\n{fence}{}\n{}{fence}\n",
            snippet.name, snippet.language, snippet.code
        );
    }
    let pages = [
        (
            advice.successor_documentation.as_deref(),
            advice.successors_page(language),
        ),
        (
            advice.documentation.as_deref(),
            language.say("page-old", &[]),
        ),
    ];
    for (page, label) in pages {
        if let Some(page) = page {
            let _ = writeln!(out, "{label}: <{}>\n", page.replace(['<', '>', ' '], ""));
        }
    }
}

/// In the old call → in the new call.
fn table(advice: &Advice, language: &Language, mark: &str, out: &mut String) {
    if advice.lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "{mark} {}\n", language.say("heading-lines", &[]));
    let _ = writeln!(out, "{}\n", text(&advice.about_lines));
    let _ = writeln!(
        out,
        "| {} | {} | |\n|---|---|---|",
        language.say("column-old", &[]),
        language.say("column-new", &[])
    );
    for line in &advice.lines {
        let new = match (&line.new, &line.value) {
            (Some(new), Some(value)) => cell(&format!("{new}={value}")),
            (Some(new), None) => cell(new),
            (None, _) => "–".to_owned(),
        };
        let old = line.old.as_deref().map_or("–".to_owned(), cell);
        let note = line.note.as_deref().map(text).unwrap_or_default();
        let _ = writeln!(out, "| {old} | {new} | {note} |");
    }
    out.push('\n');
}

fn list(heading: &str, items: &[String], shown: fn(&str) -> String, mark: &str, out: &mut String) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "{mark} {heading}\n");
    for item in items {
        let _ = writeln!(out, "- {}", shown(item));
    }
    out.push('\n');
}

/// The field names of a map.
fn names(map: Option<&str>, language: &Language, level: usize, out: &mut String) {
    let Some((name, map)) = map.and_then(|name| Some((name, field_map(name)?))) else {
        return;
    };
    let mark = "#".repeat(level);
    let _ = writeln!(
        out,
        "{mark} {}\n\n{}\n",
        language.say("heading-names", &[("map", name)]),
        text(&language.say("about-names", &[]))
    );
    let names = map.iter().map(|(old, new)| match new {
        Some(new) => format!("`{old}` → `{new}`"),
        None => format!("`{old}` → –"),
    });
    let names: Vec<String> = names.collect();
    let _ = writeln!(out, "{}\n", names.join(", "));
}

/// A sentence of ours, in which names may hold what would be markup.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(
            c,
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~'
        ) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// What somebody else has named: itself where nothing in it can be markup, else a span of code.
fn name(name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '(' | ')' | ',' | '?');
    let begins = name.starts_with(char::is_alphanumeric);
    match begins && name.chars().all(is_plain) {
        true => name.to_owned(),
        false => code(name),
    }
}

/// A span of code in a cell of a table.
fn cell(text: &str) -> String {
    code(&text.replace('|', "\\|"))
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
    use crate::advice::Seen;
    use crate::catalogue::Catalogue;

    fn seen(method: &str) -> Seen {
        Seen {
            name: Some("shop import".into()),
            method: method.into(),
            address: Some("192.0.2.7".into()),
            ..Seen::default()
        }
    }

    fn markdown(seen: &Seen) -> String {
        let catalogue = Catalogue::builtin();
        let rule = catalogue.find_in_any_case(seen.method.as_bytes());
        let english = Language::english();
        Advice::of(seen, rule.map(AsRef::as_ref), None, english).markdown(english)
    }

    #[test]
    fn a_ticket_says_what_to_change_and_where() {
        let ticket = markdown(&seen("crm.lead.add"));
        for part in [
            "## Replace `crm.lead.add` with `crm.item.add`\n",
            "| – | `entityTypeId=1` |  |\n",
            "- Calls from: `192.0.2.7`\n",
            "### CRest\n\n```php\n",
            "<https://apidocs.bitrix24.com/api-reference/crm/universal/crm-item-add.html>",
            "<https://apidocs.bitrix24.com/api-reference/crm/leads/crm-lead-add.html>",
            "`STATUS_ID` → `stageId`",
        ] {
            assert!(ticket.contains(part), "{part}\n{ticket}");
        }
        assert!(!ticket.contains("&#"), "{ticket}");
        assert!(!ticket.contains("stays as it is"), "{ticket}");
    }

    #[test]
    fn backticks_end_no_fence_and_addresses_become_no_links() {
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(name("![x](http://e.example)"), "`![x](http://e.example)`");
        assert_eq!(name("shop import (2)"), "shop import (2)");
        let hostile = Seen {
            user_agent: Some("``` <img src=x>".into()),
            changes: vec!["a```b is set to 1".into()],
            name: Some("# http://e.example".into()),
            ..seen("crm.lead.details.configuration.get")
        };
        let ticket = markdown(&hostile);
        for part in [
            "- User-Agent: ```` ``` <img src=x> ````\n",
            "- ````a```b is set to 1````\n",
            "`# http://e.example` calls",
            "````php\n",
        ] {
            assert!(ticket.contains(part), "{part}\n{ticket}");
        }
    }
}
