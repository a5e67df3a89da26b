//! The law for rules of one's own: whatever a rule says and however a call travels, the portal gets the parameters that the
//! rule's words say, no others.

use b24_migration_proxy::catalogue::{Catalogue, Mode, file};
use b24_migration_proxy::protocol::address::Address;
use b24_migration_proxy::protocol::target::RestPath;
use b24_migration_proxy::protocol::urlrewrite;
use b24_migration_proxy::sandbox::reading::Received;
use b24_migration_proxy::translate::{Action, Call, Doubt, Outcome, translate};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use crate::support::spoken::{Rule, operation};

const NAMES: &[&str] = &["a", "A", "b", "c"];

fn name() -> impl Strategy<Value = String> {
    select(NAMES).prop_map(str::to_owned)
}

fn names() -> impl Strategy<Value = serde_json::Value> {
    vec(name(), 1..3).prop_map(|names| json!(names))
}

fn inside() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        3 => Just(json!([])),
        2 => Just(json!([["x", "X"]])),
        1 => Just(json!(["x", ["y", "Y"]])),
    ]
}

fn condition() -> impl Strategy<Value = serde_json::Value> {
    let is = prop_oneof![Just(json!([])), Just(json!([1, "Y"]))];
    let one = (names(), inside(), is)
        .prop_map(|(name, inside, is)| json!({"name": name, "inside": inside, "is": is}));
    prop_oneof![4 => Just(json!(null)), 1 => one]
}

/// Up to so many entries of one kind.
fn entries(
    entry: impl Strategy<Value = serde_json::Value> + 'static,
    most: usize,
) -> impl Strategy<Value = serde_json::Value> {
    let whole = (entry, inside(), condition()).prop_map(|(mut entry, inside, when)| {
        entry["inside"] = inside;
        if !when.is_null() {
            entry["when"] = when;
        }
        entry
    });
    vec(whole, 0..=most).prop_map(|entries| json!(entries))
}

fn rules() -> impl Strategy<Value = serde_json::Value> {
    let rename = (names(), name(), vec(name(), 0..2))
        .prop_map(|(from, to, yields_to)| json!({"from": from, "to": to, "yields_to": yields_to}));
    let map = names().prop_map(
        |names| json!({"name": names, "values": {"1": 2, "Y": true, "2": "two words", "": "none"}}),
    );
    let remove = names().prop_map(|names| json!({ "name": names }));
    let to = select(vec![json!(7), json!("s t"), json!(false), json!("")]);
    let set = (name(), to, vec(name(), 0..2)).prop_map(
        |(name, to, instead_of)| json!({"name": name, "to": to, "instead_of": instead_of}),
    );
    (
        entries(rename, 2),
        entries(map, 1),
        entries(remove, 1),
        entries(set, 2),
    )
        .prop_map(|(rename, map, remove, set)| {
            json!({
                "method": "old.method", "successor": "new.method",
                "rename": rename, "map": map, "remove": remove, "set": set,
            })
        })
}

/// The name of a form's field, and its value.
fn pairs(most: usize) -> impl Strategy<Value = Vec<(String, &'static str)>> {
    let top = select(vec!["a", "A", "b", "c", "x", "X", "z", "x", "x"]);
    let tail = select(vec![
        "", "", "", "[a]", "[A]", "[b]", "[c]", "[y]", "[Y]", "[y][a]", "[y][b]", "[Y][A]", "[]",
        "[z]",
    ]);
    let value = select(vec!["1", "2", "Y", "", "q&+ü"]);
    vec(
        (top, tail, value).prop_map(|(top, tail, value)| (format!("{top}{tail}"), value)),
        0..most,
    )
}

fn escaped(text: &str, all: bool) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'[' | b']' if !all => (byte as char).to_string(),
            byte if byte.is_ascii_alphanumeric() || byte == b'.' => (byte as char).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

fn form(pairs: &[(String, &str)], all: bool) -> String {
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name, all), escaped(value, true)));
    pairs.collect::<Vec<_>>().join("&")
}

fn multipart(pairs: &[(String, &str)], has_end: bool) -> String {
    let part = |(name, value): &(String, &str)| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = "--B\r\nContent-Disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nfile\r\n";
    let parts: String = pairs.iter().map(part).collect();
    format!(
        "{parts}{}",
        if has_end {
            format!("{file}--B--\r\n")
        } else {
            String::new()
        }
    )
}

/// A JSON object, its members perhaps more than once.
fn object(depth: u32) -> BoxedStrategy<String> {
    let scalar = select(vec![
        "1", "2", "\"Y\"", "\"\"", "null", "true", "\"1\"", "[]", "{}", "[3]",
    ])
    .prop_map(str::to_owned);
    let value = if depth == 0 {
        scalar.boxed()
    } else {
        prop_oneof![2 => scalar, 2 => object(depth - 1)].boxed()
    };
    let key = select(vec![
        "a", "A", "b", "c", "x", "X", "y", "Y", "z", "\\u0061", "x",
    ]);
    let blank = select(vec!["", "", " ", "\n\t"]);
    vec((key, value, blank), 0..5)
        .prop_map(|members| {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value, blank)| format!("{blank}\"{key}\"{blank}:{value}{blank}"))
                .collect();
            format!("{{{}}}", members.join(","))
        })
        .boxed()
}

