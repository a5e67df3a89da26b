//! The sandbox's reading of requests compared with PHP's own, over generated requests: PHP is what reads them in a
//! portal. `B24_TEST_SEED` repeats a run.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use b24_migration_proxy::sandbox::php::{Array, Key, Value};
use b24_migration_proxy::sandbox::{form, json, multipart, url};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use crate::support::time::wait_until;

/// A request, of which PHP shows what each of its readers makes.
#[derive(Clone)]
struct Case {
    query: Vec<u8>,
    content_type: &'static str,
    body: Vec<u8>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (query, body) = (self.query.escape_ascii(), self.body.escape_ascii());
        write!(
            f,
            "POST /?{query}\nContent-Type: {}\n{body}",
            self.content_type
        )
    }
}

/// A PHP web server that runs `tests/php/echo.php`.
struct Php {
    server: Child,
    port: u16,
}

impl Php {
    /// `None`, and a line that says so, where PHP is not installed.
    fn start() -> Option<Php> {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a free port")
            .port();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/php/echo.php");
        let server = Command::new("php")
            .args(["-n", "-d", "display_errors=0", "-d", "log_errors=0", "-S"])
            .args([&format!("127.0.0.1:{port}"), script])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(server) = server else {
            say(
                "skipped: the comparison with PHP needs the command php (Debian: apt-get install php-cli)",
            );
            return None;
        };
        let php = Php { server, port };
        wait_until("php -S does not listen", || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Some(php)
    }

    fn read(&self, case: &Case) -> Vec<(String, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("php -S accepts");
        let mut request = b"POST /?".to_vec();
        request.extend_from_slice(&case.query);
        let length = case.body.len();
        request.extend_from_slice(
            format!(" HTTP/1.1\r\nHost: php\r\nConnection: close\r\nContent-Length: {length}\r\n")
                .as_bytes(),
        );
        if !case.content_type.is_empty() {
            request
                .extend_from_slice(format!("Content-Type: {}\r\n", case.content_type).as_bytes());
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&case.body);
        stream.write_all(&request).expect("php -S reads");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .expect("php -S answers in text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let line = |line: &str| {
            line.split_once('\t')
                .map(|(reader, value)| (reader.to_owned(), value.to_owned()))
        };
        body.lines()
            .map(|text| line(text).expect("a reader and its value"))
            .collect()
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A line that the test harness does not swallow.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => format!("i{number}"),
        Value::Float(number) => format!("f{}", hex(&number.to_be_bytes())),
        Value::Text(text) => format!("s{}", hex(text)),
        Value::Array(array) => shown_array(array),
    }
}

fn shown_array(array: &Array) -> String {
    let key = |key: &Key| match key {
        Key::Int(number) => format!("i{number}"),
        Key::Text(name) => format!("s{}", hex(name)),
    };
    let entries: Vec<String> = array
        .iter()
        .map(|(name, value)| format!("{}:{}", key(name), shown(value)))
        .collect();
    format!("{{{}}}", entries.join(","))
}

/// What the sandbox makes of the same request, in PHP's order.
fn ours(case: &Case) -> Vec<(String, String)> {
    let (fields, files, rest) = match case.content_type.split(';').next() {
        Some("application/x-www-form-urlencoded") => (
            form::parse_urlencoded_body(&case.body),
            vec![],
            &case.body[..],
        ),
        Some("multipart/form-data") => {
            let found = multipart::read(case.content_type.as_bytes(), &case.body);
            (found.fields, found.files, found.rest)
        }
        _ => (Array::default(), vec![], &case.body[..]),
    };
    let decoded = json::decode(rest);
    let as_int = match &decoded {
        Some(Value::Array(array)) => array
            .iter()
            .map(|(key, value)| (key.clone(), Value::Int(value.to_int())))
            .collect(),
        _ => Array::default(),
    };
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0 | 0x0b);
    let start = rest.iter().take_while(|byte| blank(byte)).count();
    let end = rest.len()
        - rest[start..]
            .iter()
            .rev()
            .take_while(|byte| blank(byte))
            .count();
    let (path, query) = url::path_and_query(rest);
    let text = Value::Text(rest.to_vec());
    let readings = [
        ("query", shown_array(&form::parse_str(&case.query))),
        ("fields", shown_array(&fields)),
        ("files", shown_array(&Array::list(top_level_names(&files)))),
        ("rest", shown(&text)),
        ("json", shown_array(&Array::list(decoded))),
        ("json as int", shown_array(&as_int)),
        ("form", shown_array(&form::parse_str(&rest[start..end]))),
        (
            "url",
            shown_array(&Array::list([Value::Text(path), Value::Text(query)])),
        ),
        ("int", shown(&Value::Int(text.to_int()))),
        ("bool", shown(&Value::Bool(text.truthy()))),
        ("numeric", shown(&Value::Bool(text.is_numeric()))),
        (
            "int parameter",
            shown(&text.as_int_parameter().map_or(Value::Null, Value::Int)),
        ),
    ];
    readings
        .into_iter()
        .map(|(reader, value)| (reader.to_owned(), value))
        .collect()
}

