//! The brackets of a document that are open: a bit for each.

use crate::protocol::flaw::TOO_DEEP;

/// The brackets that are open: for each whether it is an object's.
pub(super) struct Brackets {
    objects: [u64; TOO_DEEP / 64],
    pub(super) depth: usize,
    /// What closes the innermost.
    pub(super) closer: u8,
}

impl Brackets {
    /// None yet, under this many others.
    pub(super) fn under(depth: usize) -> Self {
        Self {
            objects: [0; TOO_DEEP / 64],
            depth,
            closer: 0,
        }
    }

    /// Opens one more; false where that is too deep.
    #[inline(always)]
    pub(super) fn push(&mut self, is_object: bool) -> bool {
        self.depth += 1;
        if self.depth == TOO_DEEP {
            return false;
        }
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if is_object {
            self.objects[word] |= bit;
            self.closer = b'}';
        } else {
            self.objects[word] &= !bit;
            self.closer = b']';
        }
        true
    }

    #[inline(always)]
    pub(super) fn pop(&mut self) {
        self.depth -= 1;
        let is_object = self.objects[self.depth / 64] & (1 << (self.depth % 64)) != 0;
        self.closer = if is_object { b'}' } else { b']' };
    }
}
