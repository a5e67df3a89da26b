//! Room for bodies that are held to be translated: taken in steps, as they come, first come, first served.
//!
//! What has not come takes no room, whatever was announced; but so that bodies which grow side by side do not end in each
//! other's way, what the oldest of them has announced is left free, up to half of the room. Nobody holds others up: while others wait, the bodies of one
//! address get no more than half of the room, and the youngest of one that has more give way; where all that is taken is
//! held by bodies that wait for more, the youngest gives way. What gives way was not executed, and may be sent again.

use crate::proxy::error::{Failure, Kind};
use crate::proxy::net::footprint;
use crate::telemetry::metrics::{LocalMetrics, Open, Phase};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What a body may hold without asking: small ones never wait.
pub const FREE: u64 = 64 * 1024;

/// When bodies that took this much have all gone, the allocator gives the pages of their smaller pieces back.
const MUCH: u64 = 8 * 1024 * 1024;

/// Whose body it is; all peers without an address are one.
type Address = Option<IpAddr>;

/// The room of all threads, in bytes.
pub struct Room {
    total: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: u64,
    /// The most that was taken since nothing was.
    most: u64,
    /// The number of the next body, and of the next wish.
    next: u64,
    bodies: BTreeMap<u64, Holding>,
    /// Those that hold something, the youngest last.
    holding: BTreeSet<u64>,
    /// How many of them do not wait for more, and how many are to give way.
    moving: usize,
    leaving: usize,
    by_address: HashMap<Address, Of>,
    /// The first wish of each address that has one.
    first: BTreeSet<(u64, Address)>,
}

/// What the bodies of one address have, and wish, in the order of the wishes.
#[derive(Default)]
struct Of {
    taken: u64,
    wishes: BTreeMap<u64, u64>,
}

struct Holding {
    address: Address,
    taken: u64,
    /// What it will take in all, where that is known; else nothing.
    announced: u64,
    /// What it waits for: the wish's number, and how much.
    wish: Option<(u64, u64)>,
    /// Still being read: it may have to give way.
    is_read: bool,
    gives_way: bool,
    waker: Option<Waker>,
}

