//! The built binary as a black box: started on ports that the system chooses, watched through its outputs.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::client::{self, Client};
use super::portal::Portal;
use super::strict::Message;
use super::time::{wait_for_within, wait_until_or};
use super::wire::PATIENCE;

/// The binary that cargo built for the tests; a program that is no test says which one it means, and `B24_BINARY` names
/// another, as one built for release.
const BINARY: Option<&str> = option_env!("CARGO_BIN_EXE_b24-migration-proxy");

/// What is wanted of a proxy before it starts.
pub struct Wanted {
    folder: TempDir,
    arguments: Vec<String>,
    listen: bool,
    admin: String,
    log: Option<PathBuf>,
    binary: Option<PathBuf>,
}

/// The proxy in front of this upstream, with one listener on a free port and its log in a file of its own.
pub fn before(upstream: &str) -> Wanted {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Wanted {
        log: Some(folder.path().join("deprecated.jsonl")),
        folder,
        arguments: vec!["--upstream".into(), upstream.into()],
        binary: None,
        listen: true,
        admin: "127.0.0.1:0".into(),
    }
}

/// [`before`] this portal, started with these arguments.
pub fn start(portal: &Portal, arguments: &[&str]) -> Proxy {
    before(&portal.url()).with(arguments).start()
}

impl Wanted {
    /// More arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// This binary instead.
    pub fn binary(mut self, path: &Path) -> Self {
        self.binary = Some(path.to_owned());
        self
    }

    /// The deprecation log here instead.
    pub fn log(mut self, path: &Path) -> Self {
        self.log = Some(path.to_owned());
        self
    }

    /// The deprecation log on standard output.
    pub fn log_to_stdout(mut self) -> Self {
        self.log = None;
        self
    }

    /// No listener but those among the arguments.
    pub fn own_listeners(mut self) -> Self {
        self.listen = false;
        self
    }

    /// The admin address here instead.
    pub fn admin_on(mut self, address: &str) -> Self {
        address.clone_into(&mut self.admin);
        self
    }

