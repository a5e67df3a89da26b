//! The law: a portal does the same before and after. The sandbox's reading, which shares no code with the translator,
//! says what a generated call does, in every encoding, batches and nasty ones included.
use b24_migration_proxy::catalogue::{Catalogue, Mode, Rule};
use b24_migration_proxy::protocol::target::{RestPath, place};
use b24_migration_proxy::sandbox::operation::Effect;
use b24_migration_proxy::sandbox::reading::{PortalConfig, Received, read};
use b24_migration_proxy::translate::{Action, Call, Outcome, Reason, Verdict, translate};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::LazyLock;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

/// A call as it travels.
#[derive(Clone, Debug)]
struct Sent {
    verb: &'static str,
    target: Vec<u8>,
    content_type: Option<String>,
    body: Vec<u8>,
}

impl Sent {
    fn translated(&self, mode: &dyn Fn(&Rule) -> Mode) -> Verdict {
        let call = Call {
            verb: self.verb.as_bytes(),
            target: &self.target,
            place: &place(&self.target, &RestPath::default()),
            content_type: self.content_type.as_deref().map(str::as_bytes),
            content_encoding: None,
            body: &self.body,
            doubt: None,
        };
        translate(&call, &CATALOGUE, mode)
    }

    fn with(&self, target: &Option<Vec<u8>>, body: &Option<Vec<u8>>) -> Self {
        let mut sent = self.clone();
        sent.target = target.clone().unwrap_or(sent.target);
        sent.body = body.clone().unwrap_or(sent.body);
        sent
    }

    fn effects(&self) -> Vec<Effect> {
        let content_type = self.content_type.as_deref().map(str::as_bytes);
        let received = Received::new(self.verb.as_bytes(), &self.target, content_type, &self.body);
        read(&received, &PortalConfig::default()).effects()
    }

    fn shown(&self) -> String {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        format!(
            "{} {}\n{:?}\n{}",
            self.verb,
            text(&self.target),
            self.content_type,
            text(&self.body)
        )
    }
}

/// The names that matter, in the spellings that a portal takes for one another.
fn names() -> impl Strategy<Value = String> {
    let known = select(vec![
        "userid",
        "USERID",
        "userId",
        "UserId",
        "scope",
        "SCOPE",
        "Scope",
        "extras",
        "EXTRAS",
        "Extras",
        "arExtras",
        "data",
        "DATA",
        "entityTypeId",
        "ENTITY_TYPE_ID",
        "ENTITY.TYPE.ID",
        "ENTITY TYPE ID",
        " entityTypeId",
        "entityTypeId[]",
        "entityTypeId[x]",
        "ENTITY[TYPE_ID",
        "entitytypeid",
        "ENTITY_TYPE_ID[",
        "x",
        "filter[>ID]",
        "",
        "[a]",
        "a.b",
        "extras.x",
        "entityTypeId\0x",
        "data[0][name]",
        "data[1][title]",
        "auth",
    ])
    .prop_map(str::to_owned);
    let extras = select(vec![
        "extras", "EXTRAS", "Extras", "arExtras", " extras", "extras\0",
    ]);
    let keys = select(vec![
        "lead.customer.type",
        "leadcustomertype",
        "LEADCUSTOMERTYPE",
        "leadCustomerType",
        "LeadCustomerType",
        "LEAD_CUSTOMER_TYPE",
        "lead_customer_type",
        "dealCategoryId",
        "CATEGORY_ID",
        "DEAL_CATEGORY_ID",
        "",
        "0",
        " ",
        " lead.customer.type",
        "x",
    ]);
    let tails = select(vec![
        "", "", "", "", "", "[x]", "[]", "y", "]", "[x", "y[z]",
    ]);
    let inside =
        (extras, keys, tails).prop_map(|(extras, key, tail)| format!("{extras}[{key}]{tail}"));
    let deep =
        select(vec!["extras", "entityTypeId"]).prop_map(|top| format!("{top}{}", "[1]".repeat(65)));
    let tail = (select(vec![
        "extras[lead.customer.type",
        "extras[",
        "entityTypeId]",
    ]),)
        .prop_map(|(name,)| name.to_owned());
    prop_oneof![6 => known, 6 => inside, 1 => deep, 1 => tail]
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(vec!["1", "2", "0", "", "C", "c", "P", "7", "-3", "3x", "$result[get][ID]", "a b", "é", "1#b", "a=b", "1\n"]).prop_map(str::to_owned),
        1 => "[ -~]{0,6}",
    ]
}