impl Room {
    /// Room of so many bytes.
    pub fn new(total: u64) -> Arc<Self> {
        Arc::new(Room {
            total: total.max(1024),
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes what a body wishes.
    fn wish(&mut self, id: u64, much: u64) {
        let number = self.next;
        self.next += 1;
        let Some(body) = self.bodies.get_mut(&id) else {
            return;
        };
        body.wish = Some((number, much));
        if body.taken > 0 && !body.gives_way {
            self.moving -= 1;
        }
        let of = self.by_address.entry(body.address).or_default();
        if of.wishes.is_empty() {
            self.first.insert((number, body.address));
        }
        of.wishes.insert(number, id);
    }

    /// Takes a wish back, or off the list when it is granted.
    fn unwish(&mut self, id: u64) {
        let Some(body) = self.bodies.get_mut(&id) else {
            return;
        };
        let Some((number, _)) = body.wish.take() else {
            return;
        };
        if body.taken > 0 && !body.gives_way {
            self.moving += 1;
        }
        let address = body.address;
        if let Some(of) = self.by_address.get_mut(&address) {
            of.wishes.remove(&number);
            if self.first.remove(&(number, address))
                && let Some((next, _)) = of.wishes.first_key_value()
            {
                self.first.insert((*next, address));
            }
        }
    }

    fn take(&mut self, id: u64, much: u64) {
        let Some(body) = self.bodies.get_mut(&id) else {
            return;
        };
        if body.taken == 0 && much > 0 {
            self.holding.insert(id);
            self.moving += 1;
        }
        body.taken += much;
        self.taken += much;
        self.most = self.most.max(self.taken);
        self.by_address.entry(body.address).or_default().taken += much;
    }

    /// Gives back all but `keep` of what a body holds.
    fn give_back(&mut self, id: u64, keep: u64) {
        let Some(body) = self.bodies.get_mut(&id) else {
            return;
        };
        let much = body.taken.saturating_sub(keep);
        body.taken -= much;
        self.taken -= much;
        if let Some(of) = self.by_address.get_mut(&body.address) {
            of.taken -= much;
        }
    }

    /// Forgets a body and all that it holds.
    fn forget(&mut self, id: u64) {
        self.unwish(id);
        self.give_back(id, 0);
        let Some(body) = self.bodies.remove(&id) else {
            return;
        };
        if self.holding.remove(&id) {
            match body.gives_way {
                true => self.leaving -= 1,
                false => self.moving -= 1,
            }
        }
        let of = self.by_address.get(&body.address);
        if of.is_some_and(|of| of.taken == 0 && of.wishes.is_empty()) {
            self.by_address.remove(&body.address);
        }
    }

    /// Grants what can be granted, in the order of the wishes; has somebody give way where nothing else would help.
    fn settle(&mut self, total: u64) {
        loop {
            // Where nothing moves, half of the room is no reason to leave it empty.
            let nothing_moves = self.moving == 0 && self.leaving == 0;
            let granted = self
                .next_of(total, total / 2)
                .or_else(|| nothing_moves.then(|| self.next_of(total, total))?);
            let Some((id, much)) = granted else {
                break;
            };
            self.unwish(id);
            self.take(id, much);
            self.wake(id);
        }
        // What somebody gives back is on its way.
        if self.first.is_empty() || self.leaving > 0 {
            return;
        }
        if let Some(youngest) = self.too_much(total).or_else(|| self.stuck()) {
            self.unwish(youngest);
            self.moving -= 1;
            self.leaving += 1;
            if let Some(body) = self.bodies.get_mut(&youngest) {
                body.gives_way = true;
            }
            self.wake(youngest);
        }
    }

    /// The first body whose wish can be granted, where an address gets no more than `most` while others wait.
    fn next_of(&self, total: u64, most: u64) -> Option<(u64, u64)> {
        let others_wait = self.first.len() > 1;
        let mut kept = 0;
        let mut growing = self.holding.iter().map(|id| (*id, &self.bodies[id]));
        if let Some((id, oldest)) = growing.find(|(_, body)| body.is_read && !body.gives_way)
            && oldest.announced > 0
        {
            let of = self.by_address.get(&oldest.address)?;
            match oldest.wish {
                Some((_, much)) if !others_wait || of.taken + much <= most => {
                    return (self.taken + much <= total).then_some((id, much));
                }
                _ => kept = oldest.announced.saturating_sub(oldest.taken).min(total / 2),
            }
        }
        for (number, address) in &self.first {
            let of = self.by_address.get(address)?;
            let id = *of.wishes.get(number)?;
            let (_, much) = self.bodies.get(&id)?.wish?;
            if !others_wait || of.taken + much <= most {
                return (self.taken + kept + much <= total).then_some((id, much));
            }
        }
        None
    }

    /// The youngest body, of those that are still read, of an address that has more than half while another waits for what
    /// would be within its own half.
    fn too_much(&self, total: u64) -> Option<u64> {
        let is_entitled = |number: &u64, address: &Address| {
            let of = self.by_address.get(address)?;
            let (_, much) = self.bodies.get(of.wishes.get(number)?)?.wish?;
            Some(of.taken + much <= total / 2)
        };
        let mut entitled = self
            .first
            .iter()
            .filter(|(number, address)| is_entitled(number, address) == Some(true))
            .map(|(_, address)| *address);
        let (one, another) = (entitled.next()?, entitled.next());
        let youngest = self.holding.iter().rev().copied();
        youngest.filter(|id| self.bodies[id].is_read).find(|id| {
            let address = self.bodies[id].address;
            let has_too_much = self.by_address[&address].taken > total / 2;
            has_too_much && (address != one || another.is_some())
        })
    }

    /// The youngest of the bodies that hold all that is taken, where all of them wait for more.
    fn stuck(&self) -> Option<u64> {
        let nothing_moves = self.moving == 0;
        self.holding.last().filter(|_| nothing_moves).copied()
    }

    fn wake(&mut self, id: u64) {
        if let Some(waker) = self.bodies.get_mut(&id).and_then(|body| body.waker.take()) {
            waker.wake();
        }
    }
}

/// The room of one body; given back when it is dropped.
pub struct Reserved {
    room: Arc<Room>,
    local: LocalMetrics,
    address: Address,
    wait: Duration,
    id: Option<u64>,
    announced: u64,
    /// For the body and its rewritten copy.
    taken: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let mut state = self.room.lock();
            state.forget(id);
            state.settle(self.room.total);
            let was_much = state.taken == 0 && std::mem::take(&mut state.most) >= MUCH;
            drop(state);
            self.counted(0);
            if was_much {
                footprint::give_back_soon();
            }
        }
    }
}

impl Reserved {
    /// No room yet, for a body of this address, which waits for its room no longer than told.
    pub fn nothing(
        room: &Arc<Room>,
        local: &LocalMetrics,
        address: Address,
        wait: Duration,
    ) -> Self {
        Reserved {
            room: room.clone(),
            local: local.clone(),
            address,
            wait,
            id: None,
            announced: 0,
            taken: 0,
        }
    }

