//! A connection in memory whose every read and write goes as a schedule says: in which pieces, when nothing moves, and at
//! which byte the other side closes or breaks off. The engine's tests drive it as sockets do.

use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the other side ends, behind all that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ends its sending side, and reads on.
    Half,
    /// It breaks off: reads and writes fail.
    Reset,
}

/// What happens at each turn: nothing, or so many bytes move. Where it ends, all that can move does.
#[derive(Clone, Debug, Default)]
pub struct Schedule(pub Vec<u8>);

impl Schedule {
    /// Any; it shrinks to one in which all moves at once.
    pub fn any() -> impl Strategy<Value = Schedule> {
        let step = prop_oneof![Just(255u8), Just(0u8), 1u8..8, any::<u8>()];
        proptest::collection::vec(step, 0..200).prop_map(Schedule)
    }
}

struct State {
    schedule: Schedule,
    turn: usize,
    /// What the other side sends, and how much of it was read.
    sends: Vec<u8>,
    read: usize,
    end: End,
    /// What it got.
    got: Vec<u8>,
    /// Looks at an end that was told already: an engine that does not stop there would go on for ever.
    idle: usize,
}

impl State {
    /// How many bytes may move at this turn, of those at hand; `None` for nothing.
    fn moves(&mut self, at_hand: usize) -> Option<usize> {
        let step = self.schedule.0.get(self.turn).copied();
        self.turn += 1;
        match step {
            None | Some(255) => Some(at_hand),
            Some(0) => None,
            Some(bytes) => Some(at_hand.min(usize::from(bytes))),
        }
    }

    fn is_over(&self) -> bool {
        self.read == self.sends.len()
    }
}

/// The engine's end. Nothing needs to wake it: who drives it polls until it is done.
#[derive(Clone)]
pub struct Scripted(Rc<RefCell<State>>);

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl Scripted {
    /// The other side sends this, and ends so.
    pub fn new(sends: Vec<u8>, end: End, schedule: Schedule) -> Self {
        Self(Rc::new(RefCell::new(State {
            schedule,
            turn: 0,
            sends,
            read: 0,
            end,
            got: Vec::new(),
            idle: 0,
        })))
    }

    /// What the other side got so far.
    pub fn got(&self) -> Vec<u8> {
        self.0.borrow().got.clone()
    }
}

fn broken() -> Poll<io::Result<usize>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for Scripted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        let left = state.sends.len() - state.read;
        if left == 0 {
            state.idle += 1;
            assert!(state.idle < 1000, "the end was told a thousand times");
            return match state.end {
                End::Half => Poll::Ready(Ok(())),
                End::Reset => broken().map_ok(|_| ()),
            };
        }
        let Some(bytes) = state.moves(left.min(buffer.remaining())) else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        let from = state.read;
        state.read += bytes;
        buffer.put_slice(&state.sends[from..from + bytes]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        if state.end == End::Reset && state.is_over() {
            return broken();
        }
        let Some(taken) = state.moves(bytes.len()) else {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        };
        state.got.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls until it is done.
///
/// # Panics
/// When nothing comes of it: the engine waits for what will never happen.
pub fn driven<T>(future: impl Future<Output = T>) -> T {
    let polls = Cell::new(0);
    let mut future = std::pin::pin!(future);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return done;
        }
        polls.set(polls.get() + 1);
        assert!(polls.get() < 20_000, "it waits for ever");
    }
}
