//! A call with deprecated uses: translated or observed, carried out, and logged before its answer's head goes on.

use crate::catalogue::{Mode, Rule};
use crate::protocol::answer::{self, Format};
use crate::protocol::target::{mask, mask_code};
use crate::proxy::body::RequestBody;
use crate::proxy::call::client::Client;
use crate::proxy::call::coding::Coding;
use crate::proxy::call::compare;
use crate::proxy::call::compare::{Legacy, Successor};
use crate::proxy::call::context::Context;
use crate::proxy::call::limits::QUERY_LIMIT_EXCEEDED;
use crate::proxy::call::moment::{Moment, client_request_id};
use crate::proxy::call::notice;
use crate::proxy::call::reply;
use crate::proxy::call::reply::{Additions, Reply};
use crate::proxy::call::room::Reserved;
use crate::proxy::call::send::{Outgoing, blame, send};
use crate::proxy::call::span::{self, Span};
use crate::proxy::call::usage;
use crate::proxy::error::{Failure, Kind};
use crate::proxy::http::fields::Name;
use crate::proxy::http::forward::BodyPlan;
use crate::proxy::http::head::{Framing, RequestHead};
use crate::proxy::net::background;
use crate::proxy::portal::Answer;
use crate::proxy::portal::body::{ERROR_LIMIT, Truncated, peek};
use crate::proxy::portal::failure::{incomplete_answer, no_answer};
use crate::telemetry::caller::Caller;
use crate::telemetry::event::DeprecationEvent;
use crate::telemetry::log::LogUnavailable;
use crate::telemetry::metrics::Sent;
use crate::translate::order::Order;
use crate::translate::{self, Action, DeprecatedUse, Reason, Refusal};
use bytes::Bytes;
use std::borrow::Cow;
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a batch's answer that are read for the codes of its commands.
const BATCH_LIMIT: usize = 1024 * 1024;

/// Bytes of a batch's answer that are read to put our errors into it; a longer one passes as it is.
const REPLACED_LIMIT: usize = 16 * 1024 * 1024;

/// All that a call with deprecated uses needs; owned, so that it can be finished without its client.
pub struct Job {
    pub context: Rc<Context>,
    pub client: Rc<Client>,
    pub span: Rc<Span>,
    pub head: RequestHead,
    pub format: Format,
    pub uses: Vec<DeprecatedUse>,
    pub batch: bool,
    /// The order of a batch's commands, where its answer is XML.
    pub order: Option<Order>,
    /// The target, if translation changed it.
    pub target: Option<Vec<u8>>,
    pub body: RequestBody,
    pub plan: BodyPlan,
    pub caller: Arc<Caller>,
    /// The caller for whom the modes were decided, where the answer tells more of it.
    pub asked: Option<Arc<Caller>>,
    pub moment: Moment,
    pub reserved: Option<Reserved>,
    /// The same call as its successor, to be compared (mode `compare`).
    pub successor: Option<Successor>,
    /// Its uses are in the log.
    pub recorded: Cell<bool>,
}

impl Drop for Job {
    /// A call that met a panic may have been executed: its uses are logged all the same.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.recorded.get() {
            let error = Failure::from(Kind::Panicked);
            let told = Told::of(&error);
            let recording = std::panic::AssertUnwindSafe(|| self.record(&told));
            let _ = std::panic::catch_unwind(recording);
        }
    }
}

/// What became of a call.
pub enum Carried {
    Answered(Reply),
    /// The portal refused it for its request limit, and it can be sent again: nothing is logged of it yet.
    Refused(Box<Job>),
    /// The same, but its body is used up: the portal's error goes on.
    RefusedForGood(Reply, Box<RequestHead>),
}

/// What the portal made of the uses.
#[derive(Default)]
struct Told {
    status: Option<u16>,
    /// Whether the status is the portal's, and says that it knows the caller.
    is_let_in: bool,
    error: Option<String>,
    /// By the key of a batch's command.
    errors: Vec<(String, String)>,
    /// Whether the portal may have the call, where it gave no whole answer.
    sent: Option<Sent>,
}

