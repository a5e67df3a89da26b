//! The translator against the sandbox over requests in pieces, far from what any client means to send: whatever the
//! portal would run of the deprecated family, it runs as the successor, and does the same.

use std::sync::LazyLock;

use b24_migration_proxy::catalogue::{Catalogue, Mode};
use b24_migration_proxy::protocol::address::Address;
use b24_migration_proxy::protocol::target::RestPath;
use b24_migration_proxy::protocol::urlrewrite;
use b24_migration_proxy::sandbox::reading::{PortalConfig, Reading, Received, read};
use b24_migration_proxy::translate::{Call, Doubt, Outcome, translate};
use proptest::prelude::*;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::builtin);

/// Pieces in any order.
fn pieces(words: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(words);
    prop::collection::vec(word, 0..most).prop_map(|words| words.concat())
}

const PATH: &[&[u8]] = &[
    b"/",
    b"/",
    b"%2f",
    b"%2F",
    b".",
    b"..",
    b"%2e",
    b"1",
    b"code",
    b"api",
    b"rest",
    b"/rest/",
    b"index.php",
    b".json",
    b".xml",
    b".JSON",
    b"%2ejson",
    b"crm.lead.details.configuration.reset",
    b"crm.LEAD.details.configuration.%67et",
    b"batch",
    b"%62atch",
    b"crm.item.details.configuration.reset",
    b"+",
    b"%00",
    b"%",
    b"\xff",
    b"%0A",
    b"%0a",
    b"x",
];

/// Addresses of which the parameters make calls.
const WAYS: &[&str] = &[
    "/rest/x/y",
    "/rest/",
    "/rest/index.php",
    "/rest/api/1/2/3/4",
    "/bitrix/services/rest/index.php",
    "/bitrix/services/rest",
    "/rest/api/code/crm.lead.details.configuration.reset",
    "/rest/1/code/crm.deal.details.configuration.get.json%0A",
    "/any/address",
];

/// What stands in the query or the form of such an address.
const NAMED: &[&[u8]] = &[
    b"&",
    b"&",
    b"&",
    b"method=crm.lead.details.configuration.reset",
    b"method=CRM.deal.details.configuration.%67et.xml",
    b"%6dethod=batch",
    b"method=profile",
    b"method[]=x",
    b"method=",
    b"cmd[a]=crm.lead.details.configuration.get",
    b"CMD[a]=crm.lead.details.configuration.get%3Fscope=C",
    b"scope=C",
    b"entityTypeId=7",
    b"extras[lead.customer.type]=2",
    b"SEF_APPLICATION_CUR_PAGE_URL=/rest/crm.lead.details.configuration.reset%3Fscope%3DC",
    b"SEF.APPLICATION%5FCUR+PAGE_URL=%2Frest%2Fbatch%3Fcmd%5Ba%5D%3Dcrm.lead.details.configuration.set",
    b"SEF_APPLICATION_CUR_PAGE_URL=/rest/x/y%3Fmethod%3Dcrm.lead.details.configuration.get",
    b"SEF_APPLICATION_CUR_PAGE_URL[]=/rest/crm.lead.details.configuration.reset",
    b"SEF_APPLICATION_CUR_PAGE_URL=/page",
    b"404;http://h/rest/crm.lead.details.configuration.reset?scope=C",
    b"404;https://h",
    b"#",
    b"%00",
    b"=",
];

const FORM: &[&[u8]] = &[
    b"&",
    b"&",
    b"&",
    b"=",
    b"=",
    b"=",
    b"extras",
    b"EXTRAS",
    b"arExtras",
    b"[lead.customer.type]",
    b"[leadCustomerType]",
    b"[LEAD_CUSTOMER_TYPE]",
    b"[",
    b"]",
    b"[]",
    b"[a]",
    b"1",
    b"2",
    b"7",
    b"C",
    b"scope",
    b"userId",
    b"entityTypeId",
    b"ENTITY_TYPE_ID",
    b"ENTITY.TYPE+ID",
    b"%5B",
    b"%5D",
    b"%00",
    b"+",
    b"%20",
    b".",
    b"_",
    b"#",
    b"\xff",
    b"%ff",
    b"data",
    b"[CATEGORY_ID]",
    b"0",
    b"%",
    b"__Host-",
    b" ",
    b"\t",
    b"\n",
    b"\0",
];

