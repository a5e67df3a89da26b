//! Bodies: streamed through as they come, or held whole.

use crate::proxy::call::room;
use crate::proxy::call::room::Reserved;
use crate::proxy::client::wire::{Fault, Link};
use crate::proxy::error::ProxyError;
use crate::proxy::net::watch::is_over;
use crate::proxy::portal::PortalBody;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The body of a request on its way to the portal.
pub enum RequestBody {
    Empty,
    Whole(Option<Bytes>),
    Stream(ClientBody),
}

/// A client's body: whole, where it has come with its head, else as it comes. A connection of HTTP/1 watches itself for
/// stalls; a stream of HTTP/2 is watched here.
pub struct ClientBody {
    whole: Option<Bytes>,
    incoming: Incoming,
    stall: Option<(Stall, Rc<Link>)>,
}

impl ClientBody {
    pub fn new(
        whole: Option<Bytes>,
        incoming: Incoming,
        stall: Option<(Duration, Rc<Link>)>,
    ) -> Self {
        ClientBody {
            whole,
            incoming,
            stall: stall.map(|(limit, link)| (Stall::new(limit), link)),
        }
    }
}

impl From<ClientBody> for RequestBody {
    fn from(body: ClientBody) -> Self {
        match body.whole {
            Some(whole) => RequestBody::Whole(Some(whole)),
            None => RequestBody::Stream(body),
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = Unreadable;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unreadable>>> {
        let this = self.get_mut();
        if let Some(whole) = this.whole.take() {
            return Poll::Ready(Some(Ok(Frame::data(whole))));
        }
        let polled = Pin::new(&mut this.incoming).poll_frame(cx);
        let Some((stall, link)) = &mut this.stall else {
            return polled.map_err(Into::into);
        };
        if polled.is_ready() {
            stall.moved();
            if let Poll::Ready(Some(Err(_))) = &polled {
                link.set_fault(Fault::Closed);
            }
            return polled.map_err(Into::into);
        }
        if is_over(stall.sleep.as_mut(), cx) {
            link.set_fault(Fault::ReadTimeout);
            return Poll::Ready(Some(Err("the client's body stalled".into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.whole {
            Some(whole) => SizeHint::with_exact(whole.len() as u64),
            None => self.incoming.size_hint(),
        }
    }
}

/// Why a body could not be read; what is known of it stands in the connection's link.
pub type Unreadable = Box<dyn std::error::Error + Send + Sync>;

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Unreadable;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unreadable>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            RequestBody::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty => true,
            RequestBody::Whole(bytes) => bytes.is_none(),
            RequestBody::Stream(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty => SizeHint::with_exact(0),
            RequestBody::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            RequestBody::Stream(incoming) => incoming.size_hint(),
        }
    }
}

/// The body of an answer on its way to the client.
pub enum ResponseBody {
    Empty,
    Whole(Option<Bytes>),
    /// Whole, but sent without its length, as it came.
    Unsized(Option<Bytes>),
    /// The portal's, with what was already read of it.
    Portal {
        first: Option<Bytes>,
        body: PortalBody,
        stall: Option<Stall>,
    },
    /// The portal's, which broke off. It is told at the next turn: told at once, hyper would drop what it holds of the
    /// answer, its head too, and the client would see a closed connection in place of a truncated answer.
    Broken,
}

/// A limit between two pieces of a body, for connections that do not watch that themselves.
pub struct Stall {
    limit: Duration,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Stall {
    pub fn new(limit: Duration) -> Self {
        Stall {
            limit,
            sleep: Box::pin(tokio::time::sleep(limit)),
        }
    }

    fn moved(&mut self) {
        self.sleep
            .as_mut()
            .reset(tokio::time::Instant::now() + self.limit);
    }
}

/// Why an answer's body ended before its end: the client sees it cut off.
#[derive(Debug)]
pub struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the portal's answer broke off")
    }
}

impl std::error::Error for Truncated {}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let this = self.get_mut();
        let polled = match this {
            ResponseBody::Broken => return Poll::Ready(Some(Err(Truncated))),
            ResponseBody::Empty => Poll::Ready(None),
            ResponseBody::Whole(bytes) | ResponseBody::Unsized(bytes) => {
                Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b))))
            }
            ResponseBody::Portal { first, body, stall } => {
                if let Some(first) = first.take() {
                    return Poll::Ready(Some(Ok(Frame::data(first))));
                }
                let frame = match Pin::new(&mut *body).poll_frame(cx) {
                    Poll::Pending => {
                        let stalled = stall
                            .as_mut()
                            .is_some_and(|stall| is_over(stall.sleep.as_mut(), cx));
                        return if stalled {
                            Poll::Ready(Some(Err(Truncated)))
                        } else {
                            Poll::Pending
                        };
                    }
                    Poll::Ready(frame) => frame,
                };
                if let Some(stall) = stall {
                    stall.moved();
                }
                Poll::Ready(frame)
            }
        };
        if let Poll::Ready(Some(Err(_))) = polled {
            *this = ResponseBody::Broken;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Empty => true,
            ResponseBody::Broken => false,
            ResponseBody::Whole(bytes) | ResponseBody::Unsized(bytes) => bytes.is_none(),
            ResponseBody::Portal { first, body, .. } => first.is_none() && body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Empty => SizeHint::with_exact(0),
            ResponseBody::Broken => SizeHint::default(),
            ResponseBody::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            ResponseBody::Unsized(_) => SizeHint::default(),
            ResponseBody::Portal { first, body, .. } => match (first, body.size_hint().exact()) {
                (None, _) => body.size_hint(),
                (Some(first), Some(rest)) => SizeHint::with_exact(rest + first.len() as u64),
                (Some(_), None) => SizeHint::default(),
            },
        }
    }
}

/// Why a body was not read whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    TooLarge,
    /// It came below the least rate.
    TooSlow,
    /// There is no room for it.
    NoRoom(ProxyError),
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
pub async fn collect(
    mut body: ClientBody,
    limit: u64,
    link: &Rc<Link>,
    mut room: Option<&mut Reserved>,
) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > limit {
        return Err(Unread::TooLarge);
    }
    if let Some(whole) = body.whole {
        return Ok(whole);
    }
    let known = body.size_hint().exact();
    let mut pace = Pace::lasting(BODY_TIME);
    let mut has_room_for = room::FREE;
    let mut first: Option<Bytes> = None;
    let mut all: Vec<u8> = Vec::new();
    loop {
        let next = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
            Poll::Ready(frame) => {
                Poll::Ready(frame.transpose().map_err(|_| Unread::Client(link.fault())))
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

/// Bytes of an error answer that are read for its code.
pub const ERROR_LIMIT: usize = 64 * 1024;

/// Reads an answer's body as far as `limit`, to look into it; true if that is all of it.
///
/// # Errors
/// The answer broke off.
pub async fn peek(body: &mut PortalBody, limit: usize) -> Result<(Bytes, bool), Truncated> {
    if body.size_hint().lower() > limit as u64 {
        return Ok((Bytes::new(), false));
    }
    let mut read: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Truncated);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if read.is_empty() && body.is_end_stream() {
            return Ok((data, true));
        }
        read.extend_from_slice(&data);
        if read.len() > limit {
            return Ok((read.into(), false));
        }
    }
    Ok((read.into(), true))
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
