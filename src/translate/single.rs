//! A call of one deprecated method.
use super::apply::apply;
use super::edit::{Edit, splice};
use super::parameters::read;
use super::refusal::Doubt;
use super::refusal::Refusal;
use super::steps::{self, Trouble};
use super::verdict::{Action, Call, DeprecatedUse, Encoding, Outcome, Verdict};
use crate::catalogue::{Mode, Rule, RuleKind, Step};
use crate::protocol::target::{Place, Written};
use std::sync::Arc;

/// Translates, refuses or only observes a call, as `mode` has it.
pub(super) fn translate(call: &Call<'_>, rule: &Arc<Rule>, mode: Mode) -> Verdict {
    let encoding = Encoding::of(call.verb, call.content_type, !call.body.is_empty());
    if let Some(refusal) = Refusal::switched_off(rule, mode, None) {
        return Verdict::refused(rule, encoding, refusal);
    }
    let successor = match (&rule.replacement, rule.kind, mode) {
        (Some(successor), RuleKind::Exact, Mode::Rewrite) => successor,
        _ => {
            let uses = vec![DeprecatedUse::observed(rule, encoding)];
            return Verdict {
                uses,
                ..Verdict::untouched()
            };
        }
    };
    if call.has_packed_body() {
        return Verdict::refused(rule, encoding, Refusal::encoded(rule));
    }
    let Place::Call { name, written, .. } = call.place else {
        return Verdict::untouched();
    };
    let renamed = Edit::new(name.clone(), successor);
    let made = match written {
        Written::Path if rule.steps.is_empty() => all_at_once(call, rule, renamed),
        Written::Path => step_by_step(call, rule, renamed),
        _ if concerns_method(rule) => {
            let refusal = Refusal::doubtful(Some(rule), Doubt::Address);
            return Verdict::refused(rule, encoding, refusal);
        }
        Written::Query => by_parameter(call, rule, vec![renamed], Vec::new()),
        Written::Form | Written::Multipart => by_parameter(call, rule, Vec::new(), vec![renamed]),
    };
    let made = match made {
        Ok(made) => made,
        Err(Trouble::Unreadable(why)) => {
            return Verdict::refused(rule, encoding, Refusal::unreadable(rule, why));
        }
        Err(Trouble::NoRoom) => return Verdict::refused(rule, encoding, Refusal::too_many(rule)),
    };
    let used = DeprecatedUse {
        action: Action::Rewritten,
        changes: made.changes,
        ..DeprecatedUse::observed(rule, encoding)
    };
    Verdict {
        outcome: Outcome::Rewritten {
            target: made.target,
            body: made.body,
        },
        uses: vec![used],
        ..Verdict::untouched()
    }
}

/// The successor's call: what is not `None` is new.
struct Made {
    target: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
    changes: Vec<String>,
}

/// Translates by a rule of the product. `renamed` gives the target its new method.
fn all_at_once(call: &Call<'_>, rule: &Rule, renamed: Edit) -> Result<Made, Trouble> {
    let mut applied = apply(rule, read(call, &rule.wanted())?)?;
    applied.query.push(renamed);
    Ok(Made {
        target: splice(call.target, applied.query),
        body: splice(call.counting_body(), applied.body),
        changes: applied.changes,
    })
}

/// Translates by a rule of one's own. `renamed` gives the target its new method.
fn step_by_step(call: &Call<'_>, rule: &Rule, renamed: Edit) -> Result<Made, Trouble> {
    let stepped = steps::run(rule, call)?;
    Ok(Made {
        target: splice(&stepped.target, vec![renamed]),
        body: (stepped.body != call.counting_body()).then_some(stepped.body),
        changes: stepped.changes,
    })
}

/// Translates a call whose method is the value of a parameter: the name first, since the rule's edits may move it.
fn by_parameter(
    call: &Call<'_>,
    rule: &Rule,
    in_target: Vec<Edit>,
    in_body: Vec<Edit>,
) -> Result<Made, Trouble> {
    let (target, body) = (
        splice(call.target, in_target),
        splice(call.counting_body(), in_body),
    );
    let call = Call {
        target: target.as_deref().unwrap_or(call.target),
        body: body.as_deref().unwrap_or(call.body),
        ..*call
    };
    let (new_target, new_body, changes) = if rule.steps.is_empty() {
        let applied = apply(rule, read(&call, &rule.wanted())?)?;
        (
            splice(call.target, applied.query),
            splice(call.counting_body(), applied.body),
            applied.changes,
        )
    } else {
        let stepped = steps::run(rule, &call)?;
        let is_new = stepped.body != call.counting_body();
        (
            Some(stepped.target),
            is_new.then_some(stepped.body),
            stepped.changes,
        )
    };
    Ok(Made {
        target: new_target.or(target),
        body: new_body.or(body),
        changes,
    })
}

/// Whether a rule changes the parameter that names the method of a call without a template.
fn concerns_method(rule: &Rule) -> bool {
    let in_steps = |step: &Step| step.wanted().has(b"method");
    rule.wanted().has(b"method") || rule.steps.iter().any(in_steps)
}
