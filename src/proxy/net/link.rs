//! What a client's connection or stream tells those who handle its requests, and how its owner is told to end it.

use super::fault::{Fault, FaultCell};
use crate::proxy::http::head::HeadError;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};

/// A request that goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// The head cannot be read.
    Head(HeadError),
    /// The head did not come in time (408).
    HeadTimeout,
}

/// Facts of one client's connection, or of one HTTP/2 stream.
#[derive(Debug, Default)]
pub struct Link {
    fault: FaultCell,
    in_flight: Cell<u32>,
    bytes_in: Rc<Cell<u64>>,
}

impl Link {
    /// The first fault of the client's side.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }
    /// The cell that keeps it, for who reads a body.
    pub fn fault_cell(&self) -> FaultCell {
        self.fault.clone()
    }
    /// Keeps the first fault; those that follow from it do not count.
    pub fn set_fault(&self, fault: Fault) {
        self.fault.set(fault);
    }
    /// Requests whose head has come and whose answer is not written.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }
    /// Counts a request in.
    pub fn enter(&self) {
        self.in_flight.set(self.in_flight.get() + 1);
    }
    /// Counts a request out.
    pub fn leave(&self) {
        self.in_flight.set(self.in_flight.get().saturating_sub(1));
    }
    /// The count of bytes read from the socket, for those who log it.
    pub fn received(&self) -> Rc<Cell<u64>> {
        self.bytes_in.clone()
    }
    /// Counts bytes that came.
    pub fn came(&self, bytes: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
    }
}

/// What the connection's task and those who end it share.
#[derive(Default)]
pub struct Control {
    draining: Cell<bool>,
    cut: Cell<bool>,
    /// The task of an HTTP/1 connection.
    task: RefCell<Option<Waker>>,
    /// Tells the task of an HTTP/2 connection.
    wake: tokio::sync::Notify,
}

impl Control {
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }
    /// Resolves when something was said.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
    /// Has the polled task woken when something is said.
    pub fn watch(&self, cx: &Context<'_>) {
        let mut task = self.task.borrow_mut();
        match &mut *task {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
    }
    /// Wakes the connection's task.
    pub fn nudge(&self) {
        if let Some(task) = &*self.task.borrow() {
            task.wake_by_ref();
        }
        self.wake.notify_one();
    }
}

/// A connection that can be told to end.
pub struct Handle {
    control: Rc<Control>,
    link: Rc<Link>,
}

impl Handle {
    pub fn new(control: Rc<Control>, link: Rc<Link>) -> Self {
        Handle { control, link }
    }
    /// Finish what is in flight, then close.
    pub fn drain(&self) {
        self.control.draining.set(true);
        self.control.nudge();
    }
    /// Requests whose head was complete and whose answer is not written.
    pub fn in_flight(&self) -> u32 {
        self.link.in_flight()
    }
    /// End now.
    pub fn cut(&self) {
        self.link.set_fault(Fault::WriteTimeout);
        self.control.cut.set(true);
        self.control.nudge();
    }
}
