//! What a scrape gets: every metric's name, help and labels.

mod pacing;

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::labels::*;
use super::process::Process;
use super::shard::{
    Cell, Cells, Histogram, HistogramSum, OVERHEAD_BOUNDS, REQUEST_BOUNDS, Shard, request_series,
};
use super::{Metrics, RuleSeen, lock, unix_seconds};
use crate::telemetry::callers::State;
use crate::telemetry::log::LogStatus;
use crate::translate::Action;

/// The Content-Type of OpenMetrics text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether `Accept` names OpenMetrics with a weight above 0 that is no less than that of plain text.
fn prefers_openmetrics(accept: &str) -> bool {
    let weight = |wanted: &str| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let media_type = parts.next()?;
                let weight = parts
                    .find_map(|part| part.strip_prefix("q="))
                    .map_or(Some(1.0), |q| q.parse::<f32>().ok());
                media_type
                    .eq_ignore_ascii_case(wanted)
                    .then(|| weight.unwrap_or(0.0))
            })
            .fold(0.0, f32::max)
    };
    let openmetrics = weight("application/openmetrics-text");
    openmetrics > 0.0 && openmetrics >= weight("text/plain")
}

/// The labels of one series.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// Writes one family after the other.
struct Page<'e, 'r>(&'e mut DescriptorEncoder<'r>);

impl Page<'_, '_> {
    fn family(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        write: impl FnOnce(&mut MetricEncoder<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        write(&mut self.0.encode_descriptor(name, help, None, kind)?)
    }

    /// A counter without labels; its name lacks the `_total`.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        self.family(name, help, MetricType::Counter, |family| {
            count(family, &[], value)
        })
    }

    /// A counter for each value of a label.
    fn counters<'s, L: Label>(
        &mut self,
        name: &str,
        help: &str,
        shards: &'s [Arc<Shard>],
        cells: impl Fn(&'s Shard) -> &'s Cells<L>,
    ) -> Result<(), Error> {
        self.family(name, help, MetricType::Counter, |family| {
            for &label in L::ALL {
                let sum = shards
                    .iter()
                    .map(|shard| cells(shard).get(label))
                    .fold(0, u64::wrapping_add);
                count(family, &[(L::NAME, label.as_str())], sum)?;
            }
            Ok(())
        })
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), Error> {
        self.family(name, help, MetricType::Gauge, |family| {
            gauge(family, &[], value)
        })
    }

    fn histogram(&mut self, name: &str, help: &str, sum: &HistogramSum) -> Result<(), Error> {
        self.family(name, help, MetricType::Histogram, |family| {
            family.encode_histogram::<NoLabelSet>(sum.seconds, sum.count, &sum.buckets, None)
        })
    }
}

fn count(family: &mut MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> Result<(), Error> {
    family
        .encode_family(&labels)?
        .encode_counter::<NoLabelSet, _, f64>(&value, None)
}

fn gauge(family: &mut MetricEncoder<'_>, labels: Labels<'_>, value: f64) -> Result<(), Error> {
    family.encode_family(&labels)?.encode_gauge(&value)
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let shards = lock(&self.shards).clone();
        let mut page = Page(&mut encoder);
        requests(&mut page, &shards)?;
        connections(&mut page, &shards)?;
        upstream(&mut page, &shards)?;
        limits(&mut page, &shards)?;
        self.pacing(&mut page, &shards)?;
        self.certificates(&mut page)?;
        self.migration(&mut page)?;
        self.logs(&mut page)?;
        self.process(&mut page)
    }
}

fn sum<'s>(shards: &'s [Arc<Shard>], cell: impl Fn(&'s Shard) -> &'s Cell) -> u64 {
    shards
        .iter()
        .map(|shard| cell(shard).get())
        .fold(0, u64::wrapping_add)
}

/// The sum of cells that go up and down; a reading in the middle of a change never shows less than nothing.
fn level<'s>(shards: &'s [Arc<Shard>], cell: impl Fn(&'s Shard) -> &'s Cell) -> f64 {
    (sum(shards, cell) as i64).max(0) as f64
}

