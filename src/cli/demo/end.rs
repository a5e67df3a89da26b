//! Ends a proxy of the demo's.

use std::time::Duration;

use crate::proxy::Server;

/// How long open calls may take.
const PATIENCE: Duration = Duration::from_secs(2);

pub async fn end(mut server: Server) {
    server.drain();
    let _ = tokio::time::timeout(PATIENCE, server.ended()).await;
    server.cut();
    server.join();
}
