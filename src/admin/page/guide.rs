//! What opens under a row: the instructions for the caller's owner.

use super::html::{Code, InQuery, Text, counted, moment};
use crate::admin::overview::calls;
use crate::advice::language::{Language, TAGS};
use crate::advice::{Advice, Line, Snippet};
use crate::catalogue::migration::field_map;
use crate::telemetry::shown::Row;

/// The instructions; `now` is in milliseconds since 1970.
pub(super) fn article(said: &Advice, row: &Row, now: u64) -> String {
    let heading = match &said.replacement {
        Some(successor) => format!(
            "Replace <code>{}</code> with <code>{}</code>",
            Text(&said.method),
            Text(&successor.replace(' ', ", "))
        ),
        None => format!("Stop calling <code>{}</code>", Text(&said.method)),
    };
    format!(
        "<article class=guide><header><h3>{heading}</h3><div class=tools><button class=copy \
         data-copy=markdown hidden>Copy as Markdown</button><a class=button \
         href=\"/api/instructions?{named}&amp;format=markdown\">Markdown</a>{letters}</div></header><div \
         class=halves><div><p><bdi class=name>{caller}</bdi> made {count}, the first {first}, the last \
         {last}.</p>{cautions}<dl>{facts}</dl>{needs}{answer}{lost}{changes}{documentation}</div><div \
         class=snippets>{lines}{legend}{snippets}</div></div>{names}<pre hidden class=markdown>{markdown}</pre></article>",
        named = super::rows::named(row),
        letters = letters(row),
        caller = Text(&said.caller),
        count = counted(calls(row), "call", "calls"),
        first = moment(row.first_seen, now),
        last = moment(row.last_seen, now),
        cautions = cautions(said),
        lines = lines(said),
        needs = list("heading-needs", &said.needs),
        answer = list("heading-answer", &said.answer),
        lost = lost(said),
        changes = list("heading-changes", &said.changes),
        names = names(said),
        legend = legend(said),
        facts = facts(said),
        documentation = documentation(said),
        snippets = snippets(&said.snippets),
        markdown = Code(&said.markdown(Language::english())),
    )
}

/// Links to the letter about all of the caller's methods, one for each language.
fn letters(row: &Row) -> String {
    let whose = match &row.name {
        Some(name) => format!("name={}", InQuery(name)),
        None => format!("key={}", InQuery(&row.key)),
    };
    let link = |tag: &&str| {
        format!(
            "<a class=button lang=\"{tag}\" href=\"/letter?{whose}&amp;language={tag}\">{tag}</a>"
        )
    };
    let links: String = TAGS.iter().map(link).collect();
    format!("<span class=letters>Letter to the owner {links}</span>")
}

fn cautions(said: &Advice) -> String {
    let cautions = said.cautions.iter();
    cautions
        .map(|caution| format!("<p class=caution>{}</p>", Text(caution)))
        .collect()
}

/// A sentence as the letter has it.
fn sentence(key: &str) -> String {
    Language::english().say(key, &[])
}

fn list(key: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let items: String = items
        .iter()
        .map(|item| format!("<li><bdi>{}</bdi></li>", Text(item)))
        .collect();
    let heading = sentence(key);
    format!("<h4>{}</h4><ul>{items}</ul>", Text(&heading))
}

fn lost(said: &Advice) -> String {
    if said.lost.is_empty() {
        return String::new();
    }
    let names = said.lost.join(", ");
    format!(
        "<h4>Without a successor</h4><p><bdi class=mono>{}</bdi></p>",
        Text(&names)
    )
}

/// A list and no table: it stands inside one, whose cells are styled by their place.
fn lines(said: &Advice) -> String {
    if said.lines.is_empty() {
        return String::new();
    }
    let item = |line: &Line| {
        let name = |text: Option<&str>| match text {
            Some(text) => format!("<code>{}</code>", Text(text)),
            None => "–".to_owned(),
        };
        let new = line.new.as_deref().map(|new| match &line.value {
            Some(value) => format!("{new}={value}"),
            None => new.to_owned(),
        });
        let note = line.note.as_deref();
        let note = note.map(|note| format!(" <small>{}</small>", Text(note)));
        format!(
            "<li>{} → {}{}</li>",
            name(line.old.as_deref()),
            name(new.as_deref()),
            note.unwrap_or_default()
        )
    };
    format!(
        "<h4>{}</h4><p><small>{}</small></p><ul class=lines>{}</ul>",
        Text(&sentence("heading-lines")),
        Text(&said.about_lines),
        said.lines.iter().map(item).collect::<String>()
    )
}

/// The field names of the map, which the caller needs where it reads answers.
fn names(said: &Advice) -> String {
    let map = said.field_map.as_deref();
    let Some(map) = map.and_then(field_map) else {
        return String::new();
    };
    let names = map.iter().map(|(old, new)| {
        let new = new.as_deref().unwrap_or("–");
        format!(
            "<li><code>{}</code> → <code>{}</code>",
            Text(old),
            Text(new)
        )
    });
    format!(
        "<details class=names><summary>Names of fields, old and new</summary><ul>{}</ul></details>",
        names.collect::<String>()
    )
}

fn legend(said: &Advice) -> String {
    let legend = said.legend.as_deref();
    legend
        .map(|legend| format!("<p><small>{}</small></p>", Text(legend)))
        .unwrap_or_default()
}

fn facts(said: &Advice) -> String {
    said.facts
        .iter()
        .map(|(label, fact)| {
            format!(
                "<dt>{label}</dt><dd><bdi class=mono>{}</bdi></dd>",
                Text(fact)
            )
        })
        .collect()
}

fn documentation(said: &Advice) -> String {
    let link = |page: Option<&str>, label: &str| {
        let (label, page) = (Text(label), Text(page?));
        Some(format!("<a rel=\"noreferrer\" href=\"{page}\">{label}</a>"))
    };
    let links = [
        link(
            said.successor_documentation.as_deref(),
            &said.successors_page(Language::english()),
        ),
        link(said.documentation.as_deref(), &sentence("page-old")),
    ];
    let links: Vec<String> = links.into_iter().flatten().collect();
    match links.is_empty() {
        true => String::new(),
        false => format!("<p>{}</p>", links.join("<br>")),
    }
}

/// One open, the others a click or a key away; on paper all are open.
fn snippets(snippets: &[Snippet]) -> String {
    let any_own = snippets.iter().any(|snippet| snippet.own);
    snippets
        .iter()
        .enumerate()
        .map(|(at, snippet)| {
            let open = if at == 0 { " open" } else { "" };
            let own = if snippet.own && any_own {
                " <span class=\"badge own\">this caller</span>"
            } else {
                ""
            };
            format!(
                "<details{open}><summary>{name}{own}</summary><div class=code><button class=copy data-copy=code \
                 hidden aria-label=\"Copy the call for {name}\">Copy</button><pre tabindex=0><code>{code}</code></pre></div>\
                 </details>",
                name = Text(&snippet.name),
                code = Code(&snippet.code)
            )
        })
        .collect()
}
