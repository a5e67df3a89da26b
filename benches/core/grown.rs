//! Bodies of any size: ordinary ones, ones with nothing to change, and the worst that are known.
use crate::Request;

const RESET: &str = "crm.lead.details.configuration.reset";
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// The sizes in bytes that benches go through.
pub const SIZES: [usize; 5] = [100, 4 << 10, 64 << 10, 1 << 20, 32 << 20];

/// A kind of body that can be made in any size.
pub struct Grown {
    /// What it is.
    pub name: &'static str,
    /// Whether the engine has nothing to change in it.
    pub idle: bool,
    make: fn(usize) -> Request,
}

impl Grown {
    /// A request with a body of about this many bytes.
    pub fn of(&self, size: usize) -> Request {
        let mut request = (self.make)(size);
        request.name = self.name.into();
        request
    }
}

/// Every kind.
pub fn grown() -> Vec<Grown> {
    let kind = |name, idle, make| Grown { name, idle, make };
    vec![
        kind("json", false, |size| {
            let filler = filled("\"FIELD_1\":\"value of some length\",", size);
            reset(
                JSON,
                format!(
                    "{{\"extras\":{{\"lead.customer.type\":2}},\"fields\":{{{filler}\"A\":1}}}}"
                ),
            )
        }),
        kind("form", false, |size| {
            let filler = filled("fields%5BFIELD%5D=value+of+some+length%21&", size);
            reset(FORM, format!("extras[lead.customer.type]=2&{filler}A=1"))
        }),
        kind("multipart", false, |size| {
            let file = filled("bytes of a file that is uploaded\r\n", size);
            let body = format!(
                "--B\r\nContent-Disposition: form-data; name=\"extras[lead.customer.type]\"\r\n\r\n2\r\n\
                 --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n{file}\r\n--B--\r\n"
            );
            reset("multipart/form-data; boundary=B", body)
        }),
        kind("query", false, |size| {
            let filler = filled("fields%5BFIELD%5D=value+of+some+length%21&", size);
            let mut request = reset(JSON, "");
            request.verb = b"GET".to_vec();
            request
                .target
                .extend_from_slice(format!("?{filler}A=1").as_bytes());
            request
        }),
        kind("json batch, nothing to change", true, |size| {
            let commands = numbered(size, |n| {
                format!("\"c{n}\":\"crm.item.list?entityTypeId=2&filter[>id]={n}\"")
            });
            batch(JSON, format!("{{\"halt\":0,\"cmd\":{{{commands}}}}}"))
        }),
        kind("json batch, all watched", false, |size| {
            let commands = numbered(size, |n| {
                format!("\"c{n}\":\"crm.deal.list?filter[>ID]={n}&select[]=ID\"")
            });
            batch(JSON, format!("{{\"halt\":0,\"cmd\":{{{commands}}}}}"))
        }),
        kind("json batch, one long value", true, |size| {
            let text = filled(
                "a command with a long text, as one that adds a file; ",
                size,
            );
            batch(
                JSON,
                format!(
                    "{{\"halt\":0,\"cmd\":{{\"a\":\"crm.item.add?entityTypeId=2&fields[comments]={text}\"}}}}"
                ),
            )
        }),
        kind("form batch, nothing to change", true, |size| {
            let text = filled("value%20of%20some%20length%2C%20", size);
            batch(
                FORM,
                format!(
                    "halt=0&cmd[a]=crm.item.add%3FentityTypeId%3D2%26fields%5Bcomments%5D%3D{text}"
                ),
            )
        }),
        kind("json batch, small records", true, |size| {
            beside(numbered(size, |n| {
                format!(
                    "{{\"ID\":\"{n}\",\"TITLE\":\"Deal number {n}\",\"OPPORTUNITY\":\"1500.00\",\"CLOSED\":\"N\"}}"
                )
            }))
        }),
        kind("json batch, numbers", true, |size| {
            beside(numbered(size, |n| format!("[{n},{},true,null]", n * 7)))
        }),
        kind("json batch, Cyrillic", true, |size| {
            beside(numbered(size, |n| {
                format!(
                    "{{\"ID\":{n},\"COMMENTS\":\"Позвонить клиенту в понедельник, согласовать договор\"}}"
                )
            }))
        }),
        kind("json batch, escaped Cyrillic", true, |size| {
            let text: String = "Позвонить клиенту"
                .encode_utf16()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect();
            beside(numbered(size, |n| {
                format!("{{\"ID\":{n},\"COMMENTS\":\"{text}\"}}")
            }))
        }),
        kind("json batch, indented", true, |size| {
            beside(numbered(size, |n| {
                format!(
                    "\n    {{\n      \"ID\": {n},\n      \"TITLE\": \"Deal number {n}\",\n      \"CLOSED\": false\n    }}"
                )
            }))
        }),
        kind("form batch, many fields", true, |size| {
            batch(
                FORM,
                format!("{}halt=0", filled("data[FIELD]=some+value&", size)),
            )
        }),
        kind("worst: nothing but openings", false, |size| {
            reset(JSON, "[".repeat(size))
        }),
        kind("worst: keys that are escapes", false, |size| {
            let keys = filled("\"\\u0065xtras\":{\"\\u006cead.customer.type\":1},", size);
            reset(JSON, format!("{{{keys}\"a\":1}}"))
        }),
        kind("worst: a string of escapes", false, |size| {
            reset(
                JSON,
                format!("{{\"a\":\"{}\"}}", filled("\\u0041\\\"", size)),
            )
        }),
        kind("worst: separators alone", false, |size| {
            reset(FORM, "&".repeat(size))
        }),
        kind("worst: brackets without end", false, |size| {
            reset(FORM, filled("extras[[%5B", size))
        }),
        kind("worst: beginnings of a boundary", false, |size| {
            let body = filled("\r\n--", size);
            reset("multipart/form-data; boundary=B", format!("--B{body}"))
        }),
        kind("worst: one key again and again", false, |size| {
            let keys = filled("\"extras\":{\"lead.customer.type\":2},", size);
            reset(JSON, format!("{{{keys}\"a\":1}}"))
        }),
    ]
}

