//! The rate in force (pure): how `auto` finds it, and what other users of the same address leave of it.

use super::{Limit, Moment};
use std::time::Duration;

/// How often rates change by themselves.
pub const STEP: Duration = Duration::from_secs(60);
/// The highest rate that `auto` tries: that of the Enterprise plan.
const AUTO_MOST: f64 = 5.0;
/// The least share of the limit that is kept for us.
const LEAST_SHARE: f64 = 0.25;

/// `auto`: a limit as of a cloud portal from the first refusal on, which grows while calls wait and none is refused.
#[derive(Clone, Debug)]
pub struct Auto {
    limit: Limit,
    minute: Moment,
    waited: bool,
    refused: bool,
}

/// What a minute did to `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// Nothing, or the limit changed.
    Goes,
    /// A minute passed in which nobody waited: nothing needs to be held back.
    Ends,
}

impl Auto {
    /// The portal refused a call.
    pub fn begin(now: Moment) -> Self {
        Auto {
            limit: Limit::CLOUD,
            minute: now,
            waited: true,
            refused: true,
        }
    }

    /// The limit in force.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// A call waits.
    pub fn waits(&mut self) {
        self.waited = true;
    }

    /// The portal refused a call that our own calls explain: the last step was one too many.
    pub fn refused(&mut self) {
        if !self.refused {
            self.set(self.limit.rate / 1.1);
        }
        self.refused = true;
    }

    /// Lets the minutes until `now` pass. `waiting`: calls wait now.
    pub fn pass(&mut self, now: Moment, waiting: bool) -> Passed {
        while now >= self.minute + STEP {
            if !self.waited {
                return Passed::Ends;
            }
            if !self.refused {
                self.set(self.limit.rate * 1.1);
            }
            self.minute += STEP;
            self.waited = waiting;
            self.refused = false;
        }
        Passed::Goes
    }

    fn set(&mut self, rate: f64) {
        self.limit.rate = rate.clamp(Limit::CLOUD.rate, AUTO_MOST);
        self.limit.margin = self.limit.rate;
    }
}

/// Our share of an address's limit: lowered by each refusal that our own calls do not explain.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    ours: f64,
    /// When it last changed.
    since: Moment,
}

impl Share {
    /// All of it.
    pub fn whole() -> Self {
        Share {
            ours: 1.0,
            since: Moment::ZERO,
        }
    }

    /// Our part, from a quarter to 1.
    pub fn ours(&self) -> f64 {
        self.ours
    }

    /// A call that was let go at `granted` was refused although our own calls leave room: somebody else's were counted
    /// too. Calls that were under way at the last change say nothing new.
    pub fn lower(&mut self, granted: Moment, now: Moment) -> bool {
        if self.ours < 1.0 && granted < self.since {
            return false;
        }
        self.ours = (self.ours * 0.9).max(LEAST_SHARE);
        self.since = now;
        true
    }

    /// Gives a tenth back for each minute without such a refusal. Says whether that changed it.
    pub fn recover(&mut self, now: Moment) -> bool {
        let before = self.ours;
        while self.ours < 1.0 && now >= self.since + STEP {
            self.ours = (self.ours / 0.9).min(1.0);
            if self.ours > 0.999 {
                self.ours = 1.0;
            }
            self.since += STEP;
        }
        self.ours != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn auto_goes_up_by_a_tenth_a_minute_while_calls_wait_and_none_is_refused() {
        let mut auto = Auto::begin(s(100));
        assert_eq!(auto.limit(), Limit::CLOUD);
        assert_eq!(auto.pass(s(160), true), Passed::Goes);
        assert_eq!(auto.limit().rate, 2.0, "the first minute had a refusal");
        assert_eq!(auto.pass(s(219), true), Passed::Goes);
        assert_eq!(auto.limit().rate, 2.0);
        assert_eq!(auto.pass(s(220), true), Passed::Goes);
        assert!((auto.limit().rate - 2.2).abs() < 1e-9 && auto.limit().margin == auto.limit().rate);
        auto.refused();
        auto.refused();
        assert!((auto.limit().rate - 2.0).abs() < 1e-9, "one step back");
        for minute in 5..30 {
            assert_eq!(auto.pass(s(minute * 60), true), Passed::Goes);
        }
        assert_eq!(auto.limit().rate, 5.0);
    }

    #[test]
    fn a_minute_in_which_nobody_waited_ends_it() {
        let mut auto = Auto::begin(s(0));
        assert_eq!(auto.pass(s(60), false), Passed::Goes);
        auto.waits();
        assert_eq!(auto.pass(s(120), false), Passed::Goes);
        assert_eq!(auto.pass(s(179), false), Passed::Goes);
        assert_eq!(auto.pass(s(180), false), Passed::Ends);
        let mut long_idle = Auto::begin(s(0));
        assert_eq!(long_idle.pass(s(100_000), false), Passed::Ends);
    }

    #[test]
    fn our_share_falls_by_a_tenth_a_refusal_to_a_quarter_and_comes_back() {
        let mut share = Share::whole();
        assert!(share.lower(s(1), s(2)));
        assert!(!share.lower(s(1), s(2)), "it was under way already");
        assert!(share.lower(s(3), s(4)));
        assert!((share.ours() - 0.81).abs() < 1e-9);
        for second in 5..100 {
            share.lower(s(second), s(second));
        }
        assert_eq!(share.ours(), 0.25);
        assert!(!share.recover(s(150)));
        assert!(share.recover(s(160)));
        assert!(share.ours() > 0.27 && share.ours() < 0.28);
        assert!(share.recover(s(3000)));
        assert_eq!(share.ours(), 1.0);
    }
}
