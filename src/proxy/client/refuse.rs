//! Connections that are one too many: each is told so in its own language, and costs little.

use crate::protocol::answer::Format;
use crate::proxy::call::reply;
use crate::proxy::call::reply::Reply;
use crate::proxy::call::response_body::ResponseBody;
use crate::proxy::client::http2;
use crate::proxy::client::registry::Registry;
use crate::proxy::client::sniff::speaks_http2;
use crate::proxy::error::{Failure, Kind};
use crate::proxy::net::executor::Local;
use crate::proxy::net::stream::Prefix;
use crate::proxy::net::stream::{Replay, Stream};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, body::Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long telling may take, behind a TLS handshake.
const TELLING: Duration = Duration::from_secs(1);

/// How long what the client may be sending is waited for.
const LISTENING: Duration = Duration::from_millis(200);

/// Answers 503 on a connection that is one too many, and closes it.
pub async fn busy(registry: &Registry, stream: Stream) {
    registry
        .context
        .local
        .own_error(Kind::TooManyConnections.row().code);
    let _ = tokio::time::timeout(TELLING, tell(registry, stream)).await;
}

fn busy_reply(extra: &[u8]) -> Reply {
    let error = Failure::from(Kind::TooManyConnections);
    reply::error(&error, Format::Json, false, extra)
}

async fn tell(registry: &Registry, mut stream: Stream) {
    // What has come is read first, so that closing does not reset the answer away.
    let mut prefix = Prefix::default();
    let mut is_http2 = stream.chose_http2();
    if !is_http2 {
        let listened =
            tokio::time::timeout(LISTENING, speaks_http2(&mut stream, &mut prefix)).await;
        is_http2 = registry.context.config.http2 && matches!(listened, Ok(Ok(true)));
    }
    if is_http2 {
        return tell_http2(Replay::new(prefix.bytes, stream)).await;
    }
    say(stream, busy_reply(b"Connection: close\r\n")).await;
}

/// Answers 400 to plain HTTP on a port that speaks TLS, and closes the connection.
pub async fn plain_http(registry: &Registry, mut stream: Stream) {
    let Some(_turn) = registry.refusing() else {
        return;
    };
    registry.context.local.own_error(Kind::PlainHttp.row().code);
    let _ = tokio::time::timeout(TELLING, async {
        // Not in the future itself, which is part of each connection's task.
        let mut scratch = vec![0u8; 4096];
        let _ = tokio::time::timeout(LISTENING, stream.read(&mut scratch)).await;
        let error = Failure::from(Kind::PlainHttp);
        say(
            stream,
            reply::error(&error, Format::Json, false, b"Connection: close\r\n"),
        )
        .await;
    })
    .await;
}

/// Sends an answer, and reads until the client goes.
async fn say(mut stream: Stream, reply: Reply) {
    let ResponseBody::Whole(Some(body)) = reply.body else {
        return;
    };
    let bytes = [&reply.head[..], b"\r\n", &body].concat();
    let _ = stream.write_all(&bytes).await;
    let _ = stream.shutdown().await;
    let mut scratch = vec![0u8; 4096];
    while stream.read(&mut scratch).await.is_ok_and(|n| n > 0) {}
}

/// Answers whatever is asked, and asks the client to go.
async fn tell_http2(stream: Replay) {
    let told = Rc::new(tokio::sync::Notify::new());
    let service = service_fn(|_: Request<Incoming>| {
        let told = told.clone();
        async move {
            told.notify_one();
            let whole = |body| match body {
                ResponseBody::Whole(Some(bytes)) => Full::new(bytes),
                _ => Full::<Bytes>::default(),
            };
            Ok::<_, Infallible>(http2::response(busy_reply(b""), whole))
        }
    });
    let mut builder = hyper::server::conn::http2::Builder::new(Local);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(http2::STREAMS)
        .auto_date_header(false);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = told.notified() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}
