//! The sandbox over HTTP: who may call (PROTOCOL §3), the headers of a portal's answers, and a record of what came.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::answer::{self, Span};
use super::http::{Answer, Connection, End};
use super::limit::{RequestCounts, RequestLimit};
use super::operation::Operation;
use super::outcome::{Failure, SandboxUser};
use super::php::Key;
use super::portal::Portal;
use super::reading::{self, Access, Call, Format, PortalConfig, Reading, Received};

/// How a sandbox is set up.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How calls are read.
    pub portal: PortalConfig,
    /// Who may call. By default user 1, an administrator, and user 2, who is none.
    pub users: Vec<SandboxUser>,
    /// The application behind every access token: the value of `X-Bitrix-Rest-Application`.
    pub application: String,
    /// The `sessid` that, with a cookie, makes a call the first user's.
    pub session: String,
    /// Whether webhooks are refused over plain HTTP, as portals do; `X-Forwarded-Proto: https` counts as HTTPS.
    pub https_required: bool,
    /// How many requests are remembered, as long as they fit into 64 MiB.
    pub remember: usize,
    /// The request limit for each source address. None: requests are not counted.
    pub limit: Option<RequestLimit>,
    /// Who is told of each request when it was answered.
    pub tell: Option<fn(&Recorded)>,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        let user = |id, login: &str, suffix: &str, administrator| SandboxUser {
            id,
            login: login.into(),
            webhook_code: format!("sandboxcode{suffix}"),
            access_token: format!("sandboxtoken{suffix}"),
            administrator,
        };
        SandboxConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            portal: PortalConfig::default(),
            users: vec![user(1, "admin", "", true), user(2, "employee", "2", false)],
            application: "local.sandbox.application".into(),
            session: "sandboxsession".into(),
            https_required: false,
            remember: 1_000,
            limit: None,
            tell: None,
        }
    }
}

impl std::fmt::Debug for SandboxConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("SandboxConfig");
        shown
            .field("listen", &self.listen)
            .field("portal", &self.portal)
            .finish_non_exhaustive()
    }
}

/// One request that the sandbox received, and what it did.
#[derive(Clone, PartialEq)]
pub struct Recorded {
    /// The HTTP method.
    pub verb: Vec<u8>,
    /// The request target, byte for byte.
    pub target: Vec<u8>,
    /// The header fields in order, names as they were spelled.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, unchunked.
    pub body: Vec<u8>,
    /// What was executed, in order; nothing for what was refused before.
    pub operations: Vec<Operation>,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer.
    pub answer: Vec<u8>,
}

impl std::fmt::Debug for Recorded {
    /// The target, headers and body carry credentials, so only what was done is printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = self.verb.escape_ascii().to_string();
        let mut shown = f.debug_struct("Recorded");
        shown
            .field("verb", &verb)
            .field("operations", &self.operations)
            .field("status", &self.status);
        shown.finish_non_exhaustive()
    }
}

/// A running stand-in portal. It ends when it is dropped.
#[derive(Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    config: SandboxConfig,
    portal: Portal,
    received: Mutex<Record>,
    counts: Option<Mutex<RequestCounts>>,
}

/// What was received, oldest first.
#[derive(Debug, Default)]
struct Record {
    requests: VecDeque<Recorded>,
    bytes: usize,
}

/// The most that a record holds, in bytes of requests and answers.
const RECORD_BYTES: usize = 64 << 20;

impl Record {
    fn push(&mut self, recorded: Recorded, most: usize) {
        self.bytes += recorded.size();
        self.requests.push_back(recorded);
        while self.requests.len() > most || self.bytes > RECORD_BYTES {
            let Some(oldest) = self.requests.pop_front() else {
                return;
            };
            self.bytes -= oldest.size();
        }
    }
}

impl Recorded {
    fn size(&self) -> usize {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len());
        self.target.len() + headers.sum::<usize>() + self.body.len() + self.answer.len()
    }
}

