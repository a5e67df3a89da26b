//! Lines and columns of a text's bytes (pure).

use std::cell::Cell;

/// Turns offsets into lines and columns, both from 1; columns count characters. Asked in ascending order it reads the text
/// once, however many places a line holds; asked for an earlier place it begins again.
#[derive(Debug)]
pub struct Places<'t> {
    text: &'t [u8],
    last: Cell<Known>,
}

/// A place whose line and column are known.
#[derive(Clone, Copy, Debug)]
struct Known {
    offset: usize,
    line: usize,
    column: usize,
}

const BEGIN: Known = Known {
    offset: 0,
    line: 1,
    column: 1,
};

impl<'t> Places<'t> {
    /// Of this text.
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            last: Cell::new(BEGIN),
        }
    }

    /// Line and column of the byte at this offset.
    pub fn of(&self, offset: usize) -> (usize, usize) {
        let last = self.last.get();
        let mut place = if last.offset <= offset { last } else { BEGIN };
        let between = &self.text[place.offset..offset.min(self.text.len())];
        #[cfg(test)]
        counted::READ.set(counted::READ.get() + between.len());
        match memchr::memrchr(b'\n', between) {
            None => place.column += characters(between),
            Some(end) => {
                place.line += memchr::memchr_iter(b'\n', between).count();
                place.column = 1 + characters(&between[end + 1..]);
            }
        }
        place.offset = offset;
        self.last.set(place);
        (place.line, place.column)
    }
}

/// Characters of UTF-8; in other encodings, bytes that begin one.
pub fn characters(text: &[u8]) -> usize {
    text.iter().filter(|byte| (**byte & 0xC0) != 0x80).count()
}

/// What reading cost, so that a test can say that it grows no faster than the text.
#[cfg(test)]
pub mod counted {
    use std::cell::Cell;

    thread_local! {
        pub static READ: Cell<usize> = const { Cell::new(0) };
    }

    /// How many bytes were looked at for places on this thread since the last call.
    pub fn bytes() -> usize {
        READ.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_from_one_and_in_characters() {
        let text = "ab\nä€c\n\nd".as_bytes();
        let places = Places::new(text);
        let d = text.len() - 1;
        for (offset, wanted) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (3, (2, 1)),
            (8, (2, 3)),
            (10, (3, 1)),
            (d, (4, 1)),
            (5, (2, 2)),
            (d, (4, 1)),
        ] {
            assert_eq!(places.of(offset), wanted, "{offset}");
        }
    }

    #[test]
    fn a_text_is_read_once_for_all_places_of_a_line() {
        let text = vec![b'x'; 100_000];
        let places = Places::new(&text);
        counted::bytes();
        for offset in 0..text.len() {
            places.of(offset);
        }
        assert!(counted::bytes() <= text.len());
    }
}