/// A batch of this many commands as JSON, the middle one of them deprecated.
pub fn batch_of(count: usize) -> Request {
    let commands: Vec<String> = (0..count)
        .map(|n| {
            let command = if n == count / 2 {
                format!("{RESET}?scope=C&extras[lead.customer.type]=2")
            } else {
                format!("crm.item.list?entityTypeId=2&filter[>id]={n}&select[]=id")
            };
            format!("\"c{n}\":\"{command}\"")
        })
        .collect();
    let mut request = batch(
        JSON,
        format!("{{\"halt\":0,\"cmd\":{{{}}}}}", commands.join(",")),
    );
    request.name = format!("batch of {count}");
    request
}

/// A JSON batch with these entries in a list beside its commands.
fn beside(entries: String) -> Request {
    let command = "crm.item.list?entityTypeId=2";
    batch(
        JSON,
        format!("{{\"cmd\":{{\"a\":\"{command}\"}},\"data\":[{entries}]}}"),
    )
}

fn reset(content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::post(RESET, RESET, content_type, body)
}

fn batch(content_type: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::post("batch", "batch", content_type, body)
}

/// This piece as often as it fits into `size` bytes, once at least.
fn filled(piece: &str, size: usize) -> String {
    piece.repeat((size / piece.len()).max(1))
}

/// Pieces with their numbers and commas between them, up to `size` bytes.
fn numbered(size: usize, piece: impl Fn(usize) -> String) -> String {
    let mut text = piece(0);
    let mut number = 1;
    while text.len() < size {
        text.push(',');
        text.push_str(&piece(number));
        number += 1;
    }
    text
}