const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"extras\"",
    b"\"EXTRAS\"",
    b"\"\\u0065xtras\"",
    b"\"lead.customer.type\"",
    b"\"leadCustomerType\"",
    b"\"entityTypeId\"",
    b"\"ENTITY_TYPE_ID\"",
    b"\"scope\"",
    b"\"C\"",
    b"null",
    b"2",
    b"1.0",
    b"true",
    b"TRUE",
    b"-0",
    b" ",
    b"\n",
    b"\"",
    b"\\",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\"\\ud800\"",
    b"0",
    b"&entityTypeId=7",
    b"=",
];

const COMMAND: &[&[u8]] = &[
    b"crm.lead.details.configuration.reset",
    b"crm.deal.details.configuration.get",
    b"CRM.contact.details.configuration.set",
    b"crm.deal.list",
    b":",
    b"x:",
    b"a-1.+Z:",
    b"Batch",
    b"batch",
    b"?",
    b"?",
    b"?",
    b"#",
    b"/",
    b"//",
    b"80",
    b"@",
    b"&",
    b"=",
    b"scope=C",
    b"extras[lead.customer.type]=2",
    b"entityTypeId=7",
    b"userId=$result[a][ID]",
    b"cmd[x]=crm.lead.details.configuration.reset",
    b"%",
    b"%26",
    b"+",
    b" ",
    b"\n",
    b"\x7f",
    b".json",
    b"[",
    b"]",
];

const MULTIPART: &[&[u8]] = &[
    b"--B",
    b"--B--",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"Content-Disposition: form-data; name=\"extras[lead.customer.type]\"",
    b"content-disposition: x; name=extras",
    b"Content-Disposition: form-data; name='entityTypeId'",
    b"Content-Disposition: form-data; name=\" ENTITY.TYPE ID[\"",
    b"; name=\"scope\"",
    b"; filename=\"\"",
    b"Content-Disposition: form-data; name=\"method\"",
    b"crm.deal.details.configuration.get.json",
    b"Content-Disposition: form-data",
    b"\r\n\r\n",
    b"\r\n\r\n",
    b"\n\n",
    b"2",
    b"C",
    b"7",
    b"\0",
    b"\"",
    b"x",
    b"&scope=C",
];

fn form_escaped(text: &[u8]) -> String {
    text.iter()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                (*byte as char).to_string()
            } else {
                format!("%{byte:02x}")
            }
        })
        .collect()
}

fn json_escaped(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_string()
            } else {
                format!("\\u{:04x}", c as u32 & 0xffff)
            }
        })
        .collect()
}

/// The commands of a batch in each encoding.
fn batch_bodies() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let commands = prop::collection::vec(pieces(COMMAND, 6), 0..3);
    let name = prop::sample::select(vec!["cmd", "CMD", "cmd", "Cmd"]);
    (commands, name, 0..4).prop_map(|(commands, name, encoding)| match encoding {
        0 => {
            let entries: Vec<String> = commands
                .iter()
                .map(|command| format!("\"{}\"", json_escaped(command)))
                .collect();
            (
                "application/json",
                format!("{{\"{name}\":[{}]}}", entries.join(",")).into_bytes(),
            )
        }
        1 | 2 => {
            let pairs: Vec<String> = commands
                .iter()
                .map(|command| format!("{name}[]={}", form_escaped(command)))
                .collect();
            (
                if encoding == 1 {
                    "application/x-www-form-urlencoded"
                } else {
                    ""
                },
                pairs.join("&").into_bytes(),
            )
        }
        _ => {
            let part = |command: &Vec<u8>| {
                [
                    &b"--B\r\nContent-Disposition: form-data; name=\""[..],
                    name.as_bytes(),
                    b"[]\"\r\n\r\n",
                    command,
                    b"\r\n",
                ]
                .concat()
            };
            (
                "multipart/form-data; boundary=B",
                commands.iter().map(part).collect::<Vec<_>>().concat(),
            )
        }
    })
}