/// Percent-escapes: those that a form needs, and, by the bits of `noise`, some that it does not.
fn escaped(text: &str, noise: u64, raw: &[u8]) -> String {
    let mut written = String::new();
    for (at, byte) in text.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || raw.contains(&byte);
        if plain && noise >> (at % 61) & 7 != 7 {
            written.push(byte as char);
        } else if byte == b' ' && noise & 1 == 0 {
            written.push('+');
        } else if noise & 2 == 0 {
            written.push_str(&format!("%{byte:02X}"));
        } else {
            written.push_str(&format!("%{byte:02x}"));
        }
    }
    written
}

/// A form string: pairs, some empty, some as many as the portal reads.
fn forms() -> impl Strategy<Value = String> {
    let pair = (names(), values(), any::<u64>()).prop_map(|(name, value, noise)| {
        let name = escaped(&name, noise, b"[]._-");
        match noise >> 60 {
            0 => String::new(),
            1 => name,
            _ => format!(
                "{name}={}",
                escaped(&value, noise.rotate_left(9), b"._-*$/[]")
            ),
        }
    });
    (
        vec(pair, 0..7),
        prop_oneof![12 => Just(None), 1 => (990usize..1003, any::<bool>()).prop_map(Some)],
    )
        .prop_map(|(mut pairs, filler)| {
            if let Some((count, at_the_end)) = filler {
                let filler = (0..count).map(|n| format!("p{n}=x"));
                if at_the_end {
                    pairs.extend(filler);
                } else {
                    pairs = filler.chain(pairs).collect();
                }
            }
            pairs.join("&")
        })
}

/// A JSON string; by the bits of `noise` some characters are escaped.
fn json_string(text: &str, noise: u64) -> String {
    let mut written = String::from("\"");
    for (at, c) in text.chars().enumerate() {
        if noise >> (at % 59) & 7 == 7 || c.is_ascii_control() {
            written.push_str(&format!("\\u{:04x}", c as u32));
        } else if c == '"' || c == '\\' || (c == '/' && noise & 1 == 1) {
            written.extend(['\\', c]);
        } else {
            written.push(c);
        }
    }
    written + "\""
}

fn json_values() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        3 => select(vec!["null", "0", "1", "2", "1.0", "1e3", "12345678901234567890", "true", "false", "-3", "\"\""])
            .prop_map(str::to_owned),
        2 => (values(), any::<u64>()).prop_map(|(text, noise)| json_string(&text, noise)),
    ];
    scalar.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|values| format!("[{}]", values.join(" ,"))),
            json_objects(inner),
        ]
    })
}

