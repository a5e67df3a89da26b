//! Whether a call became what it should: judged by what the portal received, read by the portal's own reading.

use super::calls::{Fate, Sample};
use super::client::Answer;
use crate::protocol::answer;
use crate::sandbox::reading::{self, PortalConfig, Reading, Received};
use crate::sandbox::{Operation, Recorded};
use crate::telemetry::event::EventLine;

/// One call of the demo: what was sent, what became of it.
#[derive(Debug)]
pub struct Played {
    pub sample: &'static Sample,
    /// What the client got.
    pub answer: Answer,
    /// What the portal received because of it.
    pub received: Vec<Recorded>,
    /// What the deprecation log has of it.
    pub events: Vec<EventLine>,
}

impl Sample {
    /// The call as the portal would have read it, had there been no proxy.
    pub fn reading(&self) -> Reading {
        let content_type = self
            .fields
            .iter()
            .find(|(name, _)| *name == "Content-Type")
            .map(|(_, value)| value.as_bytes());
        let received = Received::new(
            self.verb.as_bytes(),
            self.target.as_bytes(),
            content_type,
            self.body.as_bytes(),
        );
        reading::read(&received, &PortalConfig::default())
    }
}

impl Played {
    /// What is wrong, if anything.
    pub fn fault(&self) -> Option<String> {
        if self.events.len() != self.sample.uses {
            return Some(format!(
                "{} events instead of {}",
                self.events.len(),
                self.sample.uses
            ));
        }
        let (requests, wanted) = (self.received.len(), self.sample.fate.requests());
        if requests != wanted {
            return Some(format!(
                "the portal received {requests} requests instead of {wanted}"
            ));
        }
        match self.sample.fate {
            Fate::Refused(status) => self.not_refused(status),
            Fate::Untouched | Fate::Watched => self.touched(),
            Fate::Compared => self
                .touched()
                .or_else(|| self.not_the_successor(self.received.get(1))),
            Fate::Translated => self.not_translated(),
            Fate::RefusedCommand => self.not_refused_alone(),
        }
        .or_else(|| self.wrong_action())
    }

    fn wrong_action(&self) -> Option<String> {
        let wanted = match self.sample.fate {
            Fate::Translated => "rewritten",
            Fate::Watched | Fate::Compared => "observed",
            Fate::Refused(_) | Fate::RefusedCommand => "refused",
            Fate::Untouched => return None,
        };
        let wrong = self.events.iter().find(|event| event.action != wanted)?;
        Some(format!("logged as {} instead of {wanted}", wrong.action))
    }

    fn not_refused(&self, status: u16) -> Option<String> {
        (self.answer.status != status)
            .then(|| format!("answered {} instead of {status}", self.answer.status))
    }

    /// The refused command must fail under its own key, and all others must run.
    fn not_refused_alone(&self) -> Option<String> {
        let failed = answer::batch_error_codes(self.answer.body.as_bytes());
        let keys = self.events.iter().map(|event| event.batch_key.as_deref());
        if !failed.iter().map(|(key, _)| Some(key.as_str())).eq(keys) {
            return Some(format!(
                "{} commands failed, not the refused one alone",
                failed.len()
            ));
        }
        if !failed
            .iter()
            .all(|(_, code)| code.starts_with("DEPRECATED_METHOD_"))
        {
            return Some("the refused command failed with an error that is not ours".to_owned());
        }
        let executed: usize = self
            .received
            .iter()
            .map(|recorded| recorded.operations.len())
            .sum();
        let others = self.sample.reading().operations().len() - failed.len();
        (executed < others).then(|| "commands that are not deprecated did not run".to_owned())
    }

    fn touched(&self) -> Option<String> {
        let Some(recorded) = self.received.first() else {
            return Some("the portal received nothing".to_owned());
        };
        let sample = self.sample;
        let same = recorded.verb == sample.verb.as_bytes()
            && recorded.target == sample.target.as_bytes()
            && recorded.body == sample.body.as_bytes();
        (!same).then(|| "the portal received other bytes than were sent".to_owned())
    }

    fn not_translated(&self) -> Option<String> {
        self.not_the_successor(self.received.first()).or_else(|| {
            (self.answer.status != 200)
                .then(|| format!("answered {} instead of 200", self.answer.status))
        })
    }

