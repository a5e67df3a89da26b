//! What is measured.
use crate::candidate::Candidate;
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
    /// Rules of one's own beside those that ship.
    pub own_rules: usize,
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
    rate: Option<f64>,
    reconnect: bool,
    /// Whether clients speak TLS.
    pub tls: bool,
    /// Whether each call uses a deprecated method, so that its translator logs a line.
    pub logged: bool,
    /// Whether memory is measured instead of work.
    pub idle: bool,
}

use Candidate::{Haproxy, Nginx, NginxLua, Ours, OursTwo};
const PEERS: &[Candidate] = &[Ours, Nginx, Haproxy];
const SCRIPTED: &[Candidate] = &[Ours, NginxLua];

const SMALL: Workload = Workload {
    name: "small",
    what: "a small call is forwarded, 64 kept-alive connections",
    candidates: PEERS,
    traffic: Traffic::small,
    connections: 64,
    rate: None,
    reconnect: false,
    tls: false,
    logged: false,
    idle: false,
};

/// All of it. The method of `small` and of all commands of `batch` but one is neither translated nor watched, so that they
/// show what passing by costs; `watched` shows a line of the log without a translation.
pub const ALL: [Workload; 13] = [
    SMALL,
    Workload {
        name: "paced",
        what: "the same at 2003 calls a second",
        rate: Some(2003.0),
        ..SMALL
    },
    Workload {
        name: "deprecated",
        what: "a deprecated call is translated and logged",
        candidates: SCRIPTED,
        traffic: Traffic::deprecated,
        logged: true,
        ..SMALL
    },
    Workload {
        name: "batch",
        what: "a batch of 50 commands, one of them translated and logged",
        candidates: SCRIPTED,
        traffic: Traffic::batch,
        logged: true,
        ..SMALL
    },
    Workload {
        name: "watched",
        what: "a call without an exact successor is forwarded and logged; nginx only forwards",
        candidates: &[Ours, Nginx],
        traffic: Traffic::watched,
        logged: true,
        ..SMALL
    },
    Workload {
        name: "download",
        what: "10 MiB from the portal, 4 connections",
        traffic: Traffic::download,
        connections: 4,
        ..SMALL
    },
    Workload {
        name: "upload",
        what: "10 MiB to the portal, 4 connections",
        traffic: Traffic::upload,
        connections: 4,
        ..SMALL
    },
    Workload {
        name: "connect",
        what: "a connection for each call",
        reconnect: true,
        ..SMALL
    },
    Workload {
        name: "tls",
        what: "a small call over TLS 1.3, 64 kept-alive connections",
        tls: true,
        ..SMALL
    },
    Workload {
        name: "handshake",
        what: "a TLS connection for each call, not resumed",
        tls: true,
        reconnect: true,
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
        tls: true,
        ..SMALL
    },
];

impl Workload {
    /// What is sent.
    pub fn traffic(&self) -> Traffic {
        (self.traffic)()
    }

    /// Calls a second, where these are given.
    pub fn rate(&self) -> Option<f64> {
        self.rate
    }

    /// How it is sent.
    pub fn job<'t>(&self, traffic: &'t Traffic) -> Job<'t> {
        Job {
            traffic,
            pace: Pace {
                connections: self.connections,
                in_flight: self.connections,
                rate: self.rate,
                reconnect: self.reconnect,
                tls: self.tls,
                time: Duration::ZERO,
                limit: usize::MAX,
            },
            logged: self.logged,
            own_rules: 0,
        }
    }
}
