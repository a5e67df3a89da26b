//! What is told about each method: against a list of the documentation's pages, and as docs/METHODS.md has it.
use std::collections::HashMap;
use std::path::Path;

use b24_migration_proxy::catalogue::migration::{Migration, field_maps, source};
use b24_migration_proxy::catalogue::{Catalogue, Rule, RuleKind};

/// A page of the documentation: its scope and the methods of its title.
struct Page {
    scope: &'static str,
    methods: Vec<String>,
}

/// The pages at the commit that the data were read from.
fn pages() -> HashMap<String, Page> {
    let table = include_str!("../documentation/pages.tsv");
    let rows = table.lines().skip(1).map(|line| {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().expect("three cells");
        let (page, scope, methods) = (cell(), cell(), cell());
        let methods = methods.split(' ').map(str::to_ascii_lowercase).collect();
        (format!("api-reference/{page}"), Page { scope, methods })
    });
    rows.collect()
}

fn entries(catalogue: &Catalogue) -> impl Iterator<Item = (&Rule, &Migration)> {
    let rules = catalogue.rules().iter();
    rules.map(|rule| (&**rule, rule.migration().expect("an entry ships for each")))
}

#[test]
fn every_successor_and_every_page_that_is_named_is_documented() {
    let pages = pages();
    let documented: Vec<&String> = pages.values().flat_map(|page| &page.methods).collect();
    let mut wrong = Vec::new();
    for (rule, entry) in entries(&Catalogue::builtin()) {
        let legacy = entry
            .legacy_page
            .as_deref()
            .and_then(|page| pages.get(page));
        if !legacy.is_some_and(|page| page.methods.contains(&rule.method.to_ascii_lowercase())) {
            wrong.push(format!("{}: its page {:?}", rule.method, entry.legacy_page));
        }
        let page = entry.page.as_deref().map(|path| (path, pages.get(path)));
        if let Some((path, None)) = page {
            wrong.push(format!("{}: no page {path}", rule.method));
        }
        for successor in &entry.successor {
            if !documented.contains(&&successor.to_ascii_lowercase()) {
                wrong.push(format!("{}: no method {successor}", rule.method));
            }
        }
        if let ([successor], Some((path, Some(page)))) = (&entry.successor[..], page) {
            if !page.methods.contains(&successor.to_ascii_lowercase()) {
                wrong.push(format!("{}: {path} is not about {successor}", rule.method));
            }
            let scope = entry.scope.as_ref().map(|scope| scope.successor.as_str());
            if scope != Some(page.scope) {
                wrong.push(format!(
                    "{}: scope {scope:?}, not {}",
                    rule.method, page.scope
                ));
            }
        }
        if entry.page.is_none() && !entry.successor.is_empty() {
            wrong.push(format!("{}: a successor without a page", rule.method));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn methods_md_shows_the_data() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METHODS.md");
    let now = written(&Catalogue::builtin());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &now).expect("docs/METHODS.md is written");
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == now,
        "docs/METHODS.md is not what the data say; UPDATE_GOLDEN=1 cargo test writes it"
    );
}

