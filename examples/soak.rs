//! Mixed traffic for a long while, seeded, through the built binary: prints memory, descriptors and threads as they
//! stand whenever the traffic pauses, and ends with status 1 when they have grown.
//!
//! ```text
//! cargo run --release --example soak -- [--minutes 20] [--seed 1] [--callers 24]
//! ```
//!
//! The traffic: calls of all kinds on kept-alive connections, deprecated ones in every encoding, batches, large bodies
//! both ways, clients that leave or drip or send rubbish, tunnels, a portal that closes, resets, stalls and answers
//! nonsense, rotations of the log and reloads.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustix::process::Signal;

#[path = "../tests/it/support/mod.rs"]
mod support;

use support::Dice;
use support::client::{Client, deprecated_call, get, post};
use support::portal::{Portal, Visit};
use support::proxy::{self, Proxy};

/// What may be added between the first quiet moments and the last ones, in percent.
const TOLERANCE: u64 = 10;

/// How many pauses a run has.
const PAUSES: u32 = 20;

fn main() -> ExitCode {
    let minutes = number("--minutes", 20.0);
    let seed = number("--seed", 1.0) as u64;
    let callers = number("--callers", 24.0) as u64;
    let portal = Portal::start(moody);
    portal.forget_all();
    let limits = [
        "--response-timeout",
        "2s",
        "--upstream-body-timeout",
        "2s",
        "--body-timeout",
        "2s",
        "--header-timeout",
        "2s",
        "--keep-alive-timeout",
        "3s",
        "--pool-idle-timeout",
        "1s",
        "--tunnel-idle-timeout",
        "3s",
    ];
    let proxy = proxy::before(&portal.url())
        .binary(&binary())
        .with(&limits)
        .start();
    let world = Arc::new(World::default());
    let threads: Vec<_> = (0..callers)
        .map(|caller| {
            let (world, address) = (world.clone(), proxy.address());
            let dice = Dice::new(seed.wrapping_mul(1_000).wrapping_add(caller));
            std::thread::spawn(move || world.call_on(address, dice))
        })
        .collect();
    println!(
        "{:>8} {:>12} {:>10} {:>10} {:>12} {:>8}",
        "seconds", "calls", "failed", "RSS KiB", "descriptors", "threads"
    );
    let begun = Instant::now();
    let samples: Vec<Sample> = (1..=PAUSES)
        .map(|pause| {
            let until = Duration::from_secs_f64(minutes * 60.0) * pause / PAUSES;
            while begun.elapsed() < until {
                std::thread::sleep(Duration::from_millis(50));
            }
            let sample = world.pause(&proxy, u64::from(pause));
            println!(
                "{:>8} {:>12} {:>10} {:>10} {:>12} {:>8}",
                begun.elapsed().as_secs(),
                world.calls.load(Ordering::Relaxed),
                world.failed.load(Ordering::Relaxed),
                sample.resident,
                sample.descriptors,
                sample.threads
            );
            sample
        })
        .collect();
    world.stop.store(true, Ordering::SeqCst);
    for thread in threads {
        let _ = thread.join();
    }
    judge(&samples)
}

/// The value behind an option of the command line.
fn number(name: &str, default: f64) -> f64 {
    let mut words = std::env::args().skip_while(|word| word != name);
    words
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(default)
}