fn requests(page: &mut Page<'_, '_>, shards: &[Arc<Shard>]) -> Result<(), Error> {
    let name = "b24_proxy_requests";
    let help = "Requests that have ended, by what became of them, what they were to the portal, and whose side failed.";
    page.family(name, help, MetricType::Counter, |family| {
        for &outcome in Outcome::ALL {
            for &kind in Kind::ALL {
                for &fault in Fault::ALL {
                    let seen = sum(shards, |shard| {
                        &shard.requests[request_series(outcome, kind, fault)]
                    });
                    let labels = [
                        ("outcome", outcome.as_str()),
                        ("kind", kind.as_str()),
                        ("fault", fault.as_str()),
                    ];
                    count(family, &labels, seen)?;
                }
            }
        }
        Ok(())
    })?;
    page.counters(
        "b24_proxy_responses",
        "Answers to clients by the class of their status.",
        shards,
        |s| &s.responses,
    )?;
    let histogram = |of: fn(&Shard) -> &Histogram, bounds| {
        HistogramSum::of(shards.iter().map(|s| of(s)), bounds)
    };
    page.histogram(
        "b24_proxy_request_duration_seconds",
        "Time from a request's first byte to its answer's last.",
        &histogram(|s| &s.total, REQUEST_BOUNDS),
    )?;
    page.histogram(
        "b24_proxy_overhead_seconds",
        "The proxy's own share of a request's time: neither waiting for the client nor for the portal.",
        &histogram(|s| &s.overhead, OVERHEAD_BOUNDS),
    )?;
    page.histogram(
        "b24_proxy_upstream_request_duration_seconds",
        "Time from a request's last byte sent to the portal to the head of its answer.",
        &histogram(|s| &s.upstream, REQUEST_BOUNDS),
    )?;
    page.counter(
        "b24_proxy_received_bytes",
        "Bytes of requests received from clients, heads included.",
        sum(shards, |s| &s.bytes_in),
    )?;
    page.counter(
        "b24_proxy_sent_bytes",
        "Bytes of answers sent to clients, heads included.",
        sum(shards, |s| &s.bytes_out),
    )?;
    page.gauge(
        "b24_proxy_requests_in_flight",
        "Requests whose answer has not ended.",
        level(shards, |s| &s.in_flight),
    )?;
    page.counters(
        "b24_proxy_own_errors",
        "Errors that the proxy answered itself, by code.",
        shards,
        |s| &s.own_errors,
    )?;
    page.counters(
        "b24_proxy_refusals",
        "Deprecated calls that were refused, by reason; commands of a batch count one by one.",
        shards,
        |s| &s.refusals,
    )?;
    page.counters(
        "b24_proxy_head_errors",
        "Malformed requests, by the status that they were refused with.",
        shards,
        |s| &s.head_errors,
    )
}

fn connections(page: &mut Page<'_, '_>, shards: &[Arc<Shard>]) -> Result<(), Error> {
    page.counter(
        "b24_proxy_connections",
        "Connections accepted from clients.",
        sum(shards, |s| &s.connections),
    )?;
    page.gauge(
        "b24_proxy_connections_open",
        "Connections of clients that are open, tunnels included.",
        level(shards, |s| &s.connections_open),
    )?;
    page.counters(
        "b24_proxy_connections_refused",
        "Connections closed unserved, by reason.",
        shards,
        |s| &s.connections_refused,
    )?;
    page.counter(
        "b24_proxy_tunnels",
        "Upgraded connections (WebSocket and others).",
        sum(shards, |s| &s.tunnels),
    )?;
    page.gauge(
        "b24_proxy_tunnels_open",
        "Upgraded connections that are open.",
        level(shards, |s| &s.tunnels_open),
    )?;
    page.counters(
        "b24_proxy_tls_handshakes",
        "TLS handshakes with clients, by how they ended.",
        shards,
        |s| &s.handshakes,
    )?;
    page.counter(
        "b24_proxy_accept_pauses",
        "Times that accepting paused for lack of descriptors.",
        sum(shards, |s| &s.accept_pauses),
    )?;
    page.gauge(
        "b24_proxy_accept_paused",
        "Listeners that are not accepting for lack of descriptors.",
        level(shards, |s| &s.accept_paused),
    )
}

