//! The desk before a portal as it is documented: arrivals made up and generated, with a clock of the test's own.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn ms(millis: u64) -> Moment {
    Duration::from_millis(millis)
}

fn rules(rate: &str) -> Rules {
    Rules {
        rate: PortalRate::parse(rate).expect("a rate"),
        timeout: Duration::from_secs(5),
        calls: 1000,
    }
}

fn desk(rate: &str, sources: usize) -> Desk {
    let mut desk = Desk::new(rules(rate), sources, ms(0));
    desk.settled = ms(0);
    desk
}

/// The portal as documented: its count falls once a second.
struct Portal {
    depth: f64,
    rate: f64,
    phase: u64,
    count: f64,
    second: u64,
}

impl Portal {
    fn new(depth: f64, rate: f64, phase: u64) -> Self {
        Portal {
            depth,
            rate,
            phase,
            count: 0.0,
            second: 0,
        }
    }

    fn takes(&mut self, now: Moment) -> bool {
        let second = (now.as_millis() as u64 + self.phase) / 1000;
        self.count = (self.count - (second - self.second) as f64 * self.rate).max(0.0);
        self.second = second;
        let takes = self.count + 1.0 <= self.depth;
        if takes {
            self.count += 1.0;
        }
        takes
    }
}

/// What became of a flow's calls.
#[derive(Clone, Debug, Default)]
struct Seen {
    granted: usize,
    turned_away: usize,
    timed_out: usize,
    longest: u64,
}

struct Run {
    flows: BTreeMap<Flow, Seen>,
    refused: usize,
}

/// Plays arrivals (milliseconds, flow), in order, against a portal.
fn play(desk: &mut Desk, portal: &mut Portal, arrivals: &[(u64, Flow)], end: u64) -> Run {
    let mut run = Run {
        flows: BTreeMap::new(),
        refused: 0,
    };
    let mut waiting: BTreeMap<usize, (Ticket, Flow, u64)> = BTreeMap::new();
    let mut coming = arrivals.iter().copied().peekable();
    for now in 0..end {
        let mut going: Vec<(Flow, u64, Grant)> = Vec::new();
        let late: Vec<usize> = waiting
            .iter()
            .filter(|(_, (_, _, since))| now > since + 5000)
            .map(|(index, _)| *index)
            .collect();
        for index in late {
            let (ticket, flow, _) = waiting.remove(&index).expect("it waits");
            assert!(desk.leave(ticket));
            run.flows.entry(flow).or_default().timed_out += 1;
        }
        while let Some((_, flow)) = coming.next_if(|(at, _)| *at <= now) {
            match desk.ask(flow, ms(now)) {
                Decision::Granted(grant) => going.push((flow, now, grant)),
                Decision::Waits(ticket) => {
                    waiting.insert(ticket.index, (ticket, flow, now));
                }
                Decision::TooLong(_) => run.flows.entry(flow).or_default().turned_away += 1,
            }
        }
        while let Some((ticket, grant)) = desk.hand_out(ms(now)) {
            let (known, flow, since) = waiting.remove(&ticket.index).expect("it waits");
            assert_eq!(known, ticket);
            going.push((flow, since, grant));
        }
        for (flow, since, grant) in going {
            if portal.takes(ms(now)) {
                let seen = run.flows.entry(flow).or_default();
                seen.granted += 1;
                seen.longest = seen.longest.max(now - since);
            } else {
                run.refused += 1;
                desk.refused(grant, ms(now));
                let ticket = desk.ask_again(flow, ms(now));
                waiting.insert(ticket.index, (ticket, flow, since));
            }
        }
        // It is never late: nothing is left that could go now.
        assert!(
            desk.next_at(ms(now)).is_none_or(|at| at > ms(now)),
            "a grant was left over"
        );
    }
    run
}

/// `flow` calls each `every` milliseconds.
fn each(flow: Flow, every: u64, end: u64) -> impl Iterator<Item = (u64, Flow)> {
    (0..end / every).map(move |n| (n * every, flow))
}

fn sorted(arrivals: impl IntoIterator<Item = (u64, Flow)>) -> Vec<(u64, Flow)> {
    let mut all: Vec<_> = arrivals.into_iter().collect();
    all.sort_unstable();
    all
}

