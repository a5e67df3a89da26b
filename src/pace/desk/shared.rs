//! A desk whose budget is shared by replicas: grants come from a store, and from its own part while that is away (pure).

use super::{Desk, Grant};
use crate::pace::Moment;
use crate::pace::queue::{Room, Ticket};
use crate::pace::replica::{Question, Replica, Told};

impl Desk {
    /// Replicas share the budget through a store, which is not reached yet; so many are said to run.
    pub fn share(&mut self, replicas: usize, now: Moment) {
        self.replica = Some(Replica {
            is_up: false,
            replicas: replicas.max(1),
            others: 0,
        });
        self.apply(now);
    }

    /// Whether grants come from the store.
    pub fn asks_store(&self) -> bool {
        self.holds() && self.replica.is_some_and(|replica| replica.is_up)
    }

    /// Whether the store answers; `None` without one.
    pub fn store_up(&self) -> Option<bool> {
        self.replica.map(|replica| replica.is_up)
    }

    /// What to ask the store for this address.
    pub fn question(&mut self, at: usize, now: Moment) -> Question {
        self.pass(now);
        let (limit, waits) = (self.whole(), self.queue.waiting() > 0);
        let replica = self.replica;
        let wanted: usize = if self.holds() {
            self.queue.waiting()
        } else {
            0
        };
        let source = &mut self.sources[at];
        let level = source.bucket.level(now);
        let is_up = replica.is_some_and(|replica| replica.is_up);
        let replicas = replica.map_or(1, |replica| replica.replicas) as f64;
        // In mid-run it begins at the level last known, full where calls wait.
        let begin = match is_up {
            true if waits && source.is_short => limit.depth,
            true => level,
            false if waits => limit.depth,
            false => level * replicas,
        };
        Question {
            limit,
            rate: limit.rate * source.share.ours(),
            callers: self.queue.callers(),
            want: wanted.saturating_sub(source.credits),
            fresh: self.queue.fresh(),
            begin,
            add: if is_up { 0.0 } else { level },
            is_full: std::mem::take(&mut source.is_full),
            refused: std::mem::take(&mut source.refused),
        }
    }

    /// The store has answered.
    pub fn store_told(&mut self, at: usize, question: &Question, told: Told, now: Moment) {
        if let Some(replica) = &mut self.replica {
            replica.replicas = told.replicas;
            replica.others = told.others;
            if !replica.is_up && at + 1 == self.sources.len() {
                replica.is_up = true;
            }
        }
        self.apply(now);
        let source = &mut self.sources[at];
        // What it granted is counted when it is handed out.
        source
            .bucket
            .set_level(told.level - told.granted as f64, now);
        source.own.set_level(told.own - told.granted as f64, now);
        source.credits = told.granted;
        source.is_short = told.granted < question.want;
    }

    /// The store does not answer: this replica goes on with its own part. Says whether it did before.
    pub fn store_is_away(&mut self, now: Moment) -> bool {
        let Some(replica) = &mut self.replica else {
            return false;
        };
        let was_up = std::mem::replace(&mut replica.is_up, false);
        if was_up {
            let parts = replica.replicas as f64;
            replica.others = 0;
            let waits = self.queue.waiting() > 0;
            let levels: Vec<f64> = self
                .sources
                .iter()
                .map(|s| s.bucket.level(now) / parts)
                .collect();
            self.apply(now);
            for (source, level) in self.sources.iter_mut().zip(levels) {
                source.credits = 0;
                if waits {
                    source.bucket.fill(now);
                } else {
                    source.bucket.set_level(level, now);
                }
            }
        }
        was_up
    }

    /// A call that may go by a grant of the store.
    pub(super) fn hand_out_credit(&mut self, now: Moment) -> Option<(Ticket, Grant)> {
        if self.sources.iter().all(|source| source.credits == 0) {
            return None;
        }
        let Some((flow, ticket)) = self.queue.next(Room::Ordinary) else {
            // Who they were for has left.
            for source in &mut self.sources {
                source.credits = 0;
            }
            return None;
        };
        let home = self.home(flow);
        let source = match self.sources[home].credits {
            0 => self.sources.iter().position(|source| source.credits > 0)?,
            _ => home,
        };
        self.sources[source].credits -= 1;
        Some((ticket, self.grant(flow, source, now)))
    }
}