    /// A folder that lives as long as the proxy.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command line as it will be run.
    pub fn command(&self) -> Command {
        let given = std::env::var_os("B24_BINARY").map(PathBuf::from);
        let binary = self.binary.as_deref().or(given.as_deref());
        let binary = binary.or(BINARY.map(Path::new));
        let mut command = Command::new(binary.expect("a binary to start"));
        command.arg("serve").args(&self.arguments);
        if self.listen {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(["--admin-listen", &self.admin, "--log-format", "json"]);
        match &self.log {
            Some(path) => command.arg("--deprecation-log").arg(path),
            None => command.args(["--deprecation-log", "-"]),
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("B24_PROXY_")) {
            command.env_remove(name);
        }
        command
    }

    /// Starts it and waits until `/readyz` says 200.
    pub fn start(self) -> Proxy {
        let command = self.command();
        self.start_as(command)
    }

    /// As [`Wanted::start`], by this command, which runs the one of [`Wanted::command`].
    pub fn start_as(self, mut command: Command) -> Proxy {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = Captured::of(child.stderr.take().expect("a pipe"));
        let stdout = Captured::of(child.stdout.take().expect("a pipe"));
        let mut proxy = Proxy {
            child,
            stdout,
            stderr,
            addresses: Vec::new(),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            log: self.log,
            folder: self.folder,
        };
        proxy.learn_addresses();
        proxy.await_ready();
        proxy
    }
}

/// An output, gathered as it comes.
#[derive(Clone)]
pub struct Captured(Arc<Output>);

/// The bytes so far and whether they are all; the bell rings at each change.
type Output = (Mutex<(Vec<u8>, bool)>, Condvar);

impl Captured {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let captured = Self(Arc::default());
        let inside = captured.0.clone();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            loop {
                let mut line = Vec::new();
                let ended = !matches!(pipe.read_until(b'\n', &mut line), Ok(1..));
                let mut text = inside.0.lock().unwrap_or_else(PoisonError::into_inner);
                text.0.extend_from_slice(&line);
                text.1 = ended;
                inside.1.notify_all();
                if ended {
                    break;
                }
            }
        });
        captured
    }

    /// What has come so far.
    pub fn text(&self) -> String {
        let text = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text.0).into_owned()
    }

    /// Waits until `find` finds what it looks for, or the output ends, or patience.
    pub fn wait_for<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let until = Instant::now() + PATIENCE;
        let mut text = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = find(&String::from_utf8_lossy(&text.0)) {
                return Some(found);
            }
            let left = until.saturating_duration_since(Instant::now());
            if text.1 || left.is_zero() {
                return None;
            }
            text = self
                .0
                .1
                .wait_timeout(text, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until the output has ended.
    pub fn wait_end(&self) {
        let until = Instant::now() + PATIENCE;
        let mut text = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !text.1 && Instant::now() < until {
            text = self
                .0
                .1
                .wait_timeout(text, Duration::from_millis(200))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// A proxy that runs. It is killed when dropped.
pub struct Proxy {
    child: Child,
    pub stdout: Captured,
    pub stderr: Captured,
    /// Where clients are served, in the order of the listeners that have an IP address.
    pub addresses: Vec<SocketAddr>,
    pub admin: SocketAddr,
    log: Option<PathBuf>,
    folder: TempDir,
}

impl Proxy {
    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// A folder that lives as long as the proxy.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection to it.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// One request on a connection of its own.
    pub fn call(&self, request: impl AsRef<[u8]>) -> Message {
        client::call(self.address(), request)
    }

    /// What the admin address answers to a GET.
    pub fn admin(&self, path: &str) -> Message {
        client::call(
            self.admin,
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        )
    }

    /// The deprecation log's file.
    pub fn log_path(&self) -> &Path {
        self.log.as_deref().expect("a log in a file")
    }

    /// The events in the log, one a line, but for those with which a run proves itself; every line must be whole JSON.
    pub fn events(&self) -> Vec<Value> {
        let text = match &self.log {
            Some(path) => std::fs::read_to_string(path).unwrap_or_default(),
            None => self.stdout.text(),
        };
        events_in(&text)
    }

    /// The process, for /proc.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("the process is there");
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) -> ExitStatus {
        self.wait_within(PATIENCE)
            .unwrap_or_else(|| panic!("the proxy does not end\n{}", self.stderr.text()))
    }

    /// As [`Proxy::wait`], for as long.
    pub fn wait_within(&mut self, wait: Duration) -> Option<ExitStatus> {
        let status = wait_for_within(wait, || self.child.try_wait().expect("a child to wait for"))?;
        self.stderr.wait_end();
        self.stdout.wait_end();
        Some(status)
    }

    /// SIGTERM, and its end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stdout.wait_end();
    }

    /// A figure of `/proc/PID/status`, as `VmRSS` in KiB or `Threads`.
    pub fn figure(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))
            .expect("the process is there");
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or_else(|| panic!("no {name} in its status"))
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .expect("the process is there")
            .count()
    }

    /// Forgets the highest memory so far, so that `VmHWM` counts from now.
    pub fn reset_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")
            .expect("the peak can be reset");
    }

    /// The value of the sample of `/metrics` that starts with `name` (labels included); 0 where there is none.
    pub fn metric(&self, name: &str) -> f64 {
        self.admin("/metrics")
            .text()
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter_map(|rest| rest.strip_prefix(' ')?.trim().parse::<f64>().ok())
            .sum()
    }

    fn learn_addresses(&mut self) {
        let found = self.stderr.wait_for(|text| {
            text.lines().find_map(|line| {
                let line: Value = serde_json::from_str(line).ok()?;
                let listen = said(&line, "listen")?;
                let admin = said(&line, "admin_listen").map(addresses);
                Some((addresses(listen), admin.unwrap_or_default()))
            })
        });
        let Some((listen, admin)) = found else {
            let _ = self.child.kill();
            panic!(
                "the proxy does not say where it listens:\n{}",
                self.stderr.text()
            );
        };
        self.addresses = listen;
        self.admin = admin.first().copied().unwrap_or(self.admin);
    }

    fn await_ready(&self) {
        if self.admin.port() == 0 {
            return;
        }
        wait_until_or(
            || self.admin("/readyz").status() == 200,
            || format!("the proxy does not become ready:\n{}", self.stderr.text()),
        );
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the proxy said\n{}", self.stderr.text());
        }
    }
}

/// The events in a log's text, but for those with which a run proves itself.
pub fn events_in(text: &str) -> Vec<Value> {
    all_events_in(text)
        .into_iter()
        .filter(|event| {
            !["start", "heartbeat", "stop"]
                .map(Value::from)
                .contains(&event["event"])
        })
        .collect()
}

/// All events in a log's text.
pub fn all_events_in(text: &str) -> Vec<Value> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("a line of the log is no JSON ({error}): {line}"))
        })
        .collect()
}

/// A field of an operational line, wherever the format keeps it.
fn said<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    line.get(name)
        .or_else(|| line.get("fields").and_then(|fields| fields.get(name)))
}

/// The IP addresses with ports in a value, a string or a list of them.
fn addresses(value: &Value) -> Vec<SocketAddr> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.split(|c: char| c == ',' || c == '"' || c == '/' || c.is_whitespace())
        .map(|word| word.trim_matches(['[', ']']).to_owned())
        .filter_map(|word| {
            word.parse()
                .ok()
                .or_else(|| format!("[{word}").parse().ok())
        })
        .collect()
}