#[test]
fn a_quiet_caller_among_twenty_floods_waits_for_less_than_a_second() {
    let end = 300_000;
    let floods = (1..=20).flat_map(|flow| each(flow, 300, end));
    let quiet = (1..15).map(|n| (n * 20_000 + 37, 99));
    let arrivals = sorted(floods.chain(quiet));
    let mut desk = desk("cloud", 1);
    let run = play(&mut desk, &mut Portal::new(50.0, 2.0, 300), &arrivals, end);
    assert_eq!(run.refused, 0);
    let quiet = &run.flows[&99];
    assert_eq!(quiet.granted, 14, "{quiet:?}");
    assert!(quiet.longest <= 1000, "{quiet:?}");
    let granted: usize = run.flows.values().map(|seen| seen.granted).sum();
    let allowed = 50.0 + 2.0 * 300.0;
    assert!(granted as f64 >= 0.95 * allowed, "{granted} of {allowed}");
}

#[test]
fn callers_within_the_rate_lose_nothing_to_one_that_floods() {
    let end = 190_000;
    // Each sends three calls at once, every 45 s: together 1.27 a second.
    let bursts = (1..=19u64).flat_map(|flow| {
        (0..4).flat_map(move |n| (0..3).map(move |_| (n * 45_000 + flow * 2_211, flow)))
    });
    let arrivals = sorted(bursts.chain(each(99, 167, end)));
    for (rate, depth, per_second, phase) in [("cloud", 50.0, 2.0, 0), ("cloud", 50.0, 2.0, 650)] {
        let mut desk = desk(rate, 1);
        let run = play(
            &mut desk,
            &mut Portal::new(depth, per_second, phase),
            &arrivals,
            end,
        );
        assert_eq!(run.refused, 0);
        for flow in 1..=19 {
            let seen = &run.flows[&flow];
            assert_eq!(
                (seen.granted, seen.turned_away + seen.timed_out),
                (12, 0),
                "{flow}: {seen:?}"
            );
        }
        let granted: usize = run.flows.values().map(|seen| seen.granted).sum();
        assert!(
            granted as f64 >= 0.95 * (depth + per_second * 190.0),
            "{granted}"
        );
        assert!(run.flows[&99].turned_away > 0);
    }
}

#[test]
fn auto_holds_nobody_back_until_the_portal_refuses() {
    let mut desk = desk("auto", 1);
    let mut portal = Portal::new(50.0, 2.0, 0);
    for call in 0..50 {
        assert!(!desk.holds());
        assert!(matches!(desk.ask(call % 3, ms(10)), Decision::Granted(_)));
        assert!(portal.takes(ms(10)));
    }
    let Decision::Granted(grant) = desk.ask(1, ms(20)) else {
        panic!("held before any refusal")
    };
    assert!(!portal.takes(ms(20)));
    assert_eq!(desk.refused(grant, ms(20)), Refused::Began);
    assert!(desk.holds());
    let arrivals = sorted((1..=5).flat_map(|flow| each(flow, 900, 50_000)));
    let arrivals: Vec<_> = arrivals
        .into_iter()
        .map(|(at, flow)| (at + 30, flow))
        .collect();
    let run = play(&mut desk, &mut portal, &arrivals, 60_000);
    assert!(run.refused <= 1, "{}", run.refused);
    assert!(desk.state(ms(60_000)).holds);
    assert!(!desk.state(ms(260_000)).holds, "nobody waited for minutes");
}

#[test]
fn others_at_the_same_address_lower_our_rate_and_it_comes_back() {
    let mut desk = desk("cloud", 1);
    let mut portal = Portal::new(50.0, 2.0, 0);
    let arrivals = sorted((1..=4).flat_map(|flow| each(flow, 700, 200_000)));
    let mut refused = 0;
    // Somebody else takes one of the two calls a second.
    let mut waiting = 0;
    let mut coming = arrivals.into_iter().peekable();
    for now in 0..200_000 {
        if now % 1000 == 500 {
            portal.takes(ms(now));
        }
        while let Some((_, flow)) = coming.next_if(|(at, _)| *at <= now) {
            match desk.ask(flow, ms(now)) {
                Decision::Granted(grant) if !portal.takes(ms(now)) => {
                    refused += 1;
                    desk.refused(grant, ms(now));
                }
                Decision::Waits(_) => waiting += 1,
                _ => {}
            }
        }
        while let Some((_, grant)) = desk.hand_out(ms(now)) {
            if !portal.takes(ms(now)) {
                refused += 1;
                desk.refused(grant, ms(now));
            }
        }
    }
    let state = desk.state(ms(200_000));
    assert!(waiting > 0 && state.others >= 0.3, "{state:?}");
    assert!(refused < 40, "{refused} refused");
    let much_later = desk.state(ms(2_000_000));
    assert_eq!(much_later.others, 0.0);
}

