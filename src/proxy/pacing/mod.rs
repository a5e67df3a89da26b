//! Calls wait here for the portal's limit: the [`desk`](crate::pace::desk) behind one lock, which all threads share, and
//! one timer that lets calls go.
//!
//! Whoever queues first arms the timer on its thread; it lets calls go until the queue is empty. If that thread ends
//! before, another waiting call arms it anew. With a store the store's thread does it ([`store`]).

pub mod flow;
#[cfg(feature = "rate-store")]
pub mod store;

use crate::pace::Moment;
use crate::pace::desk::{Decision, Desk, Grant, Refused, Rules, State};
use crate::pace::queue::{Flow, Ticket};
#[cfg(feature = "rate-store")]
use crate::pace::replica::{Question, Told};
use crate::telemetry::budget::Budget;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::RandomState;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The portal's budget, shared by all threads.
#[derive(Debug)]
pub struct Pacing {
    began: Instant,
    /// Whether calls have to ask: read for each REST call.
    holds: AtomicBool,
    inner: Mutex<Inner>,
    /// The timer has to look anew.
    changed: Notify,
    /// The key under which callers are hashed.
    keys: RandomState,
    /// A thread of the store's runs the timer.
    has_store: bool,
}

#[derive(Debug)]
struct Inner {
    desk: Desk,
    /// Who waits, or may go and has not seen it yet: a ticket is used again as soon as its call may go.
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    /// Where the call of a ticket stands in `slots`, by the ticket's index.
    by_ticket: Vec<usize>,
    /// Until when the timer sleeps; `None`: nobody runs it.
    timer: Option<Moment>,
    /// The drain has ended: nobody waits any more.
    is_closed: bool,
}

/// A call that waits, or may go and has not seen it yet.
#[derive(Debug)]
struct Slot {
    ticket: Ticket,
    waker: Waker,
    granted: Option<Grant>,
    /// Who waits, for the page.
    who: Option<Arc<str>>,
}

/// Why a call does not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It would wait, or has waited, for longer than it may; how long it still would.
    TooLong(Duration),
    /// The proxy stops.
    Stopping,
}

/// What a call that asks is told.
pub enum Asked {
    Go(Grant),
    Wait(Waiting),
    No(Held),
}

impl Inner {
    fn put(&mut self, slot: Slot) -> usize {
        let index = slot.ticket.index;
        let at = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[at] = Some(slot);
        if self.by_ticket.len() <= index {
            self.by_ticket.resize(index + 1, usize::MAX);
        }
        self.by_ticket[index] = at;
        at
    }

    fn slot_of(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        let at = *self.by_ticket.get(ticket.index)?;
        self.slots
            .get_mut(at)?
            .as_mut()
            .filter(|slot| slot.ticket == ticket)
    }

    fn take(&mut self, at: usize) -> Option<Slot> {
        let slot = self.slots.get_mut(at)?.take();
        if slot.is_some() {
            self.free.push(at);
        }
        slot
    }
}

impl Pacing {
    /// With so many source addresses; where replicas share the budget through a store, with as many as are said to run.
    pub fn new(rules: Rules, sources: usize, replicas: Option<usize>) -> Arc<Self> {
        let mut desk = Desk::new(rules, sources, Moment::ZERO);
        if let Some(replicas) = replicas {
            desk.share(replicas, Moment::ZERO);
        }
        Arc::new(Pacing {
            began: Instant::now(),
            holds: AtomicBool::new(desk.holds()),
            inner: Mutex::new(Inner {
                desk,
                slots: Vec::new(),
                free: Vec::new(),
                by_ticket: Vec::new(),
                timer: None,
                is_closed: false,
            }),
            changed: Notify::new(),
            keys: RandomState::new(),
            has_store: replicas.is_some(),
        })
    }

    /// Whether calls have to ask now.
    pub fn holds(&self) -> bool {
        self.holds.load(Relaxed)
    }

