//! Seconds of the portal's time that methods use, read from the last bytes of answers that pass by (PROTOCOL §6).

use crate::protocol::target;
use crate::protocol::usage::{CommandUsage, TAIL, of_batch, operating};
use crate::proxy::call::coding::Coding;
use crate::proxy::call::context::Context;
use crate::proxy::http::head::{Framing, ResponseHead};
use crate::telemetry::caller::Caller;
use crate::telemetry::metrics::Usage;
use crate::translate::{self, Call};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

/// Bytes at the end of a single call's answer in which its time stands.
const SINGLE: usize = 512;

/// A longer batch is not kept until its answer has passed.
const LONGEST_BATCH: usize = 64 * 1024;

/// What has used less is passed over.
const WORTH_A_LOOK: f64 = 1.0;

/// An answer whose last bytes are kept while it passes.
pub struct Passing {
    method: Box<str>,
    caller: Option<Arc<str>>,
    batch: Option<Box<Batch>>,
    /// The keys of a batch's commands whose errors are counted elsewhere.
    counted: Vec<String>,
    tail: RefCell<Vec<u8>>,
    /// Bytes to come, where that is known.
    left: Cell<Option<u64>>,
    /// What a call's answer told, where its end came in one piece.
    seconds: Cell<Option<f64>>,
}

/// A batch as it was sent: its answer tells of commands by their keys alone.
pub struct Batch {
    target: Vec<u8>,
    content_type: Vec<u8>,
    body: Bytes,
}

impl Batch {
    /// Of a call; `None` where it is too long to be kept.
    pub fn of(call: &Call<'_>, body: &Bytes) -> Option<Box<Self>> {
        let is_kept = body.len() <= LONGEST_BATCH && call.content_encoding.is_none();
        is_kept.then(|| {
            Box::new(Batch {
                target: call.target.to_vec(),
                content_type: call.content_type.unwrap_or_default().to_vec(),
                body: body.clone(),
            })
        })
    }

    /// Its methods by the keys of its commands.
    fn methods(&self, context: &Context) -> Vec<(String, String)> {
        let place = target::place(&self.target, &context.config.rest_path);
        let call = Call {
            verb: b"POST",
            target: &self.target,
            place: &place,
            content_type: Some(&self.content_type),
            content_encoding: None,
            body: &self.body,
            doubt: None,
        };
        translate::batch_methods(&call)
    }
}

/// The caller's name in the callers file; who calls is not looked up where that has none.
pub fn name_of<'c>(
    context: &Context,
    caller: impl FnOnce() -> &'c Arc<Caller>,
) -> Option<Arc<str>> {
    let policy = context.calls.policy.load();
    let callers = &policy.logging().callers;
    if callers.names().is_empty() {
        return None;
    }
    callers.name_of(caller()).map(Arc::from)
}

/// Whether a 200 tells: what is packed or has no body does not.
pub fn may_tell(head: &ResponseHead) -> bool {
    head.framing != Framing::None && Coding::of(head) == Coding::None
}

/// Tells what a call's answer says that is at hand whole. Who called is asked only where it is worth to be told.
pub fn of_whole(
    context: &Context,
    method: &str,
    answer: &[u8],
    caller: impl FnOnce() -> Option<Arc<str>>,
) {
    let seconds = operating(answer);
    if let Some(seconds) = seconds.filter(|seconds| *seconds >= WORTH_A_LOOK) {
        tell(context, method, caller().as_deref(), seconds);
    }
    let usage = seconds.map_or(Usage::Unseen, |_| Usage::Seen);
    context.local.usage(usage);
}

impl Passing {
    /// The answer to a call of this method, by the caller of this name.
    pub fn new(
        framing: Framing,
        method: &str,
        caller: Option<Arc<str>>,
        batch: Option<Box<Batch>>,
        counted: Vec<String>,
    ) -> Self {
        Passing {
            method: method.into(),
            caller,
            batch,
            counted,
            tail: RefCell::default(),
            left: Cell::new(match framing {
                Framing::Length(length) => Some(length),
                _ => None,
            }),
            seconds: Cell::default(),
        }
    }

