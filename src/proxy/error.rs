//! Whose side failed and what had been sent by then, and the answer to give for it.
//!
//! Clients act on status and code: any 503 is repeated by the SDKs, and so is right only for what surely was not
//! executed; `INTERNAL_SERVER_ERROR` stops most of them, and so stands where a call may have been executed.

use crate::proxy::http::head::HeadError;

/// Who is at fault, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Client,
    Portal,
    Proxy,
}

/// An answer of the proxy's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyError {
    pub status: u16,
    pub code: &'static str,
    /// What is wrong and what to do, for the caller. Names no secret.
    pub description: String,
    /// The error type of `Proxy-Status` (RFC 9209 §2.3).
    pub proxy_status: &'static str,
    pub at: At,
    /// Close the client's connection after the answer.
    pub close: bool,
    /// Seconds after which to try again, where that is safe.
    pub retry_after: Option<u32>,
    /// Whether the portal may have executed the call.
    pub maybe_executed: bool,
    /// The phase whose time limit ran out, for the metrics.
    pub timeout: Option<&'static str>,
}

impl ProxyError {
    fn new(
        status: u16,
        code: &'static str,
        at: At,
        proxy_status: &'static str,
        description: impl Into<String>,
    ) -> Self {
        ProxyError {
            status,
            code,
            description: description.into(),
            proxy_status,
            at,
            close: false,
            retry_after: None,
            maybe_executed: false,
            timeout: None,
        }
    }

    /// A request that cannot be read. The connection ends: nobody knows where the next request begins.
    pub fn head(error: HeadError) -> Self {
        let made = match error {
            HeadError::Malformed(what) => Self::new(
                400,
                "BAD_REQUEST",
                At::Client,
                "http_request_error",
                format!("The request cannot be read: {what} (RFC 9112). Nothing was executed."),
            ),
            HeadError::Line(what, number) => Self::new(
                400,
                "BAD_REQUEST",
                At::Client,
                "http_request_error",
                format!(
                    "The request cannot be read: in line {number} of its head {what} (RFC 9112). Nothing was executed."
                ),
            ),
            HeadError::TargetTooLong => Self::new(
                414,
                "URI_TOO_LONG",
                At::Client,
                "http_request_error",
                "The address is too long. Nothing was executed: send the parameters in the body of a POST.",
            ),
            HeadError::TooLarge => Self::new(
                431,
                "REQUEST_HEADER_FIELDS_TOO_LARGE",
                At::Client,
                "http_request_error",
                "The head of the request is too large, or has too many fields. Nothing was executed.",
            ),
            HeadError::TransferCoding => Self::new(
                501,
                "NOT_IMPLEMENTED",
                At::Client,
                "http_request_error",
                "Only the transfer coding chunked is understood, once. Nothing was executed.",
            ),
            HeadError::Version => Self::new(
                505,
                "HTTP_VERSION_NOT_SUPPORTED",
                At::Client,
                "http_request_error",
                "Only HTTP/1.0 and HTTP/1.1 are understood. Nothing was executed.",
            ),
        };
        ProxyError {
            close: true,
            ..made
        }
    }

    /// An address in another one with more parameters than can be read, or one that can be read in two ways.
    pub fn address() -> Self {
        Self::new(
            400,
            "INVALID_ADDRESS",
            At::Client,
            "http_request_error",
            "Which address counts is not sure: one stands in another, or a line feed ends it. Nothing was executed: call the \
             method below /rest/ alone.",
        )
    }

    /// A head, or a body, that did not come in time.
    pub fn client_timeout(phase: &'static str, executed: bool) -> Self {
        let what = if executed {
            "The portal was told that the call broke off."
        } else {
            "Nothing was executed."
        };
        ProxyError {
            close: true,
            timeout: Some(phase),
            maybe_executed: executed,
            ..Self::new(
                408,
                "REQUEST_TIMEOUT",
                At::Client,
                "http_request_error",
                format!("The {phase} of the request did not arrive in time. {what}"),
            )
        }
    }

    /// HTTP in the clear on a port that speaks TLS.
    pub fn plain_http() -> Self {
        ProxyError {
            close: true,
            ..Self::new(
                400,
                "BAD_REQUEST",
                At::Client,
                "http_request_error",
                "This port speaks TLS, and the request came in plain HTTP. Nothing was executed: begin the address with https://.",
            )
        }
    }

