//! A call of one deprecated method.
use super::apply::apply;
use super::edit::{Edit, splice};
use super::parameters::read;
use super::refusal::Refusal;
use super::steps::{self, Trouble};
use super::verdict::{Action, Call, DeprecatedUse, Encoding, Outcome, Verdict};
use crate::catalogue::{Mode, Rule, RuleKind};
use std::ops::Range;
use std::sync::Arc;

/// Translates, refuses or only observes a call, as `mode` has it. `name` is where the method stands in the target.
pub(super) fn translate(
    call: &Call<'_>,
    name: Range<usize>,
    rule: &Arc<Rule>,
    mode: Mode,
) -> Verdict {
    let encoding = Encoding::of(call.verb, call.content_type, !call.body.is_empty());
    if let Some(refusal) = Refusal::switched_off(rule, mode, None) {
        return Verdict::refused(rule, encoding, refusal);
    }
    let successor = match (&rule.replacement, rule.kind, mode) {
        (Some(successor), RuleKind::Exact, Mode::Rewrite) => successor,
        _ => {
            let uses = vec![DeprecatedUse::observed(rule, encoding)];
            return Verdict {
                outcome: Outcome::Untouched,
                uses,
                batch: false,
            };
        }
    };
    if call.is_encoded() && !call.counting_body().is_empty() {
        return Verdict::refused(rule, encoding, Refusal::encoded(rule));
    }
    if !rule.steps.is_empty() {
        return step_by_step(call, name, rule, successor, encoding);
    }
    let parameters = match read(call, &rule.wanted()) {
        Ok(parameters) => parameters,
        Err(why) => return Verdict::refused(rule, encoding, Refusal::unreadable(rule, why)),
    };
    let Ok(mut applied) = apply(rule, parameters) else {
        return Verdict::refused(rule, encoding, Refusal::too_many(rule));
    };
    applied.query.push(Edit::new(name, successor));
    let outcome = Outcome::Rewritten {
        target: splice(call.target, applied.query),
        body: splice(call.counting_body(), applied.body),
    };
    let action = Action::Rewritten;
    let used = DeprecatedUse {
        action,
        changes: applied.changes,
        ..DeprecatedUse::observed(rule, encoding)
    };
    Verdict {
        outcome,
        uses: vec![used],
        batch: false,
    }
}

/// Translates by a rule of one's own.
fn step_by_step(
    call: &Call<'_>,
    name: Range<usize>,
    rule: &Arc<Rule>,
    successor: &str,
    encoding: Encoding,
) -> Verdict {
    let stepped = match steps::run(rule, call) {
        Ok(stepped) => stepped,
        Err(Trouble::Unreadable(why)) => {
            return Verdict::refused(rule, encoding, Refusal::unreadable(rule, why));
        }
        Err(Trouble::NoRoom) => return Verdict::refused(rule, encoding, Refusal::too_many(rule)),
    };
    let used = DeprecatedUse {
        action: Action::Rewritten,
        changes: stepped.changes,
        ..DeprecatedUse::observed(rule, encoding)
    };
    Verdict {
        outcome: Outcome::Rewritten {
            target: splice(&stepped.target, vec![Edit::new(name, successor)]),
            body: (stepped.body != call.counting_body()).then_some(stepped.body),
        },
        uses: vec![used],
        batch: false,
    }
}
