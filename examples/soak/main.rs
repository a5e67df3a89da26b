//! Mixed traffic for a long while, seeded, through the built binary: checks every answer, prints memory, descriptors
//! and threads each ten seconds, and ends with status 1 when they have grown or a call ended as it must not.
//!
//! ```text
//! cargo run --release --example soak -- [--minutes 20] [--seed 1] [--callers 24] [--rate 800] [--every 10]
//!                                       [--binary PATH]
//! ```
//!
//! A third of the callers each speaks HTTP/1.1, HTTP/1.1 over TLS, and HTTP/2 over TLS with up to six streams at once.
//! Their calls: forwarded, watched and translated ones in every encoding, batches, large bodies both ways, refused
//! ones. Over plain HTTP/1.1 there are also clients that leave or send rubbish, tunnels, and a portal that closes,
//! resets, stalls and answers nonsense. Each sixth sample is taken at rest: the traffic pauses until idle connections
//! have gone. Then the log must have a line for each deprecated call that was answered; it is rotated, and SIGHUP or
//! SIGUSR1 follows.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustix::process::Signal;

mod callers;
mod http2;
mod portal;
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod traffic;

use callers::Caller;
use support::portal::Portal;
use support::proxy::{self, Proxy};
use support::tls;
use traffic::Call;

/// What may be added between the second quarter of a run and the last one, in percent.
const TOLERANCE: u64 = 10;

/// Every sixth sample is taken at rest.
const AT_REST: u32 = 6;

/// How many failures are told in words.
const TOLD: u64 = 20;

fn main() -> ExitCode {
    let minutes: f64 = option("--minutes").unwrap_or(20.0);
    let seed: u64 = option("--seed").unwrap_or(1);
    let count: u64 = option("--callers").unwrap_or(24);
    let rate: f64 = option("--rate").unwrap_or(800.0);
    let every = Duration::from_secs_f64(option("--every").unwrap_or(10.0));
    let binary: PathBuf = option("--binary").unwrap_or_else(build);
    let portal = Portal::start(portal::serve);
    portal.forget_all();
    let (proxy, trusted) = start(&binary, &portal);
    let world = Arc::new(World::default());
    let callers: Vec<_> = (0..count)
        .map(|number| {
            let turn = Duration::from_secs_f64(count as f64 / rate);
            let caller = Caller::new(number, seed, &proxy, &trusted, turn);
            let world = world.clone();
            std::thread::spawn(move || caller.call(&world))
        })
        .collect();
    println!(
        "| seconds | | calls | failed | RSS KiB | descriptors | threads |\n|--:|---|--:|--:|--:|--:|--:|"
    );
    let begun = Instant::now();
    let mut samples = Vec::new();
    for number in 1.. {
        let due = every * number;
        if due > Duration::from_secs_f64(minutes * 60.0) {
            break;
        }
        std::thread::sleep(due.saturating_sub(begun.elapsed()));
        let sample = if number % AT_REST == 0 {
            world.pause(&proxy, number / AT_REST)
        } else {
            Sample::of(&proxy, false)
        };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            begun.elapsed().as_secs(),
            if sample.at_rest { "at rest" } else { "busy" },
            world.calls.load(Ordering::Relaxed),
            world.failed.load(Ordering::Relaxed),
            sample.resident,
            sample.descriptors,
            sample.threads
        );
        samples.push(sample);
    }
    world.stop.store(true, Ordering::SeqCst);
    for caller in callers {
        if caller.join().is_err() {
            world.failure("a caller panicked");
        }
    }
    println!("\n{}", world.kinds());
    judge(&samples, world.failed.load(Ordering::SeqCst))
}

/// The value behind an option of the command line.
fn option<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::args().skip_while(|word| word != name).nth(1)?;
    let read = value.parse().ok();
    assert!(read.is_some(), "{name} {value} has no meaning");
    read
}

