//! The rules and the policy that speaks of them: swapped as one, so that no call meets the rules of one configuration and
//! the modes of another.

use std::sync::Arc;

use jiff::Timestamp;

use super::Entry;
use super::policy::{Policy, Setting, Wrong};
use crate::catalogue::Catalogue;

/// A catalogue, and the modes of its rules.
#[derive(Debug)]
pub struct Rulebook {
    /// The rules.
    pub catalogue: Arc<Catalogue>,
    /// Their modes. A policy is of one catalogue: it finds rules by their ids.
    pub policy: Policy,
}

impl Rulebook {
    /// The rules that ship, in their usual modes.
    pub fn builtin() -> Self {
        let catalogue = Arc::new(Catalogue::builtin());
        let policy = Policy::usual(&catalogue);
        Self { catalogue, policy }
    }

    /// These rules in these modes; see [`Policy::build`].
    ///
    /// # Errors
    /// As [`Policy::build`].
    pub fn build(
        catalogue: Arc<Catalogue>,
        settings: Vec<Setting>,
        entries: Vec<Entry>,
        now: Timestamp,
        previous: Option<&Self>,
    ) -> Result<Self, Wrong> {
        let previous = previous.map(|rulebook| &rulebook.policy);
        let policy = Policy::build(&catalogue, settings, entries, now, previous)?;
        Ok(Self { catalogue, policy })
    }
}
