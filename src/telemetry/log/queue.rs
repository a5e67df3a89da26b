//! Lines that wait to be written, in order, within bounds.

use memchr::{memchr_iter, memrchr};

/// Whole lines in order; the first may be partly written.
#[derive(Debug, Default)]
pub struct Queue {
    bytes: Vec<u8>,
    /// Where the first line begins that is not wholly written.
    line: usize,
    /// Where the first byte stands that is not written: in that line.
    next: usize,
    lines: u64,
    limit: usize,
}

impl Queue {
    /// A queue of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// How many lines wait, the partly written one included.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// How many bytes are held.
    pub fn bytes(&self) -> usize {
        self.bytes.len() - self.line
    }

    /// Takes whole `lines` of which the first `written` bytes are already out; those that do not fit are left out, the last
    /// ones first. A line that was begun is always taken. Says how many lines were written, and how many left out.
    pub fn push(&mut self, lines: &[u8], written: usize) -> (u64, u64) {
        let begun = memrchr(b'\n', &lines[..written]).map_or(0, |end| end + 1);
        let out = memchr_iter(b'\n', &lines[..begun]).count() as u64;
        if self.is_empty() {
            self.bytes.clear();
            (self.line, self.next) = (0, written - begun);
        } else if self.line > self.bytes.len() / 2 {
            self.bytes.drain(..self.line);
            self.next -= self.line;
            self.line = 0;
        }
        let mut taken = begun;
        for end in memchr_iter(b'\n', &lines[begun..]).map(|end| begun + end + 1) {
            let must = taken == begun && written > begun;
            if !must && self.bytes() + (end - begun) > self.limit {
                break;
            }
            taken = end;
        }
        self.bytes.extend_from_slice(&lines[begun..taken]);
        self.lines += memchr_iter(b'\n', &lines[begun..taken]).count() as u64;
        (out, memchr_iter(b'\n', &lines[taken..]).count() as u64)
    }

    /// What is to be written next.
    pub fn unwritten(&self) -> &[u8] {
        &self.bytes[self.next..]
    }

    /// Whether the first line is partly written.
    pub fn is_torn(&self) -> bool {
        self.next > self.line
    }

    /// The first line is to be written whole again.
    pub fn begin_again(&mut self) {
        self.next = self.line;
    }

    /// The next `count` bytes were written; says how many lines ended in them.
    pub fn wrote(&mut self, count: usize) -> u64 {
        let end = self.next + count;
        let mut ended = 0;
        for at in memchr_iter(b'\n', &self.bytes[self.next..end]) {
            ended += 1;
            self.line = self.next + at + 1;
        }
        self.next = end;
        self.lines -= ended;
        if self.lines == 0 {
            // Given back: a log is in trouble rarely, and then with megabytes.
            *self = Self::new(self.limit);
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_does_not_fit_is_left_out_but_never_the_rest_of_a_line_that_was_begun() {
        let mut queue = Queue::new(10);
        assert_eq!(queue.push(b"aaaaaaaaaaaaaaaaaaaa\nb\n", 3), (0, 1));
        assert!(queue.is_torn());
        assert_eq!(queue.unwritten(), b"aaaaaaaaaaaaaaaaa\n");
        assert_eq!(queue.push(b"c\n", 0), (0, 1));
        queue.begin_again();
        assert_eq!(queue.wrote(21), 1);
        assert!(queue.is_empty());
        assert_eq!(queue.push(b"c\nd\n", 2), (1, 0));
        assert_eq!(queue.unwritten(), b"d\n");
    }

    proptest! {
        /// Against a queue that is a list of lines.
        #[test]
        fn lines_come_out_once_and_in_order(
            steps in prop::collection::vec((prop::collection::vec(0usize..9, 1..4), 0usize..20, 0usize..20), 1..40),
        ) {
            let mut queue = Queue::new(60);
            let (mut taken, mut out, mut number) = (Vec::new(), Vec::new(), 0u8);
            let (mut pushed, mut dropped, mut written) = (0, 0, 0);
            for (widths, first, then) in steps {
                let mut lines = Vec::new();
                for width in &widths {
                    number = number.wrapping_add(1);
                    lines.extend(std::iter::repeat_n(b'a' + number % 26, *width));
                    lines.push(b'\n');
                    pushed += 1;
                }
                let at_once = if queue.is_empty() { first.min(lines.len() - 1) } else { 0 };
                out.extend_from_slice(&lines[..at_once]);
                let (whole, left_out) = queue.push(&lines, at_once);
                written += whole;
                dropped += left_out;
                let kept = widths.len() - left_out as usize;
                taken.extend(lines.split_inclusive(|byte| *byte == b'\n').take(kept).flatten());
                let count = then.min(queue.unwritten().len());
                out.extend_from_slice(&queue.unwritten()[..count]);
                written += queue.wrote(count);
                prop_assert!(queue.bytes() <= 60 + 9);
            }
            out.extend_from_slice(queue.unwritten());
            written += queue.lines();
            prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(taken).unwrap());
            prop_assert_eq!(pushed, dropped + written);
        }
    }
}