impl Told {
    /// The client gets an error of ours.
    fn of(failure: &Failure) -> Self {
        Told {
            status: Some(failure.row().status),
            error: Some(failure.code().into()),
            sent: Some(failure.sent),
            ..Told::default()
        }
    }

    /// The portal answered, and its body is still to be read.
    fn by(answer: &Answer) -> Self {
        Told {
            status: Some(answer.head.status),
            is_let_in: !matches!(answer.head.status, 401 | 403),
            ..Told::default()
        }
    }

    /// The error that the use of a call, or of a batch's command, met.
    fn error_of(&self, usage: &DeprecatedUse) -> Option<Cow<'_, str>> {
        let of_call = || self.error.as_deref().map(Cow::Borrowed);
        match &usage.batch_key {
            Some(_) if usage.action == Action::Refused => {
                let refusal = usage.refusal_of_command(None)?;
                Some(refusal.code.as_str().to_owned().into())
            }
            None => of_call(),
            Some(key) => {
                let mut errors = self.errors.iter();
                let found = errors.find(|(command, _)| command == key);
                found.map(|(_, code)| code.into()).or_else(of_call)
            }
        }
    }

    /// The client gets nothing.
    fn gone(sent: Sent) -> Self {
        Told {
            sent: Some(sent),
            ..Told::default()
        }
    }
}

