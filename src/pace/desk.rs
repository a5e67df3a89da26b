//! Where a call asks whether it may go: the buckets of one portal, the queue before them, and the rate in force (pure).

use super::adapt::{Auto, Passed, Share};
use super::bucket::Bucket;
use super::queue::{ByFlow, Flow, Line, Queue, Room, Ticket};
use super::replica::Replica;
use super::{Limit, Moment, PortalRate};
use std::collections::VecDeque;
use std::time::Duration;

/// What a desk is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// The portal's limit.
    pub rate: PortalRate,
    /// The longest that a call waits.
    pub timeout: Duration,
    /// The most calls that wait.
    pub calls: usize,
}

/// A call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// From which source address, by number.
    pub source: usize,
    /// Since when it may.
    pub at: Moment,
}

/// What a call that asks is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may go.
    Granted(Grant),
    /// It waits: [`Desk::hand_out`] names its ticket when it may go.
    Waits(Ticket),
    /// It would wait for longer than it may.
    TooLong(Duration),
}

/// What the portal's refusal of a call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Our own calls explain it.
    Ours,
    /// Somebody else calls from the same address: the rate was lowered.
    Others,
    /// `auto` begins to hold calls back.
    Began,
}

/// One source address.
#[derive(Clone, Debug)]
struct Source {
    bucket: Bucket,
    /// What our own calls alone would make of the portal's count: no margin, no correction.
    own: Bucket,
    share: Share,
    /// Grants of the store that are not used yet.
    credits: usize,
    /// To be told to the store.
    is_full: bool,
    refused: usize,
    /// The last question was not answered with all grants that it wanted.
    is_short: bool,
}

/// What is remembered of a flow.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// When it last went.
    went: Option<Moment>,
    /// When it last found no room.
    pressed: Option<Moment>,
    /// The address that it last went from.
    source: usize,
}

impl Seen {
    fn last(&self) -> Moment {
        self.went.max(self.pressed).unwrap_or_default()
    }
}

/// Flows that are remembered at most for having found no room: whoever makes up callers is not to fill the memory.
const REMEMBERED: usize = 20_000;

/// What is to be seen of a desk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// Whether calls are held back now.
    pub holds: bool,
    /// The limit's usable depth, of all addresses.
    pub depth: f64,
    /// Calls a second that are let go now, of all addresses.
    pub rate: f64,
    /// Calls in the buckets now.
    pub level: f64,
    pub waiting: usize,
    pub callers: usize,
    /// What others use of the limit, as far as refusals show it: 0 to 0.75.
    pub others: f64,
}

/// One portal's budget.
#[derive(Clone, Debug)]
pub struct Desk {
    rules: Rules,
    auto: Option<Auto>,
    sources: Vec<Source>,
    queue: Queue,
    seen: ByFlow<Seen>,
    /// Each flow of `seen` once, in the order in which they are looked at to be forgotten.
    to_forget: VecDeque<(Moment, Flow)>,
    /// Until when the portal may still count calls of before the start.
    settled: Moment,
    /// Where replicas share the budget.
    replica: Option<Replica>,
}

impl Desk {
    /// With so many source addresses.
    pub fn new(rules: Rules, sources: usize, now: Moment) -> Self {
        let mut desk = Desk {
            rules,
            auto: None,
            sources: Vec::new(),
            queue: Queue::default(),
            seen: ByFlow::default(),
            to_forget: VecDeque::new(),
            settled: Moment::ZERO,
            replica: None,
        };
        let limit = desk.limit();
        desk.settled = now + limit.drain();
        let source = Source {
            bucket: Bucket::new(limit),
            own: Bucket::new(bare(limit)),
            share: Share::whole(),
            credits: 0,
            is_full: false,
            refused: 0,
            is_short: false,
        };
        desk.sources = vec![source; sources.max(1)];
        desk
    }

    /// The limit in force, before any correction: this replica's part while the store is away.
    pub fn limit(&self) -> Limit {
        match self.replica {
            Some(replica) if !replica.is_up => self.whole().divided(replica.replicas),
            _ => self.whole(),
        }
    }

