//! The proxies that are compared: how each is started, and what its processes used.
use std::fs;
use std::io::{Error, Result};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A proxy to compare.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Candidate {
    /// This repository's.
    Ours,
    /// The same on two threads, which go where they like.
    OursTwo,
    /// nginx, streaming, with wide buffers.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// nginx with the rewrite as a script.
    NginxLua,
}

impl Candidate {
    /// As it is called in tables and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursTwo => "ours-two-threads",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::NginxLua => "nginx-lua",
        }
    }

    /// Whether it translates and logs deprecated calls.
    pub fn translates(self) -> bool {
        matches!(self, Self::Ours | Self::OursTwo | Self::NginxLua)
    }

    fn command(self, at: &Place<'_>) -> Result<Command> {
        let (program, arguments) = match self {
            Self::Ours | Self::OursTwo => (at.binary.to_owned(), ours(self, at)?),
            Self::Nginx | Self::NginxLua => {
                let file = at.folder.join("nginx.conf");
                fs::write(&file, nginx(self == Self::NginxLua, at))?;
                let folder = at.folder.display().to_string();
                let arguments = vec![
                    "-p".into(),
                    folder,
                    "-c".into(),
                    file.display().to_string(),
                    "-e".into(),
                    at.folder.join("error.log").display().to_string(),
                ];
                ("nginx".into(), arguments)
            }
            Self::Haproxy => {
                let file = at.folder.join("haproxy.cfg");
                fs::write(&file, haproxy(at))?;
                let arguments = vec!["-db".into(), "-f".into(), file.display().to_string()];
                ("haproxy".into(), arguments)
            }
        };
        let mut command = if self == Self::OursTwo {
            Command::new(program)
        } else {
            let mut pinned = Command::new("taskset");
            pinned.args(["-c", "0"]);
            if let Some(tool) = at.under {
                pinned.args(["valgrind", "--trace-children=yes"]);
                pinned.args(tool.arguments(at.folder));
            }
            pinned.arg(program);
            pinned
        };
        command.args(arguments);
        Ok(command)
    }
}

/// What of valgrind counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// User-mode instructions.
    Callgrind,
    /// Blocks taken from the allocator; a `realloc` is one, too.
    Dhat,
}

impl Tool {
    fn arguments(self, folder: &Path) -> Vec<String> {
        let file = |name: &str| folder.join(name).display().to_string();
        match self {
            Self::Callgrind => vec![
                "--tool=callgrind".into(),
                format!("--callgrind-out-file={}", file("callgrind.%p")),
            ],
            Self::Dhat => vec![
                "--tool=dhat".into(),
                "--num-callers=1".into(),
                format!("--dhat-out-file={}", file("profile.%p")),
                format!("--log-file={}", file("dhat.%p")),
            ],
        }
    }

    /// What it has counted in all that ran in this folder and has ended.
    pub fn counted(self, folder: &Path) -> Result<u64> {
        let (prefix, label, unit) = match self {
            Self::Callgrind => ("callgrind.", "totals: ", ""),
            Self::Dhat => ("dhat.", "Total: ", " in "),
        };
        let mut sum = 0;
        for file in fs::read_dir(folder)? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with(prefix) {
                let text = fs::read_to_string(file.path())?;
                // `totals: 123`, and `==1== Total:     1,234 bytes in 56 blocks`.
                sum += text
                    .lines()
                    .find_map(|line| line.split_once(label))
                    .and_then(|(_, rest)| rest.split_once(unit).map(|(_, count)| count.trim()))
                    .and_then(|rest| rest.split(' ').next())
                    .and_then(|count| count.replace(',', "").parse::<u64>().ok())
                    .unwrap_or(0);
            }
        }
        Ok(sum)
    }
}

/// How a proxy is set up.
#[derive(Clone, Copy, Default)]
pub struct Setup {
    /// Whether clients speak TLS.
    pub tls: bool,
    /// Whether they speak HTTP/2 over it.
    pub http2: bool,
    /// Whether watched calls are summed up instead of logged each; of ours alone.
    pub hourly: bool,
    /// Rules of one's own beside those that ship; of ours alone.
    pub own_rules: usize,
}

impl Setup {
    /// HTTP/1.1, and all else as it ships.
    pub const PLAIN: Self = Self {
        tls: false,
        http2: false,
        hourly: false,
        own_rules: 0,
    };
}

