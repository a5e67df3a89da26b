//! Which application a credential belongs to, as the portal's answers have told: a call itself seldom says it.
//!
//! Asked and filled only where the configuration selects callers by application. Each process learns for itself and
//! forgets at its end.

use crate::telemetry::caller::{Auth, Caller};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// So many credentials are known; the one that was learnt first goes first. An access token lasts an hour.
const MOST: usize = 4096;

/// Fingerprints of credentials, and their applications.
#[derive(Default)]
pub struct Applications(Mutex<Known>);

#[derive(Default)]
struct Known {
    by_fingerprint: HashMap<Arc<str>, Arc<str>>,
    in_order: VecDeque<Arc<str>>,
}

impl Applications {
    /// Takes what the portal's answer to a call of this caller named (`X-Bitrix-Rest-Application`).
    pub fn learn(&self, caller: &Caller, application: &[u8]) {
        let (Auth::OAuth, Some(fingerprint)) = (caller.auth, &caller.fingerprint) else {
            return;
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_fingerprint.contains_key(fingerprint.as_str()) {
            return;
        }
        let Some(application) = Caller::application_of(application) else {
            return;
        };
        if known.in_order.len() == MOST
            && let Some(oldest) = known.in_order.pop_front()
        {
            known.by_fingerprint.remove(&oldest);
        }
        let fingerprint: Arc<str> = fingerprint.as_str().into();
        known.in_order.push_back(fingerprint.clone());
        known.by_fingerprint.insert(fingerprint, application.into());
    }

    /// Names the caller's application, where its call does not and an earlier answer did.
    pub fn complete(&self, caller: &mut Caller) {
        let (Auth::OAuth, None, Some(fingerprint)) =
            (caller.auth, &caller.application, &caller.fingerprint)
        else {
            return;
        };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(application) = known.by_fingerprint.get(fingerprint.as_str()) {
            caller.application = Some(application.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_token(fingerprint: &str) -> Caller {
        Caller {
            auth: Auth::OAuth,
            fingerprint: Some(fingerprint.to_owned()),
            ..Caller::default()
        }
    }

    fn named(applications: &Applications, mut caller: Caller) -> Option<String> {
        applications.complete(&mut caller);
        caller.application
    }

    #[test]
    fn a_token_is_known_by_the_answer_that_named_its_application() {
        let applications = Applications::default();
        assert_eq!(named(&applications, with_token("a")), None);
        applications.learn(&with_token("a"), b"local.5f");
        assert_eq!(
            named(&applications, with_token("a")).as_deref(),
            Some("local.5f")
        );
        assert_eq!(named(&applications, with_token("b")), None);
        let webhook = Caller {
            auth: Auth::Webhook,
            ..with_token("c")
        };
        applications.learn(&webhook, b"local.5f");
        assert_eq!(named(&applications, webhook), None);
        applications.learn(&with_token("d"), b"");
        assert_eq!(named(&applications, with_token("d")), None);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let applications = Applications::default();
        for number in 0..=MOST {
            applications.learn(&with_token(&number.to_string()), b"local.5f");
        }
        assert_eq!(named(&applications, with_token("0")), None);
        assert!(named(&applications, with_token("1")).is_some());
        assert_eq!(applications.0.lock().unwrap().by_fingerprint.len(), MOST);
    }
}