impl Job {
    /// Carries the call out and logs its uses. The answer's head is not passed on before the log has them.
    pub async fn carry_out(mut self: Box<Self>, source: usize) -> Result<Carried, Failure> {
        self.may_be_sent()?;
        let switched_off = self.switched_off();
        let is_replaced = !switched_off.is_empty();
        let body = std::mem::replace(&mut self.body, RequestBody::Empty);
        let outgoing = Outgoing {
            plain_answer: is_replaced,
            source,
            keep: self.context.paces(),
            ..Outgoing::new(self.target.as_deref(), body, self.plan)
        };
        let sent = {
            let sending = pin!(send(
                &self.context,
                &self.client,
                &self.span,
                &self.head,
                outgoing
            ));
            self.context.cut.unless_cut(sending).await
        };
        let Some(sent) = sent else {
            return Err(self.cut());
        };
        #[cfg(test)]
        crate::proxy::net::caught::panic_if_asked(self.head.target(), "sent");
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(error) => return Err(self.unanswered(error)),
        };
        self.name_application(&answer);
        let mut told = Told::by(&answer);
        let looked = match self.looked_into(&answer, is_replaced) {
            None => Some(Ok(None)),
            Some(limit) => {
                // Boxed: what is rare must not make every call's future larger.
                let mut looking = Box::pin(self.look_into(&mut answer, &mut told, limit));
                self.context.cut.unless_cut(looking.as_mut()).await
            }
        };
        match looked {
            None => Err(self.cut()),
            Some(Ok(read)) => Ok(self.answered(answer, read, &told, &switched_off)),
            Some(Err(Truncated)) => {
                let error = incomplete_answer();
                let _ = self.record(&Told::of(&error));
                Err(error)
            }
        }
    }

    /// Refuses a call that is translated while the log takes no line of it, where the log's failure is to refuse calls.
    fn may_be_sent(&mut self) -> Result<(), Failure> {
        if self.context.calls.telemetry.log.can_accept() || !self.is_rewritten() {
            return Ok(());
        }
        for usage in &mut self.uses {
            usage.action = Action::Refused;
            usage.refusal = Some(Reason::LogFailure);
        }
        let error = Failure::from(Kind::LogUnavailable);
        let _ = self.record(&Told::of(&error));
        Err(error)
    }

    fn is_rewritten(&self) -> bool {
        self.uses.iter().any(|u| u.action == Action::Rewritten)
    }

    /// The portal gave no answer: what the client is told of it.
    fn unanswered(&self, error: Failure) -> Failure {
        let error = blame(&self.client, error);
        let _ = self.record(&Told::of(&error));
        error
    }

    /// Some answers name the application that the token belongs to.
    fn name_application(&mut self, answer: &Answer) {
        let Some(application) = answer.head.fields.first(Name::XBitrixRestApplication) else {
            return;
        };
        if self.context.asks_for_applications() {
            let applications = &self.context.calls.applications;
            applications.learn(&self.caller, application);
            self.asked = Some(self.caller.clone());
        }
        Arc::make_mut(&mut self.caller).name_application(application);
    }

    /// Logs the uses and makes the reply, or gives the call back where the portal refused it for its limit.
    fn answered(
        mut self: Box<Self>,
        mut answer: Answer,
        read: Option<(Bytes, bool)>,
        told: &Told,
        switched_off: &[(String, Refusal)],
    ) -> Carried {
        let is_refused = told.status == Some(503)
            && told.error.as_deref() == Some(QUERY_LIMIT_EXCEEDED)
            && self.context.paces();
        if let Some(body) = answer.again.take().filter(|_| is_refused) {
            self.body = body;
            return Carried::Refused(self);
        }
        drop(self.reserved.take());
        if self.record(told).is_err() && self.is_rewritten() {
            // The call was executed: the answer goes on all the same, and the log's trouble is said by the log.
            tracing::debug!("an executed call could not be logged");
        }
        self.compare_later(&answer, read.as_ref());
        self.count_time(&answer, read.as_ref());
        let reply = self.reply(answer, read, switched_off);
        if is_refused {
            Carried::RefusedForGood(reply, Box::new(self.head.clone()))
        } else {
            Carried::Answered(reply)
        }
    }

    /// Sends the call as its successor beside the answer, in mode `compare`.
    fn compare_later(&mut self, answer: &Answer, read: Option<&(Bytes, bool)>) {
        let Some(successor) = self.successor.take() else {
            return;
        };
        let Some((body, true)) = read else {
            return successor.skip(&self.context);
        };
        let legacy = Legacy {
            status: answer.head.status,
            is_gzip: Coding::of(&answer.head) == Coding::Gzip,
            body: body.clone(),
        };
        let (context, client) = (self.context.clone(), self.client.clone());
        let head = self.head.clone();
        background::finish(successor.compare(context, client, head, legacy));
    }

    /// Counts the seconds of the portal's time that the answer tells.
    fn count_time(&self, answer: &Answer, read: Option<&(Bytes, bool)>) {
        let Some(used) = self.uses.first() else {
            return;
        };
        if self.head.method() == b"HEAD" {
            return;
        }
        let caller = || usage::name_of(&self.context, || &self.caller);
        let keys = || {
            let keys = self.uses.iter().filter_map(|used| used.batch_key.clone());
            keys.collect()
        };
        let whole = answer.whole(read);
        self.span
            .passes(&answer.head, whole, &used.rule.method, caller, keys);
    }

    /// The answer as the client gets it.
    fn reply(
        &self,
        answer: Answer,
        read: Option<(Bytes, bool)>,
        switched_off: &[(String, Refusal)],
    ) -> Reply {
        let lines = self.deprecation_lines();
        let origin = |name, value: &[u8]| {
            self.context
                .turn_origin(&self.client, &self.head, name, value)
        };
        let id_line = self.span.id_line_if_asked();
        let whole = read.as_ref().filter(|(_, whole)| *whole);
        let replaced = whole.and_then(|(body, _)| self.with_refusals(body, switched_off));
        let additions = Additions {
            replaced: replaced.map(Into::into),
            deprecation: &lines,
            read,
            origin: Some(&origin),
            lines: id_line.as_bytes(),
        };
        reply::pass_on(&self.head, answer, additions)
    }

    /// A batch's answer with our errors in place of the portal's for the commands that were refused.
    fn with_refusals(&self, body: &[u8], switched_off: &[(String, Refusal)]) -> Option<Vec<u8>> {
        if switched_off.is_empty() {
            return None;
        }
        let refused: Vec<(&str, &str, &str)> = switched_off
            .iter()
            .map(|(key, r)| (key.as_str(), r.code.as_str(), r.description.as_str()))
            .collect();
        match &self.order {
            Some(order) => order.replace_refused(body, &refused),
            None => translate::answer::replace_refused(body, self.format, &refused),
        }
    }

    /// How much of the answer's body is read before it goes on; nothing where none of it is.
    fn looked_into(&self, answer: &Answer, is_replaced: bool) -> Option<usize> {
        let head = &answer.head;
        let limit = match (self.batch, head.status) {
            _ if is_replaced => REPLACED_LIMIT,
            _ if self.successor.is_some() => compare::LIMIT,
            (_, 400..) => ERROR_LIMIT,
            (true, _) => BATCH_LIMIT,
            (false, _) => return None,
        };
        let readable = match Coding::of(head) {
            Coding::None => true,
            Coding::Gzip if self.successor.is_some() => true,
            Coding::Gzip | Coding::Deflate => head.status >= 400,
            Coding::Other => false,
        };
        let has_none = head.framing == Framing::None || self.head.method() == b"HEAD";
        (readable && !has_none).then_some(limit)
    }

    /// Reads an error's code, or those of a batch's commands, out of the answer. Gives what was read.
    async fn look_into(
        &self,
        answer: &mut Answer,
        told: &mut Told,
        limit: usize,
    ) -> Result<Option<(Bytes, bool)>, Truncated> {
        let coding = Coding::of(&answer.head);
        let (read, whole) = peek(&mut answer.body, limit).await?;
        if whole && answer.head.status >= 400 {
            let plain = coding.plain(&read, ERROR_LIMIT);
            told.error = plain.and_then(|plain| answer::error_code(&plain));
            if let Some(code) = &told.error {
                self.context.local.portal_error(code);
                self.count_limits(None, code);
            }
        }
        if whole && coding == Coding::None && self.batch {
            told.errors = answer::batch_error_codes(&read);
            for (key, code) in &told.errors {
                self.count_limits(Some(key), code);
            }
        }
        Ok(if read.is_empty() && !whole {
            None
        } else {
            Some((read, whole))
        })
    }

    /// Counts by method what the portal refuses for the time that a method has used, or for overload.
    fn count_limits(&self, key: Option<&str>, code: &str) {
        let metrics = &self.context.calls.telemetry.metrics;
        for usage in &self.uses {
            if key.is_none() || usage.batch_key.as_deref() == key {
                let is_limit = metrics.method_limited(&usage.rule.method, code);
                if is_limit && key.is_some() {
                    self.context.local.portal_error(code);
                }
            }
        }
    }

    /// The call never got its turn before the portal's limit.
    pub fn not_sent(&self, error: &Failure) {
        let told = match error.kind {
            // The proxy stops.
            Kind::Stopping => Told::gone(error.sent),
            _ => Told::of(error),
        };
        let _ = self.record(&told);
    }

    /// The proxy stops before the portal has answered: the client gets nothing, the log what was done.
    fn cut(&self) -> Failure {
        let error = no_answer();
        let _ = self.record(&Told::gone(error.sent));
        error
    }

    fn record(&self, told: &Told) -> Result<(), LogUnavailable> {
        self.recorded.set(true);
        let asked = self.asked.as_ref().unwrap_or(&self.caller);
        let decided = |usage: &DeprecatedUse| decide(&self.context, asked, usage);
        record(
            &self.context,
            &self.moment,
            &self.head,
            &self.caller,
            &self.uses,
            told,
            self.span.time_held_back(),
            &decided,
        )
    }

    /// The commands of a batch that were refused, by their keys, and what their senders are told.
    fn switched_off(&self) -> Vec<(String, Refusal)> {
        let told = |usage: &DeprecatedUse| {
            let until = self.context.until(&usage.rule, &self.caller);
            Some((usage.batch_key.clone()?, usage.refusal_of_command(until)?))
        };
        self.uses
            .iter()
            .filter(|usage| usage.action == Action::Refused)
            .filter_map(told)
            .collect()
    }

    fn deprecation_lines(&self) -> Bytes {
        let [first, more @ ..] = &self.uses[..] else {
            return Bytes::new();
        };
        if !self.context.config.deprecation_headers {
            return Bytes::new();
        }
        if more.iter().all(|usage| usage.rule.id == first.rule.id) {
            return self.context.deprecation_lines(&first.rule);
        }
        let mut rules: Vec<&Rule> = Vec::new();
        for usage in &self.uses {
            if !rules.iter().any(|rule| rule.id == usage.rule.id) {
                rules.push(&usage.rule);
            }
        }
        notice::lines(rules.iter().copied()).into()
    }
}

