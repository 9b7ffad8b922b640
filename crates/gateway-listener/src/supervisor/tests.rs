#![allow(clippy::unwrap_used)]

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::advance;

use super::{LINGER, Order, Supervisor};
use crate::HeadLimits;
use crate::activity::{Activity, Phase, RunningCall};
use crate::connection::ConnectionEnd;
use crate::drain::{Drain, DrainLimits, FRESH_GRACE};

const DRAIN_TIMEOUT: Duration = Duration::from_mins(10);
const IDLE_GRACE: Duration = Duration::from_secs(3);
const MOMENT: Duration = Duration::from_millis(1);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// A supervised connection on which a head has arrived.
struct Scene {
    activity: Arc<Activity>,
    limits: &'static HeadLimits,
    drain: Drain,
    supervisor: Supervisor<'static>,
}

impl Scene {
    fn new() -> Self {
        Self::with_grace(IDLE_GRACE)
    }

    fn with_grace(idle_grace: Duration) -> Self {
        Self::with(Drain::new(), idle_grace)
    }

    fn with(drain: Drain, idle_grace: Duration) -> Self {
        let activity = Arc::new(Activity::new());
        let limits = Box::leak(Box::new(HeadLimits::default()));
        let drain_limits = Box::leak(Box::new(DrainLimits { timeout: DRAIN_TIMEOUT, idle_grace }));
        let supervisor = Supervisor::new(Arc::clone(&activity), limits, drain.for_connection(), drain_limits);
        activity.enter(Phase::PastHead);
        Self { activity, limits, drain, supervisor }
    }

    async fn order(&mut self) -> Order {
        poll_fn(|cx| {
            self.supervisor.poll_drain(cx);
            Poll::Ready(self.supervisor.poll_order(cx))
        })
        .await
    }

