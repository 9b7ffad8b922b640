use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

fn key(number: usize) -> Arc<str> {
    format!("key-{number}").into()
}

/// A queue with so many waiters of each key, pushed key after key; a waiter is its key and its number there.
fn queue(capacity: usize, waiting: &[usize]) -> FairQueue<(usize, usize)> {
    let mut queue = FairQueue::new(capacity);
    for (of, count) in waiting.iter().enumerate() {
        (0..*count).for_each(|number| assert!(queue.push(&key(of), (of, number)).is_ok()));
    }
    queue
}

fn drain<W>(queue: &mut FairQueue<W>) -> Vec<W> {
    std::iter::from_fn(|| queue.pop()).map(|(_, waiter)| waiter).collect()
}

#[test]
fn keys_take_turns_and_the_first_of_each_comes_first() {
    let mut queue = queue(10, &[3, 1, 2]);
    assert_eq!(queue.len(), 6);
    assert_eq!(drain(&mut queue), [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (0, 2)]);
    assert!(queue.is_empty() && queue.pop().is_none());
}

#[test]
fn whoever_comes_again_is_behind_those_who_wait() {
    let mut queue = queue(10, &[1, 2]);
    assert_eq!(queue.pop().map(|it| it.1), Some((0, 0)));
    queue.push(&key(0), (0, 1)).unwrap();
    assert_eq!(drain(&mut queue), [(1, 0), (0, 1), (1, 1)]);
}

#[test]
fn a_flood_gives_way_to_others_up_to_equal_shares() {
    let mut queue = queue(6, &[6]);
    assert_eq!(queue.push(&key(0), (0, 6)), Err(Refused), "it has the most itself");
    let evicted: Vec<_> = (0..3).map(|number| queue.push(&key(1), (1, number)).unwrap().1).collect();
    assert_eq!(evicted, [Some((0, 5)), Some((0, 4)), Some((0, 3))], "the newest of the flood");
    assert_eq!(queue.push(&key(1), (1, 3)), Err(Refused), "three each");
    assert_eq!(queue.push(&key(0), (0, 7)), Err(Refused));
    assert!(queue.push(&key(2), (2, 0)).unwrap().1.is_some());
    assert_eq!(queue.len(), 6);
}

#[test]
fn nobody_is_put_out_for_someone_who_is_no_worse_off() {
    let mut queue = queue(3, &[1, 1, 1]);
    assert_eq!(queue.push(&key(3), (3, 0)), Err(Refused));
    assert_eq!(drain(&mut queue), [(0, 0), (1, 0), (2, 0)]);
}

#[test]
fn without_places_everybody_is_refused() {
    let mut queue = FairQueue::new(0);
    assert_eq!(queue.push(&key(0), ()), Err(Refused));
    assert_eq!((queue.len(), queue.turns_before("key-0")), (0, 0));
}

#[test]
fn a_smaller_queue_keeps_those_who_wait() {
    let mut queue = queue(6, &[5, 1]);
    queue.set_capacity(2);
    assert_eq!(queue.push(&key(0), (0, 5)), Err(Refused));
    assert_eq!(queue.push(&key(2), (2, 0)).map(|it| it.1), Ok(Some((0, 4))), "it grows no longer, and stays fair");
    assert_eq!(drain(&mut queue), [(0, 0), (1, 0), (2, 0), (0, 1), (0, 2), (0, 3)]);
    queue.push(&key(0), (0, 6)).unwrap();
    assert_eq!(queue.len(), 1);
}

#[test]
fn whoever_leaves_is_not_served_and_has_left() {
    let mut queue = FairQueue::new(4);
    let tickets: Vec<_> = [0, 0, 1].map(|of| queue.push(&key(of), of).unwrap().0).into();
    assert_eq!(queue.remove(tickets[0]), Some(0));
    assert_eq!(queue.remove(tickets[0]), None);
    assert_eq!(queue.remove(tickets[2]), Some(1));
    assert_eq!(queue.pop(), Some((tickets[1], 0)));
    assert_eq!((queue.remove(tickets[1]), queue.pop()), (None, None));
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Push(usize),
    Pop,
    /// Of those that were ever pushed, the one at this share of them.
    Remove(f64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        // One key floods at a hundred times the others' rate.
        4 => prop_oneof![100 => Just(0_usize), 1 => Just(1), 1 => Just(2), 1 => Just(3)].prop_map(Event::Push),
        4 => (0_usize..5).prop_map(Event::Push),
        3 => Just(Event::Pop),
        1 => (0.0..1.0).prop_map(Event::Remove),
    ];
    prop::collection::vec(event, 1..300)
}

/// What must hold of the waiters that are in the queue.
#[derive(Debug, Default)]
struct Watch {
    /// By ticket: the key, and how many may still be taken out before it.
    waiting: BTreeMap<Ticket, (usize, usize)>,
    left: usize,
}

impl Watch {
    fn own(&self, of: usize) -> usize {
        self.waiting.values().filter(|(key, _)| *key == of).count()
    }

    fn pushed(&mut self, ticket: Ticket, of: usize) {
        // Those of its key that wait, and it, each within one round of the keys that may ever come: five.
        let within = (self.own(of) + 1) * 5;
        self.waiting.insert(ticket, (of, within));
    }

