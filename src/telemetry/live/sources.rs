//! Where a caller's calls came from: its last libraries and addresses (pure).

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

    fn is_of(&self, used: &Use<'_>) -> bool {
        self.address.as_deref() == used.address
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
pub(super) struct Sources(Vec<Source>);

impl Sources {
    /// Notes where a use came from.
    pub(super) fn note(&mut self, used: &Use<'_>, is_let_in: bool) {
        if let Some(known) = self.0.iter_mut().find(|source| source.is_of(used)) {
            known.seen = known.seen.max(used.at);
            return;
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        self.add(
            Source {
                seen: used.at,
                sdk: owned(used.sdk),
                user_agent: owned(used.user_agent),
                address: owned(used.address),
            },
            is_let_in,
        );
    }

    pub(super) fn merge(&mut self, other: Self, is_let_in: bool) {
        for source in other.0 {
            match self.0.iter_mut().find(|known| known.is_same(&source)) {
                Some(known) => known.seen = known.seen.max(source.seen),
                None => self.add(source, is_let_in),
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.0.iter()
    }

    /// Adds one; the one not seen for longest gives way.
    fn add(&mut self, source: Source, is_let_in: bool) {
        let most = if is_let_in { MOST } else { MOST_OF_A_STRANGER };
        if self.0.len() >= most
            && let Some(oldest) = (0..self.0.len()).min_by_key(|&at| self.0[at].seen)
        {
            if self.0[oldest].seen > source.seen {
                return;
            }
            self.0.swap_remove(oldest);
        }
        self.0.push(source);
    }
}
