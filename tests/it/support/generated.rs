//! A seeded deprecation log of a month: two replicas, written line by line by the proxy's own code on a clock of our own,
//! rotated every day, the oldest files compressed, with a clean restart, a `kill -9`, and lines that are torn or foreign.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use b24_migration_proxy::catalogue::{Catalogue, Mode, Rule, RuleKind};
use b24_migration_proxy::telemetry::Telemetry;
use b24_migration_proxy::telemetry::caller::{Auth, Caller, Fingerprints};
use b24_migration_proxy::telemetry::callers::Callers;
use b24_migration_proxy::telemetry::event::{DeprecationEvent, ModeChanged, UnreadCall};
use b24_migration_proxy::telemetry::log::{LogConfig, LogTarget};
use b24_migration_proxy::telemetry::logging::{Logging, RulesKnown, WatchedLog, WatchedLogs};
use b24_migration_proxy::telemetry::metrics::{Fault, Kind, LocalMetrics, Outcome, RequestSeen};
use b24_migration_proxy::telemetry::reader::{HEARTBEAT, START, STOP};
use b24_migration_proxy::telemetry::run::Run;
use b24_migration_proxy::translate::{Action, Encoding, Reason};

use super::Dice;

/// 2026-11-01T00:00:00Z.
const BEGIN: u64 = 1_793_491_200;
const HOUR: u64 = 3600;
/// How many days the log has.
pub const DAYS: u64 = 30;
/// The days on which a replica starts again: one after a stop, one after a kill.
pub const RESTARTED: u64 = 10;
pub const KILLED: u64 = 20;

/// About how long a line is, with what else a request writes.
const A_REQUEST: u64 = 1500;

/// What is wanted.
pub struct Wanted<'a> {
    pub folder: &'a Path,
    /// About how many bytes, before compression.
    pub bytes: u64,
    pub seed: u64,
    /// How many of the oldest files of each replica are compressed.
    pub compressed: usize,
}