fn written(catalogue: &Catalogue) -> String {
    let all: Vec<_> = entries(catalogue).collect();
    let count = |is: &dyn Fn(&Rule, &Migration) -> bool| {
        all.iter().filter(|(rule, entry)| is(rule, entry)).count()
    };
    let mut out = format!(
        "# The deprecated methods\n\n\
         A test writes this page from the data. To correct it, change `src/catalogue/successors.json`, `fields.json`, or, for your own portal, a\n\
         [rule file](RULES.md#correcting-what-owners-are-told). Read from [the documentation's repository]({}) ({}) at commit\n\
         `{}` of {}. In an empty cell the documentation is silent.\n\n\
         | | methods |\n|---|---|\n",
        source().source,
        source().license,
        &source().commit[..12],
        source().date
    );
    let figures = [
        ("known", all.len()),
        (
            "translated by the proxy",
            count(&|rule, _| rule.kind == RuleKind::Exact),
        ),
        (
            "the same call under another name",
            count(&|_, entry| entry.equal),
        ),
        (
            "with a successor",
            count(&|_, entry| !entry.successor.is_empty()),
        ),
        (
            "of these our choice, where the documentation names a family",
            count(&|_, entry| entry.is_chosen()),
        ),
        (
            "without a successor",
            count(&|_, entry| entry.successor.is_empty()),
        ),
        (
            "with a table of parameters or fields",
            count(&|_, entry| has_table(entry)),
        ),
        (
            "with the scope that the successor needs",
            count(&|_, entry| entry.scope.is_some()),
        ),
        (
            "of these another scope than before",
            count(&|_, entry| {
                entry
                    .scope
                    .as_ref()
                    .is_some_and(|scope| scope.legacy != scope.successor)
            }),
        ),
        (
            "with links to both pages",
            count(&|_, entry| entry.page.is_some() && entry.legacy_page.is_some()),
        ),
        (
            "with the place of the answer",
            count(&|_, entry| entry.result.is_some()),
        ),
        (
            "with rights that differ",
            count(&|_, entry| entry.rights.is_some()),
        ),
    ];
    for (label, figure) in figures {
        out.push_str(&format!("| {label} | {figure} |\n"));
    }
    out.push_str(
        "\n## Methods\n\n\
         *Translated*: by the proxy, call for call. *Same*: the call is the same under the new name. *Ours*: the\n\
         documentation names a family, the method is our choice. *v3*: called below `/rest/api/`.\n\n\
         | method | call instead | | scope | send | fields | answer | rights | lost |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (rule, entry) in &all {
        out.push_str(&method_row(rule, entry));
    }
    out.push_str(
        "\n## Field names\n\n\
         A name behind which nothing stands has no successor; one that is missing is not documented. `UF_CRM_*` stay if\n\
         `crm.item.*` is called with `useOriginalUfNames=Y`.\n",
    );
    for (name, map) in field_maps().iter() {
        let names = map.iter().map(|(from, to)| match to {
            Some(to) => format!("`{from}` `{to}`"),
            None => format!("`{from}` –"),
        });
        let names: Vec<String> = names.collect();
        out.push_str(&format!("\n### {name}\n\n{}\n", names.join(", ")));
    }
    out
}

/// Whether something is told of the names in a call.
fn has_table(entry: &Migration) -> bool {
    !entry.set.is_empty()
        || !entry.rename.is_empty()
        || !entry.required.is_empty()
        || !entry.lost.is_empty()
        || entry.call_fields().is_some()
}

fn method_row(rule: &Rule, entry: &Migration) -> String {
    let link = |text: String, url: Option<String>| match url {
        Some(url) => format!("[{text}]({url})"),
        None => text,
    };
    let instead = match entry.successor.is_empty() {
        true => link("none".to_owned(), entry.page_url()),
        false => link(entry.successor.join(", "), entry.page_url()),
    };
    let mut marks = Vec::new();
    match rule.kind {
        RuleKind::Exact => marks.push("translated"),
        RuleKind::Watched if entry.equal => marks.push("same"),
        RuleKind::Watched => {}
    }
    if entry.is_chosen() {
        marks.push("ours");
    }
    if entry.rest_version == Some(3) {
        marks.push("v3");
    }
    let code = |text: String| format!("`{text}`");
    let set = entry
        .set
        .iter()
        .map(|(name, value)| code(format!("{name}={}", text_of(value))));
    let renamed = entry
        .rename
        .iter()
        .map(|(from, to)| format!("{} for {}", code(to.clone()), code(from.to_owned())));
    let required = entry.required.iter().map(|name| code(name.clone()));
    let send: Vec<String> = set.chain(renamed).chain(required).collect();
    let map = entry.fields.as_ref().or(entry.result_fields.as_ref());
    let fields = map
        .map(|map| format!("[{map}](#{map})"))
        .unwrap_or_default();
    let answer = entry
        .result
        .as_ref()
        .map(|answer| code(answer.successor.clone()));
    let lost: Vec<String> = entry.lost.iter().cloned().map(code).collect();
    format!(
        "| {} | {instead} | {} | {} | {} | {fields} | {} | {} | {} |\n",
        link(rule.method.clone(), entry.legacy_page_url()),
        marks.join(", "),
        entry
            .scope
            .as_ref()
            .map(|scope| scope.successor.as_str())
            .unwrap_or_default(),
        send.join(", "),
        [answer.unwrap_or_default(), entry.types.join("; ")]
            .join(" ")
            .trim(),
        entry.rights.as_deref().unwrap_or_default(),
        lost.join(", "),
    )
}

fn text_of(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
