//! Room for bodies that are held to be translated: reserved before a body is read, first come, first served.

use super::error::ProxyError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies up to this size never wait.
const SMALL: u64 = 64 * 1024;

/// Room that is held; given back when it is dropped.
pub struct Reserved {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Reserved {
    /// No room, for a body that needs none.
    pub fn nothing() -> Self {
        Reserved { _permit: None }
    }
}

/// Reserves room for a body of at most `length` bytes and its rewritten copy.
///
/// # Errors
/// 503 `PROXY_BUSY` when there is none for the time given.
pub async fn reserve(
    room: &Arc<Semaphore>,
    total: u64,
    length: u64,
    wait: Duration,
) -> Result<Reserved, ProxyError> {
    if length <= SMALL {
        return Ok(Reserved { _permit: None });
    }
    let kib = (length.saturating_mul(2) / 1024 + 1)
        .min(total / 1024)
        .max(1);
    let kib = u32::try_from(kib).unwrap_or(u32::MAX);
    match tokio::time::timeout(wait, room.clone().acquire_many_owned(kib)).await {
        Ok(Ok(permit)) => Ok(Reserved {
            _permit: Some(permit),
        }),
        Ok(Err(_)) | Err(_) => Err(ProxyError::busy(
            "has no memory for another large body to be translated",
        )),
    }
}
