//! SIGTERM and its relatives: what the portal saw is answered, who waits is told, who sends nothing keeps nobody.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::client::{Client, deprecated_call, get};
use crate::support::figure;
use crate::support::load::{Load, Mix, Outcome};
use crate::support::portal::Portal;
use crate::support::proxy;
use crate::support::time::{pause_ms, wait_until};
use crate::support::wire;

/// A portal that takes its time, a little differently for each call.
fn slow_portal(most: u64) -> Portal {
    Portal::start(move |visit| {
        let mut turn = visit.number as u64;
        while let Some(request) = visit.request() {
            turn = turn.wrapping_mul(31).wrapping_add(7);
            pause_ms(turn % most, "the portal takes its time");
            visit.answer_to(&request, 200, "", b"{\"result\":true}");
        }
    })
}

/// What the portal saw whose caller has no answer.
fn unanswered(portal: &Portal, outcomes: &[Outcome]) -> Vec<String> {
    let seen = portal.requests();
    outcomes
        .iter()
        .filter(|outcome| outcome.status != Some(200))
        .filter(|outcome| {
            seen.iter()
                .any(|one| one.one("x-request-id").as_ref() == Some(&outcome.id))
        })
        .map(|outcome| format!("{outcome:?}"))
        .collect()
}

#[test]
fn no_call_that_the_portal_saw_goes_unanswered_at_sigterm_under_load() {
    for round in 0..3 {
        let portal = slow_portal(20);
        let mut proxy = proxy::start(&portal, &[]);
        let load = Load::start(proxy.address(), 24, &format!("r{round}"), Mix::Half);
        load.wait_for(200);
        let status = proxy.terminate();
        let outcomes = load.join();
        let lost = unanswered(&portal, &outcomes);
        figure(
            "SIGTERM under load",
            format!(
                "{} of {} calls that the portal saw have no answer, status {:?}",
                lost.len(),
                portal.request_count(),
                status.code()
            ),
        );
        assert_eq!(lost, Vec::<String>::new());
        assert!(
            outcomes
                .iter()
                .all(|one| matches!(one.status, None | Some(200))),
            "{outcomes:?}"
        );
        assert_eq!(status.code(), Some(0), "{}", proxy.stderr.text());
        let answered = outcomes
            .iter()
            .filter(|one| one.deprecated && one.status.is_some())
            .count();
        assert_eq!(proxy.events().len(), answered);
    }
}

