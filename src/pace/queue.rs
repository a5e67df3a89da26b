//! The waiting calls, and which caller is next (pure).
//!
//! As FQ-CoDel (RFC 8290) with a quantum of one call: a flow is a caller; a flow that begins to wait is served before
//! those that wait for more; then it takes its turn among them. A flow that was served stays in the line until its turn
//! has come once without a call of it, so that one call after another makes no new flow each time.
//! Of five grants in a row at most four go to others than old flows while those wait: nobody starves, whoever keeps coming.
//!
//! Every operation but [`Queue::ahead`] takes the same time however many calls wait.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A caller, as a hash that nobody outside can choose.
pub type Flow = u64;

/// Passes a [`Flow`] through: it is a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, flow: u64) {
        self.0 = flow;
    }
}

/// A map whose keys are flows.
pub type ByFlow<T> = HashMap<Flow, T, BuildHasherDefault<AsItIs>>;

/// A place in the queue. It is valid until the call is served or leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Where it stands; small, and used again: callers may keep a table by it.
    pub index: usize,
    generation: u32,
}

/// The lines in which flows wait, served in this order. A flow that stands in one stays there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Flows that were quiet for a full drain. They may use the reserve.
    Fresh,
    /// Flows that begin to wait.
    New,
    /// Flows that ask and ask and had no grant for a full drain.
    Late,
    /// Flows that were served since they began, and those that keep asking for more than there is.
    Old,
}

const LINES: [Line; 4] = [Line::Fresh, Line::New, Line::Late, Line::Old];
/// No index.
const NONE: usize = usize::MAX;
/// Grants to new flows in a row while old ones wait.
const IN_A_ROW: u8 = 4;

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: usize,
    last: usize,
}

impl Default for Ends {
    fn default() -> Self {
        Ends {
            first: NONE,
            last: NONE,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Call {
    flow: usize,
    before: usize,
    after: usize,
    generation: u32,
    is_waiting: bool,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    flow: Flow,
    line: Line,
    calls: Ends,
    length: usize,
    before: usize,
    after: usize,
    /// It was served since it joined: it keeps its place without a call until its turn.
    was_served: bool,
}

/// Which calls may be served now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Any.
    Ordinary,
    /// Only what may use the reserve.
    Reserve,
}

/// The queue.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    calls: Vec<Call>,
    free_calls: Vec<usize>,
    flows: Vec<Waiting>,
    free_flows: Vec<usize>,
    by_flow: ByFlow<usize>,
    lines: [Ends; 4],
    /// Flows with calls, by line.
    active: [usize; 4],
    waiting: usize,
    /// How many flows have more than so many calls.
    longer: Vec<usize>,
    in_a_row: u8,
    /// Steps taken, for the test that counts them.
    steps: u64,
}

impl Queue {
    /// Calls that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Callers that wait.
    pub fn callers(&self) -> usize {
        self.active.iter().sum()
    }

    /// Callers that may use the reserve.
    pub fn fresh(&self) -> usize {
        self.active[Line::Fresh as usize]
    }

    /// Whether the next call may use the reserve.
    pub fn may_use_reserve(&self) -> bool {
        self.fresh() > 0 || self.is_old_due()
    }

    /// Whether it is the turn of one that has been served before, whoever came since.
    fn is_old_due(&self) -> bool {
        self.in_a_row >= IN_A_ROW && self.active[Line::Old as usize] > 0
    }

    /// Calls that are served before one that this flow would add, if nobody else comes.
    pub fn ahead(&self, flow: Flow, line: Line) -> usize {
        let waiting = self.by_flow.get(&flow).map(|at| &self.flows[*at]);
        let (length, line) = waiting.map_or((0, line), |waiting| (waiting.length, waiting.line));
        if length > 0 || line == Line::Old {
            // Everybody is served as often as this flow before it is this call's turn.
            return self.longer.iter().take(length + 1).sum();
        }
        self.active[..=line as usize].iter().sum()
    }

