//! The portal's request limit, modelled: who may call now, who waits, who is refused (pure: time is handed in).
//!
//! A portal counts REST requests for each source address (PROTOCOL §6). The proxy keeps the same count and holds a call
//! back before the portal would refuse it. `docs/PACING.md` describes the model and its reasons.
//!
//! - [`bucket`] the leaky bucket: how many calls fit now, and when the next one will
//! - [`queue`] the waiting calls: which caller is next
//! - [`adapt`] the rate in force: `auto`, and other users of the same address
//! - [`desk`] all of it for one portal; the data path and the command `pace` drive the same code
//! - [`replica`] what a replica and the store that replicas share say to each other
//! - [`play`] recorded calls before a desk

pub mod adapt;
pub mod bucket;
pub mod desk;
pub mod play;
pub mod queue;
pub mod replica;

use std::time::Duration;

/// A moment: the time since any fixed start. Moments of one [`desk::Desk`] never go back.
pub type Moment = Duration;

/// A portal's limit: requests that it counts at most, and how many of them it forgets each second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// The count above which it refuses.
    pub depth: f64,
    /// Requests a second.
    pub rate: f64,
    /// What of `depth` the proxy leaves unused: the portal's count falls once a second and not steadily, so that it
    /// may be one second's worth higher than a steady one.
    pub margin: f64,
}

impl Limit {
    /// Cloud portals below Enterprise.
    pub const CLOUD: Limit = Limit {
        depth: 50.0,
        rate: 2.0,
        margin: 2.0,
    };
    /// Cloud portals of the Enterprise plan.
    pub const ENTERPRISE: Limit = Limit {
        depth: 250.0,
        rate: 5.0,
        margin: 5.0,
    };

    /// The depth that the proxy fills: never less than one call.
    pub fn usable(&self) -> f64 {
        (self.depth - self.margin).max(1.0)
    }

    /// Whole calls of the depth that only callers who were quiet for a full drain may use: a tenth.
    pub fn reserve(&self) -> f64 {
        (self.usable() / 10.0).floor()
    }

    /// How long the full depth takes to drain.
    pub fn drain(&self) -> Duration {
        Duration::from_secs_f64(self.usable() / self.rate)
    }

    /// An equal part of the limit for each of so many replicas.
    #[must_use]
    pub fn divided(&self, replicas: usize) -> Limit {
        let replicas = replicas.max(1) as f64;
        Limit {
            depth: self.usable() / replicas,
            rate: self.rate / replicas,
            margin: 0.0,
        }
    }
}

/// What `--portal-rate` says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PortalRate {
    /// Nothing is held back.
    Off,
    /// Nothing is held back until the portal refuses a call for its limit.
    Auto,
    /// This limit, from the first call on.
    Fixed(Limit),
}

impl PortalRate {
    /// Reads `auto`, `cloud`, `enterprise`, `off` or `DEPTH:PER_SECOND`.
    ///
    /// # Errors
    /// Says what it should look like.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "off" => Ok(Self::Off),
            "auto" => Ok(Self::Auto),
            "cloud" => Ok(Self::Fixed(Limit::CLOUD)),
            "enterprise" => Ok(Self::Fixed(Limit::ENTERPRISE)),
            other => limit(other).map(Self::Fixed),
        }
    }
}

/// The widest limits that make sense; they keep the bucket's arithmetic exact.
const DEPTHS: std::ops::RangeInclusive<f64> = 1.0..=1_000_000.0;
const RATES: std::ops::RangeInclusive<f64> = 0.01..=100_000.0;

fn limit(text: &str) -> Result<Limit, String> {
    let (depth, rate) = text.split_once(':').ok_or_else(|| {
        "not auto, cloud, enterprise, off or DEPTH:PER_SECOND; write it as 50:2".to_owned()
    })?;
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let depth = number(depth)
        .filter(|depth| DEPTHS.contains(depth) && depth.fract() == 0.0)
        .ok_or("its depth is not a whole number from 1 to 1000000; write it as 50:2")?;
    let rate = number(rate).filter(|rate| RATES.contains(rate)).ok_or(
        "its calls per second are not a number from 0.01 to 100000; write it as 50:2 or 50:0.5",
    )?;
    Ok(Limit {
        depth,
        rate,
        margin: 0.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_leave_one_seconds_worth_unused_and_own_limits_nothing() {
        let fixed = |text: &str| match PortalRate::parse(text) {
            Ok(PortalRate::Fixed(limit)) => (limit.usable(), limit.rate, limit.reserve()),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(fixed("cloud"), (48.0, 2.0, 4.0));
        assert_eq!(fixed(" Enterprise "), (245.0, 5.0, 24.0));
        assert_eq!(fixed("20:10"), (20.0, 10.0, 2.0));
        assert_eq!(fixed("9:0.5"), (9.0, 0.5, 0.0));
        assert_eq!(PortalRate::parse("auto"), Ok(PortalRate::Auto));
        assert_eq!(PortalRate::parse("off"), Ok(PortalRate::Off));
    }

    #[test]
    fn a_limit_that_cannot_be_read_says_how_to_write_it() {
        for wrong in [
            "", "fast", "50", "0:2", "50:0", "-1:2", "1.5:2", "50:x", "nan:1", "50:inf",
        ] {
            let why = PortalRate::parse(wrong).expect_err(wrong);
            assert!(why.contains("50:2"), "{wrong}: {why}");
        }
    }

    #[test]
    fn a_share_of_the_limit_never_falls_below_one_call() {
        let share = Limit::CLOUD.divided(100);
        assert_eq!((share.usable(), share.rate), (1.0, 0.02));
        assert_eq!(Limit::CLOUD.divided(3).usable(), 16.0);
    }
}