fn json_objects(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let key = select(vec![
        "userId",
        "USERID",
        "scope",
        "SCOPE",
        "extras",
        "EXTRAS",
        "Extras",
        "arExtras",
        "entityTypeId",
        "ENTITY_TYPE_ID",
        "ENTITY.TYPE.ID",
        "data",
        "lead.customer.type",
        "leadCustomerType",
        "leadcustomertype",
        "LEAD_CUSTOMER_TYPE",
        "CATEGORY_ID",
        "dealCategoryId",
        "0",
        "",
        "x\"y",
    ]);
    let blank = select(vec!["", "", " ", "\n\t"]);
    vec((key, value, blank, any::<u64>()), 0..6).prop_map(|members| {
        let members: Vec<String> = members
            .into_iter()
            .map(|(key, value, blank, noise)| {
                format!(
                    "{blank}{}{blank}:{blank}{value}{blank}",
                    json_string(key, noise)
                )
            })
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn json_bodies() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => json_objects(json_values()),
        1 => select(vec!["", " \n", "null", "[]", "{}", " { } ", "[1,{}]", "5", "\"a&entityTypeId=7\""]).prop_map(str::to_owned),
    ]
}

/// A multipart body of these fields, as different clients write it.
fn multipart(fields: &[(String, String)], style: u64) -> String {
    let newline = if style & 3 == 0 { "\n" } else { "\r\n" };
    let mut body = String::from(if style & 4 == 0 { "" } else { "preamble\r\n" });
    for (at, (name, value)) in fields.iter().enumerate() {
        let style = style.rotate_right(5 + 3 * at as u32);
        let name = name.replace(['\n', '\0'], "");
        let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        let name = match style & 7 {
            0 if !name.is_empty() && !name.contains([' ', ';', '"', '\'', '\\', '=']) => name,
            1 if !name.contains(['\'', '\\']) => format!("'{name}'"),
            2 => format!("\"other\"; NAME={quoted}"),
            _ => quoted,
        };
        let file = if style & 0x78 == 0x78 {
            "; filename=\"f\""
        } else {
            ""
        };
        body += &format!(
            "--B{newline}Content-Disposition: form-data; name={name}{file}{newline}{newline}{value}{newline}"
        );
        if style & 0xF00 == 0xF00 {
            body += &format!("--B--{newline}");
        }
    }
    if style & 0xF000 == 0 {
        body
    } else {
        body + "--B--" + newline
    }
}

/// What a body is sent as, and the body.
fn bodies() -> impl Strategy<Value = (Option<String>, String)> {
    let typed = |content_type: &str, body: String| (Some(content_type.to_owned()), body);
    prop_oneof![
        3 => json_bodies().prop_map(move |body| typed("application/json", body)),
        1 => json_bodies().prop_map(move |body| typed("Application/Vnd.x+JSON; charset=utf-8", body)),
        3 => forms().prop_map(move |body| typed("application/x-www-form-urlencoded", body)),
        3 => (vec((names(), values()), 0..6), any::<u64>())
            .prop_map(move |(fields, style)| typed("multipart/form-data; boundary=B", multipart(&fields, style))),
        1 => (select(vec![None, Some("text/plain"), Some("text/json")]), prop_oneof![forms(), json_bodies()], select(vec!["", " ", "\r\n"]))
            .prop_map(|(content_type, body, blank)| (content_type.map(str::to_owned), format!("{blank}{body}{blank}"))),
        1 => Just((None, String::new())),
    ]
}

fn methods() -> impl Strategy<Value = String> {
    let entity = select(vec!["lead", "lead", "lead", "deal", "contact", "company"]);
    let action = select(vec!["get", "set", "reset", "forceCommonScopeForAll"]);
    (entity, action, 0..4u8).prop_map(|(entity, action, case)| {
        let method = format!("crm.{entity}.details.configuration.{action}");
        match case {
            0 => method.to_uppercase(),
            1 => method.to_lowercase(),
            _ => method,
        }
    })
}

/// A path to a method, as it can be written.
fn paths(method: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let before = select(vec![
        "/rest/",
        "/rest/1/code/",
        "/rest//1/./code/",
        "/x/../rest/1%2Fcode/",
        "//rest/%61dmin/code//",
    ]);
    let behind = select(vec![
        "",
        "",
        ".json",
        ".xml",
        "/",
        "/index.php",
        "%2ejson",
        ".xml/",
    ]);
    (before, method, any::<u64>(), behind).prop_map(|(before, method, noise, behind)| {
        let method = if noise & 3 == 0 {
            escaped(&method, noise, b".")
        } else {
            method
        };
        format!("{before}{method}{behind}")
    })
}

fn verbs() -> impl Strategy<Value = &'static str> {
    select(vec!["POST", "POST", "POST", "POST", "GET", "PUT"])
}

