//! What is measured.
use crate::candidate::{Candidate, Setup};
use crate::load::Pace;
use crate::traffic::Traffic;
use std::time::Duration;

/// Something to do.
pub struct Job<'t> {
    /// What is sent.
    pub traffic: &'t Traffic,
    /// How; for how long is the bench's.
    pub pace: Pace,
    /// Whether each call is logged by who translates.
    pub logged: bool,
    /// How the proxies are set up.
    pub setup: Setup,
}

/// A kind of work.
pub struct Workload {
    /// As it is called in options.
    pub name: &'static str,
    /// What it is, for readers.
    pub what: &'static str,
    /// Who can do it; the first is the one that the others' ratios are about.
    pub candidates: &'static [Candidate],
    traffic: fn() -> Traffic,
    connections: usize,
    in_flight: usize,
    rate: Option<f64>,
    reconnect: bool,
    /// Streams of each connection at once, where clients speak HTTP/2.
    streams: Option<usize>,
    setup: Setup,
    /// Whether each call uses a deprecated method, so that its translator logs a line.
    pub logged: bool,
    /// Whether memory is measured instead of work.
    pub idle: bool,
}

use Candidate::{Haproxy, Nginx, NginxLua, Ours, OursTwo};
const PEERS: &[Candidate] = &[Ours, Nginx, Haproxy];

const SMALL: Workload = Workload {
    name: "small",
    what: "a small call is forwarded, 64 kept-alive connections",
    candidates: PEERS,
    traffic: Traffic::small,
    connections: 64,
    in_flight: 64,
    rate: None,
    reconnect: false,
    streams: None,
    setup: Setup::PLAIN,
    logged: false,
    idle: false,
};

const TLS: Setup = Setup {
    tls: true,
    ..Setup::PLAIN
};

const WATCHED: Workload = Workload {
    name: "watched",
    what: "a call without an exact successor is forwarded and logged; nginx only forwards",
    candidates: &[Ours, Nginx],
    traffic: Traffic::watched,
    logged: true,
    ..SMALL
};

/// All of it. The methods of `small` and of all commands of `batch` but one are neither translated nor watched, so that they
/// show what passing by costs; `watched` shows a line of the log without a translation.
pub const ALL: [Workload; 20] = [
    SMALL,
    Workload {
        name: "paced",
        what: "the same at 2003 calls a second",
        rate: Some(2003.0),
        ..SMALL
    },
    WATCHED,
    Workload {
        name: "watched-paced",
        what: "the same at 2003 calls a second",
        rate: Some(2003.0),
        ..WATCHED
    },
    Workload {
        name: "watched-hourly",
        what: "a watched call is forwarded and summed up, a line each hour; nginx only forwards",
        setup: Setup {
            hourly: true,
            ..Setup::PLAIN
        },
        ..WATCHED
    },
    Workload {
        name: "deprecated",
        what: "a deprecated call is translated and logged; nginx without Lua only forwards",
        candidates: &[Ours, NginxLua, Nginx],
        traffic: Traffic::deprecated,
        logged: true,
        ..SMALL
    },
    Workload {
        name: "batch",
        what: "a batch of 50 commands, one of them translated and logged",
        candidates: &[Ours, NginxLua],
        traffic: Traffic::batch,
        logged: true,
        ..SMALL
    },
    Workload {
        name: "connect",
        what: "a connection for each call",
        reconnect: true,
        ..SMALL
    },
    Workload {
        name: "watched-connect",
        what: "a connection for each watched call, as of a PHP page",
        reconnect: true,
        ..WATCHED
    },
    Workload {
        name: "upload16",
        what: "16 KiB to the portal",
        traffic: Traffic::upload_16k,
        ..SMALL
    },
    Workload {
        name: "download16",
        what: "16 KiB from the portal",
        traffic: Traffic::download_16k,
        ..SMALL
    },
    Workload {
        name: "download",
        what: "10 MiB from the portal, 4 connections",
        traffic: Traffic::download,
        connections: 4,
        in_flight: 4,
        ..SMALL
    },
    Workload {
        name: "upload",
        what: "10 MiB to the portal, 4 connections",
        traffic: Traffic::upload,
        connections: 4,
        in_flight: 4,
        ..SMALL
    },
    Workload {
        name: "tls",
        what: "a small call over TLS 1.3, 64 kept-alive connections",
        setup: TLS,
        ..SMALL
    },
    Workload {
        name: "handshake",
        what: "a TLS connection for each call, not resumed",
        setup: TLS,
        reconnect: true,
        ..SMALL
    },
    Workload {
        name: "h2",
        what: "a small call over HTTP/2 and TLS, 16 connections × 8 streams",
        candidates: &[Ours, Nginx],
        setup: Setup { http2: true, ..TLS },
        connections: 16,
        in_flight: 16 * 8,
        streams: Some(8),
        ..SMALL
    },
    Workload {
        name: "turns",
        what: "10,000 open connections that take turns, 64 calls at once",
        candidates: &[Ours, Nginx],
        connections: 10_000,
        ..SMALL
    },
    Workload {
        name: "threads",
        what: "a small call, one thread and two",
        candidates: &[Ours, OursTwo],
        ..SMALL
    },
    Workload {
        name: "idle",
        what: "memory of connections that have made one call and stay",
        idle: true,
        ..SMALL
    },
    Workload {
        name: "idle-tls",
        what: "the same over TLS",
        idle: true,
        setup: TLS,
        ..SMALL
    },
];

impl Workload {
    /// What is sent.
    pub fn traffic(&self) -> Traffic {
        (self.traffic)()
    }

    /// Whether instructions, system calls and allocations of a call can be counted: not at a given rate, where they hang
    /// on the clock, nor with more connections than calls.
    pub fn is_countable(&self) -> bool {
        !self.idle && self.rate.is_none() && self.connections < 1000 && self.name != "threads"
    }

    /// How it is sent.
    pub fn job<'t>(&self, traffic: &'t Traffic) -> Job<'t> {
        Job {
            traffic,
            pace: Pace {
                connections: self.connections,
                in_flight: self.in_flight,
                rate: self.rate,
                reconnect: self.reconnect,
                tls: self.setup.tls,
                streams: self.streams,
                time: Duration::ZERO,
                limit: usize::MAX,
            },
            logged: self.logged,
            setup: self.setup,
        }
    }
}