/// `$_FILES` has the top levels of the names, mangled as any name is.
fn top_level_names(files: &[Vec<u8>]) -> Vec<Value> {
    let mut names = Array::default();
    for file in files {
        // Only the name matters, so the form reader is given it alone, with what it would decode escaped.
        let escaped: String = file.iter().map(|byte| format!("%{byte:02x}")).collect();
        for (key, _) in form::parse_str(escaped.as_bytes()).iter() {
            names.set(key.clone(), Value::Null);
        }
    }
    let value = |(key, _): (&Key, &Value)| match key {
        Key::Int(number) => Value::Int(*number),
        Key::Text(name) => Value::Text(name.clone()),
    };
    names.iter().map(value).collect()
}

/// Pieces in any order, now and then one many times over.
fn pieces(words: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = (
        0..words.len(),
        prop_oneof![30 => Just(1usize), 1 => Just(70)],
    );
    let word = word.prop_map(|(at, times)| words[at].repeat(times));
    prop::collection::vec(word, 0..most).prop_map(|words| words.concat())
}

const NAMES: &[&[u8]] = &[
    b"a",
    b"extras",
    b"lead.customer.type",
    b"[",
    b"]",
    b"[]",
    b"[a]",
    b"[b.c]",
    b"=",
    b"=",
    b"&",
    b"&",
    b"+",
    b".",
    b"_",
    b"%5B",
    b"%5d",
    b"%00",
    b"%20",
    b"%09",
    b"%",
    b"%z",
    b"%e9",
    b"%C3%A9",
    b"0",
    b"-1",
    b"07",
    b"[-3]",
    b"[ 5]",
    b"[%20]",
    b"[9223372036854775807]",
    b"[-9223372036854775808]",
    b"__Host-",
    b"__Secure-x",
    b"<",
    b"\"",
    b"1e3",
    b"%2B",
];

const JSON: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"a\"",
    b"\"extras\"",
    b"\"0\"",
    b"\"-0\"",
    b"\"\"",
    b"\"",
    b"\\",
    b"\\ud83d\\ude00",
    b"\\ud800",
    b"\\u0000",
    b"\\u00e9",
    b"\\n",
    b"\xc3\xa9",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"null",
    b"TRUE",
    b"false",
    b"0",
    b"-0",
    b"1",
    b"01",
    b"1.0",
    b"1e3",
    b"1E400",
    b"-1.5e-3",
    b"12345678901234567890",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"1e19",
    b"1e20",
    b".5",
    b"+",
    b"-",
    b"e",
    b" ",
    b"\t",
    b"\n",
    b"\r",
    b"\x0b",
    b"\0",
    b"\x7f",
    b"\x1f",
    b"\xef\xbb\xbf",
    b"'",
    b"/",
];