fn queries() -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 3 => forms().prop_map(|form| format!("?{form}"))]
}

prop_compose! {
    fn legacy_calls()(verb in verbs(), path in paths(methods()), query in queries(), (content_type, body) in bodies()) -> Sent {
        Sent { verb, target: (path + &query).into_bytes(), content_type, body: body.into_bytes() }
    }
}

/// A command of a batch: deprecated, of another method, or a batch itself.
fn commands() -> impl Strategy<Value = String> {
    let method = prop_oneof![
        4 => methods(),
        1 => select(vec!["user.current", "crm.deal.list", "crm.lead.details.configuration.reset.json", "crm%2Elead.details.configuration.get", "batch"])
            .prop_map(str::to_owned),
    ];
    let end = select(vec!["", "", "", "#f", "#?userId=5"]);
    let command =
        (method, queries(), end).prop_map(|(method, query, end)| format!("{method}{query}{end}"));
    command.prop_recursive(3, 6, 3, |inner| {
        (
            select(vec!["Batch", "BATCH"]),
            vec(
                (
                    select(vec!["cmd[a]", "CMD[b]", "cmd[]", "cmd[a]"]),
                    inner,
                    any::<u64>(),
                ),
                0..3,
            ),
        )
            .prop_map(|(method, commands)| {
                let pairs: Vec<String> = commands
                    .iter()
                    .map(|(name, command, noise)| {
                        format!("{name}={}", escaped(command, *noise, b"._-*$/[]"))
                    })
                    .collect();
                format!("{method}?{}", pairs.join("&"))
            })
    })
}

fn command_names() -> impl Strategy<Value = &'static str> {
    select(vec![
        "cmd[a]",
        "cmd[b]",
        "cmd[]",
        "CMD[a]",
        "Cmd[]",
        "cmd[7]",
        "cmd[a][x]",
        "cmd",
        "halt",
        "cmd[-5]",
        "cmd[07]",
    ])
}

fn batch_forms() -> impl Strategy<Value = Vec<(String, String)>> {
    vec((command_names(), commands()), 0..6).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(name, command)| (name.to_owned(), command))
            .collect()
    })
}

fn as_form(pairs: &[(String, String)], noise: u64) -> String {
    let pair = |(at, (name, value)): (usize, &(String, String))| {
        let noise = noise.rotate_left(at as u32);
        format!(
            "{}={}",
            escaped(name, noise, b"[]"),
            escaped(value, noise.rotate_left(7), b"._-*$/[]")
        )
    };
    pairs
        .iter()
        .enumerate()
        .map(pair)
        .collect::<Vec<_>>()
        .join("&")
}

fn batch_json() -> impl Strategy<Value = String> {
    let key = select(vec!["a", "b", "1", "-", "a"]);
    let entry = prop_oneof![
        6 => (commands(), any::<u64>()).prop_map(|(command, noise)| json_string(&command, noise)),
        1 => select(vec!["null", "1", "[]", "{\"a\":\"b\"}"]).prop_map(str::to_owned),
    ];
    let list = vec(entry.clone(), 0..4).prop_map(|entries| format!("[{}]", entries.join(", ")));
    let object = vec((key, entry, any::<u64>()), 0..4).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(key, entry, noise)| format!("{} : {entry}", json_string(key, *noise)))
            .collect();
        format!("{{{}}}", members.join(", "))
    });
    let cmd = select(vec!["cmd", "cmd", "CMD", "halt", "Cmd"]);
    vec((cmd, prop_oneof![list, object], any::<u64>()), 0..3).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(key, value, noise)| format!("{}:{value}", json_string(key, *noise)))
            .collect();
        format!("{{{}}}", members.join(", "))
    })
}

