//! The tables: callers and what they call, the methods, and the changes of modes.

use super::html::{Code, InQuery, Text, counted, moment, number};
use super::trend;
use crate::admin::MethodUse;
use crate::admin::overview::{calls, identity, is_active, recent};
use crate::admin::selection::{Order, Selection, Show, rank, texts};
use crate::telemetry::shown::{ModeChange, Row, Snapshot};

/// The most rows that one page shows; a portal's worth of callers fits, a flood of invented ones does not bring a browser
/// down.
pub(super) const MOST_ROWS: usize = 500;

/// The `id` of a row's element: the same for the same callers and method, and safe whatever those are.
pub(in crate::admin) fn row_id(row: &Row) -> String {
    let whose = row.name.as_ref().unwrap_or(&row.key);
    let mut hash = blake3::Hasher::new();
    hash.update(&[u8::from(row.name.is_some())]);
    hash.update(&(whose.len() as u64).to_be_bytes());
    hash.update(whose.as_bytes());
    hash.update(row.method.as_bytes());
    format!("r{}", &hash.finalize().to_hex()[..16])
}

/// What names a row in the query of an address.
pub(super) fn named(row: &Row) -> String {
    let whose = match &row.name {
        Some(name) => format!("name={}", InQuery(name)),
        None => format!("key={}", InQuery(&row.key)),
    };
    format!("{whose}&amp;method={}", InQuery(&row.method))
}

/// The texts that words are looked for in, a line each, in lower case.
fn findable(row: &Row) -> String {
    let texts: Vec<String> = texts(row)
        .map(|text| text.to_lowercase().replace('\n', " "))
        .collect();
    texts.join("\n")
}

/// One caller's use of one method.
pub(in crate::admin) fn row(row: &Row, now: u64) -> String {
    let quiet = if is_active(row, now) {
        ""
    } else {
        " class=quiet"
    };
    let [day, week, month] = recent(row);
    let days: Vec<u64> = row.days.iter().map(|&calls| u64::from(calls)).collect();
    format!(
        "<tr id={id}{quiet} data-last={last} data-first={first} data-calls={calls} data-recent=\"{day} {week} {month}\" data-action=\"{action}\" \
         data-named={named} data-rank={rank} data-state=\"{progress}\" data-find=\"{find}\"><td data-label=Caller>{caller}</td><td data-label=Method>{method}</td><td \
         data-label=Calls class=num><b>{count}</b>{state}</td><td data-label=\"30 days\">{trend}</td><td \
         data-label=\"Last use\">{seen}</td><td data-label=\"First use\">{since}</td><td \
         data-label=Address><bdi class=mono>{address}</bdi></td></tr>",
        id = row_id(row),
        last = row.last_seen,
        first = row.first_seen,
        calls = calls(row),
        action = Text(&row.action),
        named = row.name.is_some(),
        rank = rank(row),
        progress = row.state.unwrap_or_default(),
        find = Code(&findable(row)),
        caller = caller(row),
        method = method(row),
        count = number(calls(row)),
        state = state(row),
        trend = trend::bars(&days),
        seen = moment(row.last_seen, now),
        since = moment(row.first_seen, now),
        address = Text(row.address.as_deref().unwrap_or("–")),
    )
}

fn caller(row: &Row) -> String {
    let name = match &row.name {
        Some(name) => format!("<bdi class=name>{}</bdi>", Text(name)),
        None => format!("<bdi class=\"name unnamed\">{}</bdi>", Text(&identity(row))),
    };
    let mut facts = Vec::new();
    facts.extend(progress(row));
    for about in [&row.owner, &row.contact, &row.ticket]
        .into_iter()
        .flatten()
    {
        facts.push(format!("<bdi>{}</bdi>", Text(about)));
    }
    if row.name.is_some() {
        facts.push(format!("<bdi>{}</bdi>", Text(&identity(row))));
    }
    if let Some(sdk) = &row.sdk {
        facts.push(format!("<bdi>{}</bdi>", Text(sdk)));
    } else if let Some(agent) = &row.user_agent {
        facts.push(format!("<bdi>{}</bdi>", Text(agent)));
    }
    if let (Some(fingerprint), None) = (&row.fingerprint, &row.name) {
        facts.push(format!("<bdi class=mono>{}</bdi>", Text(fingerprint)));
    }
    let unnamed = match row.name {
        Some(_) => String::new(),
        None => name_it(row),
    };
    format!(
        "{name}<small>{}</small>{}{unnamed}",
        facts.join(" · "),
        behind(row)
    )
}

