//! One use of a method, as entries take it in (pure).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use crate::catalogue::{Mode, Rule};
use crate::telemetry::caller::Caller;
use crate::telemetry::event::DeprecationEvent;
use crate::telemetry::json::{LONGEST_TEXT, cut};
use crate::translate::Reason;

/// One use of a method as a row takes it in: of a call just made, or of a line of the log.
pub(super) struct Use<'a> {
    /// In milliseconds since 1970.
    pub(super) at: u64,
    /// The rule and the caller, where these are of a call.
    pub(super) who: Option<(&'a Arc<Rule>, &'a Arc<Caller>)>,
    /// How many uses it stands for, and how many of them were answered with an error code.
    pub(super) count: u64,
    pub(super) errors: u64,
    pub(super) action: &'a str,
    pub(super) in_batch: bool,
    /// Whether the portal let the caller in.
    pub(super) is_let_in: bool,
    pub(super) documentation: Documentation<'a>,
    pub(super) replacement: Option<&'a str>,
    pub(super) auth: &'a str,
    pub(super) user: Option<&'a str>,
    pub(super) fingerprint: Option<&'a str>,
    pub(super) application: Option<&'a str>,
    pub(super) address: Address<'a>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) sdk: Option<&'a str>,
    pub(super) target: &'a str,
    pub(super) encoding: &'a str,
    pub(super) mode: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    pub(super) status: Option<u16>,
    pub(super) error: Option<&'a str>,
    /// The names of parameters that it was seen to send.
    pub(super) parameters: Vec<&'a str>,
}

/// The page of the documentation, where the use comes from.
pub(super) enum Documentation<'a> {
    /// The rule knows it.
    Of(&'a Rule),
    /// As the log has it.
    Text(Option<&'a str>),
}

impl<'a> Use<'a> {
    /// The use of an event, which was made at `at`.
    pub(super) fn of(event: &'a DeprecationEvent<'_>, at: u64) -> Self {
        let caller = &*event.caller;
        Self {
            at,
            who: Some((&event.rule, &event.caller)),
            count: 1,
            errors: u64::from(event.error.is_some()),
            action: event.action.as_str(),
            in_batch: event.batch_key.is_some(),
            is_let_in: event.is_let_in,
            documentation: Documentation::Of(&event.rule),
            replacement: event.rule.replacement.as_deref(),
            auth: caller.auth.as_str(),
            user: caller.user.as_deref(),
            fingerprint: caller.fingerprint.as_deref(),
            application: caller.application.as_deref(),
            address: Address::Of(caller.address),
            user_agent: caller.user_agent.as_deref(),
            sdk: caller.sdk.as_deref(),
            target: cut(&event.target, LONGEST_TEXT),
            encoding: event.encoding.as_str(),
            mode: event.mode.map(Mode::as_str),
            reason: event.reason.map(Reason::as_str),
            status: event.status,
            error: event.error.as_deref(),
            parameters: event.parameters.iter().map(String::as_str).collect(),
        }
    }
}

/// Where a use came from.
pub(super) enum Address<'a> {
    /// As the caller has it.
    Of(Option<IpAddr>),
    /// As the log has it.
    Text(Option<&'a str>),
}

impl Address<'_> {
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Of(address) => address.map(|address| address.to_string().into()),
            Self::Text(text) => text.map(Cow::Borrowed),
        }
    }
}
