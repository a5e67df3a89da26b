//! The access log: a JSON line for each request, in the names of OpenTelemetry's HTTP conventions where there is one.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;

use super::json::Object;
use super::metrics::labels::{Label, Sent};

/// One request that has come to its end. Texts are masked already; they are cut at 512 bytes.
#[derive(Clone, Copy, Debug)]
pub struct AccessLine<'a> {
    /// When the request's head came.
    pub timestamp: SystemTime,
    pub request_id: &'a str,
    pub client_request_id: Option<&'a str>,
    pub trace_id: Option<&'a str>,
    pub method: &'a str,
    /// The path only, its code as `***`; never the query.
    pub path: &'a str,
    /// `1.0`, `1.1` or `2`.
    pub protocol_version: &'a str,
    pub scheme: &'a str,
    pub client_address: Option<IpAddr>,
    pub user_agent: Option<&'a str>,
    /// Of a REST call: the caller as pacing tells callers apart, under the key of fingerprints.
    pub flow: Option<&'a str>,
    /// What the client got; nothing for a client that got nothing.
    pub status: Option<u16>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// `forwarded`, `rewritten`, `observed`, `refused` or `error`.
    pub outcome: &'a str,
    /// The code of an error of ours, or what broke.
    pub error: Option<&'a str>,
    /// Whether the portal may have the request, where it gave no whole answer.
    pub sent: Option<Sent>,
    pub duration: Duration,
    /// How much of it the call waited for its turn before the portal's limit.
    pub waited: Option<Duration>,
}

impl AccessLine<'_> {
    /// Appends the line with its line feed.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        let mut line = Object::begin(out);
        line.moment("timestamp", self.timestamp)
            .text("event", "access")
            .text("request_id", self.request_id)
            .text_if("client_request_id", self.client_request_id)
            .text_if("trace_id", self.trace_id)
            .text("http.request.method", self.method)
            .text("url.scheme", self.scheme)
            .text("url.path", self.path)
            .text("network.protocol.version", self.protocol_version)
            .address_if("client.address", self.client_address)
            .text_if("user_agent.original", self.user_agent)
            .text_if("flow", self.flow);
        if let Some(status) = self.status {
            line.number("http.response.status_code", u64::from(status));
        }
        line.number("http.request.size", self.request_bytes)
            .number("http.response.size", self.response_bytes)
            .text("outcome", self.outcome)
            .text_if("error.type", self.error)
            .text_if("sent", self.sent.map(Label::as_str))
            .milliseconds("duration_ms", self.duration);
        if let Some(waited) = self.waited {
            line.milliseconds("waited_ms", waited);
        }
        line.end();
        out.push(b'\n');
    }
}

/// A line of an access log, as far as it tells who asked the portal and when.
#[derive(Debug, Deserialize)]
pub struct PastRequest<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow, rename = "url.path")]
    pub path: Cow<'a, str>,
    #[serde(borrow, default, rename = "client.address")]
    pub address: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "user_agent.original")]
    pub user_agent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub flow: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default, rename = "error.type")]
    error: Option<Cow<'a, str>>,
}

/// Errors of ours for calls that were on their way to the portal.
const ON_ITS_WAY: [&str; 4] = [
    "PORTAL_UNREACHABLE",
    "INTERNAL_SERVER_ERROR",
    "QUERY_LIMIT_EXCEEDED",
    "REQUEST_TIMEOUT",
];

impl<'a> PastRequest<'a> {
    /// Reads a line; `None` for what is no line of an access log.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(line)
            .ok()
            .filter(|line| line.event == "access")
    }

    /// When its head came.
    pub fn at(&self) -> Option<Timestamp> {
        self.timestamp.parse().ok()
    }

    /// Whether it was for the portal: not answered by the proxy alone.
    pub fn was_for_the_portal(&self) -> bool {
        match &*self.outcome {
            "refused" => false,
            "error" => self
                .error
                .as_ref()
                .is_none_or(|code| ON_ITS_WAY.contains(&&**code)),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_request_is_a_line_in_opentelemetrys_names() {
        let mut out = Vec::new();
        AccessLine {
            timestamp: UNIX_EPOCH,
            request_id: "01JD",
            client_request_id: None,
            trace_id: None,
            method: "GET",
            path: "/rest/1/***/crm.deal.list",
            protocol_version: "1.1",
            scheme: "http",
            client_address: "2001:db8::1".parse().ok(),
            user_agent: Some("a \"quoted\" one"),
            status: Some(200),
            request_bytes: 120,
            response_bytes: 4096,
            outcome: "forwarded",
            error: None,
            sent: Some(Sent::Perhaps),
            duration: Duration::from_millis(12),
            flow: Some("00ff00ff00ff00ff"),
            waited: Some(Duration::from_millis(3)),
        }
        .write_line(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"timestamp":"1970-01-01T00:00:00.000Z","event":"access","request_id":"01JD","http.request.method":"GET","#,
                r#""url.scheme":"http","url.path":"/rest/1/***/crm.deal.list","network.protocol.version":"1.1","#,
                r#""client.address":"2001:db8::1","user_agent.original":"a \"quoted\" one","flow":"00ff00ff00ff00ff","http.response.status_code":200,"#,
                r#""http.request.size":120,"http.response.size":4096,"outcome":"forwarded","sent":"perhaps","duration_ms":12.000,"waited_ms":3.000}"#,
                "\n"
            )
        );
    }
}
