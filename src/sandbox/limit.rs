//! A portal's request limit as it is documented (PROTOCOL §6): a count for each source address, which falls once a second
//! and above which requests are refused. Written without the proxy's own model, so that the two can be compared.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

/// `--rate DEPTH:PER_SECOND`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RequestLimit {
    /// Requests that are counted before the next one is refused.
    pub depth: f64,
    /// How much the count falls, once a second.
    pub per_second: f64,
}

/// The counts of all source addresses.
#[derive(Debug)]
pub struct RequestCounts {
    limit: RequestLimit,
    since: Instant,
    counts: HashMap<IpAddr, Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    requests: f64,
    /// The second in which it was last looked at.
    second: u64,
}

impl RequestCounts {
    /// Nothing counted yet; the count falls at each full second from `since` on.
    pub fn new(limit: RequestLimit, since: Instant) -> Self {
        RequestCounts {
            limit,
            since,
            counts: HashMap::new(),
        }
    }

    /// Counts a request, unless the address has made too many: then it is refused and not counted.
    pub fn may_pass(&mut self, address: IpAddr, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.since).as_secs();
        let count = self.counts.entry(address).or_insert(Count {
            requests: 0.0,
            second,
        });
        let passed = second.saturating_sub(count.second) as f64;
        count.requests = (count.requests - passed * self.limit.per_second).max(0.0);
        count.second = second;
        if count.requests + 1.0 > self.limit.depth {
            return false;
        }
        count.requests += 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_count_falls_once_a_second_and_for_each_address_alone() {
        let limit = RequestLimit {
            depth: 3.0,
            per_second: 1.5,
        };
        let start = Instant::now();
        let mut counts = RequestCounts::new(limit, start);
        let [one, two] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        let at = |millis| start + Duration::from_millis(millis);
        let passed = |counts: &mut RequestCounts, address, millis| {
            (0..9)
                .filter(|_| counts.may_pass(address, at(millis)))
                .count()
        };
        assert_eq!(passed(&mut counts, one, 100), 3);
        assert_eq!(passed(&mut counts, one, 999), 0);
        assert_eq!(passed(&mut counts, two, 999), 3);
        assert_eq!(passed(&mut counts, one, 1000), 1);
        assert_eq!(passed(&mut counts, one, 2000), 2);
        assert_eq!(passed(&mut counts, one, 60_000), 3);
    }
}