    /// Notes how long the body says that it is.
    pub fn announce(&mut self, length: u64) {
        self.announced = length.saturating_mul(2).min(self.room.total);
    }

    /// Waits until there is room for a body of `length` bytes and its rewritten copy.
    ///
    /// # Errors
    /// 503 `PROXY_BUSY`: there was none for the time given, or the body had to give way.
    pub async fn grow(&mut self, length: u64) -> Result<(), Failure> {
        let wanted = length.saturating_mul(2).min(self.room.total);
        if length <= FREE || wanted <= self.taken {
            return Ok(());
        }
        let id = self.begin(wanted - self.taken);
        if !self.is_granted(id, None)? {
            let waiting = self.local.open(Open::RewriteWaiting);
            let granted = poll_fn(|cx| match self.is_granted(id, Some(cx)) {
                Ok(false) => Poll::Pending,
                Ok(true) => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(error)),
            });
            let granted = tokio::time::timeout(self.wait, granted).await;
            drop(waiting);
            match granted {
                Ok(granted) => granted?,
                Err(_) => {
                    self.room.lock().unwish(id);
                    self.local.timeout(Phase::RewriteWait);
                    return Err(busy());
                }
            }
        }
        self.counted(wanted);
        Ok(())
    }

    fn begin(&mut self, much: u64) -> u64 {
        let mut state = self.room.lock();
        let id = self.id.unwrap_or_else(|| {
            let id = state.next;
            state.next += 1;
            let body = Holding {
                address: self.address,
                taken: 0,
                announced: self.announced,
                wish: None,
                is_read: true,
                gives_way: false,
                waker: None,
            };
            state.bodies.insert(id, body);
            id
        });
        state.wish(id, much);
        state.settle(self.room.total);
        self.id = Some(id);
        id
    }

    fn is_granted(&self, id: u64, cx: Option<&mut Context<'_>>) -> Result<bool, Failure> {
        let mut state = self.room.lock();
        let Some(body) = state.bodies.get_mut(&id) else {
            return Ok(true);
        };
        if body.gives_way {
            return Err(busy());
        }
        if let Some(cx) = cx {
            body.waker = Some(cx.waker().clone());
        }
        Ok(body.wish.is_none())
    }

    /// Resolves when the body, which waits for its client, has to give way.
    pub fn poll_gives_way(&self, cx: &mut Context<'_>) -> Poll<Failure> {
        let Some(id) = self.id else {
            return Poll::Pending;
        };
        match self.is_granted(id, Some(cx)) {
            Err(error) => Poll::Ready(error),
            Ok(_) => Poll::Pending,
        }
    }

    /// The body has come, and has this length: it does not give way any more, and what it does not need is given back.
    pub fn come(&mut self, length: u64) {
        let Some(id) = self.id else {
            return;
        };
        let keep = length.saturating_mul(2).min(self.taken);
        let mut state = self.room.lock();
        if let Some(body) = state.bodies.get_mut(&id) {
            body.is_read = false;
        }
        state.give_back(id, keep);
        state.settle(self.room.total);
        drop(state);
        self.counted(keep);
    }

