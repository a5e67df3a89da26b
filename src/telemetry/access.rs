//! The access log: a JSON line for each request, in the names of OpenTelemetry's HTTP conventions where there is one.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::json::Object;

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
    /// What the client got; nothing for a client that got nothing.
    pub status: Option<u16>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// `forwarded`, `rewritten`, `observed`, `refused` or `error`.
    pub outcome: &'a str,
    /// The code of an error of ours, or what broke.
    pub error: Option<&'a str>,
    pub duration: Duration,
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
            .text_if(
                "client.address",
                self.client_address
                    .map(|address| address.to_string())
                    .as_deref(),
            )
            .text_if("user_agent.original", self.user_agent);
        if let Some(status) = self.status {
            line.number("http.response.status_code", u64::from(status));
        }
        line.number("http.request.size", self.request_bytes)
            .number("http.response.size", self.response_bytes)
            .text("outcome", self.outcome)
            .text_if("error.type", self.error)
            .milliseconds("duration_ms", self.duration);
        line.end();
        out.push(b'\n');
    }
}
