//! What all lines, counts and rows of one rule and one caller have in common: made once, and found again by each thread for
//! their next call.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::caller::Caller;
use super::event::LineParts;
use super::live::SharedEntry;
use super::logging::Logging;
use super::metrics::Uses;
use crate::catalogue::Rule;

/// Places of a thread's table, in which each series has one: one that falls on another's makes that anew at its next call.
const PLACES: usize = 512;

thread_local! {
    static TABLE: RefCell<Vec<Option<Rc<Series>>>> = const { RefCell::new(Vec::new()) };
}

/// What the calls of one caller under one rule have in common.
#[derive(Debug)]
pub struct Series {
    /// What gave it its name and its counters.
    logging: Arc<Logging>,
    rule: Arc<Rule>,
    caller: Arc<Caller>,
    /// The caller's name in the callers file.
    pub name: Option<String>,
    /// The parts of a line that are the same in all of its lines.
    pub parts: LineParts,
    /// Where its uses are counted for metrics.
    pub uses: Arc<Uses>,
    /// Where its uses are counted for the status page, once there was one.
    pub entry: RefCell<Option<Arc<SharedEntry>>>,
}

impl Series {
    /// The series of a rule and a caller. Of another value than `logging` none is used any more: names, or counters, are others by now.
    pub fn of(
        logging: &Arc<Logging>,
        rule: &Arc<Rule>,
        caller: &Arc<Caller>,
        make: impl FnOnce() -> (Option<String>, Arc<Uses>),
    ) -> Rc<Self> {
        let place = place_of(rule, caller);
        let known = TABLE.with_borrow(|table| {
            let series = table.get(place)?.as_ref()?;
            series
                .is_of(logging, rule, caller)
                .then(|| Rc::clone(series))
        });
        known.unwrap_or_else(|| {
            let (name, uses) = make();
            let series = Rc::new(Self {
                logging: Arc::clone(logging),
                rule: Arc::clone(rule),
                caller: Arc::clone(caller),
                parts: LineParts::of(rule, caller, name.as_deref()),
                name,
                uses,
                entry: RefCell::default(),
            });
            TABLE.with_borrow_mut(|table| {
                table.resize(PLACES, None);
                table[place] = Some(Rc::clone(&series));
            });
            series
        })
    }

    /// Whether all that is the same in its calls is that of a call of this rule and caller.
    fn is_of(&self, logging: &Arc<Logging>, rule: &Arc<Rule>, caller: &Arc<Caller>) -> bool {
        Arc::ptr_eq(&self.logging, logging)
            && Arc::ptr_eq(&self.rule, rule)
            && (Arc::ptr_eq(&self.caller, caller) || self.caller == *caller)
    }
}

/// The place of a rule and a caller in the table.
fn place_of(rule: &Rule, caller: &Caller) -> usize {
    // The end of a key tells most: a fingerprint, or an address.
    let key = caller.key.as_bytes();
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        let length = bytes.len().min(8);
        word[..length].copy_from_slice(&bytes[bytes.len() - length..]);
        u64::from_le_bytes(word)
    };
    let agent = caller.user_agent.as_ref().map_or(0, String::len) as u64;
    let address = match caller.address {
        Some(std::net::IpAddr::V4(address)) => u64::from(address.to_bits()),
        Some(std::net::IpAddr::V6(address)) => address.to_bits() as u64,
        None => 0,
    };
    let mixed = [word(key), address, agent, rule.id as u64]
        .into_iter()
        .fold(0u64, |mixed, part| {
            (mixed.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
    (mixed >> 55) as usize % PLACES
}
