//! An owner's letter as one page of HTML (pure): nothing is fetched, nothing is run, it prints on paper and follows the
//! reader's light or dark. All that a client can invent goes through [`Text`].

use std::fmt::{Result, Write};

use super::letter::Letter;
use super::markup::{Code, Text};
use super::method::Advice;
use crate::catalogue::migration::field_map;

const STYLE: &str = include_str!("letter.css");

impl Letter<'_> {
    /// As a page of HTML that needs nothing else. `nonce` lets its style through the policy of a server's answer; a page
    /// that is kept as a file needs none.
    pub fn html(&self, nonce: &str) -> String {
        let mut out = String::with_capacity(16 * 1024);
        write(self, nonce, &mut out).expect("writing to a String does not fail");
        out
    }
}

fn write(letter: &Letter<'_>, nonce: &str, out: &mut String) -> Result {
    let language = letter.language;
    let title = letter.title(&letter.caller);
    // No script, no style and no image but what stands here.
    write!(
        out,
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=utf-8><meta name=viewport \
         content=\"width=device-width, initial-scale=1\"><meta name=robots content=noindex><meta name=referrer \
         content=no-referrer><meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src \
         'unsafe-inline'\"><title>{}</title><style{}>{STYLE}</style></head><body><header><h1>{}</h1>",
        language.tag,
        Text(&title),
        match nonce.is_empty() {
            true => String::new(),
            false => format!(" nonce=\"{nonce}\""),
        },
        Text(&title)
    )?;
    for sentence in letter.introduction() {
        write!(out, "<p>{}</p>", Text(&sentence))?;
    }
    out.push_str("</header><main>");
    overview(letter, out)?;
    write!(out, "<h3>{}</h3>", Text(&language.say("heading-find", &[])))?;
    if let Some(first) = letter.methods.first() {
        out.push_str("<dl>");
        for (label, fact) in &first.facts {
            write!(
                out,
                "<dt>{}</dt><dd><code><bdi>{}</bdi></code></dd>",
                Text(label),
                Text(fact)
            )?;
        }
        out.push_str("</dl>");
    }
    let command = letter.search_command();
    let search = language.say("find-search", &[("command", "\u{1}")]);
    let (before, after) = search.split_once('\u{1}').unwrap_or((&search, ""));
    write!(
        out,
        "<p>{}<code>{}</code>{}</p>",
        Text(before),
        Text(&command),
        Text(after)
    )?;
    for advice in &letter.methods {
        section(letter, advice, out)?;
    }
    for name in letter.field_maps() {
        names(letter, name, out)?;
    }
    write!(out, "<h2>{}</h2>", Text(&language.say("heading-done", &[])))?;
    for sentence in letter.done() {
        write!(out, "<p>{}</p>", Text(&sentence))?;
    }
    writeln!(
        out,
        "</main><footer>{}</footer></body></html>",
        Text(&language.say("letter-made", &[("version", env!("CARGO_PKG_VERSION"))]))
    )
}

fn overview(letter: &Letter<'_>, out: &mut String) -> Result {
    let language = letter.language;
    write!(
        out,
        "<table class=overview><thead><tr><th>{}<th>{}<th class=number>{}<th>{}<th>{}<th>{}</tr></thead><tbody>",
        Text(&language.say("column-method", &[])),
        Text(&language.say("column-instead", &[])),
        Text(&language.say("column-calls", &[])),
        Text(&language.say("column-first", &[])),
        Text(&language.say("column-last", &[])),
        Text(&language.say("column-until", &[])),
    )?;
    for advice in &letter.methods {
        let row = letter.row(advice);
        let instead =
            successors(advice).unwrap_or_else(|| Text(&language.say("none", &[])).to_string());
        write!(
            out,
            "<tr><td><code>{}</code><td>{instead}<td class=number>{}<td>{}<td>{}<td>{}</tr>",
            Text(&advice.method),
            row.calls,
            row.first,
            row.last,
            Text(&row.until)
        )?;
    }
    out.push_str("</tbody></table>");
    Ok(())
}

