//! Calls over HTTP/2 and TLS: a few streams of one connection at a time.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::support::wire::PATIENCE;
use crate::traffic::Call;

type Sender = SendRequest<Full<Bytes>>;

/// A client with a thread to itself; it keeps its connection.
pub struct Client {
    runtime: Runtime,
    address: SocketAddr,
    tls: TlsConnector,
    kept: Option<Sender>,
}

impl Client {
    /// One that has no connection yet.
    pub fn new(address: SocketAddr, config: &rustls::ClientConfig) -> Self {
        let mut config = config.clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let runtime = Builder::new_current_thread().enable_all().build();
        Self {
            runtime: runtime.expect("a runtime"),
            address,
            tls: TlsConnector::from(Arc::new(config)),
            kept: None,
        }
    }

    /// Closes the connection.
    pub fn leave(&mut self) {
        self.kept = None;
    }

    /// Makes these calls at once, each on a stream of its own; what went wrong with each.
    pub fn calls(&mut self, calls: &[Call]) -> Vec<Option<String>> {
        let kept = self.kept.take();
        let (address, tls) = (self.address, self.tls.clone());
        let requests: Vec<_> = calls.iter().map(request).collect();
        let (sender, answers) = self.runtime.block_on(async move {
            let sender = match kept {
                Some(sender) => sender,
                None => match timeout(PATIENCE, connect(address, tls)).await {
                    Ok(Ok(sender)) => sender,
                    Ok(Err(error)) => return (None, vec![Err(error); requests.len()]),
                    Err(_) => {
                        return (
                            None,
                            vec![Err("no connection in time".into()); requests.len()],
                        );
                    }
                },
            };
            let running: Vec<_> = requests
                .into_iter()
                .map(|request| tokio::spawn(timeout(PATIENCE, answer(sender.clone(), request))))
                .collect();
            let mut answers = Vec::new();
            for one in running {
                answers.push(match one.await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(_)) => Err("no answer in time".into()),
                    Err(error) => Err(error.to_string()),
                });
            }
            (Some(sender), answers)
        });
        let faults: Vec<_> = calls
            .iter()
            .zip(answers)
            .map(|(call, answer)| match answer {
                Ok((status, body)) => call.fault(status, &body),
                Err(error) => Some(format!("HTTP/2, {}: {error}", call.target)),
            })
            .collect();
        self.kept = sender.filter(|_| faults.iter().all(Option::is_none));
        faults
    }
}

async fn connect(address: SocketAddr, tls: TlsConnector) -> Result<Sender, String> {
    let socket = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    let name = "localhost".try_into().expect("a name");
    let stream = tls
        .connect(name, socket)
        .await
        .map_err(|error| error.to_string())?;
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}

fn request(call: &Call) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(call.verb())
        .uri(format!("https://portal.example{}", call.target));
    if let Some(media) = call.media {
        request = request.header("content-type", media);
    }
    request
        .body(Full::from(call.body.clone()))
        .expect("a request")
}

async fn answer(mut sender: Sender, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), String> {
    let answer = sender
        .send_request(request)
        .await
        .map_err(|error| format!("{error:?}"))?;
    let status = answer.status().as_u16();
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(|error| format!("{error:?}"))?;
    Ok((status, body.to_bytes()))
}
