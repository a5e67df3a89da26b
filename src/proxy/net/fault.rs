//! The first thing that went wrong on a connection.

use crate::proxy::http::head::HeadError;
use std::cell::Cell;
use std::io;
use std::rc::Rc;

/// What went wrong on a connection while a body or an answer was awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A chunked body that cannot be read in one way.
    BadChunk(&'static str),
    /// An answer's head that cannot be read.
    BadHead(HeadError),
    /// An answer that switches protocols though nobody asked.
    UnaskedUpgrade,
    /// The peer closed the connection.
    Closed,
    /// The peer did not send in time.
    ReadTimeout,
    /// The peer did not take bytes in time.
    WriteTimeout,
    /// The connection broke.
    Broken(io::ErrorKind),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Broken(error.kind())
    }
}

/// The first fault of a connection; whoever drives it and whoever reads its body share the cell.
#[derive(Clone, Debug, Default)]
pub struct FaultCell(Rc<Cell<Option<Fault>>>);

impl FaultCell {
    /// The fault, if there was one.
    pub fn get(&self) -> Option<Fault> {
        self.0.get()
    }

    /// Keeps the first fault; those that follow from it do not count.
    pub fn set(&self, fault: Fault) {
        if self.0.get().is_none() {
            self.0.set(Some(fault));
        }
    }
}
