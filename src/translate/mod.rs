//! The engine: a legacy call in, the same operation under its successor's name out (pure). It knows no method by name.
//!
//! Two doors: [`intake`] decides by a request's head alone what has to be read of it, [`translate`] takes the whole call.
pub mod answer;
mod apply;
mod batch;
mod edit;
mod fields;
mod object;
pub mod order;
mod parameters;
mod refusal;
pub mod sent;
mod single;
mod steps;
mod verdict;

pub use batch::BLOCKED_METHOD;
pub use refusal::{Code, Doubt, Reason, Refusal};
pub use verdict::{Action, Call, DeprecatedUse, Encoding, Outcome, Verdict};

use crate::catalogue::{Catalogue, Mode, Rule, RuleKind};
use crate::protocol::target::{BATCH, Place};
use std::sync::Arc;

/// The methods of a batch's commands by their keys; those of a batch inside it are not looked for.
pub fn batch_methods(call: &Call<'_>) -> Vec<(String, String)> {
    let mut methods = Vec::new();
    batch::commands(call, &mut |key, command| {
        let name = &command[crate::protocol::batch::method(command)];
        let name = String::from_utf8_lossy(name).to_lowercase();
        methods.push((key.to_owned(), name));
    });
    methods
}

/// What has to be read of a request before it can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake<'c> {
    /// Nothing of ours in it: forward it unread. Nearly all traffic.
    Stream,
    /// A deprecated call that is only watched: forward it unread, and log it.
    Observe(&'c Arc<Rule>),
    /// Translate it with an empty body: its verb is not POST, so that no body counts, or it is refused whatever its body.
    Head,
    /// Read its body whole, up to the limit, then translate it.
    Body,
}

/// Decides by a request's head alone what has to be read of it. `mode` says what is to be done to a rule's calls.
pub fn intake<'c>(
    verb: &[u8],
    place: &Place<'_>,
    catalogue: &'c Catalogue,
    mode: &dyn Fn(&Rule) -> Mode,
) -> Intake<'c> {
    let method = match place {
        Place::Call { method, .. } => method,
        // The method may stand in the body.
        Place::Unnamed if verb == b"POST" => return Intake::Body,
        _ => return Intake::Stream,
    };
    let with_parameters = if verb == b"POST" {
        Intake::Body
    } else {
        Intake::Head
    };
    if place.is_batch() {
        return with_parameters;
    }
    match catalogue.find(method.as_bytes()) {
        None => Intake::Stream,
        Some(rule) => match (mode(rule), rule.kind) {
            (Mode::Brownout | Mode::Block, _) => Intake::Head,
            (Mode::Rewrite, RuleKind::Exact) => with_parameters,
            _ => Intake::Observe(rule),
        },
    }
}

/// Whether an address may be a deprecated call, or hold some.
pub fn concerns(place: &Place<'_>, catalogue: &Catalogue) -> bool {
    match place {
        Place::Call { method, .. } => {
            place.is_batch() || catalogue.find(method.as_bytes()).is_some()
        }
        Place::Unnamed => true,
        Place::OtherRest | Place::Elsewhere => false,
    }
}

/// Translates a call that [`intake`] asked for.
pub fn translate(call: &Call<'_>, catalogue: &Catalogue, mode: &dyn Fn(&Rule) -> Mode) -> Verdict {
    let mut untouched = Verdict::untouched();
    untouched.unread = call.may_be_named_unread().then_some(Reason::Encoding);
    let Place::Call { method, .. } = call.place else {
        return untouched;
    };
    let verdict = if call.place.is_batch() {
        batch::translate(call, catalogue, mode)
    } else {
        match catalogue.find(method.as_bytes()) {
            Some(rule) => single::translate(call, rule, mode(rule)),
            None => untouched,
        }
    };
    match call.doubt {
        None => verdict,
        Some(doubt) => verdict.in_doubt(doubt),
    }
}

/// The verdict on a call whose body is over `limit` bytes; `call` has none of it. Nothing of it is sent: a batch too could
/// hold deprecated commands.
pub fn too_large(call: &Call<'_>, catalogue: &Catalogue, limit: usize) -> Verdict {
    let method = match call.place {
        Place::Call { method, .. } => method.as_ref(),
        // Whichever method the body names.
        Place::Unnamed => BATCH,
        _ => return Verdict::untouched(),
    };
    let encoding = Encoding::of(call.verb, call.content_type, true);
    if method == BATCH {
        return Verdict {
            outcome: Outcome::Refused(Refusal::too_large(None, limit)),
            batch: true,
            unread: Some(Reason::TooLarge),
            ..Verdict::untouched()
        };
    }
    match catalogue.find(method.as_bytes()) {
        Some(rule) => Verdict::refused(rule, encoding, Refusal::too_large(Some(rule), limit)),
        None => Verdict::untouched(),
    }
}

/// Runs both doors on a call that is there whole, as the proxy would: what [`intake`] does not ask for, [`translate`]
/// does not see.
pub fn decide(call: &Call<'_>, catalogue: &Catalogue, mode: &dyn Fn(&Rule) -> Mode) -> Verdict {
    match intake(call.verb, call.place, catalogue, mode) {
        Intake::Stream => Verdict::untouched(),
        Intake::Observe(rule) => {
            let encoding = Encoding::of(call.verb, call.content_type, !call.body.is_empty());
            Verdict {
                uses: vec![DeprecatedUse::observed(rule, encoding)],
                ..Verdict::untouched()
            }
        }
        Intake::Head => translate(&Call { body: b"", ..*call }, catalogue, mode),
        Intake::Body => translate(call, catalogue, mode),
    }
}
