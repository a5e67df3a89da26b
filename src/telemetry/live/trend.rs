//! Calls a day or an hour, over the last of them (pure).

/// In milliseconds.
pub(super) const HOUR: u64 = 3_600_000;
pub(super) const DAY: u64 = 24 * HOUR;

/// Days of a row's trend.
pub(super) const DAYS: usize = 30;
/// Hours of a row's trend.
pub(super) const HOURS: usize = 48;

/// Counts in the last `N` spans of time, each known by its number since 1970.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trend<const N: usize> {
    /// The span that `counts` ends with.
    newest: u64,
    counts: [u32; N],
}

impl<const N: usize> Default for Trend<N> {
    fn default() -> Self {
        Self {
            newest: 0,
            counts: [0; N],
        }
    }
}

impl<const N: usize> Trend<N> {
    pub(super) fn add(&mut self, span: u64, count: u32) {
        if span > self.newest {
            self.move_to(span);
        }
        let back = usize::try_from(self.newest - span).unwrap_or(N);
        if back < N {
            let slot = &mut self.counts[N - 1 - back];
            *slot = slot.saturating_add(count);
        }
    }

    fn move_to(&mut self, span: u64) {
        let by = usize::try_from(span - self.newest).unwrap_or(N).min(N);
        self.counts.copy_within(by.., 0);
        self.counts[N - by..].fill(0);
        self.newest = span;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (back, &count) in other
            .counts
            .iter()
            .rev()
            .enumerate()
            .filter(|(_, count)| **count > 0)
        {
            self.add(other.newest.saturating_sub(back as u64), count);
        }
    }

    /// The counts of the `N` spans that end with `span`, oldest first.
    pub(super) fn until(&self, span: u64) -> Vec<u32> {
        let mut moved = self.clone();
        if span > moved.newest {
            moved.move_to(span);
        }
        moved.counts.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_takes_events_out_of_order() {
        let mut trend = Trend::<4>::default();
        for span in [100, 98, 101, 90, 101] {
            trend.add(span, 1);
        }
        assert_eq!(trend.until(101), [1, 0, 1, 2]);
        assert_eq!(trend.until(103), [1, 2, 0, 0]);
        assert_eq!(trend.until(500), [0; 4]);
        let mut other = Trend::<4>::default();
        other.add(102, 5);
        other.merge(&trend);
        assert_eq!(other.until(102), [0, 1, 2, 5]);
    }
}
