//! `demo`: a sandbox portal and the proxy in front of it, on this machine; a dozen and more calls as clients in the field
//! send them, over real sockets; and a table of what became of each.

mod burst;
mod calls;
mod client;
mod evidence;
mod judge;
mod show;
mod stage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::evidence::Evidence;
use self::judge::Played;
use super::assemble::Running;
use super::examples::Examples;
use super::failure::{Exit, Failure};
use super::output::print;
use super::paint::{Paint, harmless};
use super::settings::Settings;
use super::terminal::prose;
use super::text::reason;
use crate::catalogue::Mode;
use crate::ladder::{Policy, Setting, Step};
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::telemetry::event::EventLine;
use crate::telemetry::reader::HEARTBEAT;

/// How long the rest may take when a call was answered.
const PATIENCE: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  b24-migration-proxy demo
  b24-migration-proxy demo --once";

pub fn command() -> Command {
    Command::new("demo")
        .about("Show it working: a sandbox portal, the proxy, real calls, and what became of each")
        .long_about(
            "Shows the proxy at work, on this machine alone. Starts a sandbox portal and the proxy in front of it on free \
             ports, and sends more than a dozen calls as real clients send them: JSON, form, multipart, GET, batch, \
             XML, OAuth, raw bytes in an address. Prints what was sent, what the portal did, what came back, the deprecation \
             events, who calls what (report) and a certificate (prove-zero). Then it keeps running, for you to try, \
             until Ctrl-C.",
        )
        .examples(EXAMPLES)
        .arg(
            Arg::new("once")
                .long("once")
                .action(ArgAction::SetTrue)
                .help("End after the table; exit status 0 only if every call became what it should, else 1"),
        )
}

pub fn run(matches: &ArgMatches) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::found(format!("cannot start: {}", reason(&error))))?;
    runtime.block_on(async {
        // Before anything is made that has to go again.
        let mut signals = Signals::listen()?;
        let mut demo = Demo::start().await?;
        let once = matches.get_flag("once");
        let shown = tokio::select! {
            shown = demo.show(once) => shown,
            // What was to be shown once and was broken off was not shown.
            () = signals.stopped() => Ok(!once),
        };
        demo.end().await;
        Ok(if shown? { 0 } else { 1 })
    })
}

/// The portal, the proxy, and the proxy's log.
struct Demo {
    sandbox: Sandbox,
    proxy: Running,
    address: SocketAddr,
    log: Log,
    paint: Paint,
}

impl Demo {
    async fn start() -> Result<Self, Failure> {
        let sandbox = stage::portal(SandboxConfig::default()).await?;
        let log = Log::create()?;
        let settings = Settings::with(&[
            ("upstream", &sandbox.url()),
            ("listen", "127.0.0.1:0"),
            ("admin-listen", "127.0.0.1:0"),
            ("deprecation-log", &log.path.display().to_string()),
            ("threads", "1"),
        ])?;
        let (proxy, address) = stage::proxy(&settings)?;
        Ok(Self {
            sandbox,
            proxy,
            address,
            log,
            paint: Paint::for_stdout(),
        })
    }

    /// Plays, and stays until a signal ends it. Gives whether all became what it should.
    async fn show(&mut self, once: bool) -> Result<bool, Failure> {
        let well = self.play().await?;
        if !once {
            self.stay().await?;
        }
        Ok(well)
    }

    /// Sends all calls and prints what became of them. Gives whether that was as it should be.
    async fn play(&mut self) -> Result<bool, Failure> {
        let paint = self.paint;
        print(&prose(&format!(
            "The proxy listens on http://{}, in front of a sandbox portal on {}.\n\n",
            self.address,
            self.sandbox.url()
        )))?;
        let mut played = Vec::new();
        for sample in calls::SAMPLES {
            played.push(self.call(sample).await?);
        }
        print(&format!(
            "{}\n{}\n\n",
            show::calls(&played, "sent as", paint),
            paint.dim(&prose(show::LEGEND))
        ))?;
        print(&format!(
            "{}\n{}\n",
            paint.bold("Call 1, to the byte:"),
            show::to_the_byte(&played[0], paint)
        ))?;
        if let Some(line) = self.log.first_line() {
            print(&format!(
                "{}\n{line}\n\n",
                paint.bold("Its line in the deprecation log:")
            ))?;
        }
        let climbed = self.climb().await?;
        print(&format!(
            "{}\n{}\n",
            paint.bold(&prose("One method, switched off in steps that you can undo (--mode METHOD=MODE, or by caller and time):")),
            show::calls(&climbed, "mode", paint)
        ))?;
        print(&format!("{}\n\n", paint.dim(&prose(show::LADDER_LEGEND))))?;
        if let Some(refused) = climbed.iter().find(|played| played.answer.status == 410) {
            print(&format!(
                "{}\n  {}\n\n",
                paint.bold("A refused caller reads:"),
                prose(&harmless(refused.answer.body.trim()))
            ))?;
        }
        let evidence = self.evidence()?;
        print(&format!("{}\n", evidence.text))?;
        played.extend(climbed);
        let (burst, is_well) = burst::play(&self.log.other("burst.jsonl"), paint).await?;
        print(&format!("{burst}\n\n"))?;
        let wrong = played
            .iter()
            .filter(|played| played.fault().is_some())
            .count();
        let events: usize = played.iter().map(|played| played.events.len()).sum();
        if !evidence.is_right {
            print(&paint.red("The certificates are not what they should be.\n"))?;
        }
        if !is_well {
            print(&paint.red("The burst did not become what it should.\n"))?;
        }
        print(&match wrong {
            0 => paint.green(&format!(
                "{} calls, {events} events: each became what it should.\n",
                played.len()
            )),
            _ => paint.red(&format!(
                "{wrong} of {} calls did not become what they should.\n",
                played.len()
            )),
        })?;
        Ok(wrong == 0 && evidence.is_right && is_well)
    }