/// The proxy beside this program, built now, so that it is the one of these sources.
fn binary() -> PathBuf {
    let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    build.args(["build", "--bins"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(
        build.status().is_ok_and(|status| status.success()),
        "the proxy cannot be built"
    );
    let here = std::env::current_exe().expect("a program has a place");
    here.parent()
        .and_then(Path::parent)
        .expect("examples/ lies beside it")
        .join("b24-migration-proxy")
}

struct Sample {
    resident: u64,
    descriptors: u64,
    threads: u64,
}

/// Compares the last quarter of the pauses with the second one: the first is for warming up.
fn judge(samples: &[Sample]) -> ExitCode {
    let quarter = samples.len() / 4;
    let mut grown = false;
    for (name, figure) in [
        ("memory", (|one| one.resident) as fn(&Sample) -> u64),
        ("descriptors", |one| one.descriptors),
        ("threads", |one| one.threads),
    ] {
        let most = |part: &[Sample]| part.iter().map(figure).max().unwrap_or(0);
        let (early, late) = (
            most(&samples[quarter..2 * quarter]),
            most(&samples[3 * quarter..]),
        );
        let more = late > early + (early * TOLERANCE).div_ceil(100);
        println!(
            "{name}: {early} early, {late} late{}",
            if more { ": GROWN" } else { "" }
        );
        grown |= more;
    }
    if grown {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// What the callers share.
#[derive(Default)]
struct World {
    stop: AtomicBool,
    /// Held for reading by each caller during a call, for writing during a pause.
    quiet: RwLock<()>,
    calls: AtomicU64,
    /// Calls that ended in another way than their kind may.
    failed: AtomicUsize,
}

impl World {
    /// Stops the traffic, waits until idle connections have gone, and looks.
    fn pause(&self, proxy: &Proxy, pause: u64) -> Sample {
        let quiet = self.quiet.write().unwrap_or_else(PoisonError::into_inner);
        std::thread::sleep(Duration::from_secs(5));
        let away = proxy.log_path().with_extension("old");
        let _ = std::fs::rename(proxy.log_path(), away);
        proxy.signal(if pause.is_multiple_of(2) {
            Signal::HUP
        } else {
            Signal::USR1
        });
        std::thread::sleep(Duration::from_millis(200));
        let sample = Sample {
            resident: proxy.figure("VmRSS"),
            descriptors: proxy.descriptors() as u64,
            threads: proxy.figure("Threads"),
        };
        drop(quiet);
        sample
    }

    fn call_on(&self, address: std::net::SocketAddr, mut dice: Dice) {
        let mut kept: Option<Client> = None;
        while !self.stop.load(Ordering::SeqCst) {
            let turn = self.quiet.read().unwrap_or_else(PoisonError::into_inner);
            let fine = one_call(address, &mut dice, &mut kept);
            drop(turn);
            self.calls.fetch_add(1, Ordering::Relaxed);
            if !fine {
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_micros(dice.below(6_000) as u64));
        }
    }
}

const RESET: &str = "/rest/1/code/crm.lead.details.configuration.reset";

/// One call of some kind; false when it ended as it must not.
fn one_call(address: std::net::SocketAddr, dice: &mut Dice, kept: &mut Option<Client>) -> bool {
    let form = "application/x-www-form-urlencoded";
    let request = match dice.below(16) {
        0..=3 => get("/rest/1/code/crm.deal.list?filter[>ID]=5"),
        4 => deprecated_call(dice.below(1_000)),
        5 => post(RESET, form, "userId=1&extras[lead.customer.type]=2&scope=P"),
        6 => post(
            RESET,
            "multipart/form-data; boundary=B",
            "--B\r\nContent-Disposition: form-data; name=\"scope\"\r\n\r\nC\r\n--B--\r\n",
        ),
        7 => get(&format!("{RESET}.xml?scope=C&entityTypeId=7")),
        8 => post(
            "/rest/1/code/batch",
            "application/json",
            "{\"cmd\":{\"a\":\"crm.lead.details.configuration.reset?scope=C\",\"b\":\"crm.deal.list\"}}",
        ),
        9 => post(
            "/rest/1/code/crm.deal.add",
            "application/json",
            &"x".repeat(dice.below(400_000)),
        ),
        10 => get("/download"),
        11 => return misbehave(address, dice),
        12 => return faulty(address, dice),
        13 => return tunnel(address),
        14 => post(
            RESET,
            "application/json",
            &format!(
                "{{\"scope\":\"P\",\"data\":\"{}\"}}",
                "x".repeat(dice.below(300_000))
            ),
        ),
        _ => post(RESET, "application/json", "{not json"),
    };
    let fresh = dice.below(8) == 0;
    if fresh {
        *kept = None;
    }
    let client = kept.get_or_insert_with(|| Client::connect(address));
    let Ok(answer) = client.call(&request) else {
        // An idle connection may be closed by the proxy just now; on a new one that must not happen.
        *kept = None;
        return !fresh;
    };
    if answer.list("connection").contains(&"close".to_owned()) {
        *kept = None;
    }
    matches!(answer.status(), 200 | 400)
}

/// A client that leaves, drips or sends rubbish. Whatever comes of it, nobody is to hang.
fn misbehave(address: std::net::SocketAddr, dice: &mut Dice) -> bool {
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
fn faulty(address: std::net::SocketAddr, dice: &mut Dice) -> bool {
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

fn tunnel(address: std::net::SocketAddr) -> bool {
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
        if client.inbox.ended
            || !client
                .inbox
                .fill(&mut client.stream, support::wire::PATIENCE)
        {
            return false;
        }
    }
    client.inbox.bytes == b"hello"
}

/// The portal: does as the call asks.
fn moody(visit: &mut Visit) {
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
                visit.answer(200, "", &vec![b'x'; 700_000]);
            }
            _ => {
                visit.answer_to(&request, 200, "", b"{\"result\":true}");
            }
        }
    }
}