/// The lines of the callers file that would give the row a name.
fn name_it(row: &Row) -> String {
    let Some(selector) = selector(row) else {
        return String::new();
    };
    let lines = format!(
        "[[caller]]\nname = \"\"\n{selector}# owner = \"Ann Lee\"\n# contact = \"ann@example.com\"\n"
    );
    format!(
        "<details class=naming><summary>Name this caller</summary><p>Paste into the callers file, with a name; then reload:</p>\
         <div class=code><button type=button class=copy hidden>Copy</button><pre tabindex=0><code>{}</code></pre></div></details>",
        Code(&lines)
    )
}

/// What tells the caller from others, of what lasts longest; a token's fingerprint changes every hour.
fn selector(row: &Row) -> Option<String> {
    let quoted = |key: &str, value: &str| {
        let value = value.replace(crate::advice::is_active, "?");
        format!("{key} = {}\n", serde_json::Value::from(value))
    };
    let lasts = row.auth == "webhook" || row.key.starts_with("client:");
    match (&row.application, &row.fingerprint, &row.address) {
        (Some(id), ..) if row.auth != "webhook" => Some(quoted("application", id)),
        (_, Some(fingerprint), _) if lasts => Some(quoted("fingerprint", fingerprint)),
        (.., Some(address)) => {
            let library = row.sdk.as_deref().and_then(|sdk| sdk.split(' ').next());
            let library = library.map(|library| quoted("sdk", library));
            Some(quoted("address", address) + &library.unwrap_or_default())
        }
        _ => None,
    }
}

/// How far the migration is, where somebody was told of it, and since when.
fn progress(row: &Row) -> Option<String> {
    let since = |day: &Option<String>| day.clone().unwrap_or_default();
    let (class, since) = match row.state? {
        "told" => ("observed", since(&row.told)),
        "migrated" => ("rewritten", since(&row.migrated)),
        "regressed" => ("bad", format!("since {}", since(&row.migrated))),
        _ => return None,
    };
    Some(format!(
        "<span class=\"badge {class}\">{} {}</span>",
        row.state?,
        Text(&since)
    ))
}

/// How many keys, libraries and addresses stand behind the row, and which, where there are several.
fn behind(row: &Row) -> String {
    let mut counts = Vec::new();
    let mut lists = String::new();
    for (count, one, many, listed) in [
        (row.keys, "key", "keys", &row.behind.keys),
        (row.libraries, "library", "libraries", &row.behind.libraries),
        (row.addresses, "address", "addresses", &row.behind.addresses),
    ] {
        if count > 1 {
            counts.push(counted(count as u64, one, many));
            let items = listed
                .iter()
                .map(|text| format!("<li><bdi class=mono>{}</bdi></li>", Text(text)));
            lists.push_str(&format!(
                "<ul aria-label={many}>{}</ul>",
                items.collect::<String>()
            ));
        }
    }
    match counts.is_empty() {
        true => String::new(),
        false => format!(
            "<details class=behind><summary>{}</summary>{lists}</details>",
            counts.join(" · ")
        ),
    }
}

fn method(row: &Row) -> String {
    let what = match (&row.replacement, row.changes.as_slice()) {
        (None, _) => "no successor; see the documentation".to_owned(),
        (Some(successor), []) => format!("→ <bdi class=mono>{}</bdi>", Text(successor)),
        (Some(successor), changes) => format!(
            "→ <bdi class=mono>{}</bdi><ul class=changes>{}</ul>",
            Text(successor),
            changes
                .iter()
                .take(4)
                .map(|change| format!("<li><bdi>{}</bdi></li>", Text(change)))
                .collect::<String>()
        ),
    };
    format!(
        "<a class=open href=\"/instructions?{}\"><bdi class=mono>{}</bdi></a><small class=what>{what}</small>",
        named(row),
        Text(&row.method)
    )
}

/// What was done to the last call, and what went wrong with others.
fn state(row: &Row) -> String {
    let (class, word) = match row.action.as_str() {
        word @ ("rewritten" | "observed" | "refused") => (word, word),
        other => ("", other),
    };
    let reason = row
        .reason
        .as_deref()
        .map(|reason| format!(": {}", Text(&reason.replace('_', " "))))
        .unwrap_or_default();
    let mut badges = format!(
        "<span class=\"badge {class}\">{}{reason}</span>",
        Text(word)
    );
    if row.refused > 0 && row.action != "refused" {
        badges.push_str(&format!(
            "<span class=\"badge refused\">{} refused</span>",
            number(row.refused)
        ));
    }
    // What was refused is told already; on purpose it is no error.
    let errors = row.errors.saturating_sub(row.refused);
    if errors > 0 {
        badges.push_str(&format!(
            "<span class=\"badge bad\" title=\"Last: {} {}\">{}</span>",
            row.status
                .map_or_else(String::new, |status| status.to_string()),
            Text(row.error.as_deref().unwrap_or_default()),
            counted(errors, "error", "errors")
        ));
    }
    badges
}