/// What was written.
pub struct Generated {
    /// The files of each replica, oldest first; the current one is the last.
    pub replicas: [Vec<PathBuf>; 2],
    /// The callers file of a later day: fingerprints with names.
    pub names: Vec<(String, &'static str)>,
    pub callers: PathBuf,
}

impl Generated {
    /// All files.
    pub fn files(&self) -> Vec<&Path> {
        self.replicas
            .iter()
            .flatten()
            .map(PathBuf::as_path)
            .collect()
    }
}

/// Writes it.
pub fn write(wanted: &Wanted<'_>) -> Generated {
    let callers = callers();
    let replicas = [("pod-1", RESTARTED, false), ("pod-2", KILLED, true)].map(
        |(instance, restarts_on, is_killed)| {
            let mut replica = Replica::new(wanted, instance, &callers);
            for day in 0..DAYS {
                for hour in 0..24 {
                    replica.hour(
                        day * 24 + hour,
                        wanted.bytes / 2 / (DAYS * 24 * A_REQUEST) + 1,
                    );
                    if (day, hour) == (restarts_on, 12) {
                        replica.start_again(is_killed);
                    }
                }
                replica.rotate(day, day + 1 == DAYS);
            }
            replica.files
        },
    );
    for file in replicas
        .iter()
        .flat_map(|files| &files[..wanted.compressed])
    {
        compress(file);
    }
    let replicas = replicas.map(|files| {
        let gz = |(at, file): (usize, PathBuf)| match at < wanted.compressed {
            true => PathBuf::from(format!("{}.gz", file.display())),
            false => file,
        };
        files.into_iter().enumerate().map(gz).collect()
    });
    let names: Vec<(String, &'static str)> = callers
        .iter()
        .filter_map(|caller| caller.fingerprint.clone())
        .zip(["shop", "erp", "Отчёты, \"1C\"", "shop", "site"])
        .collect();
    let path = wanted.folder.join("callers.toml");
    let file: String = names
        .iter()
        .map(|(fingerprint, name)| {
            format!("[[caller]]\nname = '{name}'\nfingerprint = '{fingerprint}'\n")
        })
        .collect();
    std::fs::write(&path, file).expect("written");
    Generated {
        replicas,
        names,
        callers: path,
    }
}

fn compress(file: &Path) {
    let gz = File::create(format!("{}.gz", file.display())).expect("made");
    let mut gz = flate2::write::GzEncoder::new(gz, flate2::Compression::fast());
    std::io::copy(&mut File::open(file).expect("opened"), &mut gz).expect("copied");
    gz.finish().expect("finished");
    std::fs::remove_file(file).expect("removed");
}

/// Who calls: webhooks, applications and strangers, with what clients call themselves.
fn callers() -> Vec<Arc<Caller>> {
    let agents = [
        (
            "b24-php-sdk-vendor-v-1.9.0-php-8.3.1",
            Some("b24phpsdk 1.9.0"),
        ),
        ("Python-urllib/3.11, \"nightly\"; a,b", Some("urllib 3.11")),
        ("1C+Enterprise/8.3 Заказы\u{9}№ 7", None),
        ("curl/8.5.0", Some("curl 8.5.0")),
    ];
    let long = format!("Mozilla/5.0 {}", "(длинно) ".repeat(60));
    let fingerprints = Fingerprints::default();
    (0..80_u8)
        .map(|at| {
            let (agent, sdk) = agents[usize::from(at) % agents.len()];
            let agent = if at % 17 == 0 { &long[..512] } else { agent };
            let fingerprint = (at % 8 != 7).then(|| fingerprints.of_bytes(&[at]));
            let auth = match (at % 8, at % 3) {
                (7, _) => Auth::None,
                (_, 0) => Auth::OAuth,
                _ => Auth::Webhook,
            };
            let key = match (auth, &fingerprint) {
                (Auth::Webhook, Some(print)) => {
                    format!("webhook:example.bitrix24.com:{at}:{print}")
                }
                (Auth::OAuth, Some(_)) => format!("application:local.{at:04x}"),
                _ => format!("none:curl:203.0.113.{at}"),
            };
            Arc::new(Caller {
                auth,
                user: (auth == Auth::Webhook).then(|| at.to_string()),
                application: (auth == Auth::OAuth).then(|| format!("local.{at:04x}")),
                fingerprint,
                address: format!("203.0.113.{at}").parse().ok(),
                user_agent: Some(agent.to_owned()),
                sdk: sdk.map(str::to_owned),
                key,
            })
        })
        .collect()
}

/// One replica and its log.
struct Replica<'a> {
    instance: &'static str,
    path: PathBuf,
    callers: &'a [Arc<Caller>],
    rules: Vec<Arc<Rule>>,
    telemetry: Arc<Telemetry>,
    local: LocalMetrics,
    dice: Dice,
    now: SystemTime,
    requests: u64,
    files: Vec<PathBuf>,
}

impl<'a> Replica<'a> {
    fn new(wanted: &Wanted<'_>, instance: &'static str, callers: &'a [Arc<Caller>]) -> Self {
        let path = wanted.folder.join(format!("{instance}.log"));
        let rules = Catalogue::builtin().rules().to_vec();
        let now = UNIX_EPOCH + Duration::from_secs(BEGIN);
        let telemetry = run(instance, &path, &rules, now);
        Self {
            instance,
            path,
            callers,
            local: telemetry.metrics.local(),
            telemetry,
            rules,
            dice: Dice::new(
                wanted.seed ^ instance.len() as u64 ^ u64::from(instance.as_bytes()[4]),
            ),
            now,
            requests: 0,
            files: Vec::new(),
        }
    }

    /// An hour with about so many requests, and the heartbeat at its end.
    fn hour(&mut self, hour: u64, requests: u64) {
        let begin = BEGIN + hour * HOUR;
        for at in 0..requests {
            let millis = HOUR * 1000 * (at + 1) / (requests + 2) + self.dice.below(500) as u64;
            self.now = UNIX_EPOCH + Duration::from_millis(begin * 1000 + millis);
            self.request();
        }
        if hour % 24 == 7 {
            let change = ModeChanged {
                timestamp: self.now,
                method: "crm.lead.details.configuration.get".to_owned(),
                from: Mode::Rewrite,
                to: Mode::Brownout,
                scope: Some("caller \"shop\"".to_owned()),
                cause: "schedule",
                origin: None,
            };
            let _ = self.telemetry.modes_changed(&[change]);
        }
        self.now = UNIX_EPOCH + Duration::from_secs(begin + HOUR);
        self.telemetry.mark(HEARTBEAT, self.now);
    }

