//! Any bytes as a chunked body: where the pieces end does not change what is read.
#![no_main]
use b24_migration_proxy::proxy::readers::chunked::{Chunked, Event};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], length: usize) -> Option<(Vec<u8>, Option<usize>)> {
    let (mut reader, mut data, mut done) = (Chunked::default(), Vec::new(), 0);
    for piece in bytes.chunks(length.max(1)) {
        let mut from = 0;
        loop {
            match reader.next(piece, from).ok()? {
                Event::Data(range) => {
                    from = range.end;
                    data.extend_from_slice(&piece[range]);
                }
                Event::Trailers(at) => from = at,
                Event::More => break,
                Event::Ended(at) => return Some((data, Some(done + at))),
            }
        }
        done += piece.len();
    }
    Some((data, None))
}

fuzz_target!(|bytes: &[u8]| {
    let Some((length, bytes)) = bytes.split_first() else { return };
    assert_eq!(read(bytes, usize::from(*length)), read(bytes, bytes.len()));
});
