//! What is sent and what must come of it, for each workload.

const DOWNLOAD: &str = "/bitrix/download/large.bin";
const UPLOAD: &str = "/bitrix/upload/large.bin";
/// How much the ordinary large transfers carry.
pub const LARGE: usize = 10 << 20;
/// The fields that each request has beside those that it owes to HTTP.
pub const FIELDS: [(&str, &str); 3] = [
    ("User-Agent", "b24phpsdk/1.9.0 (PHP 8.3)"),
    ("Accept", "application/json"),
    ("X-Request-ID", "0199c1d2-7b7a-7c8e-9d52-3f0b5a1c2d3e"),
];
/// The media type of each body.
pub const MEDIA: &str = "application/json";
const LEGACY: &str = "crm.lead.details.configuration.reset";
const SUCCESSOR: &str = "crm.item.details.configuration.reset";

/// A request, and what the portal must get for it.
#[derive(Clone)]
pub struct Traffic {
    /// The request's bytes.
    pub request: Vec<u8>,
    /// Its target.
    pub target: String,
    /// Its body.
    pub body: Vec<u8>,
    /// The body that the portal answers, and that the client must get.
    pub answer: Vec<u8>,
    /// What the portal must get.
    pub arrives: Arrives,
}

/// What the portal must get.
#[derive(Clone)]
pub struct Arrives {
    /// The request target.
    pub target: String,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the body's JSON must be the same, not its bytes: scripts write JSON anew.
    pub as_json: bool,
}

impl Traffic {
    fn new(target: &str, body: Vec<u8>) -> Self {
        let fields = FIELDS.map(|(name, value)| format!("{name}: {value}\r\n"));
        let fields = format!("Host: portal.example\r\n{}", fields.concat());
        let mut request = if body.is_empty() {
            format!("GET {target} HTTP/1.1\r\n{fields}\r\n")
        } else {
            let length = body.len();
            format!(
                "POST {target} HTTP/1.1\r\n{fields}Content-Type: {MEDIA}\r\nContent-Length: {length}\r\n\r\n"
            )
        }
        .into_bytes();
        request.extend_from_slice(&body);
        Self {
            request,
            target: target.into(),
            body: body.clone(),
            answer: small_answer(),
            arrives: Arrives {
                target: target.into(),
                body,
                as_json: false,
            },
        }
    }

    /// What the portal must get of it from this candidate: as it was sent, where nobody translates.
    pub fn arrives(&self, translated: bool) -> Arrives {
        if translated {
            return self.arrives.clone();
        }
        Arrives {
            target: self.target.clone(),
            body: self.body.clone(),
            as_json: false,
        }
    }

    /// A call that is forwarded untouched.
    pub fn small() -> Self {
        let body = br#"{"entityTypeId":2,"order":{"id":"DESC"},"filter":{">id":1500,"categoryId":3,"=stageId":["C3:NEW","C3:PREPARATION"]},"select":["id","title","stageId","opportunity","currencyId","assignedById","createdTime"],"start":50}"#;
        Self::new("/rest/1/abcdef0123456789/crm.item.list.json", body.to_vec())
    }

    /// A call that is forwarded untouched and logged: its method is deprecated, and has no exact successor.
    pub fn watched() -> Self {
        let body = br#"{"order":{"ID":"DESC"},"filter":{">ID":1500,"CATEGORY_ID":3},"select":["ID","TITLE","STAGE_ID"],"start":50}"#;
        Self::new("/rest/1/abcdef0123456789/crm.deal.list.json", body.to_vec())
    }

    /// A deprecated call.
    pub fn deprecated() -> Self {
        let target = |method| format!("/rest/1/abcdef0123456789/{method}.json");
        let body = br#"{"scope":"C","userId":17,"extras":{"lead.customer.type":2}}"#;
        let mut traffic = Self::new(&target(LEGACY), body.to_vec());
        traffic.arrives = Arrives {
            target: target(SUCCESSOR),
            body: br#"{"scope":"C","userId":17,"extras":{"leadCustomerType":2},"entityTypeId":1}"#
                .to_vec(),
            as_json: true,
        };
        traffic
    }

    /// A batch of 50 commands, one of them deprecated.
    pub fn batch() -> Self {
        Self::batch_of(50, true)
    }

    /// A batch of this many commands, one of them deprecated or none. The others are of a method that is neither
    /// translated nor watched.
    pub fn batch_of(count: usize, one_deprecated: bool) -> Self {
        let body = |deprecated: &str| {
            let commands: Vec<String> = (0..count)
                .map(|n| {
                    if one_deprecated && n == count / 2 {
                        format!("\"c{n}\":\"{deprecated}\"")
                    } else {
                        format!(
                            "\"c{n}\":\"crm.item.list?entityTypeId=2&order[id]=DESC&filter[>id]={n}&select[]=id\""
                        )
                    }
                })
                .collect();
            format!("{{\"halt\":0,\"cmd\":{{{}}}}}", commands.join(",")).into_bytes()
        };
        let target = "/rest/1/abcdef0123456789/batch.json";
        let legacy = format!("{LEGACY}?scope=C&extras[lead.customer.type]=2");
        let mut traffic = Self::new(target, body(&legacy));
        if one_deprecated {
            let successor =
                format!("{SUCCESSOR}?scope=C&extras[leadCustomerType]=2&entityTypeId=1");
            traffic.arrives.body = body(&successor);
            traffic.arrives.as_json = true;
        }
        traffic
    }

    /// A large file from the portal.
    pub fn download() -> Self {
        Self::download_of(LARGE)
    }

    /// 16 KiB from the portal: a page of a list.
    pub fn download_16k() -> Self {
        Self::download_of(16 << 10)
    }

    /// This many bytes from the portal.
    pub fn download_of(size: usize) -> Self {
        Self {
            answer: noise(size),
            ..Self::new(DOWNLOAD, Vec::new())
        }
    }

    /// A large file to the portal.
    pub fn upload() -> Self {
        Self::upload_of(LARGE)
    }

    /// 16 KiB to the portal.
    pub fn upload_16k() -> Self {
        Self::upload_of(16 << 10)
    }

    /// This many bytes to the portal.
    pub fn upload_of(size: usize) -> Self {
        Self::new(UPLOAD, noise(size))
    }
}

/// The body of the portal's ordinary answer: 1 KiB.
fn small_answer() -> Vec<u8> {
    let mut body = br#"{"result":[],"total":0,"note":""#.to_vec();
    body.resize(1022, b'x');
    body.extend_from_slice(b"\"}");
    body
}

/// A file of this size without a pattern in it: a shift or a gap shows.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A message's head: where it ends, and how long its body is. `None` while it has not come whole.
pub fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 4;
    let length = bytes[..end]
        .split(|byte| *byte == b'\n')
        .find_map(|line| {
            let (name, value) = line.split_at(memchr::memchr(b':', line)?);
            name.eq_ignore_ascii_case(b"content-length")
                .then(|| std::str::from_utf8(&value[1..]).ok()?.trim().parse().ok())?
        })
        .unwrap_or(0);
    Some((end, length))
}