/// Where a candidate runs.
pub struct Place<'p> {
    /// Its own folder.
    pub folder: &'p Path,
    /// The folder of `cert.pem`, `key.pem` and both in `both.pem`.
    pub certificate: &'p Path,
    /// Our binary.
    pub binary: &'p Path,
    /// The portal.
    pub portal: SocketAddr,
    /// Where it is to listen.
    pub listen: SocketAddr,
    /// How it is set up.
    pub setup: Setup,
    /// What of valgrind it runs under, which counts.
    pub under: Option<Tool>,
}

fn ours(candidate: Candidate, at: &Place<'_>) -> Result<Vec<String>> {
    let threads = if candidate == Candidate::OursTwo {
        "2"
    } else {
        "1"
    };
    let mut arguments = vec![
        "serve".into(),
        format!("--upstream=http://{}", at.portal),
        format!("--listen={}", at.listen),
        "--admin-listen=off".into(),
        format!("--deprecation-log={}", at.folder.join("log").display()),
        format!("--threads={threads}"),
    ];
    if at.setup.http2 {
        arguments.push("--http2".into());
    }
    if at.setup.hourly {
        arguments.push("--watched-log=hourly".into());
    }
    if at.setup.tls {
        for (option, file) in [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")] {
            arguments.push(format!("{option}={}", at.certificate.join(file).display()));
        }
    }
    if at.setup.own_rules > 0 {
        let file = at.folder.join("rules.json");
        let rules: Vec<_> = (0..at.setup.own_rules)
            .map(|n| {
                serde_json::json!({
                    "method": format!("vendor{}.module.entity{n}.list", n % 7),
                    "successor": format!("vendor{}.module.item{n}.list", n % 7),
                })
            })
            .collect();
        fs::write(&file, serde_json::json!({ "rules": rules }).to_string())?;
        arguments.push(format!("--rules={}", file.display()));
    }
    Ok(arguments)
}

fn nginx(lua: bool, at: &Place<'_>) -> String {
    let (folder, portal, listen) = (at.folder.display(), at.portal, at.listen);
    let tls = if at.setup.tls {
        let certificate = at.certificate.display();
        format!(
            "ssl_certificate {certificate}/cert.pem; ssl_certificate_key {certificate}/key.pem;"
        )
    } else {
        String::new()
    };
    let ssl = match (at.setup.tls, at.setup.http2) {
        (true, true) => "ssl http2",
        (true, false) => "ssl",
        _ => "",
    };
    let modules = if lua {
        "load_module /usr/lib/nginx/modules/ndk_http_module.so;\n\
         load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;"
    } else {
        ""
    };
    let (script, locations) = if lua {
        (
            include_str!("../rewrite.http"),
            include_str!("../rewrite.locations").replace("FOLDER", &folder.to_string()),
        )
    } else {
        ("", String::new())
    };
    // Streaming both ways, as ours does; buffers wide enough for a fast download, never a file.
    format!(
        "user root;\ndaemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {folder}/pid;\n\
         error_log {folder}/error.log warn;\n{modules}\n\
         events {{ worker_connections 16384; accept_mutex off; }}\n\
         http {{\n access_log off;\n server_tokens off;\n tcp_nodelay on;\n\
         client_body_temp_path {folder}/b;\n proxy_temp_path {folder}/p;\n fastcgi_temp_path {folder}/f;\n\
         uwsgi_temp_path {folder}/u;\n scgi_temp_path {folder}/s;\n\
         keepalive_requests 1000000000;\n keepalive_timeout 300s;\n\
         client_max_body_size 0;\n client_body_buffer_size 64k;\n\
         upstream portal {{ server {portal}; keepalive 1024; keepalive_requests 1000000000; }}\n\
         proxy_http_version 1.1;\n proxy_set_header Connection \"\";\n proxy_set_header Host {portal};\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme;\n proxy_set_header X-Forwarded-Host $host;\n\
         proxy_request_buffering off;\n proxy_buffers 16 64k;\n proxy_busy_buffers_size 128k;\n\
         proxy_max_temp_file_size 0;\n ssl_protocols TLSv1.2 TLSv1.3;\n ssl_session_cache off;\n\
         {script}\n server {{ listen {listen} {ssl} backlog=4096; {tls}\n\
         location / {{ proxy_pass http://portal; }}\n{locations}\n}}\n}}\n"
    )
}

fn haproxy(at: &Place<'_>) -> String {
    let ssl = if at.setup.tls {
        format!("ssl crt {}/both.pem", at.certificate.display())
    } else {
        String::new()
    };
    let (portal, listen) = (at.portal, at.listen);
    format!(
        "global\n nbthread 1\n no strict-limits\n maxconn 12000\ndefaults\n mode http\n timeout connect 5s\n timeout client 300s\n\
         \x20timeout server 300s\n timeout http-keep-alive 300s\n option http-keep-alive\n option forwardfor\n\
         \x20option splice-auto\nfrontend clients\n bind {listen} {ssl} backlog 4096\n default_backend portal\n\
         backend portal\n http-reuse always\n server portal {portal}\n"
    )
}