    /// Whether this request, as the portal reads it, is not what the deprecated call meant under its successor's name.
    fn not_the_successor(&self, recorded: Option<&Recorded>) -> Option<String> {
        let reading = read(recorded?);
        let deprecated =
            |done: &Operation| done.details().is_some() && !done.method.starts_with(b"crm.item.");
        if reading.operations().iter().any(deprecated) {
            return Some("the portal was still asked for the deprecated method".to_owned());
        }
        (reading.effects() != self.sample.reading().effects())
            .then(|| "the portal would do something else than the deprecated call meant".to_owned())
    }
}

/// A request that the portal received, as it reads it.
fn read(recorded: &Recorded) -> Reading {
    let received = Received {
        verb: recorded.verb.clone(),
        target: recorded.target.clone(),
        fields: recorded.headers.clone(),
        body: recorded.body.clone(),
    };
    reading::read(&received, &PortalConfig::default())
}

#[cfg(test)]
mod tests {
    use super::super::calls::SAMPLES;
    use super::*;

    fn recorded(sample: &Sample, target: &str, body: &str) -> Recorded {
        Recorded {
            verb: sample.verb.into(),
            target: target.into(),
            headers: sample
                .fields
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            body: body.into(),
            operations: Vec::new(),
            status: 200,
            answer: Vec::new(),
        }
    }

    fn played(sample: &'static Sample, received: Vec<Recorded>, action: &str) -> Played {
        let line = format!(
            r#"{{"schema":1,"timestamp":"2026-11-25T00:00:00.000Z","event":"deprecated_call","action":"{action}"}}"#
        );
        let event = EventLine::parse(line.as_bytes()).expect("a line");
        let events = vec![event; sample.uses];
        Played {
            sample,
            answer: Answer {
                status: 200,
                body: String::new(),
            },
            received,
            events,
        }
    }

    fn first(fate: Fate) -> &'static Sample {
        SAMPLES
            .iter()
            .find(|sample| sample.fate == fate)
            .expect("a sample")
    }

    #[test]
    fn a_faithful_translation_is_as_it_should_be() {
        let sample = first(Fate::Translated);
        let target = sample.target.replace("crm.lead", "crm.item");
        let body = r#"{"scope":"C","extras":{"leadCustomerType":2},"entityTypeId":1}"#;
        assert_eq!(
            played(sample, vec![recorded(sample, &target, body)], "rewritten").fault(),
            None
        );
    }

    #[test]
    fn what_is_not_faithful_is_found() {
        let sample = first(Fate::Translated);
        let target = sample.target.replace("crm.lead", "crm.item");
        let good = r#"{"scope":"C","extras":{"leadCustomerType":2},"entityTypeId":1}"#;
        for (target, body, action) in [
            (sample.target, sample.body, "rewritten"),
            (&target, sample.body, "rewritten"),
            (
                &target,
                &good.replace("\"entityTypeId\":1", "\"entityTypeId\":2"),
                "rewritten",
            ),
            (&target, &good.replace("\"C\"", "\"P\""), "rewritten"),
            (&target, good, "observed"),
        ] {
            assert!(
                played(sample, vec![recorded(sample, target, body)], action)
                    .fault()
                    .is_some(),
                "{target} {body}"
            );
        }
        assert!(played(sample, Vec::new(), "rewritten").fault().is_some());
        let twice = vec![recorded(sample, &target, good); 2];
        assert!(played(sample, twice, "rewritten").fault().is_some());
    }

    #[test]
    fn a_call_that_is_not_translated_must_come_to_the_byte() {
        for fate in [Fate::Watched, Fate::Untouched] {
            let sample = first(fate);
            let same = recorded(sample, sample.target, sample.body);
            assert_eq!(played(sample, vec![same.clone()], "observed").fault(), None);
            let other = Recorded {
                target: [sample.target, "&"].concat().into(),
                ..same
            };
            assert!(played(sample, vec![other], "observed").fault().is_some());
        }
    }

    #[test]
    fn a_refused_call_must_not_come_at_all() {
        let sample = first(Fate::Refused(400));
        let mut refused = played(sample, Vec::new(), "refused");
        assert!(refused.fault().is_some(), "the wrong status");
        refused.answer.status = 400;
        assert_eq!(refused.fault(), None);
        refused.received = vec![recorded(sample, sample.target, sample.body)];
        assert!(refused.fault().is_some());
    }
}