    fn request(&mut self) {
        self.requests += 1;
        let kind = match self.dice.below(100) {
            0..=54 => self.watched(),
            55..=74 => self.translated(),
            75..=84 => self.batch(),
            85 => self.large_batch(),
            86..=90 => self.refused(),
            91 => self.unread(),
            _ => Kind::Call,
        };
        self.local.request(&RequestSeen {
            outcome: Outcome::Forwarded,
            kind,
            fault: Fault::None,
            status: 200,
            total: Duration::from_millis(40),
            own: Duration::from_millis(1),
            upstream: None,
            bytes_in: 400,
            bytes_out: 900,
        });
    }

    /// A caller: some call much, most little.
    fn caller(&mut self) -> Arc<Caller> {
        let most = self.dice.below(self.callers.len()) + 1;
        Arc::clone(&self.callers[self.dice.below(most)])
    }

    fn rule(&mut self, kind: RuleKind) -> Arc<Rule> {
        let of_kind = |rule: &&Arc<Rule>| rule.kind == kind;
        let count = self.rules.iter().filter(of_kind).count().min(12);
        let at = self.dice.below(count);
        Arc::clone(self.rules.iter().filter(of_kind).nth(at).expect("a rule"))
    }

    fn event(
        &mut self,
        caller: &Arc<Caller>,
        rule: &Arc<Rule>,
        action: Action,
    ) -> DeprecationEvent<'static> {
        let fails = self.dice.below(25) == 0;
        let is_traced = self.dice.below(4) == 0;
        let id = format!("{:016x}", self.dice.next());
        DeprecationEvent {
            timestamp: self.now,
            request_id: id.clone().into(),
            client_request_id: is_traced.then(|| format!("заявка \"{id}\"").into()),
            trace_id: is_traced.then(|| format!("{id}{id}").into()),
            rule: Arc::clone(rule),
            action,
            reason: None,
            mode: Some(match action {
                Action::Rewritten => Mode::Rewrite,
                Action::Observed => Mode::Observe,
                Action::Refused => Mode::Block,
            }),
            encoding: *self
                .dice
                .pick(&[Encoding::Json, Encoding::Form, Encoding::Query]),
            batch_key: None,
            changes: Cow::default(),
            parameters: Cow::default(),
            target: format!("/rest/1/***/{}", rule.method).into(),
            caller: Arc::clone(caller),
            status: Some(if fails { 400 } else { 200 }),
            error: fails.then(|| "ACCESS_DENIED".into()),
            duration: Duration::from_micros(1000 + self.dice.next() % 90_000),
            sent: None,
            is_let_in: !fails,
            waited: None,
        }
    }

