//! The clients of the soak: who calls over which protocol, and the ones that misbehave.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::World;
use crate::http2;
use crate::support::client::{Client, deprecated_call};
use crate::support::proxy::Proxy;
use crate::support::{Dice, wire};
use crate::traffic::Call;

/// A kept connection that was idle for longer may have been closed by the proxy.
const STALE: Duration = Duration::from_millis(1_500);

/// One client, on a thread of its own.
pub struct Caller {
    way: Way,
    dice: Dice,
    /// Numbers its calls, differently from all others'.
    next: u64,
    /// How long a call and the time to the next one take on average.
    turn: Duration,
}

enum Way {
    Plain(SocketAddr),
    Tls(SocketAddr, Arc<rustls::ClientConfig>),
    Http2(Box<http2::Client>),
}

impl Caller {
    /// The caller of this number.
    pub fn new(
        number: u64,
        seed: u64,
        proxy: &Proxy,
        trusted: &Arc<rustls::ClientConfig>,
        turn: Duration,
    ) -> Self {
        let [plain, tls] = [0, 1].map(|at| proxy.addresses[at]);
        Self {
            way: match number % 3 {
                0 => Way::Plain(plain),
                1 => Way::Tls(tls, trusted.clone()),
                _ => Way::Http2(Box::new(http2::Client::new(tls, trusted))),
            },
            dice: Dice::new(seed.wrapping_mul(1_000).wrapping_add(number)),
            next: number * 1_000_000_000,
            turn,
        }
    }

    /// Calls until the world stops.
    pub fn call(mut self, world: &World) {
        let mut kept: Option<Client> = None;
        // When the kept connection was last used.
        let mut last = Instant::now();
        while !world.stop.load(Ordering::SeqCst) {
            let quiet = world.quiet.read().unwrap_or_else(PoisonError::into_inner);
            let fresh = self.dice.below(8) == 0 || last.elapsed() > STALE;
            let begun = Instant::now();
            let made = match &mut self.way {
                Way::Plain(address) if self.dice.below(6) == 0 => {
                    let fault = misbehave(*address, &mut self.dice);
                    world.one(fault.as_deref());
                    world.plain.fetch_add(1, Ordering::Relaxed);
                    1
                }
                Way::Http2(client) => {
                    if fresh {
                        client.leave();
                    }
                    let count = 1 + self.dice.below(6) as u64;
                    let calls: Vec<_> = (1..=count)
                        .map(|number| Call::any(&mut self.dice, self.next + number))
                        .collect();
                    world.count(&calls, &client.calls(&calls));
                    last = Instant::now();
                    world.by_http2.fetch_add(count, Ordering::Relaxed);
                    count
                }
                Way::Plain(_) | Way::Tls(..) => {
                    if fresh {
                        kept = None;
                    }
                    let client = kept.get_or_insert_with(|| match &self.way {
                        Way::Tls(address, trusted) => {
                            Client::connect_tls(*address, trusted.clone())
                        }
                        Way::Plain(address) => Client::connect(*address),
                        Way::Http2(_) => unreachable!("has a client of its own"),
                    });
                    let call = Call::any(&mut self.dice, self.next + 1);
                    let (fault, stays) = by_http1(client, &call);
                    last = Instant::now();
                    if !stays {
                        kept = None;
                    }
                    world.count(&[call], &[fault]);
                    let kind = match self.way {
                        Way::Plain(_) => &world.plain,
                        _ => &world.over_tls,
                    };
                    kind.fetch_add(1, Ordering::Relaxed);
                    1
                }
            };
            drop(quiet);
            self.next += made;
            let turn = self.turn * made as u32;
            let part = turn.mul_f64(self.dice.below(2_000) as f64 / 1_000.0);
            std::thread::sleep(part.saturating_sub(begun.elapsed()));
        }
    }
}

/// What went wrong with a call over HTTP/1.1, and whether its connection can be used again.
fn by_http1(client: &mut Client, call: &Call) -> (Option<String>, bool) {
    match client.call(call.request()) {
        Ok(answer) => {
            let closes = answer.list("connection").contains(&"close".to_owned());
            let fault = call.fault(answer.status(), &answer.body);
            let stays = fault.is_none() && !closes;
            (fault, stays)
        }
        Err(lost) => {
            let lost: String = format!("{lost:?}").chars().take(300).collect();
            (Some(format!("HTTP/1.1, {}: {lost}", call.target)), false)
        }
    }
}

/// A client that misbehaves, a portal that does, or a tunnel; what went wrong otherwise than it must.
fn misbehave(address: SocketAddr, dice: &mut Dice) -> Option<String> {
    let (what, fine) = match dice.below(3) {
        0 => ("a client that leaves", leave(address, dice)),
        1 => ("a portal that fails", faulty(address, dice)),
        _ => ("a tunnel", tunnel(address)),
    };
    (!fine).then(|| what.to_owned())
}

/// A client that leaves, or sends rubbish. Whatever comes of it, nobody may hang.
fn leave(address: SocketAddr, dice: &mut Dice) -> bool {
    let mut client = Client::connect(address);
    let whole = deprecated_call(1);
    let cut = dice.below(whole.len());
    match dice.below(5) {
        0 => {
            client.send(&whole.as_bytes()[..cut]);
        }
        1 => {
            client.send(&whole);
        }
        2 => {
            client.send(&whole);
            client.stream.reset_on_close();
        }
        3 => {
            client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
            return client
                .response("POST")
                .is_ok_and(|answer| answer.status() == 400);
        }
        _ => {
            client.send("rubbish\r\n\r\n");
            return client
                .response("GET")
                .is_ok_and(|answer| answer.status() == 400);
        }
    }
    true
}

/// A call whose answer goes wrong at the portal.
fn faulty(address: SocketAddr, dice: &mut Dice) -> bool {
    let fault = *dice.pick(&[
        "close",
        "reset",
        "stall",
        "nonsense",
        "truncated",
        "surplus",
    ]);
    let request = deprecated_call(1).replacen("\r\n", &format!("\r\nX-Fault: {fault}\r\n"), 1);
    match Client::connect(address).call(request) {
        Ok(answer) => matches!(answer.status(), 200 | 502 | 504),
        Err(_) => fault == "truncated",
    }
}

fn tunnel(address: SocketAddr) -> bool {
    let mut client = Client::connect(address);
    client
        .send("GET /sub HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    if !client
        .response("GET")
        .is_ok_and(|answer| answer.status() == 101)
    {
        return false;
    }
    client.send("hello");
    while client.inbox.bytes.len() < 5 {
        if client.inbox.ended || !client.inbox.fill(&mut client.stream, wire::PATIENCE) {
            return false;
        }
    }
    client.inbox.bytes == b"hello"
}