/// The table of callers with its filter.
pub(super) fn table(rows: &[&Row], selection: &Selection, snapshot: &Snapshot) -> String {
    let shown = if selection.all {
        rows.len()
    } else {
        MOST_ROWS.min(rows.len())
    };
    let body: String = rows[..shown]
        .iter()
        .map(|each| row(each, snapshot.now))
        .collect();
    let complete = shown == snapshot.rows.len();
    let more = if shown < rows.len() {
        format!(
            "{} of {} rows are shown; <a href=\"/?all&amp;sort={}&amp;show={}&amp;q={}\">show all</a>, or \
             narrow them by words.",
            number(shown as u64),
            number(rows.len() as u64),
            selection.order.as_str(),
            selection.show.as_str(),
            InQuery(&selection.words)
        )
    } else {
        String::new()
    };
    let empty = if rows.is_empty() { "" } else { " hidden" };
    let nothing = if snapshot.rows.is_empty() {
        "No deprecated call has been seen. When one comes, it appears here, with what its owner has to change."
    } else {
        "No row has all of these words."
    };
    format!(
        "<section id=callers aria-labelledby=callers-h><div class=bar><h2 id=callers-h>Who still calls what <span \
         class=count id=count>{count}</span></h2>{form}</div><p id=sums class=note>{sums}</p><table><thead><tr>{heads}</tr></thead><tbody id=rows \
         data-complete={complete}>{body}</tbody></table><p id=nothing class=empty{empty}>{nothing}</p><p id=more \
         class=note>{more}</p></section>",
        count = counted(rows.len() as u64, "row", "rows"),
        sums = sums(rows),
        form = form(selection),
        heads = heads(selection),
    )
}

/// The calls of all rows that are selected; `script.js` writes the same for those that it shows.
fn sums(rows: &[&Row]) -> String {
    let [day, week, month] = rows.iter().fold([0; 3], |sums, row| {
        let calls = recent(row);
        [0, 1, 2].map(|at| sums[at] + calls[at])
    });
    format!(
        "Calls of these rows: {} in 24 hours, {} in 7 days, {} in 30 days",
        number(day),
        number(week),
        number(month)
    )
}

fn form(selection: &Selection) -> String {
    let option = |word: &str, label: &str, chosen: bool| {
        let selected = if chosen { " selected" } else { "" };
        format!("<option value={word}{selected}>{label}</option>")
    };
    let shows: String = Show::ALL
        .iter()
        .map(|&(show, word, label)| option(word, label, show == selection.show))
        .collect();
    let orders: String = Order::ALL
        .iter()
        .map(|&order| option(order.as_str(), order.label(), order == selection.order))
        .collect();
    format!(
        "<form id=filter role=search method=get action=\"/\"><label class=sr for=q>Filter</label><input id=q name=q \
         type=search placeholder=\"Filter: name, method, address …  ( / )\" value=\"{}\" autocomplete=off \
         spellcheck=false><label class=sr for=show>Show</label><select id=show name=show>{shows}</select><label \
         class=sr for=sort>Order</label><select id=sort name=sort>{orders}</select><button \
         class=nojs>Filter</button></form>",
        Text(&selection.words),
    )
}

fn heads(selection: &Selection) -> String {
    let head = |order: Order, label: &str, class: &str| {
        let sorted = match (order == selection.order, order) {
            (false, _) => "none",
            (true, Order::Caller | Order::Method) => "ascending",
            (true, _) => "descending",
        };
        format!(
            "<th scope=col aria-sort={sorted}{class}><a class=sort data-sort={word} \
             href=\"/?sort={word}&amp;show={}&amp;q={}\">{label}</a></th>",
            selection.show.as_str(),
            InQuery(&selection.words),
            word = order.as_str()
        )
    };
    format!(
        "{}{}{}<th scope=col>30 days</th>{}{}<th scope=col>Address</th>",
        head(Order::Caller, "Caller", ""),
        head(Order::Method, "Method, and what has to change", ""),
        head(Order::Calls, "Calls", " class=num"),
        head(Order::Last, "Last use", ""),
        head(Order::First, "First use", "")
    )
}

/// The methods that are in use.
pub(super) fn methods(methods: &[MethodUse], now: u64) -> String {
    if methods.is_empty() {
        return String::new();
    }
    let rows: String = methods.iter().map(|each| method_row(each, now)).collect();
    format!(
        "<section id=methods aria-labelledby=methods-h><h2 id=methods-h>Methods in use</h2><table><thead><tr><th \
         scope=col>Method</th><th scope=col>Mode</th><th scope=col class=num>Callers</th><th scope=col \
         class=num>Calls</th><th scope=col>30 days</th><th scope=col>Last use</th></tr></thead><tbody>{rows}</tbody>\
         </table></section>"
    )
}