    /// What the log says as a whole. The run says in it that it lives, as it does every hour.
    fn evidence(&self) -> Result<Evidence, Failure> {
        let telemetry = &self.proxy.shared.telemetry;
        telemetry.mark(HEARTBEAT, SystemTime::now());
        evidence::of(&self.log.path, self.paint)
    }

    /// Sends the same call in each mode of the ladder.
    async fn climb(&mut self) -> Result<Vec<Played>, Failure> {
        let mut played = Vec::new();
        for rung in calls::LADDER {
            self.set_mode(Some(rung.mode))?;
            played.push(self.call(&rung.sample).await?);
        }
        self.set_mode(None)?;
        Ok(played)
    }

    /// As a reload would: a mode for the method that climbs, or all as usual.
    fn set_mode(&self, mode: Option<Mode>) -> Result<(), Failure> {
        let shared = &self.proxy.shared;
        let setting = mode.map(|mode| Setting {
            method: Some(calls::CLIMBER.to_owned()),
            step: Step::always(mode),
            origin: "demo".to_owned(),
            by_hand: true,
        });
        let settings = setting.into_iter().collect();
        let before = shared.policy.load_full();
        let (catalogue, now) = (before.catalogue(), Timestamp::now());
        let policy = Policy::build(catalogue, settings, Vec::new(), now, None)
            .map_err(|wrong| Failure::found(wrong.to_string()))?
            .with_logging(Arc::clone(before.logging()));
        shared.policy.store(Arc::new(policy));
        Ok(())
    }

    async fn call(&mut self, sample: &'static calls::Sample) -> Result<Played, Failure> {
        let answer = client::send(self.address, sample).await.map_err(|error| {
            Failure::found(format!(
                "{}: no answer from the proxy: {}",
                sample.title,
                reason(&error)
            ))
        })?;
        let mut events = self.log.new_events();
        let mut received = self.sandbox.take_received();
        // What is only watched is logged, and what is compared is asked, about when the client gets its answer.
        let until = Instant::now() + PATIENCE;
        while (events.len() < sample.uses || received.len() < sample.fate.requests())
            && Instant::now() < until
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
            events.extend(self.log.new_events());
            received.extend(self.sandbox.take_received());
        }
        Ok(Played {
            sample,
            answer,
            received,
            events,
        })
    }

    /// Stays for people to try, and prints each event as it comes.
    async fn stay(&mut self) -> Result<(), Failure> {
        let address = self.address;
        let page = self
            .proxy
            .admin
            .as_ref()
            .map(|admin| format!("http://{}/", admin.address()));
        print(&format!(
            "\nTry it; each use appears here. Ctrl-C ends it.\n  \
             curl -s http://{address}/rest/1/sandboxcode/crm.lead.details.configuration.reset -d scope=C\n  \
             status page  {}\n  \
             log          {}\n\n",
            page.unwrap_or_default(),
            self.log.path.display()
        ))?;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            self.proxy.shared.telemetry.tick();
            for event in self.log.new_events() {
                print(&show::event(&event, self.paint))?;
            }
        }
    }

    async fn end(self) {
        stage::end(self.proxy.server).await;
    }
}

/// What ends a demo: Ctrl-C, SIGTERM, a terminal that is closed.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Failure::found(format!("cannot listen to signals: {}", reason(&error)))
            })
        };
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn stopped(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// The deprecation log in a folder of its own, which goes with the demo.
struct Log {
    folder: PathBuf,
    path: PathBuf,
    read: usize,
}

impl Log {
    fn create() -> Result<Self, Failure> {
        let folder =
            std::env::temp_dir().join(format!("b24-migration-proxy-demo-{}", std::process::id()));
        std::fs::create_dir(&folder).map_err(|error| {
            let why = reason(&error);
            Failure::found(format!(
                "cannot make the folder {}: {why}; set TMPDIR to another place",
                folder.display()
            ))
        })?;
        Ok(Self {
            path: folder.join("deprecations.jsonl"),
            folder,
            read: 0,
        })
    }

    /// Another log beside it.
    fn other(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap_or_default()
    }

    fn first_line(&self) -> Option<String> {
        let text = self.text();
        let is_call = |line: &&str| line.contains("\"event\":\"deprecated_call\"");
        text.lines().find(is_call).map(str::to_owned)
    }

    /// The events whose lines are new since the last look, whole lines only.
    fn new_events(&mut self) -> Vec<EventLine> {
        let text = self.text();
        let new = text.get(self.read..).unwrap_or_default();
        let whole = new.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole;
        new[..whole]
            .lines()
            .filter_map(|line| EventLine::parse(line.as_bytes()).ok())
            .filter(|line| !line.method.is_empty())
            .collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
