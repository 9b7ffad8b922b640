#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use tokio::task::{consume_budget, coop, spawn};
use tokio::time::{advance, timeout};

use super::*;

/// Counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Task {
    fn woken(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn is_over(alarm: &mut Alarm, end: Instant, task: &Arc<Task>) -> bool {
    let waker = Waker::from(Arc::clone(task));
    alarm.poll_until(end, Instant::now(), &mut Context::from_waker(&waker)).is_ready()
}

async fn pass(seconds: f64) {
    advance(Duration::from_secs_f64(seconds)).await;
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[tokio::test(start_paused = true)]
async fn a_later_wait_is_not_cut_short_by_the_timer_of_an_earlier() {
    let (mut alarm, task, began) = (Alarm::new(), Arc::<Task>::default(), Instant::now());
    assert!(!is_over(&mut alarm, began + seconds(2), &task));
    assert!(!is_over(&mut alarm, began + seconds(10), &task));
    pass(2.5).await;
    assert_eq!(task.woken(), 1, "by the timer of the first wait");
    assert!(!is_over(&mut alarm, began + seconds(10), &task));
    pass(7.0).await;
    assert!(!is_over(&mut alarm, began + seconds(10), &task) && task.woken() == 1);
    pass(0.6).await;
    assert!(is_over(&mut alarm, began + seconds(10), &task) && task.woken() == 2);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_end_moves_the_timer() {
    let (mut alarm, task, began) = (Alarm::new(), Arc::<Task>::default(), Instant::now());
    assert!(!is_over(&mut alarm, began + seconds(60), &task));
    assert!(!is_over(&mut alarm, began + seconds(1), &task));
    pass(1.1).await;
    assert!(task.woken() == 1 && is_over(&mut alarm, began + seconds(1), &task));
}

#[tokio::test(start_paused = true)]
async fn who_waits_now_is_woken_and_not_who_waited_before() {
    let (mut alarm, first, second) = (Alarm::new(), Arc::<Task>::default(), Arc::<Task>::default());
    let end = Instant::now() + seconds(1);
    assert!(!is_over(&mut alarm, end, &first));
    alarm.wake_nobody();
    assert_eq!(Arc::strong_count(&first), 1, "nobody is held on to");
    assert!(!is_over(&mut alarm, end, &second));
    pass(1.1).await;
    assert_eq!((first.woken(), second.woken()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_used_up_its_turn_is_woken_as_well() {
    let waiting = spawn(async {
        let (mut alarm, end) = (Alarm::new(), Instant::now() + seconds(1));
        while coop::has_budget_remaining() {
            consume_budget().await;
        }
        poll_fn(|cx| alarm.poll_until(end, Instant::now(), cx)).await;
    });
    timeout(seconds(2), waiting).await.unwrap().unwrap();
}
