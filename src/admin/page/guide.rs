//! What opens under a row: the instructions for the caller's owner.

use super::html::{Code, Text, counted, moment};
use crate::admin::instructions::{Instructions, Snippet};
use crate::admin::overview::calls;
use crate::telemetry::live::Row;

pub(super) fn article(said: &Instructions, row: &Row) -> String {
    let heading = match &said.replacement {
        Some(successor) => format!(
            "Replace <code>{}</code> with <code>{}</code>",
            Text(&said.method),
            Text(successor)
        ),
        None => format!("Stop calling <code>{}</code>", Text(&said.method)),
    };
    let now = super::now();
    format!(
        "<article class=guide><header><h3>{heading}</h3><div class=tools><button class=copy \
         data-copy=markdown hidden>Copy as Markdown</button><a class=button \
         href=\"/api/instructions?{named}&amp;format=markdown\">Markdown</a></div></header><div \
         class=halves><div><p><bdi class=name>{caller}</bdi> made {count}, the first {first}, the last \
         {last}.</p>{caution}{changes}{legend}<dl>{facts}</dl>{documentation}</div><div \
         class=snippets>{snippets}</div></div><pre hidden class=markdown>{markdown}</pre></article>",
        named = super::rows::named(row),
        caller = Text(&said.caller),
        count = counted(calls(row), "call", "calls"),
        first = moment(row.first_seen, now),
        last = moment(row.last_seen, now),
        caution = caution(said),
        changes = changes(said),
        legend = legend(said),
        facts = facts(said),
        documentation = documentation(said),
        snippets = snippets(&said.snippets),
        markdown = Code(&said.markdown()),
    )
}

fn caution(said: &Instructions) -> String {
    said.caution()
        .map(|caution| format!("<p class=caution>{}</p>", Text(&caution)))
        .unwrap_or_default()
}

fn changes(said: &Instructions) -> String {
    if said.changes.is_empty() {
        return String::new();
    }
    let items: String = said
        .changes
        .iter()
        .map(|change| format!("<li><bdi>{}</bdi></li>", Text(change)))
        .collect();
    format!("<h4>What changes in the call</h4><ul>{items}</ul>")
}

fn legend(said: &Instructions) -> String {
    said.legend()
        .map(|legend| format!("<p><small>{}</small></p>", Text(&legend)))
        .unwrap_or_default()
}

fn facts(said: &Instructions) -> String {
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

fn documentation(said: &Instructions) -> String {
    said.documentation
        .as_deref()
        .map(|page| {
            format!(
                "<p><a rel=\"noreferrer\" href=\"{}\">Documentation of the method</a></p>",
                Text(page)
            )
        })
        .unwrap_or_default()
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
                 hidden aria-label=\"Copy the call for {name}\">Copy</button><pre><code>{code}</code></pre></div>\
                 </details>",
                name = Text(snippet.name),
                code = Code(&snippet.code)
            )
        })
        .collect()
}