fn successors(advice: &Advice) -> Option<String> {
    let listed = advice.replacement.as_deref()?;
    let each = listed
        .split(' ')
        .map(|name| format!("<code>{}</code>", Text(name)));
    Some(each.collect::<Vec<_>>().join(", "))
}

fn section(letter: &Letter<'_>, advice: &Advice, out: &mut String) -> Result {
    let language = letter.language;
    // The sentence is text of ours; the names are put in afterwards, as markup.
    let heading = match &advice.replacement {
        Some(_) => language.say("replace", &[("method", "\u{1}"), ("successor", "\u{2}")]),
        None => language.say("stop", &[("method", "\u{1}")]),
    };
    let heading = heading
        .replace('\u{1}', &format!("<code>{}</code>", Text(&advice.method)))
        .replace('\u{2}', &successors(advice).unwrap_or_default());
    write!(out, "<section><h2>{heading}</h2>")?;
    for caution in &advice.cautions {
        write!(out, "<p class=caution>{}</p>", Text(caution))?;
    }
    lines(letter, advice, out)?;
    out.push_str("<div class=halves>");
    list(&language.say("heading-changes", &[]), &advice.changes, out)?;
    list(&language.say("heading-needs", &[]), &advice.needs, out)?;
    list(&language.say("heading-answer", &[]), &advice.answer, out)?;
    if !advice.lost.is_empty() {
        let lost = language.say("lost", &[("names", &advice.lost.join(", "))]);
        write!(out, "<p>{}</p>", Text(&lost))?;
    }
    out.push_str("</div>");
    if let Some(legend) = &advice.legend {
        write!(out, "<p class=pages>{}</p>", Text(legend))?;
    }
    out.push_str("<div class=halves>");
    for snippet in letter.snippets(advice) {
        write!(
            out,
            "<div><h3>{}</h3><pre><code>{}</code></pre></div>",
            Text(&snippet.name),
            Code(snippet.code.trim_end())
        )?;
    }
    out.push_str("</div><p class=pages>");
    let pages = [
        (
            &advice.successor_documentation,
            advice.successors_page(language),
        ),
        (&advice.documentation, language.say("page-old", &[])),
    ];
    for (page, label) in pages {
        if let Some(page) = page {
            write!(
                out,
                "{}: <a href=\"{}\">{}</a><br>",
                Text(&label),
                Text(page),
                Text(page)
            )?;
        }
    }
    out.push_str("</p></section>");
    Ok(())
}

fn lines(letter: &Letter<'_>, advice: &Advice, out: &mut String) -> Result {
    if advice.lines.is_empty() {
        return Ok(());
    }
    let language = letter.language;
    write!(
        out,
        "<h3>{}</h3><p>{}</p><table><thead><tr><th>{}<th>{}<th></tr></thead><tbody>",
        Text(&language.say("heading-lines", &[])),
        Text(&advice.about_lines),
        Text(&language.say("column-old", &[])),
        Text(&language.say("column-new", &[])),
    )?;
    for line in &advice.lines {
        let old = line.old.as_deref();
        let old = old.map_or("–".to_owned(), |old| {
            format!("<code>{}</code>", Text(old))
        });
        let new = match (&line.new, &line.value) {
            (Some(new), Some(value)) => format!("<td><code>{}={}</code>", Text(new), Text(value)),
            (Some(new), None) => format!("<td><code>{}</code>", Text(new)),
            (None, _) => "<td class=gone>–".to_owned(),
        };
        let note = line.note.as_deref().unwrap_or_default();
        write!(out, "<tr><td>{old}{new}<td class=note>{}</tr>", Text(note))?;
    }
    out.push_str("</tbody></table>");
    Ok(())
}

fn list(heading: &str, items: &[String], out: &mut String) -> Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(out, "<div><h3>{}</h3><ul>", Text(heading))?;
    for item in items {
        write!(out, "<li><bdi>{}</bdi>", Text(item))?;
    }
    out.push_str("</ul></div>");
    Ok(())
}

