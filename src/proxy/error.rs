//! The failures that the proxy answers itself, from one table: whose side failed, what had been sent by then, and the
//! answer. `docs/ERRORS.md` is written from it.
//!
//! Clients act on status and code: any 503 is repeated by the SDKs, and so is right only for what surely was not
//! executed; `INTERNAL_SERVER_ERROR` stops most of them, and so stands where a call may have been executed.

use crate::proxy::http::head::HeadError;
use crate::telemetry::metrics::labels::{ConnectError, ErrorCode, Fault, Label, Phase, Sent};
use crate::translate;
use std::borrow::Cow;
use std::time::Duration;

/// How long a client waits before it repeats a call that the portal or the proxy had no room for.
const SHORTLY: Retry = Retry::After(2);

/// What a failure is to those who see it: the same for each failure of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub side: Fault,
    /// Whether the portal may have the request; `None` where that differs from case to case.
    pub sent: Option<Sent>,
    pub status: u16,
    pub code: ErrorCode,
    /// The error type of `Proxy-Status` (RFC 9209 §2.3).
    pub proxy_status: &'static str,
    /// The answer's text; `{}` is the failure's cause.
    pub text: &'static str,
    /// What the documentation says of when it happens, and of what to do.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the documentation is written by a test")
    )]
    pub when: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the documentation is written by a test")
    )]
    pub remedy: &'static str,
    /// The client's connection ends with the answer.
    pub closes: bool,
    retry: Retry,
    /// The time limit that ran out.
    pub phase: Option<Phase>,
    /// The step of connecting to the portal that failed.
    pub connect: Option<ConnectError>,
}

/// Whether the answer asks for the call to be repeated.
#[derive(Clone, Copy, Debug)]
enum Retry {
    No,
    /// Seconds.
    After(u32),
    /// As long as the failure says.
    Told,
}

impl Row {
    const fn of(side: Fault, status: u16, code: ErrorCode, proxy_status: &'static str) -> Self {
        Row {
            side,
            sent: Some(Sent::Nothing),
            status,
            code,
            proxy_status,
            text: "{}",
            when: "",
            remedy: "",
            closes: false,
            retry: Retry::No,
            phase: None,
            connect: None,
        }
    }
    /// The request cannot be read.
    const fn unreadable(status: u16, code: ErrorCode) -> Self {
        Self::of(Fault::Client, status, code, "http_request_error")
    }
    /// A rule, or its mode, refuses the call.
    const fn refused(code: translate::Code, label: ErrorCode) -> Self {
        Self::of(Fault::Client, code.status(), label, "http_request_denied")
    }
    /// The portal cannot be reached.
    const fn unreachable(proxy_status: &'static str, step: ConnectError) -> Self {
        let row = Self::of(
            Fault::Portal,
            503,
            ErrorCode::PortalUnreachable,
            proxy_status,
        );
        Row {
            connect: Some(step),
            ..row.retry(SHORTLY).says(
                "The portal cannot be reached: {}. Nothing was executed: the call can be repeated.",
            )
        }
    }
    /// The call was sent, and no whole answer came.
    const fn unanswered(status: u16, proxy_status: &'static str) -> Self {
        let row = Self::of(
            Fault::Portal,
            status,
            ErrorCode::InternalServerError,
            proxy_status,
        );
        let row = row.says(
            "The call was sent, but {}. It may have been executed: check before repeating it.",
        );
        Row {
            sent: Some(Sent::Perhaps),
            ..row
        }
    }
    /// The proxy has no room.
    const fn busy() -> Self {
        let row = Self::of(
            Fault::Proxy,
            503,
            ErrorCode::ProxyBusy,
            "connection_limit_reached",
        );
        row.retry(SHORTLY)
    }
    const fn says(self, text: &'static str) -> Self {
        Row { text, ..self }
    }
    const fn explained(self, when: &'static str, remedy: &'static str) -> Self {
        Row {
            when,
            remedy,
            ..self
        }
    }
    const fn closing(self) -> Self {
        Row {
            closes: true,
            ..self
        }
    }
    const fn retry(self, retry: Retry) -> Self {
        Row { retry, ..self }
    }
    const fn timeout(self, phase: Phase) -> Self {
        Row {
            phase: Some(phase),
            ..self
        }
    }
    const fn sent(self, sent: Option<Sent>) -> Self {
        Row { sent, ..self }
    }
}