const URLS: &[&[u8]] = &[
    b"crm.lead.list",
    b"a",
    b"?",
    b"?x=1",
    b"#",
    b"&b=2",
    b":",
    b"/",
    b"//",
    b"@",
    b"80",
    b"99999",
    b"65536",
    b"0",
    b"-1",
    b" ",
    b"[",
    b"]",
    b"\n",
    b"\x7f",
    b"\xff",
    b"\0",
    b"file",
    b"http://h",
    b"_",
    b"+",
    b"%23",
    b"=",
];

const NUMBERS: &[&[u8]] = &[
    b"0",
    b"1",
    b"9",
    b"12345678901234567890",
    b"9223372036854775807",
    b".",
    b"e",
    b"E",
    b"+",
    b"-",
    b" ",
    b"\t",
    b"\n",
    b"\x0b",
    b"\0",
    b"x",
    b"0x1A",
    b"inf",
    b"nan",
    b"1e3",
    b"e400",
];

const MULTIPART: &[&[u8]] = &[
    b"--B",
    b"--B",
    b"--B--",
    b"--",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"Content-Disposition: form-data",
    b"content-disposition:",
    b"Content-Type: text/plain",
    b": ",
    b"; ",
    b";name=",
    b"; name=\"",
    b"; NAME = ",
    b"; filename=\"",
    b"; filename=",
    b"\"",
    b"'",
    b"\\",
    b"=",
    b"a",
    b"extras[",
    b"]",
    b"b.c",
    b" ",
    b"\t",
    b"\0",
    b"\xc3\xa9",
    b"%41",
    b"+",
    b"x&y=1",
];

/// JSON that is mostly right, with a piece put in somewhere now and then.
fn json_text() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "TRUE",
            "Null",
            "-0",
            "01",
            "-0.0",
            "1E5",
            "1e400",
            "9223372036854775808"
        ])
        .prop_map(str::to_owned),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:?}")),
        "[a-z\u{e9}\u{1f600}]{0,4}".prop_map(|text| format!("\"{text}\"")),
        "-?[0-9]{1,25}".prop_map(|digits| format!("\"{digits}\"")),
    ];
    let value = leaf.prop_recursive(4, 24, 5, |inner| {
        let entry = ("[a-c0-9.-]{0,2}", inner.clone())
            .prop_map(|(name, value)| format!("\"{name}\" : {value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5)
                .prop_map(|values| format!("[{}]", values.join(", "))),
            prop::collection::vec(entry, 0..5)
                .prop_map(|entries| format!("{{{}}}", entries.join(","))),
        ]
    });
    let deep =
        (508usize..515).prop_map(|levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels)));
    (
        prop_oneof![20 => value, 1 => deep],
        pieces(JSON, 2),
        any::<prop::sample::Index>(),
        0..3,
    )
        .prop_map(|(text, piece, at, how)| {
            let mut text = text.into_bytes();
            if how == 0 {
                let at = at.index(text.len() + 1);
                text.splice(at..at, piece);
            }
            text
        })
}

