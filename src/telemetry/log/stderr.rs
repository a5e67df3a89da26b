//! Standard error, as the operational log is written to it: whole lines, and without waiting for whoever reads them.

use super::sink::{Sink, SinkKind};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

/// Standard error. What it does not take at once is dropped and counted: a log of operators' must stall no call.
#[derive(Debug)]
pub struct Stderr(Mutex<State>);

#[derive(Debug)]
struct State {
    /// `None` where there is no standard error.
    sink: Option<Sink>,
    /// Lines that were dropped since the last one that was written.
    lost: u64,
    /// The last line was written in part.
    torn: bool,
}

impl Stderr {
    pub fn open() -> Self {
        let file = io::stderr().as_fd().try_clone_to_owned().map(File::from);
        Self::of(file.and_then(|file| Sink::of(file, SinkKind::Polled)).ok())
    }

    fn of(sink: Option<Sink>) -> Self {
        Stderr(Mutex::new(State {
            sink,
            lost: 0,
            torn: false,
        }))
    }

    /// Writes one line, with its line feed, or drops it. Behind dropped ones the first that is written comes after
    /// what `of_lost` makes of their number.
    pub fn write(&self, line: &[u8], of_lost: impl FnOnce(u64) -> Vec<u8>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { sink, lost, torn } = &mut *state;
        let Some(sink) = sink else {
            return;
        };
        let mut bytes = Vec::new();
        if *torn {
            bytes.push(b'\n');
        }
        if *lost > 0 {
            bytes.extend(of_lost(*lost));
        }
        let before = bytes.len();
        bytes.extend_from_slice(line);
        let mut written = 0;
        if sink.write(&bytes, &mut written).is_ok() {
            (*lost, *torn) = (0, false);
        } else {
            if written >= before {
                *lost = 0;
            }
            *lost += 1;
            *torn |= written > 0;
            if written > 0 && bytes[written - 1] == b'\n' {
                *torn = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    #[test]
    fn what_nobody_reads_is_dropped_and_told_when_somebody_does() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = Sink::of(File::from(OwnedFd::from(writer)), SinkKind::Polled).unwrap();
        let stderr = Stderr::of(Some(sink));
        let of_lost = |lost| format!("{lost} lost\n").into_bytes();
        let line = [&[b'x'; 999][..], b"\n"].concat();
        for _ in 0..100 {
            stderr.write(&line, of_lost);
        }
        let mut read = vec![0; 40_000];
        reader.read_exact(&mut read).unwrap();
        stderr.write(b"again\n", of_lost);
        drop(stderr);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        let read = String::from_utf8(read).unwrap() + &rest;
        let whole = read.lines().filter(|line| line.len() == 999).count();
        let lost = 100 - whole;
        assert!(lost > 0, "a pipe takes so much");
        assert!(read.ends_with(&format!("\n{lost} lost\nagain\n")), "{rest}");
    }

    #[test]
    fn a_line_that_was_cut_is_ended_before_the_next() {
        let (mut reader, writer) = io::pipe().unwrap();
        let sink = Sink::of(File::from(OwnedFd::from(writer)), SinkKind::Polled).unwrap();
        let stderr = Stderr::of(Some(sink));
        let of_lost = |lost| format!("{lost} lost\n").into_bytes();
        // Longer than what a pipe holds: it is written in part.
        stderr.write(&[&vec![b'x'; 200_000][..], b"\n"].concat(), of_lost);
        let mut read = vec![0; 40_000];
        reader.read_exact(&mut read).unwrap();
        stderr.write(b"next\n", of_lost);
        drop(stderr);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("x\n1 lost\nnext\n"), "{}", rest.len());
    }
}
