//! Replicas that share the portal's limit through a real Redis, also while it is hung, killed and restarted empty.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::pacing::{
    Planned, carry_out_by, exactly_once, nineteen_and_a_flood, portal, scale, used,
};
use crate::support::authority::{Authority, Kind};
use crate::support::figure;
use crate::support::proxy::{self, Proxy};
use crate::support::time::{pause, wait_until};

/// A Redis of Debian's, killed when dropped.
struct Redis {
    child: Child,
    port: u16,
    password: Option<&'static str>,
}

impl Redis {
    /// Starts one; `None`, and said so, where there is none on this machine.
    fn start(port: Option<u16>, password: Option<&'static str>) -> Option<Redis> {
        let port = port.unwrap_or_else(|| {
            let free = TcpListener::bind("127.0.0.1:0").expect("a port");
            free.local_addr().expect("an address").port()
        });
        let mut command = Command::new("redis-server");
        command
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                "/tmp",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(password) = password {
            command.args(["--requirepass", password]);
        }
        let Ok(child) = command.spawn() else {
            eprintln!("skipped: redis-server is not installed (apt-get install redis-server)");
            return None;
        };
        let redis = Redis {
            child,
            port,
            password,
        };
        wait_until("redis listens", || {
            TcpStream::connect(redis.address()).is_ok()
        });
        Some(redis)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("it is there");
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn up(proxy: &Proxy) -> bool {
    proxy.metric("b24_proxy_rate_store_up") == 1.0
}

fn replicas(portal: &str, limit: &str, store: &str, patience: Duration) -> Vec<Proxy> {
    (0..3)
        .map(|_| {
            proxy::before(portal)
                .with(&[
                    "--portal-rate",
                    limit,
                    "--rate-store",
                    store,
                    "--replicas",
                    "3",
                    "--queue-timeout",
                    &format!("{}s", patience.as_secs()),
                ])
                .start()
        })
        .collect()
}

/// The nineteen and the flood against three replicas; what happens to the store meanwhile is `trouble`. Gives what of
/// the limit was used.
fn shared(
    seconds_more: u64,
    part: f64,
    patience: Duration,
    trouble: impl FnOnce(&mut Redis) + Send,
) -> Option<f64> {
    let (depth, rate, seconds) = scale();
    let seconds = seconds + seconds_more;
    let mut redis = Redis::start(None, None)?;
    let portal = portal(depth, rate);
    let limit = if depth == 50.0 {
        "cloud".to_owned()
    } else {
        format!("{depth}:{rate}")
    };
    let proxies = replicas(&portal.sandbox.url(), &limit, &redis.url(), patience);
    wait_until("all reach the store", || proxies.iter().all(up));
    let addresses: Vec<SocketAddr> = proxies.iter().map(Proxy::address).collect();
    let plan = nineteen_and_a_flood(rate, seconds, part, 2);
    let got = std::thread::scope(|scope| {
        scope.spawn(|| trouble(&mut redis));
        carry_out_by(&addresses, plan)
    });
    let lost: Vec<_> = got
        .iter()
        .filter(|call| call.client != 99 && call.status != 200)
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    exactly_once(&portal, &got);
    assert!(
        got.iter()
            .all(|call| call.took < patience + Duration::from_secs(1)),
        "a call waited for the store"
    );
    let used = used(&got, depth, rate, Duration::from_secs(seconds));
    figure(
        "used of what the portal allows, by three replicas",
        format!("{:.1} %", 100.0 * used),
    );
    for proxy in &proxies {
        let said = |text: &str| proxy.stderr.text().matches(text).count();
        assert!(said("does not answer") <= 4, "{}", proxy.stderr.text());
    }
    Some(used)
}

#[test]
fn three_replicas_share_one_limit() {
    if let Some(used) = shared(0, 0.6, Duration::from_secs(5), |_| {}) {
        // Small, it runs beside all other tests: a thread that gets no processor asks late.
        let heavy = std::env::var_os("B24_HEAVY").is_some();
        assert!(used >= if heavy { 0.95 } else { 0.85 }, "{used}");
    }
}

#[test]
fn a_store_that_hangs_or_is_restarted_empty_loses_no_call_and_doubles_none() {
    let (_, _, seconds) = scale();
    let part = Duration::from_secs(seconds) / 5;
    // While the store is away, each replica has a third of the rate, so that bursts take longer.
    let used = shared(2, 0.4, Duration::from_secs(10), |redis| {
        pause(part, "a part of the run with the store as it is");
        redis.signal(Signal::STOP);
        pause(part, "a part of the run with the store as it is");
        redis.signal(Signal::CONT);
        pause(part, "a part of the run with the store as it is");
        redis.kill();
        pause(part, "a part of the run with the store as it is");
        if let Some(again) = Redis::start(Some(redis.port), redis.password) {
            *redis = again;
        }
        pause(part, "a part of the run with the store as it is");
    });
    if let Some(used) = used {
        // While the store is away, a replica without a flood leaves some of its part unused.
        // Small, it runs beside all other tests, and a store that is asked late counts as one that is away.
        let heavy = std::env::var_os("B24_HEAVY").is_some();
        assert!(used >= if heavy { 0.75 } else { 0.6 }, "{used}");
    }
}

#[test]
fn a_store_that_is_away_at_the_start_is_no_reason_not_to_start_and_is_found_later() {
    let Some(mut redis) = Redis::start(None, Some("s3cret")) else {
        return;
    };
    redis.kill();
    let portal = portal(50.0, 50.0);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("password");
    std::fs::write(&file, "s3cret\n").expect("written");
    let proxy = proxy::before(&portal.sandbox.url())
        .with(&["--portal-rate", "50:50", "--rate-store", &redis.url()])
        .with(&[
            "--rate-store-password-file",
            file.to_str().expect("a name"),
            "--egress",
            "office",
        ])
        .start();
    let call = "GET /rest/1/sandboxcode/crm.item.details.configuration.get?entityTypeId=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(proxy.call(call).status(), 200);
    wait_until("it says that the store is away", || {
        proxy.stderr.text().contains("does not answer")
    });
    assert!(!up(&proxy));
    let redis = Redis::start(Some(redis.port), Some("s3cret")).expect("it is installed");
    wait_until("it comes back by itself", || up(&proxy));
    assert_eq!(proxy.call(call).status(), 200);
    let said = proxy.stderr.text();
    assert_eq!(said.matches("does not answer").count(), 1, "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let keys = Command::new("redis-cli")
        .args([
            "-p",
            &redis.port.to_string(),
            "-a",
            "s3cret",
            "--no-auth-warning",
            "keys",
            "*",
        ])
        .output()
        .expect("redis-cli");
    let keys = String::from_utf8_lossy(&keys.stdout).into_owned();
    assert!(
        keys.starts_with("b24:pace:{127.0.0.1:") && keys.contains("/office}"),
        "{keys}"
    );
}

/// A command for the Redis at this socket.
fn tell(socket: &Path, words: &[&str]) {
    let mut command = Command::new("redis-cli");
    let told = command.arg("-s").arg(socket).args(words).output();
    let told = told.expect("redis-cli");
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(said.starts_with("OK"), "{words:?}: {said}");
}

#[test]
fn the_store_is_reached_by_its_socket_and_over_tls_by_a_user_of_few_rights() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new(folder.path(), "authority");
    let issued = authority.issue("redis", &["localhost"], Kind::Ecdsa);
    let socket = folder.path().join("redis.sock");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let paths = [&issued.certificate, &issued.key, &authority.certificate];
    let [certificate, key, trusted] = paths.map(|path| path.to_str().expect("a name"));
    let mut command = Command::new("redis-server");
    command
        .args([
            "--port",
            "0",
            "--save",
            "",
            "--appendonly",
            "no",
            "--bind",
            "127.0.0.1",
        ])
        .args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"])
        .args(["--tls-cert-file", certificate, "--tls-key-file", key])
        .args(["--tls-ca-cert-file", trusted])
        .arg("--unixsocket")
        .arg(&socket)
        .current_dir(folder.path())
        .stdout(Stdio::null());
    let Ok(child) = command.spawn() else {
        eprintln!("skipped: redis-server is not installed (apt-get install redis-server)");
        return;
    };
    let _redis = Redis {
        child,
        port,
        password: None,
    };
    wait_until("redis listens", || UnixStream::connect(&socket).is_ok());
    // The rights that docs/PACING.md names.
    let rights = "+eval +evalsha +script|load +hgetall +hset +hdel +pexpire +time";
    let mut user = vec!["ACL", "SETUSER", "b24", "on", ">s3cret", "~b24:pace:*"];
    user.extend(rights.split(' '));
    tell(&socket, &user);
    let password = folder.path().join("password");
    std::fs::write(&password, "s3cret").expect("written");
    let portal = portal(50.0, 50.0);
    let by = |url: &str, trusts: bool| {
        let wanted = proxy::before(&portal.sandbox.url())
            .with(&["--portal-rate", "50:50", "--rate-store", url])
            .with(&["--rate-store-user", "b24", "--rate-store-password-file"])
            .with(&[password.to_str().expect("a name")]);
        let mut command = wanted.command();
        if trusts {
            command.env("SSL_CERT_FILE", trusted);
        }
        wanted.start_as(command)
    };
    let by_socket = by(&format!("unix:{}", socket.display()), false);
    let over_tls = by(&format!("rediss://localhost:{port}"), true);
    wait_until("both reach the store", || up(&by_socket) && up(&over_tls));
    // A store that has forgotten the script is told it again.
    tell(&socket, &["SCRIPT", "FLUSH"]);
    let call = "GET /rest/1/sandboxcode/crm.item.details.configuration.get?entityTypeId=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for proxy in [&by_socket, &over_tls] {
        assert_eq!(proxy.call(call).status(), 200);
        assert!(up(proxy), "{}", proxy.stderr.text());
        assert!(!proxy.stderr.text().contains("does not answer"));
    }
    let untrusting = by(&format!("rediss://localhost:{port}"), false);
    wait_until("it says why", || {
        untrusting
            .stderr
            .text()
            .contains("certificate is not trusted")
    });
}

#[test]
fn replicas_with_addresses_of_their_own_do_not_share() {
    let Some(redis) = Redis::start(None, None) else {
        return;
    };
    let portal = portal(50.0, 50.0);
    let proxies: Vec<Proxy> = ["a", "b"]
        .iter()
        .map(|egress| {
            proxy::before(&portal.sandbox.url())
                .with(&[
                    "--portal-rate",
                    "4:0.05",
                    "--queue-timeout",
                    "1s",
                    "--rate-store",
                    &redis.url(),
                    "--egress",
                    egress,
                ])
                .start()
        })
        .collect();
    wait_until("both reach the store", || proxies.iter().all(up));
    for proxy in &proxies {
        let plan = (0..6)
            .map(|client| Planned {
                at: Duration::ZERO,
                client,
            })
            .collect();
        let got = carry_out_by(&[proxy.address()], plan);
        assert_eq!(
            got.iter().filter(|call| call.status == 200).count(),
            4,
            "{got:?}"
        );
    }
}

#[test]
fn a_store_that_cannot_be_meant_is_told_in_one_line() {
    for (arguments, told) in [
        (
            &["--rate-store", "redis://user:s3cret@127.0.0.1"][..],
            "--rate-store-password-file",
        ),
        (&["--rate-store", "http://127.0.0.1"], "only redis://"),
        (&["--rate-store", "127.0.0.1:6379"], "no redis://"),
        (&["--rate-store", "redis://127.0.0.1/x"], "database"),
        (
            &["--rate-store", "redis://127.0.0.1", "--portal-rate", "off"],
            "nothing is shared",
        ),
        (&["--rate-store-user", "x"], "no --rate-store"),
        (
            &[
                "--rate-store",
                "redis://127.0.0.1",
                "--rate-store-password-file",
                "/nowhere/x",
            ],
            "rate store's password",
        ),
        (&["--egress", "a b"], "letters"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_b24-migration-proxy"))
            .args([
                "serve",
                "--upstream",
                "http://127.0.0.1:1",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "off",
            ])
            .args(arguments)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(
            said.contains(told) && !said.contains("s3cret"),
            "{arguments:?}: {said}"
        );
    }
}