#[test]
fn a_kept_alive_client_is_told_to_close_and_its_call_is_finished() {
    let portal = Portal::start(|visit| {
        while let Some(request) = visit.request() {
            if request.target() == b"/slow" {
                pause_ms(400, "the signal is to come while the call is in flight");
            }
            visit.answer_to(&request, 200, "", b"done");
        }
    });
    let mut proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    assert_eq!(client.call(get("/first")).expect("an answer").status(), 200);
    client.send(get("/slow"));
    assert!(portal.wait_for_requests(2));
    proxy.signal(Signal::TERM);
    let answer = client
        .response("GET")
        .expect("the call in flight is finished");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "done"));
    assert!(
        answer.list("connection").contains(&"close".to_owned()),
        "{answer:?}"
    );
    assert!(client.closed_within(Duration::from_secs(2)));
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn connections_that_send_nothing_whole_delay_nothing() {
    let portal = Portal::plain();
    for signal in [Signal::TERM, Signal::INT] {
        let mut proxy = proxy::start(&portal, &[]);
        let _silent = proxy.connect();
        let mut idle = proxy.connect();
        assert_eq!(idle.call(get("/")).expect("an answer").status(), 200);
        let mut half = proxy.connect();
        half.send("GET / HTTP/1.1\r\nHo");
        let mut second = proxy.connect();
        assert_eq!(second.call(get("/")).expect("an answer").status(), 200);
        second.send("POST / HTTP/1.1\r\nHost: h\r\nCont");
        let begun = Instant::now();
        proxy.signal(signal);
        assert_eq!(proxy.wait().code(), Some(0));
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn what_does_not_end_within_the_drain_timeout_is_cut_and_the_status_says_so() {
    let portal = Portal::start(|visit| {
        visit.request();
        visit.wait_closed(wire::PATIENCE);
    });
    let mut proxy = proxy::start(&portal, &["--drain-timeout", "300ms"]);
    let mut client = proxy.connect();
    client.send(deprecated_call(1));
    assert!(portal.wait_for_requests(1));
    let begun = Instant::now();
    assert_eq!(proxy.terminate().code(), Some(1), "{}", proxy.stderr.text());
    let took = begun.elapsed();
    assert!(
        took > Duration::from_millis(250) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_eq!(
        proxy.events().len(),
        1,
        "the call that was cut is in the log"
    );
}

#[test]
fn a_second_signal_ends_at_once() {
    let portal = Portal::start(|visit| {
        visit.request();
        visit.wait_closed(wire::PATIENCE);
    });
    let mut proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    client.send(get("/never"));
    assert!(portal.wait_for_requests(1));
    proxy.signal(Signal::TERM);
    // The first is taken when the listener is closed.
    wait_until("the listener stays open", || {
        wire::dial(proxy.address()).is_err()
    });
    let begun = Instant::now();
    proxy.signal(Signal::TERM);
    let status = proxy.wait();
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_ne!(status.code(), Some(0), "a call was cut");
}

#[test]
fn readiness_goes_first_and_the_listeners_stay_for_the_drain_delay() {
    let portal = Portal::plain();
    let mut proxy = proxy::start(&portal, &["--drain-delay", "700ms"]);
    let begun = Instant::now();
    proxy.signal(Signal::TERM);
    while proxy.admin("/readyz").status() == 200 {
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(proxy.admin("/readyz").status(), 503);
    assert_eq!(proxy.admin("/healthz").status(), 200);
    assert_eq!(proxy.call(get("/still")).status(), 200);
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(
        begun.elapsed() >= Duration::from_millis(650),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn what_waits_in_the_listeners_queue_is_served_before_it_closes() {
    let portal = Portal::plain();
    let mut proxy = proxy::start(&portal, &[]);
    // Nothing is accepted while the process is stopped; the kernel takes the connections all the same.
    proxy.signal(Signal::STOP);
    let mut waiting: Vec<Client> = (0..20).map(|_| proxy.connect()).collect();
    for client in &mut waiting {
        client.send(get("/queued"));
    }
    proxy.signal(Signal::TERM);
    proxy.signal(Signal::CONT);
    for client in &mut waiting {
        assert_eq!(client.response("GET").expect("an answer").status(), 200);
    }
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn who_has_just_connected_may_still_send_its_request() {
    let portal = Portal::plain();
    let mut proxy = proxy::start(&portal, &[]);
    let mut new = proxy.connect();
    proxy.signal(Signal::TERM);
    pause_ms(300, "a client that has just connected takes its time");
    let answer = new.call(get("/late")).expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_large_answer_in_flight_is_sent_to_its_end() {
    const SIZE: usize = 8 * 1024 * 1024;
    let portal = Portal::start(|visit| {
        if visit.request().is_some() {
            visit.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
            for _ in 0..SIZE / 65_536 {
                visit.write([b'x'; 65_536]);
            }
        }
    });
    let mut proxy = proxy::start(&portal, &[]);
    let mut client = proxy.connect();
    client.send(get("/large"));
    assert!(portal.wait_for_requests(1));
    proxy.signal(Signal::TERM);
    pause_ms(200, "the client reads only when the drain has begun");
    let answer = client.response("GET").expect("the whole answer");
    assert_eq!(answer.body.len(), SIZE);
    assert_eq!(proxy.wait().code(), Some(0));
}
