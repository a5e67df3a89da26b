//! The callers of a thread's last webhook calls, whichever connection they came on. What a call shows of its caller is kept as
//! a keyed hash of 128 bits: the code in its address is nowhere longer than the call.

use std::cell::RefCell;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::telemetry::caller::Caller;

/// Places of the table, in which each caller has one: one that falls on another's is read from its call again.
const PLACES: usize = 512;

/// What a call showed, and its caller.
type Known = (u128, Arc<Caller>);

/// Callers, by what their calls show of them.
pub struct KnownCallers {
    /// Random: nobody outside can choose what falls on what, nor look up a guess.
    key: (u64, u64),
    table: RefCell<Vec<Option<Known>>>,
}

/// All that a webhook's caller is read from, hashed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shown(u128);

impl Default for KnownCallers {
    fn default() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self {
            key: (random(), random()),
            table: RefCell::default(),
        }
    }
}

impl KnownCallers {
    /// What a call shows: its address up to the method, its `User-Agent`, and where it came from.
    pub fn shown(&self, access: &[u8], user_agent: &[u8], address: Option<IpAddr>) -> Shown {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        // Their lengths keep one from running into the other.
        hasher.write_u64((access.len() as u64) << 32 | user_agent.len() as u64);
        hasher.write(access);
        hasher.write(user_agent);
        match address {
            Some(IpAddr::V4(address)) => hasher.write(&address.octets()),
            Some(IpAddr::V6(address)) => hasher.write(&address.octets()),
            None => {}
        }
        Shown(hasher.finish128().as_u128())
    }

    /// The caller that a call showed before.
    pub fn get(&self, shown: Shown) -> Option<Arc<Caller>> {
        let table = self.table.borrow();
        let (known, caller) = table.get(place(shown))?.as_ref()?;
        (*known == shown.0).then(|| Arc::clone(caller))
    }

    /// Keeps the caller of a call.
    pub fn keep(&self, shown: Shown, caller: &Arc<Caller>) {
        let mut table = self.table.borrow_mut();
        if table.is_empty() {
            table.resize(PLACES, None);
        }
        table[place(shown)] = Some((shown.0, Arc::clone(caller)));
    }
}

fn place(shown: Shown) -> usize {
    shown.0 as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(key: &str) -> Arc<Caller> {
        Arc::new(Caller {
            key: key.to_owned(),
            ..Caller::default()
        })
    }

    #[test]
    fn a_caller_is_known_by_all_that_its_call_shows() {
        let known = KnownCallers::default();
        let here = "192.0.2.7".parse().ok();
        let shown = known.shown(b"/rest/1/code/", b"curl", here);
        assert!(known.get(shown).is_none());
        known.keep(shown, &caller("a"));
        assert_eq!(known.get(shown).unwrap().key, "a");
        for other in [
            known.shown(b"/rest/1/codex/", b"curl", here),
            known.shown(b"/rest/1/code/c", b"url", here),
            known.shown(b"/rest/1/code/", b"curl/8", here),
            known.shown(b"/rest/1/code/", b"curl", "192.0.2.8".parse().ok()),
            known.shown(b"/rest/1/code/", b"curl", None),
        ] {
            assert!(known.get(other).is_none());
        }
    }

    #[test]
    fn two_threads_hash_alike_only_by_chance() {
        let shown = || KnownCallers::default().shown(b"/rest/1/code/", b"curl", None);
        assert!(shown() != shown());
    }

    #[test]
    fn a_caller_that_falls_on_anothers_place_takes_it() {
        let known = KnownCallers::default();
        for number in 0..10 * PLACES {
            let shown = known.shown(&number.to_be_bytes(), b"", None);
            known.keep(shown, &caller(&number.to_string()));
            assert_eq!(known.get(shown).unwrap().key, number.to_string());
        }
        assert_eq!(known.table.borrow().len(), PLACES);
    }
}