    fn now(&self) -> Moment {
        self.began.elapsed()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of this flow asks to go.
    pub fn ask(self: &Arc<Self>, flow: Flow) -> Asked {
        let now = self.now();
        let mut inner = self.lock();
        let answer = inner.desk.ask(flow, now);
        self.holds.store(inner.desk.holds(), Relaxed);
        match answer {
            Decision::Granted(grant) => Asked::Go(grant),
            Decision::Waits(ticket) => {
                let deadline = self.began + now + inner.desk.timeout();
                Asked::Wait(self.waiting_with(inner, ticket, deadline))
            }
            Decision::TooLong(wait) => Asked::No(Held::TooLong(wait)),
        }
    }

    /// A call that the portal refused waits again, as the first of its flow and no longer than it would have.
    pub fn ask_again(self: &Arc<Self>, flow: Flow, deadline: Instant) -> Waiting {
        let now = self.now();
        let mut inner = self.lock();
        let ticket = inner.desk.ask_again(flow, now);
        self.waiting_with(inner, ticket, deadline)
    }

    fn waiting_with(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        ticket: Ticket,
        deadline: Instant,
    ) -> Waiting {
        let slot = inner.put(Slot {
            ticket,
            waker: Waker::noop().clone(),
            granted: None,
            who: None,
        });
        self.hand_out(inner, self.now());
        if self.has_store {
            self.changed.notify_one();
        }
        Waiting {
            pacing: self.clone(),
            slot,
            deadline: Box::pin(tokio::time::sleep_until(deadline.into())),
            until: deadline,
            is_over: false,
        }
    }

    /// The portal refused a call for its limit.
    pub fn refused(&self, grant: Grant) -> Refused {
        let now = self.now();
        let mut inner = self.lock();
        let refused = inner.desk.refused(grant, now);
        self.holds.store(inner.desk.holds(), Relaxed);
        refused
    }

    /// A call that did not ask: from the address that its flow goes from.
    pub fn unpaced(&self, flow: Flow) -> Grant {
        let inner = self.lock();
        Grant {
            source: inner.desk.home(flow),
            at: self.now(),
        }
    }

    /// Other rules, at a reload.
    pub fn set(&self, rules: Rules) {
        let now = self.now();
        let mut inner = self.lock();
        inner.desk.set(rules, now);
        self.holds.store(inner.desk.holds(), Relaxed);
        self.hand_out(inner, now);
        self.changed.notify_one();
    }

    /// The longest that a call waits.
    pub fn timeout(&self) -> Duration {
        self.lock().desk.timeout()
    }

    /// Nobody waits any more: at the end of the drain. Who waits is told.
    pub fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        let wakers: Vec<Waker> = inner
            .slots
            .iter()
            .flatten()
            .map(|slot| slot.waker.clone())
            .collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The key under which callers are hashed: of this process alone.
    pub fn keys(&self) -> &RandomState {
        &self.keys
    }

    /// Whether nothing is ever held back, nor anything learnt from refusals.
    pub fn is_off(&self) -> bool {
        self.lock().desk.is_off()
    }

    /// A turn for a call that nobody waits for: only while more than half of the budget is free.
    pub fn spare(&self, flow: Flow) -> Option<Grant> {
        let now = self.now();
        self.lock().desk.spare(flow, now)
    }

    /// Whether nobody waits any more.
    #[cfg(feature = "rate-store")]
    fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// A number of this process's own.
    #[cfg(feature = "rate-store")]
    fn random(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        self.keys.build_hasher().finish()
    }

    /// Lets go who may without the store; says when that is worth asking again.
    #[cfg(feature = "rate-store")]
    fn let_go(&self) -> Option<Instant> {
        let now = self.now();
        self.hand_out(self.lock(), now);
        let mut inner = self.lock();
        inner.timer = inner.desk.next_at(now);
        inner.timer.map(|next| self.began + next)
    }

    #[cfg(feature = "rate-store")]
    fn question(&self, source: usize) -> Question {
        let now = self.now();
        self.lock().desk.question(source, now)
    }

    #[cfg(feature = "rate-store")]
    fn store_told(&self, source: usize, question: &Question, told: Told) {
        let now = self.now();
        let mut inner = self.lock();
        inner.desk.store_told(source, question, told, now);
        self.hand_out(inner, now);
    }

    /// The store does not answer; said once.
    #[cfg(feature = "rate-store")]
    fn store_is_away(&self, said: &mut Option<bool>, why: &str) {
        let now = self.now();
        let mut inner = self.lock();
        inner.desk.store_is_away(now);
        self.hand_out(inner, now);
        if said.replace(false) != Some(false) {
            tracing::warn!(
                why,
                "the rate store does not answer: this replica goes on with its own part of the portal's limit"
            );
        }
    }

    /// The store answers; true where that is to be said.
    #[cfg(feature = "rate-store")]
    fn store_answers(&self, said: &mut Option<bool>) -> bool {
        said.replace(true) != Some(true)
    }

    /// Lets go who may, and wakes them when the lock is free. Has the timer look again where it would sleep too long.
    fn hand_out(&self, mut inner: MutexGuard<'_, Inner>, now: Moment) {
        let mut woken: Vec<Waker> = Vec::new();
        while let Some((ticket, grant)) = inner.desk.hand_out(now) {
            match inner.slot_of(ticket) {
                Some(slot) => {
                    slot.granted = Some(grant);
                    woken.push(slot.waker.clone());
                }
                None => inner.desk.give_back(grant),
            }
        }
        let too_late = match (inner.timer, inner.desk.next_at(now)) {
            (Some(sleeps), Some(next)) => next < sleeps,
            _ => false,
        };
        drop(inner);
        woken.into_iter().for_each(Waker::wake);
        if too_late {
            self.changed.notify_one();
        }
    }
}

impl Budget for Pacing {
    fn state(&self) -> State {
        let now = self.now();
        let mut inner = self.lock();
        let state = inner.desk.state(now);
        self.holds.store(state.holds, Relaxed);
        state
    }

