//! The calls of the soak, each with the answer that it must get.

use serde_json::Value;

use crate::portal;
use crate::support::Dice;

/// A call.
pub struct Call {
    /// The request target.
    pub target: String,
    /// The media type of its body; a call without one is a GET.
    pub media: Option<&'static str>,
    /// The body.
    pub body: String,
    /// What must come back.
    pub due: Due,
    /// How many lines of translated calls it must leave in the log.
    pub rewritten: u64,
    /// How many lines of watched calls.
    pub observed: u64,
}

/// The answer that a call must get.
pub enum Due {
    /// The portal's answer to a call that reached it so.
    Echo {
        /// The request target.
        target: String,
        /// The body.
        body: String,
    },
    /// A large file.
    Download,
    /// The proxy's own, with status 400 and this code.
    Refused(&'static str),
}

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=B";
const RESET: &str = "/rest/1/code/crm.lead.details.configuration.reset";
const SUCCESSOR: &str = "/rest/1/code/crm.item.details.configuration.reset";

impl Call {
    /// One of some kind; the number is in it, so that an answer to another call shows.
    pub fn any(dice: &mut Dice, number: u64) -> Self {
        match dice.below(13) {
            0 | 1 => Self::forwarded(number),
            2 | 3 => Self::watched(number),
            4 => Self::translated(
                JSON,
                format!("{{\"userId\":{number},\"scope\":\"P\"}}"),
                format!("{{\"userId\":{number},\"scope\":\"P\",\"entityTypeId\":1}}"),
            ),
            5 => Self::translated(
                FORM,
                format!("userId={number}&extras[lead.customer.type]=2&scope=P"),
                format!("userId={number}&extras[leadCustomerType]=2&scope=P&entityTypeId=1"),
            ),
            6 => {
                let part = |name: &str, value: &str| {
                    format!(
                        "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                    )
                };
                let given = part("userId", &number.to_string());
                let set = part("entityTypeId", "1");
                Self::translated(
                    MULTIPART,
                    format!("{given}--B--\r\n"),
                    format!("{set}{given}--B--\r\n"),
                )
            }
            7 => Self {
                target: format!("{RESET}.xml?scope=C&userId={number}&entityTypeId=7"),
                media: None,
                body: String::new(),
                due: Due::Echo {
                    target: format!("{SUCCESSOR}.xml?scope=C&userId={number}&entityTypeId=1"),
                    body: String::new(),
                },
                rewritten: 1,
                observed: 0,
            },
            8 => Self::batch(number, 2 + dice.below(49)),
            9 => Self::untouched(
                "/rest/1/code/crm.item.add",
                &format!("{number}{}", "x".repeat(dice.below(400_000))),
            ),
            10 => Self {
                target: "/download".into(),
                media: None,
                body: String::new(),
                due: Due::Download,
                rewritten: 0,
                observed: 0,
            },
            11 => {
                let start = format!(
                    "{{\"scope\":\"P\",\"data\":\"{number}{}\"",
                    "x".repeat(dice.below(300_000))
                );
                Self::translated(
                    JSON,
                    format!("{start}}}"),
                    format!("{start},\"entityTypeId\":1}}"),
                )
            }
            _ => Self {
                due: Due::Refused("INVALID_JSON"),
                rewritten: 0,
                ..Self::translated(JSON, "{not json".into(), String::new())
            },
        }
    }

    fn forwarded(number: u64) -> Self {
        let body =
            format!("{{\"entityTypeId\":2,\"filter\":{{\">id\":{number}}},\"select\":[\"id\"]}}");
        Self::untouched("/rest/1/code/crm.item.list", &body)
    }

    fn watched(number: u64) -> Self {
        let body = format!("{{\"filter\":{{\">ID\":{number}}},\"select\":[\"ID\",\"TITLE\"]}}");
        Self {
            observed: 1,
            ..Self::untouched("/rest/1/code/crm.deal.list", &body)
        }
    }

    fn untouched(target: &str, body: &str) -> Self {
        Self {
            target: target.into(),
            media: Some(JSON),
            body: body.into(),
            due: Due::Echo {
                target: target.into(),
                body: body.into(),
            },
            rewritten: 0,
            observed: 0,
        }
    }

    fn translated(media: &'static str, body: String, arrives: String) -> Self {
        Self {
            target: RESET.into(),
            media: Some(media),
            body,
            due: Due::Echo {
                target: SUCCESSOR.into(),
                body: arrives,
            },
            rewritten: 1,
            observed: 0,
        }
    }

    /// A batch of this many commands: the first is translated, the second watched, the others pass.
    fn batch(number: u64, commands: usize) -> Self {
        let of = |first: &str| {
            let mut all = format!(
                "{{\"halt\":0,\"cmd\":{{\"a\":\"{first}\",\"b\":\"crm.deal.list?start={number}\""
            );
            for n in 2..commands {
                all.push_str(&format!(
                    ",\"c{n}\":\"crm.item.list?entityTypeId=2&filter[>id]={n}\""
                ));
            }
            all + "}}"
        };
        let method = |target: &str| target.replacen("/rest/1/code/", "", 1) + "?scope=C";
        let target = "/rest/1/code/batch";
        Self {
            target: target.into(),
            media: Some(JSON),
            body: of(&method(RESET)),
            due: Due::Echo {
                target: target.into(),
                body: of(&(method(SUCCESSOR) + "&entityTypeId=1")),
            },
            rewritten: 1,
            observed: 1,
        }
    }

    /// The verb.
    pub fn verb(&self) -> &'static str {
        if self.media.is_some() { "POST" } else { "GET" }
    }

    /// As HTTP/1.1.
    pub fn request(&self) -> String {
        let (verb, target, body) = (self.verb(), &self.target, &self.body);
        let fields = self.media.map_or(String::new(), |media| {
            format!(
                "Content-Type: {media}\r\nContent-Length: {}\r\n",
                body.len()
            )
        });
        format!("{verb} {target} HTTP/1.1\r\nHost: portal.example\r\n{fields}\r\n{body}")
    }

    /// What is wrong with this answer to it.
    pub fn fault(&self, status: u16, body: &[u8]) -> Option<String> {
        let is_right = match &self.due {
            Due::Echo {
                target,
                body: arrives,
            } => {
                status == 200
                    && serde_json::from_slice::<Value>(body).ok()
                        == Some(portal::echo(target, arrives.as_bytes()))
            }
            Due::Download => status == 200 && body == portal::download(),
            Due::Refused(code) => {
                status == 400
                    && serde_json::from_slice::<Value>(body).is_ok_and(|it| it["error"] == *code)
            }
        };
        (!is_right).then(|| {
            let shown = String::from_utf8_lossy(&body[..body.len().min(300)]);
            format!("{} answered {status}: {shown}", self.target)
        })
    }
}