/// Multipart that is mostly right: parts of a header in pieces and a value, some long.
fn multipart_text() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "\"a\"",
        "a",
        "'a b'",
        "\"extras[x.y]\"",
        "\"extras[]\"",
        "\"a\\\"b\"",
        "\" a[ b]c\"",
        "\"a\"; name=\"c\"",
        "\"a\"; filename=\"\"",
        "\"extras[q]\"; filename=\"f\"",
        "\"b[\"; filename=\"f\"",
        "\"a\\\\\"",
        "a\"b",
        "\"\"",
        "\"a;b\"",
        "\"a=b\"",
    ]);
    let value = prop_oneof![
        8 => pieces(MULTIPART, 5),
        1 => (5_000usize..11_000, prop::sample::select(vec![&b"v"[..], b"\r", b"\n", b"\r\n"])).prop_map(|(length, tail)| [&b"v".repeat(length)[..], tail].concat()),
    ];
    let part = (
        name,
        pieces(MULTIPART, 2),
        value,
        0..12,
        prop::sample::select(vec!["\r\n", "\n"]),
    )
        .prop_map(|(name, extra, value, odd, end)| {
            let mut part = format!("--B{end}").into_bytes();
            if odd == 0 {
                part.extend_from_slice(&extra);
            }
            if odd == 1 {
                part.extend_from_slice(&b"X".repeat(5_200));
                part.extend_from_slice(b": x\r\n");
            }
            part.extend_from_slice(
                format!("Content-Disposition: form-data; name={name}{end}{end}").as_bytes(),
            );
            part.extend_from_slice(&value);
            part.extend_from_slice(end.as_bytes());
            part
        });
    let parts = prop::collection::vec(part, 0..5).prop_map(|parts| parts.concat());
    let body = (
        parts,
        prop::sample::select(vec![
            "--B--\r\n",
            "--B",
            "",
            "\r\n--B--\r\n--B\r\nContent-Disposition: form-data; name=z\r\n\r\n9",
        ]),
    );
    let body = body.prop_map(|(parts, end)| [&parts[..], end.as_bytes()].concat());
    prop_oneof![6 => body, 1 => pieces(MULTIPART, 24)]
}

/// Pairs about as many as PHP keeps.
fn many_pairs() -> impl Strategy<Value = Vec<u8>> {
    (
        990usize..1_010,
        prop::sample::select(vec!["&", "&&", "&=1&"]),
    )
        .prop_map(|(count, between)| {
            let pairs: Vec<String> = (0..count).map(|at| format!("p{at}=1")).collect();
            pairs.join(between).into_bytes()
        })
}

fn cases() -> impl Strategy<Value = Case> {
    let query = pieces(NAMES, 12).prop_map(|text| {
        text.into_iter()
            .filter(|byte| !matches!(byte, b' ' | b'#'))
            .collect()
    });
    let form = || prop_oneof![12 => pieces(NAMES, 14), 1 => many_pairs(), 3 => pieces(JSON, 6)];
    let with = |content_type: &'static str, body: BoxedStrategy<Vec<u8>>| {
        body.prop_map(move |body| (content_type, body))
    };
    let body = prop_oneof![
        4 => with("application/x-www-form-urlencoded", form().boxed()),
        2 => with("", form().boxed()),
        6 => with("multipart/form-data; boundary=B", multipart_text().boxed()),
        1 => with("multipart/form-data; Boundary=\"B\"; x", multipart_text().boxed()),
        1 => with("multipart/form-data; x", form().boxed()),
        5 => with("application/json", prop_oneof![3 => json_text().boxed(), 1 => pieces(JSON, 8).boxed()].boxed()),
        3 => with("text/plain", pieces(URLS, 7).boxed()),
        2 => with("text/plain", pieces(NUMBERS, 4).boxed()),
    ];
    (query, body).prop_map(|(query, (content_type, body))| Case {
        query,
        content_type,
        body,
    })
}

fn seed() -> u64 {
    let given = std::env::var("B24_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let now = || {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos() as u64
    };
    given.unwrap_or_else(now)
}

fn number_of_cases() -> u32 {
    std::env::var("B24_PHP_CASES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(400)
}

#[test]
fn the_sandbox_reads_requests_as_php_does() {
    let Some(php) = Php::start() else { return };
    let seed = seed();
    println!("B24_TEST_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: number_of_cases(),
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&cases(), |case| {
        for ((reader, php), (_, ours)) in php.read(&case).into_iter().zip(ours(&case)) {
            if php != ours {
                let text = format!("{reader}: PHP {php}, ours {ours}");
                return Err(TestCaseError::fail(text));
            }
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("B24_TEST_SEED={seed}: {failure}");
    }
}
