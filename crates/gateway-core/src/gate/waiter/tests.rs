use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use gateway_config::Queue;
use proptest::prelude::*;
use tokio::time::advance;

use super::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn room(limit: usize, size: usize) -> Room {
    Room { limit, queue: Queue { size, timeout: ms(1000) } }
}

/// Whether a task was woken, so that an executor would look at it.
#[derive(Default)]
struct Alarm(AtomicBool);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Somebody who wants a place behind any of several gates. Polled when they come, and after that only when woken.
struct Comer {
    entering: Pin<Box<dyn Future<Output = Result<Found, Crowded>> + Send>>,
    /// The gates, by the numbers that they have in the test.
    gates: Vec<usize>,
    alarm: Arc<Alarm>,
}

/// What became of one.
enum End {
    Inside { gate: usize, place: Place },
    TurnedAway,
}

impl Comer {
    fn new(gates: Vec<(usize, Arc<Gate>, Room)>, name: &str, hurry: Option<Duration>) -> Self {
        let hurry = hurry.map(|hurry| Instant::now() + hurry);
        let key: Arc<str> = Arc::from(name);
        let numbers = gates.iter().map(|(number, ..)| *number).collect();
        let entering = Box::pin(async move {
            for (at, (_, gate, room)) in gates.iter().enumerate() {
                if let Some(place) = gate.try_enter(*room, &key) {
                    return Ok(Found { at, place });
                }
            }
            let entrances: Vec<_> = gates
                .iter()
                .map(|(number, gate, room)| Entrance { gate, room: *room, until: hurry.filter(|_| *number == 1) })
                .collect();
            wait_at(&entrances, &key).await
        });
        Self { entering, gates: numbers, alarm: Arc::new(Alarm(AtomicBool::new(true))) }
    }

    /// What an executor does: it looks at a task that was woken.
    fn run(&mut self) -> Option<End> {
        if !self.alarm.0.swap(false, Ordering::Relaxed) {
            return None;
        }
        let waker = Arc::clone(&self.alarm).into();
        match self.entering.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(Ok(Found { at, place })) => Some(End::Inside { gate: self.gates[at], place }),
            Poll::Ready(Err(_)) => Some(End::TurnedAway),
        }
    }
}

/// Some gates, and who is where.
struct Hall {
    gates: Vec<Arc<Gate>>,
    limits: Vec<usize>,
    size: usize,
    /// How long a place behind the second gate is of use to those who come.
    hurry: Option<Duration>,
    waiting: Vec<Comer>,
    places: Vec<(usize, Place)>,
}

impl Hall {
    fn new(limits: Vec<usize>, size: usize) -> Self {
        let gates = limits.iter().map(|_| Gate::new()).collect();
        Self { gates, limits, size, hurry: None, waiting: Vec::new(), places: Vec::new() }
    }

    /// Somebody comes for the gates whose bits are set.
    fn come(&mut self, name: &str, bits: usize) {
        let wanted = (0..self.gates.len()).filter(|number| bits >> number & 1 == 1);
        let gates = wanted.map(|it| (it, Arc::clone(&self.gates[it]), room(self.limits[it], self.size)));
        let mut comer = Comer::new(gates.collect(), name, self.hurry);
        match comer.run() {
            Some(end) => self.end(end),
            None => self.waiting.push(comer),
        }
    }

    /// Runs the one of this number, if it was woken.
    fn run(&mut self, index: usize) {
        if let Some(end) = self.waiting[index].run() {
            drop(self.waiting.remove(index));
            self.end(end);
        }
    }

    fn run_all(&mut self) {
        (0..self.waiting.len()).rev().for_each(|index| self.run(index));
    }

    fn end(&mut self, end: End) {
        if let End::Inside { gate, place } = end {
            self.places.push((gate, place));
        }
    }

    fn leave(&mut self, gate: usize) {
        let held = self.places.iter().position(|(at, _)| *at == gate).unwrap();
        drop(self.places.remove(held));
    }

    /// How many of the places at a gate have been taken.
    fn taken(&self, gate: usize) -> usize {
        self.places.iter().filter(|(at, _)| *at == gate).count()
    }

