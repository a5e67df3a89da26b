//! The client of a call, as far as calls ask: facts of its connection, without its levers.

use crate::proxy::body::ClientBody;
use crate::proxy::net::fault::FaultCell;
use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// The other end of a client's connection, or of a stream of one.
pub struct Client {
    /// What went wrong on the connection.
    pub fault: FaultCell,
    /// Bytes received on the connection so far.
    pub received: Rc<Cell<u64>>,
    /// The peer's address, or the one that a trusted peer's PROXY header names.
    pub address: Option<IpAddr>,
    /// Whether the peer is a proxy whose `X-Forwarded-*` is believed.
    pub trusted: bool,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// HTTP/2.
    pub http2: bool,
    /// Our end of the connection and the peer's.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Whether they were looked for among our connections to the portal.
    pub checked: Cell<bool>,
    /// A small body that a refusal has left unread.
    pub unread: Cell<Option<ClientBody>>,
}

impl Client {
    /// The same client, for one of its HTTP/2 streams: a stream's faults are not its neighbours'.
    pub fn stream(&self) -> Client {
        Client {
            fault: FaultCell::default(),
            received: Rc::default(),
            checked: Cell::new(self.checked.get()),
            unread: Cell::new(None),
            ..*self
        }
    }

    /// The protocol's version, as logs write it.
    pub fn version(&self) -> &'static str {
        if self.http2 { "2" } else { "1.1" }
    }
}
