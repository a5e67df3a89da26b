//! The values that labels can take. Fixed sets only: nothing that a client can invent becomes a series.

use crate::telemetry::callers::UNNAMED;
use crate::translate::{Action, Reason};

/// A label with a fixed set of values.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];
    /// The value as it is shown.
    fn as_str(self) -> &'static str;
    /// Where it stands in [`Label::ALL`].
    fn index(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $type:ident, $name:literal: $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$variant_doc])* $variant),+ }

        impl Label for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$variant),+];
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

/// The caller as a label says it: by its name where that is known, else as those without one.
pub fn caller_of(name: Option<&str>, is_known: impl Fn(&str) -> bool) -> &str {
    name.filter(|name| is_known(name)).unwrap_or(UNNAMED)
}

label! {
    /// What became of a request.
    Outcome, "outcome":
    /// Passed on as it came.
    Forwarded = "forwarded",
    /// At least one deprecated call in it was translated.
    Rewritten = "rewritten",
    /// Passed on as it came; at least one deprecated call in it was logged.
    Observed = "observed",
    /// Answered by the proxy on a rule's behalf.
    Refused = "refused",
    /// Answered by the proxy because something failed, or not at all.
    Error = "error",
}

label! {
    /// What a request was to the portal.
    Kind, "kind":
    /// One REST call.
    Call = "call",
    /// A REST batch.
    Batch = "batch",
    /// Pages, uploads, push channels, other interfaces.
    Other = "other",
}

label! {
    /// Whose side failed.
    Fault, "fault":
    /// Nobody's: the request was answered below 400.
    None = "none",
    /// The client's: answered 4xx, malformed, too slow, or gone.
    Client = "client",
    /// The portal's: unreachable, too slow, broken, or answered 5xx.
    Portal = "portal",
    /// The proxy's: out of room, or its log cannot be written.
    Proxy = "proxy",
}

label! {
    /// Whether the portal may have a request that it did not answer whole.
    Sent, "sent":
    /// It surely does not: repeating the call is safe.
    Nothing = "nothing",
    /// It may, and may have executed it.
    Perhaps = "perhaps",
}

label! {
    /// The first digit of the status that a client got.
    StatusClass, "code":
    Informational = "1xx",
    Success = "2xx",
    Redirection = "3xx",
    ClientError = "4xx",
    ServerError = "5xx",
}

