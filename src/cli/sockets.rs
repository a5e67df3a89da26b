//! The listening sockets: passed by a service manager, or opened here; why one cannot be opened.

use listenfd::ListenFd;

use super::failure::Failure;
use super::text::reason;
use crate::proxy::Listening;
use crate::proxy::config::{self, Config};

/// Takes the sockets that a service manager has passed (`LISTEN_FDS`), else opens every listener, in their order.
pub fn open(config: &Config) -> Result<Vec<Listening>, Failure> {
    let passed = passed_sockets()?;
    if passed.is_empty() {
        config
            .listen
            .iter()
            .map(|listen| socket(listen, &config.listen))
            .collect()
    } else {
        Ok(passed)
    }
}

/// The descriptor of the first socket that is passed (sd_listen_fds(3)).
const FIRST_PASSED: usize = 3;

fn passed_sockets() -> Result<Vec<Listening>, Failure> {
    let mut passed = ListenFd::from_env();
    let strange = |error: std::io::Error| {
        Failure::usage(format!(
            "a socket passed by LISTEN_FDS cannot be used: {}; pass listening TCP or Unix stream sockets",
            reason(&error)
        ))
    };
    let listens = |at: usize, socket: socket2::SockRef<'_>| {
        // Otherwise each accept would fail at once, for ever.
        if socket.is_listener().map_err(strange)? {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "the socket passed by LISTEN_FDS as descriptor {} does not listen; pass listening TCP or Unix stream sockets (in a systemd socket unit: ListenStream= and Accept=no)",
            FIRST_PASSED + at
        )))
    };
    let mut sockets = Vec::new();
    for at in 0..passed.len() {
        // A socket of the other family is no error to ask for: it is put back.
        if let Ok(Some(socket)) = passed.take_tcp_listener(at) {
            listens(at, (&socket).into())?;
            socket.set_nonblocking(true).map_err(strange)?;
            sockets.push(Listening::Tcp {
                socket,
                plain: false,
            });
        } else if let Some(socket) = passed.take_unix_listener(at).map_err(strange)? {
            listens(at, (&socket).into())?;
            socket.set_nonblocking(true).map_err(strange)?;
            sockets.push(Listening::Unix { socket, path: None });
        }
    }
    Ok(sockets)
}

fn socket(listen: &config::Listen, all: &[config::Listen]) -> Result<Listening, Failure> {
    Listening::bind(listen, all).map_err(|error| match listen {
        config::Listen::Tcp { address, .. } => {
            cannot_listen(&address.to_string(), "--listen", &error)
        }
        config::Listen::Unix(path) => {
            cannot_listen(&format!("unix:{}", path.display()), "--listen", &error)
        }
    })
}

/// Why an address cannot be listened on, and what to do about it.
pub fn cannot_listen(address: &str, option: &str, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, NotFound, PermissionDenied};
    let why = match error.kind() {
        AddrInUse if address.starts_with("unix:") => {
            format!("the path is in use; stop what holds it, or choose another with {option}")
        }
        AddrInUse => {
            format!("the port is in use; stop what holds it, or choose another with {option}")
        }
        AddrNotAvailable => format!(
            "this machine has no such address; choose one that it has, or 0.0.0.0, with {option}"
        ),
        PermissionDenied => format!(
            "it is not permitted; choose a port of 1024 or more, or a path that may be written, with {option}"
        ),
        NotFound => {
            format!("its folder does not exist; make it, or choose another path with {option}")
        }
        _ => format!("{}; choose another address with {option}", reason(error)),
    };
    Failure::machine(format!("cannot listen on {address}: {why}"))
}
