//! The leaky bucket: each call adds one, and the level falls steadily (pure). Whole nanoseconds, so nothing is rounded twice.

use super::{Limit, Moment};
use std::time::Duration;

/// One source address's count at the portal. Its level is kept as the moment at which it will be empty.
#[derive(Clone, Debug)]
pub struct Bucket {
    limit: Limit,
    /// Nanoseconds in which one call drains.
    interval: u64,
    /// Nanoseconds in which the usable depth drains.
    capacity: u64,
    /// When nothing will be left in it, in nanoseconds.
    empty_at: u64,
}

fn nanos(moment: Moment) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}

impl Bucket {
    /// An empty bucket.
    pub fn new(limit: Limit) -> Self {
        let interval = ((1e9 / limit.rate).ceil() as u64).max(1);
        Bucket {
            limit,
            interval,
            capacity: (limit.usable() * interval as f64) as u64,
            empty_at: 0,
        }
    }

    /// The limit that it models.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Calls in it.
    pub fn level(&self, now: Moment) -> f64 {
        self.backlog(now) as f64 / self.interval as f64
    }

    fn backlog(&self, now: Moment) -> u64 {
        self.empty_at.saturating_sub(nanos(now))
    }

    /// Whether one more call fits, with so many calls kept free above it.
    pub fn has_room(&self, now: Moment, kept: f64) -> bool {
        self.backlog(now) + self.interval
            <= self
                .capacity
                .saturating_sub(self.kept(kept))
                .max(self.interval)
    }

    fn kept(&self, calls: f64) -> u64 {
        (calls * self.interval as f64) as u64
    }

    /// Counts a call, whether it fits or not.
    pub fn take(&mut self, now: Moment) {
        self.empty_at = self.empty_at.max(nanos(now)) + self.interval;
    }

    /// A call that was counted is not made.
    pub fn give_back(&mut self) {
        self.empty_at = self.empty_at.saturating_sub(self.interval);
    }

    /// The portal says that it is full: its whole depth is used, the margin too.
    pub fn fill(&mut self, now: Moment) {
        let full = (self.limit.depth * self.interval as f64) as u64;
        self.empty_at = self.empty_at.max(nanos(now) + full);
    }

    /// Sets the level; more than the depth is the depth.
    pub fn set_level(&mut self, level: f64, now: Moment) {
        let level = (level.max(0.0) * self.interval as f64) as u64;
        self.empty_at = nanos(now) + level.min(self.capacity);
    }

    /// How long until so many more calls fit, with so many kept free above them. Nothing where they fit now.
    pub fn wait_for(&self, calls: usize, now: Moment, kept: f64) -> Duration {
        let calls = (calls as u64).saturating_mul(self.interval);
        let most = self
            .capacity
            .saturating_sub(self.kept(kept))
            .max(self.interval);
        Duration::from_nanos((self.backlog(now).saturating_add(calls)).saturating_sub(most))
    }

    /// Another limit; the calls in it stay, up to the new depth.
    pub fn set_limit(&mut self, limit: Limit, now: Moment) {
        let level = self.level(now);
        *self = Bucket::new(limit);
        self.set_level(level, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Moment {
        Duration::from_millis(millis)
    }

    fn limit(depth: f64, rate: f64) -> Limit {
        Limit {
            depth,
            rate,
            margin: 0.0,
        }
    }

    #[test]
    fn a_burst_fills_it_and_then_one_call_fits_for_each_that_drained() {
        let mut bucket = Bucket::new(limit(5.0, 2.0));
        for _ in 0..5 {
            assert!(bucket.has_room(at(1000), 0.0));
            bucket.take(at(1000));
        }
        assert!(!bucket.has_room(at(1499), 0.0));
        assert_eq!(bucket.wait_for(1, at(1200), 0.0), at(300));
        assert_eq!(bucket.wait_for(3, at(1200), 0.0), at(1300));
        assert!(bucket.has_room(at(1500), 0.0));
        assert!(!bucket.has_room(at(1500), 1.0));
        assert!(bucket.has_room(at(2000), 1.0));
    }

    #[test]
    fn a_full_portal_means_a_full_bucket_and_another_limit_keeps_its_calls() {
        let mut bucket = Bucket::new(Limit::CLOUD);
        bucket.fill(at(0));
        assert_eq!(bucket.level(at(0)), 50.0);
        assert_eq!(bucket.level(at(1000)), 48.0);
        // The portal's count has fallen by then, whenever its second began.
        assert_eq!(bucket.wait_for(1, at(0), 0.0), at(1500));
        bucket.set_limit(limit(100.0, 10.0), at(1000));
        assert_eq!(bucket.level(at(1000)), 48.0);
        bucket.set_limit(limit(10.0, 10.0), at(1000));
        assert_eq!(bucket.level(at(1000)), 10.0);
    }

    #[test]
    fn a_depth_that_is_all_kept_still_lets_one_call_through() {
        let bucket = Bucket::new(limit(1.0, 1.0));
        assert!(bucket.has_room(at(0), 1.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// The law of the bucket: whatever arrives when, no window holds more calls than its depth and what drains in it.
        #[test]
        fn no_window_holds_more_than_the_limit(
            depth in 1u32..60,
            rate in 0.05f64..400.0,
            gaps in proptest::collection::vec(0u64..2_000_000_000, 1..300),
        ) {
            let mut bucket = Bucket::new(limit(f64::from(depth), rate));
            let mut granted: Vec<u64> = Vec::new();
            let mut now = 0;
            for gap in gaps {
                now += gap;
                if bucket.has_room(Duration::from_nanos(now), 0.0) {
                    bucket.take(Duration::from_nanos(now));
                    granted.push(now);
                } else {
                    // What it says of the next moment is exact: then it fits, and not a nanosecond before.
                    let wait = bucket.wait_for(1, Duration::from_nanos(now), 0.0);
                    prop_assert!(bucket.has_room(Duration::from_nanos(now) + wait, 0.0));
                    prop_assert!(!bucket.has_room(Duration::from_nanos(now) + wait - Duration::from_nanos(1), 0.0));
                }
            }
            for (first, from) in granted.iter().enumerate() {
                for (last, to) in granted.iter().enumerate().skip(first) {
                    let most = f64::from(depth) + (to - from) as f64 / 1e9 * rate;
                    prop_assert!((last - first + 1) as f64 <= most + 1e-6, "{} calls in {} ns", last - first + 1, to - from);
                }
            }
        }
    }
}