/// Logs uses whose call went no further than here.
pub fn record_refusal(
    context: &Context,
    moment: &Moment,
    head: &RequestHead,
    caller: &Arc<Caller>,
    uses: &[DeprecatedUse],
    error: &Failure,
) {
    let told = Told::of(error);
    let decided = |usage: &DeprecatedUse| decide(context, caller, usage);
    let _ = record(context, moment, head, caller, uses, &told, None, &decided);
}

/// The mode that a use's rule is in, told to the guard where it is a brownout.
fn decide(context: &Context, caller: &Caller, usage: &DeprecatedUse) -> Mode {
    context.fixed_mode(&usage.rule).unwrap_or_else(|| {
        let decision = context.decision(&usage.rule, caller);
        if usage.refusal == Some(Reason::Brownout) {
            let policy = context.calls.policy.load();
            policy.refused(&decision, &caller.key, jiff::Timestamp::now());
        }
        decision.mode
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "each is a fact of its own, and nothing else has them together"
)]
fn record(
    context: &Context,
    moment: &Moment,
    head: &RequestHead,
    caller: &Arc<Caller>,
    uses: &[DeprecatedUse],
    told: &Told,
    waited: Option<Duration>,
    decided: &dyn Fn(&DeprecatedUse) -> Mode,
) -> Result<(), LogUnavailable> {
    let duration = moment.began.elapsed();
    let client_request_id = client_request_id(head);
    let trace_id = span::trace_id(&head.fields);
    let event = |usage| -> DeprecationEvent<'_> {
        let usage: &DeprecatedUse = usage;
        DeprecationEvent {
            timestamp: moment.timestamp,
            request_id: moment.request_id.as_str().into(),
            client_request_id: client_request_id.as_deref().map(Cow::Borrowed),
            trace_id: trace_id.map(Cow::Borrowed),
            rule: usage.rule.clone(),
            action: usage.action,
            reason: usage.refusal,
            mode: Some(decided(usage)),
            encoding: usage.encoding,
            batch_key: usage.batch_key.as_deref().map(|key| masked(key).into()),
            changes: all_masked(&usage.changes),
            parameters: all_masked(&usage.parameters),
            target: moment.target.as_str().into(),
            caller: caller.clone(),
            status: told.status,
            error: told.error_of(usage).map(|code| mask_code(&code).into()),
            duration,
            is_let_in: told.is_let_in,
            sent: told.sent,
            waited,
        }
    };
    match uses {
        [usage] => context.record(&[event(usage)]),
        _ => context.record(&uses.iter().map(event).collect::<Vec<_>>()),
    }
}

/// Keys and names are the client's, codes the portal's: either may hold an address.
fn masked(text: &str) -> String {
    mask(text.as_bytes())
}

fn all_masked(texts: &[String]) -> Cow<'_, [String]> {
    match texts {
        [] => Cow::Borrowed(texts),
        _ => texts.iter().map(|text| masked(text)).collect(),
    }
}