    /// The portal's limit as it is modelled.
    fn whole(&self) -> Limit {
        match (&self.auto, self.rules.rate) {
            (Some(auto), _) => auto.limit(),
            (None, PortalRate::Fixed(limit)) => limit,
            (None, _) => Limit::CLOUD,
        }
    }

    /// Whether calls have to ask.
    pub fn holds(&self) -> bool {
        self.auto.is_some() || matches!(self.rules.rate, PortalRate::Fixed(_))
    }

    /// Whether nothing is ever held back, nor learnt from refusals.
    pub fn is_off(&self) -> bool {
        self.rules.rate == PortalRate::Off
    }

    /// A turn for a call that nobody waits for: only while no call waits and more than half of the budget is free.
    pub fn spare(&mut self, flow: Flow, now: Moment) -> Option<Grant> {
        self.pass(now);
        if !self.holds() {
            return Some(self.unpaced(flow, now));
        }
        let source = self.home(flow);
        let bucket = &self.sources[source].bucket;
        let is_free = !self.asks_store()
            && self.queue.waiting() == 0
            && bucket.has_room(now, bucket.limit().usable() / 2.0);
        is_free.then(|| self.grant(flow, source, now))
    }

    /// How long a call waits at most.
    pub fn timeout(&self) -> Duration {
        self.rules.timeout
    }

    /// The waiting calls.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// A call of this flow asks to go.
    pub fn ask(&mut self, flow: Flow, now: Moment) -> Decision {
        self.pass(now);
        if !self.holds() {
            return Decision::Granted(self.unpaced(flow, now));
        }
        self.forget(now);
        let line = self.line_of(flow, now);
        if self.queue.waiting() == 0
            && !self.asks_store()
            && let Some(source) = self.source_for(flow, now, line == Line::Fresh)
        {
            return Decision::Granted(self.grant(flow, source, now));
        }
        let wait = self.expected(flow, line, now);
        // A question to the store is no wait, as long as it has room.
        if !self.asks_store() || self.sources.iter().any(|source| source.is_short) {
            self.remember(flow, now, |seen| seen.pressed = Some(now));
            if let Some(auto) = &mut self.auto {
                auto.waits();
            }
        }
        if wait > self.rules.timeout || self.queue.waiting() >= self.rules.calls {
            return Decision::TooLong(wait);
        }
        Decision::Waits(self.queue.join(flow, line))
    }

    /// How long a call of this flow would wait, if nobody else comes.
    fn expected(&self, flow: Flow, line: Line, now: Moment) -> Duration {
        let before = self.queue.ahead(flow, line) + 1;
        let kept = self.kept(line == Line::Fresh);
        // Replicas share by callers that wait.
        let (mine, others) = match self.replica {
            Some(replica) => (self.queue.callers().max(1), replica.others),
            None => (1, 0),
        };
        let each = (before * (mine + others)).div_ceil(mine * self.sources.len());
        let waits = self
            .sources
            .iter()
            .map(|s| s.bucket.wait_for(each, now, kept));
        waits.min().unwrap_or_default()
    }

    /// What of the depth is not for this call.
    fn kept(&self, is_fresh: bool) -> f64 {
        if is_fresh {
            0.0
        } else {
            self.limit().reserve()
        }
    }

    /// A call that was refused by the portal waits again, as the first of its flow.
    pub fn ask_again(&mut self, flow: Flow, now: Moment) -> Ticket {
        self.pass(now);
        if let Some(auto) = &mut self.auto {
            auto.waits();
        }
        self.queue.rejoin(flow)
    }