impl StatusClass {
    /// The class of a status; what is outside 100–499 counts as a server error.
    pub fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

label! {
    /// Why a connection was not served.
    ConnectionRefused, "reason":
    /// The limit of connections in total.
    Total = "total",
    /// The limit of connections of one client address.
    PerClient = "per_client",
    /// The proxy was ending, and the connection's beginning took too long.
    Draining = "draining",
    /// The TLS handshake failed or took too long.
    Tls = "tls",
}

label! {
    /// Which of the time limits ended something.
    Phase, "phase":
    Connect = "connect",
    TlsHandshake = "tls_handshake",
    /// A client's head.
    Header = "header",
    /// A client's body.
    Body = "body",
    /// The portal's first byte.
    Response = "response",
    /// An answer that stalls.
    UpstreamBody = "upstream_body",
    /// A client that does not read its answer.
    ClientWrite = "client_write",
    KeepAlive = "keep_alive",
    TunnelIdle = "tunnel_idle",
    /// Room for a body to be rewritten.
    RewriteWait = "rewrite_wait",
    Drain = "drain",
}

label! {
    /// How a TLS handshake ended.
    Handshake, "result":
    Ok = "ok",
    Failed = "failed",
    TimedOut = "timed_out",
}

label! {
    /// How a connection to the portal failed to come about.
    ConnectError, "cause":
    Resolve = "resolve",
    Connect = "connect",
    Tls = "tls",
    Certificate = "certificate",
    Timeout = "timeout",
}

label! {
    /// What a connection to the portal is doing.
    PoolState, "state":
    Idle = "idle",
    Busy = "busy",
}

label! {
    /// How two answers compared.
    Comparison, "result":
    Equal = "equal",
    Different = "different",
    /// The successor could not be asked, or an answer was no JSON.
    Failed = "failed",
    /// Not asked: over the limits for comparing.
    Skipped = "skipped",
}

label! {
    /// The portal's own error codes that ops act on (PROTOCOL §6).
    PortalError, "code":
    QueryLimitExceeded = "QUERY_LIMIT_EXCEEDED",
    OperationTimeLimit = "OPERATION_TIME_LIMIT",
    OverloadLimit = "OVERLOAD_LIMIT",
    MethodNotFound = "ERROR_METHOD_NOT_FOUND",
    AccessDenied = "ACCESS_DENIED",
    InsufficientScope = "insufficient_scope",
    ExpiredToken = "expired_token",
    InvalidCredentials = "INVALID_CREDENTIALS",
    NoAuthFound = "NO_AUTH_FOUND",
    InvalidRequest = "INVALID_REQUEST",
    InternalServerError = "INTERNAL_SERVER_ERROR",
    Other = "other",
}

label! {
    /// The codes of the errors that the proxy answers itself.
    ErrorCode, "code":
    BadRequest = "BAD_REQUEST",
    InvalidAddress = "INVALID_ADDRESS",
    InvalidContentType = "INVALID_CONTENT_TYPE",
    InvalidJson = "INVALID_JSON",
    InvalidMultipart = "INVALID_MULTIPART",
    MethodNotAllowed = "METHOD_NOT_ALLOWED",
    RequestTimeout = "REQUEST_TIMEOUT",
    DeprecatedMethodBrownout = "DEPRECATED_METHOD_BROWNOUT",
    DeprecatedMethodBlocked = "DEPRECATED_METHOD_BLOCKED",
    RequestTooLarge = "REQUEST_TOO_LARGE",
    UriTooLong = "URI_TOO_LONG",
    HeadTooLarge = "REQUEST_HEADER_FIELDS_TOO_LARGE",
    NotImplemented = "NOT_IMPLEMENTED",
    VersionNotSupported = "HTTP_VERSION_NOT_SUPPORTED",
    UnsupportedContentEncoding = "UNSUPPORTED_CONTENT_ENCODING",
    PortalUnreachable = "PORTAL_UNREACHABLE",
    QueryLimitExceeded = "QUERY_LIMIT_EXCEEDED",
    ProxyBusy = "PROXY_BUSY",
    DeprecationLogUnavailable = "DEPRECATION_LOG_UNAVAILABLE",
    InternalServerError = "INTERNAL_SERVER_ERROR",
    LoopDetected = "LOOP_DETECTED",
}

label! {
    /// What became of a call before the portal's request limit.
    Paced, "what":
    /// It waited for its turn.
    Waited = "waited",
    /// It was refused by the proxy: its wait would have been too long.
    RefusedByUs = "refused_by_proxy",
    /// It was refused by the portal.
    RefusedByPortal = "refused_by_portal",
}

label! {
    /// Whether an answer told the portal's time that its method has used.
    Usage, "told":
    Seen = "seen",
    Unseen = "unseen",
}

label! {
    /// Which of the limits for a method refused it (PROTOCOL §6).
    MethodLimit, "code":
    /// Its time of the last ten minutes is used up.
    OperationTimeLimit = "OPERATION_TIME_LIMIT",
    /// It is blocked by hand.
    OverloadLimit = "OVERLOAD_LIMIT",
}

label! {
    /// The status with which a malformed head was refused.
    HeadError, "status":
    BadRequest = "400",
    RequestTimeout = "408",
    TargetTooLong = "414",
    HeadTooLarge = "431",
    NotImplemented = "501",
    VersionNotSupported = "505",
    Other = "other",
}

impl HeadError {
    /// The value of that status.
    pub fn of(status: u16) -> Self {
        match status {
            400 => Self::BadRequest,
            408 => Self::RequestTimeout,
            414 => Self::TargetTooLong,
            431 => Self::HeadTooLarge,
            501 => Self::NotImplemented,
            505 => Self::VersionNotSupported,
            _ => Self::Other,
        }
    }
}

/// The value of that name, else `other`.
pub(super) fn named<L: Label>(name: &str, other: L) -> L {
    L::ALL
        .iter()
        .copied()
        .find(|known| known.as_str() == name)
        .unwrap_or(other)
}

impl Label for Action {
    const NAME: &'static str = "action";
    const ALL: &'static [Self] = &[Self::Rewritten, Self::Observed, Self::Refused];
    fn as_str(self) -> &'static str {
        Action::as_str(self)
    }
    fn index(self) -> usize {
        match self {
            Self::Rewritten => 0,
            Self::Observed => 1,
            Self::Refused => 2,
        }
    }
}

impl Label for Reason {
    const NAME: &'static str = "reason";
    const ALL: &'static [Self] = &[
        Self::Unreadable,
        Self::TooLarge,
        Self::Encoding,
        Self::Brownout,
        Self::Blocked,
        Self::LogFailure,
    ];
    fn as_str(self) -> &'static str {
        Reason::as_str(self)
    }
    fn index(self) -> usize {
        self as usize
    }
}