/// A call of the rule's method, in each of the ways in which it can travel.
fn calls() -> impl Strategy<Value = Received> {
    let query = prop_oneof![2 => Just(Vec::new()), 1 => pairs(4), 1 => pairs(8)];
    let body = prop_oneof![
        3 => object(2).prop_map(|body| ("application/json", body)),
        2 => pairs(8).prop_map(|pairs| ("application/x-www-form-urlencoded", form(&pairs, true))),
        1 => pairs(8).prop_map(|pairs| ("text/plain", form(&pairs, false))),
        3 => (pairs(8), any::<bool>())
            .prop_map(|(pairs, has_end)| ("multipart/form-data; boundary=B", multipart(&pairs, has_end))),
        1 => Just(("", String::new())),
    ];
    let single = (query, body, select(vec!["POST", "POST", "POST", "GET"])).prop_map(
        |(query, (content_type, body), verb)| {
            let target = format!("/rest/1/code/old.method?{}", form(&query, false));
            received(verb, &target, content_type, &body)
        },
    );
    let tail = select(vec!["", "", "#f", "#f?a=1"]);
    let command = (pairs(8), tail)
        .prop_map(|(pairs, tail)| format!("Old.method?{}{tail}", form(&pairs, false)));
    let batch = (command, 0..4).prop_map(|(command, encoding)| {
        let escaped = escaped(&command, true);
        match encoding {
            0 => {
                let body = format!("{{\"cmd\":{{\"k\":{}}}}}", json!(command));
                received("POST", "/rest/1/code/batch", "application/json", &body)
            }
            1 => {
                let kind = "application/x-www-form-urlencoded";
                received(
                    "POST",
                    "/rest/1/code/batch",
                    kind,
                    &format!("cmd[k]={escaped}"),
                )
            }
            2 => {
                let body = multipart(&[("cmd[k]".to_owned(), &*command)], true);
                received(
                    "POST",
                    "/rest/1/code/batch",
                    "multipart/form-data; boundary=B",
                    &body,
                )
            }
            _ => received(
                "GET",
                &format!("/rest/1/code/batch?cmd[k]={escaped}"),
                "",
                "",
            ),
        }
    });
    prop_oneof![3 => single.boxed(), 1 => batch.boxed()]
}

fn received(verb: &str, target: &str, content_type: &str, body: &str) -> Received {
    let content_type = Some(content_type.as_bytes()).filter(|text| !text.is_empty());
    Received::new(
        verb.as_bytes(),
        target.as_bytes(),
        content_type,
        body.as_bytes(),
    )
}

fn shown(request: &Received) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{} {}\n{}",
        text(&request.verb),
        text(&request.target),
        text(&request.body)
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4 * ProptestConfig::default().cases, ..ProptestConfig::default() })]

    #[test]
    fn the_portal_gets_what_the_rule_says_however_the_call_travels(rule in rules(), request in calls()) {
        let own = file::read(&json!([rule]).to_string());
        // A rule that says two things of one name is refused when it is read.
        let Ok(own) = own else { return Ok(()) };
        let catalogue = Catalogue::with(own.into_iter().map(|own| own.rule));
        let made = urlrewrite::made(&request.target);
        let kind = request.field("content-type");
        let rest = RestPath::default();
        let at = Address::of_whole(&request.verb, &request.target, made.as_ref(), kind, &request.body, &rest);
        let call = Call {
            verb: &request.verb,
            target: at.target,
            place: &at.place,
            content_type: kind,
            content_encoding: None,
            body: &request.body,
            doubt: at.is_made.then_some(Doubt::Address),
        };
        let verdict = translate(&call, &catalogue, &|_| Mode::Rewrite);
        prop_assert_eq!(verdict.uses.len(), 1);
        if verdict.uses[0].action == Action::Refused {
            return Ok(());
        }
        let Outcome::Rewritten { target, body } = verdict.outcome else {
            return Err(TestCaseError::fail("it is not rewritten"));
        };
        let after = Received {
            target: target.unwrap_or_else(|| request.target.clone()),
            body: body.unwrap_or_else(|| request.body.clone()),
            ..request.clone()
        };
        let story = || format!("{rule}\n{}\nbecame\n{}", shown(&request), shown(&after));
        let Some((_, before)) = operation(&request) else {
            return Err(TestCaseError::fail(story()));
        };
        let Some((method, found)) = operation(&after) else {
            return Err(TestCaseError::fail(story()));
        };
        prop_assert_eq!(method, "new.method");
        prop_assert_eq!(found.plain(), Rule(rule.clone()).applied(&before), "{}", story());
    }
}
