//! Reads a body whole, into room that is taken as it comes, or reads it away.

use crate::proxy::body::ClientBody;
use crate::proxy::call::room::{self, Reserved};
use crate::proxy::error::Failure;
use crate::proxy::net::fault::{Fault, FaultCell};
use crate::proxy::net::watch::is_over;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Why a body was not read whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    TooLarge,
    /// It came below the least rate.
    TooSlow,
    /// There is no room for it.
    NoRoom(Failure),
    /// The client's connection failed; what is known of why.
    Client(Option<Fault>),
}

/// The least rate of a body that is read whole, as Apache's default (`RequestReadTimeout body=20,MinRate=500`): so long, and
/// so long more for each byte.
const BODY_TIME: Duration = Duration::from_secs(20);
const TIME_OF_A_BYTE: Duration = Duration::from_millis(2);

/// Whether a body comes at the least rate.
struct Pace {
    /// When it would have to be whole, if no more came.
    until: Instant,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Pace {
    fn lasting(time: Duration) -> Self {
        Pace {
            until: Instant::now() + time,
            timer: None,
        }
    }

    fn came(&mut self, bytes: usize) {
        self.more(TIME_OF_A_BYTE.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX)));
    }

    fn more(&mut self, time: Duration) {
        self.until += time;
    }

    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let until = self.until;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
        while is_over(timer.as_mut(), cx) {
            if Instant::now() >= until {
                return true;
            }
            timer.as_mut().reset(until.into());
        }
        false
    }
}

/// Reads a body whole, up to the limit, into room that is taken as it comes. Without a room, the limit is one for which no
/// room is needed.
///
/// # Errors
/// A body over the limit, one that comes too slowly, one without room, or a connection that failed before its end.
// Long: one loop over the pieces; all of it needs what was counted so far.
pub async fn collect(
    mut body: ClientBody,
    limit: u64,
    fault: &FaultCell,
    mut room: Option<&mut Reserved>,
) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > limit {
        return Err(Unread::TooLarge);
    }
    if let Some(whole) = body.take_whole() {
        return Ok(whole);
    }
    let known = body.size_hint().exact();
    if let (Some(room), Some(known)) = (&mut room, known) {
        room.announce(known);
    }
    let mut pace = Pace::lasting(BODY_TIME);
    let mut has_room_for = room::FREE;
    let mut first: Option<Bytes> = None;
    let mut all: Vec<u8> = Vec::new();
    loop {
        let next = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(frame) => {
                Poll::Ready(frame.transpose().map_err(|_| Unread::Client(fault.get())))
            }
            Poll::Pending if pace.is_too_slow(cx) => Poll::Ready(Err(Unread::TooSlow)),
            Poll::Pending => match &room {
                Some(room) => room
                    .poll_gives_way(cx)
                    .map(|error| Err(Unread::NoRoom(error))),
                None => Poll::Pending,
            },
        });
        let Some(frame) = next.await? else {
            break;
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        pace.came(data.len());
        let so_far = first.as_ref().map_or(all.len(), Bytes::len);
        let length = (so_far + data.len()) as u64;
        if length > limit {
            return Err(Unread::TooLarge);
        }
        if length > has_room_for
            && let Some(room) = &mut room
        {
            while has_room_for < length {
                has_room_for *= 2;
            }
            has_room_for = has_room_for.min(known.unwrap_or(limit));
            let since = Instant::now();
            room.grow(has_room_for).await.map_err(Unread::NoRoom)?;
            pace.more(since.elapsed());
        }
        if first.is_none() && all.is_empty() {
            if known == Some(length) {
                first = Some(data);
                break;
            }
            first = Some(data);
            continue;
        }
        if all.capacity() < length as usize {
            match known.filter(|known| *known <= has_room_for) {
                Some(known) => all.reserve_exact(known as usize - all.len()),
                None if has_room_for > room::FREE => {
                    all.reserve_exact(has_room_for as usize - all.len());
                }
                None => all.reserve(length as usize - all.len()),
            }
        }
        if let Some(first) = first.take() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    let whole = first.unwrap_or_else(|| all.into());
    if let Some(room) = room {
        room.come(whole.len() as u64);
    }
    Ok(whole)
}

/// Reads away what is left of a body, as far as `most` and for so long; true if that is all of it.
pub async fn discard(mut body: ClientBody, most: u64, wait: Duration) -> bool {
    let reading = async {
        let mut read = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return false;
            };
            read += frame.data_ref().map_or(0, |data| data.len() as u64);
            if read > most {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(wait, reading).await == Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_byte_gives_a_body_that_is_read_whole_more_time() {
        let begun = Instant::now();
        let mut pace = Pace::lasting(Duration::from_millis(50));
        let mut looked = false;
        poll_fn(|cx| {
            if !looked {
                assert!(!pace.is_too_slow(cx), "nothing has come yet");
                // 1 s for 500 bytes.
                pace.came(100);
                looked = true;
            }
            match pace.is_too_slow(cx) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(250), "{took:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}
