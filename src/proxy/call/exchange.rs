//! What each step of a call needs to know of it, handed on as one value.

use crate::protocol::address::Address;
use crate::protocol::answer::Format;
use crate::protocol::target::Place;
use crate::proxy::call::client::Client;
use crate::proxy::call::context::Context;
use crate::proxy::call::span::Span;
use crate::proxy::http::head::RequestHead;
use crate::telemetry::caller::Caller;
use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

/// A call on its way. Its head and its body are handed on beside it: some steps take them.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    pub context: &'a Rc<Context>,
    pub client: &'a Rc<Client>,
    pub span: &'a Rc<Span>,
    pub at: &'a Address<'a>,
    /// The caller as the head tells it, once somebody has asked.
    pub by_head: &'a OnceCell<Arc<Caller>>,
}

impl Exchange<'_> {
    /// The caller as the head tells it: found out once.
    pub fn caller(&self, head: &RequestHead) -> &Arc<Caller> {
        self.by_head
            .get_or_init(|| self.context.caller(self.client, self.at, head, None))
    }

    /// The format that the call asked to be answered in.
    pub fn format(&self) -> Format {
        format_of(&self.at.place)
    }
}

/// The format that a call asked to be answered in.
pub fn format_of(place: &Place<'_>) -> Format {
    match place {
        Place::Call { format, .. } => *format,
        _ => Format::Json,
    }
}