fn batch_bodies() -> impl Strategy<Value = (Option<String>, String)> {
    let typed = |content_type: &str, body: String| (Some(content_type.to_owned()), body);
    prop_oneof![
        3 => batch_json().prop_map(move |body| typed("application/json", body)),
        1 => batch_json().prop_map(move |body| typed("application/json", body + "}")),
        2 => (batch_forms(), any::<u64>()).prop_map(move |(pairs, noise)| typed("application/x-www-form-urlencoded", as_form(&pairs, noise))),
        2 => (batch_forms(), any::<u64>()).prop_map(move |(pairs, style)| typed("multipart/form-data; boundary=B", multipart(&pairs, style))),
        1 => (batch_forms(), any::<u64>()).prop_map(move |(pairs, noise)| (None, as_form(&pairs, noise))),
    ]
}

prop_compose! {
    fn batches()(
        verb in verbs(),
        path in paths(select(vec!["batch", "Batch"]).prop_map(str::to_owned)),
        query in batch_forms(),
        noise in any::<u64>(),
        (content_type, body) in batch_bodies(),
    ) -> Sent {
        let query = if query.is_empty() { String::new() } else { format!("?{}", as_form(&query, noise)) };
        Sent { verb, target: (path + &query).into_bytes(), content_type, body: body.into_bytes() }
    }
}

/// What the portal does with a call must be what it does with its translation.
fn law(sent: &Sent) -> Result<(), TestCaseError> {
    let verdict = sent.translated(&|_| Mode::Rewrite);
    match &verdict.outcome {
        Outcome::Refused(refusal) => {
            prop_assert_eq!(refusal.reason, Reason::TooLarge, "{}", sent.shown());
        }
        Outcome::Untouched => prop_assert!(
            verdict
                .uses
                .iter()
                .all(|used| used.action == Action::Observed)
        ),
        Outcome::Rewritten { target, body } => {
            let upstream = sent.with(target, body);
            if verdict
                .uses
                .iter()
                .all(|used| used.action != Action::Refused)
            {
                prop_assert_eq!(
                    sent.effects(),
                    upstream.effects(),
                    "{}\n became {}",
                    sent.shown(),
                    upstream.shown()
                );
            }
            let again = upstream.translated(&|_| Mode::Rewrite);
            let left = again
                .uses
                .iter()
                .filter(|used| used.action == Action::Rewritten)
                .count();
            prop_assert!(
                left == 0,
                "{}\n became {}\n with a rule left",
                sent.shown(),
                upstream.shown()
            );
        }
    }
    Ok(())
}

proptest! {
    // More by PROPTEST_CASES.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_portal_does_the_same_before_and_after(sent in legacy_calls()) {
        law(&sent)?;
    }

    #[test]
    fn the_portal_runs_the_same_batch_before_and_after(sent in batches()) {
        law(&sent)?;
    }

    #[test]
    fn a_call_that_is_not_deprecated_comes_out_as_it_went_in(
        path in paths(select(vec!["crm.deal.list", "user.current", "crm.item.details.configuration.reset", "crm.lead"]).prop_map(str::to_owned)),
        query in queries(),
        (content_type, body) in bodies(),
    ) {
        let sent = Sent { verb: "POST", target: (path + &query).into_bytes(), content_type, body: body.into_bytes() };
        prop_assert_eq!(sent.translated(&|_| Mode::Rewrite).outcome, Outcome::Untouched);
    }

    #[test]
    fn an_observed_or_blocked_call_keeps_its_bytes(sent in prop_oneof![legacy_calls(), batches()]) {
        prop_assert_eq!(sent.translated(&|_| Mode::Observe).outcome, Outcome::Untouched);
        if let Outcome::Rewritten { target, body } = sent.translated(&|_| Mode::Block).outcome {
            let blocked = sent.with(&target, &body);
            prop_assert!(blocked.translated(&|_| Mode::Block).uses.is_empty(), "{}", blocked.shown());
        }
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(
        target in vec(any::<u8>(), 0..60),
        content_type in select(vec!["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=B", ""]),
        body in vec(any::<u8>(), 0..80),
        method in select(vec!["batch", "crm.lead.details.configuration.reset"]),
    ) {
        let target = [format!("/rest/{method}?").as_bytes(), &target].concat();
        let sent = Sent { verb: "POST", target, content_type: Some(content_type.into()), body };
        sent.translated(&|_| Mode::Rewrite);
    }
}