impl Sandbox {
    /// Listen, and serve on the caller's runtime.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(config: SandboxConfig) -> std::io::Result<Sandbox> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let counts = config
            .limit
            .map(|limit| RequestCounts::new(limit, Instant::now()));
        let shared = Arc::new(Shared {
            counts: counts.map(Mutex::new),
            config,
            portal: Portal::default(),
            received: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Sandbox {
            addr,
            shared,
            accepting,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDR`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What it received, oldest first.
    pub fn received(&self) -> Vec<Recorded> {
        self.shared.record().requests.iter().cloned().collect()
    }

    /// What it received since this was last called, oldest first.
    pub fn take_received(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.shared.record()).requests.into()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
                // Out of file descriptors, most likely: others must close first.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let from = stream
        .peer_addr()
        .map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
    let mut connection = Connection::new(stream);
    loop {
        match connection.request().await {
            Ok((request, keep)) => {
                let head_only = request.verb == b"HEAD";
                let answer = shared.answer(request, from);
                if connection.answer(&answer, head_only, keep).await.is_err() || !keep {
                    return;
                }
            }
            Err(End::Closed) => return,
            Err(End::Bad(status)) => {
                let _ = connection
                    .answer(
                        &Answer {
                            status,
                            ..Answer::default()
                        },
                        false,
                        false,
                    )
                    .await;
                return;
            }
        }
    }
}

/// Who was let in.
struct Caller<'a> {
    user: &'a SandboxUser,
    by_token: bool,
}

impl Shared {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: Received, from: IpAddr) -> Answer {
        let (answer, operations) = self.execute(&request, from);
        let Received {
            verb,
            target,
            fields: headers,
            body,
        } = request;
        let (status, sent) = (answer.status, answer.body.clone());
        let recorded = Recorded {
            verb,
            target,
            headers,
            body,
            operations,
            status,
            answer: sent,
        };
        if let Some(tell) = self.config.tell {
            tell(&recorded);
        }
        self.record().push(recorded, self.config.remember);
        answer
    }

    /// Whether the address's next REST request is one too many.
    fn is_over_the_limit(&self, from: IpAddr) -> bool {
        let Some(counts) = &self.counts else {
            return false;
        };
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        !counts.may_pass(from, Instant::now())
    }

    fn execute(&self, request: &Received, from: IpAddr) -> (Answer, Vec<Operation>) {
        let start = SystemTime::now();
        let reading = reading::read(request, &self.config.portal);
        if !matches!(reading, Reading::Elsewhere) && self.is_over_the_limit(from) {
            let format = match &reading {
                Reading::Call(call) => call.format,
                _ => Format::Json,
            };
            let failure = Failure::new(503, "QUERY_LIMIT_EXCEEDED", "Too many requests");
            let span = Span::since(start);
            let (status, text) = answer::body(format, &Err(failure), span);
            return (rest_answer(format, status, text, span), Vec::new());
        }
        let call = match &reading {
            Reading::Call(call) => call,
            Reading::Unknown => {
                let failure = Err(Failure::new(
                    404,
                    "ERROR_METHOD_NOT_FOUND",
                    "Method not found!",
                ));
                let span = Span::since(start);
                let (status, text) = answer::body(Format::Json, &failure, span);
                return (rest_answer(Format::Json, status, text, span), Vec::new());
            }
            Reading::Elsewhere => return (page(request), Vec::new()),
        };
        let caller = self.authorize(request, call);
        let by_token = matches!(&caller, Ok(caller) if caller.by_token);
        let (result, operations) = match caller {
            Ok(caller) => {
                let clock = |start| Span::since(start).to_value();
                self.portal.execute(call, caller.user, &clock)
            }
            Err(failure) => (Err(failure), Vec::new()),
        };
        let span = Span::since(start);
        let (status, text) = answer::body(call.format, &result, span);
        let mut answer = rest_answer(call.format, status, text, span);
        if by_token {
            answer
                .fields
                .push(("X-Bitrix-Rest-Application", self.config.application.clone()));
        }
        (answer, operations)
    }

    fn authorize(&self, request: &Received, call: &Call) -> Result<Caller<'_>, Failure> {
        let parameter = |name: &str| {
            call.parameters
                .isset(name)
                .and_then(|value| value.as_text())
        };
        if let Some(token) = token(request, call) {
            let found = self.user(|known| token == known.access_token.as_bytes());
            let wrong = || Failure::new(401, "invalid_token", "Unable to get application by token");
            return found
                .map(|user| Caller {
                    user,
                    by_token: true,
                })
                .ok_or_else(wrong);
        }
        let webhook = match &call.access {
            Access::Webhook { user, code } => Some((user.as_slice(), code.as_slice())),
            Access::Other => parameter("aplogin").zip(parameter("ap")),
        };
        if let Some((user, code)) = webhook {
            let forwarded = request
                .field("x-forwarded-proto")
                .is_some_and(|scheme| scheme == b"https");
            if self.config.https_required && !forwarded {
                return Err(Failure::new(400, "INVALID_REQUEST", "Https required."));
            }
            let found = self.user(|known| {
                let named =
                    user == known.id.to_string().as_bytes() || user == known.login.as_bytes();
                named && code == known.webhook_code.as_bytes()
            });
            let wrong = || Failure::new(401, "INVALID_CREDENTIALS", "Invalid request credentials");
            return found
                .map(|user| Caller {
                    user,
                    by_token: false,
                })
                .ok_or_else(wrong);
        }
        let sessid = request
            .field("x-bitrix-csrf-token")
            .or_else(|| parameter("sessid"));
        match (request.field("cookie"), sessid) {
            (Some(_), Some(sessid)) if sessid == self.config.session.as_bytes() => {
                let first = self.config.users.first();
                first
                    .map(|user| Caller {
                        user,
                        by_token: false,
                    })
                    .ok_or_else(no_auth)
            }
            _ => Err(no_auth()),
        }
    }

    fn user(&self, is: impl Fn(&SandboxUser) -> bool) -> Option<&SandboxUser> {
        self.config.users.iter().find(|user| is(user))
    }
}

/// The token of a call, in its head or its parameters: the first of these that is there and no list.
fn token<'r>(request: &'r Received, call: &'r Call) -> Option<&'r [u8]> {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c);
    let in_head = request.field("authorization").and_then(|value| {
        let (scheme, rest) = value.split_at_checked(b"Bearer".len())?;
        let token = rest.iter().position(|byte| !blank(byte))?;
        (token > 0 && scheme.eq_ignore_ascii_case(b"Bearer")).then(|| &rest[token..])
    });
    if in_head.is_some() {
        return in_head;
    }
    let found = [&b"auth"[..], b"access_token"]
        .iter()
        .filter_map(|name| call.parameters.get(&Key::of(name)))
        .find(|value| value.as_array().is_none())?;
    found
        .as_text()
        .filter(|token| !matches!(*token, b"" | b"0"))
}

fn no_auth() -> Failure {
    Failure::new(401, "NO_AUTH_FOUND", "Wrong authorization data")
}

/// An answer of the REST interface, with what a portal puts into its head.
fn rest_answer(format: Format, status: u16, text: String, span: Span) -> Answer {
    let seconds = format!("{:.10}", span.duration().as_secs_f64());
    let fields = vec![
        ("Server", "nginx".into()),
        ("Content-Type", answer::content_type(format).into()),
        ("X-Powered-CMS", "Bitrix Site Manager (sandbox)".into()),
        ("Access-Control-Allow-Origin", "*".into()),
        (
            "Access-Control-Allow-Headers",
            "origin, content-type, accept".into(),
        ),
        ("X-Content-Type-Options", "nosniff".into()),
        ("X-Bitrix-Rest-Time", seconds),
        ("X-Bitrix-Rest-User-Time", "0.0010000000".into()),
        ("X-Bitrix-Rest-System-Time", "0.0010000000".into()),
    ];
    Answer {
        status,
        fields,
        body: text.into_bytes(),
    }
}

/// All that is not REST: a page, so that a browser sees what it has found.
fn page(request: &Received) -> Answer {
    let path = request
        .target
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default();
    let (status, text) = match path {
        b"/" => (200, "A sandbox portal. Its REST interface is under /rest/."),
        _ => (
            404,
            "Not found. This is a sandbox portal: only /rest/ is here.",
        ),
    };
    let body = format!("<!DOCTYPE html><title>Sandbox portal</title><p>{text}</p>\n").into_bytes();
    Answer {
        status,
        fields: vec![("Content-Type", "text/html; charset=utf-8".into())],
        body,
    }
}
