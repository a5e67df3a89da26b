//! Sockets that listen for clients.

use crate::proxy::config::Listen;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub enum Listening {
    Tcp {
        socket: TcpListener,
        plain: bool,
    },
    Unix {
        socket: UnixListener,
        path: Option<PathBuf>,
    },
}

impl Listening {
    /// Opens the socket. A Unix socket's file is replaced when nobody listens on it. `beside` are all that are asked for:
    /// one of IPv6 leaves the IPv4 addresses of its port to those of them that ask for one.
    ///
    /// # Errors
    /// What the system says; `AddrInUse` where somebody listens there.
    pub fn bind(listen: &Listen, beside: &[Listen]) -> io::Result<Self> {
        match listen {
            Listen::Tcp { address, plain } => {
                let socket = socket2::Socket::new(
                    socket2::Domain::for_address(*address),
                    socket2::Type::STREAM,
                    None,
                )?;
                socket.set_reuse_address(true)?;
                let takes_its_ipv4 = |other: &Listen| matches!(other, Listen::Tcp { address: a, .. } if a.is_ipv4() && a.port() == address.port());
                if address.is_ipv6() && beside.iter().any(takes_its_ipv4) {
                    socket.set_only_v6(true)?;
                }
                socket.bind(&(*address).into())?;
                socket.listen(BACKLOG)?;
                socket.set_nonblocking(true)?;
                Ok(Listening::Tcp {
                    socket: socket.into(),
                    plain: *plain,
                })
            }
            Listen::Unix(path) => {
                if std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
                    && std::os::unix::net::UnixStream::connect(path)
                        .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
                {
                    std::fs::remove_file(path)?;
                }
                let socket = UnixListener::bind(path)?;
                socket.set_nonblocking(true)?;
                Ok(Listening::Unix {
                    socket,
                    path: Some(path.clone()),
                })
            }
        }
    }

    /// The address, for the log.
    pub fn address(&self) -> String {
        match self {
            Listening::Tcp { socket, .. } => socket
                .local_addr()
                .map_or_else(|_| "?".into(), |a| a.to_string()),
            Listening::Unix { socket, .. } => socket
                .local_addr()
                .ok()
                .and_then(|a| a.as_pathname().map(|p| format!("unix:{}", p.display())))
                .unwrap_or_else(|| "unix:?".into()),
        }
    }

    /// Whether it speaks no TLS whatever the certificates.
    pub fn is_plain(&self) -> bool {
        match self {
            Listening::Tcp { plain, .. } => *plain,
            Listening::Unix { .. } => true,
        }
    }

    /// The TCP address, if it has one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Listening::Tcp { socket, .. } => socket.local_addr().ok(),
            Listening::Unix { .. } => None,
        }
    }

    /// The same socket once more, for another thread.
    ///
    /// # Errors
    /// What the system says.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Listening::Tcp { socket, plain } => Listening::Tcp {
                socket: socket.try_clone()?,
                plain: *plain,
            },
            Listening::Unix { socket, .. } => Listening::Unix {
                socket: socket.try_clone()?,
                path: None,
            },
        })
    }
}
