//! Where a caller's calls came from: its last libraries and addresses (pure).

use std::borrow::Cow;

use super::used::Use;

/// So many sources of a caller are remembered. Of one that the portal has not let in, fewer: anybody can invent them.
const MOST: usize = 32;
const MOST_OF_A_STRANGER: usize = 4;

/// One library on one address.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Source {
    /// When it was last seen, in milliseconds since 1970.
    pub(super) seen: u64,
    pub(super) sdk: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) address: Option<String>,
}

impl Source {
    /// What is known of the library.
    pub(super) fn library(&self) -> Option<&str> {
        self.sdk.as_deref().or(self.user_agent.as_deref())
    }

    fn is_of(&self, used: &Use<'_>, address: Option<&str>) -> bool {
        self.address.as_deref() == address
            && self.user_agent.as_deref() == used.user_agent
            && self.sdk.as_deref() == used.sdk
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.address, &self.user_agent, &self.sdk)
            == (&other.address, &other.user_agent, &other.sdk)
    }
}

/// The last sources of one caller's use of one method.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sources {
    known: Vec<Source>,
    /// The place of the one that was noted last.
    last: usize,
}

impl Sources {
    /// Notes where a use came from.
    pub(super) fn note(&mut self, used: &Use<'_>, is_let_in: bool) {
        let address = used.address.text();
        let is_of = |source: &Source| source.is_of(used, address.as_deref());
        if let Some(at) = self.known.iter().position(is_of) {
            self.last = at;
            self.note_again(used.at);
            return;
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        self.add(
            Source {
                seen: used.at,
                sdk: owned(used.sdk),
                user_agent: owned(used.user_agent),
                address: address.map(Cow::into_owned),
            },
            is_let_in,
        );
    }

    /// Notes that a use came from where the last one came from.
    pub(super) fn note_again(&mut self, at: u64) {
        if let Some(known) = self.known.get_mut(self.last) {
            known.seen = known.seen.max(at);
        }
    }

    pub(super) fn merge(&mut self, other: Self, is_let_in: bool) {
        for source in other.known {
            match self.known.iter_mut().find(|known| known.is_same(&source)) {
                Some(known) => known.seen = known.seen.max(source.seen),
                None => self.add(source, is_let_in),
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.known.iter()
    }

    /// Adds one; the one not seen for longest gives way.
    fn add(&mut self, source: Source, is_let_in: bool) {
        let most = if is_let_in { MOST } else { MOST_OF_A_STRANGER };
        // Nothing is noted again where there was no room for it.
        self.last = usize::MAX;
        if self.known.len() >= most
            && let Some(oldest) = (0..self.known.len()).min_by_key(|&at| self.known[at].seen)
        {
            if self.known[oldest].seen > source.seen {
                return;
            }
            self.known.swap_remove(oldest);
        }
        self.last = self.known.len();
        self.known.push(source);
    }
}