    /// A waiting call leaves; false if it was served.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        self.queue.leave(ticket)
    }

    /// A call that may go now, if there is one. Asked again and again until there is none.
    pub fn hand_out(&mut self, now: Moment) -> Option<(Ticket, Grant)> {
        self.pass(now);
        if self.asks_store() {
            return self.hand_out_credit(now);
        }
        let kept = self.limit().reserve();
        let any = |kept| self.sources.iter().any(|s| s.bucket.has_room(now, kept));
        let room = if !self.holds() || any(kept) {
            Room::Ordinary
        } else if any(0.0) {
            Room::Reserve
        } else {
            return None;
        };
        let (flow, ticket) = self.queue.next(room)?;
        if !self.holds() {
            return Some((ticket, self.unpaced(flow, now)));
        }
        let source = self
            .source_for(flow, now, room == Room::Reserve)
            .unwrap_or_default();
        Some((ticket, self.grant(flow, source, now)))
    }

    /// When [`Desk::hand_out`] is worth asking again: never while nobody waits.
    pub fn next_at(&self, now: Moment) -> Option<Moment> {
        if self.queue.waiting() == 0 || self.asks_store() {
            return None;
        }
        let kept = self.kept(self.queue.may_use_reserve());
        let waits = self.sources.iter().map(|s| s.bucket.wait_for(1, now, kept));
        waits.min().map(|wait| now + wait)
    }

    /// A granted call is not made after all.
    pub fn give_back(&mut self, grant: Grant) {
        if self.holds()
            && let Some(source) = self.sources.get_mut(grant.source)
        {
            source.bucket.give_back();
            source.own.give_back();
        }
    }

    /// The portal refused a granted call for its limit: it was not executed.
    pub fn refused(&mut self, grant: Grant, now: Moment) -> Refused {
        self.pass(now);
        if !self.holds() {
            if self.rules.rate == PortalRate::Off {
                return Refused::Ours;
            }
            self.auto = Some(Auto::begin(now));
            self.settled = now + self.limit().drain();
            self.apply(now);
            for source in &mut self.sources {
                source.bucket.fill(now);
                source.own.fill(now);
            }
            return Refused::Began;
        }
        let limit = self.whole();
        // With the store away only it knew what other replicas let go.
        let settled = now >= self.settled && self.replica.is_none_or(|replica| replica.is_up);
        let Some(source) = self.sources.get_mut(grant.source) else {
            return Refused::Ours;
        };
        source.own.give_back();
        source.bucket.fill(now);
        source.is_full = true;
        source.refused += 1;
        if !settled {
            // What the portal counted before we began to count is ours as well.
            source.own.fill(now);
        }
        // The portal's count falls once a second: it may be one second's worth above a steady one.
        let explained = source.own.level(now) + limit.rate + 1.0 >= limit.depth;
        if explained {
            if let Some(auto) = &mut self.auto {
                auto.refused();
                self.apply(now);
            }
            return Refused::Ours;
        }
        let lowered = source.share.lower(grant.at, now);
        if let Some(auto) = &mut self.auto {
            auto.waits();
        }
        self.apply(now);
        if lowered {
            Refused::Others
        } else {
            Refused::Ours
        }
    }

    /// Other rules, at a reload. Who waits goes on waiting under them.
    pub fn set(&mut self, rules: Rules, now: Moment) {
        self.pass(now);
        if rules.rate != self.rules.rate {
            self.auto = None;
        }
        self.rules = rules;
        self.apply(now);
    }

    /// What is to be seen of it.
    pub fn state(&mut self, now: Moment) -> State {
        self.pass(now);
        let holds = self.holds();
        let sum = |of: &dyn Fn(&Source) -> f64| -> f64 { self.sources.iter().map(of).sum() };
        let share = sum(&|s| s.share.ours()) / self.sources.len() as f64;
        State {
            holds,
            depth: if holds {
                sum(&|s| s.bucket.limit().usable())
            } else {
                0.0
            },
            rate: if holds {
                sum(&|s| s.bucket.limit().rate)
            } else {
                0.0
            },
            level: if holds {
                sum(&|s| s.bucket.level(now))
            } else {
                0.0
            },
            waiting: self.queue.waiting(),
            callers: self.queue.callers(),
            others: 1.0 - share,
        }
    }

    /// Lets time pass: `auto` goes up or ends, shares come back.
    fn pass(&mut self, now: Moment) {
        let before = self.limit();
        if let Some(auto) = &mut self.auto
            && auto.pass(now, self.queue.waiting() > 0) == Passed::Ends
        {
            self.auto = None;
            for source in &mut self.sources {
                source.share = Share::whole();
                source.bucket.set_level(0.0, now);
                source.own.set_level(0.0, now);
            }
        }
        let mut changed = self.limit() != before;
        for source in &mut self.sources {
            changed |= source.share.recover(now);
        }
        if changed {
            self.apply(now);
        }
    }

    /// Gives each bucket the limit in force.
    fn apply(&mut self, now: Moment) {
        let (limit, whole) = (self.limit(), bare(self.whole()));
        for source in &mut self.sources {
            let ours = Limit {
                rate: limit.rate * source.share.ours(),
                ..limit
            };
            if source.bucket.limit() != ours {
                source.bucket.set_limit(ours, now);
            }
            if source.own.limit() != whole {
                source.own.set_limit(whole, now);
            }
        }
    }

    /// Where a flow stands that begins to wait: who was quiet comes before all others, and who keeps finding no room is
    /// not new each time.
    fn line_of(&self, flow: Flow, now: Moment) -> Line {
        let Some(seen) = self.seen.get(&flow) else {
            return Line::Fresh;
        };
        let presses = seen
            .pressed
            .is_some_and(|pressed| pressed + self.round() > now);
        let went = seen
            .went
            .is_some_and(|went| went + self.limit().drain() > now);
        match (presses, went) {
            (false, false) => Line::Fresh,
            (false, true) => Line::New,
            (true, false) => Line::Late,
            (true, true) => Line::Old,
        }
    }

    /// How long it takes until everybody who waits has had a turn: who asks more seldom takes less than an equal share.
    fn round(&self) -> Duration {
        let each = 1.0 / (self.limit().rate * self.sources.len() as f64);
        Duration::from_secs_f64((self.queue.callers() + 1) as f64 * each)
    }

    /// Forgets who has not been seen for as long as it matters.
    fn forget(&mut self, now: Moment) {
        let kept = self.limit().drain().max(self.rules.timeout);
        while let Some((at, flow)) = self.to_forget.front().copied()
            && at + kept <= now
        {
            self.to_forget.pop_front();
            match self.seen.get(&flow).map(Seen::last) {
                Some(last) if last + kept > now => self.to_forget.push_back((last, flow)),
                _ => {
                    self.seen.remove(&flow);
                }
            }
        }
    }

    fn remember(&mut self, flow: Flow, now: Moment, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.seen.get_mut(&flow) {
            return change(seen);
        }
        let mut seen = Seen {
            went: None,
            pressed: None,
            source: (flow % self.sources.len() as u64) as usize,
        };
        change(&mut seen);
        if seen.went.is_some() || self.seen.len() < REMEMBERED {
            self.seen.insert(flow, seen);
            self.to_forget.push_back((now, flow));
        }
    }

    /// The address from which the flow goes: its own while there is room, else the one with the most.
    fn source_for(&self, flow: Flow, now: Moment, is_fresh: bool) -> Option<usize> {
        let kept = if is_fresh {
            0.0
        } else {
            self.limit().reserve()
        };
        if let [only] = &self.sources[..] {
            return only.bucket.has_room(now, kept).then_some(0);
        }
        let home = self.home(flow);
        if self.sources[home].bucket.has_room(now, kept) {
            return Some(home);
        }
        let level = |at: &usize| self.sources[*at].bucket.level(now);
        (0..self.sources.len())
            .filter(|at| self.sources[*at].bucket.has_room(now, kept))
            .min_by(|a, b| level(a).total_cmp(&level(b)))
    }

    /// The address that a flow goes from while there is room.
    pub fn home(&self, flow: Flow) -> usize {
        let seen = self.seen.get(&flow).map(|seen| seen.source);
        seen.unwrap_or((flow % self.sources.len() as u64) as usize)
    }

    fn unpaced(&self, flow: Flow, now: Moment) -> Grant {
        Grant {
            source: self.home(flow),
            at: now,
        }
    }

    fn grant(&mut self, flow: Flow, source: usize, now: Moment) -> Grant {
        self.sources[source].bucket.take(now);
        self.sources[source].own.take(now);
        self.remember(flow, now, |seen| {
            seen.went = Some(now);
            seen.source = source;
        });
        Grant { source, at: now }
    }
}

/// The limit as the portal has it.
fn bare(limit: Limit) -> Limit {
    Limit {
        margin: 0.0,
        ..limit
    }
}

mod shared;
#[cfg(test)]
mod tests;
