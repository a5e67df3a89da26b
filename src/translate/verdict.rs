//! The engine's input and output: a call as it came, and the verdict on it.

use std::sync::Arc;

use jiff::Timestamp;

use super::order::Order;
use super::refusal::{Doubt, Reason, Refusal};
use crate::catalogue::{Mode, Rule};
use crate::protocol::call::{self, Reader};
use crate::protocol::target::{Place, Written};
use crate::protocol::unnamed;

/// One REST call as it came; the core's only input.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The HTTP method.
    pub verb: &'a [u8],
    /// The request target in origin-form.
    pub target: &'a [u8],
    /// What the target is, as read by [`crate::protocol::target::place`].
    pub place: &'a Place<'a>,
    /// The first `Content-Type`.
    pub content_type: Option<&'a [u8]>,
    /// The `Content-Encoding`, where there is one; of several the first that names a coding.
    pub content_encoding: Option<&'a [u8]>,
    /// The body, whole.
    pub body: &'a [u8],
    /// Why the call cannot be changed, although it can be read.
    pub doubt: Option<Doubt>,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What to send, or to answer.
    pub outcome: Outcome,
    /// The deprecated methods that the call uses: one for a call, as many as there are for a batch.
    pub uses: Vec<DeprecatedUse>,
    /// Whether the call is a batch.
    pub batch: bool,
    /// The order of a batch's commands, where its answer is XML.
    pub order: Option<Order>,
    /// Why nobody knows whether the call, or a command of it, is deprecated.
    pub unread: Option<Reason>,
}

/// What to send, or to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Send it as it came.
    Untouched,
    /// Send it with these parts in place of its own; `None` is as it came.
    Rewritten {
        /// The new request target.
        target: Option<Vec<u8>>,
        /// The new body.
        body: Option<Vec<u8>>,
    },
    /// Answer this, and send nothing.
    Refused(Refusal),
}

/// What was done to a deprecated call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sent under its successor's name.
    Rewritten,
    /// Sent as it came.
    Observed,
    /// Not sent.
    Refused,
}

impl Action {
    /// The word that events and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Rewritten => "rewritten",
            Action::Observed => "observed",
            Action::Refused => "refused",
        }
    }
}

/// How a call's parameters travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A JSON body.
    Json,
    /// An urlencoded body.
    Form,
    /// A `multipart/form-data` body.
    Multipart,
    /// A body of no or another type, which is read as a form string.
    Raw,
    /// The query alone.
    Query,
}

impl Encoding {
    /// The word that events use.
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Json => "json",
            Encoding::Form => "form",
            Encoding::Multipart => "multipart",
            Encoding::Raw => "raw",
            Encoding::Query => "query",
        }
    }

    /// The encoding that a call's head announces.
    pub fn of(verb: &[u8], content_type: Option<&[u8]>, has_body: bool) -> Self {
        if verb != b"POST" || !has_body {
            return Encoding::Query;
        }
        match Reader::of(content_type) {
            Reader::Json => Encoding::Json,
            Reader::Urlencoded => Encoding::Form,
            Reader::Multipart => Encoding::Multipart,
            Reader::Raw => Encoding::Raw,
        }
    }
}

/// One use of a deprecated method.
#[derive(Clone, Debug)]
pub struct DeprecatedUse {
    /// The method's rule.
    pub rule: Arc<Rule>,
    /// What was done to the call.
    pub action: Action,
    /// How its parameters travel.
    pub encoding: Encoding,
    /// The command's key where it stands in a batch; `outer/inner` in a batch inside a batch.
    pub batch_key: Option<String>,
    /// What was changed, in words that name parameters and never values of the client's.
    pub changes: Vec<String>,
    /// The names of the parameters and fields that it sends, where it was looked into for them ([`super::sent`]).
    pub parameters: Vec<String>,
    /// Why it was refused.
    pub refusal: Option<Reason>,
}

impl DeprecatedUse {
    /// The use of a call that is forwarded unread ([`Intake::Observe`]).
    pub fn observed(rule: &Arc<Rule>, encoding: Encoding) -> Self {
        Self {
            rule: rule.clone(),
            action: Action::Observed,
            encoding,
            batch_key: None,
            changes: Vec::new(),
            parameters: Vec::new(),
            refusal: None,
        }
    }

    /// What to tell the sender of a call whose method is switched off, up to `until` where that is known; nothing where it
    /// was not refused, or for another reason.
    pub fn switched_off(&self, until: Option<Timestamp>) -> Option<Refusal> {
        match self.refusal? {
            Reason::Brownout => Refusal::switched_off(&self.rule, Mode::Brownout, until),
            Reason::Blocked => Refusal::switched_off(&self.rule, Mode::Block, until),
            _ => None,
        }
    }

    /// What to tell the sender of a command that was refused ([`Action::Refused`] in a batch), in the place of the
    /// portal's error.
    pub fn refusal_of_command(&self, until: Option<Timestamp>) -> Option<Refusal> {
        self.refusal?;
        self.switched_off(until)
            .or_else(|| Some(Refusal::too_many(&self.rule)))
    }
}

impl Verdict {
    pub(super) fn untouched() -> Self {
        Self {
            outcome: Outcome::Untouched,
            uses: Vec::new(),
            batch: false,
            order: None,
            unread: None,
        }
    }

    /// The verdict on a call that cannot be changed: it goes on only as it came.
    pub(super) fn in_doubt(mut self, doubt: Doubt) -> Self {
        let is_changed = matches!(self.outcome, Outcome::Rewritten { .. });
        let is_unsure = self.batch && doubt == Doubt::ContentType;
        if !(is_changed || is_unsure) {
            return self;
        }
        let refusal = Refusal::doubtful(self.uses.first().map(|used| &*used.rule), doubt);
        for used in &mut self.uses {
            used.action = Action::Refused;
            used.refusal.get_or_insert(refusal.reason);
            used.changes = Vec::new();
        }
        self.unread = self.uses.is_empty().then_some(refusal.reason);
        self.outcome = Outcome::Refused(refusal);
        self
    }

    /// Of a single call.
    pub(super) fn refused(rule: &Arc<Rule>, encoding: Encoding, refusal: Refusal) -> Self {
        let mut used = DeprecatedUse::observed(rule, encoding);
        used.action = Action::Refused;
        used.refusal = Some(refusal.reason);
        Self {
            outcome: Outcome::Refused(refusal),
            uses: vec![used],
            ..Self::untouched()
        }
    }
}

impl<'a> Call<'a> {
    /// The body, as far as it counts: with another verb than POST it does not.
    pub(super) fn counting_body(&self) -> &'a [u8] {
        if self.verb == b"POST" { self.body } else { b"" }
    }

    /// Whether there is a body that counts and is compressed, as the head says.
    pub(super) fn has_packed_body(&self) -> bool {
        self.content_encoding.is_some_and(call::names_coding) && !self.counting_body().is_empty()
    }

    /// Whether the method may stand in a compressed body, whatever the query names.
    pub(super) fn may_be_named_unread(&self) -> bool {
        let by_parameter = match self.place {
            Place::Call { written, .. } => *written == Written::Query,
            Place::OtherRest | Place::Unnamed => true,
            Place::Elsewhere => false,
        };
        by_parameter
            && self.has_packed_body()
            && unnamed::may_stand_in_body(self.verb, self.content_type)
    }
}