    fn gone(&mut self, ticket: Ticket) -> usize {
        self.left += 1;
        self.waiting.remove(&ticket).expect("it was there, and once").0
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small numbers"
)]
fn share(of: u64, part: f64) -> u64 {
    (of as f64 * part) as u64
}

proptest! {
    #[test]
    fn everyone_is_served_in_turn_and_leaves_once(capacity in 0_usize..40, events in events()) {
        let mut queue = FairQueue::new(capacity);
        let (mut watch, mut pushed, mut tickets) = (Watch::default(), 0, 0);
        let push = |queue: &mut FairQueue<Ticket>, watch: &mut Watch, of, ticket| {
            let most = (0..5).map(|other| watch.own(other)).max().unwrap_or(0);
            let is_full = watch.waiting.len() == capacity;
            let evicted = match queue.push(&key(of), ticket) {
                Err(Refused) => {
                    assert!(is_full && watch.own(of) + 1 >= most);
                    return false;
                }
                Ok((own, evicted)) => {
                    assert_eq!(own, ticket);
                    evicted
                }
            };
            assert_eq!(evicted.is_some(), is_full);
            if let Some(evicted) = evicted {
                let newest_of_its_key = |of| watch.waiting.iter().rev().find(|it| it.1.0 == of).map(|it| *it.0);
                let loser = watch.waiting[&evicted].0;
                assert_eq!(newest_of_its_key(loser), Some(evicted));
                assert!(watch.own(loser) == most && watch.own(of) + 1 < most);
                watch.gone(evicted);
            }
            watch.pushed(ticket, of);
            true
        };
        for event in events {
            match event {
                Event::Push(of) => {
                    if push(&mut queue, &mut watch, of, Ticket(tickets)) {
                        (pushed, tickets) = (pushed + 1, tickets + 1);
                    }
                }
                Event::Pop => {
                    let Some((ticket, waiter)) = queue.pop() else {
                        prop_assert!(watch.waiting.is_empty(), "whoever waits is served");
                        continue;
                    };
                    prop_assert_eq!(ticket, waiter);
                    let of = watch.gone(ticket);
                    prop_assert!(watch.waiting.iter().all(|(other, it)| it.0 != of || *other > ticket), "first come");
                    for (_, within) in watch.waiting.values_mut() {
                        prop_assert!(*within > 1, "others had more turns than their share");
                        *within -= 1;
                    }
                }
                Event::Remove(part) => {
                    let ticket = Ticket(share(tickets, part));
                    let waited = watch.waiting.contains_key(&ticket);
                    prop_assert_eq!(queue.remove(ticket), waited.then_some(ticket));
                    if waited {
                        watch.gone(ticket);
                    }
                }
            }
            prop_assert!(queue.len() <= capacity);
            prop_assert_eq!(queue.len(), watch.waiting.len());
        }
        while let Some((ticket, _)) = queue.pop() {
            watch.gone(ticket);
        }
        prop_assert_eq!(watch.left, pushed);
        prop_assert!(watch.waiting.is_empty());
    }

    #[test]
    fn the_mth_of_k_keys_is_served_within_m_rounds(waiting in prop::collection::vec(1_usize..60, 1..6), taken in 0_usize..40) {
        let mut queue = queue(1_000, &waiting);
        (0..taken).for_each(|_| { queue.pop(); });
        let keys = queue.turns.len();
        let mut rest: Vec<VecDeque<usize>> = vec![VecDeque::new(); waiting.len()];
        for (turn, (of, _)) in drain(&mut queue).into_iter().enumerate() {
            rest[of].push_back(turn + 1);
        }
        for line in rest {
            for (before, turn) in line.into_iter().enumerate() {
                prop_assert!(turn <= (before + 1) * keys, "{turn} is later than {} times {keys}", before + 1);
            }
        }
    }

    #[test]
    fn the_turns_before_a_newcomer_are_those_it_waits_for(
        waiting in prop::collection::vec(0_usize..20, 1..6),
        taken in 0_usize..40,
        newcomer in 0_usize..6,
    ) {
        let mut queue = queue(1_000, &waiting);
        (0..taken).for_each(|_| { queue.pop(); });
        let expected = queue.turns_before(&key(newcomer));
        let own = (newcomer, usize::MAX);
        queue.push(&key(newcomer), own).unwrap();
        prop_assert_eq!(drain(&mut queue).iter().position(|it| *it == own), Some(expected));
    }

    /// The same, whoever came, left and was passed over before.
    #[test]
    fn the_turns_before_a_newcomer_do_not_depend_on_the_past(events in events(), newcomer in 0_usize..6) {
        let mut queue = FairQueue::new(60);
        let mut tickets = 0;
        for event in events {
            match event {
                Event::Push(of) => tickets += u64::from(queue.push(&key(of), of).is_ok()),
                Event::Pop => drop(queue.pop_if(|it| *it != key(0) && *it != key(1)).or_else(|| queue.pop())),
                Event::Remove(part) => drop(queue.remove(Ticket(share(tickets, part)))),
            }
        }
        queue.set_capacity(61);
        let expected = queue.turns_before(&key(newcomer));
        let (own, _) = queue.push(&key(newcomer), newcomer).unwrap();
        let turns: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(ticket, _)| ticket).collect();
        prop_assert_eq!(turns.iter().position(|it| *it == own), Some(expected));
    }
}