    /// A chunked body that is malformed.
    pub fn bad_body(what: &str) -> Self {
        ProxyError {
            close: true,
            ..Self::new(
                400,
                "BAD_REQUEST",
                At::Client,
                "http_request_error",
                format!("The body of the request cannot be read: {what} (RFC 9112)."),
            )
        }
    }

    /// The client left before its body was whole.
    pub fn client_gone() -> Self {
        ProxyError {
            close: true,
            ..Self::new(
                400,
                "BAD_REQUEST",
                At::Client,
                "http_request_error",
                "The request's body ended too early.",
            )
        }
    }

    pub fn method_not_allowed() -> Self {
        ProxyError {
            close: true,
            ..Self::new(
                405,
                "METHOD_NOT_ALLOWED",
                At::Client,
                "http_request_denied",
                "CONNECT and TRACE are not served. Nothing was executed.",
            )
        }
    }

    /// The portal surely did not get the call.
    pub fn unreachable(proxy_status: &'static str, what: &str) -> Self {
        ProxyError {
            retry_after: Some(2),
            timeout: (proxy_status == "connection_timeout").then_some("connect"),
            ..Self::new(
                503,
                "PORTAL_UNREACHABLE",
                At::Portal,
                proxy_status,
                format!(
                    "The portal cannot be reached: {what}. Nothing was executed: the call can be repeated."
                ),
            )
        }
    }

    /// The call was sent, and the connection broke or the answer cannot be read.
    pub fn broken_answer(proxy_status: &'static str, what: &str) -> Self {
        ProxyError {
            maybe_executed: true,
            ..Self::new(
                502,
                "INTERNAL_SERVER_ERROR",
                At::Portal,
                proxy_status,
                format!(
                    "The call was sent, but {what}. It may have been executed: check before repeating it."
                ),
            )
        }
    }

    /// The call was sent and no answer came in time.
    pub fn no_answer() -> Self {
        ProxyError {
            maybe_executed: true,
            timeout: Some("response"),
            ..Self::new(
                504,
                "INTERNAL_SERVER_ERROR",
                At::Portal,
                "http_response_timeout",
                "The call was sent, but the portal did not answer in time. It may have been executed: check before repeating it.",
            )
        }
    }

    pub fn busy(what: &str) -> Self {
        ProxyError {
            retry_after: Some(2),
            ..Self::new(
                503,
                "PROXY_BUSY",
                At::Proxy,
                "connection_limit_reached",
                format!("The proxy {what}. Nothing was executed: the call can be repeated."),
            )
        }
    }

    /// The portal's own error for its request limit, before the portal has to give it.
    pub fn query_limit_exceeded(wait: std::time::Duration) -> Self {
        let seconds = u32::try_from(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
            .unwrap_or(u32::MAX)
            .max(1);
        ProxyError {
            retry_after: Some(seconds),
            ..Self::new(
                503,
                "QUERY_LIMIT_EXCEEDED",
                At::Portal,
                "http_request_denied",
                "Too many requests: the portal's limit is used up, and the proxy's queue for it is full. Nothing was executed: the call can be repeated.",
            )
        }
    }

    /// The proxy stops while the call waits for its turn.
    pub fn stopping() -> Self {
        Self::busy("is stopping")
    }

    pub fn log_unavailable() -> Self {
        ProxyError {
            retry_after: Some(5),
            ..Self::new(
                503,
                "DEPRECATION_LOG_UNAVAILABLE",
                At::Proxy,
                "proxy_internal_error",
                "The use of this deprecated method cannot be recorded now, so it was not executed. The call can be repeated.",
            )
        }
    }

    pub fn loop_detected() -> Self {
        Self::new(
            508,
            "LOOP_DETECTED",
            At::Proxy,
            "proxy_loop_detected",
            "The proxy was asked to forward to itself: its --upstream leads back to it.",
        )
    }

    pub fn refused(status: u16, code: &'static str, description: String) -> Self {
        Self::new(status, code, At::Client, "http_request_denied", description)
    }

    /// The proxy met a fault of its own, and what it had done by then is not known.
    pub fn panicked() -> Self {
        ProxyError {
            close: true,
            ..Self::internal(
                "The proxy met a fault of its own in this call. It may have been executed: check before repeating it.",
            )
        }
    }

    pub fn internal(what: &str) -> Self {
        ProxyError {
            maybe_executed: true,
            ..Self::new(
                502,
                "INTERNAL_SERVER_ERROR",
                At::Proxy,
                "proxy_internal_error",
                what,
            )
        }
    }
}
