//! The portal of the soak: answers what it got, so that a client can check it, or fails as the call asks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::portal::Visit;

/// The body of `/download`.
pub fn download() -> Vec<u8> {
    vec![b'x'; 700_000]
}

/// What the portal answers to a call: its target, and the length and a hash of its body.
pub fn echo(target: &str, body: &[u8]) -> Value {
    // FNV-1a: any difference shows, and nobody attacks it here.
    let hash = body.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    json!({ "result": { "target": target, "length": body.len(), "hash": format!("{hash:016x}") } })
}

/// Serves one connection.
pub fn serve(visit: &mut Visit) {
    while let Some(request) = visit.request() {
        if request.one("upgrade").is_some() {
            visit.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
            while let Some(bytes) = visit.raw(Duration::from_secs(10)) {
                visit.write(bytes);
            }
            return;
        }
        match request.one("x-fault").as_deref() {
            Some("close") => return,
            Some("reset") => return visit.reset(),
            Some("stall") => {
                visit.wait_closed(Duration::from_secs(10));
                return;
            }
            Some("nonsense") => {
                visit.write("nonsense\r\n\r\n");
                return;
            }
            Some("truncated") => {
                visit.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
                return;
            }
            Some("surplus") => {
                visit.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}surplus");
            }
            _ if request.target() == b"/download" => {
                visit.answer(200, "", &download());
            }
            _ => {
                let target = String::from_utf8_lossy(request.target());
                let answer = echo(&target, &request.body).to_string();
                let json = "Content-Type: application/json\r\n";
                visit.answer_to(&request, 200, json, answer.as_bytes());
            }
        }
    }
}
