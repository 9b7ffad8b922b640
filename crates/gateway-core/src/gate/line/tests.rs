use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::time::advance;

use super::*;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn room(limit: usize, size: usize) -> Room {
    Room { limit, queue: Queue { size, timeout: ms(1000) } }
}

fn key(name: &str) -> Arc<str> {
    Arc::from(name)
}

type Entering = Pin<Box<dyn Future<Output = Result<Place, Crowded>> + Send>>;

/// Somebody who comes to the gate; polled once, so that they are inside, in line, or turned away.
fn come(gate: &Arc<Gate>, room: Room, name: &str) -> (Entering, Poll<Result<Place, Crowded>>) {
    let (gate, key) = (Arc::clone(gate), key(name));
    let mut entering: Entering = Box::pin(async move { gate.enter(room, &key).await });
    let first = look(&mut entering);
    (entering, first)
}

fn look(entering: &mut Entering) -> Poll<Result<Place, Crowded>> {
    entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn inside(gate: &Gate) -> usize {
    gate.state.lock().inside
}

fn in_line(gate: &Gate) -> usize {
    gate.state.lock().line.len()
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_hands_the_place_on() {
    let gate = Gate::new();
    let first = gate.enter(room(1, 10), &key("a")).await.unwrap();
    let (mut second, Poll::Pending) = come(&gate, room(1, 10), "a") else { panic!("there is one place") };
    assert!(gate.try_enter(room(1, 10), &key("a")).is_none());
    drop(first);
    assert_eq!((inside(&gate), in_line(&gate)), (1, 0), "nobody can slip in between");
    assert!(gate.try_enter(room(1, 10), &key("a")).is_none());
    let Poll::Ready(Ok(second)) = look(&mut second) else { panic!("it is its turn") };
    drop(second);
    assert_eq!(inside(&gate), 0);
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_leaves_the_line_and_a_place_that_was_meant_for_it_goes_on() {
    let gate = Gate::new();
    let first = gate.enter(room(1, 10), &key("a")).await.unwrap();
    let (second, _) = come(&gate, room(1, 10), "a");
    let (third, _) = come(&gate, room(1, 10), "a");
    let (mut fourth, _) = come(&gate, room(1, 10), "a");
    drop(second);
    assert_eq!(in_line(&gate), 2);
    drop(first);
    drop(third);
    assert!(matches!(look(&mut fourth), Poll::Ready(Ok(_))), "the third was told to come and had left");
    assert_eq!((inside(&gate), in_line(&gate)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_queue_says() {
    let gate = Gate::new();
    let _first = gate.enter(room(1, 10), &key("a")).await.unwrap();
    let began = Instant::now();
    let refused = gate.enter(room(1, 10), &key("a")).await;
    assert!(refused.is_err() && began.elapsed() == ms(1000), "{:?}", began.elapsed());
    assert_eq!((inside(&gate), in_line(&gate)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_moves_too_slowly_takes_nobody() {
    let gate = Gate::new();
    let mut place = gate.enter(room(1, 10), &key("a")).await.unwrap();
    // Three departures, 200 ms apart.
    for _ in 0..3 {
        let (mut next, _) = come(&gate, room(1, 10), "a");
        advance(ms(200)).await;
        drop(place);
        let Poll::Ready(Ok(came)) = look(&mut next) else { panic!("it is its turn") };
        place = came;
    }
    let (_second, Poll::Pending) = come(&gate, room(1, 10), "a") else { panic!("200 ms are worth it") };
    let (_third, Poll::Pending) = come(&gate, room(1, 10), "a") else { panic!("400 ms are, too") };
    let (_, Poll::Ready(Err(crowded))) = come(&gate, room(1, 10), "a") else { panic!("600 ms of 1000 are too close") };
    assert_eq!(crowded.retry_after, ms(1000), "at least a second, or the crowd comes back at once");
    let (_, Poll::Pending) = come(&gate, room(1, 10), "b") else { panic!("b's first is the second to go") };
}

#[tokio::test(start_paused = true)]
async fn a_stall_counts_as_a_slow_line() {
    let gate = Gate::new();
    let first = gate.enter(room(1, 10), &key("a")).await.unwrap();
    advance(ms(100)).await;
    drop(first);
    let _second = gate.enter(room(1, 10), &key("a")).await.unwrap();
    advance(ms(501)).await;
    assert!(matches!(come(&gate, room(1, 10), "a").1, Poll::Ready(Err(_))), "nobody has left for half a second");
}

#[tokio::test(start_paused = true)]
async fn time_with_room_to_spare_says_nothing_about_the_pace() {
    let gate = Gate::new();
    drop(gate.enter(room(1, 10), &key("a")).await.unwrap());
    advance(Duration::from_hours(1)).await;
    let _place = gate.enter(room(1, 10), &key("a")).await.unwrap();
    assert!(come(&gate, room(1, 10), "a").1.is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_flood_delays_nobody_else_and_cannot_fill_the_line() {
    let gate = Gate::new();
    let first = gate.enter(room(1, 4), &key("flood")).await.unwrap();
    let mut flood: Vec<_> = (0..4).map(|_| come(&gate, room(1, 4), "flood").0).collect();
    assert!(matches!(come(&gate, room(1, 4), "flood").1, Poll::Ready(Err(_))), "the line is full");
    let (mut quiet, Poll::Pending) = come(&gate, room(1, 4), "quiet") else { panic!("its share of the line is free") };
    assert!(matches!(look(&mut flood[3]), Poll::Ready(Err(_))), "the last of the flood made way");
    drop(first);
    let Poll::Ready(Ok(second)) = look(&mut flood[0]) else { panic!("its turn came first") };
    drop(second);
    assert!(matches!(look(&mut quiet), Poll::Ready(Ok(_))), "then that of the other");
}

#[tokio::test(start_paused = true)]
async fn a_smaller_room_is_emptied_first_and_a_larger_one_is_used_at_once() {
    let gate = Gate::new();
    let places: Vec<_> = (0..3).map(|_| gate.try_enter(room(3, 4), &key("a")).unwrap()).collect();
    let (mut waiting, _) = come(&gate, room(1, 4), "a");
    let mut places = places.into_iter();
    drop(places.next());
    drop(places.next());
    assert!(look(&mut waiting).is_pending() && inside(&gate) == 1, "one is inside, and one may be");
    drop(places.next());
    assert!(matches!(look(&mut waiting), Poll::Ready(Ok(_))));
    let _place = gate.try_enter(room(1, 4), &key("a")).unwrap();
    assert!(gate.try_enter(room(2, 4), &key("a")).is_some());
}

#[tokio::test(start_paused = true)]
async fn more_room_is_used_at_once_by_those_who_wait() {
    let gate = Gate::new();
    let _first = gate.try_enter(room(1, 4), &key("a")).unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| come(&gate, room(1, 4), "a").0).collect();
    let (last, _) = come(&gate, room(3, 4), "a");
    waiting.push(last);
    let _places: Vec<_> = waiting.iter_mut().map(look).filter(|turn| matches!(turn, Poll::Ready(Ok(_)))).collect();
    assert_eq!((inside(&gate), in_line(&gate)), (3, 2), "two more came in, and the newcomer stands behind");
}

/// Somebody leaves every 20 ms, but of those only each fifth makes way for the flood: four others come between, and none of
/// them is in line when the flood's next one asks.
#[tokio::test(start_paused = true)]
async fn a_line_is_as_slow_as_those_make_it_who_are_not_seen_in_it() {
    let gate = Gate::new();
    let mut place = gate.try_enter(room(1, 100), &key("a")).unwrap();
    let mut line: Vec<Entering> = (0..14).map(|_| come(&gate, room(1, 100), "flood").0).collect();
    for _ in 0..8 {
        line.extend((0..4).map(|quiet| come(&gate, room(1, 100), &format!("quiet {quiet}")).0));
        for _ in 0..5 {
            advance(ms(20)).await;
            drop(place);
            let called = line.iter_mut().enumerate().find_map(|(index, it)| match look(it) {
                Poll::Ready(Ok(place)) => Some((index, place)),
                _ => None,
            });
            let (index, next) = called.unwrap();
            drop(line.remove(index));
            place = next;
        }
    }
    assert_eq!(in_line(&gate), 6);
    let (_, Poll::Ready(Err(_))) = come(&gate, room(1, 100), "flood") else { panic!("it would wait for 700 ms") };
    let (_, Poll::Pending) = come(&gate, room(1, 100), "quiet 1") else { panic!("this one is next but one") };
}

/// Answers of a fixed latency leave in bunches. A line that grew between two bunches is not taken for a slow one.
#[tokio::test(start_paused = true)]
async fn a_first_departure_behind_a_gap_is_no_pace() {
    let gate = Gate::new();
    let mut places = std::collections::VecDeque::new();
    for _ in 0..40 {
        places.push_back(gate.try_enter(room(40, 100), &key(&places.len().to_string())).unwrap());
    }
    for turn in 0..400 {
        let (mut next, _) = come(&gate, room(40, 100), &format!("other {turn}"));
        advance(Duration::from_micros(2500)).await;
        drop(places.pop_front());
        let Poll::Ready(Ok(place)) = look(&mut next) else { panic!("it is its turn") };
        places.push_back(place);
    }
    let _line: Vec<_> = (0..7).map(|_| come(&gate, room(40, 100), "a").0).collect();
    advance(ms(100)).await;
    drop(places.pop_front());
    let (_, Poll::Pending) = come(&gate, room(40, 100), "a") else { panic!("the rest of the bunch is about to leave") };
}

/// The pace is that of the line also where a key alone never fills the place.
#[tokio::test(start_paused = true)]
async fn a_line_beside_the_places_of_others_has_a_pace() {
    let gate = Gate::new();
    let mut places: Vec<Place> = Vec::new();
    let mut line = Vec::new();
    for _ in 0..22 {
        match come(&gate, room(20, 100), "a") {
            (_, Poll::Ready(Ok(place))) => places.push(place),
            (entering, _) => line.push(entering),
        }
    }
    for _ in 0..30 {
        advance(ms(50)).await;
        drop(places.remove(0));
        let Poll::Ready(Ok(place)) = look(&mut line[0]) else { panic!("it is its turn") };
        drop(line.remove(0));
        places.push(place);
        let (entering, Poll::Pending) = come(&gate, room(20, 100), "a") else { panic!("150 ms are worth it") };
        line.push(entering);
    }
}

/// A key that never lets go of its places: the others get theirs all the same.
#[tokio::test(start_paused = true)]
async fn a_key_that_keeps_its_places_leaves_one_for_others() {
    let gate = Gate::new();
    let mut flood: Vec<_> = (0..30).map(|_| come(&gate, room(20, 100), "flood")).collect();
    let inside_of_flood = flood.iter().filter(|(_, turn)| matches!(turn, Poll::Ready(Ok(_)))).count();
    assert_eq!((inside_of_flood, inside(&gate)), (19, 19));
    let (_, Poll::Ready(Ok(quiet))) = come(&gate, room(20, 100), "quiet") else {
        panic!("the last place is for others")
    };
    let (mut second, Poll::Pending) = come(&gate, room(20, 100), "quiet") else { panic!("it is taken") };
    drop(quiet);
    let Poll::Ready(Ok(second)) = look(&mut second) else { panic!("it goes on to whom it is for") };
    drop(second);
    let left = flood.remove(0);
    drop(left);
    assert_eq!(inside(&gate), 19, "the flood's own place goes to the flood");
}

#[tokio::test]
async fn a_waiter_is_woken() {
    let gate = Gate::new();
    let first = gate.enter(room(1, 1), &key("a")).await.unwrap();
    let waiting = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { gate.enter(room(1, 1), &key("a")).await.is_ok() }
    });
    while in_line(&gate) == 0 {
        tokio::task::yield_now().await;
    }
    drop(first);
    assert!(pin!(waiting).await.unwrap());
}