/// Builds the proxy beside this program, so that it is the one of these sources.
fn build() -> PathBuf {
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

/// Starts the proxy with a plain listener and one that speaks TLS; the second value trusts its certificate.
fn start(binary: &Path, portal: &Portal) -> (Proxy, Arc<rustls::ClientConfig>) {
    let wanted = proxy::before(&portal.url());
    let pair = tls::pair(wanted.folder(), "soak");
    let trusted = tls::client(&[&pair]);
    let short = [
        "--response-timeout=2s",
        "--upstream-body-timeout=2s",
        "--body-timeout=2s",
        "--header-timeout=2s",
        "--keep-alive-timeout=3s",
        "--pool-idle-timeout=1s",
        "--tunnel-idle-timeout=3s",
    ];
    let proxy = wanted
        .binary(binary)
        .own_listeners()
        .with(&["--listen=http://127.0.0.1:0", "--listen=127.0.0.1:0"])
        .with(&["--tls-cert", &pair.certificate.display().to_string()])
        .with(&["--tls-key", &pair.key.display().to_string()])
        .with(&["--http2"])
        .with(&short)
        .start();
    (proxy, trusted)
}

struct Sample {
    at_rest: bool,
    resident: u64,
    descriptors: u64,
    threads: u64,
}

impl Sample {
    fn of(proxy: &Proxy, at_rest: bool) -> Self {
        Self {
            at_rest,
            resident: proxy.figure("VmRSS"),
            descriptors: proxy.descriptors() as u64,
            threads: proxy.figure("Threads"),
        }
    }
}

/// Compares the last quarter of the samples with the second one: the first is for warming up. At rest the highest
/// counts; while calls are made, the middle.
fn judge(samples: &[Sample], failed: u64) -> ExitCode {
    let mut flat = true;
    for at_rest in [true, false] {
        let samples: Vec<&Sample> = samples
            .iter()
            .filter(|one| one.at_rest == at_rest)
            .collect();
        let quarter = samples.len() / 4;
        let state = if at_rest { "at rest" } else { "busy" };
        if quarter == 0 {
            println!("{state}: too few samples to judge");
            continue;
        }
        for (name, figure) in [
            ("memory", (|one| one.resident) as fn(&Sample) -> u64),
            ("descriptors", |one| one.descriptors),
            ("threads", |one| one.threads),
        ] {
            let of = |part: &[&Sample]| {
                let mut figures: Vec<u64> = part.iter().map(|one| figure(one)).collect();
                figures.sort_unstable();
                figures[if at_rest {
                    figures.len() - 1
                } else {
                    figures.len() / 2
                }]
            };
            let early = of(&samples[quarter..2 * quarter]);
            let late = of(&samples[samples.len() - quarter..]);
            let more = late > early + (early * TOLERANCE).div_ceil(100);
            let verdict = if more { "GROWN" } else { "flat" };
            println!("{name} {state}: {early} early, {late} late: {verdict}");
            flat &= !more;
        }
    }
    if flat && failed == 0 {
        println!("flat, and each call ended as it must");
        ExitCode::SUCCESS
    } else {
        println!(
            "FAILED: {}, {failed} calls failed",
            if flat { "flat" } else { "grown" }
        );
        ExitCode::FAILURE
    }
}

/// What the callers share.
#[derive(Default)]
pub struct World {
    stop: AtomicBool,
    /// Held for reading by each caller during a call, for writing during a pause.
    quiet: RwLock<()>,
    calls: AtomicU64,
    /// Calls that ended in another way than their kind may.
    failed: AtomicU64,
    plain: AtomicU64,
    over_tls: AtomicU64,
    by_http2: AtomicU64,
    /// Lines that the log must have since its last rotation.
    rewritten: AtomicU64,
    observed: AtomicU64,
}

impl World {
    /// Counts these calls and what went wrong.
    fn count(&self, calls: &[Call], faults: &[Option<String>]) {
        for (call, fault) in calls.iter().zip(faults) {
            self.one(fault.as_deref());
            if fault.is_none() {
                self.rewritten.fetch_add(call.rewritten, Ordering::Relaxed);
                self.observed.fetch_add(call.observed, Ordering::Relaxed);
            }
        }
    }

    fn one(&self, fault: Option<&str>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if let Some(fault) = fault {
            self.failure(fault);
        }
    }

    fn failure(&self, fault: &str) {
        if self.failed.fetch_add(1, Ordering::Relaxed) < TOLD {
            eprintln!("failed: {fault}");
        }
    }

    fn kinds(&self) -> String {
        let [plain, over_tls, by_http2] = [&self.plain, &self.over_tls, &self.by_http2]
            .map(|count| count.load(Ordering::Relaxed));
        format!("{plain} calls over HTTP/1.1, {over_tls} over TLS, {by_http2} over HTTP/2")
    }

    /// Stops the traffic, waits until idle connections have gone, looks, and rotates the log.
    fn pause(&self, proxy: &Proxy, pause: u32) -> Sample {
        let quiet = self.quiet.write().unwrap_or_else(PoisonError::into_inner);
        std::thread::sleep(Duration::from_secs(5));
        self.look_at_log(proxy.log_path());
        let away = proxy.log_path().with_extension("old");
        let _ = std::fs::rename(proxy.log_path(), away);
        proxy.signal(if pause.is_multiple_of(2) {
            Signal::HUP
        } else {
            Signal::USR1
        });
        std::thread::sleep(Duration::from_millis(200));
        let sample = Sample::of(proxy, true);
        drop(quiet);
        sample
    }

    /// Calls of clients that left may have more lines than calls were answered, but never fewer.
    fn look_at_log(&self, log: &Path) {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        for (action, due) in [("rewritten", &self.rewritten), ("observed", &self.observed)] {
            let due = due.swap(0, Ordering::SeqCst);
            let found = text.matches(&format!("\"action\":\"{action}\"")).count() as u64;
            if found < due {
                self.failure(&format!(
                    "{due} calls {action}, but {found} lines in the log"
                ));
            }
        }
    }
}
