//! The live view: what changed, as server-sent events, made once for all who watch.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::header::{HeaderName, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::answer::{self, Body};
use super::clock::now;
use super::shared::Admin;
use super::{page, selection};

/// Changes are gathered for so long before they are shown.
const GATHER: Duration = Duration::from_millis(200);

/// Without a change the overview is sent so often: it says how long ago things were, and keeps connections from idling.
const REFRESH: Duration = Duration::from_secs(10);

/// The overview sums all rows up: not more often than this, however much changes.
const OVERVIEW_PAUSE: Duration = Duration::from_secs(1);

/// Who watches at a time, at most.
const MOST_WATCHERS: usize = 32;

/// So many rows, and bytes, an event has at most; of more the page is to be read again. So a watcher that takes nothing holds
/// little, and a flood of invented callers is no flood of events.
const MOST_ROWS: usize = 100;
const MOST_BYTES: usize = 256 << 10;

/// After a reset the next event waits so long: each watcher reads the whole page meanwhile.
const RESET_PAUSE: Duration = Duration::from_secs(2);

/// The data of an event.
#[derive(Serialize)]
struct Change {
    version: u64,
    rows: Vec<ChangedRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overview: Option<String>,
}

#[derive(Serialize)]
struct ChangedRow {
    id: String,
    html: String,
}

/// Makes an event of each change, as long as somebody watches. Ends never.
pub(super) async fn keep_fresh(admin: Arc<Admin>) {
    let live = &admin.telemetry.live;
    let mut watcher = live.watch();
    let mut refresh = interval(REFRESH);
    refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = live.version();
    let mut overview_at = Instant::now();
    // A change was shown without its overview: that follows when the pause is over.
    let mut owed = false;
    loop {
        tokio::select! {
            () = watcher.changed() => sleep(GATHER).await,
            _ = refresh.tick() => {}
            () = sleep_until(overview_at + OVERVIEW_PAUSE), if owed => {}
        }
        let version = watcher.version();
        if admin.feed.events.receiver_count() > 0 {
            let due = overview_at.elapsed() >= OVERVIEW_PAUSE || version == shown;
            owed = !due;
            if due {
                overview_at = Instant::now();
                admin.feed.forget_overview();
            }
            let event = change(&admin, shown, version, due);
            let is_reset = event.is_none();
            // Nobody may be left to hear it: then there is nothing to do.
            let _ = admin
                .feed
                .events
                .send(event.unwrap_or_else(|| reset(&admin, version)));
            if is_reset {
                sleep(RESET_PAUSE).await;
            }
        } else {
            owed = false;
        }
        shown = version;
    }
}

/// What changed since a version; nothing where it is too much, or rows may be gone.
fn change(admin: &Admin, since: u64, version: u64, with_overview: bool) -> Option<Bytes> {
    let rows = admin.telemetry.live.changed_since(since, MOST_ROWS)?;
    let now = now();
    let change = Change {
        version,
        rows: rows
            .iter()
            .map(|row| ChangedRow {
                id: page::row_id(row),
                html: page::row(row, now),
            })
            .collect(),
        overview: with_overview.then(|| overview(admin)),
    };
    let event = event("change", &admin.feed.id(version), &change);
    (event.len() <= MOST_BYTES).then_some(event)
}

/// Tells to read the whole page again.
fn reset(admin: &Admin, version: u64) -> Bytes {
    event("reset", &admin.feed.id(version), &())
}

fn overview(admin: &Admin) -> String {
    let mut known = admin
        .feed
        .overview
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match &*known {
        Some((made, html)) if made.elapsed() < OVERVIEW_PAUSE => html.clone(),
        _ => {
            let html = page::overview(admin);
            *known = Some((Instant::now(), html.clone()));
            html
        }
    }
}

fn event(name: &str, id: &str, data: &impl Serialize) -> Bytes {
    // JSON has no line feed of its own, so that the data is one line.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\nid: {id}\ndata: {data}\n\n").into()
}

/// `/events`: what changed since the version that the page shows (`?since=`, or where a broken stream had got to), and from
/// then on. A page of another run is told to read everything again.
pub(super) fn stream(admin: &Admin, head: &Parts) -> Response<Body> {
    if admin.feed.events.receiver_count() >= MOST_WATCHERS {
        let busy = answer::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "As many pages are live as there may be; reload this one instead.",
        );
        return answer::with(busy, RETRY_AFTER, "60");
    }
    let last = head
        .headers
        .get(HeaderName::from_static("last-event-id"))
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned)
        .or_else(|| selection::value(head.uri.query().unwrap_or_default(), "since"));
    let events = admin.feed.events.subscribe();
    let version = admin.telemetry.live.version();
    let known = last.as_deref().and_then(|id| admin.feed.version(id));
    let first = known.and_then(|shown| change(admin, shown, version, true));
    let reset = reset(admin, version);
    let first = first.unwrap_or_else(|| reset.clone());
    let (to_visitor, lines) = mpsc::channel(2);
    if head.method == Method::GET {
        tokio::spawn(pass_on(events, to_visitor, first, reset));
    }
    let answer = answer::of_body(StatusCode::OK, "text/event-stream", Lines(lines).boxed());
    // nginx, for one, would hold events back until its buffer is full.
    answer::with(answer, HeaderName::from_static("x-accel-buffering"), "no")
}

async fn pass_on(
    mut events: broadcast::Receiver<Bytes>,
    to_visitor: mpsc::Sender<Bytes>,
    first: Bytes,
    reset: Bytes,
) {
    let mut next = Bytes::from(["retry: 1000\n".as_bytes(), &first].concat());
    while to_visitor.send(next).await.is_ok() {
        next = tokio::select! {
            event = events.recv() => match event {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Lagged(_)) => reset.clone(),
                Err(broadcast::error::RecvError::Closed) => return,
            },
            () = to_visitor.closed() => return,
        };
    }
}

/// A body of what comes through a channel, until its other end closes.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0
            .poll_recv(context)
            .map(|event| event.map(|bytes| Ok(Frame::data(bytes))))
    }
}