fn upstream(page: &mut Page<'_, '_>, shards: &[Arc<Shard>]) -> Result<(), Error> {
    let help = "Connections to the portal that are open, by whether a request is on them.";
    page.family(
        "b24_proxy_upstream_connections_open",
        help,
        MetricType::Gauge,
        |family| {
            for &state in PoolState::ALL {
                let open = shards
                    .iter()
                    .map(|s| s.pool.get(state))
                    .fold(0, u64::wrapping_add) as i64;
                gauge(family, &[("state", state.as_str())], open.max(0) as f64)?;
            }
            Ok(())
        },
    )?;
    page.counter(
        "b24_proxy_upstream_connections",
        "Connections made to the portal.",
        sum(shards, |s| &s.upstream_connections),
    )?;
    page.counters(
        "b24_proxy_upstream_connect_errors",
        "Connections to the portal that failed, by cause.",
        shards,
        |s| &s.connect_errors,
    )?;
    page.counters("b24_proxy_upstream_errors", "Errors that the portal answered to deprecated calls and where else the proxy reads them, by code.", shards, |s| &s.portal_errors)?;
    page.counter(
        "b24_proxy_upstream_retries",
        "Requests sent once more because they surely were not executed.",
        sum(shards, |s| &s.retries),
    )
}

fn limits(page: &mut Page<'_, '_>, shards: &[Arc<Shard>]) -> Result<(), Error> {
    page.counters(
        "b24_proxy_timeouts",
        "Time limits that ended something, by phase.",
        shards,
        |s| &s.timeouts,
    )?;
    page.gauge(
        "b24_proxy_rewrite_memory_bytes",
        "Bytes reserved for bodies that are being rewritten.",
        level(shards, |s| &s.rewrite_bytes),
    )?;
    page.gauge(
        "b24_proxy_rewrite_waiting",
        "Requests that wait for room to be rewritten.",
        level(shards, |s| &s.rewrite_waiting),
    )?;
    page.counter(
        "b24_proxy_requests_cut",
        "Requests with a complete head that the end of the drain cut.",
        sum(shards, |s| &s.cut),
    )?;
    page.counter(
        "b24_proxy_panics",
        "Faults in the program (panics): each ended one call or task. The operational log has their places.",
        crate::telemetry::panics::count(),
    )
}

impl Metrics {
    /// The Content-Type and the text for a scrape: Prometheus text 0.0.4, or OpenMetrics where `accept` asks for it.
    pub fn render(self: &Arc<Self>, accept: Option<&str>) -> (&'static str, String) {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::clone(self)));
        let mut page = String::with_capacity(64 << 10);
        let (content_type, result) = if accept.is_some_and(prefers_openmetrics) {
            (OPENMETRICS, text::encode(&mut page, &registry))
        } else {
            (
                prometheus_text::CONTENT_TYPE,
                prometheus_text::encode(&mut page, &registry),
            )
        };
        debug_assert!(result.is_ok(), "writing to a String does not fail");
        (content_type, page)
    }

    fn certificates(&self, page: &mut Page<'_, '_>) -> Result<(), Error> {
        let certificates = lock(&self.certificates).clone();
        let name = "b24_proxy_tls_certificate_expiry_timestamp_seconds";
        let help = "When each certificate ends, in seconds since 1970; (this - time()) / 86400 is the days left.";
        page.family(name, help, MetricType::Gauge, |family| {
            for (certificate, not_after) in &certificates {
                gauge(family, &[("certificate", certificate)], *not_after as f64)?;
            }
            Ok(())
        })
    }

