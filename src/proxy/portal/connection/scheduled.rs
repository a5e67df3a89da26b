//! A connection to the portal as a schedule drives it: every split, each moment of a close or a reset, slow writers.

use super::*;
use crate::proxy::http::head::Framing;
use crate::proxy::net::scripted::{End, Schedule, Scripted};
use crate::telemetry::metrics::{Metrics, Open};
use proptest::prelude::*;
use std::future::poll_fn;

const LIMITS: Limits = Limits {
    head: 4096,
    target: 0,
    fields: 32,
};

const HEAD: &[u8] = b"POST /t HTTP/1.1\r\n";

/// What came of an exchange.
struct Exchanged {
    read: Result<(u16, Vec<u8>), Fault>,
    reusable: bool,
    /// All that the portal got.
    got: Vec<u8>,
}

/// Sends a request with this body to a portal that says this and ends so.
fn exchanged(body: &[u8], sends: Vec<u8>, end: End, schedule: Schedule) -> Exchanged {
    let wire = Scripted::new(sends, end, schedule);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        let patience = Patience {
            response: Duration::from_secs(60),
            body: Duration::from_secs(60),
        };
        let counted = Metrics::new(&[]).local().open(Open::PoolBusy);
        let stream = Stream::Scripted(wire.clone());
        let mut connection = Connection::new(stream, LIMITS, patience, counted, None);
        let asked = Asked {
            framing: Framing::Length(body.len() as u64),
            to_head: false,
            upgrade: false,
            trailer: None,
            keep: false,
        };
        let body = RequestBody::Whole(Some(Bytes::copy_from_slice(body)));
        connection.begin(&asked, body, &|out| out.extend_from_slice(HEAD));
        let read = answered(&mut connection).await;
        if read.is_ok() && connection.is_early() {
            let _ = poll_fn(|cx| connection.poll_sent(cx)).await;
        }
        let reusable = read.is_ok() && connection.is_reusable();
        Exchanged {
            read,
            reusable,
            got: wire.got(),
        }
    })
}

async fn answered(connection: &mut Connection) -> Result<(u16, Vec<u8>), Fault> {
    let head = poll_fn(|cx| connection.poll_answer(cx)).await?;
    if let Some(whole) = connection.take_whole() {
        return Ok((head.status, whole.to_vec()));
    }
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|cx| connection.poll_body(cx)).await {
        body.extend_from_slice(&frame?.into_data().unwrap_or_default());
    }
    Ok((head.status, body))
}

/// An answer: its bytes, its body, and whether it ends by itself.
fn answers() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, bool)> {
    let body = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        (100usize..40_000).prop_map(|length| vec![b'x'; length]),
    ];
    (body, 0..3u8, 1usize..5000, 0..3usize).prop_map(|(body, form, size, interim)| {
        let mut raw = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(interim);
        raw.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        match form {
            0 => raw.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes()),
            1 => raw.extend_from_slice(b"\r\n"),
            _ => raw.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
        }
        if form < 2 {
            raw.extend_from_slice(&body);
        } else {
            for piece in body.chunks(size) {
                raw.extend(format!("{:X}\r\n", piece.len()).bytes());
                raw.extend_from_slice(piece);
                raw.extend_from_slice(b"\r\n");
            }
            raw.extend_from_slice(b"0\r\nX-Sum: 1\r\n\r\n");
        }
        (raw, body, form != 1)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_the_schedule_an_answer_is_whole_or_a_fault_and_the_request_goes_out_as_it_is(
        sent in prop_oneof![Just(Vec::new()), proptest::collection::vec(any::<u8>(), 1..100), Just(vec![b'y'; 100_000])],
        (raw, body, ends_by_itself) in answers(),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        end in prop_oneof![Just(End::Half), Just(End::Reset)],
        schedule in Schedule::any(),
    ) {
        let cut = cut.map_or(raw.len(), |cut| cut.index(raw.len() + 1));
        let request = [HEAD, b"\r\n", &sent].concat();
        let came = exchanged(&sent, raw[..cut].to_vec(), end, schedule);
        prop_assert!(request.starts_with(&came.got), "the portal got {}", came.got.escape_ascii());
        let is_whole = cut == raw.len();
        match &came.read {
            Ok((status, got)) => {
                prop_assert_eq!(*status, 200);
                if ends_by_itself {
                    prop_assert!(is_whole, "its end had not come");
                    prop_assert_eq!(got, &body);
                } else {
                    prop_assert_eq!(end, End::Half, "a reset is no end of a body");
                    prop_assert!(body.starts_with(got) && (!is_whole || got == &body));
                }
            }
            Err(Fault::ReadTimeout | Fault::WriteTimeout) => prop_assert!(false, "it waits for ever"),
            Err(_) => prop_assert!(!is_whole || end == End::Reset, "all of it came: {:?}", came.read),
        }
        // What may carry another request has neither side of this one left on it.
        if came.reusable {
            prop_assert!(is_whole && ends_by_itself);
            prop_assert_eq!(&came.got, &request);
        }
        if is_whole && ends_by_itself && end == End::Half {
            prop_assert!(came.reusable);
        }
    }
}