fn names(letter: &Letter<'_>, name: &str, out: &mut String) -> Result {
    let Some(map) = field_map(name) else {
        return Ok(());
    };
    let language = letter.language;
    write!(
        out,
        "<h2>{}</h2><p>{}</p><ul class=names>",
        Text(&language.say("heading-names", &[("map", name)])),
        Text(&language.say("about-names", &[]))
    )?;
    for (old, new) in map.iter() {
        let new = new.as_deref().unwrap_or("–");
        write!(
            out,
            "<li><code>{}</code> → <code>{}</code>",
            Text(old),
            Text(new)
        )?;
    }
    out.push_str("</ul>");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::Seen;
    use crate::advice::language::{Language, TAGS};
    use crate::catalogue::Catalogue;

    fn page(seen: &[Seen], language: &Language) -> String {
        let now = "2026-11-02T10:00:00Z".parse().expect("a moment");
        let portal = Some("https://example.bitrix24.com");
        Letter::of(seen, &Catalogue::builtin(), portal, now, language).html("")
    }

    #[test]
    fn nothing_is_fetched_and_nothing_that_a_client_invents_is_markup() {
        let seen = Seen {
            name: Some("<script>alert(1)</script>\u{202e}".into()),
            method: "crm.lead.add".into(),
            sdk: Some("CRest 1.36".into()),
            user_agent: Some("\"><img src=x onerror=a()>".into()),
            parameters: vec!["fields[<b>]".into()],
            until: Some("2027-03-01".into()),
            calls: 7,
            ..Seen::default()
        };
        let page = page(&[seen], Language::english());
        for bad in [
            "<script", "<img", "<b>", "\u{202e}", "url(", "<link", "@import",
        ] {
            assert!(!page.contains(bad), "{bad}\n{page}");
        }
        for part in ["2027-03-01", "CRest::call", "curl ", "&lt;b&gt;"] {
            assert!(page.contains(part), "{part}\n{page}");
        }
    }

    #[test]
    fn a_call_that_no_test_runs_says_so_in_every_language() {
        for tag in TAGS {
            let language = Language::by_tag(tag).expect(tag);
            let mark = format!("// {}\n", language.say("code-not-run", &[]));
            for method in ["crm.lead.details.configuration.get", "crm.lead.add"] {
                let of = |sdk: &str| Seen {
                    method: method.into(),
                    sdk: Some(sdk.into()),
                    ..Seen::default()
                };
                let portal = None;
                let now = "2026-11-02T10:00:00Z".parse().expect("a moment");
                for (sdk, marks) in [("b24phpsdk 1.9.0", 1), ("CRest 1.36", 0)] {
                    let seen = [of(sdk)];
                    let catalogue = Catalogue::builtin();
                    let letter = Letter::of(&seen, &catalogue, portal, now, language);
                    let html = letter.html("");
                    let shown = Code(&mark).to_string();
                    assert_eq!(html.matches(&shown).count(), marks, "{tag} {sdk}\n{html}");
                    let markdown = letter.markdown();
                    assert_eq!(markdown.matches(&mark).count(), marks, "{markdown}");
                }
            }
        }
    }

    #[test]
    fn a_letter_is_in_its_language() {
        let seen = Seen {
            name: Some("shop".into()),
            method: "crm.deal.list".into(),
            ..Seen::default()
        };
        let pages: Vec<String> = TAGS
            .iter()
            .map(|tag| {
                page(
                    std::slice::from_ref(&seen),
                    Language::by_tag(tag).expect(tag),
                )
            })
            .collect();
        for (page, tag) in pages.iter().zip(TAGS) {
            assert!(page.contains(&format!("<html lang=\"{tag}\">")));
            assert!(
                page.contains("entityTypeId=2") && page.contains("createdTime"),
                "{page}"
            );
        }
        for page in &pages[1..] {
            assert!(!page.contains("identifiers are numbers"), "{page}");
        }
    }
}