/// A candidate that runs; ended when dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts it and waits until it takes connections.
    pub fn start(candidate: Candidate, at: &Place<'_>) -> Result<Self> {
        fs::create_dir_all(at.folder)?;
        let output = fs::File::create(at.folder.join("output"))?;
        let child = candidate
            .command(at)?
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut running = Self {
            child,
            log: at.folder.join("log"),
        };
        let patience = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(at.listen).is_err() {
            if running.child.try_wait()?.is_some() || Instant::now() > patience {
                let said = fs::read_to_string(at.folder.join("output"))?;
                return Err(Error::other(format!(
                    "{} did not start: {said}",
                    candidate.name()
                )));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(running)
    }

    /// Ends it; gives its whole log.
    pub fn end(self) -> Vec<u8> {
        let log = self.log.clone();
        drop(self);
        fs::read(log).unwrap_or_default()
    }

    /// The lines of its log of deprecated calls, but for those that a run of ours writes of itself.
    pub fn logged(&self) -> u64 {
        let log = fs::read(&self.log).unwrap_or_default();
        let of_itself = ["start", "heartbeat", "stop"].map(|event| {
            let event = format!("\"event\":\"{event}\"");
            memchr::memmem::find_iter(&log, &event).count()
        });
        (memchr::memchr_iter(b'\n', &log).count() - of_itself.iter().sum::<usize>()) as u64
    }

    fn processes(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut at = 0;
        while at < found.len() {
            let id = found[at];
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            found.extend(
                children
                    .unwrap_or_default()
                    .split_whitespace()
                    .filter_map(|child| child.parse::<u32>().ok()),
            );
            at += 1;
        }
        found
    }

    /// Counts its system calls while `work` is done: how often each is made, the most frequent first.
    pub fn system_calls(&self, work: impl FnOnce() -> Result<()>) -> Result<Vec<(String, u64)>> {
        let folder = self.log.parent().unwrap_or(Path::new("."));
        let file = folder.join("system-calls");
        let processes = self.processes();
        let mut tracer = Command::new("strace")
            .args(["-f", "-c", "-o"])
            .arg(&file)
            .args(
                processes
                    .iter()
                    .flat_map(|id| ["-p".into(), id.to_string()]),
            )
            .stderr(Stdio::null())
            .spawn()?;
        let is_traced = |id: &u32| {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            !status.contains("TracerPid:\t0")
        };
        let patience = Instant::now() + Duration::from_secs(10);
        while !processes.iter().all(is_traced) {
            if Instant::now() > patience {
                let _ = tracer.kill();
                return Err(Error::other("strace cannot trace here"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let done = work();
        if let Some(id) = rustix::process::Pid::from_raw(tracer.id().cast_signed()) {
            rustix::process::kill_process(id, rustix::process::Signal::INT)?;
        }
        tracer.wait()?;
        done?;
        // Columns: share, seconds, microseconds a call, calls, errors where there were any, name.
        let counted = fs::read_to_string(&file)?;
        let mut calls: Vec<(String, u64)> = counted
            .lines()
            .filter_map(|line| {
                let columns: Vec<&str> = line.split_whitespace().collect();
                let name = columns.last().filter(|name| **name != "total")?;
                Some((String::from(*name), columns.get(3)?.parse().ok()?))
            })
            .collect();
        calls.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Ok(calls)
    }

    /// The CPU time of all its threads so far, as the scheduler counts it.
    pub fn cpu(&self) -> Duration {
        let mut nanoseconds = 0;
        for id in self.processes() {
            for task in fs::read_dir(format!("/proc/{id}/task"))
                .into_iter()
                .flatten()
            {
                let statistics =
                    task.and_then(|task| fs::read_to_string(task.path().join("schedstat")));
                nanoseconds += statistics
                    .ok()
                    .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
                    .unwrap_or(0);
            }
        }
        Duration::from_nanos(nanoseconds)
    }

    /// Its resident memory in KiB.
    pub fn resident(&self) -> f64 {
        self.processes()
            .iter()
            .filter_map(|id| {
                let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
                let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
                line.split_whitespace().nth(1)?.parse::<f64>().ok()
            })
            .sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(id) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let patience = Instant::now() + Duration::from_secs(10);
        while !matches!(self.child.try_wait(), Ok(Some(_))) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
