//! What is to be done for a request, once what has to be read of it is read.

use crate::protocol::target;
use crate::proxy::body::{ClientBody, RequestBody};
use crate::proxy::call::exchange::Exchange;
use crate::proxy::call::job::Job;
use crate::proxy::call::moment::Moment;
use crate::proxy::call::room::Reserved;
use crate::proxy::error::Failure;
use crate::proxy::http::forward::BodyPlan;
use crate::proxy::http::head::{Framing, RequestHead};
use crate::telemetry::caller::Caller;
use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

/// What is to be done for a request, once what has to be read of it is read.
#[expect(
    clippy::large_enum_variant,
    reason = "the large one is the frequent one"
)]
pub enum Work {
    /// It has deprecated uses.
    Deprecated(Box<Job>),
    /// Nothing of it is ours.
    Untouched(Untouched),
}

impl Work {
    pub fn head(&self) -> &RequestHead {
        match self {
            Work::Deprecated(job) => &job.head,
            Work::Untouched(request) => &request.head,
        }
    }

    /// It never got its turn: the portal does not get it, and what is logged of it says so.
    pub fn not_sent(self, error: Failure) -> Failure {
        if let Work::Deprecated(job) = self {
            job.not_sent(&error);
        }
        error
    }
}

/// A request without deprecated uses.
pub struct Untouched {
    pub head: RequestHead,
    /// The target, where what the portal reads of it stays the same.
    pub target: Option<Vec<u8>>,
    pub body: RequestBody,
    pub plan: BodyPlan,
    pub upgrade: bool,
    /// Who calls, where the body was read to know it.
    pub caller: Option<Arc<Caller>>,
    pub _reserved: Option<Reserved>,
}

impl Untouched {
    pub fn streamed(head: RequestHead, body: ClientBody) -> Self {
        Untouched {
            target: None,
            body: streamed(&head, body),
            plan: BodyPlan::AsItCame,
            upgrade: false,
            caller: None,
            _reserved: None,
            head,
        }
    }
}

/// A call that goes on as it came; its uses are to be put in.
pub fn as_it_came(
    x: Exchange<'_>,
    head: RequestHead,
    caller: Arc<Caller>,
    body: RequestBody,
) -> Job {
    let Exchange {
        context,
        client,
        span,
        ..
    } = x;
    Job {
        context: context.clone(),
        client: client.clone(),
        span: span.clone(),
        moment: moment(x),
        body,
        plan: BodyPlan::AsItCame,
        batch: false,
        order: None,
        format: x.format(),
        target: None,
        reserved: None,
        successor: None,
        head,
        uses: Vec::new(),
        caller,
        asked: None,
        recorded: Cell::new(false),
    }
}

pub fn streamed(head: &RequestHead, body: ClientBody) -> RequestBody {
    if head.framing == Framing::None {
        RequestBody::Empty
    } else {
        body.into()
    }
}

/// When the request came and how it is called, for its events.
pub fn moment(x: Exchange<'_>) -> Moment {
    let Exchange {
        context, span, at, ..
    } = x;
    Moment {
        began: span.began(),
        timestamp: SystemTime::now(),
        request_id: span.id(),
        target: target::masked_plain_call(at.target, &at.place)
            .unwrap_or_else(|| target::masked_path(at.target, &context.config.rest_path)),
    }
}