    fn migration(&self, page: &mut Page<'_, '_>) -> Result<(), Error> {
        let migration = lock(&self.migration);
        let rules = &migration.rules;
        deprecated_calls(rules, page)?;
        let help = "Names of the callers file by how far their migration is: open, told, migrated, regressed.";
        let states = migration.states(unix_seconds(SystemTime::now()));
        page.family("b24_proxy_callers", help, MetricType::Gauge, |family| {
            for (state, names) in State::ALL.into_iter().zip(states) {
                gauge(family, &[("state", state.as_str())], names as f64)?;
            }
            Ok(())
        })?;
        known_rules(rules, page)?;
        comparisons(rules, page)?;
        let running = self.brownouts.load(std::sync::atomic::Ordering::Relaxed);
        page.gauge(
            "b24_proxy_brownouts_running",
            "Brownouts that are refusing calls now.",
            running as f64,
        )
    }

    fn logs(&self, page: &mut Page<'_, '_>) -> Result<(), Error> {
        let status = |log: &std::sync::OnceLock<Arc<crate::telemetry::log::LineLog>>| {
            log.get().map_or_else(
                || LogStatus {
                    ok: true,
                    ..LogStatus::default()
                },
                |log| log.status(),
            )
        };
        let log = status(&self.log);
        page.counter(
            "b24_proxy_deprecation_log_lines_written",
            "Lines written to the deprecation log.",
            log.written,
        )?;
        page.counter(
            "b24_proxy_deprecation_log_lines_dropped",
            "Lines that neither the deprecation log nor its queue could take: events lost.",
            log.dropped,
        )?;
        page.counter(
            "b24_proxy_deprecation_log_errors",
            "Writes, syncs and reopenings of the deprecation log that failed.",
            log.errors,
        )?;
        page.gauge(
            "b24_proxy_deprecation_log_queued_lines",
            "Lines that wait in memory because the deprecation log cannot be written.",
            log.queued as f64,
        )?;
        page.gauge(
            "b24_proxy_deprecation_log_queued_bytes",
            "Bytes that wait in memory because the deprecation log cannot be written.",
            log.queued_bytes as f64,
        )?;
        page.gauge(
            "b24_proxy_deprecation_log_healthy",
            "1 while the deprecation log is written and nothing waits, else 0.",
            f64::from(u8::from(log.ok)),
        )?;
        page.gauge(
            "b24_proxy_deprecation_log_last_write_timestamp_seconds",
            "When the deprecation log was last written, in seconds since 1970; 0 before the first line.",
            log.last_write.map_or(0.0, unix_seconds),
        )?;
        let access = status(&self.access_log);
        page.counter(
            "b24_proxy_access_log_lines_written",
            "Lines written to the access log.",
            access.written,
        )?;
        page.counter(
            "b24_proxy_access_log_lines_dropped",
            "Lines that neither the access log nor its queue could take.",
            access.dropped,
        )
    }

    fn process(&self, page: &mut Page<'_, '_>) -> Result<(), Error> {
        use std::sync::atomic::Ordering::Relaxed;
        let successful = self.reload_successful.load(Relaxed) as f64;
        page.gauge(
            "b24_proxy_config_last_reload_successful",
            "1 when the configuration was last read without an error, else 0.",
            successful,
        )?;
        page.gauge(
            "b24_proxy_config_last_reload_success_timestamp_seconds",
            "When the configuration was last read without an error, in seconds since 1970.",
            self.reload_seconds.load(Relaxed) as f64,
        )?;
        page.family(
            "b24_proxy_build",
            "The version that is running.",
            MetricType::Info,
            |family| {
                let labels: Labels<'_> = &[
                    ("version", env!("CARGO_PKG_VERSION")),
                    (
                        "revision",
                        option_env!("B24_PROXY_REVISION").unwrap_or("unknown"),
                    ),
                ];
                family.encode_info(&labels)
            },
        )?;
        let process = Process::read();
        page.family(
            "process_cpu_seconds",
            "User and system CPU time spent, in seconds.",
            MetricType::Counter,
            |family| family.encode_counter::<NoLabelSet, _, f64>(&process.cpu_seconds, None),
        )?;
        page.gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            process.resident_bytes as f64,
        )?;
        page.gauge(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            process.virtual_bytes as f64,
        )?;
        page.gauge(
            "process_open_fds",
            "Number of open file descriptors.",
            process.open_fds as f64,
        )?;
        page.gauge(
            "process_max_fds",
            "Maximum number of open file descriptors.",
            process.max_fds as f64,
        )?;
        page.gauge(
            "process_threads",
            "Number of threads.",
            process.threads as f64,
        )?;
        page.gauge(
            "process_start_time_seconds",
            "Start time of the process since 1970 in seconds.",
            unix_seconds(self.started),
        )
    }
}