    fn check(&self) {
        for (number, gate) in self.gates.iter().enumerate() {
            let (inside, limit, in_line) = gate.count();
            assert!(self.taken(number) <= inside && in_line <= self.size);
            assert!(in_line == 0 || inside >= limit, "nobody waits beside a free place");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whichever_gate_has_room_first_is_taken() {
    for first in [0, 1] {
        let mut hall = Hall::new(vec![1, 1], 4);
        hall.come("a", 0b01);
        hall.come("a", 0b10);
        hall.come("b", 0b11);
        hall.come("c", 0b11);
        assert_eq!((hall.places.len(), hall.waiting.len()), (2, 2));
        hall.leave(first);
        hall.run_all();
        assert_eq!((hall.taken(0), hall.taken(1), hall.waiting.len()), (1, 1, 1), "it went to {first}");
        assert_eq!(hall.gates.iter().map(|gate| gate.count().2).collect::<Vec<_>>(), [1, 1], "and left the other line");
        hall.leave(1 - first);
        hall.run_all();
        assert_eq!((hall.taken(0), hall.taken(1), hall.waiting.len()), (1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_for_someone_who_has_one_elsewhere_goes_on_to_the_next() {
    let mut hall = Hall::new(vec![1, 1], 4);
    hall.come("a", 0b01);
    hall.come("a", 0b10);
    hall.come("b", 0b11);
    hall.come("c", 0b11);
    // Both gates have a place before the first in line has run.
    hall.leave(0);
    hall.leave(1);
    hall.run_all();
    assert_eq!((hall.taken(0), hall.taken(1), hall.waiting.len()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_is_put_out_of_one_line_waits_in_the_other() {
    let mut hall = Hall::new(vec![1, 1], 2);
    hall.come("a", 0b01);
    hall.come("a", 0b10);
    hall.come("flood", 0b01);
    hall.come("flood", 0b11);
    hall.come("quiet", 0b01);
    hall.run_all();
    assert_eq!(hall.waiting.len(), 3, "the flood's second has made way at one gate");
    hall.leave(1);
    hall.run_all();
    assert_eq!((hall.taken(1), hall.waiting.len()), (1, 2), "and has its place at the other");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_time_for_one_gate_any_more_waits_at_the_other() {
    let mut hall = Hall::new(vec![1, 1], 4);
    hall.hurry = Some(ms(100));
    hall.come("a", 0b01);
    hall.come("a", 0b10);
    hall.come("b", 0b11);
    hall.come("c", 0b10);
    advance(ms(101)).await;
    hall.run_all();
    let in_line: Vec<_> = hall.gates.iter().map(|gate| gate.count().2).collect();
    assert_eq!((hall.waiting.len(), in_line), (1, vec![1, 0]), "c had no other");
    hall.leave(1);
    hall.run_all();
    assert_eq!((hall.taken(1), hall.waiting.len()), (0, 1), "b has no use for it");
    hall.leave(0);
    hall.run_all();
    assert_eq!((hall.taken(0), hall.waiting.len()), (1, 0));
}

/// A line of which every other one gets its place elsewhere is twice as fast as its gate.
#[tokio::test(start_paused = true)]
async fn those_who_go_elsewhere_shorten_the_line() {
    let mut hall = Hall::new(vec![1, 1], 100);
    hall.come("a", 0b01);
    hall.come("a", 0b10);
    for _ in 0..4 {
        hall.come("b", 0b11);
    }
    for turn in 0..20 {
        advance(ms(90)).await;
        hall.leave(turn % 2);
        hall.run_all();
        let before = hall.waiting.len();
        hall.come("b", 0b11);
        assert_eq!(hall.waiting.len(), before + 1, "four turns of 90 ms are worth it, and of 180 ms would not be");
    }
}

#[tokio::test(start_paused = true)]
async fn a_larger_room_is_used_at_once_by_those_who_wait_elsewhere_too() {
    let mut hall = Hall::new(vec![1, 1], 4);
    hall.come("a", 0b01);
    hall.come("a", 0b10);
    hall.come("b", 0b11);
    hall.come("b", 0b11);
    hall.limits[1] = 3;
    hall.come("c", 0b10);
    hall.run_all();
    assert_eq!(
        (hall.taken(0), hall.taken(1), hall.waiting.len()),
        (1, 3, 1),
        "the two in line, and c stands behind them"
    );
}

#[derive(Debug, Clone)]
enum Step {
    Come(u8, usize),
    Leave(usize),
    GiveUp(usize),
    Run(usize),
    Resize(usize, usize),
    Pass(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u8..3, 1_usize..8).prop_map(|(name, gates)| Step::Come(name, gates)),
        4 => any::<usize>().prop_map(Step::Leave),
        1 => any::<usize>().prop_map(Step::GiveUp),
        4 => any::<usize>().prop_map(Step::Run),
        1 => (any::<usize>(), 1_usize..5).prop_map(|(gate, limit)| Step::Resize(gate, limit)),
        1 => (0_u16..300).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However callers come, wait at some of the gates, give up and leave, and however the room changes: no place is lost and none
    /// made up, nobody waits beside a free place, and whoever has a place to come to is woken for it.
    #[test]
    fn places_are_neither_lost_nor_made_up(
        limits in proptest::collection::vec(1_usize..4, 1..4),
        size in 0_usize..5,
        hurry in proptest::option::of(0_u64..400),
        steps in steps(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut hall = Hall::new(limits, size);
            hall.hurry = hurry.map(ms);
            let count = hall.gates.len();
            for step in steps {
                let (places, waiting) = (hall.places.len(), hall.waiting.len());
                match step {
                    Step::Come(name, bits) if bits % (1 << count) != 0 => hall.come(&name.to_string(), bits),
                    Step::Leave(index) if places > 0 => drop(hall.places.remove(index % places)),
                    Step::GiveUp(index) if waiting > 0 => drop(hall.waiting.remove(index % waiting)),
                    Step::Run(index) if waiting > 0 => hall.run(index % waiting),
                    Step::Resize(gate, limit) => hall.limits[gate % count] = limit,
                    Step::Pass(time) => advance(ms(time.into())).await,
                    _ => {}
                }
                hall.check();
            }
            hall.run_all();
            for (number, gate) in hall.gates.iter().enumerate() {
                assert_eq!(gate.count().0, hall.taken(number), "all who were called have come");
            }
            while !hall.waiting.is_empty() {
                assert!(!hall.places.is_empty(), "who waits would wait for ever");
                drop(hall.places.remove(0));
                hall.run_all();
                hall.check();
            }
            hall.places.clear();
            assert!(hall.gates.iter().all(|gate| matches!(gate.count(), (0, _, 0))));
        });
    }
}