macro_rules! table {
    ($($(#[$doc:meta])* $kind:ident => $row:expr),+ $(,)?) => {
        /// A kind of failure: a row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $kind),+ }

        impl Kind {
            /// Every kind, in the order of the documentation.
            #[cfg(test)]
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// What a failure of this kind is to those who see it.
            pub const fn row(self) -> &'static Row {
                match self { $(Self::$kind => const { &$row }),+ }
            }
        }
    };
}

table! {
    /// A head that breaks RFC 9112, or could be read in two ways.
    BadHead => Row::unreadable(400, ErrorCode::BadRequest).closing()
        .says("The request cannot be read: {} (RFC 9112). Nothing was executed.")
        .explained("the request's head is broken or ambiguous", "repair the client, or the proxy in front of this one"),
    PlainHttp => Row::unreadable(400, ErrorCode::BadRequest).closing()
        .says("This port speaks TLS, and the request came in plain HTTP. Nothing was executed: begin the address with https://.")
        .explained("plain HTTP came to a TLS port", "call `https://`"),
    /// A chunked body that is malformed.
    BadBody => Row::unreadable(400, ErrorCode::BadRequest).closing().sent(None)
        .says("The body of the request cannot be read: {} (RFC 9112).")
        .explained("a chunked body is broken", "repair the client; where `sent` is `perhaps`, check before repeating"),
    /// The client left before its body was whole.
    ClientGone => Row::unreadable(400, ErrorCode::BadRequest).closing().sent(None)
        .says("The request's body ended too early.")
        .explained("the client closed its side in the middle of a body", "look at the client's own timeouts; where `sent` is `perhaps`, check before repeating"),
    /// A request that HTTP/2 cannot carry to the portal.
    Unfit => Row::of(Fault::Client, 400, ErrorCode::BadRequest, "http_request_denied")
        .says("The request cannot be written in HTTP/2, which the proxy speaks with the portal. Nothing was executed.")
        .explained("`--upstream-http2`, and a field or an address that HTTP/2 cannot carry", "repair the client, or leave out `--upstream-http2`"),
    /// An address in another one with more parameters than can be read, or one that can be read in two ways.
    Address => Row::unreadable(400, ErrorCode::InvalidAddress)
        .says("It is not clear which address counts: one contains another, or a line feed ends it. Nothing was executed: call the method below /rest/ alone.")
        .explained("an address in another one has over a thousand parameters, or two addresses are in one", "call the method below `/rest/`"),
    RefusedAddress => Row::refused(translate::Code::InvalidAddress, ErrorCode::InvalidAddress)
        .explained("a call to be translated is inside another address (`SEF_APPLICATION_CUR_PAGE_URL`, `404;http://…`)", "call the method below `/rest/`"),
    ContentType => Row::refused(translate::Code::InvalidContentType, ErrorCode::InvalidContentType)
        .explained("a call to be translated, or a batch, has several `Content-Type` fields that portals read differently", "send one"),
    InvalidJson => Row::refused(translate::Code::InvalidJson, ErrorCode::InvalidJson)
        .explained("a deprecated call whose JSON the portal could not read", "send valid JSON, or call the successor"),
    InvalidMultipart => Row::refused(translate::Code::InvalidMultipart, ErrorCode::InvalidMultipart)
        .explained("a deprecated call in multipart with a line of over 4 KiB beside its values", "send shorter lines, or call the successor"),
    MethodNotAllowed => Row::of(Fault::Client, 405, ErrorCode::MethodNotAllowed, "http_request_denied").closing()
        .says("CONNECT and TRACE are not served. Nothing was executed.")
        .explained("CONNECT or TRACE", "use another method"),
    HeadTimeout => Row::unreadable(408, ErrorCode::RequestTimeout).closing().timeout(Phase::Header)
        .says("The head of the request did not arrive in time. Nothing was executed.")
        .explained("a head did not come whole within `--header-timeout`", "look at the network; repeat"),
    BodyTimeout => Row::unreadable(408, ErrorCode::RequestTimeout).closing().timeout(Phase::Body).sent(None)
        .says("The body of the request did not arrive in time. {}")
        .explained("a body stalled for `--body-timeout`, or came too slowly", "look at the network; where `sent` is `perhaps`, check before repeating"),
    Brownout => Row::refused(translate::Code::Brownout, ErrorCode::DeprecatedMethodBrownout)
        .explained("the method is switched off for a while (`--mode`, `[[mode]]`)", "call the successor"),
    Blocked => Row::refused(translate::Code::Blocked, ErrorCode::DeprecatedMethodBlocked)
        .explained("the method is switched off (`--mode`, `[[mode]]`)", "call the successor"),
    TooLarge => Row::refused(translate::Code::TooLarge, ErrorCode::RequestTooLarge)
        .explained("a call to be translated is over `--max-rewrite-body`, has as many parameters as a portal reads, or over 5,000 deprecated commands", "send less at once, or call the successor"),
    TargetTooLong => Row::unreadable(414, ErrorCode::UriTooLong).closing()
        .says("The address is too long. Nothing was executed: send the parameters in the body of a POST.")
        .explained("the address is over `--max-target-size`", "send the parameters in a POST"),
    Encoding => Row::refused(translate::Code::Encoding, ErrorCode::UnsupportedContentEncoding)
        .explained("a call to be translated has a `Content-Encoding`, which a portal does not read", "send the body as it is, or call the successor"),
    HeadTooLarge => Row::unreadable(431, ErrorCode::HeadTooLarge).closing()
        .says("The head of the request is too large, or has too many fields. Nothing was executed.")
        .explained("the head is over `--max-head-size` or `--max-head-fields`", "send less, or raise the limit"),
    TransferCoding => Row::unreadable(501, ErrorCode::NotImplemented).closing()
        .says("Only the transfer coding chunked is understood, once. Nothing was executed.")
        .explained("another `Transfer-Encoding` than `chunked`", "repair the client"),
    Version => Row::unreadable(505, ErrorCode::VersionNotSupported).closing()
        .says("Only HTTP/1.0 and HTTP/1.1 are understood. Nothing was executed.")
        .explained("another version of HTTP in the request line", "repair the client"),
    NameUnresolved => Row::unreachable("dns_error", ConnectError::Resolve)
        .explained("the portal's name has no address", "look at DNS, `--upstream`, `--upstream-source`"),
    ConnectTimeout => Row::unreachable("connection_timeout", ConnectError::Timeout).timeout(Phase::Connect)
        .explained("the portal took no connection within `--connect-timeout`, or no handshake within `--tls-handshake-timeout`", "look at the network and the portal"),
    ConnectRefused => Row::unreachable("connection_refused", ConnectError::Connect)
        .explained("the portal refuses connections", "look whether it runs and where it listens"),
    NoRoute => Row::unreachable("destination_ip_unroutable", ConnectError::Connect)
        .explained("no route leads to the portal", "look at the network"),
    NoSocket => Row::unreachable("connection_limit_reached", ConnectError::Connect)
        .explained("the proxy has no descriptor or port left for a connection", "raise `LimitNOFILE`, or add an `--upstream-source`"),
    Certificate => Row::unreachable("tls_certificate_error", ConnectError::Certificate)
        .explained("the portal's certificate is not valid", "renew it, or name its authority with `--upstream-ca`"),
    Handshake => Row::unreachable("tls_protocol_error", ConnectError::Tls)
        .explained("the TLS handshake with the portal failed", "the text says on what both sides do not agree"),
    ClosedUnsent => Row::unreachable("connection_terminated", ConnectError::Connect)
        .explained("the portal closed connections before a byte of the call was written", "repeat; look at the portal's keep-alive"),
    ClosedUnanswered => Row::unanswered(502, "connection_terminated")
        .explained("the portal closed the connection without an answer", "**check before repeating**; look at the portal's log"),
    BadAnswer => Row::unanswered(502, "http_protocol_error")
        .explained("the portal's answer breaks HTTP", "**check before repeating**; look at the portal's log"),
    IncompleteAnswer => Row::unanswered(502, "http_response_incomplete")
        .explained("the portal's answer broke off while it was read", "**check before repeating**; look at the portal's log"),
    NoAnswer => Row::unanswered(504, "http_response_timeout").timeout(Phase::Response)
        .explained("no answer came within `--response-timeout`", "**check before repeating**; raise the limit where the portal needs longer"),
    /// The portal's own error for its request limit, before the portal has to give it.
    QueryLimit => Row::of(Fault::Portal, 503, ErrorCode::QueryLimitExceeded, "http_request_denied").retry(Retry::Told)
        .says("Too many requests: the portal's limit is used up, and the proxy's queue for it is full. Nothing was executed: the call can be repeated.")
        .explained("the call would wait longer than `--queue-timeout` for the portal's request limit", "repeat after `Retry-After`; send less at once"),
    TooManyConnections => Row::busy()
        .says("The proxy has as many connections as it may have. Nothing was executed: the call can be repeated.")
        .explained("`--max-connections` or `--max-connections-per-client` is reached", "repeat; keep connections open; raise the limit"),
    TooManyStreams => Row::busy()
        .says("The proxy has as many calls of this client as it may have. Nothing was executed: the call can be repeated.")
        .explained("the same, for a stream of HTTP/2", "repeat; send fewer calls at once"),
    NoMemory => Row::busy()
        .says("The proxy has no memory for another large body to be translated. Nothing was executed: the call can be repeated.")
        .explained("`--rewrite-memory` is used up for `--rewrite-wait`", "repeat; raise the limit"),
    Stopping => Row::busy()
        .says("The proxy is stopping. Nothing was executed: the call can be repeated.")
        .explained("the proxy stops while the call waits for its turn", "repeat"),
    LogUnavailable => Row::of(Fault::Proxy, 503, ErrorCode::DeprecationLogUnavailable, "proxy_internal_error").retry(Retry::After(5))
        .says("The use of this deprecated method cannot be recorded now, so it was not executed. The call can be repeated.")
        .explained("`--on-log-failure refuse`, and the deprecation log cannot be written", "make room on the disk"),
    LoopDetected => Row::of(Fault::Proxy, 508, ErrorCode::LoopDetected, "proxy_loop_detected")
        .says("The proxy was asked to forward to itself: its --upstream leads back to it.")
        .explained("`--upstream` leads back to this proxy", "set `--upstream` to the portal's own address"),
    /// A fault in the program.
    Panicked => Row::of(Fault::Proxy, 502, ErrorCode::InternalServerError, "proxy_internal_error").closing().sent(Some(Sent::Perhaps))
        .says("The proxy met a fault of its own in this call. It may have been executed: check before repeating it.")
        .explained("a fault in the program", "**check before repeating**; report it, with the log's lines of this id"),
}

/// A failure that the proxy answers itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    /// Whether the portal may have the request.
    pub sent: Sent,
    /// What failed, in words that name no secret.
    cause: Cow<'static, str>,
    /// How long to wait before repeating.
    wait: Option<Duration>,
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        Failure::new(kind, "")
    }
}

