//! Room for bodies that are held to be translated: reserved before a body is read, first come, first served.

use super::error::ProxyError;
use crate::telemetry::metrics::{LocalMetrics, Open, Phase};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies up to this size never wait.
const SMALL: u64 = 64 * 1024;

/// Room that is held; given back when it is dropped.
pub struct Reserved {
    permit: Option<(OwnedSemaphorePermit, LocalMetrics)>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some((permit, local)) = &self.permit {
            local.rewrite_memory(-bytes(permit.num_permits()));
        }
    }
}

fn bytes(kib: usize) -> i64 {
    i64::try_from(kib * 1024).unwrap_or(i64::MAX)
}

impl Reserved {
    /// No room, for a body that needs none.
    pub fn nothing() -> Self {
        Reserved { permit: None }
    }
}

/// Reserves room for a body of at most `length` bytes and its rewritten copy.
///
/// # Errors
/// 503 `PROXY_BUSY` when there is none for the time given.
pub async fn reserve(
    room: &Arc<Semaphore>,
    local: &LocalMetrics,
    total: u64,
    length: u64,
    wait: Duration,
) -> Result<Reserved, ProxyError> {
    if length <= SMALL {
        return Ok(Reserved { permit: None });
    }
    let kib = (length.saturating_mul(2) / 1024 + 1)
        .min(total / 1024)
        .max(1);
    let kib = u32::try_from(kib).unwrap_or(u32::MAX);
    let waiting = local.open(Open::RewriteWaiting);
    let acquired = tokio::time::timeout(wait, room.clone().acquire_many_owned(kib)).await;
    drop(waiting);
    match acquired {
        Ok(Ok(permit)) => {
            local.rewrite_memory(bytes(permit.num_permits()));
            Ok(Reserved {
                permit: Some((permit, local.clone())),
            })
        }
        Ok(Err(_)) | Err(_) => {
            local.timeout(Phase::RewriteWait);
            Err(ProxyError::busy(
                "has no memory for another large body to be translated",
            ))
        }
    }
}