    fn waiting(&self) -> Vec<(Arc<str>, usize)> {
        let mut by_name: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for slot in self
            .lock()
            .slots
            .iter()
            .flatten()
            .filter(|slot| slot.granted.is_none())
        {
            let who = slot.who.clone().unwrap_or_default();
            *by_name.entry(who).or_default() += 1;
        }
        let mut all: Vec<_> = by_name.into_iter().collect();
        all.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
        all
    }

    fn store_up(&self) -> Option<bool> {
        self.lock().desk.store_up()
    }
}

/// A call that waits. Dropped, it leaves the queue; what it was granted in the meantime goes to the next one.
pub struct Waiting {
    pacing: Arc<Pacing>,
    /// Where it stands in the slots.
    slot: usize,
    deadline: Pin<Box<tokio::time::Sleep>>,
    until: Instant,
    is_over: bool,
}

impl Waiting {
    /// Until when it waits at most.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Who waits, for the page.
    #[must_use]
    pub fn named(self, who: Arc<str>) -> Self {
        let mut inner = self.pacing.lock();
        if let Some(slot) = inner.slots.get_mut(self.slot).and_then(Option::as_mut) {
            slot.who = Some(who);
        }
        drop(inner);
        self
    }
}

impl Future for Waiting {
    type Output = Result<Grant, Held>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let pacing = &this.pacing;
        let mut guard = pacing.lock();
        let inner = &mut *guard;
        let Some(slot) = inner.slots.get_mut(this.slot).and_then(Option::as_mut) else {
            this.is_over = true;
            return Poll::Ready(Err(Held::Stopping));
        };
        let granted = slot.granted;
        let late =
            granted.is_none() && !inner.is_closed && this.deadline.as_mut().poll(cx).is_ready();
        let over = match granted {
            Some(grant) => Some(Ok(grant)),
            None if inner.is_closed => Some(Err(Held::Stopping)),
            None if late => Some(Err(Held::TooLong(Duration::ZERO))),
            None => None,
        };
        if let Some(over) = over {
            if let Some(slot) = inner.take(this.slot)
                && over.is_err()
            {
                inner.desk.leave(slot.ticket);
            }
            this.is_over = true;
            return Poll::Ready(over);
        }
        if !slot.waker.will_wake(cx.waker()) {
            slot.waker = cx.waker().clone();
        }
        if inner.timer.is_none() && !pacing.has_store {
            inner.timer = Some(Moment::ZERO);
            tokio::task::spawn_local(Timer(pacing.clone()).run());
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let now = self.pacing.now();
        let mut inner = self.pacing.lock();
        let Some(slot) = inner.take(self.slot) else {
            return;
        };
        match slot.granted {
            Some(grant) => {
                inner.desk.give_back(grant);
                self.pacing.hand_out(inner, now);
            }
            None => {
                inner.desk.leave(slot.ticket);
            }
        }
    }
}

/// Lets calls go when their time has come, until nobody waits.
struct Timer(Arc<Pacing>);

impl Timer {
    async fn run(self) {
        loop {
            let pacing = &self.0;
            let now = pacing.now();
            pacing.hand_out(pacing.lock(), now);
            let next = {
                let mut inner = pacing.lock();
                inner.timer = inner.desk.next_at(now);
                inner.timer
            };
            let Some(next) = next else {
                return;
            };
            let until = pacing.began + next;
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                () = pacing.changed.notified() => {}
            }
        }
    }
}

impl Drop for Timer {
    /// At the end of its thread others may still wait: one of them goes on with it.
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        if inner.timer.take().is_none() {
            return;
        }
        let waker = inner
            .slots
            .iter()
            .flatten()
            .find(|slot| slot.granted.is_none())
            .map(|slot| slot.waker.clone());
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