    fn record(&self, events: &[DeprecationEvent<'_>]) {
        let _ = self
            .telemetry
            .record(&self.local, &self.telemetry.logging(), events);
    }

    fn watched(&mut self) -> Kind {
        let (caller, rule) = (self.caller(), self.rule(RuleKind::Watched));
        let event = self.event(&caller, &rule, Action::Observed);
        self.record(&[event]);
        Kind::Call
    }

    fn translated(&mut self) -> Kind {
        let (caller, rule) = (self.caller(), self.rule(RuleKind::Exact));
        let mut event = self.event(&caller, &rule, Action::Rewritten);
        event.changes = vec![
            "extras[lead.customer.type] is now extras[leadCustomerType]".to_owned(),
            "entityTypeId is set to 1".to_owned(),
        ]
        .into();
        event.parameters = ["extras[lead.customer.type]", "scope"]
            .map(str::to_owned)
            .to_vec()
            .into();
        if self.dice.below(200) == 0 {
            // More than has room in 8 KiB.
            event.changes = vec!["\u{1}параметр ".repeat(40); 32].into();
        }
        self.record(&[event]);
        Kind::Call
    }

    fn batch(&mut self) -> Kind {
        let caller = self.caller();
        let commands = 2 + self.dice.below(6);
        let events: Vec<DeprecationEvent<'static>> = (0..commands)
            .map(|at| {
                let (kind, action) = match self.dice.below(2) {
                    0 => (RuleKind::Watched, Action::Observed),
                    _ => (RuleKind::Exact, Action::Rewritten),
                };
                let rule = self.rule(kind);
                let mut event = self.event(&caller, &rule, action);
                event.batch_key = Some(format!("cmd[{at}]/\"{at}\"").into());
                event
            })
            .collect();
        self.record(&events);
        Kind::Batch
    }

    /// Over fifty uses of one method: the rest of them is one line.
    fn large_batch(&mut self) -> Kind {
        let (caller, rule) = (self.caller(), self.rule(RuleKind::Exact));
        let commands = 45 + self.dice.below(30);
        let events: Vec<DeprecationEvent<'static>> = (0..commands)
            .map(|_| self.event(&caller, &rule, Action::Rewritten))
            .collect();
        self.record(&events);
        Kind::Batch
    }

    fn refused(&mut self) -> Kind {
        let (caller, rule) = (self.caller(), self.rule(RuleKind::Exact));
        let mut event = self.event(&caller, &rule, Action::Refused);
        event.reason = Some(*self.dice.pick(&[Reason::Blocked, Reason::Unreadable]));
        event.error = Some("DEPRECATED_METHOD_BLOCKED".into());
        event.status = Some(410);
        self.record(&[event]);
        Kind::Call
    }

    fn unread(&mut self) -> Kind {
        let caller = self.caller();
        let _ = self.telemetry.unread(
            &self.telemetry.logging(),
            &UnreadCall {
                timestamp: self.now,
                request_id: format!("{:016x}", self.dice.next()).into(),
                client_request_id: None,
                trace_id: None,
                reason: Reason::Encoding,
                target: "/rest/1/***/batch".into(),
                caller,
            },
        );
        Kind::Batch
    }

    /// Ends the run, with a stop line or without, and begins another a minute later.
    fn start_again(&mut self, is_killed: bool) {
        self.now += Duration::from_secs(60);
        if !is_killed {
            self.telemetry.mark(STOP, self.now);
        }
        self.now += Duration::from_secs(60);
        self.telemetry = run(self.instance, &self.path, &self.rules, self.now);
        self.local = self.telemetry.metrics.local();
    }

    /// Moves the file of a day away. Before that something else writes to it.
    fn rotate(&mut self, day: u64, is_last: bool) {
        if day.is_multiple_of(3) {
            let mut file = OpenOptions::new()
                .append(true)
                .open(&self.path)
                .expect("opened");
            let torn = r#"{"schema":1,"timestamp":"2026-11-01T10:00:00.000Z","event":"deprecated_call","method":"crm"#;
            file.write_all(format!("{torn}\nNov  1 10:00:00 host kernel: hello\n\n").as_bytes())
                .expect("written");
        }
        if is_last {
            self.files.push(self.path.clone());
            return;
        }
        let rotated = PathBuf::from(format!("{}-202611{:02}", self.path.display(), day + 1));
        std::fs::rename(&self.path, &rotated).expect("moved");
        self.telemetry.reopen_logs().expect("opened again");
        self.files.push(rotated);
    }
}

/// A run of the proxy as far as the log shows it.
fn run(instance: &str, path: &Path, rules: &[Arc<Rule>], now: SystemTime) -> Arc<Telemetry> {
    let config = LogConfig::deprecation(LogTarget::Path(path.to_owned()));
    let of_the_time = "[[caller]]\nname = 'old shop'\nuser = 1\nmigrated = 2026-11-15\n[[caller]]\nname = 'old shop'\nuser = 2\n";
    let run = Run {
        instance: instance.to_owned(),
        started: now,
        interval: Duration::from_secs(HOUR),
    };
    let callers = Callers::parse(of_the_time).expect("a callers file");
    let watched = if instance == "pod-2" {
        WatchedLogs {
            usual: WatchedLog::Hourly,
            by_method: [("crm.lead.list".to_owned(), WatchedLog::Each)].into(),
        }
    } else {
        WatchedLogs::default()
    };
    let known = RulesKnown::of(&Catalogue::builtin());
    let logging = Arc::new(Logging {
        callers,
        watched,
        rules: known,
    });
    let opened = Telemetry::open(config, None, rules, Fingerprints::default(), logging, run);
    let telemetry = opened.unwrap_or_else(|(_, error)| panic!("{error}"));
    telemetry.mark(START, now);
    telemetry
}
