//! Plays recorded calls through a desk with a clock of its own: who would have waited, and who would have been refused
//! (pure).

use super::Moment;
use super::desk::{Decision, Desk};
use super::queue::{ByFlow, Flow, Ticket};
use std::collections::VecDeque;
use std::time::Duration;

/// A call that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// When its head came.
    pub at: Moment,
    pub flow: Flow,
}

/// What became of one flow's calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    pub calls: u64,
    /// Of them, those that waited before they went.
    pub waited: u64,
    /// Of them, those that were refused: at once, or after the longest wait.
    pub refused: u64,
    /// All waits before a call went, together.
    pub waits: Duration,
    /// The longest of them.
    pub longest: Duration,
}

/// Shorter waits than this are no waits: a thread needs as long to be woken.
const AT_ONCE: Duration = Duration::from_millis(1);

struct Waiting {
    ticket: Ticket,
    flow: Flow,
    since: Moment,
}

/// A desk with who waits before it.
struct Play {
    desk: Desk,
    /// By the ticket's index.
    waiting: Vec<Option<Waiting>>,
    /// In the order in which they asked: all have the same patience.
    asked: VecDeque<(Ticket, Moment)>,
    flows: ByFlow<Waits>,
}

/// Plays calls in the order of their time.
pub fn play(desk: Desk, arrivals: &[Arrival]) -> ByFlow<Waits> {
    let mut play = Play {
        desk,
        waiting: Vec::new(),
        asked: VecDeque::new(),
        flows: ByFlow::default(),
    };
    for arrival in arrivals {
        play.until(arrival.at);
        play.ask(*arrival);
    }
    play.until(Moment::MAX);
    play.flows
}

impl Play {
    fn ask(&mut self, Arrival { at, flow }: Arrival) {
        let outcome = self.flows.entry(flow).or_default();
        outcome.calls += 1;
        match self.desk.ask(flow, at) {
            Decision::Granted(_) => {}
            Decision::TooLong(_) => outcome.refused += 1,
            Decision::Waits(ticket) => {
                if self.waiting.len() <= ticket.index {
                    self.waiting.resize_with(ticket.index + 1, || None);
                }
                self.waiting[ticket.index] = Some(Waiting {
                    ticket,
                    flow,
                    since: at,
                });
                self.asked.push_back((ticket, at));
                self.hand_out(at);
            }
        }
    }

    /// Everything that happens before this moment.
    fn until(&mut self, end: Moment) {
        let mut now = Moment::ZERO;
        while self.desk.queue().waiting() > 0 {
            while let Some((ticket, _)) = self.asked.front()
                && !self.desk.queue().is_waiting(*ticket)
            {
                self.asked.pop_front();
            }
            let late = self
                .asked
                .front()
                .map(|(_, since)| *since + self.desk.timeout());
            let next = self.desk.next_at(now).unwrap_or(Moment::MAX).max(now);
            let (at, is_late) = match late {
                Some(late) if late < next => (late, true),
                _ => (next, false),
            };
            if at >= end {
                return;
            }
            now = at;
            if is_late {
                self.give_up();
            } else {
                self.hand_out(now);
            }
        }
    }

    fn give_up(&mut self) {
        if let Some((ticket, _)) = self.asked.pop_front()
            && self.desk.leave(ticket)
            && let Some(waiting) = self.waiting[ticket.index].take()
        {
            self.flows.entry(waiting.flow).or_default().refused += 1;
        }
    }

    fn hand_out(&mut self, now: Moment) {
        while let Some((ticket, grant)) = self.desk.hand_out(now) {
            let waiting = self.waiting.get_mut(ticket.index).and_then(Option::take);
            let Some(waiting) = waiting.filter(|waiting| waiting.ticket == ticket) else {
                continue;
            };
            let wait = grant.at.saturating_sub(waiting.since);
            let outcome = self.flows.entry(waiting.flow).or_default();
            outcome.waited += u64::from(wait > AT_ONCE);
            outcome.waits += wait;
            outcome.longest = outcome.longest.max(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::PortalRate;
    use super::super::desk::Rules;
    use super::*;

    #[test]
    fn a_burst_waits_its_turn_and_what_would_wait_too_long_is_refused() {
        let rules = Rules {
            rate: PortalRate::parse("10:2").unwrap(),
            timeout: Duration::from_secs(5),
            calls: 1000,
        };
        let at = |seconds: u64, flow| Arrival {
            at: Duration::from_secs(seconds),
            flow,
        };
        let mut arrivals = vec![at(100, 1); 30];
        arrivals.push(at(102, 2));
        let flows = play(Desk::new(rules, 1, Duration::ZERO), &arrivals);
        let burst = &flows[&1];
        // Nine at once with one in reserve, ten within five seconds, of which the other caller takes one.
        assert_eq!((burst.calls, burst.waited, burst.refused), (30, 9, 12));
        assert!(
            burst.longest <= Duration::from_secs(5) && burst.longest > Duration::from_millis(4400)
        );
        let other = &flows[&2];
        assert_eq!((other.calls, other.refused), (1, 0));
        assert!(other.longest <= Duration::from_millis(500), "{other:?}");
    }
}
