//! Where the rule of a method is. The table holds the catalogue alone, so nobody can fill it with names that collide;
//! what counts is that a look-up, which every REST call and each command of a batch pays, is quick: most of them end at
//! the first slot, which is free.
use crate::protocol::hash;

/// The places of rules by their methods, in any case of letters: open addressing with at least four slots for each rule.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// The place of a rule plus 1; 0 where there is none.
    slots: Vec<u32>,
}

impl Index {
    /// A table with room for this many.
    pub fn for_rules(count: usize) -> Self {
        Self {
            slots: vec![0; (count * 4).next_power_of_two().max(8)],
        }
    }

    /// Notes the place of a method's rule.
    pub fn insert(&mut self, method: &[u8], place: usize) {
        let mut slot = self.first(method);
        while self.slots[slot] != 0 {
            slot = (slot + 1) % self.slots.len();
        }
        self.slots[slot] = place as u32 + 1;
    }

    /// The place of a method's rule: the one of those that it may be for which `is` says yes.
    #[inline]
    pub fn find(&self, method: &[u8], is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut slot = self.first(method);
        loop {
            match self.slots[slot] {
                0 => return None,
                place if is(place as usize - 1) => return Some(place as usize - 1),
                _ => slot = (slot + 1) % self.slots.len(),
            }
        }
    }

    fn first(&self, method: &[u8]) -> usize {
        // A product's highest bits hang on all of its factor's.
        (hash::in_any_case(method) >> 32) as usize & (self.slots.len() - 1)
    }
}
