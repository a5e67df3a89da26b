//! Callers that keep calling side by side until they are stopped or their connection ends, and what each of their calls
//! came to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::client::{Client, deprecated_call, get};
use super::time::wait_until;
use super::wire;

/// What a caller knows of one of its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its `X-Request-ID`.
    pub id: String,
    pub deprecated: bool,
    /// The status of its answer; `None` when the connection ended without one.
    pub status: Option<u16>,
}

/// Callers at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Vec<Outcome>>>,
}

/// How they call.
#[derive(Clone, Copy)]
pub enum Mix {
    /// Only the deprecated call.
    Deprecated,
    /// Every second call is another one.
    Half,
}

impl Load {
    /// So many callers, each on connections of its own, with ids that begin with `name`.
    pub fn start(address: SocketAddr, callers: usize, name: &str, mix: Mix) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let callers = (0..callers)
            .map(|caller| {
                let (stop, answered) = (stop.clone(), answered.clone());
                let name = format!("{name}-{caller}");
                std::thread::spawn(move || keep_calling(address, &name, mix, &stop, &answered))
            })
            .collect();
        Self {
            stop,
            answered,
            callers,
        }
    }

    /// Waits until so many calls in all have been answered.
    pub fn wait_for(&self, count: usize) {
        wait_until("the load does not flow", || {
            self.answered.load(Ordering::Relaxed) >= count
        });
    }

    /// How many calls have been answered.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Has the callers end, each behind the call that it is in; what all calls came to.
    pub fn stop(self) -> Vec<Outcome> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits for callers whose proxy has gone.
    pub fn join(self) -> Vec<Outcome> {
        self.callers
            .into_iter()
            .flat_map(|caller| caller.join().expect("a caller runs to its end"))
            .collect()
    }
}

/// Calls until told to stop, or until the proxy takes no connection any more.
fn keep_calling(
    address: SocketAddr,
    name: &str,
    mix: Mix,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut client: Option<Client> = None;
    while !stop.load(Ordering::Relaxed) {
        let connection = match &mut client {
            Some(open) => open,
            None => match wire::dial(address) {
                Ok(socket) => client.insert(Client::over(socket)),
                Err(_) => break,
            },
        };
        let number = outcomes.len();
        let id = format!("{name}-{number}");
        let deprecated = matches!(mix, Mix::Deprecated) || number.is_multiple_of(2);
        let request = if deprecated {
            deprecated_call(number)
        } else {
            get("/bitrix/page?a=1")
        };
        let request = request.replacen("\r\n", &format!("\r\nX-Request-ID: {id}\r\n"), 1);
        let answer = connection.call(request);
        let status = answer.as_ref().ok().map(super::strict::Message::status);
        if status.is_some() {
            answered.fetch_add(1, Ordering::Relaxed);
        }
        let over = match &answer {
            Ok(answer) => answer.list("connection").contains(&"close".to_owned()),
            Err(_) => true,
        };
        outcomes.push(Outcome {
            id,
            deprecated,
            status,
        });
        if over {
            client = None;
        }
    }
    outcomes
}