/// Who called which deprecated method, and when last.
fn deprecated_calls(
    rules: &BTreeMap<String, RuleSeen>,
    page: &mut Page<'_, '_>,
) -> Result<(), Error> {
    let help = "Deprecated calls by legacy method, by what was done to them, and by the caller's name in the callers file.";
    page.family(
        "b24_proxy_deprecated_calls",
        help,
        MetricType::Counter,
        |family| {
            for (method, rule) in rules {
                for (caller, uses) in &rule.callers {
                    for &action in Action::ALL {
                        let seen = uses.calls(action);
                        if seen > 0 || rule.translated {
                            let labels = [
                                ("method", method.as_str()),
                                ("action", action.as_str()),
                                ("caller", caller.as_str()),
                            ];
                            count(family, &labels, seen)?;
                        }
                    }
                }
            }
            Ok(())
        },
    )?;
    let name = "b24_proxy_deprecated_last_call_timestamp_seconds";
    let help = "When a deprecated method was last called, in seconds since 1970; known from the log across restarts.";
    page.family(name, help, MetricType::Gauge, |family| {
        for (method, rule) in rules {
            for (caller, uses) in rule
                .callers
                .iter()
                .filter(|(_, uses)| uses.last_seconds() > 0.0)
            {
                gauge(
                    family,
                    &[("method", method), ("caller", caller)],
                    uses.last_seconds(),
                )?;
            }
        }
        Ok(())
    })
}

/// The rules, and the modes that they are in.
fn known_rules(rules: &BTreeMap<String, RuleSeen>, page: &mut Page<'_, '_>) -> Result<(), Error> {
    let help = "The rules: each deprecated method, its successor, and since when it is documented as deprecated.";
    page.family("b24_proxy_rule", help, MetricType::Info, |family| {
        for (method, rule) in rules.iter().filter(|(method, _)| *method != super::OTHER) {
            let translated = if rule.translated { "true" } else { "false" };
            let labels: Labels<'_> = &[
                ("method", method),
                ("replacement", &rule.replacement),
                ("deprecated", &rule.deprecated),
                ("translated", translated),
            ];
            family.encode_info(&labels)?;
        }
        Ok(())
    })?;
    page.family(
        "b24_proxy_rule_mode",
        "The mode that each rule is in, as 1.",
        MetricType::Gauge,
        |family| {
            for (method, rule) in rules {
                if let Some(mode) = rule.mode {
                    gauge(family, &[("method", method), ("mode", mode)], 1.0)?;
                }
            }
            Ok(())
        },
    )
}

/// How the answers of legacy methods and of their successors compared.
fn comparisons(rules: &BTreeMap<String, RuleSeen>, page: &mut Page<'_, '_>) -> Result<(), Error> {
    let help = "Legacy answers compared with their successor's, by how they compared.";
    page.family(
        "b24_proxy_comparisons",
        help,
        MetricType::Counter,
        |family| {
            for (method, rule) in rules
                .iter()
                .filter(|(_, rule)| rule.comparisons.iter().any(|&seen| seen > 0))
            {
                for &result in Comparison::ALL {
                    let labels = [("method", method.as_str()), ("result", result.as_str())];
                    count(family, &labels, rule.comparisons[result.index()])?;
                }
            }
            Ok(())
        },
    )
}