fn requests() -> impl Strategy<Value = Received> {
    let method = prop::sample::select(vec![
        "/rest/1/code/crm.lead.details.configuration.reset",
        "/rest/crm.lead.details.configuration.GET.json",
        "/rest/1/code/crm.deal.details.configuration.set/",
        "/rest/1/code/crm.company.details.configuration.forceCommonScopeForAll.xml",
    ]);
    let single = (
        prop_oneof![6 => method.prop_map(|path| path.as_bytes().to_vec()), 1 => pieces(PATH, 9).prop_map(|path| [&b"/rest/"[..], &path].concat())],
        prop::sample::select(vec![
            ("application/x-www-form-urlencoded", FORM),
            ("application/x-www-form-urlencoded", FORM),
            ("application/json", JSON),
            ("application/json", JSON),
            ("multipart/form-data; boundary=B", MULTIPART),
            ("multipart/form-data; boundary=B", MULTIPART),
            ("", FORM),
            ("text/plain, x", JSON),
            ("application/json, x", FORM),
            ("multipart/form-data", FORM),
        ])
        .prop_flat_map(|(content_type, words)| {
            pieces(words, 12).prop_map(move |body| (content_type, body))
        }),
    );
    let batch = (Just(b"/rest/1/code/batch".to_vec()), batch_bodies());
    let named = (
        prop::sample::select(WAYS).prop_map(|path| path.as_bytes().to_vec()),
        prop::sample::select(vec![
            ("application/x-www-form-urlencoded", NAMED),
            ("application/x-www-form-urlencoded, x+json", NAMED),
            ("multipart/form-data; boundary=B", MULTIPART),
            ("application/json", JSON),
            ("", NAMED),
        ])
        .prop_flat_map(|(content_type, words)| {
            pieces(words, 8).prop_map(move |body| (content_type, body))
        }),
    );
    let query = prop_oneof![2 => Just(Vec::new()), 3 => pieces(FORM, 8), 3 => pieces(NAMED, 6)];
    let verb = prop::sample::select(vec!["POST", "POST", "POST", "GET", "post", "OPTIONS"]);
    (
        prop_oneof![3 => single.boxed(), 2 => batch.boxed(), 3 => named.boxed()],
        query,
        verb,
    )
        .prop_map(|((path, (content_type, body)), query, verb)| {
            let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
            let target = [&path[..], mark, &query].concat();
            let target: Vec<u8> = target
                .into_iter()
                .filter(|byte| !matches!(byte, b' ' | b'\n' | b'\r' | 0))
                .collect();
            let content_type = Some(content_type.as_bytes()).filter(|text| !text.is_empty());
            Received::new(verb.as_bytes(), &target, content_type, &body)
        })
}

fn shown(request: &Received) -> String {
    let content_type = request
        .field("content-type")
        .unwrap_or_default()
        .escape_ascii();
    format!(
        "{} {}\n{content_type}\n{}",
        request.verb.escape_ascii(),
        request.target.escape_ascii(),
        request.body.escape_ascii()
    )
}

/// Names of the deprecated family that the portal would run.
fn deprecated(reading: &Reading) -> Vec<String> {
    let names = reading
        .operations()
        .iter()
        .filter(|operation| operation.details().is_some());
    let names = names.map(|operation| operation.method.escape_ascii().to_string());
    names
        .filter(|name| !name.starts_with("crm.item."))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_pieces_a_request_is_made_of_the_portal_does_the_same_and_nothing_deprecated(request in requests()) {
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
        let portal = PortalConfig::default();
        let before = read(&request, &portal);
        let after = match translate(&call, &CATALOGUE, &|_| Mode::Rewrite).outcome {
            Outcome::Refused(_) => return Ok(()),
            Outcome::Untouched => request.clone(),
            Outcome::Rewritten { target, body } => Received {
                target: target.unwrap_or_else(|| request.target.clone()),
                body: body.unwrap_or_else(|| request.body.clone()),
                ..request.clone()
            },
        };
        let (before, after_reading) = (before, read(&after, &portal));
        let story = || format!("{}\nbecame\n{}", shown(&request), shown(&after));
        prop_assert_eq!(before.effects(), after_reading.effects(), "{}", story());
        prop_assert_eq!(deprecated(&after_reading), Vec::<String>::new(), "{}", story());
    }
}
