//! A request takes its turn before the portal's limit: at once, after a wait, or not at all.

use crate::pace::desk::{Grant, Refused};
use crate::pace::queue::Flow;
use crate::proxy::call::exchange::Exchange;
use crate::proxy::error::{Failure, Kind};
use crate::proxy::http::head::RequestHead;
use crate::proxy::pacing::flow::Who;
use crate::proxy::pacing::{Asked, Held, Waiting};
use crate::telemetry::budget::Budget;
use crate::telemetry::metrics::{Open, Paced};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A shorter wait is none: a thread needs as long to be woken, and the store to be asked.
const AT_ONCE: Duration = Duration::from_millis(5);

/// Why a request may go.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    grant: Grant,
    /// Until when it may wait, all its waits together.
    deadline: Option<Instant>,
}

impl Turn {
    /// A request that does not have to ask.
    pub const FREE: Turn = Turn {
        grant: Grant {
            source: 0,
            at: Duration::ZERO,
        },
        deadline: None,
    };

    /// The source address that it goes from, by number.
    pub fn source(&self) -> usize {
        self.grant.source
    }
}

impl Exchange<'_> {
    /// Takes the request's turn. Only who waits is boxed: what is rare must not make every call's future larger.
    ///
    /// # Errors
    /// It would wait or has waited for too long, or the proxy stops: nothing was executed.
    pub async fn take(&self, head: &RequestHead) -> Result<Turn, Failure> {
        let pacing = &self.context.calls.pacing;
        if !self.context.is_paced(&self.at.place) || !pacing.holds() {
            return Ok(match self.context.config.upstream_sources.len() {
                0 | 1 => Turn::FREE,
                _ => Turn {
                    grant: pacing.unpaced(self.flow(head)),
                    deadline: None,
                },
            });
        }
        let asked = pacing.ask(self.flow(head));
        match asked {
            Asked::Go(grant) => {
                self.context.local.pace_granted();
                Ok(Turn {
                    grant,
                    deadline: None,
                })
            }
            Asked::Wait(waiting) => Box::pin(self.wait(head, waiting)).await,
            Asked::No(held) => Err(self.no(head, held)),
        }
    }

    /// The portal refused the request for its limit: nothing was executed. Says when it may be sent again.
    ///
    /// # Errors
    /// As [`Exchange::take`].
    pub async fn take_again(&self, head: &RequestHead, turn: Turn) -> Result<Turn, Failure> {
        let pacing = &self.context.calls.pacing;
        let deadline = turn
            .deadline
            .unwrap_or_else(|| self.span.began() + pacing.timeout());
        let waiting = pacing.ask_again(self.flow(head), deadline);
        self.wait(head, waiting).await
    }

    /// Tells the budget that the portal refused the request for its limit.
    pub fn refused(&self, head: &RequestHead, turn: Turn) {
        if !self.context.is_paced(&self.at.place) {
            return;
        }
        self.count(head, Paced::RefusedByPortal);
        match self.context.calls.pacing.refused(turn.grant) {
            Refused::Ours => {}
            Refused::Began => tracing::info!(
                "the portal refused a call for its limit (QUERY_LIMIT_EXCEEDED): calls are held back from now on"
            ),
            Refused::Others => tracing::warn!(
                others = self.context.calls.pacing.state().others,
                "someone else calls from this address: the portal refuses more than our calls explain, and the rate was lowered"
            ),
        }
    }

    async fn wait(&self, head: &RequestHead, waiting: Waiting) -> Result<Turn, Failure> {
        let deadline = waiting.until();
        let (name, of_file) = self.who(head);
        let counted = self.context.local.open(Open::PaceWaiting);
        let since = Instant::now();
        let over = waiting.named(name.clone()).await;
        drop(counted);
        let waited = since.elapsed();
        self.span.waited(waited);
        if waited >= AT_ONCE {
            self.span.held_back(waited);
            self.context.local.pace_waited(waited);
            let telemetry = &self.context.calls.telemetry;
            telemetry
                .metrics
                .paced(of_file.then_some(&*name), Paced::Waited);
        }
        match over {
            Ok(grant) => {
                self.context.local.pace_granted();
                Ok(Turn {
                    grant,
                    deadline: Some(deadline),
                })
            }
            Err(held) => Err(self.no(head, held)),
        }
    }

    fn no(&self, head: &RequestHead, held: Held) -> Failure {
        match held {
            Held::Stopping => Kind::Stopping.into(),
            Held::TooLong(wait) => {
                self.count(head, Paced::RefusedByUs);
                Failure::query_limit(wait)
            }
        }
    }

    /// Counts by the caller's name.
    fn count(&self, head: &RequestHead, what: Paced) {
        let (name, of_file) = self.who(head);
        let telemetry = &self.context.calls.telemetry;
        telemetry.metrics.paced(of_file.then_some(&*name), what);
    }

    /// The caller's name in the callers file, else its key; and whether it is a name.
    fn who(&self, head: &RequestHead) -> (Arc<str>, bool) {
        let context = self.context;
        let caller = self.caller(head);
        let policy = context.calls.policy.load();
        match policy.logging().callers.name_of(caller) {
            Some(name) => (name.into(), true),
            None => (caller.key.as_str().into(), false),
        }
    }

    fn flow(&self, head: &RequestHead) -> Flow {
        let Exchange {
            context,
            client,
            at,
            ..
        } = *self;
        let rest = &context.config.rest_path;
        let address = context.client_address(client, head);
        let who = Who::of(&at.place, rest, &head.fields, head.target(), address);
        who.flow(context.calls.pacing.keys())
    }
}