/// Calls of a size that grows with `n`, each of a shape that a careless reader takes long for.
fn shapes(n: usize) -> Vec<(&'static str, Sent)> {
    let legacy = "/rest/1/code/crm.lead.details.configuration.reset";
    let sent = |path: &str, query: String, content_type: &str, body: String| Sent {
        verb: "POST",
        target: format!("{path}{query}").into_bytes(),
        content_type: Some(content_type.to_owned()),
        body: body.into_bytes(),
    };
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let on_query = |query: String| sent(legacy, query, form, String::new());
    let on_json = |body: String| sent(legacy, String::new(), json, body);
    let on_form = |body: String| sent(legacy, String::new(), form, body);
    let in_batch = |body: String| sent("/rest/batch", String::new(), json, body);
    let many = |item: &str, between: &str| vec![item; n].join(between);
    let part = "--B\r\nContent-Disposition: form-data; name=\"ENTITY_TYPE_ID\"\r\n\r\n1\r\n";
    vec![
        (
            "strays in a query",
            on_query(format!("?{}", many("ENTITY.TYPE.ID=1", "&"))),
        ),
        (
            "strays past the limit",
            on_form(format!(
                "{}&{}",
                vec!["a=1"; 1001].join("&"),
                many("entityTypeId=1", "&")
            )),
        ),
        (
            "overwritten extras",
            on_form(many("extras[lead.customer.type]=1&extras=1", "&")),
        ),
        ("open brackets", on_form(many("extras[a", "["))),
        (
            "brackets",
            on_form(format!("extras{}=1", many("[lead.customer.type]", ""))),
        ),
        (
            "escapes in a name",
            on_form(format!("extras[{}]=1", many("%6C", ""))),
        ),
        (
            "slashes in a path",
            sent(
                &format!(
                    "/rest{}/1/code/crm.lead.details.configuration.reset",
                    many("/", ".")
                ),
                String::new(),
                form,
                String::new(),
            ),
        ),
        (
            "duplicates in JSON",
            on_json(format!(
                "{{{}}}",
                many("\"extras\":{\"lead.customer.type\":1}", ",")
            )),
        ),
        (
            "strays in JSON",
            on_json(format!("{{{}}}", many("\"ENTITY_TYPE_ID\":1", ","))),
        ),
        (
            "escapes in JSON",
            on_json(format!("{{\"extras\":{{\"{}\":1}}}}", many("\\u006c", ""))),
        ),
        ("open lists in JSON", on_json(many("[", ""))),
        (
            "nulls of the new name",
            on_json(format!(
                "{{\"extras\":{{\"lead.customer.type\":1,{}}}}}",
                many("\"leadCustomerType\":null", ",")
            )),
        ),
        (
            "multipart strays",
            sent(
                legacy,
                String::new(),
                "multipart/form-data; boundary=B",
                many(part, ""),
            ),
        ),
        (
            "begins of a boundary",
            sent(
                legacy,
                String::new(),
                "multipart/form-data; boundary=B",
                format!("{part}{}", many("\r\n--", "")),
            ),
        ),
        (
            "folded lines",
            sent(
                legacy,
                String::new(),
                "multipart/form-data; boundary=B",
                format!(
                    "--B\r\nContent-Disposition: form-data; name=\"a\"{}\r\n\r\n",
                    many("\r\n ;", "")
                ),
            ),
        ),
        (
            "files",
            sent(
                legacy,
                String::new(),
                "multipart/form-data; boundary=B",
                many(
                    "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\nx\r\n",
                    "",
                ),
            ),
        ),
        (
            "commands",
            in_batch(format!(
                "{{\"cmd\":[{}]}}",
                many("\"crm.lead.details.configuration.get\"", ",")
            )),
        ),
        (
            "commands with one key",
            in_batch(format!(
                "{{\"cmd\":{{{}}}}}",
                many("\"a\":\"crm.lead.details.configuration.get\"", ",")
            )),
        ),
        (
            "spellings of cmd",
            in_batch(format!(
                "{{{}}}",
                many(
                    "\"cmd\":[\"crm.lead.details.configuration.get\"],\"CMD\":[]",
                    ","
                )
            )),
        ),
        (
            "nested commands",
            in_batch(format!(
                "{{\"cmd\":[\"Batch?{}\"]}}",
                many(
                    "cmd[]=Batch%3Fcmd%5B%5D%3Dcrm.lead.details.configuration.get",
                    "&"
                )
            )),
        ),
        (
            "a long key before nested commands",
            in_batch(format!(
                "{{\"cmd\":{{\"{}\":\"Batch?{}\"}}}}",
                many("k", ""),
                vec!["cmd[]=crm.lead.details.configuration.get"; 50].join("&")
            )),
        ),
        (
            "a long command",
            in_batch(format!(
                "{{\"cmd\":[\"crm.lead.details.configuration.get?{}\"]}}",
                many("a=\\u0031", "&")
            )),
        ),
    ]
}

