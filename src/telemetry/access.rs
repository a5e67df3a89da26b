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
            .address_if("client.address", self.client_address)
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
            duration: Duration::from_millis(12),
        }
        .write_line(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"timestamp":"1970-01-01T00:00:00.000Z","event":"access","request_id":"01JD","http.request.method":"GET","#,
                r#""url.scheme":"http","url.path":"/rest/1/***/crm.deal.list","network.protocol.version":"1.1","#,
                r#""client.address":"2001:db8::1","user_agent.original":"a \"quoted\" one","http.response.status_code":200,"#,
                r#""http.request.size":120,"http.response.size":4096,"outcome":"forwarded","duration_ms":12.000}"#,
                "\n"
            )
        );
    }
}