    /// Asserts that nothing happens before `time` is over, and then that the order is given.
    async fn assert_after(&mut self, time: Duration, order: Order) {
        assert_eq!(self.order().await, Order::Keep);
        advance(time.checked_sub(MOMENT).unwrap()).await;
        assert_eq!(self.order().await, Order::Keep);
        advance(MOMENT).await;
        assert_eq!(self.order().await, order);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_has_no_limit_while_its_answer_is_taken() {
    let mut scene = Scene::new();
    let call = RunningCall::begin(&scene.activity);
    for phase in [Phase::PastHead, Phase::MidHead] {
        scene.activity.enter(phase);
        advance(YEAR).await;
        assert_eq!(scene.order().await, Order::Keep);
    }
    scene.activity.enter(Phase::PastHead);
    drop(call);
    scene.assert_after(scene.limits.keep_alive, Order::Retire).await;
}

/// Counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// HTTP/1 calls end in the connection's own task, which then looks by itself.
#[tokio::test(start_paused = true)]
async fn a_busy_connection_is_looked_at_again_if_its_calls_end_elsewhere() {
    for (phase, is_woken) in [(Phase::Multiplexed, true), (Phase::PastHead, false)] {
        let mut scene = Scene::new();
        scene.activity.enter(phase);
        let _call = RunningCall::begin(&scene.activity);
        let task = Arc::<Task>::default();
        let waker = Waker::from(Arc::clone(&task));
        for _ in 0..3 {
            let before = task.0.load(Ordering::SeqCst);
            assert_eq!(scene.supervisor.poll_order(&mut Context::from_waker(&waker)), Order::Keep);
            advance(scene.limits.keep_alive + MOMENT).await;
            assert_eq!(task.0.load(Ordering::SeqCst) > before, is_woken, "{phase:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_cut_with_or_without_a_call() {
    for calls in [0, 1] {
        let mut scene = Scene::new();
        let _calls: Vec<_> = (0..calls).map(|_| RunningCall::begin(&scene.activity)).collect();
        scene.activity.block();
        scene.assert_after(scene.limits.write_timeout, Order::Cut).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_sends_does_not_make_up_for_what_it_does_not_read() {
    let mut scene = Scene::new();
    let first = RunningCall::begin(&scene.activity);
    scene.activity.block();
    advance(scene.limits.write_timeout / 2).await;
    scene.activity.enter(Phase::MidHead);
    let _second = RunningCall::begin(&scene.activity);
    drop(first);
    scene.assert_after(scene.limits.write_timeout / 2, Order::Cut).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_little_now_and_then_is_never_cut() {
    let mut scene = Scene::new();
    let _call = RunningCall::begin(&scene.activity);
    for _ in 0..1000 {
        scene.activity.block();
        advance(scene.limits.write_timeout.checked_sub(MOMENT).unwrap()).await;
        assert_eq!(scene.order().await, Order::Keep);
        scene.activity.unblock();
    }
    advance(YEAR).await;
    assert_eq!(scene.order().await, Order::Keep);
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_rest_of_an_answer_and_then_for_a_next_request() {
    let mut scene = Scene::new();
    let call = RunningCall::begin(&scene.activity);
    scene.activity.block();
    drop(call);
    scene.drain.begin();
    // Far longer than a connection without anything to write is kept.
    scene.assert_after(LINGER * 10, Order::Keep).await;
    scene.activity.unblock();
    scene.assert_after(IDLE_GRACE, Order::Retire).await;
    scene.assert_after(LINGER, Order::Cut).await;
    assert_eq!(scene.supervisor.end(true), ConnectionEnd::CallsFinished);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_for_a_call_that_does_not() {
    let mut scene = Scene::new();
    let _call = RunningCall::begin(&scene.activity);
    scene.drain.begin();
    scene.assert_after(DRAIN_TIMEOUT, Order::Cut).await;
    assert_eq!(scene.supervisor.end(true), ConnectionEnd::CallsCut);
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_as_long_for_a_connection_that_came_late() {
    let drain = Drain::new();
    drain.begin();
    advance(DRAIN_TIMEOUT / 2).await;
    let mut scene = Scene::with(drain, IDLE_GRACE);
    let _call = RunningCall::begin(&scene.activity);
    scene.assert_after(DRAIN_TIMEOUT / 2, Order::Cut).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_keeps_an_idle_connection_for_the_grace_and_not_beyond_its_time() {
    let mut scene = Scene::new();
    advance(LINGER).await;
    scene.drain.begin();
    scene.assert_after(IDLE_GRACE, Order::Retire).await;

    let mut scene = Scene::new();
    advance(scene.limits.keep_alive.checked_sub(MOMENT * 2).unwrap()).await;
    scene.drain.begin();
    scene.assert_after(MOMENT * 2, Order::Retire).await;

    let mut scene = Scene::with_grace(Duration::ZERO);
    scene.drain.begin();
    assert_eq!(scene.order().await, Order::Retire);
}

#[tokio::test(start_paused = true)]
async fn a_drain_tells_an_http2_peer_at_once() {
    for calls in [0, 1] {
        let mut scene = Scene::new();
        scene.activity.enter(Phase::Multiplexed);
        let calls: Vec<_> = (0..calls).map(|_| RunningCall::begin(&scene.activity)).collect();
        scene.drain.begin();
        assert_eq!(scene.order().await, Order::Retire);
        assert_eq!(scene.order().await, Order::Keep);
        drop(calls);
        scene.assert_after(LINGER, Order::Cut).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_long_for_a_first_request() {
    for (idle_grace, wait) in [(IDLE_GRACE, IDLE_GRACE), (Duration::ZERO, FRESH_GRACE)] {
        let mut scene = Scene::with_grace(idle_grace);
        scene.activity.enter(Phase::Fresh);
        scene.drain.begin();
        scene.assert_after(wait, Order::Cut).await;
        assert_eq!(scene.supervisor.end(true), ConnectionEnd::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_http1_are_the_last_ones_once_a_drain_began() {
    for (phase, is_last) in [(Phase::PastHead, true), (Phase::Multiplexed, false)] {
        let mut scene = Scene::new();
        scene.activity.enter(phase);
        let call = RunningCall::begin(&scene.activity);
        scene.order().await;
        assert!(!call.is_last());
        scene.drain.begin();
        scene.order().await;
        assert_eq!(call.is_last(), is_last);
    }
}
