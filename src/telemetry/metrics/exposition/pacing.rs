//! The metrics of the portal's limits.

use std::fmt::Error;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::metrics::MetricType;

use super::{Page, count, gauge, level, sum};
use crate::telemetry::metrics::labels::{Label, MethodLimit, Paced};
use crate::telemetry::metrics::shard::{HistogramSum, REQUEST_BOUNDS, Shard};
use crate::telemetry::metrics::{Metrics, lock};
impl Metrics {
    /// The portal's limits: the budget, who waits for it, and what methods use.
    pub(super) fn pacing(
        &self,
        page: &mut Page<'_, '_>,
        shards: &[Arc<Shard>],
    ) -> Result<(), Error> {
        let state = self
            .budget()
            .map(|budget| budget.state())
            .unwrap_or_default();
        page.gauge(
            "b24_proxy_pace_active",
            "1 while calls are held back for the portal's request limit.",
            f64::from(u8::from(state.holds)),
        )?;
        page.gauge(
            "b24_proxy_pace_rate",
            "Calls a second that are let go to the portal at most; 0 while none is held back.",
            state.rate,
        )?;
        page.gauge(
            "b24_proxy_pace_depth",
            "Calls that the budget takes at once; 0 while none is held back.",
            state.depth,
        )?;
        page.gauge(
            "b24_proxy_pace_used",
            "Calls in the budget now.",
            state.level,
        )?;
        page.gauge(
            "b24_proxy_pace_others_ratio",
            "Share of the portal's limit that others use who call from the same address, as far as refusals show it.",
            state.others,
        )?;
        page.gauge(
            "b24_proxy_pace_waiting",
            "Calls that wait for their turn before the portal's limit.",
            level(shards, |s| &s.pace_waiting),
        )?;
        page.counter(
            "b24_proxy_pace_granted",
            "Calls that were let go before the portal's limit.",
            sum(shards, |s| &s.pace_granted),
        )?;
        page.histogram(
            "b24_proxy_pace_wait_seconds",
            "How long calls waited for their turn; those that went at once are not in it.",
            &HistogramSum::of(shards.iter().map(|s| &s.pace_wait), REQUEST_BOUNDS),
        )?;
        if let Some(up) = self.budget().and_then(|budget| budget.store_up()) {
            page.gauge(
                "b24_proxy_rate_store_up",
                "1 while the store that replicas share the budget through answers.",
                f64::from(u8::from(up)),
            )?;
        }
        self.portals_time(page, shards)?;
        self.limited(page)
    }

    /// Seconds of the portal's time, by method.
    fn portals_time(&self, page: &mut Page<'_, '_>, shards: &[Arc<Shard>]) -> Result<(), Error> {
        let limits = lock(&self.limits);
        let help = "Seconds of the portal's time that a method has used in the last ten minutes, as answers told: the highest of all callers.";
        page.family(
            "b24_proxy_operating_seconds",
            help,
            MetricType::Gauge,
            |family| {
                for (method, seconds) in limits.operating_by_method(Instant::now()) {
                    gauge(family, &[("method", method)], seconds)?;
                }
                Ok(())
            },
        )?;
        page.counters(
            "b24_proxy_operating_answers",
            "Answers to calls by whether they told that time: packed ones do not.",
            shards,
            |s| &s.usage,
        )
    }

    /// By caller and by method.
    fn limited(&self, page: &mut Page<'_, '_>) -> Result<(), Error> {
        let limits = lock(&self.limits);
        let help =
            "Calls that waited for the portal's limit or were refused for it, by named caller.";
        page.family(
            "b24_proxy_paced_calls",
            help,
            MetricType::Counter,
            |family| {
                for (name, counts) in &limits.callers {
                    for &what in Paced::ALL {
                        let labels = [("caller", name.as_str()), (Paced::NAME, what.as_str())];
                        count(family, &labels, counts[what.index()])?;
                    }
                }
                Ok(())
            },
        )?;
        let help =
            "Calls that the portal refused for a limit of their method, commands of batches too.";
        page.family(
            "b24_proxy_method_limited",
            help,
            MetricType::Counter,
            |family| {
                for (method, counts) in &limits.methods {
                    for &limit in MethodLimit::ALL {
                        let labels = [
                            ("method", method.as_str()),
                            (MethodLimit::NAME, limit.as_str()),
                        ];
                        count(family, &labels, counts[limit.index()])?;
                    }
                }
                Ok(())
            },
        )
    }
}