    /// A call joins; its flow joins this line where it stands in none.
    pub fn join(&mut self, flow: Flow, line: Line) -> Ticket {
        let at = self.flow_at(flow, line);
        let call = self.new_call(at);
        let calls = self.flows[at].calls;
        self.calls[call].before = calls.last;
        match calls.last {
            NONE => self.flows[at].calls.first = call,
            last => self.calls[last].after = call,
        }
        self.flows[at].calls.last = call;
        self.lengthened(at);
        self.ticket(call)
    }

    /// A call that was served in vain is the first of its flow again, and its flow the next one.
    pub fn rejoin(&mut self, flow: Flow) -> Ticket {
        let at = match self.by_flow.get(&flow).copied() {
            Some(at) => {
                self.unlink_flow(at);
                self.link_first(at);
                at
            }
            None => {
                let at = self.flow_at(flow, Line::New);
                self.unlink_flow(at);
                self.link_first(at);
                at
            }
        };
        let call = self.new_call(at);
        let calls = self.flows[at].calls;
        self.calls[call].after = calls.first;
        match calls.first {
            NONE => self.flows[at].calls.last = call,
            first => self.calls[first].before = call,
        }
        self.flows[at].calls.first = call;
        self.lengthened(at);
        self.ticket(call)
    }

    /// A call leaves; false if it is served already.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        if !self.is_waiting(ticket) {
            return false;
        }
        let at = self.calls[ticket.index].flow;
        self.take_out(ticket.index);
        // One that was never served has no turn to keep.
        if self.flows[at].length == 0 && !self.flows[at].was_served {
            self.forget_flow(at);
        }
        true
    }

    /// Whether the ticket's call still waits.
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.calls
            .get(ticket.index)
            .is_some_and(|call| call.generation == ticket.generation && call.is_waiting)
    }

    /// Takes out the next call.
    pub fn next(&mut self, room: Room) -> Option<(Flow, Ticket)> {
        let at = self.next_flow(room)?;
        let (flow, line) = (self.flows[at].flow, self.flows[at].line);
        let call = self.flows[at].calls.first;
        let ticket = self.ticket(call);
        self.in_a_row = match line {
            Line::Old => 0,
            _ => (self.in_a_row + 1).min(IN_A_ROW),
        };
        self.take_out(call);
        // Its next turn comes when all others in the line have had theirs.
        self.unlink_flow(at);
        self.flows[at].was_served = true;
        self.flows[at].line = Line::Old;
        self.link_last(at);
        Some((flow, ticket))
    }

    /// The flow that is served next; flows whose turn comes without a call are forgotten.
    fn next_flow(&mut self, room: Room) -> Option<usize> {
        if self.waiting == 0 {
            self.forget_all();
            return None;
        }
        if self.is_old_due() {
            return self.first_of(Line::Old);
        }
        match room {
            Room::Reserve => self.first_of(Line::Fresh),
            Room::Ordinary => LINES.into_iter().find_map(|line| self.first_of(line)),
        }
    }

    fn first_of(&mut self, line: Line) -> Option<usize> {
        if self.active[line as usize] == 0 {
            return None;
        }
        loop {
            self.steps += 1;
            let at = self.lines[line as usize].first;
            if at == NONE {
                return None;
            }
            if self.flows[at].length > 0 {
                return Some(at);
            }
            self.forget_flow(at);
        }
    }

    fn ticket(&self, index: usize) -> Ticket {
        Ticket {
            index,
            generation: self.calls[index].generation,
        }
    }

    fn new_call(&mut self, flow: usize) -> usize {
        self.waiting += 1;
        let call = |generation| Call {
            flow,
            before: NONE,
            after: NONE,
            generation,
            is_waiting: true,
        };
        match self.free_calls.pop() {
            Some(index) => {
                self.calls[index] = call(self.calls[index].generation.wrapping_add(1));
                index
            }
            None => {
                self.calls.push(call(0));
                self.calls.len() - 1
            }
        }
    }

    fn take_out(&mut self, index: usize) {
        self.steps += 1;
        let Call {
            flow,
            before,
            after,
            ..
        } = self.calls[index];
        match before {
            NONE => self.flows[flow].calls.first = after,
            before => self.calls[before].after = after,
        }
        match after {
            NONE => self.flows[flow].calls.last = before,
            after => self.calls[after].before = before,
        }
        self.calls[index].is_waiting = false;
        self.free_calls.push(index);
        self.waiting -= 1;
        let waiting = &mut self.flows[flow];
        waiting.length -= 1;
        self.longer[waiting.length] -= 1;
        if waiting.length == 0 {
            self.active[waiting.line as usize] -= 1;
        }
    }

    fn lengthened(&mut self, at: usize) {
        let waiting = &mut self.flows[at];
        if waiting.length == 0 {
            self.active[waiting.line as usize] += 1;
        }
        if self.longer.len() <= waiting.length {
            self.longer.resize(waiting.length + 1, 0);
        }
        self.longer[waiting.length] += 1;
        waiting.length += 1;
    }

    /// The flow's place; it is made at the end of this line where it has none.
    fn flow_at(&mut self, flow: Flow, line: Line) -> usize {
        if let Some(at) = self.by_flow.get(&flow) {
            return *at;
        }
        let waiting = Waiting {
            flow,
            line,
            calls: Ends::default(),
            length: 0,
            before: NONE,
            after: NONE,
            was_served: false,
        };
        let at = match self.free_flows.pop() {
            Some(at) => {
                self.flows[at] = waiting;
                at
            }
            None => {
                self.flows.push(waiting);
                self.flows.len() - 1
            }
        };
        self.by_flow.insert(flow, at);
        self.link_last(at);
        at
    }

    fn link_last(&mut self, at: usize) {
        let line = self.flows[at].line as usize;
        let last = self.lines[line].last;
        self.flows[at].before = last;
        self.flows[at].after = NONE;
        match last {
            NONE => self.lines[line].first = at,
            last => self.flows[last].after = at,
        }
        self.lines[line].last = at;
        if self.flows[at].length > 0 {
            self.active[line] += 1;
        }
    }

    fn link_first(&mut self, at: usize) {
        if self.flows[at].line == Line::Old {
            self.flows[at].line = Line::New;
        }
        let line = self.flows[at].line as usize;
        let first = self.lines[line].first;
        self.flows[at].after = first;
        self.flows[at].before = NONE;
        match first {
            NONE => self.lines[line].last = at,
            first => self.flows[first].before = at,
        }
        self.lines[line].first = at;
        if self.flows[at].length > 0 {
            self.active[line] += 1;
        }
    }

    fn unlink_flow(&mut self, at: usize) {
        let Waiting {
            line,
            before,
            after,
            length,
            ..
        } = self.flows[at];
        match before {
            NONE => self.lines[line as usize].first = after,
            before => self.flows[before].after = after,
        }
        match after {
            NONE => self.lines[line as usize].last = before,
            after => self.flows[after].before = before,
        }
        if length > 0 {
            self.active[line as usize] -= 1;
        }
    }

    fn forget_flow(&mut self, at: usize) {
        self.unlink_flow(at);
        self.by_flow.remove(&self.flows[at].flow);
        self.free_flows.push(at);
    }

    /// With nobody waiting no turn is worth keeping. Each flow was linked once, so this costs no more than that did.
    fn forget_all(&mut self) {
        for line in LINES {
            while self.lines[line as usize].first != NONE {
                self.forget_flow(self.lines[line as usize].first);
            }
        }
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, VecDeque};

    fn served(queue: &mut Queue) -> Vec<Flow> {
        std::iter::from_fn(|| queue.next(Room::Ordinary).map(|(flow, _)| flow)).collect()
    }

    #[test]
    fn callers_take_turns_whatever_each_has_waiting() {
        let mut queue = Queue::default();
        for flow in [1, 1, 1, 2, 2, 3] {
            queue.join(flow, Line::New);
        }
        assert_eq!((queue.waiting(), queue.callers()), (6, 3));
        assert_eq!(served(&mut queue), [1, 2, 3, 1, 2, 1]);
        assert_eq!((queue.waiting(), queue.callers()), (0, 0));
    }

    #[test]
    fn who_begins_to_wait_comes_before_who_has_been_served() {
        let mut queue = Queue::default();
        for _ in 0..5 {
            queue.join(1, Line::New);
            queue.join(2, Line::New);
        }
        assert_eq!(queue.next(Room::Ordinary).map(|(flow, _)| flow), Some(1));
        assert_eq!(queue.next(Room::Ordinary).map(|(flow, _)| flow), Some(2));
        queue.join(3, Line::New);
        queue.join(4, Line::Fresh);
        let next: Vec<_> = (0..3)
            .filter_map(|_| queue.next(Room::Ordinary).map(|(flow, _)| flow))
            .collect();
        assert_eq!(next, [4, 3, 1]);
    }

    #[test]
    fn one_call_after_another_makes_no_new_caller_each_time() {
        let mut queue = Queue::default();
        for flow in [1, 1, 1, 1, 2, 2, 2] {
            queue.join(flow, Line::New);
        }
        let mut order = Vec::new();
        // The third sends its next call as soon as the last one was served.
        queue.join(3, Line::New);
        while let Some((flow, _)) = queue.next(Room::Ordinary) {
            order.push(flow);
            if flow == 3 && order.len() < 9 {
                queue.join(3, Line::New);
            }
        }
        assert_eq!(order[..9], [1, 2, 3, 1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn the_reserve_is_for_callers_who_were_quiet() {
        let mut queue = Queue::default();
        queue.join(1, Line::New);
        assert_eq!(queue.next(Room::Reserve), None);
        queue.join(2, Line::Fresh);
        assert_eq!(queue.next(Room::Reserve).map(|(flow, _)| flow), Some(2));
        assert_eq!(queue.next(Room::Reserve), None);
        assert_eq!(served(&mut queue), [1]);
    }

    #[test]
    fn a_call_that_leaves_is_never_served_and_leaves_nothing_behind() {
        let mut queue = Queue::default();
        let tickets: Vec<_> = (0..100).map(|flow| queue.join(flow, Line::New)).collect();
        for ticket in &tickets[1..] {
            assert!(queue.leave(*ticket));
            assert!(!queue.leave(*ticket));
        }
        assert_eq!((queue.waiting(), queue.by_flow.len()), (1, 1));
        assert_eq!(served(&mut queue), [0]);
        assert!(!queue.leave(tickets[0]));
        // The place is used again, and the old ticket is not the new one's.
        let again = queue.join(7, Line::New);
        assert!(tickets.iter().all(|old| !queue.is_waiting(*old)));
        assert!(queue.is_waiting(again));
        assert!(queue.calls.len() <= 100 && queue.flows.len() <= 100);
    }

    #[test]
    fn a_call_served_in_vain_is_the_very_next_one() {
        let mut queue = Queue::default();
        for flow in [1, 1, 2, 3] {
            queue.join(flow, Line::New);
        }
        let (flow, _) = queue.next(Room::Ordinary).expect("the first");
        let again = queue.rejoin(flow);
        assert_eq!(queue.next(Room::Ordinary), Some((1, again)));
        assert_eq!(served(&mut queue), [2, 3, 1]);
        let alone = queue.rejoin(9);
        assert_eq!(queue.next(Room::Ordinary), Some((9, alone)));
    }

    #[test]
    fn what_is_ahead_is_what_is_served_before() {
        let mut queue = Queue::default();
        for flow in [1, 1, 1, 1, 1, 2, 2, 3] {
            queue.join(flow, Line::New);
        }
        assert_eq!(queue.ahead(9, Line::Fresh), 0);
        assert_eq!(queue.ahead(9, Line::New), 3);
        // The second of the third caller: after its first, and two of each other.
        assert_eq!(queue.ahead(3, Line::New), 5);
        assert_eq!(queue.ahead(1, Line::New), 8);
        assert_eq!(Queue::default().ahead(1, Line::New), 0);
    }

    #[test]
    fn a_grant_costs_the_same_however_many_wait() {
        let steps = |flows: u64, each: u64| {
            let mut queue = Queue::default();
            for call in 0..flows * each {
                queue.join(call % flows, Line::New);
            }
            let before = queue.steps;
            for _ in 0..100 {
                queue.next(Room::Ordinary).expect("one waits");
            }
            queue.steps - before
        };
        assert_eq!(steps(100, 1), steps(20_000, 1));
        assert_eq!(steps(1, 100), steps(1, 20_000));
        assert_eq!(steps(100, 1), steps(1, 20_000));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Join(Flow, bool),
        Rejoin(Flow),
        Leave(usize),
        Next,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => (0u64..8, any::<bool>()).prop_map(|(flow, fresh)| Step::Join(flow, fresh)),
            1 => (0u64..8).prop_map(Step::Rejoin),
            2 => any::<usize>().prop_map(Step::Leave),
            4 => Just(Step::Next),
        ];
        proptest::collection::vec(step, 0..400)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever happens, each call is served once or has left, in the order of its flow, and the counts are true.
        #[test]
        fn nothing_is_lost_doubled_or_turned_round(steps in steps()) {
            let mut queue = Queue::default();
            let mut waiting: BTreeMap<Flow, VecDeque<Ticket>> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Join(flow, fresh) => {
                        let line = if fresh { Line::Fresh } else { Line::New };
                        let ticket = queue.join(flow, line);
                        waiting.entry(flow).or_default().push_back(ticket);
                    }
                    Step::Rejoin(flow) => {
                        let ticket = queue.rejoin(flow);
                        waiting.entry(flow).or_default().push_front(ticket);
                    }
                    Step::Leave(which) => {
                        let all: Vec<(Flow, Ticket)> = waiting.iter().flat_map(|(f, q)| q.iter().map(|t| (*f, *t))).collect();
                        if let Some((flow, ticket)) = all.get(which % all.len().max(1)) {
                            prop_assert!(queue.leave(*ticket));
                            waiting.get_mut(flow).unwrap().retain(|t| t != ticket);
                        }
                    }
                    Step::Next => match queue.next(Room::Ordinary) {
                        Some((flow, ticket)) => {
                            prop_assert_eq!(waiting.get_mut(&flow).and_then(VecDeque::pop_front), Some(ticket));
                        }
                        None => prop_assert!(waiting.values().all(VecDeque::is_empty), "work is left while nobody is served"),
                    },
                }
                prop_assert_eq!(queue.waiting(), waiting.values().map(VecDeque::len).sum::<usize>());
                prop_assert_eq!(queue.callers(), waiting.values().filter(|q| !q.is_empty()).count());
                for (flow, calls) in &waiting {
                    let deeper: usize = waiting.values().map(|q| q.len().min(calls.len() + 1)).sum();
                    prop_assert!(queue.ahead(*flow, Line::New) <= deeper);
                }
            }
        }

        /// No flow starves: while new flows keep coming without end, one that waits is served within five rounds of the others.
        #[test]
        fn nobody_starves_however_many_new_callers_come(flows in 2u64..20, each in 2usize..10, coming in 1usize..4) {
            let mut queue = Queue::default();
            for call in 0..flows * each as u64 {
                queue.join(call % flows, Line::New);
            }
            let mut last: BTreeMap<Flow, usize> = (0..flows).map(|flow| (flow, 0)).collect();
            let mut stranger = 1000;
            for grant in 1..2000 {
                for _ in 0..coming {
                    stranger += 1;
                    queue.join(stranger, Line::Fresh);
                }
                // The reserve alone would do as well: an old flow whose turn is due may use it.
                let (flow, _) = queue.next(Room::Reserve).or_else(|| queue.next(Room::Ordinary)).expect("one waits");
                if let Some(before) = last.get_mut(&flow) {
                    prop_assert!(grant - *before <= 5 * flows as usize + 5, "{flow} waited for {} grants", grant - *before);
                    *before = grant;
                    queue.join(flow, Line::New);
                }
            }
        }
    }
}