fn method_row(method: &MethodUse, now: u64) -> String {
    let name = match &method.documentation {
        Some(page) if page.starts_with("https://") => format!(
            "<a class=mono rel=\"noreferrer\" href=\"{}\">{}</a>",
            Text(page),
            Text(&method.method)
        ),
        _ => format!("<span class=mono>{}</span>", Text(&method.method)),
    };
    let kind = if method.translated {
        "translated"
    } else {
        "watched"
    };
    let mode = method.mode.as_deref().unwrap_or("–");
    let exceptions: String = method
        .exceptions
        .iter()
        .map(|(scope, mode)| format!("<small>{}: {}</small>", Text(scope), Text(mode)))
        .collect();
    let planned: String = method
        .planned
        .iter()
        .map(|(scope, mode, from)| {
            let (scope, mode, from) = (Text(scope), Text(mode), Text(from));
            format!("<small>{scope}: {mode} from {from}</small>")
        })
        .collect();
    let next = method
        .next
        .as_ref()
        // The badge says it.
        .filter(|(_, mode)| method.sunset.is_none() || mode != "block")
        .map(|(at, mode)| format!("<small>{} from {}</small>", Text(mode), Text(at)))
        .unwrap_or_default();
    let sunset = method
        .sunset
        .as_deref()
        .map(|date| {
            format!(
                "<span class=\"badge refused\">refused from {}</span>",
                Text(date)
            )
        })
        .unwrap_or_default();
    format!(
        "<tr><td data-label=Method>{name}<small>→ <bdi class=mono>{}</bdi></small></td><td \
         data-label=Mode>{}<small>{kind}</small>{sunset}{exceptions}{planned}{next}</td><td data-label=Callers class=num>{}</td><td data-label=Calls \
         class=num>{}</td><td data-label=\"30 days\">{}</td><td data-label=\"Last use\">{}</td></tr>",
        Text(method.replacement.as_deref().unwrap_or("no successor")),
        Text(mode),
        number(method.callers as u64),
        number(method.calls()),
        trend::bars(&method.days),
        moment(method.last_seen, now)
    )
}

/// The last changes of modes.
pub(super) fn mode_changes(changes: &[ModeChange], now: u64) -> String {
    if changes.is_empty() {
        return String::new();
    }
    let items: String = changes
        .iter()
        .take(20)
        .map(|change| {
            let scope = change
                .scope
                .as_deref()
                .map(|scope| format!(" for <bdi>{}</bdi>", Text(scope)))
                .unwrap_or_default();
            format!(
                "<li>{} <bdi class=mono>{}</bdi>: {} → <b>{}</b>{scope} <small>({})</small></li>",
                moment(change.at, now),
                Text(&change.method),
                Text(&change.from),
                Text(&change.to),
                Text(&change.cause)
            )
        })
        .collect();
    format!(
        "<section id=modes aria-labelledby=modes-h><h2 id=modes-h>Changes of modes</h2><ul \
         class=log>{items}</ul></section>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_whatever_a_client_sends_as_text() {
        let hostile = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>";
        let shown = row(
            &Row {
                key: hostile.into(),
                name: Some(hostile.into()),
                method: hostile.into(),
                replacement: Some(hostile.into()),
                auth: "oauth".into(),
                application: Some(hostile.into()),
                user_agent: Some(hostile.into()),
                address: Some(hostile.into()),
                action: hostile.into(),
                reason: Some(hostile.into()),
                error: Some(hostile.into()),
                errors: 1,
                changes: vec![hostile.into()],
                ..Row::default()
            },
            0,
        );
        assert!(
            !shown.contains("<script") && !shown.contains("<img"),
            "{shown}"
        );
        assert!(!shown.contains("\"'>"), "{shown}");
    }

    #[test]
    fn a_caller_without_a_name_is_shown_by_what_is_known() {
        let shown = caller(&Row {
            auth: "webhook".into(),
            user: Some("7".into()),
            fingerprint: Some("ab12".into()),
            sdk: Some("CRest".into()),
            ..Row::default()
        });
        assert!(shown.contains("Webhook of user 7"), "{shown}");
        assert!(shown.contains("CRest") && shown.contains("ab12"), "{shown}");
    }

    #[test]
    fn without_rows_the_table_says_what_will_come() {
        let table = table(&[], &Selection::default(), &Snapshot::default());
        assert!(
            table.contains("No deprecated call has been seen"),
            "{table}"
        );
    }
}