#[test]
fn three_addresses_carry_three_times_the_rate_and_a_caller_stays_on_its_own() {
    let mut desk = desk("20:10", 3);
    let mut by_source = [0; 3];
    let mut home: BTreeMap<Flow, usize> = BTreeMap::new();
    for call in 0..3_000u64 {
        let now = ms(call * 5);
        let flow = call % 30;
        if let Decision::Granted(grant) = desk.ask(flow, now) {
            by_source[grant.source] += 1;
            if call < 30 {
                home.insert(flow, grant.source);
            }
        }
        while let Some((_, grant)) = desk.hand_out(now) {
            by_source[grant.source] += 1;
        }
    }
    let allowed = 20 + 10 * 15;
    for granted in by_source {
        assert!(
            granted >= allowed * 95 / 100 && granted <= allowed,
            "{by_source:?}"
        );
    }
    let mut quiet = self::desk("20:10", 3);
    for call in 0..120u64 {
        let flow = call % 6;
        let Decision::Granted(grant) = quiet.ask(flow, ms(call * 200)) else {
            panic!("there is room")
        };
        assert_eq!(grant.source, (flow % 3) as usize);
    }
}

#[test]
fn a_wait_that_would_be_too_long_is_told_at_once() {
    let mut desk = desk("10:2", 1);
    let mut told = 0;
    for _ in 0..30 {
        match desk.ask(1, ms(0)) {
            Decision::TooLong(wait) => {
                assert!(wait > Duration::from_secs(5));
                told += 1;
            }
            Decision::Granted(_) | Decision::Waits(_) => assert_eq!(told, 0),
        }
    }
    // Nine go at once, with one in reserve; ten more fit into five seconds.
    assert_eq!((told, desk.queue().waiting()), (11, 10));
    // Somebody else does not wait behind them.
    assert!(matches!(desk.ask(2, ms(0)), Decision::Waits(_)));
    assert!(
        matches!(desk.hand_out(ms(0)), Some((_, _))),
        "the reserve is for who was quiet"
    );
}

#[test]
fn switching_it_off_lets_everybody_go_and_rules_change_without_losing_anybody() {
    let mut desk = desk("2:1", 1);
    let asked: Vec<_> = (0..5).map(|_| desk.ask(1, ms(0))).collect();
    assert!(matches!(
        asked[..],
        [
            Decision::Granted(_),
            Decision::Granted(_),
            Decision::Waits(_),
            ..
        ]
    ));
    assert!(desk.hand_out(ms(0)).is_none());
    desk.set(rules("off"), ms(10));
    assert_eq!(std::iter::from_fn(|| desk.hand_out(ms(10))).count(), 3);
    assert!(!desk.holds());
}

#[test]
fn a_grant_that_is_not_used_goes_to_the_next() {
    let mut desk = desk("1:1", 1);
    let Decision::Granted(grant) = desk.ask(1, ms(0)) else {
        panic!("it is empty")
    };
    assert!(matches!(desk.ask(2, ms(0)), Decision::Waits(_)));
    assert!(desk.hand_out(ms(0)).is_none());
    desk.give_back(grant);
    assert!(desk.hand_out(ms(0)).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Generated arrivals: no more goes than the model allows, nothing waits while there is room (seen in `play`),
    /// and nobody is lost.
    #[test]
    fn the_portal_gets_what_it_allows_and_no_more(
        calls in proptest::collection::vec((0u64..20_000, 0u64..6), 1..400),
        depth in 1u32..40,
        rate in 1u32..20,
    ) {
        let arrivals = sorted(calls);
        let mut desk = desk(&format!("{depth}:{rate}"), 1);
        let mut portal = Portal::new(f64::from(depth + rate), f64::from(rate), 0);
        let run = play(&mut desk, &mut portal, &arrivals, 26_000);
        // With one second's worth of margin the documented counter never refuses.
        prop_assert_eq!(run.refused, 0);
        let seen = |of: fn(&Seen) -> usize| run.flows.values().map(of).sum::<usize>();
        let granted = seen(|s| s.granted);
        prop_assert!(granted as f64 <= f64::from(depth) + f64::from(rate) * 26.0);
        prop_assert_eq!(granted + seen(|s| s.turned_away) + seen(|s| s.timed_out), arrivals.len());
        prop_assert!(run.flows.values().all(|s| s.longest <= 5001));
    }
}