impl Failure {
    /// A failure whose text names its cause.
    pub fn new(kind: Kind, cause: impl Into<Cow<'static, str>>) -> Self {
        Failure {
            kind,
            sent: kind.row().sent.unwrap_or(Sent::Nothing),
            cause: cause.into(),
            wait: None,
        }
    }

    /// A request whose head cannot be read. The connection ends: nobody knows where the next request begins.
    pub fn head(error: HeadError) -> Self {
        match error {
            HeadError::Malformed(what) => Self::new(Kind::BadHead, what),
            HeadError::Line(what, number) => Self::new(
                Kind::BadHead,
                format!("in line {number} of its head {what}"),
            ),
            HeadError::TargetTooLong => Kind::TargetTooLong.into(),
            HeadError::TooLarge => Kind::HeadTooLarge.into(),
            HeadError::TransferCoding => Kind::TransferCoding.into(),
            HeadError::Version => Kind::Version.into(),
        }
    }

    /// A request's body that stalled.
    pub fn body_timeout(sent: Sent) -> Self {
        let consequence = match sent {
            Sent::Perhaps => "The portal was told that the call broke off.",
            Sent::Nothing => "Nothing was executed.",
        };
        Self::new(Kind::BodyTimeout, consequence).with_sent(sent)
    }