/// The processor time that this thread has had, in nanoseconds, where the system tells it.
fn cpu_time() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok()
}

#[test]
fn no_shape_of_a_call_costs_more_than_its_length() {
    if cpu_time().is_none() {
        eprintln!("skipped: this system does not tell a thread's processor time");
        return;
    }
    let cost = |sent: &Sent, times: usize| {
        let runs = (0..3).map(|_| {
            let before = cpu_time();
            for _ in 0..times {
                sent.translated(&|_| Mode::Rewrite);
            }
            cpu_time()
                .zip(before)
                .map_or(0, |(after, before)| after - before)
        });
        runs.min().unwrap_or(0)
    };
    const SMALL: usize = 4_000;
    const TIMES: usize = 8;
    // The system may tell the time in ticks of some milliseconds.
    const TICKS: u64 = 20_000_000;
    for ((shape, small), (_, large)) in shapes(SMALL).into_iter().zip(shapes(SMALL * TIMES)) {
        let (small, large) = (cost(&small, TIMES), cost(&large, 1));
        // Quadratic work takes eight times as long for one call as for its eighth, done eight times.
        assert!(
            large < 3 * small + TICKS,
            "{shape}: {small} ns for {TIMES} small calls, {large} ns for a large one"
        );
    }
}

/// What a rule of one's own makes of a call: the new target and body.
fn by_own_rule(rule: &str, target: &str, content_type: &str, body: &str) -> (String, String) {
    let own = b24_migration_proxy::catalogue::file::read(rule).expect("a rule");
    let catalogue = Catalogue::with(own.into_iter().map(|own| own.rule));
    let call = Call {
        verb: if body.is_empty() { b"GET" } else { b"POST" },
        target: target.as_bytes(),
        place: &place(target.as_bytes(), &RestPath::default()),
        content_type: Some(content_type.as_bytes()),
        content_encoding: None,
        body: body.as_bytes(),
        doubt: None,
    };
    match translate(&call, &catalogue, &|_| Mode::Rewrite).outcome {
        Outcome::Rewritten {
            target: new,
            body: changed,
        } => {
            let text = |bytes: Option<Vec<u8>>, came: &str| {
                bytes.map_or(came.to_owned(), |bytes| {
                    String::from_utf8(bytes).expect("text")
                })
            };
            (text(new, target), text(changed, body))
        }
        other => panic!("{other:?}"),
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

#[test]
fn a_mapped_value_gets_an_equals_sign_where_there_was_none() {
    let rule = r#"[{"method":"z.map","successor":"y.map","map":[{"name":"state","values":{"":"none","1":"on"}}]}]"#;
    for (query, mapped) in [
        ("state", "state=none"),
        ("a=1&state&b=2", "a=1&state=none&b=2"),
        ("state=", "state=none"),
        ("state=1", "state=on"),
    ] {
        let (target, _) = by_own_rule(rule, &format!("/rest/z.map?{query}"), FORM, "");
        assert_eq!(target, format!("/rest/y.map?{mapped}"));
    }
    let (_, body) = by_own_rule(rule, "/rest/z.map", FORM, "state&b");
    assert_eq!(body, "state=none&b");
}

#[test]
fn a_renamed_value_wins_over_a_stray_of_the_new_name_in_every_encoding() {
    let rule = r#"[{"method":"z.r","successor":"y.r","rename":[{"from":"old","to":"new"}]}]"#;
    for (query, kind, body, new_query, new_body) in [
        ("?old=1&new=2", FORM, "", "?new=1", ""),
        ("?new=2&old=1&x", FORM, "", "?new=1&x", ""),
        ("?new[a]=2&old=1", FORM, "", "?new=1", ""),
        ("", FORM, "new=2&old=1", "", "new=1"),
        ("", "text/plain", "old=1&new=2&x=3", "", "new=1&x=3"),
        ("", JSON, r#"{"new":2,"old":1}"#, "", r#"{"new":1}"#),
        (
            "",
            JSON,
            r#"{"old":1,"x":0,"new":[2]}"#,
            "",
            r#"{"new":1,"x":0}"#,
        ),
        ("?old=1", JSON, r#"{"new":2,"x":0}"#, "?new=1", r#"{"x":0}"#),
    ] {
        let (target, body) = by_own_rule(rule, &format!("/rest/z.r{query}"), kind, body);
        let target = target.strip_prefix("/rest/y.r").expect("the successor");
        assert_eq!(
            (target.trim_end_matches('&'), body.trim_end_matches('&')),
            (new_query, new_body)
        );
    }
    let part = |name: &str, value: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let (_, body) = by_own_rule(
        rule,
        "/rest/z.r",
        "multipart/form-data; boundary=B",
        &[part("new", "2"), part("old", "1"), "--B--\r\n".to_owned()].concat(),
    );
    assert_eq!(body, [part("new", "1"), "--B--\r\n".to_owned()].concat());
    let yields = r#"[{"method":"z.r","successor":"y.r","rename":[{"from":"old","to":"new","yields_to":["new"]}]}]"#;
    let (target, _) = by_own_rule(yields, "/rest/z.r?old=1&new=2", FORM, "");
    assert_eq!(target, "/rest/y.r?old=1&new=2");
}

#[test]
fn what_is_set_in_a_list_makes_it_the_object_that_php_reads() {
    let rule =
        r#"[{"method":"z.s","successor":"y.s","set":[{"inside":["owner"],"name":"ID","to":5}]}]"#;
    for (body, set) in [
        (
            r#"{"owner":["1","x"]}"#,
            r#"{"owner":{"0":"1","1":"x","ID":5}}"#,
        ),
        (
            r#"{"owner":[ {"a":[1]} , 2 ]}"#,
            r#"{"owner":{ "0":{"a":[1]} , "1":2,"ID":5 }}"#,
        ),
        (r#"{"owner":[]}"#, r#"{"owner":{"ID":5}}"#),
        (r#"{"owner":{"a":1}}"#, r#"{"owner":{"a":1,"ID":5}}"#),
    ] {
        assert_eq!(by_own_rule(rule, "/rest/z.s", JSON, body).1, set);
    }
}