    /// Counts what is taken now.
    fn counted(&mut self, taken: u64) {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.local
            .rewrite_memory(signed(taken) - signed(self.taken));
        self.taken = taken;
    }
}

fn busy() -> Failure {
    Kind::NoMemory.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::{Metrics, Sent};
    use std::net::Ipv4Addr;
    use std::pin::{Pin, pin};

    const KIB: u64 = 1024;
    const WAIT: Duration = Duration::from_secs(60);

    struct Test {
        room: Arc<Room>,
        local: LocalMetrics,
    }

    impl Test {
        fn with(total: u64) -> Self {
            Test {
                room: Room::new(total),
                local: Metrics::new(&[]).local(),
            }
        }

        /// A body of the address that ends in `last`.
        fn body(&self, last: u8) -> Reserved {
            let address = Some(Ipv4Addr::new(192, 0, 2, last).into());
            Reserved::nothing(&self.room, &self.local, address, WAIT)
        }

        fn taken(&self) -> u64 {
            self.room.lock().taken
        }
    }

    type Growing<'a> = Pin<&'a mut dyn Future<Output = Result<(), Failure>>>;

    fn poll(mut growing: Growing<'_>) -> Poll<Result<(), Failure>> {
        growing
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    fn is_granted(growing: Growing<'_>) -> bool {
        poll(growing) == Poll::Ready(Ok(()))
    }

    fn is_busy(growing: Growing<'_>) -> bool {
        matches!(poll(growing), Poll::Ready(Err(error)) if error.kind == Kind::NoMemory && error.sent == Sent::Nothing)
    }

    #[tokio::test]
    async fn bodies_that_grow_side_by_side_all_come_through() {
        let test = Test::with(1000 * KIB);
        let mut bodies: Vec<Reserved> = (0..8).map(|_| test.body(1)).collect();
        for body in &mut bodies {
            body.announce(200 * KIB);
        }
        let growing = bodies.iter_mut().map(|body| async {
            for step in [100 * KIB, 150 * KIB, 200 * KIB] {
                body.grow(step).await.expect("each has its turn");
                tokio::task::yield_now().await;
            }
            body.come(200 * KIB);
            // Translated and sent.
            let id = body.id.take().expect("it holds some");
            let mut room = body.room.lock();
            room.forget(id);
            room.settle(body.room.total);
        });
        let mut growing: Vec<_> = growing.map(Box::pin).collect();
        poll_fn(|cx| {
            growing.retain_mut(|one| one.as_mut().poll(cx).is_pending());
            match growing.is_empty() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
        drop(growing);
        assert_eq!(test.taken(), 0);
    }

    #[tokio::test]
    async fn what_has_come_takes_room_twice_and_what_is_small_none() {
        let test = Test::with(1024 * KIB);
        let (mut small, mut large) = (test.body(1), test.body(1));
        small.grow(FREE).await.expect("no room is needed");
        assert_eq!(test.taken(), 0);
        large.grow(128 * KIB).await.expect("there is room");
        assert_eq!(test.taken(), 256 * KIB);
        large.grow(256 * KIB).await.expect("there is room");
        assert_eq!(test.taken(), 512 * KIB);
        // What it turned out to need.
        large.come(150 * KIB);
        assert_eq!(test.taken(), 300 * KIB);
        drop((small, large));
        assert_eq!(test.taken(), 0);
    }

    #[tokio::test]
    async fn room_is_given_in_the_order_in_which_it_was_asked_for() {
        let test = Test::with(1024 * KIB);
        let [mut holder, mut large, mut small] = [test.body(1), test.body(1), test.body(1)];
        holder.grow(400 * KIB).await.expect("there is room");
        let mut large = pin!(large.grow(256 * KIB));
        let mut small = pin!(small.grow(100 * KIB));
        assert!(!is_granted(large.as_mut()));
        assert!(!is_granted(small.as_mut()), "the one before comes first");
        holder.come(0);
        assert!(is_granted(large) && is_granted(small));
    }

    #[tokio::test]
    async fn an_address_with_more_than_half_gives_way_to_another_and_gets_no_more_than_half() {
        let test = Test::with(1024 * KIB);
        let [mut older, mut younger, mut more, mut other] =
            [test.body(1), test.body(1), test.body(1), test.body(2)];
        older.grow(200 * KIB).await.expect("there is room");
        younger.grow(300 * KIB).await.expect("there is room");
        // Nobody else waits: what it has is its own affair.
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(younger.poll_gives_way(cx).is_pending());
        let mut other = pin!(other.grow(128 * KIB));
        assert!(!is_granted(other.as_mut()));
        assert!(older.poll_gives_way(cx).is_pending(), "the youngest goes");
        assert!(younger.poll_gives_way(cx).is_ready());
        drop(younger);
        assert!(is_granted(other));
        // While others wait, the first address gets no more than half, and no other waits behind it.
        let [mut filling, mut waiting, mut passing] = [test.body(3), test.body(2), test.body(4)];
        filling.grow(150 * KIB).await.expect("there is room");
        let mut waiting = pin!(waiting.grow(100 * KIB));
        assert!(!is_granted(waiting.as_mut()));
        let mut more = pin!(more.grow(70 * KIB));
        assert!(!is_granted(more.as_mut()), "it would have more than half");
        let mut passing = pin!(passing.grow(65 * KIB));
        assert!(!is_granted(passing.as_mut()), "behind the one that waits");
        filling.come(0);
        assert!(is_granted(waiting));
        assert!(is_granted(passing));
    }

    #[tokio::test]
    async fn where_all_that_is_taken_waits_for_more_the_youngest_gives_way() {
        let test = Test::with(1024 * KIB);
        let [mut first, mut second, mut third] = [test.body(1), test.body(1), test.body(1)];
        first.grow(200 * KIB).await.expect("there is room");
        second.grow(150 * KIB).await.expect("there is room");
        third.grow(150 * KIB).await.expect("there is room");
        let mut second = pin!(second.grow(300 * KIB));
        {
            let mut first = pin!(first.grow(300 * KIB));
            assert!(!is_granted(first.as_mut()) && !is_granted(second.as_mut()));
            {
                let third = pin!(third.grow(300 * KIB));
                assert!(is_busy(third), "the youngest");
            }
            assert!(!is_granted(first.as_mut()), "its room is not back yet");
            drop(third);
            assert!(is_granted(first));
            assert!(!is_granted(second.as_mut()), "another moves: it waits");
        }
        drop(first);
        assert!(is_granted(second));
    }

    #[tokio::test]
    async fn two_that_need_more_than_half_come_one_after_the_other() {
        let test = Test::with(1024 * KIB);
        let [mut holder, mut one, mut two] = [test.body(1), test.body(2), test.body(3)];
        holder.grow(300 * KIB).await.expect("there is room");
        let mut one = pin!(one.grow(500 * KIB));
        let mut two = pin!(two.grow(500 * KIB));
        assert!(!is_granted(one.as_mut()) && !is_granted(two.as_mut()));
        drop(holder);
        assert!(is_granted(one));
        assert!(!is_granted(two));
    }

    #[tokio::test]
    async fn who_waits_for_too_long_is_told_so() {
        let test = Test::with(1024 * KIB);
        let (mut holder, mut late) = (test.body(1), test.body(1));
        late.wait = Duration::from_millis(10);
        holder.grow(512 * KIB).await.expect("there is room");
        let error = late.grow(100 * KIB).await.expect_err("there is none");
        assert_eq!((error.row().status, error.code()), (503, "PROXY_BUSY"));
        drop(late);
        drop(holder);
        let state = test.room.lock();
        assert_eq!((state.taken, state.moving, state.leaving), (0, 0, 0));
        assert!(state.bodies.is_empty() && state.first.is_empty());
        assert!(state.by_address.is_empty() && state.holding.is_empty());
    }
}