    /// The portal's request limit leaves no turn before `wait` is over.
    pub fn query_limit(wait: Duration) -> Self {
        Failure {
            wait: Some(wait),
            ..Kind::QueryLimit.into()
        }
    }

    /// A rule, or its mode, refuses the call.
    pub fn refused(refusal: translate::Refusal) -> Self {
        let kind = match refusal.code {
            translate::Code::InvalidAddress => Kind::RefusedAddress,
            translate::Code::InvalidContentType => Kind::ContentType,
            translate::Code::InvalidJson => Kind::InvalidJson,
            translate::Code::InvalidMultipart => Kind::InvalidMultipart,
            translate::Code::Brownout => Kind::Brownout,
            translate::Code::Blocked => Kind::Blocked,
            translate::Code::TooLarge => Kind::TooLarge,
            translate::Code::Encoding => Kind::Encoding,
        };
        Self::new(kind, refusal.description)
    }

    /// The same failure, where what was sent differs from case to case.
    pub fn with_sent(self, sent: Sent) -> Self {
        Failure { sent, ..self }
    }

    /// What the failure is to those who see it.
    pub fn row(&self) -> &'static Row {
        self.kind.row()
    }

    /// The code, as clients read it.
    pub fn code(&self) -> &'static str {
        self.row().code.as_str()
    }

    /// What failed, in words that name no secret.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// What is wrong and what to do, for the caller. Names no secret.
    pub fn description(&self) -> Cow<'_, str> {
        match self.row().text {
            "{}" => Cow::Borrowed(&*self.cause),
            text if text.contains("{}") => Cow::Owned(text.replacen("{}", &self.cause, 1)),
            text => Cow::Borrowed(text),
        }
    }

    /// Seconds after which the call can be repeated, where that is safe.
    pub fn retry_after(&self) -> Option<u32> {
        match self.row().retry {
            Retry::No => None,
            Retry::After(seconds) => Some(seconds),
            Retry::Told => {
                let wait = self.wait.unwrap_or_default();
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Some(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// The table as the documentation has it.
    fn documented() -> String {
        let mut rows = String::from(
            "| status, code | the answer's text | `Proxy-Status` | side | `sent` | when | what to do |\n|---|---|---|---|---|---|---|\n",
        );
        for kind in Kind::ALL {
            let row = kind.row();
            let retry = match row.retry {
                Retry::No => String::new(),
                Retry::After(seconds) => format!(", `Retry-After: {seconds}`"),
                Retry::Told => ", `Retry-After`".to_owned(),
            };
            let text = match row.text {
                "{}" => "names the method and what to do".to_owned(),
                text => text.replace("{}", "…"),
            };
            let _ = writeln!(
                rows,
                "| {} `{}`{retry} | {text} | `{}` | {} | {} | {} | {} |",
                row.status,
                row.code.as_str(),
                row.proxy_status,
                row.side.as_str(),
                row.sent
                    .map_or("`nothing` or `perhaps`".to_owned(), |sent| format!(
                        "`{}`",
                        sent.as_str()
                    )),
                row.when,
                row.remedy,
            );
        }
        rows
    }

    #[test]
    fn the_documentation_lists_every_failure_as_it_is() {
        const BEGIN: &str = "<!-- errors -->\n";
        const END: &str = "<!-- /errors -->";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ERRORS.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (table, after) = rest.split_once(END).unwrap();
        let expected = documented();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
            return;
        }
        assert_eq!(
            table, expected,
            "docs/ERRORS.md is out of date: UPDATE_GOLDEN=1 writes it"
        );
    }

    #[test]
    fn only_what_surely_was_not_sent_may_be_repeated() {
        for kind in Kind::ALL {
            let row = kind.row();
            let repeats = !matches!(row.retry, Retry::No);
            assert_eq!(repeats, row.status == 503, "{kind:?}: SDKs repeat any 503");
            if repeats {
                assert_eq!(row.sent, Some(Sent::Nothing), "{kind:?}");
            }
            let stops = row.code == ErrorCode::InternalServerError;
            assert_eq!(stops, row.sent == Some(Sent::Perhaps), "{kind:?}");
        }
    }

    #[test]
    fn refusals_have_the_codes_of_their_rows() {
        for code in translate::Code::ALL {
            let refusal = translate::Refusal {
                code: *code,
                description: "it".to_owned(),
                reason: translate::Reason::Blocked,
            };
            let failure = Failure::refused(refusal);
            assert_eq!(failure.code(), code.as_str());
            assert_eq!(failure.row().status, code.status());
            assert_eq!(failure.description(), "it");
        }
    }

    #[test]
    fn each_text_says_whether_anything_was_executed_or_leaves_it_to_its_cause() {
        for kind in Kind::ALL {
            let row = kind.row();
            assert!(!row.when.is_empty() && !row.remedy.is_empty(), "{kind:?}");
            let failure = Failure::new(*kind, "CAUSE");
            assert_eq!(
                failure.description().contains("CAUSE"),
                row.text.contains("{}"),
                "{kind:?}"
            );
        }
    }
}