    /// Keeps the end of what has passed by now.
    pub fn bytes(&self, data: &[u8]) {
        let left = self
            .left
            .get()
            .map(|left| left.saturating_sub(data.len() as u64));
        self.left.set(left);
        if left == Some(0)
            && self.batch.is_none()
            && (data.len() >= SINGLE || self.tail.borrow().is_empty())
        {
            self.seconds.set(operating(data));
            return;
        }
        let most = if self.batch.is_some() { TAIL } else { SINGLE };
        let mut tail = self.tail.borrow_mut();
        keep(&mut tail, data, most);
    }

    /// All of it has passed.
    pub fn ended(&self, context: &Context) {
        let tail = self.tail.borrow();
        let is_seen = match &self.batch {
            None => match self.seconds.get().or_else(|| operating(&tail)) {
                Some(seconds) => {
                    tell(context, &self.method, self.caller.as_deref(), seconds);
                    true
                }
                None => false,
            },
            Some(batch) => self.batch_ended(context, batch, &tail),
        };
        context
            .local
            .usage(if is_seen { Usage::Seen } else { Usage::Unseen });
    }

    fn batch_ended(&self, context: &Context, batch: &Batch, tail: &[u8]) -> bool {
        let Some(commands) = of_batch(tail) else {
            return false;
        };
        let refusal = |command: &CommandUsage| -> Option<String> {
            let limits = ["OPERATION_TIME_LIMIT", "OVERLOAD_LIMIT"];
            let code = command.error.clone()?;
            (limits.contains(&&*code) && !self.counted.contains(&command.key)).then_some(code)
        };
        let told: Vec<_> = commands
            .iter()
            .map(|command| (command, refusal(command)))
            .filter(|(command, refusal)| {
                command.operating.is_some_and(|s| s >= WORTH_A_LOOK) || refusal.is_some()
            })
            .collect();
        if told.is_empty() {
            return true;
        }
        let methods = batch.methods(context);
        for (command, refusal) in told {
            let Some((_, method)) = methods.iter().find(|(key, _)| *key == command.key) else {
                continue;
            };
            if let Some(seconds) = command.operating {
                tell(context, method, self.caller.as_deref(), seconds);
            }
            if let Some(code) = refusal {
                context.local.portal_error(&code);
                context
                    .calls
                    .telemetry
                    .metrics
                    .method_limited(method, &code);
            }
        }
        true
    }
}

fn tell(context: &Context, method: &str, caller: Option<&str>, seconds: f64) {
    if seconds < WORTH_A_LOOK {
        return;
    }
    let metrics = &context.calls.telemetry.metrics;
    let limit = context.config.operating_limit;
    if metrics.operating(method, caller, seconds, limit, Instant::now()) {
        tracing::warn!(
            method,
            caller,
            seconds,
            "a method has used more than 80 % of the portal's time for it; beyond that it answers OPERATION_TIME_LIMIT"
        );
    }
}

/// Appends, and drops what lies before the last `most` bytes.
fn keep(tail: &mut Vec<u8>, data: &[u8], most: usize) {
    if data.len() >= most {
        tail.clear();
        tail.extend_from_slice(&data[data.len() - most..]);
        return;
    }
    let over = (tail.len() + data.len()).saturating_sub(most);
    tail.drain(..over);
    tail.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::keep;

    #[test]
    fn the_last_bytes_are_kept_however_they_come() {
        let text: Vec<u8> = (0..100).collect();
        for size in [1, 3, 7, 8, 9, 50, 100] {
            let mut tail = Vec::new();
            for piece in text.chunks(size) {
                keep(&mut tail, piece, 8);
            }
            assert_eq!(tail, text[92..], "pieces of {size}");
        }
    }
}
